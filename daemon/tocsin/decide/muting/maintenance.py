"""Maintenance windows: wall-clock beginnings in the window's zone; a repeated one lasts its length.

A beginning that the clocks skip is the first instant after the gap, one they show twice is the first of the two, as
with shifts (`decide/oncall/resolver.py`). `for: 2h` is two hours of real time, whatever the clocks do meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import NamedTuple

from tocsin.decide.oncall.resolver import local_instant, zone_of
from tocsin.model import DAY, Instant, Maintenance, Millis
from tocsin.model.civil import civil

WEEK = Millis(7 * DAY)
FIRST_DAY, LAST_DAY = date(1970, 1, 8), date(9000, 1, 1)


class MaintenanceWindow(NamedTuple):
    """From `start` until `end` (not included)."""

    name: str
    start: Instant
    end: Instant


def windows(maintenance: Maintenance, start: Instant, end: Instant) -> Iterator[MaintenanceWindow]:
    """The windows that touch `start` … `end`, in order, whole."""
    if maintenance.minute is None:
        once = span_of(maintenance)
        if once[0] < end and start < once[1]:
            yield MaintenanceWindow(maintenance.name, *once)
        return
    for at in _beginnings(maintenance, Instant(start - maintenance.length), end):
        if at < end and start < at + maintenance.length:
            yield MaintenanceWindow(maintenance.name, at, Instant(at + maintenance.length))


def in_force(maintenance: Maintenance, at: Instant) -> MaintenanceWindow | None:
    """The window that `at` lies in."""
    return next(windows(maintenance, at, Instant(at + 1)), None)


def upcoming(maintenance: Maintenance, after: Instant) -> MaintenanceWindow | None:
    """The first window that begins later than `after`."""
    ahead = 2 * WEEK if maintenance.minute is not None else Millis(max(1, span_of(maintenance)[0] - after + 1))
    found = windows(maintenance, after, Instant(after + ahead))
    return next((window for window in found if window.start > after), None)


def last_ended(maintenance: Maintenance, now: Instant) -> MaintenanceWindow | None:
    """The window that ended last, within the last two weeks."""
    found = windows(maintenance, Instant(now - 2 * WEEK), now)
    return max((window for window in found if window.end <= now), key=lambda window: window.end, default=None)


def agenda(planned: Sequence[Maintenance], now: Instant) -> list[MaintenanceWindow]:
    """Windows in force now and those that come next, one each, in order of their beginning."""
    found = [window for one in planned for window in (in_force(one, now), upcoming(one, now)) if window is not None]
    return sorted(found, key=lambda window: (window.start, window.name))


def span_of(maintenance: Maintenance) -> tuple[Instant, Instant]:
    """Beginning and end of a window that is in force once."""
    zone = maintenance.timezone
    return local_instant(maintenance.start, zone), local_instant(maintenance.end, zone)


def _beginnings(maintenance: Maintenance, start: Instant, end: Instant) -> Iterator[Instant]:
    minute = maintenance.minute or 0
    clock = f"{minute // 60:02}:{minute % 60:02}"
    day, last = _day(start, maintenance.timezone, -1), _day(end, maintenance.timezone, 1)
    while day <= last:
        if day.weekday() in maintenance.days:
            yield local_instant(f"{day.isoformat()}T{clock}", maintenance.timezone)
        day += timedelta(days=1)


def _day(at: Instant, timezone: str, more: int) -> date:
    """The day on which that zone's calendar has `at`, and some more; within what a calendar can hold."""
    found = civil(at, zone_of(timezone)).date() + timedelta(days=more)
    return min(max(found, FIRST_DAY), LAST_DAY)
