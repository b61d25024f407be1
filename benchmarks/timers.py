"""Ten thousand escalation steps due within one second: how late each runs, and how late its call goes out."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from benchmarks import bodies, servers
from benchmarks.ingest import PATH
from benchmarks.load import at_rate, post, quantile
from benchmarks.row import Bench, Row, at_most
from benchmarks.sink import sink

HOLD = 8


async def due_in_one_second(bench: Bench) -> list[Row]:
    """Alerts under one `hold` arrive evenly over one second, so that their first steps fall due over one second."""
    due = bench.size(10_000, 1_000)
    async with sink() as journal:
        daemon = servers.tocsin(bench.place("timers"), sink=journal.port, hold=f"{HOLD}s")
        async with daemon:
            documents = [bodies.webhook(bench.keys(50), "DueTogether") for _ in range(due // 50)]
            requests = [post(daemon.port, PATH, body, servers.TOKEN) for body in documents]
            await at_rate(daemon.port, requests, due / 50, connections=16, within=HOLD - 1)
            planned = _read(daemon.folder, "select number, held_until from incidents")
            await asyncio.sleep(HOLD - 2)
            await journal.has(due, within=120)
            ran = _read(
                daemon.folder, "select incident, min(created_at) from pages where kind = 'page' group by incident"
            )
            calls = journal.calls
    late = [float(ran[number] - moment) for number, moment in planned.items() if number in ran]
    assert len(late) == due, f"{len(late)} steps of {due} ran"
    return [
        at_most(f"{due:,} timers due in one second, p99 late", quantile(late, 0.99), "ms", 100,
                p50=quantile(late, 0.5), worst=max(late), calls=calls, twice=calls - due),
    ]  # fmt: skip


def _read(folder: Path, sql: str) -> dict[int, int]:
    """Pairs from the daemon's own file: incident and moment, in milliseconds."""
    with sqlite3.connect(f"file:{folder}/tocsin.db?mode=ro", uri=True) as reader:
        return dict(reader.execute(sql).fetchall())
