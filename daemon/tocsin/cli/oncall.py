"""`tocsin oncall [SCHEDULE]`: who is on call now or at a time; all shifts of a window; what if; how fair."""

from __future__ import annotations

import difflib
import os
from collections.abc import Collection, Iterable
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli import fairness, oncall_remote, shift_output, turnover
from tocsin.cli.configuration import by_api, errors_in, locate, print_problems
from tocsin.cli.known_feeds import with_known_feeds
from tocsin.cli.known_overrides import known_overrides
from tocsin.cli.tables import print_json, print_table, say, warn
from tocsin.cli.trouble import REFUSED, WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.decide.oncall.overrides import Extra
from tocsin.decide.oncall.resolver import OnCall, Shifts, on_call, shifts, zone_of
from tocsin.decide.oncall.time_parsing import moment_of
from tocsin.decide.oncall.turn_changes import in_words, turn_changes
from tocsin.model import DAY, Instant, Schedule, Settings, rfc3339
from tocsin.settings import load

AHEAD = 30 * DAY  # of --diff and --load, where no window is given
WIDEST = 200 * 366 * DAY

Known = tuple[Settings, Extra]

Given = tuple[str | None, str | None]
"""--from and --to, as written."""


def oncall(
    schedule: Annotated[str | None, typer.Argument(help="One schedule; without: all of them.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
    at: Annotated[
        str | None, typer.Option(help="2026-01-05T09:00:00Z, or by the schedule's clock: 2026-01-05 09:00, Tue 06:00.")
    ] = None,
    since: Annotated[str | None, typer.Option("--from", help="The start of a window; needs --to.")] = None,
    until: Annotated[str | None, typer.Option("--to", help="The end of a window (not included).")] = None,
    diff: Annotated[Path | None, typer.Option(metavar="OTHER.yaml", help="Who gains and loses which shifts.")] = None,
    load: Annotated[bool, typer.Option("--load", help="Hours, nights and weekends per person.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Show who is on call: now, --at a time, or all shifts --from a time --to another.

    --diff OTHER.yaml tells who would gain and lose which shifts with that configuration; --load how hours on call,
    nights (22:00 to 06:00 by the person's clock) and weekends are shared. Both --from a time --to another, else for
    the next 30 days.

    Overrides made at run time count where there is a database; it is only read. Where there is no configuration and
    TOCSIN_URL is set, the daemon there is asked.
    """
    _only_what_goes_together(at, since, until, diff, load)
    if by_api(config):
        if diff is not None or load:
            raise Trouble("--diff and --load need the configuration; give it with -c", WRONG)
        oncall_remote.show(schedule, at, (since, until), as_json)
        return
    settings = settings_without_secrets(config)
    extra: Extra = known_overrides(settings)
    if diff is not None:
        _print_turnover((settings, extra), _other(diff, settings), schedule, (since, until), as_json)
    elif load:
        _print_load(settings, schedule, (since, until), as_json, extra)
    elif since is not None and until is not None:
        _print_shifts(settings, schedule, (since, until), as_json, extra)
    else:
        _print_moment(settings, schedule, at, as_json, extra)


def _only_what_goes_together(
    at: str | None, since: str | None, until: str | None, diff: Path | None, load: bool
) -> None:
    if (since is None) != (until is None) or (at is not None and since is not None):
        raise Trouble("give --at TIME, or --from TIME --to TIME", WRONG)
    if (diff is not None) + load + (at is not None) > 1:
        raise Trouble("give one of --diff OTHER.yaml, --load, --at TIME; --diff and --load take --from and --to", WRONG)


def moment_in(text: str, timezone: str, after: Instant | None = None) -> Instant:
    """RFC 3339, a time local to `timezone`, or the next `Sunday 03:10` after `after` (now). Raises Trouble that says
    what to write instead."""
    try:
        return moment_of(text, timezone, this_second() if after is None else after)
    except ValueError as wrong:
        raise Trouble(str(wrong), WRONG) from None


def this_second() -> Instant:
    return Instant(SystemClock().now() // 1000 * 1000)


def settings_without_secrets(config: Path | None, *, database: str | None = None) -> Settings:
    """Valid settings for a command that only thinks: what it needs no secret for is said, and done without.

    Shifts of calendar feeds are those that the daemon last fetched, into `database` or the configuration's own.
    """
    main = locate(config)
    loaded = load(main, env=os.environ, made_up_secrets=True)
    missing = [one for one in loaded.problems if one.code == "secret" and one.level == "warning"]
    if missing:
        others = f" (and {len(missing) - 1} more)" if len(missing) > 1 else ""
        warn(f"{missing[0].where}: {missing[0].message}{others}; nothing is sent, so it does not matter here")
    if loaded.settings is None:
        print_problems(loaded.problems)
        raise Trouble(f"{main}: {errors_in(loaded.problems)}", WRONG)
    return with_known_feeds(loaded.settings, database or loaded.settings.database)


def _other(diff: Path, ours: Settings) -> Known:
    """The other configuration, with what our daemon knows of its feeds and schedules: it has none of its own yet."""
    if not os.path.isfile(diff):
        raise Trouble(f"{diff}: no such file; --diff takes the main file of the other configuration", WRONG)
    other = settings_without_secrets(diff, database=ours.database)
    return other, known_overrides(other, database=ours.database)


def _chosen(settings: Settings, name: str | None) -> list[Schedule]:
    return [settings.schedules[one] for one in _named(settings.schedules, name)]


def _named(known: Collection[str], name: str | None) -> list[str]:
    if name is None:
        return list(known)
    if name not in known:
        near = difflib.get_close_matches(name, known, 1)
        said = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(known) or 'none'}"
        raise Trouble(f"no schedule {name!r}; {said}", REFUSED)
    return [name]


def _span(given: Given, timezone: str) -> tuple[Instant, Instant]:
    """The window that was given, else the next 30 days."""
    since, until = given
    if since is None or until is None:
        now = this_second()
        return now, Instant(now + AHEAD)
    start = moment_in(since, timezone)
    end = moment_in(until, timezone, max(start, this_second()))
    if end <= start:
        raise Trouble(f"--to {until!r} is not after --from {since!r}", WRONG)
    if end - start > WIDEST:
        raise Trouble(f"{since!r} to {until!r} is more than 200 years; ask for less at once", WRONG)
    return start, end


# ------------------------------------------------------------------------------- shifts of a window


def _print_shifts(settings: Settings, name: str | None, given: Given, as_json: bool, extra: Extra) -> None:
    found = [_window(one, given, extra) for one in _chosen(settings, name)]
    if as_json:
        print_json(found if name is None else found[0])
    else:
        print_table(("schedule", "from", "to", "on call", "layer"), _shift_rows(found, settings), empty="no schedules")


def _window(schedule: Schedule, given: Given, extra: Extra) -> dict[str, Any]:
    """The shifts of a window as the JSON of the manual."""
    start, end = _span(given, schedule.timezone)
    return _shifts_json(schedule, shifts(schedule, start, end, extra.get(schedule.name, ())))


def _shifts_json(schedule: Schedule, found: Shifts) -> dict[str, Any]:
    zone = zone_of(schedule.timezone)
    return {
        "schedule": schedule.name,
        "shifts": [
            {**shift_output.span(one.start, one.end, zone), "users": list(one.users), "layer": one.layer}
            for one in found.shifts
        ],
        "gaps": [shift_output.span(one.start, one.end, zone) for one in found.gaps],
    }


def _shift_rows(found: list[dict[str, Any]], settings: Settings) -> Iterable[tuple[str, ...]]:
    for one in found:
        pieces = sorted([*one["shifts"], *one["gaps"]], key=lambda piece: datetime.fromisoformat(piece["start"]))
        for piece in pieces:
            who = shift_output.names(piece.get("users", ()), settings.users)
            layer = piece.get("layer") or ("override" if piece.get("users") else "")
            yield one["schedule"], shift_output.clock(piece["start"]), shift_output.clock(piece["end"]), who, layer


# --------------------------------------------------------------------------------------- a moment


def _print_moment(settings: Settings, name: str | None, at: str | None, as_json: bool, extra: Extra) -> None:
    moments = [_moment(one, at, extra) for one in _chosen(settings, name)]
    if as_json:
        found = [{"schedule": name, "at": when, "users": list(who.users)} for name, when, who in moments]
        print_json(found if name is None else found[0])
        return
    rows = (
        (one, shift_output.clock(when), shift_output.names(who.users, settings.users), who.because)
        for one, when, who in moments
    )
    print_table(("schedule", "at", "on call", "because"), rows, empty="no schedules")


def _moment(schedule: Schedule, at: str | None, extra: Extra) -> tuple[str, str, OnCall]:
    when = this_second() if at is None else moment_in(at, schedule.timezone)
    who = on_call(schedule, when, extra.get(schedule.name, ()))
    return schedule.name, rfc3339(when, zone_of(schedule.timezone)), who


# ---------------------------------------------------------------------------- what if, and how fair


def _print_turnover(ours: Known, other: Known, name: str | None, given: Given, as_json: bool) -> None:
    (now, made), (then, made_then) = ours, other
    found, turns = [], list[str]()
    for one in _named({**now.schedules, **then.schedules}, name):
        before, after = now.schedules.get(one), then.schedules.get(one)
        window = _span(given, (before or then.schedules[one]).timezone)
        found.append(turnover.compared(before, after, *window, made.get(one, ()), made_then.get(one, ())))
        turns += _turns(one, ours, other, window[0], given)
    if as_json:
        print_json(found if name is None else found[0])
    else:
        turnover.show(found, {**now.users, **then.users})
        for line in ["", *turns] if turns else []:
            say(line)


def _turns(name: str, ours: Known, other: Known, at: Instant, given: Given) -> list[str]:
    """Sentences on whose turn it is when the window begins, where that would change, and what keeps it."""
    (now, made), (then, made_then) = ours, other
    if name not in now.schedules or name not in then.schedules:
        return []
    was, will = (replace(one, schedules={name: one.schedules[name]}) for one in (now, then))
    when = "now" if given[0] is None else f"at {shift_output.clock(rfc3339(at, zone_of(now.schedules[name].timezone)))}"
    return list(in_words(turn_changes(was, will, at, made, made_then), done=False, at=when))


def _print_load(settings: Settings, name: str | None, given: Given, as_json: bool, extra: Extra) -> None:
    chosen = _chosen(settings, name)
    timezone = settings.defaults.timezone if name is None else chosen[0].timezone
    found = fairness.shared(chosen, settings.users, _span(given, timezone), zone_of(timezone), extra)
    if as_json:
        print_json(found)
    else:
        say(f"{shift_output.clock(found['from'])} to {shift_output.clock(found['to'])}")
        fairness.show(found, settings.users)
