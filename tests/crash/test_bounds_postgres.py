"""The bounds of one sender or reader over PostgreSQL, where each part of a big post is a round trip to a server."""

from __future__ import annotations

import asyncio
from collections import Counter
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest

from tests.crash.bounds import CONFIGURATION, bounded, memory_peak
from tests.crash.test_bounds import HOSTILE, flood, flood_once, get, many, send
from tests.crash.test_page_bounds import text
from tests.daemon import Daemon
from tests.postgres import Server

pytestmark = [pytest.mark.slow, pytest.mark.peers]


async def test_what_one_sender_or_reader_asks_holds_nobody_up_over_postgresql(
    tmp_path: Path, postgres_url: str, postgres_server: Server
) -> None:
    async with Daemon(tmp_path, CONFIGURATION, postgres_url) as daemon:
        await daemon.token(user="ana")
        await flood_once(daemon, 2_000)
        large = orjson.dumps([{"title": "t", "description": "x" * 3_000, "dedup_key": f"k{n}"} for n in range(600)])
        hostile = [f"/api/v2/alerts?filter={quote(f'a=~{pattern}')}" for pattern in HOSTILE]
        before = memory_peak(daemon.pid)

        async def posts(_: Daemon, session: aiohttp.ClientSession) -> Any:
            big = [flood(daemon, session, many(2_000)) for _ in range(2)]
            crowd = [flood(daemon, session, large) for _ in range(8)]
            return await asyncio.gather(*big, *crowd)

        async def reads(_: Daemon, session: aiohttp.ClientSession) -> Any:
            wall = ["/", "/incidents/1", "/schedules", "/silences", "/v1/alerts?limit=200", "/v1/incidents?q=t"]
            silence = {"matchers": [f'l{n}=~"{HOSTILE[0]}"' for n in range(50)], "for": "1h", "comment": "c"}
            return await asyncio.gather(
                *(get(daemon, session, path) for path in ["/api/v2/alerts", "/api/v2/alerts/groups"] * 2 + hostile),
                *(text(daemon, session, path) for path in wall * 3),
                send(daemon, session, "/v1/silences", silence),
            )

        taken = await bounded(daemon, posts)
        postgres_server.run("analyze", postgres_url.rpartition("/")[2])  # as its autovacuum does, which is off here
        *seen, silenced = await bounded(daemon, reads)

        assert [status for status, _ in taken[:2]] == [202, 202]
        assert Counter(status for status, _ in taken).keys() <= {202, 429, 0}
        assert all(headers["Retry-After"] for status, headers in taken if status == 429)
        assert memory_peak(daemon.pid) - before < 200, "MiB"
        assert {status for status, _ in seen} <= {200, 400, 429, 503}
        assert min(len(body) for _, body in seen[:3:2]) >= 3_000, "lists are whole"
        assert silenced == 422
