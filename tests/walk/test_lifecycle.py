"""An incident's life: snoozed, resolved, come again, joined, held, silenced."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.test_paging import person
from tests.walk.town import OPS_MAIL, Town

GROUPED = """
rules:
  - {name: by cluster, match: ['cluster!=""'], group_by: [cluster]}
services:
  shop: {impact: high}
throttle: {sms: [100/1m], voice: [100/1m]}
"""
HELD = """
rules:
  - {name: heals by itself, match: ['cluster!=""'], group_by: [cluster], hold: 2m}
  - {name: not this one, match: ['urgent="yes"'], hold: 0s}
"""
EU = {"cluster": "eu"}


# ------------------------------------------------------------------------------------- snooze, unack


async def test_a_snooze_is_quiet_until_its_end_and_then_pages_anew(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=6)

    done = await town.snooze(1, 45, "bo")

    assert (done.incident.status, done.incident.acknowledged_by) == ("acknowledged", "bo")
    await town.pass_quietly(minutes=46)
    assert town.pages == ["0m ana sms", "5m bo sms", "51m ana sms"]
    assert (await town.incident()).cycle == 2


async def test_who_gives_an_incident_back_starts_paging_anew_at_once(town: Town) -> None:
    await town.alert("db down")
    await town.ack(1)
    await town.pass_time(minutes=2)

    await town.act("unacknowledge", 1)

    assert town.pages == ["0m ana sms", "2m ana sms"]
    assert "unacknowledged" in await town.kinds()


# ------------------------------------------------------------------------------------- resolve


async def test_it_resolves_with_its_last_alert_and_everybody_paged_is_told_but_never_by_a_call(build: Build) -> None:
    town = await build(
        f"""
users: {{{person("ana", "{high: [{by: voice}]}")}, {person("bo", "{high: [{by: mail}]}")}}}
channels: {{{OPS_MAIL}}}
policies: {{default: {{steps: [{{notify: [user:ana, user:bo, channel:ops-mail], wait: 5m}}, {{notify: [user:grace], wait: 5m}}]}}}}
"""
    )
    await town.alert("db down")
    await town.pass_time(minutes=2)

    await town.clear("db down")

    found = await town.incident()
    assert (found.status, found.resolved_by, found.due_kind) == ("resolved", "integration:apps", "close")
    said = "INC 1 resolved by integration:apps: db down"
    assert sorted(town.updates) == [f"2m ana sms: {said}", f"2m bo mail: {said}", f"2m ops-mail: {said}"]
    assert town.phones["ana"].heard == ["db down"]
    await town.pass_time(minutes=10)
    assert "grace" not in " ".join(town.pages)


async def test_who_resolved_it_is_not_told_so(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=6)

    await town.resolve(1, "ana")
    await town.pass_time(minutes=1)

    assert town.updates == ["6m bo sms: INC 1 resolved by ana: db down"]


async def test_nobody_is_told_where_that_is_not_wanted(build: Build) -> None:
    town = await build("defaults: {notify_resolved: false}")
    await town.alert("db down")

    await town.clear("db down")
    await town.pass_time(minutes=2)

    assert town.updates == []


async def test_it_closes_by_itself_and_closed_is_final(build: Build) -> None:
    town = await build("defaults: {close_after: 1h}")
    await town.alert("db down")
    await town.clear("db down")

    await town.pass_quietly(minutes=61)

    assert (await town.incident()).status == "closed"
    for verb in ("acknowledge", "resolve", "unacknowledge", "escalate", "cancel", "close"):
        assert (await town.act(verb, 1)).changed is False
    assert (await town.incident()).status == "closed"


async def test_what_fires_again_after_its_end_is_a_new_incident_linked_to_the_old(town: Town) -> None:
    await town.alert("db down")
    await town.clear("db down")

    number = await town.alert("db down")

    assert number != 1
    assert (await town.incident(number)).previous == 1
    await town.pass_time(minutes=1)
    assert town.pages == ["0m ana sms", "1m ana sms"]  # one SMS a minute


async def test_what_fires_again_soon_reopens_where_that_is_configured(build: Build) -> None:
    town = await build("defaults: {reopen_within: 10m}\nthrottle: {sms: [100/1m]}")
    await town.alert("db down")
    await town.clear("db down")
    await town.pass_time(minutes=9)

    assert await town.alert("db down") == 1

    found = await town.incident()
    assert (found.status, found.cycle, found.resolved_at) == ("triggered", 2, None)
    assert town.pages == ["0m ana sms", "9m ana sms"]
    await town.clear("db down")
    await town.pass_time(minutes=11)
    assert await town.alert("db down") not in (1, None)


async def test_what_a_person_resolved_takes_its_alerts_along(town: Town) -> None:
    await town.alert("db down")

    await town.resolve(1)

    assert [alert.status for alert in await town.alerts_of(1)] == ["resolved"]
    assert await town.alert("db down") not in (1, None)


async def test_a_source_that_repeats_itself_does_not_undo_at_once_what_a_person_resolved(town: Town) -> None:
    began = "2026-01-05T11:59:00Z"
    await town.alert("db down", started_at=began)
    await town.resolve(1)

    assert await town.alert("db down", started_at=began) is None  # the very same firing: it waits
    assert await town.alert("db down", started_at="2026-01-05T12:00:30Z") not in (1, None)  # another one


async def test_a_canceled_incident_pages_nobody_any_more_and_nobody_is_told(town: Town) -> None:
    await town.alert("db down")

    await town.act("cancel", 1)

    await town.pass_time(minutes=20)
    assert (town.pages, town.updates) == (["0m ana sms"], [])
    assert (await town.incident()).status == "canceled"


# ------------------------------------------------------------------------------------- joining


async def test_alerts_of_one_group_are_one_incident_and_one_page(build: Build) -> None:
    town = await build(GROUPED)

    numbers = [await town.alert(f"node {node}", labels=EU) for node in range(3)]

    found = await town.incident()
    assert (numbers, found.firing, found.total) == ([1, 1, 1], 3, 3)
    assert town.pages == ["0m ana sms"]
    for node in range(2):
        await town.clear(f"node {node}")
    assert (await town.incident()).status == "triggered"
    await town.clear("node 2")
    assert (await town.incident()).status == "resolved"


async def test_a_group_that_is_closed_to_new_alerts_lets_the_next_open_its_own(build: Build) -> None:
    town = await build("rules: [{name: g, match: ['cluster!=\"\"'], group_by: [cluster], join_within: 10m}]")
    await town.alert("node 1", labels=EU)
    await town.pass_time(minutes=10)

    number = await town.alert("node 2", labels=EU)

    assert (await town.incident(number)).previous == 1
    assert await town.alert("node 3", labels=EU) == number


JOINS = [
    ("raise", "error", "critical", False),  # the same priority: P2 both
    ("raise", "warning", "critical", True),
    ("raise", "critical", "warning", False),
    ("any", "critical", "info", True),
    ("never", "info", "critical", False),
]


@pytest.mark.parametrize(("re_page", "first", "second", "again"), JOINS)
async def test_a_join_pages_those_who_had_acknowledged_only_where_it_makes_things_worse(
    re_page: str, first: str, second: str, again: bool, build: Build
) -> None:
    town = await build(
        f"rules: [{{name: g, match: ['cluster!=\"\"'], group_by: [cluster], re_page: {re_page}}}]\nthrottle: {{sms: [100/1m]}}"
    )
    await town.alert("node 1", first, labels=EU)
    await town.ack(1)
    await town.pass_time(minutes=1)

    await town.alert("node 2", second, labels=EU)

    found = await town.incident()
    assert (found.status, found.cycle) == (("triggered", 2) if again else ("acknowledged", 1))
    assert len(town.pages) == (2 if again else 1)
    assert "joined" in await town.kinds()


async def test_an_alert_that_gets_worse_pages_those_who_had_acknowledged(build: Build) -> None:
    town = await build("throttle: {sms: [100/1m]}")
    await town.alert("disk", "info", key="disk")
    await town.ack(1)
    await town.pass_time(minutes=1)

    await town.alert("disk is full", "critical", key="disk")

    found = await town.incident()
    assert (found.status, found.cycle, found.priority, found.title) == ("triggered", 2, "P2", "disk is full")
    assert town.pages == ["0m ana sms", "1m ana sms"]


async def test_the_severity_sinks_when_the_worst_alert_is_over(build: Build) -> None:
    town = await build(GROUPED)
    await town.alert("node 1", "critical", labels=EU)
    await town.alert("node 2", "info", labels=EU)

    await town.clear("node 1")

    found = await town.incident()
    assert (found.status, found.severity, found.priority) == ("triggered", "info", "P4")


# ------------------------------------------------------------------------------------- hold


async def test_what_heals_while_it_is_held_pages_nobody(build: Build) -> None:
    town = await build(HELD)

    assert await town.alert("node 1", labels=EU) == 1
    await town.pass_time(minutes=1.9)
    await town.clear("node 1")

    await town.pass_time(minutes=10)
    assert (town.pages, town.updates) == ([], [])
    found = await town.incident()
    assert found.status == "resolved"
    assert "self-recovered before anybody was paged" in [entry.because for entry in await town.timeline()]


async def test_what_does_not_heal_is_paged_when_the_hold_ends_and_a_join_does_not_lengthen_it(build: Build) -> None:
    town = await build(HELD)
    await town.alert("node 1", labels=EU)
    await town.pass_time(minutes=1)
    await town.alert("node 2", labels=EU)

    await town.pass_time(minutes=6.5)

    assert town.pages == ["2m ana sms", "7m bo sms"]


async def test_an_alert_that_is_not_held_ends_the_hold_for_all(build: Build) -> None:
    town = await build(
        """
rules:
  - {name: g, match: ['cluster!=""'], group_by: [cluster]}
  - {name: held, match: ['urgent!="yes"'], hold: 2m}
"""
    )
    await town.alert("node 1", labels=EU)
    await town.pass_time(minutes=1)

    await town.alert("node 2", labels={**EU, "urgent": "yes"})

    assert town.pages == ["1m ana sms"]


@pytest.mark.parametrize(("verb", "pages"), [("acknowledge", []), ("escalate", ["1m ana sms"])])
async def test_people_act_on_what_is_held_and_end_the_hold(verb: str, pages: list[str], build: Build) -> None:
    town = await build(HELD)
    await town.alert("node 1", labels=EU)
    await town.pass_time(minutes=1)

    await town.act(verb, 1)

    assert (await town.incident()).held_until is None
    await town.pass_time(minutes=4)
    assert town.pages == pages


# ------------------------------------------------------------------------------------- silences


async def test_what_is_silenced_pages_nobody_and_once_when_the_silence_ends(town: Town) -> None:
    await town.silence('title="db down"', minutes=17)
    await town.alert("db down")
    assert (await town.incident()).muted_by is not None

    await town.pass_time(minutes=18)
    assert town.pages == ["17m ana sms"]

    await town.pass_time(minutes=4)
    assert town.pages == ["17m ana sms", "22m bo sms"]


async def test_a_silence_made_after_the_opening_mutes_at_once_and_the_step_due_next_runs_at_its_end(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=4)

    silence = await town.silence('title=~"db.*"', minutes=60)
    await town.pass_time(minutes=20)
    assert town.pages == ["0m ana sms"]
    await town.unsilence(silence)

    assert town.pages == ["0m ana sms", "24m bo sms"]
    await town.pass_time(minutes=4.9)
    assert town.pages == ["0m ana sms", "24m bo sms"]


async def test_a_silence_that_begins_later_takes_hold_when_it_begins(town: Town) -> None:
    await town.silence('title="db down"', starts_in=2, minutes=10)
    await town.alert("db down")

    await town.pass_time(minutes=11)
    assert town.pages == ["0m ana sms"]

    await town.pass_time(minutes=2)
    assert town.pages == ["0m ana sms", "12m bo sms"]


async def test_an_alert_that_is_not_silenced_pages_for_the_whole_incident_at_once(build: Build) -> None:
    town = await build(GROUPED)
    await town.silence('title="node 1"', minutes=60)
    await town.alert("node 1", labels=EU)
    await town.pass_time(minutes=1)
    assert town.pages == []

    await town.alert("node 2", labels=EU)

    assert town.pages == ["1m ana sms"]
    await town.pass_time(minutes=5)
    assert town.pages == ["1m ana sms", "6m bo sms"]


async def test_the_other_of_two_silences_goes_on_muting(town: Town) -> None:
    first = await town.silence('title="db down"', minutes=60)
    await town.silence('severity="critical"', minutes=10)
    await town.alert("db down")

    await town.unsilence(first)
    await town.pass_time(minutes=9)
    assert town.pages == []

    await town.pass_time(minutes=2)
    assert town.pages == ["10m ana sms"]


async def test_what_is_silenced_still_resolves_and_says_nothing(town: Town) -> None:
    await town.silence('title="db down"', minutes=60)
    await town.alert("db down")

    await town.clear("db down")

    assert (await town.incident()).status == "resolved"
    await town.pass_quietly(minutes=61)
    assert (town.pages, town.updates) == ([], [])


async def test_an_ack_of_what_is_silenced_that_times_out_after_the_silence_pages_anew(town: Town) -> None:
    await town.alert("db down")
    await town.silence('title="db down"', minutes=20)
    await town.ack(1)

    await town.pass_quietly(minutes=36)

    assert town.pages == ["0m ana sms", "30m ana sms", "35m bo sms"]


async def test_an_ack_that_times_out_while_silenced_pages_when_the_silence_ends(town: Town) -> None:
    await town.alert("db down")
    await town.silence('title="db down"', minutes=45)
    await town.ack(1)

    await town.pass_quietly(minutes=44)
    assert town.pages == ["0m ana sms"]

    await town.pass_quietly(minutes=7)
    assert town.pages == ["0m ana sms", "45m ana sms", "50m bo sms"]


async def test_escalate_by_hand_pages_although_it_is_silenced(town: Town) -> None:
    await town.silence('title="db down"', minutes=60)
    await town.alert("db down")

    await town.act("escalate", 1)

    assert town.pages == ["0m ana sms"]
    await town.pass_quietly(minutes=62)
    assert town.pages == ["0m ana sms", "60m bo sms"]


async def test_what_reopens_under_a_silence_stays_silent(build: Build) -> None:
    town = await build("defaults: {reopen_within: 10m}")
    await town.alert("db down")
    await town.clear("db down")
    await town.silence('title="db down"', minutes=30)

    await town.alert("db down")

    assert town.pages == ["0m ana sms"]
    await town.pass_time(minutes=31)
    assert town.pages == ["0m ana sms", "30m ana sms"]


async def test_only_the_silenced_alert_of_a_group_is_left_so_paging_stops(build: Build) -> None:
    town = await build(GROUPED)
    await town.silence('title="node 1"', minutes=60)
    await town.alert("node 1", labels=EU)
    await town.alert("node 2", labels=EU)
    assert town.pages == ["0m ana sms"]

    await town.clear("node 2")

    await town.pass_time(minutes=10)
    assert town.pages == ["0m ana sms"]


TWO_POLICIES = """
policies: {default: {steps: [{notify: [user:%s], wait: 5m}], repeat: 0, ack_timeout: 10m}}
"""


async def test_the_cycle_after_an_ack_timeout_runs_under_the_policy_as_it_is_now(build: Build) -> None:
    town = await build(TWO_POLICIES % "ana")
    number = await town.alert("db down")
    await town.ack(number or 0)
    await town.reload(TWO_POLICIES % "bo")

    await town.pass_time(minutes=16)

    assert town.pages == ["0m ana sms", "10m bo sms", "15m grace sms"]


OFFICE = """
services: {shop: {impact: low, support_hours: {timezone: UTC, days: Mon-Fri, from: "12:05", to: "18:00"}}}
rules: [{name: patience, hold: 10m}]
users:
  ana:
    name: Ana
    timezone: UTC
    contacts: {sms: "+15005550010", mail: ana@example.org}
    notify: {high: [{by: sms}], low: [{by: mail}]}
"""


async def test_what_was_held_when_support_hours_began_is_paged_with_its_urgency(build: Build) -> None:
    town = await build(OFFICE)
    await town.alert("cart slow", service="shop")

    await town.pass_time(minutes=10)

    assert town.pages == ["10m ana sms"]
    assert (await town.incident()).urgency == "high"


async def test_a_cycle_that_begins_under_a_silence_runs_under_the_policy_as_it_is_then(town: Town) -> None:
    number = await town.alert("db down", labels={"env": "prod"})
    await town.ack(number or 0)
    await town.reload("policies: {default: {steps: [{notify: [user:grace], wait: 5m}], ack_timeout: 30m}}")
    await town.silence('env="prod"', minutes=45)
    town.told.clear()

    await town.pass_time(minutes=46)

    assert (await town.incident()).cycle == 2
    assert [told.user for told in town.told if told.kind == "page"] == ["grace"]
