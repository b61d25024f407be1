-- The statements both databases understand: incidents, their group keys, timelines, relations and frozen policies.

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

-- name: add_entries
-- Lines of the timeline, numbered by the database.
insert into timeline ({entry.given}) {entry.values};

-- name: timeline
-- An incident's lines after a given one, oldest first.
select {entry} from timeline where incident = $1 and id > $2 order by id limit $3;

-- name: add_policy_version
-- What a policy said when somebody was paged by it; the hash names the text, so the first one stays.
insert into policy_versions (hash, name, body) {3.values}
on conflict (hash) do nothing;

-- name: policy_version
-- The frozen text behind a hash.
select body from policy_versions where hash = $1;

-- name: add_related
-- Incidents that have to do with each other.
insert into related (incident, other, kind, at) {4.values} on conflict (incident, other, kind) do nothing;

-- name: related
-- What has to do with an incident, in the order it was found.
select incident, other, kind, at from related where incident = $1 order by at, other limit $2;

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

-- name: incidents_in_order
-- A slice of incidents by age.
select number, created_at, updated_at, status, due_at from incidents where number > $1 order by number limit $2;

-- name: prune_incidents
-- Forget these incidents; the newest of all stays.
delete from incidents where number = any($1::bigint[]) and number < (select max(number) from incidents)
returning number;

-- name: prune_timeline
-- Forget the timelines of these incidents.
delete from timeline where incident = any($1::bigint[]);

-- name: prune_incident_keys
-- Forget the group keys of these incidents.
delete from incident_keys where incident = any($1::bigint[]);

-- name: prune_related
-- Forget what had to do with these incidents.
delete from related where incident = any($1::bigint[]);
