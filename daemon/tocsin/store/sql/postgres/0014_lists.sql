-- Lists of silences, overrides and swaps are read in parts, in the order they were made.

create index silences_made on silences (created_at, id);
create index overrides_made on overrides (created_at, id);
create index swaps_made on swaps (created_at, id);
