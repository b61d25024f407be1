"""What is due: steps, ack timeouts, ends of snoozes and silences, expiries. Claimed, decided, written.

Sleep until the earliest due time, wake on commit, take rows without sleeping while rows come back. A
row that fails is postponed and counted; it never stops the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from tocsin.contracts import Tx
from tocsin.decide import lifecycle
from tocsin.decide.priority import worst
from tocsin.errors import StoreUnavailable
from tocsin.model import TOCSIN, Incident, Instant, Millis, StoredAlert
from tocsin.work.core import Core
from tocsin.work.intake import Intake, end_in_incident, reassessed
from tocsin.work.ledger import Effects, Ledger
from tocsin.work.muting import Mute, stored_values

Work = Callable[[Tx, int], Awaitable[tuple[int, Effects, list[StoredAlert]]]]

log = structlog.stdlib.get_logger("tocsin.timers")

AT_ONCE = 200  # rows a transaction
POSTPONED = Millis(30_000)  # a row that failed is asked again after this
POLL = Millis(1_000)  # with a shared database: what another replica committed is seen within this
BREATH = Millis(500)  # after the database did not answer


class Timers:
    """Runs what is due. `progressed_at` moves with every round, for the watchdog."""

    def __init__(self, core: Core, intake: Intake) -> None:
        self.core, self.intake = core, intake
        self.wake = asyncio.Event()
        self.progressed_at = core.clock.now()

    async def run(self) -> None:
        """Forever."""
        while True:
            self.wake.clear()
            try:
                due = await self._run_all_due()
            except StoreUnavailable as error:
                log.error("store_unavailable", error=str(error))
                await self.core.clock.sleep(BREATH)
                continue
            self.progressed_at = now = self.core.clock.now()
            rest = Instant(now + POLL)
            await self.core.clock.wait(self.wake, rest if due is None else min(due, rest))

    async def _run_all_due(self) -> Instant | None:
        """Run until nothing is due; the instant at which something will be."""
        while (due := await self.core.store.next_due()) is not None and due <= self.core.clock.now():
            await self.run_due()
            self.progressed_at = self.core.clock.now()
        return due

    async def run_due(self) -> int:
        """Run everything due now once; how many rows there were."""
        count = await self._batch(self._incidents)
        return count + await self._batch(self._alerts)

    async def _batch(self, work: Work) -> int:
        """One transaction over up to AT_ONCE rows; when it fails, row by row with the culprits postponed."""
        try:
            return await self._commit(work, AT_ONCE)
        except StoreUnavailable:
            raise
        except Exception as error:  # one poisoned row must not stop the others
            log.error("timers_batch_failed", error=repr(error), exc_info=True)
            return await self._one_by_one(work)

    async def _one_by_one(self, work: Work) -> int:
        for count in range(AT_ONCE):
            try:
                if not await self._commit(work, 1):
                    return count
            except StoreUnavailable:
                raise
            except Exception as error:  # postponed first, then seen
                await self._postpone(work)
                log.error("timer_postponed", error=repr(error), exc_info=True)
        return AT_ONCE

    async def _commit(self, work: Work, limit: int) -> int:
        async def run(tx: Tx) -> tuple[int, Effects, list[StoredAlert]]:
            return await work(tx, limit)

        count, effects, ended = await self.core.store.write(run)
        effects.apply(self.core)
        self.intake.forget(ended)
        return count

    async def _postpone(self, work: Work) -> None:
        async def later(tx: Tx) -> None:
            now = self.core.clock.now()
            if work == self._incidents:
                rows = await tx.due_incidents(now, 1)
                tx.save_incidents([replace(row, due_at=Instant(now + POSTPONED)) for row in rows])
            else:
                alerts = await tx.due_alerts(now, 1)
                tx.save_alerts([replace(row, expires_at=Instant(now + POSTPONED)) for row in alerts])

        await self.core.store.write(later)

    # ----------------------------------------------------------------------------- incidents

    async def _incidents(self, tx: Tx, limit: int) -> tuple[int, Effects, list[StoredAlert]]:
        ledger = Ledger(self.core, tx, self.core.clock.now())
        due = await tx.due_incidents(ledger.now, limit)
        ledger.know(due)
        for incident in due:
            await self._incident(ledger, incident)
        return len(due), await ledger.close(), []

    async def _incident(self, ledger: Ledger, incident: Incident) -> None:
        match incident.due_kind:
            case "step" | "again":
                await self._step(ledger, incident)
            case "ack_timeout":
                because = f"acknowledged by {incident.acknowledged_by}, and not resolved in time"
                await self._again(ledger, incident, because)
            case "unsnooze":
                await self._again(ledger, incident, "the snooze ended")
            case "unmute":
                await self._unmute(ledger, incident)
            case "close":
                ledger.take(lifecycle.close(incident, TOCSIN, "timer", ledger.now))
            case None:
                ledger.put(replace(incident, due_at=None))

    async def _step(self, ledger: Ledger, incident: Incident) -> None:
        planned = incident.planned_at if incident.planned_at is not None else ledger.now
        self.core.metrics.step_lateness_seconds.observe(max(0, ledger.now - planned) / 1000)
        if incident.status != "triggered":
            ledger.put(replace(incident, due_at=None, due_kind=None))
            return
        await self._page_unless_muted(ledger, self._urgency_back(incident, ledger.now))

    async def _page_unless_muted(self, ledger: Ledger, incident: Incident) -> None:
        """Run the step that is due, or stand still while every firing alert is silenced."""
        mute = await self._still_muted(ledger, incident)
        if mute is not None:
            ledger.take(lifecycle.mute(incident, mute.reason, mute.until, ledger.now))
            return
        ledger.step(incident, await self.core.policies.thaw(incident.policy_hash))

    def _urgency_back(self, incident: Incident, now: Instant) -> Incident:
        """Support hours may have begun since: the urgency is what it would be now, never lower."""
        service = self.core.settings.services.get(incident.service)
        if service is None or service.support_hours is None or incident.urgency != "low":
            return incident
        return reassessed(incident, incident.severity, self.core.settings, now)

    async def _again(self, ledger: Ledger, incident: Incident, because: str) -> None:
        """A new cycle, and its first step at once."""
        move = lifecycle.retrigger(incident, ledger.now, because)
        if ledger.take(move) and isinstance(move, lifecycle.Move):
            await self._page_unless_muted(ledger, move.incident)

    async def _unmute(self, ledger: Ledger, incident: Incident) -> None:
        until = await self._still_muted(ledger, incident)
        if until is not None:
            ledger.take(lifecycle.mute(incident, until.reason, until.until, ledger.now))
            return
        move = lifecycle.unmute(incident, ledger.now, "the silence ended")
        if not ledger.take(move) or not isinstance(move, lifecycle.Move):
            ledger.put(replace(incident, due_at=None, due_kind=None))
            return
        if move.incident.due_at is not None and move.incident.due_at <= ledger.now:
            ledger.step(move.incident, await self.core.policies.thaw(incident.policy_hash))

    async def _still_muted(self, ledger: Ledger, incident: Incident) -> Mute | None:
        """The mute that ends first, when every firing alert is still under one."""
        if not self.core.mutes or incident.status != "triggered":
            return None
        alerts = await ledger.tx.firing_alerts(incident.number)
        mutes = [self.core.mutes.of(stored_values(alert), ledger.now) for alert in alerts]
        found = [mute for mute in mutes if mute is not None]
        return min(found, key=lambda mute: mute.until) if alerts and len(found) == len(alerts) else None

    # -------------------------------------------------------------------------------- alerts

    async def _alerts(self, tx: Tx, limit: int) -> tuple[int, Effects, list[StoredAlert]]:
        """Alerts whose source fell silent: they end, as if it had resolved them."""
        ledger = Ledger(self.core, tx, self.core.clock.now())
        due = await tx.due_alerts(ledger.now, limit)
        await ledger.load([alert.incident for alert in due if alert.incident is not None])
        touched: dict[int, None] = {}
        ended = []
        for alert in due:
            newer = self.intake.newest_expiry(alert.id)
            if newer is not None and newer > ledger.now:
                tx.save_alerts([replace(alert, expires_at=newer)])
                continue
            after = replace(alert, status="resolved", ended_at=ledger.now, expires_at=None)
            tx.save_alerts([after])
            ended.append(after)
            if after.incident is not None:
                end_in_incident(ledger, after, touched)
        self.intake.forget(ended)  # before the commit: the next post may be decided before we hear of it
        await self._sink(ledger, tx, touched)
        return len(due), await ledger.close(), ended

    async def _sink(self, ledger: Ledger, tx: Tx, touched: dict[int, None]) -> None:
        for number in touched:
            incident = ledger.get(number)
            left = await tx.firing_alerts(number)
            if incident is None or not incident.open or not left:
                continue
            severity = worst([alert.severity for alert in left])
            ledger.put(reassessed(incident, severity, self.core.settings, ledger.now))
