-- Heartbeats that are awaited, storms of new incidents, and why a page is late.

create table heartbeats (
    name text primary key,
    expects text not null,
    due_at bigint not null,
    last_at bigint,
    last_by text not null,
    silent_since bigint,
    told boolean not null
);

create table storms (
    scope text primary key,
    recent text not null,
    incident bigint,
    since bigint,
    collected bigint not null,
    names text not null,
    touched_at bigint not null
);

alter table incidents add column storm bigint;
create index incidents_storm on incidents (storm, number) where storm is not null;

alter table pages add column delayed text not null default '';
