-- What only PostgreSQL says this way: incidents, their group keys, timelines, relations and frozen policies.

-- name: due_incidents
-- Incidents whose time has come: by priority, then the longest overdue. Those another replica holds are skipped.
select {i.incident} from unnest(array['P1', 'P2', 'P3', 'P4', 'P5']) as p(priority)
cross join lateral (
    select * from incidents
    where {live} and priority = p.priority and due_at <= $1
    order by due_at, number limit $2
    for update skip locked
) as i
order by i.priority, i.due_at, i.number limit $2;

-- name: newest_number
-- The highest number that was given to an incident so far.
select greatest(case when is_called then last_value else 0 end, (select coalesce(max(number), 0) from incidents))
from incident_numbers;
