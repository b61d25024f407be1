"""iCalendar files (RFC 5545): their events within a window, repetitions spelled out, in our words.

Whose calendar it is, is a stranger's business: whatever the bytes, this returns or raises BadFeed. Each event stands
alone: one that cannot be read costs itself, and is used as the copy before had it, where that could be read. How long
it takes is another matter (a rule may repeat "on each 31 February"), so a daemon has it done where it can be stopped.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta

import icalendar
import recurring_ical_events  # type: ignore[import-untyped]  # it has none

from tocsin.decide.oncall.feeds import FeedEvent, FeedEvents
from tocsin.decide.oncall.ical_blocks import Blocks, Flaw, blocks_of
from tocsin.decide.oncall.ical_events import AS_ITS_SERIES, NO_TIME, UNUSABLE, Event, Zones, event_of
from tocsin.decide.text import clean
from tocsin.errors import BadFeed
from tocsin.model import Instant
from tocsin.model.civil import civil

MOST_EVENTS = 20_000
MOST_OF_ONE = 12_000  # occurrences of one event: a handoff each hour has 10,000 in the window
MOST_NOTES = 50
OTHER_SCALES = frozenset("BUDDHIST CHINESE COPTIC DANGI ETHIOPIC HEBREW INDIAN ISLAMIC JAPANESE PERSIAN ROC".split())
_MARGIN = timedelta(days=2)
_NUMBER = "X-TOCSIN-NUMBER"

Budget = Callable[[], AbstractContextManager[None]]


class TakesTooLong(Exception):
    """Raised by a budget within the work it bounds."""


def read_feed(
    raw: bytes, timezone: str, start: Instant, end: Instant, before: bytes = b"", *, budget: Budget = nullcontext
) -> FeedEvents:
    """The events that touch [start, end), in order. Times without a zone are `timezone`'s.

    `before`: the copy before this one; what can be read there and not here is used as it was there. `budget` bounds
    what each event takes: it raises TakesTooLong. Cancelled events, and those that end where they begin, are none.
    Raises BadFeed when it is no calendar.
    """
    blocks = blocks_of(raw)
    _gregorian(blocks)
    if len(blocks.events) > MOST_EVENTS:
        raise BadFeed(f"has {len(blocks.events)} events; at most {MOST_EVENTS} are read")
    reading = _Reading(timezone, start, end, before, budget)
    reading.read(blocks)
    found = sorted(reading.events(), key=lambda event: (event.start, event.end))
    notes = reading.notes()
    return FeedEvents(tuple(found), notes, len(reading.flaws), reading.kept())


def _gregorian(blocks: Blocks) -> None:
    for _, line in blocks.loose:
        name, _, value = line.text.partition(":")
        if name.strip().upper() == "CALSCALE" and value.strip().upper() != "GREGORIAN":
            if value.strip().upper().partition("-")[0] in OTHER_SCALES:
                raise BadFeed("cannot be read: Only Gregorian calendars are supported.")
            blocks.flaws.append((line.number, f"the calendar's CALSCALE {clean(value, 40)!r} is read as GREGORIAN"))


@dataclass(slots=True)
class _Copy:
    """An earlier copy: its events that can be read, by key, and how its zones are defined."""

    events: dict[tuple[str, str], Event] = field(default_factory=dict)
    zones: Zones | None = None


class _Reading:
    """File being read: the window, what is used, and what had to be left out, kept or guessed."""

    def __init__(self, timezone: str, start: Instant, end: Instant, before: bytes, budget: Budget) -> None:
        self.timezone, self.start, self.end, self.budget = timezone, start, end, budget
        self.flaws: list[Flaw] = []
        self._raw_before = before
        self._before: _Copy | None = None
        self._items: list[Event] = []
        self._kept: list[Event] = []
        self._kept_zones: list[str] = []
        self._count = 0

    def read(self, blocks: Blocks) -> None:
        """Every event of the file, or what the copy before has in its place."""
        self.flaws += blocks.flaws
        zones = Zones(self.timezone, blocks, lambda: self.before.zones)
        events = [event_of(block, zones) for block in blocks.events]
        self.flaws += zones.flaws
        here = {event.key for event in events if event.key is not None}
        for event in events:
            self._take(event, here)
        self._kept_zones = zones.borrowed

    def _take(self, event: Event, here: set[tuple[str, str]]) -> None:
        old = self._earlier(event, here) if event.broken else None
        if old is not None:
            number, said = event.broken[0]
            self.flaws.append((number, f"{said}; it stays as the copy before has it"))
            self._keep(old)
            return
        instead = event.instead
        self.flaws += [(number, f"{said}, and {instead}") for number, said in event.broken]
        self.flaws += event.guesses
        if event.usable:
            self._items.append(event)

    def _keep(self, old: Event) -> None:
        self._items.append(old)
        self._kept.append(old)

    @property
    def before(self) -> _Copy:
        """The copy before; read only when it is asked for."""
        if self._before is None:
            self._before = _Copy()
            if self._raw_before:
                self._before = _copy_of(self._raw_before, self.timezone)
        return self._before

    def _earlier(self, event: Event, here: set[tuple[str, str]]) -> Event | None:
        """Reading of the copy before: by its UID and RECURRENCE-ID; where one of these cannot be read, by the
        other, if that leaves one alone that is missing here."""
        known = self.before.events
        if event.key is not None:
            return known.get(event.key)
        missing = [key for key in known if key not in here and event.may_be(key)]
        return known[missing[0]] if len(missing) == 1 else None

    # ------------------------------------------------------------------------------ spelled out

    def events(self) -> Iterator[FeedEvent]:
        """Every occurrence that takes place within the window."""
        for series in self._all_series():
            for event, when in self._occurrences(series):
                self._count += 1
                if self._count > MOST_EVENTS:
                    raise BadFeed(f"has more than {MOST_EVENTS} events in a little over a year")
                found = self._occurrence(event, when)
                if found is not None and found.start < self.end and found.end > self.start:
                    yield found

    def _all_series(self) -> Iterator[list[Event]]:
        """Events of one UID together: a master first, and what was changed of it. Several masters each stand alone."""
        by_uid: dict[str, list[Event]] = {}
        for event in self._items:
            if event.uid:
                by_uid.setdefault(event.uid, []).append(event)
            else:
                yield [event.alone()]
        for events in by_uid.values():
            yield from self._series_of(events)

    def _series_of(self, events: list[Event]) -> Iterator[list[Event]]:
        masters = self._newest([event for event in events if not event.recurrence], "UID")
        yield from ([event] for event in masters[:-1])
        changed: dict[str, Event] = {}
        for event in events:
            if event.recurrence and event.recurrence not in changed:
                same = [other for other in events if other.recurrence == event.recurrence]
                *others, changed[event.recurrence] = self._newest(same, "RECURRENCE-ID") if len(same) > 1 else same
                yield from ([other.alone()] for other in others)
        lasts = masters[-1].lasts if masters else NO_TIME
        others = [replace(one, lasts=lasts) if one.lasts is AS_ITS_SERIES else one for one in changed.values()]
        yield [*masters[-1:], *others]

    def _newest(self, same: list[Event], what: str) -> list[Event]:
        """Events that claim to be one: a later version (SEQUENCE) takes the place of an earlier one; else all count.
        One that does not repeat is no version of one that does: rather a change that lost its RECURRENCE-ID."""
        latest = {alike: max(_versions(same, alike), default=0) for alike in (True, False)}
        newest = []
        for event in same:
            if (event.sequence or 0) < latest[event.repeats]:
                self.flaws.append((event.at, f"the event {event.title!r} is left out: a later version of it is there"))
            else:
                newest.append(event)
        for event in newest[1:]:
            self.flaws.append((event.at, f"the event {event.title!r} has the {what} of another one; both count"))
        return sorted(newest, key=lambda event: event.repeats)  # to the last belong the changes

    def _occurrences(self, series: list[Event]) -> Sequence[tuple[Event, date]]:
        """(event, when) of one series; none, or those of the copy before, where it cannot be spelled out."""
        if len(series) == 1 and not series[0].repeats and not series[0].recurrence:
            return [(series[0], series[0].start)]
        try:
            return self._spelt(series)
        except TakesTooLong:
            why = "takes too long to spell out; does it repeat without end?"
        except UNUSABLE as error:
            why = f"cannot be spelled out: {_short(error)}"
        return self._instead(series, why)

    def _instead(self, series: list[Event], why: str) -> Sequence[tuple[Event, date]]:
        said = f"the event {series[0].title!r} {why}"
        old = [self.before.events.get((event.uid, event.recurrence)) for event in series]
        earlier = [event for event in old if event is not None]
        if earlier and earlier != series and earlier[0].text != series[0].text:
            try:
                found = self._spelt(earlier)
            except (TakesTooLong, *UNUSABLE):
                pass
            else:
                self._kept += earlier
                self.flaws.append((series[0].at, f"{said}; it stays as the copy before has it"))
                return found
        self.flaws.append((series[0].at, f"{said}, and is left out"))
        return [(event, event.start) for event in series[1:]]

    def _spelt(self, series: list[Event]) -> list[tuple[Event, date]]:
        calendar = icalendar.Calendar()
        for number, event in enumerate(series):
            component = event.component()
            component[_NUMBER] = str(number)
            calendar.add_component(component)
        since, until = _utc(self.start) - _MARGIN, _utc(self.end) + _MARGIN
        found: list[tuple[Event, date]] = []
        with self.budget():
            for one in recurring_ical_events.of(calendar).series:
                for occurrence in one.between(since, until):
                    component = occurrence.as_component(False)
                    found.append((series[int(component[_NUMBER])], component["DTSTART"].dt))
                    if len(found) > MOST_OF_ONE:
                        raise ValueError(f"it has more than {MOST_OF_ONE} in a little over a year")
        return found

    def _occurrence(self, event: Event, when: date) -> FeedEvent | None:
        if event.cancelled:
            return None
        try:
            start, end = event.instant_of(when), event.end_of(when)
        except UNUSABLE:
            return None
        return FeedEvent(start, end, event.title, event.invited, event.organizer, event.marked) if start < end else None

    # --------------------------------------------------------------------------------- afterwards

    def notes(self) -> tuple[str, ...]:
        """By line; beyond MOST_NOTES only how many there are."""
        self.flaws = sorted(dict.fromkeys(self.flaws))
        told = [f"line {number}: {said}" for number, said in self.flaws[:MOST_NOTES]]
        more = len(self.flaws) - MOST_NOTES
        return (*told, f"and {more} more") if more > 0 else tuple(told)

    def kept(self) -> str:
        """The events that are used as the copy before has them, as a calendar to read next time."""
        if not self._kept and not self._kept_zones:
            return ""
        zones = dict.fromkeys([*self._kept_zones, *(zone for event in self._kept for zone in event.zones)])
        events = dict.fromkeys(event.text for event in self._kept)
        return "\r\n".join(["BEGIN:VCALENDAR", *(one.rstrip() for one in (*zones, *events)), "END:VCALENDAR", ""])


def _copy_of(raw: bytes, timezone: str) -> _Copy:
    """Events of an earlier copy that can be read. Where one stands in it several times, the last counts that can."""
    try:
        blocks = blocks_of(raw)
    except BadFeed:
        return _Copy()
    zones = Zones(timezone, blocks, lambda: None)
    copy = _Copy(zones=zones)
    for block in blocks.events[: 2 * MOST_EVENTS]:
        event = event_of(block, zones)
        if event.key is not None and not event.broken and event.usable:
            copy.events[event.key] = replace(event, guesses=[])
    return copy


def _versions(events: list[Event], repeats: bool) -> Iterator[int]:
    return (event.sequence or 0 for event in events if event.repeats == repeats)


def _utc(at: Instant) -> datetime:
    return civil(at)


def _short(error: BaseException) -> str:
    return clean(str(error), 120) or type(error).__name__
