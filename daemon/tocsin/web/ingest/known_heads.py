"""Cache of request heads that aiohttp has parsed and whose token was accepted; the same bytes mean the same
again.

A sender says the same head with every post, but for the length of the body. Once aiohttp has parsed such a head and
its token let it in, whoever sends these very bytes again means the same integration: there is nothing left to parse,
and nothing to check. Nothing else is concluded from bytes here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from aiohttp import HttpVersion11, hdrs, web

from tocsin.web.ingest.integrations import InboundIntegration, InboundIntegrations

LENGTH = re.compile(rb"\r\n[Cc]ontent-[Ll]ength: (\d{1,7})\r\n")
USUAL = b"\r\nContent-Length: "  # found faster than by a pattern
END = b"\r\n\r\n"
MOST = 256  # heads that are remembered
LONGEST = 2_048  # bytes of one
TELLING = (hdrs.TRANSFER_ENCODING, hdrs.CONTENT_ENCODING, hdrs.EXPECT, hdrs.UPGRADE, hdrs.TRAILER)

Head = tuple[bytes, bytes]
"""What stands before the digits of Content-Length, and after them."""


class WholeRequest(NamedTuple):
    """Bytes that look like one whole request with a body, and nothing more."""

    head: Head
    body: bytes


@dataclass(frozen=True, slots=True)
class KnownHead:
    """The integration a known head leads to, and its headers."""

    integration: InboundIntegration
    headers: Mapping[str, str]


class KnownHeads:
    """Heads that were let in under the configuration in force."""

    def __init__(self) -> None:
        self._integrations: InboundIntegrations | None = None
        self._seen: dict[Head, KnownHead] = {}

    def find(self, head: Head, integrations: InboundIntegrations) -> KnownHead | None:
        """The integration and headers of a known head; None for another head, or under other `integrations` than those
        it was learnt under.
        """
        return self._seen.get(head) if integrations is self._integrations else None

    def learn(
        self, head: Head, request: web.Request, integration: InboundIntegration, integrations: InboundIntegrations
    ) -> None:
        """Remember the head of `request`, whose own token was accepted by `integration`."""
        if not plain(request) or len(head[0]) + len(head[1]) > LONGEST:
            return
        if integrations is not self._integrations or len(self._seen) >= MOST:
            self._integrations, self._seen = integrations, {}
        self._seen[head] = KnownHead(integration, request.headers)


def whole(data: bytes) -> WholeRequest | None:
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
    return WholeRequest((data[:start], data[stop:end]), body) if len(body) == int(data[start:stop]) else None


def plain(request: web.Request) -> bool:
    """Whether the head says nothing of how the body travels but its length, and the connection is kept."""
    return (
        request.version == HttpVersion11 and request.keep_alive and not any(name in request.headers for name in TELLING)
    )
