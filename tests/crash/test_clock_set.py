"""Real daemons whose machine's clock, or whose database's clock, is set while they page.

libfaketime (Debian's package of this name) stands before the system's wall clock and leaves the others alone. The
tests' own clock is not touched.
"""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from datetime import datetime
from pathlib import Path

import pytest

from tests.crash import paging
from tests.crash.sink import Sink
from tests.crash.test_database_gone import fires, readiness
from tests.daemon import Daemon, until
from tests.postgres import Server, running_server

LIBRARY = next(Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1"), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(LIBRARY is None, reason="libfaketime is not installed; on Debian: apt-get install libfaketime"),
]
WAIT = 8.0
STEPS = [["-3600s"], ["+3600s"], ["+3600s", "+0"], ["-10y"]]


class WallClock:
    """A wall clock that a test may set: what it is off the true one."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "clock"
        self.file.write_text("+0\n")
        self.file.chmod(0o644)

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "LD_PRELOAD": str(LIBRARY),
            "FAKETIME_TIMESTAMP_FILE": str(self.file),
            "FAKETIME_DONT_FAKE_MONOTONIC": "1",
            "FAKETIME_NO_CACHE": "1",
        }

    def set(self, off: str) -> None:
        fresh = self.file.with_suffix(".new")
        fresh.write_text(f"{off}\n")
        fresh.chmod(0o644)
        fresh.replace(self.file)


def configuration(sink: Sink) -> str:
    return paging.configuration(sink).replace("wait: 2s", f"wait: {WAIT:g}s")


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink(1, moods={"200": 1}) as one:
        yield one


def at(sink: Sink, title: str, user: str) -> list[float]:
    return [call.at for call in sink.calls if call.body["incident"].get("title") == title and call.body["user"] == user]


async def pages_in_time(
    daemon: Daemon, sink: Sink, clock: WallClock, steps: list[str], other: Daemon | None = None
) -> None:
    """An alert whose second step is under way while the clock is set, and nobody is told early, late or twice.

    `other`: a replica beside it; a step that is taken back may be seen by one of the two alone.
    """
    daemons = [daemon] if other is None else [daemon, other]
    assert await fires(daemon, "db") == 202
    await until(lambda: at(sink, "db is down", "ana"), within=10, what="the first step")
    for off in steps:
        await asyncio.sleep(1.5)
        clock.set(off)
    await until(lambda: at(sink, "db is down", "bo"), within=WAIT + 5, what="the second step")
    await asyncio.sleep(1)
    (first,), (second,) = at(sink, "db is down", "ana"), at(sink, "db is down", "bo")
    assert second - first == pytest.approx(WAIT, abs=4), "the wait lasts as long as it was written"
    assert await readiness(daemon, 200)
    await until(lambda: any("clock_stepped" in one.log for one in daemons), within=10, what="the step to be told")
    assert not list(sink.too_often())


async def shows_true_time(daemon: Daemon, off: float) -> None:
    """A new incident is dated by the clock as it is now."""
    assert await fires(daemon, "later") == 202
    shown = [one for one in (await daemon.get("/v1/incidents"))["incidents"] if one["title"] == "later is down"]
    true = time.time() + off
    assert abs(datetime.fromisoformat(shown[0]["created_at"]).timestamp() - true) < 5


@pytest.mark.parametrize("steps", STEPS, ids=" ".join)
async def test_a_step_of_the_machines_clock_stops_no_escalation_and_hurries_none(
    tmp_path: Path, sink: Sink, steps: list[str]
) -> None:
    clock = WallClock(tmp_path)
    async with Daemon(tmp_path / "daemon", configuration(sink), env=clock.env) as daemon:
        await daemon.token()
        await pages_in_time(daemon, sink, clock, steps)
        if steps[-1] in ("-3600s", "+3600s", "+0"):
            await shows_true_time(daemon, float(steps[-1].rstrip("s")))


@pytest.mark.parametrize("off", ["-3600s", "+3600s"])
async def test_a_step_over_a_restart_stops_no_escalation_either(tmp_path: Path, sink: Sink, off: str) -> None:
    clock = WallClock(tmp_path)
    daemon = await Daemon(tmp_path / "daemon", configuration(sink), env=clock.env).start()
    assert await fires(daemon, "db") == 202
    await until(lambda: at(sink, "db is down", "ana"), within=10, what="the first step")
    await daemon.kill()
    clock.set(off)
    await daemon.launch()
    try:
        await daemon.until_ready(within=60)
        ready = time.monotonic()
        await until(lambda: at(sink, "db is down", "bo"), within=WAIT + 5, what="the second step")
        first, second = at(sink, "db is down", "ana")[0], at(sink, "db is down", "bo")[0]
        assert first + WAIT - 1 <= second <= max(first + WAIT, ready) + 4
    finally:
        await daemon.stop()


# -------------------------------------------------------------------------------------- PostgreSQL


@pytest.fixture
def servers_clock(tmp_path_factory: pytest.TempPathFactory) -> WallClock:
    folder = tmp_path_factory.mktemp("clock")
    for one in (folder, *folder.parents[:3]):
        one.chmod(0o755)  # the server runs as a user of its own
    return WallClock(folder)


@pytest.fixture
def server(servers_clock: WallClock, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    with monkeypatch.context() as patched:
        for name, value in servers_clock.env.items():
            patched.setitem(os.environ, name, value)
        context = running_server()
        server = context.__enter__()
    try:
        yield server
    finally:
        context.__exit__(None, None, None)


@pytest.mark.peers
@pytest.mark.parametrize("steps", [["-3600s"], ["+3600s"], ["+3600s", "+0"]], ids=" ".join)
async def test_a_step_of_the_databases_clock_stops_no_replica_and_hurries_none(
    tmp_path: Path, sink: Sink, server: Server, servers_clock: WallClock, steps: list[str]
) -> None:
    url = server.database()
    async with (
        Daemon(tmp_path / "one", configuration(sink), url) as one,
        Daemon(tmp_path / "two", configuration(sink), url) as two,
    ):
        await pages_in_time(one, sink, servers_clock, steps)
        assert await readiness(two, 200)
        await until(lambda: "clock_stepped" in two.log, within=10, what="the step to be told by the other too")
        await one.token()
        await shows_true_time(one, float(steps[-1].rstrip("s")))


@pytest.mark.peers
async def test_replicas_whose_clocks_are_an_hour_apart_agree(
    tmp_path: Path, sink: Sink, server: Server, servers_clock: WallClock
) -> None:
    url, clock = server.database(), WallClock(tmp_path)
    async with Daemon(tmp_path / "one", configuration(sink), url) as one:
        clock.set("+3600s")
        async with Daemon(tmp_path / "two", configuration(sink), url, env=clock.env) as two:
            assert await fires(two, "db") == 202
            await until(lambda: at(sink, "db is down", "ana"), within=10, what="the first step")
            clock.set("-3600s")
            await until(lambda: at(sink, "db is down", "bo"), within=WAIT + 5, what="the second step")
            (first,), (second,) = at(sink, "db is down", "ana"), at(sink, "db is down", "bo")
            assert second - first == pytest.approx(WAIT, abs=4)
            await one.token()
            await shows_true_time(one, 0)


@pytest.mark.peers
async def test_a_replica_that_starts_just_behind_a_step_of_the_databases_clock_waits_for_the_others(
    tmp_path: Path, sink: Sink, server: Server, servers_clock: WallClock
) -> None:
    url = server.database()
    async with Daemon(tmp_path / "one", configuration(sink).replace(f"wait: {WAIT:g}s", "wait: 60s"), url) as one:
        assert await fires(one, "db") == 202
        await until(lambda: at(sink, "db is down", "ana"), within=10, what="the first step")
        servers_clock.set("+3600s")
        async with Daemon(tmp_path / "two", configuration(sink), url) as two:
            await asyncio.sleep(3)
            assert at(sink, "db is down", "bo") == []
            assert await readiness(two, 200)
