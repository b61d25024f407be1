"""Endpoints for who is on call, and for the shifts of a schedule."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any
from zoneinfo import ZoneInfo

from aiohttp import web

from tocsin.decide.oncall import resolver
from tocsin.model import DAY, Instant, Millis, Override, Schedule, Settings, rfc3339
from tocsin.settings.document.scalars import did_you_mean
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, Param, bad_value
from tocsin.web.api.parameters import AT, MOMENT, time_of
from tocsin.web.problem_json import HttpProblem, json_answer

SHIFTS_AHEAD = Millis(30 * DAY)
SHIFTS_MOST = Millis(2 * 366 * DAY)


async def who_is_on_call(ask: Ask) -> web.Response:
    wanted = ask.param("schedule")
    if wanted is not None:
        schedules = [schedule_named(ask.settings, wanted)]
    else:
        schedules = list(ask.settings.schedules.values())
    times = [(schedule, time_of(ask, "at", schedule)) for schedule in schedules]
    extra = await ask.daemon.overrides.in_force(min((at for _, at in times), default=ask.now))

    def answer() -> web.Response:
        return json_answer(
            {"schedules": [on_call_view(schedule, at, extra.get(schedule.name, ())) for schedule, at in times]}
        )

    return await ask.apart(answer)


def on_call_view(schedule: Schedule, at: Instant, extra: Sequence[Override]) -> dict[str, Any]:
    """The JSON of a schedule at `at`: who is on call, until when, and who follows; times in the schedule's zone."""
    zone = ZoneInfo(schedule.timezone)
    now = resolver.on_call(schedule, at, extra)
    turns = resolver.shifts(schedule, at, Instant(at + SHIFTS_AHEAD), extra).shifts
    current = next((turn for turn in turns if turn.start <= at < turn.end), None)
    last = current is None or current.end >= at + SHIFTS_AHEAD
    return {
        "schedule": schedule.name,
        "at": rfc3339(at, zone),
        "users": list(now.users),
        "layer": now.layer,
        "because": now.because,
        "until": None if current is None or last else rfc3339(current.end, zone),
        "next": list(resolver.next_on_call(schedule, at, extra).users),
    }


async def show_shifts(ask: Ask) -> web.Response:
    schedule = schedule_named(ask.settings, ask.request.match_info["name"])
    start = time_of(ask, "from", schedule)
    end = time_of(ask, "to", schedule, Instant(start + SHIFTS_AHEAD))
    if not start < end <= start + SHIFTS_MOST:
        raise bad_value("to", "must be after `from`, and at most two years later")
    extra = await ask.daemon.overrides.in_force(start)
    return await ask.apart(shifts_answer, schedule, start, end, extra.get(schedule.name, ()))


def shifts_answer(schedule: Schedule, start: Instant, end: Instant, extra: Sequence[Override]) -> web.Response:
    """Two years of hourly shifts are seventeen thousand: to be made apart from the loop."""
    zone = ZoneInfo(schedule.timezone)
    found = resolver.shifts(schedule, start, end, extra)
    return json_answer(
        {
            "schedule": schedule.name,
            "shifts": [
                {
                    "start": rfc3339(shift.start, zone),
                    "end": rfc3339(shift.end, zone),
                    "users": list(shift.users),
                    "layer": shift.layer,
                }
                for shift in found.shifts
            ],
            "gaps": [{"start": rfc3339(gap.start, zone), "end": rfc3339(gap.end, zone)} for gap in found.gaps],
        }
    )


def schedule_named(settings: Settings, name: str) -> Schedule:
    found = settings.schedules.get(name)
    if found is None:
        raise HttpProblem(404, f"no such schedule {name[:80]!r}{did_you_mean(name[:80], settings.schedules)}")
    return found


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/oncall", "viewer", who_is_on_call, "Who is on call", "on call", bodies.OnCallList,
        params=(Param("schedule", "This schedule only."), Param("at", f"Now where absent. {AT}", MOMENT)),
    ),
    Endpoint(
        "GET", "/v1/schedules/{name}/shifts", "viewer", show_shifts, "Shifts and gaps of a schedule", "on call",
        bodies.ShiftList,
        params=(
            Param("from", f"Now where absent. {AT}", MOMENT), Param("to", f"30 days later where absent. {AT}", MOMENT),
        ),
    ),
)  # fmt: skip
