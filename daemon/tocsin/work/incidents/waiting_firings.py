"""Alerts that came right behind their end fire when their wait is over, through the door of every alert.

The wait is a row; whatever ends it first counts: a resolve, a newer firing, or its time. What fell due while nobody was
here fires at the start.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import replace

import structlog

from tocsin.contracts import Tx
from tocsin.decide.incidents.waiting_firings import was_sent
from tocsin.errors import StoreUnavailable
from tocsin.model import Instant, IntegrationConfig, Millis, StoredAlert
from tocsin.work.background_duties import promise
from tocsin.work.ingest.intake import Intake
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.overtaken")

AT_ONCE = 400  # alerts that are read and lined up together
BREATH = Millis(500)  # after the database did not answer
POSTPONED = Millis(30_000)  # one that cannot be decided is tried again after this


class Overtaken:
    """`run` for ever; it is woken by what intake puts to wait."""

    def __init__(self, runtime: Runtime, intake: Intake) -> None:
        self.runtime, self.intake = runtime, intake
        self._doors: dict[str, IntegrationConfig] = {}
        self._due: Instant | None = None

    async def run(self) -> None:
        """Forever."""
        wake, within = self.intake.fires_later, promise(self.runtime.poll)
        duty = self.runtime.duties.add("fires behind its end", self._fire_all, within=within)
        while True:
            wake.clear()
            if not await duty.run():
                await self.runtime.clock.sleep(BREATH)
                continue
            due = self._due
            rest = Instant(self.runtime.clock.now() + self.runtime.poll)  # others may have left some behind
            await self.runtime.clock.wait(wake, rest if due is None else min(due, rest))

    async def _fire_all(self) -> None:
        self._due = await self.fire_due()

    async def fire_due(self) -> Instant | None:
        """Fire all whose wait is over; when the next one is. Raises StoreUnavailable."""
        store, clock = self.runtime.store, self.runtime.clock
        tried: set[int] = set()
        while (due := await store.next_waiting()) is not None and due <= clock.now():
            waited = await store.waiting_alerts(clock.now(), AT_ONCE)
            await self._postpone([alert for alert in waited if alert.id in tried])
            fresh = [alert for alert in waited if alert.id not in tried]
            tried.update(alert.id for alert in fresh)
            await self._fire(fresh)
        return due

    async def _fire(self, waited: Sequence[StoredAlert]) -> None:
        """Together, so that those of one group are decided in one go; what cannot be decided costs only itself."""
        heard = await asyncio.gather(*(self._fire_one(alert) for alert in waited), return_exceptions=True)
        for alert, error in zip(waited, heard, strict=True):
            if isinstance(error, StoreUnavailable):
                raise error
            if isinstance(error, BaseException):
                log.error("overtaken_alert_postponed", alert=alert.id, error=repr(error), exc_info=error)

    async def _fire_one(self, waited: StoredAlert) -> None:
        alert, defaults = was_sent(waited)
        await self.intake.fire(waited, self._door(waited.integration, defaults), alert)

    def _door(self, name: str, defaults: Mapping[str, object]) -> IntegrationConfig:
        """The integration as it is configured now, with the defaults of the door this alert came through."""
        base = self.runtime.settings.integrations.get(name)
        if base is not None and base.defaults == defaults:
            return base
        door = replace(base or IntegrationConfig(name, name), defaults=defaults)
        known = self._doors.get(name)
        if known != door:
            known = self._doors[name] = door  # one and the same object: the rules remember their integrations
        return known

    async def _postpone(self, stuck: Sequence[StoredAlert]) -> None:
        """Let those wait on that were tried and wait still."""
        if not stuck:
            return

        async def work(tx: Tx) -> None:
            later = Instant(self.runtime.clock.now() + POSTPONED)
            alerts = await tx.alerts([alert.id for alert in stuck])
            tx.save_alerts(
                [replace(alert, waits_until=later) for alert in alerts.values() if alert.waits_until is not None]
            )

        await self.runtime.store.write(work)
