"""The database file is gone while the daemon runs: nothing is taken, people are told without it, pages go on."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tocsin.errors import StoreUnavailable

TWO_STEPS = """
throttle: {sms: [100/1m]}
policies: {default: {steps: [{notify: [user:ana], wait: 5m}, {notify: [user:bo], wait: 5m}], repeat: 0}}
"""


async def test_whoever_is_the_catch_all_hears_at_once_and_again_and_nothing_is_taken(build: Build) -> None:
    town = await build(TWO_STEPS, database="file")
    town.expected_errors |= {"database_lost"}
    await town.alert("db down")
    away = town.folder / "away.db"
    (town.folder / "tocsin.db").rename(away)

    await town.pass_time(seconds=2)

    (told,) = town.outside.plain
    assert told.startswith("sms +15005550012 Tocsin's database is gone: ")
    assert "was deleted while Tocsin was running on it" in told
    ready, body = await town.daemon.health.ready()
    assert not ready
    assert "was deleted" in str(body)
    with pytest.raises(StoreUnavailable):
        await town.alert("net down")
    with pytest.raises(StoreUnavailable):
        await town.ack(1)
    assert town.metric("tocsin_database_file_lost") == 1

    await town.pass_time(minutes=6)
    assert town.pages == ["0m ana sms", "5m bo sms"]  # who was being paged is
    await town.pass_time(minutes=26)
    assert len(town.outside.plain) == 2

    away.rename(town.folder / "tocsin.db")
    await town.pass_time(seconds=6)  # until the next look
    assert (await town.daemon.health.ready())[0]
    assert await town.alert("net down") is not None
    assert town.metric("tocsin_database_file_lost") == 0


async def test_a_channel_that_fails_hands_over_to_the_next_contact(build: Build) -> None:
    grace = 'grace: {name: Grace, timezone: UTC, contacts: {sms: "+15005550012", mail: grace@example.org}}'
    town = await build(f"users: {{{grace}}}", database="file")
    town.expected_errors |= {"database_lost"}
    town.trouble("sms", "broken")
    (town.folder / "tocsin.db").rename(town.folder / "away.db")

    await town.pass_time(seconds=2)
    (town.folder / "away.db").rename(town.folder / "tocsin.db")

    assert [told.split()[0] for told in town.outside.plain] == ["mail"]


async def test_a_database_that_was_gone_at_the_start_becomes_an_incident(build: Build) -> None:
    town = await build(TWO_STEPS, database="file")
    town.expected_errors |= {"own_trouble"}
    await town.crash()
    for ending in ("", "-wal", "-shm"):
        (town.folder / f"tocsin.db{ending}").unlink(missing_ok=True)

    await town.begin()
    await town.pass_time(seconds=1)

    assert [one.title for one in await town.incidents()] == ["Tocsin began with an empty database"]
