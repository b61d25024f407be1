"""A reading of a configuration: collects every problem, and knows all names before any value is read."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tocsin.model import Problem, Where
from tocsin.settings.document.nodes import Node
from tocsin.settings.document.scalars import did_you_mean, nearest
from tocsin.settings.plugins import Kinds

MOST_PROBLEMS = 1000
LONGEST_MESSAGE = 1000
MANY_NAMES = 500
_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")

SINGULAR = {
    "users": "user", "teams": "team", "schedules": "schedule", "policies": "policy", "services": "service",
    "channels": "channel", "integrations": "integration", "calendars": "calendar", "lookups": "lookup",
    "categories": "category", "contacts": "contact",
}  # fmt: skip


@dataclass(slots=True)
class Reading:
    """`declared`: section → name → place, of all files. `left_out`: names that are valid and without
    effect (a kind still to come, a missing secret after a bad start); who refers to them is told so."""

    env: Mapping[str, str]
    kinds: Kinds
    lenient_secrets: bool = False
    made_up_secrets: bool = False  # a text stands for each missing secret: to think with, never to send with
    owners: frozenset[int] | None = None  # whose files are believed; None: anybody's
    incomplete: bool = False  # a file could not be read: names may be missing for that reason alone
    folders: dict[str, Path] = field(default_factory=dict)  # shown file name → its directory
    declared: dict[str, dict[str, Where]] = field(default_factory=dict)
    hidden: set[str] = field(default_factory=set)  # sections of which a part is written and could not be read
    unsure: list[Where] = field(default_factory=list)  # where a name stands that is not known, for such a reason alone
    left_out: dict[tuple[str, str], str] = field(default_factory=dict)
    without_effect: set[str] = field(default_factory=set)
    values: dict[str, Any] = field(default_factory=dict)  # sections read so far, as model values
    attached: dict[str, bytes] = field(default_factory=dict)  # path → what it holds: tables beside the rules
    tables: dict[str, Any] = field(default_factory=dict)  # path → its columns and rows
    phones: dict[str, tuple[str, Where]] = field(default_factory=dict)  # number → whose it is, and where
    zone: str = ""  # of the person that is being read; "" = the default
    problems: list[Problem] = field(default_factory=list)
    _seen: set[Problem] = field(default_factory=set)
    _by_beginning: dict[str, dict[str, list[str]]] = field(default_factory=dict)
    _counts: Counter[str] = field(default_factory=Counter)

    def error(self, node: Node, code: str, message: str, *, at: Where | None = None) -> None:
        """A mistake at the node's value; the message begins with the key it belongs to."""
        self.note("error", at or node.at, code, f"{node.key}: {message}" if node.key else message)

    def warn(self, node: Node, code: str, message: str, *, at: Where | None = None) -> None:
        """Valid, and probably not what is wanted."""
        self.note("warning", at or node.at, code, f"{node.key}: {message}" if node.key else message)

    def stumbled(self, node: Node, bug: BaseException) -> None:
        """A mistake at the node that nobody expected: it is reported, and costs its own value only."""
        key = f"{node.key}: " if node.key else ""
        self.note("error", node.at, "internal", f"{key}{stumbling(bug)}")

    def no_effect(self, node: Node, name: str) -> None:
        """A key or section that is validated and acts on nothing yet."""
        self.note("info", node.key_at, "no-effect-yet", f"{name}: is valid and has no effect yet")

    def note(self, level: str, where: Where, code: str, message: str) -> None:
        problem = Problem(where, level, code, one_line(_shown(message)))  # type: ignore[arg-type]  # one of three words
        if problem not in self._seen and self._counts[level] < MOST_PROBLEMS:
            self._seen.add(problem)
            self._counts[level] += 1
            self.problems.append(problem)

    @property
    def failed(self) -> bool:
        return any(problem.level == "error" for problem in self.problems)

    @property
    def full(self) -> bool:
        """Whether so many errors are known that nobody reads more: what is left need not be read."""
        return self._counts["error"] >= MOST_PROBLEMS

    def names(self, section: str) -> Iterable[str]:
        return self.declared.get(section, {})

    def knows(self, node: Node, section: str, name: str) -> bool:
        """Whether `name` exists in `section`; where it does not, says so at `node`.

        While a file or the section is unreadable only likely slips are told: the name may stand there.
        """
        if name in self.declared.get(section, {}):
            return True
        whole = not self.incomplete and section not in self.hidden
        alike = self._alike(name, section)
        if whole or nearest(name, alike):
            hint = did_you_mean(name, alike)
            self.error(node, "unknown-name", f"no such {SINGULAR[section]} '{name}'{hint}")
        else:
            self.unsure.append(node.at)
        return False

    def _alike(self, name: str, section: str) -> Iterable[str]:
        """Names that may be meant: of very many those that begin alike, found once."""
        names = self.declared.get(section, {})
        if len(names) <= MANY_NAMES:
            return names
        if section not in self._by_beginning:
            found = self._by_beginning[section] = {}
            for one in names:
                found.setdefault(_beginning(one), []).append(one)
        return self._by_beginning[section].get(_beginning(name), [])[:MANY_NAMES]


def _shown(message: str) -> str:
    """The message without the middle of a very long text that it quotes."""
    return message if len(message) <= LONGEST_MESSAGE else f"{message[:400]} … {message[-400:]}"


def stumbling(bug: BaseException) -> str:
    """The message for an error of ours."""
    said = " ".join(str(bug).split())[:200]
    kind = type(bug).__name__
    return f"Tocsin cannot read this ({kind}{': ' * bool(said)}{said}); write it another way, and report this as a bug"


def _beginning(name: str) -> str:
    return name[:2].lower()


def one_line(message: str) -> str:
    """Control characters as one would write them: a message stays one line, whatever it quotes."""
    return _CONTROL.sub(_spelt, message)


def _spelt(found: re.Match[str]) -> str:
    return found.group().encode("unicode_escape").decode("ascii")
