-- Overrides and swaps that people make at run time.

create table overrides (
    id text primary key,
    schedule text not null,
    users text not null,
    starts_at bigint not null,
    ends_at bigint not null,
    replaces text,
    mode text not null,
    author text not null,
    reason text not null,
    created_at bigint not null,
    swap text not null,
    removed_at bigint,
    removed_by text
);
create index overrides_ends on overrides (ends_at);

create table swaps (
    id text primary key,
    schedule text not null,
    asker text not null,
    asked text not null,
    starts_at bigint not null,
    ends_at bigint not null,
    back_from bigint,
    back_to bigint,
    reason text not null,
    created_at bigint not null,
    status text not null,
    answered_at bigint,
    answered_by text
);
create index swaps_ends on swaps (ends_at);
