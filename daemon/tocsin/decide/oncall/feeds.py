"""On-call shifts by the events of a feed. Names are matched with the users; a name nobody has pages nobody.

Of each event the most telling thing counts: our own export's mark, then people named in the title, then those
invited, and the organizer only where the title names nobody at all ("On call"): who wrote an event for somebody
that is not known here must not be paged in their place.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType

import orjson

from tocsin.model import EMPTY, FeedShift, Instant, Schedule, Settings, User
from tocsin.model.civil import ahead, on_line, unix

Names = Mapping[str, tuple[str, ...]]
"""What people are called, folded → the users it may mean."""

Person = tuple[str, str]
"""Mail address and written name; either may be empty."""

MOST_UNKNOWN = 50
SLICE = 200  # events


@dataclass(frozen=True, slots=True)
class FeedEvent:
    """Event that takes place, once: repeated ones are spelled out. `marked`: users our own export names."""

    start: Instant
    end: Instant
    title: str = ""
    invited: tuple[Person, ...] = ()
    organizer: Person | None = None
    marked: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class FeedEvents:
    """Content read out of one calendar.

    `notes`: what of it was left out, kept or guessed, each with its line, for people; `doubtful`: how many such things
    there are. `kept`: the text of the events that are used as an earlier copy had them, as a calendar; "" for none.
    """

    events: tuple[FeedEvent, ...] = ()
    notes: tuple[str, ...] = ()
    doubtful: int = 0
    kept: str = ""


@dataclass(frozen=True, slots=True)
class Fed:
    """Meaning of a feed for a schedule; `unknown`: names that are nobody's here, each once."""

    shifts: tuple[FeedShift, ...]
    unknown: tuple[str, ...]


def as_json(read: FeedEvents) -> bytes:
    """For keeping, in civil time; `from_json` reads it."""
    if not ahead():
        return orjson.dumps(read)
    events = (replace(one, start=Instant(unix(one.start)), end=Instant(unix(one.end))) for one in read.events)
    return orjson.dumps(replace(read, events=tuple(events)))


def from_json(text: bytes) -> FeedEvents:
    kept = orjson.loads(text)
    notes = tuple(kept["notes"])
    events = tuple(_event(**one) for one in kept["events"])
    return FeedEvents(events, notes, kept.get("doubtful", len(notes)), kept.get("kept", ""))


def _event(
    start: int, end: int, title: str, invited: list[list[str]], organizer: list[str] | None, marked: list[str]
) -> FeedEvent:
    people = tuple((mail, name) for mail, name in invited)
    by = None if organizer is None else (organizer[0], organizer[1])
    return FeedEvent(on_line(start), on_line(end), title, people, by, tuple(marked))


def shifts_of(read: FeedEvents, names: Names) -> Fed:
    """The shifts of the events whose people are known here."""
    *_, last = growing(read, names)
    return last


def growing(read: FeedEvents, names: Names) -> Iterator[Fed]:
    """Shifts by slices of events; each result is all so far. Whoever shares a thread with others may pause between
    two: a stranger's calendar may be as long as it likes."""
    found: list[FeedShift] = []
    unknown: dict[str, None] = {}
    full_names = _full_names(names)
    told: dict[tuple[object, ...], tuple[tuple[str, ...], list[str]]] = {}  # a repeated event is looked at once
    for start in range(0, max(len(read.events), 1), SLICE):
        for event in read.events[start : start + SLICE]:
            said = (event.title, event.invited, event.organizer, event.marked)
            if said not in told:
                who = _Who(names, full_names)
                told[said] = who.of(event), who.unknown
            users, strangers = told[said]
            if len(unknown) < MOST_UNKNOWN:
                unknown.update(dict.fromkeys(strangers))
            if users:
                found.append(FeedShift(event.start, event.end, users))
        yield Fed(tuple(found), tuple(unknown)[:MOST_UNKNOWN])


def _full_names(names: Names) -> tuple[tuple[str, frozenset[str]], ...]:
    """Names of two words or more with their words, the longest first."""
    several = sorted((name for name in names if " " in name), key=len, reverse=True)
    return tuple((name, frozenset(_WORDS.findall(name))) for name in several)


def fed(
    settings: Settings, shifts: Mapping[str, tuple[FeedShift, ...]], notes: Mapping[str, tuple[str, ...]] = EMPTY
) -> Settings:
    """The settings with what the feeds say in their schedules: the one thing all who ask look at."""
    if not shifts:
        return settings
    schedules = {
        name: replace(schedule, feed=shifts[name], feed_notes=notes.get(name, ()))
        if schedule.ical is not None and name in shifts
        else schedule
        for name, schedule in settings.schedules.items()
    }
    return replace(settings, schedules=MappingProxyType(schedules))


# ------------------------------------------------------------------------------------------- names


def names_of(schedule: Schedule, users: Mapping[str, User]) -> Names:
    """Keys, written names, mail addresses; the schedule's own `people` beat them."""
    found: dict[str, tuple[str, ...]] = {}
    for user in users.values():
        called = {user.key, user.name, *(one.to for one in user.contacts.values() if "@" in one.to)}
        for name in {folded(one) for one in called}:
            found[name] = (*found.get(name, ()), user.key)
    written = schedule.ical.people if schedule.ical is not None else EMPTY
    found.update({folded(name): (user,) for name, user in written.items()})
    return found


def folded(name: str) -> str:
    """Case, width, accents' spelling and blanks make no difference."""
    return " ".join(unicodedata.normalize("NFKC", name).casefold().split())


# ---------------------------------------------------------------------------------------- one event

_WORDS = re.compile(r"\w+")
_PAGERDUTY = re.compile(r"on[ -]?call\s+[-–—]\s+(?P<rest>.+)", re.IGNORECASE)  # "On Call - Ana Pires - Primary"
_FIELDS = re.compile(r"\s[-–—]\s|[:|()\[\]]")
_LIST = re.compile(r"[,;/&+]|\s(?:and|und|et|e|y|og|och|en)\s", re.IGNORECASE)
_NOBODY_WORDS = "on|call|oncall|off|duty|shift|rota|rotation|primary|secondary|backup|week|weekend|night|day|the|of|for"
_NOBODY = re.compile(rf"[\W_\d]*(?:\b(?:{_NOBODY_WORDS})\b[\W_\d]*)*", re.IGNORECASE)


class _Who:
    """Finds the users of one event, and notes the names that are nobody's."""

    def __init__(self, names: Names, full_names: Sequence[tuple[str, frozenset[str]]]) -> None:
        self.names, self.full_names = names, full_names
        self.unknown: list[str] = []

    def of(self, event: FeedEvent) -> tuple[str, ...]:
        if event.marked:
            return self._known(event.marked)
        named = self._in_title(event.title)
        if named:
            return named
        invited = self._invited(event)
        if invited:
            return invited
        if event.invited or not _NOBODY.fullmatch(event.title):
            self.unknown += [] if self.unknown else [_supposed(event)]
            return ()
        if event.organizer is None:
            self.unknown.append(_supposed(event))
            return ()
        return self._known([event.organizer[0] or event.organizer[1]], event.organizer[1])

    def _known(self, written: Iterable[str], other: str = "") -> tuple[str, ...]:
        """The users of these names; what is nobody's, or could be several people, is noted."""
        found: list[str] = []
        for name in written:
            user = self._one(name) or (self._one(other) if other else None)
            if user is None:
                self._note(other or name)
            else:
                found.append(user)
        return tuple(dict.fromkeys(found))

    def _one(self, name: str) -> str | None:
        users = self.names.get(folded(name), ())
        return users[0] if len(users) == 1 else None

    def _note(self, name: str) -> None:
        several = self.names.get(folded(name), ())
        self.unknown.append(f"{name.strip()} (could be {' or '.join(several)})" if several else name.strip())

    # the title

    def _in_title(self, title: str) -> tuple[str, ...]:
        duty = _PAGERDUTY.fullmatch(title.strip())
        if duty:
            return self._of_pagerduty(duty["rest"])
        if self._one(title):
            return self._known([title])
        for field in _FIELDS.split(title):
            written = [one for one in _LIST.split(field) if one.strip()]
            if any(folded(one) in self.names for one in written):
                return self._known(written)
        return tuple(self._in_text(folded(title)))

    def _of_pagerduty(self, rest: str) -> tuple[str, ...]:
        """The person before the schedule's name; either may have dashes of its own."""
        fields = re.split(r"\s[-–—]\s", rest)
        for end in range(len(fields), 0, -1):
            user = self._one(" - ".join(fields[:end]))
            if user is not None:
                return (user,)
        written = [one for one in _LIST.split(fields[0]) if one.strip()]
        return self._known(written) if any(folded(one) in self.names for one in written) else ()

    def _in_text(self, title: str) -> Iterator[str]:
        """People whose name of two words or more stands in a longer text; the longest name first."""
        written = frozenset(_WORDS.findall(title))
        for name, words in self.full_names:
            if words <= written and re.search(rf"(?<!\w){re.escape(name)}(?!\w)", title):
                title = title.replace(name, "\0")
                if len(self.names[name]) == 1:
                    yield self.names[name][0]
                else:
                    self._note(name)

    # the invited

    def _invited(self, event: FeedEvent) -> tuple[str, ...]:
        """People asked to come. An organizer among several organises."""
        people = event.invited
        if event.organizer is not None and len(people) > 1:
            people = tuple(one for one in people if folded(one[0]) != folded(event.organizer[0])) or people
        found: list[str] = []
        for mail, name in people:
            found += self._known([mail or name], name)
        return tuple(dict.fromkeys(found))


def _supposed(event: FeedEvent) -> str:
    """The name as people would look for it: PagerDuty's wrapping taken off."""
    duty = _PAGERDUTY.fullmatch(event.title.strip())
    told = re.split(r"\s[-–—]\s", duty["rest"])[0] if duty else event.title
    return told.strip() or "an event without a title"
