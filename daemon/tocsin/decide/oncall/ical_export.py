"""Shifts as an iCalendar file (RFC 5545, RFC 7986), for a calendar program that subscribes to it.

Times are in UTC, so no time zone needs to be described. A shift is known by its schedule and its beginning: who takes
it, and until when, may change under the same UID. Every event is marked free: being on call is no meeting.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from tocsin.decide.oncall.resolver import Shift, shifts
from tocsin.decide.text import clean
from tocsin.model import DAY, MINUTE, Instant, Millis, Override, Schedule, User, instant
from tocsin.model.civil import civil, unix

BACK, AHEAD = Millis(30 * DAY), Millis(180 * DAY)
BEYOND = Millis(62 * DAY)  # a shift that crosses the window's edge is told whole, as it was last time
PROGRAM = "-//Tocsin//On call//EN"
MARK = "X-TOCSIN-USERS"
REFRESH = "PT1H"
LINE = 75  # octets (RFC 5545, 3.1)
SINCE_2020 = 1_577_836_800_000


@dataclass(frozen=True, slots=True)
class Entry:
    """Event to be exported: a whole shift."""

    uid: str
    start: Instant
    end: Instant
    title: str
    description: str
    users: tuple[str, ...]


def entries_of(
    schedule: Schedule, users: Mapping[str, User], now: Instant, extra: Sequence[Override] = ()
) -> tuple[Entry, ...]:
    """A schedule's shifts around `now`, titled so that Tocsin and others find the person in it."""
    return tuple(
        Entry(
            _uid(schedule.name, one, now),
            one.start,
            one.end,
            f"On Call - {_names(one.users, users)} - {schedule.name}",
            f"{_names(one.users, users)} on call for {schedule.name}",
            one.users,
        )
        for one in _whole(schedule, now, extra)
    )


def entries_for(
    person: str,
    schedules: Iterable[tuple[Schedule, Sequence[Override]]],
    users: Mapping[str, User],
    now: Instant,
) -> tuple[Entry, ...]:
    """Shifts of one person around `now`; `schedules` with their run-time overrides."""
    found = [
        Entry(
            _uid(schedule.name, one, now), one.start, one.end, f"On call: {schedule.name}",
            _with(one, person, users), one.users,
        )
        for schedule, extra in schedules
        for one in _whole(schedule, now, extra)
        if person in one.users
    ]  # fmt: skip
    return tuple(sorted(found, key=lambda one: (one.start, one.title)))


def digest_of(name: str, entries: Sequence[Entry]) -> str:
    """Changes when, and only when, the calendar says something else."""
    return hashlib.blake2b(repr((name, entries)).encode(), digest_size=12).hexdigest()


def calendar(name: str, entries: Sequence[Entry], stamp: Instant) -> bytes:
    """The file. `stamp`: when it came to say this; later versions have a later one, and so a higher SEQUENCE."""
    head = [
        "BEGIN:VCALENDAR", "VERSION:2.0", f"PRODID:{PROGRAM}", "CALSCALE:GREGORIAN", "METHOD:PUBLISH",
        f"NAME:{_text(name)}", f"X-WR-CALNAME:{_text(name)}", "X-WR-TIMEZONE:UTC",
        f"REFRESH-INTERVAL;VALUE=DURATION:{REFRESH}", f"X-PUBLISHED-TTL:{REFRESH}",
    ]  # fmt: skip
    lines = [*head, *(line for one in entries for line in _event(one, stamp)), "END:VCALENDAR"]
    return b"".join(_folded(line) for line in lines)


# ------------------------------------------------------------------------------------------ shifts


def _whole(schedule: Schedule, now: Instant, extra: Sequence[Override]) -> Iterator[Shift]:
    """Shifts that touch the window, uncut; the same people twice in a row, of whatever layer, are one shift."""
    start, end = _bounds(now)
    joined: list[Shift] = []
    for one in shifts(schedule, start, end, extra).shifts:
        if joined and joined[-1].end == one.start and joined[-1].users == one.users:
            joined[-1] = Shift(joined[-1].start, one.end, one.users, one.layer)
        else:
            joined.append(one)
    return (one for one in joined if one.end > now - BACK and one.start < now + AHEAD)


def _bounds(now: Instant) -> tuple[Instant, Instant]:
    """First days of months: an endless shift must not be another one with every answer."""
    first = civil(Instant(now - BACK - BEYOND)).replace(day=1, hour=0, minute=0, second=0)
    last = civil(Instant(now + AHEAD + BEYOND)).replace(day=1, hour=0, minute=0, second=0)
    return instant(first), instant(last)


def _uid(schedule: str, shift: Shift, now: Instant) -> str:
    begun = shift.start if shift.start > _bounds(now)[0] else "ever"
    return hashlib.blake2b(f"{schedule}\0{begun}".encode(), digest_size=16).hexdigest() + "@tocsin"


def _names(keys: Iterable[str], users: Mapping[str, User]) -> str:
    return ", ".join(users[key].name if key in users else key for key in keys)


def _with(shift: Shift, person: str, users: Mapping[str, User]) -> str:
    others = [key for key in shift.users if key != person]
    return f"Together with {_names(others, users)}" if others else "You are on call"


# ------------------------------------------------------------------------------------------- lines


def _event(one: Entry, stamp: Instant) -> Iterator[str]:
    yield "BEGIN:VEVENT"
    yield f"UID:{one.uid}"
    yield f"DTSTAMP:{_utc(stamp)}"
    yield f"LAST-MODIFIED:{_utc(stamp)}"
    yield f"SEQUENCE:{max(0, (unix(stamp) - SINCE_2020) // MINUTE)}"
    yield f"DTSTART:{_utc(one.start)}"
    yield f"DTEND:{_utc(one.end)}"
    yield f"SUMMARY:{_text(one.title)}"
    yield f"DESCRIPTION:{_text(one.description)}"
    yield "STATUS:CONFIRMED"
    yield "TRANSP:TRANSPARENT"
    yield "X-MICROSOFT-CDO-BUSYSTATUS:FREE"
    yield f"{MARK}:{','.join(one.users)}"
    yield "END:VEVENT"


def _utc(at: Instant) -> str:
    return civil(at).strftime("%Y%m%dT%H%M%SZ")


def _text(text: str) -> str:
    """A value of type TEXT (RFC 5545, 3.3.11)."""
    escaped = clean(text, 500).replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return escaped.replace("\n", "\\n")


def _folded(line: str) -> bytes:
    """At most 75 octets a line, never cut within a character; what follows begins with a blank."""
    raw, pieces, room = line.encode(), [], LINE
    while len(raw) > room:
        end = room
        while raw[end] & 0xC0 == 0x80:
            end -= 1
        pieces.append(raw[:end])
        raw, room = raw[end:], LINE - 1
    return b"\r\n ".join([*pieces, raw]) + b"\r\n"
