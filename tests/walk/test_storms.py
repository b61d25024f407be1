"""Stories of storms: many new incidents of one service become one that pages, and nothing is hidden for good."""

from __future__ import annotations

from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.manual import example
from tests.walk.town import OPS_MAIL, Town

# Ten in a minute, and no limits on messages: what a storm keeps back is seen without them.
SMALL = """
storm: {new_incidents: 10, within: 1m}
throttle: {sms: [1000/1m]}
services: {shop: {owner: platform}, depot: {}, vault: {impact: high}}
policies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0, ack_timeout: 2h}}
"""
STORM = "storm: more than 10 new incidents"


async def pour(town: Town, count: int, *, first: int = 0, severity: str = "error", **more: Any) -> None:
    """So many alerts at once."""
    for number in range(first, first + count):
        await town.alert(f"trouble {number}", severity, **{"service": "shop", **more})


async def storm_of(town: Town) -> int:
    (number,) = [one.number for one in await town.incidents() if one.key.startswith("storm/")]
    return number


async def test_beyond_the_limit_one_incident_pages_for_all_that_come(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 10)
    assert len(town.pages) == 10

    await pour(town, 90, first=10, labels={"alertname": "DiskFull"})
    await town.pass_time(seconds=2)

    storm = await town.incident(await storm_of(town))
    assert (storm.title, storm.service, storm.policy) == (
        f"{STORM} of shop, 90 taken in: DiskFull (90)", "shop", "default",
    )  # fmt: skip
    assert len(town.pages) == 11
    assert len(town.pages_of(storm.title)) + len([told for told in town.told if told.incident == storm.number]) >= 1
    taken_in = [one for one in await town.incidents() if one.storm == storm.number]
    assert len(taken_in) == 90
    assert {(one.status, one.muted_by) for one in taken_in} == {("triggered", f"storm:{storm.number}")}
    assert town.metric("tocsin_storm_collapsed_total") == 90


async def test_when_it_is_calm_the_storm_resolves_and_what_still_fires_pages_by_itself_in_a_bundle(
    build: Build,
) -> None:
    town = await build(SMALL.replace("1000/1m", "1/1m"))
    await pour(town, 30)
    storm = await storm_of(town)
    for number in range(20):
        await town.clear(f"trouble {number}")
    await town.pass_time(seconds=58)
    assert (await town.incident(storm)).status == "triggered"

    await town.pass_time(seconds=5)

    assert ((await town.incident(storm)).status, (await town.incident(storm)).resolved_by) == ("resolved", "tocsin")
    assert "calm: at most 5 new incidents within 1m. In 1m it took in 20" in str(
        [entry.because for entry in await town.timeline(storm)]
    )
    await town.pass_time(minutes=3)
    left = [one for one in await town.incidents() if one.open]
    assert len(left) == 10
    for one in left:
        (_, attempts), *_ = await town.pages_planned(one.number)
        assert attempts, f"INC {one.number} was never told"
    assert len(town.summaries) <= 2
    assert all(any(f"INC {one.number} " in line for line in town.summaries) for one in left)


async def test_a_steady_rain_below_the_limit_is_no_storm_and_above_half_of_it_keeps_one_going(build: Build) -> None:
    town = await build(SMALL)
    for number in range(20):
        await pour(town, 1, first=number)
        await town.pass_time(seconds=6.5)
    assert [one for one in await town.incidents() if one.key.startswith("storm/")] == []

    await pour(town, 12, first=100)
    for number in range(200, 215):
        await pour(town, 1, first=number)
        await town.pass_time(seconds=8)  # seven a minute: fewer than begin a storm, more than end one
    assert (await town.incident(await storm_of(town))).status == "triggered"

    await town.pass_time(minutes=1)
    assert (await town.incident(await storm_of(town))).status == "resolved"


async def test_acknowledging_the_storm_acknowledges_what_it_had_taken_in_and_no_more(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 20)
    storm = await storm_of(town)
    await town.ack(storm)
    await pour(town, 12, first=20)
    await town.pass_time(seconds=3)

    before = [one for one in await town.incidents() if one.storm == storm and one.created_at <= town.start]
    told = [one.acknowledged_by for one in await town.incidents() if one.storm == storm]
    assert len(before) == 22
    # all came at one instant of virtual time: those after the answer are told apart by their number
    assert told.count("ana") >= 10
    entry = next(entry for entry in await town.timeline(11) if entry.kind == "acknowledged")
    assert (entry.actor, entry.via) == ("user:ana", "storm")
    assert entry.because == f"INC {storm}, the storm that took it in, was acknowledged"


async def test_what_comes_after_the_answer_pages_when_the_storm_is_over(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 20)
    storm = await storm_of(town)
    await town.ack(storm)
    await town.pass_time(seconds=20)
    await pour(town, 3, first=20)
    await town.pass_time(seconds=30)
    late = ("trouble 20", "trouble 21", "trouble 22")
    assert [told for told in town.told if told.title in late] == []

    await town.pass_time(minutes=2)

    assert sorted(told.title for told in town.told if told.title in late and told.kind == "page") == list(late)
    assert [told for told in town.told if told.title == "trouble 15"] == []


async def test_another_service_pages_as_always(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 40)

    await town.alert("the depot is on fire", "error", service="depot")

    assert town.pages_of("the depot is on fire") == ["0m ana sms"]


@pytest.mark.parametrize(("severity", "service"), [("critical", "shop"), ("error", "vault"), ("critical", "")])
async def test_a_critical_or_p1_incident_is_never_hidden_by_a_storm_of_lesser_ones(
    build: Build, severity: str, service: str
) -> None:
    town = await build(SMALL)
    await pour(town, 40, severity="warning", service=service)

    await town.alert("all is lost", severity, service=service)

    assert town.pages_of("all is lost") == ["0m ana sms"]


async def test_critical_ones_make_a_storm_of_their_own_that_is_as_urgent(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 40, severity="critical", service="vault")

    await town.pass_time(seconds=1)
    storm = await town.incident(await storm_of(town))

    assert (storm.priority, storm.severity) == ("P1", "critical")
    assert storm.title.startswith(f"{STORM.replace('new', 'new critical')} of vault, 30 taken in")


async def test_a_kind_of_alert_that_the_storm_has_never_seen_pages_by_itself_once(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 40, labels={"alertname": "HighLatency"})
    before = len(town.pages)

    await town.alert("no money comes in", "error", service="shop", labels={"alertname": "PaymentsDown"})
    await town.alert("none at all", "error", service="shop", labels={"alertname": "PaymentsDown"})

    assert len(town.pages) == before + 1
    assert town.pages_of("no money comes in") == ["0m ana sms"]


async def test_an_incident_that_becomes_critical_within_a_storm_leaves_it(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 20, severity="warning")

    await town.alert("trouble 15", "critical", service="shop")
    await town.pass_time(seconds=1)

    assert len(town.pages_of("trouble 15")) == 1


async def test_the_storm_is_as_bad_as_what_it_takes_in_and_pages_anew_when_it_rises(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 20, severity="info")
    storm = await storm_of(town)
    await town.ack(storm)
    assert (await town.incident(storm)).priority == "P4"

    await pour(town, 1, first=20, severity="error")
    await town.pass_time(seconds=1)

    found = await town.incident(storm)
    assert (found.priority, found.severity, found.status, found.cycle) == ("P2", "error", "triggered", 2)


async def test_what_heals_within_a_storm_was_never_paged(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 20)
    await town.clear("trouble 15")
    await town.pass_time(minutes=3)

    assert (await town.outcomes(17), [told for told in town.told if told.title == "trouble 15"]) == ([], [])


async def test_held_incidents_count_when_their_hold_ends(build: Build) -> None:
    town = await build(SMALL + "rules: [{name: wait, hold: 2m}]\n")
    await pour(town, 8)
    for number in range(100, 130):
        await town.alert(f"blip {number}", "error", service="shop")
        await town.clear(f"blip {number}")
    await town.pass_time(minutes=1)
    assert len(await town.incidents()) > 30
    assert not [one for one in await town.incidents() if one.key.startswith("storm/")]

    await pour(town, 20, first=8)
    await town.pass_time(minutes=1.1)
    assert len(town.pages) == 8
    await town.pass_time(minutes=1)

    assert (await town.incident(await storm_of(town))).title.startswith(f"{STORM} of shop, 1")
    assert len([told for told in town.told if told.title.startswith("trouble")]) in (10, 18)


async def test_a_silence_of_many_that_ends_makes_no_flood(build: Build) -> None:
    town = await build(SMALL)
    silence = await town.silence('service="shop"', minutes=30)
    await pour(town, 40)
    assert town.pages == []

    await town.unsilence(silence)
    await town.pass_time(seconds=2)

    assert len(town.pages) == 11
    assert len([one for one in await town.incidents() if one.storm]) == 30


async def test_a_silence_made_or_ended_elsewhere_does_not_let_what_is_taken_in_out(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 20)
    silence = await town.silence('service="depot"', minutes=30)
    await town.unsilence(silence)
    await town.pass_time(seconds=2)

    assert len(town.pages) == 11
    assert {one.muted_by for one in await town.incidents() if one.storm} == {f"storm:{await storm_of(town)}"}


async def test_resolving_the_storm_by_hand_acknowledges_what_it_took_in_and_a_new_one_begins_if_it_goes_on(
    build: Build,
) -> None:
    town = await build(SMALL)
    await pour(town, 20)
    first = await storm_of(town)
    await town.pass_time(seconds=1)
    await town.resolve(first)
    await town.pass_time(seconds=2)
    assert {one.status for one in await town.incidents() if one.storm == first} == {"acknowledged"}

    await pour(town, 5, first=20)

    storms = [one for one in await town.incidents() if one.key.startswith("storm/")]
    assert [one.status for one in storms] == ["resolved", "triggered"]


async def test_a_storm_survives_a_crash_and_so_does_the_count(build: Build) -> None:
    town = await build(SMALL, database="file")
    await pour(town, 8)
    await town.pass_time(seconds=2)
    await town.restart()
    await pour(town, 7, first=8)
    storm = await storm_of(town)
    assert len([one for one in await town.incidents() if one.storm == storm]) == 5

    await town.restart()
    await pour(town, 5, first=15)
    assert len([one for one in await town.incidents() if one.storm == storm]) == 10

    await town.pass_time(minutes=2)
    assert (await town.incident(storm)).status == "resolved"
    left = [told.title for told in town.told if told.kind == "page"]
    assert {f"trouble {number}" for number in range(20)} <= set(left)


async def test_counted_all_together_or_by_integration(build: Build) -> None:
    town = await build(SMALL.replace("within: 1m", "within: 1m, per: all"))
    for number in range(12):
        await town.alert(f"trouble {number}", "error", service="shop" if number % 2 else "depot")
    await town.pass_time(seconds=1)

    assert (await town.incident(await storm_of(town))).title.startswith(f"{STORM}, 2 taken in")


async def test_what_people_open_and_tocsins_own_trouble_are_never_taken_in(build: Build) -> None:
    town = await build(SMALL.replace("per: service", "per: all") + f"channels: {{{OPS_MAIL}}}\n")
    town.expected_errors.add("own_trouble")
    await pour(town, 40, service="")
    town.daemon.self_alerts.alarm("channel/x", "channel x is failing", "503")
    await town.settle()
    await town.trigger("I see smoke")

    assert len(town.pages_of("channel x is failing")) == 1
    assert len(town.pages_of("I see smoke")) == 1


async def test_an_incident_that_was_taken_in_is_looked_at_every_hour_whatever_went_wrong(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 12)
    storm = await storm_of(town)
    await town.pass_time(seconds=1)
    town.daemon.storms.states.clear()  # nobody knows any more that there is a storm

    await town.resolve(storm, "bo")
    await town.pass_quietly(hours=1.1)

    assert {one.status for one in await town.incidents() if one.storm} <= {"acknowledged", "triggered"}
    assert [one.muted_by for one in await town.incidents() if one.storm] == [None, None]


async def test_the_manuals_example_is_what_holds_when_nothing_is_written(build: Build) -> None:
    for config in ("", example("rules.md", "storm")):
        town = await build(config)
        await pour(town, 30)
        assert not [one for one in await town.incidents() if one.key.startswith("storm/")]
        await pour(town, 1, first=30)

        assert (await town.incident(await storm_of(town))).key == "storm/service:shop"


MAILS = """
users: {ana: {name: Ana, timezone: UTC, contacts: {mail: ana@example.org}}}
policies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0, ack_timeout: 2h}}
schedules: {primary: ""}
teams: {platform: {members: [ana]}}
"""


async def test_a_storm_of_sixty_by_mail_is_told_in_few_and_each_with_its_link(build: Build) -> None:
    town = await build(MAILS)
    for number in range(60):
        await town.alert(f"disk of host-{number} is full", "error", service="shop", labels={"alertname": "DiskFull"})
    await town.pass_time(minutes=1)

    storm = await town.incident(await storm_of(town))
    assert storm.title == "storm: more than 30 new incidents of shop, 30 taken in: DiskFull (30)"
    assert len(town.mail) <= 12  # ten in a minute, and what waited for the next one together
    (summary,) = [told for told in town.told if told.kind == "summary"]
    named = [one for one in await town.incidents() if f"INC {one.number} " in summary.text]
    assert len(named) >= 15
    for one in named:
        assert f"https://tocsin.example.org/incidents/{one.number}\r\n" in summary.text
    assert summary.text.count("Acknowledge: https://tocsin.example.org/a/") == len(named)
    assert "All that is open: https://tocsin.example.org/" in summary.text


async def test_each_link_of_a_summary_acknowledges_its_own_incident(build: Build) -> None:
    town = await build(MAILS + 'throttle: {mail: ["1/1m"]}')
    for title in ("first", "second", "third"):
        await town.alert(title, "error")
    await town.pass_time(minutes=1.1)
    (summary,) = [told.text for told in town.told if told.kind == "summary"]
    token = summary.partition("* INC 3 P2 third")[2].partition("/a/")[2].split()[0]

    assert await town.daemon.answers.press(token) is not None
    await town.settle()

    assert [(await town.incident(number)).status for number in (2, 3)] == ["triggered", "acknowledged"]


async def test_a_storm_that_is_calm_does_not_call_resolved_what_fires_and_offers_no_acknowledgement(
    build: Build,
) -> None:
    town = await build(MAILS + "storm: {new_incidents: 3, within: 1m}")
    await pour(town, 8)
    await town.pass_time(minutes=2)

    (calm,) = [told.text for told in town.told if told.kind == "update"]
    number = await storm_of(town)
    assert f"INC {number}: the storm is calm. What it took in and still fires pages by itself from now on" in calm
    assert "resolved" not in calm
    assert "Acknowledge" not in calm
    assert "/a/" not in calm


async def test_a_storm_that_somebody_resolved_is_resolved(build: Build) -> None:
    town = await build(SMALL)
    await pour(town, 20)
    number = await storm_of(town)
    await town.pass_time(seconds=1)
    await town.resolve(number, "bo")
    await town.pass_time(seconds=1)
    assert [line.partition(": ")[2].partition(":")[0] for line in town.updates] == [f"INC {number} resolved by bo"]


async def test_what_a_storm_takes_in_that_reaches_nobody_pages_by_itself(build: Build) -> None:
    """The storm pages by its service's policy; one of its incidents has another, by a rule."""
    nobody = """
storm: {new_incidents: 3, within: 1m}
throttle: {sms: [1000/1m]}
catch_all: [user:grace]
policies:
  default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0}
  others: {steps: [{notify: [user:bo], wait: 60m}], repeat: 0}
rules: [{name: others, match: ['team="others"'], set: {policy: others}}]
"""
    town = await build(nobody)
    town.expected_errors.add("own_trouble")
    await town.phones["grace"].reply("STOP")
    await pour(town, 8, labels={"team": "others"})
    assert len([told for told in town.told if told.user == "bo"]) == 3
    assert len([told for told in town.told if told.user == "ana" and told.kind == "page"]) >= 1

    await town.phones["ana"].reply("STOP")  # now nobody hears of the storm
    await town.pass_time(seconds=5)

    assert len([told for told in town.told if told.user == "bo" and told.kind == "page"]) >= 8
    await pour(town, 1, first=8, labels={"team": "others"})
    await town.pass_time(seconds=1)
    assert town.pages_of("trouble 8") != []
