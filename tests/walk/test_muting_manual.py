"""The examples of docs/muting.md, run as written."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.model import Instant, instant

MANUAL = Path(__file__).parent.parent.parent / "docs" / "muting.md"
CALM = 'throttle: {sms: ["1000/1m"]}\n'


def example(section: str) -> str:
    text = MANUAL.read_text()
    found = re.search(r"^```yaml\n(.*?)^```$", text[text.index(f"## {section}\n") :], re.M | re.S)
    assert found, f"no example under {section}"
    return CALM + found[1]


def at(year: int, month: int, day: int, hour: int = 0, minute: int = 0) -> Instant:
    return instant(datetime(year, month, day, hour, minute, tzinfo=UTC))


async def quiet(town: Town, title: str, severity: str = "error", **labels: str) -> bool:
    await town.alert(title, severity, labels=labels)
    await town.settle()
    return town.pages_of(title) == []


async def test_inhibitions(build: Build) -> None:
    town = await build(example("Inhibitions"))
    assert not await quiet(town, "down", "critical", alertname="ClusterDown", cluster="a")
    assert await quiet(town, "slow", alertname="Slow", cluster="a")
    assert not await quiet(town, "slow elsewhere", alertname="Slow", cluster="b")


async def test_services_that_depend_on_others(build: Build) -> None:
    town = await build(example("Services that depend on others"))
    await town.alert("db down", service="db")
    await town.alert("shop slow", service="shop")
    assert town.pages_of("shop slow") == []
    await town.clear("db down")
    assert town.pages_of("shop slow") == ["0m ana sms"]


async def test_maintenance(build: Build) -> None:
    town = await build(
        example("Maintenance"), start=at(2026, 3, 29, 1, 30)
    )  # Paris: 03:30, the clocks went on at 02:00
    assert await quiet(town, "patched", env="prod", os="linux")
    assert not await quiet(town, "another", env="prod", os="bsd")
    assert not await quiet(town, "backup", job="backup")
    await town.pass_time(minutes=91)
    assert town.pages_of("patched") == ["90m bo sms"]

    moved = await build(example("Maintenance"), start=at(2026, 11, 28, 12, 0))
    assert await quiet(moved, "moving", site="lisbon")
