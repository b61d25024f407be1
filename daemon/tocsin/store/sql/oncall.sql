-- The statements both databases understand: overrides, swaps and feeds.

-- name: feeds
-- The last good copy of every feed.
select {feed} from feeds order by schedule;

-- name: save_feed
-- A feed as it is now; the copy before is replaced.
insert into feeds ({feed.given}) {feed.values}
on conflict (schedule) do update set {feed.changes};

-- name: touch_feed
-- How the last try went.
update feeds set fetched_at = $2::bigint, error = $3::text, since = $4::bigint where schedule = $1::text;

-- name: overrides
-- Overrides that end after an instant, those taken back too, in the order they were made; of all schedules or one.
select {override} from overrides where ends_at > $1 and ($2::text is null or schedule = $2::text) order by created_at, id;

-- name: overrides_made
-- Overrides behind a given one in the order they were made; of all schedules or one, all or those that count still.
select {override} from overrides
where (created_at, id) > ($1::bigint, $2::text) and ($3::text is null or schedule = $3::text)
  and ($4::bigint is null or (ends_at > $4::bigint and removed_at is null))
order by created_at, id limit $5;

-- name: override
-- One override, locked.
select {override} from overrides where id = $1 for update;

-- name: add_override
-- An override; the one with the same id is replaced.
insert into overrides ({override.given}) {override.values}
on conflict (id) do update set {override.changes};

-- name: swaps
-- Swaps with a shift that ends after an instant, in the order they were asked for.
select {swap} from swaps where ends_at > $1 or back_to > $1 order by created_at, id;

-- name: swaps_made
-- Swaps behind a given one in the order they were asked for; of one schedule and person where given; all, or those that
-- wait for an answer before their first shift begins and those accepted with a shift that is not over.
select {swap} from swaps
where (created_at, id) > ($1::bigint, $2::text) and ($3::text is null or schedule = $3::text)
  and ($4::text is null or asker = $4::text or asked = $4::text)
  and ($5::bigint is null
       or (status = 'accepted' and (ends_at > $5::bigint or back_to > $5::bigint))
       or (status = 'asked' and starts_at > $5::bigint and (back_from is null or back_from > $5::bigint)))
order by created_at, id limit $6;

-- name: swap
-- One swap, locked.
select {swap} from swaps where id = $1 for update;

-- name: add_swap
-- A swap; the one with the same id is replaced.
insert into swaps ({swap.given}) {swap.values}
on conflict (id) do update set {swap.changes};

-- name: shift_overrides
-- Overrides made at run time keep to civil time after a step of the clock.
update overrides set starts_at = starts_at + $1::bigint, ends_at = ends_at + $1::bigint where ends_at > $2::bigint;

-- name: shift_swaps
-- What was asked to be swapped keeps to civil time after a step of the clock.
update swaps set starts_at = starts_at + $1::bigint, ends_at = ends_at + $1::bigint,
    back_from = back_from + $1::bigint, back_to = back_to + $1::bigint where ends_at > $2::bigint;

-- name: prune_overrides
-- Forget overrides that ended long ago.
delete from overrides where id in (select id from overrides where ends_at < $1 limit $2) returning id;

-- name: prune_swaps
-- Forget swaps whose shifts ended long ago.
delete from swaps where id in (
    select id from swaps where ends_at < $1 and coalesce(back_to, 0) < $1 limit $2) returning id;
