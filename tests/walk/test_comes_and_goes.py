"""Alerts that come and go: resolves that must last, flapping that pages once, and nothing that stays silent."""

from __future__ import annotations

from tests.walk.conftest import Build
from tests.walk.town import Town

LASTING = "rules: [{name: lasting, match: ['kind=\"link\"'], resolve_after: 5m}]\nthrottle: {sms: [100/1m]}"
FLAP = """
rules: [{name: links, match: ['kind="link"'], flap: {changes: 4, within: 30m, settle: 15m}}]
throttle: {sms: [100/1m]}
"""
LINK = {"kind": "link"}


async def up(town: Town) -> None:
    await town.clear("link down")


async def down(town: Town, **more: str) -> int | None:
    return await town.alert("link down", labels=LINK, **more)


async def flapping(town: Town, times: int) -> None:
    """Down and up again, a minute each."""
    for _ in range(times):
        await down(town)
        await town.pass_time(minutes=1)
        await up(town)
        await town.pass_time(minutes=1)


# ------------------------------------------------------------------------------- resolve_after


async def test_a_resolve_counts_when_it_stayed_quiet_for_long_enough(build: Build) -> None:
    town = await build(LASTING)
    await down(town)
    await town.pass_time(minutes=1)
    await up(town)
    assert ((await town.incident()).status, (await town.kinds())[-1]) == ("triggered", "cleared")
    await town.pass_time(minutes=4.9)
    assert (await town.incident()).status == "triggered"
    await town.pass_time(minutes=0.2)
    assert (await town.incident()).status == "resolved"
    assert town.pages == ["0m ana sms"]


async def test_a_new_firing_meanwhile_cancels_it_and_paging_goes_on_where_it_was(build: Build) -> None:
    town = await build(LASTING)
    await down(town)
    await town.pass_time(minutes=4)
    await up(town)
    await town.pass_time(minutes=2)
    assert town.pages == ["0m ana sms"], "the second step rests"
    await down(town)
    assert town.pages == ["0m ana sms", "6m bo sms"]
    await town.pass_time(minutes=30)
    incident = await town.incident()
    assert (incident.status, incident.cycle, len(await town.incidents())) == ("triggered", 1, 1)
    assert [kind for kind in await town.kinds() if kind in ("cleared", "rests", "fired_again")] == [
        "cleared",
        "rests",
        "fired_again",
    ]


async def test_the_resolve_sent_again_does_not_put_the_end_off(build: Build) -> None:
    town = await build(LASTING)
    await down(town)
    await up(town)
    await town.pass_time(minutes=4)
    await up(town)
    await town.pass_time(minutes=1.1)
    assert (await town.incident()).status == "resolved"


async def test_an_acknowledged_incident_stays_so_while_it_comes_and_goes(build: Build) -> None:
    town = await build(LASTING)
    await down(town)
    await town.ack(1)
    await up(town)
    await town.pass_time(minutes=1)
    await down(town)
    assert ((await town.incident()).status, town.pages) == ("acknowledged", ["0m ana sms"])
    await up(town)
    await town.pass_time(minutes=6)
    assert (await town.incident()).status == "resolved"


async def test_the_end_of_the_wait_survives_a_crash(build: Build) -> None:
    town = await build(LASTING, database="file")
    await down(town)
    await up(town)
    await town.restart(after_minutes=0.2)
    await town.pass_time(minutes=5)
    assert (await town.incident()).status == "resolved"
    await down(town)
    await up(town)
    await town.restart()
    await down(town)
    await town.pass_time(minutes=20)
    assert (await town.incident(2)).status == "triggered"


async def test_one_that_healed_while_held_pages_nobody_though_its_hold_ends_while_it_waits(build: Build) -> None:
    town = await build(LASTING.replace("resolve_after", "hold: 2m, resolve_after"))
    await down(town)
    await town.pass_time(minutes=1)
    await up(town)
    await town.pass_time(minutes=10)
    assert town.told == []
    assert [entry.because for entry in await town.timeline() if entry.kind == "resolved"] == [
        "self-recovered before anybody was paged"
    ]


async def test_one_that_fires_again_after_its_hold_pages_at_once(build: Build) -> None:
    town = await build(LASTING.replace("resolve_after", "hold: 2m, resolve_after"))
    await down(town)
    await town.pass_time(minutes=1)
    await up(town)
    await town.pass_time(minutes=2)
    await down(town)
    assert town.pages == ["3m ana sms"]


async def test_a_firing_right_behind_its_own_resolve_brings_it_back_unless_it_is_resolved_again(build: Build) -> None:
    town = await build(LASTING)
    await down(town, timestamp="2026-01-05T11:59:00Z")
    await up(town)
    await down(town, timestamp="2026-01-05T11:59:00Z")
    await up(town)
    await town.pass_time(minutes=6)
    assert (await town.incident()).status == "resolved"

    await down(town, timestamp="2026-01-05T11:59:00Z")
    await up(town)
    await down(town, timestamp="2026-01-05T11:59:00Z")
    await town.pass_time(minutes=6)
    assert (await town.incidents())[-1].status == "triggered"


async def test_the_last_sight_of_an_old_repetition_does_not_move_the_end(build: Build) -> None:
    town = await build(LASTING.replace("resolve_after", "auto_resolve: 6h, resolve_after"))
    await down(town)
    await down(town)  # its end is written within a second
    await up(town)
    await town.pass_time(minutes=6)
    assert (await town.incident()).status == "resolved"


async def test_other_alerts_of_the_incident_go_on_paging(build: Build) -> None:
    town = await build(LASTING.replace("resolve_after", "group_by: [kind], resolve_after"))
    await down(town)
    await town.alert("other link", labels=LINK)
    await up(town)
    await town.pass_time(minutes=6)
    assert town.pages == ["0m ana sms", "5m bo sms"]
    assert ((await town.incident()).firing, (await town.incident()).resolved) == (1, 1)


# ---------------------------------------------------------------------------------------- flap


async def test_one_that_flaps_pages_once_until_it_settles(build: Build) -> None:
    town = await build(FLAP)
    await flapping(town, 10)
    assert town.pages == ["0m ana sms", "2m ana sms"], "the fourth change shows that it flaps"
    assert [one.status for one in await town.incidents()] == ["resolved", "triggered"]
    await town.pass_time(minutes=15)
    assert [one.status for one in await town.incidents()] == ["resolved", "resolved"]
    assert len(town.pages) == 2


async def test_one_that_stays_down_is_never_silent_for_longer_than_its_settle_time(build: Build) -> None:
    town = await build(FLAP)
    await flapping(town, 4)
    await down(town)
    await town.pass_time(minutes=14.5)
    assert len(town.pages) == 2
    await town.pass_time(minutes=0.6)
    assert town.pages[2:] == ["23m bo sms"]


async def test_what_flapped_before_and_fires_after_it_settled_pages_again(build: Build) -> None:
    town = await build(FLAP)
    await flapping(town, 2)
    await town.pass_time(minutes=40)
    await down(town)
    assert (len(await town.incidents()), len(town.pages)) == (3, 3)
    await up(town)
    assert (await town.incident(3)).status == "resolved", "the window is over: it does not flap any more"


async def test_changes_and_settling_survive_a_crash(build: Build) -> None:
    town = await build(FLAP, database="file")
    await flapping(town, 1)
    await down(town)
    await town.restart()
    await up(town)
    assert (await town.incident(2)).status == "triggered"
    await town.restart()
    await town.pass_time(minutes=16)
    assert (await town.incident(2)).status == "resolved"


async def test_few_changes_resolve_at_once(build: Build) -> None:
    town = await build(FLAP)
    await flapping(town, 1)
    assert (await town.incident()).status == "resolved"


async def test_it_is_told_that_it_flaps(build: Build) -> None:
    town = await build(FLAP)
    await flapping(town, 4)
    story = [entry.because for entry in await town.timeline(2) if entry.kind == "cleared"]
    assert story == [
        "rule 'links': it comes and goes (4 changes within 30m); it counts as flapping until nothing changed for 15m "
        "(now 2026-01-05T12:18:00Z)"
    ]
