"""The examples of docs/on-call.md, run as written."""

from __future__ import annotations

import contextlib
import re
import shlex
from pathlib import Path

import pytest
from typer.testing import CliRunner

from tocsin.cli import app

MANUAL = Path(__file__).parent.parent.parent / "docs" / "on-call.md"
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
"""


def examples() -> list[tuple[str, str]]:
    """Each command with the output the manual shows."""
    blocks = re.findall(r"^```console\n\$ tocsin (.*?)\n(.*?)^```$", MANUAL.read_text(), re.M | re.S)
    assert len(blocks) > 4
    return blocks


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The manual's schedule as tocsin.yaml, and its changed one as new.yaml."""
    place = tmp_path_factory.mktemp("manual")
    text = MANUAL.read_text()
    for name, section in (("tocsin.yaml", "# On call\n"), ("new.yaml", "## What if\n")):
        found = re.search(r"^```yaml\n(schedules:\n.*?)^```$", text[text.index(section) :], re.M | re.S)
        assert found, f"no schedule under {section}"
        (place / name).write_text(found[1] + REST)
    return place


@pytest.mark.parametrize(("command", "shown"), examples(), ids=[command for command, _ in examples()])
def test_an_example_of_the_manual_prints_what_the_manual_shows(command, shown, folder):
    with contextlib.chdir(folder):
        found = CliRunner(env={"TOCSIN_CONFIG": None}).invoke(app, shlex.split(command))
    assert found.exception is None, found.stderr
    assert found.stdout == shown
