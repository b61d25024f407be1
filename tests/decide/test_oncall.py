"""Who is on call: written dates and whom they page."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pytest

from tocsin.decide.oncall.overrides import Mode
from tocsin.decide.oncall.resolver import Gap, Shift, in_hours, local_instant, next_on_call, on_call, shifts
from tocsin.model import DAY, HOUR, FeedShift, Hours, Instant, Layer, Override, Rotation, Schedule, Support, instant
from tocsin.model.schedules import Unit

WEEKDAYS = frozenset(range(5))
EVERY_DAY = frozenset(range(7))
MON, TUE, WED, THU, FRI, SAT, SUN = range(7)


def at(text: str) -> Instant:
    """An instant from RFC 3339."""
    return instant(datetime.fromisoformat(text))


def schedule(*layers: Layer, zone: str = "Europe/Paris", overrides: tuple[Override, ...] = ()) -> Schedule:
    return Schedule("primary", zone, layers, overrides)


def layer(name: str, users: str, rotation: Rotation | None, *hours: Hours) -> Layer:
    """`users` as "ana bo chen+dora": plus for those who are on call together."""
    return Layer(name, tuple(tuple(entry.split("+")) for entry in users.split()), rotation, hours)


def weekly(users: str = "ana bo chen+dora", start: str = "2026-01-05T09:00") -> Layer:
    return layer("week", users, Rotation(1, "weeks", start))


def who(plan: Schedule, when: str, *extra: Override) -> str:
    return "+".join(on_call(plan, at(when), extra).users)


def local_who(plan: Schedule, when: str) -> str:
    return "+".join(on_call(plan, local_instant(when, plan.timezone)).users)


# ------------------------------------------------------------------------------------- rotations


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2026-01-05 08:59", ""),
        ("2026-01-05 09:00", "ana"),
        ("2026-01-12 08:59", "ana"),
        ("2026-01-12 09:00", "bo"),
        ("2026-01-19 09:00", "chen+dora"),
        ("2026-01-26 09:00", "ana"),
        ("2026-07-06 08:59", "bo"),
        ("2026-07-06 09:00", "chen+dora"),
    ],
)
def test_a_weekly_rotation_hands_over_on_mondays_at_nine_and_nobody_is_on_call_before_it_starts(
    when: str, users: str
) -> None:
    assert local_who(schedule(weekly()), when) == users


@pytest.mark.parametrize(
    ("when", "users"),
    [
        # 31 January, then the last day of shorter months; never drifting to the 28th for good
        ("2026-01-31 08:59", ""),
        ("2026-01-31 09:00", "ana"),
        ("2026-02-28 08:59", "ana"),
        ("2026-02-28 09:00", "bo"),
        ("2026-03-30 23:00", "bo"),
        ("2026-03-31 08:59", "bo"),
        ("2026-03-31 09:00", "ana"),
        ("2026-04-30 09:00", "bo"),
        ("2026-05-30 09:00", "bo"),
        ("2026-05-31 09:00", "ana"),
        ("2028-02-29 08:59", "ana"),
        ("2028-02-29 09:00", "bo"),
    ],
)
def test_a_monthly_rotation_from_the_31st_is_clamped_to_the_end_of_each_month(when: str, users: str) -> None:
    assert local_who(schedule(layer("month", "ana bo", Rotation(1, "months", "2026-01-31T09:00"))), when) == users


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2024-02-29 09:00", "ana"),
        ("2025-02-28 08:59", "ana"),
        ("2025-02-28 09:00", "bo"),
        ("2028-02-28 09:00", "bo"),
        ("2028-02-29 08:59", "bo"),
        ("2028-02-29 09:00", "ana"),
    ],
)
def test_a_yearly_rotation_from_leap_day_is_clamped_in_other_years(when: str, users: str) -> None:
    assert local_who(schedule(layer("year", "ana bo", Rotation(12, "months", "2024-02-29T09:00"))), when) == users


@pytest.mark.parametrize("year", range(2026, 2037))
def test_eight_hour_shifts_stay_at_nine_five_and_one_for_ten_years(year: int) -> None:
    plan = schedule(layer("shifts", "early late night", Rotation(8, "hours", "2026-01-05T09:00")))
    for day in ("02-10", "07-10", "12-10"):
        assert local_who(plan, f"{year}-{day} 08:59") == "night"
        assert local_who(plan, f"{year}-{day} 09:00") == "early"
        assert local_who(plan, f"{year}-{day} 16:59") == "early"
        assert local_who(plan, f"{year}-{day} 17:00") == "late"


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2026-01-08 09:00", "dora"),  # Thursday
        ("2026-01-09 09:00", "ana"),  # Friday
        ("2026-01-10 12:00", "ana"),  # Saturday: Friday's person stays
        ("2026-01-12 08:59", "ana"),
        ("2026-01-12 09:00", "bo"),  # Monday: the next person, nobody was skipped
        ("2026-01-13 09:00", "chen"),
    ],
)
def test_a_daily_rotation_over_weekdays_counts_weekdays_only(when: str, users: str) -> None:
    plan = schedule(layer("day", "ana bo chen dora", Rotation(1, "days", "2026-01-05T09:00", WEEKDAYS)))
    assert local_who(plan, when) == users


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2026-01-05 09:00", "ana"),  # Monday and Tuesday
        ("2026-01-07 09:00", "bo"),  # Wednesday and Thursday
        ("2026-01-09 09:00", "chen"),  # Friday and Monday
        ("2026-01-12 12:00", "chen"),
        ("2026-01-13 09:00", "ana"),
    ],
)
def test_turns_of_two_days_over_weekdays_count_weekdays_only(when: str, users: str) -> None:
    plan = schedule(layer("day", "ana bo chen", Rotation(2, "days", "2026-01-05T09:00", WEEKDAYS)))
    assert local_who(plan, when) == users


@pytest.mark.parametrize(
    ("every", "unit", "expected"),
    [
        (1, "days", "ana bo chen ana bo chen"),
        (2, "days", "ana ana bo bo chen chen"),
        (3, "days", "ana ana ana bo bo bo"),
        (1, "weeks", "ana ana bo bo chen chen"),
        (2, "weeks", "ana ana ana ana bo bo"),  # the two calendar weeks from the start's
    ],
)
def test_turns_over_weekends_from_a_thursday_on(every: int, unit: Unit, expected: str) -> None:
    weekend = frozenset({SAT, SUN})
    turns = Rotation(every, unit, "2026-01-08T00:00", weekend)
    plan = schedule(layer("weekend", "ana bo chen", turns, Hours(weekend, 0, 0)))
    days = ("10", "11", "17", "18", "24", "25")
    assert " ".join(local_who(plan, f"2026-01-{day} 12:00") for day in days) == expected
    assert [local_who(plan, f"2026-01-{day} 12:00") for day in ("08", "09", "12", "16")] == [""] * 4


def test_a_daily_rotation_that_starts_on_an_idle_day_has_its_first_person_from_the_start() -> None:
    plan = schedule(layer("day", "ana bo", Rotation(1, "days", "2026-01-10T09:00", WEEKDAYS)))
    assert [local_who(plan, f"2026-01-{day} 09:00") for day in (10, 11, 12, 13)] == ["ana", "ana", "ana", "bo"]


@pytest.mark.parametrize(
    ("start", "when", "users"),
    [
        ("2026-01-07T09:00", "2026-01-07 09:00", "ana"),  # from Wednesday: a first partial week is a turn
        ("2026-01-07T09:00", "2026-01-12 08:59", "ana"),
        ("2026-01-07T09:00", "2026-01-12 09:00", "bo"),
        ("2026-01-07T09:00", "2026-01-19 09:00", "ana"),
        ("2026-01-10T09:00", "2026-01-10 09:00", "ana"),  # from Saturday: that week has no active day left
        ("2026-01-10T09:00", "2026-01-12 09:00", "ana"),
        ("2026-01-10T09:00", "2026-01-19 09:00", "bo"),
        ("2026-01-05T09:00", "2026-01-12 09:00", "bo"),  # from a Monday: whole weeks
    ],
)
def test_a_weekly_rotation_with_days_changes_on_mondays(start: str, when: str, users: str) -> None:
    plan = schedule(layer("week", "ana bo", Rotation(1, "weeks", start, WEEKDAYS)))
    assert local_who(plan, when) == users


@pytest.mark.parametrize(
    ("when", "users"),
    [("2026-01-07 09:00", "ana"), ("2026-01-19 08:59", "ana"), ("2026-01-19 09:00", "bo"), ("2026-02-02 09:00", "ana")],
)
def test_turns_of_two_weeks_with_days_count_calendar_weeks_from_the_starts(when: str, users: str) -> None:
    plan = schedule(layer("week", "ana bo", Rotation(2, "weeks", "2026-01-07T09:00", WEEKDAYS)))
    assert local_who(plan, when) == users


def test_a_layer_without_a_rotation_is_its_first_entry_always() -> None:
    plan = schedule(layer("boss", "grace", None))
    assert who(plan, "1971-01-01T00:00:00Z") == who(plan, "2999-01-01T00:00:00Z") == "grace"


# ---------------------------------------------------------------------------- nights of the clock


@pytest.mark.parametrize(
    ("zone", "local", "expected"),
    [
        ("Europe/Paris", "2026-03-29T02:30", "2026-03-29T01:00:00Z"),  # does not exist: the first instant after the gap
        ("Europe/Paris", "2026-03-29T02:00", "2026-03-29T01:00:00Z"),
        ("Europe/Paris", "2026-03-29T03:00", "2026-03-29T01:00:00Z"),
        ("Europe/Paris", "2026-10-25T02:30", "2026-10-25T00:30:00Z"),  # comes twice: the first
        ("America/Chicago", "2026-03-08T02:15", "2026-03-08T08:00:00Z"),
        ("America/Chicago", "2026-11-01T01:15", "2026-11-01T06:15:00Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:10", "2026-10-03T15:30:00Z"),  # half an hour is missing
        ("Australia/Lord_Howe", "2026-04-05T01:40", "2026-04-04T14:40:00Z"),  # half an hour comes twice
        ("Pacific/Apia", "2011-12-30T09:00", "2011-12-30T10:00:00Z"),  # a whole day is missing
        ("America/St_Johns", "2006-10-29T00:00:30", "2006-10-29T02:30:30Z"),  # back at 00:01: midnight comes twice
    ],
)
def test_a_local_time_is_localised_as_the_manual_says(zone: str, local: str, expected: str) -> None:
    assert local_instant(local, zone) == at(expected)


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2026-03-29T00:59:59Z", "bo"),  # 01:59:59
        ("2026-03-29T01:00:00Z", "dora"),  # 03:00: the turns of 02:00 and 03:00 begin together, the empty one is lost
        ("2026-03-29T02:00:00Z", "ana"),
    ],
)
def test_where_two_handoffs_fall_on_one_instant_the_empty_turn_is_lost(when: str, users: str) -> None:
    plan = schedule(layer("hour", "ana bo chen dora", Rotation(1, "hours", "2026-03-29T00:00")))
    assert who(plan, when) == users


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2026-10-25T00:00:00Z", "chen"),  # 02:00 the first time
        ("2026-10-25T00:59:59Z", "chen"),
        ("2026-10-25T01:00:00Z", "chen"),  # 02:00 again: no handoff happens twice
        ("2026-10-25T01:59:59Z", "chen"),
        ("2026-10-25T02:00:00Z", "dora"),  # 03:00
    ],
)
def test_an_hour_that_comes_twice_is_one_longer_turn(when: str, users: str) -> None:
    plan = schedule(layer("hour", "ana bo chen dora", Rotation(1, "hours", "2026-10-25T00:00")))
    assert who(plan, when) == users


def test_a_handoff_within_the_repeated_hour_happens_the_first_time() -> None:
    plan = schedule(layer("day", "ana bo", Rotation(1, "days", "2026-10-24T02:30")))
    assert who(plan, "2026-10-25T00:29:59Z") == "ana"
    assert who(plan, "2026-10-25T00:30:00Z") == "bo"
    assert who(plan, "2026-10-25T01:15:00Z") == "bo", "02:15 again, after the handoff of 02:30"


def test_on_the_day_that_samoa_skipped_its_turn_begins_at_the_next_midnight() -> None:
    plan = schedule(layer("day", "ana bo chen", Rotation(1, "days", "2011-12-29T09:00")), zone="Pacific/Apia")
    found = shifts(plan, at("2011-12-30T05:00:00Z"), at("2011-12-31T05:00:00Z")).shifts
    assert [one.users for one in found] == [("ana",), ("bo",), ("chen",)]
    assert [one.start for one in found[1:]] == [at("2011-12-30T10:00:00Z"), at("2011-12-30T19:00:00Z")]


def test_the_end_of_a_shift_is_the_next_handoff_not_the_start_plus_its_length() -> None:
    found = shifts(schedule(weekly("ana bo")), at("2026-03-23T08:00:00Z"), at("2026-04-06T07:00:00Z")).shifts
    assert [one.end - one.start for one in found] == [7 * DAY - HOUR, 7 * DAY]


# ----------------------------------------------------------------------------------------- hours


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2026-01-09 21:59", "ana"),
        ("2026-01-09 22:00", "eve"),  # Friday's night
        ("2026-01-10 05:59", "eve"),  # belongs to Friday
        ("2026-01-10 06:00", "ana"),
        ("2026-01-10 22:00", "ana"),  # Saturday has no night
        ("2026-01-11 05:00", "ana"),
    ],
)
def test_overnight_hours_belong_to_the_day_they_begin_on(when: str, users: str) -> None:
    night = layer("night", "eve", None, Hours(WEEKDAYS, 22 * 60, 6 * 60))
    assert local_who(schedule(layer("all", "ana", None), night), when) == users


@pytest.mark.parametrize(
    ("hours", "when", "users"),
    [
        (Hours(frozenset({SAT, SUN}), 0, 0), "2026-01-10 00:00", "eve"),
        (Hours(frozenset({SAT, SUN}), 0, 0), "2026-01-11 23:59", "eve"),
        (Hours(frozenset({SAT, SUN}), 0, 0), "2026-01-12 00:00", "ana"),
        (Hours(frozenset({SAT, SUN}), 0, 0), "2026-01-09 23:59", "ana"),
        (Hours(frozenset({SAT, SUN}), 540, 540), "2026-01-10 08:59", "ana"),
        (Hours(frozenset({SAT, SUN}), 540, 540), "2026-01-12 08:59", "eve"),
        (Hours(frozenset({SAT, SUN}), 540, 540), "2026-01-12 09:00", "ana"),
    ],
)
def test_equal_hours_are_a_whole_day_from_that_time(hours: Hours, when: str, users: str) -> None:
    assert local_who(schedule(layer("all", "ana", None), layer("weekend", "eve", None, hours)), when) == users


@pytest.mark.parametrize(
    ("end", "last_covered", "first_free"),
    [
        (150, "2026-10-25T01:29:59Z", "2026-10-25T01:30:00Z"),  # 02:30 comes twice: the end is the last one
        (180, "2026-10-25T01:59:59Z", "2026-10-25T02:00:00Z"),
    ],
)
def test_hours_end_at_the_last_of_two_equal_times(end: int, last_covered: str, first_free: str) -> None:
    plan = schedule(layer("all", "ana", None), layer("night", "eve", None, Hours(EVERY_DAY, 60, end)))
    assert (who(plan, last_covered), who(plan, first_free)) == ("eve", "ana")


def test_hours_begin_at_the_first_of_two_equal_times() -> None:
    plan = schedule(layer("all", "ana", None), layer("night", "eve", None, Hours(EVERY_DAY, 150, 300)))
    assert (who(plan, "2026-10-25T00:29:59Z"), who(plan, "2026-10-25T00:30:00Z")) == ("ana", "eve")
    assert who(plan, "2026-10-25T01:10:00Z") == "eve", "02:10 again, after 02:30 was first reached"


def test_a_night_that_ends_with_the_second_midnight_lasts_past_the_first() -> None:
    """St. John's went back at 00:01: midnight of the 29th came, then 23:01 to 00:00 of the 28th again."""
    night = layer("night", "eve", None, Hours(frozenset({FRI}), 23 * 60 + 59, 23 * 60 + 59))
    plan = schedule(layer("all", "ana", None), night, zone="America/St_Johns")
    times = ("2006-10-29T02:29:59Z", "2006-10-29T02:30:30Z", "2006-10-29T03:28:59Z", "2006-10-29T03:29:00Z")
    assert [who(plan, when) for when in times] == ["eve", "eve", "eve", "ana"]


def test_hours_that_lie_within_a_gap_are_empty() -> None:
    plan = schedule(layer("all", "ana", None), layer("night", "eve", None, Hours(EVERY_DAY, 125, 150)))
    found = shifts(plan, at("2026-03-28T23:00:00Z"), at("2026-03-29T22:00:00Z")).shifts
    assert [one.users for one in found] == [("ana",)]


def test_hours_cut_coverage_and_not_turns() -> None:
    office = layer("office", "eve finn", Rotation(1, "weeks", "2026-01-05T09:00"), Hours(WEEKDAYS, 540, 1020))
    plan = schedule(weekly("ana"), office)
    found = [local_who(plan, f"2026-01-{day} {hour}") for day in ("09", "12") for hour in ("16:59", "17:00")]
    assert found == ["eve", "ana", "finn", "ana"]


def test_later_layers_win_where_they_cover() -> None:
    plan = schedule(layer("first", "ana", None), layer("second", "bo", Rotation(1, "days", "2026-02-01T00:00")))
    assert on_call(plan, at("2026-01-31T22:59:59Z")).layer == "first"
    assert on_call(plan, at("2026-01-31T23:00:00Z")).layer == "second"


def test_a_person_named_twice_in_an_entry_is_on_call_once() -> None:
    assert who(schedule(layer("all", "ana+bo+ana", None)), "2026-01-05T00:00:00Z") == "ana+bo"


def test_a_layer_without_a_name_is_called_by_its_place() -> None:
    plan = schedule(layer("", "ana", None), layer("", "bo", None, Hours(EVERY_DAY, 540, 600)))
    assert on_call(plan, at("2026-01-05T00:00:00Z")).layer == "layer 1"
    assert on_call(plan, at("2026-01-05T08:00:00Z")).because == "layer 2, turn 1"


# ------------------------------------------------------------------------------------- overrides


def over(
    users: str, start: str, end: str, replaces: str | None = None, mode: Mode = "replace", id: str = ""
) -> Override:
    return Override(tuple(users.split()), f"2026-01-05T{start}", f"2026-01-05T{end}", replaces, mode, id)


@pytest.mark.parametrize(
    ("overrides", "users", "of_layer"),
    [
        ((), "chen dora", "pair"),
        ((over("grace", "10:00", "12:00"),), "grace", None),
        ((over("grace", "10:00", "12:00", "chen"),), "grace dora", None),
        ((over("grace", "10:00", "12:00", "ana"),), "chen dora", "pair"),  # ana is not on call: nothing to replace
        ((over("dora", "10:00", "12:00", "chen"),), "dora", None),  # nobody is named twice
        ((over("grace", "10:00", "12:00", mode="add"),), "chen dora grace", None),
        ((over("chen", "10:00", "12:00", mode="add"),), "chen dora", "pair"),
        ((over("chen", "10:00", "12:00", mode="remove"),), "dora", None),
        ((over("ana", "10:00", "12:00", mode="remove"),), "chen dora", "pair"),
        ((over("chen dora", "10:00", "12:00", mode="remove"),), "", None),  # a gap; no lower layer shows through
        ((over("ana", "10:00", "12:00"), over("bo", "10:00", "12:00", "ana")), "bo", None),  # each on the one before
        ((over("bo", "10:00", "12:00", "ana"), over("ana", "10:00", "12:00")), "ana", None),
        ((over("", "10:00", "12:00", mode="remove"),), "", None),  # without a name: everybody
        ((over("", "10:00", "12:00", "dora", mode="remove"),), "chen", None),
        ((over("", "10:00", "12:00", mode="remove"), over("bo", "10:00", "12:00", mode="add")), "bo", None),
        ((over("bo bo", "10:00", "12:00", mode="add"),), "chen dora bo", None),
        ((over("grace", "08:00", "11:00"),), "chen dora", "pair"),  # its end is not part of it
        ((over("grace", "11:00", "11:01"),), "grace", None),
    ],
)
def test_overrides_apply_in_order_each_on_the_result_of_the_one_before(
    overrides: tuple[Override, ...], users: str, of_layer: str | None
) -> None:
    plan = schedule(layer("low", "ana", None), layer("pair", "chen+dora", None), overrides=overrides)
    found = on_call(plan, at("2026-01-05T10:00:00Z"))
    assert (" ".join(found.users), found.layer) == (users, of_layer)


def test_run_time_overrides_come_last() -> None:
    plan = schedule(layer("low", "ana", None), overrides=(over("bo", "10:00", "12:00"),))
    found = on_call(plan, at("2026-01-05T10:00:00Z"), [over("grace", "10:00", "12:00", "bo", id="ov7")])
    assert found.users == ("grace",)
    assert found.because == "override ov7: grace for bo, until 2026-01-05 12:00"


def test_an_override_counts_by_the_schedules_clock() -> None:
    plan = schedule(layer("low", "ana", None), zone="Asia/Tokyo", overrides=(over("bo", "09:00", "10:00"),))
    assert [who(plan, f"2026-01-05T{hour}:00:00Z") for hour in ("00", "01")] == ["bo", "ana"]


def test_a_time_with_an_offset_can_name_the_second_of_two_equal_clock_times() -> None:
    late = Override(("bo",), "2026-10-25T02:30:00+01:00", "2026-10-25T02:30:00Z", id="ov8")
    plan = schedule(layer("low", "ana", None))
    found = [who(plan, f"2026-10-25T{clock}:00Z", late) for clock in ("00:30", "01:29", "01:30", "02:29", "02:30")]
    assert found == ["ana", "ana", "bo", "bo", "ana"]


# ------------------------------------------------------------------------------------ from a feed


def fed(start: str, end: str, users: str) -> FeedShift:
    return FeedShift(at(f"2026-01-{start}:00Z"), at(f"2026-01-{end}:00Z"), tuple(users.split()))


FEED = (
    fed("06T08:00", "07T08:00", "bo"),
    fed("05T08:00", "06T08:00", "ana"),
    fed("06T20:00", "07T10:00", "chen bo"),  # overlaps: on call together
    fed("07T09:00", "07T09:00", "grace"),  # never
)


@pytest.mark.parametrize(
    ("when", "users"),
    [
        ("2026-01-05T07:59:59Z", ""),
        ("2026-01-05T08:00:00Z", "ana"),
        ("2026-01-06T08:00:00Z", "bo"),
        ("2026-01-06T20:00:00Z", "bo+chen"),
        ("2026-01-07T08:00:00Z", "chen+bo"),
        ("2026-01-07T10:00:00Z", ""),
    ],
)
def test_imported_shifts_are_on_call_as_written_in_the_feed(when: str, users: str) -> None:
    plan = replace(schedule(), feed=FEED)
    assert who(plan, when) == users
    assert on_call(plan, at(when)).layer == ("ical" if users else None)


def test_imported_shifts_lie_below_all_layers_and_all_overrides() -> None:
    office = layer("office", "eve", None, Hours(WEEKDAYS, 540, 1020))
    taken = Override(("grace",), "2026-01-05T20:00", "2026-01-05T21:00", "ana")
    plan = replace(schedule(office, overrides=(taken,)), feed=FEED)
    found = shifts(plan, at("2026-01-05T08:00:00Z"), at("2026-01-06T08:00:00Z")).shifts
    assert [(one.users, one.layer) for one in found] == [
        (("eve",), "office"),
        (("ana",), "ical"),
        (("grace",), None),
        (("ana",), "ical"),
    ]


def test_the_next_of_a_feed_is_the_next_imported_person() -> None:
    assert next_on_call(replace(schedule(), feed=FEED), at("2026-01-05T09:00:00Z")).users == ("bo",)


# ------------------------------------------------------------------------------- shifts, the next


def test_shifts_are_cut_to_the_window_joined_and_gaps_are_listed() -> None:
    plan = schedule(
        layer("one", "ana", Rotation(1, "days", "2026-01-06T09:00")),
        overrides=(Override(("ana",), "2026-01-08T12:00", "2026-01-08T13:00", mode="remove"),),
    )
    found = shifts(plan, at("2026-01-06T00:00:00Z"), at("2026-01-10T00:00:00Z"))
    assert found.shifts == (
        Shift(at("2026-01-06T08:00:00Z"), at("2026-01-08T11:00:00Z"), ("ana",), "one"),
        Shift(at("2026-01-08T12:00:00Z"), at("2026-01-10T00:00:00Z"), ("ana",), "one"),
    )
    assert found.gaps == (
        Gap(at("2026-01-06T00:00:00Z"), at("2026-01-06T08:00:00Z")),
        Gap(at("2026-01-08T11:00:00Z"), at("2026-01-08T12:00:00Z")),
    )


def test_an_empty_window_has_no_shifts() -> None:
    now = at("2026-01-06T00:00:00Z")
    assert shifts(schedule(weekly()), now, now).shifts == ()


def test_the_next_on_call_are_the_people_of_the_next_different_shift() -> None:
    plan = schedule(layer("day", "ana ana bo", Rotation(1, "days", "2026-01-05T09:00")))
    assert next_on_call(plan, at("2026-01-05T10:00:00Z")).users == ("bo",)


def test_the_same_people_in_another_order_are_not_the_next() -> None:
    plan = schedule(layer("day", "ana+bo bo+ana chen", Rotation(1, "days", "2026-01-05T09:00")))
    assert next_on_call(plan, at("2026-01-05T10:00:00Z")).users == ("chen",)


def test_the_next_on_call_comes_after_a_gap() -> None:
    office = layer("office", "eve finn", Rotation(1, "weeks", "2026-01-05T09:00"), Hours(frozenset({MON}), 540, 1020))
    assert next_on_call(schedule(office), at("2026-01-05T10:00:00Z")).users == ("finn",)
    assert next_on_call(schedule(office), at("2026-01-06T10:00:00Z")).users == ("finn",)


def test_where_nobody_else_is_ever_on_call_nobody_is_next() -> None:
    found = next_on_call(schedule(weekly("ana")), at("2026-01-06T10:00:00Z"))
    assert found.users == ()
    assert "400 days" in found.because


# --------------------------------------------------------------------------------- support hours


@pytest.mark.parametrize(
    ("when", "inside"),
    [
        ("2026-01-05T06:59:59Z", False),
        ("2026-01-05T07:00:00Z", True),
        ("2026-01-05T16:59:59Z", True),
        ("2026-01-05T17:00:00Z", False),
        ("2026-01-10T10:00:00Z", False),  # Saturday
        ("2026-05-01T10:00:00Z", False),  # a holiday
    ],
)
def test_support_hours_are_weekly_hours_without_holidays(when: str, inside: bool) -> None:
    support = Support("Europe/Paris", (Hours(WEEKDAYS, 480, 1080),), ("2026-05-01",))
    assert in_hours(support, at(when)) is inside


def test_support_without_hours_is_all_days_but_the_holidays() -> None:
    support = Support("Europe/Paris", (), ("2026-05-01",))
    assert [in_hours(support, at(f"2026-05-0{day}T10:00:00Z")) for day in (1, 2)] == [False, True]


# ------------------------------------------------------------------------------------ bad input


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("tomorrow", "write one like 2026-01-05T09:00"),
        ("2026-01-05T09:00Z", "write it without"),
        ("25:00", "write one"),
    ],
)
def test_a_bad_local_time_says_what_to_write(text: str, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        local_instant(text, "Europe/Paris")


def test_a_bad_zone_says_what_to_write() -> None:
    with pytest.raises(ValueError, match="Europe/Paris"):
        local_instant("2026-01-05T09:00", "Europe/Pariss")
