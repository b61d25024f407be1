"""The database goes away under a running daemon, and comes back: honest meanwhile (I12), nothing forgotten after (I1, I2)."""

from __future__ import annotations

import asyncio
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.crash import paging
from tests.crash.sink import Sink
from tests.daemon import Daemon, until
from tests.postgres import Server, as_postgres, running_server, wait_until_ready

pytestmark = [pytest.mark.slow, pytest.mark.peers]


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test's own: it is killed."""
    with running_server() as one:
        yield one


async def test_without_its_database_it_says_so_takes_nothing_and_pages_when_it_is_back(
    tmp_path: Path, server: Server
) -> None:
    sink = Sink(1, moods={"200": 1})
    async with sink, Daemon(tmp_path, paging.configuration(sink), server.database()) as daemon:
        await daemon.token()
        assert await fires(daemon, "before") == 202
        await until(lambda: (1, "ana") in sink.told(), within=10, what="the first step")

        kill(server)
        await until(lambda: readiness(daemon, 503), within=15, what="/readyz to fail")
        assert (await daemon.ask("GET", "/healthz"))[0] == 200, "the process itself lives"
        assert await fires(daemon, "meanwhile") == 503, "nothing is taken that cannot be kept"
        assert (1, "bo") not in sink.told()

        await asyncio.to_thread(start_again, server)
        await until(lambda: readiness(daemon, 200), within=20, what="/readyz to recover")
        await until(lambda: (1, "bo") in sink.told(), within=10, what="the step that fell due meanwhile")
        assert await fires(daemon, "meanwhile") == 202
        await until(lambda: len(sink.told()) >= 3, within=10, what="the page about what came again")
        assert not list(sink.too_often())


async def fires(daemon: Daemon, key: str) -> int:
    alert = {"status": "firing", "dedup_key": key, "title": f"{key} is down"}
    status, _ = await daemon.ask("POST", "/v1/webhooks/shop", alert, bearer="crash-token")
    return status


async def readiness(daemon: Daemon, status: int) -> bool:
    return (await daemon.ask("GET", "/readyz"))[0] == status


def kill(server: Server) -> None:
    server.process.kill()
    server.process.wait()


def start_again(server: Server) -> None:
    """The same server over the same folder. The killed one's children need a moment to notice, so it may take a few tries."""
    for _ in range(20):
        with (server.folder / "log").open("ab") as log:
            server.process = subprocess.Popen(
                server.process.args, stdout=log, stderr=log, preexec_fn=as_postgres(server.folder), cwd=server.folder
            )
        try:
            return wait_until_ready(server)
        except AssertionError:
            server.process.wait(timeout=10)
    raise AssertionError("PostgreSQL did not start again")
