-- Nothing: one process writes here, and nobody holds a storm's row against it.

select 1;
