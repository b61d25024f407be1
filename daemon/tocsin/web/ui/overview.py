"""First page: open incidents, who is on call, planned windows, and how Tocsin itself is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from aiohttp import web

from tocsin.contracts import IncidentFilter
from tocsin.decide import views
from tocsin.decide.muting.maintenance import agenda
from tocsin.decide.oncall import resolver
from tocsin.model import OPEN, Instant, Override, Schedule, Settings
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import Handler, guarded
from tocsin.web.request_turns import TURNS, in_turn
from tocsin.web.ui.html import LINES, html, name_of, shown, zone_of
from tocsin.web.ui.readers import may_look, signed_in_as

SHOWN = 200  # open incidents on the first page


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
                on_call=[on_call_line(schedule, now, extra.get(schedule.name, ())) for schedule in schedules[:LINES]],
                more_schedules=len(schedules) > LINES,
                name_of=name_of(settings),
                windows=windows_of(settings, now),
                health=health,
                now=views.when(now),
                zone=zone_of(settings),
            )

        return await request.app[TURNS].apart(made)

    return in_turn(overview)


def on_call_line(schedule: Schedule, now: Instant, extra: Sequence[Override]) -> dict[str, Any]:
    found = resolver.on_call(schedule, now, extra)
    path = f"/schedules/{quote(schedule.name, safe='')}"
    return {"schedule": schedule.name, "path": path, "users": found.users, "because": found.because}


def windows_of(settings: Settings, now: Instant) -> list[dict[str, Any]]:
    """Maintenance windows in force and to come, in their own zones."""
    zones = {window.name: ZoneInfo(window.timezone) for window in settings.maintenance}
    return [
        {
            "name": window.name,
            "from": shown(window.start, zones[window.name]),
            "to": shown(window.end, zones[window.name]),
            "timezone": zones[window.name].key,
            "now": window.start <= now,
        }
        for window in agenda(settings.maintenance, now)
    ]
