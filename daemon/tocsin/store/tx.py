"""What may a piece of work read and change inside its transaction?

`Transaction` is `contracts.Tx` for both databases. Changes wait in a `Changes` until the next read
or the commit, and then travel with it in one hop.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, cast

import orjson

from tocsin.contracts import Door, Standing
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
    MadeOverride,
    Millis,
    Page,
    Post,
    Related,
    Silence,
    StoredAlert,
    Storm,
    Swap,
    Token,
    Tombstone,
    Verification,
)
from tocsin.store.arrivals import alert_of, alert_row, incident_of, incident_row
from tocsin.store.rows import (
    ALERT,
    ATTEMPT,
    BEAT,
    CONTACT_STATE,
    INCIDENT,
    OVERRIDE,
    PAGE,
    SILENCE,
    STORM,
    SWAP,
    TOMBSTONE,
    VERIFICATION,
    Row,
)

V = TypeVar("V")
EVERYTHING = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Change:
    """Values for one named insert, or one set of arguments for any other statement."""

    name: str
    values: list[Any]


@dataclass(slots=True)
class Changes:
    """What is not yet in the database: for each table the changes in the order they were asked for.

    Tables do not depend on each other, so gathering by table keeps every promise and needs few
    statements however finely the caller mixed its calls.
    """

    by_table: dict[str, list[Change]] = field(default_factory=dict)

    def insert(self, table: str, name: str, values: Sequence[Any]) -> None:
        if not values:
            return
        waiting = self.by_table.setdefault(table, [])
        if waiting and waiting[-1].name == name:
            waiting[-1].values.extend(values)
        else:
            waiting.append(Change(name, list(values)))

    def run(self, table: str, name: str, *args: Any) -> None:
        self.by_table.setdefault(table, []).append(Change(name, list(args)))

    def take(self) -> list[Change]:
        """All of them, once."""
        taken = [change for changes in self.by_table.values() for change in changes]
        self.by_table.clear()
        return taken


class Session(Protocol):
    """One open transaction of one database.

    `narrow`: it has statements for arrivals that bind only what varies.
    """

    narrow: ClassVar[bool]

    async def ask(self, changes: list[Change], name: str, args: Sequence[Any]) -> list[Row]:
        """Apply `changes`, then answer the named query."""

    async def ask_all(self, changes: list[Change], asked: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Row]]:
        """The same for several queries, in as few hops as the database allows."""

    async def lock(self, keys: Sequence[str]) -> None:
        """Hold these keys until the end."""

    async def numbers(self, kind: str, count: int) -> range:
        """`count` fresh ascending numbers for "incident", "alert" or "post"."""

    def pairs(self, keys: Sequence[tuple[str, str]]) -> tuple[Any, ...]:
        """The arguments that carry these pairs into a query."""


class Transaction:
    """See `contracts.Tx` for what is promised."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.changes = Changes()

    async def ask(self, name: str, *args: Any) -> list[Row]:
        """Any named query, after the changes so far."""
        return await self._session.ask(self.changes.take(), name, args)

    # facts, locked

    async def lock_keys(self, keys: Sequence[str]) -> None:
        await self._session.lock(keys)

    async def standing(
        self, alerts: Sequence[tuple[str, str]], dated: Sequence[tuple[str, str]], keys: Sequence[str], now: Instant
    ) -> Standing:
        asked: list[tuple[str, Sequence[Any]]] = [
            ("open_alerts", self._session.pairs(alerts)),
            ("tombstones", (*self._session.pairs(dated), now)),
            ("latest_by_key", (list(keys),)),
        ]
        wanted = [bool(alerts), bool(dated), bool(keys)]
        answers = iter(
            await self._session.ask_all(
                self.changes.take(), [one for one, want in zip(asked, wanted, strict=True) if want]
            )
        )
        rows = [next(answers) if want else [] for want in wanted]
        return Standing(_by_pair(rows[0]), _ends(rows[1]), _by_key(rows[2]))

    async def open_alerts(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredAlert]:
        return _by_pair(await self.ask("open_alerts", *self._session.pairs(keys))) if keys else {}

    async def minted(self, integration: str, body_hash: str, now: Instant) -> str | None:
        return only(await self.ask("minted", integration, body_hash, now), str)

    async def incidents(self, numbers: Sequence[int]) -> dict[int, Incident]:
        if not numbers:
            return {}
        found = INCIDENT.values(await self.ask("incidents", list(numbers)))
        return {incident.number: incident for incident in found}

    async def firing_alerts(self, incident: int) -> list[StoredAlert]:
        return ALERT.values(await self.ask("firing_alerts", incident))

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        rows = await self.ask("oldest_firing", list(incidents), limit) if incidents else []
        return by_incident(incidents, ALERT.values(rows))

    async def alerts(self, ids: Sequence[int]) -> dict[int, StoredAlert]:
        if not ids:
            return {}
        return {alert.id: alert for alert in ALERT.values(await self.ask("alerts_by_id", sorted(ids)))}

    async def tallied(self, asked: Mapping[str, Instant]) -> dict[str, list[tuple[Instant, int, str]]]:
        if not asked:
            return {}
        found: dict[str, list[tuple[Instant, int, str]]] = {tally: [] for tally in asked}
        pairs = self._session.pairs([(tally, str(since)) for tally, since in asked.items()])
        for tally, at, alert, what in await self.ask("tallied", *pairs):
            found[tally].append((at, alert, what))
        return found

    async def due_incidents(self, now: Instant, limit: int) -> list[Incident]:
        return INCIDENT.values(await self.ask("due_incidents", now, limit))

    async def due_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        return ALERT.values(await self.ask("due_alerts", now, limit))

    async def due_pages(self, channel: str, now: Instant, limit: int) -> list[Page]:
        return PAGE.values(await self.ask("due_pages", channel, now, limit))

    async def late_pages(self, channel: str, user: str, until: Instant, limit: int) -> list[Page]:
        return PAGE.values(await self.ask("late_pages", channel, user, until, limit))

    async def count_late_pages(self, channel: str, user: str, until: Instant) -> int:
        return only(await self.ask("late_pages_counted", channel, user, until), int) or 0

    async def put_off(
        self, channel: str, user: str, now: Instant, at: Instant, because: str, delayed: str, but: Sequence[int]
    ) -> int:
        detail = orjson.dumps({"user": user, "until": at}).decode()
        told = await self.ask("tell_put_off", channel, user, now, because, detail, list(but))
        await self.ask("put_off", channel, user, now, at, delayed, list(but))
        return len(told)

    async def planned_channels(self) -> list[str]:
        return [row[0] for row in await self.ask("planned_channels")]

    async def pages(self, ids: Sequence[str]) -> dict[str, Page]:
        if not ids:
            return {}
        return {page.id: page for page in PAGE.values(await self.ask("pages", list(ids)))}

    async def pages_of(self, incident: int, cycle: int | None = None) -> list[Page]:
        return PAGE.values(await self.ask("pages_of", incident, cycle))

    async def unsent_pages(self, incidents: Sequence[int]) -> list[Page]:
        if not incidents:
            return []
        return PAGE.values(await self.ask("unsent_pages", list(incidents)))

    async def attempt(self, id: str) -> Attempt | None:
        return first(ATTEMPT.values(await self.ask("attempt", id)))

    async def attempts(self, ids: Sequence[str]) -> dict[str, Attempt]:
        return {one.id: one for one in ATTEMPT.values(await self.ask("attempts", list(ids)))} if ids else {}

    async def attempts_of(self, page: str) -> list[Attempt]:
        return ATTEMPT.values(await self.ask("attempts_of", page))

    async def carried_by(self, attempt: Attempt) -> list[Attempt]:
        return ATTEMPT.values(await self.ask("carried_by", attempt.address, attempt.started_at, attempt.id))

    async def unconfirmed(self, now: Instant, limit: int) -> list[Attempt]:
        return ATTEMPT.values(await self.ask("unconfirmed", now, limit))

    async def sent_since(self, user: str, channel: str, since: Instant, kinds: Collection[str] = ()) -> list[Instant]:
        rows = await self.ask("sent_since", user, channel, since)
        return [at for at, kind in rows if not kinds or kind in kinds]

    async def swap_meta(self, name: str, before: str | None, after: str) -> bool:
        if before is None:
            self.changes.insert("meta", "add_meta", [(name, after)])
            return True
        return bool(await self.ask("swap_meta", name, before, after))

    def shift_civil(self, by: Millis, now: Instant) -> None:
        for table in ("silences", "overrides", "swaps"):
            self.changes.run(table, f"shift_{table}", by, now)
        self.changes.run("heartbeats", "shift_beats", by, now)

    async def page_keys(self, keys: Sequence[str]) -> set[str]:
        return {row[0] for row in await self.ask("page_keys", list(keys))} if keys else set()

    async def contact_state(self, kind: str, address: str) -> ContactState | None:
        return first(CONTACT_STATE.values(await self.ask("contact_state", kind, address)))

    async def verification(self, user: str, kind: str, address: str) -> Verification | None:
        return first(VERIFICATION.values(await self.ask("verification", user, kind, address)))

    async def silences(self, now: Instant) -> list[Silence]:
        return SILENCE.values(await self.ask("active_silences", now, EVERYTHING))

    async def silence(self, id: str) -> Silence | None:
        return first(SILENCE.values(await self.ask("silence", id)))

    async def overrides(self, since: Instant) -> list[MadeOverride]:
        return OVERRIDE.values(await self.ask("overrides", since, None))

    async def override(self, id: str) -> MadeOverride | None:
        return first(OVERRIDE.values(await self.ask("override", id)))

    async def swap(self, id: str) -> Swap | None:
        return first(SWAP.values(await self.ask("swap", id)))

    async def inhibitors(self) -> list[StoredAlert]:
        return ALERT.values(await self.ask("inhibitors"))

    async def open_slice(self, after: tuple[str, str], limit: int) -> list[StoredAlert]:
        return ALERT.values(await self.ask("open_slice", *after, limit))

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        found = INCIDENT.values(await self.ask("down", list(services))) if services else []
        return found + (INCIDENT.values(await self.ask("open_of", list(numbers))) if numbers else [])

    async def begin_window(self, name: str, starts_at: Instant, phase: str) -> bool:
        return bool(await self.ask("begin_window", name, starts_at, phase))

    async def answers_to(self, door: Door) -> str | None:
        return only(await self.ask("answers_to", door.door, door.message_id), str)

    async def replies_since(self, address: str, since: Instant) -> int:
        return only(await self.ask("replies_since", address, since), int) or 0

    async def pages_to(self, address: str, since: Instant) -> list[tuple[Page, Attempt]]:
        width = len(PAGE.columns)
        rows = await self.ask("pages_to", address, since)
        return [(PAGE.value(row[:width]), ATTEMPT.value(row[width:])) for row in rows]

    async def beats(self) -> dict[str, Beat]:
        return {one.name: one for one in BEAT.values(await self.ask("beats"))}

    async def storms(self, scopes: Sequence[str]) -> dict[str, Storm]:
        if not scopes:
            return {}
        held = await self.ask("hold_storms", sorted(scopes))
        if held and not held[0][0]:
            return {}
        return {one.scope: one for one in STORM.values(await self.ask("storms", list(scopes)))}

    async def storms_seen(self, scopes: Sequence[str]) -> dict[str, Storm]:
        return {one.scope: one for one in STORM.values(await self.ask("storms_seen", list(scopes)))} if scopes else {}

    async def incidents_seen(self, numbers: Sequence[int]) -> dict[int, Incident]:
        if not numbers:
            return {}
        return {one.number: one for one in INCIDENT.values(await self.ask("incidents_seen", list(numbers)))}

    async def taken_in(self, storm: int, muted_by: str, limit: int) -> list[Incident]:
        return INCIDENT.values(await self.ask("taken_in", storm, muted_by, limit))

    # numbers

    async def next_numbers(self, count: int) -> range:
        return await self._session.numbers("incident", count)

    async def next_alert_ids(self, count: int) -> range:
        return await self._session.numbers("alert", count)

    async def next_post_ids(self, count: int) -> range:
        return await self._session.numbers("post", count)

    # changes, buffered

    def add_posts(self, posts: Sequence[Post]) -> None:
        self.changes.insert("posts", "add_posts", posts)

    def add_alerts(self, alerts: Sequence[StoredAlert]) -> None:
        self.changes.insert("alerts", "add_alerts", alerts)

    def save_alerts(self, alerts: Sequence[StoredAlert]) -> None:
        self.changes.insert("alerts", "save_alerts", alerts)

    def add_incidents(self, incidents: Sequence[Incident]) -> None:
        self.changes.insert("incidents", "add_incidents", incidents)

    def save_incidents(self, incidents: Sequence[Incident]) -> None:
        self.changes.insert("incidents", "save_incidents", incidents)

    def add_arrivals(self, arrivals: Sequence[Arrival]) -> None:
        if self._session.narrow:
            self.changes.insert("alerts", "add_arrived_alerts", list(map(alert_row, arrivals)))
            self.changes.insert("incidents", "add_arrived_incidents", list(map(incident_row, arrivals)))
        else:
            self.add_alerts(list(map(alert_of, arrivals)))
            self.add_incidents(list(map(incident_of, arrivals)))

    def add_incident_keys(self, keys: Sequence[tuple[str, int, Instant | None]]) -> None:
        self.changes.insert("incident_keys", "add_incident_keys", keys)

    def add_pages(self, pages: Sequence[Page]) -> None:
        self.changes.insert("pages", "add_pages", pages)

    def save_pages(self, pages: Sequence[Page]) -> None:
        self.changes.insert("pages", "save_pages", pages)

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        self.changes.insert("attempts", "add_attempts", attempts)

    def save_attempts(self, attempts: Sequence[Attempt]) -> None:
        self.changes.insert("attempts", "save_attempts", attempts)

    def add_entries(self, entries: Sequence[Entry]) -> None:
        self.changes.insert("timeline", "add_entries", entries)

    def add_tombstones(self, rows: Sequence[Tombstone]) -> None:
        self.changes.insert("tombstones", "save_tombstones", rows)

    def add_tallies(self, rows: Sequence[tuple[str, Instant, int, str]]) -> None:
        self.changes.insert("tallies", "add_tallies", rows)

    async def forget_tallies(self, before: Instant, limit: int) -> int:
        return len(await self.ask("prune_tallies", before, limit))

    def add_minted(self, integration: str, body_hash: str, key: str, until: Instant) -> None:
        self.changes.insert("minted", "add_minted", [(integration, body_hash, key, until)])

    def add_policy_version(self, hash: str, name: str, body: str) -> None:
        self.changes.insert("policy_versions", "add_policy_version", [(hash, name, body)])

    def add_answer(self, door: Door, address: str, answer: str, at: Instant) -> None:
        self.changes.insert("inbound", "add_answer", [(door.door, door.message_id, address, answer, at)])

    def save_contact_state(self, state: ContactState) -> None:
        self.changes.insert("contacts_state", "save_contact_state", [state])

    def save_verification(self, verification: Verification) -> None:
        self.changes.insert("contacts_verified", "save_verification", [verification])

    def add_silence(self, silence: Silence) -> None:
        self.changes.insert("silences", "add_silence", [silence])

    def save_beat(self, beat: Beat) -> None:
        self.changes.insert("heartbeats", "save_beat", [beat])

    def forget_beat(self, name: str) -> None:
        self.changes.run("heartbeats", "forget_beat", name)

    def save_storm(self, storm: Storm) -> None:
        self.changes.insert("storms", "save_storm", [storm])

    def forget_storms(self, before: Instant) -> None:
        self.changes.run("storms", "forget_storms", before)

    def wake_taken_in(self, storm: int, muted_by: str, until: Instant, at: Instant) -> None:
        self.changes.run("incidents", "wake_taken_in", storm, muted_by, until, at)

    def save_feed(self, copy: FeedCopy) -> None:
        self.changes.insert("feeds", "save_feed", [copy])

    def touch_feed(self, schedule: str, fetched_at: Instant | None, error: str, since: Instant | None) -> None:
        self.changes.run("feeds", "touch_feed", schedule, fetched_at, error, since)

    def add_override(self, override: MadeOverride) -> None:
        self.changes.insert("overrides", "add_override", [override])

    def add_swap(self, swap: Swap) -> None:
        self.changes.insert("swaps", "add_swap", [swap])

    def add_inhibitors(self, alerts: Sequence[int]) -> None:
        self.changes.insert("inhibitors", "add_inhibitors", [(alert,) for alert in alerts])

    def add_related(self, rows: Sequence[Related]) -> None:
        self.changes.insert("related", "add_related", [tuple(row) for row in rows])

    def add_changes(self, changes: Sequence[ChangeEvent]) -> None:
        self.changes.insert("changes", "add_changes", changes)

    def add_token(self, token: Token) -> None:
        self.changes.insert("tokens", "add_token", [token])

    def touch_token(self, id: str, at: Instant) -> None:
        self.changes.run("tokens", "touch_token", id, at)

    def save_token(self, token: Token) -> None:
        self.changes.insert("tokens", "save_token", [token])


def first(values: list[V]) -> V | None:
    return values[0] if values else None


def only(rows: list[Row], kind: Callable[..., V]) -> V | None:
    """The single value of a query that finds at most one row of one column; `kind` names its type."""
    return cast(V, rows[0][0]) if rows else None


def by_incident(incidents: Sequence[int], alerts: Sequence[StoredAlert]) -> dict[int, list[StoredAlert]]:
    found: dict[int, list[StoredAlert]] = {number: [] for number in incidents}
    for alert in alerts:
        if alert.incident is not None:
            found[alert.incident].append(alert)
    return found


def _by_pair(rows: list[Row]) -> dict[tuple[str, str], StoredAlert]:
    return {(alert.integration, alert.source_key): alert for alert in ALERT.values(rows)}


def _ends(rows: list[Row]) -> dict[tuple[str, str], Tombstone]:
    return {(end.integration, end.source_key): end for end in TOMBSTONE.values(rows)}


def _by_key(rows: list[Row]) -> dict[str, Incident]:
    return {row[0]: INCIDENT.value(row[1:]) for row in rows}
