-- The statements both databases understand: what was received, answered and sent since a time.

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
