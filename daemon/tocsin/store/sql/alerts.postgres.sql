-- What only PostgreSQL says this way: received alerts, the ends of their identities, the posts that brought them, and changes.

-- name: open_alerts
-- Firing alerts by (integration, source_key), locked in ascending order.
select {a.alert} from alerts a
join unnest($1::text[], $2::text[]) as k(integration, source_key)
  on a.integration = k.integration and a.source_key = k.source_key and a.ended_at is null
order by a.id for update of a;

-- name: tombstones
-- Tombstones of these identities that still hold.
select {t.tombstone} from unnest($1::text[], $2::text[]) as k(integration, source_key)
join tombstones t on t.integration = k.integration and t.source_key = k.source_key and t.until > $3;

-- name: flush_repeats
-- Add up pure repeats; a later last sight, a later start and a new end win.
update alerts set
    count = count + r.more,
    last_seen_at = greatest(last_seen_at, r.seen),
    expires_at = case when cleared_at is null then coalesce(r.expires, expires_at) else expires_at end,
    started_at = greatest(started_at, r.began)
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as r(id, more, seen, expires, began)
where alerts.id = r.id;

-- name: oldest_firing
-- Of each of several incidents the first open alerts: those that joined it, and the one that opened it.
select {a.alert} from unnest($1::bigint[]) as k(value) cross join lateral (
    select * from alerts where incident = k.value and joined and ended_at is null order by id limit $2
) as a
union all
select {a.alert} from incidents i join alerts a on a.id = i.alert
where i.number = any($1::bigint[]) and a.incident = i.number and not a.joined and a.ended_at is null
order by id;

-- name: lock_alerts
-- Hold these alerts, in ascending order.
select id from alerts where id = any($1::bigint[]) order by id for update;
