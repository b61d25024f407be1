"""docs/promises.md names tests that exist, for each of the twelve promises."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "promises.md").read_text()
NAMED = sorted(set(re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", PAGE)))


@pytest.mark.parametrize(("file", "name"), NAMED)
def test_a_named_test_exists(file: str, name: str) -> None:
    tree = ast.parse((ROOT / file).read_text())
    found = {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
    assert name in found, f"docs/promises.md names {file}::{name}, and there is no such test"


def test_each_promise_has_a_test() -> None:
    chapters = re.split(r"^## ", PAGE, flags=re.MULTILINE)
    promises = {chapter.split()[0]: chapter for chapter in chapters if re.match(r"I\d+ ", chapter)}
    assert list(promises) == [f"I{number}" for number in range(1, 13)]
    assert [name for name, chapter in promises.items() if "`tests/" not in chapter] == []
