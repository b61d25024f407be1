"""People, times and spans of a schedule as they are printed, in a table and as JSON."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime, tzinfo
from typing import Any

from tocsin.model import Instant, User, rfc3339


def names(keys: Iterable[str], users: Mapping[str, User]) -> str:
    """ "Ana Pires (ana) + Bo Li (bo)", or nobody."""
    return " + ".join(f"{users[key].name} ({key})" if key in users else key for key in keys) or "nobody"


def clock(text: str) -> str:
    """An RFC 3339 time by its own clock, with the day of the week."""
    return datetime.fromisoformat(text).strftime("%a %Y-%m-%d %H:%M %z")


def span(start: Instant, end: Instant, zone: tzinfo) -> dict[str, Any]:
    return {"start": rfc3339(start, zone), "end": rfc3339(end, zone)}


def hours(length: int) -> float:
    """Milliseconds as hours, to the hundredth."""
    return round(length / 3_600_000, 2)
