"""Storms and what rules count: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tocsin.model import Incident, Instant, Storm
from tocsin.store.asking import ReaderBase, TransactionBase
from tocsin.store.rows import INCIDENT, STORM


class NoiseTransaction(TransactionBase):
    """`contracts.noise.NoiseChanges`."""

    async def tallied(self, asked: Mapping[str, Instant]) -> dict[str, list[tuple[Instant, int, str]]]:
        if not asked:
            return {}
        found: dict[str, list[tuple[Instant, int, str]]] = {tally: [] for tally in asked}
        pairs = self._session.pairs([(tally, str(since)) for tally, since in asked.items()])
        for tally, at, alert, what in await self.ask("tallied", *pairs):
            found[tally].append((at, alert, what))
        return found

    async def forget_tallies(self, before: Instant, limit: int) -> int:
        return len(await self.ask("prune_tallies", before, limit))

    async def storms(self, scopes: Sequence[str]) -> dict[str, Storm]:
        if not scopes:
            return {}
        held = await self.ask("hold_storms", sorted(scopes))
        if held and not held[0][0]:
            return {}
        return {one.scope: one for one in STORM.values(await self.ask("storms", list(scopes)))}

    async def storms_seen(self, scopes: Sequence[str]) -> dict[str, Storm]:
        return {one.scope: one for one in STORM.values(await self.ask("storms_seen", list(scopes)))} if scopes else {}

    async def taken_in(self, storm: int, muted_by: str, limit: int) -> list[Incident]:
        return INCIDENT.values(await self.ask("taken_in", storm, muted_by, limit))

    def add_tallies(self, rows: Sequence[tuple[str, Instant, int, str]]) -> None:
        self.changes.insert("tallies", "add_tallies", rows)

    def save_storm(self, storm: Storm) -> None:
        self.changes.insert("storms", "save_storm", [storm])

    def forget_storms(self, before: Instant) -> None:
        self.changes.run("storms", "forget_storms", before)

    def wake_taken_in(self, storm: int, muted_by: str, until: Instant, at: Instant) -> None:
        self.changes.run("incidents", "wake_taken_in", storm, muted_by, until, at)


class NoiseReader(ReaderBase):
    """`contracts.noise.NoiseReads`."""

    async def marks(self, tally: str, since: Instant, limit: int) -> list[tuple[Instant, int, str]]:
        return [(row[0], row[1], row[2]) for row in await self._look("marks", tally, since, limit)]

    async def storms(self) -> list[Storm]:
        return STORM.values(await self._look("list_storms"))

    async def members(self, storm: int, limit: int, after: int | None) -> list[Incident]:
        return INCIDENT.values(await self._look("members", storm, after or 0, limit))
