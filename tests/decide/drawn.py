"""Random schedules, overrides and instants, most of them where it hurts: at clock changes, handoffs and edges."""

from __future__ import annotations

import zoneinfo
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Literal, NamedTuple

from tocsin.decide.oncall.overrides import Mode
from tocsin.model import DAY, HOUR, MINUTE, FeedShift, Holidays, Hours, Instant, Layer, Override, Rotation, Schedule
from tocsin.model.schedules import Unit

if TYPE_CHECKING:
    from tests.decide.oracle import Clock

FIRST = int(datetime(1990, 1, 1, tzinfo=UTC).timestamp() * 1000)
LAST = int(datetime(2041, 1, 1, tzinfo=UTC).timestamp() * 1000)

HARD = (
    "Europe/Paris", "Europe/London", "Europe/Dublin", "America/Chicago", "America/New_York", "America/St_Johns",
    "America/Sao_Paulo", "America/Havana", "America/Asuncion", "Australia/Lord_Howe", "Australia/Sydney",
    "Pacific/Auckland", "Pacific/Chatham", "Pacific/Apia", "Pacific/Kwajalein", "Pacific/Kiritimati", "Africa/Cairo",
    "Africa/Casablanca", "Asia/Kathmandu", "Asia/Kolkata", "Asia/Tehran", "Asia/Gaza", "Asia/Amman", "Asia/Pyongyang",
    "America/Caracas", "Europe/Istanbul", "Europe/Moscow", "Europe/Volgograd", "Antarctica/Troll", "Antarctica/Casey",
    "America/Goose_Bay", "Atlantic/Azores", "UTC", "America/St_Johns", "America/Goose_Bay", "Antarctica/Casey",
)  # fmt: skip
"""Clocks that change by half an hour, a day, at midnight, twice a year more, under a new law; the worst stand twice."""
CREWS = (("ana",), ("bo",), ("chen", "dora"), ("eve",), ("finn", "gus"), ("bo", "ana"))
PEOPLE = ("ana", "bo", "chen", "dora", "eve", "grace")
TRIPLES = 50


class Case(NamedTuple):
    schedule: Schedule
    extra: tuple[Override, ...]
    instants: tuple[int, ...]


def cases(chance: Random, clock: Callable[[str], Clock], every_zone: bool = False) -> Iterator[Case]:
    """Never ends. One case in ten lies in any zone of the world, where asked for."""
    world = sorted(zoneinfo.available_timezones() - {"localtime", "Factory"}) if every_zone else HARD
    while True:
        zone = chance.choice(world if chance.random() < 0.1 else HARD)
        yield _case(chance, zone, clock)


def _case(chance: Random, zone: str, clock_of: Callable[[str], Clock]) -> Case:
    clock = clock_of(zone)
    changes = [one.start for one in clock.periods[1:] if FIRST <= one.start < LAST]
    hard = changes and chance.random() < 0.7
    middle = chance.choice(changes) if hard else chance.randrange(FIRST, LAST)
    day = datetime(1970, 1, 1) + timedelta(milliseconds=clock.shown(middle) // DAY * DAY)
    schedule = Schedule(
        "drawn",
        zone,
        tuple(
            _layer(chance, day, f"layer {n}" if chance.random() < 0.2 else f"l{n}")
            for n in range(1, chance.randint(2, 4))
        ),
        tuple(_override(chance, day) for _ in range(chance.choice((0, 1, 2, 3)))),
        feed=tuple(_fed(chance, middle) for _ in range(chance.choice((0, 0, 0, 1, 4)))),
    )
    extra = tuple(_run_time(chance, day, n) for n in range(chance.choice((0, 0, 1, 2))))
    spread = chance.choice((2 * DAY, 5 * DAY, 5 * DAY, 900 * DAY))
    sore = [one for one in changes if abs(one - middle) <= spread]
    for override in (*schedule.overrides, *extra):
        sore += [clock.when(_wall(text))[0] for text in (override.start, override.end)]
    for layer in schedule.layers:
        sore += _edges_of(layer, clock_of(layer.zone(schedule)), middle, spread)
    return Case(schedule, extra, tuple(_instants(chance, middle, spread, sore)))


def _instants(chance: Random, middle: int, spread: int, sore: Sequence[int]) -> Iterator[int]:
    """Around the middle and the sore moments: on the half hour, on the minute, and a moment before each."""
    for _ in range(TRIPLES):
        if sore and chance.random() < 0.6:
            at = chance.choice(sore) + chance.choice((0, 0, chance.randint(-36, 36))) * 5 * MINUTE
        else:
            at = middle + chance.randrange(-spread, spread)
        step = chance.choice((HOUR // 2, HOUR // 2, MINUTE, 1))
        yield min(max(at // step * step - chance.choice((0, 0, 1, 1000)), FIRST), LAST - 1)


def _edges_of(layer: Layer, clock: Clock, middle: int, spread: int) -> Iterator[int]:
    """A layer's own clock changes (of another zone than the schedule's, maybe), its end and its holidays."""
    if layer.timezone:
        yield from (one.start for one in clock.periods[1:] if abs(one.start - middle) <= spread)
    if layer.end is not None:
        yield from clock.when(_wall(layer.end))
    for day in layer.holidays.dates if layer.holidays else ():
        yield from clock.when(_wall(day))
        yield from clock.when(_wall(day) + DAY)


def _layer(chance: Random, day: datetime, name: str) -> Layer:
    rotation = None if chance.random() < 0.1 else _rotation(chance, day)
    hours = tuple(_hours(chance) for _ in range(chance.choice((0, 0, 0, 1, 2, 3))))
    zone = chance.choice(HARD) if chance.random() < 0.4 else ""
    end = day + timedelta(days=chance.randint(-2, 4), minutes=_clock(chance)) if chance.random() < 0.25 else None
    return Layer(
        name, tuple(chance.choices(CREWS, k=chance.randint(1, 5))), rotation, hours, zone,
        None if end is None else _text(end), _holidays(chance, day) if chance.random() < 0.3 else None,
    )  # fmt: skip


def _holidays(chance: Random, day: datetime) -> Holidays:
    days = {day.date() + timedelta(days=chance.randint(-5, 5)) for _ in range(chance.randint(0, 6))}
    mode: Literal["skip", "only"] = chance.choice(("skip", "skip", "only"))
    return Holidays(mode, tuple(sorted(one.isoformat() for one in days)))


def _rotation(chance: Random, day: datetime) -> Rotation:
    unit: Unit = chance.choice(("hours", "days", "days", "weeks", "weeks", "months"))
    length = chance.choice((1, 1, 1, 2, 3, 4, 8, 12)) if unit in ("hours", "months") else chance.choice((1, 1, 2, 3, 5))
    back = {"hours": 3700, "days": 900, "weeks": 2500, "months": 7300}[unit]
    start = day - timedelta(days=chance.choice((chance.randint(0, 5), chance.randint(0, back), -chance.randint(0, 3))))
    if unit == "months" and chance.random() < 0.5:
        start = start.replace(day=1) - timedelta(days=chance.randint(1, 3))  # the 29th, 30th, 31st
    days = _days(chance) if unit in ("days", "weeks") and chance.random() < 0.6 else None
    return Rotation(length, unit, _text(start + timedelta(minutes=_clock(chance))), days)


def _hours(chance: Random) -> Hours:
    days = frozenset(range(7)) if chance.random() < 0.3 else _days(chance)
    start = _clock(chance)
    if chance.random() < 0.3:
        end, across = _clock(chance), chance.randint(1, 7)
        return Hours(
            frozenset({chance.randrange(7)}), start, end if across < 7 else chance.randrange(start + 1), across
        )
    return Hours(days, start, start if chance.random() < 0.15 else _clock(chance))


def _override(chance: Random, day: datetime) -> Override:
    start = day + timedelta(days=chance.randint(-3, 1), minutes=_clock(chance))
    end = start + timedelta(minutes=chance.choice((30, 60, 90, 480, 1440, chance.randint(1, 7000))))
    return _overriding(chance, _text(start), _text(end), "")


def _run_time(chance: Random, day: datetime, number: int) -> Override:
    """Like a written one, but half of them have exact times."""
    written = _override(chance, day)
    if chance.random() < 0.5:
        return _overriding(chance, written.start, written.end, f"ov{number}")
    offset = chance.choice(("Z", "+02:00", "+05:30"))
    return _overriding(chance, f"{written.start}:00{offset}", f"{written.end}:00{offset}", f"ov{number}")


def _overriding(chance: Random, start: str, end: str, id: str) -> Override:
    mode: Mode = chance.choice(("replace", "replace", "replace", "add", "remove"))
    users = tuple(chance.sample(PEOPLE, chance.choice((1, 1, 2))))
    replaces = chance.choice(PEOPLE[:4]) if mode == "replace" and chance.random() < 0.6 else None
    if mode == "remove" and chance.random() < 0.3:
        users, replaces = (), chance.choice((None, *PEOPLE))
    return Override(users, start, end, replaces, mode, id)


def _fed(chance: Random, middle: int) -> FeedShift:
    start = middle + chance.randint(-300, 200) * HOUR // 2
    return FeedShift(Instant(start), Instant(start + chance.randint(0, 120) * HOUR // 2), chance.choice(CREWS))


def _days(chance: Random) -> frozenset[int]:
    return frozenset(chance.sample(range(7), chance.randint(1, 6)))


def _clock(chance: Random) -> int:
    """A clock time in minutes, mostly of the night, when clocks change."""
    if chance.random() < 0.5:
        return chance.randrange(0, 8) * 30
    return chance.choice((chance.randrange(48) * 30, chance.randrange(1440)))


def _wall(text: str) -> int:
    """An override's time in milliseconds, whatever its offset: near enough to look around it."""
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()) * 1000


def _text(wall: datetime) -> str:
    return wall.isoformat(timespec="minutes")
