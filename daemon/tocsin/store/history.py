"""History: posts, answers and pages since a time, read in slices, so that a week of it needs little memory."""

from __future__ import annotations

from collections.abc import AsyncIterator

import orjson

from tocsin.decide.whatif.noise_report import Heard
from tocsin.decide.whatif.outcomes import Case, Sent
from tocsin.decide.whatif.recordings import Answer
from tocsin.model import Instant, Post
from tocsin.store.asking import ReaderBase
from tocsin.store.rows import POST, Row

SLICE = 500
MANY = 5_000


class History(ReaderBase):
    """The reads of `contracts.Store` that look back; slices are read when they are reached."""

    async def posts_since(self, since: Instant) -> AsyncIterator[Post]:
        """Accepted posts received at or after `since`, in the order they were taken."""
        last = await self._before("post_near", since)
        while rows := await self._look("posts_after", last, SLICE):
            for post in POST.values(rows):
                yield post
            last = rows[-1][0]

    async def answers_since(self, since: Instant) -> AsyncIterator[Answer]:
        """Answers of people since then, once for each alert that was open in the incident, in order."""
        last = await self._before("entry_near", since)
        while rows := await self._look("answers_after", last, SLICE):
            for row in rows:
                for answer in await self._answers(row):
                    yield answer
            last = rows[-1][0]

    async def _answers(self, row: Row) -> list[Answer]:
        _, incident, at, kind, actor, detail, paged_at = row
        until = orjson.loads(detail).get("until") if kind == "snoozed" else None
        open_then = await self._look("alerts_answered", incident, at)
        user = actor.removeprefix("user:")
        return [Answer(at, name, key, kind, user, paged_at, until) for name, key in open_then]

    async def heard_since(self, since: Instant) -> AsyncIterator[Heard]:
        """Alerts received since then, and what became of each."""
        last = await self._before("alert_near", since)
        while rows := await self._look("heard_after", last, MANY):
            for _, labels, acted, still_open, *rest in rows:
                yield Heard(*(*rest, orjson.loads(labels), bool(acted), bool(still_open)))
            last = rows[-1][0]

    async def pages_sent(self) -> AsyncIterator[Sent]:
        """Every page that went out, by incident."""
        last = 0
        while rows := await self._look("pages_sent", last, MANY):
            for incident, at, user, target, channel, state in rows:
                yield Sent(incident, at, user, target, channel, state == "bundled")
            last = rows[-1][0]

    async def cases(self) -> AsyncIterator[Case]:
        """Every incident, in the order they opened."""
        last = 0
        while rows := await self._look("cases_after", last, MANY):
            for *row, resolved_by, opened_by in rows:
                healed = row[6] in ("resolved", "closed") and (resolved_by or "").startswith(("integration:", "tocsin"))
                yield Case(*(*row, healed, opened_by or ""))
            last = rows[-1][0]

    async def alerts_in_short(self) -> AsyncIterator[tuple[str, str, Instant, int, str]]:
        """(integration, source_key, received_at, incident or 0, status) of every alert."""
        last = 0
        while rows := await self._look("alerts_in_short", last, MANY):
            for _, name, key, at, number, status in rows:
                yield name, key, at, number or 0, status
            last = rows[-1][0]

    async def _before(self, near: str, since: Instant) -> int:
        """The id of the last row before `since`: ids grow with time, so it is found by halving."""
        low, high = 0, 1
        while (row := await self._near(near, high)) is not None and row[1] < since:
            low, high = row[0], row[0] * 2
        while high - low > 1:
            middle = (low + high) // 2
            row = await self._near(near, middle)
            if row is None or row[1] >= since:
                high = middle
            else:
                low = max(middle, row[0]) if row[0] < high else high - 1
        return low

    async def _near(self, name: str, id_: int) -> Row | None:
        """(id, time) of the first row at or after this id."""
        rows = await self._look(name, id_)
        return rows[0] if rows else None
