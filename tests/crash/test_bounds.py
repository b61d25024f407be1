"""What one sender or reader may cost the others, with a real daemon: bytes, seconds of the loop, and nobody's page."""

from __future__ import annotations

import asyncio
import gzip
import itertools
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.crash.bounds import CONFIGURATION, FLOOD, bounded, memory_peak, post
from tests.daemon import Daemon

pytestmark = pytest.mark.slow
_round = itertools.count()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with Daemon(tmp_path, CONFIGURATION) as one:
        await one.token(user="ana")
        yield one


async def test_posts_of_twenty_thousand_alerts_let_another_senders_page_between_them(daemon: Daemon) -> None:
    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        said = await asyncio.gather(*(flood(daemon, session, many(20_000)) for _ in range(4)))
        return Counter(status for status, _ in said)

    assert await bounded(daemon, load) == {202: 4}


async def test_three_hundred_large_posts_at_once_neither_fill_the_memory_nor_delay_another_sender(daemon: Daemon) -> None:
    body = orjson.dumps([{"title": "t", "description": "x" * 3_000, "dedup_key": f"k{n}"} for n in range(1_200)])
    before = memory_peak(daemon.pid)

    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        return await asyncio.gather(*(flood(daemon, session, body) for _ in range(300)))

    said = await bounded(daemon, load)

    assert {status for status, _ in said} <= {202, 429, 0}
    assert all(headers["Retry-After"] for status, headers in said if status == 429)
    assert any(status == 202 for status, _ in said)
    assert memory_peak(daemon.pid) - before < 200, "MiB"


async def test_bodies_that_inflate_to_much_are_counted_as_what_they_become(daemon: Daemon) -> None:
    bomb = gzip.compress(orjson.dumps([{"title": "t" * 60_000, "dedup_key": f"k{n}"} for n in range(60)]))
    before = memory_peak(daemon.pid)

    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        return await asyncio.gather(*(flood(daemon, session, bomb, **{"Content-Encoding": "gzip"}) for _ in range(100)))

    assert {status for status, _ in await bounded(daemon, load)} <= {202, 429}
    assert memory_peak(daemon.pid) - before < 200, "MiB"


def many(count: int) -> bytes:
    """A post of so many small alerts, each a new one."""
    fresh = next(_round)
    return orjson.dumps([{"title": "t", "dedup_key": f"{fresh}-{n}", "severity": "info"} for n in range(count)])


async def flood(daemon: Daemon, session: aiohttp.ClientSession, body: bytes, **headers: str) -> tuple[int, Any]:
    return await post(session, daemon, "flood", FLOOD, body, **headers)
