"""Hours, nights and weekends per person."""

from __future__ import annotations

from datetime import datetime

import pytest

from tocsin.decide.oncall.fairness import Load, shares
from tocsin.decide.oncall.resolver import on_call, zone_of
from tocsin.model import HOUR, MINUTE, Hours, Instant, Layer, Millis, Override, Rotation, Schedule, instant

ZONES = {"ana": "Europe/Lisbon", "bo": "America/New_York", "chen": "UTC"}


def at(text: str) -> Instant:
    return instant(datetime.fromisoformat(text))


def alone(user: str, *hours: Hours, name: str = "primary", zone: str = "UTC") -> Schedule:
    return Schedule(name, zone, (Layer("", ((user,),), None, hours),))


def load(hours: float, at_night: float, nights: int, weekends: int) -> Load:
    return Load(Millis(int(hours * HOUR)), Millis(int(at_night * HOUR)), nights, weekends)


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        # Monday 2026-06-01; chen lives in UTC
        ("2026-06-01T00:00Z", "2026-06-02T00:00Z", load(24, 8, 2, 0)),  # Sunday's night and Monday's
        ("2026-06-01T06:00Z", "2026-06-01T22:00Z", load(16, 0, 0, 0)),
        ("2026-06-01T21:00Z", "2026-06-01T22:01Z", load(61 / 60, 1 / 60, 1, 0)),  # however briefly
        ("2026-06-01T05:59Z", "2026-06-01T06:00Z", load(1 / 60, 1 / 60, 1, 0)),
        ("2026-06-05T12:00Z", "2026-06-06T00:00Z", load(12, 2, 1, 0)),  # Friday's evening is no weekend
        ("2026-06-05T12:00Z", "2026-06-08T00:00Z", load(60, 18, 3, 1)),  # Saturday and Sunday are one
        ("2026-06-07T23:00Z", "2026-06-08T01:00Z", load(2, 2, 1, 1)),
        ("2026-06-01T00:00Z", "2026-06-29T00:00Z", load(672, 224, 29, 4)),
    ],
)
def test_hours_nights_and_weekends_are_counted_by_the_persons_clock(start: str, end: str, expected: Load) -> None:
    [share] = shares([alone("chen")], ZONES, at(start), at(end))
    assert (share.user, share.total, share.schedules) == ("chen", expected, {"primary": expected})


def test_one_persons_night_is_anothers_morning() -> None:
    night = Hours(frozenset(range(7)), 22 * 60, 6 * 60)
    plan = Schedule("primary", "Europe/Lisbon", (Layer("", (("ana", "bo"),), None, (night,)),))
    ana, bo = shares([plan], ZONES, at("2026-06-01T12:00Z"), at("2026-06-02T12:00Z"))
    assert ana.total == load(8, 8, 1, 0)
    assert bo.total == load(8, 3, 1, 0)  # 17:00 to 01:00 in New York
    assert (ana.timezone, bo.timezone) == ("Europe/Lisbon", "America/New_York")


@pytest.mark.parametrize(("day", "hours"), [("2026-03-28", 7), ("2026-10-24", 9), ("2026-06-06", 8)])
def test_a_night_is_as_long_as_that_night_was(day: str, hours: int) -> None:
    noon = at(f"{day}T12:00Z")
    [share] = shares([alone("ana")], ZONES, noon, Instant(noon + 24 * HOUR))
    assert share.total.at_night == hours * HOUR


def test_two_schedules_at_once_are_time_once_and_each_has_its_own_figures() -> None:
    plans = [alone("chen", name="first"), alone("chen", Hours(frozenset(range(7)), 0, 12 * 60), name="second")]
    [share] = shares(plans, ZONES, at("2026-06-01T00:00Z"), at("2026-06-02T00:00Z"))
    assert share.total == load(24, 8, 2, 0)
    assert share.schedules == {"first": load(24, 8, 2, 0), "second": load(12, 6, 1, 0)}


def test_who_has_no_turn_in_the_window_is_listed_with_nothing() -> None:
    plan = Schedule("primary", "UTC", (Layer("", (("chen",), ("dora",)), Rotation(4, "weeks", "2026-06-01T00:00")),))
    chen, dora = shares([plan], ZONES, at("2026-06-01T00:00Z"), at("2026-06-08T00:00Z"))
    assert (chen.total.on_call, dora.total, dora.timezone) == (168 * HOUR, load(0, 0, 0, 0), "UTC")


def test_run_time_overrides_count_too() -> None:
    taken = Override(("grace",), "2026-06-01T00:00", "2026-06-01T12:00")
    found = shares([alone("chen")], ZONES, at("2026-06-01T00:00Z"), at("2026-06-02T00:00Z"), {"primary": (taken,)})
    assert [(one.user, one.total.on_call // HOUR) for one in found] == [("chen", 12), ("grace", 12)]


@pytest.mark.parametrize("zone", ["Europe/Paris", "Australia/Lord_Howe", "America/Havana", "Pacific/Apia"])
def test_two_months_counted_every_ten_minutes_are_the_same(zone: str) -> None:
    """A slow and simple count, over a clock change."""
    plan = Schedule(
        "primary", "Asia/Tokyo", (Layer("", (("ana",), ("bo",), ("chen",)), Rotation(7, "hours", "2026-01-01T00:00")),)
    )
    start, end = at("2026-03-01T00:00Z"), at("2026-05-01T00:00Z")
    [ana, *_] = shares([plan], {"ana": zone}, start, end)
    on = at_night = 0
    nights, weekends = set(), set()
    for moment in range(start, end, 10 * MINUTE):
        if on_call(plan, Instant(moment)).users == ("ana",):
            shown = datetime.fromtimestamp(moment / 1000, zone_of(zone))
            on += 1
            if shown.hour >= 22 or shown.hour < 6:
                at_night += 1
                nights.add(shown.date().toordinal() - (shown.hour < 6))
            if shown.weekday() >= 5:
                weekends.add(shown.date().toordinal() - shown.weekday())
    minutes = 10 * MINUTE
    assert ana.total == Load(Millis(on * minutes), Millis(at_night * minutes), len(nights), len(weekends))
