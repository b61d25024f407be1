-- What only PostgreSQL says this way.

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

-- name: tallied
-- What is counted under each name after an instant, oldest first.
select t.tally, t.at, t.alert, t.what from unnest($1::text[], $2::text[]) as k(tally, since)
join tallies t on t.tally = k.tally and t.at > k.since::bigint
order by t.tally, t.at, t.alert;

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

-- name: due_pages
-- Planned pages of a channel whose time has come: by rank, then age; of one instant the older incident first. Not locked: incidents are locked before their pages.
with recursive ranks(rank) as (
    select min(rank) from pages where status = 'planned' and channel = $1
    union all
    select (select min(p.rank) from pages p where p.status = 'planned' and p.channel = $1 and p.rank > ranks.rank)
    from ranks where ranks.rank is not null
)
select {p.page} from ranks
cross join lateral (
    select * from pages d
    where d.status = 'planned' and d.channel = $1 and d.rank = ranks.rank and d.due_at <= $2
    order by d.due_at, d.incident, d.id limit $3
) as p
order by p.rank, p.due_at, p.incident, p.id limit $3;

-- name: lock_alerts
-- Hold these alerts, in ascending order.
select id from alerts where id = any($1::bigint[]) order by id for update;

-- name: flush_repeats
-- Add up pure repeats; a later last sight, a later start and a new end win.
update alerts set
    count = count + r.more,
    last_seen_at = greatest(last_seen_at, r.seen),
    expires_at = case when cleared_at is null then coalesce(r.expires, expires_at) else expires_at end,
    started_at = greatest(started_at, r.began)
from unnest($1::bigint[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[]) as r(id, more, seen, expires, began)
where alerts.id = r.id;

-- name: take_numbers
-- The first of so many numbers in a row.
select take_numbers($1::text::regclass, $2::bigint);

-- name: lock_keys
-- Hold these keys until the end of the transaction; they come sorted.
select pg_advisory_xact_lock(7267246, key) from unnest($1::integer[]) as k(key);

-- name: hold
-- Hold this number for as long as the connection lives; a connection of before that is not dead yet is in nobody's way.
select pg_advisory_lock_shared(7267245, $1::integer);

-- name: still_here
-- A sign of life over the connection that holds a name.
select 1;

-- name: held
-- The numbers that living connections hold.
select objid::bigint from pg_locks
where locktype = 'advisory' and classid = 7267245 and objsubid = 2 and granted
    and database = (select oid from pg_database where datname = current_database());

-- name: exercise
-- What a post, an answer and a page write to, without a row: refused where any of it would be. The message makes the
-- commit write and sync the log like any other.
with posts_taken as (insert into posts select * from posts where false),
    alerts_taken as (insert into alerts select * from alerts where false),
    incidents_taken as (insert into incidents select * from incidents where false),
    incidents_moved as (update incidents set version = version where false),
    pages_planned as (insert into pages select * from pages where false),
    pages_moved as (update pages set status = status where false),
    attempts_begun as (insert into attempts select * from attempts where false),
    told as (insert into timeline select * from timeline where false)
select pg_logical_emit_message(true, 'tocsin', 'ready')::text;

-- name: exercise_claim
-- What is due, as the timers and the channels ask for it.
select number from incidents where {live} and due_at <= $1 order by due_at limit 1 for update skip locked;

-- name: this_transaction
-- Its number, where it has changed anything, and the timeline of the server that gave it.
select pg_current_xact_id_if_assigned()::text || '/' || left(pg_walfile_name(pg_current_wal_insert_lsn()), 8);

-- name: what_became_of
-- Whether a transaction was committed: "committed", "aborted", "in progress"; null when it is too long ago, or when this
-- server cannot know: another one, or one that took over and may have given the number again.
select case
    when left(pg_walfile_name(pg_current_wal_insert_lsn()), 8) = $2::text and system_identifier = $3::bigint
    then pg_xact_status($1::text::xid8)
end from pg_control_system();

-- name: which_server
-- What tells this server's data from those of every other one.
select system_identifier from pg_control_system();

-- name: database_now
-- The server's clock, which all replicas follow, and what they agreed on about it; the one place where SQL is asked for
-- the time.
select (extract(epoch from clock_timestamp()) * 1000)::bigint, (select value from meta where name = 'clock');

-- name: newest_number
-- The highest number that was given to an incident so far.
select greatest(case when is_called then last_value else 0 end, (select coalesce(max(number), 0) from incidents))
from incident_numbers;

-- name: oldest_firing
-- Of each of several incidents the first open alerts: those that joined it, and the one that opened it.
select {a.alert} from unnest($1::bigint[]) as k(value) cross join lateral (
    select * from alerts where incident = k.value and joined and ended_at is null order by id limit $2
) as a
union all
select {a.alert} from incidents i join alerts a on a.id = i.alert
where i.number = any($1::bigint[]) and a.incident = i.number and not a.joined and a.ended_at is null
order by id;

-- name: hold_storms
-- Whether these scopes are held now; scopes nothing is known of yet get a row to be held by. Nobody waits long for it.
select hold_storms($1::text[]);
