"""Timers: steps, ack timeouts, ends of snoozes and silences, expiries. What is due is claimed, decided, written.

Sleep until the earliest due time, wake on commit, take rows without sleeping while rows come back. A
row that fails is postponed and counted; it never stops the loop.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace

import structlog

from tocsin.contracts import IncidentFilter, Tx
from tocsin.decide.incidents import lifecycle, timers
from tocsin.decide.incidents.ending import ended_in, ended_in_silence
from tocsin.decide.incidents.escalation import StepRun
from tocsin.decide.incidents.firing_counts import firing_in, firing_of
from tocsin.decide.incidents.storm_pages import is_first
from tocsin.decide.oncall.resolver import in_hours
from tocsin.errors import StoreUnavailable
from tocsin.model import MINUTE, SECOND, Incident, Instant, Millis, StoredAlert
from tocsin.model.civil import unix
from tocsin.work.background_duties import TIMERS, Duty
from tocsin.work.effects import Effects
from tocsin.work.ingest.intake import Intake
from tocsin.work.ingest.reassessment import sink, take_end
from tocsin.work.ledger import Ledger
from tocsin.work.noise.storms import Storms
from tocsin.work.runtime import Runtime

Work = Callable[[Tx, int], Awaitable[tuple[int, Effects, list[StoredAlert]]]]

log = structlog.stdlib.get_logger("tocsin.timers")

FEW = 5  # firing alerts of an incident that are looked at first
AT_ONCE = 200  # rows a transaction
POSTPONED = Millis(30_000)  # a row that failed is asked again after this
BREATH = Millis(500)  # after the database did not answer
HELD = Millis(250)  # what is due and held by another replica is asked for again after this
PROMISED = Millis(10 * SECOND)  # a round at least so often


class Timers:
    """Runs what is due. `duty` tells when it last got through, for readiness and the watchdog."""

    def __init__(self, runtime: Runtime, intake: Intake, storms: Storms) -> None:
        self.runtime, self.intake, self.storms = runtime, intake, storms
        self.wake = asyncio.Event()
        self.duty: Duty | None = None
        self._due: Instant | None = None
        self._waits_until: Instant | None = None
        self._minute = -1
        self._in_hours: dict[str, bool] = {}

    async def run(self) -> None:
        """Forever. Support hours are a duty of their own: their trouble holds up no step."""
        within = Millis(max(PROMISED, 3 * self.runtime.poll))
        duty = self.duty = self.runtime.duties.add(TIMERS, self._round, within=within)
        hours = self.runtime.duties.add(
            "support hours", self._begin_support_hours, within=Millis(within + 3 * MINUTE), limit=PROMISED
        )
        while True:
            self.wake.clear()
            if unix(self.runtime.clock.now()) // MINUTE != self._minute:
                await hours.run()
            if not await duty.run():
                await self.runtime.clock.sleep(BREATH)
                continue
            rest = Instant(self.runtime.clock.now() + self.runtime.poll)
            self._waits_until = rest if self._due is None else min(self._due, rest)
            await self.runtime.clock.wait(self.wake, self._waits_until)
            self._waits_until = None

    def due_at(self, at: Instant) -> None:
        """Wake up for what falls due then, unless that is later than what is waited for anyway."""
        if self._waits_until is None or at < self._waits_until:
            self.wake.set()

    async def _round(self) -> None:
        """Run until nothing is due, and note the instant at which something will be."""
        await self.runtime.signals.attend()
        while (earliest := await self.runtime.store.next_due()) is not None and earliest <= self.runtime.clock.now():
            if not await self.run_due():
                earliest = Instant(self.runtime.clock.now() + HELD)
                break
            if self.duty is not None:
                self.duty.done()
        self._due = earliest

    async def run_due(self) -> int:
        """Run everything due now once; how many rows there were. Trouble with one kind holds up no other kind."""
        count, failed = 0, None
        for work in (self._incidents, self._alerts):
            try:
                count += await self._batch(work)
            except Exception as error:  # noqa: BLE001  # raised below, behind the other kind
                failed = failed or error
        if failed is not None:
            raise failed
        return count

    async def _batch(self, work: Work) -> int:
        """Run one transaction over up to AT_ONCE rows; when it fails, row by row with the culprits postponed."""
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

        count, effects, ended = await self.runtime.store.write(run, paging=True)
        effects.apply(self.runtime)
        self.intake.ended(ended)
        return count

    async def _postpone(self, work: Work) -> None:
        async def later(tx: Tx) -> None:
            now = self.runtime.clock.now()
            if work == self._incidents:
                rows = await tx.due_incidents(now, 1)
                tx.save_incidents([replace(row, due_at=Instant(now + POSTPONED)) for row in rows])
            else:
                alerts = await tx.due_alerts(now, 1)
                tx.save_alerts([replace(row, expires_at=Instant(now + POSTPONED)) for row in alerts])

        await self.runtime.store.write(later, paging=True)

    # ----------------------------------------------------------------------------- incidents

    async def _incidents(self, tx: Tx, limit: int) -> tuple[int, Effects, list[StoredAlert]]:
        ledger = Ledger(self.runtime, tx, self.runtime.clock.now())
        rows = await tx.due_incidents(ledger.now, limit)
        ledger.know(rows)
        if self.runtime.mutes.watching:
            parents = (await ledger.mutes()).parents
            for incident in rows:  # what is about to page counts for those that are due with it
                ledger.see(incident)
            rows = sorted(rows, key=lambda incident: parents.depth(incident.service))  # who is needed comes first
        oldest = await self._oldest_alerts(ledger, rows)
        for incident in rows:
            await self._incident(ledger, incident, oldest)
        await self.storms.page(ledger)
        return len(rows), await ledger.close(), []

    async def _oldest_alerts(self, ledger: Ledger, rows: Sequence[Incident]) -> dict[int, list[StoredAlert]]:
        """In one read, the oldest firing alerts of those where they have a say: nearly always they suffice."""
        mutes = await ledger.mutes()
        asked = [incident.number for incident in rows if timers.asks_alerts(incident, self.runtime.settings, mutes)]
        return await ledger.tx.oldest_firing(asked, FEW)

    async def _incident(self, ledger: Ledger, incident: Incident, oldest: Mapping[int, list[StoredAlert]]) -> None:
        if incident.due_kind in ("step", "again"):
            planned = incident.planned_at if incident.planned_at is not None else ledger.now
            self.runtime.metrics.step_lateness_seconds.observe(max(0, ledger.now - planned) / 1000)
        if incident.due_kind == "unmute" and lifecycle.in_storm(incident):
            if not await self.storms.leave(ledger, incident):
                return
            incident = ledger.get(incident.number) or incident
        around = await self._around(ledger, incident, oldest)
        for deed in timers.fall_due(incident, around):
            self._do(ledger, deed, around)

    def _do(self, ledger: Ledger, deed: timers.Deed, around: timers.Around) -> None:
        """Keep what was decided; a very first page may be taken in by a storm."""
        before = ledger.get(deed.incident.number)
        if isinstance(deed, StepRun) and before is not None and is_first(before):
            kind = around.alerts[0].labels.get("alertname", "") if around.alerts else ""
            ledger.begin(before, around.policy, kind)
        else:
            ledger.do((deed,))

    async def _around(
        self, ledger: Ledger, incident: Incident, oldest: Mapping[int, list[StoredAlert]]
    ) -> timers.Around:
        """The facts that have a say in it, read only where they have, and as far as they may change the answer."""
        mutes, settings = await ledger.mutes(), self.runtime.settings
        alerts: list[StoredAlert] = []
        if timers.asks_alerts(incident, settings, mutes):
            alerts = oldest.get(incident.number, [])
            if len(alerts) != incident.firing and not timers.suffice(incident, alerts, settings, mutes, ledger.now):
                alerts = await ledger.tx.firing_alerts(incident.number)
        await ledger.people()
        return ledger.around(await self.runtime.policies.thaw(incident.policy_hash), alerts, mutes)

    # ------------------------------------------------------------------------- support hours

    async def _begin_support_hours(self) -> None:
        """Give what nobody has yet its urgency back. Hours begin with a minute: it looks once in each."""
        now, failed = self.runtime.clock.now(), None
        for service in self.runtime.settings.services.values():
            hours = service.support_hours
            within = hours is not None and in_hours(hours, now)
            try:
                if within and not self._in_hours.get(service.name, False):
                    await self._give_urgency_back(service.name)
            except Exception as error:  # noqa: BLE001  # raised below, behind the other services
                failed = failed or error
            else:
                self._in_hours[service.name] = within
        if failed is not None:
            raise failed
        self._minute = unix(now) // MINUTE

    async def _give_urgency_back(self, service: str) -> None:
        where = IncidentFilter(status=("triggered",), service=service)
        before: int | None = None
        while incidents := await self.runtime.store.incidents(where, AT_ONCE, before):
            before = incidents[-1].number
            numbers = [incident.number for incident in incidents if incident.urgency == "low"]

            async def work(tx: Tx, numbers: list[int] = numbers) -> Effects:
                ledger = Ledger(self.runtime, tx, self.runtime.clock.now())
                await ledger.load(numbers)
                for number in numbers:
                    incident = ledger.get(number)
                    if incident is not None:
                        ledger.do(timers.urgency_back(incident, await self._around(ledger, incident, {})))
                return await ledger.close()

            (await self.runtime.store.write(work, paging=True)).apply(self.runtime)

    # -------------------------------------------------------------------------------- alerts

    async def _alerts(self, tx: Tx, limit: int) -> tuple[int, Effects, list[StoredAlert]]:
        """Alerts whose source fell silent: they end, as if it had resolved them."""
        ledger = Ledger(self.runtime, tx, self.runtime.clock.now())
        rows = await tx.due_alerts(ledger.now, limit)
        await ledger.load([alert.incident for alert in rows if alert.incident is not None])
        touched: dict[int, None] = {}
        ended = []
        for alert in rows:
            newer = None if alert.cleared_at is not None else self.intake.newest_expiry(alert.id)
            if newer is not None and newer > ledger.now:
                tx.save_alerts([replace(alert, expires_at=newer)])
                continue
            if alert.waits_until is not None and alert.cleared_at is not None:
                tx.save_alerts([replace(alert, expires_at=Instant(ledger.now + POSTPONED))])  # it may fire again
                continue
            after = ended_in_silence(alert, ledger.now)
            tx.save_alerts([after])
            ended.append(after)
            incident = ledger.get(after.incident) if after.incident is not None else None
            if incident is not None:
                close_after = self.runtime.settings.defaults.close_after
                take_end(ledger, ended_in(incident, after, close_after, ledger.now), touched)
        self.intake.forget(ended)  # before the commit: the next post may be decided before we hear of it
        await self._sink(ledger, tx, touched)
        return len(rows), await ledger.close(), ended

    async def _sink(self, ledger: Ledger, tx: Tx, touched: dict[int, None]) -> None:
        for number in touched:
            incident = ledger.get(number)
            if incident is None or not incident.open:
                continue
            firing = firing_in(incident) or firing_of(await tx.firing_alerts(number))
            if firing.severity is not None:
                sink(ledger, incident, firing)
