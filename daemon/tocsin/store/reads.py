"""What can be seen without a transaction? Every read of `contracts.Store`, over one `_look`.

Both stores inherit from `Reads`; each says how a named query is answered from a recent committed state.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import replace
from typing import Any, TypeVar

from tocsin.contracts import EVERY_RANK, Clock, Counts, IncidentFilter, Place, Stand
from tocsin.model import (
    OPEN,
    Attempt,
    Beat,
    ChangeEvent,
    ContactState,
    Entry,
    FeedCopy,
    Incident,
    Instant,
    MadeOverride,
    Page,
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
    later_start,
)
from tocsin.store.history import History
from tocsin.store.rows import (
    ALERT,
    ATTEMPT,
    BEAT,
    CHANGE,
    CONTACT_STATE,
    ENTRY,
    FEED,
    INCIDENT,
    OVERRIDE,
    PAGE,
    POST,
    SILENCE,
    STORM,
    SWAP,
    TOKEN,
    TOMBSTONE,
    VERIFICATION,
    Row,
)
from tocsin.store.tx import Transaction, by_incident, first, only

T = TypeVar("T")
SLICE = 5_000
BEYOND = 9_000_000_000_000_000_000  # above every number a database can give


FOR_PAGES = frozenset(
    {"next_due_page", "one_attempt", "one_incident", "next_confirmation", "next_due", "held", "what_became_of"}
)
"""The reads that pages wait for: they have a connection that nobody's long list keeps busy."""


class Reads(History):
    """The reading half of a store, and the small writes that need no decision."""

    _clock: Clock

    async def _look(self, name: str, *args: Any) -> list[Row]:
        """Answer a named query from a recent committed state."""
        raise NotImplementedError

    async def _search(self, name: str, *args: Any) -> list[Row]:
        """The same for one that may read all there ever was. Raises Refused where it takes too long."""
        raise NotImplementedError

    async def _write(self, work: Callable[[Transaction], Awaitable[T]], lane: str) -> T:
        """`Store.write`."""
        raise NotImplementedError

    async def incident(self, number: int) -> Incident | None:
        found = await self.standing(number)
        if found is None or found.grouped or found.previous is not None:
            return found
        before = only(await self._look("one_before", number), int)
        return found if before is None else replace(found, previous=before)

    async def standing(self, number: int) -> Incident | None:
        if not 0 < number < BEYOND:
            return None
        return first(INCIDENT.values(await self._look("one_incident", number)))

    async def incidents(self, where: IncidentFilter, limit: int, before: int | None) -> list[Incident]:
        only_open = bool(where.status) and OPEN.issuperset(where.status)
        text = where.text.strip().lower() if where.text else None
        among_few = text is None and (only_open or not (where.service or where.status))
        rows = await (self._look if among_few else self._search)(
            "list_open_incidents" if only_open else "list_incidents",
            below(before),
            where.service,
            f"%{escaped(text)}%" if text else None,
            text,
            "some" if where.status else None,
            list(where.status),
            limit,
        )
        return INCIDENT.values(rows)

    async def urgent_incidents(self, where: IncidentFilter, limit: int, after: Place | None) -> list[Incident]:
        text = where.text.strip().lower() if where.text else None
        rows = await (self._search if text else self._look)(
            "list_urgent_incidents",
            after.priority if after else "",
            int(after.answered) if after else 0,
            -after.number if after else 0,
            where.service,
            f"%{escaped(text)}%" if text else None,
            text,
            list(where.status),
            limit,
        )
        return INCIDENT.values(rows)

    async def incident_alerts(self, number: int, limit: int, after: int | None) -> list[StoredAlert]:
        return ALERT.values(await self._look("incident_alerts", number, after or 0, limit))

    async def counted(self, tally: str, since: Instant) -> int:
        return only(await self._look("counted", tally, since), int) or 0

    async def open_alert(self, integration: str, source_key: str) -> StoredAlert | None:
        return first(ALERT.values(await self._look("one_open_alert", integration, source_key)))

    async def newest_of_key(self, key: str) -> Incident | None:
        return first(INCIDENT.values(await self._look("newest_of_key", key)))

    async def newest_number(self) -> int:
        return only(await self._look("newest_number"), int) or 0

    async def alerts(
        self, *, integration: str | None, status: str | None, limit: int, before: int | None
    ) -> list[StoredAlert]:
        if status == "firing":
            return ALERT.values(await self._look("firing_now", below(before), integration, limit))
        ask = self._search if integration or status else self._look
        return ALERT.values(await ask("alerts", below(before), integration, status, limit))

    async def timeline(self, number: int, limit: int, after: int | None) -> list[Entry]:
        return ENTRY.values(await self._look("timeline", number, after or 0, limit))

    async def pages(self, number: int, limit: int = BEYOND, after: int = 0) -> list[tuple[Page, list[Attempt]]]:
        pages = PAGE.values(await self._look("list_pages", number, limit, after))
        made: dict[str, list[Attempt]] = {page.id: [] for page in pages}
        for ids in (list(made)[start : start + SLICE] for start in range(0, len(made), SLICE)):
            for attempt in ATTEMPT.values(await self._look("pages_with_attempts", ids)):
                made[attempt.page].append(attempt)
        return [(page, made[page.id]) for page in pages]

    async def summaries(self, number: int) -> set[str]:
        return {row[0] for row in await self._look("summaries", number)}

    async def page(self, id: str) -> Page | None:
        return first(PAGE.values(await self._look("one_page", id)))

    async def attempt(self, id: str) -> Attempt | None:
        return first(ATTEMPT.values(await self._look("one_attempt", id)))

    async def attempts_of(self, page: str) -> list[Attempt]:
        return ATTEMPT.values(await self._look("list_attempts_of", page))

    async def sent(self, channel: str, since: Instant, limit: int) -> list[tuple[str, Instant]]:
        return [(row[0], row[1]) for row in await self._look("sent_lately", channel, since, limit)]

    async def policy_version(self, hash: str) -> str | None:
        return only(await self._look("policy_version", hash), str)

    async def silences(self, *, active_at: Instant | None, limit: int) -> list[Silence]:
        if active_at is None:
            return SILENCE.values(await self._look("list_silences", limit))
        return SILENCE.values(await self._look("active_silences", active_at, limit))

    async def silence(self, id: str) -> Silence | None:
        return first(SILENCE.values(await self._look("silence", id)))

    async def silences_made(self, live_at: Instant | None, limit: int, after: Stand | None) -> list[Silence]:
        at, id = after or (BEYOND, "")
        return SILENCE.values(await self._look("silences_made", at, id, live_at, limit))

    async def silences_by_end(self, limit: int, after: Stand) -> list[Silence]:
        return SILENCE.values(await self._look("silences_by_end", *after, limit))

    async def silences_ended(self, by: Instant, limit: int) -> list[Silence]:
        return SILENCE.values(await self._look("silences_ended", by, limit))

    async def inhibitors(self) -> list[StoredAlert]:
        return ALERT.values(await self._look("inhibitors"))

    async def firing_in(self, incidents: Sequence[int], after: tuple[int, int], limit: int) -> list[StoredAlert]:
        return ALERT.values(await self._look("firing_in", list(incidents), *after, limit))

    async def firing_of(self, incidents: Sequence[int]) -> dict[int, list[StoredAlert]]:
        found: dict[int, list[StoredAlert]] = {number: [] for number in incidents}
        for alert in ALERT.values(await self._look("firing_of", list(incidents))) if incidents else ():
            if alert.incident is not None:
                found[alert.incident].append(alert)
        return found

    async def waiting_for(self, muted_by: str, limit: int) -> list[str]:
        return [row[0] for row in await self._look("waiting_for", muted_by, limit)]

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        rows = await self._look("oldest_firing", list(incidents), limit) if incidents else []
        return by_incident(incidents, ALERT.values(rows))

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        found = INCIDENT.values(await self._look("down", list(services))) if services else []
        return found + (INCIDENT.values(await self._look("open_of", list(numbers))) if numbers else [])

    async def related(self, incident: int, limit: int) -> list[Related]:
        return [Related(*row) for row in await self._look("related", incident, limit)]

    async def changes(self, since: Instant, until: Instant, *, service: str | None, limit: int) -> list[ChangeEvent]:
        return CHANGE.values(await self._look("changes", since, until, service, limit))

    async def contact_states(self) -> list[ContactState]:
        return CONTACT_STATE.values(await self._look("contact_states"))

    async def verifications(self) -> list[Verification]:
        return VERIFICATION.values(await self._look("verifications"))

    async def beats(self) -> list[Beat]:
        return BEAT.values(await self._look("list_beats"))

    async def storms(self) -> list[Storm]:
        return STORM.values(await self._look("list_storms"))

    async def members(self, storm: int, limit: int, after: int | None) -> list[Incident]:
        return INCIDENT.values(await self._look("members", storm, after or 0, limit))

    async def overrides(self, since: Instant, schedule: str | None = None) -> list[MadeOverride]:
        return OVERRIDE.values(await self._look("overrides", since, schedule))

    async def overrides_made(
        self, schedule: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[MadeOverride]:
        at, id = after or (-BEYOND, "")
        return OVERRIDE.values(await self._look("overrides_made", at, id, schedule, live_at, limit))

    async def swaps_made(
        self, schedule: str | None, user: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[Swap]:
        at, id = after or (-BEYOND, "")
        return SWAP.values(await self._look("swaps_made", at, id, schedule, user, live_at, limit))

    async def swaps(self, since: Instant) -> list[Swap]:
        return SWAP.values(await self._look("swaps", since))

    async def tokens(self) -> list[Token]:
        return TOKEN.values(await self._look("tokens"))

    async def feeds(self) -> list[FeedCopy]:
        return FEED.values(await self._look("feeds"))

    async def repeated_posts(self, after: int, limit: int) -> list[Post]:
        return POST.values(await self._look("repeated_posts", after, limit))

    async def posts(self, since: Instant, until: Instant, limit: int, after: int) -> list[Post]:
        after = after or await self._last_post_before(since)
        return POST.values(await self._look("posts_between", after, since, until, limit))

    async def _last_post_before(self, since: Instant) -> int:
        """An id below all that were received from `since` on; ids ascend with their arrival."""
        low, high = 0, only(await self._look("newest_post"), int) or 0
        while high - low > SLICE:
            middle = (low + high) // 2
            rows = await self._look("post_from", middle)
            if rows and rows[0][1] < since:
                low = middle
            else:
                high = middle
        return low

    async def live_tombstones(self, now: Instant) -> list[Tombstone]:
        return TOMBSTONE.values(await self._look("live_tombstones", now))

    async def tombstone(self, integration: str, source_key: str) -> Tombstone | None:
        return first(TOMBSTONE.values(await self._look("one_tombstone", integration, source_key)))

    async def waiting_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        return ALERT.values(await self._look("waiting_alerts", now, limit))

    async def next_waiting(self) -> Instant | None:
        return only(await self._look("next_waiting"), Instant)

    async def next_due(self) -> Instant | None:
        return only(await self._look("next_due"), Instant)

    async def next_due_page(self, channel: str, below: int = EVERY_RANK) -> Instant | None:
        return only(await self._look("next_due_page", channel, below), Instant)

    async def next_confirmation(self) -> Instant | None:
        return only(await self._look("next_confirmation"), Instant)

    async def open_intents(self, limit: int) -> list[tuple[str, str, Instant]]:
        return [(row[0], row[1], Instant(row[2])) for row in await self._look("open_intents", limit)]

    async def counts(self) -> Counts:
        now = self._clock.now()
        by_kind = {(status, priority): count for status, priority, count in await self._look("open_incidents_counted")}
        ((open_alerts, due_timers, open_intents, oldest_due),) = await self._look("gauges", now)
        return Counts(by_kind, open_alerts, due_timers, open_intents, oldest_due)

    async def open_keys(self) -> AsyncIterator[tuple[str, str, int, int, int | None]]:
        """An iterator; each slice is read when it is reached."""
        return self._open_keys()

    async def _open_keys(self) -> AsyncIterator[tuple[str, str, int, int, int | None]]:
        integration, source_key = "", ""
        while rows := await self._look("open_keys", integration, source_key, SLICE):
            for row in rows:
                yield row
            integration, source_key = rows[-1][0], rows[-1][1]

    async def meta(self, name: str) -> str | None:
        return only(await self._look("meta", name), str)

    async def set_meta(self, name: str, value: str) -> None:
        async def remember(tx: Transaction) -> None:
            tx.changes.insert("meta", "set_meta", [(name, value)])

        await self._write(remember, "urgent")

    async def add_meta(self, name: str, value: str) -> None:
        """Remember a value, unless there is one: of two who do this at once, both find the same afterwards."""

        async def remember(tx: Transaction) -> None:
            tx.changes.insert("meta", "add_meta", [(name, value)])

        await self._write(remember, "urgent")

    async def check(self) -> None:
        """Commits a row, so that a full disk or a lost server shows here."""
        await self.set_meta("checked_at", str(self._clock.now()))


def below(before: int | None) -> int:
    return BEYOND if before is None else before


def escaped(text: str) -> str:
    """For `like … escape '!'`."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")


def added_up(rows: Sequence[Repeated]) -> list[Repeated]:
    """One row an alert, in ascending order: counts summed, the latest sight and start, the last end that was given."""
    sums: dict[int, Repeated] = {}
    for id, more, seen, expires, began in rows:
        _, before, earlier, end, start = sums.get(id, (id, 0, seen, None, None))
        expires = end if expires is None else expires
        sums[id] = (id, before + more, max(earlier, seen), expires, later_start(start, began))
    return [sums[id] for id in sorted(sums)]
