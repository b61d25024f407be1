"""What sources say and when: the same bytes twice, ends before beginnings, acknowledgements of their own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town

KEY = "0123456789abcdef0123456789abcdef"


def event(action: str, key: str | None = "disk", **payload: Any) -> dict[str, Any]:
    """A PagerDuty event."""
    body: dict[str, Any] = {"routing_key": KEY, "event_action": action}
    if key is not None:
        body["dedup_key"] = key
    if action == "trigger":
        body["payload"] = {"summary": "disk full", "source": "db1", "severity": "critical", **payload}
    return body


async def test_pagerduty_events_trigger_acknowledge_and_resolve(town: Town) -> None:
    await town.post("pd", event("trigger"))
    assert town.pages == ["0m ana sms"]

    await town.post("pd", event("acknowledge"))
    found = await town.incident()
    assert (found.status, found.acknowledged_by) == ("acknowledged", "integration:pd")
    await town.pass_time(minutes=6)
    assert town.pages == ["0m ana sms"]

    await town.post("pd", event("resolve"))
    assert (await town.incident()).status == "resolved"


async def test_an_acknowledgement_of_one_of_two_alerts_is_not_that_of_the_incident(build: Build) -> None:
    town = await build("rules: [{name: g, match: ['integration=\"pd\"'], group_by: [severity]}]")
    await town.post("pd", event("trigger", "one"))
    await town.post("pd", event("trigger", "two"))

    await town.post("pd", event("acknowledge", "one"))
    assert (await town.incident()).status == "triggered"

    await town.post("pd", event("acknowledge", "two"))
    assert (await town.incident()).status == "acknowledged"


async def test_a_source_that_may_not_acknowledge_or_resolve_does_neither(build: Build) -> None:
    town = await build(
        f"integrations: {{pd: {{type: pagerduty, routing_key: {KEY}, may_acknowledge: false, may_resolve: false}}}}"
    )
    await town.post("pd", event("trigger"))

    await town.post("pd", event("acknowledge"))
    await town.post("pd", event("resolve"))

    assert (await town.incident()).status == "triggered"


async def test_a_repeat_is_counted_and_changes_nothing(town: Town) -> None:
    numbers = [await town.alert("db down") for _ in range(5)]

    await town.pass_time(seconds=1)

    (alert,) = await town.alerts_of(1)
    assert (numbers, alert.count) == ([1] * 5, 5)
    assert town.pages == ["0m ana sms"]
    assert await town.kinds() == ["step", "attempt"]


async def test_the_same_bytes_without_an_identity_are_the_same_alert_for_two_minutes(town: Town) -> None:
    body = {"title": "backup failed"}

    first = (await town.post("apps", body)).incidents
    again = (await town.post("apps", body)).incidents
    other = (await town.post("apps", {"title": "backup failed", "description": "no space"})).incidents
    await town.pass_time(minutes=2.1)
    later = (await town.post("apps", body)).incidents

    assert first == again
    assert len({first, other, later}) == 3


async def test_an_end_that_overtakes_its_beginning_makes_it_wait(town: Town) -> None:
    await town.clear("db down", ended_at="2026-01-05T11:59:30Z")

    number = await town.alert("db down", started_at="2026-01-05T11:59:00Z")

    assert number is None
    assert town.pages == []
    assert await town.alert("db down", started_at="2026-01-05T11:59:45Z") is not None


async def test_a_tombstone_holds_for_ten_seconds_and_only_against_what_began_before(town: Town) -> None:
    await town.clear("db down", ended_at="2026-01-05T11:59:30Z")
    await town.clear("net down", ended_at="2026-01-05T11:59:30Z")
    assert await town.alert("net down") is not None  # no time of its own: it does not wait

    await town.pass_time(seconds=10.1)

    assert await town.alert("db down", started_at="2026-01-05T11:59:00Z") is not None


async def test_a_firing_with_the_beginning_of_one_that_is_over_is_a_new_one(town: Town) -> None:
    began = "2026-01-05T11:58:00Z"
    await town.alert("db down", started_at=began)
    await town.clear("db down")
    await town.pass_time(seconds=10.1)

    assert await town.alert("db down", started_at=began) not in (1, None)


async def test_a_resolve_ends_only_alerts_of_its_own_integration(town: Town) -> None:
    await town.alert("db down")

    await town.clear("db down", integration="other")

    assert (await town.incident()).status == "triggered"


async def test_a_dropped_alert_opens_nothing_and_a_rule_cannot_drop_an_end(build: Build) -> None:
    drop = "rules: [{name: no staging, match: ['title=~\".*\"'], drop: true}]"
    town = await build()
    await town.alert("db down")

    await town.reload(drop)
    await town.clear("db down")
    assert (await town.incident()).status == "resolved"

    assert await town.alert("net down") is None
    assert town.pages == ["0m ana sms"]


async def test_what_becomes_worthy_of_a_page_is_paged_then(build: Build) -> None:
    town = await build("rules: [{name: only bad news, match: ['severity=\"info\"'], drop: true}]")
    assert await town.alert("disk", "info", key="disk") is None

    number = await town.alert("disk full", "critical", key="disk")

    assert number is not None
    assert town.pages == ["0m ana sms"]


HOSTILE = [
    ("\x00\x1b[31mred\u202edrawkcab", "[31mreddrawkcab"),
    ("\ud800half", "\ufffdhalf"),
    ("a\nb\tc", "a b c"),
    ("x" * 5000, "x" * 1024),
]


@pytest.mark.parametrize(("title", "kept"), HOSTILE, ids=["control", "surrogate", "lines", "long"])
async def test_whatever_a_title_holds_it_is_stored_clean_and_paged(title: str, kept: str, town: Town) -> None:
    await town.post("apps", json.dumps({"title": title, "dedup_key": "k"}).encode())

    assert (await town.incident()).title == kept
    assert town.pages == ["0m ana sms"]


async def test_a_post_of_many_opens_each_once_in_the_order_they_stand(build: Build) -> None:
    town = await build("throttle: {sms: [100/1m]}\nstorm: {new_incidents: 1000, within: 1m}")

    taken = await town.post("apps", [{"title": f"t{n}", "dedup_key": f"k{n}"} for n in range(250)])

    assert taken.accepted == 250
    assert len(taken.incidents) == 250
    titles = [one.title for one in await town.incidents()]
    assert titles == [f"t{n}" for n in range(250)]


async def test_fire_and_end_in_one_post_page_nobody_for_long(town: Town) -> None:
    taken = await town.post(
        "apps", [{"title": "db down", "dedup_key": "k"}, {"title": "db down", "dedup_key": "k", "status": "resolved"}]
    )

    assert taken.accepted == 2
    found = await town.incident()
    assert (found.status, found.firing, found.resolved) == ("resolved", 0, 1)
    await town.pass_time(minutes=6)
    assert town.pages == []


async def test_no_silence_no_rule_no_policy_stands_between_an_unknown_service_and_a_page(town: Town) -> None:
    await town.alert("cart slow", service="Unheard-Of")

    found = await town.incident()
    assert (found.service, found.policy, found.impact) == ("Unheard-Of", "default", "medium")
    assert town.pages == ["0m ana sms"]
    assert town.metric("tocsin_incidents_total", service="other", priority="P2") == 1
