"""Incidents and their timelines; storms, and heartbeats that fell silent."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tocsin.model.values import EMPTY, record
from tocsin.model.words import OPEN, Impact, Instant, Millis, Priority, Severity, Status, Urgency

DueKind = Literal["step", "again", "ack_timeout", "unsnooze", "unmute", "close"]


@record(frozen=True, slots=True)
class Incident:
    """An incident: the trouble that people are paged for.

    An incident has at most one escalation timer: (`due_at`, `due_kind`), durable in its own row and
    dead when the row's `version` moved on. `round` and `step` say which step runs NEXT while
    triggered (step is an index from 1; 0 = the catch-all). `cycle` counts from 1 and grows with
    every re-trigger.
    """

    number: int
    key: str
    status: Status
    title: str
    service: str
    severity: Severity
    impact: Impact
    urgency: Urgency
    priority: Priority
    category: str
    integration: str
    policy: str  # name; "" = no policy: the catch-all is paged at once
    policy_hash: str  # the frozen version in policy_versions; "" likewise
    created_at: Instant
    updated_at: Instant
    version: int = 1
    cycle: int = 1
    round: int = 1
    step: int = 1
    due_at: Instant | None = None
    due_kind: DueKind | None = None
    planned_at: Instant | None = None  # when the step in hand was planned to run
    acknowledged_at: Instant | None = None
    acknowledged_by: str | None = None
    resolved_at: Instant | None = None
    resolved_by: str | None = None
    closed_at: Instant | None = None
    muted_by: str | None = None  # a reason while muted; the step timer stands still
    muted_left: Millis | None = None  # what was left of the wait when muting began; without muted_by: it rests
    held_until: Instant | None = None  # `hold`: nobody is paged before this
    snoozed_until: Instant | None = None
    joins_until: Instant | None = None  # later alerts of this key open a new incident
    grouped: bool = False  # has a row in incident_keys; else its key is its alert's identity
    alert: int | None = None  # the alert that opened it
    previous: int | None = None  # the incident this one continues
    merged_into: int | None = None
    firing: int = 0
    resolved: int = 0
    total: int = 0
    opened_by: str = ""  # "integration:NAME" or "user:NAME"
    storm: int | None = None  # the storm incident that took this one in, for good
    paged: str = ""  # people whom steps of this cycle page and no page has lost; "" once exhausted
    counts: Mapping[str, int] = EMPTY  # of a grouped one: its firing alerts, see decide/incidents/firing_counts.py

    @property
    def open(self) -> bool:
        return self.status in OPEN

    @property
    def resting(self) -> bool:
        """Whether the incident's step was put off without a mute: what fires is quiet just now, or comes and goes."""
        return self.muted_left is not None and self.muted_by is None


class Arrival(NamedTuple):
    """A new alert that stands alone, and the incident it opens, while nobody is to be paged for it yet.

    What is the same of every such pair is not said here (`alert_of`, `incident_of` in store/arrivals.py add it):
    a tuple of what varies is the cheapest way into the store. `labels`, `links`, `rules`, `written`: JSON text.
    """

    id: int
    integration: str
    source_key: str
    content: int
    incident: int
    post: int
    severity: Severity
    title: str
    description: str
    service: str
    source: str
    labels: str
    links: str
    rules: str
    started_at: Instant
    received_at: Instant
    expires_at: Instant | None
    held_until: Instant  # nobody is paged before: the incident's first step is due then
    truncated: bool
    written: str
    key: str  # of the incident
    impact: Impact
    urgency: Urgency
    priority: Priority
    category: str
    policy: str
    policy_hash: str


@record(frozen=True, slots=True)
class Entry:
    """A line of an incident's timeline: every change, page, attempt, receipt and refusal."""

    incident: int
    at: Instant
    kind: str  # "opened", "joined", "acknowledged", "paged", "attempt" ...
    actor: str  # "user:ana", "integration:apps", "tocsin"
    via: str = ""  # door: "api", "sms", "voice", "link", "timer" ...
    because: str = ""
    channel: str = ""
    detail: Mapping[str, Any] = EMPTY  # JSON values only; enough to replay the change
    id: int | None = None  # given by the store


class Related(NamedTuple):
    """A relation of an incident to another. `kind`: "muted_by" (its parent), "mutes" (its child)."""

    incident: int
    other: int
    kind: str
    at: Instant


@dataclass(frozen=True, slots=True)
class Beat:
    """The state of a configured heartbeat. `due_at`: heard by then, or its next silence begins.

    `silent_since` is when it fell due unheard; `told` says that the alert about it is stored.
    """

    name: str
    expects: str  # every, cron and grace as they were when `due_at` was worked out
    due_at: Instant
    last_at: Instant | None = None  # the last check-in
    last_by: str = ""  # who checked in: "integration:apps", "token:cron", "own token"
    silent_since: Instant | None = None
    told: bool = False


@dataclass(frozen=True, slots=True)
class Storm:
    """The new incidents of one scope (a service) lately, and the storm incident while there is one.

    `recent`: (instant, how many first pages fell due then), ascending, within the window.
    """

    scope: str
    recent: tuple[tuple[int, int], ...] = ()
    incident: int | None = None
    since: Instant | None = None  # when the storm began
    collected: int = 0  # incidents it took in
    names: Mapping[str, int] = EMPTY  # alert names and how often, the most frequent ones
    touched_at: Instant = Instant(0)
