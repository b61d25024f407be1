"""Timers of an incident: the one answer to what its due time brings, for the daemon and for what-if.

Each function returns deeds in order: moves of the state, and steps that were run. Whoever asks writes them down
(`work/ledger.py`) or only looks at them (`decide/whatif/escalation_forecast.py`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.escalation import StepRun, run_step
from tocsin.decide.incidents.firing_counts import Firing, firing_in, firing_of
from tocsin.decide.incidents.lifecycle import Move, Stay
from tocsin.decide.muting.mutes import Mute, Mutes, muting, over_now, stored_values
from tocsin.decide.noise.flapping import rest, rests
from tocsin.decide.oncall.reach import People
from tocsin.decide.routing.priority import reassess
from tocsin.model import TOCSIN, Entry, Incident, Instant, Policy, Settings, StoredAlert, changed

Deed = Move | StepRun


@dataclass(frozen=True, slots=True)
class Around:
    """Facts that decide beside the incident itself. `policy`: as frozen for its cycle. `alerts`: its firing ones,
    wherever `asks_alerts` is true; the oldest of them alone where those `suffice`."""

    settings: Settings
    people: People
    mutes: Mutes
    policy: Policy | None
    alerts: Sequence[StoredAlert]
    now: Instant
    new_id: Callable[[], str]


def asks_alerts(incident: Incident, settings: Settings, mutes: Mutes) -> bool:
    """Whether its firing alerts have a say in what happens next."""
    if incident.due_kind in (None, "close"):
        return False
    if incident.resting or settings.steps_may_rest:
        return True
    return bool(mutes) or incident.held_until is not None or may_get_urgency_back(incident, settings)


def suffice(incident: Incident, alerts: Sequence[StoredAlert], settings: Settings, mutes: Mutes, now: Instant) -> bool:
    """Whether further firing alerts could change nothing: already not all are muted, held, quiet or flapping."""
    if may_get_urgency_back(incident, settings) and firing_in(incident) is None:
        return False
    let_go = incident.held_until is None or any((one.hold_until or now) <= now for one in alerts)
    return let_go and any(not rests(one, now) for one in alerts) and any_unmuted(incident, alerts, mutes, now)


def any_unmuted(incident: Incident, alerts: Sequence[StoredAlert], mutes: Mutes, now: Instant) -> bool:
    """Whether one of these may page, even if what is down keeps this incident quiet; then it is not muted."""
    if not mutes:
        return True
    own, priority = incident.number, incident.priority
    return any(mutes.of(stored_values(one, incident), now, priority, own) is None for one in alerts)


def fall_due(incident: Incident, around: Around) -> tuple[Deed, ...]:
    """Deeds of its timer now. The last deed holds the incident as it is afterwards."""
    match incident.due_kind:
        case "step" | "again":
            return step_due(incident, around)
        case "ack_timeout":
            return again(incident, around, f"acknowledged by {incident.acknowledged_by}, and not resolved in time")
        case "unsnooze":
            return again(incident, around, "the snooze ended")
        case "unmute":
            return unmute_due(incident, around)
        case "close":
            return _done(lifecycle.close(incident, TOCSIN, "timer", around.now))
        case None:
            return (Move(changed(incident, due_at=None), ()),)


def step_due(incident: Incident, around: Around) -> tuple[Deed, ...]:
    if incident.status != "triggered":
        return (_idle(incident),)
    return urgency_back(incident, around) or page_unless_muted(incident, around)


def page_unless_muted(incident: Incident, around: Around) -> tuple[Deed, ...]:
    """Run the step that is due, or stand still while every firing alert is muted, held, quiet or flapping."""
    mute = still_muted(incident, around)
    if mute is not None:
        return _done(lifecycle.mute(incident, mute.reason, mute.until, around.now))
    hold = still_held(incident, around)
    if hold is not None:
        return (Move(lifecycle.held(incident, hold, around.now), ()),)
    return (run_unless_resting(incident, around),)


def run_unless_resting(incident: Incident, around: Around) -> Deed:
    """Run the step in hand, or put it off: all that fires is quiet just now, or flaps and somebody was paged."""
    found = rest(incident, around.alerts, around.now)
    if found is None:
        return run(changed(incident, muted_left=None) if incident.resting else incident, around)
    told = Entry(incident.number, around.now, "rests", str(TOCSIN), "timer", found.because)
    return Move(lifecycle.rested(incident, found.until, around.now), () if incident.resting else (told,))


def run(incident: Incident, around: Around) -> StepRun:
    return run_step(incident, around.policy, around.settings, around.people, around.now, around.new_id)


def again(incident: Incident, around: Around, because: str) -> tuple[Deed, ...]:
    """A new cycle under the policy as it is configured now, and its first step at once."""
    move = lifecycle.retrigger(incident, around.now, because)
    if isinstance(move, Stay):
        return (_idle(incident),)
    policy = policy_of_new_cycle(move.incident, around.settings, around.policy)
    return (move, *page_unless_muted(move.incident, replace(around, policy=policy)))


def policy_of_new_cycle(incident: Incident, settings: Settings, frozen: Policy | None) -> Policy | None:
    """The policy that a new cycle freezes; one that is gone from the configuration stays as it was."""
    return settings.policies.get(incident.policy, frozen)


def unmute_due(incident: Incident, around: Around) -> tuple[Deed, ...]:
    mute = still_muted(incident, around)
    if mute is not None:
        return _done(lifecycle.mute(incident, mute.reason, mute.until, around.now))
    move = lifecycle.unmute(incident, around.now, over_now(incident.muted_by or ""))
    if isinstance(move, Stay):
        return (_idle(incident),)
    if move.incident.due_at is not None and move.incident.due_at <= around.now:
        return move, run_unless_resting(move.incident, around)
    return (move,)


def follow_mutes(incident: Incident, around: Around) -> tuple[Deed, ...]:
    """Follow what mutes as it begins, changes or ends: muted while all its firing alerts are, whatever by."""
    mute = still_muted(incident, around)
    if mute is not None:
        told_so = incident.muted_by == mute.reason and (incident.due_at or 0) > around.now
        if mute.open_ended and told_so:
            return ()
        return _done(lifecycle.mute(incident, mute.reason, mute.until, around.now))
    if incident.muted_by is not None:
        return _done(lifecycle.unmute(incident, around.now, over_now(incident.muted_by)))
    return ()


def still_muted(incident: Incident, around: Around) -> Mute | None:
    """The mute that ends first, when every firing alert is under one."""
    return muting(incident, around.alerts, around.mutes, around.now)


def still_held(incident: Incident, around: Around) -> Instant | None:
    """The earliest end of hold of those that fire; the alert that held it so far may have ended."""
    if incident.held_until is None:
        return None
    ends = [alert.hold_until or around.now for alert in around.alerts]
    return min(ends) if ends and min(ends) > around.now else None


# ------------------------------------------------------------------------------------ support hours


def may_get_urgency_back(incident: Incident, settings: Settings) -> bool:
    """Whether the hour alone may have lowered its urgency, and nobody has it yet."""
    service = settings.services.get(incident.service)
    return (
        service is not None
        and service.support_hours is not None
        and incident.urgency == "low"
        and incident.status == "triggered"
    )


def urgency_back(incident: Incident, around: Around) -> tuple[Deed, ...]:
    """Support hours have begun since it lost its urgency: a new cycle under the one it would have now. () if not."""
    settings, now = around.settings, around.now
    held = incident.held_until is not None and (incident.held_until > now or still_held(incident, around) is not None)
    if held or not may_get_urgency_back(incident, settings):
        return ()
    after = reassessed(incident, firing_in(incident) or firing_of(around.alerts), settings, now)
    if after.urgency == "low":
        return ()
    because = f"the support hours of {incident.service} began"
    return (retold(after, "timer", because, now), *_done(lifecycle.retrigger(after, now, because)))


def reassessed(incident: Incident, firing: Firing, settings: Settings, now: Instant) -> Incident:
    """The incident as its firing alerts make it, at this hour."""
    severity = firing.severity or incident.severity
    ruled = None if firing.severity is None else firing.ruled
    found = reassess(incident, severity, settings, now, ruled=ruled)
    return lifecycle.reassessed(incident, severity, found.impact, found.urgency, found.priority, now)


def retold(after: Incident, via: str, because: str, now: Instant) -> Move:
    """An assessment that changed, with the line it leaves."""
    detail = {"severity": after.severity, "priority": after.priority}
    return Move(after, (Entry(after.number, now, "reassessed", str(TOCSIN), via, because, detail=detail),))


def _done(move: Move | Stay) -> tuple[Deed, ...]:
    return () if isinstance(move, Stay) else (move,)


def _idle(incident: Incident) -> Move:
    """Let it wait for nothing any more."""
    return Move(changed(incident, due_at=None, due_kind=None), ())
