"""The doors of a real daemon: an alert comes in, a page goes out, an answer stops it; all of it over HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.daemon import until
from tests.web.conftest import Client
from tests.web.real import running, system_ports
from tocsin.model import HOUR
from tocsin.model.civil import set_ahead
from tocsin.web.ingest.webhooks import HUGE, LARGE
from tocsin.wiring import Daemon

CONFIGURATION = """
server: {listen: 127.0.0.1:0, public_url: "https://tocsin.larkspur.example"}
database: {url: "sqlite:tocsin.db"}
defaults: {timezone: UTC, policy: default}
catch_all: [user:ana]
integrations:
  own: {type: webhook, token: own-token}
  prometheus: {type: alertmanager, token: prom-token}
  apps: {type: pagerduty, routing_key: 0123456789abcdef0123456789abcdef}
channels:
  terminal: {type: console}
users:
  ana: {name: Ana Pires, timezone: UTC, contacts: {terminal: Ana}}
  bo: {name: Bo Lund, timezone: UTC, contacts: {terminal: Bo}}
schedules:
  primary: {timezone: Europe/Paris, layers: [{name: week, users: [ana], rotation: {every: 1w, start: 2026-01-05 09:00}}]}
policies:
  default: {steps: [{notify: [schedule:primary], wait: 5m}]}
services:
  shop: {impact: high}
"""
ALERT = {"status": "firing", "title": "db <down>", "dedup_key": "db", "service": "shop", "severity": "critical"}
OWN = {"Authorization": "Bearer own-token"}


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
async def daemon(tmp_path: Path, shown: list[str]) -> AsyncIterator[Daemon]:
    async with running(tmp_path, CONFIGURATION, system_ports(shown.append)) as daemon:
        yield daemon


@pytest.fixture
async def ana(daemon: Daemon) -> dict[str, str]:
    _, bearer = await daemon.access.create("ana", "responder", "ana")
    return {"Authorization": f"Bearer {bearer}"}


async def called(client: Client, number: int, headers: dict[str, str]) -> None:
    """Wait until the outcome of the incident's page is kept; it is on the terminal a moment before."""

    async def kept() -> bool:
        pages = await (await client.get(f"/v1/incidents/{number}/pages", headers=headers)).json()
        return all(page["outcome"] == "accepted" for page in pages["pages"])

    await until(kept, within=10, what="the outcome of the page")


async def test_an_alert_pages_and_an_acknowledgement_stops_it(
    client: Client, ana: dict[str, str], shown: list[str]
) -> None:
    posted = await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)
    [number] = (await posted.json())["incidents"]
    await until(lambda: shown, within=10, what="the page on the terminal")
    await called(client, number, ana)

    acted = await client.post(f"/v1/incidents/{number}/acknowledge", headers=ana)
    incident = await (await client.get(f"/v1/incidents/{number}", headers=ana)).json()
    timeline = await (await client.get(f"/v1/incidents/{number}/timeline", headers=ana)).json()
    pages = await (await client.get(f"/v1/incidents/{number}/pages", headers=ana)).json()

    assert posted.status == 202
    assert acted.status == 200
    assert (incident["status"], incident["acknowledged_by"], incident["next_page_at"]) == ("acknowledged", "ana", None)
    kinds = [entry["kind"] for entry in timeline["entries"]]
    assert kinds[0] == "opened"
    assert "acknowledged" in kinds
    assert [(page["user"], page["outcome"]) for page in pages["pages"]] == [("ana", "accepted")]
    [attempt] = [entry for entry in timeline["entries"] if entry["kind"] == "attempt"]
    assert (attempt["channel"], attempt["because"]) == (pages["pages"][0]["channel"], "accepted for ana")


async def test_a_viewer_sees_nothing_a_callback_could_be_made_of(
    client: Client, daemon: Daemon, ana: dict[str, str], shown: list[str]
) -> None:
    _, bearer = await daemon.access.create("eve", "viewer", None)
    posted = await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)
    [number] = (await posted.json())["incidents"]
    await until(lambda: shown, within=10, what="the page on the terminal")
    await called(client, number, ana)
    await client.post(f"/v1/incidents/{number}/acknowledge", headers=ana)
    [(page, [attempt])] = await daemon.store.pages(number)
    hidden = {page.id, page.id[:8], attempt.id, attempt.id[:8], attempt.ref, attempt.address}

    for path in ("/pages", "/timeline"):
        for_ana = await (await client.get(f"/v1/incidents/{number}{path}", headers=ana)).text()
        for_eve = await client.get(f"/v1/incidents/{number}{path}", headers={"Authorization": f"Bearer {bearer}"})
        told = await for_eve.text()
        assert attempt.id in for_ana
        assert attempt.id[-8:] in told
        assert not [one for one in hidden if f'"{one}"' in told or (len(one) >= 8 and one in told)]
    in_browser = await (await client.get(f"/incidents/{number}")).text()
    assert attempt.id not in in_browser


async def test_a_link_of_a_page_shows_on_get_and_acknowledges_on_post(
    client: Client, ana: dict[str, str], shown: list[str]
) -> None:
    await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)
    await until(lambda: shown, within=10, what="the page on the terminal")
    found = re.search(r"https://tocsin\.larkspur\.example(/a/\S+)", shown[0])
    assert found is not None

    for _ in range(3):
        looked = await client.get(found[1])
        assert ">Acknowledge</button>" in await looked.text()
    before = await (await client.get("/v1/incidents?status=triggered", headers=ana)).json()
    pressed = await (await client.post(found[1])).text()
    again = await (await client.post(found[1])).text()
    after = await (await client.get("/v1/incidents?status=acknowledged", headers=ana)).json()

    assert len(before["incidents"]) == 1
    assert "acknowledged by you" in pressed
    assert "<button" not in again
    assert [one["acknowledged_by"] for one in after["incidents"]] == ["ana"]


async def test_every_way_to_act_reaches_the_daemon(client: Client, ana: dict[str, str]) -> None:
    made = await (await client.post("/v1/incidents", json={"title": "smoke", "service": "shop"}, headers=ana)).json()
    path = f"/v1/incidents/{made['number']}"
    story = [
        ("notes", {"text": "looking"}, "triggered"),
        ("page", {"user": "bo"}, "triggered"),
        ("escalate", {}, "triggered"),
        ("acknowledge", {}, "acknowledged"),
        ("snooze", {"for": "30m"}, "acknowledged"),
        ("unacknowledge", {}, "triggered"),
        ("resolve", {}, "resolved"),
        ("close", {}, "closed"),
    ]

    for action, body, status in story:
        answer = await client.post(f"{path}/{action}", json=body, headers=ana)
        document = await answer.json()
        assert (action, answer.status, document["status"]) == (action, 200, status)
        assert document["said"]
    late = await client.post(f"{path}/cancel", headers=ana)

    assert late.status in (200, 409)
    assert (await (await client.get(path, headers=ana)).json())["status"] == "closed"


async def test_a_silence_mutes_and_its_end_is_shown(client: Client, ana: dict[str, str]) -> None:
    body = {"matchers": ['service="shop"'], "for": "2h", "comment": "patching"}
    made = await client.post("/v1/silences", json=body, headers=ana)
    await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)
    [muted] = (await (await client.get("/v1/incidents?status=open", headers=ana)).json())["incidents"]
    ended = await client.delete(made.headers["Location"], headers=ana)
    [alert] = (await (await client.get(f"/v1/incidents/{muted['number']}/alerts", headers=ana)).json())["alerts"]

    assert muted["muted_by"]
    assert (await ended.json())["state"] == "expired"
    assert (alert["dedup_key"], alert["status"]) == ("db", "firing")


async def test_a_pagerduty_event_is_triggered_and_resolved(client: Client, ana: dict[str, str]) -> None:
    event = {
        "routing_key": "0123456789abcdef0123456789abcdef",
        "event_action": "trigger",
        "payload": {"summary": "pool exhausted", "source": "db-02", "severity": "critical"},
    }
    minted = (await (await client.post("/v2/enqueue", json=event)).json())["dedup_key"]
    resolve = {"routing_key": event["routing_key"], "event_action": "resolve", "dedup_key": minted}
    answer = await client.post("/v2/enqueue", json=resolve)
    [incident] = (await (await client.get("/v1/incidents", headers=ana)).json())["incidents"]

    assert answer.status == 202
    assert (incident["title"], incident["status"]) == ("pool exhausted", "resolved")


async def test_refused_posts_become_an_incident_of_their_own(client: Client, ana: dict[str, str]) -> None:
    for _ in range(3):
        await client.post("/v1/webhooks/own", data=b"{", headers=OWN)

    async def opened() -> Any:
        return (await (await client.get("/v1/incidents?status=open", headers=ana)).json())["incidents"]

    [incident] = await until(opened, within=10, what="the alarm's incident")
    assert "own" in incident["title"]


HOSTILE = [
    b'{"title": "\\ud800", "dedup_key": "\\udfff\\u0000", "labels": {"\\u0000": "\\ud800"}}',
    b'{"title": "x", "dedup_key": "' + b"k" * 100_000 + b'"}',
    b'{"title": "' + b"\xf0\x9f\x91\xa9\xe2\x80\x8d" * 2_000 + b'"}',
    b'{"title": "x", "labels": {' + b",".join(b'"l%d": "v"' % n for n in range(5_000)) + b"}}",
    b'{"title": "x", "service": "\\u202e\\u0000", "severity": "CRITICAL!!"}',
    b'{"title": "x", "started_at": "0001-01-01T00:00:00Z", "ended_at": "9999-12-31T23:59:59Z"}',
    b'{"title": "x", "links": [{"href": "javascript:alert(1)"}, 7, null]}',
    b'{"title": "x", "description": "' + b"d" * 1_000_000 + b'"}',
]


@pytest.mark.parametrize("size", [100, LARGE, HUGE])
async def test_a_post_of_any_size_is_read_in_civil_time_after_a_step(
    client: Client, ana: dict[str, str], size: int
) -> None:
    set_ahead(HOUR)
    body = {**ALERT, "started_at": "2026-11-20T04:14:07Z", "description": "x" * size}

    [number] = (await (await client.post("/v1/webhooks/own", json=body, headers=OWN)).json())["incidents"]

    [alert] = (await (await client.get(f"/v1/incidents/{number}/alerts", headers=ana)).json())["alerts"]
    assert alert["started_at"] == "2026-11-20T04:14:07Z"


@pytest.mark.parametrize("body", HOSTILE, ids=range(len(HOSTILE)))
async def test_odd_alerts_go_through_the_whole_daemon_or_are_refused(
    client: Client, ana: dict[str, str], body: bytes
) -> None:
    answer = await client.post("/v1/webhooks/own", data=body, headers=OWN)
    good = await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)

    assert answer.status == 202 or 400 <= answer.status < 500
    assert good.status == 202
    for path in ("/v1/incidents", "/v1/alerts", "/v1/incidents?q=x"):
        assert (await client.get(path, headers=ana)).status == 200


@pytest.mark.parametrize("q", ["%", "_", "'", '"', "\\", "💥", "x" * 3_000, "a\u0301", "%%%", "(", "*"])
async def test_any_text_may_be_searched_for(client: Client, ana: dict[str, str], q: str) -> None:
    answer = await client.get("/v1/incidents", params={"q": q, "service": q}, headers=ana)

    assert answer.status == 200


async def test_the_pages_of_a_real_daemon_are_whole(client: Client, ana: dict[str, str], shown: list[str]) -> None:
    posted = await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)
    [number] = (await posted.json())["incidents"]
    await until(lambda: shown, within=10, what="the page on the terminal")

    first = await (await client.get("/", headers=ana)).text()
    one = await (await client.get(f"/incidents/{number}", headers=ana)).text()
    ready = await client.get("/readyz")
    metrics = await (await client.get("/metrics")).text()

    assert "db &lt;down&gt;" in first
    assert "Ana Pires" in first
    assert "ready" in first
    assert "accepted" in one
    assert ready.status == 200
    assert 'tocsin_alerts_received_total{integration="own",status="firing"} 1.0' in metrics


async def test_a_reload_over_http_opens_a_new_door(client: Client, daemon: Daemon, tmp_path: Path) -> None:
    _, bearer = await daemon.access.create("admin", "admin", "ana")
    main = tmp_path / "tocsin.yaml"
    main.write_text(CONFIGURATION.replace("  apps:", "  new: {type: webhook, token: new-token}\n  apps:"))

    reloaded = await client.post("/v1/reload", headers={"Authorization": f"Bearer {bearer}"})
    posted = await client.post("/v1/webhooks/new?token=new-token", json=ALERT)

    assert reloaded.status == 200
    assert posted.status == 202


@pytest.mark.shouts
async def test_a_mistaken_configuration_changes_nothing_and_names_the_line(
    client: Client, daemon: Daemon, tmp_path: Path
) -> None:
    _, bearer = await daemon.access.create("admin", "admin", "ana")
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION.replace("schedule:primary", "schedule:primry"))

    refused = await client.post("/v1/reload", headers={"Authorization": f"Bearer {bearer}"})
    posted = await client.post("/v1/webhooks/own", json=ALERT, headers=OWN)

    assert refused.status == 422
    assert "tocsin.yaml:" in (await refused.json())["errors"][0]["detail"]
    assert posted.status == 202


async def test_a_contact_is_proven_by_the_code_that_the_terminal_shows(
    client: Client, ana: dict[str, str], shown: list[str]
) -> None:
    contact = "/v1/users/ana/contacts/terminal"
    sent = await (await client.post(f"{contact}/verify", headers=ana)).json()
    await until(lambda: shown, within=10, what="the code on the terminal")
    [code] = set(re.findall(r"\b\d{6}\b", shown[-1]))

    wrong = await client.post(f"{contact}/confirm", json={"code": "x"}, headers=ana)
    right = await client.post(f"{contact}/confirm", json={"code": code}, headers=ana)
    carried = await (await client.get(f"/v1/users/ana/pages/{sent['page']}", params={"wait": "5s"}, headers=ana)).json()

    assert (wrong.status, right.status) == (422, 200)
    assert (await right.json())["said"] == "terminal of ana is verified."
    assert (carried["kind"], carried["outcome"], carried["settled"]) == ("code", "accepted", True)
    assert code not in str(carried)


async def test_a_test_page_is_shown_and_its_fate_is_answered(
    client: Client, ana: dict[str, str], shown: list[str]
) -> None:
    [page] = (await (await client.post("/v1/users/ana/test-page", headers=ana)).json())["pages"]

    found = await (await client.get(f"/v1/users/ana/pages/{page['page']}", params={"wait": "10s"}, headers=ana)).json()

    assert (found["outcome"], found["arrived"], found["settled"]) == ("accepted", True, True)
    assert "TEST page of Tocsin for Ana Pires over terminal." in shown[-1]


async def test_each_alert_says_why_it_is_where_it_is(client: Client, daemon: Daemon, ana: dict[str, str]) -> None:
    daemon.loaded.main.write_text(
        CONFIGURATION
        + """
rules:
  - {name: staging, match: ['env="staging"'], suppress: true, stop: true}
  - {name: tests, match: ['env="test"'], drop: true}
  - {name: logins, match: ['kind="login"'], threshold: {count: 2, within: 5m}, stop: true}
  - {name: patience, match: ['env=""'], hold: 5m}
"""
    )
    await daemon.reload()
    for key, labels in (("a", {"env": "staging"}), ("b", {"env": "test"}), ("c", {"kind": "login"}), ("d", {})):
        await client.post("/v1/webhooks/own", json={**ALERT, "dedup_key": key, "labels": labels}, headers=OWN)

    found = await (await client.get("/v1/alerts", headers=ana)).json()
    dropped = await (await client.get("/v1/alerts?status=dropped", headers=ana)).json()
    suppressed = await (await client.get("/v1/alerts?status=suppressed", headers=ana)).json()

    because = {alert["dedup_key"]: alert["because"] for alert in found["alerts"]}
    assert because["a"] == "rule 'staging' keeps it without an incident"
    assert because["b"] == "rule 'tests' drops it"
    assert because["c"] == "rule 'logins': 1 of 2 firings within 5m, so no incident yet"
    assert re.fullmatch(r"rule 'patience': held, nobody was paged for it before \S+; no rule groups it", because["d"])
    assert [alert["dedup_key"] for alert in dropped["alerts"]] == ["b"]
    assert [alert["dedup_key"] for alert in suppressed["alerts"]] == ["c", "a"]


@pytest.mark.parametrize(
    ("service", "said"),
    [("shp", " No service 'shp' is configured (did you mean 'shop'?)."), ("shop", ""), ("warehouse", ""), (None, "")],
)
async def test_a_service_by_hand_that_is_nearly_one_is_asked_about_and_pages(
    client: Client, daemon: Daemon, service: str | None, said: str
) -> None:
    headers = {"Authorization": f"Bearer {(await daemon.access.create('ana', 'responder', 'ana'))[1]}"}
    body = {"title": "x", **({"service": service} if service else {})}
    answer = await client.post("/v1/incidents", json=body, headers=headers)
    opened = await answer.json()
    assert (answer.status, opened["service"]) == (201, service)
    assert opened["said"].endswith(said)
    assert ("is configured" in opened["said"]) == bool(said)
