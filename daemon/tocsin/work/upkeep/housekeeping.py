"""Chores done now and then: counts written, gauges read, old rows pruned, the clock watched."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from tocsin.contracts import Tx
from tocsin.decide.oncall.reach import usable_contacts
from tocsin.decide.oncall.resolver import on_call, shifts
from tocsin.model import DAY, HOUR, MINUTE, SECOND, ContactState, Instant, Millis, Schedule, Settings
from tocsin.work.background_duties import ANSWERS, LIMIT, each, promise
from tocsin.work.ingest.intake import Intake
from tocsin.work.muting.silences import Silences
from tocsin.work.oncall.overrides import Overrides
from tocsin.work.runtime import Runtime
from tocsin.work.upkeep.api_tokens import Access
from tocsin.work.upkeep.health import Health

log = structlog.stdlib.get_logger("tocsin.housekeeping")

ALIVE = "alive_at"
DOWN = Millis(30 * SECOND)
PRUNED_AT_ONCE = 500
LONGEST = Millis(30 * MINUTE)  # for a chore that is done rarely

Chore = Callable[[], Awaitable[object]]


class Housekeeping:
    """Run each chore as a duty in its own loop; one that fails is logged and done again next time, or in a minute."""

    def __init__(
        self, runtime: Runtime, intake: Intake, silences: Silences, overrides: Overrides, access: Access, health: Health
    ) -> None:
        self.runtime, self.intake, self.silences, self.overrides = runtime, intake, silences, overrides
        self.access, self.health = access, health

    def start(self, *more: tuple[str, Millis, Chore]) -> None:
        """Begin all chores, and those that others bring."""
        for name, every, chore in (
            *more,
            (ANSWERS, Millis(5 * SECOND), self.health.exercise),
            ("repeats", Millis(SECOND), self.intake.flush_repeats),
            ("token uses", Millis(30 * SECOND), self.access.flush_uses),
            ("silences", Millis(SECOND), self.silences.begin),
            ("sign of life", Millis(5 * SECOND), self.alive),
            ("gauges", Millis(5 * SECOND), self.gauges),
            *self.learning(),
            ("gaps", Millis(5 * MINUTE), self.gaps),
            ("retention", Millis(HOUR), self.prune),
        ):
            self.runtime.spawn(self._every(name, every, chore), name)
        self.runtime.spawn(self._lag(), "event loop lag")

    def learning(self) -> list[tuple[str, Millis, Chore]]:
        """Read what other replicas wrote: silences, overrides and keys, and what they learnt of contacts."""
        every = Millis(5 * SECOND)
        theirs: list[tuple[str, Millis, Chore]] = [
            ("silences of others", every, self.silences.refresh),
            ("overrides of others", every, self.overrides.refresh),
            ("contacts", every, self.learn_contacts),
            ("keys", every, self.access.learn_keys),
        ]
        return [("quarantine", every, self.learn_quarantine), *([] if self.runtime.store.exclusive else theirs)]

    async def _every(self, name: str, length: Millis, chore: Chore) -> None:
        duty = self.runtime.duties.add(
            name, chore, within=promise(length), limit=LONGEST if length >= MINUTE else LIMIT
        )
        rest = length
        while True:
            await self.runtime.clock.sleep(rest)
            rest = length if await duty.run() else Millis(min(length, MINUTE))

    async def _lag(self) -> None:
        clock = self.runtime.clock
        while True:
            before = clock.monotonic()
            await clock.sleep(Millis(SECOND))
            self.runtime.metrics.event_loop_lag_seconds.observe(max(0.0, clock.monotonic() - before - 1))

    # ---------------------------------------------------------------------------------- chores

    async def alive(self) -> None:
        """For the next start: how long nobody was here."""
        await self.runtime.signals.attend()
        await self.runtime.store.set_meta(ALIVE, str(self.runtime.clock.now()))

    async def gauges(self) -> None:
        counts, metrics, now = await self.runtime.store.counts(), self.runtime.metrics, self.runtime.clock.now()
        metrics.incidents.clear()
        for (status, priority), count in counts.incidents.items():
            metrics.incidents.labels(status, priority).set(count)
        metrics.due_timers.set(counts.due_timers)
        metrics.open_intents.set(counts.open_intents)
        metrics.oldest_due_step_seconds.set(0 if counts.oldest_due is None else max(0, now - counts.oldest_due) / 1000)
        metrics.people_without_contact.set(len(self._unreachable(now)))

    def _unreachable(self, now: Instant) -> set[str]:
        settings, people = self.runtime.settings, self.runtime.people()
        on_duty = {
            key
            for schedule in settings.schedules.values()
            for key in on_call(schedule, now, people.overrides.get(schedule.name, ())).users
        }
        return {
            key
            for key in on_duty
            if key in settings.users and not usable_contacts(settings.users[key], settings, people)
        }

    async def gaps(self) -> None:
        now, overrides = self.runtime.clock.now(), self.runtime.people().overrides
        schedules = list(self.runtime.settings.schedules.values())

        async def look(schedule: Schedule) -> None:
            gaps = shifts(schedule, now, Instant(now + 30 * DAY), overrides.get(schedule.name, ())).gaps
            seconds = sum(gap.end - gap.start for gap in gaps) / 1000
            self.runtime.metrics.schedule_gap_seconds_ahead.labels(schedule.name).set(seconds)

        await each(schedules, look)

    async def prune(self) -> None:
        """In small slices, so that nobody waits for it."""
        now, keep = self.runtime.clock.now(), self.runtime.settings.retention
        while await self.runtime.store.prune(Instant(now - keep.alerts), Instant(now - keep.incidents), PRUNED_AT_ONCE):
            await self.runtime.clock.sleep(Millis(50))
        while await self._forget_tallies(Instant(now - longest_window(self.runtime.settings))):
            await self.runtime.clock.sleep(Millis(50))

    async def _forget_tallies(self, before: Instant) -> int:
        return await self.runtime.store.write(lambda tx: tx.forget_tallies(before, PRUNED_AT_ONCE), lane="ingest")

    async def learn_quarantine(self) -> None:
        """Another process may have begun or ended it."""
        self.health.quarantined = bool(await self.runtime.store.meta("quarantine"))

    # --------------------------------------------------------------------------------- at start

    async def learn_contacts(self) -> None:
        """Configured addresses that cannot be used, and which were proven."""
        settings = self.runtime.settings
        known = {
            (settings.channels[contact.channel].type, contact.to)
            for user in settings.users.values() for contact in user.contacts.values()
            if contact.channel in settings.channels
        }  # fmt: skip

        async def work(tx: Tx) -> list[ContactState]:
            found = [await tx.contact_state(kind, address) for kind, address in sorted(known)]
            return [state for state in found if state is not None]

        states = await self.runtime.store.write(work)
        self.runtime.dead = {(state.channel_kind, state.address): state.because for state in states if not state.usable}
        proven = [one for one in await self.runtime.store.verifications() if one.verified_at is not None]
        self.runtime.verified = {(one.user, one.channel_kind, one.address) for one in proven}

    async def judge_downtime(self) -> bool:
        """Whether nobody was here for long. Expiries that fell into a downtime are judged anew: sources could not
        refresh them meanwhile."""
        now = self.runtime.clock.now()
        alive = await self.runtime.store.meta(ALIVE)
        if alive is None or now - int(alive) <= DOWN:
            return False
        log.warning("was_down", seconds=(now - int(alive)) // 1000)

        async def work(tx: Tx) -> int:
            due = await tx.due_alerts(now, 1000)
            tx.save_alerts(
                [
                    replace(one, expires_at=Instant(now + max(5 * MINUTE, (one.expires_at or 0) - one.last_seen_at)))
                    for one in due
                ]
            )
            return len(due)

        while await self.runtime.store.write(work):
            pass
        return True


def longest_window(settings: Settings) -> Millis:
    """No rule counts further back, and none will that is written tomorrow for a day."""
    limits = [limit for rule in settings.rules for limit in (rule.threshold, rule.flap) if limit is not None]
    return max([DAY, *(limit.within for limit in limits)])
