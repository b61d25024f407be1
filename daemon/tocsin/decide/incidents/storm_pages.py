"""First pages in a storm: who is taken in, what becomes of the storm by it, and when what was taken in goes on.

The daemon executes it (`work/noise/`); what-if runs it ahead. What is counted is in `decide/noise/storms.py`.
"""

from __future__ import annotations

from typing import NamedTuple

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.lifecycle import Move
from tocsin.decide.muting.attention import is_told
from tocsin.decide.noise import storms
from tocsin.decide.noise.storms import StormState
from tocsin.decide.oncall.reach import People
from tocsin.decide.routing.priority import RANK
from tocsin.decide.text import TITLE, clean
from tocsin.model import TOCSIN, Actor, Entry, Incident, Instant, Settings, StormLimit


class Arrived(NamedTuple):
    """An incident that is about to page for the first time, counted. `name`: as which; `new_kind`: the storm of its
    scope has never seen such, so that it pages by itself; `begins`: a storm begins with it."""

    name: str
    new_kind: bool
    begins: bool


def is_first(incident: Incident) -> bool:
    """Whether the step that is due next is the first of all: nobody was paged for it yet."""
    place = (incident.cycle, incident.round, incident.step, incident.due_kind)
    return place == (1, 1, 1, "step") and incident.status == "triggered" and incident.muted_by is None


def is_due(incident: Incident, now: Instant) -> bool:
    """Whether it still waits for its first page: what came with it may have ended or silenced it."""
    return incident.due_at is not None and incident.due_at <= now and is_first(incident)


def arrived(state: StormState, incident: Incident, kind: str, limit: StormLimit, now: Instant) -> Arrived:
    """Count one more, once in its life. `kind`: the name of its alert, "" where it has none."""
    new_kind = storms.is_new_kind(state, kind)
    name = kind or clean(incident.title, TITLE)
    if incident.storm is None:
        storms.arrive(state, name, limit, now)
    return Arrived(name, new_kind, state.held and state.incident is None and storms.is_storm(state, limit))


def takes_in(storm: Incident | None, one: Arrived, settings: Settings, people: People, now: Instant) -> bool:
    """Whether the storm, which was opened where one begins, pages for it too."""
    return storm is not None and (one.begins or not one.new_kind) and stands(storm, settings, people, now)


def stands(storm: Incident, settings: Settings, people: People, now: Instant) -> bool:
    """Whether an open storm may page for others: somebody hears of it, or has answered."""
    return storm.open and (storm.status != "triggered" or is_told(storm, settings, people, now))


def taken_in(storm: Incident, incident: Incident, state: StormState, now: Instant) -> Move:
    """The storm takes it in before it paged anybody."""
    look_at = Instant(now + storms.LOOKED_AFTER)
    because = f"one of many: INC {storm.number} pages for all of them"
    critical = state.scope.endswith(storms.CRITICAL)
    return lifecycle.taken_in(incident, storm.number, critical, look_at, now, because)


def rises(storm: Incident, member: Incident) -> bool:
    """Whether a storm that takes this in is worse than before."""
    return RANK[member.severity] < RANK[storm.severity] or member.priority < storm.priority


def risen(storm: Incident, member: Incident, now: Instant) -> tuple[Move, ...]:
    """The storm as bad as the worst that it took in; rising, it pages whoever acknowledged it before."""
    if not rises(storm, member):
        return ()
    severity = member.severity if RANK[member.severity] < RANK[storm.severity] else storm.severity
    found = member if member.priority < storm.priority else storm
    after = lifecycle.reassessed(storm, severity, found.impact, found.urgency, found.priority, now)
    detail = {"severity": after.severity, "priority": after.priority}
    because = f"as INC {member.number} is"
    told = Move(after, (Entry(after.number, now, "reassessed", str(TOCSIN), "storm", because, detail=detail),))
    if storm.status != "acknowledged" or after.priority >= storm.priority:
        return (told,)
    anew = lifecycle.retrigger(after, now, f"priority rose from {storm.priority} to {after.priority}", "storm")
    return (told, anew) if isinstance(anew, Move) else (told,)


def answer_of(storm: Incident | None, incident: Incident) -> Actor | None:
    """The actor whose answer to the storm answers this incident, which was there already. A snooze is no answer."""
    if storm is None or storm.snoozed_until is not None:
        return None
    if storm.acknowledged_at is not None and storm.acknowledged_by and incident.created_at <= storm.acknowledged_at:
        return _actor(storm.acknowledged_by)
    by_hand = storm.resolved_by is not None and storm.resolved_by != TOCSIN.shown
    if by_hand and incident.created_at <= (storm.resolved_at or 0):
        return _actor(storm.resolved_by or "")
    return None


def released(storm: Incident | None, incident: Incident, now: Instant) -> Move:
    """Out of its storm, which is over or reaches nobody: it pages by itself."""
    why = "reaches nobody" if storm is not None and storm.open else "is over"
    return lifecycle.released(incident, now, f"the storm INC {incident.storm} {why}")


def _actor(shown: str) -> Actor:
    """The inverse of `Actor.shown`."""
    name = shown.removeprefix("integration:")
    return Actor("user" if name == shown else "integration", name)
