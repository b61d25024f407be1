"""The page of silences: made and ended by forms without script; what is wrong is said and nothing of it is lost."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.web.conftest import Client
from tests.web.real import running
from tests.web.test_muting import QUIET
from tests.web.test_schedules import basic, form_of, token
from tests.web.test_whole import OWN
from tocsin.model import HOUR, Actor
from tocsin.wiring import Daemon

LOUD = {"matchers": 'env="staging"\nteam=~"<shop>.*"', "for": "2h", "comment": "<load test>"}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(tmp_path, QUIET.replace(', public_url: "https://tocsin.larkspur.example"', "")) as daemon:
        yield daemon


async def signed_in(client: Client, daemon: Daemon, **whose: Any) -> str:
    await client.post("/login", data={"token": await token(daemon, **whose), "next": "/"}, allow_redirects=False)
    return form_of(await (await client.get("/silences")).text())


async def test_a_silence_is_made_and_ended_by_forms(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    made = await client.post("/silences", data={"form": form, **LOUD}, allow_redirects=False)
    [silence] = await daemon.silences.list(True)
    page = await (await client.get("/silences")).text()

    assert (made.status, made.headers["Location"]) == (303, "/silences")
    assert (silence.matchers, silence.author) == (('env="staging"', 'team=~"<shop>.*"'), "ana")
    assert silence.ends_at - silence.starts_at == 2 * HOUR
    assert "by Ana Pires: &lt;load test&gt;" in page
    assert "team=~&#34;&lt;shop&gt;.*&#34;" in page
    assert "<script" not in page

    ended = await client.post(f"/silences/{silence.id}/expire", data={"form": form}, allow_redirects=False)
    assert ended.status == 303
    assert await daemon.silences.list(True) == []
    assert "Nothing is silenced" in await (await client.get("/silences")).text()


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"matchers": "env"}, "no matcher"),
        ({"matchers": 'env=~".*"'}, "every alert"),
        ({"matchers": ""}, "one to 64 matchers"),
        ({"for": "5 mins"}, "5 mins"),
        ({"for": ""}, "for:"),
        ({"to": "2020-01-01T10:00"}, "must end after it starts"),
        ({"from": "soon"}, "local times"),
    ],
)
async def test_what_is_wrong_is_said_and_nothing_is_lost(
    client: Client, daemon: Daemon, fields: dict[str, str], said: str
) -> None:
    form = await signed_in(client, daemon)
    answer = await client.post("/silences", data={"form": form, **LOUD, **fields}, allow_redirects=False)
    text = await answer.text()

    assert answer.status == 422
    assert said in re.sub("&#3[49];", '"', text)
    assert "&lt;load test&gt;" in text
    assert await daemon.silences.list(False) == []


async def test_only_a_form_of_ours_by_somebody_who_may(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    other = {"Origin": "https://evil.example"}
    assert (await client.post("/silences", data={"form": form, **LOUD}, headers=other)).status == 403
    assert (await client.post("/silences", data=LOUD)).status == 403
    client.session.cookie_jar.clear()
    bearer = await token(daemon, name="second")
    assert (await client.post("/silences", data={"form": form, **LOUD}, headers=basic(bearer))).status == 401
    viewer = await signed_in(client, daemon, role="viewer", name="third")
    assert viewer == ""
    assert await daemon.silences.list(False) == []


async def test_windows_stand_on_both_pages_and_relations_on_an_incidents(client: Client, daemon: Daemon) -> None:
    await signed_in(client, daemon)
    alert = {"status": "firing", "severity": "critical"}
    for title, service in (("db down", "db"), ("shop slow", "shop")):
        body = {**alert, "title": title, "dedup_key": title, "service": service}
        await client.post("/v1/webhooks/own", json=body, headers=OWN)

    for path in ("/", "/silences"):
        text = await (await client.get(path)).text()
        assert "patching" in text
        assert "Sat 05 Jan 2030 09:00 until Sat 05 Jan 2030 10:00, UTC" in text
    child, parent = await (await client.get("/incidents/2")).text(), await (await client.get("/incidents/1")).text()
    assert "this one waits until it is over" in child
    assert "<dd>parent:1</dd>" in child
    assert "it waits until this one is over" in parent


async def test_who_is_signed_in_is_not_asked_to_sign_in_on_any_page(client: Client, daemon: Daemon) -> None:
    form = await signed_in(client, daemon)
    await daemon.actions.trigger("disk full", Actor("user", "ana"), "web")
    pages = ["/", "/incidents/1", "/schedules", "/silences", "/login"]

    texts = {path: await (await client.get(path)).text() for path in pages}
    refused = await client.post("/silences", data={"form": form, "matchers": "env"})
    texts["refused"] = await refused.text()
    for path, fields in (
        ("/silences", {"form": "older"}),
        ("/silences/none/expire", {"form": form}),
        ("/schedules/none/overrides", {"form": form}),
    ):
        texts[f"refused {path}"] = await (await client.post(path, data=fields)).text()

    assert [path for path, text in texts.items() if ">Sign in<" in text or ">ana<" not in text] == []
