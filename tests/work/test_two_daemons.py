"""Two daemons over one PostgreSQL: whoever takes an alert, there is one incident, and nobody is paged twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon import until
from tocsin.contracts import IncidentFilter
from tocsin.model import Actor, Alert, Instant, Parsed
from tocsin.settings import load
from tocsin.wiring import Daemon

CONFIGURATION = """
server: {listen: "127.0.0.1:0"}
database: {url: "%s"}
catch_all: [channel:terminal]
defaults: {policy: default}
integrations: {apps: {type: webhook, token: apps-token}}
channels: {terminal: {type: console, to: terminal}}
users: {ana: {name: Ana, timezone: UTC, contacts: {terminal: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 5m}]}}
rules:
  - {name: nodes, match: ['cluster!=""'], group_by: [cluster]}
  - {name: logins, match: ['host!=""'], group_by: [host], threshold: {count: 4, within: 5m}}
  - {name: links, match: ['link!=""'], flap: {changes: 4, within: 5m, settle: 5m}}
"""
ANA = Actor("user", "ana")
OPEN = IncidentFilter(status=("triggered", "acknowledged", "on_hold"))
ROUNDS = 20


@pytest.fixture
async def daemons(tmp_path: Path, postgres_url: str) -> AsyncIterator[list[Daemon]]:
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION % postgres_url)
    started = []
    for _ in range(2):
        one = Daemon(load(tmp_path / "tocsin.yaml", env={}))
        await one.start(listen=False)
        started.append(one)
    yield started
    for one in started:
        await one.stop()


async def test_what_one_signs_opens_at_the_other_also_after_the_keys_were_rotated(daemons: list[Daemon]) -> None:
    here, there = daemons
    assert here.keys.valid == there.keys.valid
    await here.access.rotate_keys()
    await there.access.rotate_keys()
    await here.access.learn_keys()
    assert here.keys.valid == there.keys.valid
    assert len(here.keys.valid) == 2


async def post(daemon: Daemon, *alerts: Alert, body: bytes = b"{}") -> tuple[int, ...]:
    taken = await daemon.intake.take(daemon.runtime.settings.integrations["apps"], body, Parsed(alerts))
    return taken.incidents


async def test_alerts_of_one_group_that_come_to_both_at_once_are_one_incident(daemons: list[Daemon]) -> None:
    for turn in range(ROUNDS):
        labels = {"cluster": str(turn)}
        await asyncio.gather(
            *(
                post(daemon, Alert("firing", f"{turn}-{node}-{index}", title="node down", labels=labels))
                for index, daemon in enumerate(daemons)
                for node in range(3)
            )
        )

    found = await daemons[0].store.incidents(OPEN, 1000, None)
    assert sorted((one.key, one.firing) for one in found) == sorted(
        (f'""{{cluster="{turn}"}}', 6) for turn in range(ROUNDS)
    )


async def test_firings_that_both_count_at_once_reach_one_threshold(daemons: list[Daemon]) -> None:
    for turn in range(ROUNDS):
        labels = {"host": str(turn)}
        for alerts in range(2):  # two each: enough together, and not before
            assert len(await daemons[0].store.incidents(OPEN, 1000, None)) == turn
            await asyncio.gather(
                *(
                    post(daemon, Alert("firing", f"{turn}-{alerts}-{index}", title="login failed", labels=labels))
                    for index, daemon in enumerate(daemons)
                )
            )

    found = await daemons[0].store.incidents(OPEN, 1000, None)
    assert {(one.firing, one.total) for one in found} == {(4, 4)}
    assert len(found) == ROUNDS


async def test_changes_that_come_to_both_by_turns_are_one_flapping(daemons: list[Daemon]) -> None:
    for turn in range(4):
        for status in ("firing", "resolved"):
            daemon = daemons[turn % 2 if status == "firing" else 1 - turn % 2]
            await post(daemon, Alert(status, "link 1", title="link down", labels={"link": "1"}))

    (one,) = await daemons[0].store.incidents(OPEN, 1000, None)
    (alert,) = await daemons[1].store.incident_alerts(one.number, 10, None)
    assert (one.firing, alert.cleared_at is None, alert.settles_at is None) == (1, False, False)


async def test_the_same_alert_that_comes_to_both_at_once_is_one_incident_and_one_page(daemons: list[Daemon]) -> None:
    for turn in range(ROUNDS):
        await asyncio.gather(*(post(daemon, Alert("firing", f"db {turn}", title="db down")) for daemon in daemons))

    found = await daemons[0].store.incidents(OPEN, 1000, None)
    assert len(found) == ROUNDS
    assert {len(await daemons[0].store.pages(one.number)) for one in found} == {1}

    for turn in range(ROUNDS):
        await post(daemons[turn % 2], Alert("resolved", f"db {turn}"))
    assert await daemons[0].store.incidents(OPEN, 1000, None) == []
    assert [one for daemon in daemons for one in daemon.intake.open_alerts._in_doubt] == []  # it would grow for ever


async def test_the_same_bytes_without_an_identity_at_both_are_one_incident(daemons: list[Daemon]) -> None:
    for turn in range(ROUNDS):
        body = b"%d" % turn
        await asyncio.gather(*(post(daemon, Alert("firing", None, title="x"), body=body) for daemon in daemons))

    assert len(await daemons[0].store.incidents(OPEN, 1000, None)) == ROUNDS


async def test_a_silence_that_ends_early_at_one_daemon_mutes_nothing_at_the_other(daemons: list[Daemon]) -> None:
    here, there = daemons
    now = here.clock.now()
    silence = await here.silences.add(['title="db down"'], now, Instant(now + 3_600_000), "ana", "we know")
    await there.silences.refresh()
    await post(there, Alert("firing", "before", title="db down"))

    await here.silences.expire(silence.id, ANA)
    await post(there, Alert("firing", "behind", title="db down"))

    async def both_paged() -> bool:
        pages = [page for number in (1, 2) for page, _ in await here.store.pages(number)]
        return [page.status for page in pages] == ["done", "done"]

    await until(both_paged, within=4, what="both incidents to page")


async def test_a_repeat_is_counted_whoever_takes_it_and_whoever_dies(daemons: list[Daemon]) -> None:
    here, there = daemons
    db = Alert("firing", "db", title="db down")
    await post(here, db)
    for _ in range(3):
        await post(here, db)
        await post(there, db)

    (alert,) = await here.store.incident_alerts(1, 10, None)
    assert alert.count == 7


INHIBITED = """
inhibitions: [{name: down, source: ['title="cluster down"'], target: ['title="db down"']}]
services: {shop: {depends_on: [db]}, db: {impact: high}}
"""


@pytest.fixture
async def inhibiting(tmp_path: Path, postgres_url: str) -> AsyncIterator[list[Daemon]]:
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION % postgres_url + INHIBITED)
    started = []
    for _ in range(2):
        one = Daemon(load(tmp_path / "tocsin.yaml", env={}))
        await one.start(listen=False)
        started.append(one)
    yield started
    for one in started:
        await one.stop()


async def test_a_source_that_fires_at_one_daemon_mutes_at_the_other_and_ends_there_too(
    inhibiting: list[Daemon],
) -> None:
    here, there = inhibiting
    await post(here, Alert("firing", "cluster", title="cluster down"))
    (number,) = await post(there, Alert("firing", "db", title="db down"))

    muted = await here.store.incident(number)
    assert muted is not None
    assert muted.muted_by == "inhibition:down"
    assert await here.store.pages(number) == []

    await post(there, Alert("resolved", "cluster", ended_at=there.clock.now()))

    async def paged() -> bool:
        return [page.status for page, _ in await here.store.pages(number)] == ["done"]

    await until(paged, within=12, what="the incident to page once nothing inhibits it")


async def test_a_parent_that_is_down_at_one_daemon_counts_at_the_other(inhibiting: list[Daemon]) -> None:
    here, there = inhibiting
    (parent,) = await post(here, Alert("firing", "disk", severity="critical", title="disk full", service="db"))
    (child,) = await post(there, Alert("firing", "slow", title="slow", service="shop"))

    muted = await here.store.incident(child)
    assert muted is not None
    assert muted.muted_by == f"parent:{parent}"
    await here.actions.resolve(parent, ANA, "api")

    async def paged() -> bool:
        return [page.status for page, _ in await here.store.pages(child)] == ["done"]

    await until(paged, within=12, what="the child to page once its parent is over")
