-- What only PostgreSQL says this way: remembered values, API tokens, gauges, retention and signs of life.

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
-- What is due, as the timers and the channels ask for it; but no row of it is locked, or the timers would pass it over
-- for as long as this transaction takes.
with claimable as (select number from incidents where false for update skip locked)
select number from incidents where {live} and due_at <= $1 order by due_at limit 1;

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
