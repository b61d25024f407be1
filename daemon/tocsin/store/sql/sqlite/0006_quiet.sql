-- What keeps alerts quiet, and what was changed on purpose.

-- Firing alerts that are the source of an inhibition: read at start, and by every replica.
create table inhibitors (
    alert integer primary key
);

-- Incidents that have to do with each other: a child and its parent that is down.
create table related (
    incident integer not null,
    other integer not null,
    kind text not null,
    at integer not null,
    primary key (incident, other, kind)
) without rowid;

-- Beginnings and ends of maintenance windows that were told: once, by one replica.
create table windows_told (
    name text not null,
    starts_at integer not null,
    phase text not null,
    primary key (name, starts_at, phase)
) without rowid;

create table changes (
    integration text not null,
    source_key text not null,
    at integer not null,
    service text not null,
    title text not null,
    description text not null,
    source text not null,
    labels text not null,
    links text not null,
    id integer primary key
);
create unique index changes_identity on changes (integration, source_key);
create index changes_at on changes (at, id);

-- Muted incidents, which follow at once when what mutes them ends.
create index incidents_muted on incidents (number) where muted_by is not null;
