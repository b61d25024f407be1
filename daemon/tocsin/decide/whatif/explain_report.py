"""Report of `explain`: its answer as JSON, and the words for how a priority came to be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.decide.oncall.resolver import zone_of
from tocsin.decide.routing.priority import Assessment
from tocsin.decide.routing.rules import Verdict
from tocsin.decide.text import TITLE, clean
from tocsin.decide.views import in_words
from tocsin.decide.whatif.escalation_forecast import Planned
from tocsin.decide.whatif.explain import Explained
from tocsin.model import URGENCY_OF, Instant, Parsed, Settings, Silence, rfc3339


def as_json(
    explained: Sequence[Explained],
    parsed: Parsed,
    settings: Settings,
    at: Instant,
    left_out: int = 0,
    cut: bool = False,
) -> dict[str, Any]:
    """The answer of `tocsin explain --json` and POST /v1/explain; times in the zone of `defaults.timezone`.

    `left_out`: alerts of the body that were not looked at; `cut`: the plans are longer than is told.
    """
    return whole([shaped(one, settings, at) for one in explained], parsed, settings, at, left_out, cut)


def shaped(one: Explained, settings: Settings, at: Instant) -> dict[str, Any]:
    """An alert of the answer; made by itself where others wait for their turn."""
    return _shape(settings, at).alert(one)


def whole(
    alerts: list[dict[str, Any]], parsed: Parsed, settings: Settings, at: Instant, left_out: int, cut: bool
) -> dict[str, Any]:
    """The answer around them."""
    return {
        "at": _shape(settings, at).shown(at),
        "timezone": settings.defaults.timezone,
        "alerts": alerts,
        "rejected": [{"pointer": one.pointer, "detail": one.detail} for one in parsed.rejected],
        "not_computed": [{"pointer": one.pointer, "detail": one.detail} for one in parsed.left_out],
        "left_out": left_out,
        "cut": cut,
    }


def _shape(settings: Settings, at: Instant) -> Shape:
    zone = zone_of(settings.defaults.timezone)
    return Shape(settings, at, lambda moment: rfc3339(moment, zone))


@dataclass(frozen=True, slots=True)
class Shape:
    """Form of the answers: `shown` writes an instant."""

    settings: Settings
    at: Instant
    shown: Callable[[Instant], str]

    def alert(self, one: Explained) -> dict[str, Any]:
        verdict, alert = one.verdict, one.alert
        placed = one.action not in ("drop", "suppress")
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
            "incident_key": one.group.key if one.group and placed else None,
            "incident": self.number(one),
            "impact": one.assessed.impact if one.assessed else None,
            "urgency": one.assessed.urgency if one.assessed else None,
            "priority": one.assessed.priority if one.assessed else None,
            "priority_because": why_priority(verdict, one.assessed, self.settings)
            if verdict and one.assessed
            else None,
            "policy": one.policy,
            "muted_by": one.muted_by,
            "silences": [self.silence(silence) for silence in one.silences],
            "hold_until": self.shown(one.hold_until) if one.hold_until is not None and placed else None,
            "errors": [{"rule": rule, "detail": detail} for rule, detail in (verdict.errors if verdict else ())],
            "plan": [self.planned(planned) for planned in one.plan],
            "notes": [self.planned(note) for note in one.notes],
            "storm": one.storm,
            "storm_plan": [self.planned(planned) for planned in one.storm_plan],
        }

    def number(self, one: Explained) -> int | None:
        """The incident that is there already; one that would be opened has no number yet."""
        known = (one.course is not None and one.action in ("join", "update")) or "reopens" in one.because
        return (one.course.incident.number or None) if known and one.course is not None else None

    def why(self, one: Explained) -> str | None:
        if one.verdict is None or one.assessed is None:
            return None
        return why_priority(one.verdict, one.assessed, self.settings)

    def silence(self, silence: Silence) -> dict[str, Any]:
        return {
            "id": silence.id,
            "until": self.shown(silence.ends_at),
            "author": silence.author,
            "comment": silence.comment,
        }

    def planned(self, planned: Planned) -> dict[str, Any]:
        user = self.settings.users.get(planned.user or "")
        return {
            "at": self.shown(planned.at),
            "after": in_words(planned.at - self.at),
            "step": planned.step,
            "user": planned.user,
            "channel": planned.channel,
            "because": planned.because,
            "local": rfc3339(planned.at, zone_of(user.timezone)) if user else None,
            "round": planned.round,
            "kind": planned.kind,
        }


def why_priority(verdict: Verdict, found: Assessment, settings: Settings) -> str:
    """Origin of impact and urgency, and what the table makes of them."""
    if verdict.priority:
        return f"a rule sets the priority {found.priority}"
    service = settings.services.get(verdict.service)
    if verdict.impact:
        impact = "set by a rule"
    else:
        impact = f"of service {verdict.service}" if service else "no service says otherwise"
    urgency = "set by a rule" if verdict.urgency else f"severity {verdict.severity}"
    if found.because == "outside support hours":
        before = verdict.urgency or URGENCY_OF[verdict.severity]
        urgency += f" makes it {before}, but it is outside the support hours of {verdict.service}"
    return f"impact {found.impact} ({impact}) × urgency {found.urgency} ({urgency}) = {found.priority}"
