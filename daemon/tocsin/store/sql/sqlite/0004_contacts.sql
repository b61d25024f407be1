-- Contacts that were proven by a code: by person and address, so that another address is unproven.

create table contacts_verified (
    "user" text not null,
    channel_kind text not null,
    address text not null,
    verified_at integer,
    verified_by text not null,
    page text not null,
    expires_at integer,
    tries integer not null,
    asked_at integer not null,
    asked_by text not null,
    asked integer not null,
    asked_since integer not null,
    readmits integer not null,
    primary key ("user", channel_kind, address)
) without rowid;
