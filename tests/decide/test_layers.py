"""A layer's own zone, its end, hours across days and holidays: written dates and whom they page."""

from __future__ import annotations

from datetime import datetime
from itertools import pairwise
from random import Random

import pytest

from tocsin.decide.oncall.fairness import shares
from tocsin.decide.oncall.ical import read_feed
from tocsin.decide.oncall.ical_export import calendar, entries_of
from tocsin.decide.oncall.resolver import Gap, Shift, local_instant, next_on_call, on_call, shifts
from tocsin.model import DAY, HOUR, MINUTE, Holidays, Hours, Instant, Layer, Rotation, Schedule, instant

MON, TUE, WED, THU, FRI, SAT, SUN = range(7)
ALL_WEEK = frozenset(range(7))
WEEKEND = Hours(frozenset({FRI}), 17 * 60, 9 * 60, 3)
LISBON, NEW_YORK, SYDNEY = "Europe/Lisbon", "America/New_York", "Australia/Sydney"


def at(text: str) -> Instant:
    return instant(datetime.fromisoformat(text))


def plan(*layers: Layer, zone: str = LISBON) -> Schedule:
    return Schedule("primary", zone, layers)


def base(user: str = "ana") -> Layer:
    return Layer("base", ((user,),), None)


def who(schedule: Schedule, when: str) -> str:
    return "+".join(on_call(schedule, at(when)).users)


# ------------------------------------------------------------------------------------- own zone


@pytest.mark.parametrize(
    ("zone", "before", "begins"),
    [
        # 08:00 of that zone on the day before, on, and after each change of its clock
        (LISBON, "2026-03-28", "2026-03-28T08:00Z"),
        (LISBON, "2026-03-29", "2026-03-29T07:00Z"),
        (LISBON, "2026-10-24", "2026-10-24T07:00Z"),
        (LISBON, "2026-10-25", "2026-10-25T08:00Z"),
        (NEW_YORK, "2026-03-07", "2026-03-07T13:00Z"),
        (NEW_YORK, "2026-03-08", "2026-03-08T12:00Z"),
        (NEW_YORK, "2026-10-31", "2026-10-31T12:00Z"),
        (NEW_YORK, "2026-11-01", "2026-11-01T13:00Z"),
        (SYDNEY, "2026-04-04", "2026-04-03T21:00Z"),
        (SYDNEY, "2026-04-05", "2026-04-04T22:00Z"),
        (SYDNEY, "2026-10-03", "2026-10-02T22:00Z"),
        (SYDNEY, "2026-10-04", "2026-10-03T21:00Z"),
    ],
)
def test_hours_and_handoffs_of_a_layer_are_those_of_its_own_clock(zone: str, before: str, begins: str) -> None:
    turns = Rotation(1, "days", "2026-01-01T08:00")
    cut = Layer("own", (("bo",), ("chen",)), turns, (Hours(ALL_WEEK, 8 * 60, 18 * 60),), zone)
    schedule = plan(base(), cut)
    start = at(begins)

    assert local_instant(f"{before}T08:00", zone) == start
    assert on_call(schedule, Instant(start - 1)).users == ("ana",)
    days = (datetime.fromisoformat(before) - datetime(2026, 1, 1)).days
    assert on_call(schedule, start).users == (("bo",), ("chen",))[days % 2]
    assert on_call(schedule, start).because == f"layer own, turn {days + 1}"


@pytest.mark.parametrize(
    ("zone", "start", "handoffs"),
    [
        # 02:30 does not exist: the first instant after the gap; it comes twice: the first
        (NEW_YORK, "2026-03-07T02:30", ["2026-03-07T07:30Z", "2026-03-08T07:00Z", "2026-03-09T06:30Z"]),
        (NEW_YORK, "2026-10-31T01:30", ["2026-10-31T05:30Z", "2026-11-01T05:30Z", "2026-11-02T06:30Z"]),
        (SYDNEY, "2026-10-03T02:30", ["2026-10-02T16:30Z", "2026-10-03T16:00Z", "2026-10-04T15:30Z"]),
        (SYDNEY, "2026-04-04T02:30", ["2026-04-03T15:30Z", "2026-04-04T15:30Z", "2026-04-05T16:30Z"]),
        (LISBON, "2026-03-28T01:30", ["2026-03-28T01:30Z", "2026-03-29T01:00Z", "2026-03-30T00:30Z"]),
        (LISBON, "2026-10-24T01:30", ["2026-10-24T00:30Z", "2026-10-25T00:30Z", "2026-10-26T01:30Z"]),
    ],
)
def test_handoffs_in_the_night_when_the_clock_of_the_layer_changes(zone: str, start: str, handoffs: list[str]) -> None:
    layer = Layer("own", (("bo",), ("chen",)), Rotation(1, "days", start), (), zone)
    found = shifts(plan(layer, zone="Asia/Tokyo"), at(handoffs[0]), Instant(at(handoffs[-1]) + 1))

    assert [one.start for one in found.shifts] == [at(one) for one in handoffs]


def test_a_layer_without_a_zone_of_its_own_is_of_the_schedules() -> None:
    turns = Rotation(1, "days", "2026-03-28T09:00")
    written, left_out = (Layer("own", (("bo",), ("chen",)), turns, (), zone) for zone in (SYDNEY, ""))
    window = at("2026-03-28T00:00Z"), at("2026-10-28T00:00Z")

    assert shifts(plan(written, zone=LISBON), *window) == shifts(plan(left_out, zone=SYDNEY), *window)


# ------------------------------------------------------------------------------------------ end


@pytest.mark.parametrize(
    ("zone", "end", "over"),
    [
        (LISBON, "2026-06-01T09:00", "2026-06-01T08:00Z"),
        (LISBON, "2026-10-25T01:30", "2026-10-25T00:30Z"),  # comes twice: the first
        (LISBON, "2026-03-29T01:30", "2026-03-29T01:00Z"),  # does not exist: the first instant after the gap
        (SYDNEY, "2026-04-05T02:30", "2026-04-04T15:30Z"),
        (SYDNEY, "2026-10-04T02:30", "2026-10-03T16:00Z"),
        (NEW_YORK, "2026-11-01T01:59", "2026-11-01T05:59Z"),
        (NEW_YORK, "2026-03-08T02:00", "2026-03-08T07:00Z"),
    ],
)
@pytest.mark.parametrize("rotation", [None, Rotation(1, "weeks", "2026-01-05T09:00")])
def test_from_its_end_on_nobody_of_the_layer_is_on_call(
    zone: str, end: str, over: str, rotation: Rotation | None
) -> None:
    schedule = plan(base(), Layer("own", (("bo",),), rotation, (), zone, end))

    assert on_call(schedule, Instant(at(over) - 1)).users == ("bo",)
    assert on_call(schedule, at(over)).users == ("ana",)
    assert who(schedule, "2030-06-01T00:00Z") == "ana"
    found = shifts(schedule, Instant(at(over) - DAY), Instant(at(over) + 90 * DAY)).shifts
    assert [(one.users, one.start) for one in found][1:] == [(("ana",), at(over))]


def test_a_schedule_whose_only_layer_has_ended_names_nobody() -> None:
    schedule = plan(
        Layer("own", (("bo",), ("chen",)), Rotation(1, "days", "2026-01-05T09:00"), (), "", "2026-06-01T09:00")
    )

    assert shifts(schedule, at("2026-07-01T00:00Z"), at("2026-08-01T00:00Z")).gaps == (
        Gap(at("2026-07-01T00:00Z"), at("2026-08-01T00:00Z")),
    )
    assert next_on_call(schedule, at("2026-07-01T00:00Z")).users == ()
    assert next_on_call(schedule, at("2026-05-31T12:00Z")).users == (), "the turn of 1 June at nine is nobody's"


# ------------------------------------------------------------------------------------ across days


@pytest.mark.parametrize(
    ("zone", "friday", "hours", "begins", "ends"),
    [
        (LISBON, "2026-06-05", 64, "2026-06-05T16:00Z", "2026-06-08T08:00Z"),
        (LISBON, "2026-03-27", 63, "2026-03-27T17:00Z", "2026-03-30T08:00Z"),
        (LISBON, "2026-10-23", 65, "2026-10-23T16:00Z", "2026-10-26T09:00Z"),
        (NEW_YORK, "2026-03-06", 63, "2026-03-06T22:00Z", "2026-03-09T13:00Z"),
        (NEW_YORK, "2026-10-30", 65, "2026-10-30T21:00Z", "2026-11-02T14:00Z"),
        (SYDNEY, "2026-10-02", 63, "2026-10-02T07:00Z", "2026-10-04T22:00Z"),
        (SYDNEY, "2026-04-03", 65, "2026-04-03T06:00Z", "2026-04-05T23:00Z"),
    ],
)
def test_a_weekend_is_one_window(zone: str, friday: str, hours: int, begins: str, ends: str) -> None:
    schedule = plan(base(), Layer("weekend", (("bo",),), None, (WEEKEND,), zone))
    found = shifts(schedule, Instant(at(begins) - DAY), Instant(at(ends) + DAY)).shifts

    assert local_instant(f"{friday}T17:00", zone) == at(begins)
    assert [(one.users[0], one.start, one.end) for one in found] == [
        ("ana", at(begins) - DAY, at(begins)),
        ("bo", at(begins), at(ends)),
        ("ana", at(ends), at(ends) + DAY),
    ]
    assert (at(ends) - at(begins)) // HOUR == hours


@pytest.mark.parametrize(
    ("window", "begins", "ends"),
    [
        # `from` takes the first of two equal times, `to` the last; a time in a gap is the first instant after it
        (Hours(frozenset({SUN}), 90, 90, 1), "2026-10-25T00:30Z", "2026-10-26T01:30Z"),
        (Hours(frozenset({SAT}), 90, 90, 1), "2026-10-24T00:30Z", "2026-10-25T01:30Z"),
        (Hours(frozenset({SUN}), 90, 90, 1), "2026-03-29T01:00Z", "2026-03-30T00:30Z"),
        (Hours(frozenset({SAT}), 90, 90, 1), "2026-03-28T01:30Z", "2026-03-29T01:00Z"),
        (Hours(frozenset({SUN}), 60, 119, 0), "2026-10-25T00:00Z", "2026-10-25T01:59Z"),
    ],
)
def test_the_ends_of_a_window_in_the_night_of_the_clock(window: Hours, begins: str, ends: str) -> None:
    schedule = plan(base(), Layer("cut", (("bo",),), None, (window,)))

    assert [on_call(schedule, Instant(at(begins) + step)).users for step in (-1, 0)] == [("ana",), ("bo",)]
    assert [on_call(schedule, Instant(at(ends) + step)).users for step in (-1, 0)] == [("bo",), ("ana",)]


def test_a_window_that_ends_with_the_second_midnight_lasts_past_the_first() -> None:
    """St. John's went back at 00:01: midnight of Sunday came, then 23:01 to 00:00 of Saturday again."""
    cut = Hours(frozenset({THU}), 23 * 60 + 59, 23 * 60 + 59, 2)
    schedule = plan(base(), Layer("cut", (("bo",),), None, (cut,)), zone="America/St_Johns")
    times = (
        "2006-10-27T02:28:59Z",
        "2006-10-27T02:29Z",
        "2006-10-29T02:30:30Z",
        "2006-10-29T03:28:59Z",
        "2006-10-29T03:29Z",
    )

    assert [who(schedule, when) for when in times] == ["ana", "bo", "bo", "bo", "ana"]


def test_a_window_of_almost_a_week_leaves_one_minute() -> None:
    week = Hours(frozenset({MON}), 9 * 60, 9 * 60 - 1, 7)
    schedule = plan(base(), Layer("week", (("bo",),), None, (week,)), zone="UTC")
    found = shifts(schedule, at("2026-06-01T00:00Z"), at("2026-06-15T00:00Z")).shifts

    assert [(one.start, one.end) for one in found if one.users == ("ana",)] == [
        (at("2026-06-01T08:59Z"), at("2026-06-01T09:00Z")),
        (at("2026-06-08T08:59Z"), at("2026-06-08T09:00Z")),
    ]


def test_windows_that_touch_or_overlap_are_one_shift() -> None:
    nights = Hours(frozenset({MON, TUE, WED, THU}), 17 * 60, 9 * 60)
    friday = Hours(frozenset({FRI}), 9 * 60, 17 * 60)
    schedule = plan(base(), Layer("own", (("bo",),), None, (nights, WEEKEND, friday, WEEKEND)))
    found = shifts(schedule, at("2026-06-04T12:00Z"), at("2026-06-08T12:00Z")).shifts

    assert [(one.users[0], one.start) for one in found] == [
        ("ana", at("2026-06-04T12:00Z")),
        ("bo", at("2026-06-04T16:00Z")),
        ("ana", at("2026-06-08T08:00Z")),
    ]


# --------------------------------------------------------------------------------------- holidays


def off(*dates: str) -> Holidays:
    return Holidays("skip", dates)


def only(*dates: str) -> Holidays:
    return Holidays("only", dates)


@pytest.mark.parametrize(
    ("zone", "day", "begins", "ends"),
    [
        (LISBON, "2026-12-25", "2026-12-25T00:00Z", "2026-12-26T00:00Z"),
        (SYDNEY, "2026-12-25", "2026-12-24T13:00Z", "2026-12-25T13:00Z"),
        (NEW_YORK, "2026-12-25", "2026-12-25T05:00Z", "2026-12-26T05:00Z"),
        (LISBON, "2026-10-25", "2026-10-24T23:00Z", "2026-10-26T00:00Z"),  # a day of 25 hours
        (SYDNEY, "2026-10-04", "2026-10-03T14:00Z", "2026-10-04T13:00Z"),  # one of 23
        ("Atlantic/Azores", "2026-10-25", "2026-10-25T00:00Z", "2026-10-26T01:00Z"),  # 00:00 comes twice: the first
        ("America/Asuncion", "2023-10-01", "2023-10-01T04:00Z", "2023-10-02T03:00Z"),  # 00:00 does not exist
        ("Pacific/Apia", "2011-12-30", "2011-12-30T10:00Z", "2011-12-30T10:00Z"),  # the day does not exist
        ("America/St_Johns", "2006-10-28", "2006-10-28T02:30Z", "2006-10-29T02:30Z"),  # shown again after midnight
    ],
)
def test_a_holiday_is_a_whole_local_day_of_the_layers_zone(zone: str, day: str, begins: str, ends: str) -> None:
    window = Instant(at(begins) - DAY), Instant(at(ends) + DAY)
    for holidays, free in ((off(day), "ana"), (only(day), "bo")):
        schedule = plan(base(), Layer("own", (("bo",),), None, (), zone, None, holidays))
        other = {"ana": "bo", "bo": "ana"}[free]
        found = [(one.users[0], one.start) for one in shifts(schedule, *window).shifts]
        expected = [(other, window[0]), (free, at(begins)), (other, at(ends))]
        assert found == (expected if begins != ends else [(other, window[0])])
        assert on_call(schedule, Instant(at(ends) + 40 * MINUTE)).users == (other,)
        for edge, users in ((at(begins), free), (at(ends), other)) if begins != ends else ():
            assert on_call(schedule, edge).users == (users,)
            assert on_call(schedule, Instant(edge - 1)).users == ({"ana": "bo", "bo": "ana"}[users],)


def test_overnight_hours_of_the_eve_stop_at_midnight_and_those_of_the_holiday_begin_late() -> None:
    night = Layer("night", (("bo",),), None, (Hours(ALL_WEEK, 22 * 60, 6 * 60),), "", None, off("2026-12-25"))
    found = shifts(plan(base(), night), at("2026-12-24T12:00Z"), at("2026-12-26T12:00Z")).shifts

    assert [(one.users[0], one.start) for one in found] == [
        ("ana", at("2026-12-24T12:00Z")),
        ("bo", at("2026-12-24T22:00Z")),
        ("ana", at("2026-12-25T00:00Z")),
        ("bo", at("2026-12-26T00:00Z")),  # the night of the 25th, from when the 25th is over
        ("ana", at("2026-12-26T06:00Z")),
    ]


def test_a_long_weekend_with_a_holiday_in_its_middle_is_cut_in_two() -> None:
    weekend = Layer("weekend", (("bo",),), None, (WEEKEND,), "", None, off("2026-12-26"))
    found = shifts(plan(weekend), at("2026-12-25T00:00Z"), at("2026-12-29T00:00Z")).shifts

    assert [(one.start, one.end) for one in found] == [
        (at("2026-12-25T17:00Z"), at("2026-12-26T00:00Z")),
        (at("2026-12-27T00:00Z"), at("2026-12-28T09:00Z")),
    ]


def test_a_holiday_takes_nobodys_turn() -> None:
    days = Rotation(1, "days", "2026-12-21T09:00")
    layer = Layer(
        "days", (("ana",), ("bo",), ("chen",)), days, (Hours(ALL_WEEK, 540, 1020),), "", None, off("2026-12-25")
    )
    names = [who(plan(layer), f"2026-12-{day}T12:00Z") for day in range(21, 30)]

    assert names == ["ana", "bo", "chen", "ana", "", "chen", "ana", "bo", "chen"]


def test_holidays_in_a_row_are_one_gap() -> None:
    layer = Layer("days", (("ana",),), None, (), "", None, off("2026-12-24", "2026-12-25", "2026-12-26"))
    found = shifts(plan(layer), at("2026-12-01T00:00Z"), at("2026-12-31T00:00Z"))

    assert found.gaps == (Gap(at("2026-12-24T00:00Z"), at("2026-12-27T00:00Z")),)


def test_no_holiday_at_all() -> None:
    assert who(plan(Layer("never", (("bo",),), None, (), "", None, only())), "2026-06-01T00:00Z") == ""
    assert who(plan(Layer("always", (("bo",),), None, (), "", None, off())), "2026-06-01T00:00Z") == "bo"


# -------------------------------------------------------------------------------------- all of it


def test_all_of_it_in_one_layer() -> None:
    layer = Layer(
        "own", (("ana",), ("bo",)), Rotation(1, "weeks", "2026-12-04T17:00"), (WEEKEND,), SYDNEY, "2026-12-27T12:00",
        off("2026-12-26"),
    )  # fmt: skip
    found = shifts(plan(layer), at("2026-12-01T00:00Z"), at("2027-03-01T00:00Z")).shifts

    assert found == (
        Shift(at("2026-12-04T06:00Z"), at("2026-12-06T22:00Z"), ("ana",), "own"),
        Shift(at("2026-12-11T06:00Z"), at("2026-12-13T22:00Z"), ("bo",), "own"),
        Shift(at("2026-12-18T06:00Z"), at("2026-12-20T22:00Z"), ("ana",), "own"),
        Shift(at("2026-12-25T06:00Z"), at("2026-12-25T13:00Z"), ("bo",), "own"),
        Shift(at("2026-12-26T13:00Z"), at("2026-12-27T01:00Z"), ("bo",), "own"),
    )


@pytest.mark.parametrize("zone", [LISBON, NEW_YORK, SYDNEY])
def test_a_list_of_shifts_says_at_each_minute_of_the_hard_nights_what_the_resolver_says(zone: str) -> None:
    """`tests/decide/oracle.py` asks the same of random schedules; here each minute is looked at."""
    chance = Random(zone)
    for night in ("2026-03-08", "2026-03-29", "2026-04-05", "2026-10-04", "2026-10-25", "2026-11-01"):
        start = Instant(at(f"{night}T00:00Z") - DAY)
        layers = [
            Layer(
                f"l{n}", (("ana",), ("bo",), ("chen",)), Rotation(7, "hours", "2026-01-01T01:30"),
                (Hours(frozenset({chance.randrange(7)}), 90, 150, chance.randint(1, 6)), Hours(ALL_WEEK, 60, 120)),
                chance.choice((LISBON, NEW_YORK, SYDNEY)), f"{night}T02:30", off(night),
            )
            for n in range(2)
        ]  # fmt: skip
        schedule = plan(*layers, zone=zone)
        found = shifts(schedule, start, Instant(start + 3 * DAY))
        every: list[Shift | Gap] = [*found.shifts, *found.gaps]
        pieces = sorted(every, key=lambda one: one.start)
        assert pieces[0].start == start
        assert pieces[-1].end == start + 3 * DAY
        assert all(one.end == other.start for one, other in pairwise(pieces))
        for minute in range(start, start + 3 * DAY, MINUTE):
            said = next(one for one in reversed(pieces) if one.start <= minute)
            answer = on_call(schedule, Instant(minute))
            assert (getattr(said, "users", ()), getattr(said, "layer", None)) == (answer.users, answer.layer)


@pytest.mark.parametrize("zone", [LISBON, NEW_YORK, SYDNEY])
def test_what_is_exported_to_a_calendar_and_imported_again_are_the_same_shifts(zone: str) -> None:
    layers = (
        base(),
        Layer(
            "weekend",
            (("bo",), ("chen",)),
            Rotation(1, "weeks", "2026-01-09T17:00"),
            (WEEKEND,),
            SYDNEY,
            "2026-07-01T00:00",
            off("2026-04-04"),
        ),
        Layer(
            "holidays",
            (("dora",),),
            None,
            (Hours(ALL_WEEK, 540, 1020),),
            NEW_YORK,
            None,
            only("2026-04-03", "2026-05-01"),
        ),
    )
    schedule, now = plan(*layers, zone=zone), at("2026-04-01T00:00Z")
    read = read_feed(
        calendar("x", entries_of(schedule, {}, now), now), "UTC", Instant(now - 20 * DAY), Instant(now + 100 * DAY)
    )

    pieces: list[tuple[int, int, tuple[str, ...]]] = []
    for one in shifts(schedule, Instant(now - 20 * DAY), Instant(now + 100 * DAY)).shifts:
        joins = pieces and (pieces[-1][1], pieces[-1][2]) == (one.start, one.users)
        pieces.append((pieces.pop()[0] if joins else one.start, one.end, one.users))
    imported = [(one.start, one.end, one.marked) for one in read.events]
    assert imported[1:-1] == pieces[1:-1], "but for the first and last, which are cut here"
    assert {"bo", "chen", "dora"} <= {user for _, _, users in pieces for user in users}
    assert read.notes == ()


def test_the_load_of_layers_is_that_of_their_shifts() -> None:
    schedule = plan(
        Layer(
            "weekend",
            (("bo",), ("chen",)),
            Rotation(1, "weeks", "2026-01-09T17:00"),
            (WEEKEND,),
            "",
            "2026-04-01T00:00",
            off("2026-03-28"),
        )
    )
    start, end = at("2026-03-16T00:00Z"), at("2026-04-16T00:00Z")
    shares_of = {one.user: one.total.on_call for one in shares([schedule], {}, start, end)}

    assert shares_of == {"bo": 64 * HOUR, "chen": (9 + 39) * HOUR}, "a Monday morning; then 63 hours less a holiday"
