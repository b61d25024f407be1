"""docs/checks.md has a section for each code, and its examples do what it says."""

from __future__ import annotations

import ast
import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.settings.conftest import Folder
from tocsin.model import instant
from tocsin.settings import load
from tocsin.settings.finding_docs import MANUAL, codes
from tocsin.settings.review import Review, review

ROOT = Path(__file__).parents[2]
NOW = instant(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))  # a Monday
TEXT = (ROOT / "docs" / "checks.md").read_text(encoding="utf-8")
BASE = re.findall(r"```yaml\n(.*?)```", TEXT.partition("How the examples are written")[2], re.DOTALL)[0]
ENV = {"TOKEN": "4f9d2c7be1a05836dd10c4f2a7b9e683", "OTHER": "b8e1f70c93d24a65a0c7e52d19f83b64"}
DOUBTS = {("bo", "terminal"): "is not verified"}
OF_OTHERS = {"rule_tests.py", "overlay.py"}  # what `rules test` and `backtest` say of files that are their own
FETCHED = "feed-"  # what these tell was met by whoever fetched a calendar: tests/cli/test_feeds.py
WITHOUT_EXAMPLE = {
    "internal",
    "emptied",
    "left-behind",
}  # nothing is known that leads there; what `tocsin check` compares
SHOWN = [code for code in codes() if not code.startswith(FETCHED) and code not in WITHOUT_EXAMPLE]


def examples(code: str) -> list[str]:
    return re.findall(r"```yaml\n(.*?)```", codes()[code].section, re.DOTALL)


def written(folder: Folder, example: str) -> set[tuple[str, int, str]]:
    """Writes an example's files, and returns what its arrows mark: (file, line, code; "" for the section's own)."""
    parts = re.split(r"^# --- (\S+)(?: \(mode (\d+)\))?\n", example.replace("␇", "\a"), flags=re.MULTILINE)
    files = [("tocsin.yaml", "600", parts[0]), *zip(parts[1::3], parts[2::3], parts[3::3], strict=True)]
    marked = set()
    for name, mode, content in files:
        for number, line in enumerate(content.splitlines(), 1):
            if "←" in line:
                words = line.partition("←")[2].split() or [""]
                marked |= {(name, number, word) for word in words}
        bare = re.sub(r"[ ]*(#[ ]*)?←.*$", "", content, flags=re.MULTILINE)
        folder.write({name: bare + (rest_of(example) if name == "tocsin.yaml" else "")})
        (folder.path / name).chmod(int(mode or "600", 8))
    return marked


def rest_of(example: str) -> str:
    """The lines of the base whose sections the example does not write."""
    if re.search("^---", example, re.MULTILINE):
        return ""
    own = set(re.findall(r"^(?:# without )?(\w+):?", example, re.MULTILINE))
    return "".join(line for line in BASE.splitlines(keepends=True) if line.partition(":")[0] not in own)


def reviewed(folder: Folder, code: str) -> Review:
    loaded = load(folder.path / "tocsin.yaml", env=ENV)
    return review(loaded, NOW, doubts=DOUBTS if code == "unverified-contact" else {})


def found(folder: Folder, review_: Review) -> set[tuple[str, int, str]]:
    return {
        (str(Path(problem.where.file).relative_to(folder.path)), problem.where.line, problem.code)
        for problem in review_.problems
    }


@pytest.mark.parametrize("code", SHOWN)
def test_the_first_example_has_this_finding_in_its_marked_line_and_no_other(folder: Folder, code: str) -> None:
    marked = {(file, line, word or code) for file, line, word in written(folder, examples(code)[0])}

    review_ = reviewed(folder, code)

    later = {one for one in found(folder, review_) if one[2] == "no-effect-yet"} - marked
    assert found(folder, review_) - later == marked, [str(problem) for problem in review_.problems]
    assert {problem.level for problem in review_.problems if problem.code == code} <= set(codes()[code].levels)
    assert code in {word for _, _, word in marked}


@pytest.mark.parametrize("code", SHOWN)
def test_the_mended_one_has_none(folder: Folder, code: str) -> None:
    written(folder, examples(code)[1])

    review_ = reviewed(folder, code)

    assert [str(one) for one in review_.problems if one.code != "no-effect-yet" or code == "no-effect-yet"] == []


def test_every_code_of_the_reader_and_the_lint_has_its_section() -> None:
    files = [one for one in (ROOT / "daemon/tocsin/settings").rglob("*.py") if one.name not in OF_OTHERS]
    used = {code for file in files for code in codes_in(file)}

    assert used - {"bad-name"} <= set(codes())
    assert set(SHOWN) <= used


def test_every_code_of_a_fetched_calendar_has_its_section() -> None:
    told = (ROOT / "daemon/tocsin/cli/known_feeds.py").read_text()
    assert set(codes()) - set(SHOWN) - WITHOUT_EXAMPLE == set(re.findall(r'"(feed-[a-z-]+)"', told))


def codes_in(file: Path) -> set[str]:
    """Text constants that are given as a code: to Problem, or to a function that makes one."""
    makers = {
        "error": 1, "warn": 1, "note": 2, "trouble": 1, "_problem": 1, "_nothing": 1, "_refuse": 1, "Problem": 2,
        "_missing": 9, "_warning": 1,
    }  # fmt: skip
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            name = getattr(node.func, "attr", getattr(node.func, "id", ""))
            place = makers.get(name, 99)
            if name == "note" and "lint" in file.parts:
                place = 1
            given = [*node.args[place : place + 1], *(word.value for word in node.keywords if word.arg == "code")]
            given += node.args[4:5] if name == "Word" else []
            found |= {one.value for one in given if isinstance(one, ast.Constant) and isinstance(one.value, str)}
    return found


def test_the_package_carries_the_manual() -> None:
    assert MANUAL.read_text(encoding="utf-8") == TEXT
    assert len(codes()) == len(re.findall(r"^## `", TEXT, re.MULTILINE))
