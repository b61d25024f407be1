"""The words of Tocsin as frozen values: what an alert, an incident, a page, a schedule is.

Instants are `Instant`: whole milliseconds since 1970-01-01T00:00Z; lengths are `Millis`. Both are
integers on every path (store, decisions, API) so that nothing is rounded and no time is naive.
Zones appear in `decide/oncall.py` and at the borders only.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, tzinfo
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, NewType

if TYPE_CHECKING:
    from dataclasses import dataclass as record
else:

    def record(**options: Any) -> Any:
        """A frozen dataclass to the type checker, which is who polices it; at run time a plain one.

        A frozen `__init__` takes four times as long, and one of these is made for every alert.
        """
        return dataclass(**{**options, "frozen": False, "unsafe_hash": True})


Instant = NewType("Instant", int)
Millis = NewType("Millis", int)

SECOND = Millis(1_000)
MINUTE = Millis(60_000)
HOUR = Millis(3_600_000)
DAY = Millis(86_400_000)

Severity = Literal["critical", "error", "warning", "info"]
Urgency = Literal["high", "medium", "low"]
Impact = Literal["high", "medium", "low"]
Priority = Literal["P1", "P2", "P3", "P4", "P5"]
Role = Literal["viewer", "responder", "admin"]
Status = Literal["triggered", "acknowledged", "on_hold", "resolved", "closed", "canceled"]
SignalStatus = Literal["firing", "resolved", "acknowledged", "snoozed", "note", "change", "heartbeat"]

OPEN: frozenset[Status] = frozenset({"triggered", "acknowledged", "on_hold"})
SEVERITIES: tuple[Severity, ...] = ("critical", "error", "warning", "info")
PRIORITIES: tuple[Priority, ...] = ("P1", "P2", "P3", "P4", "P5")
URGENCY_OF: Mapping[Severity, Urgency] = MappingProxyType(
    {"critical": "high", "error": "high", "warning": "medium", "info": "low"}
)



class _Empty(dict[str, Any]):
    """The empty mapping every default shares; writing to it is an error."""

    __slots__ = ()

    def __hash__(self) -> int:  # type: ignore[override]  # constant and never changed: hashable
        return 0

    def __setitem__(self, key: str, value: Any) -> None:
        raise TypeError("the shared empty mapping cannot be changed")


EMPTY: Mapping[str, Any] = _Empty()


# ---------------------------------------------------------------------------------------- alerts


@dataclass(frozen=True, slots=True)
class Link:
    href: str
    text: str = ""


@record(frozen=True, slots=True)
class Alert:
    """One normalised signal, as a source read it out of a post, before any rule.

    `source_key` is the identity the source sent (None: the receiver mints one). Texts are as sent;
    intake sanitises and cuts them. `source` is the thing that reports (host, probe).
    """

    status: SignalStatus
    source_key: str | None
    severity: Severity | None = None
    title: str = ""
    description: str = ""
    service: str | None = None
    source: str = ""
    labels: Mapping[str, str] = EMPTY
    links: tuple[Link, ...] = ()
    started_at: Instant | None = None
    ended_at: Instant | None = None
    expires_at: Instant | None = None
    actor: str | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """One alert of a post that could not be taken, and where it stands (RFC 6901 pointer)."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """What a source read out of one body."""

    alerts: tuple[Alert, ...]
    rejected: tuple[Rejected, ...] = ()


@record(frozen=True, slots=True)
class StoredAlert:
    """An alert as kept. `firing` while `ended_at` is None; open alerts are unique by
    (integration, source_key). `incident` is None when a rule dropped or silenced it at the door."""

    id: int
    integration: str
    source_key: str
    content: int                      # 63-bit hash of the normalised content
    status: Literal["firing", "resolved", "dropped", "suppressed", "heartbeat"]
    incident: int | None
    post: int | None
    severity: Severity
    title: str
    description: str
    service: str
    source: str
    labels: Mapping[str, str]
    links: tuple[Link, ...]
    rules: tuple[str, ...]            # names of the rules that applied
    started_at: Instant
    received_at: Instant
    last_seen_at: Instant
    ended_at: Instant | None = None
    expires_at: Instant | None = None
    hold_until: Instant | None = None
    acknowledged_at: Instant | None = None
    count: int = 1
    truncated: bool = False
    joined: bool = False              # joined an incident that another alert opened
    muted_by: str | None = None       # why this alert does not page now (a silence's id ...)
    written: tuple[str, ...] = ()     # fields that a rule set: a matcher's bare name means these first
    because: str = ""                 # why it was grouped, dropped, suppressed; "": it opened an incident of its own
    terms: Mapping[str, Any] = EMPTY  # how its end is judged, as decided when it came (decide/terms.py)
    cleared_at: Instant | None = None # its source resolved it; it ends at `expires_at` unless it fires again
    settles_at: Instant | None = None # it comes and goes: until then it counts as flapping


@record(frozen=True, slots=True)
class Post:
    """One accepted request body, as received; the store keeps it compressed (zstd) for `retention.alerts`."""

    id: int
    integration: str
    received_at: Instant
    body: bytes
    alerts: int
    repeats: int = 0


# ------------------------------------------------------------------------------------- incidents

DueKind = Literal["step", "again", "ack_timeout", "unsnooze", "unmute", "close"]


@record(frozen=True, slots=True)
class Incident:
    """What people are paged for.

    An incident has at most one escalation timer: (`due_at`, `due_kind`), durable in its own row and
    dead when the row's `version` moved on. `round` and `step` say which step runs NEXT while
    triggered (step is an index from 1; 0 = the catch-all). `cycle` counts from 1 and grows with
    every re-trigger.
    """

    number: int
    key: str
    status: Status
    title: str
    service: str
    severity: Severity
    impact: Impact
    urgency: Urgency
    priority: Priority
    category: str
    integration: str
    policy: str                        # name; "" = no policy: the catch-all is paged at once
    policy_hash: str                   # the frozen version in policy_versions; "" likewise
    created_at: Instant
    updated_at: Instant
    version: int = 1
    cycle: int = 1
    round: int = 1
    step: int = 1
    due_at: Instant | None = None
    due_kind: DueKind | None = None
    planned_at: Instant | None = None  # when the step in hand was planned to run
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    resolved_at: Instant | None = None
    resolved_by: str | None = None
    closed_at: Instant | None = None
    muted_by: str | None = None        # a reason while muted; the step timer stands still
    muted_left: Millis | None = None   # what was left of the wait when muting began; without muted_by: it rests
    held_until: Instant | None = None  # `hold`: nobody is paged before this
    snoozed_until: Instant | None = None
    joins_until: Instant | None = None # later alerts of this key open a new incident
    grouped: bool = False              # has a row in incident_keys; else its key is its alert's identity
    alert: int | None = None           # the alert that opened it
    previous: int | None = None        # the incident this one continues
    merged_into: int | None = None
    firing: int = 0
    resolved: int = 0
    total: int = 0
    opened_by: str = ""                # "integration:NAME" or "user:NAME"
    storm: int | None = None           # the storm incident that took this one in, for good

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def resting(self) -> bool:
        """Its step was put off, without a mute: what fires is quiet just now, or comes and goes."""
        return self.muted_left is not None and self.muted_by is None


class Arrival(NamedTuple):
    """A new alert that stands alone, and the incident it opens, while nobody is to be paged for it yet.

    What is the same of every such pair is not said here (`alert_of`, `incident_of` in store/arrivals.py add it):
    a tuple of what varies is the cheapest way into the store. `labels`, `links`, `rules`, `written`: JSON text.
    """

    id: int
    integration: str
    source_key: str
    content: int
    incident: int
    post: int
    severity: Severity
    title: str
    description: str
    service: str
    source: str
    labels: str
    links: str
    rules: str
    started_at: Instant
    received_at: Instant
    expires_at: Instant | None
    held_until: Instant                # nobody is paged before: the incident's first step is due then
    truncated: bool
    written: str
    key: str                           # of the incident
    impact: Impact
    urgency: Urgency
    priority: Priority
    category: str
    policy: str
    policy_hash: str


@record(frozen=True, slots=True)
class Entry:
    """One line of an incident's timeline: every change, page, attempt, receipt and refusal."""

    incident: int
    at: Instant
    kind: str                          # "opened", "joined", "acknowledged", "paged", "attempt" ...
    actor: str                         # "user:ana", "integration:apps", "tocsin"
    via: str = ""                      # door: "api", "sms", "voice", "link", "timer" ...
    because: str = ""
    channel: str = ""
    detail: Mapping[str, Any] = EMPTY  # JSON values only; enough to replay the change
    id: int | None = None              # given by the store


@dataclass(frozen=True, slots=True)
class Beat:
    """What is known of one configured heartbeat. `due_at`: heard by then, or its next silence begins.

    `silent_since` is when it fell due unheard; `told` says that the alert about it is stored.
    """

    name: str
    expects: str                       # every, cron and grace as they were when `due_at` was worked out
    due_at: Instant
    last_at: Instant | None = None     # the last check-in
    last_by: str = ""                  # who checked in: "integration:apps", "token:cron", "own token"
    silent_since: Instant | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Storm:
    """The new incidents of one scope (a service) lately, and the storm incident while there is one.

    `recent`: (instant, how many first pages fell due then), ascending, within the window.
    """

    scope: str
    recent: tuple[tuple[int, int], ...] = ()
    incident: int | None = None
    since: Instant | None = None       # when the storm began
    collected: int = 0                 # incidents it took in
    names: Mapping[str, int] = EMPTY   # alert names and how often, the most frequent ones
    touched_at: Instant = Instant(0)


@dataclass(frozen=True, slots=True)
class Silence:
    """Mutes the alerts its matchers hit, from `starts_at` until `ends_at`."""

    id: str
    matchers: tuple[str, ...]          # Alertmanager syntax, as written
    starts_at: Instant
    ends_at: Instant
    author: str
    comment: str
    created_at: Instant


# ----------------------------------------------------------------------------------------- pages

PageKind = Literal["page", "update", "test", "summary", "notice", "code"]
PageStatus = Literal["planned", "calling", "waiting", "done", "failed", "cancelled", "bundled"]
AttemptState = Literal["open", "accepted", "failed", "unknown", "cancelled", "bundled"]


@record(frozen=True, slots=True)
class Page:
    """One intended notification of one person (or fixed target) over one contact.

    `key` is unique: "incident/cycle/round/step/target/rule/contact" for pages; other kinds have
    their own. `due_at` is when it may first be claimed. `rank` orders claims: lower goes first.
    """

    id: str                            # random, 128 bit, hex
    key: str
    kind: PageKind
    incident: int | None
    cycle: int
    round: int
    step: int
    rule: int
    target: str                        # "user:ana" or "channel:ops-mail"
    user: str                          # "" for a channel target
    contact: str                       # the contact's name; "" for a channel target
    channel: str                       # channel name
    due_at: Instant
    created_at: Instant
    status: PageStatus = "planned"
    tries: int = 0                     # attempts that may have been delivered
    failures: int = 0                  # attempts that surely were not
    rank: int = 50
    because: str = ""                  # why this person, this contact, now
    config: str = ""                   # hash of the configuration that decided it
    text: str = ""                     # fixed text of kinds other than "page"
    updated_at: Instant | None = None
    delayed: str = ""                  # why it did not go out when it was due: a limit, a summary


@dataclass(frozen=True, slots=True)
class Attempt:
    """One call to a provider for a page. The row is the lease: written before the first byte leaves."""

    id: str                            # random, 128 bit, hex; travels in the status callback's URL
    page: str
    incident: int | None
    channel: str
    address: str
    number: int                        # 1.. within the page, all attempts
    owner: str                         # the replica and process that holds it
    started_at: Instant
    state: AttemptState = "open"
    ref: str = ""                      # the provider's id
    because: str = ""
    ended_at: Instant | None = None
    confirm_by: Instant | None = None  # an unknown one waits until then for a callback or look-up
    delivery: str = ""                 # last monotone delivery state: "sent", "delivered", "undelivered" ...
    delivery_rank: int = 0
    permanent: bool = False            # failed for good: this contact cannot be reached this way


@dataclass(frozen=True, slots=True)
class Accepted:
    """The provider took it; `ref` is its id for it."""

    ref: str = ""


@dataclass(frozen=True, slots=True)
class Failed:
    """It surely did not go out. `permanent`: this contact cannot be reached this way at all."""

    because: str
    permanent: bool = False
    retry_after: Millis | None = None
    account: bool = False              # our own account or set-up is broken, not the contact


@dataclass(frozen=True, slots=True)
class Unknown:
    """It may or may not have gone out: time-out or reset after bytes left, 5xx, a crash."""

    because: str


@dataclass(frozen=True, slots=True)
class Cancelled:
    """The gate refused: surely not sent, and not wanted any more."""

    because: str


Outcome = Accepted | Failed | Unknown | Cancelled


@dataclass(frozen=True, slots=True)
class Message:
    """All a channel needs to carry one page to one address."""

    page: str
    attempt: str
    kind: PageKind
    channel: str
    to: str
    user: str                          # key; "" for a channel target
    name: str                          # the person's written name
    urgency: Urgency
    title: str                         # one line
    text: str                          # short plain text, ready for SMS
    body: str                          # longer plain text, for mail
    spoken: str                        # for a voice call
    ack_url: str                       # "" where no public_url is configured
    status_url: str                    # carries the attempt id; "" where no public_url
    voice_url: str
    incident: Mapping[str, Any]        # the incident's JSON of the HTTP API; {} for tests and notices
    cycle: int
    round: int
    step: int
    rule: int
    try_number: int
    expires_in: Millis                 # after this the message is stale
    now: Instant


@dataclass(frozen=True, slots=True)
class FeedCopy:
    """The last good copy of a schedule's feed, and how fetching goes.

    `events` are spelled out from `body` in `timezone`, as of `read_at`; `source` names the address without telling it.
    """

    schedule: str
    source: str = ""
    fetched_at: Instant | None = None  # when the server last had it, or said that it had not changed; None: never
    etag: str = ""
    modified: str = ""
    timezone: str = ""
    read_at: Instant | None = None
    body: bytes = field(default=b"", repr=False)
    events: bytes = field(default=b"", repr=False)
    error: str = ""                    # why the last try failed
    since: Instant | None = None       # since when it fails


@dataclass(frozen=True, slots=True)
class ContactState:
    """What was learnt about an address at run time."""

    channel_kind: str
    address: str
    usable: bool
    because: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Verification:
    """Whether a person's address was proven by a code, and the code that is under way. Another address is another row.

    The code itself is kept nowhere: it follows from the page that carries it and a key of the daemon's.
    """

    user: str
    channel_kind: str
    address: str
    verified_at: Instant | None = None
    verified_by: str = ""              # "user:ana"
    page: str = ""                     # carries the code that counts; "" = none does
    expires_at: Instant | None = None  # of that code
    tries: int = 0                     # wrong ones for that code
    asked_at: Instant = Instant(0)     # when the last code was asked for
    asked_by: str = ""
    asked: int = 0                     # how many codes since `asked_since`
    asked_since: Instant = Instant(0)
    readmits: bool = False             # asked for by an admin: makes an unusable contact usable again


# ---------------------------------------------------------------------------------------- access


@dataclass(frozen=True, slots=True)
class Token:
    """An API token; only its argon2/sha hash is kept. `user` None: may read and post alerts only."""

    id: str
    name: str
    role: Role
    user: str | None
    hash: str
    created_at: Instant
    revoked_at: Instant | None = None
    last_used_at: Instant | None = None


@dataclass(frozen=True, slots=True)
class Actor:
    """Who acts: a person, or an integration that is allowed to."""

    kind: Literal["user", "integration", "tocsin"]
    name: str

    def __str__(self) -> str:
        return "tocsin" if self.kind == "tocsin" else f"{self.kind}:{self.name}"

    @property
    def shown(self) -> str:
        """As `acknowledged_by` has it: the user's key, or "integration:NAME"."""
        return self.name if self.kind == "user" else str(self)


TOCSIN = Actor("tocsin", "tocsin")


# ------------------------------------------------------------------------- configuration, as typed


@dataclass(frozen=True, slots=True)
class Secret:
    """One or more accepted values; the first is used outbound. Never shown."""

    values: tuple[str, ...] = field(repr=False)

    @property
    def first(self) -> str:
        return self.values[0]

    def __str__(self) -> str:
        return "•••"


@dataclass(frozen=True, slots=True)
class Option:
    """One key that a source's or channel's section of the configuration takes.

    kinds: text, secret (Secret), secrets (many keys), url, int, flag, duration (Millis), choice,
    phone, email, expr (JMESPath text), map (name → text), keys (name → {key: Secret, service: text}).
    """

    kind: Literal[
        "text", "secret", "url", "int", "flag", "duration", "choice", "phone", "email", "map", "keys"
    ]
    help: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a configuration file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """One finding about the configuration. `code` is stable and documented; `fix` says what to write, where the
    message does not say it already."""

    where: Where
    level: Literal["error", "warning", "info"]
    code: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


@dataclass(frozen=True, slots=True)
class Target:
    """Whom a step names: "user:ana", "user:ana/mail", "schedule:primary@next", "team:x@oncall", "channel:ops"."""

    kind: Literal["user", "schedule", "team", "managers", "channel"]
    name: str
    suffix: str = ""                   # "next", "oncall", or a contact's name for users

    def __str__(self) -> str:
        sep = "/" if self.kind == "user" else "@"
        return f"{self.kind}:{self.name}" + (f"{sep}{self.suffix}" if self.suffix else "")


@dataclass(frozen=True, slots=True)
class Only:
    """When a step applies; empty = always."""

    priority: tuple[Priority, ...] = ()
    urgency: tuple[Urgency, ...] = ()
    hours: Literal["", "support", "off"] = ""


@dataclass(frozen=True, slots=True)
class Step:
    notify: tuple[Target, ...]
    wait: Millis = Millis(300_000)
    only: Only = Only()
    pick: Literal["all", "one"] = "all"


@dataclass(frozen=True, slots=True)
class Policy:
    """An escalation policy. `repeat` is how often the steps are repeated after the first pass
    (None: forever); `ack_timeout` None: never."""

    name: str
    steps: tuple[Step, ...]
    repeat: int | None = 2
    ack_timeout: Millis | None = Millis(1_800_000)


@dataclass(frozen=True, slots=True)
class Contact:
    name: str
    channel: str
    to: str


@dataclass(frozen=True, slots=True)
class NotifyRule:
    by: tuple[str, ...]                # contact names
    after: Millis = Millis(0)


@dataclass(frozen=True, slots=True)
class User:
    key: str
    name: str
    timezone: str
    role: Role = "responder"
    contacts: Mapping[str, Contact] = EMPTY
    notify: Mapping[str, tuple[NotifyRule, ...]] = EMPTY   # by urgency, as written


@dataclass(frozen=True, slots=True)
class Team:
    name: str
    members: tuple[str, ...]
    managers: tuple[str, ...] = ()


Unit = Literal["hours", "days", "weeks", "months"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A turn lasts `length` `unit`s from the wall-clock time `start` (naive, in the schedule's zone)."""

    length: int
    unit: Unit
    start: str                         # "2026-01-05T09:00" naive ISO
    days: frozenset[int] | None = None # 0 = Monday; turns count these days only


@dataclass(frozen=True, slots=True)
class Hours:
    """Cuts coverage. Clock times as minutes of the day; start == end: the whole day."""

    days: frozenset[int]
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Layer:
    name: str
    users: tuple[tuple[str, ...], ...]
    rotation: Rotation | None          # None: the first entry, always
    hours: tuple[Hours, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedShift:
    """A shift read from an iCalendar feed: these people (users' keys) from `start` until `end` (not included)."""

    start: Instant
    end: Instant
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """Beats the layers from `start` until `end`: local times of the schedule's zone, or RFC 3339 with an offset.

    `mode` remove without `users` takes everybody (of `replaces`, where that is given) off call.
    """

    users: tuple[str, ...]
    start: str
    end: str
    replaces: str | None = None
    mode: Literal["replace", "add", "remove"] = "replace"
    id: str = ""                       # of a run-time override


@dataclass(frozen=True, slots=True)
class Ical:
    """Where a schedule's shifts are imported from. The address may hold a secret: it is never shown.

    `people`: what the feed calls somebody → that user's key.
    """

    url: Secret
    every: Millis = Millis(300_000)
    people: Mapping[str, str] = EMPTY
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """`feed` is what was last imported: one more layer, named "ical", below the written ones."""

    name: str
    timezone: str
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()
    handoff_notice: Millis | None = None
    feed: tuple[FeedShift, ...] = ()
    ical: Ical | None = None


@dataclass(frozen=True, slots=True)
class MadeOverride:
    """An override made at run time: by whom and why; and, once taken back, by whom and when.

    It counts from `starts_at`, but never before `created_at`, until `ends_at` or `removed_at`: what was is not
    rewritten. Times are instants, whatever zone they were written in.
    """

    id: str
    schedule: str
    users: tuple[str, ...]
    starts_at: Instant
    ends_at: Instant
    replaces: str | None
    mode: Literal["replace", "add", "remove"]
    author: str                        # a user's key
    reason: str
    created_at: Instant
    swap: str = ""                     # the id of the swap it is half of
    removed_at: Instant | None = None
    removed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Swap:
    """`asker` asks `asked` to take a shift, and offers to take one of theirs in return (None: a favour)."""

    id: str
    schedule: str
    asker: str
    asked: str
    starts_at: Instant
    ends_at: Instant
    back_from: Instant | None
    back_to: Instant | None
    reason: str
    created_at: Instant
    status: Literal["asked", "accepted", "declined", "withdrawn"] = "asked"
    answered_at: Instant | None = None
    answered_by: str | None = None

    @property
    def dies_at(self) -> Instant:
        """When the first of its shifts begins: not accepted by then, it is past due."""
        return self.starts_at if self.back_from is None else min(self.starts_at, self.back_from)


@dataclass(frozen=True, slots=True)
class Support:
    """Weekly hours in a zone, for support_hours and calendars."""

    timezone: str
    hours: tuple[Hours, ...]
    holidays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    name: str
    owner: str | None = None
    policy: str | None = None
    impact: Impact = "medium"
    depends_on: tuple[str, ...] = ()
    runbook: str | None = None
    support_hours: Support | None = None
    sla: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class RuleSet:
    """What a matching rule sets; None leaves it. Texts may be Jinja2 templates."""

    service: str | None = None
    severity: str | None = None
    impact: Impact | None = None
    urgency: Urgency | None = None
    priority: Priority | None = None
    category: str | None = None
    title: str | None = None
    policy: str | None = None
    labels: Mapping[str, str] = EMPTY
    dedup_key: str | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """Page only when `count` firings came `within` this time. `rule`: whose it is."""

    count: int
    within: Millis
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Flap:
    """`changes` between firing and resolved `within` this time: it flaps, until nothing changed for `settle`."""

    changes: int
    within: Millis
    settle: Millis = Millis(900_000)
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Enrich:
    """Labels out of a table: the row whose first column is the value of `on`; `set`: label → column."""

    on: str
    set: Mapping[str, str]
    rows: Mapping[str, Mapping[str, str]] = field(repr=False)
    file: str = ""                     # as problems and `explain` name the table


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule as written; `decide/rules.py` compiles it."""

    name: str
    match: tuple[str, ...] = ()
    set: RuleSet = RuleSet()
    group_by: tuple[str, ...] | None = None
    join_within: Millis = DAY
    hold: Millis | None = None
    drop: bool = False
    suppress: bool = False
    stop: bool = False
    re_page: Literal["raise", "any", "never"] | None = None
    auto_resolve: Millis | None = None
    when: str | None = None            # CEL; needs the extra `cel`
    resolve_after: Millis | None = None
    threshold: Threshold | None = None
    flap: Flap | None = None
    enrich: Enrich | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that `source` hits fires, alerts that `target` hits and whose `equal` values are the same as
    its own do not page. Matchers in Alertmanager syntax, as written."""

    name: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A planned window without pages. Repeated: on `days` (0 = Monday) at `minute` of the day, for `length`; once
    (`minute` None): from `start` until `end`. All by the clock of `timezone`."""

    name: str
    match: tuple[str, ...]
    timezone: str
    days: frozenset[int] = frozenset()
    minute: int | None = None
    length: Millis = Millis(0)
    start: str = ""                    # "2026-01-05T09:00" naive ISO
    end: str = ""


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """Something that was changed on purpose (a deploy, a switch): context for incidents, never one itself."""

    integration: str
    source_key: str
    at: Instant
    service: str
    title: str
    description: str
    source: str
    labels: Mapping[str, str]
    links: tuple[Link, ...]
    id: int | None = None              # given by the store


class Related(NamedTuple):
    """One incident has to do with another. `kind`: "muted_by" (its parent), "mutes" (its child)."""

    incident: int
    other: int
    kind: str
    at: Instant


@dataclass(frozen=True, slots=True)
class IntegrationConfig:
    """A configured source of alerts. `options` holds the values its kind declares."""

    name: str
    type: str
    token: Secret | None = None
    options: Mapping[str, Any] = EMPTY
    defaults: Mapping[str, Any] = EMPTY  # service, severity, labels, policy: fill what an alert lacks
    overrides: Mapping[str, Any] = EMPTY # `set`: the same keys, beats what the alert says
    may_resolve: bool = True
    may_acknowledge: bool = False
    auto_resolve: Millis | None = None


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """A configured way to reach people. `to` makes it a target of its own."""

    name: str
    type: str
    options: Mapping[str, Any] = EMPTY
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` messages in `window`."""

    count: int
    window: Millis


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """Something that must report: every so often, or at the times of a crontab expression."""

    name: str
    every: Millis | None = None        # None: `cron` says when
    cron: str = ""
    timezone: str = "UTC"              # of `cron`
    grace: Millis = Millis(0)
    match: tuple[str, ...] = ()        # alerts that are check-ins
    service: str = ""
    severity: Severity = "error"
    policy: str | None = None
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class StormLimit:
    """More first pages than `new_incidents` in `within` are a storm."""

    new_incidents: int = 30
    within: Millis = MINUTE
    per: Literal["service", "integration", "all"] = "service"


@dataclass(frozen=True, slots=True)
class Server:
    host: str = "127.0.0.1"
    port: int = 8420
    admin_host: str | None = None
    admin_port: int | None = None
    public_url: str | None = None      # without a trailing slash
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Defaults:
    timezone: str = "UTC"
    policy: str | None = None
    severity: Severity = "error"
    reopen_within: Millis = Millis(0)
    close_after: Millis = Millis(3 * 86_400_000)
    notify_resolved: bool = True


@dataclass(frozen=True, slots=True)
class Retention:
    alerts: Millis = Millis(90 * 86_400_000)
    incidents: Millis = Millis(3 * 365 * 86_400_000)


DEFAULT_PRIORITIES: Mapping[Impact, Mapping[Urgency, Priority]] = MappingProxyType(
    {
        "high": MappingProxyType({"high": "P1", "medium": "P2", "low": "P3"}),
        "medium": MappingProxyType({"high": "P2", "medium": "P3", "low": "P4"}),
        "low": MappingProxyType({"high": "P3", "medium": "P4", "low": "P5"}),
    }
)

_M = 60_000
DEFAULT_THROTTLE: Mapping[str, tuple[Limit, ...]] = MappingProxyType(
    {
        "sms": (Limit(1, Millis(_M)), Limit(5, Millis(15 * _M)), Limit(11, Millis(60 * _M))),
        "voice": (Limit(1, Millis(_M)), Limit(3, Millis(15 * _M)), Limit(7, Millis(60 * _M))),
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, valid. `hash` names it in pages and logs; `source` is the main file."""

    hash: str = ""
    source: str = ""
    server: Server = Server()
    database: str = "sqlite:tocsin.db"   # absolute by now for sqlite
    retention: Retention = Retention()
    defaults: Defaults = Defaults()
    catch_all: tuple[Target, ...] = ()
    heartbeat_out: tuple[str, Millis] | None = None
    integrations: Mapping[str, IntegrationConfig] = EMPTY
    channels: Mapping[str, ChannelConfig] = EMPTY
    fallbacks: Mapping[str, tuple[str, ...]] = EMPTY
    users: Mapping[str, User] = EMPTY
    teams: Mapping[str, Team] = EMPTY
    schedules: Mapping[str, Schedule] = EMPTY
    policies: Mapping[str, Policy] = EMPTY
    services: Mapping[str, Service] = EMPTY
    priorities: Mapping[Impact, Mapping[Urgency, Priority]] = field(default_factory=lambda: DEFAULT_PRIORITIES)
    rules: tuple[Rule, ...] = ()          # in the order they are walked
    categories: tuple[str, ...] = ()      # that rules may set; (): any text
    inhibitions: tuple[Inhibition, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    throttle: Mapping[str, tuple[Limit, ...]] = field(default_factory=lambda: DEFAULT_THROTTLE)  # by name or kind
    heartbeats: Mapping[str, Heartbeat] = EMPTY
    storm: StormLimit = StormLimit()
    answers: Mapping[str, str] = EMPTY    # {sms: code}
    without_effect: tuple[str, ...] = ()  # sections that are valid and have no effect yet
    steps_may_rest: bool = field(init=False, default=False)  # some rule has flap or resolve_after

    def __post_init__(self) -> None:
        rests = any(rule.flap is not None or rule.resolve_after for rule in self.rules)
        object.__setattr__(self, "steps_may_rest", rests)


# ---------------------------------------------------------------------------------- small helpers


def secret_matches(given: str, secret: Secret) -> bool:
    """Whether `given` is one of the accepted values, in the same time whichever it is."""
    offered = given.encode("utf-8", "surrogatepass")
    found = False
    for value in secret.values:
        found |= hmac.compare_digest(offered, value.encode("utf-8"))
    return found


def rfc3339(at: Instant, zone: tzinfo = UTC) -> str:
    """`at` as RFC 3339 with its offset; milliseconds only where there are any."""
    moment = datetime.fromtimestamp(at // 1000, zone).replace(microsecond=at % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds" if at % 1000 else "seconds").replace("+00:00", "Z")


def instant(moment: datetime) -> Instant:
    """An aware datetime as an Instant, cut to the millisecond."""
    return Instant(int(moment.timestamp()) * 1000 + moment.microsecond // 1000)
