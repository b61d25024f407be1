"""Overrides, swaps and feeds, as the store keeps them."""

from __future__ import annotations

from typing import Protocol

from tocsin.contracts.list_cursor import Stand
from tocsin.model import FeedCopy, Instant, MadeOverride, Swap


class OnCallChanges(Protocol):
    """The part of `Tx` that is about who is on call."""

    async def overrides(self, since: Instant) -> list[MadeOverride]:
        """Overrides that end after `since`, taken back or not, in the order they were made."""

    async def override(self, id: str) -> MadeOverride | None: ...

    async def swap(self, id: str) -> Swap | None:
        """Locked until the end: of an acceptance and a withdrawal at once one sees the other."""

    def add_override(self, override: MadeOverride) -> None:
        """Inserts, or replaces the one with the same id."""

    def add_swap(self, swap: Swap) -> None:
        """Inserts, or replaces the one with the same id."""

    def save_feed(self, copy: FeedCopy) -> None:
        """Inserts, or replaces that of the same schedule."""

    def touch_feed(self, schedule: str, fetched_at: Instant | None, error: str, since: Instant | None) -> None:
        """Remember how the last try went; what is kept of the feed stays as it is."""


class OnCallReads(Protocol):
    """The part of `Store` that is about who is on call: a recent committed state, without a lock."""

    async def overrides(self, since: Instant, schedule: str | None = None) -> list[MadeOverride]:
        """Overrides that end after `since` (0: all that are kept), taken back or not, in the order they were made."""

    async def overrides_made(
        self, schedule: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[MadeOverride]:
        """In the order they were made, behind the one given; with `live_at` only those that count then, or will."""

    async def swaps(self, since: Instant) -> list[Swap]:
        """Swaps with a shift that ends after `since`, in the order they were asked for."""

    async def swaps_made(
        self, schedule: str | None, user: str | None, live_at: Instant | None, limit: int, after: Stand | None
    ) -> list[Swap]:
        """In the order they were asked for, behind the one given; `user` asked, or was asked. With `live_at` only those
        that wait for an answer then, and those accepted whose shifts are not over.
        """

    async def feeds(self) -> list[FeedCopy]:
        """The last good copy of every schedule's feed, and how it went since."""
