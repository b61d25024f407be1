"""Who is on call: whatever the rotation, the zone and the night, a slow and simple reading agrees.

The oracle knows no arithmetic of turns and no `zoneinfo`: it writes every handoff down, one after the
other, and finds its instant by watching the zone's clock (by the library whenever) minute by minute.
"""

from __future__ import annotations

import itertools
import secrets
from datetime import date, datetime, timedelta
from functools import lru_cache

import whenever
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.decide import oracle
from tocsin.decide.oncall.resolver import Gap, Shift, local_instant, next_on_call, on_call, shifts
from tocsin.model import DAY, MINUTE, Hours, Instant, Layer, Override, Rotation, Schedule, instant
from tocsin.model.schedules import Unit

# (zone, an UTC day around which its clocks change)
NIGHTS = [
    ("Europe/Paris", "2026-03-29"),
    ("Europe/Paris", "2026-10-25"),
    ("America/Chicago", "2026-03-08"),
    ("America/Chicago", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("Pacific/Apia", "2011-12-30"),
    ("America/St_Johns", "2006-10-29"),
    ("America/St_Johns", "2007-03-11"),
    ("Africa/Cairo", "2010-09-30"),
    ("UTC", "2026-06-01"),
]
SPAN = 4 * DAY


@lru_cache(maxsize=32)
def clock(zone: str, first: int, last: int) -> list[tuple[Instant, datetime]]:
    """(instant, what the zone's clock shows) of every minute."""
    return [
        (Instant(at), whenever.Instant.from_timestamp(at // 1000).to_tz(zone).to_plain().to_stdlib())
        for at in range(first, last, MINUTE)
    ]


def first_shown(wall: datetime, minutes: list[tuple[Instant, datetime]]) -> Instant:
    """When the clock first shows `wall`, or first shows something later."""
    return next((at for at, shown in minutes if shown >= wall), Instant(2**60))


def last_shown(wall: datetime, minutes: list[tuple[Instant, datetime]]) -> Instant:
    exact = [at for at, shown in minutes if shown == wall]
    return exact[-1] if exact else first_shown(wall, minutes)


def handoffs(rotation: Rotation, until: datetime) -> list[datetime]:
    """Every handoff as a wall time, in order, the first is the start."""
    wall = datetime.fromisoformat(rotation.start)
    if rotation.unit == "months":
        return _monthly(wall, rotation.length, until)
    unit = {"hours": timedelta(hours=1), "days": timedelta(days=1), "weeks": timedelta(weeks=1)}[rotation.unit]
    if rotation.days is None:
        return _walked(wall, unit * rotation.length, until)
    if rotation.unit == "days":
        active = [day for day in _walked(wall, unit, until) if day.weekday() in rotation.days]
        return [wall, *active[rotation.length :: rotation.length]]
    mondays = [day for day in _walked(wall + timedelta(days=1), timedelta(days=1), until) if day.weekday() == 0]
    left_of_week = [wall + timedelta(days=n) for n in range(7 - wall.weekday())]
    idle = rotation.length == 1 and not any(day.weekday() in rotation.days for day in left_of_week)
    first = 1 if idle else rotation.length - 1
    return [wall, *mondays[first :: rotation.length]]


def _walked(wall: datetime, step: timedelta, until: datetime) -> list[datetime]:
    found = []
    while wall <= until:
        found.append(wall)
        wall += step
    return found


def _monthly(start: datetime, length: int, until: datetime) -> list[datetime]:
    found: list[datetime] = []
    months = 0
    while True:
        year, month = start.year + (start.month - 1 + months) // 12, (start.month - 1 + months) % 12 + 1
        after = date(year + month // 12, month % 12 + 1, 1) - timedelta(days=1)
        wall = start.replace(year=year, month=month, day=min(start.day, after.day))
        if wall > until:
            return found
        found.append(wall)
        months += length


def layer_says(layer: Layer, at: Instant, minutes: list[tuple[Instant, datetime]]) -> tuple[str, ...] | None:
    known = dict(minutes)
    if layer.rotation is None:
        turn = 0
    else:
        until = max(shown for _, shown in minutes)
        past = [wall for wall in handoffs(layer.rotation, until) if first_shown(wall, minutes) <= at]
        if not past:
            return None
        turn = len(past) - 1
    if layer.hours and not any(covers(hours, known[at].date(), at, minutes) for hours in layer.hours):
        return None
    return layer.users[turn % len(layer.users)]


def covers(hours: Hours, today: date, at: Instant, minutes: list[tuple[Instant, datetime]]) -> bool:
    for shift in (-2, -1, 0, 1):
        day = today + timedelta(days=shift)
        if day.weekday() in hours.days:
            start = datetime.combine(day, datetime.min.time()) + timedelta(minutes=hours.start)
            end = datetime.combine(day, datetime.min.time()) + timedelta(minutes=hours.end)
            if hours.end <= hours.start:
                end += timedelta(days=1)
            if first_shown(start, minutes) <= at < last_shown(end, minutes):
                return True
    return False


DAYS = st.frozensets(st.integers(0, 6), min_size=1)
CLOCK = st.integers(0, 47).map(lambda half: half * 30)


@st.composite
def rotations(draw: st.DrawFn, night: str) -> Rotation:
    unit: Unit = draw(st.sampled_from(["hours", "days", "weeks", "months"]))
    back = draw(st.integers(-1, 3 if unit == "hours" else 16))
    start = datetime.fromisoformat(night) - timedelta(days=back) + timedelta(minutes=draw(CLOCK))
    days = draw(st.none() | DAYS) if unit in ("days", "weeks") else None
    return Rotation(draw(st.integers(1, 3)), unit, start.isoformat(timespec="minutes"), days)


@st.composite
def layers(draw: st.DrawFn, night: str, name: str) -> Layer:
    users = draw(st.lists(st.sampled_from([("ana",), ("bo",), ("chen", "dora")]), min_size=1, max_size=4))
    hours = draw(st.lists(st.builds(Hours, DAYS, CLOCK, CLOCK), max_size=2))
    return Layer(name, tuple(users), draw(st.none() | rotations(night)), tuple(hours))


@st.composite
def overrides(draw: st.DrawFn, night: str) -> Override:
    start = datetime.fromisoformat(night) + timedelta(minutes=draw(CLOCK), days=draw(st.integers(-1, 1)))
    end = start + timedelta(minutes=draw(st.integers(0, 96)) * 30)
    names = st.sampled_from(["ana", "bo", "chen", "grace"])
    return Override(
        tuple(draw(st.lists(names, min_size=1, max_size=2, unique=True))),
        start.isoformat(timespec="minutes"),
        end.isoformat(timespec="minutes"),
        draw(st.none() | names),
        draw(st.sampled_from(["replace", "add", "remove"])),
    )


@st.composite
def schedules(draw: st.DrawFn) -> tuple[Schedule, Instant]:
    """A schedule and the start of the days in which its zone's clocks change."""
    zone, night = draw(st.sampled_from(NIGHTS))
    count = draw(st.integers(1, 3))
    plan = Schedule(
        "primary",
        zone,
        tuple(draw(layers(night, f"layer {n}")) for n in range(count)),
        tuple(draw(st.lists(overrides(night), max_size=2))),
    )
    return plan, Instant(instant(datetime.fromisoformat(night + "T00:00Z")) - DAY)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedules(), st.data())
def test_the_layers_say_what_a_slow_and_simple_reading_says(
    drawn: tuple[Schedule, Instant], data: st.DataObject
) -> None:
    plan, start = drawn
    alone = Schedule(plan.name, plan.timezone, plan.layers[:1])
    minutes = clock(plan.timezone, start - 20 * DAY, start + SPAN + 3 * DAY)
    for at in data.draw(st.lists(st.integers(0, SPAN // MINUTE), min_size=3, max_size=3)):
        moment = Instant(start + at * MINUTE)
        assert on_call(alone, moment).users == (layer_says(alone.layers[0], moment, minutes) or ())


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(schedules())
def test_shifts_say_at_every_minute_what_on_call_says(drawn: tuple[Schedule, Instant]) -> None:
    plan, start = drawn
    found = shifts(plan, start, Instant(start + SPAN))
    every: list[Shift | Gap] = [*found.shifts, *found.gaps]
    pieces = sorted(every, key=lambda piece: piece.start)
    # the window is covered without holes or overlaps
    assert [piece.start for piece in pieces] == [start, *(piece.end for piece in pieces[:-1])]
    assert pieces[-1].end == start + SPAN
    for piece in pieces:
        said = (getattr(piece, "users", ()), getattr(piece, "layer", None))
        for at in range(piece.start, piece.end, MINUTE):
            found_at = on_call(plan, Instant(at))
            assert (found_at.users, found_at.layer) == said or (not said[0] and not found_at.users)


@settings(max_examples=100, deadline=None)
@given(schedules())
def test_equal_neighbours_are_one_shift(drawn: tuple[Schedule, Instant]) -> None:
    plan, start = drawn
    found = shifts(plan, start, Instant(start + SPAN)).shifts
    touching = [(a, b) for a, b in itertools.pairwise(found) if a.end == b.start]
    assert all((a.users, a.layer) != (b.users, b.layer) for a, b in touching)


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(NIGHTS), st.integers(-2880, 2880))
def test_a_local_time_is_the_first_moment_the_clock_shows_it_or_more(night: tuple[str, str], minutes_away: int) -> None:
    zone, day = night
    wall = datetime.fromisoformat(day) + timedelta(minutes=minutes_away)
    middle = instant(datetime.fromisoformat(day + "T00:00Z"))
    assert local_instant(wall.isoformat(), zone) == first_shown(wall, clock(zone, middle - 4 * DAY, middle + 4 * DAY))


def test_twenty_thousand_random_schedules_overrides_and_instants_make_no_difference() -> None:
    """More of them: `make oracle`."""
    seed = secrets.randbits(32)
    found = oracle.compare(20_000, seed)
    assert found.triples == 20_000, f"seed {seed}"
    # and they are worth comparing
    assert found.overridden > 1_000, f"seed {seed}"
    assert found.near_a_change > 1_500, f"seed {seed}"
    assert len(found.zones) > 25, f"seed {seed}"
    assert min(found.own_zone, found.ended, found.across, found.holidays) > 80, f"seed {seed}"


@settings(max_examples=60, deadline=None)
@given(schedules())
def test_the_next_are_the_first_other_people_among_the_shifts(drawn: tuple[Schedule, Instant]) -> None:
    plan, start = drawn
    now = set(on_call(plan, start).users)
    listed = shifts(plan, start, Instant(start + SPAN)).shifts
    after = [one.users for one in listed if set(one.users) != now]
    if after:
        assert next_on_call(plan, start).users == after[0]
