"""The habits hold together: one version, one list of checks, every Python, every sample, every decision's chapters."""

from __future__ import annotations

import re
import runpy
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

import tocsin

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
DECISIONS = sorted((ROOT / "docs" / "decisions").glob("0*.md"))


def script(name: str) -> dict[str, Any]:
    return runpy.run_path(str(ROOT / ".ci" / name))


def would_run(target: str) -> list[str]:
    """The commands of a target of the Makefile."""
    told = subprocess.run(
        ["make", "--dry-run", "--assume-old=.venv/.installed-dev", "VENV=.venv", "BIN=.venv/bin", target],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return [line.strip() for line in told.stdout.splitlines() if line.startswith((".venv/bin/", "TOCSIN_FULL"))]


# --------------------------------------------------------------------------------------- one place


def test_the_version_is_written_in_one_place() -> None:
    assert "version" in PROJECT["dynamic"]
    assert "version" not in PROJECT
    written = re.compile(rf"""version\w*["']?\s*[:=]\s*["']{re.escape(tocsin.__version__)}["']""")
    files = [ROOT / "pyproject.toml", *(ROOT / "daemon").rglob("*.py"), *(ROOT / "integrations").rglob("*.py")]
    assert [str(file.relative_to(ROOT)) for file in files if written.search(file.read_text())] == [
        "daemon/tocsin/__init__.py"
    ]


def test_a_commit_is_checked_by_what_make_check_runs() -> None:
    hooks = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"][0]["hooks"]

    assert [hook["entry"] for hook in hooks] == would_run("check")


def test_every_python_that_is_promised_is_tried() -> None:
    promised = [
        line.rpartition(" ")[2]
        for line in PROJECT["classifiers"]
        if line.startswith("Programming Language :: Python :: 3.")
    ]
    job = yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text())["jobs"]["test"]

    assert job["strategy"]["matrix"]["python"] == promised
    assert PROJECT["requires-python"] == f">={promised[0]}"
    assert {"make check", "make test"} <= {step.get("run") for step in job["steps"]}


def test_the_full_run_has_every_suite_that_takes_a_sample() -> None:
    sampled = {
        str(path.relative_to(ROOT))
        for path in (ROOT / "tests").rglob("*.py")
        if "TOCSIN_FULL" in path.read_text() and path != Path(__file__)
    }

    run = {word for line in would_run("test-full") for word in line.split() if word.startswith("tests/")}
    assert sampled == run, "what reads TOCSIN_FULL is a test file of its own in a folder of tests/"


# --------------------------------------------------------------------------------------- what moved


BEFORE = """
aiohttp==3.14.4 \\
    --hash=sha256:00
gone==1
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
"""
AFTER = """
aiohttp==3.14.6 \\
    --hash=sha256:01
colorama==0.4.6 ; sys_platform == 'win32' \\
    --hash=sha256:00
new-one==2 ; python_full_version < '3.12'
new-one==3 ; python_full_version >= '3.12'
"""


def test_a_new_lock_says_what_moved() -> None:
    changes = script("lock_changes.py")["changes"]

    assert changes(BEFORE, AFTER) == ["- aiohttp 3.14.4 → 3.14.6", "- gone 1 is gone", "- new-one 2 and 3 is new"]
    assert changes(AFTER, AFTER) == []


def test_coverage_is_told_by_room() -> None:
    def told(lines: int, ran: int, branches: int = 0, took: int = 0) -> dict[str, Any]:
        names = ("num_statements", "covered_lines", "num_branches", "covered_branches")
        return {"summary": dict(zip(names, (lines, ran, branches, took), strict=True))}

    table = script("coverage_by_room.py")["table"]
    files = {
        "daemon/tocsin/work/paging/pager.py": told(80, 60, 20, 10),
        "daemon/tocsin/work/paging/claim.py": told(20, 20),
        "daemon/tocsin/errors.py": told(10, 10),
    }
    assert [line.split() for line in table({"files": files})] == [
        ["room", "lines", "ran", "branches", "ran"],
        ["tocsin", "10", "100", "%", "0", "–"],
        ["tocsin/work/paging", "100", "80", "%", "20", "50", "%"],
        ["all", "110", "82", "%", "20", "50", "%"],
    ]


# --------------------------------------------------------------------------------------- decisions


@pytest.mark.parametrize("page", DECISIONS, ids=lambda page: page.name)
def test_a_decision_has_context_choice_alternatives_and_consequences(page: Path) -> None:
    chapters = re.findall(r"^#{2,3} (.+)$", page.read_text(), re.MULTILINE)

    assert [name for name in ("Context", "Choice", "Alternatives", "Consequences") if name not in chapters] == []
    assert re.search(r"^State: (in force|replaced by \[)", page.read_text(), re.MULTILINE)


def test_decisions_are_numbered_in_one_line_and_listed() -> None:
    listed = (ROOT / "docs" / "index.md").read_text()

    assert [int(page.name[:4]) for page in DECISIONS] == list(range(1, len(DECISIONS) + 1))
    assert [page.name for page in DECISIONS if f"decisions/{page.name}" not in listed] == []
