-- Heartbeats that are awaited, storms of new incidents, and why a page is late.

create table heartbeats (
    name text primary key,
    expects text not null,
    due_at integer not null,
    last_at integer,
    last_by text not null,
    silent_since integer,
    told integer not null
) without rowid;

create table storms (
    scope text primary key,
    recent text not null,
    incident integer,
    since integer,
    collected integer not null,
    names text not null,
    touched_at integer not null
) without rowid;

alter table incidents add column storm integer;
create index incidents_storm on incidents (storm, number) where storm is not null;

alter table pages add column delayed text not null default '';
