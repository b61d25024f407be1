"""Two daemons page over one PostgreSQL: limits, claims and answers hold as if they were one."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from tests.daemon import until
from tocsin.model import Actor, Alert, Parsed, Severity
from tocsin.settings import load
from tocsin.wiring import Daemon, Ports, system_ports

PEOPLE = [f"p{number}" for number in range(12)]
CONFIGURATION = f"""
server: {{listen: "127.0.0.1:0"}}
database: {{url: "%s"}}
catch_all: [user:p0]
defaults: {{policy: default}}
integrations: {{apps: {{type: webhook, token: apps-token}}}}
channels: {{terminal: {{type: console}}, quick: {{type: console}}}}
throttle: {{terminal: [1/10m]}}
users:
{"".join(f"  {name}: {{name: {name}, contacts: {{terminal: {name}, quick: {name}}}, notify: {{high: [{{by: terminal}}], low: [{{by: quick}}, {{after: 1s, by: quick}}]}}}}" + chr(10) for name in PEOPLE)}
policies: {{default: {{steps: [{{notify: [{", ".join(f"user:{name}" for name in PEOPLE)}], wait: 5m}}]}}}}
"""
ANA = Actor("user", "p0")


@dataclass
class Pair:
    """Two replicas and the one terminal that both write to."""

    daemons: list[Daemon] = field(default_factory=list)
    shown: list[str] = field(default_factory=list)

    async def alert(self, daemon: Daemon, key: str, severity: Severity) -> int:
        config = daemon.runtime.settings.integrations["apps"]
        alert = Alert("firing", key, severity, title=key)
        return (await daemon.intake.take(config, key.encode(), Parsed((alert,)))).incidents[0]


@pytest.fixture
async def pair(tmp_path: Path, postgres_url: str) -> AsyncIterator[Pair]:
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION % postgres_url)
    two = Pair()
    for _ in range(2):
        given = system_ports()
        ports = Ports(given.clock, given.chance, given.http, given.mail, two.shown.append)
        one = Daemon(load(tmp_path / "tocsin.yaml", env={}), ports=ports)
        await one.start(listen=False)
        two.daemons.append(one)
    yield two
    for one in two.daemons:
        await one.stop()


def heard(shown: list[str]) -> Counter[str]:
    """How many pages each person got."""
    return Counter(name for text in shown for name in PEOPLE if f" to {name} " in text)


async def test_the_limit_of_a_person_holds_for_both_together(pair: Pair) -> None:
    await asyncio.gather(
        *(
            pair.alert(daemon, f"{turn}-{index}", "critical")
            for index, daemon in enumerate(pair.daemons)
            for turn in range(4)
        )
    )

    await until(lambda: len(heard(pair.shown)) == len(PEOPLE), within=20, what="everybody to hear something")
    await until(lambda: put_off(pair.daemons[0]), within=20, what="the other pages to be put off")
    assert set(heard(pair.shown).values()) == {1}


async def put_off(daemon: Daemon) -> bool:
    """Whether nothing of the limited channel is due now: put off, or carried by a summary."""
    at = await daemon.store.next_due_page("terminal")
    return at is None or at > daemon.clock.now()


async def test_an_answer_at_one_stops_what_the_other_has_planned(pair: Pair) -> None:
    one, other = pair.daemons
    number = await pair.alert(one, "quiet", "info")
    await until(lambda: len(pair.shown) >= len(PEOPLE), within=20, what="the first pages")

    done = await other.actions.acknowledge(number, ANA, "api")
    await until(lambda: all_ended(one, number), within=20, what="every page to come to its end")

    begun = [attempt.started_at for _, attempts in await one.store.pages(number) for attempt in attempts]
    assert len(begun) == len(pair.shown) < 2 * len(PEOPLE)
    assert max(begun) <= (done.incident.acknowledged_at or 0)


async def all_ended(daemon: Daemon, number: int) -> bool:
    return {page.status for page, _ in await daemon.store.pages(number)} == {"done", "cancelled"}
