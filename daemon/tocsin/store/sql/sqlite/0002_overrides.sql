-- Overrides and swaps that people make at run time.

create table overrides (
    id text primary key,
    schedule text not null,
    users text not null,
    starts_at integer not null,
    ends_at integer not null,
    replaces text,
    mode text not null,
    author text not null,
    reason text not null,
    created_at integer not null,
    swap text not null,
    removed_at integer,
    removed_by text
);
create index overrides_ends on overrides (ends_at);

create table swaps (
    id text primary key,
    schedule text not null,
    asker text not null,
    asked text not null,
    starts_at integer not null,
    ends_at integer not null,
    back_from integer,
    back_to integer,
    reason text not null,
    created_at integer not null,
    status text not null,
    answered_at integer,
    answered_by text
);
create index swaps_ends on swaps (ends_at);
