"""The PagerDuty Events API, v1 and v2, as its clients expect it: words, codes and all.

Clients decode `status`, `message`, `errors` and `dedup_key` of the answers (the official Python
client, Alertmanager), so refusals here are the vendor's documents instead of problem+json.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from aiohttp import web

from tocsin.errors import BadBody, StoreUnavailable
from tocsin.web.ingest.integrations import InboundIntegration, digest
from tocsin.web.ingest.webhooks import Reception
from tocsin.web.limits import read_body
from tocsin.web.problem_json import BASE_HEADERS, JSON_HEADERS, Handler, HttpProblem, as_problem, log_refusal, refuse
from tocsin_integrations.common import json_fields

WRONG_LENGTH = "Length of 'routing_key' is incorrect (should be 32 characters)"
UNKNOWN_KEY = "'routing_key' is invalid"
KEY_LENGTH = 32
MOST = 512 * 1024  # bytes, as the vendor; more would be read before it is known who sends


def events_v2(reception: Reception) -> Handler:
    """POST /v2/enqueue: 202 with the dedup_key once the event is durable."""

    def said(key: str) -> dict[str, str]:
        return {"status": "success", "message": "Event processed", "dedup_key": key}

    return event_handler(reception, "routing_key", 202, said)


def changes_v2(reception: Reception) -> Handler:
    """POST /v2/change/enqueue: kept as context, never an incident."""
    return event_handler(
        reception, "routing_key", 202, lambda _: {"status": "success", "message": "Change event processed"}
    )


def events_v1(reception: Reception) -> Handler:
    """POST /generic/2010-04-15/create_event.json: what old agents still send."""

    def said(key: str) -> dict[str, str]:
        return {"status": "success", "message": "Event processed", "incident_key": key}

    return event_handler(reception, "service_key", 200, said)


def event_handler(reception: Reception, field: str, status: int, said: Any) -> Handler:
    """A handler of the Events API: `field` of the body names the integration, `said` makes the answer for a key."""

    async def event(request: web.Request) -> web.StreamResponse:
        try:
            raw = await read_body(request, reception.daemon.clock, MOST)
            integration = integration_of(reception, raw, field)
            taken = await reception.take(integration, raw, request.headers)
        except BadBody as error:
            return invalid(request, vendor_errors(error.detail))
        except StoreUnavailable as error:
            return refuse(request, as_problem(error))
        except HttpProblem as problem:
            return refuse_event(request, problem)
        key = taken.keys[0] if taken.keys else ""
        return web.Response(status=status, body=orjson.dumps(said(key)), headers=JSON_HEADERS)

    return event


def integration_of(reception: Reception, raw: bytes, field: str) -> InboundIntegration:
    """The integration whose key the body holds. Raises BadBody in the vendor's words."""
    given = key_in(raw, field)
    integration = reception.integrations.by_key.get(digest(given))
    if integration is None:
        raise BadBody((WRONG_LENGTH if len(given) != KEY_LENGTH else UNKNOWN_KEY).replace("routing_key", field))
    return integration


def key_in(raw: bytes, field: str) -> str:
    """The key a body holds; "" when it holds none that is text."""
    try:
        body = json_fields.read_json(raw)
    except BadBody:
        raise BadBody("Event object is not valid JSON") from None
    if not isinstance(body, Mapping):
        raise BadBody("Event object is not a JSON object")
    given = body.get(field)
    return given if isinstance(given, str) else ""


def vendor_errors(detail: str) -> list[str]:
    """A source puts one vendor sentence a line."""
    return [line for line in detail.splitlines() if line]


def refuse_event(request: web.Request, problem: HttpProblem) -> web.Response:
    """The vendor's 400 for what is invalid; other codes (413, 429, 503 ...) need no such body."""
    if problem.status != 400:
        return refuse(request, problem)
    return invalid(request, [culprit.detail for culprit in problem.errors] or [problem.detail])


def invalid(request: web.Request, errors: list[str]) -> web.Response:
    log_refusal(request, HttpProblem(400, "; ".join(errors)))
    shown = [error.encode("utf-8", "replace").decode() for error in errors]
    document = {"status": "invalid event", "message": "Event object is invalid", "errors": shown}
    return web.Response(
        status=400, body=orjson.dumps(document), headers={"Content-Type": "application/json", **BASE_HEADERS}
    )
