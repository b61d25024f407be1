"""Silences, sources of inhibitions, parents that are down, and windows that were told, as the store keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from tocsin.contracts.list_cursor import Stand
from tocsin.model import Incident, Instant, Silence, StoredAlert


class MutingChanges(Protocol):
    """The part of `Tx` that is about what mutes."""

    async def silences(self, now: Instant) -> list[Silence]:
        """Silences that are active at `now`."""

    async def silence(self, id: str) -> Silence | None: ...

    async def inhibitors(self) -> list[StoredAlert]:
        """Firing alerts that were kept as the source of an inhibition."""

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        """Open P1 and P2 incidents of these services, by number, and open ones of these numbers. Not locked."""

    async def begin_window(self, name: str, starts_at: Instant, phase: str) -> bool:
        """Whether nobody has told of this beginning or end of a maintenance window before; from now on somebody has."""

    def add_silence(self, silence: Silence) -> None:
        """Inserts, or replaces the one with the same id."""

    def add_inhibitors(self, alerts: Sequence[int]) -> None:
        """Ids of firing alerts that are the source of an inhibition; once more changes nothing."""


class MutingReads(Protocol):
    """The part of `Store` that is about what mutes: a recent committed state, without a lock."""

    async def silences(self, *, active_at: Instant | None, limit: int) -> list[Silence]: ...

    async def silence(self, id: str) -> Silence | None: ...

    async def silences_made(self, live_at: Instant | None, limit: int, after: Stand | None) -> list[Silence]:
        """Newest first, behind the one given; with `live_at` only those that have not ended by then."""

    async def silences_by_end(self, limit: int, after: Stand) -> list[Silence]:
        """The one that ends first is first, behind the one given."""

    async def silences_ended(self, by: Instant, limit: int) -> list[Silence]:
        """Silences that have ended by then, the last one first."""

    async def inhibitors(self) -> list[StoredAlert]:
        """As `Tx.inhibitors`."""

    async def down(self, services: Sequence[str], numbers: Sequence[int] = ()) -> list[Incident]:
        """As `Tx.down`."""

    async def waiting_for(self, muted_by: str, limit: int) -> list[str]:
        """The services of open incidents that this keeps quiet, by name."""
