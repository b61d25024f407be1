"""Stories of planned windows: nobody is woken for what is patched on Sunday, and everything is kept."""

from __future__ import annotations

from typing import Any

from tests.walk.conftest import Build
from tests.walk.town import Town

CALM = 'throttle: {sms: ["1000/1m"]}\n'
# The town's story begins on Monday 2026-01-05 at 12:00 UTC.
PATCHING = (
    CALM
    + """
maintenance:
  - {name: monday patching, match: ['env="prod"'], every: "Mon 12:10", for: 30m}
"""
)
PROD: dict[str, Any] = {"labels": {"env": "prod"}}


def lines(town: Town, event: str) -> list[str]:
    return [entry["window"] for entry in town.logs if entry["event"] == event]


async def test_in_a_window_nobody_is_paged_and_everything_is_kept(build: Build) -> None:
    town = await build(PATCHING)
    await town.pass_time(minutes=15)

    number = await town.alert("disk full", **PROD)
    await town.alert("elsewhere")
    await town.pass_time(minutes=10)

    assert town.pages_of("disk full") == []
    assert town.pages_of("elsewhere")[:1] == ["15m ana sms"]
    incident = await town.incident(number)
    assert (incident.status, incident.muted_by) == ("triggered", "maintenance:monday patching")
    assert [one.title for one in await town.alerts_of(incident.number)] == ["disk full"]


async def test_when_the_window_ends_what_still_fires_pages_at_once_and_once(build: Build) -> None:
    town = await build(PATCHING)
    await town.pass_time(minutes=15)
    number = await town.alert("disk full", **PROD) or 0
    await town.pass_time(minutes=29)

    assert town.pages_of("disk full") == ["40m ana sms"]
    assert [one.because for one in await town.timeline(number) if one.kind == "unmuted"] == [
        "the maintenance window 'monday patching' ended"
    ]


async def test_a_resolve_is_taken_in_the_window(build: Build) -> None:
    town = await build(PATCHING)
    await town.pass_time(minutes=15)
    number = await town.alert("disk full", **PROD)
    await town.clear("disk full")
    assert (await town.incident(number)).status == "resolved"
    await town.pass_time(minutes=40)
    assert town.pages == []


async def test_what_is_open_when_the_window_begins_goes_quiet_and_the_story_says_so(build: Build) -> None:
    town = await build(PATCHING)
    number = await town.alert("disk full", **PROD) or 0
    taken = await town.alert("disk slow", **PROD) or 0
    await town.ack(taken)
    await town.pass_time(minutes=11)

    assert town.pages_of("disk full") == ["0m ana sms", "5m bo sms"]
    assert (await town.incident(number)).muted_by == "maintenance:monday patching"
    assert lines(town, "maintenance_began") == ["monday patching"]
    assert "muted" not in await town.kinds(taken)  # somebody has it: there is nothing to mute
    await town.pass_time(minutes=30)
    for one in (number, taken):
        told = [(entry.kind, entry.detail["window"]) for entry in await town.timeline(one) if "maint" in entry.kind]
        assert told == [("maintenance_began", "monday patching"), ("maintenance_ended", "monday patching")]
    assert lines(town, "maintenance_ended") == ["monday patching"]


async def test_a_window_of_one_date_is_in_force_once(build: Build) -> None:
    once = "{name: move, match: ['env=\"prod\"'], from: 2026-01-05 13:10, to: 2026-01-05 13:20, timezone: Europe/Paris}"
    town = await build(CALM + f"maintenance: [{once}]")
    await town.pass_time(minutes=12)
    await town.alert("disk full", **PROD)
    await town.pass_time(minutes=9)
    assert town.pages_of("disk full") == ["20m ana sms"]
    await town.alert("again", **PROD)
    await town.settle()
    assert town.pages_of("again") == ["21m ana sms"]


async def test_a_window_that_began_and_ended_while_nobody_was_here_pages_at_the_start(build: Build) -> None:
    town = await build(PATCHING, database="file")
    await town.pass_time(minutes=15)
    number = await town.alert("disk full", **PROD) or 0
    await town.restart(after_minutes=60)
    await town.pass_time(seconds=2)

    assert town.pages_of("disk full") == ["75m ana sms"]
    assert [kind for kind in await town.kinds(number) if "maintenance" in kind] == ["maintenance_ended"]


async def test_it_is_told_once_whatever_crashes(build: Build) -> None:
    town = await build(PATCHING, database="file")
    number = await town.alert("disk full", **PROD) or 0
    await town.pass_time(minutes=11)
    for _ in range(3):
        await town.restart(after_minutes=1)
    await town.pass_time(minutes=40)
    told = [kind for kind in await town.kinds(number) if "maintenance" in kind]
    assert told == ["maintenance_began", "maintenance_ended"]


async def test_a_silence_that_lasts_longer_takes_over_when_the_window_ends(build: Build) -> None:
    town = await build(PATCHING)
    await town.pass_time(minutes=15)
    number = await town.alert("disk full", **PROD)
    silence = await town.silence('env="prod"', minutes=60)
    await town.pass_time(minutes=40)

    assert town.pages == []
    assert (await town.incident(number)).muted_by == f"silence:{silence.id}"
    await town.pass_time(minutes=21)
    assert town.pages_of("disk full") == ["75m ana sms"]


async def test_a_silence_taken_back_in_the_window_pages_nobody(build: Build) -> None:
    town = await build(PATCHING)
    await town.pass_time(minutes=15)
    number = await town.alert("disk full", **PROD)
    silence = await town.silence('env="prod"', minutes=60)
    await town.unsilence(silence)
    await town.settle()
    assert town.pages == []
    assert (await town.incident(number)).muted_by == "maintenance:monday patching"


async def test_an_alert_that_the_window_is_not_about_ends_the_quiet_of_its_incident(build: Build) -> None:
    grouped = "rules: [{name: g, match: ['app=\"shop\"'], group_by: [app]}]"
    town = await build(PATCHING + grouped)
    await town.pass_time(minutes=15)
    await town.alert("one", labels={"env": "prod", "app": "shop"})
    await town.pass_time(minutes=5)
    await town.alert("two", labels={"env": "test", "app": "shop"})
    await town.settle()
    assert town.pages_of("one") == ["20m ana sms"]


async def test_a_reload_that_takes_the_window_away_pages(build: Build) -> None:
    town = await build(PATCHING)
    await town.pass_time(minutes=15)
    await town.alert("disk full", **PROD)
    await town.reload(CALM)
    await town.pass_time(seconds=1)
    assert town.pages_of("disk full") == ["15m ana sms"]


async def test_matchers_see_what_rules_set_also_of_what_is_stored(build: Build) -> None:
    category = "rules: [{name: c, match: ['env=\"prod\"'], set: {category: hardware, priority: P2}}]\n"
    window = PATCHING.replace('env="prod"', 'category="hardware"\', \'priority="P2"')
    town = await build(window + category)
    number = await town.alert("disk full", **PROD)
    await town.pass_time(minutes=11)
    assert (await town.incident(number)).muted_by == "maintenance:monday patching"
    await town.pass_time(minutes=30)
    assert town.pages_of("disk full")[-1] == "40m grace sms"
