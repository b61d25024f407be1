"""`tocsin check`: every problem of a configuration, like a compiler."""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape

from tocsin.cli import known_contacts
from tocsin.cli.known_feeds import feed_problems
from tocsin.clock import SystemClock
from tocsin.model import Problem, Rule
from tocsin.settings import Loaded, find, lint, load

Level = Literal["error", "warning", "info"]
COLOURS = {"error": "bold red", "warning": "yellow", "info": "blue"}
LEVELS: tuple[Level, ...] = ("error", "warning", "info")


def check(
    config: Annotated[str | None, typer.Option("-c", "--config", help="The main file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when there are warnings.")] = False,
    rules: Annotated[bool, typer.Option("--rules", help="Print the rules in the order they are walked.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Fetch the calendar feeds now.")] = False,
) -> None:
    """Validate and lint the configuration. Exit 0: fine, 1: warnings with --strict, 2: errors."""
    loaded = load(find(config, os.environ))
    problems = _all_problems(loaded, online=online)
    if as_json:
        order = _rules_as_json(loaded) if rules else {}
        print(json.dumps({**report(problems), **order}, ensure_ascii=False, indent=2))
    else:
        _print_problems(problems, loaded)
    if rules and loaded.settings is not None and not as_json:
        _print_rules(loaded.settings.rules)
    raise typer.Exit(exit_code(problems, strict=strict))


def exit_code(problems: Sequence[Problem], *, strict: bool) -> int:
    counts = Counter(problem.level for problem in problems)
    if counts["error"]:
        return 2
    return 1 if strict and counts["warning"] else 0


def report(problems: Sequence[Problem]) -> dict[str, object]:
    """What --json prints."""
    counts = Counter(problem.level for problem in problems)
    return {
        "ok": not counts["error"],
        "problems": [_as_json(problem) for problem in problems],
        "counts": {level: counts[level] for level in LEVELS},
    }


def _as_json(problem: Problem) -> dict[str, object]:
    where = problem.where
    place: dict[str, object] = {"file": where.file, "line": where.line, "column": where.column}
    return {**place, "level": problem.level, "code": problem.code, "message": problem.message}


def _rules_as_json(loaded: Loaded) -> dict[str, object]:
    """With --rules: their names, in the order they are walked."""
    return {"rules": [rule.name for rule in loaded.settings.rules] if loaded.settings is not None else []}


def _all_problems(loaded: Loaded, *, online: bool) -> list[Problem]:
    """The reader's, and the lint's and the feeds' where there is something to lint."""
    if loaded.settings is None:
        return list(loaded.problems)
    settings, feeds = feed_problems(loaded.settings, loaded.places, online=online)
    linted = lint(settings, SystemClock().now(), loaded.places)
    return [*loaded.problems, *feeds, *linted, *known_contacts.findings(loaded)]


def _print_problems(problems: Sequence[Problem], loaded: Loaded) -> None:
    console = Console(soft_wrap=True, highlight=False, no_color=not sys.stdout.isatty())
    for problem in problems:
        level = f"[{COLOURS[problem.level]}]{problem.level}[/]"
        console.print(f"[bold]{escape(str(problem.where))}:[/] {level}: {escape(problem.message)}")
    console.print(escape(summary(problems, loaded)))


def summary(problems: Sequence[Problem], loaded: Loaded) -> str:
    """One line: what was checked, and how it stands."""
    counts = Counter(problem.level for problem in problems)
    said = ", ".join(_count(counts[level], level) for level in LEVELS if counts[level]) or "no problems"
    files = _count(len(loaded.files), "file")
    if loaded.settings is None:
        return f"{loaded.main}: {said} in {files}; this configuration cannot be used"
    settings = loaded.settings
    sizes = (("user", settings.users), ("service", settings.services), ("rule", settings.rules))
    content = ", ".join(_count(len(names), word) for word, names in sizes)
    return f"{loaded.main}: {said} in {files} ({content}; configuration {settings.hash})"


def _count(number: int, word: str) -> str:
    plural = word if word == "info" or number == 1 else f"{word}s"
    return f"{number} {plural}"


def _print_rules(rules: Sequence[Rule]) -> None:
    for number, rule in enumerate(rules, 1):
        ends = " (ends the walk)" if rule.stop or rule.drop else ""
        print(f"{number:4}  {rule.where}  {rule.name}{ends}")
