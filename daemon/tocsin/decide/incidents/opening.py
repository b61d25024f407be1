"""The incident as it is opened: by an alert, by hand or by a storm."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from tocsin.model import EMPTY, Impact, Incident, Instant, Priority, Severity, Urgency


class Assessed(Protocol):
    """Priority and urgency as read from an assessment, or from an incident that has one."""

    @property
    def impact(self) -> Impact: ...
    @property
    def urgency(self) -> Urgency: ...
    @property
    def priority(self) -> Priority: ...


def opened(
    number: int,
    key: str,
    title: str,
    service: str,
    severity: Severity,
    found: Assessed,
    policy: str,
    opened_by: str,
    now: Instant,
    *,
    policy_hash: str = "",
    category: str = "",
    integration: str = "",
    held_until: Instant | None = None,
    joins_until: Instant | None = None,
    grouped: bool = False,
    alert: int | None = None,
    previous: int | None = None,
    firing: int = 0,
    resolved: int = 0,
    counts: Mapping[str, int] = EMPTY,
) -> Incident:
    """A new incident, triggered: its first step is due when its hold is over, else at once.

    `found`: how bad it is. `policy`: its name, "" for none; `policy_hash`: its frozen version, else who keeps the
    incident sets it. `opened_by`: the actor, as text. `alert`: the one that opens it. `firing`, `resolved`: how many
    alerts it has.
    """
    due = now if held_until is None else held_until
    return Incident(
        number=number,
        key=key,
        status="triggered",
        title=title,
        service=service,
        severity=severity,
        impact=found.impact,
        urgency=found.urgency,
        priority=found.priority,
        category=category,
        integration=integration,
        policy=policy,
        policy_hash=policy_hash,
        created_at=now,
        updated_at=now,
        due_at=due,
        due_kind="step",
        planned_at=due,
        held_until=held_until,
        joins_until=joins_until,
        grouped=grouped,
        alert=alert,
        previous=previous,
        firing=firing,
        resolved=resolved,
        total=firing + resolved,
        opened_by=opened_by,
        counts=counts,
    )
