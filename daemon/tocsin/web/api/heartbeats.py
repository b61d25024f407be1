"""Endpoints for heartbeats: check-ins, by whoever holds a token that may post alerts, and how it stands with each."""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import web

from tocsin.errors import StoreUnavailable
from tocsin.model import Heartbeat, Secret, secret_matches
from tocsin.settings.document.scalars import did_you_mean
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint
from tocsin.web.credentials import api_credential, credential
from tocsin.web.ingest.webhooks import Reception, may_post
from tocsin.web.problem_json import JSON_HEADERS, Handler, HttpProblem, as_problem, guarded, json_answer, refuse

NO_HINT = "there is no such heartbeat, or the token opens no door for alerts"
NOBODY = Secret(("compared with when there is no such heartbeat",))


def check_in(reception: Reception) -> Handler:
    """GET and POST /v1/heartbeats/{name}: heard, durable when it is answered. A body is not looked at."""
    daemon = reception.daemon

    @guarded
    async def check_in(request: web.Request) -> web.StreamResponse:
        name, by = await admit(reception, request)
        beat = await daemon.heartbeats.check_in(name, by)
        return json_answer(daemon.heartbeats.view(beat))

    return check_in


def ping(reception: Reception) -> Handler:
    """/v2/heartbeats/{name}/ping, as Opsgenie answers it."""
    daemon = reception.daemon

    async def ping(request: web.Request) -> web.StreamResponse:
        started = daemon.clock.monotonic()
        try:
            name, by = await admit(reception, request)
            beat = await daemon.heartbeats.check_in(name, by)
        except (HttpProblem, StoreUnavailable) as error:
            return refuse(request, as_problem(error))
        document = {
            "result": "PONG - Heartbeat received",
            "took": round(daemon.clock.monotonic() - started, 3),
            "requestId": f"{beat.name}-{beat.last_at}",
        }
        return web.Response(status=202, body=orjson.dumps(document), headers=JSON_HEADERS)

    return ping


async def admit(reception: Reception, request: web.Request) -> tuple[str, str]:
    """(the heartbeat, who checks in). Raises HttpProblem: 401 for a wrong token, whatever the name."""
    name, given = request.match_info["name"], key_of(request)
    configured = reception.daemon.live.settings.heartbeats
    by = opener(reception, configured.get(name), given) if given else ""
    by = by or await token_of(reception, request)
    if not by:
        raise HttpProblem(401, NO_HINT, headers={"WWW-Authenticate": "Bearer"})
    if name not in configured:
        hint = did_you_mean(name[:80], configured)
        raise HttpProblem(404, f"no heartbeat is named {name[:80]!r}{hint}; see `heartbeats:` in the configuration")
    return name, by


def key_of(request: web.Request) -> str:
    """The credential of a request; Opsgenie's clients write `GenieKey` before it."""
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    return given.strip() if scheme.lower() == "geniekey" else credential(request, acts=True)


def opener(reception: Reception, heartbeat: Heartbeat | None, given: str) -> str:
    """Name the key that was given: the heartbeat's own token, or an integration's; "" when it is neither."""
    own = heartbeat.token if heartbeat is not None and heartbeat.token is not None else NOBODY
    found = "own token" if secret_matches(given, own) and own is not NOBODY else ""
    for integration in reception.integrations.by_name.values():
        if secret_matches(given, integration.accepts) and not found:
            found = f"integration:{integration.config.name}"
    return found


async def token_of(reception: Reception, request: web.Request) -> str:
    """The API token a check-in may come with; one that only reads may not. A password is good for reading alone."""
    given = api_credential(request) if credential(request, acts=True) else ""
    token = await reception.daemon.access.check(given) if given else None
    if token is None:
        return ""
    if not may_post(token):
        raise HttpProblem(403, f"this token has the role {token.role}; a check-in needs responder")
    return f"token:{token.name}"


async def list_heartbeats(ask: Ask) -> web.Response:
    found: list[Any] = await ask.daemon.heartbeats.views()
    return json_answer({"heartbeats": found})


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/heartbeats", "viewer", list_heartbeats, "Heartbeats and how it stands with them", "heartbeats",
        bodies.HeartbeatList,
    ),
)  # fmt: skip
