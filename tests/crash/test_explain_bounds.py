"""What asking what would happen may cost those it happens to: nothing they notice."""

from __future__ import annotations

import asyncio
import io
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.crash.bounds import CONFIGURATION, bounded
from tests.crash.test_reload_bounds import large
from tests.daemon import Daemon

pytestmark = pytest.mark.slow


async def test_large_payloads_to_explain_hold_nobody_up(tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIGURATION + large(1_000)) as daemon:
        await daemon.token(user="ana", role="viewer")
        many = [
            {"title": f"t{n}", "dedup_key": f"k{n}", "severity": "critical", "service": f"web{n}-1"}
            for n in range(2_500)
        ]

        async def load(_: Daemon, connections: aiohttp.ClientSession) -> Any:
            return await asyncio.gather(*(explain(daemon, connections, many) for _ in range(4)))

        said = await bounded(daemon, load)
        assert [status for status, _ in said] == [200] * 4
        assert [(len(body["alerts"]), body["left_out"]) for _, body in said] == [(100, 2_400)] * 4


async def test_a_payload_beyond_what_is_explained_is_refused_and_told_how_much_is(tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        await daemon.token(user="ana", role="viewer")

        async def load(_: Daemon, connections: aiohttp.ClientSession) -> Any:
            huge = [{"title": "t" * 3_000, "dedup_key": f"k{n}"} for n in range(1_000)]
            return await asyncio.gather(*(explain(daemon, connections, huge) for _ in range(20)))

        said = await bounded(daemon, load)
        assert {status for status, _ in said} == {413}
        assert "256 KiB" in said[0][1]["detail"]


async def explain(daemon: Daemon, connections: aiohttp.ClientSession, payload: Any) -> tuple[int, Any]:
    headers = {"Authorization": f"Bearer {daemon.bearer}", "Content-Type": "application/json"}
    body = orjson.dumps({"integration": "flood", "payload": payload})
    async with connections.post(daemon.url + "/v1/explain", data=io.BytesIO(body), headers=headers) as answer:
        return answer.status, orjson.loads(await answer.read())
