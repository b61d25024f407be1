"""Forty and more mistakes in one configuration of several files: each is found in its line, and nothing else is."""

from __future__ import annotations

import re
import shutil
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.settings.conftest import Folder
from tocsin.model import instant
from tocsin.settings import load
from tocsin.settings.review import review

PLANTED = Path(__file__).with_name("planted")
NOW = instant(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))
ENV = {"TOKEN": "4f9d2c7be1a05836dd10c4f2a7b9e683", "TWILIO": "b8e1f70c93d24a65a0c7e52d19f83b64", "SHORT": "hunter2"}


def planted() -> set[tuple[str, int, str]]:
    return {
        (file.name, number, line.partition("← ")[2].strip())
        for file in PLANTED.glob("*.yaml")
        for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), 1)
        if "# ← " in line
    }


@pytest.fixture
def copied(folder: Folder) -> Folder:
    """As nobody but its owner may write it, which a checkout may not keep."""
    for file in PLANTED.glob("*.yaml"):
        shutil.copyfile(file, folder.path / file.name)
        (folder.path / file.name).chmod(0o600)
    return folder


def found(folder: Folder) -> set[tuple[str, int, str]]:
    problems = review(load(folder.path / "tocsin.yaml", env=ENV), NOW).problems
    return {(Path(one.where.file).name, one.where.line, one.code) for one in problems if one.code != "no-effect-yet"}


def test_each_planted_mistake_is_found_in_its_line_and_nothing_else_is(copied: Folder) -> None:
    assert found(copied) == planted()


def test_there_are_forty_of_different_kinds() -> None:
    assert len({code for _, _, code in planted()}) >= 40


def test_the_reports_place_is_where_the_culprit_stands(copied: Folder) -> None:
    """Not somewhere in its line: at the word that is to be changed."""
    loaded = load(copied.path / "tocsin.yaml", env=ENV)
    words = {}
    for problem in review(loaded, NOW).problems:
        line = loaded.files[problem.where.file].decode().splitlines()[problem.where.line - 1]
        words[problem.code] = re.split(r"[\s,}\]]", line[problem.where.column - 1 :])[0]

    assert words["unknown-zone"] == "Europe/Lisboa"
    assert words["unknown-name"] == "anna"
    assert words["unknown-key"] == "rle:"
    assert words["long-wait"] == "3d"
    assert words["impossible-match"] == "'alertname=\"DiskSlow\"'"
    assert words["far-start"] == "2062-01-05"
    assert words["volatile-key"] == "timestamp"
