"""Two replicas over one PostgreSQL, and one of them, or the way to the server, fails: the other one goes on within five seconds.

Under load, at moments drawn from TOCSIN_SEED. Judged by what senders were answered and what the receiver of pages saw.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import aiohttp
import asyncpg
import orjson
import pytest

from tests.crash import paging
from tests.crash.sink import Sink
from tests.crash.test_database_gone import kill, start_again
from tests.daemon import Daemon, free_port, until
from tests.postgres import Server, as_postgres, programs, running_server, wait_until_ready
from tests.proxy import Proxy

pytestmark = [pytest.mark.slow, pytest.mark.peers, pytest.mark.timeout(240)]

SECONDS = 5.0  # in which a healthy replica goes on
BUSY = float(os.environ.get("TOCSIN_BUSY", "2"))  # what a loaded machine may add


@pytest.fixture
def server() -> Iterator[Server]:
    """A server of this test's own: it is hurt."""
    with running_server() as one:
        yield one


@dataclass
class Town:
    """A replica that is hurt and one that is well, each with its own way to the database."""

    server: Server
    sink: Sink
    hurt: Daemon
    well: Daemon
    way: Proxy
    other_way: Proxy
    chance: random.Random
    taken: dict[int, float] = field(default_factory=dict)  # incident → when its post was answered
    slowest: float = 0.0
    mended: float = 0.0  # when there was a server again
    probed: float = 0.0  # the slowest answer of /readyz
    unready: int = 0

    async def load(self, daemon: Daemon, stop: asyncio.Event, name: str) -> None:
        """Post one alert after the other, each until it is taken."""
        headers = {"Authorization": "Bearer crash-token"}
        limit = aiohttp.ClientTimeout(total=30)
        number = 0
        async with aiohttp.ClientSession(headers=headers, timeout=limit) as session:
            while not stop.is_set():
                number += 1
                alert = {"status": "firing", "dedup_key": f"{name}-{number}", "title": f"down {name}-{number}"}
                started = time.monotonic()
                while True:
                    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
                        url = f"{daemon.url}/v1/webhooks/shop"
                        async with session.post(url, data=orjson.dumps(alert)) as answer:
                            body = await answer.read()
                            assert answer.status in (202, 429, 503), body
                            if answer.status == 202:
                                self.taken.update(dict.fromkeys(orjson.loads(body)["incidents"], time.monotonic()))
                                break
                    if stop.is_set():
                        return
                    await asyncio.sleep(0.1)
                if daemon is self.well:
                    self.slowest = max(self.slowest, time.monotonic() - max(started, self.mended))
                await asyncio.sleep(self.chance.uniform(0.05, 0.25))

    async def probe(self, stop: asyncio.Event) -> None:
        """Ask the well one whether it is ready, as a load balancer does."""
        while not stop.is_set():
            started = time.monotonic()
            status, _ = await self.well.ask("GET", "/readyz")
            self.probed = max(self.probed, time.monotonic() - started)
            self.unready += status != 200
            await asyncio.sleep(0.3)

    @contextlib.asynccontextmanager
    async def loaded(self) -> AsyncIterator[None]:
        """While the block runs, both are posted to."""
        stop = asyncio.Event()
        async with asyncio.TaskGroup() as clients:
            for index in range(2):
                clients.create_task(self.load(self.well, stop, f"well{index}"))
            clients.create_task(self.load(self.hurt, stop, "hurt"))
            clients.create_task(self.probe(stop))
            await asyncio.sleep(self.chance.uniform(1.0, 1.5))
            try:
                yield
            finally:
                stop.set()

    async def all_paged(self, within: float = SECONDS + BUSY) -> None:
        """Everybody who must have been called about an incident was, and once more where nobody knows whether it arrived."""

        async def missing() -> dict[int, object]:
            called: dict[int, list[str]] = {}
            for call in self.sink.calls:
                if call.body["user"] == "ana" and call.body["kind"] == "page":
                    called.setdefault(call.incident, []).append(call.answer)
            left = [number for number in self.taken if called.get(number, ["lost"]) in (["lost"], ["reset"])]
            return {number: (await self.well.get(f"/v1/incidents/{number}/pages"))["pages"] for number in left[:3]}

        async def done() -> bool:
            return not await missing()

        try:
            await until(done, within=within, what=f"a page for each of {len(self.taken)} incidents")
        except AssertionError as late:
            raise AssertionError(
                f"{late}\n{await missing()}\n{self.well.log[-3000:]}\n{self.hurt.log[-3000:]}"
            ) from None

    def judge(self, *, ready: bool = True) -> None:
        print(f"{len(self.taken)} incidents, slowest post {self.slowest:.1f} s, slowest probe {self.probed:.1f} s, "
              f"{self.unready} times not ready")  # fmt: skip
        assert self.slowest <= SECONDS + BUSY, f"a post to the healthy replica took {self.slowest:.1f} s"
        assert self.probed <= 2.0 + BUSY, f"/readyz took {self.probed:.1f} s"
        assert not ready or self.unready <= 2, f"the healthy replica called itself unready {self.unready} times"
        often = [(key, [(call.answer, call.body["attempt"]) for call in calls]) for key, calls in self.sink.too_often()]
        assert not often, f"called more than twice: {often[:3]}"
        calls = [call for call in self.sink.calls if call.answer == "200" and call.body["user"] == "ana"]
        twice = len(calls) - len({call.key for call in calls})
        assert twice <= len(calls) // 10 + 5, f"{twice} of {len(calls)} people were called twice: that is a habit"

    def latest(self) -> float:
        """How long the slowest first page took from its post's answer."""
        first: dict[int, float] = {}
        for call in self.sink.calls:
            first.setdefault(call.incident, call.at)
        return max((first[number] - at for number, at in self.taken.items() if number in first), default=0.0)


@contextlib.asynccontextmanager
async def town(folder: Path, server: Server, *, proxies: int = 0, **moods: int) -> AsyncIterator[Town]:
    """`proxies`: how many of the two reach the server through one."""
    database = server.database()
    name = database.rpartition("/")[2]
    chance = random.Random(int(os.environ.get("TOCSIN_SEED", "1")))
    async with (
        Sink(1, moods=moods or {"200": 1}) as sink, Proxy(server.port) as way, Proxy(server.port) as other_way,
    ):  # fmt: skip
        text = paging.configuration(sink)

        def through(proxy: Proxy) -> str:
            return f"postgresql://{server.user}@127.0.0.1:{proxy.port}/{name}"

        async with (
            Daemon(folder / "hurt", text, through(way) if proxies else database) as hurt,
            Daemon(folder / "well", text, through(other_way) if proxies > 1 else database) as well,
        ):
            await well.token()
            hurt.bearer = well.bearer
            yield Town(server, sink, hurt, well, way, other_way, chance)
            if hurt.process is not None and hurt.process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(hurt.pid, signal.SIGCONT)


async def test_a_stopped_replica_holds_up_nobody_and_pages_nobody_a_third_time(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server) as one:
        async with one.loaded():
            for _ in range(3):
                os.kill(one.hurt.pid, signal.SIGSTOP)
                await asyncio.sleep(one.chance.uniform(4, 7))
                os.kill(one.hurt.pid, signal.SIGCONT)
                await asyncio.sleep(one.chance.uniform(0.3, 1.0))
        await one.all_paged()
        one.judge()


async def test_a_replica_that_is_cut_off_says_so_and_holds_up_nobody(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server, proxies=1) as one:
        async with one.loaded():
            one.way.freeze()
            await asyncio.sleep(3)
            started = time.monotonic()
            status, _ = await one.hurt.ask("GET", "/readyz")
            assert (status, time.monotonic() - started < 2 + BUSY) == (503, True)
            await asyncio.sleep(9)
            one.way.thaw()
            await until(lambda: readiness(one.hurt, 200), within=15, what="the cut-off replica to be ready again")
        await one.all_paged(within=20)
        one.judge()


async def test_every_connection_that_is_ended_is_made_again(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server, **{"200": 6, "reset": 2}) as one:
        async with one.loaded():
            for _ in range(4):
                await asyncio.to_thread(end_all, server)
                await asyncio.sleep(one.chance.uniform(1.0, 2.5))
        await one.all_paged(within=10)
        one.judge(ready=False)
        logged = (one.well.log + one.hurt.log).splitlines()
        assert [line[:1500] for line in logged if "released back" in line or "task_failed" in line] == []


async def test_after_a_restart_of_the_server_both_go_on(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server, **{"200": 6, "reset": 2}) as one:
        async with one.loaded():
            kill(server)
            await asyncio.sleep(1)
            await asyncio.to_thread(start_again, server)
            back = time.monotonic()
            for daemon in (one.well, one.hurt):
                await until(functools.partial(readiness, daemon, 200), within=SECONDS + BUSY, what="readiness")
            one.slowest, one.mended = 0.0, time.monotonic()
            assert time.monotonic() - back < SECONDS + BUSY
            await asyncio.sleep(1)
        await one.all_paged(within=10)
        one.judge(ready=False)


async def test_what_a_dead_replica_had_begun_is_taken_over(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server, lost=1) as one:
        process = one.hurt.process
        assert process is not None
        one.sink.on_call = lambda _: process.kill() if process.returncode is None else None
        with contextlib.suppress(aiohttp.ClientError, AssertionError):
            await one.hurt.post(
                "/v1/webhooks/shop", {"status": "firing", "dedup_key": "x", "title": "x"}, bearer="crash-token"
            )
        await until(lambda: one.sink.calls, within=5, what="the first call")
        one.sink.moods = {"200": 1}
        await until(
            lambda: "ana" in {who for _, who in one.sink.told()}, within=SECONDS + BUSY, what="the second attempt"
        )
        one.judge()


async def test_what_a_stopped_replica_had_begun_is_taken_over(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server, lost=1) as one:
        one.sink.on_call = lambda _: os.kill(one.hurt.pid, signal.SIGSTOP)
        posted = asyncio.ensure_future(
            one.hurt.ask(
                "POST", "/v1/webhooks/shop", {"status": "firing", "dedup_key": "x", "title": "x"}, bearer="crash-token"
            )
        )
        await until(lambda: one.sink.calls, within=5, what="the first call")
        one.sink.moods, one.sink.on_call = {"200": 1}, lambda _: None
        await until(lambda: "ana" in {who for _, who in one.sink.told()}, within=20, what="the second attempt")
        os.kill(one.hurt.pid, signal.SIGCONT)
        await asyncio.gather(posted, return_exceptions=True)
        await asyncio.sleep(3)
        one.judge()


async def test_a_server_without_connections_to_give_stops_nobody(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server) as one:
        hoard = []
        async with one.loaded():
            with contextlib.suppress(asyncpg.PostgresError):
                while True:
                    hoard.append(await asyncpg.connect(server.url("postgres")))
            await asyncio.sleep(4)
        await one.all_paged()
        one.judge()
        for conn in hoard:
            await conn.close()


async def test_the_same_data_on_a_fresh_server_are_gone_on_with(tmp_path: Path, server: Server) -> None:
    async with town(tmp_path, server, proxies=2) as one:
        async with one.loaded():
            for proxy in (one.way, one.other_way):
                proxy.freeze()
            kill(server)
            fresh = await asyncio.to_thread(copied, server)
            for proxy in (one.way, one.other_way):
                proxy.target = fresh.port
                proxy.cut()
                proxy.thaw()
            for daemon in (one.well, one.hurt):
                await until(functools.partial(readiness, daemon, 200), within=SECONDS + BUSY, what="readiness")
            one.slowest, one.mended = 0.0, time.monotonic()
            await asyncio.sleep(2)
        try:
            await one.all_paged(within=10)
            one.judge(ready=False)
        finally:
            fresh.stop()


async def readiness(daemon: Daemon, status: int) -> bool:
    with contextlib.suppress(aiohttp.ClientError, TimeoutError):
        return (await daemon.ask("GET", "/readyz"))[0] == status
    return False


def end_all(server: Server) -> None:
    server.run("select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'tocsin'")


def copied(server: Server) -> Server:
    """Another server over a copy of the data."""
    folder = server.folder / "copy"
    folder.mkdir()
    become = as_postgres(folder)
    shutil.copytree(server.folder / "data", folder / "data")
    subprocess.run(["chown", "-R", "postgres", str(folder)], check=False)
    (folder / "data" / "postmaster.pid").unlink(missing_ok=True)
    port, bin_dir = free_port(), programs()
    assert bin_dir is not None
    settings = ["-c", "listen_addresses=127.0.0.1", "-c", "max_connections=100", "-c", "timezone=UTC"]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [bin_dir / "postgres", "-D", folder / "data", "-p", str(port), "-k", str(folder), *settings],
            stdout=log, stderr=log, preexec_fn=become, cwd=folder,
        )  # fmt: skip
    fresh = Server(folder, port, process)
    wait_until_ready(fresh)
    return fresh
