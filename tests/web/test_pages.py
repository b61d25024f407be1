"""Pages for people: readable without script, honest, and without effect until a button is pressed."""

from __future__ import annotations

import base64
import re
from dataclasses import replace
from datetime import datetime
from zoneinfo import ZoneInfo

import pytest

from tests.web import fakes
from tests.web.conftest import Client
from tests.web.fakes import INCIDENT, NOW, FakeDaemon, FakeView
from tocsin.errors import StoreUnavailable
from tocsin.model import Server

PASSWORD = {"Authorization": "Basic " + base64.b64encode(b"anybody:viewer-token").decode()}
PAGES = ["/", "/incidents/42", "/docs", "/a/good"]


# ------------------------------------------------------------------------------- the one-tap page


@pytest.mark.parametrize("method", ["GET", "HEAD", "OPTIONS"])
async def test_looking_at_a_link_acknowledges_nothing(client: Client, daemon: FakeDaemon, method: str) -> None:
    answer = await client.request(method, "/a/good?action=acknowledge")

    assert answer.status in (200, 204)
    assert daemon.answers.heard == []


async def test_a_link_shows_the_incident_and_one_button(client: Client) -> None:
    text = await (await client.get("/a/good")).text()

    assert "INC 42" in text
    assert '<form method="post">' in text
    assert ">Acknowledge</button>" in text
    assert "For Ana Pires" in text


async def test_pressing_the_button_acknowledges_and_says_so(client: Client, daemon: FakeDaemon) -> None:
    answer = await client.post("/a/good")

    text = await answer.text()
    assert answer.status == 200
    assert daemon.answers.heard == [("press", "good", "acknowledge")]
    assert "INC 42 acknowledged by you. Paging stopped." in text
    assert "<form" not in text


@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_a_bad_link_reads_the_same_for_every_reason(client: Client, daemon: FakeDaemon, method: str) -> None:
    answers = [await client.request(method, f"/a/{token}") for token in ("bad", "x" * 2000, "%00", "good%20")]

    assert [answer.status for answer in answers] == [404] * 4
    assert len({await answer.text() for answer in answers}) == 1
    assert daemon.answers.heard == []


async def test_a_link_leaves_no_trace_in_caches_and_referrers(client: Client) -> None:
    for answer in (await client.get("/a/good"), await client.post("/a/good"), await client.get("/a/bad")):
        assert answer.headers["Referrer-Policy"] == "no-referrer"
        assert answer.headers["Cache-Control"] == "no-store"


async def test_a_press_that_cannot_be_stored_says_that_nothing_changed(client: Client, daemon: FakeDaemon) -> None:
    async def silent(token: str, action: str = "") -> FakeView | None:
        raise StoreUnavailable("down")

    daemon.answers.press = silent  # type: ignore[method-assign]  # its database is down

    answer = await client.post("/a/good")

    assert answer.status == 503
    assert "Nothing was changed" in await answer.text()


# ------------------------------------------------------------------------------------ every page


@pytest.mark.parametrize("path", PAGES)
async def test_no_page_has_a_script_or_anything_from_elsewhere(client: Client, path: str) -> None:
    answer = await client.get(path, headers=PASSWORD)

    text = (await answer.text()).lower()
    assert answer.status == 200
    assert "<script" not in text
    assert "javascript:" not in text
    assert not re.search(r"\son\w+=", text)
    assert not re.search(r"<style|\sstyle=", text)
    assert not re.search(r"""(src|href|action)=["'](https?:)?//""", text)


@pytest.mark.parametrize("path", [*PAGES, "/a/bad"])
async def test_every_page_carries_its_security_headers(client: Client, path: str) -> None:
    headers = (await client.get(path, headers=PASSWORD)).headers

    policy = headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "script-src" not in policy
    assert "frame-ancestors 'none'" in policy
    assert "form-action 'self'" in policy
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Server"] == "tocsin"


@pytest.mark.parametrize("path", ["/", "/incidents/42", "/a/good"])
async def test_text_of_an_alert_is_shown_as_text(client: Client, path: str) -> None:
    text = await (await client.get(path, headers=PASSWORD)).text()

    assert "The &lt;b&gt;database&lt;/b&gt; is down" in text


async def test_the_style_comes_from_the_package(client: Client) -> None:
    answer = await client.get("/static/tocsin.css")

    assert answer.status == 200
    assert answer.content_type == "text/css"
    assert "prefers-color-scheme: dark" in await answer.text()


async def test_the_first_page_tells_who_is_on_call_and_what_is_open(client: Client) -> None:
    text = await (await client.get("/", headers=PASSWORD)).text()

    assert "3 open incidents" in text
    assert "INC 42" in text
    assert "Ana Pires" in text
    assert "ready" in text


# ------------------------------------------------------------------------------------ who may look


@pytest.mark.parametrize("path", ["/", "/incidents/42"])
async def test_a_browser_is_asked_for_a_token(client: Client, path: str) -> None:
    answer = await client.get(path)

    assert answer.status == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize(
    ("listens_on", "headers", "status"),
    [
        ("127.0.0.1", {}, 200),
        ("127.0.0.1", {"Host": "localhost:8420"}, 200),
        ("127.0.0.1", {"Host": "[::1]:8420"}, 200),
        ("0.0.0.0", {}, 401),  # the point of this row
        ("127.0.0.1", {"Host": "rebound.example"}, 401),
        ("127.0.0.1", {"X-Forwarded-For": "192.0.2.1"}, 401),
        ("127.0.0.1", {"Forwarded": "for=192.0.2.1"}, 401),
        ("127.0.0.1", {"X-Real-IP": "192.0.2.1"}, 401),
        ("127.0.0.1", {"Via": "1.1 proxy"}, 401),
        ("127.0.0.1 https://tocsin.example.org", {}, 401),  # a proxy that says nothing about itself
        ("127.0.0.1 http://127.0.0.1:8420", {}, 200),
    ],
)
async def test_the_machine_itself_may_look_without_a_token(
    client: Client, daemon: FakeDaemon, listens_on: str, headers: dict[str, str], status: int
) -> None:
    host, _, public_url = listens_on.partition(" ")
    daemon.with_settings(server=Server(host=host, public_url=public_url or None))

    answer = await client.get("/", headers=headers)

    assert answer.status == status


async def test_the_manual_shows_code_as_code(client: Client) -> None:
    text = await (await client.get("/docs")).text()

    assert "`" not in text
    assert "<code>Authorization: Bearer TOKEN</code>" in text


async def test_the_manual_is_open(client: Client) -> None:
    assert (await client.get("/docs")).status == 200
    assert (await client.get("/v1/openapi.json")).status == 200


# ------------------------------------------------------------------------------- what a tired person reads


async def test_what_was_acknowledged_and_pages_again_is_shown_as_nobodys(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    again = replace(INCIDENT, acknowledged_by="ana", due_kind="step", due_at=NOW)
    monkeypatch.setattr(fakes, "INCIDENT", again)

    first, own = [await (await client.get(page, headers=PASSWORD)).text() for page in ("/", "/incidents/42")]

    assert "has it" not in first
    assert "next page" in first
    assert ("<dt>Has it</dt>" in own, "<dt>Had it</dt>" in own) == (False, True)


async def test_times_are_those_of_a_clock_on_the_wall(client: Client, daemon: FakeDaemon) -> None:
    settings = daemon.live.settings
    for page, zone in (("/", settings.defaults.timezone), ("/a/good", settings.users["ana"].timezone)):
        text = await (await client.get(page, headers=PASSWORD)).text()

        at, shown = re.findall(r'<time datetime="([^"]+)">([^<]+)</time>', text)[0]
        assert shown == datetime.fromisoformat(at).astimezone(ZoneInfo(zone)).strftime("%Y-%m-%d %H:%M:%S %Z")
