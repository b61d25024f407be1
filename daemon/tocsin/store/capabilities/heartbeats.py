"""Heartbeats: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from tocsin.model import Beat
from tocsin.store.asking import ReaderBase, TransactionBase
from tocsin.store.rows import BEAT


class HeartbeatTransaction(TransactionBase):
    """`contracts.heartbeats.HeartbeatChanges`."""

    async def beats(self) -> dict[str, Beat]:
        return {one.name: one for one in BEAT.values(await self.ask("beats"))}

    def save_beat(self, beat: Beat) -> None:
        self.changes.insert("heartbeats", "save_beat", [beat])

    def forget_beat(self, name: str) -> None:
        self.changes.run("heartbeats", "forget_beat", name)


class HeartbeatReader(ReaderBase):
    """`contracts.heartbeats.HeartbeatReads`."""

    async def beats(self) -> list[Beat]:
        return BEAT.values(await self._look("list_beats"))
