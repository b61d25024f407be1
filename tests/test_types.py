"""Strict types over all that is written here, tests and benchmarks too; whatever is overlooked says why."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent
FOLDERS = ("daemon", "integrations", "tests", "benchmarks")
MARK = "  " + "# type: ignore"
WHY = re.compile(r"# type: ignore\[[\w, -]+\]  # \w")


def overlooked(file: Path) -> list[str]:
    """Comments that tell the type checker to overlook something."""
    lines = enumerate(file.read_text().splitlines(), 1)
    return [f"{file.relative_to(ROOT)}:{number}: {line.strip()}" for number, line in lines if MARK in line]


def test_what_the_type_checker_overlooks_says_which_error_and_why() -> None:
    files = [file for folder in FOLDERS for file in sorted((ROOT / folder).rglob("*.py"))]

    found = [line for file in files for line in overlooked(file)]

    assert len(files) > 500
    assert [line for line in found if not WHY.search(line)] == []
    assert len([line for line in found if line.startswith(("tests", "benchmarks"))]) <= 20, (
        "rather a type than a comment"
    )


def test_the_type_checker_reads_every_folder_as_strictly() -> None:
    """Only a library without types is let off, by its name."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]

    assert settings["strict"] is True
    assert {*FOLDERS, "conftest.py"} <= set(settings["files"])
    for exception in settings["overrides"]:
        assert set(exception) == {"module", "ignore_missing_imports"}
        assert not [name for name in exception["module"] if name.startswith(("tocsin", *FOLDERS))]
