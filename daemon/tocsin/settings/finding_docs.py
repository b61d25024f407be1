"""Documentation of each code of a finding, out of the manual: docs/checks.md, one section a code."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType

from tocsin.model import Problem

MANUAL = Path(__file__).with_name("checks.md")  # a link to docs/checks.md; a file of its own in a wheel
PAGE = "docs/checks.md"

_SECTION = re.compile(r"^## `([a-z-]+)`\n(.*?)(?=^## `|^# [A-Z]|\Z)", re.MULTILINE | re.DOTALL)
_BODY = re.compile(r"\s*\*([a-z, ]+)\.\* (.+?)\n\n\*\*Why\.\*\* (.+?)\n\n\*\*Write\.\*\* (.+?)\n\n", re.DOTALL)
_HINT = re.compile(r"(?:; |\(|, )((?:write|run|give|save|remove|put|begin|say|name) .+?)\)?$")
_MEANT = re.compile(r"\(did you mean '([^']+)'\?\)")


@dataclass(frozen=True, slots=True)
class FindingDoc:
    """A section of the manual: `levels` it comes with, a `title`, `why` it matters, what to write (`fix`)."""

    name: str
    levels: tuple[str, ...]
    title: str
    why: str
    fix: str
    section: str

    @property
    def url(self) -> str:
        return f"{PAGE}#{self.name}"


@lru_cache(maxsize=1)
def codes() -> Mapping[str, FindingDoc]:
    """The documented codes by name, in the manual's order."""
    text = MANUAL.read_text(encoding="utf-8")
    return MappingProxyType({found[1]: _code(found[1], found[2]) for found in _SECTION.finditer(text)})


def _code(name: str, body: str) -> FindingDoc:
    found = _BODY.match(body)
    if found is None:
        raise ValueError(f"{PAGE}: the section {name} lacks its level, Why or Write")
    levels, title, why, fix = (" ".join(part.split()) for part in found.groups())
    return FindingDoc(name, tuple(levels.split(", ")), title, why, fix, f"## `{name}`\n{body}".rstrip())


def why(problem: Problem) -> str:
    """The reason why a finding matters."""
    return codes()[problem.code].why


def fix(problem: Problem) -> str:
    """The text on what to write: the finding's own word for it, else what its message says, else the manual's."""
    return problem.fix or hint(problem.message) or codes()[problem.code].fix


def hint(message: str) -> str:
    """The part of a reader's message that says what to write; "" when there is none."""
    meant, said = _MEANT.search(message), _HINT.search(message)
    return f"write {meant[1]}" if meant else said[1] if said else ""
