"""Nothing public changes unsaid: import names, entry points, metrics, HTTP, commands, configuration, database."""

from __future__ import annotations

import difflib
import importlib
from pathlib import Path

import pytest

from tests.public.names import exported, kinds, members

HERE = Path(__file__).parent
WHAT_TO_DO = (
    "A public name changed. Others have written it down: keep the old one where you can. If it is meant, tell it in "
    "CHANGELOG.md (what to write instead), and write the page anew with\n\n    python -m tests.public.names\n"
)


@pytest.mark.parametrize("page", kinds())
def test_public_names_are_those_written_down(page: str) -> None:
    written, found = (HERE / page).read_text().splitlines(), kinds()[page]()

    changes = "\n".join(difflib.unified_diff(written, found, f"tests/public/{page}", "the code", lineterm="", n=0))
    assert changes == "", f"{changes}\n\n{WHAT_TO_DO}"


def test_each_page_belongs_to_a_kind() -> None:
    assert {path.name for path in HERE.glob("*.txt")} == set(kinds())


@pytest.mark.parametrize("module", ["tocsin.contracts", "tocsin.errors", "tocsin.model", "tocsin.testing"])
def test_what_is_exported_is_there(module: str) -> None:
    loaded = importlib.import_module(module)

    assert [name for name in exported(module) if not hasattr(loaded, name)] == []


def test_a_field_and_a_method_that_change_are_seen() -> None:
    class Before:
        limit: int

        def send(self, message: str) -> None: ...

    class After:
        limit: float

        async def send(self, message: str) -> None: ...

    before, after = list(members("Before", Before)), list(members("Before", After))
    assert [(old, new) for old, new in zip(before, after, strict=True) if old != new] == [
        ("Before: limit: int", "Before: limit: float"),
        ("Before: send(self, message: str) -> None", "Before: async send(self, message: str) -> None"),
    ]
