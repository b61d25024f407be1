-- The statements both databases understand: what rules count, and storms.

-- name: add_tallies
-- Firings and changes that rules count.
insert into tallies (tally, at, alert, what) {4.values} on conflict (tally, at, alert, what) do nothing;

-- name: marks
-- What is counted under a name after an instant, oldest first. Not locked.
select at, alert, what from tallies where tally = $1 and at > $2 order by at, alert limit $3;

-- name: prune_tallies
-- Forget what no window reaches any more.
delete from tallies where (tally, at, alert, what) in (
    select tally, at, alert, what from tallies where at < $1 limit $2) returning at;

-- name: storms
-- The new incidents of these scopes lately, held in order of their names.
select {storm} from storms where scope = any($1::text[]) order by scope for update;

-- name: list_storms
-- The same of all scopes, not held.
select {storm} from storms order by scope;

-- name: storms_seen
-- The same of these scopes, not held.
select {storm} from storms where scope = any($1::text[]) order by scope;

-- name: save_storm
-- How it stands with a scope now.
insert into storms ({storm.given}) {storm.values}
on conflict (scope) do update set {storm.changes};

-- name: forget_storms
-- Scopes where nothing happened since an instant, and no storm is on.
delete from storms where incident is null and touched_at < $1;

-- name: taken_in
-- Incidents that a storm took in and that still wait for somebody, the most urgent first.
select {incident} from incidents
where storm = $1 and muted_by = $2 and status = 'triggered'
order by priority, number limit $3 for update;

-- name: wake_taken_in
-- What a storm took in by an instant falls due from another one on, the most urgent first, two in a millisecond.
update incidents set due_at = $4::bigint + woken.place / 2
from (
    select number as id, row_number() over (order by priority, number) - 1 as place from incidents
    where storm = $1 and muted_by = $2 and status = 'triggered' and created_at <= $3
) as woken
where incidents.number = woken.id;

-- name: members
-- The incidents a storm took in, in order.
select {incident} from incidents where storm = $1 and number > $2 order by number limit $3;
