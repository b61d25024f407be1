"""The incidents one transaction touches: as they are after each move, written together at the end."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from tocsin.contracts import Tx
from tocsin.decide.incidents.escalation import StepRun, run_step
from tocsin.decide.incidents.lifecycle import Move, Stay
from tocsin.decide.incidents.storm_pages import is_due, is_first
from tocsin.decide.incidents.timers import Around, Deed
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.oncall.overrides import extra_of
from tocsin.decide.oncall.reach import People
from tocsin.model import (
    TOCSIN,
    Actor,
    Arrival,
    Attempt,
    Entry,
    Incident,
    Instant,
    Page,
    Policy,
    Related,
    StoredAlert,
    changed,
)
from tocsin.work.active_overrides import BACK
from tocsin.work.effects import Effects
from tocsin.work.end_notices import EndNotices
from tocsin.work.runtime import Runtime

UNDER_WAY = frozenset({"planned", "calling", "waiting", "done", "bundled"})  # pages that reach somebody, or still may


def somebody_may_know(incident: Incident) -> bool:
    """Whether a step ran, or a person was paged by hand. What healed while it was held, nobody knows of."""
    return (incident.cycle, incident.round, incident.step) != (1, 1, 1) or incident.version > 1


def incidents_of(alerts: Iterable[StoredAlert]) -> list[int]:
    return sorted({alert.incident for alert in alerts if alert.incident is not None})


class First(NamedTuple):
    """An incident that is about to page for the first time. `kind`: its alert's name, "" where it has none."""

    number: int
    policy: Policy | None
    kind: str


class Ledger:
    """Collects moves of incidents within one transaction. `close` writes them all."""

    def __init__(self, runtime: Runtime, tx: Tx, now: Instant) -> None:
        self.runtime, self.tx, self.now = runtime, tx, now
        self.effects = Effects()
        self._known: dict[int, Incident] = {}
        self._seen: dict[int, Incident] = {}
        self._new: set[int] = set()
        self._dirty: dict[int, None] = {}
        self._entries: list[Entry] = []
        self._pages: list[Page] = []
        self._stopped: dict[int, None] = {}
        self._frozen: dict[str, tuple[str, str]] = {}
        self._firsts: list[First] = []
        self._mutes: Mutes | None = None
        self._forked = False  # whether what mutes is this transaction's own by now
        self._over: dict[int, Incident] = {}  # ended here, and somebody may have been paged for it
        self._calls_ended: dict[int, None] = {}
        self._untold: list[Page] = []
        self._lost: dict[int, dict[str, None]] = {}  # people that a page did not reach, by incident
        self._people: People | None = None
        self._turn = 0  # of what mutes, as it was asked for
        self._wavers = False  # what keeps others quiet changed within this transaction
        self._mutes_by_others = False  # whether something was muted by it

    async def load(self, numbers: Iterable[int]) -> None:
        """Read these incidents, locked, unless they are here already."""
        missing = [number for number in dict.fromkeys(numbers) if number not in self._known]
        if missing:
            self._known.update(await self.tx.incidents(missing))

    async def look_at(self, numbers: Iterable[int]) -> None:
        """Read these incidents without holding them, for `seen`."""
        missing = [number for number in dict.fromkeys(numbers) if number not in self._known]
        if missing:
            self._seen.update(await self.tx.incidents_seen(missing))

    def seen(self, number: int) -> Incident | None:
        """As this transaction leaves it; else as it was when it was looked at."""
        return self._known.get(number) or self._seen.get(number)

    def know(self, incidents: Iterable[Incident]) -> None:
        """Incidents this transaction has read already; what was changed here stays as changed."""
        for incident in incidents:
            self._known.setdefault(incident.number, incident)

    def get(self, number: int) -> Incident | None:
        return self._known.get(number)

    async def find(self, number: int) -> Incident | None:
        """The incident, or the one it was merged into."""
        await self.load([number])
        incident = self._known.get(number)
        if incident is not None and incident.merged_into is not None:
            await self.load([incident.merged_into])
            return self._known.get(incident.merged_into)
        return incident

    async def mutes(self) -> Mutes:
        """The mutes as this transaction leaves them so far; where others write too it is read in it."""
        if self._mutes is None:
            self.quiet_by(self.runtime.mutes if self.runtime.store.exclusive else await self._mutes_of_all())
        return self.what_mutes

    def quiet_by(self, mutes: Mutes) -> None:
        """Take these for all that mutes; what was decided here already counts."""
        if self._mutes is None:
            self._turn = self.runtime.mutes.turn
        self._mutes, self._forked = mutes, False
        for number in (*self._new, *self._dirty):
            self.see(self._known[number])

    @property
    def what_mutes(self) -> Mutes:
        """The mutes, once `mutes` was awaited."""
        assert self._mutes is not None
        return self._mutes

    def fork_mutes(self) -> Mutes:
        """The mutes, to be changed here: others hear of it after the commit."""
        if not self._forked:
            self._mutes, self._forked = self.what_mutes.fork(), True
        return self.what_mutes

    def see(self, incident: Incident) -> None:
        """An incident as it is now: what it keeps quiet from here on, for whatever is decided next."""
        mutes = self._mutes
        if mutes is not None and mutes.watches(incident) and mutes.would_change(incident, self.now):
            self.fork_mutes().see_incident(incident, self.now)
            self._wavers = True

    async def people(self) -> People:
        """The overrides and unusable contacts; where others write too, read in this transaction. Before each `step`."""
        if self._people is None:
            runtime = self.runtime
            self._people = runtime.people()
            if not runtime.store.exclusive:
                made = await self.tx.overrides(Instant(self.now - BACK))
                self._people = People(extra_of(made, runtime.settings), runtime.is_dead)
        return self._people

    @property
    def people_known(self) -> People:
        """The overrides and unusable contacts; before `people` was awaited, as this process knows them."""
        return self._people or self.runtime.people()

    async def _mutes_of_all(self) -> Mutes:
        tx, known = self.tx, self.runtime.mutes
        silences = await tx.silences(self.now)
        if not known.watching:
            return known.among(silences)
        sources = await tx.inhibitors() if known.inhibited.rules else []
        incidents = await tx.down(sorted(known.parents.services), incidents_of(sources))
        return known.among(silences, sources, incidents, self.now)

    def open(self, incident: Incident, policy: Policy | None) -> Incident:
        """Keep a new incident, under its policy as it is now. Nobody is paged before `begin` or `step`."""
        if policy is not None:
            incident = changed(incident, policy_hash=self.freeze(policy))
        self._known[incident.number] = incident
        self._new.add(incident.number)
        self.effects.opened[incident.service, incident.priority] += 1
        self.see(incident)
        return incident

    def arrive(self, arrivals: Sequence[Arrival]) -> None:
        """Incidents that open with their alert, written at once; this transaction does not touch them again."""
        self.tx.add_arrivals(arrivals)
        self.effects.opened.update((arrival.service, arrival.priority) for arrival in arrivals)
        self.effects.falls_due(min(arrival.held_until for arrival in arrivals))

    def put(self, incident: Incident) -> None:
        """The incident as it is from now on."""
        if incident.muted_by is not None:
            self._look_why(incident)
        self._known[incident.number] = incident
        if incident.number not in self._new:
            self._dirty[incident.number] = None
        self.see(incident)

    def _look_why(self, incident: Incident) -> None:
        """Muted by what others may end, or more urgent than it was when it was muted: then it is looked at again."""
        before = self._known.get(incident.number)
        by_others = str(incident.muted_by).startswith(("parent:", "inhibition:"))
        if before is None or before.muted_by != incident.muted_by:
            self._mutes_by_others |= by_others
        elif before.priority != incident.priority and by_others:
            self.effects.unsettled = True

    def tell(self, entry: Entry) -> None:
        self._entries.append(entry)

    def note(
        self, incident: Incident, kind: str, actor: Actor, via: str, because: str, channel: str = "", **detail: object
    ) -> None:
        self.tell(Entry(incident.number, self.now, kind, str(actor), via, because, channel, dict(detail)))

    def add_pages(self, pages: Sequence[Page]) -> None:
        self._pages.extend(pages)

    def take(self, move: Move | Stay, via: str = "") -> bool:
        """Keep a move; False when there was none."""
        if isinstance(move, Stay):
            return False
        before = self._known.get(move.incident.number)
        after = self._frozen_anew(move.incident)
        if after is not before:  # else only its story goes on
            self.put(after)
        self._entries.extend(move.entries)
        if move.incident.muted_by is not None:
            self._tell_parent(move)
        if move.stops_pages:
            self._stopped[move.incident.number] = None
            if move.incident.muted_by is None:
                self.effects.stopped.append(move.incident)
            if move.incident.status == "acknowledged":
                self.effects.acknowledged.append((move.incident, via))
        if not move.incident.open:
            if move.incident.status == "resolved":
                self.effects.resolved.append(move.incident)
            if before is not None and before.open and somebody_may_know(before):
                self._over[move.incident.number] = move.incident
        return True

    def _tell_parent(self, move: Move) -> None:
        """A child that waits for its parent's incident is linked with it, visible on both."""
        reason = move.incident.muted_by or ""
        if not reason.startswith("parent:") or not any(entry.kind == "muted" for entry in move.entries):
            return
        child, parent = move.incident, int(reason.partition(":")[2])
        because = f"INC {child.number} of {child.service} waits until this is over"
        detail = {"incident": child.number}
        self.tell(Entry(parent, self.now, "mutes", str(TOCSIN), "parent", because, detail=detail))
        self.tx.add_related(
            [Related(child.number, parent, "muted_by", self.now), Related(parent, child.number, "mutes", self.now)]
        )

    def moved(self) -> list[Incident]:
        """Incidents that may keep others quiet, as this transaction leaves them."""
        mutes = self._mutes or self.runtime.mutes
        if not mutes.watching:
            return []
        touched = (self._known[number] for number in (*self._new, *self._dirty))
        return [incident for incident in touched if mutes.watches(incident)]

    def _frozen_anew(self, incident: Incident) -> Incident:
        """A new cycle freezes the policy as it is configured now; one that is gone stays as it was. Later moves of that
        cycle, decided before it was frozen, keep it."""
        before = self._known.get(incident.number)
        if before is None or incident.cycle < before.cycle:
            return incident
        if incident.cycle == before.cycle:
            return self._as_frozen(incident, before)
        policy = self.runtime.settings.policies.get(incident.policy)
        return incident if policy is None else changed(incident, policy_hash=self.freeze(policy))

    def _as_frozen(self, incident: Incident, before: Incident) -> Incident:
        same = incident.policy_hash == before.policy_hash
        return incident if same else changed(incident, policy_hash=before.policy_hash)

    def freeze(self, policy: Policy) -> str:
        """The hash under which this transaction keeps the policy."""
        digest, body = self.runtime.policies.freeze(policy)
        self._frozen[digest] = (policy.name, body)
        return digest

    def step(self, incident: Incident, policy: Policy | None) -> Incident:
        """Run the step that is due now; its pages and story are kept here. `people` was awaited before."""
        runtime, people = self.runtime, self._people
        if people is None:  # an older answer pages somebody; none pages nobody
            people = runtime.people()
        return self.keep(run_step(incident, policy, runtime.settings, people, self.now, runtime.chance.token))

    def around(self, policy: Policy | None, alerts: Sequence[StoredAlert], mutes: Mutes) -> Around:
        """The facts that `decide/incidents/timers.py` asks for."""
        runtime = self.runtime
        people = self._people or runtime.people()
        return Around(runtime.settings, people, mutes, policy, alerts, self.now, runtime.chance.token)

    def do(self, deeds: Iterable[Deed]) -> bool:
        """Keep what was decided, in order; False when there was nothing."""
        done = False
        for deed in deeds:
            done = True
            if isinstance(deed, StepRun):
                self.keep(deed)
            else:
                self.take(deed)
        return done

    def begin(self, incident: Incident, policy: Policy | None, kind: str = "") -> None:
        """Run the step that is due now; the very first page waits for the end, where `Storms.page` runs it or takes the
        incident in. `kind`: the name of its alert.
        """
        if is_first(incident):
            self._firsts.append(First(incident.number, policy, kind))
        else:
            self.step(incident, policy)

    def take_firsts(self) -> list[tuple[First, Incident]]:
        """The first pages that wait for the end, once: whoever asks runs them. Not those of incidents that others of
        this transaction ended or silenced."""
        taken, self._firsts = self._firsts, []
        waiting = [(first, self._known[first.number]) for first in taken]
        return [(first, incident) for first, incident in waiting if is_due(incident, self.now)]

    def keep(self, run: StepRun) -> Incident:
        """Keep what a step came to: the incident, its pages and its story. The policy stays as its cycle froze it."""
        incident = run.incident
        before = self._known.get(incident.number)
        if before is not None and before.cycle == incident.cycle:
            incident = self._as_frozen(incident, before)
        self.put(incident)
        self._pages.extend(run.pages)
        self._entries.extend(run.entries)
        self.effects.nobody.extend([incident] * run.nobody)
        return incident

    async def close(self) -> Effects:
        """Write everything. The transaction commits when the caller returns."""
        tx = self.tx
        for first, incident in self.take_firsts():  # nobody asked for storms: they page
            self.step(incident, first.policy)
        for digest, (name, body) in self._frozen.items():
            if digest not in self.runtime.policies.kept:
                tx.add_policy_version(digest, name, body)
                self.effects.policies.add(digest)
        await self._forget_lost()
        self._settle()
        if self._new:
            tx.add_incidents([self._known[number] for number in self._known if number in self._new])
        await self._stop_pages()
        await self._tell_those_paged()
        for number in (*self._new, *self._dirty):
            self.effects.falls_due(self._known[number].due_at)
        if self._dirty:
            tx.save_incidents([self._known[number] for number in self._dirty])
        if self._pages:
            tx.add_pages(self._pages)
            self.effects.channels.update(page.channel for page in self._pages)
        if self._entries:
            tx.add_entries(self._entries)
        return self.effects

    def _settle(self) -> None:
        """Note who must hear that what keeps others quiet has changed, or may have while this was decided."""
        self.effects.moved = self.moved()
        if self._mutes_by_others and self._mutes is not None:
            self.effects.unsettled |= self._wavers
            self.effects.rests_on = self._turn if self.runtime.store.exclusive else None

    def lost(self, page: Page) -> None:
        """A page that reached nobody: once none of its cycle is left, its person is not counted on any more."""
        if page.kind == "page" and page.incident is not None and page.user:
            self._lost.setdefault(page.incident, {})[page.user] = None

    async def _forget_lost(self) -> None:
        await self.load(self._lost)
        for number, users in self._lost.items():
            incident = self._known.get(number)
            if incident is None or not incident.open or not set(users) & set(incident.paged.split()):
                continue
            pages = await self.tx.pages_of(number, incident.cycle)
            mine = (page for page in self._pages if page.incident == number)
            left = {page.user for page in (*pages, *mine) if page.kind == "page" and page.status in UNDER_WAY}
            paged = " ".join(user for user in incident.paged.split() if user in left or user not in users)
            if paged != incident.paged:
                self.put(changed(incident, paged=paged, version=incident.version + 1))

    async def _stop_pages(self) -> None:
        """Cancel what was not sent yet, here and in the store."""
        old = [number for number in self._stopped if number not in self._new]
        if not old:
            return
        unsent = await self.tx.unsent_pages(old)
        self.tx.save_pages(
            [changed(page, status="cancelled", updated_at=self.now, because=page.because) for page in unsent]
        )

    def call_ended(self, page: Page) -> None:
        """A call of this incident has come to its end: if that is over meanwhile, whoever it reached hears of it."""
        if page.kind == "page" and page.incident is not None:
            self._calls_ended[page.incident] = None

    def summary_ended(self, carried: Attempt) -> None:
        """Note the end of a call that carried this in a summary: if its incident is over, who heard it is told."""
        if carried.incident is not None:
            self._calls_ended[carried.incident] = None

    def untold(self, page: Page) -> None:
        """An update that reached nobody: it goes another way."""
        if page.kind == "update" and page.incident is not None:
            self._untold.append(page)

    async def _tell_those_paged(self) -> None:
        if not (self._over or self._calls_ended or self._untold):
            return
        ends = EndNotices(self.runtime, self.tx, self.now)
        await self.load([*self._calls_ended, *(page.incident for page in self._untold if page.incident is not None)])
        late = [incident for number in self._calls_ended if (incident := self._known.get(number)) and not incident.open]
        for incident in {incident.number: incident for incident in (*self._over.values(), *late)}.values():
            self._pages.extend(await ends.of(incident))
        for page in self._untold:
            about = self._known.get(page.incident or 0)
            if about is not None:
                self._pages.extend(await ends.again(about, page))
