"""`tocsin check`: every problem of a configuration, like a compiler, with why it matters and what to write."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer

from tocsin.cli.configuration import state_folder
from tocsin.cli.known_contacts import known_doubts
from tocsin.cli.known_feeds import feed_problems
from tocsin.cli.known_leavers import known_leavers
from tocsin.cli.sarif import sarif
from tocsin.cli.tables import Line, print_lines
from tocsin.cli.trouble import WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.model import Problem, Rule, Where
from tocsin.settings import LastGood, Loaded, find, load
from tocsin.settings import emptied as settings_emptied
from tocsin.settings.document.scalars import did_you_mean
from tocsin.settings.finding_docs import codes, fix, hint, why
from tocsin.settings.lint import NO_DOUBTS
from tocsin.settings.review import Review, review

Level = Literal["error", "warning", "info"]
COLOURS = {"error": "bold red", "warning": "yellow", "info": "blue"}
LEVELS: tuple[Level, ...] = ("error", "warning", "info")


def check(
    config: Annotated[str | None, typer.Option("-c", "--config", help="The main file.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
    as_sarif: Annotated[bool, typer.Option("--sarif", help="Print SARIF 2.1.0, for code review.")] = False,
    strict: Annotated[bool, typer.Option("--strict", help="Exit 1 when there are warnings.")] = False,
    brief: Annotated[bool, typer.Option("--brief", help="One line a finding, without why and what to write.")] = False,
    disable: Annotated[
        list[str] | None, typer.Option("--disable", metavar="CODE", help="Leave out findings of this code. Repeatable.")
    ] = None,
    explain: Annotated[
        str | None, typer.Option("--explain", metavar="CODE", help="Print the manual's section about a code.")
    ] = None,
    rules: Annotated[bool, typer.Option("--rules", help="Print the rules in the order they are walked.")] = False,
    online: Annotated[bool, typer.Option("--online", help="Fetch the calendar feeds now.")] = False,
) -> None:
    """Validate and lint the configuration. Exit 0: fine, 1: warnings with --strict, 2: errors."""
    if explain is not None:
        print(section(explain))
        return
    if as_json and as_sarif:
        raise Trouble("--json and --sarif are two formats; write one of them", WRONG)
    disabled = disabled_codes(disable or [])
    loaded = load(find(config, os.environ))
    beside = [*emptied(loaded), *left_behind(loaded)]
    loaded = _with_feeds(replace(loaded, problems=(*loaded.problems, *beside)), online=online)
    doubts = known_doubts(loaded.settings) if loaded.settings is not None else NO_DOUBTS
    found = review(loaded, SystemClock().now(), doubts=doubts, disabled=disabled)
    if as_sarif:
        written = sarif(found, usable=loaded.settings is not None, lines=_lines(loaded), root=Path.cwd())
        print(json.dumps(written, ensure_ascii=False, indent=2))
    elif as_json:
        order = _rules_as_json(loaded) if rules else {}
        print(json.dumps({**report(found), **order}, ensure_ascii=False, indent=2))
    else:
        print_lines(_told(found, loaded, brief=brief))
    if rules and loaded.settings is not None and not as_json and not as_sarif:
        _print_rules(loaded.settings.rules)
    raise typer.Exit(exit_code(found.problems, strict=strict))


def emptied(loaded: Loaded) -> Iterator[Problem]:
    """Warn where a configuration pages nobody, or no longer: where a start or a reload would ask for `--yes`."""
    current = loaded.settings
    if current is None:
        return
    kept = LastGood(state_folder(loaded.main), loaded.main).load()
    lost = settings_emptied(kept.settings, current) if kept is not None and kept.settings is not None else ()
    if lost:
        said = f"nothing is left of {', '.join(lost)}, where the last good configuration has some"
        yield Problem(Where(str(loaded.main), 1, 1), "warning", "emptied", said)
    elif not current.users and not current.integrations:
        said = "there are no users and no integrations, so nobody is paged"
        yield Problem(Where(str(loaded.main), 1, 1), "warning", "emptied", said)


def left_behind(loaded: Loaded) -> Iterator[Problem]:
    """Warn of what still waits for people who are no longer configured."""
    found = known_leavers(loaded.settings) if loaded.settings is not None else []
    for said in found:
        yield Problem(Where(str(loaded.main), 1, 1), "warning", "left-behind", said)


def exit_code(problems: Sequence[Problem], *, strict: bool) -> int:
    counts = Counter(problem.level for problem in problems)
    if counts["error"]:
        return 2
    return 1 if strict and counts["warning"] else 0


# ---------------------------------------------------------------------------------- codes, by name


def section(code: str) -> str:
    """The manual's section about a code."""
    found = codes().get(code)
    if found is None:
        raise Trouble(f"there is no code '{code}'{did_you_mean(code, codes())}; docs/checks.md has them all", WRONG)
    return found.section


def disabled_codes(given: Sequence[str]) -> frozenset[str]:
    """`--disable a --disable b,c`. What is an error stays one: the daemon would not start with it."""
    names = [name.strip() for words in given for name in words.split(",") if name.strip()]
    for name in names:
        section(name)
        if codes()[name].levels == ("error",):
            raise Trouble(f"{name} is an error, and errors cannot be disabled", WRONG)
    return frozenset(names)


# ------------------------------------------------------------------------------------------- JSON


def report(found: Review) -> dict[str, object]:
    """The JSON that --json prints."""
    counts = Counter(problem.level for problem in found.problems)
    return {
        "ok": not counts["error"],
        "problems": [_as_json(problem) for problem in found.problems],
        "ignored": [{**_as_json(ignored.problem), "reason": ignored.reason} for ignored in found.ignored],
        "counts": {level: counts[level] for level in LEVELS},
    }


def _as_json(problem: Problem) -> dict[str, object]:
    where = problem.where
    place: dict[str, object] = {"file": where.file, "line": where.line, "column": where.column}
    said = {"level": problem.level, "code": problem.code, "message": problem.message}
    return {**place, **said, "why": why(problem), "fix": fix(problem), "url": codes()[problem.code].url}


def _rules_as_json(loaded: Loaded) -> dict[str, object]:
    """The JSON that --rules adds: the names of the rules, in the order they are walked."""
    return {"rules": [rule.name for rule in loaded.settings.rules] if loaded.settings is not None else []}


def _with_feeds(loaded: Loaded, *, online: bool) -> Loaded:
    """Add the shifts that calendar feeds bring, and what is wrong with the feeds."""
    if loaded.settings is None:
        return loaded
    settings, found = feed_problems(loaded.settings, loaded.places, online=online)
    draft = replace(loaded.draft, settings=settings) if loaded.draft is not None else None
    return replace(loaded, settings=settings, draft=draft, problems=(*loaded.problems, *found))


def _lines(loaded: Loaded) -> Mapping[str, Sequence[str]]:
    return {file: raw.decode("utf-8", "replace").split("\n") for file, raw in loaded.files.items()}


# ------------------------------------------------------------------------------------------- text


def _told(found: Review, loaded: Loaded, *, brief: bool) -> Iterator[Line]:
    """Yield the lines that tell each finding. Why a code matters is said once; what to write, wherever the message does
    not say it.
    """
    told: set[str] = set()
    for problem in found.problems:
        level, code = (problem.level, COLOURS[problem.level]), (f"[{problem.code}]", "dim")
        yield (f"{problem.where}:", "bold"), (" ", ""), level, (f": {problem.message} ", ""), code
        if not brief:
            yield from _help(problem, told)
    yield ((summary(found.problems, loaded), ""),)
    yield from _groups(found)


def _help(problem: Problem, told: set[str]) -> Iterator[Line]:
    if problem.code not in told and problem.level != "info":
        yield ((f"    why: {why(problem)}", ""),)
    if (problem.fix or not hint(problem.message)) and problem.level != "info":
        yield ((f"    fix: {fix(problem)}", ""),)
    told.add(problem.code)


def _groups(found: Review) -> Iterator[Line]:
    counts = Counter(problem.code for problem in found.problems)
    if counts:
        groups = ", ".join(f"{code} {number}" for code, number in counts.most_common())
        yield ((f"by code: {groups} (tocsin check --explain CODE tells more)", ""),)
    if found.ignored:
        yield ((f"{_count(len(found.ignored), 'finding')} ignored by comments", ""),)


def summary(problems: Sequence[Problem], loaded: Loaded) -> str:
    """A line with what was checked, and how it stands."""
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
