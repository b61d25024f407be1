-- Whom an incident pages: what it keeps quiet waits only while somebody is on it.

alter table incidents add column paged text not null default '';

update incidents set paged = coalesce((select string_agg(distinct p."user", ' ') from pages p
    where p.incident = incidents.number and p.cycle = incidents.cycle and p.kind = 'page' and p.rule > 0 and p.step > 0
        and p."user" <> '' and p.status in ('planned', 'calling', 'waiting', 'done', 'bundled')), '')
where status = 'triggered' and muted_by is null and not (due_kind = 'again' and exists (
    select 1 from pages p where p.incident = incidents.number and p.cycle = incidents.cycle and p.kind = 'page'
        and p.step = 0 and p.round = incidents.round - 1));
