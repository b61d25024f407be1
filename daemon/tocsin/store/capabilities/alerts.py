"""Alerts and posts: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence

from tocsin.model import ChangeEvent, Instant, Post, StoredAlert, Tombstone
from tocsin.store.asking import SLICE, ReaderBase, TransactionBase, below, by_incident, first, only
from tocsin.store.rows import ALERT, CHANGE, POST, TOMBSTONE, Row


class AlertTransaction(TransactionBase):
    """`contracts.alerts.AlertChanges`."""

    async def open_alerts(self, keys: Sequence[tuple[str, str]]) -> dict[tuple[str, str], StoredAlert]:
        return by_pair(await self.ask("open_alerts", *self._session.pairs(keys))) if keys else {}

    async def minted(self, integration: str, body_hash: str, now: Instant) -> str | None:
        return only(await self.ask("minted", integration, body_hash, now), str)

    async def firing_alerts(self, incident: int) -> list[StoredAlert]:
        return ALERT.values(await self.ask("firing_alerts", incident))

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        rows = await self.ask("oldest_firing", list(incidents), limit) if incidents else []
        return by_incident(incidents, ALERT.values(rows))

    async def alerts(self, ids: Sequence[int]) -> dict[int, StoredAlert]:
        if not ids:
            return {}
        return {alert.id: alert for alert in ALERT.values(await self.ask("alerts_by_id", sorted(ids)))}

    async def due_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        return ALERT.values(await self.ask("due_alerts", now, limit))

    async def open_slice(self, after: tuple[str, str], limit: int) -> list[StoredAlert]:
        return ALERT.values(await self.ask("open_slice", *after, limit))

    async def next_alert_ids(self, count: int) -> range:
        return await self._session.numbers("alert", count)

    async def next_post_ids(self, count: int) -> range:
        return await self._session.numbers("post", count)

    def add_posts(self, posts: Sequence[Post]) -> None:
        self.changes.insert("posts", "add_posts", posts)

    def add_alerts(self, alerts: Sequence[StoredAlert]) -> None:
        self.changes.insert("alerts", "add_alerts", alerts)

    def save_alerts(self, alerts: Sequence[StoredAlert]) -> None:
        self.changes.insert("alerts", "save_alerts", alerts)

    def add_tombstones(self, rows: Sequence[Tombstone]) -> None:
        self.changes.insert("tombstones", "save_tombstones", rows)

    def add_minted(self, integration: str, body_hash: str, key: str, until: Instant) -> None:
        self.changes.insert("minted", "add_minted", [(integration, body_hash, key, until)])

    def add_changes(self, changes: Sequence[ChangeEvent]) -> None:
        self.changes.insert("changes", "add_changes", changes)


class AlertReader(ReaderBase):
    """`contracts.alerts.AlertReads`."""

    async def alerts(
        self, *, integration: str | None, status: str | None, limit: int, before: int | None
    ) -> list[StoredAlert]:
        if status == "firing":
            return ALERT.values(await self._look("firing_now", below(before), integration, limit))
        ask = self._search if integration or status else self._look
        return ALERT.values(await ask("alerts", below(before), integration, status, limit))

    async def open_alert(self, integration: str, source_key: str) -> StoredAlert | None:
        return first(ALERT.values(await self._look("one_open_alert", integration, source_key)))

    async def alerts_seen(self, ids: Sequence[int]) -> list[StoredAlert]:
        return ALERT.values(await self._look("alerts_seen", list(ids))) if ids else []

    async def incident_alerts(self, number: int, limit: int, after: int | None) -> list[StoredAlert]:
        return ALERT.values(await self._look("incident_alerts", number, after or 0, limit))

    async def firing_in(self, incidents: Sequence[int], after: tuple[int, int], limit: int) -> list[StoredAlert]:
        return ALERT.values(await self._look("firing_in", list(incidents), *after, limit))

    async def oldest_firing(self, incidents: Sequence[int], limit: int) -> dict[int, list[StoredAlert]]:
        rows = await self._look("oldest_firing", list(incidents), limit) if incidents else []
        return by_incident(incidents, ALERT.values(rows))

    async def firing_of(self, incidents: Sequence[int]) -> dict[int, list[StoredAlert]]:
        found: dict[int, list[StoredAlert]] = {number: [] for number in incidents}
        for alert in ALERT.values(await self._look("firing_of", list(incidents))) if incidents else ():
            if alert.incident is not None:
                found[alert.incident].append(alert)
        return found

    async def open_keys(self) -> AsyncIterator[tuple[str, str, int, int, int | None]]:
        """An iterator; each slice is read when it is reached."""
        return self._open_keys()

    async def _open_keys(self) -> AsyncIterator[tuple[str, str, int, int, int | None]]:
        integration, source_key = "", ""
        while rows := await self._look("open_keys", integration, source_key, SLICE):
            for row in rows:
                yield row
            integration, source_key = rows[-1][0], rows[-1][1]

    async def live_tombstones(self, now: Instant) -> list[Tombstone]:
        return TOMBSTONE.values(await self._look("live_tombstones", now))

    async def tombstone(self, integration: str, source_key: str) -> Tombstone | None:
        return first(TOMBSTONE.values(await self._look("one_tombstone", integration, source_key)))

    async def waiting_alerts(self, now: Instant, limit: int) -> list[StoredAlert]:
        return ALERT.values(await self._look("waiting_alerts", now, limit))

    async def next_waiting(self) -> Instant | None:
        return only(await self._look("next_waiting"), Instant)

    async def posts(self, since: Instant, until: Instant, limit: int, after: int) -> list[Post]:
        after = after or await self._last_post_before(since)
        return POST.values(await self._look("posts_between", after, since, until, limit))

    async def _last_post_before(self, since: Instant) -> int:
        """An id below all that were received from `since` on; ids ascend with their arrival."""
        low, high = 0, only(await self._look("newest_post"), int) or 0
        while high - low > SLICE:
            middle = (low + high) // 2
            rows = await self._look("post_from", middle)
            if rows and rows[0][1] < since:
                low = middle
            else:
                high = middle
        return low

    async def repeated_posts(self, after: int, limit: int) -> list[Post]:
        return POST.values(await self._look("repeated_posts", after, limit))

    async def changes(self, since: Instant, until: Instant, *, service: str | None, limit: int) -> list[ChangeEvent]:
        return CHANGE.values(await self._look("changes", since, until, service, limit))


def by_pair(rows: list[Row]) -> dict[tuple[str, str], StoredAlert]:
    return {(alert.integration, alert.source_key): alert for alert in ALERT.values(rows)}


def ends(rows: list[Row]) -> dict[tuple[str, str], Tombstone]:
    return {(end.integration, end.source_key): end for end in TOMBSTONE.values(rows)}
