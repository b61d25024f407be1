"""First pages go out, unless there is a storm: then one incident pages for all that come, until it is calm.

Counting costs no look at the database where this process writes alone: the counts are in memory, and written once a
second for the next start. Where others write too, they are rows, held by whoever counts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import structlog

from tocsin.contracts import Tx
from tocsin.decide.incidents import lifecycle, storm_pages
from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.incidents.opening import opened
from tocsin.decide.noise import storms as decide
from tocsin.decide.noise.storms import StormState
from tocsin.model import TOCSIN, Incident, Instant, Policy, StormLimit
from tocsin.work.ledger import First, Ledger
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.storms")
FOREVER = Instant(1 << 62)
LEFT = 1.0  # seconds for which a scope that somebody else holds is left alone
MOST_LEFT = 10_000


class Storms:
    """`page` within a transaction, `leave` for one that was taken in, `load` at start. The end: storm_end.py."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
        self.states: dict[str, StormState] = {}  # where this process writes alone
        self._left_until: dict[str, float] = {}  # scopes that could not be had, and until when nobody asks again

    @property
    def limit(self) -> StormLimit:
        return self.runtime.settings.storm

    async def load(self) -> None:
        """Read what was known when the last process ended; before any alert is taken."""
        if self.runtime.store.exclusive:
            self.states = {row.scope: decide.state_of(row) for row in await self.runtime.store.storms()}

    # -------------------------------------------------------------------------------- first pages

    async def page(self, ledger: Ledger) -> None:
        """Run the first step of each incident that begins to page here, or have a storm take it in.

        Once a transaction, after all other decisions and before the ledger is closed.
        """
        ready = ledger.take_firsts()
        if not ready:
            return
        scopes = {first.number: decide.scope_of(incident, self.limit) for first, incident in ready}
        states = await self.read(ledger.tx, scopes.values())
        numbers = [state.incident for state in states.values() if state.incident is not None]
        await (ledger.load if self.runtime.store.exclusive else ledger.look_at)(numbers)
        for state in states.values():
            self._forget_ended(ledger, state)
        await ledger.people()
        for first, incident in ready:
            counted = states.get(scopes[first.number])
            if counted is None or (incident.storm is not None and incident.storm != counted.incident):
                ledger.step(incident, first.policy)
            else:
                await self._page_one(ledger, counted, first, incident)
        self.save(ledger.tx, states.values())

    async def _page_one(self, ledger: Ledger, state: StormState, first: First, incident: Incident) -> None:
        arrived = storm_pages.arrived(state, incident, first.kind, self.limit, ledger.now)
        if arrived.begins:
            await self._open(ledger, state, incident, arrived.name)
        storm = ledger.seen(state.incident) if state.incident is not None else None
        people = ledger.people_known
        if storm is None or not storm_pages.takes_in(storm, arrived, self.runtime.settings, people, ledger.now):
            ledger.step(incident, first.policy)
        else:
            await self._take_in(ledger, storm, incident, "" if arrived.begins else arrived.name, state)

    def stands(self, storm: Incident, ledger: Ledger) -> bool:
        """Whether an open storm may page for others: somebody hears of it, or has answered."""
        return storm_pages.stands(storm, self.runtime.settings, ledger.people_known, ledger.now)

    async def _take_in(self, ledger: Ledger, storm: Incident, incident: Incident, name: str, state: StormState) -> None:
        """`name`: as which it is counted; "": it is already."""
        ledger.take(storm_pages.taken_in(storm, incident, state, ledger.now))
        if incident.storm is None:
            if name:
                decide.collect(state, name)
            ledger.effects.collapsed += 1
        if storm_pages.rises(storm, incident):
            await ledger.load([storm.number])  # only who changes it holds it: a storm's incident is everybody's
            for move in storm_pages.risen(ledger.get(storm.number) or storm, incident, ledger.now):
                ledger.take(move)

    async def _open(self, ledger: Ledger, state: StormState, incident: Incident, name: str) -> None:
        """Open one incident for all; it pages by the service's policy, in this very transaction.

        `name`: the alert's that it is for, and the first that it takes in.
        """
        number = (await ledger.tx.next_numbers(1))[0]
        policy = policy_for(None, incident.service, self.runtime.settings)
        decide.begin(state, number, ledger.now)
        decide.collect(state, name)
        opening = opened(
            number,
            f"storm/{state.scope}",
            decide.title(state, self.limit),
            incident.service if self.limit.per != "all" else "",
            incident.severity,
            incident,
            policy.name if policy is not None else "",
            str(TOCSIN),
            ledger.now,
        )
        storm = ledger.open(opening, policy)
        ledger.note(storm, "storm", TOCSIN, "storm", decide.because_it_began(self.limit), scope=state.scope)
        ledger.step(storm, policy)
        log.warning("storm_began", incident=number, scope=state.scope)

    def _forget_ended(self, ledger: Ledger, state: StormState) -> None:
        """A storm that somebody resolved, or that was never stored, takes nothing in any more; what it took in goes on.

        The next one may begin in this very transaction, and then nobody else would look at those of this one.
        """
        storm = ledger.seen(state.incident) if state.incident is not None else None
        if state.incident is not None and (storm is None or not storm.open):
            if state.held:
                wake(ledger, state.incident, mute_of(state, state.incident), FOREVER)
            decide.end(state)

    # ------------------------------------------------------------------- what is known of the scopes

    async def read(self, tx: Tx, scopes: Iterable[str]) -> dict[str, StormState]:
        """The state of each scope; where others write too it is held until this transaction ends.

        What another replica holds and does not let go is only looked at: pages go out, and are not counted.
        """
        wanted = sorted({scope for scope in scopes if scope})
        if self.runtime.store.exclusive:
            return {scope: self.states.setdefault(scope, StormState(scope)) for scope in wanted}
        now = self.runtime.clock.monotonic()
        rows = {} if any(now < self._left_until.get(scope, now) for scope in wanted) else await tx.storms(wanted)
        if len(rows) == len(wanted):
            return {scope: decide.state_of(rows[scope]) for scope in wanted}
        if len(self._left_until) > MOST_LEFT:
            self._left_until.clear()
        self._left_until |= {scope: self._left_until.get(scope, 0.0) for scope in wanted}
        for scope in wanted:
            if self._left_until[scope] <= now:
                self._left_until[scope] = now + LEFT
        seen = await tx.storms_seen(wanted)
        states = {scope: decide.state_of(seen[scope]) if scope in seen else StormState(scope) for scope in wanted}
        for state in states.values():
            state.held = False
        return states

    def save(self, tx: Tx, states: Iterable[StormState]) -> None:
        """With the transaction where others must see it, or a storm is on; else once a second is enough."""
        for state in states:
            if not state.changed or not state.held or (self.runtime.store.exclusive and state.incident is None):
                continue
            state.changed = False
            tx.save_storm(decide.row_of(state))

    # --------------------------------------------------------------------------- out of a storm

    async def leave(self, ledger: Ledger, incident: Incident) -> bool:
        """Decide about one that was taken in and is due: it follows its storm's answer, waits on, or pages (True)."""
        number = incident.storm or 0
        await ledger.look_at([number])
        storm = ledger.seen(number)
        by = storm_pages.answer_of(storm, incident)
        if by is not None and storm is not None:
            policy = await self.runtime.policies.thaw(incident.policy_hash)
            timeout = (policy or Policy("", ())).ack_timeout
            did = "acknowledged" if storm.open else "resolved"
            evidence = f"INC {number}, the storm that took it in, was {did}"
            ledger.take(lifecycle.acknowledge(incident, by, "storm", ledger.now, timeout, evidence), "storm")
            return False
        await ledger.people()
        if storm is not None and self.stands(storm, ledger):
            ledger.put(replace(incident, due_at=Instant(ledger.now + decide.LOOKED_AFTER)))
            return False
        return ledger.take(storm_pages.released(storm, incident, ledger.now))


def wake(ledger: Ledger, storm: int, muted_by: str, until: Instant) -> None:
    """The timers look at each of those it took in, the most urgent first, with room between them for others."""
    ledger.tx.wake_taken_in(storm, muted_by, until, ledger.now)
    ledger.effects.falls_due(ledger.now)


def mute_of(state: StormState, storm: int) -> str:
    return lifecycle.storm_mute(storm, state.scope.endswith(decide.CRITICAL))
