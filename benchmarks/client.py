"""How long a client command takes from the shell, daemon's answer included."""

from __future__ import annotations

import time
from statistics import median

from benchmarks import servers
from benchmarks.row import Bench, Row, at_most


async def command_start(bench: Bench) -> list[Row]:
    """`tocsin incidents --json` against a running daemon."""
    took: list[float] = []
    async with servers.tocsin(bench.place("client")) as daemon:
        await daemon.token()
        for _ in range(bench.size(9, 3)):
            began = time.perf_counter()
            await daemon.command("incidents", "--json")
            took.append(time.perf_counter() - began)
    return [at_most("tocsin incidents, from start to end", median(took), "s", 0.3, best=min(took))]
