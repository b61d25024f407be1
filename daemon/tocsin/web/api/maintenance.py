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
    return await ask.apart(
        lambda: json_answer({"maintenance": [maintenance_view(maintenance, now) for maintenance in windows]})
    )


def maintenance_view(maintenance: Maintenance, now: Instant) -> dict[str, Any]:
    zone = zone_of(maintenance.timezone)

    def shown(window: Any) -> dict[str, str] | None:
        return window and {"start": rfc3339(window.start, zone), "end": rfc3339(window.end, zone)}

    return {
        "name": maintenance.name,
        "matchers": list(maintenance.match),
        "timezone": maintenance.timezone,
        "current": shown(in_force(maintenance, now)),
        "next": shown(upcoming(maintenance, now)),
    }


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/maintenance", "viewer", list_maintenance, "Planned windows without pages", "silences",
        MaintenanceList,
    ),
)  # fmt: skip
