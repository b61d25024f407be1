"""Remembered values, API tokens, gauges, retention and signs of life."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol

from tocsin.model import Instant, Millis, Token


@dataclass(frozen=True, slots=True)
class Counts:
    """Gauges for /metrics, read in one go."""

    incidents: Mapping[tuple[str, str], int]  # (status, priority) of open ones
    open_alerts: int
    due_timers: int  # due and not yet run at `now`
    open_intents: int
    oldest_due: Instant | None


class UpkeepChanges(Protocol):
    """The part of `Tx` that is about upkeep."""

    async def swap_meta(self, name: str, before: str | None, after: str) -> bool:
        """Another value in the place of `before` (None: there is none yet); False where it is not there any more."""

    def shift_civil(self, by: Millis, now: Instant) -> None:
        """Move what was meant in civil time and is not over: silences, overrides, swaps, deadlines of crontabs."""

    def add_token(self, token: Token) -> None: ...

    def save_token(self, token: Token) -> None: ...

    def touch_token(self, id: str, at: Instant) -> None:
        """Remember when a token was used, never an earlier time; nothing else of it changes."""


class UpkeepReads(Protocol):
    """The part of `Store` that is about upkeep: a recent committed state, without a lock."""

    async def tokens(self) -> list[Token]: ...

    async def counts(self) -> Counts: ...

    async def meta(self, name: str) -> str | None: ...

    async def set_meta(self, name: str, value: str) -> None: ...

    async def add_meta(self, name: str, value: str) -> None:
        """Remember a value, unless there is one of that name: two who do this at once find the same afterwards."""

    async def prune(self, alerts_before: Instant, incidents_before: Instant, limit: int) -> int:
        """Delete at most `limit` old rows; 0 when nothing is left to delete."""

    async def hold(self, owner: str) -> None:
        """From now until this process ends `owner` counts as alive on every replica. Called again: looked after."""

    async def alive(self, owners: Collection[str]) -> set[str]:
        """The subset of `owners` that a living process holds. What a killed one held is free within a moment."""

    async def check(self) -> None:
        """A write that is rolled back or trivial; raises StoreUnavailable. For readiness."""
