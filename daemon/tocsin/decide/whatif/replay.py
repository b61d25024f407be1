"""Replay: alerts of the past that another configuration would treat differently, counted in bounded memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.routing.grouping import group_of
from tocsin.decide.routing.priority import assess
from tocsin.decide.routing.rules import Rulebook, Verdict
from tocsin.decide.text import TITLE, clean
from tocsin.decide.views import in_words
from tocsin.model import Alert, Instant, IntegrationConfig, Settings

MOST_GROUPS = 500  # ways in which alerts would be treated differently
MOST_KEYS = 200_000  # different incident keys that are told apart

Treated = Mapping[str, str]
"""What a configuration makes of an alert, in words, by name: outcome, group, service, severity, priority and so on."""


@dataclass(frozen=True, slots=True)
class Example:
    """The newest alert of a group."""

    at: Instant
    integration: str
    dedup_key: str
    title: str
    key_before: str
    key_after: str


@dataclass(slots=True)
class Group:
    """Alerts that would be treated differently in one and the same way: only what differs is named."""

    before: Treated
    after: Treated
    example: Example
    count: int = 0


@dataclass(slots=True)
class Tally:
    """Findings of a replay. `beyond`: alerts that differ in ways beyond MOST_GROUPS."""

    posts: int = 0
    unread: int = 0  # bodies that neither configuration can read now
    alerts: int = 0  # firing ones
    differ: int = 0
    beyond: int = 0
    hits_before: Counter[str] = field(default_factory=Counter)
    hits_after: Counter[str] = field(default_factory=Counter)
    keys_before: set[int] = field(default_factory=set)
    keys_after: set[int] = field(default_factory=set)
    groups: dict[tuple[tuple[str, str, str], ...], Group] = field(default_factory=dict)

    @property
    def by_count(self) -> list[Group]:
        return sorted(self.groups.values(), key=lambda group: group.count, reverse=True)

    @property
    def rules(self) -> Iterator[tuple[str, int, int]]:
        """(rule, hits before, hits after) where these differ."""
        for name in dict.fromkeys([*self.hits_before, *self.hits_after]):
            if self.hits_before[name] != self.hits_after[name]:
                yield name, self.hits_before[name], self.hits_after[name]


class Side:
    """A side of the comparison: one of the two configurations."""

    def __init__(self, settings: Settings) -> None:
        self.settings, self.rulebook = settings, Rulebook(settings)

    def verdict(self, alert: Alert, integration: IntegrationConfig | None) -> Verdict | None:
        return None if integration is None else self.rulebook.walk(alert, integration)

    def key(self, alert: Alert, integration: IntegrationConfig | None) -> str:
        verdict = self.verdict(alert, integration)
        if verdict is None or integration is None or _ended(verdict):
            return ""
        return group_of(verdict, alert.source_key or alert.pointer, integration.name).key

    def treated(self, alert: Alert, integration: IntegrationConfig | None, at: Instant) -> Treated:
        verdict = self.verdict(alert, integration)
        if verdict is None or integration is None:
            return {"outcome": "refused: there is no such integration"}
        ended = _ended(verdict)
        if ended:
            return {"outcome": ended}
        policy = policy_for(verdict.policy, verdict.service, self.settings)
        return {
            "outcome": "pages",
            "group": group_of(verdict, alert.source_key or alert.pointer, integration.name).because,
            "service": verdict.service or "none",
            "severity": verdict.severity,
            "priority": assess(verdict, verdict.severity, self.settings, at).priority,
            "policy": policy.name if policy else "none: the catch-all",
            "hold": in_words(verdict.hold) if verdict.hold else "no",
            "title": clean(verdict.title, TITLE),
        }


class Replay:
    """`add` every alert, in any order; `tally` has what was found."""

    def __init__(self, before: Settings, after: Settings) -> None:
        self.before, self.after = Side(before), Side(after)
        self.tally = Tally()

    def add(
        self,
        alert: Alert,
        before: IntegrationConfig | None,
        after: IntegrationConfig | None,
        at: Instant,
    ) -> None:
        """A firing alert as it arrived at `at`; the integration as each side has it."""
        tally = self.tally
        tally.alerts += 1
        self._count(alert, before, after)
        was, will = self.before.treated(alert, before, at), self.after.treated(alert, after, at)
        if was == will:
            return
        tally.differ += 1
        names = [name for name in dict.fromkeys([*was, *will]) if was.get(name) != will.get(name)]
        if "outcome" in names:
            names = ["outcome"]  # the rest follows from it
        way = tuple((name, *self._words(name, was, will)) for name in names)
        group = tally.groups.get(way)
        if group is None:
            if len(tally.groups) >= MOST_GROUPS:
                tally.beyond += 1
                return
            group = tally.groups[way] = Group(
                {name: one for name, one, _ in way},
                {name: other for name, _, other in way},
                self._example(alert, before, after, at),
            )
        group.count += 1
        if at >= group.example.at:
            group.example = self._example(alert, before, after, at)

    def _count(self, alert: Alert, before: IntegrationConfig | None, after: IntegrationConfig | None) -> None:
        tally = self.tally
        for side, integration, hits, keys in (
            (self.before, before, tally.hits_before, tally.keys_before),
            (self.after, after, tally.hits_after, tally.keys_after),
        ):
            verdict = side.verdict(alert, integration)
            if verdict is not None:
                hits.update(verdict.rules)
            key = side.key(alert, integration)
            if key and len(keys) < MOST_KEYS:
                keys.add(hash(key))

    def _words(self, name: str, was: Treated, will: Treated) -> tuple[str, str]:
        """Titles differ for every alert: that they do is told, the example has the words."""
        return ("as it is", "another") if name == "title" else (was.get(name, ""), will.get(name, ""))

    def _example(
        self, alert: Alert, before: IntegrationConfig | None, after: IntegrationConfig | None, at: Instant
    ) -> Example:
        name = before.name if before else after.name if after else ""
        keys = self.before.key(alert, before), self.after.key(alert, after)
        return Example(at, name, alert.source_key or "", clean(alert.title, TITLE), *keys)


def _ended(verdict: Verdict) -> str:
    """Words for how a rule keeps it from any incident; "" when none does."""
    if verdict.dropped_by:
        return f"dropped by {verdict.dropped_by!r}"
    return f"suppressed by {verdict.suppressed_by!r}" if verdict.suppressed_by else ""
