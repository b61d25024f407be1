-- The last good copy of each schedule's calendar feed: used after a restart, and while the feed is broken.

create table feeds (
    schedule text primary key,
    source text not null,
    fetched_at integer,
    etag text not null,
    modified text not null,
    timezone text not null,
    read_at integer,
    body blob not null,
    events blob not null,
    error text not null,
    since integer
) without rowid;
