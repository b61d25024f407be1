"""The whole story with real neighbours: Prometheus sees it, Alertmanager tells, a phone rings, a key is pressed, it heals."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.daemon import Daemon, until
from tests.peers.exporter import shop
from tests.peers.processes import alertmanager, prometheus
from tests.vendors.twilio import ACCOUNT, NUMBER, TOKEN, PretendTwilio

ANA = "+351210000001"
CONFIGURATION = f"""
server: {{listen: "127.0.0.1:{{port}}", public_url: "http://127.0.0.1:{{port}}"}}
database: {{url: "{{database}}"}}
catch_all: [user:ana]
defaults: {{policy: default}}
integrations: {{prometheus: {{type: alertmanager, token: am-token}}}}
channels:
  sms: {{type: twilio_sms, account_sid: {ACCOUNT}, auth_token: {TOKEN}, from: "{NUMBER}", api_base: "{{twilio}}"}}
  voice: {{type: twilio_voice, account_sid: {ACCOUNT}, auth_token: {TOKEN}, from: "{NUMBER}", api_base: "{{twilio}}"}}
users:
  ana:
    name: Ana Pires
    timezone: Europe/Lisbon
    contacts: {{sms: "{ANA}", voice: "{ANA}"}}
    notify: {{high: [{{by: [sms, voice]}}]}}
schedules:
  primary:
    timezone: Europe/Lisbon
    layers: [{{name: week, users: [ana], rotation: {{every: 1w, start: 2026-01-05 09:00}}}}]
policies: {{default: {{steps: [{{notify: [schedule:primary], wait: 5m}}]}}}}
services: {{checkout: {{impact: high}}}}
throttle: {{sms: [10/1m], voice: [10/1m]}}
"""


@pytest.mark.peers
async def test_an_alert_of_prometheus_rings_a_phone_and_a_pressed_key_stops_it(tmp_path: Path, database: str) -> None:
    async with PretendTwilio() as twilio, shop() as tills:
        configuration = CONFIGURATION.replace("{twilio}", twilio.url)
        daemon = Daemon(tmp_path / "tocsin", configuration, database)
        twilio.sms_url = f"{daemon.url}/v1/callbacks/twilio/sms"
        async with (
            daemon,
            alertmanager(
                tmp_path / "alertmanager", webhook=f"{daemon.url}/v1/webhooks/prometheus", token="am-token"
            ) as alerts,
            prometheus(tmp_path / "prometheus", target=tills.address, alertmanager=alerts.removeprefix("http://")),
        ):
            await daemon.token()
            await until(lambda: tills.scrapes > 1, within=15, what="Prometheus to scrape twice")
            assert await incidents(daemon) == []

            tills.tills_up = 0
            sms = await twilio.next_sms(ANA, within=20)
            call = await twilio.next_call(ANA, within=20)
            [incident] = await incidents(daemon)
            assert incident["status"] == "triggered"
            assert (incident["title"], incident["service"]) == ("no till answers in antwerp", "checkout")
            assert (incident["severity"], incident["priority"]) == ("critical", "P1")
            assert incident["title"] in sms.body

            heard = await twilio.answer(call)
            assert "no till answers in antwerp" in " ".join(heard)
            assert (await show(daemon, incident))["status"] == "triggered", "picking up is no answer"

            await twilio.press(call, "4")
            acknowledged = await show(daemon, incident)
            assert (acknowledged["status"], acknowledged["acknowledged_by"]) == ("acknowledged", "ana")
            assert acknowledged["next_page_at"] is None

            tills.tills_up = 3
            await until(lambda: is_resolved(daemon, incident), within=30, what="the incident to be resolved")
            news = await twilio.next_sms(ANA, within=10)
            assert "resolved" in news.body

            assert len(twilio.calls) == 1
            assert twilio.refusals == []
            await tells_the_story(daemon, incident)


async def tells_the_story(daemon: Daemon, incident: dict[str, Any]) -> None:
    """The timeline names the door and the person, in order."""
    entries = (await daemon.get(f"/v1/incidents/{incident['number']}/timeline"))["entries"]
    kinds = [entry["kind"] for entry in entries]
    assert kinds[0] == "opened"
    acknowledged = next(entry for entry in entries if entry["kind"] == "acknowledged")
    assert (acknowledged["actor"], acknowledged["via"]) == ("user:ana", "voice")
    assert kinds.index("acknowledged") < kinds.index("resolved")


async def incidents(daemon: Daemon) -> list[dict[str, Any]]:
    listed: list[dict[str, Any]] = (await daemon.get("/v1/incidents"))["incidents"]
    return listed


async def show(daemon: Daemon, incident: dict[str, Any]) -> dict[str, Any]:
    shown: dict[str, Any] = await daemon.get(f"/v1/incidents/{incident['number']}")
    return shown


async def is_resolved(daemon: Daemon, incident: dict[str, Any]) -> bool:
    return bool((await show(daemon, incident))["status"] == "resolved")
