"""HTML answers: templates, headers, forms, and how people, times and zones are written on a page.

No script anywhere; the style comes from this package. Nothing changes on GET or HEAD.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import datetime
from functools import wraps
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import jinja2
from aiohttp import web

from tocsin.decide.oncall import resolver
from tocsin.errors import Refused, StoreUnavailable
from tocsin.model import Instant, Settings
from tocsin.model.civil import civil
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import BASE_HEADERS, Handler, HttpProblem, as_problem, log_refusal
from tocsin.web.sessions import BrowserSession, session_of

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
LINES = 200  # of a list on a page: schedules, overrides
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


def form_page(template: str, signed_in: BrowserSession | None, status: int = 200, **facts: Any) -> web.Response:
    """A page that may hold forms: the browser names us as their origin (with `no-referrer` it says `null`)."""
    answer = html(template, status, **facts, signed_in_as=signed_in.user if signed_in is not None else "")
    answer.headers["Referrer-Policy"] = "same-origin"
    return answer


def in_words(daemon: Daemon) -> Callable[[Handler], Handler]:
    """A guard like `guarded` for forms: what is refused is told on a page instead of in JSON."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        async def guard(request: web.Request) -> web.StreamResponse:
            try:
                return await handler(request)
            except (HttpProblem, Refused, StoreUnavailable) as error:
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


def name_of(settings: Settings) -> Any:
    """The written name of a user's key, for people to read."""

    def name(key: str | None) -> str:
        user = settings.users.get(key or "")
        return user.name if user and user.name else key or ""

    return name


def zone_of(settings: Settings, user: str = "") -> str:
    """The zone in which times are shown: the person's, where the page is for one, else `defaults.timezone`."""
    person = settings.users.get(user)
    return (person.timezone if person else "") or settings.defaults.timezone


def shown(at: Instant, zone: ZoneInfo) -> str:
    return civil(at, zone).strftime("%a %d %b %Y %H:%M")
