"""Endpoint for changes (deploys and the like), and the changes beside an incident."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tocsin.model import DAY, HOUR, ChangeEvent, Incident, Instant, Millis, rfc3339
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, Param, bad_value
from tocsin.web.api.parameters import INSTANT, LIMIT, MOST, instant_of, whole, whole_number
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import json_answer

BESIDE = Millis(2 * HOUR)  # changes so long before an incident opened are shown beside it
MOST_BESIDE = 20
WEEK = Millis(7 * DAY)


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


async def list_changes(ask: Ask) -> web.Response:
    until = instant_of(ask, "to", ask.now)
    since = instant_of(ask, "from", Instant(until - WEEK))
    if until < since:
        raise bad_value("to", "it is before from")
    service, limit = ask.param("service"), whole(ask, "limit", LIMIT, MOST)
    found = await ask.daemon.store.changes(since, until, service=service, limit=limit)
    return json_answer({"changes": [change_view(change) for change in found]})


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


async def changes_beside(daemon: Daemon, incident: Incident) -> list[ChangeEvent]:
    """Changes on its service from two hours before it opened until it ended."""
    if not incident.service:
        return []
    until = incident.resolved_at or incident.closed_at or daemon.clock.now()
    since = Instant(incident.created_at - BESIDE)
    return await daemon.store.changes(since, until, service=incident.service, limit=MOST_BESIDE)


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/changes", "viewer", list_changes, "What was changed, newest first", "incidents", ChangeList,
        params=(
            Param("service", "On this service only."),
            Param("from", "A week before `to` where absent. RFC 3339.", INSTANT),
            Param("to", "Now where absent. RFC 3339.", INSTANT),
            Param("limit", f"At most so many, {LIMIT} where absent.", whole_number(LIMIT, MOST)),
        ),
    ),
)  # fmt: skip
