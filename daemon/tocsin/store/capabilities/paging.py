"""Pages and attempts: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import orjson

from tocsin.contracts import EVERY_RANK
from tocsin.model import Attempt, Instant, Page
from tocsin.store.asking import BEYOND, SLICE, ReaderBase, TransactionBase, first, only
from tocsin.store.rows import ATTEMPT, PAGE


class PagingTransaction(TransactionBase):
    """`contracts.paging.PagingChanges`."""

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

    async def page_keys(self, keys: Sequence[str]) -> set[str]:
        return {row[0] for row in await self.ask("page_keys", list(keys))} if keys else set()

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

    async def pages_to(self, address: str, since: Instant) -> list[tuple[Page, Attempt]]:
        width = len(PAGE.columns)
        rows = await self.ask("pages_to", address, since)
        return [(PAGE.value(row[:width]), ATTEMPT.value(row[width:])) for row in rows]

    def add_pages(self, pages: Sequence[Page]) -> None:
        self.changes.insert("pages", "add_pages", pages)

    def save_pages(self, pages: Sequence[Page]) -> None:
        self.changes.insert("pages", "save_pages", pages)

    def add_attempts(self, attempts: Sequence[Attempt]) -> None:
        self.changes.insert("attempts", "add_attempts", attempts)

    def save_attempts(self, attempts: Sequence[Attempt]) -> None:
        self.changes.insert("attempts", "save_attempts", attempts)


class PagingReader(ReaderBase):
    """`contracts.paging.PagingReads`."""

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

    async def next_due_page(self, channel: str, below: int = EVERY_RANK) -> Instant | None:
        return only(await self._look("next_due_page", channel, below), Instant)

    async def next_confirmation(self) -> Instant | None:
        return only(await self._look("next_confirmation"), Instant)

    async def open_intents(self, limit: int) -> list[tuple[str, str, Instant]]:
        return [(row[0], row[1], Instant(row[2])) for row in await self._look("open_intents", limit)]
