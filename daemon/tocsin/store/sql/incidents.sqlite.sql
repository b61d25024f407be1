-- What only SQLite says this way: incidents, their group keys, timelines, relations and frozen policies.

-- name: add_arrived_incidents
-- The incidents that these alerts open: triggered, held, their first step due when the hold ends.
insert into incidents (
    number, key, status, title, service, severity, impact, urgency, priority, category, integration, policy,
    policy_hash, created_at, updated_at, version, cycle, round, step, due_at, due_kind, planned_at, held_until,
    grouped, alert, firing, resolved, total, opened_by
)
select column1, column2, 'triggered', column3, column4, column5, column6, column7, column8, column9, column10, column11,
    column12, column13, column13, 1, 1, 1, 1, column14, 'step', column14, column14,
    0, column15, 1, 0, 1, 'integration:' || column10
from ({15.values});

-- name: due_incidents
-- Incidents whose time has come: by priority, then the longest overdue. Each priority is one range of the index.
select {i.incident} from (
    select 'P1' as priority union all select 'P2' union all select 'P3' union all select 'P4' union all select 'P5'
) p
cross join incidents i on i.number in (
    select number from incidents
    where (due_at is not null or status in ('triggered', 'acknowledged', 'on_hold'))
      and priority = p.priority and due_at <= $1
    order by due_at, number limit $2
)
order by i.priority, i.due_at, i.number limit $2;

-- name: newest_number
-- The highest number an incident has.
select coalesce(max(number), 0) from incidents;
