"""kill -9, again and again: during ingest and during paging, on each database.

`TOCSIN_KILLS` is the number of kills for each of the two (100); `TOCSIN_SEED` moves their random moments.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from tests.crash import ingest, paging
from tests.crash.sink import Sink
from tests.daemon import Daemon

KILLS = int(os.environ.get("TOCSIN_KILLS", "100"))
SEED = int(os.environ.get("TOCSIN_SEED", "1"))
LANES = 2


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_no_alert_that_was_answered_2xx_is_lost_by_a_kill_during_ingest(tmp_path: Path) -> None:
    daemons = [Daemon(tmp_path / f"lane{lane}", ingest.CONFIGURATION) for lane in range(LANES)]
    try:
        lanes = await asyncio.gather(
            *(ingest.kill_during_ingest(daemon, SEED * 10 + n, KILLS // LANES) for n, daemon in enumerate(daemons))
        )
    finally:
        for daemon in daemons:
            await daemon.kill()
    assert sum(lane.killed for lane in lanes) == KILLS // LANES * LANES
    assert all(lane.told for lane in lanes)


@pytest.mark.slow
@pytest.mark.timeout(900)
async def test_no_page_is_lost_nor_called_a_third_time_by_a_kill_during_paging(tmp_path: Path) -> None:
    async with Sink(SEED) as one, Sink(SEED + 1) as other:
        sinks = (one, other)
        daemons = [Daemon(tmp_path / f"lane{n}", paging.configuration(sink)) for n, sink in enumerate(sinks)]
        try:
            lanes = await asyncio.gather(
                *(
                    paging.kill_during_paging(daemon, sink, SEED * 10 + n, KILLS // LANES)
                    for n, (daemon, sink) in enumerate(zip(daemons, sinks, strict=True))
                )
            )
        finally:
            for daemon in daemons:
                await daemon.kill()
    assert sum(lane.killed for lane in lanes) == KILLS // LANES * LANES
    assert all(lane.acked and lane.opened for lane in lanes)
