"""Who is on call in the nights when clocks change: written dates, as `tocsin oncall` prints them.

Every row is a zone, a schedule, a window of local times and the shifts in it: when each begins, by the clock and offset of
that night, and whose it is. The changes are facts of the tz database (iana.org/time-zones).
"""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from typing import NamedTuple

import pytest

from tocsin.decide.oncall.overrides import Mode
from tocsin.decide.oncall.resolver import local_instant, on_call, shifts, zone_of
from tocsin.model import DAY, HOUR, MINUTE, Hours, Instant, Layer, Override, Rotation, Schedule, instant, rfc3339
from tocsin.model.schedules import Unit

UNITS: dict[str, Unit] = {"h": "hours", "d": "days", "w": "weeks", "m": "months"}
ALL_WEEK = frozenset(range(7))


class Night(NamedTuple):
    """`rotation` is "8h 2026-03-07 00:00" (a length, the start); `users` take turns in this order."""

    zone: str
    rotation: str
    users: str
    since: str
    until: str
    expected: tuple[str, ...]


def layer(users: str, rotation: str, name: str = "one", hours: tuple[Hours, ...] = ()) -> Layer:
    turns = tuple(tuple(entry.split("+")) for entry in users.split())
    every, _, start = rotation.partition(" ")
    unit = UNITS[every.strip("0123456789")]
    return Layer(name, turns, Rotation(int(every[:-1]), unit, start.replace(" ", "T")), hours)


def told(plan: Schedule, since: str, until: str) -> tuple[str, ...]:
    """Shifts and gaps between two local times: "2026-03-08T00:00-06:00 ana"."""
    zone = zone_of(plan.timezone)
    found = shifts(plan, local_instant(since, plan.timezone), local_instant(until, plan.timezone))
    pieces = sorted(
        [*((one.start, "+".join(one.users)) for one in found.shifts), *((gap.start, "nobody") for gap in found.gaps)]
    )
    return tuple(
        f"{rfc3339(start, zone).replace(':00Z', 'Z').replace(':00-', '-').replace(':00+', '+')} {who}"
        for start, who in pieces
    )


NIGHTS = {
    # ------------------------------------------------------------------ the usual: an hour, at night
    "Chicago forward, eight-hour shifts: the night's is an hour short": Night(
        "America/Chicago", "8h 2026-03-07 00:00", "ana bo chen", "2026-03-07 16:00", "2026-03-09 08:00",
        ("2026-03-07T16:00-06:00 chen", "2026-03-08T00:00-06:00 ana", "2026-03-08T08:00-05:00 bo",
         "2026-03-08T16:00-05:00 chen", "2026-03-09T00:00-05:00 ana"),
    ),
    "Chicago back, eight-hour shifts: the night's is an hour long": Night(
        "America/Chicago", "8h 2026-10-31 00:00", "ana bo chen", "2026-10-31 16:00", "2026-11-02 08:00",
        ("2026-10-31T16:00-05:00 chen", "2026-11-01T00:00-05:00 ana", "2026-11-01T08:00-06:00 bo",
         "2026-11-01T16:00-06:00 chen", "2026-11-02T00:00-06:00 ana"),
    ),
    "Chicago forward, a handoff at a time that does not exist": Night(
        "America/Chicago", "1d 2026-03-06 02:30", "ana bo", "2026-03-07 02:30", "2026-03-10 02:30",
        ("2026-03-07T02:30-06:00 bo", "2026-03-08T03:00-05:00 ana", "2026-03-09T02:30-05:00 bo"),
    ),
    "Chicago forward, a handoff at the very change": Night(
        "America/Chicago", "1d 2026-03-06 02:00", "ana bo", "2026-03-07 02:00", "2026-03-10 02:00",
        ("2026-03-07T02:00-06:00 bo", "2026-03-08T03:00-05:00 ana", "2026-03-09T02:00-05:00 bo"),
    ),
    "Chicago back, a handoff at a time that comes twice": Night(
        "America/Chicago", "1d 2026-10-30 01:30", "ana bo", "2026-10-31 01:30", "2026-11-03 01:30",
        ("2026-10-31T01:30-05:00 bo", "2026-11-01T01:30-05:00 ana", "2026-11-02T01:30-06:00 bo"),
    ),
    "Chicago back, a handoff at the time it goes back to": Night(
        "America/Chicago", "1d 2026-10-30 01:00", "ana bo", "2026-10-31 01:00", "2026-11-03 01:00",
        ("2026-10-31T01:00-05:00 bo", "2026-11-01T01:00-05:00 ana", "2026-11-02T01:00-06:00 bo"),
    ),
    "Chicago back, a handoff at the time it goes back from: that comes once": Night(
        "America/Chicago", "1d 2026-10-30 02:00", "ana bo", "2026-10-31 02:00", "2026-11-03 02:00",
        ("2026-10-31T02:00-05:00 bo", "2026-11-01T02:00-06:00 ana", "2026-11-02T02:00-06:00 bo"),
    ),
    "Chicago forward, a shift an hour: the one of two o'clock is lost": Night(
        "America/Chicago", "1h 2026-03-08 00:00", "ana bo chen dora", "2026-03-08 00:00", "2026-03-08 05:00",
        ("2026-03-08T00:00-06:00 ana", "2026-03-08T01:00-06:00 bo", "2026-03-08T03:00-05:00 dora", "2026-03-08T04:00-05:00 ana"),
    ),
    "Chicago back, a shift an hour: the one of one o'clock lasts two": Night(
        "America/Chicago", "1h 2026-11-01 00:00", "ana bo chen dora", "2026-11-01 00:00", "2026-11-01 04:00",
        ("2026-11-01T00:00-05:00 ana", "2026-11-01T01:00-05:00 bo", "2026-11-01T02:00-06:00 chen", "2026-11-01T03:00-06:00 dora"),
    ),
    "Chicago, weeks over both changes begin on Mondays at nine": Night(
        "America/Chicago", "1w 2026-03-02 09:00", "ana bo", "2026-03-02 09:00", "2026-03-23 09:00",
        ("2026-03-02T09:00-06:00 ana", "2026-03-09T09:00-05:00 bo", "2026-03-16T09:00-05:00 ana"),
    ),
    "Chicago, a rotation that starts at a time that does not exist": Night(
        "America/Chicago", "12h 2026-03-08 02:30", "ana bo", "2026-03-08 00:00", "2026-03-09 02:30",
        ("2026-03-08T00:00-06:00 nobody", "2026-03-08T03:00-05:00 ana", "2026-03-08T14:30-05:00 bo"),
    ),
    "Chicago, a rotation that starts at a time that comes twice": Night(
        "America/Chicago", "12h 2026-11-01 01:30", "ana bo", "2026-11-01 00:00", "2026-11-02 01:30",
        ("2026-11-01T00:00-05:00 nobody", "2026-11-01T01:30-05:00 ana", "2026-11-01T13:30-06:00 bo"),
    ),
    "Paris forward, twelve-hour shifts": Night(
        "Europe/Paris", "12h 2026-03-28 02:30", "ana bo", "2026-03-28 02:30", "2026-03-30 02:30",
        ("2026-03-28T02:30+01:00 ana", "2026-03-28T14:30+01:00 bo", "2026-03-29T03:00+02:00 ana", "2026-03-29T14:30+02:00 bo"),
    ),
    "Paris back, twelve-hour shifts": Night(
        "Europe/Paris", "12h 2026-10-24 02:30", "ana bo", "2026-10-24 02:30", "2026-10-26 02:30",
        ("2026-10-24T02:30+02:00 ana", "2026-10-24T14:30+02:00 bo", "2026-10-25T02:30+02:00 ana", "2026-10-25T14:30+01:00 bo"),
    ),
    "London back, midnight is not touched": Night(
        "Europe/London", "1d 2026-10-24 00:00", "ana bo", "2026-10-24 00:00", "2026-10-27 00:00",
        ("2026-10-24T00:00+01:00 ana", "2026-10-25T00:00+01:00 bo", "2026-10-26T00:00Z ana"),
    ),
    "Auckland, the other hemisphere, back in April": Night(
        "Pacific/Auckland", "1d 2026-04-04 02:30", "ana bo", "2026-04-04 02:30", "2026-04-07 02:30",
        ("2026-04-04T02:30+13:00 ana", "2026-04-05T02:30+13:00 bo", "2026-04-06T02:30+12:00 ana"),
    ),
    "Auckland forward in September": Night(
        "Pacific/Auckland", "1d 2026-09-26 02:30", "ana bo", "2026-09-26 02:30", "2026-09-29 02:30",
        ("2026-09-26T02:30+12:00 ana", "2026-09-27T03:00+13:00 bo", "2026-09-28T02:30+13:00 ana"),
    ),
    "Sydney forward in October, eight-hour shifts": Night(
        "Australia/Sydney", "8h 2026-10-03 06:00", "ana bo chen", "2026-10-03 14:00", "2026-10-04 22:00",
        ("2026-10-03T14:00+10:00 bo", "2026-10-03T22:00+10:00 chen", "2026-10-04T06:00+11:00 ana", "2026-10-04T14:00+11:00 bo"),
    ),
    # ---------------------------------------------------------------------------- half hours, two, three
    "Lord Howe forward by half an hour": Night(
        "Australia/Lord_Howe", "1d 2026-10-03 02:15", "ana bo", "2026-10-03 02:15", "2026-10-06 02:15",
        ("2026-10-03T02:15+10:30 ana", "2026-10-04T02:30+11:00 bo", "2026-10-05T02:15+11:00 ana"),
    ),
    "Lord Howe forward, a shift an hour: one has half an hour": Night(
        "Australia/Lord_Howe", "1h 2026-10-04 00:00", "ana bo chen dora", "2026-10-04 00:00", "2026-10-04 04:00",
        ("2026-10-04T00:00+10:30 ana", "2026-10-04T01:00+10:30 bo", "2026-10-04T02:30+11:00 chen", "2026-10-04T03:00+11:00 dora"),
    ),
    "Lord Howe back by half an hour": Night(
        "Australia/Lord_Howe", "1d 2026-04-04 01:45", "ana bo", "2026-04-04 01:45", "2026-04-07 01:45",
        ("2026-04-04T01:45+11:00 ana", "2026-04-05T01:45+11:00 bo", "2026-04-06T01:45+10:30 ana"),
    ),
    "Lord Howe back, a shift an hour: one has an hour and a half": Night(
        "Australia/Lord_Howe", "1h 2026-04-05 00:00", "ana bo chen dora", "2026-04-05 00:00", "2026-04-05 04:00",
        ("2026-04-05T00:00+11:00 ana", "2026-04-05T01:00+11:00 bo", "2026-04-05T02:00+10:30 chen", "2026-04-05T03:00+10:30 dora"),
    ),
    "Troll forward by two hours": Night(
        "Antarctica/Troll", "1d 2020-03-28 02:00", "ana bo", "2020-03-28 02:00", "2020-03-31 02:00",
        ("2020-03-28T02:00Z ana", "2020-03-29T03:00+02:00 bo", "2020-03-30T02:00+02:00 ana"),
    ),
    "Casey back by three hours, over midnight": Night(
        "Antarctica/Casey", "1d 2010-03-04 00:30", "ana bo", "2010-03-04 00:30", "2010-03-07 00:30",
        ("2010-03-04T00:30+11:00 ana", "2010-03-05T00:30+11:00 bo", "2010-03-06T00:30+08:00 ana"),
    ),
    # ---------------------------------------------------------------------------------- at midnight
    "Cairo forward at midnight": Night(
        "Africa/Cairo", "1d 2023-04-27 00:00", "ana bo", "2023-04-27 00:00", "2023-04-30 00:00",
        ("2023-04-27T00:00+02:00 ana", "2023-04-28T01:00+03:00 bo", "2023-04-29T00:00+03:00 ana"),
    ),
    "Cairo back at midnight: half past eleven comes twice": Night(
        "Africa/Cairo", "1d 2023-10-25 23:30", "ana bo", "2023-10-25 23:30", "2023-10-28 23:30",
        ("2023-10-25T23:30+03:00 ana", "2023-10-26T23:30+03:00 bo", "2023-10-27T23:30+02:00 ana"),
    ),
    "Havana back at one: midnight comes twice": Night(
        "America/Havana", "1d 2026-10-31 00:00", "ana bo", "2026-10-31 00:00", "2026-11-03 00:00",
        ("2026-10-31T00:00-04:00 ana", "2026-11-01T00:00-04:00 bo", "2026-11-02T00:00-05:00 ana"),
    ),
    "Sao Paulo forward at midnight, for the last time": Night(
        "America/Sao_Paulo", "1d 2018-11-03 00:00", "ana bo", "2018-11-03 00:00", "2018-11-06 00:00",
        ("2018-11-03T00:00-03:00 ana", "2018-11-04T01:00-02:00 bo", "2018-11-05T00:00-02:00 ana"),
    ),
    "St. John's back at one minute past midnight": Night(
        "America/St_Johns", "1d 2006-10-28 23:30", "ana bo", "2006-10-28 00:00", "2006-10-30 00:00",
        ("2006-10-28T00:00-02:30 nobody", "2006-10-28T23:30-02:30 ana", "2006-10-29T23:30-03:30 bo"),
    ),
    # ---------------------------------------------------------------------------- days that were skipped
    "Samoa, 30 December 2011 never was: daily at nine": Night(
        "Pacific/Apia", "1d 2011-12-28 09:00", "ana bo chen", "2011-12-29 09:00", "2012-01-01 09:00",
        ("2011-12-29T09:00-10:00 bo", "2011-12-31T00:00+14:00 chen", "2011-12-31T09:00+14:00 ana"),
    ),
    "Samoa, a week that would end on the day that never was": Night(
        "Pacific/Apia", "1w 2011-12-23 09:00", "ana bo", "2011-12-23 09:00", "2012-01-13 09:00",
        ("2011-12-23T09:00-10:00 ana", "2011-12-31T00:00+14:00 bo", "2012-01-06T09:00+14:00 ana"),
    ),
    "Samoa, eight-hour shifts: the three of that day are lost": Night(
        "Pacific/Apia", "8h 2011-12-29 00:00", "ana bo chen dora eve", "2011-12-29 16:00", "2011-12-31 16:00",
        ("2011-12-29T16:00-10:00 chen", "2011-12-31T00:00+14:00 bo", "2011-12-31T08:00+14:00 chen"),
    ),
    "Kwajalein, 21 August 1993 never was": Night(
        "Pacific/Kwajalein", "1d 1993-08-19 09:00", "ana bo chen", "1993-08-20 09:00", "1993-08-23 09:00",
        ("1993-08-20T09:00-12:00 bo", "1993-08-22T00:00+12:00 chen", "1993-08-22T09:00+12:00 ana"),
    ),
    "Kiritimati, the last day of 1994 never was": Night(
        "Pacific/Kiritimati", "1d 1994-12-30 00:00", "ana bo chen", "1994-12-30 00:00", "1995-01-02 00:00",
        ("1994-12-30T00:00-10:00 ana", "1995-01-01T00:00+14:00 chen"),
    ),
    # ------------------------------------------------------------------------------ zones that changed rules
    "Moscow back for good in 2014": Night(
        "Europe/Moscow", "1d 2014-10-25 01:30", "ana bo", "2014-10-25 01:30", "2014-10-28 01:30",
        ("2014-10-25T01:30+04:00 ana", "2014-10-26T01:30+04:00 bo", "2014-10-27T01:30+03:00 ana"),
    ),
    "Istanbul stayed on summer time in 2016": Night(
        "Europe/Istanbul", "1d 2016-10-29 03:30", "ana bo", "2016-10-29 03:30", "2016-11-01 03:30",
        ("2016-10-29T03:30+03:00 ana", "2016-10-30T03:30+03:00 bo", "2016-10-31T03:30+03:00 ana"),
    ),
    "Caracas back by half an hour in 2007": Night(
        "America/Caracas", "1d 2007-12-08 02:45", "ana bo", "2007-12-08 02:45", "2007-12-11 02:45",
        ("2007-12-08T02:45-04:00 ana", "2007-12-09T02:45-04:00 bo", "2007-12-10T02:45-04:30 ana"),
    ),
    "Caracas forward by half an hour in 2016": Night(
        "America/Caracas", "1d 2016-04-30 02:45", "ana bo", "2016-04-30 02:45", "2016-05-03 02:45",
        ("2016-04-30T02:45-04:30 ana", "2016-05-01T03:00-04:00 bo", "2016-05-02T02:45-04:00 ana"),
    ),
    "Pyongyang back by half an hour at midnight in 2015": Night(
        "Asia/Pyongyang", "1d 2015-08-14 00:00", "ana bo", "2015-08-14 00:00", "2015-08-17 00:00",
        ("2015-08-14T00:00+09:00 ana", "2015-08-15T00:00+08:30 bo", "2015-08-16T00:00+08:30 ana"),
    ),
    "Casablanca back for Ramadan in 2024": Night(
        "Africa/Casablanca", "1d 2024-03-09 02:30", "ana bo", "2024-03-09 02:30", "2024-03-12 02:30",
        ("2024-03-09T02:30+01:00 ana", "2024-03-10T02:30+01:00 bo", "2024-03-11T02:30Z ana"),
    ),
    "Casablanca forward after Ramadan in 2024": Night(
        "Africa/Casablanca", "1d 2024-04-13 02:30", "ana bo", "2024-04-13 02:30", "2024-04-16 02:30",
        ("2024-04-13T02:30Z ana", "2024-04-14T03:00+01:00 bo", "2024-04-15T02:30+01:00 ana"),
    ),
    "Chicago before the law of 2007: forward in April": Night(
        "America/Chicago", "1d 2006-04-01 02:30", "ana bo", "2006-04-01 02:30", "2006-04-04 02:30",
        ("2006-04-01T02:30-06:00 ana", "2006-04-02T03:00-05:00 bo", "2006-04-03T02:30-05:00 ana"),
    ),
    "Kathmandu has no such nights": Night(
        "Asia/Kathmandu", "1d 2026-03-28 02:30", "ana bo", "2026-03-28 02:30", "2026-03-31 02:30",
        ("2026-03-28T02:30+05:45 ana", "2026-03-29T02:30+05:45 bo", "2026-03-30T02:30+05:45 ana"),
    ),
    # ------------------------------------------------------------------------------------- the calendar
    "months from the 31st keep to the month's end": Night(
        "Europe/Paris", "1m 2026-01-31 09:00", "ana bo", "2026-01-31 09:00", "2026-07-31 09:00",
        ("2026-01-31T09:00+01:00 ana", "2026-02-28T09:00+01:00 bo", "2026-03-31T09:00+02:00 ana",
         "2026-04-30T09:00+02:00 bo", "2026-05-31T09:00+02:00 ana", "2026-06-30T09:00+02:00 bo"),
    ),
    "months from the 30th are clamped in February only": Night(
        "Europe/Paris", "1m 2027-12-30 09:00", "ana bo", "2027-12-30 09:00", "2028-04-30 09:00",
        ("2027-12-30T09:00+01:00 ana", "2028-01-30T09:00+01:00 bo", "2028-02-29T09:00+01:00 ana", "2028-03-30T09:00+02:00 bo"),
    ),
    "a month's handoff on the very night the clocks change": Night(
        "Europe/Paris", "1m 2026-01-29 02:30", "ana bo", "2026-01-29 02:30", "2026-04-29 02:30",
        ("2026-01-29T02:30+01:00 ana", "2026-02-28T02:30+01:00 bo", "2026-03-29T03:00+02:00 ana"),
    ),
    "quarters": Night(
        "Europe/Paris", "3m 2025-11-30 09:00", "ana bo", "2025-11-30 09:00", "2026-11-30 09:00",
        ("2025-11-30T09:00+01:00 ana", "2026-02-28T09:00+01:00 bo", "2026-05-30T09:00+02:00 ana", "2026-08-30T09:00+02:00 bo"),
    ),
    "years from the leap day": Night(
        "Europe/Paris", "12m 2024-02-29 09:00", "ana bo", "2024-02-29 09:00", "2029-02-28 09:00",
        ("2024-02-29T09:00+01:00 ana", "2025-02-28T09:00+01:00 bo", "2026-02-28T09:00+01:00 ana",
         "2027-02-28T09:00+01:00 bo", "2028-02-29T09:00+01:00 ana"),
    ),
    "1900 and 2100 have no leap day: days over the end of February 2100": Night(
        "Europe/Paris", "1d 2100-02-27 09:00", "ana bo", "2100-02-27 09:00", "2100-03-02 09:00",
        ("2100-02-27T09:00+01:00 ana", "2100-02-28T09:00+01:00 bo", "2100-03-01T09:00+01:00 ana"),
    ),
    "two weeks over the turn of a year of 53 weeks": Night(
        "Europe/Paris", "2w 2026-12-14 09:00", "ana bo", "2026-12-14 09:00", "2027-01-25 09:00",
        ("2026-12-14T09:00+01:00 ana", "2026-12-28T09:00+01:00 bo", "2027-01-11T09:00+01:00 ana"),
    ),
    "a rotation that starts in the window": Night(
        "Europe/Paris", "1w 2026-06-01 09:00", "ana bo", "2026-05-30 09:00", "2026-06-10 09:00",
        ("2026-05-30T09:00+02:00 nobody", "2026-06-01T09:00+02:00 ana", "2026-06-08T09:00+02:00 bo"),
    ),
    "a window that begins and ends within shifts": Night(
        "Europe/Paris", "1d 2026-06-01 09:00", "ana bo", "2026-06-03 12:34", "2026-06-05 08:59",
        ("2026-06-03T12:34+02:00 ana", "2026-06-04T09:00+02:00 bo"),
    ),
    "sixteen hours, which do not divide the day": Night(
        "Europe/Paris", "16h 2026-06-01 00:00", "ana bo chen", "2026-06-01 00:00", "2026-06-03 00:00",
        ("2026-06-01T00:00+02:00 ana", "2026-06-01T16:00+02:00 bo", "2026-06-02T08:00+02:00 chen"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("night", NIGHTS.values(), ids=NIGHTS)
def test_the_shifts_of_a_hard_night_are_as_written(night: Night) -> None:
    plan = Schedule("primary", night.zone, (layer(night.users, night.rotation),))
    assert told(plan, night.since, night.until) == night.expected


# ---------------------------------------------------------------------------------------- hours


class Window(NamedTuple):
    """A layer of eve's over ana's, who is always there."""

    zone: str
    hours: str  # "22:00-06:00", with days as digits (0: Monday) before it, where not all
    since: str
    until: str
    expected: tuple[str, ...]


WINDOWS = {
    "a night forward is an hour short": Window(
        "Europe/Paris", "22:00-06:00", "2026-03-28 12:00", "2026-03-29 12:00",
        ("2026-03-28T12:00+01:00 ana", "2026-03-28T22:00+01:00 eve", "2026-03-29T06:00+02:00 ana"),
    ),
    "a night back is an hour long": Window(
        "Europe/Paris", "22:00-06:00", "2026-10-24 12:00", "2026-10-25 12:00",
        ("2026-10-24T12:00+02:00 ana", "2026-10-24T22:00+02:00 eve", "2026-10-25T06:00+01:00 ana"),
    ),
    "hours that begin in the gap": Window(
        "Europe/Paris", "02:30-04:00", "2026-03-29 00:00", "2026-03-29 06:00",
        ("2026-03-29T00:00+01:00 ana", "2026-03-29T03:00+02:00 eve", "2026-03-29T04:00+02:00 ana"),
    ),
    "hours that end in the gap": Window(
        "Europe/Paris", "01:00-02:30", "2026-03-29 00:00", "2026-03-29 06:00",
        ("2026-03-29T00:00+01:00 ana", "2026-03-29T01:00+01:00 eve", "2026-03-29T03:00+02:00 ana"),
    ),
    "hours that lie in the gap": Window(
        "Europe/Paris", "02:05-02:55", "2026-03-29 00:00", "2026-03-29 06:00", ("2026-03-29T00:00+01:00 ana",),
    ),
    "hours that begin in the repeated hour begin the first time": Window(
        "Europe/Paris", "02:30-04:00", "2026-10-25 00:00", "2026-10-25 06:00",
        ("2026-10-25T00:00+02:00 ana", "2026-10-25T02:30+02:00 eve", "2026-10-25T04:00+01:00 ana"),
    ),
    "hours that end in the repeated hour end the last time": Window(
        "Europe/Paris", "01:00-02:30", "2026-10-25 00:00", "2026-10-25 06:00",
        ("2026-10-25T00:00+02:00 ana", "2026-10-25T01:00+02:00 eve", "2026-10-25T02:30+01:00 ana"),
    ),
    "hours that end as the repeated hour begins end when it does for the last time": Window(
        "Europe/Paris", "01:00-02:00", "2026-10-25 00:00", "2026-10-25 06:00",
        ("2026-10-25T00:00+02:00 ana", "2026-10-25T01:00+02:00 eve", "2026-10-25T02:00+01:00 ana"),
    ),
    "hours within the repeated hour last from its first to its last": Window(
        "Europe/Paris", "02:15-02:45", "2026-10-25 00:00", "2026-10-25 06:00",
        ("2026-10-25T00:00+02:00 ana", "2026-10-25T02:15+02:00 eve", "2026-10-25T02:45+01:00 ana"),
    ),
    "Chicago's evening on the day of the change": Window(
        "America/Chicago", "6 18:00-00:00", "2026-11-01 00:00", "2026-11-02 06:00",
        ("2026-11-01T00:00-05:00 ana", "2026-11-01T18:00-06:00 eve", "2026-11-02T00:00-06:00 ana"),
    ),
    "half an hour in Lord Howe": Window(
        "Australia/Lord_Howe", "01:40-01:50", "2026-04-05 00:00", "2026-04-05 06:00",
        ("2026-04-05T00:00+11:00 ana", "2026-04-05T01:40+11:00 eve", "2026-04-05T01:50+10:30 ana"),
    ),
    "a whole day in Cairo, which began at one": Window(
        "Africa/Cairo", "4 00:00-00:00", "2023-04-27 12:00", "2023-04-30 00:00",
        ("2023-04-27T12:00+02:00 ana", "2023-04-28T01:00+03:00 eve", "2023-04-29T00:00+03:00 ana"),
    ),
    "a whole day in Cairo, of 25 hours": Window(
        "Africa/Cairo", "3 00:00-00:00", "2023-10-25 12:00", "2023-10-28 00:00",
        ("2023-10-25T12:00+03:00 ana", "2023-10-26T00:00+03:00 eve", "2023-10-27T00:00+02:00 ana"),
    ),
    "Havana's midnight comes twice: a day ends with the last": Window(
        "America/Havana", "5 00:00-00:00", "2026-10-30 12:00", "2026-11-02 00:00",
        ("2026-10-30T12:00-04:00 ana", "2026-10-31T00:00-04:00 eve", "2026-11-01T00:00-05:00 ana"),
    ),
    "Samoa's Friday that never was had a night: it lasts as long as there is of it": Window(
        "Pacific/Apia", "4 22:00-06:00", "2011-12-29 12:00", "2012-01-01 00:00",
        ("2011-12-29T12:00-10:00 ana", "2011-12-31T00:00+14:00 eve", "2011-12-31T06:00+14:00 ana"),
    ),
    "Samoa's Friday that never was had no day": Window(
        "Pacific/Apia", "4 09:00-17:00", "2011-12-29 12:00", "2012-01-01 00:00", ("2011-12-29T12:00-10:00 ana",),
    ),
    "Friday's night belongs to Friday, also in the week": Window(
        "Europe/Paris", "4 22:00-06:00", "2026-01-08 12:00", "2026-01-11 12:00",
        ("2026-01-08T12:00+01:00 ana", "2026-01-09T22:00+01:00 eve", "2026-01-10T06:00+01:00 ana"),
    ),
    "Sunday's night reaches into the next week": Window(
        "Europe/Paris", "6 22:00-06:00", "2026-01-11 12:00", "2026-01-12 12:00",
        ("2026-01-11T12:00+01:00 ana", "2026-01-11T22:00+01:00 eve", "2026-01-12T06:00+01:00 ana"),
    ),
    "whole days that touch are one shift": Window(
        "Europe/Paris", "56 00:00-00:00", "2026-01-09 12:00", "2026-01-12 12:00",
        ("2026-01-09T12:00+01:00 ana", "2026-01-10T00:00+01:00 eve", "2026-01-12T00:00+01:00 ana"),
    ),
    "to midnight": Window(
        "Europe/Paris", "0 20:00-00:00", "2026-01-05 12:00", "2026-01-06 12:00",
        ("2026-01-05T12:00+01:00 ana", "2026-01-05T20:00+01:00 eve", "2026-01-06T00:00+01:00 ana"),
    ),
}  # fmt: skip


@pytest.mark.parametrize("window", WINDOWS.values(), ids=WINDOWS)
def test_hours_in_a_hard_night_are_as_written(window: Window) -> None:
    days, _, clocks = window.hours.rpartition(" ")
    start, end = (int(clock[:2]) * 60 + int(clock[3:]) for clock in clocks.split("-"))
    hours = Hours(frozenset(map(int, days)) or ALL_WEEK, start, end)
    plan = Schedule(
        "primary", window.zone, (Layer("all", (("ana",),), None), Layer("cut", (("eve",),), None, (hours,)))
    )
    assert told(plan, window.since, window.until) == window.expected


def test_several_hours_in_one_layer_cover_together_and_overlaps_count_once() -> None:
    week, weekend = frozenset(range(5)), frozenset({5, 6})
    cut = (Hours(week, 18 * 60, 9 * 60), Hours(weekend, 0, 0), Hours(weekend, 540, 1020))
    plan = Schedule("primary", "Europe/Paris", (Layer("off hours", (("eve",),), None, cut),))
    assert told(plan, "2026-01-08 12:00", "2026-01-13 12:00") == (
        "2026-01-08T12:00+01:00 nobody",
        "2026-01-08T18:00+01:00 eve",
        "2026-01-09T09:00+01:00 nobody",
        "2026-01-09T18:00+01:00 eve",  # Friday's night, then the weekend
        "2026-01-12T00:00+01:00 nobody",
        "2026-01-12T18:00+01:00 eve",
        "2026-01-13T09:00+01:00 nobody",
    )


# ------------------------------------------------------------------------------------ overrides


def over(user: str, start: str, end: str, replaces: str | None = None, mode: Mode = "replace") -> Override:
    return Override(tuple(user.split()), start.replace(" ", "T"), end.replace(" ", "T"), replaces, mode)


OVERRIDES = {
    "over a handoff, one person's turns only": (
        (over("grace", "2026-06-01 15:00", "2026-06-03 15:00", "ana"),),
        ("01T09:00 ana", "01T15:00 grace", "02T09:00 bo", "03T09:00 grace", "03T15:00 ana", "04T09:00 bo"),
    ),
    "over a handoff, the whole window": (
        (over("grace", "2026-06-01 15:00", "2026-06-03 15:00"),),
        ("01T09:00 ana", "01T15:00 grace", "03T15:00 ana", "04T09:00 bo"),
    ),
    "two that cross: the later one wins": (
        (over("grace", "2026-06-01 15:00", "2026-06-02 15:00"), over("eve", "2026-06-02 00:00", "2026-06-03 00:00")),
        ("01T09:00 ana", "01T15:00 grace", "02T00:00 eve", "03T00:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "the same two written the other way round": (
        (over("eve", "2026-06-02 00:00", "2026-06-03 00:00"), over("grace", "2026-06-01 15:00", "2026-06-02 15:00")),
        ("01T09:00 ana", "01T15:00 grace", "02T15:00 eve", "03T00:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "one within another": (
        (over("grace", "2026-06-01 12:00", "2026-06-01 20:00"), over("eve", "2026-06-01 15:00", "2026-06-01 16:00")),
        ("01T09:00 ana", "01T12:00 grace", "01T15:00 eve", "01T16:00 grace", "01T20:00 ana", "02T09:00 bo", "03T09:00 ana",
         "04T09:00 bo"),
    ),
    "a swap: each for the other": (
        (over("bo", "2026-06-01 09:00", "2026-06-02 09:00", "ana"), over("ana", "2026-06-02 09:00", "2026-06-03 09:00", "bo")),
        ("01T09:00 bo", "02T09:00 ana", "03T09:00 ana", "04T09:00 bo"),  # under an override, then by the layer
    ),
    "a chain: eve for grace, who is there for ana": (
        (over("grace", "2026-06-01 09:00", "2026-06-02 09:00", "ana"), over("eve", "2026-06-01 12:00", "2026-06-01 13:00", "grace")),
        ("01T09:00 grace", "01T12:00 eve", "01T13:00 grace", "02T09:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "one more, over a handoff": (
        (over("grace", "2026-06-02 06:00", "2026-06-02 12:00", mode="add"),),
        ("01T09:00 ana", "02T06:00 ana+grace", "02T09:00 bo+grace", "02T12:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "one less: a gap, then the next turn": (
        (over("ana", "2026-06-02 00:00", "2026-06-02 12:00", mode="remove"),),
        ("01T09:00 ana", "02T00:00 nobody", "02T09:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "removed and then added": (
        (over("ana", "2026-06-01 12:00", "2026-06-01 18:00", mode="remove"), over("eve", "2026-06-01 15:00", "2026-06-01 20:00", mode="add")),
        ("01T09:00 ana", "01T12:00 nobody", "01T15:00 eve", "01T18:00 ana+eve", "01T20:00 ana", "02T09:00 bo", "03T09:00 ana",
         "04T09:00 bo"),
    ),
    "by who is there already: their own name, no layer": (
        (over("ana", "2026-06-01 12:00", "2026-06-01 18:00"),),
        ("01T09:00 ana", "01T12:00 ana", "01T18:00 ana", "02T09:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "for somebody who is not there": (
        (over("grace", "2026-06-01 12:00", "2026-06-01 18:00", "bo"),),
        ("01T09:00 ana", "02T09:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "two people for one": (
        (over("grace eve", "2026-06-01 12:00", "2026-06-01 18:00", "ana"),),
        ("01T09:00 ana", "01T12:00 grace+eve", "01T18:00 ana", "02T09:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
    "longer than the window": (
        (over("grace", "2025-01-01 00:00", "2027-01-01 00:00"),),
        ("01T09:00 grace",),
    ),
    "before the rotation begins it fills what is empty": (
        (over("grace", "2026-05-31 09:00", "2026-06-01 12:00"),),
        ("01T09:00 grace", "01T12:00 ana", "02T09:00 bo", "03T09:00 ana", "04T09:00 bo"),
    ),
}  # fmt: skip


@pytest.mark.parametrize(("overrides", "expected"), OVERRIDES.values(), ids=OVERRIDES)
@pytest.mark.parametrize("run_time", [False, True], ids=["written", "at run time"])
def test_overrides_cross_handoffs_and_each_other_as_written(
    overrides: tuple[Override, ...], expected: tuple[str, ...], run_time: bool
) -> None:
    daily = layer("ana bo", "1d 2026-06-01 09:00")
    start, end = (local_instant(f"2026-06-0{day}T09:00", "Europe/Paris") for day in (1, 5))
    plan = Schedule("primary", "Europe/Paris", (daily,), () if run_time else overrides)
    found = shifts(plan, start, end, overrides if run_time else ())
    pieces = sorted(
        [*((one.start, one.users) for one in found.shifts), *((gap.start, ("nobody",)) for gap in found.gaps)]
    )
    zone = zone_of("Europe/Paris")
    assert tuple(f"{rfc3339(at, zone)[8:16]} {'+'.join(users)}" for at, users in pieces) == expected


@pytest.mark.parametrize(
    ("zone", "start", "end", "begins", "ends"),
    [
        ("Europe/Paris", "2026-03-29T02:30", "2026-03-29T12:00", "2026-03-29T03:00+02:00", "2026-03-29T12:00+02:00"),
        ("Europe/Paris", "2026-03-28T12:00", "2026-03-29T02:30", "2026-03-28T12:00+01:00", "2026-03-29T03:00+02:00"),
        ("Europe/Paris", "2026-10-25T02:30", "2026-10-25T12:00", "2026-10-25T02:30+02:00", "2026-10-25T12:00+01:00"),
        # also an end that comes twice is taken first: only the ends of hours take the last
        ("Europe/Paris", "2026-10-24T12:00", "2026-10-25T02:30", "2026-10-24T12:00+02:00", "2026-10-25T02:30+02:00"),
        ("Pacific/Apia", "2011-12-29T12:00", "2011-12-30T12:00", "2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00"),
    ],
)  # fmt: skip
def test_an_override_in_a_hard_night_begins_and_ends_as_written(
    zone: str, start: str, end: str, begins: str, ends: str
) -> None:
    plan = Schedule("primary", zone, (Layer("all", (("ana",),), None),), (over("grace", start, end),))
    for at, expected in ((begins, ["ana", "grace"]), (ends, ["grace", "ana"])):
        edge = instant(datetime.fromisoformat(at))
        assert [on_call(plan, Instant(moment)).users[0] for moment in (edge - 1, edge)] == expected


def test_an_override_that_lies_in_the_gap_never_is() -> None:
    written = over("grace", "2026-03-29 02:10", "2026-03-29 02:50")
    plan = Schedule("primary", "Europe/Paris", (Layer("all", (("ana",),), None),), (written,))
    assert told(plan, "2026-03-29 00:00", "2026-03-29 12:00") == ("2026-03-29T00:00+01:00 ana",)


# ----------------------------------------------------------------------------------- ten years


@pytest.mark.parametrize("zone", ["Europe/Paris", "America/Chicago", "Australia/Lord_Howe", "Asia/Tehran", "UTC"])
def test_ten_years_of_eight_hour_shifts_hand_over_at_nine_five_and_one_to_whoever_is_next(zone: str) -> None:
    plan = Schedule("primary", zone, (layer("ana bo chen dora", "8h 2016-01-04 09:00"),))
    found = shifts(plan, local_instant("2016-01-04T09:00", zone), local_instant("2026-01-04T09:00", zone)).shifts
    clocks = [rfc3339(one.start, zone_of(zone))[11:16] for one in found]
    assert set(clocks) == {"09:00", "17:00", "01:00"}
    assert [one.users for one in found] == [
        ((("ana",), ("bo",), ("chen",), ("dora",))[k % 4]) for k in range(len(found))
    ]
    assert len(found) == 3653 * 3
    lengths = {one.end - one.start for one in found} - {8 * HOUR}
    assert lengths <= {7 * HOUR, 9 * HOUR, 8 * HOUR - 30 * MINUTE, 8 * HOUR + 30 * MINUTE}


def test_fifty_years_of_weeks_do_not_drift() -> None:
    plan = Schedule("primary", "America/Chicago", (layer("ana bo chen", "1w 1990-01-01 09:00"),))
    found = shifts(
        plan, local_instant("1990-01-01T09:00", plan.timezone), local_instant("2040-01-02T09:00", plan.timezone)
    ).shifts
    zone = zone_of(plan.timezone)
    assert {datetime.fromtimestamp(one.start / 1000, zone).strftime("%a %H:%M") for one in found} == {"Mon 09:00"}
    assert all(one.end == after.start for one, after in pairwise(found))
    assert sum(one.end - one.start for one in found) == found[-1].end - found[0].start
    assert len(found) == (found[-1].end - found[0].start + 12 * HOUR) // (7 * DAY)
