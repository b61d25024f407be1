"""Cache of request heads that aiohttp has parsed and whose token was accepted; the same bytes mean the same
again.

A sender says the same head with every post, but for the length of the body. Once aiohttp has parsed such a head and
its token opened a door, whoever sends these very bytes again means that door: there is nothing left to parse, and
nothing to check. Nothing else is concluded from bytes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import HttpVersion11, hdrs, web

from tocsin.web.ingest.integrations import Door, Doors

LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,7})\r\n")
USUAL = b"\r\nContent-Length: "  # found faster than by a pattern
END = b"\r\n\r\n"
MOST = 256  # heads that are remembered
LONGEST = 2_048  # bytes of one
TELLING = (hdrs.TRANSFER_ENCODING, hdrs.CONTENT_ENCODING, hdrs.EXPECT, hdrs.UPGRADE, hdrs.TRAILER)

Head = tuple[bytes, bytes]
"""What stands before the digits of Content-Length, and after them."""


class Whole(NamedTuple):
    """Bytes that look like one whole request with a body, and nothing more."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class Seen:
    """The integration a known head leads to, and its headers."""

    door: Door
    headers: Mapping[str, str]


class Heads:
    """The heads that opened a door of the configuration in force."""

    def __init__(self) -> None:
        self._doors: Doors | None = None
        self._seen: dict[Head, Seen] = {}

    def find(self, head: Head, doors: Doors) -> Seen | None:
        """The integration and headers of a known head; None for another, or when `doors` are not those it was learnt
        under.
        """
        return self._seen.get(head) if doors is self._doors else None

    def learn(self, head: Head, request: web.Request, door: Door, doors: Doors) -> None:
        """Remember the head of `request`, whose own token was accepted by `door`."""
        if not plain(request) or len(head[0]) + len(head[1]) > LONGEST:
            return
        if doors is not self._doors or len(self._seen) >= MOST:
            self._doors, self._seen = doors, {}
        self._seen[head] = Seen(door, request.headers)


def whole(data: bytes) -> Whole | None:
    """`data` as one whole request: a head, and as many bytes as its first Content-Length says."""
    end = data.find(END)
    if end < 0:
        return None
    usual = data.find(USUAL, 0, end)
    length = LENGTH.search(data, 0, end + 2) if usual < 0 else LENGTH.match(data, usual, end + 2)
    if length is None:
        return None
    start, stop = length.span(1)
    body = data[end + 4 :]
    return Whole((data[:start], data[stop:end]), body) if len(body) == int(data[start:stop]) else None


def plain(request: web.Request) -> bool:
    """Whether the head says nothing of how the body travels but its length, and the connection is kept."""
    return (
        request.version == HttpVersion11 and request.keep_alive and not any(name in request.headers for name in TELLING)
    )
