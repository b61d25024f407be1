"""A shop with tills, as Prometheus scrapes it: one gauge that a test turns off and on."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

from aiohttp import web

from tests.daemon import free_port


@dataclass
class Shop:
    port: int
    tills_up: int = 3
    scrapes: int = 0

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@asynccontextmanager
async def shop() -> AsyncIterator[Shop]:
    """An exporter on 127.0.0.1 while the block runs."""
    one = Shop(free_port())

    async def metrics(_: web.Request) -> web.Response:
        one.scrapes += 1
        text = f'# TYPE shop_tills_up gauge\nshop_tills_up{{store="antwerp"}} {one.tills_up}\n'
        return web.Response(text=text, headers={"Content-Type": "text/plain; version=0.0.4"})

    app = web.Application()
    app.router.add_get("/metrics", metrics)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", one.port).start()
    try:
        yield one
    finally:
        await runner.cleanup()
