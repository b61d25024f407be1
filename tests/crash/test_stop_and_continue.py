"""A replica that stands still between its claim and its call must not call about what was answered meanwhile (I5)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest

from tests.crash import paging
from tests.crash.sink import Sink
from tests.daemon import Daemon

pytestmark = [pytest.mark.slow, pytest.mark.peers, pytest.mark.timeout(180)]

ROUNDS = int(os.environ.get("TOCSIN_STOPS", "12"))
STANDSTILL = 0.8
CLIENTS = 6


async def test_a_replica_stopped_before_its_call_looks_again_when_it_goes_on(tmp_path: Path, postgres_url: str) -> None:
    chance = random.Random(int(os.environ.get("TOCSIN_SEED", "1")))
    acked: dict[int, float] = {}
    async with Sink(1, moods={"200": 1}) as sink, replicas(tmp_path, sink, postgres_url) as (stopped, other):
        for round_number in range(ROUNDS):
            posts = [asyncio.ensure_future(post(stopped, f"r{round_number}-{n}")) for n in range(CLIENTS)]
            await asyncio.sleep(chance.uniform(0.005, 0.08))
            os.kill(stopped.pid, signal.SIGSTOP)
            try:
                acks = asyncio.ensure_future(acknowledge_all(other, acked))
                await asyncio.sleep(STANDSTILL)
            finally:
                os.kill(stopped.pid, signal.SIGCONT)
            await asyncio.gather(acks, *posts)
        await asyncio.sleep(1)
    assert len(acked) >= ROUNDS, "hardly anything was answered while the other stood still: no proof"
    late = [
        (call.incident, round(call.at - acked[call.incident], 3))
        for call in sink.calls
        if call.at > acked.get(call.incident, float("inf")) + paging.GRACE
    ]
    assert not late, f"called after the ack was answered (incident, seconds): {late}"


@contextlib.asynccontextmanager
async def replicas(folder: Path, sink: Sink, database: str) -> AsyncIterator[tuple[Daemon, Daemon]]:
    """Two daemons over one database."""
    text = paging.configuration(sink)
    async with Daemon(folder / "a", text, database) as one, Daemon(folder / "b", text, database) as other:
        await other.token()
        yield one, other


async def post(daemon: Daemon, name: str) -> None:
    alerts = [{"status": "firing", "dedup_key": f"{name}-{n}", "title": f"down {name}-{n}"} for n in range(4)]
    await daemon.post("/v1/webhooks/shop", {"alerts": alerts}, bearer="crash-token")


async def acknowledge_all(daemon: Daemon, acked: dict[int, float]) -> None:
    """Answer whatever is triggered; a lock that the stopped replica holds may keep an answer waiting."""
    listed = await daemon.every("/v1/incidents?status=triggered", "incidents")
    headers = {"Authorization": f"Bearer {daemon.bearer}"}
    async with aiohttp.ClientSession(headers=headers) as session, asyncio.TaskGroup() as answers:
        for incident in listed:
            answers.create_task(acknowledge(session, daemon, incident["number"], acked))


async def acknowledge(session: aiohttp.ClientSession, daemon: Daemon, number: int, acked: dict[int, float]) -> None:
    url = f"{daemon.url}/v1/incidents/{number}/acknowledge"
    async with session.post(url, data=orjson.dumps({"user": "ana"})) as answer:
        assert answer.status == 200, await answer.text()
    acked[number] = time.monotonic()
