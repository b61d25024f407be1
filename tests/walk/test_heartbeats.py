"""Stories of things that must report: silence wakes somebody, a check-in ends it, and Tocsin reports itself."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.manual import example
from tests.walk.town import HOOK, Town

BACKUP = "heartbeats: {backup: {every: 10m, grace: 2m, service: shop, severity: warning}}"
NIGHTLY = "heartbeats: {nightly: {cron: '0 3 * * *', timezone: Europe/Paris, grace: 30m}}"
WATCHDOG = """
heartbeats: {watchdog: {every: 5m, grace: 1m, match: ['alertname="Watchdog"']}}
integrations: {prometheus: {type: alertmanager, token: prometheus-token}}
"""


def alertmanager(name: str) -> dict[str, object]:
    labels = {"alertname": name, "severity": "none"}
    return {"version": "4", "status": "firing", "alerts": [
        {"status": "firing", "labels": labels, "annotations": {}, "startsAt": "2026-01-05T11:00:00Z",
         "endsAt": "0001-01-01T00:00:00Z", "fingerprint": "f00d"}]}  # fmt: skip


async def test_silence_opens_an_incident_that_names_the_heartbeat_and_a_check_in_resolves_it(build: Build) -> None:
    town = await build(BACKUP)
    await town.check_in("backup")
    await town.pass_time(minutes=11)
    await town.check_in("backup")
    await town.pass_time(minutes=11.9)
    assert await town.incidents() == []

    await town.pass_time(seconds=10)

    incident = await town.incident()
    assert (incident.title, incident.key) == ("heartbeat backup is silent", "heartbeat/backup")
    assert (incident.service, incident.severity, incident.policy) == ("shop", "warning", "default")
    assert town.pages == ["23m ana sms"]
    assert town.metric("tocsin_heartbeats_overdue") == 1

    await town.check_in("backup")

    assert (await town.incident()).status == "resolved"
    assert (await town.incident()).resolved_by == "integration:heartbeat"
    await town.pass_time(seconds=2)
    assert town.metric("tocsin_heartbeats_overdue") == 0


async def test_without_any_check_in_the_clock_starts_with_the_daemon(build: Build) -> None:
    town = await build(BACKUP)
    await town.pass_time(minutes=11.9)
    assert town.pages == []
    await town.pass_time(minutes=0.2)
    assert town.pages == ["12m ana sms"]


async def test_a_heartbeat_that_stays_silent_counts_what_it_missed_and_opens_again_after_a_resolve_by_hand(
    build: Build,
) -> None:
    town = await build(BACKUP)
    await town.pass_time(minutes=13)
    await town.ack(1)
    await town.pass_time(minutes=20)
    (alert,) = await town.alerts_of(1)
    assert (alert.count, len(await town.incidents())) == (3, 1)

    await town.resolve(1)
    await town.pass_time(minutes=9)
    assert len(await town.incidents()) == 2

    await town.check_in("backup")
    assert [incident.status for incident in await town.incidents()] == ["resolved", "resolved"]


@pytest.mark.parametrize(
    ("at", "hours", "opened"),
    [
        ("03:04", 23.4, False),  # heard after the job; the next one is tomorrow at 03:00, until 03:30
        ("03:04", 24.5, True),
        ("02:59:45", 0.6, False),  # a little early is the one of 03:00
        ("02:00", 1.4, False),
        ("02:00", 1.6, True),
    ],
)
async def test_a_cron_like_heartbeat_is_awaited_after_each_of_its_times(
    build: Build, at: str, hours: float, opened: bool
) -> None:
    clock = sum(int(part) * each for part, each in zip(at.split(":"), (3_600_000, 60_000, 1_000), strict=False))
    paris = 1_767_567_600_000  # 2026-01-05T00:00 in Paris
    town = await build(NIGHTLY, start=paris + clock)
    await town.check_in("nightly")

    await town.pass_quietly(hours=hours)
    await town.pass_time(seconds=2)

    assert bool(await town.incidents()) == opened


async def test_a_watchdog_feeds_the_heartbeat_that_matches_it_and_opens_nothing(build: Build) -> None:
    town = await build(WATCHDOG)
    for _ in range(4):
        await town.post("prometheus", alertmanager("Watchdog"))
        await town.pass_time(minutes=5)
    assert await town.incidents() == []

    await town.pass_time(minutes=2)
    assert [incident.title for incident in await town.incidents()] == ["heartbeat watchdog is silent"]

    await town.post("prometheus", alertmanager("Watchdog"))
    assert (await town.incidents())[-1].status == "resolved"


async def test_an_ordinary_alert_that_matches_is_a_check_in_too_and_others_are_not(build: Build) -> None:
    town = await build("heartbeats: {probe: {every: 5m, match: ['title=\"still alive\"']}}")

    assert await town.alert("still alive") is None
    assert await town.alert("still alive?") is not None

    (view,) = await town.daemon.heartbeats.views()
    assert (view["state"], view["last_by"]) == ("ok", "integration:apps")


async def test_a_watchdog_without_a_heartbeat_is_only_kept(build: Build) -> None:
    town = await build("integrations: {prometheus: {type: alertmanager, token: prometheus-token}}")
    await town.post("prometheus", alertmanager("Watchdog"))
    await town.pass_time(minutes=30)

    assert await town.incidents() == []
    (alert,) = await town.daemon.store.alerts(integration=None, status="heartbeat", limit=10, before=None)
    assert alert.labels["alertname"] == "Watchdog"


async def test_what_is_due_survives_a_restart(build: Build) -> None:
    town = await build(BACKUP, database="file")
    await town.check_in("backup")
    await town.pass_time(minutes=11)

    await town.restart()
    await town.pass_time(minutes=1.1)

    assert town.pages == ["12m ana sms"]


async def test_what_fell_due_while_nobody_was_here_is_judged_anew(build: Build) -> None:
    town = await build(BACKUP, database="file")
    await town.check_in("backup")
    await town.pass_time(minutes=5)

    await town.restart(after_minutes=20)  # back at 25m
    await town.pass_time(minutes=11)
    assert town.pages == []
    await town.pass_time(minutes=1.1)

    assert town.pages == ["37m ana sms"]


@pytest.mark.parametrize(
    ("at", "down", "silent_at"),
    [
        (0.5, 3.1, 4.333),  # back at 12:03:36, 36 s behind its run: the grace of 80 s goes on
        (3.1, 0.7, 4.333),  # away in the grace alone
        (0.5, 2.4, 4.333),  # back six seconds before the run
        (0.5, 3.9, 7.333),  # its grace ended meanwhile: the next run
        (0.5, 5.45, 7.333),  # back three seconds before the next run, which is awaited all the same
    ],
)
async def test_what_is_missed_after_a_downtime_is_not_forgiven_until_its_next_run(
    build: Build, at: float, down: float, silent_at: float
) -> None:
    town = await build("heartbeats: {often: {cron: '*/3 * * * *', timezone: UTC, grace: 80s}}", database="file")
    await town.pass_time(seconds=20)
    await town.check_in("often")  # 12:00:20: the next is awaited from 12:03 until 12:04:20
    await town.pass_time(minutes=at - 1 / 3)

    await town.restart(after_minutes=down)
    await town.pass_time(minutes=8)

    assert town.pages[0] == f"{silent_at:g}m ana sms"


async def test_a_crash_loop_after_a_downtime_does_not_put_a_heartbeat_off_for_ever(build: Build) -> None:
    town = await build(BACKUP, database="file")
    await town.check_in("backup")
    await town.restart(after_minutes=20)

    for _ in range(40):
        await town.pass_time(seconds=3)
        await town.restart(after_minutes=0.3)
    await town.pass_time(seconds=5)

    assert town.pages == ["32.267m ana sms"]  # 12 minutes behind the downtime, in a restart of 18 seconds


async def test_a_crash_between_the_silence_and_its_alert_loses_nothing(build: Build) -> None:
    town = await build(BACKUP, database="file")
    town.expected_errors |= {"duty_failed"}
    intake = town.daemon.intake

    async def gone(*_: object) -> None:
        raise RuntimeError("the process is about to die")

    intake.take = gone  # type: ignore[method-assign, assignment]  # the moment between two transactions
    await town.pass_time(minutes=12)
    assert await town.incidents() == []

    await town.restart()
    await town.pass_time(seconds=2)

    assert [incident.title for incident in await town.incidents()] == ["heartbeat backup is silent"]
    await town.check_in("backup")
    assert (await town.incident()).status == "resolved"


async def test_rules_see_the_heartbeat_like_any_other_alert(build: Build) -> None:
    town = await build(
        BACKUP
        + """
rules:
  - {name: backups may wait, match: ['integration="heartbeat"', 'heartbeat="backup"'], hold: 5m, set: {title: no backup}}
"""
    )
    await town.pass_time(minutes=13)
    assert ((await town.incident()).title, town.pages) == ("no backup", [])
    await town.pass_time(minutes=5)
    assert town.pages == ["17m ana sms"]


async def test_a_reload_brings_takes_and_changes_heartbeats(build: Build) -> None:
    town = await build(BACKUP)
    await town.pass_time(minutes=13)
    assert (await town.incident()).status == "triggered"

    await town.reload("heartbeats: {other: {every: 5m}}")
    await town.pass_time(minutes=5.1)

    assert [(one.key, one.status) for one in await town.incidents()] == [
        ("heartbeat/backup", "resolved"), ("heartbeat/other", "triggered"),
    ]  # fmt: skip
    await town.reload("heartbeats: {other: {every: 1h}}")
    await town.pass_time(seconds=2)
    (beat,) = await town.daemon.store.beats()
    assert (beat.name, beat.due_at - town.clock.now() > 3_590_000) == ("other", True)


async def test_the_manuals_example_works_as_it_says(build: Build) -> None:
    prometheus = "integrations: {prometheus: {type: alertmanager, token: prometheus-token}}\n"
    town = await build("services: {backups: {}}\n" + prometheus + example("heartbeats.md", "heartbeats"))
    await town.post("prometheus", alertmanager("Watchdog"))
    await town.check_in("nightly-backup")
    await town.pass_time(minutes=12.1)

    assert [one["state"] for one in await town.daemon.heartbeats.views()] == ["ok", "silent", "silent"]
    assert [one.title for one in await town.incidents()] == [
        "heartbeat prometheus is silent", "heartbeat importer is silent",
    ]  # fmt: skip


# ------------------------------------------------------------------------------- Tocsin's own beat

OUT = 'heartbeat_out: {url: "https://watch.example.org/tocsin", every: 2m}\n'


async def test_the_manuals_outbound_heartbeat_is_sent(build: Build) -> None:
    town = await build(example("heartbeats.md", "heartbeat_out"))
    await town.pass_time(minutes=2)

    assert town.outside.visited == [f"{at}m https://watch.example.org/ping/tocsin" for at in (0, 1, 2)]


async def test_tocsin_reports_itself_as_long_as_it_works(build: Build) -> None:
    town = await build(OUT)
    await town.pass_time(minutes=5)

    assert town.outside.visited == [f"{at}m https://watch.example.org/tocsin" for at in (0, 2, 4)]
    assert town.metric("tocsin_deadman_last_success_timestamp_seconds") == (town.start + 4 * 60_000) / 1000


async def test_it_falls_silent_when_nothing_can_be_stored(build: Build) -> None:
    town = await build(OUT)
    await town.pass_time(minutes=1)
    town.expected_errors |= {"store_unavailable"}
    town.store_fails("check")
    await town.pass_time(minutes=4)
    assert len(town.outside.visited) == 1

    town.store_works()
    await town.pass_time(minutes=2)
    assert len(town.outside.visited) == 2


async def test_it_falls_silent_when_every_channel_fails_but_not_for_one_of_several(build: Build) -> None:
    town = await build(OUT + f"channels: {{voice: ~, mail: ~, {HOOK}}}\n")
    town.expected_errors |= {"own_trouble"}
    town.trouble("sms", "broken", times=None)
    for count in range(4):
        await town.alert(f"trouble {count}")
        await town.pass_time(minutes=4)
    assert not town.daemon.pager.lines["sms"].healthy
    seen = len(town.outside.visited)
    await town.pass_time(minutes=2)
    assert len(town.outside.visited) == seen + 1

    for line in town.daemon.pager.lines.values():
        while line.healthy:
            line.failed("503", town.clock.now(), town.clock.now())
    await town.pass_time(minutes=4)
    assert len(town.outside.visited) == seen + 1


async def test_a_watcher_that_refuses_is_no_success(town: Town) -> None:
    town.outside.watcher = 503

    assert not await town.daemon.outbound.beat("https://watch.example.org/tocsin")
    assert town.metric("tocsin_deadman_last_success_timestamp_seconds") == 0
