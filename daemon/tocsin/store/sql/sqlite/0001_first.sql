-- The first shape. An alert that stands alone touches four B-trees when it opens: alerts, alerts_open,
-- incidents, incidents_live. Everything else is written by rarer events.

create table meta (
    name text primary key,
    value text not null
) without rowid;

create table posts (
    id integer primary key,
    integration text not null,
    received_at integer not null,
    body blob not null,
    alerts integer not null,
    repeats integer not null
);

create table alerts (
    id integer primary key,
    integration text not null,
    source_key text not null,
    content integer not null,
    status text not null,
    incident integer,
    post integer,
    severity text not null,
    title text not null,
    description text not null,
    service text not null,
    source text not null,
    labels text not null,
    links text not null,
    rules text not null,
    started_at integer not null,
    received_at integer not null,
    last_seen_at integer not null,
    ended_at integer,
    expires_at integer,
    hold_until integer,
    acknowledged_at integer,
    count integer not null,
    truncated integer not null,
    joined integer not null,
    muted_by text,
    written text not null
);
create unique index alerts_open on alerts (integration, source_key) where ended_at is null;
create index alerts_ended on alerts (integration, source_key, ended_at) where ended_at is not null;
create index alerts_joined on alerts (incident) where joined;
create index alerts_expiring on alerts (expires_at) where ended_at is null and expires_at is not null;

create table incidents (
    number integer primary key,
    key text not null,
    status text not null,
    title text not null,
    service text not null,
    severity text not null,
    impact text not null,
    urgency text not null,
    priority text not null,
    category text not null,
    integration text not null,
    policy text not null,
    policy_hash text not null,
    created_at integer not null,
    updated_at integer not null,
    version integer not null,
    cycle integer not null,
    round integer not null,
    step integer not null,
    due_at integer,
    due_kind text,
    planned_at integer,
    acknowledged_at integer,
    acknowledged_by text,
    resolved_at integer,
    resolved_by text,
    closed_at integer,
    muted_by text,
    muted_left integer,
    held_until integer,
    snoozed_until integer,
    joins_until integer,
    grouped integer not null,
    alert integer,
    previous integer,
    merged_into integer,
    firing integer not null,
    resolved integer not null,
    total integer not null,
    opened_by text not null
);
create index incidents_live on incidents (priority, due_at, number, status)
    where (due_at is not null or status in ('triggered', 'acknowledged', 'on_hold'));
create index incidents_ended on incidents (key, number) where status in ('resolved', 'closed', 'canceled');

create table incident_keys (
    key text primary key,
    incident integer not null,
    joins_until integer
) without rowid;
create index incident_keys_incident on incident_keys (incident);

create table pages (
    id text not null unique,
    key text not null unique,
    kind text not null,
    incident integer,
    cycle integer not null,
    round integer not null,
    step integer not null,
    rule integer not null,
    target text not null,
    "user" text not null,
    contact text not null,
    channel text not null,
    due_at integer not null,
    created_at integer not null,
    status text not null,
    tries integer not null,
    failures integer not null,
    rank integer not null,
    because text not null,
    config text not null,
    text text not null,
    updated_at integer
);
create index pages_incident on pages (incident);
create index pages_claim on pages (channel, rank, due_at, id) where status = 'planned';

create table attempts (
    id text not null unique,
    page text not null,
    incident integer,
    channel text not null,
    address text not null,
    number integer not null,
    owner text not null,
    started_at integer not null,
    state text not null,
    ref text not null,
    because text not null,
    ended_at integer,
    confirm_by integer,
    delivery text not null,
    delivery_rank integer not null,
    permanent integer not null
);
create index attempts_page on attempts (page);
create index attempts_address on attempts (address, started_at);
create index attempts_channel on attempts (channel, started_at);
create index attempts_open on attempts (started_at) where state = 'open';
create index attempts_unknown on attempts (confirm_by) where state = 'unknown' and confirm_by is not null;

create table timeline (
    incident integer not null,
    at integer not null,
    kind text not null,
    actor text not null,
    via text not null,
    because text not null,
    channel text not null,
    detail text not null,
    id integer primary key
);
create index timeline_incident on timeline (incident, id);

create table inbound (
    door text not null,
    message_id text not null,
    address text not null,
    answer text not null,
    at integer not null,
    primary key (door, message_id)
) without rowid;
create index inbound_address on inbound (address, at);

create table tombstones (
    integration text not null,
    source_key text not null,
    ended_at integer not null,
    until integer not null,
    primary key (integration, source_key)
) without rowid;

create table minted (
    integration text not null,
    body_hash text not null,
    key text not null,
    until integer not null,
    primary key (integration, body_hash)
) without rowid;

create table policy_versions (
    hash text primary key,
    name text not null,
    body text not null
) without rowid;

create table silences (
    id text primary key,
    matchers text not null,
    starts_at integer not null,
    ends_at integer not null,
    author text not null,
    comment text not null,
    created_at integer not null
) without rowid;
create index silences_ends on silences (ends_at);

create table tokens (
    id text primary key,
    name text not null,
    role text not null,
    "user" text,
    hash text not null,
    created_at integer not null,
    revoked_at integer,
    last_used_at integer
) without rowid;

create table contacts_state (
    channel_kind text not null,
    address text not null,
    usable integer not null,
    because text not null,
    at integer not null,
    primary key (channel_kind, address)
) without rowid;
