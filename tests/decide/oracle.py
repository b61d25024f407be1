"""Does another algorithm name the same people? Random schedules, overrides and instants, by the thousand.

`python -m tests.decide.oracle --count 1000000 [--seed N]` prints its progress and what it compared; a difference is
shown with all its facts and ends the run with exit code 1.

The oracle shares no algorithm with `decide/oncall/resolver.py`, which localises single wall times (by `zoneinfo` and its fold) and
divides. Here a zone is the list of periods between its clock changes, found by looking at the clock every few hours (by the
library whenever). Turns are counted by the clock's high-water mark: handoff k is over when the clock has ever shown its
wall time, or a later one; and a holiday is the day of that mark. Rotations with days and months are written down handoff
by handoff.
"""

from __future__ import annotations

import argparse
import sys
import time
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, lru_cache
from itertools import pairwise
from random import Random
from typing import NamedTuple

import whenever

from tests.decide.drawn import FIRST, LAST, Case, cases
from tocsin.decide.oncall.resolver import on_call, shifts
from tocsin.model import DAY, HOUR, Hours, Instant, Layer, Override, Rotation, Schedule

_MONDAY = 4 * DAY  # 1970-01-05


class Said(NamedTuple):
    users: tuple[str, ...]
    layer: str | None


NOBODY = Said((), None)


# --------------------------------------------------------------------------------- a zone's clock


class Period(NamedTuple):
    """From `start` until `end` the clock shows the instant plus `offset`."""

    start: int
    end: int
    offset: int


@dataclass(frozen=True)
class Clock:
    """A zone as its periods, in order; `peaks[i]` is the latest wall time that was shown before period i."""

    periods: tuple[Period, ...]
    starts: list[int]
    peaks: list[int]

    def shown(self, at: int) -> int:
        return at + self.periods[bisect_right(self.starts, at) - 1].offset

    def high_water(self, at: int) -> int:
        """The latest wall time that was shown until `at`."""
        which = bisect_right(self.starts, at) - 1
        return max(self.peaks[which], at + self.periods[which].offset)

    def changes_near(self, at: int) -> bool:
        return bisect_right(self.starts, at - 3 * HOUR) != bisect_right(self.starts, at + 3 * HOUR)

    def when(self, wall: int) -> list[int]:
        """Every instant at which the clock shows `wall`; the first instant after the gap where there is none."""
        near = bisect_right(self.starts, wall)
        around = self.periods[max(near - 3, 0) : near + 3]
        found = [wall - one.offset for one in around if one.start <= wall - one.offset < one.end]
        return found or [next(one.start for one in around if one.start + one.offset > wall)]


@cache
def clock(zone: str) -> Clock:
    looked = range(FIRST - 400 * DAY, LAST + 400 * DAY, 6 * HOUR)
    changes = [
        _change(zone, early, late) for early, late in pairwise(looked) if _offset(zone, early) != _offset(zone, late)
    ]
    edges = [looked[0] - 10**15, *changes, LAST + 10**15]
    periods = tuple(Period(a, b, _offset(zone, min(max(a, looked[0]), looked[-1]))) for a, b in pairwise(edges))
    peaks = [-(10**17)]
    for one in periods:
        peaks.append(max(peaks[-1], one.end - 1 + one.offset))
    return Clock(periods, [one.start for one in periods], peaks)


def _offset(zone: str, at: int) -> int:
    shown = whenever.Instant.from_timestamp(at // 1000).to_tz(zone)
    return int(shown.offset.total("seconds")) * 1000


def _change(zone: str, early: int, late: int) -> int:
    """The first second of (early, late] with the offset of `late`."""
    step = late - early
    while step > 1000:
        step = max(step // 2000 * 1000, 1000)
        while _offset(zone, early + step) == _offset(zone, early) and early + step < late:
            early += step
    return early + step


# ---------------------------------------------------------------------------------------- turns


def wall_of(text: str) -> int:
    """`2026-01-05T09:00` as milliseconds since 1970-01-01T00:00 of the same clock."""
    return _since_epoch(whenever.PlainDateTime.parse_iso(text))


def _since_epoch(written: whenever.PlainDateTime) -> int:
    """A clock of UTC shows it then."""
    return int(written.assume_utc().timestamp()) * 1000


def turn(rotation: Rotation, high: int) -> int | None:
    """Which turn it is when the clock's high-water mark is `high`; None before the first."""
    start = wall_of(rotation.start)
    if high < start:
        return None
    if rotation.days is None and rotation.unit != "months":
        length = {"hours": HOUR, "days": DAY, "weeks": 7 * DAY}[rotation.unit] * rotation.length
        return len(range(start, high + 1, length)) - 1
    return bisect_right(handoffs(rotation), high) - 1


@lru_cache(maxsize=64)
def handoffs(rotation: Rotation) -> list[int]:
    years = 45 if rotation.unit == "months" else 12  # longer than any case looks
    return list(_handoffs(rotation, wall_of(rotation.start) + years * 366 * DAY))


def _handoffs(rotation: Rotation, until: int) -> Iterator[int]:
    """The start, then each later handoff, walked day by day or month by month."""
    start = wall_of(rotation.start)
    yield start
    if rotation.unit == "months":
        yield from _months(rotation, until)
        return
    assert rotation.days is not None
    counted = _weeks(rotation, start, until) if rotation.unit == "weeks" else _active_days(rotation, start, until)
    yield from counted


def _months(rotation: Rotation, until: int) -> Iterator[int]:
    first = whenever.PlainDateTime.parse_iso(rotation.start)
    count = 0
    while True:
        count += rotation.length
        day = first.date().add(months=count)
        wall = _since_epoch(day.at(first.time()))
        if wall > until:
            return
        yield wall


def _active_days(rotation: Rotation, start: int, until: int) -> Iterator[int]:
    """A new turn each time `length` active days were seen, and then another one begins."""
    seen = 0
    assert rotation.days is not None
    for wall in range(start, until, DAY):
        if _weekday(wall) in rotation.days:
            if seen and seen % rotation.length == 0:
                yield wall
            seen += 1


def _weeks(rotation: Rotation, start: int, until: int) -> Iterator[int]:
    """Mondays at the start's clock time; of a single week's turns the first lasts one more if its days were all idle."""
    idle = True
    weeks = 0
    assert rotation.days is not None
    for wall in range(start, until, DAY):
        if _weekday(wall) == 0 and wall != start:
            weeks += 1
            if rotation.length == 1 and idle and weeks == 1:
                weeks = 0
                idle = False
            elif weeks % rotation.length == 0:
                yield wall
        idle = idle and _weekday(wall) not in rotation.days


def _weekday(wall: int) -> int:
    return (wall - _MONDAY) // DAY % 7


# -------------------------------------------------------------------------- layers and overrides


@dataclass(frozen=True)
class Oracle:
    """One schedule with its run-time overrides, asked at any instant."""

    schedule: Schedule
    extra: Sequence[Override]

    def says(self, at: int) -> Said:
        said = self._layers(at)
        for override in (*self.schedule.overrides, *self.extra):
            if self._time(override.start) <= at < self._time(override.end):
                crew = list(said.users)
                _changed(crew, override)
                # an override that finds nothing to do leaves the layer's name; one that names everybody takes it
                if tuple(crew) != said.users or (override.mode == "replace" and _hits(said.users, override)):
                    said = Said(tuple(crew), None)
        return said if said.users else NOBODY

    def _layers(self, at: int) -> Said:
        said = NOBODY
        crew = sorted((one.start, n) for n, one in enumerate(self.schedule.feed) if one.start <= at < one.end)
        fed = dict.fromkeys(user for _, n in crew for user in self.schedule.feed[n].users)
        if fed:
            said = Said(tuple(fed), "ical")
        for number, layer in enumerate(self.schedule.layers, 1):
            people = self._layer(layer, at)
            if people:
                said = Said(people, layer.name or f"layer {number}")
        return said

    def _layer(self, layer: Layer, at: int) -> tuple[str, ...]:
        zone = clock(layer.timezone or self.schedule.timezone)
        now = 0 if layer.rotation is None else turn(layer.rotation, zone.high_water(at))
        if now is None or (layer.hours and not any(_open(hours, at, zone) for hours in layer.hours)):
            return ()
        if layer.end is not None and at >= min(zone.when(wall_of(layer.end))):
            return ()
        if layer.holidays is not None:
            today = whenever.Instant.from_timestamp(zone.high_water(at) // 1000).to_tz("UTC").date().format_iso()
            if (layer.holidays.mode == "only") != (today in layer.holidays.dates):
                return ()
        return layer.users[now % len(layer.users)]

    def _time(self, text: str) -> int:
        if text.endswith("Z") or "+" in text:
            return int(whenever.OffsetDateTime.parse_iso(text).timestamp()) * 1000
        return clock(self.schedule.timezone).when(wall_of(text))[0]


def _open(hours: Hours, at: int, zone: Clock) -> bool:
    midnight = zone.shown(at) // DAY * DAY
    for day in range(midnight - 10 * DAY, midnight + 3 * DAY, DAY):
        if _weekday(day) in hours.days:
            length = hours.across * 1440 + hours.end - hours.start
            if hours.across == 0:
                length = length % 1440 or 1440
            opens = day + hours.start * 60_000
            if zone.when(opens)[0] <= at < zone.when(opens + length * 60_000)[-1]:
                return True
    return False


def _hits(crew: Sequence[str], override: Override) -> bool:
    return override.replaces is None or override.replaces in crew


def _changed(crew: list[str], override: Override) -> None:
    """`crew` under the override."""
    if override.mode == "remove":
        for user in override.users or ([override.replaces] if override.replaces else list(crew)):
            while user in crew:
                crew.remove(user)
    elif override.mode == "add":
        crew += [user for user in override.users if user not in crew]
    elif override.replaces is None:
        crew[:] = override.users
    elif override.replaces in crew:
        place = crew.index(override.replaces)
        whole = [*crew[:place], *override.users, *crew[place + 1 :]]
        crew[:] = sorted(set(whole), key=whole.index)


# -------------------------------------------------------------------------------------- comparing


@dataclass
class Count:
    """What was compared, and how varied it was."""

    triples: int = 0
    schedules: int = 0
    overridden: int = 0
    nobody: int = 0
    in_shifts: int = 0
    near_a_change: int = 0
    own_zone: int = 0
    ended: int = 0
    across: int = 0
    holidays: int = 0
    zones: set[str] = field(default_factory=set)

    def __str__(self) -> str:
        return (
            f"{self.triples:,} triples of {self.schedules:,} schedules in {len(self.zones)} zones: {self.overridden:,} under "
            f"an override, {self.near_a_change:,} within three hours of a clock change, {self.nobody:,} with nobody on call, "
            f"{self.in_shifts:,} looked up in shifts as well; {self.own_zone:,} layers with a zone of their own, {self.ended:,} "
            f"with an end, {self.across:,} with hours across days, {self.holidays:,} with holidays"
        )


class Difference(AssertionError):
    """The resolver and the oracle do not name the same people."""


def compare(count: int, seed: int, *, every_zone: bool = False, progress: int = 0) -> Count:
    """Compares `count` triples (rounded up to whole schedules). Raises Difference with the case that tells them apart."""
    done = Count()
    began = time.perf_counter()
    for case in cases(Random(seed), clock, every_zone):
        try:
            _compare(case, done)
        except Difference as difference:
            raise Difference(f"seed {seed}: {difference}") from None
        if progress and done.triples // progress > (done.triples - len(case.instants)) // progress:
            print(f"{done.triples:,} after {time.perf_counter() - began:.0f} s", flush=True)
        if done.triples >= count:
            return done
    raise AssertionError("cases never end")


def _compare(case: Case, done: Count) -> None:
    oracle = Oracle(case.schedule, case.extra)
    zone = clock(case.schedule.timezone)
    listed = _listed(case)
    for at in case.instants:
        expected = oracle.says(at)
        found = on_call(case.schedule, Instant(at), case.extra)
        _same(case, at, "on_call", expected, Said(found.users, found.layer if found.users else None))
        if listed:
            which = bisect_right(listed, at, key=lambda piece: piece[0]) - 1
            _same(case, at, "shifts", expected, listed[which][1])
            done.in_shifts += 1
        done.overridden += expected.layer is None and bool(expected.users)
        done.nobody += not expected.users
        done.near_a_change += zone.changes_near(at)
    done.triples += len(case.instants)
    done.schedules += 1
    for layer in case.schedule.layers:
        done.own_zone += layer.timezone not in ("", case.schedule.timezone)
        done.ended += layer.end is not None
        done.across += any(hours.across for hours in layer.hours)
        done.holidays += layer.holidays is not None
        done.zones |= {layer.timezone or case.schedule.timezone}
    done.zones.add(case.schedule.timezone)


def _listed(case: Case) -> list[tuple[int, Said]]:
    """The schedule's shifts and gaps over the instants, where they are close together."""
    first, last = min(case.instants), max(case.instants)
    if last - first > 12 * DAY:
        return []
    found = shifts(case.schedule, Instant(first), Instant(last + 1), case.extra)
    pieces = [(one.start, Said(one.users, one.layer)) for one in found.shifts]
    return sorted([*pieces, *((gap.start, NOBODY) for gap in found.gaps)])


def _same(case: Case, at: int, asked: str, expected: Said, found: Said) -> None:
    if expected != found:
        zone = clock(case.schedule.timezone)
        shown = whenever.Instant.from_timestamp(zone.shown(at) // 1000).format_iso().rstrip("Z")
        raise Difference(
            f"{asked} says {found}, the oracle says {expected}\n at {at} "
            f"({whenever.Instant.from_timestamp(at // 1000)}, the clock shows {shown})\n in {case.schedule}\n with {case.extra}"
        )


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.decide.oracle", description=__doc__)
    parser.add_argument("--count", type=int, default=1_000_000, help="how many triples (1,000,000)")
    parser.add_argument("--seed", type=int, default=None, help="of an earlier run; else a new one")
    asked = parser.parse_args()
    seed = time.time_ns() % 2**32 if asked.seed is None else asked.seed
    print(f"seed {seed}")
    began = time.perf_counter()
    try:
        done = compare(asked.count, seed, every_zone=True, progress=100_000)
    except Difference as difference:
        print(difference)
        return 1
    print(f"no difference in {done}; {time.perf_counter() - began:.0f} s, seed {seed}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
