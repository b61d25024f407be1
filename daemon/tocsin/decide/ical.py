"""What does an iCalendar file (RFC 5545) say? Its events within a window, repetitions spelled out, in our words.

Whose calendar it is, is a stranger's business: whatever the bytes, this returns or raises BadFeed. How long it
takes is another matter (a rule may repeat "on each 31 February"), so a daemon has it done where it can be stopped.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, date, datetime
from typing import Any

import icalendar
import recurring_ical_events  # type: ignore[import-untyped]  # it has none

from tocsin.decide.feeds import FeedEvent, FeedEvents, Person
from tocsin.decide.oncall import local_instant
from tocsin.decide.text import clean
from tocsin.errors import BadFeed
from tocsin.model import Instant, instant

MARK = "X-TOCSIN-USERS"
MOST_EVENTS = 20_000
MOST_NOTES = 20
MOST_PEOPLE = 50  # looked at of one event
TOO_OFTEN = {"SECONDLY", "MINUTELY"}  # nobody is on call by the minute; spelled out they would be millions
_UNUSABLE = (ValueError, TypeError, ArithmeticError, LookupError, AttributeError)  # what odd bytes raise


def read_feed(raw: bytes, timezone: str, start: Instant, end: Instant) -> FeedEvents:
    """The events that touch [start, end), in order. Times without a zone are `timezone`'s.

    Cancelled events, and those that end where they begin, are none. Raises BadFeed when it is no calendar.
    """
    reading = _Reading(timezone, start, end)
    calendar = _calendar(raw)
    usable = [event for event in calendar.walk("VEVENT") if reading.usable(event)]
    if len(usable) > MOST_EVENTS:
        raise BadFeed(f"has {len(usable)} events; at most {MOST_EVENTS} are read")
    calendar.subcomponents = [one for one in calendar.subcomponents if one.name == "VTIMEZONE"] + usable
    try:
        found = sorted(reading.events(calendar), key=lambda event: (event.start, event.end))
    except _UNUSABLE as error:
        raise BadFeed(f"cannot be read: {_short(error)}") from None
    return FeedEvents(tuple(found), tuple(reading.notes))


def _calendar(raw: bytes) -> Any:
    """The one calendar of a file that is whole: a feed cut short must not end somebody's shifts."""
    text = raw.removeprefix(b"\xef\xbb\xbf").strip()
    if not text[:15].upper().startswith(b"BEGIN:VCALENDAR"):
        begins = clean(text[:40].decode("utf-8", "replace"), 40) or "nothing"
        raise BadFeed(f"is not a calendar: it begins with {begins!r}")
    if not text[-20:].upper().endswith(b"END:VCALENDAR"):
        raise BadFeed("is cut short: END:VCALENDAR is missing")
    try:
        return icalendar.Calendar.from_ical(text)
    except _UNUSABLE as error:
        raise BadFeed(f"is not a calendar: {_short(error)}") from None


class _Reading:
    """One calendar being read: the window, and what had to be left out."""

    def __init__(self, timezone: str, start: Instant, end: Instant) -> None:
        self.timezone, self.start, self.end = timezone, start, end
        self.notes: list[str] = []

    def note(self, text: str) -> None:
        if text not in self.notes and len(self.notes) < MOST_NOTES:
            self.notes.append(text)

    def usable(self, event: Any) -> bool:
        """Whether it can be spelled out; says why where not."""
        title = _title(event)
        if not isinstance(_when(event, "DTSTART"), date):
            self.note(f"the event {title!r} has no usable start, and is left out")
            return False
        if any(rule.get("FREQ", [""])[0] in TOO_OFTEN for rule in _rules(event)):
            self.note(f"the event {title!r} repeats by the minute or second, and is left out")
            return False
        if _swapped(_when(event, "DTSTART"), _when(event, "DTEND")):
            self.note(f"the event {title!r} ends before it starts, and is left out")
            return False
        self._zone(event, title)
        return True

    def _zone(self, event: Any, title: str) -> None:
        written = event["DTSTART"].params.get("TZID")
        if written and _floating(_when(event, "DTSTART")):
            zone = clean(str(written), 60)
            self.note(f"the time zone {zone!r} of the event {title!r} is not known; {self.timezone} is taken")

    def events(self, calendar: Any) -> Iterator[FeedEvent]:
        """Every occurrence that takes place."""
        since, until = _utc(self.start), _utc(self.end)
        count = 0
        for series in recurring_ical_events.of(calendar, skip_bad_series=True).series:
            for occurrence in self._between(series, since, until):
                count += 1
                if count > MOST_EVENTS:
                    raise BadFeed(f"has more than {MOST_EVENTS} events in a little over a year")
                event = self._event(occurrence)
                if event is not None and event.start < self.end and event.end > self.start:
                    yield event

    def _between(self, series: Any, since: datetime, until: datetime) -> Iterable[Any]:
        """One series' occurrences; none of one that the library cannot spell out."""
        try:
            return [one.as_component(False) for one in series.between(since, until)]
        except _UNUSABLE as error:
            self.note(f"an event is left out: {_short(error)}")
            return ()

    def _event(self, occurrence: Any) -> FeedEvent | None:
        if str(occurrence.get("STATUS", "")).upper() == "CANCELLED":
            return None
        start, end = self._instant(occurrence.start), self._instant(occurrence.end)
        if end <= start:
            return None
        marked = str(occurrence.get(MARK, ""))
        return FeedEvent(
            start,
            end,
            _title(occurrence),
            tuple(_invited(occurrence)),
            _organizer(occurrence),
            tuple(key for key in clean(marked, 500).split(",") if key),
        )

    def _instant(self, when: date) -> Instant:
        """A day begins at midnight of the schedule's zone; a time without a zone is of that zone too."""
        if isinstance(when, datetime) and when.tzinfo is not None:
            return instant(when.astimezone(UTC))
        return local_instant(when.isoformat() if isinstance(when, datetime) else f"{when}T00:00", self.timezone)


# ----------------------------------------------------------------------------------------- one event


def _title(event: Any) -> str:
    return clean(str(event.get("SUMMARY", "")), 200).strip()


def _when(event: Any, name: str) -> date | None:
    """A date, a datetime, or None where there is no sound one."""
    try:
        value = getattr(event.get(name), "dt", None)
    except _UNUSABLE:  # the library keeps what it cannot read, and raises when it is looked at
        return None
    return value if isinstance(value, date) else None


def _floating(when: date | None) -> bool:
    return isinstance(when, datetime) and when.tzinfo is None


def _swapped(start: date | None, end: date | None) -> bool:
    """Whether it surely ends before it starts; a day and a time are not compared."""
    if start is None or end is None or isinstance(start, datetime) != isinstance(end, datetime):
        return False
    return _floating(start) == _floating(end) and end < start


def _rules(event: Any) -> list[Any]:
    written = event.get("RRULE", [])
    return written if isinstance(written, list) else [written]


def _invited(event: Any) -> Iterator[Person]:
    """Attendees that are people and did not say no."""
    written = event.get("ATTENDEE", [])
    for one in (written if isinstance(written, list) else [written])[:MOST_PEOPLE]:
        params = getattr(one, "params", {})
        resource = str(params.get("CUTYPE", "INDIVIDUAL")).upper() in ("RESOURCE", "ROOM")
        if not resource and str(params.get("PARTSTAT", "")).upper() != "DECLINED":
            yield _person(one)


def _organizer(event: Any) -> Person | None:
    written = event.get("ORGANIZER")
    return None if written is None or isinstance(written, list) else _person(written)


def _person(written: Any) -> Person:
    address = clean(str(written), 200)
    mail = address[7:] if address[:7].lower() == "mailto:" else ""
    return mail.strip(), clean(str(getattr(written, "params", {}).get("CN", "")), 200).strip(" \"'")


def _utc(at: Instant) -> datetime:
    return datetime.fromtimestamp(at // 1000, UTC)


def _short(error: BaseException) -> str:
    return clean(str(error), 120) or type(error).__name__
