"""Is this a storm: more new incidents of one service in a short time than anybody can read? And is it over?

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
class Weather:
    """What came lately in one scope, while it is being worked on."""

    scope: str
    recent: list[tuple[int, int]] = field(default_factory=list)
    incident: int | None = None
    since: Instant | None = None
    collected: int = 0
    names: Counter[str] = field(default_factory=Counter)
    touched_at: Instant = NEVER
    changed: bool = False  # since it was kept
    held: bool = True  # by the transaction that works on it; else it can be looked at, and nothing of it is kept


def weather_of(storm: Storm) -> Weather:
    return Weather(
        storm.scope, list(storm.recent), storm.incident, storm.since, storm.collected, Counter(dict(storm.names)),
        storm.touched_at,
    )  # fmt: skip


def row_of(weather: Weather) -> Storm:
    names: Mapping[str, int] = dict(weather.names) or EMPTY
    return Storm(
        weather.scope, tuple(weather.recent), weather.incident, weather.since, weather.collected, names,
        weather.touched_at,
    )  # fmt: skip


def scope_of(incident: Incident, limit: StormLimit) -> str:
    """What it is counted with; "" for what is never taken in: made by hand, or about Tocsin itself."""
    if incident.alert is None or incident.integration in ("", OWN):
        return ""
    name = {"service": incident.service, "integration": incident.integration, "all": ""}[limit.per]
    scope = f"{limit.per}:{name}" if limit.per != "all" else "all"
    scope = cut_with_hash(scope, LONGEST)
    return f"{scope}{CRITICAL}" if is_critical(incident) else scope


def is_critical(incident: Incident) -> bool:
    return incident.priority == "P1" or incident.severity == "critical"


def arrive(weather: Weather, name: str, limit: StormLimit, now: Instant) -> None:
    """One more that is about to page for the first time."""
    forget(weather, limit, now)
    piece = max(1, limit.within // GRAIN)
    at = now // piece * piece
    if weather.recent and weather.recent[-1][0] >= at:
        weather.recent[-1] = (weather.recent[-1][0], weather.recent[-1][1] + 1)
    else:
        weather.recent.append((at, 1))
    _name(weather, name, counts=weather.incident is None)
    weather.touched_at, weather.changed = now, True


def _name(weather: Weather, name: str, *, counts: bool) -> None:
    """A kind of alert that was seen; within a storm only what it takes in counts."""
    if name in weather.names or len(weather.names) < NAMES:
        weather.names[name] += counts
    else:  # room for a new one: what came once or twice makes way (Misra and Gries)
        weather.names = +(weather.names - Counter(dict.fromkeys(weather.names, 1)))


def forget(weather: Weather, limit: StormLimit, now: Instant) -> None:
    """Leave out what is older than the window; names outside a storm go with it."""
    if weather.recent and weather.recent[0][0] <= now - limit.within:
        weather.recent = [pair for pair in weather.recent if pair[0] > now - limit.within]
    if not weather.recent and weather.incident is None:
        weather.names.clear()


def begin(weather: Weather, incident: int, now: Instant) -> None:
    """This incident stands for the storm from now on. What paged by itself before is known, and counted no more."""
    weather.incident, weather.since, weather.collected, weather.changed = incident, now, 0, True
    weather.names = Counter(dict.fromkeys(weather.names, 0))


def collect(weather: Weather, name: str) -> None:
    """The storm takes one in that it has not counted yet."""
    weather.collected += 1
    weather.changed = True
    _name(weather, name, counts=True)


def end(weather: Weather) -> None:
    """No storm is on any more; what came lately still counts."""
    weather.incident, weather.since, weather.collected, weather.changed = None, None, 0, True


def count(weather: Weather) -> int:
    return sum(many for _, many in weather.recent)


def is_storm(weather: Weather, limit: StormLimit) -> bool:
    return count(weather) > limit.new_incidents


def is_calm(weather: Weather, limit: StormLimit, now: Instant) -> bool:
    """For one whole window at most half as many came as make a storm: it does not begin and end with each alert."""
    forget(weather, limit, now)
    return count(weather) <= limit.new_incidents // 2


def is_new_kind(weather: Weather, kind: str) -> bool:
    """Whether a storm of few kinds of alerts has never seen this one: then it may be other trouble altogether."""
    return bool(kind) and kind not in weather.names and len(weather.names) <= KINDS


def title(weather: Weather, limit: StormLimit) -> str:
    """What the storm's incident is called: how many it took in, of what, the names that came most among these."""
    what = weather.scope.removesuffix(CRITICAL)
    kind, _, name = what.partition(":")
    of = f" of {name}" if name else " without a service" if kind == "service" else ""
    critical = "critical " if weather.scope.endswith(CRITICAL) else ""
    many = f"more than {limit.new_incidents:,} new {critical}incidents{of}"
    return f"storm: {many}, {weather.collected:,} taken in: {top_names(weather, SHOWN)}"


def top_names(weather: Weather, most: int) -> str:
    names = +weather.names
    first = names.most_common(most)
    shown = ", ".join(f"{cut(name, 60)} ({many:,})" for name, many in first)
    more = len(names) - len(first)
    return f"{shown} and {more} other names" if more > 0 else shown


def because_it_began(limit: StormLimit) -> str:
    return (
        f"more than {limit.new_incidents} new incidents within {in_words(limit.within)}: what comes now pages nobody "
        "by itself"
    )


def because_it_is_over(weather: Weather, limit: StormLimit, now: Instant) -> str:
    lasted = in_words(Millis(now - (weather.since or now)))
    return (
        f"calm: at most {limit.new_incidents // 2} new incidents within {in_words(limit.within)}. "
        f"In {lasted} it took in {weather.collected:,}: {top_names(weather, 10)}"
    )
