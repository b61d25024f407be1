"""Instants and civil time: the only place that turns one into the other.

Instants lie on Tocsin's own line of time, which no step of a clock moves (docs/decisions/0007-the-line-of-time.md).
Civil time (RFC 3339, days and hours of a zone, the sender's timestamps, `Date` headers, seconds since 1970 in metrics)
is the true wall time. It is `ahead()` of the line: 0 until a wall clock was stepped while Tocsin ran. Like the time
zones' tables that is a fact of the whole process; `clock.py` learns it, decisions only use it.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, tzinfo
from functools import lru_cache
from typing import TypeVar

from tocsin.model.words import Instant, Millis

F = TypeVar("F", bound=Callable[..., object])
EARLIEST, LATEST = -62_135_596_800_000 + 86_400_000, 253_402_300_799_000 - 86_400_000  # what a calendar can show

_ahead = Millis(0)
_forget: list[Callable[[], None]] = []


def ahead() -> Millis:
    """The lead of civil time over the line."""
    return _ahead


def set_ahead(length: Millis) -> None:
    """Civil time is so far ahead from here on. What was remembered of the calendar is worked out anew."""
    global _ahead
    if length != _ahead:
        _ahead = length
        for forget in _forget:
            forget()


def remembered(maxsize: int) -> Callable[[F], F]:
    """`lru_cache` for a function whose answer depends on where the calendar lies on the line."""

    def wrap(function: F) -> F:
        cached = lru_cache(maxsize=maxsize)(function)
        _forget.append(cached.cache_clear)
        return cached  # type: ignore[return-value]  # called as the function is

    return wrap


def unix(at: Instant) -> int:
    """Milliseconds since 1970-01-01T00:00Z in civil time."""
    return at + _ahead


def on_line(milliseconds: int) -> Instant:
    """The instant at which civil time is so many milliseconds since 1970."""
    return Instant(milliseconds - _ahead)


def civil(at: Instant, zone: tzinfo = UTC) -> datetime:
    """`at` as a clock of the zone shows it, in whole seconds."""
    return datetime.fromtimestamp(min(max(at + _ahead, EARLIEST), LATEST) // 1000, zone)


def instant(moment: datetime) -> Instant:
    """An aware datetime as an Instant, cut to the millisecond."""
    return Instant(int(moment.timestamp()) * 1000 + moment.microsecond // 1000 - _ahead)


def rfc3339(at: Instant, zone: tzinfo = UTC) -> str:
    """`at` as RFC 3339 with its offset; milliseconds only where there are any."""
    millis = (at + _ahead) % 1000
    moment = datetime.fromtimestamp((at + _ahead) // 1000, zone).replace(microsecond=millis * 1000)
    return moment.isoformat(timespec="milliseconds" if millis else "seconds").replace("+00:00", "Z")
