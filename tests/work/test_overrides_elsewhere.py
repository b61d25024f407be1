"""Two daemons over one PostgreSQL: who steps in at one of them is woken by the other at once."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from tocsin.contracts import Tx
from tocsin.decide.oncall.overrides import Asked, AskedSwap
from tocsin.errors import Refused
from tocsin.model import HOUR, Actor, Alert, Instant, Parsed, rfc3339
from tocsin.settings import load
from tocsin.wiring import Daemon

CONFIGURATION = """
server: {listen: "127.0.0.1:0"}
database: {url: "%s"}
catch_all: [channel:terminal]
defaults: {policy: default}
integrations: {apps: {type: webhook, token: apps-token}}
channels: {terminal: {type: console, to: terminal}}
users:
  ana: {name: Ana, timezone: UTC, contacts: {terminal: ana}}
  bo: {name: Bo, timezone: UTC, contacts: {terminal: bo}}
schedules: {primary: {timezone: UTC, layers: [{users: [ana]}]}}
policies: {default: {steps: [{notify: [schedule:primary], wait: 5m}, {notify: [schedule:primary], wait: 5m}]}}
"""
ANA, BO = Actor("user", "ana"), Actor("user", "bo")


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


async def paged(daemon: Daemon, title: str) -> list[str]:
    """Whom an alert that comes to this daemon pages."""
    alerts = Parsed((Alert("firing", title, title=title),))
    taken = await daemon.intake.take(daemon.runtime.settings.integrations["apps"], title.encode(), alerts)
    return await paged_for(daemon, taken.incidents[0])


async def paged_for(daemon: Daemon, number: int) -> list[str]:
    return [page.user for page, _ in await daemon.store.pages(number) if page.kind == "page"]


async def test_whoever_takes_the_alert_knows_who_stepped_in(daemons: list[Daemon]) -> None:
    here, there = daemons
    assert await paged(there, "before") == ["ana"]

    made = await here.overrides.add(Asked("primary", ("bo",), length=HOUR), ANA)
    assert await paged(there, "during") == ["bo"]
    assert (await there.overrides.in_force(there.clock.now()))["primary"][0].id == made.id
    done = await there.actions.trigger("by hand", ANA, "api")
    assert await paged_for(there, done.incident.number) == ["bo"]
    await there.actions.page(1, "schedule:primary", ANA, "api")
    await there.actions.escalate(1, ANA, "api")
    assert await paged_for(there, 1) == ["ana", "bo", "bo"]

    await there.overrides.remove(made.id, BO)
    assert await paged(here, "after") == ["ana"]


async def test_a_timer_that_falls_due_there_knows_it_too(daemons: list[Daemon]) -> None:
    here, there = daemons
    await paged(there, "db")
    await here.overrides.add(Asked("primary", ("bo",), length=HOUR), ANA)

    async def due_now(tx: Tx) -> None:
        [incident] = (await tx.incidents([1])).values()
        tx.save_incidents([replace(incident, due_at=there.clock.now(), planned_at=there.clock.now())])

    await there.store.write(due_now)
    await there.timers.run_due()

    assert await paged_for(there, 1) == ["ana", "bo"]


async def test_of_an_acceptance_and_a_withdrawal_at_once_one_counts(daemons: list[Daemon]) -> None:
    here, there = daemons
    start = Instant(here.clock.now() + HOUR)
    times = {"start": rfc3339(start), "end": rfc3339(Instant(start + HOUR))}
    for _ in range(5):
        swap = await here.swaps.ask(AskedSwap("primary", "bo", **times), ANA)
        answers = await asyncio.gather(
            here.swaps.accept(swap.id, BO), there.swaps.withdraw(swap.id, ANA), return_exceptions=True
        )
        [refused] = [one for one in answers if isinstance(one, Exception)]
        [kept] = [one for one in await here.swaps.list(everything=True) if one.id == swap.id]

        assert isinstance(refused, Refused)
        halves = [one for one in await here.overrides.list("primary") if one.swap == swap.id]
        assert len(halves) == (kept.status == "accepted")
        for half in halves:
            await here.overrides.remove(half.id, BO)
