"""Endpoints for alerts: of all integrations, and of one incident."""

from __future__ import annotations

from typing import Any

from aiohttp import web

from tocsin.decide import views
from tocsin.decide.incidents import reasons
from tocsin.model import StoredAlert
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, Param, bad_value
from tocsin.web.api.incidents import INCIDENT, must_exist
from tocsin.web.api.parameters import LIMIT, MOST, PAGED, cursor, one_of, whole
from tocsin.web.problem_json import json_answer

ALERT_STATUSES = ("firing", "resolved", "dropped", "suppressed", "heartbeat", "waiting")


async def list_alerts(ask: Ask) -> web.Response:
    status = ask.param("status")
    if status is not None and status not in ALERT_STATUSES:
        raise bad_value("status", f"no status {status[:40]!r}; one of {', '.join(ALERT_STATUSES)}")
    limit = whole(ask, "limit", LIMIT, MOST)
    found = await ask.daemon.store.alerts(
        integration=ask.param("integration"), status=status, limit=limit + 1, before=cursor(ask)
    )
    return json_answer(
        {
            "alerts": [alert_json(ask, alert) for alert in found[:limit]],
            "next": str(found[limit - 1].id) if len(found) > limit else None,
        }
    )


async def show_alerts(ask: Ask) -> web.Response:
    await must_exist(ask)
    limit = whole(ask, "limit", LIMIT, MOST)
    found = await ask.daemon.store.incident_alerts(ask.number, limit + 1, cursor(ask))
    return json_answer(
        {
            "alerts": [alert_json(ask, alert) for alert in found[:limit]],
            "next": str(found[limit - 1].id) if len(found) > limit else None,
        }
    )


def alert_json(ask: Ask, alert: StoredAlert) -> dict[str, Any]:
    """The alert with the repeats that are not written yet, and why it is where it is."""
    found = ask.daemon.intake.up_to_date(alert)
    return {**views.alert_view(found), "because": reasons.because(found, ask.settings.rules)}


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/alerts", "viewer", list_alerts, "Alerts, newest first", "incidents", bodies.AlertList,
        params=(
            Param("integration", "Of this integration only."),
            Param("status", "Of this status only.", one_of(*ALERT_STATUSES)),
            *PAGED,
        ),
    ),
    Endpoint(
        "GET", INCIDENT + "/alerts", "viewer", show_alerts, "Its alerts", "incidents", bodies.AlertList, params=PAGED
    ),
)  # fmt: skip
