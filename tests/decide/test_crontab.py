"""When a job is expected: written dates, the nights when the clock is changed, and a slower way to the same answer."""

from __future__ import annotations

from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from tocsin.decide.heartbeats.crontab import next_after, parse
from tocsin.model import Instant, instant, rfc3339


def after(expression: str, zone: str, at: str, times: int = 1) -> list[str]:
    """The next times as the zone's clock shows them, with the offset."""
    now, found = instant(datetime.fromisoformat(at)), []
    for _ in range(times):
        now = next_after(parse(expression), zone, now)
        found.append(rfc3339(now, ZoneInfo(zone)).replace(":00+", "+").replace(":00-", "-").replace(":00Z", "Z"))
    return found


@pytest.mark.parametrize(
    ("expression", "at", "expected"),
    [
        ("0 3 * * *", "2026-01-05T03:00:00+00:00", ["2026-01-06T03:00Z", "2026-01-07T03:00Z"]),
        ("0 3 * * *", "2026-01-05T02:59:59+00:00", ["2026-01-05T03:00Z"]),
        ("*/15 9-10 * * *", "2026-01-05T09:40:00+00:00", ["2026-01-05T09:45Z", "2026-01-05T10:00Z"]),
        ("5,50 0 * * *", "2026-01-05T00:05:00+00:00", ["2026-01-05T00:50Z", "2026-01-06T00:05Z"]),
        ("0 9 * * mon-fri", "2026-01-09T09:00:00+00:00", ["2026-01-12T09:00Z"]),
        ("0 9 * * 7", "2026-01-05T00:00:00+00:00", ["2026-01-11T09:00Z", "2026-01-18T09:00Z"]),
        (
            "0 9 * * fri-sun",
            "2026-01-09T10:00:00+00:00",
            ["2026-01-10T09:00Z", "2026-01-11T09:00Z", "2026-01-16T09:00Z"],
        ),
        ("0 0 31 * *", "2026-01-31T00:00:00+00:00", ["2026-03-31T00:00Z", "2026-05-31T00:00Z"]),
        ("0 0 29 feb *", "2026-01-01T00:00:00+00:00", ["2028-02-29T00:00Z", "2032-02-29T00:00Z"]),
        ("0 0 13 * fri", "2026-01-05T00:00:00+00:00", ["2026-01-09T00:00Z", "2026-01-13T00:00Z"]),  # either, as in cron
        ("0 0 */10 * mon", "2026-01-01T00:00:00+00:00", ["2026-05-11T00:00Z"]),  # `*/10` begins with a star: both
        ("0 12 1 jan,JUL *", "2026-01-05T00:00:00+00:00", ["2026-07-01T12:00Z", "2027-01-01T12:00Z"]),
        (
            "10-50/20 0 * * *",
            "2026-01-05T00:00:00+00:00",
            ["2026-01-05T00:10Z", "2026-01-05T00:30Z", "2026-01-05T00:50Z"],
        ),
        ("30/15 0 * * *", "2026-01-05T00:00:00+00:00", ["2026-01-05T00:30Z", "2026-01-05T00:45Z", "2026-01-06T00:30Z"]),
        ("@daily", "2026-01-05T12:00:00+00:00", ["2026-01-06T00:00Z"]),
        ("@weekly", "2026-01-05T12:00:00+00:00", ["2026-01-11T00:00Z"]),
    ],
)
def test_an_expression_comes_at_these_times(expression: str, at: str, expected: list[str]) -> None:
    assert after(expression, "UTC", at, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "zone", "at", "expected"),
    [
        # spring in Paris: 02:00 to 03:00 of 29 March does not exist
        ("30 2 * * *", "Europe/Paris", "2026-03-28T12:00:00+00:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:30+02:00"]),
        ("0,30 2 * * *", "Europe/Paris", "2026-03-28T12:00:00+00:00", ["2026-03-29T03:00+02:00", "2026-03-30T02:00+02:00"]),
        ("*/30 * * * *", "Europe/Paris", "2026-03-29T00:15:00+00:00", ["2026-03-29T01:30+01:00", "2026-03-29T03:00+02:00"]),
        # autumn in Paris: 02:00 to 03:00 of 25 October comes twice
        ("30 2 * * *", "Europe/Paris", "2026-10-24T12:00:00+00:00", ["2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"]),
        ("0 * * * *", "Europe/Paris", "2026-10-24T23:30:00+00:00",
         ["2026-10-25T02:00+02:00", "2026-10-25T02:00+01:00", "2026-10-25T03:00+01:00"]),
        # half an hour on Lord Howe Island
        ("15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00+00:00",
         ["2026-10-04T02:30+11:00", "2026-10-05T02:15+11:00"]),
        # a day that Samoa left out
        ("0 12 * * *", "Pacific/Apia", "2011-12-29T12:00:00+00:00", ["2011-12-29T12:00-10:00", "2011-12-31T00:00+14:00"]),
    ],
)  # fmt: skip
def test_nights_when_the_clock_is_changed(expression: str, zone: str, at: str, expected: list[str]) -> None:
    assert after(expression, zone, at, len(expected)) == expected


@pytest.mark.parametrize(
    ("expression", "because"),
    [
        ("0 3 * *", "'0 3 * *' has 4 fields instead of 5; write minute, hour, day, month, weekday, as in 0 3 * * *"),
        ("0 0 3 * * *", "'0 0 3 * * *' has 6 fields instead of 5; write minute, hour, day, month, weekday, as in 0 3 * * *"),
        ("@reboot", "'@reboot' is not known (known are @hourly, @daily, @midnight, @weekly, @monthly, @yearly, @annually); "
                    "write minute, hour, day, month, weekday, as in 0 3 * * *"),
        ("60 3 * * *", "'60 3 * * *': '60' is no minute; write 0 to 59"),
        ("0 3 * * moon", "'0 3 * * moon': 'moon' is no day of the week; write 0 to 7, or sun to sat"),
        ("0 3 0 * *", "'0 3 0 * *': '0' is no day of the month; write 1 to 31"),
        ("*/0 3 * * *", "'*/0 3 * * *': '*/0' steps by nothing; write */15 or leave the step out"),
        ("0 22-4 * * *", "'0 22-4 * * *': '22-4' ends before it begins; write two ranges with a comma between them"),
        ("0 3 L * *", "'0 3 L * *': 'l' is no day of the month; L, W, # and ? belong to other crons and are not known here"),
        ("0 3 30 2 *", "'0 3 30 2 *' names days that never come"),
        ("0 3,, * * *", "'0 3,, * * *': '' is no hour; write 0 to 23"),
        ("0 " * 200, "is longer than 200 characters"),
    ],
)  # fmt: skip
def test_a_wrong_expression_says_what_to_write(expression: str, because: str) -> None:
    with pytest.raises(ValueError) as wrong:
        parse(expression)
    assert str(wrong.value) == because


def a_field(least: int, most: int) -> some.SearchStrategy[str]:
    number = some.integers(least, most)
    pair = some.tuples(number, number).map(sorted)
    return some.one_of(
        some.just("*"), number.map(str), pair.map("{0[0]}-{0[1]}".format),
        some.tuples(pair, some.integers(1, 9)).map(lambda one: f"{one[0][0]}-{one[0][1]}/{one[1]}"),
    )  # fmt: skip


@given(a_field(0, 59), some.integers(0, 23).map(str), a_field(1, 31), a_field(0, 7), some.integers(0, 500_000))
@settings(max_examples=60, deadline=None)
def test_the_next_time_is_what_a_walk_through_all_minutes_finds(
    minute: str, hour: str, day: str, weekday: str, later: int
) -> None:
    crontab = parse(f"{minute} {hour} {day} * {weekday}")
    start = datetime.fromisoformat("2026-01-01T00:00:00+00:00") + timedelta(minutes=later)

    found = next_after(crontab, "UTC", instant(start))

    moment = start + timedelta(minutes=1)
    while not (moment.minute in crontab.minutes and moment.hour in crontab.hours and crontab.on(moment.date())):
        moment += timedelta(minutes=1)
    assert found == Instant(instant(moment))
