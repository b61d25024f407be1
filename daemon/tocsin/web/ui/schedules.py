"""Pages of the schedules: who is on call now and for two weeks, who steps in, and a form to change it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, get_args
from urllib.parse import quote
from zoneinfo import ZoneInfo

from aiohttp import web

from tocsin.decide.oncall import resolver
from tocsin.decide.oncall.overrides import Asked, Mode
from tocsin.errors import Refused
from tocsin.model import DAY, Actor, Instant, MadeOverride, Millis, Override, Schedule, Settings
from tocsin.model.civil import civil
from tocsin.web import sessions
from tocsin.web.api.oncall import schedule_named
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import Handler, guarded
from tocsin.web.request_turns import TURNS, in_turn
from tocsin.web.sessions import BrowserSession
from tocsin.web.ui.html import LINES, form_page, in_words, name_of
from tocsin.web.ui.login import see_other
from tocsin.web.ui.readers import may_look

AHEAD = Millis(14 * DAY)
NO_FORM: Mapping[str, str] = {}


def show_schedules(daemon: Daemon) -> Handler:
    """GET /schedules: who is on call now, and who follows, in each."""

    @guarded
    async def show_schedules(request: web.Request) -> web.StreamResponse:
        await may_look(daemon, request)
        now, settings = daemon.clock.now(), daemon.live.settings
        extra = await daemon.overrides.in_force(now)
        schedules = list(settings.schedules.values())
        session = await sessions.session_of(daemon, request)

        def made() -> web.Response:
            lines = [line_of(schedule, now, extra.get(schedule.name, ())) for schedule in schedules[:LINES]]
            more = len(schedules) > LINES
            return form_page("schedules.html", session, schedules=lines, more=more, name_of=name_of(settings))

        return await request.app[TURNS].apart(made)

    return in_turn(show_schedules)


def line_of(schedule: Schedule, now: Instant, extra: Sequence[Override]) -> dict[str, Any]:
    return {
        "name": schedule.name,
        "path": path_of(schedule.name),
        "timezone": schedule.timezone,
        "now": resolver.on_call(schedule, now, extra),
        "next": resolver.next_on_call(schedule, now, extra).users,
        "notes": len(schedule.feed_notes),
    }


def show_schedule(daemon: Daemon) -> Handler:
    """GET /schedules/{name}."""

    @guarded
    async def show_schedule(request: web.Request) -> web.StreamResponse:
        await may_look(daemon, request)
        schedule = schedule_named(daemon.live.settings, request.match_info["name"])
        return await schedule_page(daemon, request, schedule, await sessions.session_of(daemon, request))

    return in_turn(show_schedule)


def add_override(daemon: Daemon) -> Handler:
    """POST /schedules/{name}/overrides: the form; what is wrong is said above it, and nothing is lost of it."""

    @in_words(daemon)
    async def add_override(request: web.Request) -> web.StreamResponse:
        session, fields = await sessions.submitted(daemon, request)
        schedule = schedule_named(daemon.live.settings, request.match_info["name"])
        try:
            await daemon.overrides.add(asked_in(schedule, fields), Actor("user", session.user))
        except Refused as refused:
            return await schedule_page(daemon, request, schedule, session, refused, fields)
        return see_other(path_of(schedule.name))

    return add_override


def remove_override(daemon: Daemon) -> Handler:
    """POST /schedules/{name}/overrides/{id}/remove: its button."""

    @in_words(daemon)
    async def remove_override(request: web.Request) -> web.StreamResponse:
        session, _ = await sessions.submitted(daemon, request)
        schedule = schedule_named(daemon.live.settings, request.match_info["name"])
        try:
            await daemon.overrides.remove(request.match_info["id"], Actor("user", session.user), schedule.name)
        except Refused as refused:
            return await schedule_page(daemon, request, schedule, session, refused)
        return see_other(path_of(schedule.name))

    return remove_override


def asked_in(schedule: Schedule, fields: Mapping[str, str]) -> Asked:
    """The override a form asks for. Raises Refused for a mode that no form of ours has."""
    mode: Any = fields.get("mode") or "replace"
    if mode not in get_args(Mode):
        raise Refused(f"{mode[:20]!r} is none of {', '.join(get_args(Mode))}", status=422)
    users = (fields["user"],) if fields.get("user") else ()
    return Asked(
        schedule.name, users, fields.get("from") or None, fields.get("to") or None, None,
        fields.get("replaces") or None, mode, None, fields.get("reason", ""),
    )  # fmt: skip


async def schedule_page(
    daemon: Daemon,
    request: web.Request,
    schedule: Schedule,
    session: BrowserSession | None,
    refused: Refused | None = None,
    fields: Mapping[str, str] = NO_FORM,
) -> web.Response:
    now, settings = daemon.clock.now(), daemon.live.settings
    extra = (await daemon.overrides.in_force(now)).get(schedule.name, ())
    overrides = sorted(await daemon.overrides.list(schedule.name), key=lambda override: override.starts_at)

    def made() -> web.Response:
        return form_page(
            "schedule.html",
            session,
            200 if refused is None else refused.status,
            schedule=schedule,
            path=path_of(schedule.name),
            now=resolver.on_call(schedule, now, extra),
            rows=rows_of(schedule, now, extra),
            made=[made_line(override, settings, schedule) for override in overrides[:LINES]],
            more=len(overrides) > LINES,
            session=session if session is not None and session.may("responder") else None,
            wrong=[] if refused is None else [said for _, said in refused.culprits] or [refused.because],
            fields=fields,
            users=settings.users.values(),
            name_of=name_of(settings),
        )

    return await request.app[TURNS].apart(made)


def rows_of(schedule: Schedule, now: Instant, extra: Sequence[Override]) -> list[dict[str, Any]]:
    """Two weeks without a hole: shifts and gaps, in the schedule's zone."""
    found, zone = resolver.shifts(schedule, now, Instant(now + AHEAD), extra), ZoneInfo(schedule.timezone)
    shifts = [(shift.start, shift.end, shift.users, shift.layer or "override") for shift in found.shifts]
    gaps = [(gap.start, gap.end, (), "") for gap in found.gaps]
    return [
        {"from": shown(start, zone), "to": shown(end, zone), "users": users, "by": by}
        for start, end, users, by in sorted([*shifts, *gaps])
    ]


def made_line(made: MadeOverride, settings: Settings, schedule: Schedule) -> dict[str, Any]:
    name, zone = name_of(settings), ZoneInfo(schedule.timezone)
    who = " and ".join(name(user) for user in made.users)
    match made.mode:
        case "add":
            who = f"{who} as well"
        case "remove":
            who = f"without {who or name(made.replaces) or 'anybody'}"
        case "replace" if made.replaces:
            who = f"{who} for {name(made.replaces)}"
    return {
        "id": made.id,
        "who": who,
        "from": shown(made.starts_at, zone, year=True),
        "to": shown(made.ends_at, zone, year=True),
        "author": name(made.author),
        "reason": made.reason,
    }


def shown(at: Instant, zone: ZoneInfo, *, year: bool = False) -> str:
    return civil(at, zone).strftime("%a %d %b %Y %H:%M" if year else "%a %d %b %H:%M")


def path_of(schedule: str) -> str:
    return f"/schedules/{quote(schedule, safe='')}"
