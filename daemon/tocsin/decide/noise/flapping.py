"""Flapping: when an alert that its source resolved really ends, or only comes and goes, and when paging rests.

An alert under `resolve_after`, and one that flaps, does not end with its resolve: it is *cleared*, and ends when it
stayed quiet. Meanwhile the steps of its incident rest. One that flaps pages once; its further steps rest until nothing
changed for its settle time, so that something that stays down is never silent for longer than that.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from tocsin.decide.noise.counters import Mark, in_window
from tocsin.decide.routing.alert_terms import Terms
from tocsin.decide.views import in_words
from tocsin.model import Flap, Incident, Instant, StoredAlert, rfc3339


@dataclass(frozen=True, slots=True)
class Clearing:
    """The source says it is over: it ends at `ends_at` unless it fires again."""

    ends_at: Instant
    settles_at: Instant | None
    because: str


@dataclass(frozen=True, slots=True)
class Rest:
    """The step in hand waits until then."""

    until: Instant
    because: str


def settles_at(flap: Flap, changes: Iterable[Mark], before: Instant | None, now: Instant) -> Instant | None:
    """Until when it counts as flapping after a change just now, which is among `changes`; None: it does not flap.

    `before`: until when it counted as flapping so far. What flaps goes on doing so with every change.
    """
    if flaps(before, now) or len(in_window(changes, flap.within, now)) >= flap.changes:
        return Instant(now + flap.settle)
    return None


def flaps(until: Instant | None, now: Instant) -> bool:
    """Whether something counts as flapping, which it does until then."""
    return until is not None and now < until


def clearing(terms: Terms, settles: Instant | None, now: Instant) -> Clearing | None:
    """Decide how the resolve of an alert is taken; None: the alert ends at once."""
    quiet = Instant(now + terms.resolve_after) if terms.resolve_after else now
    ends_at = max(quiet, settles or now)
    if ends_at <= now:
        return None
    if settles is not None and terms.flap is not None:
        return Clearing(ends_at, settles, flapping_because(terms.flap, settles))
    return Clearing(ends_at, None, f"resolve_after: it ends when it stayed quiet for {in_words(ends_at - now)}")


def flapping_because(flap: Flap, settles: Instant) -> str:
    return (
        f"rule {flap.rule!r}: it comes and goes ({flap.changes} changes within {in_words(flap.within)}); "
        f"it counts as flapping until nothing changed for {in_words(flap.settle)} (now {rfc3339(settles)})"
    )


def rest(incident: Incident, alerts: Sequence[StoredAlert], now: Instant) -> Rest | None:
    """Reason why the step in hand must wait: all alerts that fire are quiet, or flap and somebody was paged already."""
    first = (incident.round, incident.step) == (1, 1)
    ends = [_rests_until(alert, now, first=first) for alert in alerts]
    known = [end for end in ends if end is not None]
    if not known or len(known) < len(ends):
        return None
    if all(alert.cleared_at is not None for alert in alerts):
        because = "its source says that it is over: it resolves unless it fires again"
    else:
        because = "it comes and goes, and somebody was paged"
    return Rest(min(known), because)


def rests(alert: StoredAlert, now: Instant) -> bool:
    """Whether it may put off a step, be it the first or a later one."""
    return _rests_until(alert, now, first=False) is not None


def _rests_until(alert: StoredAlert, now: Instant, *, first: bool) -> Instant | None:
    if alert.cleared_at is not None:
        return Instant(max(alert.expires_at or now, now) + 1)  # just after it ended
    if not first and flaps(alert.settles_at, now):
        return alert.settles_at
    return None
