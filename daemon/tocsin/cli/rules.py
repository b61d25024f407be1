"""`tocsin rules test DIR`: tests of one's own rules, for continuous integration."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin import logs
from tocsin.cli.configuration import asked_for, errors_in, print_problems
from tocsin.cli.tables import print_json, say
from tocsin.cli.trouble import REFUSED, WRONG, Trouble
from tocsin.replay.trials import BENCH, Differs, run_trial
from tocsin.settings import Loaded, load, load_alone, load_over
from tocsin.settings.rule_tests import Trial, TrialFile, read_trials

RULES = ("rules", "lookups", "inhibitions", "maintenance", "storm")
app = typer.Typer(help="Rules: test.", no_args_is_help=True)


@dataclass(frozen=True, slots=True)
class Result:
    trial: Trial
    differs: tuple[Differs, ...]


@app.callback()
def _rules() -> None:
    """Rules."""


@app.command("test")
def run_tests(
    where: Annotated[Path, typer.Argument(metavar="DIR", help="A folder of *.yaml with tests, or one such file.")],
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file whose rules are tested.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Play the alerts of each test through the production engine and compare with what the test expects.

    Nothing is sent or stored. Tests that name their own `rules` need no configuration. Exit 0: all as expected;
    1: something differs, told with file and line; 2: a test or the configuration cannot be read.
    """
    files = _files(where)
    with logs.quiet():
        results = [result for file in files for result in _run_all(file, config)]
    if as_json:
        print_json(_as_json(results))
    else:
        _show(results)
    if any(result.differs for result in results):
        raise typer.Exit(REFUSED)


def _files(where: Path) -> list[TrialFile]:
    paths = sorted(where.glob("*.yaml")) if where.is_dir() else [where]
    if not paths:
        raise Trouble(f"{where}: no file matches {where / '*.yaml'}", WRONG)
    try:
        files = [read_trials(path) for path in paths]
    except OSError as wrong:
        raise Trouble(f"{wrong.filename}: {wrong.strerror}", WRONG) from None
    problems = tuple(problem for file in files for problem in file.problems)
    if any(problem.level == "error" for problem in problems):
        print_problems(problems)
        raise Trouble(errors_in(problems).replace("configuration", "tests"), WRONG)
    return files


def _run_all(file: TrialFile, config: Path | None) -> Iterator[Result]:
    loaded = _loaded(file, config)
    if loaded.settings is None:
        print_problems(loaded.problems)
        raise Trouble(f"{file.path}: {errors_in(loaded.problems)}", WRONG)
    for trial in file.trials:
        yield Result(trial, asyncio.run(run_trial(trial, loaded)))


def _loaded(file: TrialFile, config: Path | None) -> Loaded:
    """The configuration, with the file's own rules where it names some; these need none, and are put on the bench."""
    if config is None and file.rules:
        return load_alone(BENCH, file.rules, only=RULES)
    main = asked_for(config)
    if not os.path.isfile(main):
        raise Trouble(f"{main}: no such file; give the configuration with -c, or name `rules` in {file.path}", WRONG)
    if file.rules:
        return load_over(main, file.rules, always=("rules",), only=RULES)
    return load(main, env=os.environ, made_up_secrets=True)


def _as_json(results: Sequence[Result]) -> dict[str, Any]:
    return {
        "passed": sum(not result.differs for result in results),
        "failed": sum(bool(result.differs) for result in results),
        "tests": [
            {
                "file": result.trial.where.file,
                "line": result.trial.where.line,
                "name": result.trial.name,
                "ok": not result.differs,
                "differences": [
                    {"file": one.where.file, "line": one.where.line, "column": one.where.column, "message": one.message}
                    for one in result.differs
                ],
            }
            for result in results
        ],
    }


def _show(results: Sequence[Result]) -> None:
    for result in results:
        if result.differs:
            say(f"FAILED {result.trial.name}")
            for one in result.differs:
                say(f"  {one}")
    failed = sum(bool(result.differs) for result in results)
    count = f"{len(results)} test{'' if len(results) == 1 else 's'}"
    say(f"{count}, {failed} failed" if failed else f"{count}, all as expected")
