"""Connections of the main address: a post with a known head is answered here, everything else by aiohttp.

Every connection of the main address begins here. A whole post with a known head (web/ingest/known_heads.py) is taken
as it is and its receipt written straight away; everything else is aiohttp's, as if nothing stood before it.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import cast

import structlog
from aiohttp import web

from tocsin.contracts import Clock
from tocsin.metrics import Metrics
from tocsin.model import Millis
from tocsin.web.connections import Connections
from tocsin.web.ingest.integrations import InboundIntegration
from tocsin.web.ingest.known_heads import Head, whole
from tocsin.web.ingest.responses import Receipts
from tocsin.web.ingest.webhooks import Reception
from tocsin.work.ingest.posts import Taken

log = structlog.stdlib.get_logger("tocsin.web")

PATIENCE = Millis(15_000)  # at the end, for posts that are being stored
CURRENT = "_current_request"  # aiohttp's: the request that is being answered
WAITING = "_messages"  # aiohttp's: requests behind it
UNTIL_IDLE = "_next_keepalive_close_time"  # aiohttp's: when a connection on which nothing comes is closed


class ConnectionState(Enum):
    """The party that handles the next bytes of a connection."""

    SENDER = "nothing is under way"
    OURS = "a post with a known head is being stored"
    LENT = "aiohttp has one whole request and answers it"
    AIOHTTP = "for good"


class Front:
    """Makes the protocol of each connection to the main address; `server` is aiohttp's."""

    def __init__(
        self, server: web.Server, reception: Reception, clock: Clock, metrics: Metrics, head_time: float,
        connections: Connections | None = None, *, learns: bool = True,
    ) -> None:  # fmt: skip
        """`learns` False: every request is aiohttp's (the admin address)."""
        self.server, self.reception, self.clock, self.head_time = server, reception, clock, head_time
        self.connections = connections or Connections(lambda: ())
        self.receipts, self.seconds = Receipts(clock), metrics.ingest_seconds
        self.loop = asyncio.get_running_loop()
        self.open = learns and hasattr(web.RequestHandler, UNTIL_IDLE)
        self.under_way = 0
        self._all_answered = asyncio.Event()
        self._lines: dict[web.RequestHandler, FastConnection] = {}
        if learns:
            reception.opened = self.opened

    def __call__(self) -> asyncio.Protocol:
        return FastConnection(self)

    def connected(self, line: FastConnection, handler: web.RequestHandler) -> None:
        self._lines[handler] = line

    def disconnected(self, handler: web.RequestHandler) -> None:
        self._lines.pop(handler, None)

    def opened(self, request: web.Request, integration: InboundIntegration) -> None:
        """A request that aiohttp parsed was let in by its own token, and is about to be answered."""
        line, integrations = self._lines.get(request.protocol), self.reception.integrations
        head = line.given_back() if line is not None else None
        if head is None or integrations.by_name.get(integration.config.name) is not integration:
            return  # not lent by us, or another configuration's
        self.reception.heads.learn(head, request, integration, integrations)

    def answered(self) -> None:
        self.under_way -= 1
        if not self.under_way:
            self._all_answered.set()

    async def close(self) -> None:
        """Take nothing more here, and wait for the answers to what is being stored; who reads none is left."""
        self.open = False
        for line in list(self._lines.values()):
            line.leave_if_choked()
        self._all_answered.clear()
        if self.under_way:
            try:
                async with self.clock.timeout(PATIENCE):
                    await self._all_answered.wait()
            except TimeoutError:
                log.warning("not_answered", posts=self.under_way)


class FastConnection(asyncio.Protocol):
    """A connection to the main address."""

    __slots__ = (
        "_asked", "_behind", "_choked", "_deaf", "_front", "_handler", "_head", "_started", "_transport", "_turn",
        "address",
    )  # fmt: skip

    def __init__(self, front: Front) -> None:
        self._front = front
        self._turn = ConnectionState.SENDER
        self._head: Head | None = None  # of the request that is lent
        self._asked = self._behind = b""  # the post under way, and what came after it
        self._choked = False  # the sender does not read its answers
        self._deaf = False  # nothing is read of it here
        self._started = 0.0
        self.address = ""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._handler = self._front.server()
        self.address = address_of(transport)
        if not self._front.connections.opened(self):
            self._turn = ConnectionState.AIOHTTP
            self._transport.abort()
        self._front.connected(self, self._handler)
        self._handler.connection_made(transport)

    def is_idle(self) -> bool:
        """Whether no whole request is under way: nothing came, or half of one, or the answer has gone."""
        if self._turn is ConnectionState.OURS or getattr(self._handler, WAITING, None):
            return False
        request: web.BaseRequest | None = getattr(self._handler, CURRENT, None)
        return request is None or not request.content.is_eof()

    def leave(self) -> None:
        self._transport.abort()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._front.connections.closed(self)
        self._front.disconnected(self._handler)
        self._handler.connection_lost(exc)

    def pause_writing(self) -> None:
        self._choked = True
        self._handler.pause_writing()
        self._attend()

    def resume_writing(self) -> None:
        self._choked = False
        self._handler.resume_writing()
        self._attend()

    def eof_received(self) -> None:
        self._handler.eof_received()

    def data_received(self, data: bytes) -> None:
        self._front.connections.used(self)
        if self._turn is ConnectionState.SENDER:
            self._begin(data)
        elif self._turn is ConnectionState.OURS:
            self._behind += data
            self._attend()
        else:
            self._turn = ConnectionState.AIOHTTP  # whose answer has come and whose has not is no longer known here
            self._handler.data_received(data)

    def given_back(self) -> Head | None:
        """aiohttp is about to answer; the head of the request it had, where it had that alone."""
        if self._turn is not ConnectionState.LENT:
            return None
        self._turn = ConnectionState.SENDER
        return self._head

    def leave_if_choked(self) -> None:
        """Drop, at the end, a sender that does not read its responses: nobody waits for it."""
        if self._choked:
            self._transport.abort()

    def stored(self, taken: Taken) -> None:
        """The post under way is stored: say so."""
        front = self._front
        if not self._transport.is_closing():
            self._transport.write(front.receipts.kept_alive(taken))
        front.seconds.observe(front.clock.monotonic() - self._started)
        self._keep_open(1)
        if self._behind or self._choked or self._deaf:
            self._go_on(ConnectionState.SENDER)
        else:  # nearly always: nothing more to do than `_go_on` would
            self._asked, self._turn = b"", ConnectionState.SENDER
            front.answered()

    def not_stored(self) -> None:
        """Let the ordinary way try once more: the post was not stored, or nobody knows. It says so if that is no
        better.
        """
        self._go_on(ConnectionState.AIOHTTP, self._asked)

    def _begin(self, data: bytes) -> None:
        """Take bytes that arrive while nothing is under way."""
        post = whole(data)
        if post is not None and self._front.open and not self._choked and self._take(post.head, post.body):
            self._asked = data
            return
        self._head = post.head if post is not None else None
        self._turn = ConnectionState.LENT if post is not None else ConnectionState.AIOHTTP
        self._handler.data_received(data)

    def _take(self, head: Head, body: bytes) -> bool:
        """Whether this post is taken here: its head is known, and nothing about its body wants explaining."""
        front = self._front
        reception = front.reception
        seen = reception.heads.find(head, reception.integrations)
        if seen is None:
            return False
        self._started = front.clock.monotonic()
        if not reception.take_at_once(seen.integration, body, seen.headers, Pending(self)):
            return False
        self._turn = ConnectionState.OURS
        front.under_way += 1
        self._keep_open(2)
        return True

    def _go_on(self, turn: ConnectionState, again: bytes = b"") -> None:
        behind, self._behind, self._asked, self._turn = self._behind, b"", b"", turn
        self._front.answered()
        self._attend()
        if (again or behind) and not self._transport.is_closing():
            self.data_received(again + behind)

    def _attend(self) -> None:
        """Read, but for what has to wait its turn, and for senders that let their answers pile up.

        On a connection that is aiohttp's, aiohttp alone pauses and resumes.
        """
        deaf = (self._turn is ConnectionState.OURS and bool(self._behind)) or (
            self._choked and self._turn in (ConnectionState.OURS, ConnectionState.SENDER)
        )
        if deaf != self._deaf and not self._transport.is_closing():
            self._deaf = deaf
            (self._transport.pause_reading if deaf else self._transport.resume_reading)()

    def _keep_open(self, times: int) -> None:
        """aiohttp closes idle connections; this one is not idle, though it hears nothing of that."""
        setattr(self._handler, UNTIL_IDLE, self._front.loop.time() + times * self._front.head_time)


def address_of(transport: asyncio.BaseTransport) -> str:
    """The peer's IP address; "" for a connection without one (a Unix socket)."""
    peer = transport.get_extra_info("peername")
    return str(peer[0]) if isinstance(peer, tuple) and peer else ""


class Pending:
    """The connection that waits for one post to be stored (Waiter of work/ingest/posts.py), until it is told."""

    __slots__ = ("_line",)

    def __init__(self, line: FastConnection) -> None:
        self._line: FastConnection | None = line

    def done(self) -> bool:
        return self._line is None

    def set_result(self, taken: Taken, /) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.stored(taken)

    def set_exception(self, error: BaseException, /) -> None:
        line, self._line = self._line, None
        if line is not None:
            line.not_stored()
