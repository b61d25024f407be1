"""Limits on requests: bytes, seconds, one layer of gzip, depth; and the log line of what is no HTTP.

aiohttp's own inflating is off: it answers a broken gzip with a 500. Headers have their deadline by
`keepalive_timeout`, which aiohttp starts with the connection and which only a complete head stops.
"""

from __future__ import annotations

import logging
import re
import zlib
from typing import Any

import structlog
from aiohttp import web
from aiohttp.http_exceptions import HttpProcessingError
from aiohttp.web_protocol import RequestPayloadError

from tocsin.contracts import Clock
from tocsin.model import Millis
from tocsin.web.body_budget import HeldBytes, NoRoom, holding
from tocsin.web.problem_json import HttpProblem, overloaded, peer_of
from tocsin_integrations.common import json_fields

MAX_BODY = 4 * 1024 * 1024  # bytes, as sent and inflated
MAX_ASKED = 256 * 1024  # bytes, of what is no post of alerts: actions, silences, what is to be explained
MAX_FORM = 64 * 1024  # bytes; a provider's callback is some 1,500
BODY_TIME = Millis(30_000)
QUOTED = re.compile(r"""(\s+(bytearray\()?b|:\s+)['"].*""", re.DOTALL)  # as aiohttp quotes what it could not read
HEAD_TIME = 75  # seconds; idle connections and unfinished heads alike

log = structlog.stdlib.get_logger("tocsin.web")


async def read_body(request: web.Request, clock: Clock, most: int = MAX_BODY, sender: str = "") -> bytes:
    """The whole body, inflated. Raises HttpProblem: 400 broken, 408 late, 413 too long, 415 another coding, 429 for a
    sender (by name, else by its address) that has too much under way already, 503 where everybody together has.

    aiohttp (3.14.5) does not wake a reader whose chunks break half-way: these run into the deadline.
    """
    length = request.content_length
    if length is not None and length > most:
        raise too_long(most)
    content = request.content
    try:
        if content.is_eof():  # arrived in one piece with its head, as nearly all do
            body = content.read_nowait()
        else:
            body = await collect(request, clock, most, holding(request, sender or peer_of(request)))
        if len(body) > most:
            raise too_long(most)
        coding = request.headers.get("Content-Encoding")
        if coding is None:
            return body
        return inflate_within(body, coding, most, holding(request, sender or peer_of(request)))
    except RequestPayloadError as error:
        raise HttpProblem(400, f"the body's transfer is broken: {one_line(error)}", close=True) from None
    except ConnectionError:
        raise HttpProblem(400, "the sender hung up before the end of its body", close=True) from None
    except NoRoom as crowded:
        raise no_room(crowded) from None


async def collect(request: web.Request, clock: Clock, most: int, held: HeldBytes) -> bytes:
    """A body that arrives in pieces, within its deadline; nothing of it is read before there is room for all of it."""
    content = request.content
    held.reach(request.content_length or 0)
    body = bytearray()
    try:
        async with clock.timeout(BODY_TIME):
            while chunk := await content.readany():
                body += chunk
                if len(body) > most:
                    raise too_long(most)
                if len(body) > held.size:
                    held.reach(len(body))
    except TimeoutError:
        raise HttpProblem(408, f"the body did not arrive within {BODY_TIME // 1000} seconds", close=True) from None
    return bytes(body)


def no_room(crowded: NoRoom) -> HttpProblem:
    """The body stays with its sender for now; the connection is closed, since nobody reads it."""
    if crowded.whose:
        problem = overloaded("too many bytes of yours are under way already; send this again in a moment", 429)
    else:
        problem = overloaded("too many bytes are under way already; send this again in a moment", 503)
    problem.close = True
    return problem


def too_long(most: int) -> HttpProblem:
    instead = "send it in several posts" if most == MAX_BODY else "that is the most this takes"
    return HttpProblem(413, f"the body is longer than {most // 1024} KiB; {instead}", close=True)


def inflate_within(body: bytes, coding: str, most: int, held: HeldBytes) -> bytes:
    """`inflate`, with room for all that it may become. Raises Crowded too."""
    held.reach(held.size + min(most, len(body) * 1032))  # deflate makes no more of a byte
    plain = inflate(body, coding, most)
    held.reach(len(plain))
    return plain


def inflate(body: bytes, coding: str, most: int = MAX_BODY) -> bytes:
    """`body` out of its one Content-Encoding; never more than `most` bytes are made of it."""
    match coding.strip().lower():
        case "" | "identity":
            return body
        case "gzip" | "x-gzip":
            return gunzip(body, most)
    raise HttpProblem(415, "this Content-Encoding is not read here; send gzip, once, or nothing")


def gunzip(body: bytes, most: int) -> bytes:
    machine = zlib.decompressobj(16 + zlib.MAX_WBITS)
    try:
        plain = machine.decompress(body, most + 1)
    except zlib.error as error:
        raise HttpProblem(400, f"the body is not the gzip it says: {error}") from None
    if len(plain) > most:
        raise too_long(most)
    if not machine.eof:
        raise HttpProblem(400, "the body's gzip is cut short")
    if machine.unused_data:
        raise HttpProblem(400, "trailing data after the gzip stream of the body")
    return plain


def read_json(raw: bytes) -> Any:
    """The JSON of a request to the API, read as posts of alerts are read; nothing at all counts as `{}`.

    Raises BadBody.
    """
    if not raw.strip():
        return {}
    return json_fields.read_json(raw)


def one_line(error: Exception) -> str:
    """The error's message on one line, 200 characters at most, without the bytes it quotes: they may hold a token."""
    return " ".join(QUOTED.sub("", str(error)).split())[:200]


class ServerLog(logging.LoggerAdapter[logging.Logger]):
    """aiohttp's server log: one line without traceback for bytes that are no HTTP, all of it for our mistakes."""

    def __init__(self) -> None:
        super().__init__(logging.getLogger("tocsin.web"), {})

    def debug(self, msg: object, *args: object, exc_info: Any = None, **_: Any) -> None:
        if isinstance(exc_info, HttpProcessingError):
            self.not_http(args, exc_info)

    def exception(self, msg: object, *args: object, exc_info: Any = True, **_: Any) -> None:
        if isinstance(exc_info, (HttpProcessingError, RequestPayloadError)):
            self.not_http(args, exc_info)
        else:
            log.error("request failed", what=str(msg) % args if args else str(msg), exc_info=exc_info)

    def not_http(self, args: tuple[object, ...], error: Exception) -> None:
        log.warning("not HTTP", peer=str(args[0]) if args else "", because=one_line(error))


def handler_args(head_time: float = HEAD_TIME) -> dict[str, Any]:
    """The arguments with which aiohttp handles connections."""
    return {
        "auto_decompress": False,
        "access_log": None,
        "keepalive_timeout": head_time,
        "lingering_time": 0.0,  # see budget.part
        "logger": ServerLog(),
    }
