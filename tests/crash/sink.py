"""A receiver of webhook pages that notes each request the moment it has been read, and answers badly on purpose."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from aiohttp import web

from tests.daemon import free_port

PageKey = tuple[int, int, int, int, str, int, str]


@dataclass(frozen=True, slots=True)
class Call:
    """One request, as it arrived. `answer` "lost": as if it never had, and the connection is cut."""

    at: float
    body: dict[str, Any]
    answer: str

    @property
    def incident(self) -> int:
        return int(self.body["incident"]["number"])

    @property
    def key(self) -> PageKey:
        """The page key of the design: what must not be called more than twice."""
        body = self.body
        return (self.incident, body["cycle"], body["round"], body["step"], body["user"], body["rule"], body["channel"])

    @property
    def refused(self) -> bool:
        """The answer said that nothing was delivered."""
        return self.answer in {"429", "422"}


@dataclass
class Sink:
    """Listens on 127.0.0.1. `moods` are the answers it draws from, with their weights."""

    seed: int
    moods: dict[str, int] = field(
        default_factory=lambda: {"200": 64, "slow": 12, "500": 6, "429": 5, "reset": 5, "lost": 8}
    )
    calls: list[Call] = field(default_factory=list)
    on_call: Callable[[str], None] = lambda mood: None  # told before any answer, with the answer to come
    port: int = field(default_factory=free_port)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._runner: web.AppRunner | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/page"

    async def __aenter__(self) -> Sink:
        app = web.Application()
        app.router.add_post("/page", self._page)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", self.port).start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _page(self, request: web.Request) -> web.StreamResponse:
        body = orjson.loads(await request.read())
        mood = self._chance.choices(list(self.moods), list(self.moods.values()))[0]
        self.calls.append(Call(time.monotonic(), body, mood))
        self.on_call(mood)
        match mood:
            case "slow":
                await asyncio.sleep(self._chance.uniform(0.005, 0.15))
            case "reset" | "lost":
                assert request.transport is not None
                request.transport.abort()
            case "429":
                return web.Response(status=429, headers={"Retry-After": "1"})
            case "422" | "500":
                return web.Response(status=int(mood))
        return web.Response(status=200)

    # ------------------------------------------------------------------------ what it can tell

    def told(self) -> set[tuple[int, str]]:
        """(incident, user) where something arrived that was not lost on the way."""
        return {(call.incident, call.body["user"]) for call in self.calls if call.answer != "lost"}

    def too_often(self) -> Iterator[tuple[PageKey, list[Call]]]:
        """Page keys with more than two calls that may have been delivered."""
        counts = Counter(call.key for call in self.calls if not call.refused)
        for key, count in counts.items():
            if count > 2:
                yield key, [call for call in self.calls if call.key == key]
