"""Names under which firings and changes are counted, and their counts: over what is stored, never from memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from tocsin.model import Instant, Millis


class Mark(NamedTuple):
    """A firing or change of an alert, as it is counted. `what` tells a repetition from another one."""

    at: Instant
    alert: int
    what: str


def bulk_tally(incident_key: str) -> str:
    """Name under which the firings of a threshold are counted: per incident key."""
    return f"bulk {incident_key}"


def flap_tally(integration: str, source_key: str) -> str:
    """Name under which the changes of one alert are counted."""
    return f"flap {integration}/{source_key}"


def firing_mark(integration: str, source_key: str, started_at: Instant) -> str:
    """A firing is its identity and its start: sent again it is the same one."""
    return f"{integration}/{source_key}@{started_at}"


def in_window(marks: Iterable[Mark], within: Millis, now: Instant) -> list[Mark]:
    """The marks not older than `within`, each once, oldest first; also what another replica counted a moment later."""
    fresh = sorted(mark for mark in marks if mark.at > now - within)
    return list({mark.what: mark for mark in reversed(fresh)}.values())[::-1]
