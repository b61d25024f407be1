"""Maintenance, changes and related incidents over a real daemon's API; the Alertmanager API as its clients use it."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import orjson
import pytest

from tests.daemon import until
from tests.web.conftest import Client
from tests.web.real import running, system_ports
from tests.web.test_whole import CONFIGURATION, OWN
from tocsin.decide.routing.matchers import parse
from tocsin.model import HOUR, Instant, rfc3339
from tocsin.web.compat.alertmanager import MatcherShape, text_of
from tocsin.wiring import Daemon

QUIET = (
    CONFIGURATION.replace("shop: {impact: high}", "shop: {impact: high, depends_on: [db]}\n  db: {impact: high}")
    + """
maintenance:
  - {name: patching, match: ['env="prod"'], every: "00:00", for: 23h, timezone: Europe/Paris}
  - {name: move, match: ['site="x"'], from: 2030-01-05 09:00, to: 2030-01-05 10:00}
"""
)
KEY = "0123456789abcdef0123456789abcdef"


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path, QUIET, system_ports()) as daemon:
        yield daemon


@pytest.fixture
async def ana(daemon: Daemon) -> dict[str, str]:
    _, bearer = await daemon.access.create("ana", "responder", "ana")
    return {"Authorization": f"Bearer {bearer}"}


@pytest.fixture
async def viewer(daemon: Daemon) -> dict[str, str]:
    _, bearer = await daemon.access.create("wall", "viewer", None)
    return {"Authorization": f"Bearer {bearer}"}


async def got(client: Client, path: str, headers: dict[str, str]) -> Any:
    answer = await client.get(path, headers=headers)
    assert answer.status == 200, await answer.text()
    return await answer.json()


def alert(title: str, **more: Any) -> dict[str, Any]:
    return {"status": "firing", "title": title, "dedup_key": title, "severity": "critical", **more}


async def test_windows_are_listed_in_their_zone_with_what_comes_next(client: Client, ana: dict[str, str]) -> None:
    [patching, move] = (await got(client, "/v1/maintenance", ana))["maintenance"]

    assert (patching["name"], patching["matchers"], patching["timezone"]) == (
        "patching",
        ['env="prod"'],
        "Europe/Paris",
    )
    assert patching["next"]["start"][10:19] == "T00:00:00"
    assert (move["current"], move["next"]) == (None, {"start": "2030-01-05T09:00:00Z", "end": "2030-01-05T10:00:00Z"})


async def test_a_child_and_its_parent_name_each_other(client: Client, ana: dict[str, str]) -> None:
    await client.post("/v1/webhooks/own", json=alert("db down", service="db"), headers=OWN)
    await client.post("/v1/webhooks/own", json=alert("shop slow", service="shop"), headers=OWN)

    parent, child = await got(client, "/v1/incidents/1", ana), await got(client, "/v1/incidents/2", ana)

    assert child["muted_by"] == "parent:1"
    assert [(one["number"], one["kind"], one["title"]) for one in child["related"]] == [(1, "muted_by", "db down")]
    assert [(one["number"], one["kind"], one["title"]) for one in parent["related"]] == [(2, "mutes", "shop slow")]
    assert [one["now"] for one in (*child["related"], *parent["related"])] == [True, True]


async def test_a_child_that_is_free_again_is_not_said_to_wait(client: Client, ana: dict[str, str]) -> None:
    await client.post("/v1/webhooks/own", json=alert("db down", service="db"), headers=OWN)
    await client.post("/v1/webhooks/own", json=alert("shop slow", service="shop"), headers=OWN)
    await client.post("/v1/incidents/1/resolve", headers=ana)

    async def free() -> bool:
        return (await got(client, "/v1/incidents/2", ana))["muted_by"] is None

    await until(free, within=10, what="the child to be free")
    parent, child = await got(client, "/v1/incidents/1", ana), await got(client, "/v1/incidents/2", ana)

    assert [one["now"] for one in (*child["related"], *parent["related"])] == [False, False]
    pages = [await (await client.get(f"/incidents/{number}", headers=ana)).text() for number in (1, 2)]
    assert ("it waited for this one" in pages[0], "this one waited for it" in pages[1]) == (True, True)


async def test_a_change_is_kept_once_and_shown_beside_the_incidents_of_its_service(
    client: Client, ana: dict[str, str]
) -> None:
    change = {
        "routing_key": KEY,
        "payload": {"summary": "deployed shop 1.2", "source": "ci", "custom_details": {"build": "7"}},
        "links": [{"href": "https://ci.example.org/7", "text": "build 7"}],
    }
    for _ in range(2):
        assert (await client.post("/v2/change/enqueue", json=change)).status == 202
    await client.post("/v1/webhooks/own", json=alert("shop slow", service="shop"), headers=OWN)

    [kept] = (await got(client, "/v1/changes", ana))["changes"]
    assert (kept["title"], kept["source"], kept["integration"]) == ("deployed shop 1.2", "ci", "apps")
    assert kept["links"] == [{"href": "https://ci.example.org/7", "text": "build 7"}]
    assert (await got(client, "/v1/changes?service=shop", ana))["changes"] == []
    assert (await got(client, "/v1/incidents/1", ana))["changes"] == []
    assert (await client.get("/v1/changes?from=yesterday", headers=ana)).status == 400


async def test_changes_of_a_service_stand_beside_its_incidents(
    client: Client, ana: dict[str, str], daemon: Daemon, tmp_path: Path
) -> None:
    rule = "rules: [{name: ours, match: ['source=\"ci\"'], set: {service: shop}}]\n"
    (tmp_path / "tocsin.yaml").write_text(QUIET + rule)
    await daemon.reload()
    change = {"routing_key": KEY, "payload": {"summary": "deployed shop 1.2", "source": "ci"}}
    await client.post("/v2/change/enqueue", json=change)
    await client.post("/v1/webhooks/own", json=alert("shop slow", service="shop"), headers=OWN)

    assert [one["title"] for one in (await got(client, "/v1/incidents/1", ana))["changes"]] == ["deployed shop 1.2"]


# ------------------------------------------------------------------------------- Alertmanager API


def silence(**other: Any) -> dict[str, Any]:
    plain = {
        "matchers": [
            {"name": "service", "value": "gateway", "isRegex": False, "isEqual": True},
            {"name": "instance", "value": 'gw-0[12]\\..*"', "isRegex": True, "isEqual": False},
        ],
        "startsAt": "2026-01-01T00:00:00.000Z", "endsAt": "2099-01-01T00:00:00Z", "createdBy": "mira", "comment": "CHG-1182",
    }  # fmt: skip
    return {**plain, "endsAt": "2026-12-31T00:00:00Z", **other}


async def soon(daemon: Daemon, hours: int = 2) -> str:
    return rfc3339(Instant(daemon.clock.now() + hours * HOUR))


async def test_a_silence_goes_out_as_it_came_in(client: Client, ana: dict[str, str], daemon: Daemon) -> None:
    made = await client.post("/api/v2/silences", json=silence(endsAt=await soon(daemon)), headers=ana)
    id = (await made.json())["silenceID"]
    shown = await got(client, f"/api/v2/silence/{id}", ana)

    assert shown["matchers"] == silence()["matchers"]
    assert (shown["status"], shown["createdBy"], shown["comment"]) == ({"state": "active"}, "mira (ana)", "CHG-1182")
    assert shown["annotations"] == {}
    assert [one["id"] for one in await got(client, "/api/v2/silences/", ana)] == [id]
    assert await got(client, '/api/v2/silences?filter=service="other"', ana) == []
    assert len(await got(client, '/api/v2/silences?filter=service="gateway"', ana)) == 1
    assert (await got(client, "/v1/silences", ana))["silences"][0]["id"] == id


async def test_it_is_changed_under_its_id_and_expired(client: Client, ana: dict[str, str], daemon: Daemon) -> None:
    body = silence(endsAt=await soon(daemon))
    id = (await (await client.post("/api/v2/silences", json=body, headers=ana)).json())["silenceID"]
    kept = await got(client, f"/api/v2/silence/{id}", ana)
    again = {**body, "id": id, "comment": "longer", "startsAt": kept["startsAt"], "endsAt": await soon(daemon, 5)}
    assert (await (await client.post("/api/v2/silences", json=again, headers=ana)).json())["silenceID"] == id
    assert (await got(client, f"/api/v2/silence/{id}", ana))["comment"] == "longer"

    assert (await client.delete(f"/api/v2/silence/{id}", headers=ana)).status == 200
    assert (await got(client, f"/api/v2/silence/{id}", ana))["status"] == {"state": "expired"}
    assert await got(client, "/api/v2/silences?expired=false", ana) == []


@pytest.mark.parametrize(
    ("change", "status", "said"),
    [
        ({"matchers": []}, 400, "matchers"),
        ({"endsAt": "2020-01-01T00:00:00Z"}, 400, "end time can't be in the past"),
        ({"startsAt": "2098-01-01T00:00:00Z", "endsAt": "2097-01-01T00:00:00Z"}, 400, "before end time"),
        ({"endsAt": "tomorrow"}, 400, "endsAt"),
        ({"id": "unknown"}, 404, "unknown"),
        ({"matchers": [{"name": "a", "value": "(", "isRegex": True}]}, 422, "RE2"),
        ({"matchers": [{"name": "a", "value": ".*", "isRegex": True}]}, 422, "every alert"),
    ],
)
async def test_what_is_wrong_is_said_as_a_json_string(
    client: Client, ana: dict[str, str], daemon: Daemon, change: dict[str, Any], status: int, said: str
) -> None:
    answer = await client.post("/api/v2/silences", json={**silence(endsAt=await soon(daemon)), **change}, headers=ana)
    words = orjson.loads(await answer.read())
    assert (answer.status, isinstance(words, str)) == (status, True)
    assert said in words
    assert (await got(client, "/v1/silences", ana))["silences"] == []


async def test_who_may_what(client: Client, ana: dict[str, str], viewer: dict[str, str], daemon: Daemon) -> None:
    body = silence(endsAt=await soon(daemon))
    assert (await client.get("/api/v2/silences")).status == 401
    assert (await client.get("/api/v2/silences", headers=viewer)).status == 200
    assert (await client.post("/api/v2/silences", json=body, headers=viewer)).status == 403
    assert (await client.post("/api/v2/silences", json=body, headers=OWN)).status == 401
    bearer = ana["Authorization"].removeprefix("Bearer ")
    basic = {"Authorization": "Basic " + base64.b64encode(f"ana:{bearer}".encode()).decode()}
    form = await client.post(
        "/api/v2/silences", data=orjson.dumps(body), headers={**basic, "Content-Type": "text/plain"}
    )
    assert form.status == 415  # a form of anybody's page can send this, with the password a browser keeps
    assert (await client.post("/api/v2/silences", json=body, headers=basic)).status == 200


async def test_what_fires_is_listed_with_what_keeps_it_quiet(
    client: Client, ana: dict[str, str], daemon: Daemon
) -> None:
    body = silence(endsAt=await soon(daemon), matchers=[{"name": "service", "value": "desk"}])
    id = (await (await client.post("/api/v2/silences", json=body, headers=ana)).json())["silenceID"]
    for title, service in {"db down": "db", "shop slow": "shop", "desk away": "desk"}.items():
        await client.post("/v1/webhooks/own", json=alert(title, service=service), headers=OWN)

    found = {one["labels"]["alertname"]: one for one in await got(client, "/api/v2/alerts", ana)}

    assert found["desk away"]["status"]["silencedBy"] == [id]
    assert found["desk away"]["status"]["state"] == "suppressed"
    assert found["db down"]["status"]["state"] == "active"
    assert found["shop slow"]["status"]["inhibitedBy"] == ["1"]
    assert set(found["shop slow"]) == {
        "labels", "annotations", "startsAt", "endsAt", "updatedAt", "generatorURL", "fingerprint", "receivers", "status",
    }  # fmt: skip
    only = await got(client, '/api/v2/alerts?silenced=false&filter=service=~"desk|shop"', ana)
    assert [one["labels"]["service"] for one in only] == ["shop"]
    free = await got(client, "/api/v2/alerts?silenced=false&inhibited=false", ana)
    assert [one["labels"]["service"] for one in free] == ["db"]
    assert (await client.get("/api/v2/alerts?filter=%7B", headers=ana)).status == 400
    groups = await got(client, "/api/v2/alerts/groups", ana)
    assert sorted(len(group["alerts"]) for group in groups) == [1, 1, 1]


async def test_status_receivers_and_probes_are_complete(client: Client, ana: dict[str, str]) -> None:
    status = await got(client, "/api/v2/status", ana)
    assert set(status["versionInfo"]) == {"version", "revision", "branch", "buildUser", "buildDate", "goVersion"}
    assert set(status) == {"cluster", "config", "uptime", "versionInfo"}
    assert "receiver: tocsin" in status["config"]["original"]
    assert await got(client, "/api/v2/receivers", ana) == [{"name": "tocsin"}]
    for path in ("/-/healthy", "/-/ready"):
        assert (await client.get(path)).status == 200


@pytest.mark.parametrize(
    ("name", "value"), [("service", "a"), ("a-b", "x"), ('q"uote', 'v"\\n'), ("n", "line\nbreak"), ("r", "\\d+")]
)
def test_a_matcher_survives_its_way_as_text(name: str, value: str) -> None:
    for equal in (True, False):
        read = parse(text_of(MatcherShape(name=name, value=value, isEqual=equal)))
        assert (read.name, read.op, read.value) == (name, "=" if equal else "!=", value)
