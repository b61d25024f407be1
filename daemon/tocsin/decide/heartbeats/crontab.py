"""Times at which a job runs that crontab(5) describes: five fields, in a zone, with names, ranges, lists and steps.

A time that the clock skips in spring is expected at the first instant after the gap, once; a time that the clock shows
twice in autumn is expected the first time. Jobs of every hour (`*` in the hour's field) run by elapsed time: not in
the gap, and in both of the hours that look alike.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from functools import lru_cache
from types import MappingProxyType
from zoneinfo import ZoneInfo

from tocsin.decide.oncall.resolver import local_instant, zone_of
from tocsin.model import Instant, instant
from tocsin.model.civil import civil

LONGEST = 200
"""Characters of an expression."""

AHEAD = 8 * 366 + 1
"""Days looked ahead: a 29th of February is at most eight years away."""

MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
DAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
SHORT: Mapping[str, str] = MappingProxyType(
    {
        "@hourly": "0 * * * *",
        "@daily": "0 0 * * *",
        "@midnight": "0 0 * * *",
        "@weekly": "0 0 * * 0",
        "@monthly": "0 0 1 * *",
        "@yearly": "0 0 1 1 *",
        "@annually": "0 0 1 1 *",
    }
)
PART = re.compile(r"(?:(\*)|([a-z]{3}|[0-9]{1,2})(?:-([a-z]{3}|[0-9]{1,2}))?)(?:/([0-9]{1,2}))?")


@dataclass(frozen=True, slots=True)
class Field:
    """Field of a crontab line: its words for numbers, and the bounds between which they lie."""

    name: str
    least: int
    most: int
    words: tuple[str, ...] = ()
    first: int = 0  # the number of the first word


FIELDS = (
    Field("minute", 0, 59),
    Field("hour", 0, 23),
    Field("day of the month", 1, 31),
    Field("month", 1, 12, MONTHS, 1),
    Field("day of the week", 0, 7, DAYS),
)


@dataclass(frozen=True, slots=True)
class Crontab:
    """An expression, read. `any_day`, `any_weekday`: the field begins with `*`, so the other one alone decides."""

    text: str
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 = Sunday
    any_day: bool
    any_weekday: bool
    every_hour: bool

    def on(self, day: date) -> bool:
        """Whether the job runs on this day. Where both fields of days are written, either will do, as in cron."""
        if day.month not in self.months:
            return False
        of_month, of_week = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        return of_month and of_week if self.any_day or self.any_weekday else of_month or of_week


@lru_cache(maxsize=1024)
def parse(text: str) -> Crontab:
    """Read an expression such as `0 3 * * mon-fri`. Raises ValueError with what to write instead."""
    if len(text) > LONGEST:
        raise ValueError(f"is longer than {LONGEST} characters")
    plain = SHORT.get(text.strip().lower(), text.strip().lower())
    fields = plain.split()
    if len(fields) != len(FIELDS):
        raise ValueError(f"'{text}' {_wrong_count(fields)}; write minute, hour, day, month, weekday, as in 0 3 * * *")
    minutes, hours, days, months, weekdays = (_numbers(*pair, text) for pair in zip(fields, FIELDS, strict=True))
    found = Crontab(
        text.strip(), tuple(sorted(minutes)), tuple(sorted(hours)), frozenset(days), frozenset(months),
        frozenset(number % 7 for number in weekdays), fields[2].startswith("*"), fields[4].startswith("*"),
        fields[1].startswith("*"),
    )  # fmt: skip
    if not any(found.on(day) for day in _days_from(date(2024, 1, 1))):
        raise ValueError(f"'{text}' names days that never come")
    return found


def next_after(crontab: Crontab, timezone: str, at: Instant) -> Instant:
    """The first instant after `at` at which the job runs. Raises ValueError for a zone that is none."""
    zone = zone_of(timezone)
    here = civil(at, zone).date()
    for day in _days_from(here - timedelta(days=1)):
        if crontab.on(day):
            later = [found for found in _times_of(crontab, day, zone) if found > at]
            if later:
                return min(later)
    raise ValueError(f"{crontab.text!r} does not come within eight years")  # pragma: no cover  # parse refuses it


def _times_of(crontab: Crontab, day: date, zone: ZoneInfo) -> Iterator[Instant]:
    for hour in crontab.hours:
        for minute in crontab.minutes:
            shown = datetime.combine(day, time(hour, minute))
            if crontab.every_hour:
                yield from _elapsed(shown, zone)
            else:
                yield local_instant(shown.isoformat(timespec="minutes"), zone.key)


def _elapsed(shown: datetime, zone: ZoneInfo) -> Iterator[Instant]:
    """Every instant at which the clock shows this: none in a gap, two where an hour comes twice."""
    for fold in (0, 1):
        moment = shown.replace(tzinfo=zone, fold=fold)
        if moment.astimezone(UTC).astimezone(zone).replace(tzinfo=None) == shown:
            yield instant(moment)


def _days_from(first: date) -> Iterator[date]:
    return (first + timedelta(days=count) for count in range(AHEAD))


# ------------------------------------------------------------------------------------------ fields


def _numbers(written: str, field: Field, text: str) -> set[int]:
    """Values that one field names: `*`, `*/15`, `1-5`, `mon,wed-fri`, `10-50/20`."""
    found: set[int] = set()
    for part in written.split(","):
        found.update(_range(part, field, text))
    return found


def _range(part: str, field: Field, text: str) -> range:
    match = PART.fullmatch(part)
    if match is None:
        raise ValueError(f"'{text}': '{part}' is no {field.name}; {_advice(part, field)}")
    star, low, high, step = match.groups()
    every = int(step) if step is not None else 1
    if every == 0:
        raise ValueError(f"'{text}': '{part}' steps by nothing; write */15 or leave the step out")
    first = field.least if star else _number(low, field, text)
    if star or (step is not None and high is None):
        last = 6 if star and field.most == 7 else field.most
    else:
        last = first if high is None else _number(high, field, text)
    if field.most == 7 and high == "sun":
        last = 7
    if last < first:
        raise ValueError(f"'{text}': '{part}' ends before it begins; write two ranges with a comma between them")
    return range(first, last + 1, every)


def _number(word: str, field: Field, text: str) -> int:
    if word in field.words:
        return field.words.index(word) + field.first
    if not word.isdigit() or not field.least <= int(word) <= field.most:
        raise ValueError(f"'{text}': '{word}' is no {field.name}; {_advice(word, field)}")
    return int(word)


def _advice(part: str, field: Field) -> str:
    if any(char in part for char in "lw#?"):
        return "L, W, # and ? belong to other crons and are not known here"
    words = f", or {field.words[0]} to {field.words[-1]}" if field.words else ""
    return f"write {field.least} to {field.most}{words}"


def _wrong_count(fields: list[str]) -> str:
    if len(fields) == 1 and fields[0].startswith("@"):
        return f"is not known (known are {', '.join(SHORT)})"
    return f"has {len(fields)} field{'s' if len(fields) != 1 else ''} instead of 5"
