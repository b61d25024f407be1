"""kill -9, again and again: during ingest and during paging, on each database.

`TOCSIN_KILLS` is the number of kills for each of the two (100); `TOCSIN_SEED` moves their random moments.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Coroutine, Iterable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, TypeVar

import pytest

from tests.crash import ingest, paging
from tests.crash.sink import Sink
from tests.daemon import Daemon

KILLS = int(os.environ.get("TOCSIN_KILLS", "100"))
SEED = int(os.environ.get("TOCSIN_SEED", "1"))
LANES = 2
Lane = TypeVar("Lane")

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]


async def test_no_alert_that_was_answered_2xx_is_lost_by_a_kill_during_ingest(tmp_path: Path) -> None:
    await kill_during_ingest(tmp_path, ["sqlite:tocsin.db"] * LANES, KILLS // LANES)


async def test_no_page_is_lost_nor_called_a_third_time_by_a_kill_during_paging(tmp_path: Path) -> None:
    await kill_during_paging(tmp_path, ["sqlite:tocsin.db"] * LANES, KILLS // LANES)


@pytest.mark.peers
async def test_the_same_on_postgresql_during_ingest(tmp_path: Path, postgres_url: str) -> None:
    await kill_during_ingest(tmp_path, [postgres_url], max(1, KILLS // 10))


@pytest.mark.peers
async def test_the_same_on_postgresql_during_paging(tmp_path: Path, postgres_url: str) -> None:
    await kill_during_paging(tmp_path, [postgres_url], max(1, KILLS // 10))


async def kill_during_ingest(folder: Path, databases: list[str], kills: int) -> None:
    """A lane for each database, side by side; each looks after its own promises."""
    daemons = [Daemon(folder / f"lane{n}", ingest.CONFIGURATION, url) for n, url in enumerate(databases)]
    async with AsyncExitStack() as stack:
        for daemon in daemons:
            stack.push_async_callback(daemon.kill)
        lanes = await side_by_side(
            ingest.kill_during_ingest(daemon, SEED * 10 + n, kills) for n, daemon in enumerate(daemons)
        )
    assert sum(lane.killed for lane in lanes) == kills * len(databases)
    assert all(lane.told for lane in lanes) or kills < 10


async def kill_during_paging(folder: Path, databases: list[str], kills: int) -> None:
    async with AsyncExitStack() as stack:
        sinks = [await stack.enter_async_context(Sink(SEED * 10 + n)) for n in range(len(databases))]
        daemons = [
            Daemon(folder / f"lane{n}", paging.configuration(sink), url)
            for n, (sink, url) in enumerate(zip(sinks, databases, strict=True))
        ]
        for daemon in daemons:
            stack.push_async_callback(daemon.kill)
        lanes = await side_by_side(
            paging.kill_during_paging(daemon, sink, SEED * 10 + n, kills)
            for n, (daemon, sink) in enumerate(zip(daemons, sinks, strict=True))
        )
    assert sum(lane.killed for lane in lanes) == kills * len(databases)
    assert any(lane.acked for lane in lanes) or kills < 10
    assert all(lane.opened for lane in lanes) or kills < 10


async def side_by_side(lanes: Iterable[Coroutine[Any, Any, Lane]]) -> list[Lane]:
    """All of them at once; the first that fails ends the others."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(lane) for lane in lanes]
    return [task.result() for task in tasks]
