"""Posts as they go into a batch, their alerts on the way through it, and what comes out."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from tocsin.decide.routing.alert_texts import Fit
from tocsin.decide.routing.grouping import Group
from tocsin.decide.routing.rules import Rulebook, Verdict
from tocsin.model import (
    Alert,
    Arrival,
    Instant,
    IntegrationConfig,
    Parsed,
    Rejected,
    StoredAlert,
    Threshold,
    Tombstone,
)
from tocsin.work.effects import Effects
from tocsin.work.ingest.evaluation import Evaluated


@dataclass(frozen=True, slots=True)
class Taken:
    """Result of one post. `incidents`: numbers, each once. `keys`: identity of each alert taken."""

    accepted: int
    incidents: tuple[int, ...]
    rejected: tuple[Rejected, ...]
    keys: tuple[str, ...]
    reason: str = ""
    row: int = 0  # the id of the post as it is kept


class Waiter(Protocol):
    """Waiter for the outcome of a post: a future, or what acts like one."""

    def done(self) -> bool: ...
    def set_result(self, result: Taken, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class Queued:
    """A post that waits for its batch, or a part of a big one: then `evaluated` are the alerts of this part alone.

    The row of a post is kept with its first part, whole; the others name it by its id, in `row`.
    """

    integration: IntegrationConfig
    raw: bytes
    parsed: Parsed
    received_at: Instant
    evaluated: list[Evaluated]
    rulebook: Rulebook
    waiter: Waiter
    row: int = 0  # the id of the post's row, where an earlier part kept it
    part: bool = False


@dataclass(slots=True)
class Item:
    """Alert of a post on its way through a batch."""

    post: int
    integration: IntegrationConfig
    alert: Alert
    pair: tuple[str, str]
    content: int = 0
    verdict: Verdict | None = None
    group: Group | None = None
    fit: Fit | None = None
    repeat: tuple[int, int] | None = None  # (alert id, incident or 0): a pure repeat, from the cache
    waited: bool = False  # its wait behind its end is over
    alert_id: int = 0  # the id it gets, if it fires and is new

    @property
    def threshold(self) -> Threshold | None:
        terms = self.verdict.terms if self.verdict is not None else None
        return terms.threshold if terms is not None else None


@dataclass(slots=True)
class Outcome:
    """Outcome of a committed batch: all that is left to do outside the database."""

    results: list[Taken]
    effects: Effects
    repeats: dict[int, tuple[int, Instant | None, Instant | None]] = field(default_factory=dict)  # count, end, start
    fresh: list[StoredAlert] = field(default_factory=list)
    ended: list[StoredAlert] = field(default_factory=list)
    arrived: list[Arrival] = field(default_factory=list)
    buried: list[Tombstone] = field(default_factory=list)
    waits_until: Instant | None = None  # when the next of those that wait behind their end fires
    counts: dict[str, int] = field(default_factory=dict)
    rule_errors: list[tuple[str, str]] = field(default_factory=list)
    last_post: int = 0
