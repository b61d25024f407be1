-- What only SQLite says this way: received alerts, the ends of their identities, the posts that brought them, and changes.

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

-- name: open_alerts
-- Firing alerts by (integration, source_key).
select {a.alert} from json_each($1) k
cross join alerts a on a.integration = k.value->>0 and a.source_key = k.value->>1 and a.ended_at is null;

-- name: tombstones
-- Tombstones of these identities that still hold.
select {t.tombstone} from json_each($1) k
cross join tombstones t on t.integration = k.value->>0 and t.source_key = k.value->>1 and t.until > $2;

-- name: flush_repeats
-- Add up pure repeats; a later last sight, a later start and a new end win.
update alerts set
    count = count + (r.value->>1),
    last_seen_at = max(last_seen_at, r.value->>2),
    expires_at = iif(cleared_at is null, coalesce(r.value->>3, expires_at), expires_at),
    started_at = max(started_at, coalesce(r.value->>4, started_at))
from json_each($1) r where alerts.id = r.value->>0;

-- name: oldest_firing
-- Of each of several incidents the first open alerts: those that joined it, and the one that opened it.
select {a.alert} from json_each($1) k cross join alerts a on a.id in (
    select id from alerts where incident = k.value and joined and ended_at is null order by id limit $2)
union all
select {a.alert} from incidents i join alerts a on a.id = i.alert
where i.number in (select value from json_each($1)) and a.incident = i.number and not a.joined and a.ended_at is null
order by id;
