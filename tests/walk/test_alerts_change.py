"""Alerts that change while nobody is paged for them: silenced, held, judged by rules, outside support hours."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.contracts import Tx
from tocsin.work.muting.silences import AT_ONCE

GROUPED = "rules: [{name: nodes, match: ['cluster!=\"\"'], group_by: [cluster]}]\nthrottle: {sms: [100/1m]}"
EU = {"cluster": "eu"}


# ------------------------------------------------------------------------------- silences


async def test_an_alert_that_grows_out_of_its_silence_pages_at_once(town: Town) -> None:
    await town.silence('severity="warning"', minutes=600)
    await town.alert("disk filling", "warning", key="disk")
    await town.pass_time(minutes=1)
    assert town.pages == []

    await town.alert("disk full", "critical", key="disk")

    found = await town.incident()
    assert (found.muted_by, found.priority) == (None, "P2")
    assert town.pages == ["1m ana sms"]


async def test_an_alert_of_a_group_that_grows_out_of_its_silence_pages_at_once(build: Build) -> None:
    town = await build(GROUPED)
    await town.silence('severity="warning"', minutes=600)
    await town.alert("node 1", "warning", labels=EU)
    await town.alert("node 2", "warning", labels=EU)
    await town.pass_time(minutes=1)

    await town.alert("node 2", "critical", labels=EU)

    assert town.pages == ["1m ana sms"]


async def test_an_update_under_another_silence_stays_silent(town: Town) -> None:
    await town.silence('severity="warning"', minutes=600)
    await town.silence('severity="critical"', minutes=600)
    await town.alert("disk filling", "warning", key="disk")

    await town.alert("disk full", "critical", key="disk")

    await town.pass_time(minutes=10)
    assert town.pages == []


async def test_an_alert_that_is_neither_held_nor_silenced_ends_both_for_its_group(build: Build) -> None:
    town = await build(
        """
rules:
  - {name: nodes, match: ['cluster!=""'], group_by: [cluster]}
  - {name: held, match: ['urgent!="yes"'], hold: 5m}
"""
    )
    await town.silence('title="node 1"', minutes=60)
    await town.alert("node 1", labels=EU)
    await town.pass_time(minutes=1)

    await town.alert("node 2", labels={**EU, "urgent": "yes"})

    assert town.pages == ["1m ana sms"]


async def test_a_silence_that_was_ended_by_a_process_that_died_mutes_nothing_after_the_start(build: Build) -> None:
    town = await build(database="file")
    silence = await town.silence('title="db down"', minutes=600)
    await town.alert("db down")
    ended = replace(silence, ends_at=town.clock.now())

    async def end_it_and_die(tx: Tx) -> None:
        tx.add_silence(ended)

    await town.daemon.store.write(end_it_and_die)
    await town.restart()
    await town.pass_time(seconds=2)

    assert (await town.incident()).muted_by is None
    assert len(town.pages) == 1


async def test_a_silence_that_ends_early_lets_go_of_every_incident_however_many_there_are(build: Build) -> None:
    town = await build("throttle: {sms: [1/1h]}\nstorm: {new_incidents: 1000000, within: 1m}")
    await town.post("apps", [{"title": "down", "dedup_key": f"{n}", "status": "firing"} for n in range(AT_ONCE + 100)])
    silence = await town.silence('title="down"', minutes=600)
    assert {incident.muted_by is None for incident in await town.incidents()} == {False}

    await town.unsilence(silence)

    assert {incident.muted_by for incident in await town.incidents()} == {None}


# ----------------------------------------------------------------------------------- hold


HELD_WARNINGS = """
rules:
  - {name: nodes, match: ['cluster!=""'], group_by: [cluster]}
  - {name: held, match: ['severity="warning"'], hold: 10m}
"""


async def test_an_update_that_is_not_held_any_more_ends_the_hold(build: Build) -> None:
    town = await build(HELD_WARNINGS)
    await town.alert("disk filling", "warning", key="disk")
    await town.pass_time(minutes=1)

    await town.alert("disk full", "critical", key="disk")

    assert town.pages == ["1m ana sms"]


async def test_the_hold_ends_with_the_earliest_of_those_that_still_fire(build: Build) -> None:
    town = await build(HELD_WARNINGS)
    await town.alert("node 1", "warning", labels=EU)
    await town.pass_time(minutes=4)
    await town.alert("node 2", "warning", labels=EU)
    await town.pass_time(minutes=4)
    await town.clear("node 1")

    await town.pass_time(minutes=5)
    assert town.pages == []

    await town.pass_time(minutes=2)
    assert town.pages == ["14m ana sms"]


async def test_what_reopens_is_held_like_what_opens(build: Build) -> None:
    town = await build(HELD_WARNINGS + "\ndefaults: {reopen_within: 1h}")
    await town.alert("disk filling", "warning", key="disk")
    await town.pass_time(minutes=11)
    await town.clear("disk filling", key="disk")
    await town.alert("disk filling", "warning", key="disk")

    await town.pass_time(minutes=9)
    assert town.pages == ["10m ana sms"]

    await town.pass_time(minutes=2)
    assert town.pages == ["10m ana sms", "21m ana sms"]


# ------------------------------------------------------------------------------- priority


async def test_a_worse_alert_never_makes_the_incident_less_urgent(build: Build) -> None:
    town = await build(
        """
rules:
  - {name: nodes, match: ['cluster!=""'], group_by: [cluster]}
  - {name: heart, match: ['heart="yes"'], set: {priority: P1}}
"""
    )
    await town.alert("node 1", "warning", labels={**EU, "heart": "yes"})
    assert (await town.incident()).priority == "P1"

    await town.alert("node 2", "critical", labels=EU)

    found = await town.incident()
    assert (found.severity, found.priority) == ("critical", "P1")


@pytest.mark.parametrize("what", ["urgency: low", "priority: P5"])
async def test_what_a_rule_said_of_priority_outlives_the_end_of_another_alert(what: str, build: Build) -> None:
    town = await build(
        f"""
rules:
  - {{name: nodes, match: ['cluster!=""'], group_by: [cluster], set: {{{what}}}}}
"""
    )
    await town.alert("node 1", "error", labels=EU)
    await town.alert("node 2", "critical", labels=EU)
    before = await town.incident()

    await town.clear("node 2")

    after = await town.incident()
    assert (after.urgency, after.priority) == (before.urgency, before.priority)


async def test_when_support_hours_begin_what_nobody_has_yet_is_paged_anew(build: Build) -> None:
    town = await build(
        """
services:
  shop: {impact: low, support_hours: {timezone: UTC, days: Mon-Fri, from: 13:00, to: 18:00}}
policies: {default: {steps: [{notify: [user:ana], wait: 5m}], repeat: 0, ack_timeout: never}}
throttle: {sms: [100/1m]}
"""
    )
    await town.alert("cart slow", service="shop")
    await town.alert("cart gone", service="shop")
    await town.ack(2)

    await town.pass_quietly(minutes=59)
    assert (await town.incident()).urgency == "low"
    await town.pass_time(minutes=2)

    found = await town.incident()
    assert (found.urgency, found.priority, found.cycle) == ("high", "P3", 2)
    assert town.pages_of("cart slow")[-1] == "60m ana sms"
    had = await town.incident(2)
    assert (had.status, had.cycle) == ("acknowledged", 1)


# ----------------------------------------------------------------------- more in one post


async def test_an_alert_that_ends_and_fires_anew_in_one_post_is_a_new_incident(town: Town) -> None:
    fires = {"title": "db down", "dedup_key": "db", "status": "firing"}
    await town.post("apps", fires)

    taken = await town.post("apps", [{**fires, "status": "resolved"}, fires])

    assert taken.accepted == 2
    first, second = await town.incidents()
    assert (first.status, second.status) == ("resolved", "triggered")


async def test_a_resolve_that_was_overtaken_by_the_next_firing_ends_nothing(town: Town) -> None:
    await town.alert("db down", started_at="2026-01-05T11:59:00Z")

    await town.clear("db down", ended_at="2026-01-05T11:58:00Z")
    assert (await town.incident()).status == "triggered"

    await town.clear("db down", ended_at="2026-01-05T11:59:30Z")
    assert (await town.incident()).status == "resolved"


# -------------------------------------------------------------------------------- dropped


async def test_an_update_that_a_rule_would_drop_does_not_end_the_alert_a_day_later(build: Build) -> None:
    town = await build("rules: [{name: trifles, match: ['severity=\"info\"'], drop: true}]")
    await town.alert("disk full", "critical", key="disk")
    await town.ack(1)

    await town.alert("disk full", "info", key="disk")

    assert [alert.expires_at for alert in await town.alerts_of(1)] == [None]
