"""Retention: what is old is forgotten, a few rows at a time, found by age without an index for it.

Numbers ascend with time, so a slice of them is a slice of time. Firing alerts and incidents that
still wait for something are never forgotten, however old; the newest of each kind stays, so that a
restart goes on counting where it was.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from tocsin.model import DAY, Instant
from tocsin.store.reads import Reads
from tocsin.store.rows import Row
from tocsin.store.tx import Transaction

Judge = Callable[[Row], bool]
Work = Callable[[Transaction], Awaitable[tuple[list[Row], int]]]
AROUND_AN_INCIDENT = ("prune_attempts", "prune_pages", "prune_timeline", "prune_incident_keys", "prune_related")
FINAL = ("resolved", "closed", "canceled")


class Pruner(Reads):
    """Retention, on either database."""

    async def prune(self, alerts_before: Instant, incidents_before: Instant, limit: int) -> int:
        now = self._clock.now()
        gone = (
            await self._in_order(
                "alerts", limit, alerts_before, lambda row: row[2] is not None and row[2] < alerts_before
            )
            or await self._in_order("posts", limit, alerts_before, lambda row: True)
            or await self._in_order("incidents", limit, incidents_before, lambda row: over(row, incidents_before))
        )
        for name, before in (
            ("prune_tombstones", now),
            ("prune_minted", now),
            ("prune_signed_out", now),
            ("prune_inbound", min(alerts_before, now - 2 * DAY)),
            ("prune_silences", incidents_before),
            ("prune_unpaged_attempts", min(alerts_before, now - 2 * DAY)),
            ("prune_unpaged", min(alerts_before, now - 2 * DAY)),
            ("prune_overrides", incidents_before),
            ("prune_swaps", incidents_before),
            ("prune_inhibitors", now),
            ("prune_windows", alerts_before),
            ("prune_changes", alerts_before),
        ):
            gone = gone or await self._forget(name, before, limit)
        return gone

    async def _in_order(self, table: str, limit: int, before: Instant, judge: Judge) -> int:
        """Walk the table from its oldest row until something was forgotten or the rows are too young."""
        after = 0
        while True:
            seen, gone = await self._write(self._slice(table, after, limit, before, judge), "ingest")
            if gone or not seen or seen[-1][1] >= before:
                return gone
            after = seen[-1][0]

    def _slice(self, table: str, after: int, limit: int, before: Instant, judge: Judge) -> Work:
        async def forget(tx: Transaction) -> tuple[list[Row], int]:
            seen = await tx.ask(f"{table}_in_order", after, limit)
            old = [row[0] for row in seen if row[1] < before and judge(row)]
            if not old:
                return seen, 0
            if table == "incidents":
                old = [row[0] for row in await tx.ask("prune_incidents", old)]
                for name in AROUND_AN_INCIDENT:
                    tx.changes.run(table, name, old)
                return seen, len(old)
            return seen, len(await tx.ask(f"prune_{table}", old))

        return forget

    async def _forget(self, name: str, before: int, limit: int) -> int:
        async def forget(tx: Transaction) -> int:
            return len(await tx.ask(name, before, limit))

        return await self._write(forget, "ingest")


def over(incident: Row, before: Instant) -> bool:
    """Whether nothing can happen to it any more, and has not for long."""
    _, _, updated_at, status, due_at = incident
    return updated_at < before and due_at is None and status in FINAL
