"""Page of silences: what is muted until when and by whom, planned windows, and forms to add one and to end one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from tocsin.decide.oncall.time_parsing import moment_of
from tocsin.errors import Refused
from tocsin.model import Actor, Instant, Settings, Silence
from tocsin.settings.document.scalars import Mistake, duration
from tocsin.web import sessions
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import Handler, guarded
from tocsin.web.request_turns import TURNS, in_turn
from tocsin.web.sessions import BrowserSession
from tocsin.web.ui.html import form_page, in_words, name_of, shown
from tocsin.web.ui.login import see_other
from tocsin.web.ui.overview import windows_of
from tocsin.web.ui.readers import may_look

NO_FORM: Mapping[str, str] = {}
ENDED_SHOWN = 20
LIVE_SHOWN = 300


def show_silences(daemon: Daemon) -> Handler:
    """GET /silences."""

    @guarded
    async def show_silences(request: web.Request) -> web.StreamResponse:
        await may_look(daemon, request)
        return await silences_page(daemon, request, await sessions.session_of(daemon, request))

    return in_turn(show_silences)


def add_silence(daemon: Daemon) -> Handler:
    """POST /silences: the form; what is wrong is said above it, and nothing is lost of it."""

    @in_words(daemon)
    async def add_silence(request: web.Request) -> web.StreamResponse:
        session, fields = await sessions.submitted(daemon, request)
        try:
            starts, ends = span_in(daemon, fields)
            matchers = [line.strip() for line in fields.get("matchers", "").splitlines() if line.strip()]
            await daemon.silences.add(tuple(matchers), starts, ends, session.user, fields.get("comment", ""))
        except Refused as refused:
            return await silences_page(daemon, request, session, refused, fields)
        return see_other("/silences")

    return add_silence


def expire_silence(daemon: Daemon) -> Handler:
    """POST /silences/{id}/expire: its button."""

    @in_words(daemon)
    async def expire_silence(request: web.Request) -> web.StreamResponse:
        session, _ = await sessions.submitted(daemon, request)
        try:
            await daemon.silences.expire(request.match_info["id"], Actor("user", session.user))
        except Refused as refused:
            return await silences_page(daemon, request, session, refused)
        return see_other("/silences")

    return expire_silence


def span_in(daemon: Daemon, fields: Mapping[str, str]) -> tuple[Instant, Instant]:
    """The span from when until when, by the clock of `defaults.timezone`. Raises Refused with what to write instead."""
    zone, now = daemon.live.settings.defaults.timezone, daemon.clock.now()
    try:
        starts = moment_of(fields["from"], zone, now) if fields.get("from") else now
        if fields.get("to"):
            return starts, moment_of(fields["to"], zone, Instant(max(now, starts)))
        return starts, Instant(starts + duration(fields.get("for") or ""))
    except Mistake as wrong:
        raise Refused(f"for: {wrong}", status=422) from None
    except ValueError:
        raise Refused("from and until are local times, such as 2026-01-05T09:00", status=422) from None


async def silences_page(
    daemon: Daemon,
    request: web.Request,
    session: BrowserSession | None,
    refused: Refused | None = None,
    fields: Mapping[str, str] = NO_FORM,
) -> web.Response:
    now, settings = daemon.clock.now(), daemon.live.settings
    live, ended = await daemon.silences.ending(LIVE_SHOWN + 1), await daemon.silences.ended(ENDED_SHOWN)

    def made() -> web.Response:
        return form_page(
            "silences.html",
            session,
            200 if refused is None else refused.status,
            live=[line_of(silence, settings, now) for silence in live[:LIVE_SHOWN]],
            more=len(live) > LIVE_SHOWN,
            ended=[line_of(silence, settings, now) for silence in ended],
            windows=windows_of(settings, now),
            timezone=settings.defaults.timezone,
            session=session if session is not None and session.may("responder") else None,
            wrong="" if refused is None else refused.because,
            fields=fields,
        )

    return await request.app[TURNS].apart(made)


def line_of(silence: Silence, settings: Settings, now: Instant) -> dict[str, Any]:
    zone = ZoneInfo(settings.defaults.timezone)
    return {
        "id": silence.id,
        "matchers": silence.matchers,
        "from": shown(silence.starts_at, zone),
        "to": shown(silence.ends_at, zone),
        "author": name_of(settings)(silence.author),
        "comment": silence.comment,
        "state": "pending" if now < silence.starts_at else "active" if now < silence.ends_at else "expired",
    }
