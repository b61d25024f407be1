"""The answer to a post of alerts that was taken: as few steps as HTTP allows, since every alert pays for it."""

from __future__ import annotations

import asyncio
from email.utils import formatdate

import orjson
from aiohttp import HttpVersion10, web
from aiohttp.http_writer import StreamWriter

from tocsin.contracts import Clock
from tocsin.model.civil import ahead
from tocsin.web.problem_json import JSON_HEADERS, shown
from tocsin.work.ingest.posts import Taken

REST_OF_HEAD = "".join(f"{name}: {value}\r\n" for name, value in JSON_HEADERS.items())


class Receipts:
    """Makes receipts; the Date of their head is written once a second."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._second = -1
        self._head = ""

    def of(self, taken: Taken) -> Receipt:
        """A response for aiohttp to send."""
        return Receipt(self._head_now(), body_of(taken))

    def kept_alive(self, taken: Taken) -> bytes:
        """The whole response, head and body, for an HTTP/1.1 connection that is kept alive."""
        body = body_of(taken)
        return f"{self._head_now()}{len(body)}\r\n\r\n".encode() + body

    def _head_now(self) -> str:
        second = (self._clock.now() + ahead()) // 1000
        if second != self._second:
            self._second = second
            date = f"Date: {formatdate(second, usegmt=True)}\r\n"
            self._head = f"HTTP/1.1 202 Accepted\r\n{date}{REST_OF_HEAD}Content-Length: "
        return self._head


class Receipt(web.StreamResponse):
    """202 with its JSON, written in one piece.

    aiohttp asks three things of a response: `prepare`, `write_eof`, and whether the connection is kept.
    What its own spends on headers that are the same every time would be a tenth of a post.
    """

    def __init__(self, head: str, body: bytes) -> None:
        super().__init__(status=202)
        self._sent_head, self._sent_body = head, body

    async def prepare(self, request: web.BaseRequest) -> None:
        self._keep_alive = keep = request.keep_alive
        connection = "" if keep else "Connection: close\r\n"
        if keep and request.version == HttpVersion10:
            connection = "Connection: keep-alive\r\n"
        transport = request.transport
        if transport is None:
            raise ConnectionResetError("the sender hung up before its answer")
        head = f"{self._sent_head}{len(self._sent_body)}\r\n{connection}\r\n"
        transport.write(head.encode() + self._sent_body)
        if request.protocol.writing_paused:  # the sender does not read its answers
            await StreamWriter(request.protocol, asyncio.get_running_loop()).drain()

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: everything is written."""


def body_of(taken: Taken) -> bytes:
    """The JSON of an answer: how many alerts were taken, into which incidents, and what could not be taken."""
    return orjson.dumps(
        {
            "accepted": taken.accepted,
            "incidents": taken.incidents,
            "rejected": [shown(rejected) for rejected in taken.rejected] if taken.rejected else (),
        }
    )
