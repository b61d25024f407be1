"""An unknown outcome of a channel that confirms by lookup is looked up before the second attempt, whatever happens."""

from __future__ import annotations

import asyncio
import os
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import orjson
import pytest
from aiohttp import web

from tests.crash import asked_channel
from tests.daemon import Daemon, free_port, until

CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [user:ana]
defaults: {policy: default}
integrations: {shop: {type: webhook, token: lookup-token}}
channels: {asked: {type: asked, url: "{provider}"}}
users: {ana: {name: Ana, timezone: UTC, contacts: {asked: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 2h}], repeat: 0}}
"""
BOUND = 20.0  # after which an unknown outcome is looked up no longer
SLACK = 3.0

Mood = Literal["answers", "cuts", "hangs", "loses"]


@dataclass
class Provider:
    """Takes messages and can be asked for them. `sends`, `asks`: how it behaves; "loses" keeps nothing and cuts."""

    sends: Mood = "cuts"
    asks: Mood = "answers"
    sent: list[tuple[float, str, str]] = field(default_factory=list)  # when, attempt, page
    asked: Counter[str] = field(default_factory=Counter)
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._runner: web.AppRunner | None = None
        self._kept: set[str] = set()
        self._end = asyncio.Event()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def __aenter__(self) -> Provider:
        app = web.Application()
        app.router.add_post("/page", self._page)
        app.router.add_get("/attempts/{id}", self._attempt)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        self._end.set()
        await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        self.sent.append((time.monotonic(), body["attempt"], body["page"]))
        if self.sends != "loses":
            self._kept.add(body["attempt"])
        return await self._as(self.sends, request)

    async def _attempt(self, request: web.Request) -> web.StreamResponse:
        attempt = request.match_info["id"]
        self.asked[attempt] += 1
        return await self._as(self.asks, request, 200 if attempt in self._kept else 404)

    async def _as(self, mood: Mood, request: web.Request, status: int = 200) -> web.StreamResponse:
        match mood:
            case "hangs":
                await self._end.wait()
            case "cuts" | "loses":
                assert request.transport is not None
                request.transport.abort()
        return web.Response(status=status)


def daemon_of(provider: Provider, folder: Path) -> Daemon:
    plugins = asked_channel.install(folder / "plugins")
    path = os.pathsep.join([str(plugins), str(asked_channel.REPOSITORY)])
    return Daemon(folder / "daemon", CONFIGURATION.replace("{provider}", provider.url), env={"PYTHONPATH": path})


async def trouble(daemon: Daemon) -> None:
    await daemon.post(
        "/v1/webhooks/shop", {"title": "db down", "dedup_key": "db", "severity": "critical"}, bearer="lookup-token"
    )


async def fate(daemon: Daemon) -> tuple[str, list[str]]:
    """The outcomes of the page and of its attempts."""
    pages = (await daemon.get("/v1/incidents/1/pages"))["pages"]
    return pages[0]["outcome"], [attempt["outcome"] for attempt in pages[0]["attempts"]]


async def test_what_was_cut_off_but_got_through_is_looked_up_and_not_sent_again(tmp_path: Path) -> None:
    async with Provider(sends="cuts") as provider, daemon_of(provider, tmp_path) as daemon:
        await daemon.token()
        await trouble(daemon)

        await until(lambda: provider.asked, within=10, what="a look-up")
        await until(lambda: _is(daemon, "accepted", ["accepted"]), within=10, what="the page to be done")
        await asyncio.sleep(1.0)

        assert len(provider.sent) == 1
        assert list(provider.asked) == [provider.sent[0][1]]


async def test_what_never_got_there_is_sent_again_as_soon_as_the_provider_says_so(tmp_path: Path) -> None:
    async with Provider(sends="loses") as provider, daemon_of(provider, tmp_path) as daemon:
        await daemon.token()
        await trouble(daemon)
        await until(lambda: provider.asked, within=10, what="a look-up")
        provider.sends = "answers"

        await until(lambda: len(provider.sent) == 2, within=5 + SLACK, what="the second attempt")
        await until(lambda: _is(daemon, "accepted", ["failed", "accepted"]), within=5, what="the page to be done")


@pytest.mark.parametrize("kept", [True, False])
async def test_a_call_that_a_kill_cut_off_is_looked_up_by_the_next_process(kept: bool, tmp_path: Path) -> None:
    async with Provider(sends="hangs") as provider, daemon_of(provider, tmp_path) as daemon:
        await daemon.token()
        await trouble(daemon)
        await until(lambda: provider.sent, within=10, what="the call")
        await daemon.kill()
        assert not provider.asked
        provider.sends = "answers"
        if not kept:
            provider._kept.clear()

        await daemon.start()
        await until(lambda: provider.asked, within=10, what="a look-up by the next process")

        if kept:
            await until(lambda: _is(daemon, "accepted", ["accepted"]), within=5, what="the page to be done")
            assert len(provider.sent) == 1
        else:
            await until(lambda: len(provider.sent) == 2, within=5 + SLACK, what="the second attempt")
        assert len({page for _, _, page in provider.sent}) == 1


@pytest.mark.parametrize("asks", ["hangs", "cuts"])
async def test_a_provider_that_cannot_be_asked_delays_the_second_attempt_no_longer_than_promised(
    asks: Mood, tmp_path: Path
) -> None:
    async with Provider(sends="cuts", asks=asks) as provider, daemon_of(provider, tmp_path) as daemon:
        await daemon.token()
        await trouble(daemon)

        await until(lambda: len(provider.sent) == 2, within=BOUND + 2 * SLACK, what="the second attempt")

        (first, attempt, _), (second, _, _) = provider.sent
        assert provider.asked[attempt] > 1
        assert second - first <= BOUND + SLACK


async def _is(daemon: Daemon, status: str, states: list[str]) -> bool:
    return await fate(daemon) == (status, states)
