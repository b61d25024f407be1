"""A bounded load generator: raw asyncio protocols, requests built beforehand, every answer checked.

Closed loop (`as_fast_as_answered`): each connection sends its next request when it has its answer. Open loop
(`at_rate`): requests have their moments, and latency counts from that moment even when the server was busy.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import cast

LENGTH = re.compile(rb"\r\ncontent-length:\s*(\d+)", re.IGNORECASE)
CHUNKED = re.compile(rb"\r\ntransfer-encoding:\s*chunked", re.IGNORECASE)


class WrongAnswer(Exception):
    """A server under load answered something else than 2xx, or not at all: the figure would be a lie."""


@dataclass(slots=True)
class Report:
    """What came of one run: seconds it took, latencies in seconds in the order of the answers, statuses."""

    seconds: float = 0.0
    latencies: list[float] = field(default_factory=list)
    statuses: Counter[int] = field(default_factory=Counter)

    def rate(self, each: int = 1) -> float:
        """Answers a second, times `each`."""
        return len(self.latencies) * each / self.seconds

    def at(self, share: float) -> float:
        """The latency, in seconds, that `share` of the answers kept."""
        return quantile(self.latencies, share)


def quantile(values: Sequence[float], share: float) -> float:
    """The value that `share` (0..1) of `values` do not exceed; nearest rank."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, max(0, round(share * len(ordered)) - 1))] if ordered else 0.0


def post(port: int, path: str, body: bytes, bearer: str = "") -> bytes:
    """One HTTP/1.1 POST of a JSON body, as bytes."""
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{port}",
        "Content-Type: application/json",
        f"Content-Length: {len(body)}",
        *([f"Authorization: Bearer {bearer}"] if bearer else []),
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


async def as_fast_as_answered(port: int, requests: Sequence[bytes], *, connections: int, within: float) -> Report:
    """Send all `requests` over `connections`, one in flight on each; raises WrongAnswer, TimeoutError."""
    run = _Run(port, len(requests))
    await run.connect(connections)
    left = iter(requests)
    began = time.perf_counter()
    run.on_idle = lambda one: _next_of(one, left)
    for one in run.lines:
        _next_of(one, left)
    await run.finish(within)
    run.report.seconds = time.perf_counter() - began
    return run.report


def _next_of(one: _Line, left: Iterator[bytes]) -> None:
    request = next(left, None)
    if request is not None:
        one.send(request, time.perf_counter())


async def at_rate(
    port: int,
    requests: Sequence[bytes],
    rate: float,
    *,
    connections: int,
    within: float,
    sent: Callable[[int, float], None] | None = None,
) -> Report:
    """Send request i at i / `rate` seconds, or as soon after it as a connection is free.

    `sent` hears (i, the moment it was meant to leave). Raises WrongAnswer, TimeoutError.
    """
    run = _Run(port, len(requests))
    await run.connect(connections)
    idle, waiting = deque(run.lines), deque[tuple[bytes, float]]()
    run.on_idle = lambda one: one.send(*waiting.popleft()) if waiting else idle.append(one)
    began = time.perf_counter()
    for index, request in enumerate(requests):
        due = began + index / rate
        if due > time.perf_counter():
            await asyncio.sleep(due - time.perf_counter())
        if sent is not None:
            sent(index, due)
        if idle:
            idle.popleft().send(request, due)
        else:
            waiting.append((request, due))
    await run.finish(within)
    run.report.seconds = time.perf_counter() - began
    return run.report


class _Run:
    """The connections of one run, and the count of answers still awaited."""

    def __init__(self, port: int, expected: int) -> None:
        self.port, self.left = port, expected
        self.report = Report()
        self.lines: list[_Line] = []
        self.done = asyncio.get_running_loop().create_future()
        self.on_idle: Callable[[_Line], None] = lambda _: None

    async def connect(self, connections: int) -> None:
        loop = asyncio.get_running_loop()
        for _ in range(connections):
            _, line = await loop.create_connection(lambda: _Line(self), "127.0.0.1", self.port)
            self.lines.append(line)

    def answered(self, line: _Line, status: int, took: float) -> None:
        self.report.latencies.append(took)
        self.report.statuses[status] += 1
        self.left -= 1
        if not 200 <= status < 300:
            self.fail(WrongAnswer(f"status {status}: {line.last[:300]!r}"))
        elif self.left == 0:
            if not self.done.done():
                self.done.set_result(None)
        else:
            self.on_idle(line)

    def fail(self, because: Exception) -> None:
        if not self.done.done():
            self.done.set_exception(because)

    async def finish(self, within: float) -> None:
        try:
            async with asyncio.timeout(within):
                await self.done
        finally:
            for line in self.lines:
                line.close()


class _Line(asyncio.Protocol):
    """One keep-alive connection with at most one request in flight."""

    def __init__(self, run: _Run) -> None:
        self.run, self.buffer, self.since = run, b"", 0.0
        self.last = b""
        self.closing = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name

    def send(self, request: bytes, since: float) -> None:
        self.since = since
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        self.buffer += data
        head = self.buffer.find(b"\r\n\r\n")
        if head < 0 or not self._whole(head):
            return
        self.last, self.buffer = self.buffer, b""
        self.run.answered(self, int(self.last[9:12]), time.perf_counter() - self.since)

    def _whole(self, head: int) -> bool:
        if length := LENGTH.search(self.buffer, 0, head + 2):
            return len(self.buffer) >= head + 4 + int(length[1])
        return not CHUNKED.search(self.buffer, 0, head + 2) or self.buffer.endswith(b"0\r\n\r\n")

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closing:
            self.run.fail(WrongAnswer(f"the server closed a connection: {exc}"))

    def close(self) -> None:
        self.closing = True
        self.transport.close()
