"""An alert ends: how it is kept, and what its incident makes of it. One answer for resolves and for silence."""

from __future__ import annotations

from typing import Literal

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.firing_counts import counts_without
from tocsin.decide.incidents.lifecycle import Move
from tocsin.decide.incidents.waiting_firings import without_wait
from tocsin.model import Actor, Entry, Incident, Instant, Millis, StoredAlert, changed

KeptStatus = Literal["firing", "resolved", "dropped", "suppressed", "heartbeat", "waiting"]


def ended_status(alert: StoredAlert) -> KeptStatus:
    """Status of an alert that has ended; one that never had an incident stays findable as what it was."""
    return "resolved" if alert.incident is not None or alert.status in ("firing", "waiting") else alert.status


def ended_by_resolve(alert: StoredAlert, now: Instant) -> StoredAlert:
    """The alert, over since its source says so."""
    because = "it was resolved again before it fired" if alert.status == "waiting" else alert.because
    return changed(
        alert, status=ended_status(alert), ended_at=now, last_seen_at=now, expires_at=None, because=because,
        waits_until=None, terms=without_wait(alert.terms),
    )  # fmt: skip


def ended_in_silence(alert: StoredAlert, now: Instant) -> StoredAlert:
    """The alert, over since nobody heard of it for too long."""
    because = "its source fell silent before it fired" if alert.status == "waiting" else alert.because
    return changed(
        alert, status=ended_status(alert), ended_at=now, expires_at=None, because=because, waits_until=None,
        terms=without_wait(alert.terms),
    )  # fmt: skip


def ended_in(incident: Incident, alert: StoredAlert, close_after: Millis, now: Instant) -> tuple[Move, ...]:
    """Count an alert of an incident that has ended; the last one resolves the incident."""
    if not incident.open:
        return ()
    firing, resolved = max(0, incident.firing - 1), incident.resolved + 1
    after = changed(incident, counts=counts_without(incident, alert), firing=firing, resolved=resolved)
    if firing:
        actor, detail = f"integration:{alert.integration}", {"alert": alert.id}
        told = Entry(after.number, now, "alert_resolved", actor, "alert", alert.title, detail=detail)
        return (Move(after, (told,)),)
    sender = Actor("integration", alert.integration)
    held = after.held_until is not None and (after.cycle, after.round, after.step) == (1, 1, 1)
    because = "self-recovered before anybody was paged" if held else "its last alert resolved"
    move = lifecycle.resolve(after, sender, "alert", now, close_after, because)
    return (Move(after, ()), move) if isinstance(move, Move) else (Move(after, ()),)
