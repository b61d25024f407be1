"""What an event costs does not depend on how many alerts its incident has: rows are counted, and counts are true."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.decide.incidents.firing_counts import counted_anew, firing_in
from tocsin.store.rows import ALERT

GROUPED = """
rules:
  - {name: nodes, match: ['cluster!=""'], group_by: [cluster]}
  - {name: heart, match: ['heart="yes"'], set: {urgency: high}}
  - {name: lasting, match: ['lasting="yes"'], resolve_after: 1m}
  - {name: many, match: ['many="yes"'], threshold: {count: 3, within: 10m}}
throttle: {sms: [1000/1m]}
integrations:
  apps: {type: webhook, token: apps-token, may_acknowledge: true}
  brief: {type: webhook, token: brief-token, auto_resolve: 2m}
"""
EU = {"cluster": "eu"}
SMALL, BIG = 10, 2_000


def node(n: int, status: str = "firing", severity: str = "critical", **labels: str) -> dict[str, Any]:
    return {
        "title": f"node {n}",
        "dedup_key": f"n{n}",
        "status": status,
        "severity": severity,
        "labels": {**EU, **labels},
    }


async def with_alerts(build: Build, count: int, more: str = "") -> Town:
    town = await build(GROUPED + more)
    await town.post("apps", [node(n) for n in range(count)])
    return town


async def resolve(town: Town) -> None:
    await town.post("apps", node(3, "resolved"))


async def join(town: Town) -> None:
    await town.post("apps", node(100_000))


async def update(town: Town) -> None:
    await town.post("apps", node(3, severity="warning"))


async def acknowledge(town: Town) -> None:
    await town.post("apps", node(3, "acknowledged"))


async def a_step(town: Town) -> None:
    await town.pass_time(minutes=6)


async def a_silence_for_others(town: Town) -> None:
    await town.silence('title="something else"', minutes=60)


async def a_step_while_others_are_silenced(town: Town) -> None:
    await town.silence('title="something else"', minutes=60)
    await town.pass_time(minutes=6)


async def an_expiry(town: Town) -> None:
    await town.post("brief", node(200_000))
    await town.pass_time(minutes=3)


EVENTS = [resolve, join, update, acknowledge, a_step, a_silence_for_others, a_step_while_others_are_silenced, an_expiry]


def count_rows(monkeypatch: pytest.MonkeyPatch, rows: list[int]) -> None:
    """From now on `rows` gets how many alerts each read made."""
    values = type(ALERT).values

    def counted(shape: Any, found: Any) -> Any:
        made = values(shape, found)
        if shape is ALERT:
            rows.append(len(made))
        return made

    monkeypatch.setattr(type(ALERT), "values", counted)


@pytest.mark.parametrize("event", EVENTS)
async def test_no_event_reads_more_rows_in_a_big_incident(
    event: Any, build: Build, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[int] = []
    for count in (SMALL, BIG):
        town = await with_alerts(build, count)
        rows: list[int] = []
        count_rows(monkeypatch, rows)
        await event(town)
        monkeypatch.undo()
        read.append(sum(rows))
    assert read[1] <= read[0] + 10, read


async def test_its_severity_sinks_and_rises_by_its_counts(build: Build) -> None:
    town = await build(GROUPED)
    await town.post("apps", [node(1, severity="warning"), node(2, severity="error"), node(3)])
    await town.post("apps", node(3, "resolved"))
    assert (await town.incident()).severity == "error"
    await town.post("apps", node(2, severity="info"))
    assert (await town.incident()).severity == "warning"


async def test_it_is_acknowledged_when_all_that_fire_are(build: Build) -> None:
    town = await build(GROUPED)
    await town.post("apps", [node(1), node(2), node(3)])
    await town.post("apps", [node(1, "acknowledged"), node(2, "acknowledged")])
    assert (await town.incident()).status == "triggered"
    await town.post("apps", node(3, "acknowledged"))
    assert (await town.incident()).acknowledged_by == "integration:apps"


async def test_counts_that_cannot_be_true_are_mended_by_reading(build: Build) -> None:
    """As left by a process of the version before that was still running when the schema moved on."""
    town = await build(GROUPED)
    await town.post("apps", [node(1, severity="warning"), node(2), node(3, severity="error")])

    async def spoil(tx: Any) -> None:
        await tx.ask("incidents", [1])
        tx.save_incidents([counted_anew(await town.incident(), ())])

    await town.daemon.store.write(spoil)
    await town.post("apps", node(2, "resolved"))

    found = await town.incident()
    assert (found.severity, found.firing) == ("error", 2)
    assert firing_in(found) is not None


STEP = st.tuples(
    st.sampled_from(["firing", "firing", "resolved", "acknowledged", "by hand", "passes"]),
    st.integers(1, 5),
    st.sampled_from(["critical", "error", "warning", "info"]),
    st.sampled_from([{}, {}, {"heart": "yes"}, {"lasting": "yes"}, {"many": "yes"}]),
)


@settings(max_examples=25, deadline=None)
@given(
    st.lists(st.lists(STEP, min_size=1, max_size=4), max_size=8),
    st.sampled_from(["", "\ndefaults: {reopen_within: 1h}"]),
)
def test_whatever_happens_the_counts_are_those_of_its_alerts(story: list[list[Any]], more: str) -> None:
    asyncio.run(_told(story, more))


async def _told(story: list[list[Any]], more: str) -> None:
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs():
        town = await Town.open(Path(folder), GROUPED + more)
        try:
            for post in story:
                alerts = [
                    node(n, what, severity, **labels)
                    for what, n, severity, labels in post
                    if what in ("firing", "resolved", "acknowledged")
                ]
                if alerts:
                    await town.post("apps", alerts)
                if any(what == "by hand" for what, *_ in post):
                    for one in await town.incidents():
                        if one.open:
                            await town.resolve(one.number)
                            break
                if any(what == "passes" for what, *_ in post):
                    await town.pass_time(seconds=80)
                await _are_true(town)
        finally:
            await town.end()


async def _are_true(town: Town) -> None:
    for incident in await town.incidents():
        if not incident.open or not incident.grouped:
            continue
        firing = [alert for alert in await town.alerts_of(incident.number) if alert.ended_at is None]
        assert incident.firing == len(firing)
        assert {k: v for k, v in incident.counts.items() if v} == counted_anew(incident, firing).counts
