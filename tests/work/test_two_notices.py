"""Two daemons over one PostgreSQL look at the same minute: a shift is told of once, and so is what is wrong with it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.daemon import until
from tocsin.clock import SystemClock
from tocsin.contracts import IncidentFilter
from tocsin.settings import load
from tocsin.wiring import Daemon, system_ports

CONFIGURATION = """
server: {listen: "127.0.0.1:0"}
database: {url: "URL"}
catch_all: [channel:terminal]
defaults: {policy: default}
channels: {terminal: {type: console, to: terminal}}
users: {ana: {name: Ana, timezone: UTC, contacts: {terminal: ana}}, bo: {name: Bo, timezone: UTC}}
schedules:
  daily: {timezone: UTC, handoff_notice: 1h, layers: [{name: day, users: [[ana, bo]], rotation: {every: 1d, start: START}}]}
policies: {default: {steps: [{notify: [channel:terminal], wait: 5m}]}}
"""


@pytest.fixture
def shown() -> list[str]:
    return []


@pytest.fixture
async def daemons(tmp_path: Path, postgres_url: str, shown: list[str]) -> AsyncIterator[list[Daemon]]:
    now = datetime.fromtimestamp(SystemClock().now() / 1000, UTC)
    start = (now - timedelta(minutes=10)).strftime("%Y-%m-%d %H:%M")
    (tmp_path / "tocsin.yaml").write_text(CONFIGURATION.replace("START", start).replace("URL", postgres_url))
    started = []
    for _ in range(2):
        one = Daemon(load(tmp_path / "tocsin.yaml", env={}), ports=system_ports(shown.append))
        await one.start(listen=False)
        started.append(one)
    yield started
    for one in started:
        await one.stop()


async def test_both_look_and_one_tells(daemons: list[Daemon], shown: list[str]) -> None:
    await asyncio.gather(*(one.notices.look() for one in daemons for _ in range(3)))
    await until(lambda: len(shown) >= 2, within=10, what="the notice and the page about Bo")
    for one in daemons:
        one.notices._minute = -1  # another minute
        one.notices._told.clear()
        await one.notices.look()

    assert sum("NOTICE to Ana" in text for text in shown) == 1
    incidents = await daemons[0].store.incidents(IncidentFilter(), 10, None)
    assert [one.title for one in incidents] == [
        "bo is on call for daily and cannot be reached: no contact is configured"
    ]
