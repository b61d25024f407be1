"""HTTPS in front of a daemon, as its reverse proxy would be: for clients that accept nothing else."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass

import trustme


@dataclass(frozen=True)
class Front:
    url: str
    trust: ssl.SSLContext  # for the client: knows the authority that signed the front's certificate


@asynccontextmanager
async def tls_front(port: int) -> AsyncIterator[Front]:
    """Passes bytes on to 127.0.0.1:`port`, unwrapped from TLS."""
    authority = trustme.CA()
    inside = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(inside)
    outside = ssl.create_default_context()
    authority.configure_trust(outside)

    lines: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        lines.add(task)
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        with suppress(ConnectionError, ssl.SSLError):
            await asyncio.gather(_copy(reader, back_writer), _copy(back_reader, writer))

    server = await asyncio.start_server(serve, "127.0.0.1", 0, ssl=inside)
    try:
        yield Front(f"https://127.0.0.1:{server.sockets[0].getsockname()[1]}", outside)
    finally:
        server.close()
        await asyncio.gather(*lines, return_exceptions=True)  # each ends with its client


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while block := await reader.read(65536):
            writer.write(block)
            await writer.drain()
    finally:
        writer.close()
