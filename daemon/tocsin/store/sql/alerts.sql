-- The statements both databases understand: received alerts, the ends of their identities, the posts that brought them, and changes.

-- name: due_alerts
-- Firing alerts that should have been heard of again by now, the longest overdue first.
select {alert} from alerts
where ended_at is null and expires_at is not null and expires_at <= $1
order by expires_at, id limit $2
for update skip locked;

-- name: waiting_alerts
-- Alerts that came right behind their end and whose wait is over, the longest overdue first. Not locked.
select {alert} from alerts where waits_until is not null and waits_until <= $1 order by waits_until, id limit $2;

-- name: next_waiting
-- When the next of these waits is over.
select min(waits_until) from alerts where waits_until is not null;

-- name: firing_alerts
-- The open alerts of one incident: those that joined it, and the one that opened it.
select {alert} from alerts where incident = $1 and joined and ended_at is null
union all
select {a.alert} from incidents i join alerts a on a.id = i.alert
where i.number = $1 and a.incident = $1 and not a.joined and a.ended_at is null
order by id;

-- name: incident_alerts
-- All alerts of one incident after a given one, in the order they came.
select {alert} from alerts where incident = $1 and joined and id > $2
union all
select {a.alert} from incidents i join alerts a on a.id = i.alert
where i.number = $1 and a.incident = $1 and not a.joined and a.id > $2
order by id limit $3;

-- name: alerts
-- Received alerts, newest first, of one integration or status where one is given.
select {alert} from alerts
where id < $1 and ($2::text is null or integration = $2::text) and ($3::text is null or status = $3::text)
order by id desc limit $4;

-- name: firing_now
-- The same of the firing ones alone, found through the open alerts instead of through all there ever were.
select {alert} from alerts
where id in (select id from alerts where ended_at is null and ($2::text is null or integration = $2::text))
  and id < $1 and status = 'firing'
order by id desc limit $3;

-- name: one_open_alert
-- The firing alert of an identity, not locked.
select {alert} from alerts where integration = $1 and source_key = $2 and ended_at is null;

-- name: alerts_by_id
-- Alerts by id, locked in ascending order.
select {alert} from alerts where id = any($1::bigint[]) order by id for update;

-- name: alerts_seen
-- Alerts by id, not locked.
select {alert} from alerts where id = any($1::bigint[]) order by id;

-- name: open_keys
-- Identity, content and incident of every firing alert, in slices by identity.
select integration, source_key, id, content, incident from alerts
where ended_at is null and (integration, source_key) > ($1, $2)
order by integration, source_key limit $3;

-- name: open_slice
-- The open alerts behind an identity, whole.
select {alert} from alerts where ended_at is null and (integration, source_key) > ($1, $2)
order by integration, source_key limit $3;

-- name: firing_in
-- A slice of the firing alerts of several incidents, the newest incident first, behind one alert of one of them (0, 0: from the start).
select {alert} from (
    select {a.alert} from unnest($1::bigint[]) as k(value)
    join alerts a on a.incident = k.value and a.joined and a.ended_at is null
    union all
    select {a.alert} from incidents i join alerts a on a.id = i.alert
    where i.number = any($1::bigint[]) and a.incident = i.number and not a.joined and a.ended_at is null
) as found
where status = 'firing' and ($2::bigint = 0 or incident < $2 or (incident = $2 and id > $3))
order by incident desc, id limit $4;

-- name: firing_of
-- The open alerts of several incidents.
select {a.alert} from unnest($1::bigint[]) as k(value)
join alerts a on a.incident = k.value and a.joined and a.ended_at is null
union all
select {a.alert} from incidents i join alerts a on a.id = i.alert
where i.number = any($1::bigint[]) and a.incident = i.number and not a.joined and a.ended_at is null
order by id;

-- name: add_alerts
-- New alerts; a second open one of the same identity is refused.
insert into alerts ({alert.given}) {alert.values};

-- name: save_alerts
-- Alerts as they are now; identity and arrival never change.
insert into alerts ({alert.given}) {alert.values}
on conflict (id) do update set {alert.changes};

-- name: live_tombstones
-- Ends of identities, as long as they hold.
select {tombstone} from tombstones where until > $1;

-- name: one_tombstone
-- The end of one identity, whether it holds or not.
select {tombstone} from tombstones where integration = $1 and source_key = $2;

-- name: save_tombstones
-- Ends of identities; the newest counts.
insert into tombstones ({tombstone.given}) {tombstone.values}
on conflict (integration, source_key) do update set {tombstone.changes};

-- name: minted
-- The key given to the same bytes a moment ago.
select key from minted where integration = $1 and body_hash = $2 and until > $3;

-- name: add_minted
-- Remember which key these bytes were given.
insert into minted (integration, body_hash, key, until) {4.values}
on conflict (integration, body_hash) do update set key = excluded.key, until = excluded.until;

-- name: repeated_posts
-- Posts after a given one in which something known was only repeated.
select {post} from posts where id > $1 and repeats > 0 order by id limit $2;

-- name: post_from
-- The first post from an id on, and when it was received.
select id, received_at from posts where id >= $1 order by id limit 1;

-- name: newest_post
-- The highest id of a post.
select coalesce(max(id), 0) from posts;

-- name: posts_between
-- Bodies by arrival after a given id, in order: what other rules would have made of them.
select {post} from posts where id > $1 and received_at >= $2 and received_at < $3 order by id limit $4;

-- name: add_posts
-- Accepted bodies.
insert into posts ({post.given}) {post.values};

-- name: add_changes
-- What was changed; the same change again is passed over.
insert into changes ({change.given}) {change.values} on conflict (integration, source_key) do nothing;

-- name: changes
-- Changes of a window of time, of one service where one is given, newest first.
select {change} from changes
where at >= $1 and at <= $2 and ($3::text is null or service = $3::text)
order by at desc, id desc limit $4;

-- name: alerts_in_order
-- A slice of alerts by age of arrival: what may be pruned is read off it.
select id, received_at, ended_at from alerts where id > $1 order by id limit $2;

-- name: posts_in_order
-- A slice of bodies by age.
select id, received_at from posts where id > $1 order by id limit $2;

-- name: prune_alerts
-- Forget these alerts; the newest of all stays.
delete from alerts where id = any($1::bigint[]) and id < (select max(id) from alerts) returning id;

-- name: prune_posts
-- Forget these bodies; the newest of all stays.
delete from posts where id = any($1::bigint[]) and id < (select max(id) from posts) returning id;

-- name: prune_tombstones
-- Forget tombstones whose time is over.
delete from tombstones where (integration, source_key) in (
    select integration, source_key from tombstones where until < $1 limit $2) returning source_key;

-- name: prune_minted
-- Forget minted keys whose time is over.
delete from minted where (integration, body_hash) in (
    select integration, body_hash from minted where until < $1 limit $2) returning key;

-- name: prune_changes
-- Forget old changes.
delete from changes where id in (select id from changes where at < $1 order by at limit $2) returning id;
