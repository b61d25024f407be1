"""Incidents, their group keys, timelines, relations and frozen policies, as the store keeps them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from tocsin.model import Entry, Incident, Instant, Related


@dataclass(frozen=True, slots=True)
class IncidentFilter:
    status: tuple[str, ...] = ()  # Status names; "open" is spelled out by the caller
    service: str | None = None
    text: str | None = None  # in title, key or number, case-insensitive


class Place(NamedTuple):
    """Position of an incident in a list by urgency."""

    priority: str
    answered: bool
    number: int


class IncidentChanges(Protocol):
    """The part of `Tx` that is about incidents."""

    async def incidents(self, numbers: Sequence[int]) -> dict[int, Incident]:
        """By number; unknown numbers are absent."""

    async def incidents_seen(self, numbers: Sequence[int]) -> dict[int, Incident]:
        """By number, and not locked: what is decided by it must bear being some moments old."""

    async def due_incidents(self, now: Instant, limit: int) -> list[Incident]:
        """Incidents whose `due_at` <= now: P1 first, then the oldest due. PostgreSQL: skips rows locked elsewhere."""

    async def next_numbers(self, count: int) -> range:
        """Incident numbers, ascending; gaps are allowed, repeats are not."""

    def add_incidents(self, incidents: Sequence[Incident]) -> None: ...

    def save_incidents(self, incidents: Sequence[Incident]) -> None: ...

    def add_incident_keys(self, keys: Sequence[tuple[str, int, Instant | None]]) -> None:
        """(key, incident, joins_until); an older incident's claim on the key is replaced."""

    def add_entries(self, entries: Sequence[Entry]) -> None: ...

    def add_policy_version(self, hash: str, name: str, body: str) -> None: ...

    def add_related(self, rows: Sequence[Related]) -> None:
        """Once more changes nothing."""


class IncidentReads(Protocol):
    """The part of `Store` that is about incidents: a recent committed state, without a lock."""

    async def incident(self, number: int) -> Incident | None:
        """`previous` of one that stands alone is looked up here: the newest of its key that had ended before it."""

    async def standing(self, number: int) -> Incident | None:
        """The incident as it stands, without looking `previous` up: what the gate asks for each call."""

    async def incidents(self, where: IncidentFilter, limit: int, before: int | None) -> list[Incident]:
        """Newest first; `before`: numbers below this one only."""

    async def urgent_incidents(self, where: IncidentFilter, limit: int, after: Place | None) -> list[Incident]:
        """Open ones by priority, then unanswered before answered, then the newest; those behind `after` only.

        `where.status` names open statuses only, at least one.
        """

    async def newest_of_key(self, key: str) -> Incident | None:
        """The newest incident of a key, whatever its status; without a lock."""

    async def newest_number(self) -> int:
        """The highest number given to an incident so far, 0 where there is none: the next one opened gets a higher
        one, mostly the very next."""

    async def timeline(self, number: int, limit: int, after: int | None) -> list[Entry]:
        """Oldest first. The opening is a row the reader makes from the incident itself."""

    async def related(self, incident: int, limit: int) -> list[Related]:
        """Relations of an incident to others, in the order they were found."""

    async def policy_version(self, hash: str) -> str | None: ...

    async def next_due(self) -> Instant | None:
        """The earliest of incidents' due_at and firing alerts' expires_at: what the timers wait for."""
