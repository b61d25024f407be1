"""Storms: more new incidents of one service in a short time than anybody can read; their start and their end.

What counts is an incident that is about to page for the first time. P1 and critical incidents are counted apart, so
that a storm of lesser ones hides none of them; nor does one of few kinds hide a kind it has not seen before.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from tocsin.decide.text import cut, cut_with_hash
from tocsin.decide.views import in_words
from tocsin.model import EMPTY, HOUR, Incident, Instant, Millis, Storm, StormLimit

OWN = "tocsin"
"""The integration of Tocsin's alarms about itself: they are never taken in."""

CRITICAL = " (critical)"  # ends the scope of those that are counted apart
GRAIN = 60  # pieces into which the window is cut: what is remembered of it stays small
NAMES = 100  # names that are counted apart
LONGEST = 512  # characters of a scope
KINDS = 10  # a storm of no more kinds than these is known well enough to tell a new kind
SHOWN = 3  # names in a title
NEVER = Instant(0)
LOOKED_AFTER = HOUR  # whatever goes wrong, an incident that was taken in is looked at so often


@dataclass(slots=True)
class StormState:
    """Incidents that came lately in one scope, while they are being worked on."""

    scope: str
    recent: list[tuple[int, int]] = field(default_factory=list)
    incident: int | None = None
    since: Instant | None = None
    collected: int = 0
    names: Counter[str] = field(default_factory=Counter)
    touched_at: Instant = NEVER
    changed: bool = False  # since it was kept
    held: bool = True  # by the transaction that works on it; else it can be looked at, and nothing of it is kept


def state_of(storm: Storm) -> StormState:
    return StormState(
        storm.scope, list(storm.recent), storm.incident, storm.since, storm.collected, Counter(dict(storm.names)),
        storm.touched_at,
    )  # fmt: skip


def row_of(state: StormState) -> Storm:
    names: Mapping[str, int] = dict(state.names) or EMPTY
    return Storm(
        state.scope, tuple(state.recent), state.incident, state.since, state.collected, names,
        state.touched_at,
    )  # fmt: skip


def scope_of(incident: Incident, limit: StormLimit) -> str:
    """Scope in which an incident is counted; "" for one never taken in: made by hand, or about Tocsin itself."""
    if incident.alert is None or incident.integration in ("", OWN):
        return ""
    name = {"service": incident.service, "integration": incident.integration, "all": ""}[limit.per]
    scope = f"{limit.per}:{name}" if limit.per != "all" else "all"
    scope = cut_with_hash(scope, LONGEST)
    return f"{scope}{CRITICAL}" if is_critical(incident) else scope


def is_critical(incident: Incident) -> bool:
    return incident.priority == "P1" or incident.severity == "critical"


def arrive(state: StormState, name: str, limit: StormLimit, now: Instant) -> None:
    """Count one more that is about to page for the first time."""
    forget(state, limit, now)
    piece = max(1, limit.within // GRAIN)
    at = now // piece * piece
    if state.recent and state.recent[-1][0] >= at:
        state.recent[-1] = (state.recent[-1][0], state.recent[-1][1] + 1)
    else:
        state.recent.append((at, 1))
    _name(state, name, counts=state.incident is None)
    state.touched_at, state.changed = now, True


def _name(state: StormState, name: str, *, counts: bool) -> None:
    """A kind of alert that was seen; within a storm only what it takes in counts."""
    if name in state.names or len(state.names) < NAMES:
        state.names[name] += counts
    else:  # room for a new one: what came once or twice makes way (Misra and Gries)
        state.names = +(state.names - Counter(dict.fromkeys(state.names, 1)))


def forget(state: StormState, limit: StormLimit, now: Instant) -> None:
    """Leave out what is older than the window; names outside a storm go with it."""
    if state.recent and state.recent[0][0] <= now - limit.within:
        state.recent = [pair for pair in state.recent if pair[0] > now - limit.within]
    if not state.recent and state.incident is None:
        state.names.clear()


def begin(state: StormState, incident: int, now: Instant) -> None:
    """Let this incident stand for the storm from now on. What paged by itself before is known, and counted no more."""
    state.incident, state.since, state.collected, state.changed = incident, now, 0, True
    state.names = Counter(dict.fromkeys(state.names, 0))


def collect(state: StormState, name: str) -> None:
    """The storm takes one in that it has not counted yet."""
    state.collected += 1
    state.changed = True
    _name(state, name, counts=True)


def end(state: StormState) -> None:
    """No storm is on any more; what came lately still counts."""
    state.incident, state.since, state.collected, state.changed = None, None, 0, True


def count(state: StormState) -> int:
    return sum(many for _, many in state.recent)


def is_storm(state: StormState, limit: StormLimit) -> bool:
    return count(state) > limit.new_incidents


def is_calm(state: StormState, limit: StormLimit, now: Instant) -> bool:
    """For one whole window at most half as many came as make a storm: it does not begin and end with each alert."""
    forget(state, limit, now)
    return count(state) <= limit.new_incidents // 2


def calm_at(state: StormState, limit: StormLimit, now: Instant) -> Instant:
    """Time at which the storm is over if nothing more comes."""
    left, at = count(state), now
    for came, many in state.recent:
        if left <= limit.new_incidents // 2:
            break
        left, at = left - many, max(now, Instant(came + limit.within))
    return at


def is_new_kind(state: StormState, kind: str) -> bool:
    """Whether a storm of few kinds of alerts has never seen this one: then it may be other trouble altogether."""
    return bool(kind) and kind not in state.names and len(state.names) <= KINDS


def title(state: StormState, limit: StormLimit) -> str:
    """Title of the storm's incident: how many it took in, of what, the names that came most among these."""
    what = state.scope.removesuffix(CRITICAL)
    kind, _, name = what.partition(":")
    of = f" of {name}" if name else " without a service" if kind == "service" else ""
    critical = "critical " if state.scope.endswith(CRITICAL) else ""
    many = f"more than {limit.new_incidents:,} new {critical}incidents{of}"
    return f"storm: {many}, {state.collected:,} taken in: {top_names(state, SHOWN)}"


def top_names(state: StormState, most: int) -> str:
    names = +state.names
    first = names.most_common(most)
    shown = ", ".join(f"{cut(name, 60)} ({many:,})" for name, many in first)
    more = len(names) - len(first)
    return f"{shown} and {more} other names" if more > 0 else shown


def because_it_began(limit: StormLimit) -> str:
    return (
        f"more than {limit.new_incidents} new incidents within {in_words(limit.within)}: what comes now pages nobody "
        "by itself"
    )


def because_it_is_over(state: StormState, limit: StormLimit, now: Instant) -> str:
    lasted = in_words(Millis(now - (state.since or now)))
    return (
        f"calm: at most {limit.new_incidents // 2} new incidents within {in_words(limit.within)}. "
        f"In {lasted} it took in {state.collected:,}: {top_names(state, 10)}"
    )
