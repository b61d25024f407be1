"""Alerts that stand alone and are held come straight in: nothing else about them may be different."""

from __future__ import annotations

import asyncio
import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.model import Incident, StoredAlert

HELD = "rules: [{name: wait, match: ['env=\"held\"'], hold: 5m, set: {category: hardware}}]"
# no alert has this label, so each stands alone: only decided by the way that asks
THE_LONG_WAY = HELD.replace("hold: 5m", "hold: 5m, group_by: [no_such_label]")

ODD = {
    "title": "a\u202etitle\x00 of\nlines",
    "description": 'quotes " and \\ and \ud800',
    "labels": {"env": "held", "path": "C:\\tmp", "name\x7f": "v" * 3000},
    "links": [{"href": "https://example.org/\u00e9", "text": 'a "runbook"'}],
}


def plain(key: str, **more: Any) -> dict[str, Any]:
    return {"title": f"{key} is down", "dedup_key": key, "status": "firing", "labels": {"env": "held"}, **more}


async def kept(town: Town) -> list[tuple[Incident, list[StoredAlert]]]:
    return [(one, await town.alerts_of(one.number)) for one in await town.incidents()]


@pytest.mark.parametrize(
    "alerts",
    [
        [plain("db")],
        [plain("db", severity="info", service="checkout", timestamp="2026-01-05T08:00:00Z")],
        [plain("db", **ODD)],
        [plain("db", title="")],
        [plain("db"), plain("web", labels={"env": "held", **{f"l{n}": "v" for n in range(80)}})],
    ],
    ids=["plain", "with a time", "odd texts", "no title", "too many labels"],
)
async def test_it_is_kept_as_the_long_way_would_keep_it(build: Build, alerts: list[dict[str, Any]]) -> None:
    straight, long_way = await build(HELD), await build(THE_LONG_WAY)
    body = json.dumps(alerts).encode()  # escapes what UTF-8 cannot hold
    taken = [await town.post("apps", body) for town in (straight, long_way)]
    assert taken[0] == taken[1]
    assert await kept(straight) == await kept(long_way)


async def test_it_counts_as_an_incident_of_its_service_and_priority(build: Build) -> None:
    town = await build(HELD)
    await town.post("apps", [plain("db"), plain("web")])
    assert town.metric("tocsin_incidents_total", service="other", priority="P2") == 2


async def test_when_the_hold_ends_somebody_is_paged(build: Build) -> None:
    town = await build(HELD)
    await town.post("apps", plain("db"))
    await town.pass_time(minutes=4)
    assert town.told == []
    await town.pass_time(minutes=2)
    assert town.told


async def test_twice_in_one_post_is_one_alert_and_a_resolve_behind_it_ends_it(build: Build) -> None:
    town = await build(HELD)
    await town.post("apps", [plain("db"), plain("db"), plain("web"), {**plain("web"), "status": "resolved"}])
    db, web = sorted(await town.incidents(), key=lambda one: one.key)
    assert (db.status, web.status) == ("triggered", "resolved")
    await town.pass_time(seconds=2)
    assert [alert.count for alert in await town.alerts_of(db.number)] == [2]


async def test_a_silence_keeps_it_quiet_beyond_its_hold(build: Build) -> None:
    town = await build(HELD)
    await town.silence('env="held"', minutes=60)
    await town.post("apps", plain("db"))
    await town.pass_time(minutes=10)
    assert town.told == []
    assert (await town.incident()).muted_by is not None


STORIES = st.lists(
    st.tuples(st.sampled_from("abc"), st.sampled_from(["firing", "resolved"]), st.booleans()), max_size=8
)


@settings(max_examples=25, deadline=None)
@given(STORIES)
def test_whatever_a_post_says_both_ways_end_alike(story: list[tuple[str, str, bool]]) -> None:
    alerts = [
        {**plain(key), "status": status, "severity": "info" if mild else "critical"} for key, status, mild in story
    ]
    assert asyncio.run(end_of(HELD, alerts)) == asyncio.run(end_of(THE_LONG_WAY, alerts))


async def end_of(config: str, alerts: list[dict[str, Any]]) -> list[Any]:
    """What a town keeps of one post; which incident was numbered first is nobody's concern."""
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs():
        town = await Town.open(Path(folder), config)
        try:
            if alerts:
                await town.post("apps", alerts)
            await town.pass_time(seconds=2)
            return sorted(
                ((one.key, one.status, one.severity, list(map(bare, kept_))) for one, kept_ in await kept(town)),
                key=repr,
            )
        finally:
            await town.end()


def bare(alert: StoredAlert) -> StoredAlert:
    return replace(alert, id=0, incident=0, post=0)
