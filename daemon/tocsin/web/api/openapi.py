"""The OpenAPI 3.1 document of every route, made of the same table and models that route and validate."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
from aiohttp import web
from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

import tocsin
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Endpoint, Param
from tocsin.web.api.endpoints import ENDPOINTS
from tocsin.web.problem_json import JSON_HEADERS, Handler

SCHEMAS = "#/components/schemas/"
ABOUT = (
    "Everything the daemon does over HTTP. The API takes `Authorization: Bearer TOKEN`; `tocsin token create` makes "
    "a token. A viewer reads, a responder acts as the token's user, an admin may act in any person's name.\n\n"
    "Refusals are application/problem+json (RFC 9457) with a pointer to each culprit. Lists take `limit` and "
    "`cursor`, and answer with `next`. Bodies are at most 4 MiB, also when they come gzipped."
)
TAGS = (
    "alerts in", "heartbeats", "incidents", "actions", "on call", "silences", "people", "configuration", "answers",
    "Alertmanager's API", "the daemon itself",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Plain:
    """A documented path outside the API's table: posts of alerts, callbacks, pages, probes."""

    method: str
    path: str
    tag: str
    summary: str
    description: str = ""
    answers: Mapping[str, str] | None = None


ICS = {"200": "text/calendar, with an ETag", "304": "it has not changed", "401": "no, a wrong or a dead token"}
FORM = {"303": "done", "401": "not signed in", "403": "not from our page, or not allowed", "422": "a page says why"}

ALERTMANAGER = "Alertmanager's API"
THEIRS = "In the shape of Alertmanager's API v2, for amtool and others; an API token is the bearer or the password."
SEEN = {"200": "done", "401": "no or a wrong token", "403": "this token may not"}

PLAIN: tuple[Plain, ...] = (
    Plain(
        "post", "/v1/webhooks/{integration}", "alerts in", "Post alerts in the integration's own format",
        "The token goes as `Authorization: Bearer`, as the password of basic authentication, or as `?token=`. "
        "An API token of a responder works for every integration, as bearer.",
        {
            "202": "stored: how many, which incidents, what could not be taken",
            "400": "nothing of it could be taken",
            "401": "no or a wrong token",
            "404": "no such integration",
            "413": "longer than 4 MiB",
            "429": "too many at once; try again",
            "503": "cannot be stored now; try again",
        },
    ),
    Plain(
        "post", "/v2/enqueue", "alerts in", "PagerDuty Events API v2",
        "`routing_key` of the body names the integration.", {"202": "stored", "400": "invalid event"},
    ),
    Plain(
        "post", "/v2/change/enqueue", "alerts in", "PagerDuty change events", "Kept as context; nobody is paged.",
        {"202": "stored", "400": "invalid event"},
    ),
    Plain(
        "post", "/generic/2010-04-15/create_event.json", "alerts in", "PagerDuty Events API v1",
        "`service_key` of the body names the integration.", {"200": "stored", "400": "invalid event"},
    ),
    *(
        Plain(
            method, "/v1/heartbeats/{name}", "heartbeats", "A check-in",
            "With the heartbeat's own token, any integration's, or an API token of a responder: as bearer, as the "
            "password of basic authentication, or as `?token=`. An incident about its silence is resolved.",
            {"200": "heard; when it is due again", "401": "no or a wrong token", "404": "no such heartbeat"},
        )
        for method in ("get", "post")
    ),
    *(
        Plain(
            method, "/v2/heartbeats/{name}/ping", "heartbeats", "A check-in, as Opsgenie's clients send it",
            "The same, with `Authorization: GenieKey …` too.",
            {"202": "heard", "401": "no or a wrong token", "404": "no such heartbeat"},
        )
        for method in ("get", "post", "put", "patch")
    ),
    Plain(
        "get", "/v1/schedules/{name}.ics", "on call", "A schedule's shifts as an iCalendar file",
        "30 days back, 180 ahead, marked free. `?token=` is the calendar's own link's, or an API token.", ICS,
    ),
    Plain(
        "get", "/v1/users/{key}.ics", "on call", "All shifts of one person as an iCalendar file",
        "The same, over all schedules.", ICS,
    ),
    Plain("get", "/api/v2/silences", ALERTMANAGER, "Silences",
          f"`filter`, `active`, `expired`, `pending`. {THEIRS}", SEEN),
    Plain("post", "/api/v2/silences", ALERTMANAGER, "Add a silence, or change the one whose `id` is given",
          f'Answers `{{"silenceID"}}`. {THEIRS}', {**SEEN, "400": "a JSON string says what is wrong"}),
    Plain("get", "/api/v2/silence/{id}", ALERTMANAGER, "One silence", THEIRS, {**SEEN, "404": "no such silence"}),
    Plain("delete", "/api/v2/silence/{id}", ALERTMANAGER, "End it now", THEIRS, {**SEEN, "404": "no such silence"}),
    Plain("get", "/api/v2/alerts", ALERTMANAGER, "What fires, and what keeps it quiet",
          f"`filter`, `active`, `silenced`, `inhibited`. {THEIRS}", SEEN),
    Plain("get", "/api/v2/alerts/groups", ALERTMANAGER, "The same by incident", THEIRS, SEEN),
    Plain("get", "/api/v2/status", ALERTMANAGER, "Version and configuration, as clients ask first", THEIRS, SEEN),
    Plain("get", "/api/v2/receivers", ALERTMANAGER, "The one receiver there is", THEIRS, SEEN),
    Plain("get", "/-/healthy", ALERTMANAGER, "The process lives", "", {"200": "it does"}),
    Plain("get", "/-/ready", ALERTMANAGER, "As /readyz", "", {"200": "ready", "503": "not ready"}),
    Plain(
        "post", "/v1/callbacks/twilio/sms", "answers", "A reply by SMS", "Signed by Twilio.",
        {"200": "TwiML", "403": "not rightly signed"},
    ),
    Plain(
        "post", "/v1/callbacks/twilio/voice/{attempt}", "answers", "A call was answered, or a key pressed",
        "Signed by Twilio.", {"200": "TwiML", "403": "not rightly signed"},
    ),
    Plain(
        "post", "/v1/callbacks/twilio/status/{attempt}", "answers", "How a message or call fares",
        "Signed by Twilio.", {"204": "noted", "403": "not rightly signed"},
    ),
    Plain("get", "/a/{token}", "answers", "The one-tap page", "Shows the incident; acts on nothing.",
          {"200": "a page", "404": "the link is not good any more"}),
    Plain("post", "/a/{token}", "answers", "The button of the one-tap page", "Acknowledges as the link's person.",
          {"200": "a page", "404": "the link is not good any more"}),
    Plain(
        "get", "/", "the daemon itself", "The open incidents, as a page",
        "Open on the machine itself; else an API token is the password.", {"200": "a page", "401": "no token"},
    ),
    Plain("get", "/incidents/{number}", "the daemon itself", "One incident, as a page", "",
          {"200": "a page", "401": "no token", "404": "no such incident"}),
    Plain("get", "/schedules", "the daemon itself", "Who is on call in each schedule, as a page", "",
          {"200": "a page", "401": "no token"}),
    Plain("get", "/schedules/{name}", "the daemon itself", "One schedule's next two weeks, as a page", "",
          {"200": "a page", "401": "no token", "404": "no such schedule"}),
    Plain("post", "/schedules/{name}/overrides", "the daemon itself", "The form that adds an override",
          "For browsers: needs a session and the form's own token.", FORM),
    Plain("post", "/schedules/{name}/overrides/{id}/remove", "the daemon itself", "The button that takes one back",
          "For browsers: needs a session and the form's own token.", FORM),
    Plain("get", "/silences", "the daemon itself", "Silences and planned windows, as a page", "",
          {"200": "a page", "401": "no token"}),
    Plain("post", "/silences", "the daemon itself", "The form that adds a silence",
          "For browsers: needs a session and the form's own token.", FORM),
    Plain("post", "/silences/{id}/expire", "the daemon itself", "The button that ends one",
          "For browsers: needs a session and the form's own token.", FORM),
    Plain("get", "/login", "the daemon itself", "Sign in to the pages, as a page", "", {"200": "a page"}),
    Plain("post", "/login", "the daemon itself", "An API token becomes a session of twelve hours",
          "A signed cookie, HttpOnly and SameSite=Strict; it dies with its token.",
          {"303": "signed in", "403": "no such token, or from another site"}),
    Plain("post", "/logout", "the daemon itself", "End the session", "", {"303": "signed out"}),
    Plain("get", "/docs", "the daemon itself", "This document, as a page", "", {"200": "a page"}),
    Plain("get", "/v1/openapi.json", "the daemon itself", "This document", "", {"200": "OpenAPI 3.1"}),
    Plain("get", "/healthz", "the daemon itself", "The process lives", "", {"200": "it does"}),
    Plain(
        "get", "/readyz", "the daemon itself", "Alerts and answers can be stored, and timers run", "",
        {"200": "ready", "503": "not ready"},
    ),
    Plain("get", "/metrics", "the daemon itself", "Metrics for Prometheus", "", {"200": "text or OpenMetrics"}),
)  # fmt: skip


@lru_cache(maxsize=4)
def document(public_url: str | None = None) -> dict[str, Any]:
    """The whole document. Every route of the application is in it, and nothing else."""
    paths: dict[str, dict[str, Any]] = {}
    for plain in PLAIN:
        paths.setdefault(plain.path, {})[plain.method] = plain_operation(plain)
    for endpoint in ENDPOINTS:
        paths.setdefault(endpoint.path, {})[endpoint.method.lower()] = operation(endpoint)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Tocsin", "version": tocsin.__version__, "description": ABOUT, "license": LICENCE},
        "servers": [{"url": public_url or "/"}],
        "tags": [{"name": tag} for tag in TAGS],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
            "responses": {"Problem": problem_response("The request is refused.")},
        },
    }


LICENCE = {"name": "Apache-2.0", "identifier": "Apache-2.0"}


def schemas() -> dict[str, Any]:
    used: list[type[BaseModel]] = [bodies.ProblemShape, bodies.PostTaken]
    used += [model for endpoint in ENDPOINTS for model in (endpoint.body, endpoint.answers) if model is not None]
    _, found = models_json_schema(
        [(model, "validation") for model in dict.fromkeys(used)], ref_template=SCHEMAS + "{model}", by_alias=True
    )
    return dict(found["$defs"])


def operation(endpoint: Endpoint) -> dict[str, Any]:
    described: dict[str, Any] = {
        "tags": [endpoint.tag],
        "operationId": operation_id(endpoint.method, endpoint.path),
        "summary": endpoint.summary,
        "security": [{"token": []}],
        "x-role": endpoint.role,
        "parameters": path_parameters(endpoint.path) + [query_parameter(param) for param in endpoint.params],
        "responses": {
            str(endpoint.status): {"description": "done", "content": json_content(endpoint.answers)},
            **{str(status): problem_response(text) for status, text in refusals(endpoint).items()},
        },
    }
    if endpoint.body is not None:
        needed = any(field.is_required() for field in endpoint.body.model_fields.values())
        described["requestBody"] = {"required": needed, "content": json_content(endpoint.body)}
    return described


def refusals(endpoint: Endpoint) -> dict[int, str]:
    """The codes an endpoint of its kind may refuse with."""
    found = {400: "a parameter is not known, or cannot be read", 401: "no or a wrong token", 403: "this token may not"}
    found[404] = "there is no such thing"
    if any(param.name == "q" for param in endpoint.params) or endpoint.path == "/v1/alerts":
        found[422] = "this search takes too long: narrow it"
    if endpoint.method != "GET":
        found |= {409: "its state does not allow it", 422: "this cannot be done"}
    if endpoint.body is not None:
        found |= READING
    return dict(sorted({**found, **BUSY}.items()))


BUSY = {429: "too much of yours at once; Retry-After says when", 503: "not now; Retry-After says when"}
READING = {
    400: "the body is not JSON, or a parameter is not known",
    408: "the body did not arrive in time",
    413: "the body is too long",
    415: "a Content-Encoding other than gzip, or no JSON",
    422: "the body says something impossible",
}
WITH_A_TOKEN = {
    400: "a parameter cannot be read",
    403: "this token may not",
    404: "there is no such thing",
    409: "its state does not allow it",
    422: "this cannot be done",
}


def plain_operation(plain: Plain) -> dict[str, Any]:
    usual = {**BUSY, **(READING if plain.method != "get" else {})}
    if "{" in plain.path:
        usual[404] = "there is no such thing"
    if plain.answers and "401" in plain.answers:
        usual |= WITH_A_TOKEN
    said = {**{str(status): text for status, text in usual.items()}, **(plain.answers or {})}
    responses: dict[str, Any] = {
        status: {"description": text, **content_of(plain, status)} for status, text in sorted(said.items())
    }
    return {
        "tags": [plain.tag],
        "operationId": operation_id(plain.method, plain.path),
        "summary": plain.summary,
        "description": plain.description,
        "security": [],
        "x-role": "",
        "parameters": path_parameters(plain.path),
        "responses": responses,
    }


def content_of(plain: Plain, status: str) -> dict[str, Any]:
    """In what types, and in what shape, a path outside the API's table answers with this code."""
    if status in ("204", "303", "304"):
        return {}
    path = f"{plain.method} {plain.path}"
    done = next((content for part, content in DONE.items() if part in path), HTML)
    refused = next((content for part, content in REFUSED.items() if part in path), None)
    if refused is None:
        refused = HTML if plain.method == "post" else PROBLEM
    return {"content": done if status.startswith("2") else refused}


ANY_OBJECT: Mapping[str, Any] = {"type": "object"}
HTML: Mapping[str, Any] = {"text/html": {}}
TEXT: Mapping[str, Any] = {"text/plain": {}}
JSON: Mapping[str, Any] = {"application/json": {"schema": ANY_OBJECT}}
JSON_LIST: Mapping[str, Any] = {"application/json": {"schema": {"type": "array", "items": ANY_OBJECT}}}
JSON_STRING: Mapping[str, Any] = {"application/json": {"schema": {"type": "string"}}}
PROBLEM: Mapping[str, Any] = {"application/problem+json": {"schema": {"$ref": SCHEMAS + bodies.ProblemShape.__name__}}}
EVENT_TAKEN: Mapping[str, Any] = {
    "application/json": {
        "schema": {
            "type": "object",
            "properties": {"status": {"type": "string"}, "message": {"type": "string"}},
            "required": ["status", "message"],
        }
    }
}
DONE: Mapping[str, Mapping[str, Any]] = {
    "/v1/webhooks/": {"application/json": {"schema": {"$ref": SCHEMAS + bodies.PostTaken.__name__}}},
    "enqueue": EVENT_TAKEN,
    "/generic/": EVENT_TAKEN,
    "/heartbeats/": JSON,
    ".ics": {"text/calendar": {}},
    "/api/v2/silence/": JSON,
    "/api/v2/alerts": JSON_LIST,
    "/api/v2/receivers": JSON_LIST,
    "/api/v2/status": JSON,
    "get /api/v2/silences": JSON_LIST,
    "/api/v2/silences": JSON,
    "/-/": TEXT,
    "/callbacks/": {"text/xml": {}},
    "/v1/openapi.json": JSON,
    "/healthz": JSON,
    "/readyz": JSON,
    "/metrics": {**TEXT, "application/openmetrics-text": {}},
}
"""What is answered where something was done, by a part of method and path; the first that fits. Else it is a page."""
REFUSED: Mapping[str, Mapping[str, Any]] = {
    "enqueue": EVENT_TAKEN,
    "/generic/": EVENT_TAKEN,
    "/api/v2/": JSON_STRING,
    "/-/": TEXT,
    "/readyz": JSON,
    "/a/": HTML,
    "/v1/": PROBLEM,
    "/v2/": PROBLEM,
}
"""What is answered to what is refused, likewise; else a page to a form, and a problem to who only looks."""


def operation_id(method: str, path: str) -> str:
    words = re.findall(r"[a-z0-9]+", path.lower())
    return "-".join([method.lower(), *words])


def path_parameters(path: str) -> list[dict[str, Any]]:
    return [
        {
            "name": name,
            "in": "path",
            "required": True,
            "description": PATH_WORDS.get(name, ""),
            "schema": NUMBER_VALUE if name == "number" else NAME_VALUE,
        }
        for name in re.findall(r"\{(\w+)\}", path)
    ]


NUMBER_VALUE = {"type": "integer", "minimum": 0, "maximum": 999_999_999}
NAME_VALUE = {"type": "string", "minLength": 1}
PATH_WORDS = {
    "number": "The incident's number.",
    "integration": "A name under `integrations:` of the configuration.",
    "name": "The name of the schedule or heartbeat.",
    "id": "As the answer to its making says.",
    "attempt": "The attempt's id, from the address we gave.",
    "token": "The personal, signed, expiring token of the link.",
}


def query_parameter(param: Param) -> dict[str, Any]:
    return {
        "name": param.name,
        "in": "query",
        "required": False,
        "description": param.help,
        "schema": dict(param.schema),
    }


def json_content(model: type[BaseModel]) -> dict[str, Any]:
    return {"application/json": {"schema": {"$ref": SCHEMAS + model.__name__}}}


def problem_response(text: str) -> dict[str, Any]:
    schema = {"$ref": SCHEMAS + bodies.ProblemShape.__name__}
    return {"description": text, "content": {"application/problem+json": {"schema": schema}}}


# ---------------------------------------------------------------------------------------- handlers


@lru_cache(maxsize=4)
def written(public_url: str | None) -> bytes:
    """The document as JSON, made once."""
    return orjson.dumps(document(public_url))


def show_json(public_url: Callable[[], str | None]) -> Handler:
    async def show_json(request: web.Request) -> web.StreamResponse:
        return web.Response(body=written(public_url()), headers=JSON_HEADERS)

    return show_json
