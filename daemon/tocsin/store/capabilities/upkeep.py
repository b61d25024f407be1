"""Remembered values, API tokens and gauges: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from tocsin.contracts import Counts
from tocsin.model import Instant, Millis, Token
from tocsin.store.asking import ReaderBase, TransactionBase, only
from tocsin.store.rows import TOKEN


class UpkeepTransaction(TransactionBase):
    """`contracts.upkeep.UpkeepChanges`."""

    async def swap_meta(self, name: str, before: str | None, after: str) -> bool:
        if before is None:
            self.changes.insert("meta", "add_meta", [(name, after)])
            return True
        return bool(await self.ask("swap_meta", name, before, after))

    def shift_civil(self, by: Millis, now: Instant) -> None:
        for table in ("silences", "overrides", "swaps"):
            self.changes.run(table, f"shift_{table}", by, now)
        self.changes.run("heartbeats", "shift_beats", by, now)

    def add_token(self, token: Token) -> None:
        self.changes.insert("tokens", "add_token", [token])

    def save_token(self, token: Token) -> None:
        self.changes.insert("tokens", "save_token", [token])

    def touch_token(self, id: str, at: Instant) -> None:
        self.changes.run("tokens", "touch_token", id, at)


class UpkeepReader(ReaderBase):
    """`contracts.upkeep.UpkeepReads`."""

    async def tokens(self) -> list[Token]:
        return TOKEN.values(await self._look("tokens"))

    async def counts(self) -> Counts:
        now = self._clock.now()
        by_kind = {(status, priority): count for status, priority, count in await self._look("open_incidents_counted")}
        ((open_alerts, due_timers, open_intents, oldest_due),) = await self._look("gauges", now)
        return Counts(by_kind, open_alerts, due_timers, open_intents, oldest_due)

    async def meta(self, name: str) -> str | None:
        return only(await self._look("meta", name), str)
