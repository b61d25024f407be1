"""`tocsin plan NEW.yaml`: what would change if that were the configuration. Changes nothing."""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli import plan_answer, plan_tables
from tocsin.cli.configuration import asked_for, control_socket, errors_in, locate, print_problems
from tocsin.cli.explain import beside
from tocsin.cli.known_feeds import with_known_feeds
from tocsin.cli.oncall import settings_without_secrets, this_second
from tocsin.cli.plan_answer import DatabaseFacts
from tocsin.cli.tables import print_json, warn
from tocsin.cli.times import length
from tocsin.cli.trouble import REFUSED, WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.contracts import Source
from tocsin.control_socket import ask
from tocsin.decide.whatif.replay import Tally
from tocsin.model import DAY, Instant, Millis, Settings
from tocsin.settings.document.files import gather
from tocsin.settings.document.reading import Reading
from tocsin.settings.last_good import unpacked
from tocsin.settings.loading import Loaded, compiled
from tocsin.settings.plugins import INSTALLED, BrokenKind, Kinds
from tocsin.store import Reader
from tocsin.work.whatif.explain import people_in
from tocsin.work.whatif.plan import History, Sides, affected, replayed

PATIENCE = Millis(600_000)  # for the alerts of a week; the daemon is not disturbed meanwhile
AHEAD = Millis(30 * DAY)


def plan(
    new: Annotated[
        Path | None, typer.Argument(metavar="[NEW]", help="Another main file; without: what a reload would change.")
    ] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The configuration in force.")] = None,
    since: Annotated[str, typer.Option(help="How far back alerts are judged again.")] = "7d",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
    fail_on_change: Annotated[
        bool, typer.Option("--fail-on-change", help="Exit with 1 when anything would change.")
    ] = False,
) -> None:
    """Show what would change against the running configuration: shifts, policies, people, rules, alerts, open
    incidents.

    Compares with what the running daemon has in force, else with the file of -c. The database is only read.
    """
    back = Millis(int(length(since).total_seconds() * 1000))
    main, before, origin = _in_force(config)
    after = with_known_feeds(_settings_of(new or main, main), before.database)
    now = this_second()
    known = asyncio.run(_known(before, after, Instant(now - back), now))
    compared = plan_answer.Compared(before, after, now, AHEAD, Instant(now - back), known)
    answer = plan_answer.as_json(compared, origin, str(new or main))
    if as_json:
        print_json(answer)
    else:
        plan_tables.show(answer, after, before)
    if fail_on_change and answer["changes"]:
        raise typer.Exit(REFUSED)


# ------------------------------------------------------------------------------- two configurations


def _in_force(config: Path | None) -> tuple[Path, Settings, str]:
    """(main file, settings, whose they are): the daemon's, where one runs and may be asked, else the file's."""
    main = asked_for(config)
    found = _of_daemon(main)
    if found is not None and found.settings is not None:
        settings = with_known_feeds(found.settings, found.settings.database)
        return found.main, settings, f"the running daemon ({found.main})"
    main = locate(config)
    return main, settings_without_secrets(main), f"{main} (no daemon was asked)"


def _of_daemon(main: Path) -> Loaded | None:
    path = control_socket(main)
    try:
        answer = ask(path, {"do": "running"})
    except PermissionError:
        warn(f"{path} is the daemon's own; compared with the file instead")
        return None
    except (OSError, ValueError) as broken:
        warn(f"{path}: the daemon does not answer ({broken}); compared with the file instead")
        return None
    if answer is None:
        return None
    if answer.get("ok") is not True:
        warn(f"the daemon cannot tell its configuration ({answer.get('because')}); compared with the file instead")
        return None
    return unpacked(answer["configuration"], Reading(os.environ, INSTALLED, made_up_secrets=True))


def _settings_of(new: Path, main: Path) -> Settings:
    """The new file as if it stood in the old one's place: a relative database is the same one."""
    if not os.path.isfile(new):
        raise Trouble(f"{new}: no such file", WRONG)
    gathered = gather(new)
    reading = Reading(os.environ, INSTALLED, made_up_secrets=True, incomplete=gathered.incomplete)
    loaded = compiled(gathered.files, main, reading, gathered.problems)
    if loaded.settings is None:
        print_problems(loaded.problems)
        raise Trouble(f"{new}: {errors_in(loaded.problems)}", WRONG)
    return loaded.settings


# ------------------------------------------------------------------------------------ the database


async def _known(before: Settings, after: Settings, since: Instant, now: Instant) -> DatabaseFacts:
    async def look(reader: Reader) -> DatabaseFacts:
        sides = Sides(before, after, await people_in(reader, before), await people_in(reader, after))
        return await _look(reader, sides, since, now)

    found = await beside(before, look, PATIENCE)
    return found if found is not None else DatabaseFacts()


async def _look(history: History, sides: Sides, since: Instant, now: Instant) -> DatabaseFacts:
    clock = SystemClock()
    tally = await replayed(history, sides, _sources(sides), since, now, clock, _progress)
    _progress_ends()
    people = sides.people_before, sides.people_after
    return DatabaseFacts(tally, await affected(history, sides, now), *(one.overrides for one in people))


def _sources(sides: Sides) -> dict[str, Source]:
    kinds, found = Kinds(), dict[str, Source]()
    for settings in (sides.before, sides.after):
        for integration in settings.integrations.values():
            kind = kinds.kind("sources", integration.type)
            if kind is not None and not isinstance(kind, BrokenKind):
                found[integration.type] = kind
    return found


def _progress(tally: Tally) -> None:
    if sys.stderr.isatty() and tally.posts % 500 < 25:
        sys.stderr.write(f"\rjudging again: {tally.alerts:,} alerts of {tally.posts:,} posts …")
        sys.stderr.flush()


def _progress_ends() -> None:
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K")
