"""Check-ins over HTTP: who may, how it is answered, and what a wrong one learns."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.web.conftest import Client
from tests.web.fakes import ROUTING_KEY, FakeDaemon

HERE, PING = "/v1/heartbeats/nightly", "/v2/heartbeats/nightly/ping"


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def basic(password: str) -> dict[str, str]:
    return {"Authorization": f"Basic {base64.b64encode(f'cron:{password}'.encode()).decode()}"}


@pytest.mark.parametrize(
    ("how", "by"),
    [
        ({"headers": bearer("beat-token")}, "own token"),
        ({"params": {"token": "beat-token"}}, "own token"),
        ({"headers": bearer("own-token")}, "integration:own"),
        ({"headers": basic("prom-token-2")}, "integration:prometheus"),
        ({"headers": bearer(ROUTING_KEY)}, "integration:apps"),
        ({"headers": bearer("ana-token")}, "token:ana"),
    ],
)
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_check_in_takes_its_own_token_any_integrations_or_an_api_token(
    client: Client, daemon: FakeDaemon, method: str, how: dict[str, Any], by: str
) -> None:
    answer = await client.request(method, HERE, **how)

    assert answer.status == 200
    assert daemon.heartbeats.heard == [("nightly", by)]
    assert (await answer.json())["state"] == "ok"


ELSEWHERE: list[dict[str, str]] = [
    {"Sec-Fetch-Site": "cross-site"},
    {"Sec-Fetch-Site": "same-site"},
    {"Origin": "https://evil.example"},
    {"Origin": "null"},
    {"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors", "Sec-Fetch-Dest": "image"},
]


@pytest.mark.parametrize("headers", ELSEWHERE)
@pytest.mark.parametrize("password", ["beat-token", "own-token", "ana-token"])
@pytest.mark.parametrize("path", [HERE, PING, "/v1/webhooks/own"])
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_password_that_a_browser_keeps_counts_for_nothing_on_a_page_elsewhere(
    client: Client, daemon: FakeDaemon, method: str, path: str, password: str, headers: dict[str, str]
) -> None:
    answer = await client.request(method, path, headers={**basic(password), **headers})

    assert answer.status in (401, 403, 404, 405)
    assert daemon.heartbeats.heard == []


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH"])
async def test_opsgenies_ping_is_a_check_in(client: Client, daemon: FakeDaemon, method: str) -> None:
    answer = await client.request(method, PING, headers={"Authorization": "GenieKey own-token"})

    assert answer.status == 202
    assert (await answer.json())["result"] == "PONG - Heartbeat received"
    assert daemon.heartbeats.heard == [("nightly", "integration:own")]


@pytest.mark.parametrize("path", [HERE, PING, "/v1/heartbeats/nobody", "/v2/heartbeats/nobody/ping"])
@pytest.mark.parametrize("how", [{}, bearer("wrong"), basic("ana-token")])
async def test_a_wrong_token_is_told_nothing(
    client: Client, daemon: FakeDaemon, path: str, how: dict[str, str]
) -> None:
    answer = await client.post(path, headers=how)

    assert (answer.status, daemon.heartbeats.heard) == (401, [])
    assert "there is no such heartbeat, or the token" in (await answer.json())["detail"]


async def test_a_name_that_is_not_configured_is_a_404_with_a_hint(client: Client, daemon: FakeDaemon) -> None:
    answer = await client.post("/v1/heartbeats/nightley", headers=bearer("own-token"))

    assert (answer.status, daemon.heartbeats.heard) == (404, [])
    assert "did you mean 'nightly'?" in (await answer.json())["detail"]


async def test_a_token_that_only_reads_does_not_check_in_but_sees_the_list(client: Client, daemon: FakeDaemon) -> None:
    refused = await client.post(HERE, headers=bearer("viewer-token"))
    listed = await client.get("/v1/heartbeats", headers=bearer("viewer-token"))

    assert (refused.status, daemon.heartbeats.heard) == (403, [])
    assert (listed.status, [one["name"] for one in (await listed.json())["heartbeats"]]) == (200, ["nightly"])
    assert (await client.get("/v1/heartbeats")).status == 401
