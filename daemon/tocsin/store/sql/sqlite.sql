-- What only SQLite says this way.

-- name: add_arrived_alerts
-- New alerts that stand alone: what is the same of all of them is written here and needs no value bound.
insert into alerts (
    id, integration, source_key, content, status, incident, post, severity, title, description, service, source,
    labels, links, rules, started_at, received_at, last_seen_at, ended_at, expires_at, hold_until, acknowledged_at,
    count, truncated, joined, muted_by, written
)
select column1, column2, column3, column4, 'firing', column5, column6, column7, column8, column9, column10, column11,
    column12, column13, column14, column15, column16, column16, null, column17, column18, null,
    1, column19, 0, null, column20
from ({20.values});

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

-- name: open_alerts
-- Firing alerts by (integration, source_key).
select {a.alert} from json_each($1) k
cross join alerts a on a.integration = k.value->>0 and a.source_key = k.value->>1 and a.ended_at is null;

-- name: tombstones
-- Tombstones of these identities that still hold.
select {t.tombstone} from json_each($1) k
cross join tombstones t on t.integration = k.value->>0 and t.source_key = k.value->>1 and t.until > $2;

-- name: tallied
-- What is counted under each name after an instant, oldest first.
select t.tally, t.at, t.alert, t.what from json_each($1) k
cross join tallies t on t.tally = k.value->>0 and t.at > cast(k.value->>1 as integer)
order by t.tally, t.at, t.alert;

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

-- name: due_pages
-- Planned pages of a channel whose time has come: by rank, then age; of one instant the older incident first. Each rank is one range of the index.
with recursive ranks(rank) as (
    select min(rank) from pages where status = 'planned' and channel = $1
    union all
    select (select min(p.rank) from pages p where p.status = 'planned' and p.channel = $1 and p.rank > ranks.rank)
    from ranks where ranks.rank is not null
)
select {p.page} from ranks
cross join pages p on p.rowid in (
    select d.rowid from pages d
    where d.status = 'planned' and d.channel = $1 and d.rank = ranks.rank and d.due_at <= $2
    order by d.due_at, d.incident, d.id limit $3
)
order by p.rank, p.due_at, p.incident, p.id limit $3;

-- name: flush_repeats
-- Add up pure repeats; a later last sight, a later start and a new end win.
update alerts set
    count = count + (r.value->>1),
    last_seen_at = max(last_seen_at, r.value->>2),
    expires_at = iif(cleared_at is null, coalesce(r.value->>3, expires_at), expires_at),
    started_at = max(started_at, coalesce(r.value->>4, started_at))
from json_each($1) r where alerts.id = r.value->>0;

-- name: last_numbers
-- The highest number given out so far, of incidents, alerts and posts.
select coalesce((select max(number) from incidents), 0), coalesce((select max(id) from alerts), 0),
       coalesce((select max(id) from posts), 0);

-- name: newest_number
-- The highest number an incident has.
select coalesce(max(number), 0) from incidents;

-- name: oldest_firing
-- Of each of several incidents the first open alerts: those that joined it, and the one that opened it.
select {a.alert} from json_each($1) k cross join alerts a on a.id in (
    select id from alerts where incident = k.value and joined and ended_at is null order by id limit $2)
union all
select {a.alert} from incidents i join alerts a on a.id = i.alert
where i.number in (select value from json_each($1)) and a.incident = i.number and not a.joined and a.ended_at is null
order by id;

-- name: hold_storms
-- Scopes nothing is known of yet get a row; they are held, since there is one writer.
insert into storms (scope, recent, collected, names, touched_at)
select k.value, '[]', 0, '{}', 0 from json_each($1) as k where true order by k.value
on conflict (scope) do nothing;
