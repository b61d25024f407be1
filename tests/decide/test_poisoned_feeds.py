"""One poisoned event costs itself alone: left out, kept as the copy before had it, or guessed; and told with its line."""

from __future__ import annotations

import contextlib
import functools
import re
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.decide.test_feeds import FROM, TO, calendar, event, sample
from tocsin.decide.oncall.feeds import FeedEvents, as_json, from_json
from tocsin.decide.oncall.ical import MOST_NOTES, TakesTooLong, read_feed
from tocsin.errors import BadFeed
from tocsin.model import Instant, rfc3339

PARIS = "Europe/Paris"


def read(raw: bytes, before: bytes | FeedEvents = b"", timezone: str = PARIS) -> FeedEvents:
    return read_feed(raw, timezone, FROM, TO, before if isinstance(before, bytes) else before.kept.encode())


def told(found: FeedEvents) -> list[str]:
    return [f"{one.title} {rfc3339(one.start)[2:16]} {rfc3339(one.end)[2:16]}" for one in found.events]


def vevent(*lines: str) -> str:
    return "\n".join(["BEGIN:VEVENT", *lines, "END:VEVENT"])


def poisoned(*lines: str) -> bytes:
    """A calendar whose second event, of three, has these lines; they begin at line 12 of the file."""
    return calendar(event("one"), vevent("UID:2", *lines, "SUMMARY:two"), event("three"))


OTHERS = ["one 26-01-05T08:00 26-01-05T09:00", "three 26-01-05T08:00 26-01-05T09:00"]
START, END = "DTSTART:20261207T080000Z", "DTEND:20261207T090000Z"
AT = "26-12-07T08:00 26-12-07T09:00"


# ------------------------------------------------------------------------- each kind, on its own

POISONS = [
    # lines of the event · what becomes of it · the note
    ((START, END, "RRULE:FREQ=WEEKLY;BYDAY=MO, TU;COUNT=2"), [AT, "26-12-08T08:00 26-12-08T09:00"], "line 14: the event 'two' is read leniently: the blanks in its RRULE are left out"),
    ((START, END, "RRULE:BYDAY=MO, TU"), [], "line 14: the event 'two' cannot be repeated: its RRULE has no FREQ that is known: 'BYDAY=MO, TU', and is left out"),
    ((START, END, "RRULE:FREQ=FORTNIGHTLY"), [], "line 14: the event 'two' cannot be repeated: its RRULE says 'FREQ=FORTNIGHTLY', which means nothing, and is left out"),
    ((START, END, "RRULE:FREQ=WEEKLY;BYDAY=;"), [], "line 14: the event 'two' cannot be repeated: its RRULE has a part 'BYDAY=' that says nothing, and is left out"),
    ((START, END, "RRULE:FREQ=WEEKLY;UNTL=20261231"), [], "line 14: the event 'two' cannot be repeated: its RRULE has a part 'UNTL=20261231' that is not known, and is left out"),
    ((START, END, "RRULE:FREQ=WEEKLY;INTERVAL=0"), [], "line 14: the event 'two' cannot be repeated: its RRULE says 'INTERVAL=0', which means nothing, and is left out"),
    ((START, END, "RRULE:FREQ=DAILY;UNTIL=soon"), [], "line 14: the event 'two' cannot be repeated: 'SOON' is no time, and is left out"),
    ((START, END, "RRULE;FREQ=DAILY"), [], "line 14: the event 'two' cannot be repeated: its RRULE has no FREQ that is known: '', and is left out"),
    ((START, END, "RRULE:FREQ=MINUTELY"), [], "line 14: the event 'two' repeats by the minute or second, and is left out"),
    ((START, END, "RRULE:FREQ=DAILY;COUNT=2;"), [AT, "26-12-08T08:00 26-12-08T09:00"], None),
    ((START, END, "RRUL:FREQ=DAILY;COUNT=2"), [AT, "26-12-08T08:00 26-12-08T09:00"], "line 14: the event 'two' has a line RRUL, which is taken for RRULE, and counts as it can be read"),
    (("DTSTART;VALUE=DATE:20261207", "DTEND;VALUE=DATE:20261207"), ["26-12-06T23:00 26-12-07T23:00"], "line 13: the event 'two' is a whole day that ends on the day it begins; that one day is taken"),
    (("DTSTART;VALUE=DATE:20261207",), ["26-12-06T23:00 26-12-07T23:00"], None),
    ((START, END, "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:"), [AT, "26-12-08T08:00 26-12-08T09:00"], "line 15: the event 'two' has an EXDATE that is empty; it says nothing"),
    ((START, END, "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:2026-12-08"), [AT], "line 15: the event 'two' has an EXDATE that is not written as it should be: '2026-12-08'"),
    ((START, END, "RRULE:FREQ=DAILY;COUNT=2", "EXDATE;VALUE=DATE:20261208"), [AT], None),
    ((START, END, "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:never"), [AT, "26-12-08T08:00 26-12-08T09:00"], "line 15: the event 'two' has an EXDATE that cannot be read: 'never' is no time, and nothing is left out by it"),
    ((START, END, "RDATE:tomorrow,20261209T080000Z"), [AT, "26-12-09T08:00 26-12-09T09:00"], "line 14: the event 'two' has an RDATE that cannot be read: 'tomorrow' is no time, and nothing is added by it"),
    ((START, END, "RDATE;VALUE=PERIOD:20261209T080000Z/PT2H,20261210T080000Z/20261210T110000Z"), [AT, "26-12-09T08:00 26-12-09T10:00", "26-12-10T08:00 26-12-10T11:00"], None),
    ((START, END, "RECURRENCE-ID:yesterday"), [AT], "line 14: the event 'two' has a RECURRENCE-ID that cannot be read: 'yesterday' is no time, and it counts as an event of its own"),
    ((START, "DTEND:20261307T090000Z"), [], "line 13: the event 'two' has no usable end: '20261307T090000Z' is no time of the calendar, and is left out"),
    (("DTSTART;VALUE=DATE:20261207", "DTEND:later"), ["26-12-06T23:00 26-12-07T23:00"], "line 13: the event 'two' has no usable end: 'later' is no time, and one day is taken"),
    ((START,), [], "line 10: the event 'two' has neither an end nor a duration, and is left out"),
    ((START, START.replace("START", "END")), [], "line 13: the event 'two' ends when it begins, and is left out"),
    ((START, "DURATION:P1X"), [], "line 13: the event 'two' has no usable duration: 'P1X' is no duration, and is left out"),
    ((START, "DURATION:-PT1H"), [], "line 13: the event 'two' has no usable duration: '-PT1H' is below zero, and is left out"),
    (("DTSTART:9999", END), [], "line 12: the event 'two' has no usable start: '9999' is no time, and is left out"),
    (("DTSTART:00010101T000000Z", END), [], "line 12: the event 'two' has no usable start: '00010101T000000Z' is no time of the calendar, and is left out"),
    ((END,), [], "line 10: the event 'two' has no usable start, and is left out"),
    ((START, "DTEND:20261206T090000Z"), [], "line 13: the event 'two' ends before it starts, and is left out"),
    ((START, END, "no line at all"), [AT], "line 14: the event 'two' has a line that cannot be read"),
    ((START.replace("080000Z", "090000").replace("T:", "T;TID=Europe/Berlin:"), "DTEND;TZID=Europe/Berlin:20261207T100000"), [AT], "line 12: the event 'two' has a DTSTART with a part 'TID' that is not known, and counts as it can be read"),
    ((START[:-1], END), [AT.replace("08:00", "07:00", 1)], "line 13: the event 'two' has a start and an end of which only one has a time zone, and counts as it can be read"),
    ((START, END, "STATUS:CANCELED"), [], None),
    ((START, END, "STATUS:CANCELLE"), [], "line 14: the event 'two' has a STATUS 'CANCELLE', which is taken for CANCELLED, and counts as it can be read"),
    ((START, END, "STATU:CANCELLED"), [], "line 14: the event 'two' has a line STATU, which is taken for STATUS, and counts as it can be read"),
    ((START, END, "STATUS:SOMEHOW"), [AT], "line 14: the event 'two' has a STATUS that is not known: 'SOMEHOW'; it takes place"),
    ((START, "DTEND;TZID=Mars/Base:20261207T100000"), [AT], "line 13: the event 'two' has a time zone 'Mars/Base' that is not known, and Europe/Paris is taken"),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "becomes", "note"), POISONS, ids=[str(lines[-1]) for lines, _, _ in POISONS])
def test_one_poisoned_event_costs_itself_and_is_told_with_its_line(
    lines: tuple[str, ...], becomes: list[str], note: str | None
) -> None:
    found = read(poisoned(*lines))

    assert [one for one in told(found) if not one.startswith("two")] == OTHERS
    assert [one for one in told(found) if one.startswith("two")] == [f"two {one}" for one in becomes]
    assert found.notes == (() if note is None else (note,))
    assert found.doubtful == len(found.notes)


BEFORE = poisoned(START, END, "RRULE:FREQ=DAILY;COUNT=2", "EXDATE:20261208T080000Z", "RDATE:20261210T080000Z")
EARLIER = [f"two {AT}", "two 26-12-10T08:00 26-12-10T09:00"]
UNREADABLE = [
    (lines, note) for lines, _, note in POISONS if note and (", and " in note or "left out" in note) and "leniently" not in note
    and not any(guess in note for guess in ("ends when it begins", "RECURRENCE-ID", "with a blank"))
]  # fmt: skip


@pytest.mark.parametrize(("lines", "note"), UNREADABLE, ids=[str(lines[-1]) for lines, _ in UNREADABLE])
def test_an_event_that_was_readable_in_the_copy_before_keeps_that_reading(lines: tuple[str, ...], note: str) -> None:
    found = read(poisoned(*lines), BEFORE)

    assert told(found) == sorted([*OTHERS, *EARLIER])
    assert found.notes == (re.sub(", and [^,]*$", "", note) + "; it stays as the copy before has it",)
    again = read(poisoned(*lines), found)
    assert (told(again), again.kept) == (told(found), found.kept), "for as long as it cannot be read"
    mended = read(poisoned(START, END), found)
    assert (told(mended), mended.kept, mended.notes) == (sorted([*OTHERS, f"two {AT}"]), "", ())
    assert told(read(calendar(event("one")), found)) == OTHERS[:1], "what is gone is gone"


def test_a_guess_counts_whatever_the_copy_before_said() -> None:
    day = ("DTSTART;VALUE=DATE:20261207", "DTEND;VALUE=DATE:20261207")

    assert told(read(poisoned(*day), BEFORE)) == [*OTHERS, "two 26-12-06T23:00 26-12-07T23:00"]


# -------------------------------------------------------------------------------------- series

WEEKLY = ("UID:s", "SUMMARY:weekly", "DTSTART:20261207T080000Z", "DTEND:20261207T090000Z", "RRULE:FREQ=WEEKLY;COUNT=3")
MOVED = ("UID:s", "SUMMARY:moved", "DTSTART:20261215T100000Z", "DTEND:20261215T120000Z")
SECOND = "RECURRENCE-ID:20261214T080000Z"
SERIES = [
    "weekly 26-12-07T08:00 26-12-07T09:00",
    "moved 26-12-15T10:00 26-12-15T12:00",
    "weekly 26-12-21T08:00 26-12-21T09:00",
]


def test_a_series_whose_rule_is_broken_stays_and_its_changes_count() -> None:
    before = calendar(vevent(*WEEKLY), vevent(*MOVED, SECOND))
    broken = calendar(
        vevent(*WEEKLY[:-1], "RRULE:FREQ=OFTEN"), vevent(*(line.replace("T12", "T13") for line in MOVED), SECOND)
    )

    assert told(read(before)) == SERIES
    assert told(read(broken, before)) == [one.replace("T12", "T13") for one in SERIES]
    assert told(read(broken)) == ["moved 26-12-15T10:00 26-12-15T13:00"], "without a copy what was changed counts"


@pytest.mark.parametrize("damaged", ["RECURRENCE-ID:?", "RECURRENCE-ID", "RECURENCE-ID:20261214T080000Z"])
def test_a_change_of_which_the_recurrence_id_is_damaged_stays_where_only_one_is_missing(damaged: str) -> None:
    before = calendar(vevent(*WEEKLY), vevent(*MOVED, SECOND))

    assert told(read(calendar(vevent(*WEEKLY), vevent(*MOVED, damaged)), before)) == SERIES


def test_a_change_without_its_uid_is_found_by_its_recurrence_id() -> None:
    before = calendar(vevent(*WEEKLY), vevent(*MOVED, SECOND))

    assert told(read(calendar(vevent(*WEEKLY), vevent("UID;:s", *MOVED[1:], SECOND)), before)) == SERIES


def test_two_events_with_one_uid_both_count() -> None:
    other = ("UID:s", "SUMMARY:other", "DTSTART:20261209T080000Z", "DTEND:20261209T090000Z")
    found = read(calendar(vevent(*WEEKLY), vevent(*other), vevent(*other)))

    assert told(found)[:3] == [SERIES[0], *["other 26-12-09T08:00 26-12-09T09:00"] * 2]
    assert len(found.events) == 5
    assert found.notes == (
        "line 11: the event 'other' has the UID of another one; both count",
        "line 17: the event 'other' has the UID of another one; both count",
    )


def test_a_later_version_of_an_event_takes_the_place_of_an_earlier_one() -> None:
    moved = [line.replace("1207", "1208") for line in WEEKLY]
    found = read(calendar(vevent(*moved, "SEQUENCE:2"), vevent(*WEEKLY, "SEQUENCE:1")))

    assert told(found)[0] == "weekly 26-12-08T08:00 26-12-08T09:00"
    assert found.notes == ("line 12: the event 'weekly' is left out: a later version of it is there",)


def test_a_change_that_lost_its_recurrence_id_does_not_end_its_series() -> None:
    """It says a later SEQUENCE than its series does: a later version of one event of the two it is not."""
    found = read(calendar(vevent(*WEEKLY, "SEQUENCE:1"), vevent(*MOVED, "SEQUENCE:2")))

    assert told(found) == [*SERIES[:1], "weekly 26-12-14T08:00 26-12-14T09:00", *SERIES[1:]]
    assert found.notes == ("line 12: the event 'moved' has the UID of another one; both count",)


def test_two_changes_of_one_occurrence_both_count() -> None:
    found = read(
        calendar(
            vevent(*WEEKLY),
            vevent(*MOVED, SECOND),
            vevent(*MOVED[:-2], "DTSTART:20261216T100000Z", "DURATION:PT1H", SECOND),
        )
    )

    assert {"moved 26-12-15T10:00 26-12-15T12:00", "moved 26-12-16T10:00 26-12-16T11:00"} <= set(told(found))
    assert "has the RECURRENCE-ID of another one; both count" in found.notes[0]


def test_a_change_without_an_end_lasts_as_its_series_does() -> None:
    assert (
        told(read(calendar(vevent(*WEEKLY), vevent(*MOVED[:-1], SECOND))))[1] == "moved 26-12-15T10:00 26-12-15T11:00"
    )


def test_a_change_from_some_day_on_moves_all_that_follow() -> None:
    later = vevent(
        *MOVED[:-2],
        "DTSTART:20261214T100000Z",
        "DTEND:20261214T110000Z",
        "RECURRENCE-ID;RANGE=THISANDFUTURE:20261214T080000Z",
    )

    assert told(read(calendar(vevent(*WEEKLY), later))) == [
        SERIES[0], "moved 26-12-14T10:00 26-12-14T11:00", "moved 26-12-21T10:00 26-12-21T11:00",
    ]  # fmt: skip


def test_what_takes_too_long_costs_itself_and_stays_as_it_was() -> None:
    """Only the process that reads feeds has a clock; here a budget of two series stands for it."""
    endless = vevent(*WEEKLY[:-1], "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31")

    def budget(calls: Iterator[int]) -> contextlib.AbstractContextManager[None]:
        if next(calls) == 0:
            raise TakesTooLong
        return contextlib.nullcontext()

    for before, expected in (
        (b"", []),
        (calendar(vevent(*WEEKLY)), [f"weekly 26-12-{day}" for day in ("07", "14", "21")]),
    ):
        calls = iter(range(9))
        found = read_feed(
            calendar(endless, event("one")), PARIS, FROM, TO, before, budget=functools.partial(budget, calls)
        )
        assert [one.split("T")[0] for one in told(found)] == ["one 26-01-05", *expected]
        assert "takes too long to spell out; does it repeat without end?" in found.notes[0]


def test_one_event_with_too_many_occurrences_costs_itself() -> None:
    found = read(
        calendar(
            event("often", "20260101T000000Z", "20260101T000100Z", "RRULE:FREQ=HOURLY;BYMINUTE=0,30"), event("one")
        )
    )

    assert told(found) == OTHERS[:1]
    assert "it has more than 12000 in a little over a year, and is left out" in found.notes[0]


# ------------------------------------------------------------------------------------ structure


def test_several_calendars_in_a_file_are_read_together_each_with_its_own_lines() -> None:
    """RFC 5545, 3.4."""
    found = read(calendar(event("one")) + b"\r\n" + calendar(event("two")) + calendar(event("three", "soon")))

    assert [one[:3] for one in told(found)] == ["one", "two"]
    assert found.notes == ("line 28: the event 'three' has no usable start: 'soon' is no time, and is left out",)


@pytest.mark.parametrize(
    ("line", "instead", "note"),
    [
        ("END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2", "BEGIN:VEVENT\r\nUID:2", "line 4: an event begins and does not end before line 9"),
        ("END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2", "END:VEVENT\r\nUID:2", "line 14: an event ends and does not begin; the lines from 10 on are taken for it"),
        ("END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2", "END:VEVENT BEGIN:VEVENT\r\nUID:2", ""),
        ("END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2", "END:VEVENT\r\n BEGIN:VEVENT\r\nUID:2", ""),
        ("END:VEVENT\r\nBEGIN:VEVENT\r\nUID:2", "END:VEVENT\r\nBEGIN:VEVNT\r\nUID:2", "line 15: an event ends and does not begin; the lines from 11 on are taken for it"),
        ("BEGIN:VCALENDAR\r\nVERSION", "BEGIN:VCALENDR\r\nVERSION", "line 1: BEGIN:VCALENDAR is missing; it begins with 'BEGIN:VCALENDR"),
        ("END:VCALENDAR", "END:VCALENDR", "line 22: END:VCALENDAR is missing; it ends with 'END:VCALENDR'"),
        ("VERSION:2.0", "CALSCALE:GREG", "line 2: the calendar's CALSCALE 'GREG' is read as GREGORIAN"),
        ("SUMMARY:two\r\n", "SUMMARY:two\r\nBEGIN:VALARM\r\nTRIGGER:-PT5M\r\n", "line 15: BEGIN:VALARM within an event does not end"),
        ("SUMMARY:two\r\n", "SUMMARY:two\r\nBEGIN:VALARM\r\nDURATION:PT5M\r\nDTSTART:x\r\nEND:VALARM\r\n", ""),
        ("SUMMARY:two\r\n", "SUMMARY:two\r\nEND:VALARM\r\n", "line 15: END:VALARM within an event has no beginning"),
    ],
)  # fmt: skip
def test_damaged_frames_cost_no_event(line: str, instead: str, note: str) -> None:
    raw = poisoned(START, END).replace(line.encode(), instead.encode(), 1)
    found = read(raw)

    assert told(found) == [*OTHERS, f"two {AT}"]
    assert [one[: len(note)] for one in found.notes] == [note] * bool(note) or (not note and len(found.notes) <= 1)


ALARM = "BEGIN:VALARM\r\nDURATION:PT5M\r\nUID:x\r\nEND:VALARM\r\n"


@pytest.mark.parametrize("first", ["", "BEGIN:VEVNT", "BEGINVEVENT"])
def test_an_event_without_its_beginning_is_whole_for_all_its_alarms(first: str) -> None:
    raw = poisoned(START, END).replace(b"SUMMARY:two\r\n", b"SUMMARY:two\r\n" + ALARM.encode())
    damaged = raw.replace(b"BEGIN:VEVENT\r\nUID:2", f"{first}\r\nUID:2".lstrip().encode())

    assert told(read(damaged)) == [*OTHERS, f"two {AT}"]
    assert "an event ends and does not begin" in " ".join(read(damaged).notes)


@pytest.mark.parametrize(
    ("lines", "ends", "note"),
    [
        (("SUMMARY:two", START, " " + END), ["09"], ("line 14: a line begins with a blank, and is taken for DTEND",)),
        ((START, END, "LOCATION:here", "\tSUMMARY:two"), ["09"], ("line 15: a line begins with a blank, and is taken for SUMMARY",)),
        (("SUMMARY:two", START, END, "LOCATION:here", " DTEND:20261207T100000Z"), ["09"], None),
        (("SUMMARY:two", START, END, f"DESCRIPTION:{'x' * 62}", " DTEND:20261207T100000Z"), ["09"], ()),
        (("SUMMARY:two", START, END, "DESCRIPTION:", "  DTEND:20261207T100000Z"), ["09"], ()),
    ],
)  # fmt: skip
def test_a_property_behind_a_short_line_is_no_fold(
    lines: tuple[str, ...], ends: list[str], note: tuple[str, ...] | None
) -> None:
    raw = poisoned("X-HERE:1").replace(b"X-HERE:1\r\nSUMMARY:two", "\r\n".join(lines).encode())
    found = read(raw)

    assert [one for one in told(found) if one.startswith("two")] == [
        f"two 26-12-07T08:00 26-12-07T{end}:00" for end in ends
    ]
    assert note is None or found.notes == note


@pytest.mark.parametrize("end", ["END : VCALENDAR", "END:VCALENDAR=0D=0A=", "end:vcalendar", "END:VCALENDAR \r\n\r\n"])
def test_a_last_line_that_can_be_told_is_no_cut(end: str) -> None:
    assert told(read(poisoned(START, END).replace(b"END:VCALENDAR", end.encode()))) == [*OTHERS, f"two {AT}"]


@pytest.mark.parametrize(
    ("encoding", "note"),
    [
        ("utf-8", ()), ("utf-8-sig", ()), ("utf-16", ("line 1: the file is in UTF-16, and should be in UTF-8",)),
        ("cp1252", ("line 14: a line is not in UTF-8, and is read as Windows-1252",)),
    ],
)  # fmt: skip
def test_names_are_read_in_the_encodings_that_calendars_come_in(encoding: str, note: tuple[str, ...]) -> None:
    raw = poisoned(START, END).replace(b"SUMMARY:two", "SUMMARY:Zoë".encode())
    found = read(raw.decode().encode(encoding))

    assert told(found) == [*OTHERS, f"Zoë {AT}"]
    assert found.notes == note


@pytest.mark.parametrize(
    ("line", "named"), [("SUMMARY:Ana", True), ("UMMARY:Ana", True), ("SUMMARY Ana", False), ("SUMMARY;Ana", False)]
)
def test_an_organizer_is_not_paged_for_a_title_that_cannot_be_read(line: str, named: bool) -> None:
    raw = calendar(vevent("UID:1", START, END, line, "ORGANIZER:mailto:boss@example.org"))
    [found] = read(raw).events

    assert (found.title, found.organizer is None) == ("Ana" if named else "", not named)
    assert bool(read(raw).notes) == (line != "SUMMARY:Ana")


@pytest.mark.parametrize(
    ("zone", "summer", "note"),
    [
        ("X-WR-TIMEZONE:Europe/Paris", 6, ()), ("X-WR-TIMEZON:Europe/Paris", 6, ()), ("X-WR-TIMEZONE;Europe/Paris", 6, ()), ("X-WR-TIMEZONEEurope/Paris", 6, ()),
        ("X-WR-TIMEZONE:Europe/Pari", 7, ("line 4: the zone that the calendar is shown in is not known: 'X-WR-TIMEZONE:Europe/Pari'; what repeats in UTC keeps that clock",)),
    ],
)  # fmt: skip
def test_the_zone_a_calendar_is_shown_in_counts_or_is_told(zone: str, summer: int, note: tuple[str, ...]) -> None:
    raw = calendar(
        zone, vevent("UID:1", "SUMMARY:a", "DTSTART:20260105T070000Z", "DURATION:PT1H", "RRULE:FREQ=MONTHLY;COUNT=7")
    )
    found = read(raw)

    assert told(found)[-1] == f"a 26-07-05T0{summer}:00 26-07-05T0{summer + 1}:00"
    assert found.notes == note


def test_a_calendar_that_was_cut_is_refused_wherever_it_was_cut() -> None:
    """Shifts that a cut took away must not end: only the last lines may be damaged."""
    raw = sample("google")
    for end in range(40, len(raw.rstrip()) - len("END:VCALENDAR")):
        with pytest.raises(BadFeed):
            read_feed(raw[:end], PARIS, FROM, TO)


def test_notes_are_counted_and_only_some_are_told() -> None:
    found = read(calendar(*(event(f"e{n}", "soon") for n in range(60)), event("one")))

    assert (len(found.notes), found.notes[-1], found.doubtful) == (MOST_NOTES + 1, "and 10 more", 60)
    assert from_json(as_json(found)) == found


def test_what_a_version_before_kept_can_be_read() -> None:
    old = b'{"events":[{"start":1,"end":2,"title":"a","invited":[],"organizer":null,"marked":[]}],"notes":["x"]}'

    assert from_json(old) == FeedEvents(from_json(old).events, ("x",), 1, "")


# ------------------------------------------------------------------------------- as RFC 5545 has it

RULES = [
    # UNTIL as a day covers that day, by the clock of the start
    (("DTSTART:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208"), ["26-12-07T07:00", "26-12-08T07:00"]),
    (("DTSTART;TZID=Europe/Paris:20261207T233000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208"), ["26-12-07T22:30", "26-12-08T22:30"]),
    (("DTSTART;TZID=America/New_York:20261207T233000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208"), ["26-12-08T04:30", "26-12-09T04:30"]),
    (("DTSTART:20261207T233000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208"), ["26-12-07T23:30", "26-12-08T23:30"]),
    (("DTSTART;VALUE=DATE:20261207", "RRULE:FREQ=DAILY;UNTIL=20261208"), ["26-12-06T23:00", "26-12-07T23:00"]),
    (("DTSTART;VALUE=DATE:20261207", "RRULE:FREQ=DAILY;UNTIL=20261208T000000Z"), ["26-12-06T23:00", "26-12-07T23:00"]),
    # a local UNTIL is of the start's zone
    (("DTSTART;TZID=America/New_York:20261207T200000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208T200000"), ["26-12-08T01:00", "26-12-09T01:00"]),
    (("DTSTART;TZID=Australia/Sydney:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208T080000"), ["26-12-06T21:00", "26-12-07T21:00"]),
    (("DTSTART;TZID=Australia/Sydney:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208T075959"), ["26-12-06T21:00"]),
    (("DTSTART:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208T070000Z"), ["26-12-07T07:00", "26-12-08T07:00"]),
    (("DTSTART:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;UNTIL=20261208T065959Z"), ["26-12-07T07:00"]),
    # the clock of the start, through a change
    (("DTSTART:20261024T090000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"), ["26-10-24T07:00", "26-10-25T08:00"]),
    (("DTSTART:20261024T090000Z", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=2"), ["26-10-24T09:00", "26-10-25T09:00"]),
    (("DTSTART:20260328T023000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3"), ["26-03-28T01:30", "26-03-29T01:00", "26-03-30T00:30"]),
    # left out and added in whatever kind of time
    (("DTSTART:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20261208T070000Z"), ["26-12-07T07:00", "26-12-09T07:00"]),
    (("DTSTART:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE;TZID=Asia/Tokyo:20261208T160000"), ["26-12-07T07:00", "26-12-09T07:00"]),
    (("DTSTART;TZID=Europe/Paris:20261207T080000", "DURATION:PT1H", "RRULE:FREQ=DAILY;COUNT=3", "EXDATE:20261208T080000"), ["26-12-07T07:00", "26-12-09T07:00"]),
    (("DTSTART:20261207T080000", "DURATION:PT1H", "RDATE;VALUE=DATE:20261210"), ["26-12-07T07:00", "26-12-10T07:00"]),
]  # fmt: skip


@pytest.mark.parametrize(("lines", "begin"), RULES, ids=[" ".join(lines) for lines, _ in RULES])
def test_repetitions_are_as_rfc_5545_has_them(lines: tuple[str, ...], begin: list[str]) -> None:
    found = read(calendar(vevent("UID:1", "SUMMARY:a", *lines)))

    assert [one.split()[1] for one in told(found)] == begin
    assert found.notes == ()


@pytest.mark.parametrize(
    ("lines", "spans"),
    [
        # PT24H is exact, P1D is the same time of the next day
        (("DTSTART;TZID=Europe/Paris:20261024T090000", "DURATION:PT24H"), ["26-10-24T07:00 26-10-25T07:00"]),
        (("DTSTART;TZID=Europe/Paris:20261024T090000", "DURATION:P1D"), ["26-10-24T07:00 26-10-25T08:00"]),
        (("DTSTART;TZID=Europe/Paris:20261024T090000", "DURATION:P1DT2H"), ["26-10-24T07:00 26-10-25T10:00"]),
        (("DTSTART;TZID=Europe/Paris:20260328T090000", "DURATION:PT24H"), ["26-03-28T08:00 26-03-29T08:00"]),
        (("DTSTART;TZID=Europe/Paris:20260328T090000", "DURATION:P1D"), ["26-03-28T08:00 26-03-29T07:00"]),
        (("DTSTART:20261024T090000", "DURATION:PT24H"), ["26-10-24T07:00 26-10-25T07:00"]),
        (("DTSTART:20261024T090000", "DURATION:P1W"), ["26-10-24T07:00 26-10-31T08:00"]),
        (("DTSTART;VALUE=DATE:20261025", "DURATION:P1D"), ["26-10-24T22:00 26-10-25T23:00"]),
        (("DTSTART;VALUE=DATE:20261025", "DURATION:PT24H"), ["26-10-24T22:00 26-10-25T22:00"]),
        (
            ("DTSTART;TZID=Europe/Paris:20261017T090000", "DURATION:PT24H", "RRULE:FREQ=WEEKLY;COUNT=2"),
            ["26-10-17T07:00 26-10-18T07:00", "26-10-24T07:00 26-10-25T07:00"],
        ),
        (
            ("DTSTART;TZID=Europe/Paris:20261017T090000", "DTEND;TZID=Europe/Paris:20261018T090000", "RRULE:FREQ=WEEKLY;COUNT=2"),
            ["26-10-17T07:00 26-10-18T07:00", "26-10-24T07:00 26-10-25T08:00"],  # as calendars show it
        ),
        (("DTSTART:20261025T020000", "DTEND:20261025T030000"), ["26-10-25T00:00 26-10-25T02:00"]),
    ],
)  # fmt: skip
def test_lengths_over_a_change_of_the_clock(lines: tuple[str, ...], spans: list[str]) -> None:
    assert told(read(calendar(vevent("UID:1", "SUMMARY:a", *lines)))) == [f"a {span}" for span in spans]


@pytest.mark.parametrize("shown_in", ["", "X-WR-TIMEZONE:America/New_York"])
def test_times_without_a_zone_are_the_schedules_whatever_the_calendar_is_shown_in(shown_in: str) -> None:
    raw = calendar(
        shown_in,
        vevent("UID:1", "SUMMARY:a", "DTSTART:20260327T090000", "DTEND:20260327T100000", "RRULE:FREQ=DAILY;COUNT=3"),
    )

    assert [one[2:14] for one in told(read(raw, timezone="Australia/Sydney"))] == [
        "26-03-26T22:",
        "26-03-27T22:",
        "26-03-28T22:",
    ]
    assert [one[2:14] for one in told(read(raw, timezone=PARIS))] == ["26-03-27T08:", "26-03-28T08:", "26-03-29T07:"]


ZONE = """BEGIN:VTIMEZONE
TZID:Ours
BEGIN:STANDARD
DTSTART:20001029T030000
TZOFFSETFROM:+0200
TZOFFSETTO:+0100
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10
END:STANDARD
BEGIN:DAYLIGHT
DTSTART:20000326T020000
TZOFFSETFROM:+0100
TZOFFSETTO:+0200
RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=3
END:DAYLIGHT
END:VTIMEZONE"""
OURS = vevent(
    "UID:1",
    "SUMMARY:a",
    "DTSTART;TZID=Ours:20261024T090000",
    "DTEND;TZID=Ours:20261024T100000",
    "RRULE:FREQ=DAILY;COUNT=2",
)


@pytest.mark.parametrize("number", range(len(ZONE.splitlines())))
@pytest.mark.parametrize("damage", ["", "?", "TZOFFSETTO:+1x00"])
def test_a_damaged_definition_of_a_zone_is_used_as_the_copy_before_has_it(number: int, damage: str) -> None:
    lines = ZONE.splitlines()
    lines[number] = damage
    moved = OURS.replace("T100000", "T110000")
    before = calendar(ZONE, OURS)
    damaged = calendar("\n".join(line for line in lines if line), moved)
    found = read(damaged, before, "Asia/Tokyo")

    expected = ["a 26-10-24T07:00 26-10-24T09:00", "a 26-10-25T08:00 26-10-25T10:00"]
    stays = ["a 26-10-24T07:00 26-10-24T08:00", "a 26-10-25T08:00 26-10-25T09:00"]
    assert told(found) in (expected, stays)
    assert told(read(damaged, found, "Asia/Tokyo")) == told(found), "the next time too"


@pytest.mark.parametrize(
    ("line", "damaged"),
    [
        ("TZOFFSETTO:+0100", "TZOFFSETTO : +0100"), ("TZOFFSETTO:+0100", "TZOFFSETTO:=+0100"), ("TZOFFSETTO:+0100", "TZOFFSETTO:+000"),
        ("BYMONTH=10", "BYMONTH=10=0D"), ("RRULE:FREQ=YEARLY;BYDAY=-1SU;BYMONTH=10", "RRULE:FREQ=YEARLY;BYD"),
    ],
)  # fmt: skip
def test_what_a_zones_definition_says_unsoundly_is_not_guessed(line: str, damaged: str) -> None:
    good, bad = calendar(ZONE, OURS), calendar(ZONE.replace(line, damaged), OURS)

    assert told(read(bad, good, "Asia/Tokyo")) == told(read(good))
    assert (
        "has a time zone 'Ours' that is not known, and Asia/Tokyo is taken" in read(bad, timezone="Asia/Tokyo").notes[0]
    )


def test_blanks_at_the_ends_of_a_zones_lines_do_not_matter() -> None:
    assert told(read(calendar("\n".join(f"{line} " for line in ZONE.splitlines()), OURS))) == told(
        read(calendar(ZONE, OURS))
    )


# ----------------------------------------------------------------------------- any line damaged

GOOD = calendar(
    ZONE,
    vevent("UID:a", "SUMMARY:alpha", "DTSTART;TZID=Ours:20261207T090000", "DTEND;TZID=Ours:20261207T170000", "RRULE:FREQ=WEEKLY;BYDAY=MO,TU;UNTIL=20261231",
           "EXDATE;TZID=Ours:20261214T090000", "BEGIN:VALARM", "ACTION:DISPLAY", "TRIGGER:-PT15M", "DURATION:PT5M", "END:VALARM"),
    vevent("UID:a", "RECURRENCE-ID;TZID=Ours:20261215T090000", "SUMMARY:alpha moved", "DTSTART;TZID=Ours:20261216T090000", "DURATION:PT8H"),
    vevent("UID:b", "SUMMARY:beta", "DTSTART;VALUE=DATE:20261208", "DTEND;VALUE=DATE:20261210", "ATTENDEE;CN=Ana:mailto:ana@example.org"),
    vevent("UID:c", "SUMMARY:gam\n ma", "DTSTART:20261209T090000", "DURATION:PT24H", "RRULE:FREQ=MONTHLY;COUNT=2", "RDATE:20261220T090000"),
    vevent("UID:d", "SUMMARY:delta", "DTSTART:20261211T090000Z", "DTEND:20261211T100000Z", "STATUS:CONFIRMED"),
).replace(b"SUMMARY:gam\r\nma", b"SUMMARY:gam\r\n ma")  # fmt: skip
LINES = GOOD.split(b"\r\n")[:-1]


def owners() -> list[str]:
    """To whom each line belongs: the first three letters of the event's title; "" for the calendar's own."""
    found, begun = [""] * len(LINES), 0
    for number, line in enumerate(LINES):
        begun = number if line == b"BEGIN:VEVENT" else begun
        if line.startswith(b"SUMMARY"):
            end = LINES.index(b"END:VEVENT", number) + 1
            found[begun:end] = [line.decode()[8:11]] * (end - begun)
    return found


OWNERS = owners()
ZONES = range(LINES.index(b"BEGIN:VTIMEZONE"), LINES.index(b"END:VTIMEZONE") + 1)
OF_THE_ZONE = "alp"


def damages(number: int, all_of_them: bool) -> Iterator[bytes]:
    """The calendar with this line damaged; lines of a zone only so that they say nothing that could be meant."""
    line = LINES[number]
    always = (
        b"",
        b"???",
        line[: len(line) // 2],
        b"\xff\xfe" + line,
        line.replace(b":", b""),
        b"DTSTART:",
        b"RRULE:FREQ=DAILY;BYDAY=",
    )
    subtle = (line[:-1], line + b"x", b" " + line, line[1:], line + b"\r\n" + line, line.replace(b":", b";", 1), line.swapcase(),
              line.replace(b"2026", b"9999"), b"BEGIN:VEVENT", b"END:VEVENT")  # fmt: skip
    for instead in (*always, *(subtle if all_of_them and number not in ZONES else ())):
        yield b"\r\n".join([*LINES[:number], *([instead] if instead else []), *LINES[number + 1 :], b""])


def the_others(found: FeedEvents, but: str) -> list[str]:
    """All but the events of that title, and one that has lost its title."""
    return [one for one in told(found) if one[:3] != but and one[:3] in OWNERS]


@pytest.mark.parametrize("number", range(len(LINES)))
@pytest.mark.parametrize("with_copy", [True, False], ids=["with a copy", "first read"])
def test_any_line_of_a_good_feed_damaged_leaves_the_other_events_as_they_were(number: int, with_copy: bool) -> None:
    sound = read(GOOD)
    assert len(sound.events) == 11
    assert sound.notes == ()
    # without a copy a zone that is defined nowhere else costs those that need it
    but = OF_THE_ZONE if number in ZONES and not with_copy else OWNERS[number]
    for damaged in damages(number, with_copy):
        if damaged == GOOD:
            continue
        try:
            found = read(damaged, GOOD if with_copy else b"")
        except BadFeed:
            assert number == len(LINES) - 1, damaged.split(b"\r\n")[number]  # cut short, it seems: the copy stays
            continue
        assert the_others(found, but) == the_others(sound, but), damaged.split(b"\r\n")[number]


@settings(max_examples=150, deadline=None)
@given(
    st.integers(0, len(LINES) - 2), st.binary(max_size=40).filter(lambda text: b"\n" not in text and b"\r" not in text)
)
def test_whatever_stands_in_a_line_the_other_events_are_as_they_were(number: int, instead: bytes) -> None:
    mine = OWNERS[number]
    damaged = b"\r\n".join([*LINES[:number], instead, *LINES[number + 1 :], b""])

    assert the_others(read(damaged, GOOD), mine) == the_others(read(GOOD), mine)


def test_a_day_and_a_time_are_told_from_one_another() -> None:
    assert (
        Instant(0)
        < read(calendar(vevent("UID:1", "SUMMARY:a", "DTSTART;VALUE=DATE:20261207", "DTEND:20261207T120000Z")))
        .events[0]
        .end
    )
