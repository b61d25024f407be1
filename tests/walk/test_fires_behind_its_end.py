"""A firing is never dropped for its age: right behind its end it waits for a moment, then it fires unless it is resolved."""

from __future__ import annotations

import asyncio
import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walk.conftest import Build
from tests.walk.town import Town

BEGAN = "2026-01-05T11:58:00Z"
QUIET = "throttle: {sms: [100/1m]}\npolicies: {default: {steps: [{notify: [user:ana], wait: 1h}], repeat: 0, ack_timeout: never}}"


async def over(town: Town, seconds: float) -> None:
    """It fired, somebody was paged, its source resolved it; and so long ago."""
    await town.alert("db down", started_at=BEGAN)
    await town.clear("db down")
    await town.pass_time(seconds=seconds)


async def waiting(town: Town) -> list[Any]:
    return await town.daemon.store.alerts(integration=None, status="waiting", limit=10, before=None)


# ------------------------------------------------------------------------------------- the rule


@pytest.mark.parametrize(
    ("behind", "paged"), [(0, "0.25m"), (2, "0.25m"), (10, "0.25m"), (10.5, "0.175m"), (60, "1m"), (240, "4m")]
)
async def test_a_firing_behind_its_resolve_with_an_unchanged_start_pages_in_the_end(
    behind: float, paged: str, build: Build
) -> None:
    town = await build(QUIET)
    await over(town, behind)

    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms", f"{paged} ana sms"]
    assert [one.status for one in await town.incidents()] == ["resolved", "triggered"]


async def test_resolved_again_while_it_waits_it_pages_nobody(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 3)

    assert await town.alert("db down", started_at=BEGAN) is None
    await town.pass_time(seconds=5)
    await town.clear("db down")
    await town.pass_time(minutes=10)

    assert town.pages == ["0m ana sms"]
    assert len(await town.incidents()) == 1


@pytest.mark.parametrize("start", ["2026-01-05T12:00:02Z", None], ids=["newer", "without a time"])
async def test_a_newer_firing_does_not_wait_nor_does_a_copy_make_it_wait(start: str | None, build: Build) -> None:
    town = await build(QUIET)
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)  # the copy

    await town.alert("db down", **({"started_at": start} if start else {}))

    assert town.pages == ["0m ana sms", "0.05m ana sms"]


async def test_what_waits_is_seen_with_its_reason_and_its_time(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)

    (alert,) = await waiting(town)
    assert alert.waits_until == town.start + 15_000
    assert "waits until 2026-01-05T12:00:15Z, then it fires unless it is resolved again" in alert.because
    assert (await town.timeline(1))[-1].kind == "waits"
    assert (await town.timeline(1))[-1].because == alert.because


async def test_the_newest_copy_counts_and_each_is_counted(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 1)
    for severity in ("warning", "critical", "critical"):
        await town.alert("db down", severity, started_at=BEGAN)

    await town.pass_time(minutes=1)

    found = (await town.incidents())[-1]
    assert found.severity == "critical"
    assert [one.count for one in await town.alerts_of(found.number)] == [3]
    assert town.pages == ["0m ana sms", "0.25m ana sms"]


async def test_what_waits_and_is_repeated_when_its_time_is_over_is_one_firing(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 1)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(seconds=14)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms", "0.25m ana sms"]


async def test_a_resolve_before_its_trigger_makes_it_wait_too(build: Build) -> None:
    town = await build(QUIET)
    await town.clear("db down", ended_at="2026-01-05T11:59:30Z")
    await town.alert("db down", started_at="2026-01-05T11:59:00Z")
    assert town.pages == []

    await town.pass_time(minutes=1)

    assert town.pages == ["0.25m ana sms"]


async def test_in_one_post_too(build: Build) -> None:
    town = await build(QUIET)
    fires = {"title": "db down", "dedup_key": "db", "status": "firing", "started_at": BEGAN}
    await town.post("apps", [fires, {**fires, "status": "resolved"}, fires])
    await town.pass_time(minutes=1)

    assert [one.status for one in await town.incidents()] == ["resolved", "triggered"]
    assert town.pages[-1] == "0.25m ana sms"


async def test_a_resolve_that_may_not_resolve_makes_nothing_wait(build: Build) -> None:
    town = await build(QUIET + "\nintegrations: {apps: {type: webhook, token: apps-token, may_resolve: false}}")
    await town.clear("db down", ended_at="2026-01-05T11:59:30Z")

    await town.alert("db down", started_at="2026-01-05T11:59:00Z")

    assert town.pages == ["0m ana sms"]


# -------------------------------------------------------------------------------------- by hand


async def test_after_a_resolve_by_hand_what_is_not_newer_waits_five_minutes_and_pages(build: Build) -> None:
    town = await build(QUIET)
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    await town.pass_time(minutes=1)

    assert await town.alert("db down", started_at=BEGAN) is None
    (alert,) = await waiting(town)
    assert "INC 1 was resolved by hand at 2026-01-05T12:00:00Z" in alert.because
    await town.pass_time(minutes=10)

    assert town.pages == ["0m ana sms", "5m ana sms"]
    assert [one.status for one in await town.incidents()] == ["resolved", "triggered"]


async def test_unless_its_source_resolves_it_meanwhile(build: Build) -> None:
    town = await build(QUIET)
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    await town.pass_time(minutes=1)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=1)
    await town.clear("db down")
    await town.pass_time(minutes=10)

    assert town.pages == ["0m ana sms"]


async def test_once_the_source_has_noticed_too_a_firing_is_one(build: Build) -> None:
    town = await build(QUIET)
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    await town.pass_time(seconds=30)
    await town.clear("db down")  # without a time of its own
    await town.pass_time(seconds=30)

    await town.alert("db down", started_at=BEGAN)

    assert town.pages == ["0m ana sms", "1m ana sms"]


async def test_a_newer_one_fires_at_once_though_a_copy_waits(build: Build) -> None:
    town = await build(QUIET)
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    await town.pass_time(minutes=1)
    await town.alert("db down", started_at=BEGAN)

    await town.alert("db down", started_at="2026-01-05T12:00:30Z")

    assert town.pages == ["0m ana sms", "1m ana sms"]


async def test_it_reopens_where_that_is_asked_for(build: Build) -> None:
    town = await build(QUIET + "\ndefaults: {reopen_within: 1h}")
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=6)

    (incident,) = await town.incidents()
    assert (incident.status, incident.cycle) == ("triggered", 2)
    assert town.pages == ["0m ana sms", "5m ana sms"]


async def test_a_cancelled_incident_too(build: Build) -> None:
    town = await build(QUIET)
    await town.alert("db down", started_at=BEGAN)
    await town.act("cancel", 1)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=6)

    assert town.pages == ["0m ana sms", "5m ana sms"]


# ------------------------------------------------------------------------------- what may happen


async def test_it_survives_a_crash(build: Build) -> None:
    town = await build(QUIET, database="file")
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)

    await town.restart()
    await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms", "0.25m ana sms"]


async def test_what_fell_due_while_nobody_was_here_fires_at_the_start(build: Build) -> None:
    town = await build(QUIET, database="file")
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)

    await town.restart(after_minutes=30)
    await town.pass_time(seconds=5)

    assert town.pages == ["0m ana sms", "30.05m ana sms"]


async def test_that_it_ended_survives_a_crash(build: Build) -> None:
    town = await build(QUIET, database="file")
    await over(town, 1)
    await town.restart()

    assert await town.alert("db down", started_at=BEGAN) is None
    await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms", "0.25m ana sms"]


async def test_a_reload_meanwhile_decides_with_the_new_rules(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)
    await town.reload(QUIET + "\nrules: [{name: shop, set: {service: shop, title: '{{ title }} again'}}]")
    await town.pass_time(minutes=1)

    found = (await town.incidents())[-1]
    assert (found.service, found.title) == ("shop", "db down again")


async def test_its_texts_are_rendered_once(build: Build) -> None:
    town = await build(QUIET + "\nrules: [{name: louder, set: {title: '!{{ title }}'}}]")
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=1)

    assert (await town.incidents())[-1].title == "!db down"


async def test_odd_texts_wait_as_well(build: Build) -> None:
    town = await build(QUIET)
    odd = {
        "title": "db \ud800 down",
        "dedup_key": "db",
        "status": "firing",
        "started_at": BEGAN,
        "labels": {"a": "\udfff\x00"},
    }
    await town.post("apps", json.dumps([odd, {**odd, "status": "resolved"}, odd]).encode())
    await town.pass_time(minutes=1)

    assert [one.title for one in await town.incidents()] == ["db \ufffd down"] * 2


async def test_a_removed_integration_does_not_lose_it(build: Build) -> None:
    town = await build(QUIET)
    await town.alert("db down", started_at=BEGAN, integration="other")
    await town.clear("db down", integration="other")
    await town.alert("db down", started_at=BEGAN, integration="other")
    await town.reload(QUIET + "\nintegrations: {other: }")
    await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms", "0.25m ana sms"]


async def test_a_silence_holds_when_its_wait_is_over(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)
    await town.silence('title="db down"', minutes=10)
    await town.pass_time(minutes=5)
    assert town.pages == ["0m ana sms"]

    await town.pass_time(minutes=10)
    assert town.pages == ["0m ana sms", "10.05m ana sms"]


async def test_its_hold_counts_from_when_it_came(build: Build) -> None:
    town = await build(QUIET + "\nrules: [{name: held, hold: 1m}]")
    await town.alert("db down", started_at=BEGAN)
    await town.clear("db down")
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=2)

    assert town.pages == ["1m ana sms"]


async def test_it_joins_the_group_that_is_open_then(build: Build) -> None:
    town = await build(QUIET + "\nrules: [{name: nodes, match: ['cluster!=\"\"'], group_by: [cluster]}]")
    labels = {"cluster": "eu"}
    await town.alert("node 1", started_at=BEGAN, labels=labels)
    await town.alert("node 2", started_at=BEGAN, labels=labels)
    await town.clear("node 2")
    await town.alert("node 2", started_at=BEGAN, labels=labels)
    await town.pass_time(minutes=1)

    (incident,) = await town.incidents()
    assert (incident.firing, incident.total) == (2, 3)


async def test_a_threshold_counts_it_when_it_fires(build: Build) -> None:
    town = await build(QUIET + "\nrules: [{name: many, threshold: {count: 3, within: 10m}}]")
    for _ in range(3):
        await town.alert("db down", started_at=BEGAN)
        await town.clear("db down")
        await town.pass_time(seconds=20)
    assert len(await town.incidents()) == 1

    town = await build(QUIET + "\nrules: [{name: many, threshold: {count: 2, within: 10m}}]")
    await town.alert("db down", started_at=BEGAN)
    await town.clear("db down")
    await town.alert("db down", started_at=BEGAN)
    assert await town.incidents() == []
    await town.pass_time(minutes=1)
    assert len(town.pages) == 1


async def test_a_storm_takes_it_in_like_any_other(build: Build) -> None:
    town = await build("throttle: {sms: [1000/1m]}\nstorm: {new_incidents: 3, within: 1m}")
    keys = [f"db{n}" for n in range(8)]
    fires = [
        {"title": key, "dedup_key": key, "status": "firing", "started_at": BEGAN, "severity": "warning"} for key in keys
    ]
    await town.post("apps", [{**one, "status": "resolved", "ended_at": "2026-01-05T11:59:00Z"} for one in fires])
    await town.post("apps", fires)
    await town.pass_time(minutes=1)

    assert len([one for one in await town.incidents() if one.storm]) >= 4


async def test_one_that_falls_silent_while_it_waits_is_over(build: Build) -> None:
    town = await build(QUIET + "\nintegrations: {apps: {type: webhook, token: apps-token, auto_resolve: 2m}}")
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=10)

    assert town.pages == ["0m ana sms"]


async def test_one_that_keeps_repeating_while_it_waits_is_not(build: Build) -> None:
    town = await build(QUIET + "\nintegrations: {apps: {type: webhook, token: apps-token, auto_resolve: 2m}}")
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    for _ in range(6):
        await town.alert("db down", started_at=BEGAN)
        await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms", "5m ana sms"]


async def test_what_a_rule_drops_or_suppresses_needs_no_wait(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 3)
    await town.reload(QUIET + "\nrules: [{name: trifles, drop: true}]")
    await town.alert("db down", started_at=BEGAN)
    assert await waiting(town) == []


@pytest.mark.parametrize("rule", ["resolve_after: 10m", "flap: {changes: 2, within: 10m, settle: 10m}"])
async def test_what_was_cleared_and_fires_again_is_not_swallowed_either(rule: str, build: Build) -> None:
    """Its resolve waits to become final; a firing right behind it waits too, a later one fires at once."""
    town = await build(QUIET + f"\nrules: [{{name: quiet, {rule}}}]")
    await town.alert("db down", started_at=BEGAN)
    await town.clear("db down")
    await town.pass_time(seconds=3)
    await town.alert("db down", started_at=BEGAN)
    (alert,) = await town.alerts_of(1)
    assert alert.cleared_at is not None
    assert alert.waits_until == town.start + 15_000
    await town.pass_time(seconds=13)
    (alert,) = await town.alerts_of(1)
    assert (alert.cleared_at, alert.waits_until) == (None, None)

    await town.clear("db down")
    await town.pass_time(seconds=30)
    await town.alert("db down", started_at=BEGAN)
    (alert,) = await town.alerts_of(1)
    assert alert.cleared_at is None
    await town.pass_time(minutes=20)
    assert (await town.incident(1)).status == "triggered"


async def test_what_was_cleared_and_is_resolved_again_while_it_waits_ends(build: Build) -> None:
    town = await build(QUIET + "\nrules: [{name: quiet, resolve_after: 10m}]")
    await town.alert("db down", started_at=BEGAN)
    await town.clear("db down")
    await town.alert("db down", started_at=BEGAN)
    await town.clear("db down")
    await town.pass_time(minutes=12)

    assert (await town.incident(1)).status == "resolved"
    assert town.pages == ["0m ana sms"]


async def test_a_short_resolve_after_does_not_lose_a_firing_that_waits(build: Build) -> None:
    town = await build(QUIET + "\nrules: [{name: quiet, resolve_after: 5s}]")
    await town.alert("db down", started_at=BEGAN)
    await town.clear("db down")
    await town.pass_time(seconds=3)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=10)

    assert (await town.incident(1)).status == "triggered"


async def test_while_the_database_is_away_nothing_is_lost(build: Build) -> None:
    town = await build(QUIET)
    await over(town, 3)
    await town.alert("db down", started_at=BEGAN)
    town.expected_errors = {"store_unavailable"}
    town.store_fails("next_waiting", "write")
    await town.pass_time(minutes=1)
    town.store_works()
    await town.pass_time(seconds=2)

    assert len(town.pages) == 2


# ------------------------------------------------------------- which firing does an end belong to?

AGAIN = "2026-01-05T12:01:30Z"


async def began_anew(town: Town) -> None:
    """It fires, and its source tells a newer start without an end in between, as a restarted Prometheus does."""
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(minutes=2)
    await town.alert("db down", started_at=AGAIN)


@pytest.mark.parametrize("after", ["at once", "when its repeats are written", "in one post", "after a crash"])
async def test_the_late_resolve_of_an_earlier_firing_does_not_end_the_newer_one(after: str, build: Build) -> None:
    town = await build(QUIET, database="file")
    resolve = {"title": "db down", "dedup_key": "db down", "status": "resolved", "ended_at": "2026-01-05T12:01:00Z"}
    if after == "in one post":
        await town.alert("db down", started_at=BEGAN)
        await town.post(
            "apps", [{"title": "db down", "severity": "critical", "dedup_key": "db down", "started_at": AGAIN}, resolve]
        )
    else:
        await began_anew(town)
        if after == "after a crash":
            await town.restart()
        elif after == "when its repeats are written":
            await town.pass_time(seconds=3)
        await town.post("apps", resolve)
    assert (await town.incident(1)).status == "triggered"

    await town.clear("db down", ended_at="2026-01-05T12:02:00Z")
    assert (await town.incident(1)).status == "resolved"


async def test_a_copy_of_an_earlier_firing_does_not_make_the_newer_one_older(build: Build) -> None:
    town = await build(QUIET)
    await began_anew(town)
    await town.alert("db down", started_at=BEGAN)
    await town.pass_time(seconds=3)

    await town.clear("db down", ended_at="2026-01-05T12:01:00Z")

    assert (await town.incident(1)).status == "triggered"


@pytest.mark.parametrize("seconds", [0, 3])
async def test_after_a_resolve_by_hand_the_newest_start_counts(seconds: int, build: Build) -> None:
    town = await build(QUIET)
    await began_anew(town)
    await town.pass_time(seconds=seconds)
    await town.resolve(1)
    for _ in range(36):
        await town.pass_time(seconds=10)
        await town.alert("db down", started_at=AGAIN)

    first, second = town.pages
    assert (first, second) == ("0m ana sms", f"{7 + seconds / 60:g}m ana sms")


@pytest.mark.parametrize("way", ["API", "SMS"])
async def test_a_source_that_repeats_what_was_resolved_by_hand_pages_once_more_after_five_minutes(
    way: str, build: Build
) -> None:
    town = await build(QUIET, database="file")
    await town.alert("db down", started_at=BEGAN)
    await (town.resolve(1) if way == "API" else town.phones["ana"].reply("RES 1"))
    for beat in range(36):
        await town.pass_time(seconds=10)
        await town.alert("db down", started_at=BEGAN)
        if beat == 12:
            await town.restart()

    assert town.pages == ["0m ana sms", "5m ana sms"]


async def test_what_its_expiry_would_end_in_a_downtime_fires_after_it(build: Build) -> None:
    town = await build(
        QUIET + "\nintegrations: {apps: {type: webhook, token: apps-token, auto_resolve: 2m}}", database="file"
    )
    await town.alert("db down", started_at=BEGAN)
    await town.resolve(1)
    await town.pass_time(minutes=3.5)
    await town.alert("db down", started_at=BEGAN)
    await town.restart(after_minutes=10)
    await town.pass_time(seconds=5)

    assert [one.status for one in await town.incidents()] == ["resolved", "triggered"]


async def test_a_resolve_by_hand_gives_the_loop_its_turns(build: Build) -> None:
    town = await build(QUIET + "\nrules: [{name: nodes, match: ['cluster!=\"\"'], group_by: [cluster]}]")
    node = {"status": "firing", "severity": "warning", "labels": {"cluster": "eu"}, "started_at": BEGAN}
    await town.post("apps", [{**node, "title": f"node {n}", "dedup_key": f"n{n}"} for n in range(1_000)])
    turns: list[int] = []
    turn = town.clock.turn

    async def counted() -> None:
        turns.append(1)
        await turn()

    town.clock.turn = counted  # type: ignore[method-assign]  # counted, and taken
    await town.resolve(1)

    assert len(turns) >= 4
    assert [one.status for one in await town.alerts_of(1)] == ["resolved"] * 1_000
    assert (await town.incident(1)).firing == 0
    await town.post("apps", [{**node, "title": f"node {n}", "dedup_key": f"n{n}"} for n in range(1_000)])
    assert len(await town.incidents()) == 1  # all wait


# ------------------------------------------------------------------------------------- whatever


STEP = st.tuples(st.sampled_from(["fires", "fires", "ends", "by hand", "passes", "crash"]), st.integers(0, 20))


@settings(max_examples=25, deadline=None)
@given(st.lists(STEP, max_size=12))
def test_whatever_happens_what_fires_last_is_open_in_the_end(story: list[tuple[str, int]]) -> None:
    asyncio.run(_told(story))


async def _told(story: list[tuple[str, int]]) -> None:
    """Firings with one unchanged start, resolves, people and crashes: the last word of the source counts."""
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs():
        town = await Town.open(Path(folder), QUIET, database="file")
        try:
            fires = False
            for what, seconds in story:
                if what == "fires":
                    await town.alert("db down", started_at=BEGAN)
                    fires = True
                elif what == "ends":
                    await town.clear("db down", ended_at="2026-01-05T11:59:00Z")
                    fires = False
                elif what == "crash":
                    await town.restart()
                elif what == "by hand":
                    for one in await town.incidents():
                        if one.open:
                            await town.resolve(one.number)
                            fires = False
                await town.pass_time(seconds=seconds)
            await town.pass_time(minutes=6)
            still = [one for one in await town.incidents() if one.open]
            assert len(still) == fires
        finally:
            await town.end()
