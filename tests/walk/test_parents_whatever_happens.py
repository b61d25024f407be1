"""Whatever happens: nobody waits for a parent, or for a source, that nobody is on."""

from __future__ import annotations

import asyncio
import os
import tempfile
from pathlib import Path
from typing import Any

import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walk.town import Town
from tocsin.model import Incident

CONFIG = """
throttle: {sms: ["1000/1m"]}
policies:
  long: {steps: [{notify: [user:ana], wait: 3m}, {notify: [user:bo], wait: 3m}], repeat: 0, ack_timeout: 10m}
  default: {steps: [{notify: [user:bo], wait: 4m}], repeat: 1, ack_timeout: 10m}
rules: [{name: held, match: ['env="held"'], hold: 2m}]
inhibitions: [{name: site, source: ['env="site"'], target: ['severity=~"warning|error|critical"'], equal: [rack]}]
storm: {new_incidents: 6, within: 1m}
services:
  web: {depends_on: [api]}
  api: {depends_on: [db], impact: high}
  db: {impact: high, policy: long}
"""
OTHERS = CONFIG.replace("depends_on: [api]", "depends_on: [db]")
TITLES = [f"{service} {number}" for service in ("web", "api", "db") for number in range(3)]
DEED = st.one_of(
    st.tuples(st.just("fire"), st.sampled_from(TITLES), st.sampled_from(["critical", "error", "info"]),
              st.sampled_from(["", "", "", "held", "site"])),
    st.tuples(st.just("fire"), st.sampled_from(TITLES), st.sampled_from(["critical", "error"]), st.just("")),
    st.tuples(st.just("clear"), st.sampled_from(TITLES)),
    st.tuples(st.just("silence"), st.sampled_from(["web", "api", "db"]), st.sampled_from([1, 5])),
    st.tuples(st.sampled_from(["acknowledge", "unacknowledge", "resolve", "cancel", "escalate", "snooze"]), st.integers(0, 5)),
    st.tuples(st.sampled_from(["STOP", "START"]), st.sampled_from(["ana", "bo"])),
    st.tuples(st.just("trouble"), st.sampled_from(["unreachable", "bad number", "answer lost"])),
    st.tuples(st.just("undelivered"), st.sampled_from(["ana", "bo"])),
    st.tuples(st.just("reload"), st.booleans()),
    st.tuples(st.just("restart"), st.sampled_from([0, 1])),
    st.tuples(st.just("time"), st.sampled_from([1, 60, 200, 700])),
)  # fmt: skip


@pytest.mark.timeout(900)
@settings(max_examples=int(os.environ.get("TOCSIN_PARENTS", "15")), deadline=None)
@given(st.lists(DEED, min_size=4, max_size=20))
def test_whatever_happens_nobody_waits_for_what_nobody_is_on(story: list[Any]) -> None:
    asyncio.run(told(story))


async def told(story: list[Any]) -> None:
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs():
        town = await Town.open(Path(folder), CONFIG, database="file")
        try:
            for deed in story:
                await happen(town, *deed)
                await town.pass_time(seconds=2)
                await somebody_is_on_each(town)
        finally:
            await town.end()


async def happen(town: Town, what: str, *how: Any) -> None:
    match what, *how:
        case "fire", title, severity, env:
            labels = {"env": env, "rack": title[-1]} if env else {"rack": title[-1]}
            await town.alert(title, severity, service=title.split()[0], labels=labels)
        case "clear", title:
            await town.clear(title)
        case "silence", service, minutes:
            await town.silence(f'service="{service}"', minutes=minutes)
        case (("acknowledge" | "unacknowledge" | "resolve" | "cancel" | "escalate" | "snooze"), which):
            found = [one for one in await town.incidents() if one.open]
            if found and what == "snooze":
                await town.snooze(found[which % len(found)].number, 3)
            elif found:
                await town.act(what, found[which % len(found)].number)
        case (("STOP" | "START"), user):
            await town.phones[user].reply(what)
        case "trouble", trouble:
            town.trouble("sms", trouble)
        case "undelivered", user:
            if town.phones[user].texts:
                await town.phones[user].receipt("undelivered", "30003")
        case "reload", other:
            await town.reload(OTHERS if other else CONFIG)
        case "restart", minutes:
            await town.restart(after_minutes=minutes)
        case "time", seconds:
            await town.pass_time(seconds=seconds)
        case _:
            raise AssertionError(what)


async def somebody_is_on_each(town: Town) -> None:
    """Worked out from the pages and the story, not from what the daemon keeps for itself."""
    known = {one.number: one for one in await town.incidents()}
    for child in known.values():
        kind, _, what = (child.muted_by or "").partition(":")
        if child.status == "triggered" and kind == "parent":
            parent = known[int(what)]
            assert parent.priority <= child.priority, (child, parent)
            assert await is_attended(town, parent), (child, parent, await town.outcomes(parent.number))
        elif child.status == "triggered" and kind == "inhibition":
            found = await town.daemon.store.alerts(integration=None, status="firing", limit=1000, before=None)
            sources = [one for one in found if one.labels.get("env") == "site" and one.incident != child.number]
            assert any(known[one.incident or 0].muted_by is None for one in sources), child
        elif child.status == "triggered" and child.muted_by is None and child.held_until is None and not child.resting:
            assert await paged_or_nobody(town, child), child


async def is_attended(town: Town, parent: Incident) -> bool:
    if parent.status == "acknowledged":
        return parent.snoozed_until is None and not str(parent.acknowledged_by).startswith("integration:")
    if parent.status != "triggered" or parent.muted_by is not None or parent.held_until is not None:
        return False
    story = await town.timeline(parent.number)
    begun = max(
        (one.at for one in story if one.kind in ("retriggered", "reopened", "unacknowledged", "unmuted")), default=0
    )
    if any(one.kind == "catch_all" and one.because == "the policy is exhausted" and one.at >= begun for one in story):
        return False
    users = town.daemon.live.settings.users
    return any(
        page.cycle == parent.cycle and page.status not in ("failed", "cancelled") and page.user in users
        and any(not town.daemon.runtime.is_dead(one) for one in users[page.user].contacts.values())
        for page, _ in await town.pages_planned(parent.number) if page.step > 0
    )  # fmt: skip


async def paged_or_nobody(town: Town, incident: Incident) -> bool:
    """Its step ran: it paged somebody, or told that there is nobody; or a storm stands for it."""
    kinds = {one.kind for one in await town.timeline(incident.number)}
    return bool(kinds & {"step", "nobody", "catch_all", "attempt"})
