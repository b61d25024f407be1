"""GET of a storm's members: the incidents it took in, in order."""

from __future__ import annotations

from aiohttp import web

from tocsin.decide import views
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint
from tocsin.web.api.incidents import INCIDENT, must_exist
from tocsin.web.api.parameters import LIMIT, MOST, PAGED, cursor, whole
from tocsin.web.problem_json import json_answer


async def show_members(ask: Ask) -> web.Response:
    await must_exist(ask)
    limit = whole(ask, "limit", LIMIT, MOST)
    found = await ask.daemon.store.members(ask.number, limit + 1, cursor(ask))
    return json_answer(
        {
            "incidents": [views.incident_view(incident, ask.settings) for incident in found[:limit]],
            "next": str(found[limit - 1].number) if len(found) > limit else None,
        }
    )


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", INCIDENT + "/members", "viewer", show_members, "What this storm took in, in order", "incidents",
        bodies.IncidentList, params=PAGED,
    ),
)  # fmt: skip
