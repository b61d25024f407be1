-- Why each alert was grouped, dropped or suppressed; on which terms it ends; and the firings and changes that rules count.

alter table alerts add column because text not null default '';
alter table alerts add column terms text not null default '{}';
alter table alerts add column cleared_at integer;
alter table alerts add column settles_at integer;

create table tallies (
    tally text not null,
    at integer not null,
    alert integer not null,
    what text not null,
    primary key (tally, at, alert, what)
) without rowid;
