"""Rules for alerts, and what keeps alerts quiet: silences, inhibitions, maintenance."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tocsin.model.problems import Where
from tocsin.model.values import EMPTY
from tocsin.model.words import DAY, Impact, Instant, Millis, Priority, Urgency


@dataclass(frozen=True, slots=True)
class RuleSet:
    """The fields that a matching rule sets; None leaves a field. Texts may be Jinja2 templates."""

    service: str | None = None
    severity: str | None = None
    impact: Impact | None = None
    urgency: Urgency | None = None
    priority: Priority | None = None
    category: str | None = None
    title: str | None = None
    policy: str | None = None
    labels: Mapping[str, str] = EMPTY
    dedup_key: str | None = None


@dataclass(frozen=True, slots=True)
class Threshold:
    """Page only when `count` firings came `within` this time. `rule`: whose it is."""

    count: int
    within: Millis
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Flap:
    """`changes` between firing and resolved `within` this time: it flaps, until nothing changed for `settle`."""

    changes: int
    within: Millis
    settle: Millis = Millis(900_000)
    rule: str = ""


@dataclass(frozen=True, slots=True)
class Enrich:
    """Labels out of a table: the row whose first column is the value of `on`; `set`: label → column."""

    on: str
    set: Mapping[str, str]
    rows: Mapping[str, Mapping[str, str]] = field(repr=False)
    file: str = ""  # as problems and `explain` name the table


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule as written; `decide/routing/rules.py` compiles it."""

    name: str
    match: tuple[str, ...] = ()
    set: RuleSet = RuleSet()
    group_by: tuple[str, ...] | None = None
    join_within: Millis = DAY
    hold: Millis | None = None
    drop: bool = False
    suppress: bool = False
    stop: bool = False
    re_page: Literal["raise", "any", "never"] | None = None
    auto_resolve: Millis | None = None
    when: str | None = None  # CEL; needs the extra `cel`
    resolve_after: Millis | None = None
    threshold: Threshold | None = None
    flap: Flap | None = None
    enrich: Enrich | None = None
    where: Where | None = None


@dataclass(frozen=True, slots=True)
class Silence:
    """Mutes the alerts its matchers hit, from `starts_at` until `ends_at`."""

    id: str
    matchers: tuple[str, ...]  # Alertmanager syntax, as written
    starts_at: Instant
    ends_at: Instant
    author: str
    comment: str
    created_at: Instant


@dataclass(frozen=True, slots=True)
class Inhibition:
    """While an alert that `source` hits fires, alerts that `target` hits and whose `equal` values are the same as
    its own do not page. Matchers in Alertmanager syntax, as written."""

    name: str
    source: tuple[str, ...]
    target: tuple[str, ...]
    equal: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Maintenance:
    """A planned window without pages. Repeated: on `days` (0 = Monday) at `minute` of the day, for `length`; once
    (`minute` None): from `start` until `end`. All by the clock of `timezone`."""

    name: str
    match: tuple[str, ...]
    timezone: str
    days: frozenset[int] = frozenset()
    minute: int | None = None
    length: Millis = Millis(0)
    start: str = ""  # "2026-01-05T09:00" naive ISO
    end: str = ""
