"""Overrides, swaps and feeds: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from tocsin.contracts import Stand
from tocsin.model import FeedCopy, Instant, MadeOverride, Swap
from tocsin.store.asking import BEYOND, ReaderBase, TransactionBase, first
from tocsin.store.rows import FEED, OVERRIDE, SWAP


class OnCallTransaction(TransactionBase):
    """`contracts.oncall.OnCallChanges`."""

    async def overrides(self, since: Instant) -> list[MadeOverride]:
        return OVERRIDE.values(await self.ask("overrides", since, None))

    async def override(self, id: str) -> MadeOverride | None:
        return first(OVERRIDE.values(await self.ask("override", id)))

    async def swap(self, id: str) -> Swap | None:
        return first(SWAP.values(await self.ask("swap", id)))

    def add_override(self, override: MadeOverride) -> None:
        self.changes.insert("overrides", "add_override", [override])

    def add_swap(self, swap: Swap) -> None:
        self.changes.insert("swaps", "add_swap", [swap])

    def save_feed(self, copy: FeedCopy) -> None:
        self.changes.insert("feeds", "save_feed", [copy])

    def touch_feed(self, schedule: str, fetched_at: Instant | None, error: str, since: Instant | None) -> None:
        self.changes.run("feeds", "touch_feed", schedule, fetched_at, error, since)


class OnCallReader(ReaderBase):
    """`contracts.oncall.OnCallReads`."""

    async def overrides(self, since: Instant, schedule: str | None = None) -> list[MadeOverride]:
        return OVERRIDE.values(await self._look("overrides", since, schedule))

    async def overrides_made(
        self, schedule: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[MadeOverride]:
        at, id = after or (-BEYOND, "")
        return OVERRIDE.values(await self._look("overrides_made", at, id, schedule, live_at, limit))

    async def swaps(self, since: Instant) -> list[Swap]:
        return SWAP.values(await self._look("swaps", since))

    async def swaps_made(
        self, schedule: str | None, user: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[Swap]:
        at, id = after or (-BEYOND, "")
        return SWAP.values(await self._look("swaps_made", at, id, schedule, user, live_at, limit))

    async def feeds(self) -> list[FeedCopy]:
        return FEED.values(await self._look("feeds"))
