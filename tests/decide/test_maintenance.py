"""Windows by written dates: nights of the clock change, ranges of days, edges."""

from __future__ import annotations

from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.muting.maintenance import agenda, in_force, last_ended, upcoming, windows
from tocsin.decide.muting.mutes import Windows
from tocsin.model import DAY, HOUR, Instant, Maintenance, Millis, instant, rfc3339

SUNDAY = frozenset({6})
EVERY_DAY = frozenset(range(7))


def every(days: frozenset[int], minute: int, length: int, zone: str = "UTC", name: str = "w") -> Maintenance:
    return Maintenance(name, ('a="b"',), zone, days, minute, Millis(length))


def once(start: str, end: str, zone: str = "UTC") -> Maintenance:
    return Maintenance("w", ('a="b"',), zone, start=start, end=end)


def at(text: str) -> Instant:
    return instant(datetime.fromisoformat(text.replace("Z", "+00:00")))


@pytest.mark.parametrize(
    ("window", "around", "start", "end"),
    [
        # Paris, spring: 02:00 does not exist, the window begins at 03:00 and has its two hours.
        (every(SUNDAY, 120, 2 * HOUR, "Europe/Paris"), "2026-03-29T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-29T03:00:00Z"),
        # Paris, autumn: 02:00 comes twice, the first counts.
        (every(SUNDAY, 120, 2 * HOUR, "Europe/Paris"), "2026-10-25T00:30:00Z", "2026-10-25T00:00:00Z", "2026-10-25T02:00:00Z"),
        # The week before and after the clocks change the hour by UTC differs.
        (every(SUNDAY, 120, 2 * HOUR, "Europe/Paris"), "2026-03-22T01:30:00Z", "2026-03-22T01:00:00Z", "2026-03-22T03:00:00Z"),
        (every(SUNDAY, 120, 2 * HOUR, "Europe/Paris"), "2026-04-05T00:30:00Z", "2026-04-05T00:00:00Z", "2026-04-05T02:00:00Z"),
        # New York, over midnight.
        (every(SUNDAY, 23 * 60, 3 * HOUR, "America/New_York"), "2026-01-05T05:00:00Z", "2026-01-05T04:00:00Z", "2026-01-05T07:00:00Z"),
        # Lord Howe moves by half an hour.
        (every(SUNDAY, 120, HOUR, "Australia/Lord_Howe"), "2026-10-03T15:40:00Z", "2026-10-03T15:30:00Z", "2026-10-03T16:30:00Z"),
        # Apia skipped a whole Friday in 2011: the window begins when the gap ends.
        (every(frozenset({4}), 12 * 60, HOUR, "Pacific/Apia"), "2011-12-30T10:10:00Z", "2011-12-30T10:00:00Z", "2011-12-30T11:00:00Z"),
        (once("2026-03-29T02:30", "2026-03-29T03:30", "Europe/Paris"), "2026-03-29T01:10:00Z", "2026-03-29T01:00:00Z", "2026-03-29T01:30:00Z"),
        (once("2026-10-25T01:30", "2026-10-25T03:30", "Europe/Paris"), "2026-10-25T02:00:00Z", "2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z"),
    ],
)  # fmt: skip
def test_a_window_lies_where_the_clock_on_the_wall_says(window: Maintenance, around: str, start: str, end: str) -> None:
    found = in_force(window, at(around))
    assert found is not None
    assert (rfc3339(found.start), rfc3339(found.end)) == (start, end)
    assert in_force(window, Instant(found.start - 1)) is None
    assert in_force(window, found.end) is None
    assert last_ended(window, found.end) == found


def test_what_comes_next_begins_later() -> None:
    window = every(SUNDAY, 120, 2 * HOUR)
    found = upcoming(window, at("2026-01-04T02:00:00Z"))
    assert found is not None
    assert rfc3339(found.start) == "2026-01-11T02:00:00Z"
    assert upcoming(once("2026-01-05T09:00", "2026-01-05T10:00"), at("2026-01-05T09:00:00Z")) is None


def test_the_agenda_has_what_is_in_force_and_what_is_next() -> None:
    planned = [every(SUNDAY, 120, 2 * HOUR, name="patching"), every(EVERY_DAY, 0, HOUR, name="backup")]
    said = [(one.name, rfc3339(one.start)) for one in agenda(planned, at("2026-01-04T03:00:00Z"))]
    assert said == [
        ("patching", "2026-01-04T02:00:00Z"), ("backup", "2026-01-05T00:00:00Z"), ("patching", "2026-01-11T02:00:00Z"),
    ]  # fmt: skip


def test_windows_that_are_worked_out_once_say_the_same_as_asked_each_time() -> None:
    planned = [
        every(SUNDAY, 120, 2 * HOUR, "Europe/Paris"),
        every(EVERY_DAY, 60, HOUR),
        once("2026-03-29T02:30", "2026-03-29T05:00"),
    ]
    kept = Windows(planned)
    for minutes in range(0, 3 * 1440, 7):
        now = Instant(at("2026-03-28T00:00:00Z") + minutes * 60_000)
        assert [window for window, _ in kept.in_force(now)] == [w for one in planned if (w := in_force(one, now))]


@given(
    st.sampled_from(["UTC", "Europe/Paris", "America/St_Johns", "Pacific/Chatham", "Asia/Kathmandu"]),
    st.frozensets(st.integers(0, 6), min_size=1), st.integers(0, 1439), st.integers(1, 23 * 60),
    st.integers(at("2024-01-01T00:00:00Z"), at("2028-01-01T00:00:00Z")),
)  # fmt: skip
def test_every_window_found_touches_what_was_asked_and_none_is_left_out(
    zone: str, days: frozenset[int], minute: int, length: int, now: int
) -> None:
    window = every(days, minute, length * 60_000, zone)
    week = list(windows(window, Instant(now), Instant(now + 7 * DAY)))
    assert week == sorted(week, key=lambda one: one.start)
    assert all(one.start < now + 7 * DAY and one.end > now for one in week)
    assert len(days) - 1 <= len(week) <= len(days) + 1
    current = in_force(window, Instant(now))
    assert current is None or current == week[0]
