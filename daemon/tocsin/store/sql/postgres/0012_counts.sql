-- What the firing alerts of a grouped incident are like, counted in its row: no event reads them all again.

alter table incidents add column counts text not null default '{}';
create index alerts_firing on alerts (incident, id) where joined and ended_at is null;

update incidents set counts = (
    select json_build_object(
        'critical', count(*) filter (where a.severity = 'critical'), 'error', count(*) filter (where a.severity = 'error'),
        'warning', count(*) filter (where a.severity = 'warning'), 'info', count(*) filter (where a.severity = 'info'),
        'ruled', count(*) filter (where a.written like '%"impact"%' or a.written like '%"urgency"%' or a.written like '%"priority"%'),
        'acked', count(*) filter (where a.acknowledged_at is not null))::text
    from (
        select severity, written, acknowledged_at from alerts
        where incident = incidents.number and joined and ended_at is null
        union all
        select severity, written, acknowledged_at from alerts
        where id = incidents.alert and incident = incidents.number and not joined and ended_at is null
    ) as a
)
where grouped and status in ('triggered', 'acknowledged', 'on_hold');
