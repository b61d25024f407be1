"""What is valid and still worth a second look: gaps, silence, people nobody can reach, names nobody uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType

from tocsin.model import Instant, Problem
from tocsin.settings.lint import (
    doors,
    integrations,
    matching,
    names,
    people,
    policies,
    rules,
    schedules,
    secrets,
    windows,
)
from tocsin.settings.lint.facts import Doubts, Facts
from tocsin.settings.loading import Loaded
from tocsin.settings.reading import MOST_PROBLEMS

ASKED: tuple[Callable[[Facts], Iterator[Problem]], ...] = (
    doors.findings,
    integrations.findings,
    secrets.findings,
    schedules.findings,
    people.findings,
    policies.findings,
    names.findings,
    matching.findings,
    rules.findings,
    windows.findings,
)
NO_DOUBTS: Doubts = MappingProxyType({})


def lint(loaded: Loaded, now: Instant, doubts: Doubts = NO_DOUBTS) -> tuple[Problem, ...]:
    """Findings of level warning and info. Of a configuration with errors: what holds whatever they will be mended to.

    `doubts`: (user, contact's name) → why pages may not arrive there ("is not verified"), as the database knows.
    """
    if loaded.draft is None or len(loaded.problems) >= MOST_PROBLEMS:  # not all errors are known then
        return ()
    facts = Facts(loaded.draft, now, loaded.paths, loaded.problems, doubts)
    return tuple(dict.fromkeys(problem for ask in ASKED for problem in ask(facts)))


__all__ = ["Doubts", "lint"]
