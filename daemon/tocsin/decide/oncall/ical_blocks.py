"""Components of an iCalendar file (RFC 5545, 3.1 and 3.4), however damaged: which line belongs to which event.

Each event stands alone. One that does not end, ends at the next beginning; one whose beginning cannot be read begins
behind the component before it. Nothing here knows what a line says.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from difflib import SequenceMatcher

from tocsin.decide.text import clean
from tocsin.errors import BadFeed

TOP = frozenset({"VCALENDAR", "VEVENT", "VTODO", "VJOURNAL", "VFREEBUSY", "VTIMEZONE"})
LAST_LINE = "END:VCALENDAR"
ALIKE = 0.8  # of a damaged last line; that of a file which was cut at another line's end is less

_BREAK = re.compile(rb"\r\n|\n|\r")
_STRUCTURE = re.compile(r"\s*(BEGIN|END)\s*:\s*([A-Za-z0-9-]+)\s*", re.IGNORECASE)
_JOINED = re.compile(r"(END:V[A-Z]+)\s*(BEGIN:V[A-Z]+)", re.IGNORECASE)
_FOLDED = re.compile(
    rb"\s(DTSTART|DTEND|DURATION|RRULE|RDATE|EXDATE|RECURRENCE-ID|UID|SUMMARY|STATUS|SEQUENCE|ORGANIZER|ATTENDEE|DTSTAMP|"
    rb"CREATED|LAST-MODIFIED|DESCRIPTION|LOCATION|TRANSP|CLASS|URL|PRIORITY|CATEGORIES|COMMENT|TZID|TZOFFSETFROM|TZOFFSETTO|TZNAME)[:;]"
)
_INNER = frozenset({"VALARM", "PARTICIPANT", "VLOCATION", "VRESOURCE"})
_SHORT = 60  # octets; lines are folded at about 75
_EVENT = re.compile(rb"^BEGIN:VEVENT[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Line:
    """Content line, unfolded, and the number of its first line in the file."""

    number: int
    text: str


@dataclass(slots=True)
class Block:
    """Event or time zone as a block. `whole`: it has a beginning and an end; `calendar`: the place of its calendar."""

    at: int
    calendar: int
    lines: list[Line] = field(default_factory=list)
    whole: bool = True

    def text(self, kind: str) -> str:
        """The component as it could be written."""
        return "\r\n".join([f"BEGIN:{kind}", *(line.text for line in self.lines), f"END:{kind}", ""])


Flaw = tuple[int, str]
"""The number of a line, and what is wrong there, for people."""


@dataclass(slots=True)
class Blocks:
    """Parts of a file. `loose`: lines of the calendars themselves."""

    events: list[Block] = field(default_factory=list)
    zones: list[Block] = field(default_factory=list)
    loose: list[tuple[int, Line]] = field(default_factory=list)
    flaws: list[Flaw] = field(default_factory=list)


def blocks_of(raw: bytes) -> Blocks:
    """The components of one calendar or several. Raises BadFeed when it is none, or cut short."""
    raw, flaws = _encoded(raw)
    flaws += _whole(raw)
    walk = _Walk()
    for line in _lines(raw, flaws):
        walk.take(line)
    walk.close(None)
    walk.found.flaws += flaws
    if walk.unfinished and not any(block.whole for block in walk.found.events):
        raise BadFeed(f"is not a calendar: the event of line {walk.unfinished[0]} does not end")
    return walk.found


def _encoded(raw: bytes) -> tuple[bytes, list[Flaw]]:
    """The file in UTF-8 (3.1.4) without a mark, and what is said of it where it was written in UTF-16."""
    if raw[:2] in (b"\xff\xfe", b"\xfe\xff"):
        text = raw.decode("utf-16", "replace")
        if text.lstrip().upper().startswith("BEGIN:"):
            return text.encode("utf-8", "replace"), [(1, "the file is in UTF-16, and should be in UTF-8")]
    return raw.removeprefix(b"\xef\xbb\xbf"), []


def _text_of(line: bytes) -> tuple[str, bool]:
    """Text of a line, and whether it is UTF-8: what is not is taken for Windows-1252, as old programs write it."""
    try:
        return line.decode("utf-8"), True
    except ValueError:
        return line.decode("cp1252", "replace"), False


def _whole(raw: bytes) -> list[Flaw]:
    """Trouble with the first and last line. A feed cut short must not end somebody's shifts: it is refused."""
    text = raw.strip()
    flaws: list[Flaw] = []
    if not text[:15].upper().startswith(b"BEGIN:VCALENDAR"):
        begins = clean(text[:40].decode("utf-8", "replace"), 40) or "nothing"
        if not _EVENT.search(text) or not text[-20:].upper().endswith(b"END:VCALENDAR"):
            raise BadFeed(f"is not a calendar: it begins with {begins!r}")
        flaws.append((1, f"BEGIN:VCALENDAR is missing; it begins with {begins!r}"))
    last = _BREAK.split(text)[-1].decode("utf-8", "replace").strip().upper()
    if last != LAST_LINE:
        structure = _STRUCTURE.fullmatch(last)
        ends = structure[2] if structure is not None else ""
        damaged = last.startswith(LAST_LINE) or SequenceMatcher(None, last, LAST_LINE).ratio() >= ALIKE
        if not damaged or (ends in TOP and "".join(last.split()) != LAST_LINE):
            raise BadFeed("is cut short: END:VCALENDAR is missing")
        flaws.append((len(_BREAK.split(text)), f"END:VCALENDAR is missing; it ends with {clean(last, 40)!r}"))
    return flaws


def _lines(raw: bytes, flaws: list[Flaw]) -> Iterator[Line]:
    """Unfolded (3.1): before decoding, since a fold may cut through a character. A BEGIN or END has no second part, and
    a property behind a short line is none: that line was not folded."""
    number, pieces = 0, list[bytes]()
    for place, piece in enumerate(_BREAK.split(raw), 1):
        folded = piece[:1] in (b" ", b"\t") and pieces and not _is_structure(pieces)
        if folded and len(pieces[-1]) < _SHORT and (name := _FOLDED.match(piece)):
            flaws.append((place, f"a line begins with a blank, and is taken for {name[1].decode()}"))
            folded = False
        if folded:
            pieces.append(piece[1:])
        elif piece.strip():
            yield from _decoded(number, pieces, flaws)
            number, pieces = place, [piece]
    yield from _decoded(number, pieces, flaws)


def _is_structure(pieces: list[bytes]) -> bool:
    return len(pieces) == 1 and _STRUCTURE.fullmatch(pieces[0].decode("utf-8", "replace")) is not None


def _decoded(number: int, pieces: list[bytes], flaws: list[Flaw]) -> Iterator[Line]:
    if not pieces:
        return
    text, sound = _text_of(b"".join(pieces))
    if not sound:
        flaws.append((number, "a line is not in UTF-8, and is read as Windows-1252"))
    joined = _JOINED.fullmatch(text.strip())
    yield from (Line(number, part) for part in (joined.groups() if joined else (text,)))


class _Walk:
    """Goes over the lines; knows which component is open."""

    def __init__(self) -> None:
        self.found = Blocks()
        self.calendar = 0
        self.event: Block | None = None
        self.zone: Block | None = None
        self.inner: list[Line] = []  # components within the event that are open: alarms
        self.unfinished: list[int] = []  # lines at which events begin that do not end
        self.loose: list[Line] = []  # since the last component; an event of which the beginning was lost, maybe

    def take(self, line: Line) -> None:
        found = _STRUCTURE.fullmatch(line.text)
        if found is None:
            self._content(line)
        elif found[1].upper() == "BEGIN":
            self._begin(found[2].upper(), line)
        else:
            self._end(found[2].upper(), line)

    def _content(self, line: Line) -> None:
        if self.zone is not None:
            self.zone.lines.append(line)
        elif self.event is None:
            if not self.inner:
                self.loose.append(line)
            self.found.loose.append((self.calendar, line))
        elif not self.inner:
            self.event.lines.append(line)

    def _begin(self, name: str, line: Line) -> None:
        if name in TOP:
            self.close(line)
            self.loose, self.inner = [], []
            if name == "VCALENDAR":
                self.calendar += 1
            elif name == "VEVENT":
                self.event = Block(line.number, self.calendar)
            elif name == "VTIMEZONE":
                self.zone = Block(line.number, self.calendar)
        elif self.zone is not None:
            self.zone.lines.append(line)
        elif self.event is not None or name in _INNER:
            self.inner.append(line)
        else:
            self.loose = []

    def _end(self, name: str, line: Line) -> None:
        if self.zone is not None and name not in TOP:
            self.zone.lines.append(line)
        elif self.zone is not None and name == "VTIMEZONE":
            self.found.zones.append(self.zone)
            self.zone = None
        elif self.event is not None and name == "VEVENT":
            self._end_event()
        elif name not in TOP and (self.event is not None or self.inner):
            self._end_inner(name, line)
        else:
            self.inner = [] if self.event is None else self.inner
            self.close(line)
            if name == "VEVENT":
                self._without_beginning(line)
            self.loose = []

    def _end_event(self) -> None:
        assert self.event is not None
        if self.inner:
            self._tell(self.inner[0].number, f"{self.inner[0].text.strip()} within an event does not end")
        self.found.events.append(self.event)
        self.event, self.inner = None, []

    def _end_inner(self, name: str, line: Line) -> None:
        """The innermost of that name ends, and whatever it holds; an end without a beginning is none."""
        for place in range(len(self.inner) - 1, -1, -1):
            if self.inner[place].text.rpartition(":")[2].strip().upper() == name:
                del self.inner[place:]
                return
        self._tell(line.number, f"{line.text.strip()} within an event has no beginning")

    def _without_beginning(self, line: Line) -> None:
        if any(one.text.upper().startswith("DTSTART") for one in self.loose):
            at = self.loose[0].number
            self._tell(line.number, f"an event ends and does not begin; the lines from {at} on are taken for it")
            self.found.events.append(Block(at, self.calendar, self.loose))
        else:
            self._tell(line.number, "an event ends and does not begin")

    def close(self, at: Line | None) -> None:
        """End here what is open, though nothing says so."""
        until = f"before line {at.number}" if at is not None else "at all"
        if self.event is not None:
            self.unfinished.append(self.event.at)
            if self.event.lines:
                self._tell(self.event.at, f"an event begins and does not end {until}; it is taken to end there")
                self.event.whole = False
                self.found.events.append(self.event)
            else:
                self._tell(self.event.at, "an event begins and says nothing")
        if self.zone is not None:
            self._tell(self.zone.at, f"a time zone begins and does not end {until}; it is taken to end there")
            self.found.zones.append(self.zone)
        self.event, self.zone, self.inner = None, None, []

    def _tell(self, number: int, said: str) -> None:
        self.found.flaws.append((number, clean(said, 200)))
