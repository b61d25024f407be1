"""Two daemons over one PostgreSQL look at the same alert that waits behind its end: it fires once, whoever is there."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.daemon import until
from tocsin.contracts import IncidentFilter, Tx
from tocsin.model import Alert, Incident, Instant, Parsed, StoredAlert
from tocsin.settings import load
from tocsin.wiring import Daemon, system_ports

CONFIGURATION = """
server: {listen: "127.0.0.1:0"}
database: {url: "URL"}
catch_all: [channel:terminal]
integrations: {apps: {type: webhook, token: apps-token}}
channels: {terminal: {type: console, to: terminal}}
"""


@pytest.fixture
async def daemons(tmp_path: Path, postgres_url: str) -> AsyncIterator[list[Daemon]]:
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION.replace("URL", postgres_url))
    started = []
    for _ in range(2):
        one = Daemon(load(tmp_path / "tocsin.yaml", env={}), ports=system_ports(lambda _: None))
        await one.start(listen=False)
        started.append(one)
    yield started
    for one in started:
        await one.stop()


async def incidents(daemon: Daemon) -> list[Incident]:
    return await daemon.store.incidents(IncidentFilter(), 200, None)


async def waiting(daemon: Daemon) -> list[StoredAlert]:
    return await daemon.store.alerts(integration=None, status="waiting", limit=10, before=None)


async def take(daemon: Daemon, *alerts: Alert) -> None:
    await daemon.intake.take(daemon.runtime.settings.integrations["apps"], b"{}", Parsed(alerts))


async def down_over_and_down(daemons: list[Daemon]) -> None:
    """It fires at one of them, ends at the other, and the copy comes to the first."""
    began = Instant(daemons[0].clock.now() - 60_000)
    await take(daemons[0], Alert("firing", "db", "critical", title="db down", started_at=began))
    await take(daemons[1], Alert("resolved", "db"))
    await take(daemons[0], Alert("firing", "db", "critical", title="db down", started_at=began))


async def hurry(daemon: Daemon) -> None:
    """Its wait is over in a moment."""

    async def work(tx: Tx) -> None:
        soon = Instant(daemon.clock.now() + 300)
        tx.save_alerts([replace(one, waits_until=soon) for one in await waiting(daemon)])

    await daemon.store.write(work)


async def test_of_two_replicas_one_fires_it_once(daemons: list[Daemon]) -> None:
    await down_over_and_down(daemons)
    (alert,) = await waiting(daemons[1])
    assert alert.waits_until is not None

    await hurry(daemons[0])

    async def fires() -> bool:
        return [one.status for one in await incidents(daemons[0])] == ["triggered", "resolved"]

    await until(fires, within=10, what="the alert to fire")
    assert await waiting(daemons[0]) == []
    await asyncio.gather(*(one.overtaken.fire_due() for one in daemons))
    assert len(await incidents(daemons[1])) == 2
    (open_one,) = await daemons[0].store.alerts(integration=None, status="firing", limit=10, before=None)
    assert open_one.count == 1


async def test_the_other_fires_what_a_dead_replica_put_to_wait(daemons: list[Daemon]) -> None:
    await down_over_and_down(daemons)
    await hurry(daemons[1])
    await daemons[0].tasks.stop()

    async def fires() -> bool:
        return len([one for one in await incidents(daemons[1]) if one.open]) == 1

    await until(fires, within=10, what="the alert to fire at the other replica")
