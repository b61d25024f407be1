"""Endpoint for planned maintenance windows."""

from __future__ import annotations

from typing import Any

from aiohttp import web
from pydantic import Field

from tocsin.decide.muting.maintenance import in_force, upcoming
from tocsin.decide.oncall.resolver import zone_of
from tocsin.model import Instant, Maintenance, rfc3339
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint
from tocsin.web.problem_json import json_answer


class WindowShape(bodies.Shape):
    start: bodies.When
    end: bodies.When


class MaintenanceShape(bodies.Shape):
    name: str
    matchers: list[str]
    timezone: str
    current: WindowShape | None = Field(description="The window in force now.")
    next: WindowShape | None


class MaintenanceList(bodies.Shape):
    maintenance: list[MaintenanceShape]


async def list_maintenance(ask: Ask) -> web.Response:
    windows, now = ask.settings.maintenance, ask.now
    return await ask.apart(lambda: json_answer({"maintenance": [maintenance_view(one, now) for one in windows]}))


def maintenance_view(one: Maintenance, now: Instant) -> dict[str, Any]:
    zone = zone_of(one.timezone)

    def shown(window: Any) -> dict[str, str] | None:
        return window and {"start": rfc3339(window.start, zone), "end": rfc3339(window.end, zone)}

    return {
        "name": one.name,
        "matchers": list(one.match),
        "timezone": one.timezone,
        "current": shown(in_force(one, now)),
        "next": shown(upcoming(one, now)),
    }


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/maintenance", "viewer", list_maintenance, "Planned windows without pages", "silences",
        MaintenanceList,
    ),
)  # fmt: skip
