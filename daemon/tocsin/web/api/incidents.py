"""Endpoints for incidents: list, show, timeline, pages."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

from aiohttp import web
from pydantic import Field

from tocsin.contracts import IncidentFilter, Place
from tocsin.decide import views
from tocsin.model import OPEN, Entry, Incident, Settings, rfc3339
from tocsin.settings.document.scalars import did_you_mean
from tocsin.web.api import bodies
from tocsin.web.api.changes import ChangeShape, change_view, changes_beside
from tocsin.web.api.endpoint import Ask, Endpoint, Param, bad_value
from tocsin.web.api.guard import sees_all
from tocsin.web.api.parameters import LIMIT, MOST, PAGED, PAGED_LINES, TIMELINE_MOST, cursor, cursor_like, one_of, whole
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import HttpProblem, json_answer

_PLACE = re.compile(r"(P[1-5])\.([01])\.([1-9][0-9]{0,17})", re.ASCII)  # of an incident in a list by urgency
SORTS = ("newest", "priority")
STATUSES = ("triggered", "acknowledged", "on_hold", "resolved", "closed", "canceled")
INCIDENT = "/v1/incidents/{number}"
MOST_RELATED = 100


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


async def list_incidents(ask: Ask) -> web.Response:
    where = IncidentFilter(statuses(ask), ask.param("service"), ask.param("q"))
    limit = whole(ask, "limit", LIMIT, MOST)
    if sorted_by(ask) == "priority":
        return await list_urgent(ask, where, limit)
    found = await ask.daemon.store.incidents(where, limit + 1, cursor(ask))
    return json_answer(
        {
            "incidents": [views.incident_view(incident, ask.settings) for incident in found[:limit]],
            "next": str(found[limit - 1].number) if len(found) > limit else None,
        }
    )


async def list_urgent(ask: Ask, where: IncidentFilter, limit: int) -> web.Response:
    """The most urgent first, so that an old P1 stands above any number of newer P4s."""
    if not OPEN.issuperset(where.status):
        raise bad_value("sort", "priority lists open incidents only; leave out the other statuses, or the sort")
    where = replace(where, status=where.status or tuple(sorted(OPEN)))
    found = await ask.daemon.store.urgent_incidents(where, limit + 1, place(ask))
    last = found[limit - 1] if len(found) > limit else None
    return json_answer(
        {
            "incidents": [views.incident_view(incident, ask.settings) for incident in found[:limit]],
            "next": None if last is None else f"{last.priority}.{int(last.status != 'triggered')}.{last.number}",
        }
    )


def sorted_by(ask: Ask) -> str:
    text = ask.param("sort") or SORTS[0]
    if text not in SORTS:
        raise bad_value("sort", f"{text[:40]!r} is none of {', '.join(SORTS)}")
    return text


def place(ask: Ask) -> Place | None:
    """The cursor of a list by urgency."""
    found = cursor_like(ask, _PLACE)
    return None if found is None else Place(found[1], found[2] == "1", int(found[3]))


def statuses(ask: Ask) -> tuple[str, ...]:
    """`status=open` or names separated by commas; () is every status."""
    wanted: list[str] = []
    for word in (ask.param("status") or "").split(","):
        match word.strip():
            case "":
                continue
            case "open":
                wanted += sorted(OPEN)
            case name if name in STATUSES:
                wanted.append(name)
            case name:
                known = ("open", *STATUSES)
                close = did_you_mean(name[:40], known)
                raise bad_value("status", f"no status {name[:40]!r}{close}; one of {', '.join(known)}")
    return tuple(dict.fromkeys(wanted))


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
        "changes": [change_view(change) for change in await changes_beside(daemon, incident)],
    }


async def related_to(daemon: Daemon, incident: Incident) -> list[dict[str, Any]]:
    found = []
    for relation in await daemon.store.related(incident.number, MOST_RELATED):
        other = await daemon.store.incident(relation.other)
        found.append(
            {
                "number": relation.other,
                "kind": relation.kind,
                "now": other is not None and _waits(incident, other, relation.kind),
                "at": rfc3339(relation.at),
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


async def show_timeline(ask: Ask) -> web.Response:
    incident = await ask.daemon.store.incident(ask.number)
    if incident is None:
        raise no_incident(ask.number)
    limit, after = whole(ask, "limit", TIMELINE_MOST, TIMELINE_MOST), cursor(ask)
    found = await ask.daemon.store.timeline(ask.number, limit + 1, after)
    whole_ = sees_all(ask)
    more = str(found[limit - 1].id) if len(found) > limit else None

    def made() -> web.Response:
        entries = [views.entry_view(entry, whole=whole_) for entry in told(incident, found[:limit], after)]
        return json_answer({"entries": entries, "next": more})

    return await ask.apart(made)


def told(incident: Incident, entries: list[Entry], after: int | None) -> list[Entry]:
    """The timeline from its start: an opening by an alert is kept in the incident, not as an entry, and is
    added here.
    """
    if after is not None or any(entry.kind == "opened" for entry in entries):
        return entries
    return [views.opening(incident), *entries]


async def show_pages(ask: Ask) -> web.Response:
    await must_exist(ask)
    limit, after = whole(ask, "limit", TIMELINE_MOST, TIMELINE_MOST), cursor(ask) or 0
    found = await ask.daemon.store.pages(ask.number, limit + 1, after)
    several = await ask.daemon.store.summaries(ask.number) if found else set()
    whole_ = sees_all(ask)
    more = str(after + limit) if len(found) > limit else None

    def made() -> web.Response:
        part = found[:limit]
        shown = [views.page_view(page, attempts, whole=whole_, several=several) for page, attempts in part]
        return json_answer({"pages": shown, "next": more})

    return await ask.apart(made)


async def must_exist(ask: Ask) -> None:
    if await ask.daemon.store.incident(ask.number) is None:
        raise no_incident(ask.number)


def no_incident(number: int) -> HttpProblem:
    return HttpProblem(404, f"there is no incident {number}")


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/incidents", "viewer", list_incidents, "Incidents, newest or most urgent first", "incidents",
        bodies.IncidentList,
        params=(
            Param("status", "`open`, or statuses separated by commas."),
            Param("sort", "`newest` (where absent), or `priority`: open ones, P1 first, unanswered before answered.",
                  one_of("newest", "priority")),
            Param("service", "Of this service only."),
            Param("q", "Text in title, key or number; one that takes longer than two seconds is refused (422)."),
            *PAGED,
        ),
    ),
    Endpoint("GET", INCIDENT, "viewer", show_incident, "One incident", "incidents", IncidentAndMore),
    Endpoint(
        "GET", INCIDENT + "/timeline", "viewer", show_timeline, "What happened, oldest first", "incidents",
        bodies.Timeline, params=PAGED_LINES,
    ),
    Endpoint(
        "GET", INCIDENT + "/pages", "viewer", show_pages, "Whom it paged, and how that went", "incidents",
        bodies.PageList, params=PAGED_LINES,
    ),
)  # fmt: skip
