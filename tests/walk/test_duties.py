"""Every background duty is broken in turn: it recovers, and while it is late the daemon says so as promised (I12)."""

from __future__ import annotations

import asyncio

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.errors import StoreUnavailable
from tocsin.model import Instant
from tocsin.work.background_duties import ESSENTIAL, Duty

RARE = ("gaps", "retention", "outbound heartbeat", "feeds", "following", "support hours")
"""Done so rarely, or only when something happens, that the test lets them have their turn itself."""

DUTIES = (
    *ESSENTIAL, *RARE, "stranded pages", "shift notices", "heartbeats", "storms", "late duties", "repeats", "silences", "token uses",
    "fires behind its end", "refusals", "last resort", "wall clock",
    "sign of life", "gauges", "quarantine",
)  # fmt: skip


def of(town: Town, name: str) -> list[Duty]:
    return [duty for duty in town.daemon.runtime.duties if duty.name == name]


async def told(town: Town) -> dict[str, str]:
    """Duty → status of the newest incident about it."""
    found = [one for one in await town.incidents() if one.title.endswith("does not get through")]
    return {one.title.partition(" is late")[0]: one.status for one in sorted(found, key=lambda one: one.number)}


async def let(town: Town, name: str, *, seconds: float) -> None:
    """Time passes; a rare duty has a turn every ten seconds of it."""
    for _ in range(int(seconds // 10)):
        turns = [asyncio.ensure_future(duty.run()) for duty in of(town, name) if name in RARE]
        await town.pass_time(seconds=10)
        await asyncio.gather(*turns)


async def test_every_loop_is_a_registered_duty(build: Build) -> None:
    town = await build()
    assert sorted(town.daemon.runtime.duties.names()) == sorted(DUTIES)
    assert {duty.part for duty in of(town, "claims")} == set(town.daemon.runtime.settings.channels)


@pytest.mark.parametrize("name", [name for name in DUTIES if name not in ("ingest", "late duties")])
async def test_a_broken_duty_is_told_as_promised_and_recovers(build: Build, name: str) -> None:
    town = await build()
    town.expected_errors |= {"duty_failed", "duty_cut_off", "own_trouble"}
    duty, *_ = of(town, name)
    work, late_after = duty.work, duty.within / 1000 + 15 if name not in RARE else 140

    async def raises() -> None:
        raise RuntimeError("broken on purpose")

    async def unavailable() -> None:
        raise StoreUnavailable("broken on purpose")

    async def hangs() -> None:
        await asyncio.get_running_loop().create_future()

    async def once() -> None:
        duty.work = work
        raise RuntimeError("broken on purpose")

    duty.work = once
    await let(town, name, seconds=20 if name not in RARE else 10)
    assert (await town.daemon.health.ready())[1]["checks"]["duties"] == "ok", "once is no trouble"

    for broken in (raises, unavailable, hangs) if name == "claims" else (raises, hangs):
        duty.work = broken
        await let(town, name, seconds=late_after if broken is not hangs or name not in RARE else 0)
        if broken is hangs and name in RARE:
            continue  # a turn of the test itself would hang
        ready, body = await town.daemon.health.ready()
        assert name in body["checks"]["duties"], broken
        assert ready is (name not in ESSENTIAL)
        assert body["status"] == ("unready" if name in ESSENTIAL else "degraded")
        assert town.metric("tocsin_duty_late", duty=name) == 1
        if name != "answers":  # where nothing can be stored nothing is told
            assert (await told(town)).get(name) == "triggered", f"{broken}: an incident of Tocsin's own"
        duty.work = work
        await let(town, name, seconds=duty.limit / 1000 + 80 if duty.limit / 1000 <= 60 else 80)
        assert (await town.daemon.health.ready())[0]
        assert (await town.daemon.health.ready())[1]["checks"]["duties"] == "ok"
        assert town.metric("tocsin_duty_late", duty=name) == 0
        assert set((await told(town)).values()) <= {"resolved", "closed"}


async def test_a_batch_that_hangs_is_told_and_its_sender_hears_of_it(build: Build) -> None:
    town = await build()
    town.expected_errors |= {"duty_cut_off"}
    commit = town.daemon.intake._commit

    async def hangs(_: object) -> None:
        await asyncio.get_running_loop().create_future()

    town.daemon.intake._commit = hangs  # type: ignore[method-assign,assignment]  # broken on purpose
    posted = asyncio.ensure_future(town.alert("db down"))
    await town.pass_time(seconds=12)
    ready, body = await town.daemon.health.ready()
    assert not ready
    assert "ingest" in body["checks"]["duties"]

    await town.pass_time(seconds=40)
    with pytest.raises(StoreUnavailable, match="send it again"):
        await posted
    town.daemon.intake._commit = commit  # type: ignore[method-assign]  # mended
    await town.alert("db down")
    assert (await town.daemon.health.ready())[0]


async def test_what_an_earlier_process_left_open_is_closed_by_the_next(build: Build) -> None:
    town = await build(database="file")
    town.expected_errors |= {"duty_failed", "own_trouble"}
    (duty,) = of(town, "gauges")

    async def raises() -> None:
        raise RuntimeError("broken on purpose")

    duty.work = raises
    await town.pass_time(seconds=40)
    assert await told(town) == {"gauges": "triggered"}

    await town.crash()
    await town.restart()
    await town.pass_time(seconds=5)
    assert await told(town) == {"gauges": "resolved"}


async def test_after_an_outage_no_duty_is_told_of_that_was_late_because_of_it(build: Build) -> None:
    town = await build()
    town.store_fails(
        "write", "check", "next_due", "next_due_page", "next_confirmation", "open_intents", "beats", "counts"
    )
    await town.pass_time(minutes=3)
    assert not (await town.daemon.health.ready())[0]
    town.store_works()
    await town.pass_time(minutes=1)
    assert (await town.daemon.health.ready())[0]
    assert await told(town) == {}


async def test_a_standstill_of_the_process_makes_no_duty_late(build: Build) -> None:
    town = await build()
    town.clock.advance_to(Instant(town.clock.now() + 3_600_000))  # nobody ran meanwhile
    ready, body = await town.daemon.health.ready()
    assert (ready, body["checks"]["duties"]) == (True, "ok")
