"""POST /v1/explain: what it takes, what it answers, and what it says of a mistake."""

from __future__ import annotations

from typing import Any

import pytest

from tests.web.conftest import Client
from tests.web.fakes import NOW, FakeDaemon
from tocsin.errors import Refused
from tocsin.model import HOUR, Rule, rfc3339
from tocsin.work.whatif.explain import Asked

VIEWER = {"Authorization": "Bearer viewer-token"}


async def asked(client: Client, body: Any) -> tuple[int, dict[str, Any]]:
    answer = await client.post("/v1/explain", json=body, headers=VIEWER)
    return answer.status, await answer.json()


async def test_an_alert_in_so_many_words_is_explained(client: Client, daemon: FakeDaemon) -> None:
    daemon.with_settings(rules=(Rule("noise", match=('env="stag"',), drop=True),))

    status, found = await asked(client, {"alert": {"title": "db down", "service": "shop", "labels": {"env": "prod"}}})

    assert status == 200
    assert found["at"] == rfc3339(NOW)
    [one] = found["alerts"]
    assert (one["action"], one["incident"], one["incident_key"]) == ("open", None, "by-hand/db down")
    assert one["rules"] == [{"name": "noise", "matched": False, "because": "env=\"stag\" does not fit: env is 'prod'"}]


async def test_a_payload_is_read_as_its_integration_reads_it(client: Client, daemon: FakeDaemon) -> None:
    payload = [{"title": "one", "key": "a"}, "bad", {"title": "two", "key": "b"}]

    status, found = await asked(client, {"integration": "own", "payload": payload, "at": "Sunday 03:10", "for": "2h"})

    assert status == 200
    assert [one["dedup_key"] for one in found["alerts"]] == ["a", "b"]
    assert found["rejected"] == [{"pointer": "/1", "detail": "not an object"}]
    [seen] = daemon.foresight.asked
    assert (seen.integration.name, seen.ahead) == ("own", 2 * HOUR)
    assert found["at"].endswith("T03:10:00Z")


async def test_text_that_is_no_json_goes_as_it_is(client: Client) -> None:
    status, found = await asked(client, {"integration": "own", "payload": "{"})
    assert (status, found["errors"][0]["pointer"]) == (422, "/payload")
    assert "not JSON" in found["detail"]


@pytest.mark.parametrize(
    ("body", "pointer", "said"),
    [
        ({}, "", "write one of them"),
        ({"alert": {"title": "x"}, "integration": "own", "payload": {}}, "", "write one of them"),
        ({"payload": {}}, "", "a payload needs the integration"),
        ({"integration": "owm", "payload": {}}, "/integration", "no such integration 'owm' (did you mean 'own'?)"),
        ({"alert": {}}, "/alert/title", "Field required"),
        ({"alert": {"title": "x", "severity": "bad"}}, "/alert/severity", "critical"),
        ({"alert": {"title": "x", "labels": {"a": 1}}}, "/alert/labels/a", "string"),
        ({"alert": {"title": "x"}, "at": "Someday"}, "/at", "or Sunday 03:10 (for UTC)"),
        ({"alert": {"title": "x"}, "for": "5"}, "/for", "5"),
        ({"alert": {"title": "x"}, "for": "2w"}, "/for", "longer than a week"),
        ({"alert": {"title": "x"}, "why": 1}, "/why", "Extra inputs are not permitted"),
    ],
)
async def test_a_mistake_is_told_with_its_place(client: Client, body: Any, pointer: str, said: str) -> None:
    status, found = await asked(client, body)
    assert (status, found["errors"][0]["pointer"]) == (422, pointer), found
    assert said in found["errors"][0]["detail"]


async def test_a_queue_that_is_full_is_told_to_come_back(client: Client, daemon: FakeDaemon) -> None:
    async def full(asked: Asked) -> dict[str, Any]:
        raise Refused("too many ask what would happen; ask again in a moment", status=429)

    daemon.foresight.explain = full  # type: ignore[method-assign]  # this fake is full
    assert (await asked(client, {"alert": {"title": "x"}}))[0] == 429
