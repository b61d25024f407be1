"""Counts that rules ask for, and storms, as the store keeps them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from tocsin.model import Incident, Instant, Storm


class NoiseChanges(Protocol):
    """The part of `Tx` that is about storms and what rules count."""

    async def tallied(self, asked: Mapping[str, Instant]) -> dict[str, list[tuple[Instant, int, str]]]:
        """Counts under each name after an instant: (when, alert, what), oldest first. Hold a key that all
        who count under this name hold (`lock_keys`)."""

    async def forget_tallies(self, before: Instant, limit: int) -> int:
        """Forget up to `limit` of what was counted before; how many there were."""

    async def storms(self, scopes: Sequence[str]) -> dict[str, Storm]:
        """Storms by scope, held until the end where others write too. Ask for them last.

        Empty where somebody else holds one of them and does not let go: nobody waits long for a count.
        """

    async def storms_seen(self, scopes: Sequence[str]) -> dict[str, Storm]:
        """Storms by scope, not held; scopes nothing is known of are absent."""

    async def taken_in(self, storm: int, muted_by: str, limit: int) -> list[Incident]:
        """Triggered incidents that this storm took in and that are muted by this: P1 first, then in order."""

    def add_tallies(self, rows: Sequence[tuple[str, Instant, int, str]]) -> None:
        """(name, when, alert, what) to be counted; the very same again changes nothing."""

    def save_storm(self, storm: Storm) -> None: ...

    def forget_storms(self, before: Instant) -> None:
        """Scopes without a storm that were last touched before."""

    def wake_taken_in(self, storm: int, muted_by: str, until: Instant, at: Instant) -> None:
        """Triggered incidents that this storm took in, are muted by this and were opened by `until`, fall due from
        `at` on: the most urgent first, two in a millisecond."""


class NoiseReads(Protocol):
    """The part of `Store` that is about storms and what rules count: a recent committed state, without a lock."""

    async def marks(self, tally: str, since: Instant, limit: int) -> list[tuple[Instant, int, str]]:
        """Firings or changes that are counted under a name after an instant, oldest first, at most `limit`: (when,
        alert, what)."""

    async def storms(self) -> list[Storm]: ...

    async def members(self, storm: int, limit: int, after: int | None) -> list[Incident]:
        """The incidents this storm took in, in order, above a number."""
