"""The table of routes, and the answer to every other path.

There is no middleware: it would cost every alert. The handlers carry their own guard.
"""

from __future__ import annotations

from typing import Any

import orjson
from aiohttp import hdrs, web
from prometheus_client import exposition, openmetrics

from tocsin.web import callbacks
from tocsin.web.api import calendars, heartbeats, openapi
from tocsin.web.api.endpoints import ENDPOINTS
from tocsin.web.api.guard import handler_of
from tocsin.web.body_budget import BUDGET, BodyBudget, released
from tocsin.web.compat import alertmanager
from tocsin.web.daemon import Daemon
from tocsin.web.ingest import pagerduty
from tocsin.web.ingest.webhooks import Reception
from tocsin.web.limits import HEAD_TIME, MAX_BODY, handler_args
from tocsin.web.problem_json import BASE_HEADERS, JSON_HEADERS, TRUSTED, Handler, HttpProblem, refuse
from tocsin.web.request_turns import TURNS, Turns
from tocsin.web.ui import html, incidents, login, manual, one_tap, overview, schedules, silences

ATTEMPT = "{attempt:[0-9A-Za-z_-]{1,64}}"
NUMBER = "{number:[0-9]{1,9}}"
# in the text format a counter may stand beside the gauge `tocsin_incidents`; in OpenMetrics their families clash
AS_COUNTER = (b"# TYPE tocsin_incidents_total gauge", b"# TYPE tocsin_incidents_total counter")
RECEPTION: web.AppKey[Reception] = web.AppKey("reception")
METHODS = ("GET", "POST", "PUT", "PATCH", "DELETE")


def make_app(daemon: Daemon, *, head_time: float = HEAD_TIME) -> web.Application:
    """The application with every route of the daemon; with an admin address configured, without metrics and
    probes.

    `head_time`: seconds a connection may take to send a request's head, or wait with none.
    """
    app = web.Application(client_max_size=MAX_BODY, handler_args=handler_args(head_time))
    app[TRUSTED] = lambda: daemon.live.settings.server.trusted_proxies
    app[BUDGET], app[TURNS] = BodyBudget(daemon.clock), Turns(daemon.clock)
    add_alert_routes(app, daemon)
    add_api(app, daemon)
    add_callbacks(app, daemon)
    add_pages(app, daemon)
    if daemon.live.settings.server.admin_port is None:
        add_probes(app, daemon)
    add_rest(app)
    return app


def make_admin_app(daemon: Daemon) -> web.Application:
    """Metrics and probes alone, for an address of their own."""
    app = web.Application(client_max_size=MAX_BODY, handler_args=handler_args())
    app[TRUSTED] = lambda: daemon.live.settings.server.trusted_proxies
    app[BUDGET], app[TURNS] = BodyBudget(daemon.clock), Turns(daemon.clock)
    add_probes(app, daemon)
    add_rest(app)
    return app


def add_alert_routes(app: web.Application, daemon: Daemon) -> None:
    app[RECEPTION] = reception = Reception(daemon)
    add(app, "POST", "/v1/webhooks/{integration}", reception.webhook())
    add(app, "POST", "/v2/enqueue", pagerduty.events_v2(reception))
    add(app, "POST", "/v2/change/enqueue", pagerduty.changes_v2(reception))
    add(app, "POST", "/generic/2010-04-15/create_event.json", pagerduty.events_v1(reception))
    for method in ("GET", "POST"):
        add(app, method, "/v1/heartbeats/{name}", heartbeats.check_in(reception))
    for method in ("GET", "POST", "PUT", "PATCH"):
        add(app, method, "/v2/heartbeats/{name}/ping", heartbeats.ping(reception))


def add_api(app: web.Application, daemon: Daemon) -> None:
    versions = calendars.Versions()  # first: `/v1/users/ana.ics` is no user of that name
    add(app, "GET", "/v1/schedules/{name}.ics", calendars.schedule_file(daemon, versions))
    add(app, "GET", "/v1/users/{key}.ics", calendars.person_file(daemon, versions))
    for endpoint in ENDPOINTS:
        add(app, endpoint.method, endpoint.path.replace("{number}", NUMBER), handler_of(daemon, endpoint))
    alertmanager.add_routes(lambda method, path, handler: add(app, method, path, handler), daemon)


def add_callbacks(app: web.Application, daemon: Daemon) -> None:
    add(app, "POST", "/v1/callbacks/twilio/sms", callbacks.sms(daemon))
    add(app, "POST", f"/v1/callbacks/twilio/voice/{ATTEMPT}", callbacks.voice(daemon))
    add(app, "POST", f"/v1/callbacks/twilio/status/{ATTEMPT}", callbacks.status(daemon))


def add_pages(app: web.Application, daemon: Daemon) -> None:
    def public_url() -> str | None:
        return daemon.live.settings.server.public_url

    add(app, "GET", "/", overview.overview(daemon))
    add(app, "GET", f"/incidents/{NUMBER}", incidents.incident(daemon))
    add(app, "GET", "/schedules", schedules.show_schedules(daemon))
    add(app, "GET", "/schedules/{name}", schedules.show_schedule(daemon))
    add(app, "POST", "/schedules/{name}/overrides", schedules.add_override(daemon))
    add(app, "POST", "/schedules/{name}/overrides/{id}/remove", schedules.remove_override(daemon))
    add(app, "GET", "/silences", silences.show_silences(daemon))
    add(app, "POST", "/silences", silences.add_silence(daemon))
    add(app, "POST", "/silences/{id}/expire", silences.expire_silence(daemon))
    add(app, "GET", "/login", login.show_login(daemon))
    add(app, "POST", "/login", login.login(daemon))
    add(app, "POST", "/logout", login.logout(daemon))
    add(app, "GET", "/a/{token}", one_tap.show_link(daemon))
    add(app, "POST", "/a/{token}", one_tap.press_link(daemon))
    add(app, "GET", "/static/tocsin.css", html.style)
    add(app, "GET", "/docs", manual.show_page(public_url))
    add(app, "GET", "/v1/openapi.json", openapi.show_json(public_url))


def add_probes(app: web.Application, daemon: Daemon) -> None:
    add(app, "GET", "/healthz", alive)
    add(app, "GET", "/readyz", ready(daemon))
    add(app, "GET", "/metrics", metrics(daemon))


def add(app: web.Application, method: str, path: str, handler: Handler) -> None:
    """Add a route; GET answers HEAD too, without the body."""
    if method == "GET":
        app.router.add_get(path, handler)
    else:
        app.router.add_route(method, path, released(handler))


# ------------------------------------------------------------------------------------------ probes


async def alive(request: web.Request) -> web.StreamResponse:
    """GET /healthz: the process lives and its loop turns."""
    return web.Response(body=b'{"status":"alive"}', headers=JSON_HEADERS)


def ready(daemon: Daemon) -> Handler:
    """GET /readyz: 200 while alerts and answers can be stored and timers run, else 503."""

    async def ready(request: web.Request) -> web.StreamResponse:
        good, body = await daemon.health.ready()
        return web.Response(status=200 if good else 503, body=orjson.dumps(body), headers=JSON_HEADERS)

    return ready


def metrics(daemon: Daemon) -> Handler:
    """GET /metrics: OpenMetrics where Accept asks for it, else the text format."""

    async def metrics(request: web.Request) -> web.StreamResponse:
        wants_open = "application/openmetrics-text" in request.headers.get(hdrs.ACCEPT, "")
        format: Any = openmetrics.exposition if wants_open else exposition
        kind = openmetrics.exposition.CONTENT_TYPE_LATEST if wants_open else exposition.CONTENT_TYPE_PLAIN_0_0_4
        body = format.generate_latest(daemon.metrics.registry)
        if not wants_open:
            body = body.replace(*AS_COUNTER)
        return web.Response(body=body, headers={**BASE_HEADERS, "Content-Type": kind})

    return metrics


# ------------------------------------------------------------------------------------ anything else


def add_rest(app: web.Application) -> None:
    """Answer paths and methods that no route takes: 405 or the allowed methods where the path is known, else 404; never
    an empty page.
    """
    routes = list(app.router.resources())

    async def rest(request: web.Request) -> web.StreamResponse:
        allowed = set().union(*[(await route.resolve(request))[1] for route in routes])
        if not allowed:
            return refuse(request, HttpProblem(404, "there is nothing here; /docs lists what there is"))
        methods = {"Allow": ", ".join(sorted({*allowed, hdrs.METH_OPTIONS}))}
        if request.method == hdrs.METH_OPTIONS:
            return web.Response(status=204, headers={**BASE_HEADERS, **methods})
        return refuse(request, HttpProblem(405, f"{request.method[:20]} is not for this path", headers=methods))

    app.router.add_route("*", "/{rest:.*}", rest)
