"""Fairness of on-call time: how hours, nights and weekends are shared among people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tocsin.decide.oncall.resolver import Window, shifts, windows
from tocsin.model import EMPTY, Hours, Instant, Millis, Override, Schedule

NIGHT = Hours(frozenset(range(7)), 22 * 60, 6 * 60)
"""From 22:00 to 06:00, by the clock of whoever is on call."""

_SATURDAYS = Hours(frozenset({5}), 0, 0)
_SUNDAYS = Hours(frozenset({6}), 0, 0)


@dataclass(frozen=True, slots=True)
class Load:
    """Time on call, how much of it at night, and how many nights and weekends it touches, however briefly."""

    on_call: Millis
    at_night: Millis
    nights: int
    weekends: int


@dataclass(frozen=True, slots=True)
class Share:
    """Load of one person, by schedule that names them, and together (time in two schedules at once counts once)."""

    user: str
    timezone: str
    total: Load
    schedules: Mapping[str, Load]


class _Span(NamedTuple):
    start: Instant
    end: Instant


def shares(
    schedules: Sequence[Schedule],
    zones: Mapping[str, str],
    start: Instant,
    end: Instant,
    extra: Mapping[str, Sequence[Override]] = EMPTY,
) -> tuple[Share, ...]:
    """Loads of all whom these schedules name, also those who are never on call, from `start` until `end`.

    `zones` are the people's; who has none there is counted by the zone of the first schedule that names them.
    """
    own: dict[str, dict[str, list[_Span]]] = {}  # by person and schedule
    homes: dict[str, str] = {}
    for schedule in schedules:
        for user, spans in _spans(schedule, start, end, extra.get(schedule.name, ())).items():
            own.setdefault(user, {})[schedule.name] = spans
            homes.setdefault(user, zones.get(user, schedule.timezone))
    return tuple(_share(user, homes[user], own[user]) for user in sorted(own))


def _share(user: str, timezone: str, own: Mapping[str, list[_Span]]) -> Share:
    together = _joined(sorted(span for spans in own.values() for span in spans))
    return Share(
        user, timezone, _load(together, timezone), {name: _load(spans, timezone) for name, spans in own.items()}
    )


def _spans(schedule: Schedule, start: Instant, end: Instant, extra: Sequence[Override]) -> dict[str, list[_Span]]:
    """Spans in which each is on call; nothing for those who take turns in a layer and have none now."""
    found: dict[str, list[_Span]] = {user: [] for layer in schedule.layers for entry in layer.users for user in entry}
    for shift in shifts(schedule, start, end, extra).shifts:
        for user in shift.users:
            found.setdefault(user, []).append(_Span(shift.start, shift.end))
    return {user: _joined(spans) for user, spans in found.items()}


def _load(spans: Sequence[_Span], timezone: str) -> Load:
    if not spans:
        return Load(Millis(0), Millis(0), 0, 0)
    start, end = spans[0].start, spans[-1].end
    nights = list(_shared(spans, list(windows(NIGHT, timezone, start, end))))
    saturdays = _shared(spans, list(windows(_SATURDAYS, timezone, start, end)))
    sundays = _shared(spans, list(windows(_SUNDAYS, timezone, start, end)))
    weekends = {window.day for window, _ in saturdays} | {window.day - 1 for window, _ in sundays}
    whole = sum(span.end - span.start for span in spans)
    return Load(
        Millis(whole), Millis(sum(part for _, part in nights)), len({one.day for one, _ in nights}), len(weekends)
    )


def _shared(spans: Sequence[_Span], by: Sequence[Window]) -> Iterator[tuple[Window, int]]:
    """Windows with how much of each every span shares; both are in order and neither overlaps itself."""
    which = 0
    for window in by:
        while which and spans[which - 1].end > window.start:
            which -= 1
        while which < len(spans) and spans[which].start < window.end:
            part = min(spans[which].end, window.end) - max(spans[which].start, window.start)
            if part > 0:
                yield window, part
            which += 1


def _joined(spans: Iterable[_Span]) -> list[_Span]:
    found: list[_Span] = []
    for span in spans:
        if found and span.start <= found[-1].end:
            found[-1] = _Span(found[-1].start, max(found[-1].end, span.end))
        else:
            found.append(span)
    return found
