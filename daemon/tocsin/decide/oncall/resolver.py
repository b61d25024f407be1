"""On-call resolver: who is on call at an instant, one pure function of schedule, overrides and time; all others ask it.

Handoffs are wall-clock times of the layer's zone: computed without a zone, then localised. A time
that does not exist moves to the first instant after the gap; one that comes twice is taken first, but
the ends of `hours` take the last. Wall times here are whole milliseconds since 1970-01-01 00:00 of
whatever zone, so that turns are plain arithmetic.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import NamedTuple, NewType, Protocol
from zoneinfo import ZoneInfo

from tocsin.model import (
    DAY,
    HOUR,
    MINUTE,
    FeedShift,
    Holidays,
    Hours,
    Instant,
    Layer,
    Override,
    Rotation,
    Schedule,
    Support,
    instant,
)
from tocsin.model.civil import civil, on_line, remembered, unix

Wall = NewType("Wall", int)

FEED = "ical"
"""The layer of shifts that were imported."""

AHEAD = 400 * DAY
"""How far `next_on_call` looks."""

_EPOCH = datetime(1970, 1, 1)  # noqa: DTZ001  # wall times have no zone on purpose
_WEEK = 7 * DAY
_THURSDAY = 3  # 1970-01-01
_COMPILED = 512


@dataclass(frozen=True, slots=True)
class OnCall:
    """The people on call together, by key; the layer that says so, None under an override or when nobody is."""

    users: tuple[str, ...]
    layer: str | None
    because: str


@dataclass(frozen=True, slots=True)
class Shift:
    """From `start` until `end` (not included) the same people from the same layer."""

    start: Instant
    end: Instant
    users: tuple[str, ...]
    layer: str | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Gap: nobody is on call from `start` until `end` (not included)."""

    start: Instant
    end: Instant


@dataclass(frozen=True, slots=True)
class Shifts:
    """A window of a schedule, cut to the window, equal neighbours joined, in order."""

    shifts: tuple[Shift, ...]
    gaps: tuple[Gap, ...]


class Window(NamedTuple):
    """From `start` until `end` (not included); it belongs to `day`, counted from 1970-01-01, a Thursday."""

    day: int
    start: Instant
    end: Instant


def on_call(schedule: Schedule, at: Instant, extra: Sequence[Override] = ()) -> OnCall:
    """People on call at `at`. Overrides beat layers: the schedule's own in order, then `extra` (run-time ones).

    Raises ValueError for a zone or time that does not parse (settings/ refuses these before).
    """
    plan = _plan(schedule)
    return OnCall(*_who_at(plan, (*plan.overrides, *_made(extra, plan.timezone)), at))


def next_on_call(schedule: Schedule, at: Instant, extra: Sequence[Override] = ()) -> OnCall:
    """The people of the next shift with other people than now; nobody when there is none within AHEAD."""
    plan = _plan(schedule)
    overrides = (*plan.overrides, *_made(extra, plan.timezone))
    now = set(_who_at(plan, overrides, at)[0])
    for edge in () if len(now) == 1 and now == _everybody(plan, overrides) else _ahead(plan, overrides, at):
        then = _who_at(plan, overrides, edge)
        if then[0] and set(then[0]) != now:
            return OnCall(*then)
    return OnCall((), None, f"nobody else is on call in {schedule.name} within {AHEAD // DAY} days")


def shifts(schedule: Schedule, start: Instant, end: Instant, extra: Sequence[Override] = ()) -> Shifts:
    """Shifts of those on call, from `start` until `end`: at every instant the same answer as `on_call`."""
    plan = _plan(schedule)
    overrides = (*plan.overrides, *_made(extra, plan.timezone))
    found: list[Shift] = []
    for since, until in pairwise((start, *_edges(plan, overrides, start, end), end)):
        users, layer, _ = _who_at(plan, overrides, since)
        if found and (found[-1].users, found[-1].layer) == (users, layer):
            found[-1] = Shift(found[-1].start, until, users, layer)
        elif since < until:
            found.append(Shift(since, until, users, layer))
    gaps = tuple(Gap(one.start, one.end) for one in found if not one.users)
    return Shifts(tuple(one for one in found if one.users), gaps)


def in_hours(support: Support, at: Instant) -> bool:
    """Whether `at` lies within the support hours; a window that begins on a holiday (YYYY-MM-DD) does not count.

    Without any hours all time counts but the holidays themselves.
    """
    zone = zone_of(support.timezone)
    moment = _moment(at, zone)
    if not support.hours:
        return _iso_day(moment.wall // DAY) not in support.holidays
    return _covered(support.hours, moment, zone, support.holidays)


def windows(hours: Hours, timezone: str, start: Instant, end: Instant) -> Iterator[Window]:
    """The windows of `hours` by a zone's clock that touch start..end, in order, whole."""
    zone = zone_of(timezone)
    for day in range(unix(start) // DAY - 3 - hours.across, unix(end) // DAY + 3):
        if _weekday(day) in hours.days:
            since, until = _window(hours, day, zone)
            if since < until and since < end and start < until:
                yield Window(day, since, until)


def local_instant(text: str, timezone: str) -> Instant:
    """A naive local time (`2026-01-05T09:00`, a blank instead of T will do) as an instant of that zone.

    Raises ValueError when it is not one. A repeated time is taken first.
    """
    return _localised(_wall(text), zone_of(timezone))


@lru_cache(maxsize=1024)
def zone_of(name: str) -> ZoneInfo:
    """The IANA zone. Raises ValueError for a name that is none."""
    try:
        return ZoneInfo(name)
    except (LookupError, OSError, ValueError):
        raise ValueError(f"{name!r} is not a time zone; write one like Europe/Paris") from None


# ------------------------------------------------------------------------------------ wall clocks


class _Moment(NamedTuple):
    """An instant as a zone's clock shows it; `again`: the clock shows this time for the second time."""

    at: Instant
    wall: Wall
    again: bool


def _moment(at: Instant, zone: tzinfo) -> _Moment:
    shown = civil(at, zone)
    return _Moment(at, Wall(unix(at) + _offset(shown, zone)), shown.fold == 1)


def _localised(wall: Wall, zone: tzinfo, last: bool = False) -> Instant:
    """The instant at which a clock of `zone` shows `wall`: the first, or the `last`, of two."""
    shown = _EPOCH + timedelta(milliseconds=wall)
    first = _offset(shown, zone)
    second = _offset(shown.replace(fold=1), zone)
    if first == second:
        return on_line(wall - first)
    if first < second:
        return _end_of_gap(wall - second, wall - first, zone)
    return on_line(wall - (second if last else first))


def _end_of_gap(before: int, after: int, zone: tzinfo) -> Instant:
    """The instant in (before, after], in milliseconds since 1970, at which the zone's offset changes."""
    old = datetime.fromtimestamp(before // 1000, zone).utcoffset()  # civil
    low, high = before // 1000, after // 1000
    while high - low > 1:
        middle = (low + high) // 2
        if datetime.fromtimestamp(middle, zone).utcoffset() == old:  # civil
            low = middle
        else:
            high = middle
    return on_line(high * 1000)


def _offset(shown: datetime, zone: tzinfo) -> int:
    offset = zone.utcoffset(shown)
    if offset is None:  # pragma: no cover  # a ZoneInfo always knows its offset
        raise ValueError(f"{zone} has no offset")
    return offset.days * DAY + offset.seconds * 1000


def _wall(text: str) -> Wall:
    try:
        written = datetime.fromisoformat(text)
    except ValueError:
        raise ValueError(f"{text!r} is not a local time; write one like 2026-01-05T09:00") from None
    if written.tzinfo is not None:
        raise ValueError(f"{text!r} has an offset; write it without, as the schedule's clock shows it")
    return Wall((written - _EPOCH) // timedelta(milliseconds=1))


# ---------------------------------------------------------------------------------------- turns


class _Turns(Protocol):
    """The handoffs of a rotation as wall times that never decrease. Turn k lasts from handoff k to k + 1."""

    def turn(self, wall: Wall) -> int:
        """The last k with handoff(k) <= wall; -1 before the first."""

    def handoff(self, k: int) -> Wall:
        """Beginning of turn k, k from 0."""


@dataclass(frozen=True, slots=True)
class _Even:
    """Turns of one length: hours, days, weeks."""

    start: Wall
    length: int

    def turn(self, wall: Wall) -> int:
        return max((wall - self.start) // self.length, -1)

    def handoff(self, k: int) -> Wall:
        return Wall(self.start + k * self.length)


@dataclass(frozen=True, slots=True)
class _Months:
    """Turns of whole months, on the day of the first, clamped to the month's end."""

    start: Wall
    first: datetime
    length: int

    def turn(self, wall: Wall) -> int:
        shown = _EPOCH + timedelta(milliseconds=wall)
        k = ((shown.year - self.first.year) * 12 + shown.month - self.first.month) // self.length
        return max(k if self.handoff(k) <= wall else k - 1, -1)

    def handoff(self, k: int) -> Wall:
        years, month = divmod(self.first.month - 1 + k * self.length, 12)
        year = self.first.year + years
        day = min(self.first.day, _days_in(year, month + 1))
        then = self.first.replace(year=year, month=month + 1, day=day)
        return Wall((then - _EPOCH) // timedelta(milliseconds=1))


@dataclass(frozen=True, slots=True)
class _ActiveDays:
    """Turns of `length` active days; days that are not active belong to the turn before them.

    `steps[i]` is how many days after day 0 (that of the start) the i-th active day of a week comes.
    """

    start: Wall
    length: int
    steps: tuple[int, ...]

    def turn(self, wall: Wall) -> int:
        if wall < self.start:
            return -1
        weeks, day = divmod((wall - self.start) // DAY, 7)
        active = weeks * len(self.steps) + bisect_right(self.steps, day)
        return max((active - 1) // self.length, 0)

    def handoff(self, k: int) -> Wall:
        if k == 0:
            return self.start
        weeks, which = divmod(k * self.length, len(self.steps))
        return Wall(self.start + weeks * _WEEK + self.steps[which] * DAY)


@dataclass(frozen=True, slots=True)
class _CalendarWeeks:
    """Turns of `length` calendar weeks from `monday`, which begins the week of the start; the first is cut."""

    start: Wall
    monday: Wall
    length: int
    skipped: int  # 1 where the first turn would have no active day

    def turn(self, wall: Wall) -> int:
        if wall < self.start:
            return -1
        return max((wall - self.monday) // (self.length * _WEEK) - self.skipped, 0)

    def handoff(self, k: int) -> Wall:
        return self.start if k == 0 else Wall(self.monday + (k + self.skipped) * self.length * _WEEK)


def _turns(rotation: Rotation) -> _Turns:
    start = _wall(rotation.start)
    match rotation.unit:
        case "hours":
            return _Even(start, rotation.length * HOUR)
        case "days":
            return _days(start, rotation)
        case "weeks":
            return _weeks(start, rotation)
        case "months":
            return _Months(start, _EPOCH + timedelta(milliseconds=start), rotation.length)


def _days(start: Wall, rotation: Rotation) -> _Turns:
    if rotation.days is None:
        return _Even(start, rotation.length * DAY)
    return _ActiveDays(start, rotation.length, _steps(start, rotation.days))


def _weeks(start: Wall, rotation: Rotation) -> _Turns:
    if rotation.days is None:
        return _Even(start, rotation.length * _WEEK)
    return _calendar_weeks(start, rotation.length, rotation.days)


def _steps(start: Wall, days: frozenset[int]) -> tuple[int, ...]:
    first = _weekday(start // DAY)
    return tuple(sorted((day - first) % 7 for day in days))


def _calendar_weeks(start: Wall, length: int, days: frozenset[int]) -> _CalendarWeeks:
    first = _weekday(start // DAY)
    monday = Wall(start - first * DAY)
    idle = length == 1 and not any(day >= first for day in days)
    return _CalendarWeeks(start, monday, length, int(idle))


def _turn_at(turns: _Turns, moment: _Moment, zone: tzinfo) -> int:
    """The turn at an instant. While the clock shows an hour again, all its handoffs are over already."""
    k = turns.turn(moment.wall)
    if moment.again:
        while _localised(turns.handoff(k + 1), zone) <= moment.at:
            k += 1
    return k


def _weekday(day: int) -> int:
    """0 = Monday, of days since 1970-01-01."""
    return (day + _THURSDAY) % 7


def _days_in(year: int, month: int) -> int:
    if month == 2:
        return 29 if year % 4 == 0 and (year % 100 != 0 or year % 400 == 0) else 28
    return 30 if month in (4, 6, 9, 11) else 31


def _iso_day(day: int) -> str:
    return date.fromordinal(_EPOCH.toordinal() + day).isoformat()


# ---------------------------------------------------------------------------------------- hours


def _covered(windows: Iterable[Hours], moment: _Moment, zone: tzinfo, holidays: Sequence[str] = ()) -> bool:
    today = moment.wall // DAY
    # A window ends the day after it begins; where midnight comes twice, it may last into, or begin in, one day more.
    days = (today, today - 1, today + 1 if moment.again else today - 2)
    for hours in windows:
        for day in days if not hours.across else range(today + moment.again, today - hours.across - 2, -1):
            if (day + _THURSDAY) % 7 in hours.days and not (holidays and _iso_day(day) in holidays):
                start, end = _window(hours, day, zone)
                if start <= moment.at < end:
                    return True
    return False


@remembered(maxsize=16384)
def _window(hours: Hours, day: int, zone: tzinfo) -> tuple[Instant, Instant]:
    """Beginning and end of that day's window; one that ends at or before its start ends the day after, one
    across days on its own day."""
    start = Wall(day * DAY + hours.start * MINUTE)
    last = day + (hours.across or hours.end <= hours.start)
    end = Wall(last * DAY + hours.end * MINUTE)
    return _localised(start, zone), _localised(end, zone, last=True)


# ------------------------------------------------------------------------------------- holidays


class _Holidays(NamedTuple):
    """Whole days of a zone, midnight to midnight, counted from 1970-01-01: the `only` ones covered, or those not."""

    only: bool
    days: frozenset[int]
    ordered: tuple[int, ...]

    def covers(self, moment: _Moment, zone: tzinfo) -> bool:
        return (_day_of(moment, zone) in self.days) == self.only

    def edges(self, zone: tzinfo, start: Instant, end: Instant) -> Iterator[Instant]:
        """The midnights about these days that may lie within (start, end)."""
        first = bisect_left(self.ordered, unix(start) // DAY - 3)
        last = bisect_right(self.ordered, unix(end) // DAY + 3)
        for day in self.ordered[first:last]:
            yield _midnight(day, zone)
            yield _midnight(day + 1, zone)


def _holidays(written: Holidays) -> _Holidays:
    days = tuple(sorted({date.fromisoformat(day).toordinal() - _EPOCH.toordinal() for day in written.dates}))
    return _Holidays(written.mode == "only", frozenset(days), days)


def _day_of(moment: _Moment, zone: tzinfo) -> int:
    """The local day at an instant. It begins with its first midnight; a clock set back may show the eve again."""
    today = moment.wall // DAY
    return today + (moment.again and _midnight(today + 1, zone) <= moment.at)


@remembered(maxsize=4096)
def _midnight(day: int, zone: tzinfo) -> Instant:
    return _localised(Wall(day * DAY), zone)


# --------------------------------------------------------------------------------- layers, overrides


_Who = tuple[tuple[str, ...], str | None, str]
"""users, layer, because: an OnCall in the making."""


class _Plan(NamedTuple):
    """A schedule with everything parsed."""

    schedule: Schedule
    timezone: str
    layers: tuple[_PlannedLayer, ...]  # the last written first
    feed: _Feed
    overrides: tuple[_Placed, ...]


class _PlannedLayer(NamedTuple):
    name: str
    users: tuple[tuple[str, ...], ...]
    turns: _Turns | None
    hours: tuple[Hours, ...]
    said: str
    zone: ZoneInfo
    end: Instant | None
    holidays: _Holidays | None

    def who(self, moment: _Moment) -> _Who | None:
        """The people of this layer, or None where it does not cover. `moment`: by the clock of its zone."""
        if self.end is not None and moment.at >= self.end:
            return None
        if self.turns is None:
            k = 0
        else:
            k = _turn_at(self.turns, moment, self.zone)
            if k < 0:
                return None
        if self.holidays is not None and not self.holidays.covers(moment, self.zone):
            return None
        if self.hours and not _covered(self.hours, moment, self.zone):
            return None
        users = self.users[k % len(self.users)]
        return (users, self.name, f"{self.said}, turn {k + 1}") if users else None

    def edges(self, start: Instant, end: Instant) -> Iterator[Instant]:
        """Instants at which it may begin or cease to cover, or hand over: all within (start, end), and others."""
        if self.end is not None:
            yield self.end
            end = min(end, self.end)
        if start < end:
            if self.turns is not None:
                yield from _handoffs(self.turns, self.zone, start, end)
            if self.holidays is not None:
                yield from self.holidays.edges(self.zone, start, end)
            yield from _hour_edges(self.hours, self.zone, start, end)


class _Feed(NamedTuple):
    """Imported shifts as pieces without overlap: `crews[i]` from `edges[i]` on; all of overlapping shifts together."""

    edges: tuple[Instant, ...]
    crews: tuple[tuple[str, ...], ...]

    def who(self, at: Instant) -> _Who | None:
        piece = bisect_right(self.edges, at) - 1
        if piece < 0 or not self.crews[piece]:
            return None
        return self.crews[piece], FEED, f"layer {FEED}, a shift of the feed"


class _Placed(NamedTuple):
    """An override with its instants."""

    start: Instant
    end: Instant
    override: Override

    def applied(self, who: _Who) -> _Who:
        """Rest of `who` under this override."""
        users = _overridden(self.override, who[0])
        if users is None:
            return who
        return users, None, _said(self.override, who[0])


def _who_at(plan: _Plan, overrides: Sequence[_Placed], at: Instant) -> _Who:
    who = _by_layers(plan, at)
    for override in overrides:
        if override.start <= at < override.end:
            who = override.applied(who)
    return who


def _by_layers(plan: _Plan, at: Instant) -> _Who:
    zone = moment = None
    for layer in plan.layers:
        if moment is None or layer.zone is not zone:
            zone, moment = layer.zone, _moment(at, layer.zone)
        who = layer.who(moment)
        if who is not None:
            return who
    return plan.feed.who(at) or ((), None, "no layer covers this time")


def _overridden(override: Override, users: tuple[str, ...]) -> tuple[str, ...] | None:
    """The people afterwards; None where the override has nothing to change."""
    match override.mode:
        case "replace" if override.replaces is None:
            return tuple(dict.fromkeys(override.users))
        case "replace":
            return _swapped(users, override.replaces, override.users) if override.replaces in users else None
        case "add":
            together = tuple(dict.fromkeys(users + override.users))
            return together if together != users else None
        case "remove":
            left = tuple(user for user in users if user not in _off_call(override, users))
            return left if left != users else None


def _swapped(users: tuple[str, ...], out: str, into: tuple[str, ...]) -> tuple[str, ...]:
    """`into` in the place of `out`, nobody named twice."""
    after = [one for user in users for one in (into if user == out else (user,))]
    return tuple(dict.fromkeys(after))


def _off_call(override: Override, users: tuple[str, ...]) -> tuple[str, ...]:
    """People that a `remove` takes away: those it names, else everybody."""
    return override.users or ((override.replaces,) if override.replaces else users)


def _said(override: Override, users: tuple[str, ...]) -> str:
    """Reason why the layers do not count here."""
    named = f" {override.id}" if override.id else ""
    match override.mode:
        case "replace":
            what = f"{_and(override.users)} for {override.replaces or _and(users)}"
        case "add":
            what = f"{_and(override.users)} as well"
        case "remove":
            what = f"without {_and(_off_call(override, users))}"
    return f"override{named}: {what}, until {override.end[:16].replace('T', ' ')}"


def _and(users: tuple[str, ...]) -> str:
    return " and ".join(users) or "nobody"


_plans: dict[int, _Plan] = {}


def _plan(schedule: Schedule) -> _Plan:
    """The parsed schedule, kept by identity: to hash a schedule costs more than to ask it."""
    plan = _plans.get(id(schedule))
    if plan is None:
        plan = _parsed(schedule)
        if len(_plans) >= _COMPILED:
            _plans.clear()
        _plans[id(schedule)] = plan  # holds the schedule, so its id() stays its own
    return plan


def _parsed(schedule: Schedule) -> _Plan:
    return _Plan(
        schedule,
        schedule.timezone,
        tuple(_planned(layer, n, schedule) for n, layer in reversed([*enumerate(schedule.layers, 1)]) if layer.users),
        _pieces(schedule.feed),
        tuple(_placed(override, schedule.timezone) for override in schedule.overrides),
    )


def _planned(layer: Layer, number: int, schedule: Schedule) -> _PlannedLayer:
    """A layer without a name is called by its place in the schedule."""
    name, timezone = layer.name or f"layer {number}", layer.zone(schedule)
    return _PlannedLayer(
        name,
        tuple(tuple(dict.fromkeys(entry)) for entry in layer.users),
        None if layer.rotation is None else _turns(layer.rotation),
        layer.hours,
        f"layer {layer.name}" if layer.name else name,
        zone_of(timezone),
        None if layer.end is None else local_instant(layer.end, timezone),
        None if layer.holidays is None else _holidays(layer.holidays),
    )


def _pieces(feed: Sequence[FeedShift]) -> _Feed:
    """Overlapping shifts are on call together, the earlier ones named first."""
    shifts = sorted((one for one in feed if one.start < one.end and one.users), key=lambda one: one.start)
    edges = sorted({edge for one in shifts for edge in (one.start, one.end)})
    crews, begun, running = [], 0, list[FeedShift]()
    for edge in edges:
        while begun < len(shifts) and shifts[begun].start <= edge:
            running.append(shifts[begun])
            begun += 1
        running = [one for one in running if one.end > edge]
        crews.append(tuple(dict.fromkeys(user for one in running for user in one.users)))
    return _Feed(tuple(edges), tuple(crews))


_extras: dict[tuple[int, str], tuple[Sequence[Override], tuple[_Placed, ...]]] = {}


def _made(extra: Sequence[Override], timezone: str) -> tuple[_Placed, ...]:
    """Run-time overrides with their instants, kept by identity like the schedules: nobody changes a tuple."""
    if not extra or not isinstance(extra, tuple):
        return tuple(_placed(override, timezone) for override in extra)
    known = _extras.get((id(extra), timezone))
    if known is None:
        known = extra, tuple(_placed(override, timezone) for override in extra)
        if len(_extras) >= _COMPILED:
            _extras.clear()
        _extras[id(extra), timezone] = known  # holds the tuple, so its id() stays its own
    return known[1]


@remembered(maxsize=4096)
def _placed(override: Override, timezone: str) -> _Placed:
    return _Placed(_placed_at(override.start, timezone), _placed_at(override.end, timezone), override)


def _placed_at(text: str, timezone: str) -> Instant:
    """An override made at run time says its offset: it means that instant, in an hour that comes twice too."""
    written = datetime.fromisoformat(text)
    return local_instant(text, timezone) if written.tzinfo is None else instant(written)


def _everybody(plan: _Plan, overrides: Iterable[_Placed]) -> set[str]:
    crews = [*(entry for layer in plan.layers for entry in layer.users), *plan.feed.crews]
    return {user for crew in (*crews, *(placed.override.users for placed in overrides)) for user in crew}


# ---------------------------------------------------------------------------------------- edges


def _ahead(plan: _Plan, overrides: Sequence[_Placed], at: Instant) -> Iterator[Instant]:
    """The edges from `at` on until AHEAD, the near ones first: most schedules change within a week."""
    for since, until in pairwise((0, 8 * DAY, 64 * DAY, AHEAD)):
        yield from _edges(plan, overrides, Instant(at + since - 1), Instant(at + until))


def _edges(plan: _Plan, overrides: Iterable[_Placed], start: Instant, end: Instant) -> list[Instant]:
    """Every instant within (start, end) at which the answer may change, in order."""
    edges: set[Instant] = set()
    for layer in plan.layers:
        edges.update(layer.edges(start, end))
    edges.update(plan.feed.edges)
    for placed in overrides:
        edges.update((placed.start, placed.end))
    return sorted(edge for edge in edges if start < edge < end)


def _handoffs(turns: _Turns, zone: tzinfo, start: Instant, end: Instant) -> Iterator[Instant]:
    k = _turn_at(turns, _moment(start, zone), zone) + 1
    while (edge := _localised(turns.handoff(k), zone)) < end:
        yield edge
        k += 1


def _hour_edges(windows: Iterable[Hours], zone: tzinfo, start: Instant, end: Instant) -> Iterator[Instant]:
    first, last = unix(start) // DAY - 3, unix(end) // DAY + 3
    for hours in windows:
        for day in range(first - hours.across, last):
            if _weekday(day) in hours.days:
                yield from _window(hours, day, zone)
