-- The statements both databases understand: remembered values, API tokens, gauges, retention and signs of life.

-- name: tokens
-- All tokens, the revoked ones too.
select {token} from tokens order by created_at, id;

-- name: add_token
-- A new token.
insert into tokens ({token.given}) {token.values};

-- name: touch_token
-- When a token was used; never back, and nothing else of it.
update tokens set last_used_at = $2 where id = $1 and coalesce(last_used_at, 0) < $2;

-- name: save_token
-- A token as it is now.
insert into tokens ({token.given}) {token.values}
on conflict (id) do update set {token.changes};

-- name: open_incidents_counted
-- Open incidents by status and priority.
select status, priority, count(*) from incidents
where {live} and status in ('triggered', 'acknowledged', 'on_hold') group by status, priority;

-- name: gauges
-- Open alerts, timers that are overdue, calls under way, the oldest overdue timer.
select
    (select count(*) from alerts where ended_at is null),
    (select count(*) from incidents where {live} and due_at is not null and due_at <= $1)
        + (select count(*) from alerts where ended_at is null and expires_at is not null and expires_at <= $1),
    (select count(*) from attempts where state = 'open'),
    (select min(due_at) from incidents where {live} and due_at is not null and due_at <= $1);

-- name: meta
-- One remembered value.
select value from meta where name = $1;

-- name: set_meta
-- Remember a value.
insert into meta (name, value) {2.values} on conflict (name) do update set value = excluded.value;

-- name: add_meta
-- Remember a value, unless there is one of that name.
insert into meta (name, value) {2.values} on conflict (name) do nothing;

-- name: swap_meta
-- Another value in the place of one that is known; nothing where somebody was faster.
update meta set value = $3 where name = $1 and value = $2 returning name;

-- name: prune_signed_out
-- Forget ended sessions that would be over by now.
delete from meta where name in (
    select name from meta where name like 'signed_out/%' and cast(value as bigint) < $1 limit $2) returning name;
