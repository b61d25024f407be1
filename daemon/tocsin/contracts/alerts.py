"""Received alerts, the ends of their identities, the posts that brought them, and changes, as the store keeps them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from tocsin.model import ChangeEvent, Instant, Post, Repeated, StoredAlert, Tombstone


class AlertChanges(Protocol):
    """The part of `Tx` that is about alerts and posts."""

    async def open_alerts(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredAlert]:
        """Open (firing) alerts by (integration, source_key)."""

    async def minted(self, integration: str, body_hash: str, now: Instant) -> str | None:
        """The key minted for the same bytes in the last two minutes."""

    async def firing_alerts(self, incident: int) -> list[StoredAlert]:
        """The firing alerts of an incident, oldest first."""

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        """The one that opened each of these incidents, if it fires, and at most `limit` others; oldest first."""

    async def alerts(self, ids: Sequence[int]) -> dict[int, StoredAlert]:
        """By id, locked; unknown ids are absent."""

    async def due_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        """Firing alerts whose `expires_at` <= now, oldest first."""

    async def open_slice(self, after: tuple[str, str], limit: int) -> list[StoredAlert]:
        """Open alerts behind this (integration, source_key), in that order."""

    async def next_alert_ids(self, count: int) -> range: ...

    async def next_post_ids(self, count: int) -> range: ...

    def add_posts(self, posts: Sequence[Post]) -> None: ...

    def add_alerts(self, alerts: Sequence[StoredAlert]) -> None: ...

    def save_alerts(self, alerts: Sequence[StoredAlert]) -> None: ...

    def add_tombstones(self, rows: Sequence[Tombstone]) -> None:
        """Inserts, or replaces that of the same identity."""

    def add_minted(self, integration: str, body_hash: str, key: str, until: Instant) -> None: ...

    def add_changes(self, changes: Sequence[ChangeEvent]) -> None:
        """A second one of the same integration and key is passed over."""


class AlertReads(Protocol):
    """The part of `Store` that is about alerts and posts: a recent committed state, without a lock."""

    async def alerts(
        self, *, integration: str | None, status: str | None, limit: int, before: int | None
    ) -> list[StoredAlert]: ...

    async def open_alert(self, integration: str, source_key: str) -> StoredAlert | None:
        """The firing alert of this identity."""

    async def alerts_seen(self, ids: Sequence[int]) -> list[StoredAlert]:
        """Alerts by id, in order; unknown ids are absent."""

    async def incident_alerts(self, number: int, limit: int, after: int | None) -> list[StoredAlert]: ...

    async def firing_in(self, incidents: Sequence[int], after: tuple[int, int], limit: int) -> list[StoredAlert]:
        """Firing alerts of these incidents, the newest incident first, oldest alert first; at most `limit`, behind the
        (incident, alert) given; (0, 0): from the start."""

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        """As `Tx.oldest_firing`."""

    async def firing_of(self, incidents: Sequence[int]) -> dict[int, list[StoredAlert]]:
        """The firing alerts of each of these incidents, oldest first."""

    async def open_keys(self) -> AsyncIterator[tuple[str, str, int, int, int | None]]:
        """(integration, source_key, alert id, content hash, incident) of every firing alert: fills the cache."""

    async def live_tombstones(self, now: Instant) -> list[Tombstone]:
        """The ends of identities that still hold: fills the cache."""

    async def tombstone(self, integration: str, source_key: str) -> Tombstone | None:
        """The end of this identity, whether it holds or not."""

    async def waiting_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        """Alerts whose wait is over (`waits_until` <= now), the longest overdue first."""

    async def next_waiting(self) -> Instant | None:
        """The instant at which the next wait is over."""

    async def posts(self, since: Instant, until: Instant, limit: int, after: int) -> list[Post]:
        """Bodies received from `since` until `until` (not included) with an id above `after`, by id."""

    async def repeated_posts(self, after: int, limit: int) -> list[Post]:
        """Posts with repeats, after the one of that id, oldest first."""

    async def flush_repeats(self, rows: Sequence[Repeated], counted: int | None = None) -> None:
        """Counts of pure repeats. `counted`: the last post they include, remembered with them as the meta value
        "repeats_counted"."""

    async def changes(self, since: Instant, until: Instant, *, service: str | None, limit: int) -> list[ChangeEvent]:
        """From `since` until `until`, both included, newest first; of one service where one is given."""
