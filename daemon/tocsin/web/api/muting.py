"""Endpoints for what keeps alerts quiet and for what was changed: maintenance windows, changes, related incidents."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from tocsin.decide import views
from tocsin.decide.muting.maintenance import in_force, upcoming
from tocsin.decide.oncall.resolver import zone_of
from tocsin.model import DAY, HOUR, ChangeEvent, Incident, Instant, Maintenance, Millis, Settings, rfc3339
from tocsin.web.api import bodies
from tocsin.web.api.resources import (
    INSTANT,
    LIMIT,
    MOST,
    Ask,
    Endpoint,
    Param,
    bad_value,
    no_incident,
    whole,
    whole_number,
)  # fmt: skip
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import json_answer

BESIDE = Millis(2 * HOUR)  # changes so long before an incident opened are shown beside it
MOST_BESIDE = 20
MOST_RELATED = 100
WEEK = Millis(7 * DAY)


class WindowShape(bodies.Shape):
    start: bodies.When
    end: bodies.When


class MaintenanceShape(bodies.Shape):
    name: str
    matchers: list[str]
    timezone: str
    current: WindowShape | None = Field(description="The window in force now.")
    next: WindowShape | None


class MaintenanceList(bodies.Shape):
    maintenance: list[MaintenanceShape]


class ChangeShape(bodies.Shape):
    id: int
    at: bodies.When
    integration: str
    service: str | None
    title: str
    description: str
    source: str | None
    labels: dict[str, str]
    links: list[dict[str, str]]


class ChangeList(bodies.Shape):
    changes: list[ChangeShape]


class RelatedShape(bodies.Shape):
    number: int
    kind: str = Field(description="`muted_by`: its parent, until which it waits; `mutes`: a child that waits for it.")
    now: bool = Field(description="Whether it waits still; false: it did once.")
    at: bodies.When
    title: str | None
    status: str | None
    service: str | None


class IncidentAndMore(bodies.IncidentShape):
    """An incident with its related incidents and the changes before it."""

    related: list[RelatedShape]
    changes: list[ChangeShape] = Field(description="On the same service, from two hours before it opened.")


async def list_maintenance(ask: Ask) -> web.Response:
    windows, now = ask.settings.maintenance, ask.now
    return await ask.apart(lambda: json_answer({"maintenance": [maintenance_view(one, now) for one in windows]}))


def maintenance_view(one: Maintenance, now: Instant) -> dict[str, Any]:
    zone = zone_of(one.timezone)

    def shown(window: Any) -> dict[str, str] | None:
        return window and {"start": rfc3339(window.start, zone), "end": rfc3339(window.end, zone)}

    return {
        "name": one.name,
        "matchers": list(one.match),
        "timezone": one.timezone,
        "current": shown(in_force(one, now)),
        "next": shown(upcoming(one, now)),
    }


async def list_changes(ask: Ask) -> web.Response:
    until = instant_of(ask, "to", ask.now)
    since = instant_of(ask, "from", Instant(until - WEEK))
    if until < since:
        raise bad_value("to", "it is before from")
    service, limit = ask.param("service"), whole(ask, "limit", LIMIT, MOST)
    found = await ask.daemon.store.changes(since, until, service=service, limit=limit)
    return json_answer({"changes": [change_view(one) for one in found]})


def instant_of(ask: Ask, name: str, default: Instant) -> Instant:
    text = ask.param(name)
    try:
        return default if text is None else bodies.moment(text.replace(" ", "+", 1))
    except ValueError as wrong:
        raise bad_value(name, str(wrong)) from None


def change_view(change: ChangeEvent) -> dict[str, Any]:
    return {
        "id": change.id,
        "at": rfc3339(change.at),
        "integration": change.integration,
        "service": change.service or None,
        "title": change.title,
        "description": change.description,
        "source": change.source or None,
        "labels": dict(change.labels),
        "links": [{"href": link.href, "text": link.text} for link in change.links],
    }


async def show_incident(ask: Ask) -> web.Response:
    """Show an incident with the incidents related to it and the changes shortly before it."""
    incident = await ask.daemon.store.incident(ask.number)
    if incident is None:
        raise no_incident(ask.number)
    return json_answer(await incident_and_more(ask.daemon, incident, ask.settings))


async def incident_and_more(daemon: Daemon, incident: Incident, settings: Settings) -> dict[str, Any]:
    return {
        **views.incident_view(incident, settings),
        "related": await related_to(daemon, incident),
        "changes": [change_view(one) for one in await changes_beside(daemon, incident)],
    }


async def related_to(daemon: Daemon, incident: Incident) -> list[dict[str, Any]]:
    found = []
    for one in await daemon.store.related(incident.number, MOST_RELATED):
        other = await daemon.store.incident(one.other)
        found.append(
            {
                "number": one.other,
                "kind": one.kind,
                "now": other is not None and _waits(incident, other, one.kind),
                "at": rfc3339(one.at),
                "title": other.title if other else None,
                "status": other.status if other else None,
                "service": other.service if other else None,
            }
        )
    return found


def _waits(incident: Incident, other: Incident, kind: str) -> bool:
    """Whether one of them still waits for the other, or did once and pages by itself."""
    child, parent = (other, incident) if kind == "mutes" else (incident, other)
    return child.status == "triggered" and child.muted_by == f"parent:{parent.number}"


async def changes_beside(daemon: Daemon, incident: Incident) -> list[ChangeEvent]:
    """Changes on its service from two hours before it opened until it ended."""
    if not incident.service:
        return []
    until = incident.resolved_at or incident.closed_at or daemon.clock.now()
    since = Instant(incident.created_at - BESIDE)
    return await daemon.store.changes(since, until, service=incident.service, limit=MOST_BESIDE)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/maintenance", "viewer", list_maintenance, "Planned windows without pages", "silences",
        MaintenanceList,
    ),
    Endpoint(
        "GET", "/v1/changes", "viewer", list_changes, "What was changed, newest first", "incidents", ChangeList,
        params=(
            Param("service", "On this service only."),
            Param("from", "A week before `to` where absent. RFC 3339.", INSTANT),
            Param("to", "Now where absent. RFC 3339.", INSTANT),
            Param("limit", f"At most so many, {LIMIT} where absent.", whole_number(LIMIT, MOST)),
        ),
    ),
    Endpoint("GET", "/v1/incidents/{number}", "viewer", show_incident, "One incident", "incidents", IncidentAndMore),
)  # fmt: skip
