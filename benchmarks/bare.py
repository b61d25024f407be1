"""The reference of the ingest rows: an aiohttp handler on uvloop that reads the body and answers, nothing else."""

from __future__ import annotations

import sys

import uvloop
from aiohttp import web


async def read_only(request: web.Request) -> web.Response:
    await request.read()
    return web.Response(status=202, body=b'{"accepted":1}', content_type="application/json")


def main(port: int) -> None:
    app = web.Application(client_max_size=4 * 1024 * 1024)
    app.router.add_post("/v1/webhooks/{integration}", read_only)
    uvloop.install()
    web.run_app(app, host="127.0.0.1", port=port, access_log=None, print=None)


if __name__ == "__main__":
    main(int(sys.argv[1]))
