"""`tocsin oncall [SCHEDULE]`: who is on call now or at a time, or all shifts of a window."""

from __future__ import annotations

import difflib
import os
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.configured import errors_in, locate, print_problems
from tocsin.cli.tables import print_json, print_table, warn
from tocsin.cli.trouble import REFUSED, WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.decide.oncall import Shifts, local_instant, on_call, shifts, zone_of
from tocsin.model import Instant, Schedule, Settings, instant, rfc3339
from tocsin.settings import load

FIRST_YEAR, LAST_YEAR = 1970, 9000


def oncall(
    schedule: Annotated[str | None, typer.Argument(help="One schedule; without: all of them.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
    at: Annotated[str | None, typer.Option(help="2026-01-05T09:00:00Z, or local to the schedule.")] = None,
    since: Annotated[str | None, typer.Option("--from", help="The start of a window; needs --to.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The end of a window (not included).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Who is on call: now, --at a time, or all shifts --from a time --to another."""
    if (since is None) != (until is None) or (at is not None and since is not None):
        raise Trouble("give --at TIME, or --from TIME --to TIME", WRONG)
    settings = settings_without_secrets(config)
    chosen = _chosen(settings, schedule)
    if since is not None and until is not None:
        found = [_window(one, since, until) for one in chosen]
        _print(found, schedule, as_json, _shift_rows, ("schedule", "from", "to", "on call", "layer"), settings)
    else:
        found = [_moment(one, at) for one in chosen]
        _print(found, schedule, as_json, _who_rows, ("schedule", "at", "on call", "because"), settings)


def moment_in(text: str, timezone: str) -> Instant:
    """RFC 3339, or a time local to `timezone`. Raises Trouble that says what to write instead."""
    try:
        written = datetime.fromisoformat(text)
        if not FIRST_YEAR <= written.year <= LAST_YEAR:
            raise ValueError
        return local_instant(written.isoformat(), timezone) if written.tzinfo is None else instant(written)
    except (ValueError, OverflowError):
        raise Trouble(
            f"{text!r} is not a time; write 2026-01-05T09:00:00Z, or 2026-01-05 09:00 for {timezone}", WRONG
        ) from None


def this_second() -> Instant:
    return Instant(SystemClock().now() // 1000 * 1000)


def settings_without_secrets(config: Path | None) -> Settings:
    """Valid settings for a command that only thinks: what it needs no secret for is said, and done without."""
    main = locate(config)
    loaded = load(main, env=os.environ, made_up_secrets=True)
    missing = [one for one in loaded.problems if one.code == "secret" and one.level == "warning"]
    if missing:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        warn(f"{missing[0].where}: {missing[0].message}{others}; nothing is sent, so it does not matter here")
    if loaded.settings is None:
        print_problems(loaded.problems)
        raise Trouble(f"{main}: {errors_in(loaded.problems)}", WRONG)
    return loaded.settings


def _chosen(settings: Settings, name: str | None) -> list[Schedule]:
    if name is None:
        return list(settings.schedules.values())
    if name not in settings.schedules:
        near = difflib.get_close_matches(name, settings.schedules, 1)
        said = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(settings.schedules) or 'none'}"
        raise Trouble(f"no schedule {name!r}; {said}", REFUSED)
    return [settings.schedules[name]]


def _window(schedule: Schedule, since: str, until: str) -> dict[str, Any]:
    """The shifts of a window as the JSON of the manual."""
    start, end = moment_in(since, schedule.timezone), moment_in(until, schedule.timezone)
    if end <= start:
        raise Trouble(f"--to {until!r} is not after --from {since!r}", WRONG)
    return _shifts_json(schedule, shifts(schedule, start, end))


def _shifts_json(schedule: Schedule, found: Shifts) -> dict[str, Any]:
    zone = zone_of(schedule.timezone)
    return {
        "schedule": schedule.name,
        "shifts": [
            {
                "start": rfc3339(one.start, zone),
                "end": rfc3339(one.end, zone),
                "users": list(one.users),
                "layer": one.layer,
            }
            for one in found.shifts
        ],
        "gaps": [{"start": rfc3339(one.start, zone), "end": rfc3339(one.end, zone)} for one in found.gaps],
    }


def _moment(schedule: Schedule, at: str | None) -> dict[str, Any]:
    """Who is on call at a time as the JSON of the manual, with the layer and the reason."""
    when = this_second() if at is None else moment_in(at, schedule.timezone)
    found = on_call(schedule, when)
    return {
        "schedule": schedule.name,
        "at": rfc3339(when, zone_of(schedule.timezone)),
        "users": list(found.users),
        "layer": found.layer,
        "because": found.because,
    }


def _print(
    found: list[dict[str, Any]],
    asked: str | None,
    as_json: bool,
    rows: Any,
    columns: tuple[str, ...],
    settings: Settings,
) -> None:
    if as_json:
        print_json(found if asked is None else found[0])
    else:
        print_table(columns, rows(found, settings), empty="no schedules")


def _who_rows(found: list[dict[str, Any]], settings: Settings) -> Iterable[tuple[str, ...]]:
    for one in found:
        yield one["schedule"], _clock(one["at"]), _names(one["users"], settings), one["because"]


def _shift_rows(found: list[dict[str, Any]], settings: Settings) -> Iterable[tuple[str, ...]]:
    for one in found:
        pieces = sorted([*one["shifts"], *one["gaps"]], key=lambda piece: datetime.fromisoformat(piece["start"]))
        for piece in pieces:
            who = _names(piece.get("users", ()), settings)
            layer = piece.get("layer") or ("override" if piece.get("users") else "")
            yield one["schedule"], _clock(piece["start"]), _clock(piece["end"]), who, layer


def _names(users: Iterable[str], settings: Settings) -> str:
    known = settings.users
    return " + ".join(f"{known[key].name} ({key})" if key in known else key for key in users) or "nobody"


def _clock(text: str) -> str:
    return datetime.fromisoformat(text).strftime("%a %Y-%m-%d %H:%M %z")
