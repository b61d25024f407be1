"""Firings that may have been overtaken by their own resolve: they wait a moment before they fire; none is dropped.

Senders repeat `started_at` unchanged when an alert ends and begins again, and clocks differ: by its time alone a new
firing cannot be told from an old copy of one that is over. A copy is followed by nothing, or by its resolve once more;
so whatever comes right behind an end waits, and fires unless it is resolved meanwhile.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tocsin.model import (
    MINUTE,
    SECOND,
    Alert,
    Instant,
    IntegrationConfig,
    Link,
    Millis,
    StoredAlert,
    Tombstone,
    rfc3339,
)

OVERTAKEN = Millis(10 * SECOND)
"""A copy that its resolve overtook comes no later than this behind it."""

FIRES_AFTER = Millis(15 * SECOND)
"""So long after the resolve it fires."""

BY_HAND = Millis(5 * MINUTE)
"""After a resolve by hand: the source may not have noticed yet that it is over."""

WAITS = "waits"
"""Stands in the terms of an alert that waits: the alert as its source sent it, for the rules when it fires."""


def ended_by_source(
    integration: str, source_key: str, ended_at: Instant, now: Instant, incident: int | None = None
) -> Tombstone:
    """Tombstone that a resolve leaves behind. `ended_at`: a firing that began earlier is not newer."""
    return Tombstone(
        integration, source_key, ended_at, Instant(now + OVERTAKEN + 1), Instant(now + FIRES_AFTER), incident
    )


def ended_by_hand(alert: StoredAlert, now: Instant) -> Tombstone:
    """Tombstone that a person's resolve leaves behind of one of the alerts that ended with it."""
    until = Instant(now + BY_HAND)
    return Tombstone(alert.integration, alert.source_key, Instant(alert.started_at + 1), until, until, alert.incident)


def is_by_hand(tombstone: Tombstone) -> bool:
    return tombstone.until == tombstone.fires_at


def waits_behind(tombstone: Tombstone | None, started_at: Instant | None, now: Instant) -> Instant | None:
    """Instant at which a firing fires that comes now; None: now. One without a time of its own is taken for newer."""
    if tombstone is None or started_at is None or started_at >= tombstone.ended_at or now >= tombstone.until:
        return None
    return tombstone.fires_at if tombstone.fires_at > now else None


def waits_on(waiting: StoredAlert, started_at: Instant | None, now: Instant) -> Instant | None:
    """Instant at which one fires that waits and is heard again; None: at once, as a newer firing does."""
    until = waiting.waits_until
    if until is None or until <= now or started_at is None or started_at > waiting.started_at:
        return None
    return until


def waits_behind_clear(cleared: StoredAlert, started_at: Instant | None, now: Instant) -> Instant | None:
    """Instant at which a firing fires whose alert its source resolved, and that has not ended (resolve_after, flap)."""
    if cleared.waits_until is not None:
        return waits_on(cleared, started_at, now)
    if cleared.cleared_at is None or started_at is None or started_at > cleared.started_at:
        return None
    return Instant(cleared.cleared_at + FIRES_AFTER) if now <= cleared.cleared_at + OVERTAKEN else None


def because_it_waits(tombstone: Tombstone | None, until: Instant) -> str:
    """Reason of the wait, and its end."""
    if tombstone is not None and is_by_hand(tombstone):
        where = f"INC {tombstone.incident} was" if tombstone.incident else "it was"
        return (
            f"{where} resolved by hand at {rfc3339(Instant(tombstone.until - BY_HAND))} and this firing is not newer: "
            f"it waits until {rfc3339(until)} for its source to notice, then it fires unless its source resolved it"
        )
    return (
        f"it came right behind its resolve and is not newer, so it may be a copy that was overtaken: "
        f"it waits until {rfc3339(until)}, then it fires unless it is resolved again"
    )


# ----------------------------------------------------------------------------------- kept meanwhile


def as_sent(alert: Alert, key: str, integration: IntegrationConfig) -> str:
    """The alert before any rule, and what its door adds, as JSON. Lone surrogates stay escaped."""
    kept = {
        "status": alert.status,
        "source_key": key,
        "severity": alert.severity,
        "title": alert.title,
        "description": alert.description,
        "service": alert.service,
        "source": alert.source,
        "labels": dict(alert.labels),
        "links": [(one.href, one.text) for one in alert.links],
        "started_at": alert.started_at,
        "expires_at": alert.expires_at,
        "actor": alert.actor,
    }
    return json.dumps({"alert": kept, "defaults": integration.defaults}, default=dict)


def was_sent(waiting: StoredAlert) -> tuple[Alert, Mapping[str, str]]:
    """The alert that `as_sent` kept, and the defaults of the door it came through."""
    kept: dict[str, Any] = json.loads(waiting.terms[WAITS])
    alert = kept["alert"]
    links = tuple(Link(href, text) for href, text in alert.pop("links"))
    return Alert(links=links, **alert), kept["defaults"]


def without_wait(terms: Mapping[str, Any]) -> Mapping[str, Any]:
    return {name: value for name, value in terms.items() if name != WAITS} if WAITS in terms else terms
