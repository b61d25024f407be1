"""Priority: impact × urgency, how bad it is and how fast somebody must look."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.decide.oncall.resolver import in_hours
from tocsin.decide.routing.rules import Verdict
from tocsin.model import URGENCY_OF, Impact, Incident, Instant, Priority, Settings, Severity, Urgency

RANK = {"critical": 0, "error": 1, "warning": 2, "info": 3}
LATER = ("P3", "P4", "P5")
RULED = frozenset({"impact", "urgency", "priority"})


@dataclass(frozen=True, slots=True)
class Assessment:
    impact: Impact
    urgency: Urgency
    priority: Priority
    because: str


def assess(verdict: Verdict, severity: Severity, settings: Settings, now: Instant) -> Assessment:
    """Assessment of an alert: what a rule set wins; else the service's impact and the severity's urgency by the table.

    Outside the service's support hours P3..P5 get urgency low, and the table is asked again.
    """
    service = settings.services.get(verdict.service)
    impact = verdict.impact or (service.impact if service else "medium")
    urgency = verdict.urgency or URGENCY_OF[severity]
    if verdict.priority:
        return Assessment(impact, urgency, verdict.priority, "a rule sets the priority")
    return _by_table(verdict.service, impact, urgency, settings, now)


def by_service(service: str, severity: Severity, settings: Settings, now: Instant) -> Assessment:
    """The assessment of a severity where no rule has a say."""
    known = settings.services.get(service)
    return _by_table(service, known.impact if known else "medium", URGENCY_OF[severity], settings, now)


def reassess(
    incident: Incident, severity: Severity, settings: Settings, now: Instant, *, ruled: bool | None = None
) -> Assessment:
    """The assessment under another severity or at another hour; what a rule had set stays as it is.

    `ruled`: whether a rule set how urgent one of its firing alerts is. None: nothing fires, and it is guessed: what the
    table cannot say.
    """
    if ruled or (ruled is None and not _usual(incident, settings)):
        return Assessment(incident.impact, incident.urgency, incident.priority, "set by a rule")
    return by_service(incident.service, severity, settings, now)


def _usual(incident: Incident, settings: Settings) -> bool:
    """Whether the table alone could have said what the incident is."""
    known = settings.services.get(incident.service)
    impact, urgency = known.impact if known else "medium", URGENCY_OF[incident.severity]
    as_it_is = (incident.impact, incident.urgency, incident.priority)
    return as_it_is in {(impact, word, settings.priorities[impact][word]) for word in (urgency, "low")}


def _by_table(name: str, impact: Impact, urgency: Urgency, settings: Settings, now: Instant) -> Assessment:
    priority = settings.priorities[impact][urgency]
    service = settings.services.get(name)
    hours = service.support_hours if service else None
    if priority in LATER and hours is not None and urgency != "low" and not in_hours(hours, now):
        return Assessment(impact, "low", settings.priorities[impact]["low"], "outside support hours")
    return Assessment(impact, urgency, priority, f"impact {impact}, urgency {urgency}")


def worst(severities: list[Severity]) -> Severity:
    """The highest of them; info when there is none."""
    return min(severities, key=RANK.__getitem__, default="info")


def is_higher(new: Priority, old: Priority) -> bool:
    """Whether `new` asks for more haste than `old`."""
    return new < old
