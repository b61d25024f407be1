"""What is due: steps, ack timeouts, ends of snoozes and silences, expiries. Claimed, decided, written.

Sleep until the earliest due time, wake on commit, take rows without sleeping while rows come back. A
row that fails is postponed and counted; it never stops the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from tocsin.contracts import IncidentFilter, Tx
from tocsin.decide import lifecycle
from tocsin.decide.oncall import in_hours
from tocsin.errors import StoreUnavailable
from tocsin.model import MINUTE, TOCSIN, Incident, Instant, Millis, StoredAlert
from tocsin.work.batch import end_in_incident, reassessed, sink, tell_reassessed
from tocsin.work.core import Core
from tocsin.work.intake import Intake
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
        self._waits_until: Instant | None = None
        self._minute = -1
        self._in_hours: dict[str, bool] = {}

    async def run(self) -> None:
        """Forever."""
        while True:
            self.wake.clear()
            try:
                await self._begin_support_hours()
                due = await self._run_all_due()
            except StoreUnavailable as error:
                log.error("store_unavailable", error=str(error))
                await self.core.clock.sleep(BREATH)
                continue
            except Exception as error:  # the next round must come; readiness tells when none gets through
                log.error("timers_failed", error=repr(error), exc_info=True)
                await self.core.clock.sleep(BREATH)
                continue
            self.progressed_at = now = self.core.clock.now()
            rest = Instant(now + POLL)
            self._waits_until = rest if due is None else min(due, rest)
            await self.core.clock.wait(self.wake, self._waits_until)
            self._waits_until = None

    def due_at(self, at: Instant) -> None:
        """Something falls due then: wake up, unless that is later than what is waited for anyway."""
        if self._waits_until is None or at < self._waits_until:
            self.wake.set()

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
        if not await self._urgency_back(ledger, incident):
            await self._page_unless_muted(ledger, incident)

    async def _page_unless_muted(self, ledger: Ledger, incident: Incident) -> None:
        """Run the step that is due, or stand still while every firing alert is silenced or held."""
        mute = await self._still_muted(ledger, incident)
        if mute is not None:
            ledger.take(lifecycle.mute(incident, mute.reason, mute.until, ledger.now))
            return
        hold = await self._still_held(ledger, incident)
        if hold is not None:
            ledger.put(lifecycle.held(incident, hold, ledger.now))
            return
        await ledger.people()
        ledger.step(incident, await self.core.policies.thaw(incident.policy_hash))

    async def _still_held(self, ledger: Ledger, incident: Incident) -> Instant | None:
        """The earliest end of hold of those that fire; the alert that held it so far may have ended."""
        if incident.held_until is None:
            return None
        ends = [alert.hold_until or ledger.now for alert in await ledger.tx.firing_alerts(incident.number)]
        return min(ends) if ends and min(ends) > ledger.now else None

    # ------------------------------------------------------------------------- support hours

    async def _begin_support_hours(self) -> None:
        """What nobody has yet gets its urgency back. Hours begin with a minute: it looks once in each."""
        now = self.core.clock.now()
        if now // MINUTE == self._minute:
            return
        self._minute = now // MINUTE
        for service in self.core.settings.services.values():
            hours = service.support_hours
            within = hours is not None and in_hours(hours, now)
            if within and not self._in_hours.get(service.name, False):
                await self._give_urgency_back(service.name)
            self._in_hours[service.name] = within

    async def _give_urgency_back(self, service: str) -> None:
        where = IncidentFilter(status=("triggered",), service=service)
        before: int | None = None
        while found := await self.core.store.incidents(where, AT_ONCE, before):
            before = found[-1].number
            numbers = [one.number for one in found if one.urgency == "low"]

            async def work(tx: Tx, numbers: list[int] = numbers) -> Effects:
                ledger = Ledger(self.core, tx, self.core.clock.now())
                await ledger.load(numbers)
                for number in numbers:
                    incident = ledger.get(number)
                    if incident is not None:
                        await self._urgency_back(ledger, incident)
                return await ledger.close()

            (await self.core.store.write(work)).apply(self.core)

    async def _urgency_back(self, ledger: Ledger, incident: Incident) -> bool:
        """Support hours have begun since it lost its urgency: a new cycle under the one it would have now."""
        service = self.core.settings.services.get(incident.service)
        if service is None or service.support_hours is None or incident.urgency != "low":
            return False
        if incident.status != "triggered" or incident.held_until is not None:
            return False
        alerts = await ledger.tx.firing_alerts(incident.number)
        after = reassessed(incident, alerts, self.core.settings, ledger.now)
        if after.urgency == "low":
            return False
        because = f"the support hours of {service.name} began"
        ledger.put(after)
        tell_reassessed(ledger, after, "timer", because)
        ledger.take(lifecycle.retrigger(after, ledger.now, because))
        return True

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
            await ledger.people()
            ledger.step(move.incident, await self.core.policies.thaw(incident.policy_hash))

    async def _still_muted(self, ledger: Ledger, incident: Incident) -> Mute | None:
        """The mute that ends first, when every firing alert is still under one."""
        in_force = await ledger.mutes()
        if not in_force or incident.status != "triggered":
            return None
        alerts = await ledger.tx.firing_alerts(incident.number)
        mutes = [in_force.of(stored_values(alert), ledger.now) for alert in alerts]
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
            sink(ledger, incident, left)
