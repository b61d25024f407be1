"""A hundred thousand open incidents: memory, and how soon a killed daemon takes alerts and pages again."""

from __future__ import annotations

import asyncio
import time

from benchmarks import bodies, servers
from benchmarks.ingest import PATH
from benchmarks.load import as_fast_as_answered, post
from benchmarks.row import Bench, Row, at_most
from benchmarks.sink import Sink, sink
from tests.daemon import Daemon, until

OVERDUE = 200


async def with_100k_open(bench: Bench) -> list[Row]:
    """Fill, look at memory, kill -9 with steps about to fall due, start again when they are overdue."""
    incidents = bench.size(100_000, 5_000)
    async with sink() as journal:
        daemon = servers.tocsin(bench.place("restart"), sink=journal.port, hold="3s")
        await daemon.start()
        try:
            await _fill(bench, daemon, incidents)
            full = servers.resident_mib(daemon.pid)
            await _post_all(daemon, [bodies.webhook(bench.keys(100), "DueTogether") for _ in range(OVERDUE // 100)])
            await daemon.kill()
            await asyncio.sleep(3.5)
            imports = await _imports()
            first_202, first_page = await _restart(bench, daemon, journal)
            await journal.has(OVERDUE, within=60)
            again = servers.resident_mib(daemon.pid)
        finally:
            await daemon.kill()
    return [
        at_most(f"memory with {incidents:,} open incidents", full, "MiB", 150, after_restart=again),
        at_most(f"restart with {incidents:,} open: first 202", max(0, first_202 - imports), "s", 1,
                from_start=first_202, imports=imports),
        at_most(f"restart with {incidents:,} open: first overdue page", first_page, "s", 5),
    ]  # fmt: skip


async def _fill(bench: Bench, daemon: Daemon, count: int) -> None:
    for _ in range(count // 5000):
        await _post_all(daemon, [bodies.webhook(bench.keys(100)) for _ in range(50)])


async def _post_all(daemon: Daemon, documents: list[bytes]) -> None:
    requests = [post(daemon.port, PATH, body, servers.TOKEN) for body in documents]
    await as_fast_as_answered(daemon.port, requests, connections=min(8, len(requests)), within=60)


async def _imports() -> float:
    """Seconds the interpreter needs for the daemon's imports alone."""
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        servers.PYTHON, "-c", "import tocsin.wiring, tocsin.web.app", stdin=asyncio.subprocess.DEVNULL
    )
    assert await process.wait() == 0
    return time.perf_counter() - began


async def _restart(bench: Bench, daemon: Daemon, journal: Sink) -> tuple[float, float]:
    """Seconds from the start of the process to its first 202, and to its first overdue page."""
    request = post(daemon.port, PATH, bodies.webhook(bench.keys(1)), servers.TOKEN)
    began = time.perf_counter()
    await daemon.launch()
    first_202 = await until(lambda: _taken(daemon, request), within=60, what="the first 202 after the restart")
    await until(lambda: bool(journal.arrived), within=60, what="the first overdue page")
    return first_202 - began, min(journal.arrived.values()) - began


async def _taken(daemon: Daemon, request: bytes) -> float:
    try:
        await as_fast_as_answered(daemon.port, [request], connections=1, within=30)
    except OSError:
        return 0
    return time.perf_counter()
