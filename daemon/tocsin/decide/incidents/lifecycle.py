"""Lifecycle of an incident: every move of its state, with the line of the timeline that it leaves.

A move returns the incident as it is afterwards, or None with a reason when nothing changes. The
caller writes it together with what `stops_pages` asks for: unsent pages are cancelled in the same
transaction.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tocsin.model import (
    EMPTY,
    TOCSIN,
    Actor,
    Entry,
    Impact,
    Incident,
    Instant,
    Millis,
    Priority,
    Severity,
    Urgency,
    changed,
    record,
)


@record(frozen=True, slots=True)
class Move:
    """A changed incident and its timeline entries."""

    incident: Incident
    entries: tuple[Entry, ...]
    stops_pages: bool = False
    said: str = ""


@dataclass(frozen=True, slots=True)
class Stay:
    """No move, and the reason."""

    because: str


def acknowledge(
    incident: Incident, actor: Actor, via: str, now: Instant, ack_timeout: Millis | None, evidence: str = ""
) -> Move | Stay:
    """Acknowledge it: somebody has it, and paging stops. A second one, or one that is too late, is a polite no-op.

    Only what is triggered can be muted: whether a silence still holds is asked anew when paging begins again.
    """
    if not incident.open:
        return Stay(f"INC {incident.number} is {incident.status} already.")
    if incident.status in ("acknowledged", "on_hold"):
        return Stay(f"INC {incident.number} is acknowledged already by {incident.acknowledged_by}.")
    due = None if ack_timeout is None else Instant(now + ack_timeout)
    after = changed(
        _unheld(incident, now),
        status="acknowledged",
        acknowledged_at=now,
        acknowledged_by=actor.shown,
        snoozed_until=None,
        due_at=due,
        due_kind="ack_timeout" if due else None,
        muted_by=None,
        muted_left=None,
    )
    entry = _entry(after, "acknowledged", actor, via, now, evidence, {"cycle": after.cycle, "by": actor.shown})
    return Move(after, (entry,), stops_pages=True)


def unacknowledge(incident: Incident, actor: Actor, via: str, now: Instant) -> Move | Stay:
    """The one who had it gives it back: a new cycle starts at once."""
    if incident.status not in ("acknowledged", "on_hold"):
        return Stay(f"INC {incident.number} is {incident.status}: there is no acknowledgement to take back.")
    after = retriggered(incident, now)
    return Move(after, (_entry(after, "unacknowledged", actor, via, now, "", {"cycle": after.cycle}),))


def retrigger(incident: Incident, now: Instant, because: str, via: str = "timer") -> Move | Stay:
    """Page again from the first step: an ack timed out, a snooze ended, the priority rose."""
    if not incident.open:
        return Stay(f"INC {incident.number} is {incident.status}.")
    after = retriggered(incident, now)
    return Move(after, (_entry(after, "retriggered", TOCSIN, via, now, because, {"cycle": after.cycle}),))


def snooze(incident: Incident, until: Instant, actor: Actor, via: str, now: Instant) -> Move | Stay:
    """Acknowledged with an end: at `until` a new cycle starts."""
    if not incident.open:
        return Stay(f"INC {incident.number} is {incident.status}: there is nothing to snooze.")
    after = changed(
        _unheld(incident, now),
        status="acknowledged",
        acknowledged_at=now,
        acknowledged_by=actor.shown,
        snoozed_until=until,
        due_at=until,
        due_kind="unsnooze",
        muted_by=None,
        muted_left=None,
    )
    detail = {"cycle": after.cycle, "until": until, "by": actor.shown}
    return Move(after, (_entry(after, "snoozed", actor, via, now, "", detail),), stops_pages=True)


def escalate(incident: Incident, actor: Actor, via: str, now: Instant, because: str = "") -> Move | Stay:
    """The next step runs now. An acknowledged incident starts a new cycle at the step it had reached."""
    if not incident.open:
        return Stay(f"INC {incident.number} is {incident.status}: there is nobody to escalate to.")
    if incident.status == "triggered":
        kind = incident.due_kind if incident.due_kind in ("step", "again") else "step"
        after = changed(
            _unheld(incident, now), due_at=now, due_kind=kind, planned_at=now, muted_by=None, muted_left=None
        )
    else:
        after = changed(retriggered(incident, now), round=incident.round, step=incident.step, due_kind=_where(incident))
    return Move(after, (_entry(after, "escalated", actor, via, now, because, {"cycle": after.cycle}),))


def _where(incident: Incident) -> Literal["step", "again"]:
    return "again" if incident.step == 0 else "step"


def resolve(
    incident: Incident, actor: Actor, via: str, now: Instant, close_after: Millis, because: str = ""
) -> Move | Stay:
    """Resolve it: nothing is paged any more; it closes by itself after `close_after`."""
    if not incident.open:
        return Stay(f"INC {incident.number} is {incident.status} already.")
    after = changed(
        incident,
        version=incident.version + 1,
        updated_at=now,
        held_until=None,
        status="resolved",
        resolved_at=now,
        resolved_by=actor.shown,
        due_at=Instant(now + close_after),
        due_kind="close",
        snoozed_until=None,
        muted_by=None,
        muted_left=None,
    )
    return Move(after, (_entry(after, "resolved", actor, via, now, because, {"by": actor.shown}),), stops_pages=True)


def cancel(incident: Incident, actor: Actor, via: str, now: Instant, because: str = "") -> Move | Stay:
    """Cancel what should not have been: no page, no count among the resolved."""
    if not incident.open:
        return Stay(f"INC {incident.number} is {incident.status} already.")
    after = changed(
        _unheld(incident, now),
        status="canceled",
        closed_at=now,
        resolved_by=actor.shown,  # who ended it
        due_at=None,
        due_kind=None,
        snoozed_until=None,
        muted_by=None,
        muted_left=None,
    )
    return Move(after, (_entry(after, "canceled", actor, via, now, because),), stops_pages=True)


def close(incident: Incident, actor: Actor, via: str, now: Instant) -> Move | Stay:
    """The end of its life; a resolved incident only. Closed is final."""
    if incident.status in ("closed", "canceled"):
        return Stay(f"INC {incident.number} is {incident.status} already.")
    if incident.status != "resolved":
        return Stay(f"INC {incident.number} is {incident.status}: resolve it first.")
    after = changed(_moved(incident, now), status="closed", closed_at=now, due_at=None, due_kind=None)
    return Move(after, (_entry(after, "closed", actor, via, now, ""),))


def reopen(incident: Incident, now: Instant, because: str) -> Move | Stay:
    """A resolved incident whose trouble came back within `reopen_within`."""
    if incident.status != "resolved":
        return Stay(f"INC {incident.number} is {incident.status}.")
    after = changed(retriggered(incident, now), resolved_at=None, resolved_by=None)
    return Move(after, (_entry(after, "reopened", TOCSIN, "alert", now, because, {"cycle": after.cycle}),))


def mute(incident: Incident, reason: str, until: Instant, now: Instant) -> Move | Stay:
    """Paging pauses until `until`: the step timer stands still with what is left of its wait.

    `reason` is a kind and what of it, as `silence:ID`; another one than before leaves a line as well.
    """
    if incident.status != "triggered":
        return Stay(f"INC {incident.number} is {incident.status}: nobody is paged.")
    kind = reason.partition(":")[0]
    if incident.muted_by is not None:
        if (incident.muted_by, incident.due_at) == (reason, until):
            return Stay("muted already")
        after = changed(_moved(incident, now), muted_by=reason, due_at=until)
        told = () if incident.muted_by == reason else (_entry(after, "muted", TOCSIN, kind, now, reason),)
        return Move(after, told)
    left = None if incident.due_at is None else Millis(max(0, incident.due_at - now))
    after = changed(_moved(incident, now), muted_by=reason, muted_left=left, due_at=until, due_kind="unmute", paged="")
    return Move(after, (_entry(after, "muted", TOCSIN, kind, now, reason),), stops_pages=True)


def unmute(incident: Incident, now: Instant, because: str) -> Move | Stay:
    """Paging goes on: the step due next runs at once, once."""
    if incident.muted_by is None:
        return Stay(f"INC {incident.number} is not muted.")
    if in_storm(incident):
        return Stay(f"INC {incident.number} is taken in by the storm INC {incident.storm}.")
    return _unmuted(incident, now, because)


def taken_in(incident: Incident, storm: int, critical: bool, look_at: Instant, now: Instant, because: str) -> Move:
    """A storm takes it in before it paged anybody: it waits for the storm's end, or for the answer to the storm."""
    after = changed(
        _moved(incident, now),
        storm=storm,
        muted_by=storm_mute(storm, critical),
        muted_left=Millis(0),
        due_at=look_at,
        due_kind="unmute",
        paged="",
    )
    return Move(after, (_entry(after, "muted", TOCSIN, "storm", now, because, {"storm": storm}),), stops_pages=True)


def storm_mute(storm: int, critical: bool) -> str:
    """As `muted_by` says it. `critical`: a storm of critical incidents, which alone takes in such."""
    return f"storm:{storm} (critical)" if critical else f"storm:{storm}"


def released(incident: Incident, now: Instant, because: str) -> Move:
    """Out of its storm: it pages by itself from now on."""
    return _unmuted(incident, now, because)


def in_storm(incident: Incident) -> bool:
    """Whether it waits within a storm."""
    return incident.muted_by is not None and incident.muted_by.startswith("storm:")


def rises_above_its_storm(incident: Incident) -> bool:
    """Whether it became critical within a storm of lesser ones, which hides none such."""
    critical = incident.priority == "P1" or incident.severity == "critical"
    return critical and in_storm(incident) and not str(incident.muted_by).endswith("(critical)")


def _unmuted(incident: Incident, now: Instant, because: str) -> Move:
    due = Instant(max(now, incident.held_until or 0))
    after = changed(_moved(incident, now), muted_by=None, muted_left=None)
    if incident.status == "triggered":
        after = changed(after, due_at=due, due_kind=_where(incident), planned_at=due)
    return Move(after, (_entry(after, "unmuted", TOCSIN, str(incident.muted_by).partition(":")[0], now, because),))


def rested(incident: Incident, until: Instant, now: Instant) -> Incident:
    """Put its step in hand off: what fires is quiet just now, or comes and goes."""
    return changed(_moved(incident, now), due_at=until, planned_at=until, muted_left=Millis(0))


def roused(incident: Incident, now: Instant) -> Incident:
    """Run the step that was put off, since it fires again; where none was, the incident stays as it is."""
    if incident.status != "triggered" or not incident.resting:
        return incident
    return changed(_moved(incident, now), due_at=now, planned_at=now, muted_left=None)


def held(incident: Incident, until: Instant | None, now: Instant) -> Incident:
    """Hold it: nobody is paged before `until`; None: from now on. A silence still counts."""
    due = now if until is None else until
    after = changed(_moved(incident, now), held_until=until)
    return after if after.muted_by is not None else changed(after, due_at=due, planned_at=due)


def reassessed(
    incident: Incident, severity: Severity, impact: Impact, urgency: Urgency, priority: Priority, now: Instant
) -> Incident:
    """Assess it anew; its timer is not touched."""
    same = (incident.severity, incident.impact, incident.urgency, incident.priority)
    if same == (severity, impact, urgency, priority):
        return incident
    return changed(
        incident, severity=severity, impact=impact, urgency=urgency, priority=priority, updated_at=now,
        version=incident.version + 1,
    )  # fmt: skip


def retriggered(incident: Incident, now: Instant) -> Incident:
    """A new cycle from the first step, due now. Whether it is muted is asked when the step runs."""
    return changed(
        _unheld(incident, now),
        status="triggered",
        cycle=incident.cycle + 1,
        round=1,
        step=1,
        snoozed_until=None,
        due_at=now,
        due_kind="step",
        planned_at=now,
        muted_by=None,
        muted_left=None,
        paged="",
    )


def _unheld(incident: Incident, now: Instant) -> Incident:
    return changed(incident, version=incident.version + 1, updated_at=now, held_until=None)


def _moved(incident: Incident, now: Instant) -> Incident:
    return changed(incident, version=incident.version + 1, updated_at=now)


def _entry(
    incident: Incident, kind: str, actor: Actor, via: str, now: Instant, because: str, detail: Mapping[str, Any] = EMPTY
) -> Entry:
    return Entry(incident.number, now, kind, str(actor), via, because, detail=detail)
