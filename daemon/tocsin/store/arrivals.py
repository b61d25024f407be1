"""Rows of an arrival: its alert and its incident, with what is the same of every such pair."""

from __future__ import annotations

from operator import itemgetter

import orjson

from tocsin.decide.incidents.opening import opened
from tocsin.model import Arrival, Incident, StoredAlert
from tocsin.store.rows import load_links, load_mapping, load_tuple

_AT = {name: index for index, name in enumerate(Arrival._fields)}

alert_row = itemgetter(*range(_AT["written"] + 1))
"""The values of `add_arrived_alerts`, in order."""

incident_row = itemgetter(
    *(_AT[name] for name in (
        "incident", "key", "title", "service", "severity", "impact", "urgency", "priority", "category", "integration",
        "policy", "policy_hash", "received_at", "held_until", "id",
    ))
)  # fmt: skip
"""The values of `add_arrived_incidents`, in order."""


def alert_of(arrival: Arrival) -> StoredAlert:
    """The alert it brings."""
    return StoredAlert(
        id=arrival.id,
        integration=arrival.integration,
        source_key=arrival.source_key,
        content=arrival.content,
        status="firing",
        incident=arrival.incident,
        post=arrival.post,
        severity=arrival.severity,
        title=arrival.title,
        description=arrival.description,
        service=arrival.service,
        source=arrival.source,
        labels=load_mapping(arrival.labels),
        links=load_links(arrival.links),
        rules=load_tuple(arrival.rules),
        started_at=arrival.started_at,
        received_at=arrival.received_at,
        last_seen_at=arrival.received_at,
        expires_at=arrival.expires_at,
        hold_until=arrival.held_until,
        truncated=arrival.truncated,
        written=tuple(orjson.loads(arrival.written)),
    )


def incident_of(arrival: Arrival) -> Incident:
    """The incident it opens: triggered, its first step due when the hold ends."""
    return opened(
        arrival.incident,
        arrival.key,
        arrival.title,
        arrival.service,
        arrival.severity,
        arrival,
        arrival.policy,
        f"integration:{arrival.integration}",
        arrival.received_at,
        policy_hash=arrival.policy_hash,
        category=arrival.category,
        integration=arrival.integration,
        held_until=arrival.held_until,
        alert=arrival.id,
        firing=1,
    )
