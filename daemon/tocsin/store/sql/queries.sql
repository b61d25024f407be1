-- The statements both databases understand; sqlite.sql and postgres.sql hold the others.

-- ---------------------------------------------------------------- alerts

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

-- name: add_tallies
-- Firings and changes that rules count.
insert into tallies (tally, at, alert, what) {4.values} on conflict (tally, at, alert, what) do nothing;

-- name: counted
-- How many different ones are counted under a name after an instant.
select count(distinct what) from tallies where tally = $1 and at > $2;

-- name: prune_tallies
-- Forget what no window reaches any more.
delete from tallies where (tally, at, alert, what) in (
    select tally, at, alert, what from tallies where at < $1 limit $2) returning at;

-- name: open_keys
-- Identity, content and incident of every firing alert, in slices by identity.
select integration, source_key, id, content, incident from alerts
where ended_at is null and (integration, source_key) > ($1, $2)
order by integration, source_key limit $3;

-- name: open_slice
-- The open alerts behind an identity, whole.
select {alert} from alerts where ended_at is null and (integration, source_key) > ($1, $2)
order by integration, source_key limit $3;

-- name: add_alerts
-- New alerts; a second open one of the same identity is refused.
insert into alerts ({alert.given}) {alert.values};

-- name: save_alerts
-- Alerts as they are now; identity and arrival never change.
insert into alerts ({alert.given}) {alert.values}
on conflict (id) do update set {alert.changes};

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

-- ------------------------------------------------------------- incidents

-- name: incidents
-- Incidents by number, locked in ascending order so that two writers never wait for each other.
select {incident} from incidents where number = any($1::bigint[]) order by number for update;

-- name: incidents_seen
-- The same, not locked.
select {incident} from incidents where number = any($1::bigint[]) order by number;

-- name: latest_by_key
-- The newest incident of each key: the one that holds the group key, or the newest that has ended.
select k.value, {i.incident} from unnest($1::text[]) as k(value)
join incidents i on i.number = (
    select max(newest.number) from (
        select max(e.number) as number from incidents e
        where e.key = k.value and e.status in ('resolved', 'closed', 'canceled')
        union all
        select incident as number from incident_keys where key = k.value
    ) as newest
)
order by i.number for update of i;

-- name: newest_of_key
-- The same for one key, not locked.
select {incident} from incidents where number = (
    select max(newest.number) from (
        select max(e.number) as number from incidents e
        where e.key = $1 and e.status in ('resolved', 'closed', 'canceled')
        union all
        select incident as number from incident_keys where key = $1
    ) as newest
);

-- name: one_incident
-- One incident, not locked.
select {incident} from incidents where number = $1;

-- name: one_before
-- The newest incident of the same key that ended before this one was opened.
select max(e.number) from incidents e join incidents i on i.number = $1
where e.key = i.key and e.number < i.number and e.status in ('resolved', 'closed', 'canceled');

-- name: live_tombstones
-- Ends of identities, as long as they hold.
select {tombstone} from tombstones where until > $1;

-- name: one_tombstone
-- The end of one identity, whether it holds or not.
select {tombstone} from tombstones where integration = $1 and source_key = $2;

-- name: list_incidents
-- Incidents below a number, newest first.
select {incident} from incidents
where number < $1
  and ($2::text is null or service = $2::text)
  and ($3::text is null or lower(title) like $3::text escape '!' or lower(key) like $3::text escape '!'
       or cast(number as text) = $4::text)
  and ($5::text is null or status = any($6::text[]))
order by number desc limit $7;

-- name: list_open_incidents
-- The same where only open ones are asked for: found through those that still wait for something.
select {incident} from incidents
where number in (
    select number from incidents where {live} and status in ('triggered', 'acknowledged', 'on_hold'))
  and number < $1
  and ($2::text is null or service = $2::text)
  and ($3::text is null or lower(title) like $3::text escape '!' or lower(key) like $3::text escape '!'
       or cast(number as text) = $4::text)
  and ($5::text is null or status = any($6::text[]))
order by number desc limit $7;

-- name: list_urgent_incidents
-- Open incidents behind a given one, by priority, then the unanswered ones, then the newest.
select {incident} from incidents
where {live}
  and (priority, case when status = 'triggered' then 0 else 1 end, -number) > ($1::text, $2::bigint, $3::bigint)
  and ($4::text is null or service = $4::text)
  and ($5::text is null or lower(title) like $5::text escape '!' or lower(key) like $5::text escape '!'
       or cast(number as text) = $6::text)
  and status = any($7::text[])
order by priority, case when status = 'triggered' then 0 else 1 end, number desc limit $8;

-- name: add_incidents
-- New incidents.
insert into incidents ({incident.given}) {incident.values};

-- name: save_incidents
-- Incidents as they are now.
insert into incidents ({incident.given}) {incident.values}
on conflict (number) do update set {incident.changes};

-- name: add_incident_keys
-- Whose a group key is; the newest claim holds.
insert into incident_keys (key, incident, joins_until) {3.values}
on conflict (key) do update set incident = excluded.incident, joins_until = excluded.joins_until;

-- name: add_policy_version
-- What a policy said when somebody was paged by it; the hash names the text, so the first one stays.
insert into policy_versions (hash, name, body) {3.values}
on conflict (hash) do nothing;

-- name: policy_version
-- The frozen text behind a hash.
select body from policy_versions where hash = $1;

-- ----------------------------------------------------------------- pages

-- name: pages
-- Pages by id, locked.
select {page} from pages where id = any($1::text[]) order by id for update;

-- name: late_pages
-- What waits for a slot of a person on a channel and was put off before, the most urgent first. Not locked. Pages have
-- ranks below 70; behind them thousands of updates may wait for their slots, and are not looked through.
select {page} from pages
where status = 'planned' and channel = $1 and "user" = $2 and kind = 'page' and rank < 70 and due_at <= $3 and delayed <> ''
order by rank, due_at, id limit $4;

-- name: late_pages_counted
-- How many these are.
select count(*) from pages
where status = 'planned' and channel = $1 and "user" = $2 and kind = 'page' and rank < 70 and due_at <= $3 and delayed <> '';

-- name: tell_put_off
-- A line for each page of a person that is due, finds no room and was not put off before; but for some ranks.
insert into timeline (incident, at, kind, actor, via, because, channel, detail)
select incident, $3::bigint, 'page_throttled', 'tocsin', 'pager', $4::text, channel, $5::text from pages
where status = 'planned' and channel = $1 and "user" = $2 and kind = 'page' and rank < 70 and not (rank = any($6::bigint[]))
  and due_at <= $3::bigint and updated_at is null and incident is not null
returning incident;

-- name: put_off
-- These pages wait for a later instant, and say why.
update pages set due_at = $4::bigint, updated_at = coalesce(updated_at, $3::bigint),
    delayed = case when delayed = '' then $5::text else delayed end
where status = 'planned' and channel = $1 and "user" = $2 and kind = 'page' and rank < 70 and not (rank = any($6::bigint[]))
  and due_at <= $3::bigint;

-- name: planned_channels
-- The channels that planned pages wait for; the index is skipped through, whatever waits there.
with recursive known(channel) as (
    select min(channel) from pages where status = 'planned'
    union all
    select (select min(p.channel) from pages p where p.status = 'planned' and p.channel > known.channel)
    from known where known.channel is not null
)
select channel from known where channel is not null;

-- name: pages_of
-- All pages of an incident, or of one of its cycles, as they were planned.
select {page} from pages where incident = $1 and ($2::bigint is null or cycle = $2::bigint)
order by created_at, due_at, key for update;

-- name: unsent_pages
-- What an answer must stop: pages not yet sent, or waiting to be sent once more.
select {page} from pages
where incident = any($1::bigint[]) and kind = 'page' and status in ('planned', 'waiting')
order by id for update;

-- name: one_page
-- One page, not locked.
select {page} from pages where id = $1;

-- name: pages_with_attempts
-- The attempts of these pages, which are read beside them.
select {attempt} from attempts where page = any($1::text[]) order by number, id;

-- name: summaries
-- Which of an incident's attempts are messages that named others too: the one that was sent, or what travelled in it.
select distinct a.id from pages p join attempts a on a.page = p.id
join attempts o on o.address = a.address and o.started_at = a.started_at
where p.incident = $1 and o.incident <> a.incident
  and case o.state when 'bundled' then o.ref else o.id end = case a.state when 'bundled' then a.ref else a.id end;

-- name: list_pages
-- An incident's pages behind so many, not locked.
select {page} from pages where incident = $1 order by created_at, due_at, key limit $2 offset $3;

-- name: add_pages
-- Planned pages; one whose key exists already is left as it is.
insert into pages ({page.given}) {page.values}
on conflict (key) do nothing;

-- name: save_pages
-- Pages as they are now.
insert into pages ({page.given}) {page.values}
on conflict (id) do update set {page.changes};

-- -------------------------------------------------------------- attempts

-- name: attempt
-- One attempt, locked.
select {attempt} from attempts where id = $1 for update;

-- name: one_attempt
-- One attempt, not locked.
select {attempt} from attempts where id = $1;

-- name: attempts
-- Several attempts, held.
select {attempt} from attempts where id = any($1::text[]) order by id for update;

-- name: attempts_of
-- All attempts of a page in order.
select {attempt} from attempts where page = $1 order by number, id for update;

-- name: list_attempts_of
-- The same, without a lock.
select {attempt} from attempts where page = $1 order by number, id;

-- name: open_intents
-- Calls that were begun and have no outcome, as ids with owners and times, the oldest first; not held.
select id, owner, started_at from attempts where state = 'open' order by started_at, id limit $1;

-- name: unconfirmed
-- Unknown calls whose time for a confirmation is over and whose page still waits for it.
select {a.attempt} from attempts a join pages p on p.id = a.page
where a.state = 'unknown' and a.confirm_by is not null and a.confirm_by <= $1 and p.status = 'waiting'
order by a.confirm_by, a.id limit $2 for update of a skip locked;

-- name: carried_by
-- What travelled in the same summary as an attempt: begun at the same instant, to the same address.
select {attempt} from attempts
where address = $1 and started_at = $2 and state = 'bundled' and ref = $3
order by id;

-- name: sent_since
-- When a person was reached for over a channel and by which kind of page, surely unsent ones left out.
select a.started_at, p.kind from attempts a join pages p on p.id = a.page
where a.channel = $2 and a.started_at >= $3 and a.state not in ('cancelled', 'failed', 'bundled') and p."user" = $1
order by a.started_at;

-- name: sent_lately
-- Who was paged over a channel, and when, what is no page and surely unsent ones left out; the newest first.
select p."user", a.started_at from attempts a join pages p on p.id = a.page
where a.channel = $1 and a.started_at >= $2 and a.state not in ('cancelled', 'failed', 'bundled')
  and p.kind in ('page', 'summary')
order by a.started_at desc limit $3;

-- name: pages_to
-- What went to an address, newest first.
select {p.page}, {a.attempt} from attempts a join pages p on p.id = a.page
where a.address = $1 and a.started_at >= $2 and a.state not in ('cancelled', 'failed')
order by a.started_at desc, a.incident desc, a.id desc;

-- name: add_attempts
-- Intents.
insert into attempts ({attempt.given}) {attempt.values};

-- name: save_attempts
-- Attempts as they are now.
insert into attempts ({attempt.given}) {attempt.values}
on conflict (id) do update set {attempt.changes};

-- name: contact_state
-- What was learnt about an address.
select {contact_state} from contacts_state where channel_kind = $1 and address = $2;

-- name: save_contact_state
-- The newest knowledge about an address.
insert into contacts_state ({contact_state.given}) {contact_state.values}
on conflict (channel_kind, address) do update set {contact_state.changes};

-- name: contact_states
-- What was learnt about every address.
select {contact_state} from contacts_state order by channel_kind, address;

-- name: verification
-- Whether a person's address was proven, and the code under way.
select {verification} from contacts_verified where "user" = $1 and channel_kind = $2 and address = $3 for update;

-- name: verifications
-- The same of every person and address.
select {verification} from contacts_verified order by "user", channel_kind, address;

-- name: save_verification
-- How it stands with an address now.
insert into contacts_verified ({verification.given}) {verification.values}
on conflict ("user", channel_kind, address) do update set {verification.changes};

-- name: page_keys
-- Which of these keys a page has.
select key from pages where key = any($1::text[]);

-- -------------------------------------------------------------- timeline

-- name: add_entries
-- Lines of the timeline, numbered by the database.
insert into timeline ({entry.given}) {entry.values};

-- name: timeline
-- An incident's lines after a given one, oldest first.
select {entry} from timeline where incident = $1 and id > $2 order by id limit $3;

-- -------------------------------------------------------------- silences

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

-- ----------------------------------------------------------------- feeds

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

-- ------------------------------------------------------ overrides, swaps

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

-- ------------------------------------------- inhibitions, parents, changes

-- name: inhibitors
-- Firing alerts that are the source of an inhibition.
select {alert} from alerts where id in (select alert from inhibitors) and ended_at is null order by id;

-- name: add_inhibitors
-- Alerts that became the source of an inhibition.
insert into inhibitors (alert) {1.values} on conflict (alert) do nothing;

-- name: prune_inhibitors
-- Forget sources that fire no more.
delete from inhibitors where alert in (
    select h.alert from inhibitors h left join alerts a on a.id = h.alert and a.ended_at is null
    where $1::bigint is not null and a.id is null limit $2
) returning alert;

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

-- name: add_related
-- Incidents that have to do with each other.
insert into related (incident, other, kind, at) {4.values} on conflict (incident, other, kind) do nothing;

-- name: related
-- What has to do with an incident, in the order it was found.
select incident, other, kind, at from related where incident = $1 order by at, other limit $2;

-- name: prune_related
-- Forget what had to do with these incidents.
delete from related where incident = any($1::bigint[]);

-- name: begin_window
-- Who tells of this? The first who asks.
insert into windows_told (name, starts_at, phase) values ($1, $2, $3) on conflict do nothing returning name;

-- name: prune_windows
-- Forget windows that were long ago.
delete from windows_told where (name, starts_at, phase) in (
    select name, starts_at, phase from windows_told where starts_at < $1 limit $2) returning name;

-- name: add_changes
-- What was changed; the same change again is passed over.
insert into changes ({change.given}) {change.values} on conflict (integration, source_key) do nothing;

-- name: changes
-- Changes of a window of time, of one service where one is given, newest first.
select {change} from changes
where at >= $1 and at <= $2 and ($3::text is null or service = $3::text)
order by at desc, id desc limit $4;

-- name: prune_changes
-- Forget old changes.
delete from changes where id in (select id from changes where at < $1 order by at limit $2) returning id;

-- ---------------------------------------------------------------- tokens

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

-- --------------------------------------------------- what came in before

-- name: minted
-- The key given to the same bytes a moment ago.
select key from minted where integration = $1 and body_hash = $2 and until > $3;

-- name: add_minted
-- Remember which key these bytes were given.
insert into minted (integration, body_hash, key, until) {4.values}
on conflict (integration, body_hash) do update set key = excluded.key, until = excluded.until;

-- name: save_tombstones
-- Ends of identities; the newest counts.
insert into tombstones ({tombstone.given}) {tombstone.values}
on conflict (integration, source_key) do update set {tombstone.changes};

-- name: answers_to
-- What a provider's message was answered when it was delivered first.
select answer from inbound where door = $1 and message_id = $2;

-- name: add_answer
-- The answer to a provider's message; a second one is refused.
insert into inbound (door, message_id, address, answer, at) {5.values};

-- name: replies_since
-- How many messages to an address were automatic replies.
select count(*) from inbound where address = $1 and at >= $2 and answer <> '';

-- ---------------------------------------------------- heartbeats, storms

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

-- name: storms
-- The new incidents of these scopes lately, held in order of their names.
select {storm} from storms where scope = any($1::text[]) order by scope for update;

-- name: list_storms
-- The same of all scopes, not held.
select {storm} from storms order by scope;

-- name: storms_seen
-- The same of these scopes, not held.
select {storm} from storms where scope = any($1::text[]) order by scope;

-- name: save_storm
-- How it stands with a scope now.
insert into storms ({storm.given}) {storm.values}
on conflict (scope) do update set {storm.changes};

-- name: forget_storms
-- Scopes where nothing happened since an instant, and no storm is on.
delete from storms where incident is null and touched_at < $1;

-- name: taken_in
-- Incidents that a storm took in and that still wait for somebody, the most urgent first.
select {incident} from incidents
where storm = $1 and muted_by = $2 and status = 'triggered'
order by priority, number limit $3 for update;

-- name: wake_taken_in
-- What a storm took in by an instant falls due from another one on, the most urgent first, two in a millisecond.
update incidents set due_at = $4::bigint + woken.place / 2
from (
    select number as id, row_number() over (order by priority, number) - 1 as place from incidents
    where storm = $1 and muted_by = $2 and status = 'triggered' and created_at <= $3
) as woken
where incidents.number = woken.id;

-- name: members
-- The incidents a storm took in, in order.
select {incident} from incidents where storm = $1 and number > $2 order by number limit $3;

-- ---------------------------------------------------------------- timers

-- name: next_due
-- The earliest instant at which an incident's timer or an alert's expiry falls due.
select min(at) from (
    select min(due_at) as at from incidents where {live} and priority = 'P1' and due_at is not null
    union all select min(due_at) from incidents where {live} and priority = 'P2' and due_at is not null
    union all select min(due_at) from incidents where {live} and priority = 'P3' and due_at is not null
    union all select min(due_at) from incidents where {live} and priority = 'P4' and due_at is not null
    union all select min(due_at) from incidents where {live} and priority = 'P5' and due_at is not null
    union all select min(expires_at) from alerts where ended_at is null and expires_at is not null
) as sources;

-- name: next_confirmation
-- When the wait for a callback or a look-up of an unknown attempt ends.
select min(a.confirm_by) from attempts a join pages p on p.id = a.page
where a.state = 'unknown' and a.confirm_by is not null and p.status = 'waiting';

-- name: next_due_page
-- When this channel has something to send next; the ranks are few, so they are skipped through.
with recursive ranks(rank) as (
    select min(rank) from pages where status = 'planned' and channel = $1
    union all
    select (select min(p.rank) from pages p where p.status = 'planned' and p.channel = $1 and p.rank > ranks.rank)
    from ranks where ranks.rank is not null
)
select min((select min(p.due_at) from pages p
            where p.status = 'planned' and p.channel = $1 and p.rank = ranks.rank)) from ranks where ranks.rank < $2;

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

-- ------------------------------------------------------------------ meta

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

-- name: shift_silences
-- Silences that are not over keep to civil time after a step of the clock; one that has begun goes on, whatever the step.
update silences set starts_at = case when starts_at > $2::bigint then starts_at + $1::bigint else starts_at end,
    ends_at = ends_at + $1::bigint where ends_at > $2::bigint;

-- name: shift_overrides
-- The same of overrides made at run time.
update overrides set starts_at = starts_at + $1::bigint, ends_at = ends_at + $1::bigint where ends_at > $2::bigint;

-- name: shift_swaps
-- The same of what was asked to be swapped.
update swaps set starts_at = starts_at + $1::bigint, ends_at = ends_at + $1::bigint,
    back_from = back_from + $1::bigint, back_to = back_to + $1::bigint where ends_at > $2::bigint;

-- name: shift_beats
-- The same of heartbeats that are awaited by a crontab. What would be over by the step is left a minute, for a second look.
update heartbeats set due_at = case when due_at + $1::bigint > $2::bigint then due_at + $1::bigint else $2::bigint + 60000 end
where expects like 'at %';

-- ------------------------------------------------------------- retention

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

-- name: incidents_in_order
-- A slice of incidents by age.
select number, created_at, updated_at, status, due_at from incidents where number > $1 order by number limit $2;

-- name: prune_incidents
-- Forget these incidents; the newest of all stays.
delete from incidents where number = any($1::bigint[]) and number < (select max(number) from incidents)
returning number;

-- name: prune_attempts
-- Forget the calls made for these incidents.
delete from attempts where page in (select id from pages where incident = any($1::bigint[]));

-- name: prune_pages
-- Forget the pages of these incidents.
delete from pages where incident = any($1::bigint[]);

-- name: prune_timeline
-- Forget the timelines of these incidents.
delete from timeline where incident = any($1::bigint[]);

-- name: prune_incident_keys
-- Forget the group keys of these incidents.
delete from incident_keys where incident = any($1::bigint[]);

-- name: prune_tombstones
-- Forget tombstones whose time is over.
delete from tombstones where (integration, source_key) in (
    select integration, source_key from tombstones where until < $1 limit $2) returning source_key;

-- name: prune_minted
-- Forget minted keys whose time is over.
delete from minted where (integration, body_hash) in (
    select integration, body_hash from minted where until < $1 limit $2) returning key;

-- name: prune_unpaged_attempts
-- Forget the calls of old pages that belong to no incident: notices, tests, codes.
delete from attempts where page in (
    select id from pages where incident is null and created_at < $1 order by id limit $2) returning id;

-- name: prune_unpaged
-- Forget such pages themselves, when their calls are gone.
delete from pages where id in (
    select id from pages where incident is null and created_at < $1 order by id limit $2) returning id;

-- name: prune_signed_out
-- Forget ended sessions that would be over by now.
delete from meta where name in (
    select name from meta where name like 'signed_out/%' and cast(value as bigint) < $1 limit $2) returning name;

-- name: prune_inbound
-- Forget provider messages that no provider will deliver again.
delete from inbound where (door, message_id) in (
    select door, message_id from inbound where at < $1 limit $2) returning message_id;

-- name: prune_silences
-- Forget silences that ended long ago.
delete from silences where id in (select id from silences where ends_at < $1 limit $2) returning id;

-- name: prune_overrides
-- Forget overrides that ended long ago.
delete from overrides where id in (select id from overrides where ends_at < $1 limit $2) returning id;

-- name: prune_swaps
-- Forget swaps whose shifts ended long ago.
delete from swaps where id in (
    select id from swaps where ends_at < $1 and coalesce(back_to, 0) < $1 limit $2) returning id;

-- --------------------------------------------------------------- history

-- name: post_near
-- The first post at or after an id, and when it came: a time is found by halving.
select id, received_at from posts where id >= $1 order by id limit 1;

-- name: posts_after
-- Posts after a given one, in order.
select {post} from posts where id > $1 order by id limit $2;

-- name: entry_near
-- The same of the timelines' entries.
select id, at from timeline where id >= $1 order by id limit 1;

-- name: answers_after
-- What people did after a given entry; and when the first page of that cycle had gone out by then.
select t.id, t.incident, t.at, t.kind, t.actor, t.detail,
       (select min(a.started_at) from pages p join attempts a on a.page = p.id
        where p.incident = t.incident and p.kind = 'page' and a.started_at <= t.at
          and a.state in ('accepted', 'unknown', 'bundled')) as paged_at
from timeline t
where t.id > $1 and t.kind in ('acknowledged', 'snoozed', 'resolved', 'canceled') and t.actor like 'user:%'
order by t.id limit $2;

-- name: alerts_answered
-- Identities of the alerts of an incident that were open at a time, at most a hundred.
select integration, source_key from alerts
where incident = $1 and joined and received_at <= $2 and (ended_at is null or ended_at >= $2)
union
select a.integration, a.source_key from incidents i join alerts a on a.id = i.alert
where i.number = $1 and a.received_at <= $2 and (a.ended_at is null or a.ended_at >= $2)
order by 1, 2 limit 100;

-- name: alert_near
-- The same of alerts.
select id, received_at from alerts where id >= $1 order by id limit 1;

-- name: heard_after
-- Alerts after a given one, how often their incident paged, whether anybody acted on it, and whether it is open.
select a.id, a.labels,
       exists (select 1 from timeline t where t.incident = a.incident
               and (t.actor like 'user:%' or t.actor like 'integration:%' and t.kind = 'acknowledged')) as acted,
       exists (select 1 from incidents i where i.number = a.incident
               and i.status not in ('resolved', 'closed', 'canceled')) as still_open,
       a.integration, a.source_key, a.severity, a.title, a.service, a.status, a.incident, a.received_at, a.ended_at,
       a.count, (select count(*) from pages p where p.incident = a.incident and p.kind = 'page' and p.tries > 0) as pages
from alerts a
where a.id > $1 order by a.id limit $2;

-- name: pages_sent
-- Pages that went out, of incidents after a given one, those of one incident together.
select p.incident, a.started_at, p."user", p.target, p.channel, a.state
from pages p join attempts a on a.page = p.id
where p.kind = 'page' and a.state in ('accepted', 'unknown', 'bundled')
  and p.incident in (select distinct incident from pages
                     where incident > $1 and kind = 'page' and tries > 0 order by incident limit $2)
order by p.incident, a.started_at, p.key, a.number;

-- name: cases_after
-- Incidents after a given one, each with the key of the alert that opened it.
select i.number, i.key, i.title, i.service, i.severity, i.priority, i.status, i.integration, i.created_at, i.total,
       i.resolved_by, a.source_key
from incidents i left join alerts a on a.id = i.alert
where i.number > $1 order by i.number limit $2;

-- name: alerts_in_short
-- Every alert after a given one: who it is, and where it went.
select id, integration, source_key, received_at, incident, status from alerts where id > $1 order by id limit $2;
