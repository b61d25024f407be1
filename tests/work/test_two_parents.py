"""Two daemons over one PostgreSQL: a child that one of them muted is free as soon as nobody is on its parent at the other."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.daemon import until
from tocsin.contracts import Tx
from tocsin.model import Actor, Alert, ContactState, Incident, Instant, Parsed
from tocsin.settings import load
from tocsin.wiring import Daemon, system_ports
from tocsin.work.effects import Effects

CONFIGURATION = """
server: {listen: "127.0.0.1:0"}
database: {url: "URL"}
catch_all: [channel:terminal]
integrations: {apps: {type: webhook, token: apps-token}}
channels: {terminal: {type: console, to: terminal}}
users:
  ana: {name: Ana, timezone: UTC, contacts: {terminal: here}}
policies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0}}
defaults: {policy: default}
services: {api: {depends_on: [db]}, db: {impact: high}}
"""
ANA = Actor("user", "ana")


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


async def fire(daemon: Daemon, service: str) -> Incident:
    config = daemon.runtime.settings.integrations["apps"]
    alert = Alert("firing", f"{service} down", "error", title=f"{service} down", service=service)
    taken = await daemon.intake.take(config, service.encode(), Parsed((alert,)))
    found = await daemon.store.incident(taken.incidents[0])
    assert found is not None
    return found


@pytest.mark.parametrize("how", ["silenced", "snoozed", "stopped"])
async def test_a_child_is_free_when_nobody_is_on_its_parent_at_the_other(how: str, daemons: list[Daemon]) -> None:
    here, there = daemons
    parent = await fire(here, "db")
    child = await fire(there, "api")
    assert child.muted_by == f"parent:{parent.number}"

    now = here.clock.now()
    match how:
        case "silenced":
            await here.silences.add(('service="db"',), now, Instant(now + 3_600_000), "ana", "")
        case "snoozed":
            await here.actions.snooze(parent.number, Instant(now + 3_600_000), ANA, "api")
        case _:
            await stop(here)

    async def free() -> bool:
        found = await there.store.incident(child.number)
        return found is not None and found.muted_by is None and bool(await there.store.pages(child.number))

    await until(free, within=15, what="the child to page")


async def stop(daemon: Daemon) -> None:
    """Ana's only contact is of no use any more."""
    state = ContactState("console", "here", False, "answered STOP", daemon.clock.now())

    async def work(tx: Tx) -> Effects:
        tx.save_contact_state(state)
        return Effects(contacts=[state])

    (await daemon.store.write(work)).apply(daemon.runtime)
