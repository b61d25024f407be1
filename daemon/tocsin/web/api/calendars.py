"""Calendar feeds to subscribe to (iCalendar): a schedule's shifts, a person's shifts, and the links that open them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Literal

from aiohttp import hdrs, web

from tocsin.decide.oncall import ical_export
from tocsin.decide.oncall.ical_export import Entry
from tocsin.model import Actor, Instant, Override, Settings, Token
from tocsin.settings.document.scalars import did_you_mean
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint
from tocsin.web.api.guard import actor_of
from tocsin.web.api.oncall import schedule_named
from tocsin.web.credentials import credential
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import BASE_HEADERS, Handler, HttpProblem, guarded, json_answer
from tocsin.web.request_turns import TURNS, in_turn

Kind = Literal["schedule", "user"]
HEADERS: Mapping[str, str] = {
    **BASE_HEADERS,
    "Content-Type": "text/calendar; charset=utf-8",
    "Cache-Control": "private, no-cache",
}


class Versions:
    """Since when each calendar says what it says, as far as this process knows."""

    def __init__(self) -> None:
        self._since: dict[str, tuple[str, Instant]] = {}

    def since(self, name: str, digest: str, now: Instant) -> Instant:
        known = self._since.get(name)
        if known is None or known[0] != digest:
            known = self._since[name] = (digest, Instant(now // 1000 * 1000))
        return known[1]


def schedule_file(daemon: Daemon, versions: Versions) -> Handler:
    """GET /v1/schedules/{name}.ics"""

    @guarded
    async def schedule_file(request: web.Request) -> web.StreamResponse:
        name = request.match_info["name"]
        await _may_read(daemon, request, "schedule", name)
        settings, now = daemon.live.settings, daemon.clock.now()
        schedule = schedule_named(settings, name)
        extra = await _overrides(daemon, Instant(now - ical_export.BACK))
        apart = request.app[TURNS].apart
        entries = await apart(ical_export.entries_of, schedule, settings.users, now, extra.get(name, ()))
        return await apart(_answer, request, f"On call: {name}", entries, versions, now)

    return in_turn(schedule_file)


def person_file(daemon: Daemon, versions: Versions) -> Handler:
    """GET /v1/users/{key}.ics"""

    @guarded
    async def person_file(request: web.Request) -> web.StreamResponse:
        key = request.match_info["key"]
        await _may_read(daemon, request, "user", key)
        settings, now = daemon.live.settings, daemon.clock.now()
        _user_named(settings, key)
        extra = await _overrides(daemon, Instant(now - ical_export.BACK))
        schedules = [(schedule, extra.get(name, ())) for name, schedule in settings.schedules.items()]
        apart = request.app[TURNS].apart
        entries = await apart(ical_export.entries_for, key, schedules, settings.users, now)
        return await apart(_answer, request, f"On call: {settings.users[key].name}", entries, versions, now)

    return in_turn(person_file)


async def _may_read(daemon: Daemon, request: web.Request, kind: Kind, name: str) -> None:
    """Let in the calendar's own link, or an API token; a refusal does not say whether there is such a calendar."""
    given = credential(request)
    by = await daemon.subscriptions.opens(given, kind, name) if given else None
    if by == "":  # made before links died with a token
        return
    token = await (daemon.access.check(given) if by is None else daemon.access.by_id(by)) if given else None
    if token is not None:
        refuse_others(token, kind, name)
        return
    detail = f"this calendar opens by its own link: GET /v1/{kind}s/…/ical-link tells it; it may have been taken back"
    raise HttpProblem(401, detail, headers={"WWW-Authenticate": 'Bearer realm="tocsin"'})


def refuse_others(token: Token, kind: Kind, name: str) -> None:
    """Raise HttpProblem 403 for a person's calendar that is neither one's own nor an admin's to see."""
    if kind == "user" and token.user != name and token.role != "admin":
        raise HttpProblem(403, "only its owner, or an admin's token, may read a person's calendar")


async def _overrides(daemon: Daemon, since: Instant) -> Mapping[str, Sequence[Override]]:
    """Overrides made at run time that end after `since`, by schedule."""
    return await daemon.overrides.in_force(since)


def _answer(
    request: web.Request, name: str, entries: Sequence[Entry], versions: Versions, now: Instant
) -> web.StreamResponse:
    digest = ical_export.digest_of(name, entries)
    headers = {**HEADERS, "ETag": f'"{digest}"'}
    if _knows(request, digest):
        return web.Response(status=304, headers=headers)
    body = ical_export.calendar(name, entries, versions.since(name, digest, now))
    return web.Response(body=body, headers=headers)


def _knows(request: web.Request, digest: str) -> bool:
    asked = request.headers.get(hdrs.IF_NONE_MATCH, "")
    return any(tag.strip().removeprefix("W/") in (f'"{digest}"', "*") for tag in asked.split(","))


def _user_named(settings: Settings, key: str) -> None:
    if key not in settings.users:
        raise HttpProblem(404, f"no such user {key[:80]!r}{did_you_mean(key[:80], settings.users)}")


# ------------------------------------------------------------------------------------------- links


async def schedule_link(ask: Ask) -> web.Response:
    name = ask.request.match_info["name"]
    schedule_named(ask.settings, name)
    return await _link(ask, "schedule", name)


async def new_schedule_link(ask: Ask) -> web.Response:
    name = ask.request.match_info["name"]
    schedule_named(ask.settings, name)
    actor_of(ask, None)
    return await _renewed(ask, "schedule", name)


async def person_link(ask: Ask) -> web.Response:
    key = ask.request.match_info["key"]
    _user_named(ask.settings, key)
    return await _link(ask, "user", key)


async def new_person_link(ask: Ask) -> web.Response:
    """Own calendar links; with an admin's token anybody's."""
    key = ask.request.match_info["key"]
    _user_named(ask.settings, key)
    if actor_of(ask, None) != Actor("user", key) and ask.token.role != "admin":
        raise HttpProblem(403, "only its owner, or an admin's token, may take back the link to a person's calendar")
    return await _renewed(ask, "user", key)


async def _renewed(ask: Ask, kind: Kind, name: str) -> web.Response:
    await ask.daemon.subscriptions.take_back(kind, name)
    return await _link(ask, kind, name)


async def _link(ask: Ask, kind: Kind, name: str) -> web.Response:
    refuse_others(ask.token, kind, name)
    base = ask.settings.server.public_url or str(ask.request.url.origin())
    token = await ask.daemon.subscriptions.token(kind, name, ask.token.id)
    return json_answer({"calendar": f"{kind}:{name}", "url": f"{base}/v1/{kind}s/{name}.ics?token={token}"})


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/schedules/{name}/ical-link", "viewer", schedule_link, "The link to a schedule's calendar",
        "on call", bodies.CalendarLink,
    ),
    Endpoint(
        "DELETE", "/v1/schedules/{name}/ical-link", "responder", new_schedule_link,
        "Take back the links to a schedule's calendar; the answer has the new one", "on call", bodies.CalendarLink,
    ),
    Endpoint(
        "GET", "/v1/users/{key}/ical-link", "viewer", person_link, "The link to the calendar of a person's shifts",
        "on call", bodies.CalendarLink,
    ),
    Endpoint(
        "DELETE", "/v1/users/{key}/ical-link", "responder", new_person_link,
        "Take back the links to a person's calendar; the answer has the new one", "on call", bodies.CalendarLink,
    ),
)  # fmt: skip
