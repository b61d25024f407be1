"""Stories of alerts that others keep quiet: while the cluster is down nobody is woken for what runs in it."""

from __future__ import annotations

import random
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town

CALM = 'throttle: {sms: ["1000/1m"]}\n'
CLUSTER = f"""
{CALM}
inhibitions:
  - name: the cluster is down
    source: ['alertname="ClusterDown"']
    target: ['severity=~"warning|error"']
    equal: [cluster]
"""


def labels(alertname: str, cluster: str = "a") -> dict[str, Any]:
    return {"labels": {"alertname": alertname, "cluster": cluster}}


async def down(town: Town, cluster: str = "a") -> int | None:
    return await town.alert(f"down {cluster}", **labels("ClusterDown", cluster))


async def slow(town: Town, cluster: str = "a") -> int | None:
    return await town.alert(f"slow {cluster}", "error", **labels("Slow", cluster))


async def test_what_runs_in_a_cluster_that_is_down_wakes_nobody(build: Build) -> None:
    town = await build(CLUSTER)
    await down(town)
    number = await slow(town)

    await town.pass_time(minutes=12)

    assert town.pages_of("slow a") == []
    incident = await town.incident(number)
    assert (incident.muted_by, incident.status) == ("inhibition:the cluster is down", "triggered")
    assert (await town.alerts_of(incident.number))[0].muted_by == "inhibition:the cluster is down"
    assert [one.because for one in await town.timeline(incident.number) if one.kind == "muted"] == [
        "inhibition:the cluster is down"
    ]


async def test_another_cluster_pages_as_ever(build: Build) -> None:
    town = await build(CLUSTER)
    await down(town)
    await slow(town, "b")
    await town.settle()
    assert town.pages_of("slow b") == ["0m ana sms"]


async def test_when_the_cluster_is_back_the_step_due_next_runs_at_once_and_once(build: Build) -> None:
    town = await build(CLUSTER)
    await down(town)
    number = await slow(town)
    await town.pass_time(minutes=7)

    await town.clear("down a")

    assert town.pages_of("slow a") == ["7m ana sms"]
    assert [one.because for one in await town.timeline(number or 0) if one.kind == "unmuted"] == [
        "nothing inhibits it any more (the cluster is down)"
    ]
    await town.pass_time(minutes=4)
    assert town.pages_of("slow a") == ["7m ana sms"]


async def test_what_was_open_before_the_cluster_went_down_is_muted_then(build: Build) -> None:
    town = await build(CLUSTER)
    await slow(town)
    await town.pass_time(minutes=2)

    await down(town)
    await town.pass_time(minutes=20)

    assert town.pages_of("slow a") == ["0m ana sms"]


async def test_the_source_may_stand_behind_its_target_in_one_post(build: Build) -> None:
    town = await build(CLUSTER + "integrations: {am: {type: alertmanager, token: am-token}}")

    def alert(name: str, severity: str) -> dict[str, Any]:
        return {"status": "firing", "labels": {"alertname": name, "cluster": "a", "severity": severity},
                "startsAt": "2026-01-05T12:00:00Z", "fingerprint": name}  # fmt: skip

    post = {"version": "4", "alerts": [alert("Slow", "error"), alert("ClusterDown", "critical")]}
    await town.post("am", post)

    assert [told.title for told in town.told] == ["ClusterDown"]
    muted = await town.incident(1)
    assert (muted.muted_by, muted.round, muted.step) == ("inhibition:the cluster is down", 1, 1)  # nobody was asked yet


async def test_an_alert_that_is_source_and_target_does_not_keep_itself_quiet(build: Build) -> None:
    town = await build(CALM + "inhibitions: [{source: ['kind=\"net\"'], target: ['kind=\"net\"'], equal: [site]}]")
    await town.alert("one", labels={"kind": "net", "site": "x"})
    await town.alert("two", labels={"kind": "net", "site": "x"})
    await town.pass_time(minutes=1)
    assert (town.pages_of("one"), town.pages_of("two")) == (["0m ana sms"], ["0m ana sms"])


async def test_a_label_that_both_lack_is_the_same_as_in_alertmanager(build: Build) -> None:
    town = await build(CLUSTER)
    await town.alert("down", labels={"alertname": "ClusterDown"})
    await town.alert("slow", "error", labels={"alertname": "Slow", "cluster": ""})
    await town.pass_time(minutes=6)
    assert town.pages_of("slow") == []


async def test_what_a_rule_suppressed_keeps_quiet_and_what_one_dropped_does_not(build: Build) -> None:
    rules = """
rules:
  - {name: a hint only, match: ['alertname="ClusterDown"', 'hint="yes"'], suppress: true}
  - {name: not ours, match: ['alertname="ClusterDown"', 'ours="no"'], drop: true}
"""
    town = await build(CLUSTER + rules)
    await town.alert("hint", labels={"alertname": "ClusterDown", "cluster": "a", "hint": "yes"})
    await town.alert("not ours", labels={"alertname": "ClusterDown", "cluster": "b", "ours": "no"})
    await slow(town, "a")
    await slow(town, "b")
    await town.settle()
    assert (town.pages_of("slow a"), town.pages_of("slow b")) == ([], ["0m ana sms"])


async def test_a_source_that_waits_for_its_threshold_keeps_nothing_quiet_until_it_is_reached(build: Build) -> None:
    bulk = "rules: [{name: bulk, match: ['alertname=\"ClusterDown\"'], group_by: [cluster], threshold: {count: 2, within: 5m}}]"
    town = await build(CLUSTER + bulk, database="file")
    await down(town)
    first = await slow(town)
    assert town.pages_of("slow a") == ["0m ana sms"]
    await town.alert("down too", **labels("ClusterDown"))
    await town.settle()
    assert (await town.incident(first)).muted_by == "inhibition:the cluster is down"
    await town.clear("down too")  # the first one, which waited, fires on
    await town.restart()
    await town.pass_time(minutes=6)
    assert (await town.incident(first)).muted_by == "inhibition:the cluster is down"


async def test_the_rules_come_first(build: Build) -> None:
    town = await build(CLUSTER + "rules: [{name: worse, match: ['alertname=\"Slow\"'], set: {severity: critical}}]")
    await down(town)
    await slow(town)
    await town.settle()
    assert town.pages_of("slow a") == ["0m ana sms"]


async def test_it_is_resolved_like_any_other(build: Build) -> None:
    town = await build(CLUSTER)
    await down(town)
    number = await slow(town)
    await town.clear("slow a")
    assert (await town.incident(number)).status == "resolved"
    assert town.pages_of("slow a") == []


async def test_a_source_whose_time_ran_out_keeps_nothing_quiet(build: Build) -> None:
    town = await build(CLUSTER + "integrations: {other: {type: webhook, token: other-token, auto_resolve: 10m}}")
    await town.alert("down a", integration="other", **labels("ClusterDown"))
    await slow(town)
    await town.pass_time(minutes=10)
    assert town.pages_of("slow a") == ["10m ana sms"]


async def test_a_source_that_somebody_resolves_keeps_nothing_quiet(build: Build) -> None:
    town = await build(CLUSTER)
    number = await down(town)
    await slow(town)
    await town.resolve(number or 0)
    await town.settle()
    assert town.pages_of("slow a") == ["0m ana sms"]


async def test_a_source_that_changes_its_labels_keeps_nothing_quiet(build: Build) -> None:
    town = await build(CLUSTER)
    await down(town)
    await slow(town)
    await town.alert("down a", key="down a", **labels("ClusterDown", "b"))
    await town.settle()
    assert town.pages_of("slow a") == ["0m ana sms"]


async def test_after_a_crash_the_sources_are_known(build: Build) -> None:
    town = await build(CLUSTER, database="file")
    await down(town)
    await town.pass_time(minutes=1)
    await town.restart(after_minutes=3)

    await slow(town)
    await town.pass_time(minutes=6)

    assert town.pages_of("slow a") == []
    await town.clear("down a")
    assert town.pages_of("slow a") == ["10m ana sms"]


async def test_a_source_that_ended_just_before_a_crash_is_followed_at_the_start(build: Build) -> None:
    town = await build(CLUSTER, database="file")
    await down(town)
    await slow(town)
    await town.pass_time(minutes=1)
    town.daemon.mute_changes.wake = lambda: None  # type: ignore[method-assign]  # the crash comes before anybody looks
    await town.clear("down a")
    await town.restart(after_minutes=0.1)
    assert town.pages_of("slow a") == ["1.1m ana sms"]


async def test_a_reload_brings_new_inhibitions_to_what_fires_already(build: Build) -> None:
    town = await build(CALM)
    await down(town)
    await slow(town)
    await town.pass_time(minutes=2)

    await town.reload(CLUSTER)
    await town.pass_time(minutes=10)
    assert town.pages_of("slow a") == ["0m ana sms"]

    await town.reload(CALM)
    await town.pass_time(seconds=1)
    assert town.pages_of("slow a")[1:] == ["12m bo sms"]


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_order_nobody_is_paged_while_muted_and_nothing_that_fires_is_forgotten(
    seed: int, build: Build
) -> None:
    chance = random.Random(seed)
    town = await build(CLUSTER, database="file", seed=seed)
    firing: set[str] = set()
    for _ in range(40):
        what = chance.choice(["down", "slow", "slow", "up", "fine", "time", "time", "restart"])
        cluster = chance.choice("abc")
        match what:
            case "down" | "slow":
                await (down if what == "down" else slow)(town, cluster)
                firing.add(f"{what} {cluster}")
            case "up" | "fine":
                title = f"{'down' if what == 'up' else 'slow'} {cluster}"
                await town.clear(title)
                firing.discard(title)
            case "restart" if chance.random() < 0.5:
                await town.restart(after_minutes=chance.choice([0, 1]))
            case _:
                await town.pass_time(seconds=chance.choice([1, 30, 150]))
        for incident in await town.incidents():
            cluster = incident.title[-1]
            quiet = incident.title.startswith("slow") and f"down {cluster}" in firing
            if incident.status == "triggered":
                assert (incident.muted_by is not None) == quiet, incident
            assert (incident.title in firing) or not incident.open

    for told in town.told:
        assert told.kind != "page" or told.of is None or told.of.muted_by is None
    await town.pass_time(minutes=1)
    for incident in await town.incidents():
        if incident.status == "triggered" and incident.muted_by is None:
            assert town.pages_of(incident.title), f"nobody was told of {incident.title}"
