"""Where pages arrive: a raw HTTP server that notes the moment and the key in the text, and answers 200."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import cast

from benchmarks.load import LENGTH
from tests.daemon import free_port, until

KEY = re.compile(rb"k\d{10}")
USER = re.compile(rb'"user":\s?"(\w+)"')
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"


@dataclass
class Sink:
    """When the first page about each key arrived (perf_counter), and how many calls there were in all."""

    port: int = field(default_factory=free_port)
    arrived: dict[str, float] = field(default_factory=dict)
    calls: int = 0
    heard: dict[str, list[float]] = field(default_factory=dict)  # by person, when each call came

    async def has(self, count: int, within: float) -> None:
        """Return once pages about `count` keys arrived."""
        await until(lambda: len(self.arrived) >= count, within=within, what=f"{count} pages to arrive")


@asynccontextmanager
async def sink() -> AsyncIterator[Sink]:
    """A sink that listens on 127.0.0.1 while the block runs."""
    journal = Sink()
    server = await asyncio.get_running_loop().create_server(lambda: _Line(journal), "127.0.0.1", journal.port)
    try:
        yield journal
    finally:
        server.close()


class _Line(asyncio.Protocol):
    def __init__(self, journal: Sink) -> None:
        self.journal, self.buffer = journal, b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        length = LENGTH.search(self.buffer, 0, head + 2) if head >= 0 else None
        if length is None or len(self.buffer) < head + 4 + int(length[1]):
            return
        self.journal.calls += 1
        if user := USER.search(self.buffer, head):
            self.journal.heard.setdefault(user[1].decode(), []).append(time.perf_counter())
        if found := KEY.search(self.buffer, head):
            self.journal.arrived.setdefault(found[0].decode(), time.perf_counter())
        self.buffer = self.buffer[head + 4 + int(length[1]) :]
        self.transport.write(OK)
