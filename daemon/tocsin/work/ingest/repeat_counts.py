"""Counts of pure repeats, kept in memory and written once a second."""

from __future__ import annotations

from dataclasses import replace

from tocsin.contracts import Store
from tocsin.model import Instant, StoredAlert, later_start

Repeats = tuple[int, Instant, Instant | None, Instant | None]  # count, last seen, end, newest start
RECOUNTED = 50_000  # posts that a start may have to look through for repeats


class RepeatCounts:
    """Repeats of open alerts that are not in the database yet, by the id of the alert."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._waiting: dict[int, Repeats] = {}
        self._being_written: dict[int, Repeats] = {}
        self.counted = 0  # the last post whose repeats are counted here or in the database
        self._written = 0  # the same, as the database knows it

    def count(
        self, alert_id: int, seen: Instant, expires: Instant | None, began: Instant | None, times: int = 1
    ) -> None:
        """Count repeats of an open alert, to be written within a second."""
        before = self._waiting.get(alert_id)
        if before is None:
            self._waiting[alert_id] = (times, seen, expires, began)
        else:
            self._waiting[alert_id] = (
                before[0] + times, max(seen, before[1]), expires or before[2], later_start(before[3], began)
            )  # fmt: skip

    def up_to_date(self, alert: StoredAlert) -> StoredAlert:
        """The alert as it was read, with the repeats that are not in the database yet."""
        for waiting in (self._being_written, self._waiting):
            if alert.id in waiting:
                count, seen, expires, began = waiting[alert.id]
                alert = replace(
                    alert,
                    count=alert.count + count,
                    last_seen_at=max(alert.last_seen_at, seen),
                    expires_at=expires or alert.expires_at,
                    started_at=alert.started_at if began is None else max(began, alert.started_at),
                )
        return alert

    def newest_expiry(self, alert_id: int) -> Instant | None:
        """A later expiry that a repeat brought and that may not be in the database yet."""
        found = [rows[alert_id][2] for rows in (self._waiting, self._being_written) if alert_id in rows]
        return next((expires for expires in found if expires is not None), None)

    async def flush(self) -> None:
        """Write the counts; on failure they are kept for the next time."""
        if not self._waiting and self.counted - self._written < RECOUNTED:
            return
        rows, self._waiting, counted = self._waiting, {}, self.counted
        self._being_written = rows
        try:
            alone = counted if self._store.exclusive else None  # a row that all replicas would wait for
            await self._store.flush_repeats([(key, *row) for key, row in rows.items()], alone)
            self._written = counted
        except Exception:
            for key, (count, seen, expires, began) in rows.items():
                now = self._waiting.get(key, (0, seen, None, None))
                self._waiting[key] = (now[0] + count, max(now[1], seen), now[2] or expires, later_start(now[3], began))
            raise
        finally:
            self._being_written = {}
