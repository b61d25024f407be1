"""A TCP proxy that can stop forwarding, as a network does that drops everything, and that can lead elsewhere."""

from __future__ import annotations

import asyncio
import contextlib
from dataclasses import dataclass, field

from tests.daemon import free_port

PIECE = 65_536


@dataclass
class Proxy:
    """Listens on a free port of 127.0.0.1 and leads to `target`."""

    target: int
    port: int = field(default_factory=free_port)
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)
    _tasks: set[asyncio.Task[None]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._open = asyncio.Event()
        self._open.set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Proxy:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def freeze(self) -> None:
        """Nothing gets through any more, and nobody is told."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """End every connection."""
        for writer in list(self._writers):
            writer.transport.abort()

    def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry on in a task of our own: Python 3.11 logs an error for a handler of its own that is cancelled."""
        task = asyncio.ensure_future(self._carry(reader, writer))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._writers.add(writer)
        try:
            await self._open.wait()
            with contextlib.suppress(OSError):
                there_reader, there = await asyncio.open_connection("127.0.0.1", self.target)
                self._writers.add(there)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass_on(reader, there))
                    both.create_task(self._pass_on(there_reader, writer))
                self._writers.discard(there)
        finally:
            writer.transport.abort()
            self._writers.discard(writer)

    async def _pass_on(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while piece := await reader.read(PIECE):
                await self._open.wait()
                writer.write(piece)
                await writer.drain()
        writer.transport.abort()
