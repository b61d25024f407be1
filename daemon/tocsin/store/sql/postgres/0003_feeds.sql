-- The last good copy of each schedule's calendar feed: used after a restart, and while the feed is broken.

create table feeds (
    schedule text primary key,
    source text not null,
    fetched_at bigint,
    etag text not null,
    modified text not null,
    timezone text not null,
    read_at bigint,
    body bytea not null,
    events bytea not null,
    error text not null,
    since bigint
);
