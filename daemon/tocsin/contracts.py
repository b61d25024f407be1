"""What the parts of Tocsin promise each other: the five ports, the store, sources and channels."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Coroutine, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol, TypeVar

from tocsin.model import (
    Arrival,
    Attempt,
    Beat,
    ChangeEvent,
    ContactState,
    Entry,
    FeedCopy,
    Incident,
    Instant,
    IntegrationConfig,
    MadeOverride,
    Message,
    Millis,
    Option,
    Outcome,
    Page,
    Parsed,
    Post,
    Related,
    Repeated,
    Silence,
    StoredAlert,
    Storm,
    Swap,
    Token,
    Tombstone,
    Verification,
)

T = TypeVar("T")

# ------------------------------------------------------------------------------ clock and chance


class Reading(NamedTuple):
    """What the machine says of time: its wall clock, which may be stepped, and how long it is up, which may not be.
    Milliseconds, all of one moment, give or take `doubt`: a process may be stopped between two questions. `boot` names
    the boot that `elapsed` counts from; `line` is what `now` says."""

    wall: int
    elapsed: int
    boot: str
    line: Instant = Instant(0)
    doubt: Millis = Millis(0)


class Clock(Protocol):
    """The only source of time. Code outside clock.py never reads or waits for another one.

    Instants lie on a line that runs evenly and is never stepped; `model/civil.py` says where civil time is on it.
    """

    def now(self) -> Instant:
        """The instant now; never goes backwards within a process."""

    def reading(self) -> Reading:
        """For whoever watches the clocks; everybody else asks `now`."""

    def steer(self, by: Millis) -> None:
        """Take up a small difference slowly."""

    def set(self, now: Instant, elapsed: int | None = None) -> None:
        """It is `now`, or was when the machine was up for `elapsed`. At a start, or forward."""

    def monotonic(self) -> float:
        """Seconds on a clock that no adjustment moves; for lengths only."""

    async def sleep_until(self, due: Instant) -> None:
        """Returns at `due` or at once when it is past."""

    async def sleep(self, length: Millis) -> None:
        """Returns `length` from now."""

    async def turn(self) -> None:
        """Let everybody else who is ready run once; for long work on the loop."""

    def timeout(self, length: Millis) -> AbstractAsyncContextManager[None]:
        """Cancels its body after `length` and raises TimeoutError, as asyncio.timeout does."""

    async def wait(self, event: Wakeable, until: Instant | None) -> bool:
        """Wait for `event` to be set, at the latest until `until`; True when it was set."""


class Wakeable(Protocol):
    def is_set(self) -> bool: ...

    async def wait(self) -> Any: ...


class Chance(Protocol):
    """The only source of randomness."""

    def token(self) -> str:
        """128 unguessable bits as 32 hex digits."""

    def fraction(self) -> float:
        """Uniform in [0, 1)."""


class Spawn(Protocol):
    """The only way to start a task. Every task has a name and an owner who awaits or stops it."""

    def __call__(self, work: Coroutine[Any, Any, Any], name: str) -> Task: ...


class Task(Protocol):
    def cancel(self) -> bool: ...

    def done(self) -> bool: ...

    def __await__(self) -> Any: ...


# ------------------------------------------------------------------------------------- transport

Gate = Callable[[], Awaitable[None]]
"""Called with the connection in hand, just before the first byte is written. Raises GateClosed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, its body read whole (up to what was asked for). Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http(Protocol):
    """Requests to providers, under the port's own deadlines: connect 3 s, 10 s in all."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = ...,
        body: bytes = b"",
        gate: Gate | None = None,
        allow_private: bool = True,
        largest: int = 1024 * 1024,
    ) -> Reply:
        """One request, never retried, no redirect followed; of the body at most `largest` bytes.

        Raises NotSent when surely not one byte left (DNS, refused, TLS, connect time-out),
        MaybeSent for a time-out or a reset after that, GateClosed when the gate refused.
        With `allow_private=False` a name that resolves to a loopback, private or link-local address
        is NotSent; the check is on the address that is dialled.
        """


class Mail(Protocol):
    """One message handed to one SMTP server, under the same deadlines."""

    async def send(
        self,
        *,
        host: str,
        port: int,
        security: Literal["none", "starttls", "tls"],
        username: str | None,
        password: str | None,
        sender: str,
        recipient: str,
        message: bytes,
        gate: Gate | None = None,
    ) -> str:
        """Returns the server's last answer. The gate runs after RCPT TO, before DATA.

        Raises NotSent (nothing of the message left, or the server refused it by 4xx/5xx: its text is
        the message; `permanent` is true on 5xx), MaybeSent after the content began to leave.
        """


# ----------------------------------------------------------------------------------------- feeds


class ReadFeed(Protocol):
    """Reads a stranger's calendar where it can be stopped: a rule of three words can keep a processor busy for ever."""

    async def __call__(self, raw: bytes, timezone: str, start: Instant, end: Instant, before: bytes = b"") -> bytes:
        """The events that touch [start, end) as `decide.feeds.from_json` reads them; floating times are `timezone`'s.
        What cannot be read is taken from `before`, the copy before, where it can be.

        Raises BadFeed when it is no calendar, or takes too long or too much memory.
        """


# ------------------------------------------------------------------------------ sources, channels


class Source(Protocol):
    """One kind of alert source: bytes in, alerts out. Pure; no I/O, no clock."""

    type: str
    title: str
    options: Mapping[str, Option]

    def parse(self, raw: bytes, headers: Mapping[str, str], config: IntegrationConfig, now: Instant) -> Parsed:
        """Every alert of the body, in order, and those that cannot be taken.

        `headers` names are lower case; `now` is used only where the wire format relates to it.
        Raises BadBody when nothing of it can be read. Never raises anything else, whatever the bytes.
        """


@dataclass(frozen=True, slots=True)
class Tools:
    """What a channel is given to work with."""

    http: Http
    mail: Mail
    clock: Clock
    chance: Chance
    show: Callable[[str], None]  # prints on the daemon's terminal; console only


class Channel(Protocol):
    """One configured way to reach people."""

    async def send(self, message: Message, gate: Gate) -> Outcome:
        """One attempt. Calls the gate (through its transport) before the first byte; never retries.

        Raises nothing but cancellation: every trouble is an Outcome.
        """

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        """What the provider knows of this attempt by its own mark; None: it cannot tell.
        Only called where `confirms` is "lookup"."""


class ChannelKind(Protocol):
    """One kind of channel, as a module in the entry-point group `tocsin.channels` gives it."""

    type: str
    title: str
    options: Mapping[str, Option]
    address: Literal["phone", "email", "text"]
    throttle: Literal["sms", "voice", "mail", "chat", ""]  # which default limits apply
    confirms: Literal["callback", "lookup", "nothing"]
    interactive: bool  # whether an answer comes back through it

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        """A channel ready to send; raises nothing, connects to nothing."""


# ----------------------------------------------------------------------------------------- store

EVERY_RANK = 1 << 30
"""Above the rank of whatever waits to be sent."""


@dataclass(frozen=True, slots=True)
class Door:
    """A provider's message, so that a second delivery of it changes nothing."""

    door: str
    message_id: str


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    status: tuple[str, ...] = ()  # Status names; "open" is spelled out by the caller
    service: str | None = None
    text: str | None = None  # in title, key or number, case-insensitive


class Stand(NamedTuple):
    """Where a silence, override or swap stands in a list: by an instant of it, then by its id."""

    at: Instant
    id: str


class Place(NamedTuple):
    """Where an incident stands in a list by urgency."""

    priority: str
    answered: bool
    number: int


@dataclass(frozen=True, slots=True)
class Standing:
    """How things stand with some alerts before they are decided."""

    open: dict[tuple[str, str], StoredAlert]
    tombstones: dict[tuple[str, str], Tombstone]
    latest: dict[str, Incident]


class Tx(Protocol):
    """One write transaction.

    Reads see everything committed and everything this transaction wrote. Incidents read through it
    are locked against other writers until the end (PostgreSQL: row locks; SQLite: the one writer).
    `add_*` and `save_*` are buffered, applied in the order called, at the next read or at commit.
    """

    # facts, locked
    async def lock_keys(self, keys: Sequence[str]) -> None:
        """Until commit no other transaction holding one of these keys runs. Sorted inside; call once, first."""

    async def open_alerts(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredAlert]:
        """Open (firing) alerts by (integration, source_key)."""

    async def minted(self, integration: str, body_hash: str, now: Instant) -> str | None:
        """The key minted for the same bytes in the last two minutes."""

    async def standing(
        self, alerts: Sequence[tuple[str, str]], dated: Sequence[tuple[str, str]], keys: Sequence[str], now: Instant
    ) -> Standing:
        """Open alerts of the identities `alerts`, the ends of the identities `dated` that still hold, and the newest
        incident of each group key, whatever its status; asked together."""

    async def incidents(self, numbers: Sequence[int]) -> dict[int, Incident]:
        """By number; unknown numbers are absent."""

    async def firing_alerts(self, incident: int) -> list[StoredAlert]:
        """Its firing alerts, oldest first."""

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        """The one that opened each of these incidents, if it fires, and at most `limit` others; oldest first."""

    async def alerts(self, ids: Sequence[int]) -> dict[int, StoredAlert]:
        """By id, locked; unknown ids are absent."""

    async def tallied(self, asked: Mapping[str, Instant]) -> dict[str, list[tuple[Instant, int, str]]]:
        """What is counted under each name after an instant: (when, alert, what), oldest first. Hold a key that all
        who count under this name hold (`lock_keys`)."""

    async def forget_tallies(self, before: Instant, limit: int) -> int:
        """Forget up to `limit` of what was counted before; how many there were."""

    async def due_incidents(self, now: Instant, limit: int) -> list[Incident]:
        """Whose `due_at` <= now: P1 first, then the oldest due. PostgreSQL: skips rows locked elsewhere."""

    async def due_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        """Firing alerts whose `expires_at` <= now, oldest first."""

    async def due_pages(self, channel: str, now: Instant, limit: int) -> list[Page]:
        """Planned pages of this channel with `due_at` <= now, by (rank, due_at, id). Not locked: load their
        incidents, then ask `pages` for them where others write too."""

    async def late_pages(self, channel: str, user: str, until: Instant, limit: int) -> list[Page]:
        """Planned pages (kind "page") of this person on this channel that were put off, due by `until`; not locked."""

    async def count_late_pages(self, channel: str, user: str, until: Instant) -> int:
        """How many these are."""

    async def put_off(
        self, channel: str, user: str, now: Instant, at: Instant, because: str, delayed: str, but: Sequence[int]
    ) -> int:
        """All pages of this person on this channel that are due, but for those of the ranks `but`, wait until `at`;
        each that was not put off before gets a line in its timeline. How many lines."""

    async def planned_channels(self) -> list[str]:
        """The names of the channels that planned pages wait for, whenever they are due. Not locked."""

    async def pages(self, ids: Sequence[str]) -> dict[str, Page]: ...

    async def pages_of(self, incident: int, cycle: int | None = None) -> list[Page]:
        """All pages of the incident (and cycle), oldest first."""

    async def unsent_pages(self, incidents: Sequence[int]) -> list[Page]:
        """Pages of kind "page" with status planned or waiting."""

    async def attempt(self, id: str) -> Attempt | None: ...

    async def attempts(self, ids: Sequence[str]) -> dict[str, Attempt]: ...

    async def attempts_of(self, page: str) -> list[Attempt]: ...

    async def carried_by(self, attempt: Attempt) -> list[Attempt]:
        """The bundled attempts of pages that travel in this attempt's summary."""

    async def unconfirmed(self, now: Instant, limit: int) -> list[Attempt]:
        """Unknown attempts with confirm_by <= now whose page is `waiting`."""

    async def sent_since(self, user: str, channel: str, since: Instant, kinds: Collection[str] = ()) -> list[Instant]:
        """When attempts to this person over this channel were started, cancelled and failed ones left out;
        with `kinds` only those for pages of these kinds."""

    async def swap_meta(self, name: str, before: str | None, after: str) -> bool:
        """Another value in the place of `before` (None: there is none yet); False where it is not there any more."""

    def shift_civil(self, by: Millis, now: Instant) -> None:
        """Move what was meant in civil time and is not over: silences, overrides, swaps, deadlines of crontabs."""

    async def page_keys(self, keys: Sequence[str]) -> set[str]:
        """Those of these page keys that a page has, whatever became of it."""

    async def contact_state(self, kind: str, address: str) -> ContactState | None: ...

    async def verification(self, user: str, kind: str, address: str) -> Verification | None:
        """What is known of this person's address; locked where others write too."""

    async def silences(self, now: Instant) -> list[Silence]:
        """Those active at `now`."""

    async def silence(self, id: str) -> Silence | None: ...

    async def overrides(self, since: Instant) -> list[MadeOverride]:
        """Those that end after `since`, taken back or not, in the order they were made."""

    async def override(self, id: str) -> MadeOverride | None: ...

    async def swap(self, id: str) -> Swap | None:
        """Locked until the end: of an acceptance and a withdrawal at once one sees the other."""

    async def inhibitors(self) -> list[StoredAlert]:
        """Firing alerts that were kept as the source of an inhibition."""

    async def open_slice(self, after: tuple[str, str], limit: int) -> list[StoredAlert]:
        """Open alerts behind this (integration, source_key), in that order."""

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        """Open P1 and P2 incidents of these services, by number, and open ones of these numbers. Not locked."""

    async def begin_window(self, name: str, starts_at: Instant, phase: str) -> bool:
        """Whether nobody has told of this beginning or end of a maintenance window before; from now on somebody has."""

    async def answers_to(self, door: Door) -> str | None:
        """What was answered to this provider message before; None: it is new."""

    async def replies_since(self, address: str, since: Instant) -> int:
        """How many automatic replies went to this address."""

    async def pages_to(self, address: str, since: Instant) -> list[tuple[Page, Attempt]]:
        """Pages that went to this address since then, newest first. Whose answer this may be."""

    async def beats(self) -> dict[str, Beat]:
        """Every heartbeat by name, locked where others write too."""

    async def storms(self, scopes: Sequence[str]) -> dict[str, Storm]:
        """How it stands with these scopes, held until the end where others write too. Ask for them last.

        Empty where somebody else holds one of them and does not let go: nobody waits long for a count.
        """

    async def storms_seen(self, scopes: Sequence[str]) -> dict[str, Storm]:
        """The same, not held; scopes nothing is known of are absent."""

    async def incidents_seen(self, numbers: Sequence[int]) -> dict[int, Incident]:
        """By number, and not locked: what is decided by it must bear being some moments old."""

    async def taken_in(self, storm: int, muted_by: str, limit: int) -> list[Incident]:
        """Triggered incidents that this storm took in and that are muted by this: P1 first, then in order."""

    # numbers
    async def next_numbers(self, count: int) -> range:
        """Incident numbers, ascending; gaps are allowed, repeats are not."""

    async def next_alert_ids(self, count: int) -> range: ...

    async def next_post_ids(self, count: int) -> range: ...

    # changes, buffered
    def add_posts(self, posts: Sequence[Post]) -> None: ...
    def add_alerts(self, alerts: Sequence[StoredAlert]) -> None: ...
    def save_alerts(self, alerts: Sequence[StoredAlert]) -> None: ...
    def add_incidents(self, incidents: Sequence[Incident]) -> None: ...
    def save_incidents(self, incidents: Sequence[Incident]) -> None: ...
    def add_arrivals(self, arrivals: Sequence[Arrival]) -> None:
        """Each an alert and the incident it opens; the same rows as by `add_alerts` and `add_incidents`."""

    def add_incident_keys(self, keys: Sequence[tuple[str, int, Instant | None]]) -> None:
        """(key, incident, joins_until); an older incident's claim on the key is replaced."""

    def add_pages(self, pages: Sequence[Page]) -> None:
        """A page whose key exists already is left as it is, silently (I3)."""

    def save_pages(self, pages: Sequence[Page]) -> None: ...
    def add_attempts(self, attempts: Sequence[Attempt]) -> None: ...
    def save_attempts(self, attempts: Sequence[Attempt]) -> None: ...
    def add_entries(self, entries: Sequence[Entry]) -> None: ...
    def add_tombstones(self, rows: Sequence[Tombstone]) -> None:
        """Inserts, or replaces that of the same identity."""

    def add_tallies(self, rows: Sequence[tuple[str, Instant, int, str]]) -> None:
        """(name, when, alert, what) to be counted; the very same again changes nothing."""

    def add_minted(self, integration: str, body_hash: str, key: str, until: Instant) -> None: ...
    def add_policy_version(self, hash: str, name: str, body: str) -> None: ...
    def add_answer(self, door: Door, address: str, answer: str, at: Instant) -> None: ...
    def save_contact_state(self, state: ContactState) -> None: ...
    def save_verification(self, verification: Verification) -> None: ...
    def add_silence(self, silence: Silence) -> None:
        """Inserts, or replaces the one with the same id."""

    def save_beat(self, beat: Beat) -> None: ...
    def forget_beat(self, name: str) -> None: ...
    def save_storm(self, storm: Storm) -> None: ...
    def forget_storms(self, before: Instant) -> None:
        """Scopes without a storm that were last touched before."""

    def wake_taken_in(self, storm: int, muted_by: str, until: Instant, at: Instant) -> None:
        """Triggered incidents that this storm took in, are muted by this and were opened by `until`, fall due from
        `at` on: the most urgent first, two in a millisecond."""

    def save_feed(self, copy: FeedCopy) -> None:
        """Inserts, or replaces that of the same schedule."""

    def touch_feed(self, schedule: str, fetched_at: Instant | None, error: str, since: Instant | None) -> None:
        """How the last try went; what is kept of the feed stays as it is."""

    def add_override(self, override: MadeOverride) -> None:
        """Inserts, or replaces the one with the same id."""

    def add_swap(self, swap: Swap) -> None:
        """Inserts, or replaces the one with the same id."""

    def add_inhibitors(self, alerts: Sequence[int]) -> None:
        """Ids of firing alerts that are the source of an inhibition; once more changes nothing."""

    def add_related(self, rows: Sequence[Related]) -> None:
        """Once more changes nothing."""

    def add_changes(self, changes: Sequence[ChangeEvent]) -> None:
        """A second one of the same integration and key is passed over."""

    def add_token(self, token: Token) -> None: ...
    def save_token(self, token: Token) -> None: ...

    def touch_token(self, id: str, at: Instant) -> None:
        """It was used then. Changes nothing else of it, and never to an earlier time."""


class Store(Protocol):
    """Where everything that must survive is kept. One promise, two implementations.

    Every method raises StoreUnavailable when the database does not answer. Cancelling a caller of
    `write` never leaves a half-done transaction nor a held lock: the transaction runs to its end in a
    task of its own.
    """

    exclusive: bool
    """True when no other process can write (SQLite): what is cached in this process is the truth."""

    async def write(
        self,
        work: Callable[[Tx], Awaitable[T]],
        *,
        lane: Literal["urgent", "ingest"] = "urgent",
        paging: bool = False,
    ) -> T:
        """Run `work` in one transaction and return what it returned once it is durable.

        If `work` raises, nothing of it is kept and the error is raised here; others that shared the
        commit are not touched. Urgent work goes before ingest and never shares a transaction with it.
        Serialisation failures and Conflict are retried (at most 5 times) by running `work` again, so
        `work` must not have effects outside the transaction. What is `lost` raises StoreUnavailable, unless it
        is `paging`: pages that are due go out, whatever becomes of their rows.
        """

    def lost(self) -> str:
        """Why what is written now would be gone at the next start: the file was deleted or replaced. "": it is kept.

        Cheap, and asks anew each time.
        """

    # reads: a recent committed state, no locks
    async def incident(self, number: int) -> Incident | None:
        """`previous` of one that stands alone is looked up here: the newest of its key that had ended before it."""

    async def standing(self, number: int) -> Incident | None:
        """The incident as it stands, without looking `previous` up: what the gate asks for each call."""

    async def incidents(self, where: IncidentFilter, limit: int, before: int | None) -> list[Incident]:
        """Newest first; `before`: numbers below this one only."""

    async def urgent_incidents(self, where: IncidentFilter, limit: int, after: Place | None) -> list[Incident]:
        """Open ones by priority, then unanswered before answered, then the newest; those behind `after` only.

        `where.status` names open statuses only, at least one.
        """

    async def counted(self, tally: str, since: Instant) -> int:
        """How many different firings or changes are counted under a name after an instant."""

    async def open_alert(self, integration: str, source_key: str) -> StoredAlert | None:
        """The firing alert of this identity."""

    async def newest_of_key(self, key: str) -> Incident | None:
        """The newest incident of a key, whatever its status; without a lock."""

    async def newest_number(self) -> int:
        """The highest number given to an incident so far, 0 where there is none: the next one opened gets a higher
        one, mostly the very next."""

    async def incident_alerts(self, number: int, limit: int, after: int | None) -> list[StoredAlert]: ...

    async def posts(self, since: Instant, until: Instant, limit: int, after: int) -> list[Post]:
        """Bodies received from `since` until `until` (not included) with an id above `after`, by id."""

    async def alerts(
        self, *, integration: str | None, status: str | None, limit: int, before: int | None
    ) -> list[StoredAlert]: ...

    async def timeline(self, number: int, limit: int, after: int | None) -> list[Entry]:
        """Oldest first. The opening is a row the reader makes from the incident itself."""

    async def pages(self, number: int, limit: int = ..., after: int = ...) -> list[tuple[Page, list[Attempt]]]:
        """An incident's pages, the oldest first, with their attempts: at most `limit`, behind the first `after`."""

    async def summaries(self, number: int) -> set[str]:
        """Those of an incident's attempts that went out as one message with pages of other incidents."""

    async def page(self, id: str) -> Page | None: ...

    async def attempt(self, id: str) -> Attempt | None: ...

    async def attempts_of(self, page: str) -> list[Attempt]:
        """In the order they were made."""

    async def sent(self, channel: str, since: Instant, limit: int) -> list[tuple[str, Instant]]:
        """(user, or "" for a channel target; when) of pages' attempts over this channel, what is no page and
        cancelled and failed ones left out, the newest first."""

    async def policy_version(self, hash: str) -> str | None: ...

    async def silences(self, *, active_at: Instant | None, limit: int) -> list[Silence]: ...

    async def silence(self, id: str) -> Silence | None: ...

    async def silences_made(self, live_at: Instant | None, limit: int, after: Stand | None) -> list[Silence]:
        """Newest first, behind the one given; with `live_at` only those that have not ended by then."""

    async def silences_by_end(self, limit: int, after: Stand) -> list[Silence]:
        """The one that ends first is first, behind the one given."""

    async def silences_ended(self, by: Instant, limit: int) -> list[Silence]:
        """Those that have ended by then, the last one first."""

    async def inhibitors(self) -> list[StoredAlert]:
        """As `Tx.inhibitors`."""

    async def firing_in(self, incidents: Sequence[int], after: tuple[int, int], limit: int) -> list[StoredAlert]:
        """Firing alerts of these incidents, the newest incident first, oldest alert first; at most `limit`, behind the
        (incident, alert) given; (0, 0): from the start."""

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        """As `Tx.oldest_firing`."""

    async def firing_of(self, incidents: Sequence[int]) -> dict[int, list[StoredAlert]]:
        """The firing alerts of each of these incidents, oldest first."""

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        """As `Tx.down`."""

    async def waiting_for(self, muted_by: str, limit: int) -> list[str]:
        """The services of open incidents that this keeps quiet, by name."""

    async def related(self, incident: int, limit: int) -> list[Related]:
        """What has to do with an incident, in the order it was found."""

    async def changes(self, since: Instant, until: Instant, *, service: str | None, limit: int) -> list[ChangeEvent]:
        """From `since` until `until`, both included, newest first; of one service where one is given."""

    async def contact_states(self) -> list[ContactState]:
        """What was learnt of every address."""

    async def verifications(self) -> list[Verification]:
        """Of every person and address that a code was ever sent to."""

    async def overrides(self, since: Instant, schedule: str | None = None) -> list[MadeOverride]:
        """Those that end after `since` (0: all that are kept), taken back or not, in the order they were made."""

    async def overrides_made(
        self, schedule: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[MadeOverride]:
        """In the order they were made, behind the one given; with `live_at` only those that count then, or will."""

    async def swaps_made(
        self, schedule: str | None, user: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[Swap]:
        """In the order they were asked for, behind the one given; `user` asked, or was asked. With `live_at` only those
        that wait for an answer then, and those accepted whose shifts are not over.
        """

    async def swaps(self, since: Instant) -> list[Swap]:
        """Those with a shift that ends after `since`, in the order they were asked for."""

    async def tokens(self) -> list[Token]: ...

    async def beats(self) -> list[Beat]: ...

    async def storms(self) -> list[Storm]: ...

    async def members(self, storm: int, limit: int, after: int | None) -> list[Incident]:
        """The incidents this storm took in, in order, above a number."""

    async def feeds(self) -> list[FeedCopy]:
        """The last good copy of every schedule's feed, and how it went since."""

    async def next_due(self) -> Instant | None:
        """The earliest of incidents' due_at and firing alerts' expires_at: what the timers wait for."""

    async def next_due_page(self, channel: str, below: int = EVERY_RANK) -> Instant | None:
        """The earliest due_at of this channel's planned pages with a rank below `below`."""

    async def next_confirmation(self) -> Instant | None:
        """The earliest confirm_by of unknown attempts whose page is `waiting`."""

    async def open_intents(self, limit: int) -> list[tuple[str, str, Instant]]:
        """(attempt, owner, started_at) of calls that were begun and have no outcome, the oldest first; not held."""

    async def counts(self) -> Counts: ...

    async def open_keys(self) -> AsyncIterator[tuple[str, str, int, int, int | None]]:
        """(integration, source_key, alert id, content hash, incident) of every firing alert: fills the cache."""

    async def live_tombstones(self, now: Instant) -> list[Tombstone]:
        """All that still hold: fills the cache."""

    async def tombstone(self, integration: str, source_key: str) -> Tombstone | None:
        """The end of this identity, whether it holds or not."""

    async def waiting_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        """Alerts whose wait is over (`waits_until` <= now), the longest overdue first."""

    async def next_waiting(self) -> Instant | None:
        """When the next wait is over."""

    async def meta(self, name: str) -> str | None: ...

    async def set_meta(self, name: str, value: str) -> None: ...

    async def add_meta(self, name: str, value: str) -> None:
        """The same, unless there is a value of that name: of two who do this at once, both find the same afterwards."""

    async def repeated_posts(self, after: int, limit: int) -> list[Post]:
        """Posts with repeats, after the one of that id, oldest first."""

    async def flush_repeats(self, rows: Sequence[Repeated], counted: int | None = None) -> None:
        """Counts of pure repeats. `counted`: the last post they include, remembered with them as the meta value
        "repeats_counted"."""

    async def prune(self, alerts_before: Instant, incidents_before: Instant, limit: int) -> int:
        """Delete at most `limit` old rows; 0 when nothing is left to delete."""

    async def hold(self, owner: str) -> None:
        """From now until this process ends `owner` counts as alive on every replica. Called again: looked after."""

    async def alive(self, owners: Collection[str]) -> set[str]:
        """Those of `owners` that a living process holds. What a killed one held is free within a moment."""

    async def check(self) -> None:
        """A write that is rolled back or trivial; raises StoreUnavailable. For readiness."""

    async def close(self) -> None:
        """Waits for what is under way, checkpoints, closes the writer last, releases the lock file."""


@dataclass(frozen=True, slots=True)
class Counts:
    """Gauges for /metrics, read in one go."""

    incidents: Mapping[tuple[str, str], int]  # (status, priority) of open ones
    open_alerts: int
    due_timers: int  # due and not yet run at `now`
    open_intents: int
    oldest_due: Instant | None


# ------------------------------------------------------------------------------- settings, by whom


class Live(Protocol):
    """The configuration in force. Read `.settings` anew for each decision: a reload replaces it whole."""

    @property
    def settings(self) -> Any: ...
