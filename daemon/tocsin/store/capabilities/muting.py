"""Silences and all else that mutes: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.contracts import Stand
from tocsin.model import Incident, Instant, Silence, StoredAlert
from tocsin.store.asking import BEYOND, EVERYTHING, ReaderBase, TransactionBase, first
from tocsin.store.rows import ALERT, INCIDENT, SILENCE


class MutingTransaction(TransactionBase):
    """`contracts.muting.MutingChanges`."""

    async def silences(self, now: Instant) -> list[Silence]:
        return SILENCE.values(await self.ask("active_silences", now, EVERYTHING))

    async def silence(self, id: str) -> Silence | None:
        return first(SILENCE.values(await self.ask("silence", id)))

    async def inhibitors(self) -> list[StoredAlert]:
        return ALERT.values(await self.ask("inhibitors"))

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        found = INCIDENT.values(await self.ask("down", list(services))) if services else []
        return found + (INCIDENT.values(await self.ask("open_of", list(numbers))) if numbers else [])

    async def begin_window(self, name: str, starts_at: Instant, phase: str) -> bool:
        return bool(await self.ask("begin_window", name, starts_at, phase))

    def add_silence(self, silence: Silence) -> None:
        self.changes.insert("silences", "add_silence", [silence])

    def add_inhibitors(self, alerts: Sequence[int]) -> None:
        self.changes.insert("inhibitors", "add_inhibitors", [(alert,) for alert in alerts])


class MutingReader(ReaderBase):
    """`contracts.muting.MutingReads`."""

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

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        found = INCIDENT.values(await self._look("down", list(services))) if services else []
        return found + (INCIDENT.values(await self._look("open_of", list(numbers))) if numbers else [])

    async def waiting_for(self, muted_by: str, limit: int) -> list[str]:
        return [row[0] for row in await self._look("waiting_for", muted_by, limit)]
