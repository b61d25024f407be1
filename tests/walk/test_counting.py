"""How often did it fire? Repeats are counted once a second; a crash costs none of them, and readers see them all."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town


async def counts(town: Town) -> dict[str, int]:
    return {alert.source_key: alert.count for alert in await town.alerts_of(1)}


async def test_repeats_of_the_last_second_before_a_crash_are_counted_at_the_next_start(build: Build) -> None:
    town = await build(database="file")
    await town.alert("db down")
    await town.alert("db down")
    await town.pass_time(seconds=2)
    assert await counts(town) == {"db down": 2}
    for _ in range(3):
        await town.alert("db down")

    await town.restart()
    await town.pass_time(seconds=2)
    assert await counts(town) == {"db down": 5}

    await town.restart()
    await town.pass_time(seconds=2)
    assert await counts(town) == {"db down": 5}
    await town.alert("db down")
    await town.pass_time(seconds=2)
    assert await counts(town) == {"db down": 6}


async def test_what_was_new_beside_the_repeats_is_not_counted_twice(build: Build) -> None:
    town = await build("rules: [{name: g, match: ['cluster!=\"\"'], group_by: [cluster]}]", database="file")
    one = {"title": "one", "dedup_key": "one", "status": "firing", "labels": {"cluster": "eu"}}
    await town.post("apps", [one])
    await town.post("apps", [one, {**one, "title": "two", "dedup_key": "two"}])

    await town.restart()
    await town.pass_time(seconds=2)

    assert await counts(town) == {"one": 2, "two": 1}


async def test_the_same_bytes_without_an_identity_are_counted_too(build: Build) -> None:
    town = await build(database="file")
    for _ in range(4):
        await town.post("apps", {"title": "db down", "status": "firing"})

    await town.restart()
    await town.pass_time(seconds=2)

    assert list((await counts(town)).values()) == [4]


async def test_a_body_that_nobody_can_read_any_more_does_not_stop_the_start(build: Build) -> None:
    town = await build(database="file")
    await town.alert("db down")
    await town.alert("db down")
    town.configure("integrations: {apps: ~}")

    await town.restart()

    assert (await town.incident()).status == "triggered"


async def test_readers_see_repeats_that_are_not_written_yet(town: Town) -> None:
    await town.alert("db down")
    for _ in range(3):
        await town.alert("db down")

    (alert,) = await town.alerts_of(1)

    assert (alert.count, town.daemon.intake.up_to_date(alert).count) == (1, 4)
    await town.pass_time(seconds=2)
    (alert,) = await town.alerts_of(1)
    assert town.daemon.intake.up_to_date(alert).count == alert.count == 4


@pytest.mark.parametrize(("rule", "ends"), [("2m", 2), ("20m", 20)], ids=["shorter", "longer"])
async def test_a_repeat_keeps_it_open_for_the_quiet_time_of_its_rule(rule: str, ends: int, build: Build) -> None:
    town = await build(
        f"rules: [{{name: brief, match: ['job=\"batch\"'], auto_resolve: {rule}}}]\n"
        "integrations: {apps: {type: webhook, token: apps-token, auto_resolve: 10m}}"
    )
    for _ in range(3):
        await town.alert("batch failed", labels={"job": "batch"})
        await town.pass_time(minutes=1)

    await town.pass_time(minutes=ends - 1.5)
    assert (await town.incident()).open
    await town.pass_time(minutes=1)
    assert (await town.incident()).status == "resolved"
