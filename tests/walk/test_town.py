"""The town itself: one seed, one trace; and the main stories on the other ways to keep things."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.postgres import Server
from tests.walk.conftest import Build
from tests.walk.test_paging import person
from tests.walk.town import BASE, Town, laid_over

Open = Callable[[str], Awaitable[Town]]
NO_LIMITS = "throttle: {sms: [100/1m], voice: [100/1m]}\n"


async def a_busy_night(town: Town) -> None:
    town.trouble("sms", "lost", user="ana")
    await town.alert("db down")
    await town.alert("net down", "warning")
    await town.pass_time(minutes=6)
    await town.phones["bo"].reply("ACK")
    await town.clear("net down")
    await town.pass_time(minutes=31)


async def test_the_same_seed_gives_the_same_trace_and_another_one_does_not(build: Build) -> None:
    traces = []
    for seed in (7, 7, 8):
        town = await build(NO_LIMITS, seed=seed)
        await a_busy_night(town)
        traces.append(await town.trace())

    assert traces[0] == traces[1]
    assert traces[0] != traces[2]
    assert len(traces[0]) > 10


async def test_time_stands_still_unless_it_is_told_to_pass(town: Town) -> None:
    before = town.clock.now()
    await town.alert("db down")
    assert town.clock.now() == before

    await town.pass_time(minutes=1.5)
    assert town.minutes == 1.5


def test_sections_are_laid_over_name_by_name() -> None:
    text = laid_over(BASE, "users: {bo: ~, ana: {name: Ann}}\nthrottle: {sms: [1/1m]}")

    assert "name: Ann" in text
    assert "name: Bo" not in text
    assert "name: Grace" in text
    assert "sms: [1/1m]" in text


# ------------------------------------------------------------------------------- other keepers


@pytest.fixture(params=["thread", "postgresql"])
async def keeper(request: pytest.FixtureRequest, build: Build) -> Open:
    """A town whose store lives in threads or on a real server: outcomes are promised there, traces are not."""

    async def make(config: str) -> Town:
        if request.param == "thread":
            return await build(config, runner="thread", database="file")
        server: Server = request.getfixturevalue("postgres_server")
        return await build(config, runner="thread", database=server.database())

    return make


async def test_elsewhere_an_unanswered_page_goes_on_and_an_answer_stops_it(keeper: Open) -> None:
    town = await keeper(NO_LIMITS)
    await town.alert("db down")
    await town.pass_time(minutes=5)
    assert town.pages == ["0m ana sms", "5m bo sms"]

    await town.phones["bo"].reply("ACK 1")

    await town.pass_time(minutes=6)
    assert town.pages == ["0m ana sms", "5m bo sms"]
    assert (await town.incident()).acknowledged_by == "bo"
    await town.clear("db down")
    assert (await town.incident()).status == "resolved"
    assert sorted(line.split(":")[0] for line in town.updates) == ["11m ana sms", "11m bo sms"]


async def test_elsewhere_what_fails_is_tried_over_another_contact(keeper: Open) -> None:
    town = await keeper(f"{NO_LIMITS}users: {{{person('ana', '{high: [{by: sms}, {after: 3m, by: voice}]}')}}}")
    town.trouble("sms", "unreachable", user="ana", times=1)

    await town.alert("db down")
    assert town.pages == ["0m ana voice"]

    await town.pass_time(seconds=6)
    assert len(town.pages) == 2
    await town.phones["ana"].press("4")
    assert (await town.incident()).status == "acknowledged"


async def test_elsewhere_a_call_that_a_crash_cut_off_is_made_once_more(keeper: Open) -> None:
    town = await keeper(NO_LIMITS)
    town.trouble("sms", "hangs")
    await town.alert("db down")

    await town.restart(after_minutes=1)
    await town.pass_time(seconds=40)

    assert len(town.pages) == 1
    assert await town.outcomes() == ["ana sms done: unknown accepted"]


async def test_elsewhere_silences_and_groups_hold(keeper: Open) -> None:
    town = await keeper(NO_LIMITS + "rules: [{name: g, match: ['cluster!=\"\"'], group_by: [cluster]}]")
    await town.silence('title="node 1"', minutes=10)
    await town.alert("node 1", labels={"cluster": "eu"})
    await town.pass_time(seconds=10)
    assert town.pages == []

    await town.alert("node 2", labels={"cluster": "eu"})
    await town.pass_time(seconds=1)

    assert [line.split(" ", 1)[1] for line in town.pages] == ["ana sms"]
    assert (await town.incident()).firing == 2
