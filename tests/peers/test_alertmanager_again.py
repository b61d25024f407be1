"""Debian's Alertmanager says resolved and then firing with an unchanged startsAt; whoever is on call hears of it,
though the daemon is killed while the firing waits behind its end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.daemon import Daemon, until
from tests.peers.processes import alertmanager

CONFIGURATION = """
server: {listen: "127.0.0.1:{port}", public_url: "http://127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [channel:terminal]
integrations: {prometheus: {type: alertmanager, token: am-token}}
channels: {terminal: {type: console, to: terminal}}
"""
LABELS = {"alertname": "TillsDown", "severity": "critical", "service": "checkout"}


async def send(url: str, began: datetime, *, ends_in: float) -> None:
    """What Prometheus sends while the rule holds: the alert, its start, and until when to believe it."""
    ends = datetime.now(UTC) + timedelta(seconds=ends_in)
    body = [{"labels": LABELS, "startsAt": began.isoformat(), "endsAt": ends.isoformat()}]
    async with aiohttp.ClientSession() as session, session.post(f"{url}/api/v2/alerts", json=body) as answer:
        assert answer.status == 200, await answer.text()


async def statuses(daemon: Daemon) -> list[str]:
    listed: list[dict[str, Any]] = (await daemon.get("/v1/incidents"))["incidents"]
    return [one["status"] for one in listed[::-1]]


@pytest.mark.peers
async def test_a_late_send_that_ends_an_alert_for_a_moment_hides_nothing(tmp_path: Path, database: str) -> None:
    began = datetime.now(UTC) - timedelta(minutes=1)
    async with Daemon(tmp_path / "tocsin", CONFIGURATION, database) as daemon:
        await daemon.token()
        webhook = f"{daemon.url}/v1/webhooks/prometheus"
        async with alertmanager(tmp_path / "alertmanager", webhook=webhook, token="am-token") as alerts:
            await send(alerts, began, ends_in=2)
            await seen(daemon, ["triggered"], "the alert to open an incident")
            await seen(daemon, ["resolved"], "Alertmanager to believe that it is over, since nothing was sent in time")

            await send(alerts, began, ends_in=300)
            await until(lambda: waits(daemon), within=10, what="the firing behind its end to wait")
            await daemon.kill()
            await daemon.start()
            await seen(daemon, ["resolved", "triggered"], "the alert to fire again")


async def waits(daemon: Daemon) -> bool:
    """One alert waits, with its reason and its time."""
    found: list[dict[str, Any]] = (await daemon.get("/v1/alerts?status=waiting"))["alerts"]
    return len(found) == 1 and "not newer" in found[0]["because"] and found[0]["waits_until"] is not None


async def seen(daemon: Daemon, wanted: list[str], what: str) -> None:
    async def so() -> bool:
        return await statuses(daemon) == wanted

    await until(so, within=20, what=what)
