"""Changes of what mutes: open incidents follow, woken by what happened and by the windows' clock.

Silences, maintenance windows, inhibitions and parents that are down all come through here. What is missed in spite of
it (a crash between two commits, another replica's) is found at the next start, by the next look of a shared database,
or by the incident's own timer.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Sequence

import structlog

from tocsin.contracts import IncidentFilter, Tx
from tocsin.decide.incidents import timers
from tocsin.decide.muting.maintenance import MaintenanceWindow, in_force, last_ended
from tocsin.decide.muting.mutes import Mutes, counts_as_source, stored_values
from tocsin.errors import StoreUnavailable
from tocsin.model import OPEN, SECOND, TOCSIN, Incident, Instant, Millis, Settings, StoredAlert, rfc3339
from tocsin.work.background_duties import each, in_turn, promise
from tocsin.work.effects import Effects
from tocsin.work.ledger import Ledger, incidents_of
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.following")

FEW = 5  # firing alerts of an incident that are looked at first
AT_ONCE = 500  # incidents or alerts that are looked at in one go
LOOK = Millis(5 * SECOND)  # how often what other replicas did is looked at
BREATH = Millis(500)  # after the database did not answer
MARKED = "inhibitions"  # the meta value that says for which inhibitions the sources are marked


class MuteChanges:
    """`wake` it after anything that mutes began or ended; `learn` after a start and a reload."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self._wake = asyncio.Event()
        self._told: set[tuple[str, Instant, str]] = set()
        self._unmarked = False
        self._learnt: Settings | None = None
        self._once_more = False  # who decided while another replica's commit was on its way knew nothing of it

    def wake(self) -> None:
        self._wake.set()

    async def learn(self) -> None:
        """The configuration in force, and what fires and is down under it. Nobody else decides meanwhile.

        Raises StoreUnavailable; then it is tried again at the next look.
        """
        self.wake()
        runtime, settings = self.runtime, self.runtime.settings

        async def work(tx: Tx) -> Mutes:
            fresh = runtime.fresh_mutes()
            sources = await tx.inhibitors() if fresh.inhibited.rules else []
            sources = [source for source in sources if counts_as_source(source, settings)]
            incidents = await tx.down(sorted(fresh.parents.services), incidents_of(sources))
            fresh.learn(sources, incidents, runtime.clock.now())
            if runtime.store.exclusive:
                runtime.mutes.take_over(fresh)
            return fresh

        fresh = await runtime.store.write(work)
        if not runtime.store.exclusive:
            runtime.mutes.take_over(fresh)
        self._unmarked = bool(fresh.inhibited.rules) and await runtime.store.meta(MARKED) != _digest(settings)
        self._learnt = settings

    async def run(self) -> None:
        """Forever: what happened, and what the clock says of windows."""
        clock = self.runtime.clock
        within = promise(Millis(max(LOOK, self.runtime.poll)))
        duty = self.runtime.duties.add("following", lambda: self._look(woken), within=within)
        while True:
            woken = await clock.wait(self._wake, self._next_look())
            self._wake.clear()
            if not await duty.run():
                await clock.sleep(BREATH)
                self.wake()

    def _next_look(self) -> Instant | None:
        now = self.runtime.clock.now()
        edge = self.runtime.mutes.windows.next_edge(now)
        look = Instant(now + max(LOOK, self.runtime.poll))
        return look if edge is None else min(edge, look)

    async def _look(self, woken: bool) -> None:
        """Take each step for itself: what one cannot do holds up none of the others, least of all the incidents."""
        shared, before = not self.runtime.store.exclusive, len(self._told)
        mutes = (self.runtime.mutes.inhibited, self.runtime.mutes.parents)
        failed: Exception | None = None
        try:
            others = [self._learn_from_others] if shared else []
            await in_turn(self._learn_if_new, self._mark_if_new, *others, self._tell_windows)
        except Exception as error:  # noqa: BLE001  # raised below, behind the incidents
            failed = error
        changed = shared and mutes != (self.runtime.mutes.inhibited, self.runtime.mutes.parents)
        if woken or changed or len(self._told) > before or self._once_more:
            await follow_all(self.runtime)
        self._once_more = shared and (woken or changed)
        if failed is not None:
            raise failed

    async def _learn_if_new(self) -> None:
        if self._learnt is not self.runtime.settings:
            await self.learn()

    async def _mark_if_new(self) -> None:
        if self._unmarked:
            await self._mark_sources()

    async def _learn_from_others(self) -> None:
        """Sources and parents that came or went at another replica, and whom they page."""
        store, mutes = self.runtime.store, self.runtime.mutes
        for state in await store.contact_states():  # who sent STOP there is called here no more
            self.runtime.learn(state)
        if not mutes.watching:
            return
        sources = await store.inhibitors() if mutes.inhibited.rules else []
        incidents = await store.down(sorted(mutes.parents.services), incidents_of(sources))
        mutes.learn(sources, incidents, self.runtime.clock.now())

    # --------------------------------------------------------------------------------- sources

    async def _mark_sources(self) -> None:
        """Other inhibitions than those the sources were marked for: every open alert is asked, some at a time."""
        settings, after, more = self.runtime.settings, ("", ""), True
        while more:

            async def work(tx: Tx, after: tuple[str, str] = after) -> tuple[str, str] | None:
                alerts = await tx.open_slice(after, AT_ONCE)
                sources = [
                    alert for alert in alerts
                    if counts_as_source(alert, settings) and self.runtime.mutes.inhibited.standing(stored_values(alert))
                ]  # fmt: skip
                tx.add_inhibitors([alert.id for alert in sources])
                for alert in sources:
                    self.runtime.mutes.see(alert)  # nobody ends it before this commits
                return (alerts[-1].integration, alerts[-1].source_key) if len(alerts) == AT_ONCE else None

            last = await self.runtime.store.write(work)
            after, more = last or after, last is not None
        await self.runtime.store.set_meta(MARKED, _digest(settings))
        self._unmarked = False

    # --------------------------------------------------------------------------------- windows

    async def _tell_windows(self) -> None:
        """Windows that began or ended: a line in the log, and one in each open incident they are about."""
        now = self.runtime.clock.now()
        happened: list[tuple[MaintenanceWindow, str]] = []
        for planned in self.runtime.mutes.windows.planned:
            current, ended = in_force(planned, now), last_ended(planned, now)
            happened += [(current, "began")] if current is not None else []
            happened += [(ended, "ended")] if ended is not None else []
        await each(happened, lambda told: self._tell(*told))

    async def _tell(self, window: MaintenanceWindow, phase: str) -> None:
        key = (window.name, window.start, phase)
        if key in self._told:
            return

        async def work(tx: Tx) -> bool:
            new = await tx.begin_window(window.name, window.start, "began")
            if phase == "began":
                return new
            return await tx.begin_window(window.name, window.start, "ended") and not new

        if await self.runtime.store.write(work):
            log.info(f"maintenance_{phase}", window=window.name, start=rfc3339(window.start), end=rfc3339(window.end))
            await self._note(window, phase)
        self._told.add(key)

    async def _note(self, window: MaintenanceWindow, phase: str) -> None:
        """Incidents that are open and have a firing alert that the window is about."""
        runtime, before = self.runtime, None
        while incidents := await runtime.store.incidents(IncidentFilter(tuple(sorted(OPEN))), AT_ONCE, before):
            before = incidents[-1].number
            alerts = await runtime.store.firing_of([incident.number for incident in incidents])
            about = [
                incident.number for incident in incidents
                if any(
                    runtime.mutes.windows.hits(window.name, stored_values(alert, incident))
                    for alert in alerts[incident.number]
                )
            ]  # fmt: skip

            async def work(tx: Tx, about: Sequence[int] = about) -> Effects:
                ledger = Ledger(runtime, tx, runtime.clock.now())
                await ledger.load(about)
                for number in about:
                    incident = ledger.get(number)
                    if incident is not None and incident.open:
                        self._line(ledger, incident, window, phase)
                return await ledger.close()

            if about:
                (await runtime.store.write(work)).apply(runtime)

    def _line(self, ledger: Ledger, incident: Incident, window: MaintenanceWindow, phase: str) -> None:
        because = f"the maintenance window '{window.name}' {phase}"
        ledger.note(
            incident, f"maintenance_{phase}", TOCSIN, "maintenance", because, window=window.name, until=window.end
        )


async def follow_all(runtime: Runtime, before: int | None = None) -> None:
    """The triggered incidents below a number, or all: each is muted while all its firing alerts are, whatever by.

    They are looked at without a lock; only those that change are written, some at a time. One that cannot be followed
    stops no other; what it raised is raised behind the last.
    """
    more, failed = True, None
    while more:
        incidents = await runtime.store.incidents(IncidentFilter(status=("triggered",)), AT_ONCE, before)
        try:
            await _follow_those(runtime, await _changing(runtime, incidents))
        except StoreUnavailable:
            raise
        except Exception as error:  # one by one, and the culprit is left to its own timer
            log.error("followed_one_by_one", error=repr(error), exc_info=True)
            try:
                await each(incidents, lambda incident: _follow_those(runtime, [incident.number]))
            except Exception as culprit:  # noqa: BLE001  # raised below, behind the others
                failed = culprit
        before = incidents[-1].number if incidents else None
        more = len(incidents) == AT_ONCE
    if failed is not None:
        raise failed


async def _follow_those(runtime: Runtime, numbers: Sequence[int]) -> None:
    async def work(tx: Tx) -> Effects:
        return await follow(runtime, tx, numbers)

    if numbers:
        (await runtime.store.write(work)).apply(runtime)


async def _changing(runtime: Runtime, found: Sequence[Incident]) -> list[int]:
    """The incidents among these that would be muted, or not any more, as far as this process knows."""
    mutes, now = runtime.mutes, runtime.clock.now()
    asked = [incident for incident in found if mutes or incident.muted_by is not None]
    alerts = await _telling(runtime, asked, mutes, now) if mutes else {}
    people = runtime.people()

    def around(incident: Incident) -> timers.Around:
        firing = alerts.get(incident.number, [])
        return timers.Around(runtime.settings, people, mutes, None, firing, now, runtime.chance.token)

    return [incident.number for incident in asked if timers.follow_mutes(incident, around(incident))]


async def _telling(
    runtime: Runtime, asked: Sequence[Incident], mutes: Mutes, now: Instant
) -> dict[int, list[StoredAlert]]:
    """Firing alerts of each that tell whether it is muted: the oldest few where one of them may page, else all."""
    alerts = await runtime.store.oldest_firing([incident.number for incident in asked], FEW)
    more = [
        incident.number for incident in asked
        if len(alerts[incident.number]) != incident.firing
        and not timers.any_unmuted(incident, alerts[incident.number], mutes, now)
    ]  # fmt: skip
    return {**alerts, **await runtime.store.firing_of(more)} if more else alerts


async def follow(runtime: Runtime, tx: Tx, numbers: Sequence[int], *, anew: bool = False) -> Effects:
    """Let these incidents follow, in this transaction; `anew`: it made or changed a silence itself."""
    ledger = Ledger(runtime, tx, runtime.clock.now())
    await ledger.load(sorted(numbers))  # first: of two replicas the later one sees what the earlier one decided
    mutes, _ = await ledger.mutes(), await ledger.people()
    if anew and runtime.store.exclusive:
        ledger.quiet_by(mutes.among(await tx.silences(ledger.now)))
    incidents = [incident for number in numbers if (incident := ledger.get(number)) is not None]
    # who is needed comes first
    for incident in sorted(incidents, key=lambda incident: mutes.parents.depth(incident.service)):
        mutes = ledger.what_mutes
        if incident.status == "triggered" and (mutes or incident.muted_by is not None):
            alerts = await _telling_now(tx, incident, mutes, ledger.now) if mutes else []
            ledger.do(timers.follow_mutes(incident, ledger.around(None, alerts, mutes)))
    return await ledger.close()


async def _telling_now(tx: Tx, incident: Incident, mutes: Mutes, now: Instant) -> list[StoredAlert]:
    """Firing alerts that tell whether it is muted, read in this transaction."""
    alerts = (await tx.oldest_firing([incident.number], FEW))[incident.number]
    if len(alerts) == incident.firing or timers.any_unmuted(incident, alerts, mutes, now):
        return alerts
    return await tx.firing_alerts(incident.number)


def _digest(settings: Settings) -> str:
    """Names the inhibitions, and the rules whose alerts are sources though they open no incident."""
    said = repr((settings.inhibitions, [rule.name for rule in settings.rules if rule.suppress]))
    return hashlib.blake2b(said.encode(), digest_size=12).hexdigest()
