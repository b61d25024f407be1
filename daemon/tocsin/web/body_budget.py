"""Bytes of request bodies that are read or held at once: in total and for each sender.

A body that arrived whole with its head and is small costs nothing here: nearly all are that. What is beyond a budget
is refused before it is read, so that it stays with its sender, who is told to come back.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from functools import wraps

from aiohttp import web
from aiohttp.web_protocol import RequestPayloadError

from tocsin.contracts import Clock
from tocsin.model import Millis
from tocsin.web.problem_json import Handler

TOTAL = 48 << 20  # bytes of bodies that are read or held at once
EACH = 16 << 20  # of one sender: four of the largest posts
SPARE = 8 << 20  # beyond TOTAL, for small bodies alone
SMALL = 16 << 10  # bytes; a body up to this asks for no share of its sender's

PARTING = Millis(3_000)  # for a sender that still writes the body of what was refused
LITTLE = 64 << 10  # bytes of a body that are read for the sake of the connection
REFUSED_UNREAD = frozenset({401, 403, 404, 405, 413, 415, 422, 429, 503})  # before the body was read, where it is not


class NoRoom(Exception):
    """The error where there is no room for a body now; `whose`: the sender whose share is used up, "" for
    everybody's.
    """

    def __init__(self, whose: str) -> None:
        super().__init__(whose)
        self.whose = whose


class BodyBudget:
    """Bytes of request bodies held in memory now, in all and by sender. One budget for all listeners of a daemon."""

    def __init__(self, clock: Clock, total: int = TOTAL, each: int = EACH) -> None:
        self.clock, self.total, self.each = clock, total, each
        self.held = 0
        self._by_sender: dict[str, int] = {}

    def take(self, sender: str, size: int) -> None:
        """Count `size` more bytes. Raises Crowded, and then nothing is counted."""
        small = size <= SMALL
        mine = self._by_sender.get(sender, 0)
        if not small and mine + size > self.each:
            raise NoRoom(sender)
        if self.held + size > (self.total + SPARE if small else self.total):
            raise NoRoom("")
        self.held += size
        self._by_sender[sender] = mine + size

    def give_back(self, sender: str, size: int) -> None:
        self.held -= size
        left = self._by_sender.get(sender, 0) - size
        if left > 0:
            self._by_sender[sender] = left
        else:
            self._by_sender.pop(sender, None)

    def of(self, sender: str) -> int:
        """Bytes held for this sender."""
        return self._by_sender.get(sender, 0)


class HeldBytes:
    """The bytes of one request, until it is answered."""

    __slots__ = ("_budget", "_sender", "size")

    def __init__(self, budget: BodyBudget, sender: str) -> None:
        self._budget, self._sender, self.size = budget, sender, 0

    def reach(self, size: int) -> None:
        """Hold `size` bytes in all, more or less than before. Raises Crowded."""
        if size > self.size:
            self._budget.take(self._sender, size - self.size)
        elif size < self.size:
            self._budget.give_back(self._sender, self.size - size)
        self.size = size


BUDGET: web.AppKey[BodyBudget] = web.AppKey("budget")
HELD: web.RequestKey[HeldBytes] = web.RequestKey("held", HeldBytes)


def holding(request: web.Request, sender: str) -> HeldBytes:
    """The share of the budget this request holds; `released` gives it back."""
    held: HeldBytes | None = request.get(HELD)
    if held is None:
        held = request[HELD] = HeldBytes(request.app[BUDGET], sender)
    return held


def released(handler: Handler) -> Handler:
    """The handler, after which nothing of its request's body is held."""

    @wraps(handler)
    async def handle(request: web.Request) -> web.StreamResponse:
        try:
            response = await handler(request)
        finally:
            held: HeldBytes | None = request.get(HELD)
            if held is not None:
                held.reach(0)
        if response.status in REFUSED_UNREAD and not request.content.is_eof():
            await part(request, response)
        return response

    return handle


async def part(request: web.Request, response: web.StreamResponse) -> None:
    """Answer a sender whose body was not read, and let it write the rest, so that it hears the answer.

    A client that first writes all it has would else hear of a broken connection instead. aiohttp's own way of reading
    what is left (`lingering_time`) parses and keeps all that comes: hundreds of refused posts held the
    loop for a second.
    """
    transport, content = request.transport, request.content
    if transport is None or transport.is_closing():
        return
    left = None if request.content_length is None else request.content_length - content.total_bytes
    little = left is not None and left <= LITTLE
    if not little:
        response.force_close()
    with suppress(OSError, RequestPayloadError):
        await response.prepare(request)
        await response.write_eof()
        async with request.app[BUDGET].clock.timeout(PARTING):
            if little:  # the connection is good for another request then
                while not content.is_eof():
                    await content.readany()
            else:
                await drained(transport, left)


async def drained(transport: asyncio.Transport, left: int | None) -> None:
    """Return when `left` bytes were read, or all that comes; nothing of it is kept."""
    drain = Drain(transport.get_protocol(), left)
    transport.pause_reading()
    transport.set_protocol(drain)
    transport.resume_reading()
    await drain.over.wait()


class Drain(asyncio.BufferedProtocol):
    """Reads and forgets, at the least cost; what else happens to the connection is for the protocol before."""

    BUFFER = memoryview(bytearray(64 << 10))  # of all of them

    def __init__(self, before: asyncio.BaseProtocol, left: int | None) -> None:
        self.over = asyncio.Event()
        self._before, self._left = before, left
        if left == 0:
            self.over.set()

    def get_buffer(self, sizehint: int) -> memoryview:
        return self.BUFFER

    def buffer_updated(self, nbytes: int) -> None:
        if self._left is not None:
            self._left -= nbytes
            if self._left <= 0:
                self.over.set()

    def eof_received(self) -> None:
        self.over.set()

    def pause_writing(self) -> None:
        self._before.pause_writing()

    def resume_writing(self) -> None:
        self._before.resume_writing()

    def connection_lost(self, exc: Exception | None) -> None:
        self.over.set()
        self._before.connection_lost(exc)
