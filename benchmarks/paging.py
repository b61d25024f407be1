"""From the post of an alert until the page about it arrives at the receiver, at steady rates."""

from __future__ import annotations

from benchmarks import bodies, servers
from benchmarks.ingest import PATH
from benchmarks.load import at_rate, post, quantile
from benchmarks.row import Bench, Row, at_most
from benchmarks.sink import Sink, sink
from tests.daemon import Daemon


async def first_page(bench: Bench) -> list[Row]:
    """Open loop at 100/s and 500/s: latency counts from the moment the post was meant to leave."""
    async with sink() as journal, servers.tocsin(bench.place("paging"), sink=journal.port) as daemon:
        await _latencies(bench, daemon, journal, 100, 100)  # warm
        slow = await _latencies(bench, daemon, journal, 100, bench.size(1000, 200))
        fast = await _latencies(bench, daemon, journal, 500, bench.size(3000, 500))
    return [
        at_most("alert → first page at 100/s, p50", slow[0], "ms", 5),
        at_most("alert → first page at 100/s, p99", slow[1], "ms", 25),
        at_most("alert → first page at 500/s, p99", fast[1], "ms", 60, p50=fast[0]),
    ]


async def _latencies(bench: Bench, daemon: Daemon, journal: Sink, rate: int, count: int) -> tuple[float, float]:
    keys = bench.keys(count)
    requests = [post(daemon.port, PATH, bodies.webhook([key], "PageNow"), servers.TOKEN) for key in keys]
    sent: list[float] = []
    before = len(journal.arrived)
    await at_rate(
        daemon.port, requests, rate, connections=16, within=60, sent=lambda _, moment: sent.append(moment)
    )  # fmt: skip
    await journal.has(before + count, within=30)
    took = [(journal.arrived[key] - moment) * 1000 for key, moment in zip(keys, sent, strict=True)]
    return quantile(took, 0.5), quantile(took, 0.99)
