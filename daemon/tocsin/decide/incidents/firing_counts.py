"""Counts of what the firing alerts of an incident are like, kept in its row: no event needs to read them all.

Grouped incidents have them. Any other has one firing alert at a time, which is read where it matters.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

from tocsin.decide.routing.priority import RULED, worst
from tocsin.model import SEVERITIES, Incident, Severity, StoredAlert, changed

RULED_ONES, ACKNOWLEDGED = "ruled", "acked"


@dataclass(frozen=True, slots=True)
class Firing:
    """Summary of the firing alerts of an incident. `severity`: the worst; None: nothing fires. `ruled`: a rule set how
    urgent one of them is. `acknowledged`: each was, by its source."""

    severity: Severity | None
    ruled: bool
    acknowledged: bool


def firing_of(alerts: Sequence[StoredAlert]) -> Firing:
    """In short, of all firing alerts as they were read."""
    severity = worst([alert.severity for alert in alerts]) if alerts else None
    ruled = any(RULED.intersection(alert.written) for alert in alerts)
    return Firing(severity, ruled, bool(alerts) and all(alert.acknowledged_at for alert in alerts))


def firing_in(incident: Incident) -> Firing | None:
    """Worst severity and mutes by the counts of an incident; None: they do not tell, and its alerts must be read."""
    counts = incident.counts
    if not incident.grouped or sum(counts.get(name, 0) for name in SEVERITIES) != incident.firing:
        return None
    severity = next((name for name in SEVERITIES if counts.get(name, 0)), None)
    everybody = incident.firing > 0 and counts.get(ACKNOWLEDGED, 0) == incident.firing
    return Firing(severity, counts.get(RULED_ONES, 0) > 0, everybody)


def counts_with(incident: Incident, more: Sequence[str]) -> Mapping[str, int]:
    """The incident's counts with one more alert, which counts as these `kinds`."""
    return _moved(incident, (), more)


def counts_without(incident: Incident, alert: StoredAlert) -> Mapping[str, int]:
    """The incident's counts without this alert, which has ended."""
    return _moved(incident, kinds(alert), ())


def changed_alert(incident: Incident, before: StoredAlert, after: StoredAlert) -> Incident:
    """Count a firing alert as it is now."""
    was, is_ = kinds(before), kinds(after)
    return incident if was == is_ else changed(incident, counts=_moved(incident, was, is_))


def counted_anew(incident: Incident, alerts: Iterable[StoredAlert]) -> Incident:
    """Count exactly these."""
    counts: dict[str, int] = {}
    for alert in alerts:
        for kind in kinds(alert):
            counts[kind] = counts.get(kind, 0) + 1
    return changed(incident, counts=counts)


def kinds(alert: StoredAlert) -> tuple[str, ...]:
    """Kinds under which an alert is counted."""
    found = new_kinds(alert.severity, alert.written)
    return found if alert.acknowledged_at is None else (*found, ACKNOWLEDGED)


def new_kinds(severity: Severity, written: Collection[str]) -> tuple[str, ...]:
    """Kinds under which an alert is counted that nobody has acknowledged. `written`: what rules set."""
    return (severity, RULED_ONES) if written and not RULED.isdisjoint(written) else (severity,)


def _moved(incident: Incident, fewer: Sequence[str], more: Sequence[str]) -> Mapping[str, int]:
    if not incident.grouped:
        return incident.counts
    counts = dict(incident.counts)
    for kind in more:
        counts[kind] = counts.get(kind, 0) + 1
    for kind in fewer:
        counts[kind] = counts.get(kind, 0) - 1
    return counts
