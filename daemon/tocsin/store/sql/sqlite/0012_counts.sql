-- What the firing alerts of a grouped incident are like, counted in its row: no event reads them all again.

alter table incidents add column counts text not null default '{}';
create index alerts_firing on alerts (incident, id) where joined and ended_at is null;

update incidents set counts = (
    select json_object(
        'critical', coalesce(sum(a.severity = 'critical'), 0), 'error', coalesce(sum(a.severity = 'error'), 0),
        'warning', coalesce(sum(a.severity = 'warning'), 0), 'info', coalesce(sum(a.severity = 'info'), 0),
        'ruled', coalesce(sum(a.written like '%"impact"%' or a.written like '%"urgency"%' or a.written like '%"priority"%'), 0),
        'acked', coalesce(sum(a.acknowledged_at is not null), 0))
    from (
        select severity, written, acknowledged_at from alerts
        where incident = incidents.number and joined and ended_at is null
        union all
        select severity, written, acknowledged_at from alerts
        where id = incidents.alert and incident = incidents.number and not joined and ended_at is null
    ) as a
)
where grouped and status in ('triggered', 'acknowledged', 'on_hold');
