"""What would happen to these alerts, and who would be paged when? The production functions, asked ahead of time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

from tocsin.decide.escalation import People, StepRun, policy_for, run_step
from tocsin.decide.grouping import Group, group_of
from tocsin.decide.matchers import hit_all, parse
from tocsin.decide.oncall import zone_of
from tocsin.decide.priority import Assessment, assess, is_higher
from tocsin.decide.rules import Rulebook, Traced, Verdict, value_of
from tocsin.decide.text import TITLE, clean
from tocsin.decide.views import in_words
from tocsin.model import (
    DAY,
    EMPTY,
    Alert,
    Incident,
    Instant,
    IntegrationConfig,
    Parsed,
    Policy,
    Settings,
    Silence,
    StoredAlert,
    rfc3339,
)

LONGEST_PLAN = 7 * DAY
MOST_STEPS = 200


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the running system; nothing of it where there is no database."""

    incidents: Mapping[str, Incident] = EMPTY  # the latest one of each incident key
    alerts: Mapping[str, StoredAlert] = EMPTY  # firing alerts of the integration, by dedup_key
    silences: Sequence[Silence] = ()
    people: People = field(default_factory=People)


@dataclass(frozen=True, slots=True)
class Planned:
    """One page of the plan, or a line about a step that reaches nobody (then without user and channel)."""

    at: Instant
    step: int
    user: str | None
    channel: str | None
    because: str


@dataclass(frozen=True, slots=True)
class Explained:
    """One alert, what the rules and the running system make of it, and whom it would page."""

    alert: Alert
    action: str  # open, join, update, resolve, drop, suppress, hold
    because: str
    rules: tuple[Traced, ...] = ()
    verdict: Verdict | None = None
    group: Group | None = None
    assessed: Assessment | None = None
    policy: str | None = None
    muted_by: str | None = None
    plan: tuple[Planned, ...] = ()
    notes: tuple[Planned, ...] = ()


def explain(
    settings: Settings,
    rulebook: Rulebook,
    integration: IntegrationConfig,
    parsed: Parsed,
    at: Instant,
    facts: Facts = Facts(),
) -> tuple[Explained, ...]:
    """Every alert of a body in order, as if it arrived at `at` and nobody answered. Writes nothing."""
    asked = _Asked(settings, rulebook, integration, at, facts)
    return tuple(asked.about(alert) for alert in parsed.alerts)


def as_json(explained: Sequence[Explained], parsed: Parsed, settings: Settings, at: Instant) -> dict[str, Any]:
    """The answer of `tocsin explain --json`; times in the zone of `defaults.timezone`."""
    zone = zone_of(settings.defaults.timezone)
    return {
        "at": rfc3339(at, zone),
        "alerts": [_alert_json(one, at, lambda moment: rfc3339(moment, zone)) for one in explained],
        "rejected": [{"pointer": one.pointer, "detail": one.detail} for one in parsed.rejected],
    }


class _Asked:
    """One body under explanation: an alert that opens an incident is joined by those behind it."""

    def __init__(
        self, settings: Settings, rulebook: Rulebook, integration: IntegrationConfig, at: Instant, facts: Facts
    ) -> None:
        self.settings, self.rulebook, self.integration = settings, rulebook, integration
        self.at, self.facts = at, facts
        self.opened: dict[str, Incident] = {}
        self.seen: dict[str, Explained] = {}
        self.silences = [
            (silence, tuple(parse(text) for text in silence.matchers))
            for silence in facts.silences
            if silence.starts_at <= at < silence.ends_at
        ]

    def about(self, alert: Alert) -> Explained:
        match alert.status:
            case "firing" | "heartbeat":
                return self.firing(alert)
            case "resolved":
                return self.resolved(alert)
            case status:
                return Explained(alert, "update", f"{status}: rules are not run, nobody is paged")

    def resolved(self, alert: Alert) -> Explained:
        """Rules are not run for a resolve and cannot drop it."""
        if not self.integration.may_resolve:
            return Explained(alert, "resolve", f"ignored: {self.integration.name} may not resolve (may_resolve)")
        known = self.facts.alerts.get(alert.source_key or "")
        if known is not None:
            return Explained(alert, "resolve", f"it resolves the alert of incident {known.incident}")
        if alert.source_key in self.seen:
            return Explained(alert, "resolve", "it resolves an alert of this very body")
        return Explained(alert, "resolve", "no open alert with this dedup_key is known; a resolve opens nothing")

    def firing(self, alert: Alert) -> Explained:
        verdict = self.rulebook.walk(alert, self.integration)
        traced = self.rulebook.trace(alert, self.integration)
        group = group_of(verdict, alert.source_key or f"(made on arrival){alert.pointer}", self.integration.name)
        policy = policy_for(verdict.policy, verdict.service, self.settings)
        found = Explained(
            alert,
            "open",
            "",
            rules=traced,
            verdict=verdict,
            group=group,
            assessed=assess(verdict, verdict.severity, self.settings, self.at),
            policy=policy.name if policy else None,
            muted_by=self.muted_by(verdict, alert),
        )
        found = self.placed(found, verdict, group, policy)
        if alert.source_key:
            self.seen[alert.source_key] = found
        return found

    def placed(self, found: Explained, verdict: Verdict, group: Group, policy: Policy | None) -> Explained:
        """With its action, the reason, and for a new incident the plan."""
        alert = found.alert
        if verdict.dropped_by is not None:
            return replace(found, action="drop", because=f"rule {verdict.dropped_by!r} drops it")
        if verdict.suppressed_by is not None:
            return replace(
                found, action="suppress", because=f"rule {verdict.suppressed_by!r} keeps it without incident"
            )
        if alert.status == "heartbeat":
            return replace(found, action="suppress", because="it feeds a heartbeat and opens nothing")
        if alert.source_key in self.seen or alert.source_key in self.facts.alerts:
            return replace(found, action="update", because=self.updates(alert))
        before = self.opened.get(group.key) or self.facts.incidents.get(group.key)
        if before is not None and before.open and (before.joins_until is None or self.at < before.joins_until):
            return self.joined(found, before, verdict)
        return self.opens(found, verdict, group, policy)

    def updates(self, alert: Alert) -> str:
        known = self.facts.alerts.get(alert.source_key or "")
        where = f"incident {known.incident}" if known is not None else "an alert of this very body"
        return f"{where} has this alert already: its content is updated, or its repetition counted"

    def joined(self, found: Explained, before: Incident, verdict: Verdict) -> Explained:
        name = f"incident {before.number}" if before.number else "the incident that an earlier alert of this body opens"
        because = f"it joins {name}: {found.group.because if found.group else ''}"
        rises = found.assessed is not None and is_higher(found.assessed.priority, before.priority)
        if before.status == "acknowledged" and verdict.re_page != "never" and (rises or verdict.re_page == "any"):
            because += f"; that is acknowledged by {before.acknowledged_by}, and this one pages again"
            policy = policy_for(verdict.policy, verdict.service, self.settings)
            plan, notes = _split(self.plan(replace(before, step=1, due_at=self.at), policy))
            return replace(found, action="join", because=because, plan=plan, notes=notes)
        muted = self.longest(found.muted_by)
        if muted is not None:
            because += f"; this alert is kept quiet by {_silence(muted)}"
        return replace(found, action="join", because=f"{because}; its paging goes on as it stands ({before.status})")

    def opens(self, found: Explained, verdict: Verdict, group: Group, policy: Policy | None) -> Explained:
        incident = self.incident(found, verdict, group, policy)
        self.opened[group.key] = incident
        muted = self.longest(found.muted_by)
        start = max(incident.held_until or self.at, muted.ends_at if muted else self.at)
        plan, notes = _split(self.plan(replace(incident, due_at=start, planned_at=start), policy))
        action = "hold" if verdict.hold else "open"
        return replace(found, action=action, because=self.opening(group, verdict, muted), plan=plan, notes=notes)

    def opening(self, group: Group, verdict: Verdict, muted: Silence | None) -> str:
        because = f"it opens an incident: {group.because}"
        if verdict.hold:
            because += f"; nobody is paged for {in_words(verdict.hold)}, and not at all if it resolves before"
        if muted is not None:
            because += f"; it is kept quiet by {_silence(muted)}"
        return because

    def muted_by(self, verdict: Verdict, alert: Alert) -> str | None:
        """The silence that ends last of those that hit."""
        value = value_of(verdict, alert, self.integration.name)
        hit = [silence for silence, matchers in self.silences if hit_all(matchers, value)]
        return max(hit, key=lambda silence: silence.ends_at).id if hit else None

    def longest(self, id: str | None) -> Silence | None:
        return next((silence for silence, _ in self.silences if silence.id == id), None)

    def incident(self, found: Explained, verdict: Verdict, group: Group, policy: Policy | None) -> Incident:
        """The incident this alert would open; number 0."""
        assessed = found.assessed or assess(verdict, verdict.severity, self.settings, self.at)
        return Incident(
            number=0,
            key=group.key,
            status="triggered",
            title=clean(verdict.title, TITLE),
            service=verdict.service,
            severity=verdict.severity,
            impact=assessed.impact,
            urgency=assessed.urgency,
            priority=assessed.priority,
            category=verdict.category,
            integration=self.integration.name,
            policy=policy.name if policy else "",
            policy_hash="",
            created_at=self.at,
            updated_at=self.at,
            held_until=Instant(self.at + verdict.hold) if verdict.hold else None,
            joins_until=Instant(self.at + verdict.join_within) if group.grouped else None,
            grouped=group.grouped,
            firing=1,
            total=1,
        )

    def plan(self, incident: Incident, policy: Policy | None) -> list[Planned]:
        return page_plan(incident, policy, self.settings, self.facts.people)


def page_plan(incident: Incident, policy: Policy | None, settings: Settings, people: People) -> list[Planned]:
    """Everything that would be sent from `incident.due_at` on if nobody answered, in order of time.

    Ends with the first page of the catch-all after the last round, at the latest after LONGEST_PLAN.
    """
    runs = _runs(incident, policy, settings, people)
    return sorted(chain.from_iterable(_of_run(run) for run in runs), key=lambda one: one.at)


def _runs(incident: Incident, policy: Policy | None, settings: Settings, people: People) -> Iterator[StepRun]:
    start = now = incident.due_at if incident.due_at is not None else incident.created_at
    for _ in range(MOST_STEPS):
        last = incident.due_kind == "again" or policy is None or not policy.steps
        run = run_step(incident, policy, settings, people, now, _no_id)
        yield run
        incident = run.incident
        if last or incident.due_at is None or incident.due_at > start + LONGEST_PLAN:
            return
        now = incident.due_at


def _of_run(run: StepRun) -> Iterator[Planned]:
    for page in run.pages:
        yield Planned(page.due_at, page.step, page.user or None, page.channel, page.because)
    for entry in run.entries:
        if entry.kind in ("nobody", "unreachable"):
            yield Planned(entry.at, int(entry.detail.get("step", 0)), None, None, entry.because)


def _silence(silence: Silence) -> str:
    return f"silence {silence.id} until {rfc3339(silence.ends_at)} ({silence.comment})"


def _no_id() -> str:
    return ""


def _split(planned: Sequence[Planned]) -> tuple[tuple[Planned, ...], tuple[Planned, ...]]:
    """(pages, lines about steps that reach nobody)."""
    return tuple(one for one in planned if one.channel), tuple(one for one in planned if not one.channel)


def _alert_json(one: Explained, at: Instant, shown: Callable[[Instant], str]) -> dict[str, Any]:
    verdict, alert = one.verdict, one.alert
    return {
        "dedup_key": alert.source_key,
        "status": alert.status,
        "title": clean(verdict.title if verdict else alert.title, TITLE),
        "severity": verdict.severity if verdict else alert.severity,
        "service": verdict.service if verdict else alert.service,
        "labels": dict(verdict.labels if verdict else alert.labels),
        "rules": [{"name": rule.name, "matched": rule.matched, "because": rule.because} for rule in one.rules],
        "action": one.action,
        "because": one.because,
        "incident_key": one.group.key if one.group and one.action not in ("drop", "suppress") else None,
        "impact": one.assessed.impact if one.assessed else None,
        "urgency": one.assessed.urgency if one.assessed else None,
        "priority": one.assessed.priority if one.assessed else None,
        "policy": one.policy,
        "muted_by": one.muted_by,
        "errors": [{"rule": rule, "detail": detail} for rule, detail in (verdict.errors if verdict else ())],
        "plan": [_planned_json(planned, at, shown) for planned in one.plan],
        "notes": [_planned_json(note, at, shown) for note in one.notes],
    }


def _planned_json(planned: Planned, at: Instant, shown: Callable[[Instant], str]) -> dict[str, Any]:
    return {
        "at": shown(planned.at),
        "after": in_words(planned.at - at),
        "step": planned.step,
        "user": planned.user,
        "channel": planned.channel,
        "because": planned.because,
    }
