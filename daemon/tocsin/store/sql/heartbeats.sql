-- The statements both databases understand: heartbeats.

-- name: beats
-- All heartbeats, held.
select {beat} from heartbeats order by name for update;

-- name: list_beats
-- All heartbeats, not held.
select {beat} from heartbeats order by name;

-- name: save_beat
-- How it stands with a heartbeat now.
insert into heartbeats ({beat.given}) {beat.values}
on conflict (name) do update set {beat.changes};

-- name: forget_beat
-- A heartbeat that is configured no more.
delete from heartbeats where name = $1;

-- name: shift_beats
-- Heartbeats that are awaited by a crontab keep to civil time after a step of the clock. What would be over by the step is left a minute, for a second look.
update heartbeats set due_at = case when due_at + $1::bigint > $2::bigint then due_at + $1::bigint else $2::bigint + 60000 end
where expects like 'at %';
