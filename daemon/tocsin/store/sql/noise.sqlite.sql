-- What only SQLite says this way: what rules count, and storms.

-- name: tallied
-- What is counted under each name after an instant, oldest first.
select t.tally, t.at, t.alert, t.what from json_each($1) k
cross join tallies t on t.tally = k.value->>0 and t.at > cast(k.value->>1 as integer)
order by t.tally, t.at, t.alert;

-- name: hold_storms
-- Scopes nothing is known of yet get a row; they are held, since there is one writer.
insert into storms (scope, recent, collected, names, touched_at)
select k.value, '[]', 0, '{}', 0 from json_each($1) as k where true order by k.value
on conflict (scope) do nothing;
