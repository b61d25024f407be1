"""Turns of requests that only read: few at once, a few of each sender, and none in one piece on the loop.

What can be long (two years of shifts, a page with a thousand lines, every alert that fires) is made in a thread or in
slices. Who reads may wait for the others who read, and never makes a page wait.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import ParamSpec, TypeVar

import orjson
from aiohttp import hdrs, web

from tocsin.contracts import Clock
from tocsin.model import Millis
from tocsin.web.problem_json import JSON_HEADERS, Handler, guarded, overloaded, peer_of
from tocsin.work.fair_queue import FairTurns

P = ParamSpec("P")
T = TypeVar("T")

AT_ONCE = 2  # threads or slices of these under way
EACH = 32  # requests of one sender that wait or are under way
EVERYBODY = 128
LOOP_TIME = 0.005  # seconds of the loop for one slice
PIECE = 64 << 10  # bytes that are written at once; a shorter answer is sent whole
READING = Millis(30_000)  # for a client to take one piece

ASKER: ContextVar[str] = ContextVar("asker", default="")
"""The sender whose request this task answers: each has its turn before another has a second one."""


class Turns:
    """Turns at work that costs CPU, shared fairly between askers. One queue for all listeners of a daemon."""

    def __init__(self, clock: Clock) -> None:
        self.clock = clock
        self._running = FairTurns(AT_ONCE)
        self._of: dict[str, int] = {}
        self._everybody = 0

    @contextmanager
    def admit(self, sender: str) -> Iterator[None]:
        """Count a request of this sender. Raises HttpProblem: 429 with EACH of them under way, 503 with EVERYBODY's."""
        mine = self._of.get(sender, 0)
        if mine >= EACH:
            raise overloaded(f"{mine} requests of yours are under way already; ask again in a moment", 429)
        if self._everybody >= EVERYBODY:
            raise overloaded("too many requests are under way; ask again in a moment", 503)
        self._of[sender] = mine + 1
        self._everybody += 1
        asker = ASKER.set(sender)
        try:
            yield
        finally:
            ASKER.reset(asker)
            self._everybody -= 1
            if self._of[sender] == 1:
                del self._of[sender]
            else:
                self._of[sender] -= 1

    async def apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a thread, in the asker's turn. It must touch nothing that changes."""
        async with self._running.turn(ASKER.get()):
            return await asyncio.to_thread(work, *args, **kwargs)

    async def sliced(self, makes: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
        """Yield the pieces of `makes`, each made in the asker's turn."""
        while True:
            async with self._running.turn(ASKER.get()):
                made = await anext(makes, None)
            if made is None:
                return
            yield made


TURNS: web.AppKey[Turns] = web.AppKey("turns")


def in_turn(handler: Handler) -> Handler:
    """The handler of a page or calendar, of which a reader, by its address, may have a few under way."""

    @guarded
    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        with request.app[TURNS].admit(f"peer:{peer_of(request)}"):
            return await handler(request)

    return handle


async def stream(
    request: web.Request, pieces: AsyncIterator[bytes], opening: bytes = b"[", closing: bytes = b"]"
) -> web.StreamResponse:
    """A JSON answer whose middle comes in pieces, as long as it may be.

    A short one has its Content-Length. One that breaks off is never ended, so that nobody takes it for whole.
    """
    turns = request.app[TURNS]
    response: web.StreamResponse | None = None
    waiting = bytearray(opening)
    async for piece in turns.sliced(pieces):
        waiting += piece
        if len(waiting) >= PIECE and request.method != hdrs.METH_HEAD:
            response = response or await begin(request)
            await write(request, response, waiting, turns.clock)
    waiting += closing
    if response is None:
        return web.Response(body=bytes(waiting), headers=JSON_HEADERS)
    await write(request, response, waiting, turns.clock)
    await response.write_eof()
    return response


async def begin(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers=JSON_HEADERS)
    await response.prepare(request)
    return response


async def write(request: web.Request, response: web.StreamResponse, waiting: bytearray, clock: Clock) -> None:
    """Hand over what waits; a client that does not take it within READING is left."""
    body = bytes(waiting)
    waiting.clear()
    try:
        for start in range(0, len(body), PIECE):
            async with clock.timeout(READING):
                await response.write(body[start : start + PIECE])
    except TimeoutError:
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("the client does not read its answer") from None


async def in_slices(values: AsyncIterator[list[T]], view: Callable[[T], object], clock: Clock) -> AsyncIterator[bytes]:
    """The values as JSON, with commas between, in pieces that took no more than LOOP_TIME; not those shown as None."""
    first = True
    async for some in values:
        made = bytearray()
        began = clock.monotonic()
        for value in some:
            shown = view(value)
            if shown is not None:
                made += orjson.dumps(shown) if first else b"," + orjson.dumps(shown)
                first = False
            if clock.monotonic() - began > LOOP_TIME:
                yield bytes(made)
                await clock.turn()
                made, began = bytearray(), clock.monotonic()
        yield bytes(made)
