"""Alerts that page only in bulk: counted over what is stored, by incident key, each firing once."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town

BULK = """
rules:
  - {name: logins, match: ['kind="login"'], threshold: {count: 3, within: 5m}}
throttle: {sms: [100/1m]}
"""
BY_HOST = BULK.replace("threshold:", "group_by: [host], threshold:")
LOGIN = {"kind": "login"}


async def logins(town: Town, *keys: str, **more: object) -> None:
    for key in keys:
        await town.alert(f"login {key}", key=key, labels={**LOGIN, **more})


async def stored(town: Town, status: str | None = None) -> list[tuple[str, int | None, str]]:
    found = await town.daemon.store.alerts(integration=None, status=status, limit=100, before=None)
    return [(alert.source_key, alert.incident, alert.because) for alert in found][::-1]


async def test_below_the_threshold_there_is_no_incident_and_it_is_told_why(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a", "b")
    assert await town.incidents() == []
    assert await stored(town, "suppressed") == [
        ("a", None, "rule 'logins': 1 of 3 firings within 5m, so no incident yet"),
        ("b", None, "rule 'logins': 2 of 3 firings within 5m, so no incident yet"),
    ]
    assert town.metric("tocsin_alerts_outcome_total", outcome="suppressed") == 2


async def test_the_one_that_makes_enough_opens_an_incident_that_all_of_the_window_join(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a", "b")
    await town.pass_time(minutes=2)
    await logins(town, "c")
    incident = await town.incident()
    assert (incident.key, incident.firing, incident.total) == ('""{rule="logins"}', 3, 3)
    assert town.pages == ["2m ana sms"]
    assert {one[1:] for one in await stored(town)} == {(1, "rule 'logins': 3 firings within 5m, and 3 are enough")}


async def test_each_alert_has_one_outcome(build: Build) -> None:
    town = await build("rules: [{name: off, match: ['env=\"test\"'], drop: true}]")
    await town.alert("db", key="db")
    await town.alert("db in test", key="db", labels={"env": "test"})  # it stays in its incident
    await town.alert("web", key="web", labels={"env": "test"})

    names = ("opened", "updated", "dropped")
    assert [town.metric("tocsin_alerts_outcome_total", outcome=name) for name in names] == [1, 1, 1]


async def test_what_came_before_the_window_does_not_count(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a")
    await town.pass_time(minutes=5)
    await logins(town, "b", "c")
    assert await town.incidents() == []
    await town.pass_time(minutes=4)
    await logins(town, "d")
    assert [alert.source_key for alert in await town.alerts_of(1)] == ["b", "c", "d"]


async def test_nobody_takes_a_number_for_too_few(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a", "b")
    assert await town.alert("something else") == 1


async def test_a_repetition_counts_once_and_the_same_alert_started_anew_counts_again(build: Build) -> None:
    town = await build(BULK)
    for start in ("11:58:00", "11:58:00", "11:59:00"):
        await town.alert("login", key="a", labels=LOGIN, timestamp=f"2026-01-05T{start}Z")
    assert await town.incidents() == []
    ((key, _, because),) = await stored(town)
    assert (key, because) == ("a", "rule 'logins': 2 of 3 firings within 5m, so no incident yet")
    await town.alert("login", key="a", labels=LOGIN, timestamp="2026-01-05T12:00:00Z")
    assert (await town.incident()).firing == 1


async def test_a_repetition_without_a_time_counts_once(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a", "a", "a", "a")
    assert await town.incidents() == []
    await town.pass_time(seconds=1)
    (alert,) = await town.daemon.store.alerts(integration=None, status=None, limit=9, before=None)
    assert alert.count == 4


async def test_each_group_is_counted_for_itself(build: Build) -> None:
    town = await build(BY_HOST)
    await logins(town, "a", "b", host="web-1")
    await logins(town, "c", "d", host="web-2")
    assert await town.incidents() == []
    await logins(town, "e", host="web-2")
    assert [(one.key, one.firing) for one in await town.incidents()] == [('""{host="web-2"}', 3)]


async def test_while_the_incident_is_open_the_next_ones_join_without_a_count(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a", "b", "c")
    await town.pass_time(minutes=30)
    await logins(town, "d")
    assert ((await town.incident()).firing, len(await town.incidents())) == (4, 1)


async def test_resolved_ones_of_the_window_join_as_resolved_and_the_incident_ends_with_the_last(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a", "b")
    await town.clear("", key="a")
    assert await stored(town, "suppressed") != []
    await logins(town, "c")
    incident = await town.incident()
    assert (incident.firing, incident.resolved, incident.total) == (2, 1, 3)
    await town.clear("", key="b")
    await town.clear("", key="c")
    assert (await town.incident()).status == "resolved"


async def test_the_incident_is_as_bad_as_the_worst_of_the_window_when_it_first_pages(build: Build) -> None:
    town = await build(BULK)
    for key, severity in (("a", "critical"), ("b", "info"), ("c", "info")):
        await town.alert(key, severity, labels=LOGIN)
    paged = town.told[0].of
    assert paged is not None
    assert ((await town.incident()).severity, paged.urgency) == ("critical", "high")


async def test_the_count_survives_a_crash(build: Build) -> None:
    town = await build(BULK, database="file")
    await logins(town, "a", "b")
    await town.restart()
    await logins(town, "a")
    assert await town.incidents() == []
    await logins(town, "c")
    assert (await town.incident()).firing == 3


async def test_what_only_passes_by_is_forgotten_after_a_day_and_what_joined_is_not(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "early")
    await town.pass_time(minutes=6)
    await logins(town, "a", "b", "c")
    await town.pass_quietly(hours=25)
    assert [alert.ended_at is None for alert in await town.alerts_of(1)] == [True, True, True]
    early = (await town.daemon.store.alerts(integration=None, status="suppressed", limit=9, before=None))[0]
    assert (early.source_key, early.ended_at is None) == ("early", False)


async def test_silenced_ones_count_and_page_when_one_that_is_not_silenced_is_among_them(build: Build) -> None:
    town = await build(BULK)
    await town.silence('severity="info"', minutes=60)
    await town.alert("a", "critical", labels=LOGIN)
    await town.alert("b", "info", labels=LOGIN)
    await town.alert("c", "info", labels=LOGIN)
    assert town.pages == ["0m ana sms"]


async def test_enough_in_one_post_open_one_incident(build: Build) -> None:
    town = await build(BULK)
    body = [{"title": "x", "dedup_key": f"k{n}", "status": "firing", "labels": LOGIN} for n in range(250)]
    taken = await town.post("apps", body)
    assert taken.incidents == (1,)
    assert ((await town.incident()).firing, town.pages) == (250, ["0m ana sms"])


async def test_a_hold_begins_when_there_are_enough(build: Build) -> None:
    town = await build(BULK.replace("threshold:", "hold: 2m, threshold:"))
    await logins(town, "a", "b")
    await town.pass_time(minutes=3)
    await logins(town, "c")
    assert town.pages == []
    await town.pass_time(minutes=2)
    assert town.pages == ["5m ana sms"]


@pytest.mark.parametrize("status", ["dropped", "suppressed"])
async def test_what_a_rule_keeps_out_stays_findable_with_its_reason_after_it_ended(build: Build, status: str) -> None:
    word = {"dropped": "drop", "suppressed": "suppress"}[status]
    town = await build(f"rules: [{{name: hush, match: ['env=\"test\"'], {word}: true}}]")
    await town.alert("a", labels={"env": "test"})
    await town.clear("a")
    said = {"dropped": "rule 'hush' drops it", "suppressed": "rule 'hush' keeps it without an incident"}[status]
    assert await stored(town, status) == [("a", None, said)]


async def test_what_fires_behind_the_last_resolve_in_one_post_counts_like_by_itself(build: Build) -> None:
    town = await build(BULK)
    await logins(town, "a", "b", "c")
    over = [{"title": f"login {key}", "dedup_key": key, "status": "resolved", "labels": LOGIN} for key in "abc"]
    again = {"title": "login d", "dedup_key": "d", "status": "firing", "labels": LOGIN}

    await town.post("apps", [*over, again])

    assert [incident.status for incident in await town.incidents()] == ["resolved", "triggered"]
    assert [alert.source_key for alert in await town.alerts_of(2)] == ["d"]
    assert len([page for page in town.pages if page.startswith("0m ana")]) == 2
