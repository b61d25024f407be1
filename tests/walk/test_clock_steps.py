"""Somebody sets the machine's clock: waits run on, what is meant in civil time follows, nobody is paged twice."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.town import MONDAY_NOON, Town
from tocsin.model import DAY, Instant, Millis, rfc3339
from tocsin.model.civil import ahead

NO_LIMITS = "throttle: {sms: [100/1m], voice: [100/1m]}\n"
STEPS = (
    NO_LIMITS
    + """
policies:
  default: {steps: [{notify: [user:ana], wait: 5m}, {notify: [user:bo], wait: 5m}, {notify: [user:grace], wait: 5m}], repeat: 0, ack_timeout: 30m}
integrations: {apps: {type: webhook, token: t, auto_resolve: 10m}, other: {type: webhook, token: t2}}
heartbeats: {backup: {every: 10m, grace: 2m}, nightly: {cron: "0 3 * * *", grace: 30m}}
"""
)
HOURLY = pytest.mark.parametrize("hours", [-1.0, 1.0, 5.0, -3650 * 24.0, 3650 * 24.0], ids=lambda hours: f"{hours:g}h")


def of_alerts(town: Town) -> list[str]:
    """Pages about what is not Tocsin's own news."""
    told = sorted(
        (one.at, town._line(one)) for one in town.told if one.kind == "page" and "clock was set" not in one.title
    )
    return [line for _, line in told]


@HOURLY
@pytest.mark.parametrize("database", ["sqlite::memory:", "file"])
async def test_an_escalation_keeps_its_waits_whatever_the_clock_is_set_to(
    build: Build, hours: float, database: str
) -> None:
    town = await build(STEPS, database=database)
    town.expected_errors |= {"clock_stepped"}
    await town.alert("db down", integration="other")
    await town.pass_time(minutes=1)

    await town.step_clock(hours=hours)
    await town.pass_time(minutes=3)
    assert of_alerts(town) == ["0m ana sms"]
    await town.pass_time(minutes=7)

    assert of_alerts(town) == ["0m ana sms", "5m bo sms", "10m grace sms"]
    assert (await town.daemon.health.ready())[0]
    assert town.metric("tocsin_clock_steps_total", direction="forward" if hours > 0 else "back") == 1


async def test_forward_and_back_again_leaves_nothing_behind(build: Build) -> None:
    town = await build(STEPS)
    town.expected_errors |= {"clock_stepped"}
    await town.alert("db down", integration="other")
    await town.step_clock(hours=1)
    await town.pass_time(minutes=1)
    await town.step_clock(hours=-1, seconds=0.4)
    assert ahead() == 0

    await town.pass_time(minutes=9)

    assert of_alerts(town) == ["0m ana sms", "5m bo sms", "10m grace sms"]


@HOURLY
async def test_what_lasts_so_long_lasts_so_long(build: Build, hours: float) -> None:
    town = await build(STEPS)
    town.expected_errors |= {"clock_stepped"}
    await town.check_in("backup")
    await town.alert("expires", "info", integration="apps")
    await town.alert("acked", integration="other")
    await town.ack(2)
    await town.alert("snoozed", integration="other")
    await town.snooze(3, minutes=20)

    await town.step_clock(hours=hours)
    assert (await town.incident(1)).status == "triggered"
    await town.pass_time(minutes=9.5)
    assert (await town.incident(1)).status == "triggered"
    await town.pass_time(minutes=1)
    assert (await town.incident(1)).status == "resolved"
    assert "heartbeat backup is silent" not in [one.title for one in await town.incidents()]
    await town.pass_time(minutes=2)
    assert "heartbeat backup is silent" in [one.title for one in await town.incidents()]
    await town.pass_time(minutes=8)
    assert "20m ana sms" in town.pages_of("snoozed")
    await town.pass_time(minutes=10)
    assert "30m ana sms" in town.pages_of("acked")


@HOURLY
async def test_people_read_the_true_time(build: Build, hours: float) -> None:
    town = await build(STEPS)
    town.expected_errors |= {"clock_stepped"}
    await town.step_clock(hours=hours)

    await town.alert("db down", integration="other")

    true = MONDAY_NOON + hours * 3_600_000 + 1_000
    created = next(one for one in await town.incidents() if one.title == "db down").created_at
    assert rfc3339(created)[:19] == rfc3339(Instant(int(true) - ahead()))[:19]
    assert created + ahead() == true


async def test_who_is_on_call_follows_the_clock(build: Build) -> None:
    town = await build(NO_LIMITS)  # ana's week until Monday 09:00, then bo's
    town.expected_errors |= {"clock_stepped"}
    await town.step_clock(hours=7 * 24 - 2)
    await town.alert("db down")
    assert of_alerts(town)[-1].endswith("bo sms")

    await town.step_clock(hours=-7 * 24)
    await town.alert("net down")
    assert of_alerts(town)[-1].endswith("ana sms")


@pytest.mark.parametrize(("hours", "muted"), [(2.0, False), (-2.0, True)])
async def test_silences_overrides_and_windows_end_when_the_clock_says_so(
    build: Build, hours: float, muted: bool
) -> None:
    town = await build(
        NO_LIMITS
        + """
maintenance:
  - {name: works, match: ['title="in works"'], every: "Mon 11:30", for: 1h}
"""
    )
    town.expected_errors |= {"clock_stepped"}
    silence = await town.silence('title="known"', minutes=60)
    await town.alert("known")
    await town.alert("in works")
    assert of_alerts(town) == []

    await town.step_clock(hours=hours)
    await town.pass_time(seconds=2)

    assert [one.muted_by is not None for one in (await town.incidents())[:2]] == [muted, False]
    kept = {one.id: one for one in await town.daemon.silences.list(False)}[silence.id]
    assert rfc3339(kept.ends_at) == "2026-01-05T13:00:00Z"


@pytest.mark.parametrize(
    ("start", "hours", "silent_after"),
    [
        ("02:00", 1.2, 0.3),   # jumped into the grace: until the end of it
        ("02:00", 2.0, 23.5),  # jumped over the run and its grace: not a page for each nightly job, but the next run
        ("02:50", -1.0, 1.66),
    ],
)  # fmt: skip
async def test_a_nightly_job_keeps_to_the_clock_and_is_not_missed_because_it_jumped(
    build: Build, start: str, hours: float, silent_after: float
) -> None:
    hour, minute = start.split(":")
    town = await build(STEPS, start=MONDAY_NOON - DAY // 2 + int(hour) * 3_600_000 + int(minute) * 60_000)
    town.expected_errors |= {"clock_stepped"}
    await town.check_in("nightly")
    await town.step_clock(hours=hours)

    await town.pass_quietly(hours=silent_after - 0.05)
    assert "heartbeat nightly is silent" not in [one.title for one in await town.incidents()]
    await town.pass_quietly(hours=0.2)
    await town.pass_time(seconds=2)
    assert "heartbeat nightly is silent" in [one.title for one in await town.incidents()]


async def test_people_are_told_once_and_it_ends_by_itself(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors |= {"clock_stepped"}
    await town.step_clock(hours=1)
    await town.pass_time(seconds=1)

    (incident,) = await town.incidents()
    assert (incident.title, incident.severity) == ("this machine's clock was set 1 h forward", "warning")
    await town.pass_time(minutes=61)
    assert (await town.incident(1)).status == "resolved"


@pytest.mark.parametrize("seconds", [0.9, -0.9])
async def test_a_jitter_is_no_step(build: Build, seconds: float) -> None:
    town = await build(NO_LIMITS)
    for _ in range(5):
        await town.step_clock(seconds=seconds)
        await town.step_clock(seconds=-seconds)
    assert ahead() == 0
    assert await town.incidents() == []


async def test_a_small_step_is_counted_and_wakes_nobody(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors |= {"clock_stepped"}
    await town.step_clock(seconds=5)
    assert town.metric("tocsin_clock_steps_total", direction="forward") == 1
    assert await town.incidents() == []


@HOURLY
async def test_a_step_over_a_restart_is_seen_and_stops_nothing(build: Build, hours: float) -> None:
    town = await build(STEPS, database="file")
    town.expected_errors |= {"clock_stepped"}
    await town.alert("db down", integration="other")
    await town.crash()
    town.clock.advance_to(Instant(town.clock.now() + 60_000))
    town.clock.stepped = Millis(int(hours * 3_600_000))

    await town.begin()
    await town.pass_time(minutes=9)

    assert of_alerts(town) == ["0m ana sms", "5m bo sms", "10m grace sms"]
    assert ahead() == hours * 3_600_000


async def test_a_restart_after_a_step_goes_on_as_if_there_had_been_none(build: Build) -> None:
    town = await build(STEPS, database="file")
    town.expected_errors |= {"clock_stepped"}
    await town.alert("db down", integration="other")
    await town.step_clock(hours=-1)

    await town.restart(after_minutes=1)
    await town.pass_time(minutes=9)

    assert of_alerts(town) == ["0m ana sms", "5m bo sms", "10m grace sms"]
    assert len([one for one in town.logs if one["event"] == "clock_stepped"]) == 1
