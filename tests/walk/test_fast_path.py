"""Alerts that stand alone and are held come straight in: nothing else about them may be different."""

from __future__ import annotations

import asyncio
import json
import re
import tempfile
from collections import Counter
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from tests.walk.conftest import Build
from tests.walk.town import MONDAY_NOON, Town
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


# ------------------------------------------------------- whatever is configured, and whatever comes

UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)  # shrinking would take minutes; a story can be read as it is
BUNDLED = ("attempt", "page_bundled", "page_throttled")  # which of several incidents leads goes by their numbers
SECTIONS = (
    "",
    "maintenance: [{name: nightly, match: ['host=\"b\"'], from: 2026-01-05 11:00, to: 2026-01-05 12:20, timezone: UTC}]",
    "inhibitions: [{name: core, source: ['severity=\"critical\"'], target: ['severity=\"info\"'], equal: [host]}]",
)
RULES = (
    "{name: urgent, match: ['host=\"a\"'], set: {priority: P1, category: hardware}}",
    "{name: theirs, match: ['host=\"b\"'], set: {service: db, severity: error}, auto_resolve: 3m}",
    "{name: together, match: ['host=\"c\"'], group_by: [host]}",
    "{name: named, match: ['host=\"c\"'], set: {dedup_key: one, policy: default}}",
    "{name: many, match: ['host=\"d\"'], threshold: {count: 2, within: 5m}}",
    "{name: calm, match: ['host=\"d\"'], resolve_after: 1m}",
    "{name: not at all, match: ['title=\"x is down\"'], drop: true}",
    "{name: at once, match: ['severity=critical'], hold: 0s}",
)
CONFIGURED = st.tuples(st.sets(st.sampled_from(SECTIONS)), st.sets(st.sampled_from(RULES)), st.booleans())
KEYS = "abcdefghijkx"


def coming(key: str, status: str, host: str, ago: int | None, more: str) -> dict[str, Any]:
    """One alert. Its severity and its service follow from its key: what keeps itself quiet is tried elsewhere."""
    place = KEYS.index(key)
    labels = {"env": "held", **({"host": host} if host else {})}
    said = plain(key, severity=("critical", "warning", "info")[place % 3], service=("", "shop", "db", "")[place % 4])
    at = {} if ago is None else {"timestamp": MONDAY_NOON // 1000 - ago}
    return {**said, "status": status, "labels": labels, "description": more, **at}


COMES = st.builds(
    coming,
    st.sampled_from(KEYS),
    st.sampled_from(["firing", "firing", "firing", "resolved", "note"]),
    st.sampled_from(["", "", "a", "b", "c", "d"]),
    st.sampled_from([None, None, 0, 60]),
    st.sampled_from(["", "", "more"]),
)
POSTED = st.tuples(st.just("post"), st.lists(COMES, min_size=5, max_size=20))
HAPPENS = st.one_of(
    POSTED,
    POSTED,
    st.tuples(st.just("wait"), st.sampled_from([1, 12, 70, 320])),
    st.tuples(st.just("silence"), st.sampled_from(['host="a"', "severity=info", 'service="shop"'])),
)


@settings(max_examples=15, deadline=None, phases=UNSHRUNK, derandomize=True)  # a seeded sample
@given(CONFIGURED, st.builds(lambda first, rest: [first, *rest], POSTED, st.lists(HAPPENS, max_size=4)))
def test_whatever_comes_the_fast_path_keeps_what_the_one_answer_says(
    configured: tuple[set[str], set[str], bool], happens: list[tuple[str, Any]]
) -> None:
    sections, rules, quiet = configured
    listed = ", ".join(["{name: wait, match: ['env=\"held\"'], hold: 5m}", *sorted(rules)])
    token = "integrations: {apps: {type: webhook, token: apps-token-0123456789, auto_resolve: 4m}}" if quiet else ""
    services = "services: {db: {impact: high}, shop: {}}"
    config = "\n".join([f"rules: [{listed}]", services, token, *sorted(sections)])

    fast, one_answer = asyncio.run(life_of(config, happens)), asyncio.run(life_of(config, happens, memory=False))

    assert (fast - one_answer, one_answer - fast) == (Counter(), Counter())


async def life_of(config: str, happens: list[tuple[str, Any]], *, memory: bool = True) -> Counter[str]:
    """What a town keeps and whom it pages. Without `memory` nothing takes the fast path: all is read and placed."""
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs():
        town = await Town.open(Path(folder), config)
        town.daemon.intake.open_alerts.trusted = memory
        try:
            for kind, what in happens:
                if kind == "post":
                    await town.post("apps", what)
                elif kind == "wait":
                    await town.pass_time(seconds=what)
                else:
                    await town.silence(what, minutes=3)
            await town.pass_time(seconds=330)
            told = [line for one in await kept(town) for line in await told_of(town, *one)]
            return Counter([*told, *town.pages])
        finally:
            await town.end()


async def told_of(town: Town, incident: Incident, alerts: list[StoredAlert]) -> list[str]:
    """One incident with its alerts and story, a line each, but for its number and theirs."""
    bare_incident = replace(incident, number=0, alert=None, previous=None, muted_by=nameless(incident.muted_by))
    # What kept an alert quiet when it was placed depends on its place in the batch; what keeps its incident quiet counts.
    lines: list[Any] = [bare_incident, *(replace(bare(one), muted_by=None) for one in alerts)]
    for entry in await town.timeline(incident.number):
        if entry.kind not in BUNDLED:
            lines.append((incident.key, entry.at, entry.kind, nameless(entry.because)))
    return [str(line) for line in lines]


def nameless(text: str | None) -> str:
    """A reason without the number of an incident or the id of a silence."""
    return re.sub(r"INC \d+|parent:\d+|silence:\S+", "it", text or "")
