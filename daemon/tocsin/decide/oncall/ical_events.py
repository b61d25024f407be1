"""Event of an iCalendar file: its times, its length, how it repeats and whom it names.

What cannot be read of it is told with the line; what can only be meant in one way is guessed, and told too.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from difflib import get_close_matches
from functools import lru_cache
from typing import Any, Literal
from zoneinfo import ZoneInfo

import icalendar
from icalendar.parser import Contentline
from icalendar.timezone import tzp

from tocsin.decide.oncall.feeds import Person
from tocsin.decide.oncall.ical_blocks import Block, Blocks, Flaw, Line
from tocsin.decide.oncall.ical_values import TOO_OFTEN, Length, Rule, Unreadable, length_of, rule_of, time_of
from tocsin.decide.oncall.resolver import local_instant
from tocsin.decide.text import clean
from tocsin.model import Instant, instant

MARK = "X-TOCSIN-USERS"
MOST_PEOPLE = 50  # looked at of one event
UNUSABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)  # what odd values raise in libraries

_ONCE = ("UID", "DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "SUMMARY", "STATUS", "SEQUENCE", "ORGANIZER", MARK)
_OFTEN = ("RRULE", "RDATE", "EXDATE", "ATTENDEE")
_READ = frozenset((*_ONCE, *_OFTEN))
_ALONE = ("DTSTART", "DTEND", "DURATION", "RECURRENCE-ID", "UID", "SUMMARY")  # of which there is one
_TIMES = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID", "UID")
_WHO = ("SUMMARY", "ATTENDEE", "ORGANIZER", "STATUS", MARK)  # whom it names, and whether it takes place
_STATUSES = ("TENTATIVE", "CONFIRMED", "CANCELLED")
_NAME = re.compile(r"\s*([A-Za-z][A-Za-z0-9-]*)\s*[;:]")
_OTHERS = frozenset(
    "ATTACH CATEGORIES CLASS COLOR COMMENT CONFERENCE CONTACT CREATED DESCRIPTION DTSTAMP EXRULE GEO IMAGE "
    "LAST-MODIFIED LOCATION NAME PRIORITY RELATED-TO REQUEST-STATUS RESOURCES STYLED-DESCRIPTION TRANSP URL DUE "
    "COMPLETED METHOD VERSION PRODID CALSCALE ACTION TRIGGER REPEAT ACKNOWLEDGED SOURCE REFRESH-INTERVAL".split()
)
_OF_ZONES = frozenset(
    "TZID TZURL LAST-MODIFIED BEGIN END DTSTART RRULE RDATE TZNAME TZOFFSETFROM TZOFFSETTO COMMENT TZUNTIL "
    "TZID-ALIAS-OF".split()
)


@dataclass(frozen=True, slots=True)
class Property:
    """Content line, taken apart."""

    number: int
    value: str
    params: Any  # icalendar's Parameters


# ------------------------------------------------------------------------------------------ zones


class Zones:
    """Time zones by the names a file gives them: known names, then its own definitions, then the earlier copy's."""

    def __init__(self, timezone: str, blocks: Blocks, earlier: Callable[[], Zones | None]) -> None:
        self.timezone = timezone
        self.floating: tzinfo = ZoneInfo.no_cache(timezone)  # told apart from the zone of that name by identity
        self.borrowed: list[str] = []  # definitions out of the earlier copy
        self._earlier = earlier
        self._known: dict[str, tzinfo | None] = {}
        self._texts: dict[str, str] = {}
        for block in blocks.zones:
            block = replace(block, lines=[replace(line, text=line.text.strip()) for line in block.lines])
            for line in block.lines:
                name, _, value = line.text.partition(":")
                if name.strip().upper().partition(";")[0] == "TZID":
                    self._texts.setdefault(value.strip(), block.text("VTIMEZONE"))
        self.flaws: list[Flaw] = []
        self._shown_in: dict[int, tuple[str, Line]] = {}
        for calendar, line in blocks.loose:
            shown = _shown_in(line)
            if shown is not None:
                self._shown_in.setdefault(calendar, (shown, line))

    def named(self, name: str) -> tzinfo | None:
        """Zone by its name; None for one that is not known, nor soundly defined."""
        if name not in self._known:
            text = self._texts.get(name, "")
            sound = _known_zone(name) or (None if _has_lost_lines(text) else _defined(text))
            self._known[name] = sound or self._of_earlier(name) or _defined(text)
        return self._known[name]

    def shown_in(self, calendar: int) -> tzinfo | None:
        """The zone a calendar is shown in, where it says so: its repeated times of UTC keep that clock."""
        if calendar not in self._shown_in:
            return None
        name, line = self._shown_in[calendar]
        found = _known_zone(name)
        if found is None:
            said = f"the zone that the calendar is shown in is not known: {clean(line.text, 60)!r}"
            self.flaws.append((line.number, f"{said}; what repeats in UTC keeps that clock"))
        return found

    def definition(self, name: str) -> str:
        """Definition of a zone in the file; "" for a known name."""
        return "" if _known_zone(name) is not None else self._texts.get(name, "")

    def _of_earlier(self, name: str) -> tzinfo | None:
        earlier = self._earlier()
        found = earlier.named(name) if earlier is not None else None
        if earlier is not None and found is not None:
            self.borrowed.append(earlier.definition(name))
        return found


def _shown_in(line: Line) -> str | None:
    """Zone that an X-WR-TIMEZONE names, or a line much like one; None for every other."""
    named = re.match(r"\W*(X-WR-TIMEZONE|[A-Za-z-]+)(.*)", line.text, re.IGNORECASE)
    if named is None or not get_close_matches(named[1].upper(), ["X-WR-TIMEZONE"], 1, 0.85):
        return None
    return re.sub(r"^\s*(;[^:]*:|[:;=])", "", named[2]).strip(' "')


@lru_cache(maxsize=1024)
def _known_zone(name: str) -> tzinfo | None:
    try:
        found: tzinfo | None = tzp.timezone(name)
    except UNUSABLE:
        return None
    return found


@lru_cache(maxsize=256)
def _defined(text: str) -> tzinfo | None:
    """A zone out of its definition; None where that is not sound."""
    if not text or not all(_of_zone(line) for line in text.splitlines()):
        return None
    if any(not {"DTSTART", "TZOFFSETFROM", "TZOFFSETTO"} <= names for names in _parts_of(text)):
        return None
    try:
        definition = icalendar.Timezone.from_ical(text)
        if any(part.errors for part in (definition, *definition.subcomponents)):
            return None
        found: tzinfo = definition.to_tz(lookup_tzid=False)  # type: ignore[attr-defined]  # it is a Timezone
        for month in (1, 7):
            datetime(2026, month, 1, tzinfo=found).astimezone(UTC)
    except UNUSABLE:
        return None
    return found


def _has_lost_lines(text: str) -> bool:
    """Whether a definition that can be used may have been another one: one of its changes repeats, and one does not."""
    parts = _parts_of(text)
    return len({bool({"RRULE", "RDATE"} & names) for names in parts}) > 1


def _parts_of(text: str) -> list[set[str]]:
    """The names of the lines in each part; a part that does not end, or ends without a beginning, has none."""
    parts: list[set[str]] = []
    inside: set[str] | None = None
    for line in text.splitlines()[1:-1]:
        name = line.partition(":")[0].strip().upper().partition(";")[0]
        if name == "BEGIN":
            parts += [set()] * (inside is not None)
            inside = set()
        elif name == "END":
            parts.append(inside or set())
            inside = None
        elif inside is not None:
            inside.add(name)
    return parts + [set()] * (inside is not None)


def _of_zone(line: str) -> bool:
    """Whether a line may stand in a definition, and says what it should: what a damaged one said is lost."""
    named = _NAME.match(line)
    if named is None:
        return False
    name, value = named[1].upper(), line.partition(":")[2]
    if name in ("TZOFFSETFROM", "TZOFFSETTO"):
        return re.fullmatch("[+-][0-9]{4}([0-9]{2})?", value) is not None
    if name == "RRULE":
        return _is_rule(value)
    return name in _OF_ZONES or name.startswith("X-")


def _is_rule(text: str) -> bool:
    try:
        return not rule_of(text).guesses
    except Unreadable:
        return False


# ------------------------------------------------------------------------------------------ lengths

NO_LENGTH = Length(0, 0)
Kind = Literal["days", "wall", "exact", "nominal", "as its series"]


@dataclass(frozen=True, slots=True)
class Lasts:
    """Length of each occurrence: whole days, as the clock shows it, exactly, or days and then exactly."""

    kind: Kind
    length: timedelta
    nominal: Length = NO_LENGTH


NO_TIME = Lasts("exact", timedelta(0))
AS_ITS_SERIES = Lasts("as its series", timedelta(0))


# ------------------------------------------------------------------------------------------- event


@dataclass(frozen=True, slots=True)
class Event:
    """Reading of one VEVENT. `key`: (UID, RECURRENCE-ID), None where one of them cannot be read.

    `broken`: what cannot be read, so that an earlier copy is asked; `instead`: what becomes of it without one;
    `guesses`: what was taken to be meant. Only `usable` ones have sound times.
    """

    at: int
    uid: str
    recurrence: str
    title: str
    start: date = date.min
    lasts: Lasts = NO_TIME
    end: Instant | None = None  # of the first occurrence, where it is written
    rules: tuple[str, ...] = ()
    excluded: tuple[date, ...] = ()
    added: tuple[date, ...] = ()
    periods: tuple[tuple[Instant, Instant], ...] = ()
    replaces: date | None = None  # RECURRENCE-ID
    future: bool = False
    sequence: int | None = None
    cancelled: bool = False
    invited: tuple[Person, ...] = ()
    organizer: Person | None = None
    marked: tuple[str, ...] = ()
    key: tuple[str, str] | None = None
    zones: tuple[str, ...] = ()  # definitions it needs
    broken: list[Flaw] = field(default_factory=list)
    guesses: list[Flaw] = field(default_factory=list)
    instead: str = "is left out"
    usable: bool = False
    text: str = ""
    timezone: str = "UTC"
    floating: tzinfo = UTC

    @property
    def repeats(self) -> bool:
        return bool(self.rules or self.added or self.excluded)

    def may_be(self, key: tuple[str, str]) -> bool:
        """Whether an event of an earlier copy may be this one, of which the UID or the RECURRENCE-ID is unreadable."""
        uid, recurrence = key
        if self.uid:
            return uid == self.uid and bool(recurrence)
        return bool(self.recurrence) and recurrence == self.recurrence

    def alone(self) -> Event:
        """As an event that belongs to no series."""
        return replace(self, uid=self.uid or f"line {self.at}", recurrence="", replaces=None, future=False)

    def instant_of(self, when: date) -> Instant:
        """A day begins at midnight of the schedule's zone; a time without a zone is of that zone too."""
        if not isinstance(when, datetime):
            return local_instant(f"{when}T00:00", self.timezone)
        if when.tzinfo is None or when.tzinfo is self.floating:
            return local_instant(when.replace(tzinfo=None).isoformat(), self.timezone)
        return instant(when.astimezone(UTC))

    def end_of(self, when: date) -> Instant:
        """End of the occurrence that begins at `when`."""
        start = self.instant_of(when)
        if self.end is not None and start == self.instant_of(self.start):
            return self.end
        for begins, ends in self.periods:
            if begins == start:
                return ends
        match self.lasts.kind:
            case "exact":
                return Instant(start + self.lasts.length // timedelta(milliseconds=1))
            case "nominal":
                days, seconds = self.lasts.nominal
                return Instant(self.instant_of(when + timedelta(days=days)) + 1000 * seconds)
            case _:
                return self.instant_of(when + self.lasts.length)

    def component(self) -> icalendar.Event:
        """For the library that spells out repetitions: every value sound, and of one kind."""
        component = icalendar.Event()
        component["UID"] = self.uid
        if self.sequence is not None:
            component["SEQUENCE"] = self.sequence
        component["DTSTART"] = icalendar.vDDDTypes(self.start)
        component["DTEND"] = icalendar.vDDDTypes(self.start + self._about())
        if self.rules:
            rules = [icalendar.vRecur.from_ical(rule) for rule in self.rules]
            component["RRULE"] = rules if len(rules) > 1 else rules[0]
        if self.excluded:
            component["EXDATE"] = icalendar.prop.vDDDLists(list(self.excluded))
        if self.added:
            component["RDATE"] = icalendar.prop.vDDDLists(list(self.added))
        if self.replaces is not None:
            component["RECURRENCE-ID"] = icalendar.vDDDTypes(self.replaces)
            if self.future:
                component["RECURRENCE-ID"].params["RANGE"] = "THISANDFUTURE"
        return component

    def _about(self) -> timedelta:
        """Length of the event, or a little more: so far back the library looks for what is not over."""
        longest = max((ends - begins for begins, ends in self.periods), default=0)
        first = max(self.end - self.instant_of(self.start), 0) if self.end is not None else 0
        days, seconds = self.lasts.nominal
        written = timedelta(milliseconds=max(longest, first))
        length = max(self.lasts.length, timedelta(days=days, seconds=seconds), written)
        if isinstance(self.start, datetime):
            return length
        return max(timedelta(days=-(-length // timedelta(days=1))), timedelta(days=1))


def event_of(block: Block, zones: Zones) -> Event:
    """Reading of a block. Never raises: what is wrong stands in the event."""
    return _Reader(block, zones).event()


class _Broken(Exception):
    """Missing part without which there is no event; it is told already."""


class _Reader:
    """Block being read."""

    def __init__(self, block: Block, zones: Zones) -> None:
        self.block, self.zones = block, zones
        self.broken: list[Flaw] = []
        self.guesses: list[Flaw] = []
        self.needs: dict[str, None] = {}
        self.strange: set[str] = set()  # names of zones that are not known
        self.told: set[tuple[int, str]] = set()  # lines with parts that are not known
        self.nameless = False  # a line that may have named somebody cannot be read
        self.instead = ""
        self.properties = self._properties()
        summary = self._first("SUMMARY")
        self.title = clean(_unescaped(summary.value), 200).strip() if summary is not None else ""

    # ------------------------------------------------------------------------------------ lines

    def _properties(self) -> dict[str, list[Property]]:
        found: dict[str, list[Property]] = {}
        odd: list[int] = []
        for line in self.block.lines:
            named = _NAME.match(line.text)
            name = named[1].upper() if named is not None else _bare(line.text)
            if name in _READ:
                self._property(name, line, found)
            elif not name:
                odd.append(line.number)
            else:
                self._misspelt(name, line, found)
        for name in _ALONE:
            if len({one.value for one in found.get(name, ())}) > 1:
                self._break(found[name][1].number, f"has a second {name}")
        if odd:
            lines = "a line" if len(odd) == 1 else f"{len(odd)} lines"
            self._guess(odd[0], f"has {lines} that cannot be read")
        return found

    def _property(self, name: str, line: Line, found: dict[str, list[Property]]) -> None:
        try:
            _, params, value = Contentline(line.text.strip()).parts()  # type: ignore[no-untyped-call]  # icalendar leaves it without types
        except UNUSABLE:
            if name == "RRULE":
                found.setdefault(name, []).append(Property(line.number, "", {}))
            elif name in _TIMES or name in _WHO:
                self._break(line.number, f"has {_a(name)} that cannot be read")
                self.nameless |= name in ("SUMMARY", "ATTENDEE", MARK)
            else:
                self._guess(line.number, f"has {_a(name)} that cannot be read")
            return
        found.setdefault(name, []).append(Property(line.number, str(value).strip(), params))

    def _misspelt(self, name: str, line: Line, found: dict[str, list[Property]]) -> None:
        """A name that is nobody's and much like one that matters is taken for it: what it says must not be lost."""
        meant = _meant(name)
        if meant:
            self._break(line.number, f"has a line {clean(name, 40)}, which is taken for {meant}")
            self._property(meant, replace(line, text=re.sub(r"^\s*[A-Za-z0-9-]+", meant, line.text)), found)

    def _first(self, name: str) -> Property | None:
        found = self.properties.get(name)
        return found[0] if found else None

    def _break(self, number: int, what: str) -> None:
        self.broken.append((number, what))

    def _guess(self, number: int, what: str) -> None:
        self.guesses.append((number, what))

    def _told(self, flaws: list[Flaw]) -> list[Flaw]:
        named = f"the event {self.title!r}" if self.title else "an event without a title"
        return [(number, clean(f"{named} {said}", 300)) for number, said in flaws]

    # ------------------------------------------------------------------------------------ event

    def event(self) -> Event:
        uid_of = self._first("UID")
        uid = clean(uid_of.value, 400) if uid_of is not None else ""
        event = Event(
            self.block.at, uid, "", self.title, text=self.block.text("VEVENT"), timezone=self.zones.timezone,
            floating=self.zones.floating, **self._people(),
        )  # fmt: skip
        recurrence, replaces, future, known = self._recurrence()
        if recurrence and not uid:
            self._break(self.block.at, "has a RECURRENCE-ID and no UID")
            self.instead = "it counts as an event of its own"
        event = replace(event, recurrence=recurrence, key=(uid, recurrence) if uid and known else None)
        try:
            event = self._timed(event, replaces, future)
        except (_Broken, *UNUSABLE):
            event = replace(event, usable=False)
            if not self.broken:
                self._break(self.block.at, "has times that cannot be reckoned with")
            self.instead = "is left out"
        self.instead = self.instead or "counts as it can be read"
        zones = tuple(text for name in self.needs if (text := self.zones.definition(name)))
        return replace(
            event, broken=self._told(self.broken), guesses=self._told(self.guesses), instead=self.instead, zones=zones
        )

    def _people(self) -> dict[str, Any]:
        organizer, marked = self._first("ORGANIZER"), self._first(MARK)
        sequence = self._first("SEQUENCE")
        return {
            "invited": tuple(_invited(self.properties.get("ATTENDEE", ()))),
            "organizer": None if organizer is None or self.nameless else _person(organizer),
            "marked": tuple(key for key in clean(_unescaped(marked.value), 500).split(",") if key) if marked else (),
            "cancelled": self._status() in ("CANCELLED", "CANCELED"),
            "sequence": int(sequence.value) if sequence and re.fullmatch("[0-9]{1,9}", sequence.value) else None,
        }

    def _status(self) -> str:
        """As it is written; one that is much like another one is taken for it."""
        written = self._first("STATUS")
        status = written.value.strip().upper() if written is not None else ""
        if written is None or not status or status in (*_STATUSES, "CANCELED"):
            return status
        close = get_close_matches(status, _STATUSES, 1, 0.7)
        if close:
            self._break(written.number, f"has a STATUS {clean(status, 40)!r}, which is taken for {close[0]}")
            return close[0]
        self._guess(written.number, f"has a STATUS that is not known: {clean(status, 40)!r}; it takes place")
        return status

    def _timed(self, event: Event, replaces: date | None, future: bool) -> Event:
        start = self._start(event.cancelled)
        replaced = self._alike(replaces, start) if replaces is not None else None
        event = replace(event, start=start, replaces=replaced, future=future, usable=True)
        event = self._with_end(event, start)
        rules = self._rules(start)
        event = replace(event, rules=rules, excluded=self._excluded(start), **self._added(event, start))
        return self._checked(event)

    def _checked(self, event: Event) -> Event:
        """Whether its values can be reckoned with at all."""
        event.component()
        event.end_of(event.start)
        return event

    def _start(self, cancelled: bool) -> date:
        written = self._first("DTSTART") or (self._first("RECURRENCE-ID") if cancelled else None)
        if written is None:
            self._break(self.block.at, "has no usable start")
            raise _Broken
        try:
            start = self._time(written, written.value, "DTSTART")
        except Unreadable as why:
            self._break(written.number, f"has no usable start: {why}")
            raise _Broken from None
        repeats = "RRULE" in self.properties or "RDATE" in self.properties
        if not repeats or not isinstance(start, datetime) or start.tzinfo is not UTC:
            return start
        shown = self.zones.shown_in(self.block.calendar)
        return start if shown is None else start.astimezone(shown)

    def _time(self, written: Property, text: str, name: str) -> date:
        """A day, or an aware time: one without a zone is the schedule's."""
        value, guessed = time_of(text)
        strange = self._strange_parts(written, name)
        if guessed:
            self._guess(written.number, f"has {_a(name)} that is not written as it should be: {clean(text, 40)!r}")
        if not isinstance(value, datetime) or value.tzinfo is not None:
            return value
        zone = written.params.get("TZID") or next((one for one in strange if _known_zone(one)), "")
        if not zone:
            return value.replace(tzinfo=self.zones.floating)
        return value.replace(tzinfo=self._zone(str(zone), written))

    def _strange_parts(self, written: Property, name: str) -> list[str]:
        """Text of the line's parts that are nobody's: maybe a zone."""
        found = [(part, str(said)) for part, said in dict(written.params).items() if not _of_time(part)]
        if found and (written.number, name) not in self.told:
            self.told.add((written.number, name))
            self._break(written.number, f"has {_a(name)} with a part {clean(found[0][0], 40)!r} that is not known")
        return [said for _, said in found]

    def _zone(self, name: str, written: Property) -> tzinfo:
        found = self.zones.named(name)
        if found is not None:
            self.needs[name] = None
            return found
        if name not in self.strange:
            self.strange.add(name)
            self._break(written.number, f"has a time zone {clean(name, 60)!r} that is not known")
            self.instead = f"{self.zones.timezone} is taken"
        return self.zones.floating

    # ------------------------------------------------------------------------------------- length

    def _with_end(self, event: Event, start: date) -> Event:
        ends, lasts = self._first("DTEND"), self._first("DURATION")
        if ends is not None:
            return self._until(event, start, ends)
        if lasts is not None:
            return self._for(event, start, lasts)
        if not isinstance(start, datetime):
            return replace(event, lasts=Lasts("days", timedelta(days=1)))
        if event.recurrence:
            return replace(event, lasts=AS_ITS_SERIES)
        self._break(self.block.at, "has neither an end nor a duration")
        raise _Broken

    def _until(self, event: Event, start: date, written: Property) -> Event:
        try:
            end = self._time(written, written.value, "DTEND")
        except Unreadable as why:
            self._break(written.number, f"has no usable end: {why}")
            if isinstance(start, datetime):
                raise _Broken from None
            self.instead = "one day is taken"
            return replace(event, lasts=Lasts("days", timedelta(days=1)))
        if not isinstance(start, datetime) and not isinstance(end, datetime):
            return self._days(event, start, end, written)
        if isinstance(start, datetime) != isinstance(end, datetime):
            self._guess(written.number, "has a start and an end of which one is a day and one a time")
        if self._floats(start) != self._floats(end) and not self.strange:
            self._break(written.number, "has a start and an end of which only one has a time zone")
        begins, until = event.instant_of(start), event.instant_of(end)
        if until < begins:
            self._break(written.number, "ends before it starts")
            raise _Broken
        if until == begins:
            self._no_time(event, written)
        if isinstance(start, datetime) and isinstance(end, datetime) and start.tzinfo is end.tzinfo:
            return replace(event, end=until, lasts=Lasts("wall", end.replace(tzinfo=None) - start.replace(tzinfo=None)))
        return replace(event, end=until, lasts=Lasts("exact", timedelta(milliseconds=until - begins)))

    def _floats(self, when: date) -> bool | None:
        """Whether it is a time without a zone; None for a day."""
        return when.tzinfo is self.zones.floating if isinstance(when, datetime) else None

    def _no_time(self, event: Event, written: Property) -> None:
        if not event.cancelled:
            self._guess(written.number, "ends when it begins, and is left out")

    def _days(self, event: Event, start: date, end: date, written: Property) -> Event:
        if end < start:
            self._break(written.number, "ends before it starts")
            raise _Broken
        if end == start:
            self._guess(written.number, "is a whole day that ends on the day it begins; that one day is taken")
        return replace(event, lasts=Lasts("days", max(end - start, timedelta(days=1))))

    def _for(self, event: Event, start: date, written: Property) -> Event:
        try:
            length = length_of(written.value)
        except Unreadable as why:
            self._break(written.number, f"has no usable duration: {why}")
            raise _Broken from None
        if length == (0, 0):
            self._no_time(event, written)
            return event
        if not isinstance(start, datetime) and length.seconds:
            midnight = datetime.combine(start, time(), self.zones.floating)
            return replace(event, start=midnight, lasts=Lasts("nominal", timedelta(0), length))
        return replace(event, lasts=Lasts("nominal", timedelta(0), length))

    # --------------------------------------------------------------------------------- repetition

    def _rules(self, start: date) -> tuple[str, ...]:
        rules = []
        for written in self.properties.get("RRULE", ()):
            try:
                rule = rule_of(written.value)
                if rule.parts["FREQ"] in TOO_OFTEN:
                    raise Unreadable("repeats by the minute or second")
                rules.append(self._bounded(rule, start))
            except Unreadable as why:
                told = str(why)
                self._break(written.number, told if told.startswith("repeats") else f"cannot be repeated: {told}")
                raise _Broken from None
            for guess in rule.guesses:
                self._guess(written.number, f"is read leniently: {guess}")
        return tuple(rules)

    def _bounded(self, rule: Rule, start: date) -> str:
        """The rule with its UNTIL as the start wants it: a day for days, else UTC. A day covers that whole day, and a
        time without Z is of the start's zone."""
        until = rule.until
        if until is None:
            return rule.text
        if not isinstance(start, datetime):
            day = until.date() if isinstance(until, datetime) else until
            return f"{rule.text};UNTIL={day:%Y%m%d}"
        if not isinstance(until, datetime):
            until = datetime.combine(until, time(23, 59, 59))
        if until.tzinfo is None:
            until = until.replace(tzinfo=start.tzinfo)
        return f"{rule.text};UNTIL={until.astimezone(UTC):%Y%m%dT%H%M%SZ}"

    def _excluded(self, start: date) -> tuple[date, ...]:
        found: list[date] = []
        for written in self.properties.get("EXDATE", ()):
            for text in self._listed(written, "EXDATE"):
                try:
                    found.append(self._alike(self._time(written, text, "EXDATE"), start))
                except Unreadable as why:
                    self._break(written.number, f"has an EXDATE that cannot be read: {why}")
                    self.instead = "nothing is left out by it"
        return tuple(found)

    def _added(self, event: Event, start: date) -> dict[str, Any]:
        found: list[date] = []
        periods: list[tuple[Instant, Instant]] = []
        for written in self.properties.get("RDATE", ()):
            for text in self._listed(written, "RDATE"):
                try:
                    begins, slash, until = text.partition("/")
                    when = self._alike(self._time(written, begins, "RDATE"), start)
                    if slash:
                        periods.append((event.instant_of(when), self._end_of_period(event, when, written, until)))
                    found.append(when)
                except Unreadable as why:
                    self._break(written.number, f"has an RDATE that cannot be read: {why}")
                    self.instead = "nothing is added by it"
        return {"added": tuple(found), "periods": tuple(periods)}

    def _end_of_period(self, event: Event, when: date, written: Property, until: str) -> Instant:
        if until[:1].upper() in ("P", "+", "-"):
            length = length_of(until)
            return Instant(event.instant_of(when + timedelta(days=length.days)) + 1000 * length.seconds)
        return event.instant_of(self._time(written, until, "RDATE"))

    def _listed(self, written: Property, name: str) -> list[str]:
        parts = [text.strip() for text in written.value.split(",")]
        if not all(parts):
            self._guess(written.number, f"has an {name} that is empty; it says nothing")
        return [text for text in parts if text]

    def _alike(self, value: date, start: date) -> date:
        """`value` as the kind of time that the start is. A day stands for the time of that day."""
        if not isinstance(start, datetime):
            return value.astimezone(self.zones.floating).date() if isinstance(value, datetime) else value
        if isinstance(value, datetime):
            return value
        return datetime.combine(value, start.timetz().replace(tzinfo=None), start.tzinfo)

    def _recurrence(self) -> tuple[str, date | None, bool, bool]:
        """(normalised RECURRENCE-ID, it as a time, whether all that follow are meant, whether it can be told)."""
        written = self._first("RECURRENCE-ID")
        if written is None:
            unread = any("RECURRENCE-ID" in said for _, said in self.broken)
            if unread:
                self.instead = "it counts as an event of its own"
            return "", None, False, not unread
        try:
            value = self._time(written, written.value, "RECURRENCE-ID")
        except Unreadable as why:
            self._break(written.number, f"has a RECURRENCE-ID that cannot be read: {why}")
            self.instead = "it counts as an event of its own"
            return "", None, False, False
        future = self._future(written)
        shown = f"{value.astimezone(UTC):%Y%m%dT%H%M%SZ}" if isinstance(value, datetime) else f"{value:%Y%m%d}"
        return shown, value, future, True

    def _future(self, written: Property) -> bool:
        """Whether it changes all that follow, too."""
        span = str(written.params.get("RANGE", "")).upper()
        if span in ("", "THISANDFUTURE"):
            return bool(span)
        close = bool(get_close_matches(span, ["THISANDFUTURE"], 1, 0.8))
        self._break(written.number, f"has a RECURRENCE-ID with a RANGE {clean(span, 40)!r} that is not known")
        self.instead = "it is taken for THISANDFUTURE" if close else "one occurrence is taken"
        return close


def _of_time(part: str) -> bool:
    """Whether a line that says a time may have a part of that name."""
    name = part.upper()
    return name in ("TZID", "VALUE", "RANGE", "LANGUAGE", "ALTREP") or name.startswith("X-")


def _bare(text: str) -> str:
    """The property of a line that has no value; "" for another one's."""
    word = re.match("[A-Za-z-]*", text.strip())
    name = word.group().upper() if word is not None else ""
    return name if name in _READ else ""


@lru_cache(maxsize=1024)
def _meant(name: str) -> str:
    """The property of a name that is nobody's, where it is plain: RRUL."""
    if name in _OTHERS or name.startswith(("X-", "VND")):
        return ""
    close = get_close_matches(name, [*_TIMES, *_WHO, *_OTHERS], 1, 0.75)
    return close[0] if close and close[0] not in _OTHERS else ""


def _a(name: str) -> str:
    return f"an {name}" if name[0] in "AEIORX" else f"a {name}"


# ------------------------------------------------------------------------------------------ people


def _invited(written: Sequence[Property]) -> Iterator[Person]:
    """Attendees that are people and did not say no."""
    for one in written[:MOST_PEOPLE]:
        resource = str(one.params.get("CUTYPE", "INDIVIDUAL")).upper() in ("RESOURCE", "ROOM")
        if not resource and str(one.params.get("PARTSTAT", "")).upper() != "DECLINED":
            yield _person(one)


def _person(written: Property) -> Person:
    address = clean(written.value, 200)
    mail = address[7:] if address[:7].lower() == "mailto:" else ""
    return mail.strip(), clean(str(written.params.get("CN", "")), 200).strip(" \"'")


def _unescaped(text: str) -> str:
    return str(icalendar.vText.from_ical(text))
