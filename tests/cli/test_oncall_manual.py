"""The examples of docs/on-call.md, run as written."""

from __future__ import annotations

import contextlib
import re
import shlex
from collections import Counter
from datetime import datetime
from itertools import pairwise
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from typer.testing import CliRunner

from tocsin.cli import app
from tocsin.decide.oncall.resolver import local_instant, shifts
from tocsin.model import HOUR, Instant, Schedule
from tocsin.settings import load

MANUAL = Path(__file__).parent.parent.parent / "docs" / "on-call.md"
SCHEDULES = {
    "tocsin.yaml": "# On call\n",
    "world.yaml": "### Around the world\n",
    "weekend.yaml": "### A long weekend\n",
    "new.yaml": "## What if\n",
}
REST = """
channels: {terminal: {type: console}}
users:
  ana: {name: Ana Pires, timezone: Europe/Lisbon, contacts: {terminal: Ana}}
  bo: {name: Bo Li, timezone: America/New_York, contacts: {terminal: Bo}}
  chen: {name: Chen Wei, timezone: Asia/Singapore, contacts: {terminal: Chen}}
  dora: {name: Dora Novak, timezone: Europe/Prague, contacts: {terminal: Dora}}
  eve: {name: Eve Roux, timezone: Europe/Paris, contacts: {terminal: Eve}}
  finn: {name: Finn Dahl, timezone: Europe/Oslo, contacts: {terminal: Finn}}
  grace: {name: Grace Okafor, timezone: Europe/London, contacts: {terminal: Grace}}
  rui: {name: Rui Alves, timezone: Europe/Lisbon, contacts: {terminal: Rui}}
  ivo: {name: Ivo Reis, timezone: Europe/Lisbon, contacts: {terminal: Ivo}}
  nia: {name: Nia Reed, timezone: America/New_York, contacts: {terminal: Nia}}
  ned: {name: Ned Shaw, timezone: America/New_York, contacts: {terminal: Ned}}
  sol: {name: Sol Hart, timezone: Australia/Sydney, contacts: {terminal: Sol}}
  sue: {name: Sue Kerr, timezone: Australia/Sydney, contacts: {terminal: Sue}}
"""


def examples() -> list[tuple[str, str]]:
    """Each command with the output the manual shows."""
    blocks = re.findall(r"^```console\n\$ tocsin (.*?)\n(.*?)^```$", MANUAL.read_text(), re.M | re.S)
    assert len(blocks) > 4
    return blocks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual's schedules, each in a file: the first one, its changed one, and the worked examples."""
    place = tmp_path_factory.mktemp("manual")
    text = MANUAL.read_text()
    for name, section in SCHEDULES.items():
        found = re.search(r"^```yaml\n(schedules:\n.*?)^```$", text[text.index(section) :], re.M | re.S)
        assert found, f"no schedule under {section}"
        (place / name).write_text(found[1] + REST)
    return place


@pytest.mark.parametrize(("command", "shown"), examples(), ids=[command for command, _ in examples()])
def test_an_example_of_the_manual_prints_what_the_manual_shows(command: str, shown: str, folder: Path) -> None:
    with contextlib.chdir(folder):
        found = CliRunner(env={"TOCSIN_CONFIG": None}).invoke(app, shlex.split(command))
    assert found.exception is None, found.stderr
    assert found.stdout == shown


def schedule_of(folder: Path, file: str, name: str) -> Schedule:
    loaded = load(folder / file, env={})
    assert loaded.settings is not None, loaded.problems
    return loaded.settings.schedules[name]


def by_the_clock(start: Instant, zone: str) -> tuple[int, str]:
    shown = datetime.fromtimestamp(start // 1000, ZoneInfo(zone))
    return shown.weekday(), f"{shown:%H:%M}"


def test_around_the_world_somebody_is_on_call_at_each_instant_of_ten_years(folder: Path) -> None:
    plan = schedule_of(folder, "world.yaml", "world")
    found = shifts(plan, local_instant("2026-01-06T00:00", "UTC"), local_instant("2036-01-06T00:00", "UTC"))

    assert found.gaps == ()
    assert all(one.end == other.start for one, other in pairwise(found.shifts))
    homes = {"lisbon": "Europe/Lisbon", "new york": "America/New_York", "holidays in lisbon": "Europe/Lisbon"}
    begun = {(one.layer, by_the_clock(one.start, homes[one.layer])[1]) for one in found.shifts if one.layer in homes}
    assert begun == {("lisbon", "08:00"), ("holidays in lisbon", "08:00"), ("new york", "09:00")}, (
        "each at its own morning"
    )
    away = {by_the_clock(one.start, "Australia/Sydney")[1] for one in found.shifts[1:] if one.layer == "sydney"}
    assert away == {"08:00", "09:00", "10:00"}, "New York ends its day first"


def test_a_weekend_is_one_turn_of_64_hours_and_an_hour_off_where_the_clocks_change(folder: Path) -> None:
    plan = schedule_of(folder, "weekend.yaml", "office")
    found = shifts(plan, local_instant("2026-01-12T09:00", "UTC"), local_instant("2027-01-11T09:00", "UTC"))
    weekends = [one for one in found.shifts if one.layer == "weekend"]

    assert found.gaps == ()
    assert [one.users for one in weekends[:5]] == [("bo",), ("chen",), ("dora",), ("ana",), ("bo",)]
    assert Counter((one.end - one.start) // HOUR for one in weekends) == {64: 50, 63: 1, 65: 1}
    clock = {(*by_the_clock(one.start, plan.timezone), *by_the_clock(one.end, plan.timezone)) for one in weekends}
    assert clock == {(4, "17:00", 0, "09:00")}
