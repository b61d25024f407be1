"""The manual's pages on sources and channels say what the code takes, and nothing else."""

from __future__ import annotations

import re
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any

import pytest

from tocsin_integrations.sources import webhook

DOCS = Path(__file__).parents[2] / "docs"


def kinds(page: str) -> list[Any]:
    """Every kind we ship, in the order of pyproject.toml."""
    found = entry_points(group=f"tocsin.{page}")
    return [point.load() for point in found if point.value.startswith("tocsin_integrations.")]


CASES = [(page, kind) for page in ("sources", "channels") for kind in kinds(page)]


@pytest.mark.parametrize(("page", "kind"), CASES, ids=[f"{page}-{kind.type}" for page, kind in CASES])
def test_every_option_of_every_kind_is_in_the_manual(page: str, kind: Any) -> None:
    section = section_of(page, kind.type)
    documented = set(re.findall(r"^\| `(\w+)` \|", section, re.MULTILINE))
    if "as above" in section:
        documented |= set(re.findall(r"`(\w+)`", section.partition("as above")[0]))

    assert documented == set(kind.options)


@pytest.mark.parametrize(("page", "kind"), CASES, ids=[f"{page}-{kind.type}" for page, kind in CASES])
def test_every_kind_is_complete_and_cannot_be_changed(page: str, kind: Any) -> None:
    assert kind.title
    assert all(option.help for option in kind.options.values())
    with pytest.raises(TypeError):
        kind.options["more"] = None


def test_the_names_of_a_webhooks_parts_are_those_of_the_manual() -> None:
    rows = re.findall(r"^\| (\w+) \| (`.*)\|$", section_of("sources", "webhook"), re.MULTILINE)
    documented = {part: tuple(re.findall(r"`(\w+)`", names)) for part, names in rows}

    assert documented == dict(webhook.ALIASES)


def section_of(page: str, kind: str) -> str:
    text = (DOCS / f"{page}.md").read_text()
    assert f"\n## {kind}\n" in text, f"docs/{page}.md has no section {kind}"
    return text.partition(f"\n## {kind}\n")[2].partition("\n## ")[0]
