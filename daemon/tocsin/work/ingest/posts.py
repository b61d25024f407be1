"""What goes into a batch, and what comes out of it? Posts with their alerts, and what became of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from tocsin.decide.incidents.firing_counts import new_kinds
from tocsin.decide.incidents.overtaken import WAITS, as_sent
from tocsin.decide.routing.alert_terms import PASSING
from tocsin.decide.routing.grouping import Group
from tocsin.decide.routing.kept_texts import Fit
from tocsin.decide.routing.rules import Rulebook, Verdict
from tocsin.model import (
    EMPTY,
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
from tocsin.work.ingest.evaluation import Judged
from tocsin.work.ledger import Effects

KeptStatus = Literal["firing", "resolved", "dropped", "suppressed", "heartbeat", "waiting"]


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one post. `incidents`: numbers, each once. `keys`: identity of each alert taken."""

    accepted: int
    incidents: tuple[int, ...]
    rejected: tuple[Rejected, ...]
    keys: tuple[str, ...]
    reason: str = ""
    row: int = 0  # the id of the post as it is kept


class Waiter(Protocol):
    """Who waits for what becomes of a post: a future, or what acts like one."""

    def done(self) -> bool: ...
    def set_result(self, result: Taken, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class Queued:
    """A post that waits for its batch, or a part of a big one: then `judged` are the alerts of this part alone.

    The row of a post is kept with its first part, whole; the others name it by its id, in `row`.
    """

    integration: IntegrationConfig
    raw: bytes
    parsed: Parsed
    received_at: Instant
    judged: list[Judged]
    rulebook: Rulebook
    waiter: Waiter
    row: int = 0  # the id of the post's row, where an earlier part kept it
    part: bool = False


@dataclass(slots=True)
class Item:
    """One alert of a post on its way through a batch."""

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

    @property
    def threshold(self) -> Threshold | None:
        terms = self.verdict.terms if self.verdict is not None else None
        return terms.threshold if terms is not None else None


@dataclass(slots=True)
class Outcome:
    """What a committed batch leaves to do outside the database."""

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


@dataclass(slots=True)
class Draft:
    """An alert about to be kept: all but its incident is known."""

    item: Item
    verdict: Verdict
    id: int
    status: KeptStatus
    post: int
    fit: Fit
    now: Instant
    expires_at: Instant | None
    hold_until: Instant | None
    incident: int | None = None
    joined: bool = False
    muted_by: str | None = None
    because: str = ""
    settles_at: Instant | None = None
    waits_until: Instant | None = None
    window: list[StoredAlert] = field(default_factory=list)  # those that waited with it for a threshold

    def stored(self) -> StoredAlert:
        started_at, now, fit = self.item.alert.started_at, self.now, self.fit
        return StoredAlert(
            self.id,
            *self.item.pair,
            self.item.content ^ (self.waits_until is not None),  # what is heard next is no pure repeat
            self.status,
            self.incident,
            self.post,
            self.verdict.severity,
            fit.title,
            fit.description,
            fit.service,
            fit.source,
            fit.labels,
            fit.links,
            self.verdict.rules,
            now if started_at is None else started_at,
            now,
            now,
            expires_at=self.expires_at,
            hold_until=self.hold_until,
            truncated=fit.truncated,
            joined=self.joined,
            muted_by=self.muted_by,
            written=tuple(sorted(self.verdict.written)) if self.verdict.written else (),
            because=self.because,
            terms=self.terms,
            settles_at=self.settles_at,
            waits_until=self.waits_until,
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """What it counts as in its incident."""
        return new_kinds(self.verdict.severity, self.verdict.written)

    @property
    def terms(self) -> Mapping[str, Any]:
        """On which terms it ends; one that waits for a threshold is kept for a day by us, not by its source."""
        kept = EMPTY if self.verdict.terms is None else self.verdict.terms.kept()
        if self.waits_until is not None:
            return {**kept, WAITS: as_sent(self.item.alert, self.item.pair[1], self.item.integration)}
        return {**kept, PASSING: True} if self.passing else kept

    @property
    def passing(self) -> bool:
        return self.status == "suppressed" and self.item.alert.expires_at is None
