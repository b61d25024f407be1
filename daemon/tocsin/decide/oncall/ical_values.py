"""Values of iCalendar properties (RFC 5545, 3.3): times, lengths, rules; strictly, else as it can only be meant.

What is not to be understood raises Unreadable with the reason; what had to be guessed is told beside the value.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import NamedTuple


class Unreadable(ValueError):
    """A value that says nothing sure; the message is for people."""


class Time(NamedTuple):
    """A day, a local time (naive) or a time of UTC (aware); `guessed` how it was written instead."""

    value: date
    guessed: bool


_STRICT = re.compile(r"([0-9]{4})([0-9]{2})([0-9]{2})(?:T([0-9]{2})([0-9]{2})([0-9]{2})(Z?))?")
_LOOSE = re.compile(
    r"([0-9]{4})-?([0-9]{2})-?([0-9]{2})(?:[Tt ]([0-9]{2}):?([0-9]{2})(?::?([0-9]{2}))?(?:\.[0-9]*)?([Zz]?))?"
)
_YEARS = range(1800, 2300)  # clocks of other times cannot be reckoned with


def time_of(text: str) -> Time:
    """`20260105`, `20260105T090000`, `20260105T090000Z`; `2026-01-05T09:00` is guessed."""
    found = _STRICT.fullmatch(text)
    guessed = found is None
    found = found or _LOOSE.fullmatch(text.strip())
    if found is None:
        raise Unreadable(f"{_shown(text)} is no time")
    year, month, day, hour, minute, second, zulu = found.groups()
    try:
        if int(year) not in _YEARS:
            raise ValueError
        if hour is None:
            return Time(date(int(year), int(month), int(day)), guessed)
        seconds = min(int(second or 0), 59)  # 60: a leap second
        at = datetime(int(year), int(month), int(day), int(hour), int(minute), seconds)  # noqa: DTZ001  # local
    except ValueError:
        raise Unreadable(f"{_shown(text)} is no time of the calendar") from None
    return Time(at.replace(tzinfo=UTC) if zulu else at, guessed)


class Length(NamedTuple):
    """Days by the calendar, and on top of them exact seconds (3.3.6): PT24H is no P1D where the clock changes."""

    days: int
    seconds: int


_LENGTH = re.compile(
    r"([+-]?)P(?:([0-9]{1,5})W)?(?:([0-9]{1,5})D)?(?:T(?:([0-9]{1,6})H)?(?:([0-9]{1,7})M)?(?:([0-9]{1,9})S)?)?"
)


def length_of(text: str) -> Length:
    """`P1D`, `PT8H30M`, `P1W`."""
    found = _LENGTH.fullmatch(text.strip().upper())
    if found is None or not any(found.groups()[1:]):
        raise Unreadable(f"{_shown(text)} is no duration")
    sign, weeks, days, hours, minutes, seconds = found.groups()
    if sign == "-":
        raise Unreadable(f"{_shown(text)} is below zero")
    exact = 3600 * int(hours or 0) + 60 * int(minutes or 0) + int(seconds or 0)
    length = Length(7 * int(weeks or 0) + int(days or 0), exact)
    if length.days > 40_000 or length.seconds > 40_000 * 86_400:
        raise Unreadable(f"{_shown(text)} is longer than a hundred years")
    return length


# ------------------------------------------------------------------------------------------ rules


@dataclass(frozen=True, slots=True)
class Rule:
    """A recurrence rule without its UNTIL, as RFC 5545 writes it; `until` is a day, local, or of UTC."""

    parts: Mapping[str, str]
    until: date | None
    guesses: tuple[str, ...]

    @property
    def text(self) -> str:
        return ";".join(f"{name}={value}" for name, value in self.parts.items())


FREQUENCIES = ("SECONDLY", "MINUTELY", "HOURLY", "DAILY", "WEEKLY", "MONTHLY", "YEARLY")
TOO_OFTEN = ("SECONDLY", "MINUTELY")  # nobody is on call by the minute; spelled out they would be millions
_DAY = re.compile(r"[+-]?[0-9]{0,2}(?:MO|TU|WE|TH|FR|SA|SU)")
_BOUNDS = {
    "BYSECOND": (0, 60), "BYMINUTE": (0, 59), "BYHOUR": (0, 23), "BYMONTHDAY": (-31, 31), "BYYEARDAY": (-366, 366),
    "BYWEEKNO": (-53, 53), "BYMONTH": (1, 12), "BYSETPOS": (-366, 366), "INTERVAL": (1, 100_000),
    "COUNT": (1, 10_000_000),
}  # fmt: skip
_PARTS = {"FREQ", "UNTIL", "BYDAY", "WKST", *_BOUNDS}


def rule_of(text: str) -> Rule:
    """A rule whose every part is known and means something."""
    guesses: list[str] = []
    bare = re.sub(r"\s", "", text).upper()
    if bare != text.upper():
        guesses.append("the blanks in its RRULE are left out")
    parts: dict[str, str] = {}
    until = None
    for part in bare.split(";"):
        name, equals, value = part.partition("=")
        if not part:
            continue  # a semicolon at the end
        if name not in _PARTS and not (name == "RSCALE" and value == "GREGORIAN"):
            raise Unreadable(f"its RRULE has a part {_shown(part)} that is not known")
        if not equals or not value or name in parts:
            raise Unreadable(f"its RRULE has a part {_shown(part)} that says nothing")
        if name == "COUNT" and re.fullmatch("-[0-9]+", value):
            guesses.append(f"the {_shown(part)} of its RRULE is taken for no count")
        elif name == "UNTIL":
            until, guessed = time_of(value)
            guesses += ["the UNTIL of its RRULE is not written as it should be"] * guessed
        elif name != "RSCALE":
            parts[name] = _checked(name, value)
    if parts.get("FREQ") not in FREQUENCIES:
        raise Unreadable(f"its RRULE has no FREQ that is known: {_shown(text)}")
    first = {"FREQ": parts.pop("FREQ")}
    return Rule(first | parts, until, tuple(guesses))


def _checked(name: str, value: str) -> str:
    """The value as it was; raises Unreadable for one that is not of its kind."""
    for one in value.split(","):
        if name in _BOUNDS:
            low, high = _BOUNDS[name]
            sound = re.fullmatch("[+-]?[0-9]{1,8}", one) is not None and low <= int(one) <= high
            sound = sound and not (low < 0 and int(one) == 0)
        elif name == "FREQ":
            sound = one in FREQUENCIES
        else:
            sound = _DAY.fullmatch(one) is not None
        if not sound:
            raise Unreadable(f"its RRULE says {_shown(f'{name}={value}')}, which means nothing")
    return value


def _shown(text: str) -> str:
    cut = text if len(text) <= 40 else f"{text[:39]}…"
    return repr(cut)
