"""The end of a storm, and answers to it: what it took in is acknowledged with it, or pages by itself."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.contracts import Tx
from tocsin.decide.incidents import lifecycle
from tocsin.decide.noise import storms as decide
from tocsin.decide.noise.storms import StormState
from tocsin.model import MINUTE, SECOND, TOCSIN, Incident, Instant, Millis
from tocsin.work.background_duties import each, in_turn
from tocsin.work.effects import Effects
from tocsin.work.ledger import Ledger
from tocsin.work.noise.storms import FOREVER, Storms, mute_of, wake
from tocsin.work.runtime import Runtime

KEPT = 1_000  # scopes that are written for the next start, those with most incidents first
IDLE = Millis(10 * MINUTE)  # a scope without a storm is forgotten by the database after this
AGAIN = Millis(5 * SECOND)  # for so long what an ended storm took in is looked for: its end may not be known yet


@dataclass(frozen=True, slots=True)
class EndedStorm:
    """A storm that is over."""

    incident: int
    muted_by: str
    at: Instant


class StormEnd:
    """`look` every second."""

    def __init__(self, runtime: Runtime, storms: Storms) -> None:
        self.runtime, self.storms = runtime, storms
        self._passed_on: dict[int, Instant] = {}  # storms, and the acknowledgement that what they took in got too
        self._ended: list[EndedStorm] = []

    async def look(self) -> None:
        """Storms that are over end, answers to a storm are passed on, counts are kept for the next start."""
        await in_turn(
            self._look_after_each,
            lambda: each(self._ended, self._let_go),
            lambda: self._keep(self.runtime.clock.now()),
        )
        now = self.runtime.clock.now()
        self._ended = [ended for ended in self._ended if now - ended.at < AGAIN]

    async def _look_after_each(self) -> None:
        """Look after the scopes where a storm is on."""
        exclusive = self.runtime.store.exclusive
        known = self.storms.states.values() if exclusive else await self.runtime.store.storms()
        await each([state.scope for state in known if state.incident is not None], self._look_after)

    # ------------------------------------------------------------------------------- one storm

    async def _look_after(self, scope: str) -> None:
        async def work(tx: Tx) -> tuple[Effects, EndedStorm | None]:
            ledger = Ledger(self.runtime, tx, self.runtime.clock.now())
            ended = await self._decide(ledger, scope)
            return await ledger.close(), ended

        effects, ended = await self.runtime.store.write(work)
        effects.apply(self.runtime)
        if ended is not None:
            self._ended.append(ended)
            self._passed_on.pop(ended.incident, None)

    async def _decide(self, ledger: Ledger, scope: str) -> EndedStorm | None:
        """Decide what becomes of the storm of this scope; returns the ended one, if it is over."""
        state = (await self.storms.read(ledger.tx, [scope]))[scope]
        if state.incident is None or not state.held:
            return None
        await ledger.load([state.incident])
        storm = ledger.get(state.incident)
        if storm is None or not storm.open:
            return self._end(ledger, state)
        limit = self.storms.limit
        title = decide.title(state, limit)  # by its newest count
        if title != storm.title:
            ledger.put(replace(storm, title=title, updated_at=ledger.now, version=storm.version + 1))
        if decide.is_calm(state, limit, ledger.now):
            return self._resolve(ledger, state, storm.number)
        await ledger.people()
        if not self.storms.stands(storm, ledger):  # nobody hears of it: what it took in pages by itself
            wake(ledger, storm.number, mute_of(state, storm.number), FOREVER)
        self._pass_on(ledger, state, storm)
        return None

    def _resolve(self, ledger: Ledger, state: StormState, number: int) -> EndedStorm:
        storm, close_after = ledger.get(number), self.runtime.settings.defaults.close_after
        assert storm is not None
        because = decide.because_it_is_over(state, self.storms.limit, ledger.now)
        ledger.take(lifecycle.resolve(storm, TOCSIN, "storm", ledger.now, close_after, because), "storm")
        return self._end(ledger, state)

    def _end(self, ledger: Ledger, state: StormState) -> EndedStorm:
        assert state.incident is not None
        ended = EndedStorm(state.incident, mute_of(state, state.incident), ledger.now)
        decide.end(state)
        ledger.tx.save_storm(decide.row_of(state))
        wake(ledger, ended.incident, ended.muted_by, FOREVER)
        return ended

    def _pass_on(self, ledger: Ledger, state: StormState, storm: Incident) -> None:
        """Whoever acknowledges a storm acknowledges what it had taken in by then."""
        at = storm.acknowledged_at
        if storm.status != "acknowledged" or at is None or storm.snoozed_until is not None:
            return
        if self._passed_on.get(storm.number) != at:
            wake(ledger, storm.number, mute_of(state, storm.number), at)
            self._passed_on[storm.number] = at

    async def _let_go(self, ended: EndedStorm) -> None:
        """Once more: who took something in at the moment of its end did not know of it."""

        async def work(tx: Tx) -> bool:
            now = self.runtime.clock.now()
            left = [
                incident
                for incident in await tx.taken_in(ended.incident, ended.muted_by, 1)
                if _waits_long(incident, now)
            ]
            if left:
                tx.wake_taken_in(ended.incident, ended.muted_by, FOREVER, now)
            return bool(left)

        if await self.runtime.store.write(work):
            self.runtime.signals.planned(set(), self.runtime.clock.now())

    # ------------------------------------------------------------------------- what is remembered

    async def _keep(self, now: Instant) -> None:
        """Written for the next start where memory is the truth; idle scopes are forgotten."""
        limit = self.storms.limit
        states = self.storms.states
        over = Instant(now - limit.within)
        for scope in [state.scope for state in states.values() if state.incident is None and state.touched_at < over]:
            del states[scope]
        changed = [
            state for state in states.values() if state.changed and decide.count(state) * 4 > limit.new_incidents
        ]
        changed = sorted(changed, key=decide.count, reverse=True)[:KEPT]
        if not changed and now % MINUTE >= SECOND:
            return

        async def work(tx: Tx) -> None:
            for state in changed:
                tx.save_storm(decide.row_of(state))
            tx.forget_storms(Instant(now - max(IDLE, limit.within)))

        await self.runtime.store.write(work)
        for state in changed:
            state.changed = False


def _waits_long(incident: Incident, now: Instant) -> bool:
    """Whether it waits for the next look at it instead of for its turn."""
    return incident.due_at is None or incident.due_at > now + decide.LOOKED_AFTER // 2
