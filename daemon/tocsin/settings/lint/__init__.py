"""Lint of a valid configuration: gaps, silence, people nobody can reach, names nobody uses."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from types import MappingProxyType

from tocsin.model import Instant, Problem
from tocsin.settings.document.reading import MOST_PROBLEMS, stumbling
from tocsin.settings.lint import (
    exposure,
    integrations,
    matching,
    muting,
    names,
    people,
    policies,
    rules,
    schedules,
    secrets,
)
from tocsin.settings.lint.facts import Doubts, LintFacts
from tocsin.settings.loading import Loaded

ASKED: tuple[Callable[[LintFacts], Iterator[Problem]], ...] = (
    exposure.findings,
    integrations.findings,
    secrets.findings,
    schedules.findings,
    people.findings,
    policies.findings,
    names.findings,
    matching.findings,
    rules.findings,
    muting.findings,
)
NO_DOUBTS: Doubts = MappingProxyType({})


def lint(loaded: Loaded, now: Instant, doubts: Doubts = NO_DOUBTS) -> tuple[Problem, ...]:
    """Findings of level warning and info. Of a configuration with errors: what holds whatever they will be mended to.

    `doubts`: (user, contact's name) → why pages may not arrive there ("is not verified"), as the database knows.
    """
    errors = sum(problem.level == "error" for problem in loaded.problems)
    if loaded.draft is None or errors >= MOST_PROBLEMS:  # not all of them are known then
        return ()
    facts = LintFacts(loaded.draft, now, loaded.paths, loaded.problems, doubts)
    return tuple(dict.fromkeys(problem for ask in ASKED for problem in _asked(ask, facts)))


def _asked(ask: Callable[[LintFacts], Iterator[Problem]], facts: LintFacts) -> Iterator[Problem]:
    """Yield the findings of `ask`; an error of ours ends these, is told, and leaves the other findings be."""
    try:
        yield from ask(facts)
    except Exception as bug:  # noqa: BLE001  # of whatever kind: a lint must not hide what else is wrong
        about = ask.__module__.rpartition(".")[2]
        message = f"not all of the lint of {about} could be done: {stumbling(bug)}"
        yield facts.warn(facts.written.top, "internal", message)


__all__ = ["Doubts", "lint"]
