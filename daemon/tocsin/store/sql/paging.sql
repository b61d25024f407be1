-- The statements both databases understand: pages and the attempts to send them.

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

-- name: page_keys
-- Which of these keys a page has.
select key from pages where key = any($1::text[]);

-- name: add_pages
-- Planned pages; one whose key exists already is left as it is.
insert into pages ({page.given}) {page.values}
on conflict (key) do nothing;

-- name: save_pages
-- Pages as they are now.
insert into pages ({page.given}) {page.values}
on conflict (id) do update set {page.changes};

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

-- name: prune_attempts
-- Forget the calls made for these incidents.
delete from attempts where page in (select id from pages where incident = any($1::bigint[]));

-- name: prune_pages
-- Forget the pages of these incidents.
delete from pages where incident = any($1::bigint[]);

-- name: prune_unpaged_attempts
-- Forget the calls of old pages that belong to no incident: notices, tests, codes.
delete from attempts where page in (
    select id from pages where incident is null and created_at < $1 order by id limit $2) returning id;

-- name: prune_unpaged
-- Forget such pages themselves, when their calls are gone.
delete from pages where id in (
    select id from pages where incident is null and created_at < $1 order by id limit $2) returning id;
