"""`tocsin oncall --load`: how the hours, nights and weekends on call are shared among people."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import tzinfo
from typing import Any

from tocsin.cli import shift_output
from tocsin.cli.tables import print_table
from tocsin.decide.oncall.fairness import Load, shares
from tocsin.model import Instant, Override, Schedule, User, rfc3339

COLUMNS = ("schedule", "who", "hours", "night hours", "nights", "weekends")


def shared(
    schedules: Sequence[Schedule],
    users: Mapping[str, User],
    window: tuple[Instant, Instant],
    zone: tzinfo,
    extra: Mapping[str, Sequence[Override]],
) -> dict[str, Any]:
    """Shares of all people in these schedules in a window, as the JSON of the manual."""
    found = shares(schedules, {key: user.timezone for key, user in users.items()}, *window, extra)
    return {
        "from": rfc3339(window[0], zone),
        "to": rfc3339(window[1], zone),
        "users": [
            {
                "user": one.user,
                "timezone": one.timezone,
                **_figures(one.total),
                "schedules": [{"schedule": name, **_figures(load)} for name, load in one.schedules.items()],
            }
            for one in found
        ],
    }


def show(found: Mapping[str, Any], users: Mapping[str, User]) -> None:
    """Print each schedule's people, then, where there are several schedules, each person's total; the busiest first."""
    listed = list(_by_schedule(found, users))
    several = len({row[0] for row in listed}) > 1
    print_table(COLUMNS, [*listed, *(_totals(found, users) if several else ())], empty="no schedules")


def _figures(load: Load) -> dict[str, Any]:
    return {
        "hours": shift_output.hours(load.on_call),
        "night_hours": shift_output.hours(load.at_night),
        "nights": load.nights,
        "weekends": load.weekends,
    }


def _by_schedule(found: Mapping[str, Any], users: Mapping[str, User]) -> Iterator[Sequence[object]]:
    names = dict.fromkeys(one["schedule"] for user in found["users"] for one in user["schedules"])
    for name in names:
        own = [(user["user"], one) for user in found["users"] for one in user["schedules"] if one["schedule"] == name]
        yield from (_row(name, key, one, users) for key, one in _busiest(own))


def _totals(found: Mapping[str, Any], users: Mapping[str, User]) -> Iterator[Sequence[object]]:
    return (_row("together", key, one, users) for key, one in _busiest((one["user"], one) for one in found["users"]))


def _busiest(shares: Iterable[tuple[str, Mapping[str, Any]]]) -> list[tuple[str, Mapping[str, Any]]]:
    return sorted(shares, key=lambda share: (-share[1]["hours"], share[0]))


def _row(schedule: str, key: str, one: Mapping[str, Any], users: Mapping[str, User]) -> Sequence[object]:
    figures = (f"{one['hours']:g}", f"{one['night_hours']:g}", one["nights"], one["weekends"])
    return schedule, shift_output.names([key], users), *figures
