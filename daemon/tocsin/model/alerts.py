"""Alerts as they were read and as they are kept, and the post they came in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tocsin.model.values import EMPTY, record
from tocsin.model.words import Instant, Severity, SignalStatus


@dataclass(frozen=True, slots=True)
class Link:
    """A place to look at, as a source names it."""

    href: str
    text: str = ""


@record(frozen=True, slots=True)
class Alert:
    """A normalised signal, as a source read it out of a post, before any rule.

    `source_key` is the identity the source sent (None: the receiver mints one). Texts are as sent;
    intake sanitises and cuts them. `source` is the thing that reports (host, probe).
    """

    status: SignalStatus
    source_key: str | None
    severity: Severity | None = None
    title: str = ""
    description: str = ""
    service: str | None = None
    source: str = ""
    labels: Mapping[str, str] = EMPTY
    links: tuple[Link, ...] = ()
    started_at: Instant | None = None
    ended_at: Instant | None = None
    expires_at: Instant | None = None
    actor: str | None = None
    pointer: str = ""


@dataclass(frozen=True, slots=True)
class Rejected:
    """An alert of a post that could not be taken, and where it stands (RFC 6901 pointer)."""

    pointer: str
    detail: str


@dataclass(frozen=True, slots=True)
class Parsed:
    """The alerts a source read out of a body. `left_out`: parts that could not be read; their alerts are taken
    without.
    """

    alerts: tuple[Alert, ...]
    rejected: tuple[Rejected, ...] = ()
    left_out: tuple[Rejected, ...] = ()


@record(frozen=True, slots=True)
class StoredAlert:
    """An alert as kept. Open while `ended_at` is None; open alerts are unique by (integration, source_key).
    `incident` is None when a rule dropped or silenced it at the door, and while it waits (`waiting`)."""

    id: int
    integration: str
    source_key: str
    content: int  # 63-bit hash of the normalised content
    status: Literal["firing", "resolved", "dropped", "suppressed", "heartbeat", "waiting"]
    incident: int | None
    post: int | None
    severity: Severity
    title: str
    description: str
    service: str
    source: str
    labels: Mapping[str, str]
    links: tuple[Link, ...]
    rules: tuple[str, ...]  # names of the rules that applied
    started_at: Instant
    received_at: Instant
    last_seen_at: Instant
    ended_at: Instant | None = None
    expires_at: Instant | None = None
    hold_until: Instant | None = None
    acknowledged_at: Instant | None = None
    count: int = 1
    truncated: bool = False
    joined: bool = False  # joined an incident that another alert opened
    muted_by: str | None = None  # why this alert does not page now (a silence's id ...)
    written: tuple[str, ...] = ()  # fields that a rule set: a matcher's bare name means these first
    because: str = ""  # why it was grouped, dropped, suppressed; "": it opened an incident of its own
    terms: Mapping[str, Any] = EMPTY  # how its end is judged, as decided when it came (decide/routing/alert_terms.py)
    cleared_at: Instant | None = None  # its source resolved it; it ends at `expires_at` unless it fires again
    settles_at: Instant | None = None  # it comes and goes: until then it counts as flapping
    waits_until: Instant | None = None  # it fired right behind its end: it fires then, unless it is resolved again


class Tombstone(NamedTuple):
    """The end of an identity, remembered for a while: a firing that is not newer may be a copy overtaken by it.

    One that began before `ended_at` and comes before `until` waits, and fires at `fires_at`.
    """

    integration: str
    source_key: str
    ended_at: Instant
    until: Instant
    fires_at: Instant
    incident: int | None = None  # the one that ended with it; the wait is told there


@record(frozen=True, slots=True)
class Post:
    """An accepted request body, as received; the store keeps it compressed (zstd) for `retention.alerts`."""

    id: int
    integration: str
    received_at: Instant
    body: bytes
    alerts: int
    repeats: int = 0


@dataclass(frozen=True, slots=True)
class ChangeEvent:
    """A change made on purpose (a deploy, a switch): context for incidents, never an incident itself."""

    integration: str
    source_key: str
    at: Instant
    service: str
    title: str
    description: str
    source: str
    labels: Mapping[str, str]
    links: tuple[Link, ...]
    id: int | None = None  # given by the store


Repeated = tuple[int, int, Instant, Instant | None, Instant | None]
"""Pure repeats of one alert: its id, how many more, last seen, a new end, the newest start that its source gave."""


def later_start(one: Instant | None, other: Instant | None) -> Instant | None:
    """The newer of two starts, of which either may be unknown."""
    if one is None or other is None:
        return other if one is None else one
    return max(one, other)
