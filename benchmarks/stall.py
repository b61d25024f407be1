"""How long a post of a thousand alerts keeps a small post beside it waiting."""

from __future__ import annotations

import asyncio

from benchmarks import bodies, servers
from benchmarks.ingest import PATH
from benchmarks.load import as_fast_as_answered, at_rate, post
from benchmarks.row import Bench, Row, at_most


async def beside_a_big_post(bench: Bench) -> list[Row]:
    """Small posts at 100/s, alone and then beside a post of 1,000 alerts twice a second."""
    seconds = bench.size(8, 3)
    async with servers.tocsin(bench.place("stall")) as daemon:
        alone = await _small_posts(bench, daemon.port, seconds)
        small = asyncio.ensure_future(_small_posts(bench, daemon.port, seconds))
        big: list[float] = []
        for _ in range(seconds * 2):
            request = post(daemon.port, PATH, bodies.webhook(bench.keys(1000)), servers.TOKEN)
            big += (await as_fast_as_answered(daemon.port, [request], connections=1, within=30)).latencies
            await asyncio.sleep(max(0, 0.5 - big[-1]))
        beside = await small
    return [
        at_most("small post beside a 1,000-alert post, p99", beside[1], "ms", 60,
                p50=beside[0], worst=beside[2], alone_p50=alone[0], alone_p99=alone[1], big_post_ms=max(big) * 1000),
    ]  # fmt: skip


async def _small_posts(bench: Bench, port: int, seconds: int) -> tuple[float, float, float]:
    requests = [post(port, PATH, bodies.webhook([key]), servers.TOKEN) for key in bench.keys(100 * seconds)]
    report = await at_rate(port, requests, 100, connections=16, within=60)
    return report.at(0.5) * 1000, report.at(0.99) * 1000, max(report.latencies) * 1000
