"""PagerDuty's own Python client, pointed at Tocsin by its base URL alone."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from pagerduty import EventsApiV2Client
from pagerduty.errors import HttpError

from tests.daemon import Daemon
from tests.peers.tls import Front, tls_front

KEY = "f00dfeedf00dfeedf00dfeedf00dfeed"
CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [channel:terminal]
defaults: {policy: default}
integrations: {apps: {type: pagerduty, routing_key: f00dfeedf00dfeedf00dfeedf00dfeed}}
channels: {terminal: {type: console, to: terminal}}
users: {ana: {name: Ana, timezone: UTC, contacts: {terminal: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 5m}]}}
"""


def client(front: Front, key: str = KEY) -> EventsApiV2Client:
    return EventsApiV2Client(key, base_url=front.url, verify=front.trust)


@pytest.mark.peers
async def test_an_event_of_pagerdutys_client_opens_acknowledges_and_resolves_one_incident(
    tmp_path: Path, database: str
) -> None:
    async with Daemon(tmp_path, CONFIGURATION, database) as daemon, tls_front(daemon.port) as front:
        await daemon.token()
        with client(front) as apps:
            key = await asyncio.to_thread(apps.trigger, "queue is full", "worker-3", severity="critical")
            again = await asyncio.to_thread(
                apps.trigger, "queue is full", "worker-3", dedup_key=key, severity="critical"
            )
            assert again == key
            [incident] = (await daemon.get("/v1/incidents?status=open"))["incidents"]
            assert (incident["status"], incident["title"], incident["severity"]) == (
                "triggered",
                "queue is full",
                "critical",
            )

            await asyncio.to_thread(apps.acknowledge, key)
            acknowledged = await daemon.get(f"/v1/incidents/{incident['number']}")
            assert (acknowledged["status"], acknowledged["acknowledged_by"]) == ("acknowledged", "integration:apps")

            await asyncio.to_thread(apps.resolve, key)
            assert (await daemon.get(f"/v1/incidents/{incident['number']}"))["status"] == "resolved"


@pytest.mark.peers
async def test_pagerdutys_client_with_a_foreign_key_is_refused(tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIGURATION) as daemon, tls_front(daemon.port) as front:
        await daemon.token()
        with client(front, "0" * 32) as stranger, pytest.raises(HttpError):
            await asyncio.to_thread(stranger.trigger, "let me in", "nowhere")
        assert (await daemon.get("/v1/incidents"))["incidents"] == []
