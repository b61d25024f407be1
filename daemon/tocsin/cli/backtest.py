"""`tocsin backtest`: last week's alerts through other rules. Who would have been woken, and by what no longer?"""

from __future__ import annotations

import asyncio
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.configuration import errors_in, locate, print_problems
from tocsin.cli.known_overrides import known_overrides
from tocsin.cli.oncall import settings_without_secrets
from tocsin.cli.progress import Progress
from tocsin.cli.recorded_alerts import SINCE, since_when, write_lines
from tocsin.cli.tables import print_json, print_table, say, warn
from tocsin.cli.trouble import REFUSED, UNREACHABLE, WRONG, Trouble
from tocsin.decide.whatif.outcomes import Case, Comparison, Difference, Figures, Weakened, compare, comparison_view
from tocsin.errors import StoreError
from tocsin.model import Settings, rfc3339
from tocsin.replay.twice import OnCallExtras, Variant, play_twice, read_records

CANDIDATE = (
    "rules", "lookups", "inhibitions", "maintenance", "storm", "throttle", "categories", "policies", "services",
    "schedules", "teams", "calendars", "priorities", "defaults",
)  # fmt: skip
"""Sections that a candidate may hold."""
SHOWN = 20


def backtest(
    rules: Annotated[
        Path | None, typer.Option(metavar="DIR", help="The rules to try: a folder of *.yaml, or a file.")
    ] = None,
    policies: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Policies (or services, schedules) to try.")
    ] = None,
    since: Annotated[str, typer.Option(help=SINCE)] = "7d",
    alerts: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Alerts from `tocsin alerts export`, instead of the database's.")
    ] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="List all incidents that differ, not the first 20.")] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Replay recorded alerts through the configuration as it is, and as it would be; tell how they differ.

    A section that the candidate files hold is taken from them alone: --rules DIR replaces all rules. Everything is
    played by the production engine in virtual time; nothing is sent or stored. People answer as they did.
    Exit 0: done; 1: an alert that somebody acted on, or a critical one, would page nobody; 2: a mistake in a file;
    3: no database.
    """
    if rules is None and policies is None:
        raise Trouble("nothing to try: give --rules DIR, --policies FILE or both", WRONG)
    settings = settings_without_secrets(config)
    others = tuple(one for one in (rules, policies) if one is not None)
    duty = _duty(settings)
    before = Variant(locate(config), duty=duty)
    after = Variant(before.main, others, ("rules",) if rules is not None else (), duty)
    _check(after)
    with _alerts(settings, since, alerts) as (file, count):
        found = _compare(before, after, file, count)
    if as_json:
        print_json(comparison_view(found))
    else:
        _show(found, settings, show_all)
    if found.missed or any(one.silent for one in found.weakened):
        raise typer.Exit(REFUSED)


def _duty(settings: Settings) -> dict[str, OnCallExtras]:
    """Shifts of feeds and run-time overrides, by schedule: who was on call beyond what the files say."""
    made = known_overrides(settings)
    return {name: OnCallExtras(one.feed, tuple(made.get(name, ()))) for name, one in settings.schedules.items()}


def _check(after: Variant) -> None:
    loaded = after.load(CANDIDATE)
    if loaded.settings is None:
        print_problems(loaded.problems)
        raise Trouble(f"{', '.join(map(str, after.others))}: {errors_in(loaded.problems)}", WRONG)


@contextmanager
def _alerts(settings: Settings, since: str, given: Path | None) -> Iterator[tuple[Path, int]]:
    """The alerts as a file that both replays read, and how many lines it has."""
    if given is not None:
        yield given, _checked(given)
        return
    with tempfile.NamedTemporaryFile(prefix="tocsin-alerts-", suffix=".jsonl") as spooled:
        start = since_when(since, settings.defaults.timezone)
        count = asyncio.run(write_lines(settings, start, spooled, lambda _count: None))
        spooled.flush()
        yield Path(spooled.name), count


def _checked(file: Path) -> int:
    """Check that every line can be read. Raises Trouble with the first line that cannot."""
    try:
        return sum(1 for _ in read_records(file))
    except OSError as wrong:
        raise Trouble(f"{file}: {wrong.strerror or wrong}", WRONG) from None
    except ValueError as wrong:
        raise Trouble(str(wrong), WRONG) from None


def _compare(before: Variant, after: Variant, file: Path, count: int) -> Comparison:
    progress = Progress("replaying", 2 * count)
    try:
        return compare(*play_twice(before, after, file, count, progress.tell))
    except ValueError as wrong:
        raise Trouble(str(wrong), WRONG) from None
    except StoreError as wrong:
        raise Trouble(f"the replay has no room for its database: {wrong}", UNREACHABLE) from None
    finally:
        progress.end()


# ----------------------------------------------------------------------------------- for people


def _show(found: Comparison, settings: Settings, show_all: bool) -> None:
    print_table(("", "before", "after", "difference"), _figures(found.before, found.after), empty="")
    for name, count in found.skipped.items():
        warn(f"{count} alerts of integration {name!r}, which is not configured, are left out")
    say("")
    people = sorted({*found.before.per_person, *found.after.per_person})
    print_table(
        ("who", "pages before", "after", "at night before", "after"),
        [_person(who, found, settings) for who in people],
        empty="nobody is paged, neither before nor after",
    )
    _show_missed(found)
    _show_weakened(found.weakened)
    _show_differences(found.differences, show_all)


def _figures(before: Figures, after: Figures) -> Iterator[tuple[str, int, int, str]]:
    for said, name in (
        ("alerts", "alerts"),
        ("without an incident", "without_incident"),
        ("incidents", "incidents"),
        ("pages", "pages"),
        ("pages at night", "night_pages"),
        ("self-healed before paging", "healed"),
        ("never paged", "never_paged"),
    ):
        old, new = getattr(before, name), getattr(after, name)
        yield said, old, new, f"{new - old:+}" if new != old else ""


def _person(who: str, found: Comparison, settings: Settings) -> tuple[object, ...]:
    user = settings.users.get(who)
    before, after = found.before, found.after
    return (
        f"{user.name} ({who})" if user is not None else who,
        before.per_person.get(who, 0), after.per_person.get(who, 0),
        before.nights_per_person.get(who, 0), after.nights_per_person.get(who, 0),
    )  # fmt: skip


def _show_missed(found: Comparison) -> None:
    say("")
    if not found.answers:
        say("Missed: not known, since no answers of people are recorded with these alerts.")
        return
    if not found.missed:
        say(f"Missed: none of what somebody acted on ({found.answers} recorded answers).")
        return
    say(f"MISSED: {len(found.missed)} that somebody was paged for and acted on, and that would page nobody:")
    rows = [(rfc3339(one.fate.at), f"{one.fate.kind} by {one.fate.user}", one.before.title, one.because)
            for one in found.missed]  # fmt: skip
    print_table(("at", "what was done", "title", "because"), rows, empty="")


def _show_weakened(weakened: Sequence[Weakened]) -> None:
    if not weakened:
        return
    say("")
    say(f"CRITICAL: {len(weakened)} critical incidents would page less, whether or not anybody has answered them yet:")
    rows = [
        (rfc3339(one.before.opened_at), one.before.priority, one.before.title, one.because) for one in weakened[:SHOWN]
    ]
    print_table(("opened", "priority", "title", "because"), rows, empty="")
    if len(weakened) > SHOWN:
        say(f"and {len(weakened) - SHOWN} more (--json lists all)")


def _show_differences(differences: Sequence[Difference], show_all: bool) -> None:
    say("")
    if not differences:
        say("No incident differs.")
        return
    shown = differences if show_all else differences[:SHOWN]
    more = "" if len(shown) == len(differences) else f", the first {SHOWN} of them here (--all for the others)"
    say(f"{len(differences)} incidents differ{more}:")
    rows = [(one.change, _opened(one), _told(one.before), _told(one.after) or one.went, _title(one)) for one in shown]
    print_table(("change", "opened", "before", "after", "title"), rows, empty="")


def _opened(one: Difference) -> str:
    case = one.before or one.after
    return rfc3339(case.opened_at) if case is not None else ""


def _title(one: Difference) -> str:
    case = one.after or one.before
    return case.title if case is not None else ""


def _told(case: Case | None) -> str:
    if case is None:
        return ""
    paged = "self-healed" if case.healed else f"{len(case.pages)} page{'' if len(case.pages) == 1 else 's'}"
    return f"{case.priority}, {case.alerts} alert{'' if case.alerts == 1 else 's'}, {paged}"
