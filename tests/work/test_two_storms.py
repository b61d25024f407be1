"""Two daemons over one PostgreSQL count together: one storm, opened once, that ends for both."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from pathlib import Path

import asyncpg
import pytest

from tests.daemon import until
from tocsin.contracts import IncidentFilter
from tocsin.model import Alert, Incident, Parsed
from tocsin.settings import load
from tocsin.wiring import Daemon, system_ports

CONFIGURATION = """
server: {listen: "127.0.0.1:0"}
database: {url: "URL"}
catch_all: [channel:terminal]
integrations: {apps: {type: webhook, token: apps-token}}
channels: {terminal: {type: console, to: terminal}}
storm: {new_incidents: 10, within: 3s}
"""


@pytest.fixture
async def daemons(tmp_path: Path, postgres_url: str) -> AsyncIterator[list[Daemon]]:
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION.replace("URL", postgres_url))
    started = []
    for _ in range(2):
        one = Daemon(load(tmp_path / "tocsin.yaml", env={}), ports=system_ports(lambda _: None))
        await one.start(listen=False)
        started.append(one)
    yield started
    for one in started:
        await one.stop()


async def incidents(daemon: Daemon) -> list[Incident]:
    return await daemon.store.incidents(IncidentFilter(), 200, None)


async def test_both_count_and_one_storm_is_opened_that_ends_for_both(daemons: list[Daemon]) -> None:
    async def post(number: int) -> None:
        daemon = daemons[number % 2]
        config = daemon.runtime.settings.integrations["apps"]
        alert = Alert("firing", f"k{number}", "error", title=f"trouble {number}")
        await daemon.intake.take(config, str(number).encode(), Parsed((alert,)))

    await asyncio.gather(*(post(number) for number in range(40)))

    found = await incidents(daemons[0])
    (storm,) = [one for one in found if one.key.startswith("storm/")]
    taken_in = [one for one in found if one.storm == storm.number]
    assert (len(found), len(taken_in)) == (41, 30)

    async def over() -> bool:
        now = await incidents(daemons[1])
        return all(one.muted_by is None for one in now) and any(one.status == "resolved" for one in now)

    await until(over, within=20, what="the storm to end and what it took in to page")
    assert [one.storm for one in await daemons[0].store.members(storm.number, 100, None)] == [storm.number] * 30


async def test_whoever_holds_the_rows_of_a_storm_holds_up_no_post_and_no_page(
    daemons: list[Daemon], postgres_url: str
) -> None:
    async def post(number: int) -> int:
        daemon = daemons[number % 2]
        config = daemon.runtime.settings.integrations["apps"]
        alert = Alert("firing", f"k{number}", "error", title=f"trouble {number}")
        return (await daemon.intake.take(config, str(number).encode(), Parsed((alert,)))).incidents[0]

    for number in range(5):
        await post(number)
    someone = await asyncpg.connect(postgres_url)  # who has no limits on its session
    await someone.execute("begin; select * from storms for update")
    try:
        async with asyncio.timeout(5):
            numbers = [await post(number) for number in range(5, 9)]

        async def paged() -> bool:
            pages = [await daemons[0].store.pages(number) for number in numbers]
            return all(page and page[0][0].status == "done" for page in pages)

        await until(paged, within=5, what="a page for each although the counts are held")
    finally:
        await someone.close()

    more = itertools.count(20)

    async def storms() -> list[Incident]:
        """Counts that could not be had are left alone for a second: posts go on until they are counted again."""
        await asyncio.gather(*(post(next(more)) for _ in range(15)))
        return [one for one in await incidents(daemons[0]) if one.key.startswith("storm/")]

    (storm,) = await until(storms, within=10, what="a storm to begin")
    someone = await asyncpg.connect(postgres_url)
    await someone.execute(f"begin; select * from incidents where number = {storm.number} for update")
    try:
        async with asyncio.timeout(5):
            taken_in = [await post(next(more)) for _ in range(4)]
    finally:
        await someone.close()
    joined = [await daemons[0].store.incident(number) for number in taken_in]
    assert {one.storm if one else None for one in joined} == {storm.number}
