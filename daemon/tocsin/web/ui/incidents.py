"""Pages of the browser: the open incidents, one incident, the one-tap page, the manual of the API.

No script anywhere; the style comes from this package. Nothing changes on GET or HEAD.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import web

from tocsin.contracts import IncidentFilter
from tocsin.decide import views
from tocsin.decide.muting.maintenance import agenda
from tocsin.decide.oncall import resolver
from tocsin.errors import Refused, StoreUnavailable
from tocsin.model import OPEN, Instant, Override, Schedule, Settings
from tocsin.model.civil import civil
from tocsin.web.api.muting import change_view, changes_beside, related_to
from tocsin.web.api.resources import told
from tocsin.web.daemon import Daemon
from tocsin.web.ingest.webhooks import credential
from tocsin.web.limits import MAX_FORM, read_body
from tocsin.web.problem_json import BASE_HEADERS, Handler, Problem, as_problem, guarded, log, log_refusal
from tocsin.web.sessions import Session, session_of
from tocsin.web.turns import TURNS, in_turn
from tocsin.work.paging.replies import LinkView

HERE = Path(__file__).parent
POLICY = (
    "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HTML_HEADERS: Mapping[str, str] = {
    "Content-Type": "text/html; charset=utf-8",
    "Content-Security-Policy": POLICY,
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Cross-Origin-Opener-Policy": "same-origin",
    **BASE_HEADERS,
}
STYLE_HEADERS: Mapping[str, str] = {
    **BASE_HEADERS,
    "Content-Type": "text/css; charset=utf-8",
    "Cache-Control": "public, max-age=3600",
}
SHOWN = 200  # open incidents on the first page
ENTRIES = 500  # lines of one incident's timeline
PAGES = 200  # of one incident
LINES = 200  # schedules
FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")

TEMPLATES = jinja2.Environment(
    loader=jinja2.FileSystemLoader(HERE / "templates"),
    autoescape=True,
    undefined=jinja2.StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
)


def clock_time(at: str, zone: str) -> str:
    """An instant of the API as a clock on the wall of that zone shows it."""
    return datetime.fromisoformat(at).astimezone(resolver.zone_of(zone)).strftime("%Y-%m-%d %H:%M:%S %Z")


TEMPLATES.filters["clock_time"] = clock_time


def html(template: str, status: int = 200, **facts: Any) -> web.Response:
    text = TEMPLATES.get_template(template).render(facts)
    return web.Response(status=status, body=text.encode("utf-8", "replace"), headers=HTML_HEADERS)


async def signed_in_as(daemon: Daemon, request: web.Request) -> str:
    """The user signed in at this browser; "" for nobody."""
    session = await session_of(daemon, request)
    return session.user if session is not None else ""


def form_page(template: str, signed_in: Session | None, status: int = 200, **facts: Any) -> web.Response:
    """A page that may hold forms: the browser names us as their origin (with `no-referrer` it says `null`)."""
    answer = html(template, status, **facts, signed_in_as=signed_in.user if signed_in is not None else "")
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer


def in_words(daemon: Daemon) -> Callable[[Handler], Handler]:
    """Like `guarded`, for what a person's form is refused for: a page instead of JSON."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def guard(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except (Problem, Refused, StoreUnavailable) as error:
                problem = as_problem(error)
                log_refusal(request, problem)
                session = None
                with suppress(StoreUnavailable):
                    session = await session_of(daemon, request)
                return form_page("refused.html", session, problem.status, detail=problem.detail)

        return guard

    return decorate


async def style(request: web.Request) -> web.StreamResponse:
    return web.Response(body=(HERE / "static" / "tocsin.css").read_bytes(), headers=STYLE_HEADERS)


# --------------------------------------------------------------------------------- the first page


def overview(daemon: Daemon) -> Handler:
    """GET /: open incidents, who has them, who is on call, how Tocsin itself is."""

    @guarded
    async def overview(request: web.Request) -> web.StreamResponse:
        await may_look(daemon, request)
        settings, now = daemon.live.settings, daemon.clock.now()
        incidents = await daemon.store.urgent_incidents(IncidentFilter(tuple(sorted(OPEN))), SHOWN + 1, None)
        extra = await daemon.overrides.in_force(now)
        _, health = await daemon.health.ready()
        schedules, known_as = list(settings.schedules.values()), await signed_in_as(daemon, request)

        def made() -> web.Response:
            return html(
                "overview.html",
                signed_in_as=known_as,
                incidents=[views.incident_view(incident, settings) for incident in incidents[:SHOWN]],
                more=len(incidents) > SHOWN,
                on_call=[on_call_line(one, now, extra.get(one.name, ())) for one in schedules[:LINES]],
                more_schedules=len(schedules) > LINES,
                name_of=name_of(settings),
                windows=windows_of(settings, now),
                health=health,
                now=views.when(now),
                zone=zone_of(settings),
            )

        return await request.app[TURNS].apart(made)

    return in_turn(overview)


def windows_of(settings: Settings, now: Instant) -> list[dict[str, Any]]:
    """Maintenance windows in force and to come, in their own zones."""
    zones = {one.name: ZoneInfo(one.timezone) for one in settings.maintenance}
    return [
        {
            "name": one.name,
            "from": shown(one.start, zones[one.name]),
            "to": shown(one.end, zones[one.name]),
            "timezone": zones[one.name].key,
            "now": one.start <= now,
        }
        for one in agenda(settings.maintenance, now)
    ]


def shown(at: Instant, zone: ZoneInfo) -> str:
    return civil(at, zone).strftime("%a %d %b %Y %H:%M")


def on_call_line(schedule: Schedule, now: Instant, extra: Sequence[Override]) -> dict[str, Any]:
    found = resolver.on_call(schedule, now, extra)
    path = f"/schedules/{quote(schedule.name, safe='')}"
    return {"schedule": schedule.name, "path": path, "users": found.users, "because": found.because}


def name_of(settings: Settings) -> Any:
    """The written name of a user's key, for people to read."""

    def name(key: str | None) -> str:
        user = settings.users.get(key or "")
        return user.name if user and user.name else key or ""

    return name


def incident(daemon: Daemon) -> Handler:
    """GET /incidents/{number}: one incident with its timeline and pages."""

    @guarded
    async def incident(request: web.Request) -> web.StreamResponse:
        await may_look(daemon, request)
        settings, number = daemon.live.settings, int(request.match_info["number"])
        found = await daemon.store.incident(number)
        if found is None:
            raise Problem(404, f"there is no incident {number}")
        entries = await daemon.store.timeline(number, ENTRIES + 1, None)
        pages = await daemon.store.pages(number, PAGES + 1)
        known_as, related = await signed_in_as(daemon, request), await related_to(daemon, found)
        changes = await changes_beside(daemon, found)

        def made() -> web.Response:
            return html(
                "incident.html",
                signed_in_as=known_as,
                incident=views.incident_view(found, settings),
                entries=[views.entry_view(entry, whole=False) for entry in told(found, entries[:ENTRIES], None)],
                more_entries=len(entries) > ENTRIES,
                pages=[views.page_view(page, attempts, whole=False) for page, attempts in pages[:PAGES]],
                more_pages=len(pages) > PAGES,
                related=related,
                changes=[change_view(one) for one in changes],
                name_of=name_of(settings),
                zone=zone_of(settings),
            )

        return await request.app[TURNS].apart(made)

    return in_turn(incident)


def zone_of(settings: Settings, user: str = "") -> str:
    """The zone in which times are shown: the person's, where the page is for one, else `defaults.timezone`."""
    person = settings.users.get(user)
    return (person.timezone if person else "") or settings.defaults.timezone


async def may_look(daemon: Daemon, request: web.Request) -> None:
    """Let in a reader on this very machine, who is signed in, or who shows an API token as the password.

    On this machine: Tocsin listens on loopback, has no public address, the peer and the Host are loopback,
    and no proxy passed the request on. (A public address is a proxy's, which may keep silent about itself.
    Host: a stranger's page in the browser may resolve its own name to us.)
    """
    if is_local(daemon.live.settings, request) or await session_of(daemon, request) is not None:
        return
    given = credential(request)
    if not given or await daemon.access.check(given) is None:
        raise Problem(
            401,
            "sign in with an API token as the password, under any name; `tocsin token create` makes one",
            headers={"WWW-Authenticate": 'Basic realm="Tocsin", charset="UTF-8"'},
        )


def is_local(settings: Settings, request: web.Request) -> bool:
    host = request.headers.get("Host", "")
    return (
        is_loopback(settings.server.host)
        and is_loopback(urlsplit(settings.server.public_url or "http://localhost").hostname or "")
        and is_loopback(request.remote or "")
        and is_loopback(host_name(host))
        and not any(name in request.headers for name in FORWARDED)
    )


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


# ------------------------------------------------------------------------------- the one-tap page


def show_link(daemon: Daemon) -> Handler:
    """GET /a/{token}: the incident and one button. Looking acknowledges nothing (mail scanners look)."""

    async def show_link(request: web.Request) -> web.StreamResponse:
        try:
            view = await daemon.answers.link(request.match_info["token"])
        except StoreUnavailable as error:
            return trouble(error)
        return dead_link() if view is None else link_page(daemon, view)

    return show_link


def press_link(daemon: Daemon) -> Handler:
    """POST /a/{token}: the button was pressed."""

    async def press_link(request: web.Request) -> web.StreamResponse:
        try:
            await read_body(request, daemon.clock, MAX_FORM)
            view = await daemon.answers.press(request.match_info["token"], "acknowledge")
        except (StoreUnavailable, Refused, Problem) as error:
            return trouble(error)
        return dead_link() if view is None else link_page(daemon, view)

    return press_link


def link_page(daemon: Daemon, view: LinkView) -> web.Response:
    settings = daemon.live.settings
    return html(
        "link.html",
        incident=views.incident_view(view.incident, settings),
        name=name_of(settings)(view.user),
        name_of=name_of(settings),
        zone=zone_of(settings, view.user),
        said=view.said,
        live=view.live,
    )


def dead_link() -> web.Response:
    """The page for a link that is not good, the same whatever the reason."""
    log.info("link refused")
    return html("dead_link.html", status=404)


def trouble(error: Exception) -> web.Response:
    problem = as_problem(error)
    return html("trouble.html", status=problem.status, detail=problem.detail)
