"""`tocsin oncall --diff OTHER.yaml`: who gains and loses which shifts if that were the configuration."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tocsin.cli import shift_output
from tocsin.cli.tables import print_table, say
from tocsin.decide.oncall.resolver import Shifts, shifts, zone_of
from tocsin.decide.oncall.shift_changes import changes, turnover
from tocsin.model import Instant, Override, Schedule, User, rfc3339

NOTHING = Shifts((), ())


def compared(
    before: Schedule | None,
    after: Schedule | None,
    start: Instant,
    end: Instant,
    extra_before: Sequence[Override] = (),
    extra_after: Sequence[Override] = (),
) -> dict[str, Any]:
    """Compare a schedule in two configurations (None: it is not in this one), as the JSON of the manual.

    Run-time overrides count in both, as each of them knows their people. Times are by the clock of the schedule
    as it is now.
    """
    known = before or after
    assert known is not None  # for the type checker: one of them is given
    zone = zone_of(known.timezone)
    both = (before, extra_before), (after, extra_after)
    was, will = (NOTHING if one is None else shifts(one, start, end, extra) for one, extra in both)
    found = changes(was, will)
    return {
        "schedule": known.name,
        "from": rfc3339(start, zone),
        "to": rfc3339(end, zone),
        "changes": [
            {**shift_output.span(one.start, one.end, zone), "before": list(one.before), "after": list(one.after)}
            for one in found
        ],
        "users": [
            {
                "user": one.user,
                "gains": [shift_output.span(*span, zone) for span in one.gains],
                "loses": [shift_output.span(*span, zone) for span in one.loses],
                "hours": shift_output.hours(_length(one.gains) - _length(one.loses)),
            }
            for one in turnover(found)
        ],
    }


def show(found: Sequence[Mapping[str, Any]], users: Mapping[str, User]) -> None:
    """The changes in order, then what each person gains and loses."""
    print_table(
        ("schedule", "from", "to", "now", "then"), _changes(found, users), empty="nobody gains or loses a shift"
    )
    if any(one["changes"] for one in found):
        say("")
        print_table(("schedule", "who", "gains", "loses", "hours"), _people(found, users), empty="")


def _changes(found: Iterable[Mapping[str, Any]], users: Mapping[str, User]) -> Iterable[Sequence[str]]:
    for one in found:
        for change in one["changes"]:
            was, will = (shift_output.names(change[side], users) for side in ("before", "after"))
            yield one["schedule"], shift_output.clock(change["start"]), shift_output.clock(change["end"]), was, will


def _people(found: Iterable[Mapping[str, Any]], users: Mapping[str, User]) -> Iterable[Sequence[object]]:
    for one in found:
        for who in one["users"]:
            gains, loses = (len(who[side]) for side in ("gains", "loses"))
            yield one["schedule"], shift_output.names([who["user"]], users), gains, loses, f"{who['hours']:+g}"


def _length(spans: Iterable[tuple[Instant, Instant]]) -> int:
    return sum(end - start for start, end in spans)
