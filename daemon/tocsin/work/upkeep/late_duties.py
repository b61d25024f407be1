"""Incidents about duties that are late: opened once the database takes them, closed when the duty is done again."""

from __future__ import annotations

from tocsin.errors import StoreUnavailable
from tocsin.work.background_duties import ANSWERS, INGEST
from tocsin.work.incidents.self_alerts import SelfAlerts
from tocsin.work.runtime import Runtime

SETTLED = 5.0  # seconds for which a duty must be late while the database answers: after an outage each needs its turn
AGAIN = 60.0  # seconds until it is told again, as a repeat, or anew where somebody or another replica closed it


class LateDuties:
    """`look` every second."""

    def __init__(self, runtime: Runtime, self_alerts: SelfAlerts) -> None:
        self.runtime, self.self_alerts = runtime, self_alerts
        self._late_since: dict[str, float] = {}
        self._told: dict[str, float] = {}  # duty → when
        self._asked: set[str] = set()  # duties of which is known what an earlier process left open

    async def look(self) -> None:
        """Bring the metrics up to date, and tell what is late too long and what is late no more."""
        duties, metrics = self.runtime.duties, self.runtime.metrics
        late, now = duties.late(), duties.watched()
        for name in duties.names():
            metrics.duty_late.labels(name).set(name in late)
            metrics.duty_last_success_timestamp_seconds.labels(name).set(duties.oldest(name) / 1000)
        answers = duties.get(ANSWERS)
        if answers is None or answers.failing_since is not None or INGEST in late:  # nothing can be told
            self._late_since.clear()
            return
        self._late_since = {name: self._late_since.get(name, now) for name in late}
        for name, because in late.items():
            if now - self._late_since[name] < SETTLED or now - self._told.get(name, -AGAIN) < AGAIN:
                continue
            if not await self.self_alerts.late(name, because):
                self._late_since.clear()  # the database is away: that is why it is late
                return
            self._told[name] = now
        for name in duties.names():
            if name not in late:
                await self._in_time(name)

    async def _in_time(self, name: str) -> None:
        if name in self._told:
            if await self.self_alerts.in_time(name):
                del self._told[name]
        elif name not in self._asked:
            try:
                if await self.self_alerts.is_told(name) and not await self.self_alerts.in_time(name):
                    return
            except StoreUnavailable:
                return
            self._asked.add(name)
