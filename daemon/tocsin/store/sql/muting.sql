-- The statements both databases understand: silences, sources of inhibitions, parents that are down, and windows that were told.

-- name: active_silences
-- Silences in force at an instant.
select {silence} from silences where ends_at > $1 and starts_at <= $1 order by starts_at, id limit $2;

-- name: list_silences
-- All silences, the one that ends last first.
select {silence} from silences order by ends_at desc, id limit $1;

-- name: silences_made
-- Silences behind a given one, the newest first; those that have not ended at an instant, or all.
select {silence} from silences
where (created_at, id) < ($1::bigint, $2::text) and ($3::bigint is null or ends_at > $3::bigint)
order by created_at desc, id desc limit $4;

-- name: silences_by_end
-- Silences behind a given one, by when they end.
select {silence} from silences where (ends_at, id) > ($1::bigint, $2::text) order by ends_at, id limit $3;

-- name: silences_ended
-- Silences that have ended by an instant, the last one first.
select {silence} from silences where ends_at <= $1 order by ends_at desc, id desc limit $2;

-- name: silence
-- One silence.
select {silence} from silences where id = $1;

-- name: add_silence
-- A silence; the one with the same id is replaced.
insert into silences ({silence.given}) {silence.values}
on conflict (id) do update set {silence.changes};

-- name: inhibitors
-- Firing alerts that are the source of an inhibition.
select {alert} from alerts where id in (select alert from inhibitors) and ended_at is null order by id;

-- name: add_inhibitors
-- Alerts that became the source of an inhibition.
insert into inhibitors (alert) {1.values} on conflict (alert) do nothing;

-- name: down
-- Open incidents of the highest two priorities of some services.
select {incident} from incidents
where {live} and priority in ('P1', 'P2') and status in ('triggered', 'acknowledged', 'on_hold')
  and service = any($1::text[])
order by number;

-- name: open_of
-- Those of these incidents that are open.
select {incident} from incidents
where number = any($1::bigint[]) and status in ('triggered', 'acknowledged', 'on_hold')
order by number;

-- name: waiting_for
-- The services whose open incidents are muted by this.
select distinct service from incidents
where muted_by = $1 and status = 'triggered' and service <> ''
order by service limit $2;

-- name: begin_window
-- Who tells of this? The first who asks.
insert into windows_told (name, starts_at, phase) values ($1, $2, $3) on conflict do nothing returning name;

-- name: shift_silences
-- Silences that are not over keep to civil time after a step of the clock; one that has begun goes on, whatever the step.
update silences set starts_at = case when starts_at > $2::bigint then starts_at + $1::bigint else starts_at end,
    ends_at = ends_at + $1::bigint where ends_at > $2::bigint;

-- name: prune_silences
-- Forget silences that ended long ago.
delete from silences where id in (select id from silences where ends_at < $1 limit $2) returning id;

-- name: prune_inhibitors
-- Forget sources that fire no more.
delete from inhibitors where alert in (
    select h.alert from inhibitors h left join alerts a on a.id = h.alert and a.ended_at is null
    where $1::bigint is not null and a.id is null limit $2
) returning alert;

-- name: prune_windows
-- Forget windows that were long ago.
delete from windows_told where (name, starts_at, phase) in (
    select name, starts_at, phase from windows_told where starts_at < $1 limit $2) returning name;
