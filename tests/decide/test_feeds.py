"""What a calendar feed says, and whom it means."""

from __future__ import annotations

import time
from datetime import datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.decide.oncall.feeds import Fed, FeedEvent, FeedEvents, as_json, from_json, growing, names_of, shifts_of
from tocsin.decide.oncall.ical import MOST_EVENTS, read_feed
from tocsin.errors import BadFeed
from tocsin.model import Contact, Ical, Instant, Schedule, Secret, User, instant, rfc3339

SAMPLES = Path(__file__).parent.parent / "samples" / "ical"


def at(text: str) -> Instant:
    return instant(datetime.fromisoformat(text))


FROM, TO = at("2025-12-01T00:00:00Z"), at("2027-01-01T00:00:00Z")


def user(key: str, name: str, mail: str) -> User:
    return User(key, name, "UTC", contacts={"mail": Contact("mail", "mail", mail)})


USERS = {
    one.key: one
    for one in (
        user("ana", "Ana Pires", "ana@example.org"),
        user("bo", "Bo Dahl", "bo.dahl@example.org"),
        user("chen", "Chen", "chen@example.org"),
        user("grace", "Grace Hopper", "grace@example.org"),
        user("sam1", "Sam Smith", "sam1@example.org"),
        user("sam2", "Sam Smith", "sam2@example.org"),
    )
}


def schedule(timezone: str = "Europe/Paris", **people: str) -> Schedule:
    return Schedule("primary", timezone, (), ical=Ical(Secret(("https://x",)), people=people))


def calendar(*lines: str) -> bytes:
    body = "\r\n".join(line.strip() for text in lines for line in text.strip().splitlines())
    return f"BEGIN:VCALENDAR\r\nVERSION:2.0\r\nPRODID:-//x//y//EN\r\n{body}\r\nEND:VCALENDAR\r\n".encode()


def event(title: str, start: str = "20260105T080000Z", end: str = "20260105T090000Z", *more: str) -> str:
    return "\n".join(
        ["BEGIN:VEVENT", f"UID:{title}-{start}", f"SUMMARY:{title}", f"DTSTART{start if start[0] in ':;' else ':' + start}",
         f"DTEND{end if end[0] in ':;' else ':' + end}", *more, "END:VEVENT"]
    )  # fmt: skip


def shifts(raw: bytes, timezone: str = "Europe/Paris", **people: str) -> list[str]:
    """ "2026-01-05T08:00:00Z 2026-01-05T09:00:00Z ana+bo" of each shift."""
    plan = schedule(timezone, **people)
    found = shifts_of(read_feed(raw, timezone, FROM, TO), names_of(plan, USERS))
    return [f"{rfc3339(one.start)} {rfc3339(one.end)} {'+'.join(one.users)}" for one in found.shifts]


def sample(name: str) -> bytes:
    return (SAMPLES / f"{name}.ics").read_bytes()


# ------------------------------------------------------------------------------------ real shapes


def test_pagerdutys_feed_names_the_person_in_the_title_and_invites_them() -> None:
    assert shifts(sample("pagerduty")) == [
        "2026-01-05T08:00:00Z 2026-01-12T08:00:00Z ana",
        "2026-01-12T08:00:00Z 2026-01-19T08:00:00Z bo",
    ]
    read = read_feed(sample("pagerduty"), "UTC", FROM, TO)
    assert shifts_of(read, names_of(schedule(), USERS)).unknown == ("Zoe Zed",)


def test_googles_feed_repeats_moves_cancels_and_has_days() -> None:
    assert shifts(sample("google"), "Europe/Lisbon") == [
        "2026-03-02T09:00:00Z 2026-03-02T17:00:00Z ana",
        "2026-03-09T09:00:00Z 2026-03-09T17:00:00Z ana",
        # 16 March is left out by EXDATE; 23 March was moved, and given to Bo; 30 March is cancelled
        "2026-03-23T12:00:00Z 2026-03-23T20:00:00Z bo",
        "2026-04-03T23:00:00Z 2026-04-05T23:00:00Z ana+bo",  # two days of summer time
        "2026-04-06T08:00:00Z 2026-04-06T16:00:00Z ana",
        "2026-04-13T08:00:00Z 2026-04-13T16:00:00Z ana",
        "2026-04-20T08:00:00Z 2026-04-20T16:00:00Z ana",
        "2026-04-27T08:00:00Z 2026-04-27T16:00:00Z ana",
    ]


def test_outlooks_feed_has_microsofts_names_of_zones_with_and_without_a_definition() -> None:
    assert shifts(sample("outlook"), "UTC", Bereitschaft="ana") == [
        "2026-03-20T17:00:00Z 2026-03-21T05:00:00Z bo",
        "2026-04-01T06:00:00Z 2026-04-01T14:00:00Z ana",
        "2026-04-03T16:00:00Z 2026-04-04T04:00:00Z bo",
        "2026-04-17T16:00:00Z 2026-04-18T04:00:00Z bo",
    ]


# ------------------------------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("start", "end", "shift"),
    [
        ("20260105T080000Z", "20260105T090000Z", "2026-01-05T08:00:00Z 2026-01-05T09:00:00Z"),
        ("20260105T080000", "20260105T090000", "2026-01-05T07:00:00Z 2026-01-05T08:00:00Z"),  # floating: Paris
        (";VALUE=DATE:20260105", ";VALUE=DATE:20260112", "2026-01-04T23:00:00Z 2026-01-11T23:00:00Z"),
        (";TZID=America/Chicago:20260308T013000", ";TZID=America/Chicago:20260308T033000",
         "2026-03-08T07:30:00Z 2026-03-08T08:30:00Z"),  # an hour that night
        (";TZID=Mars/Base:20260105T080000", ";TZID=Mars/Base:20260105T090000", "2026-01-05T07:00:00Z 2026-01-05T08:00:00Z"),
    ],
)  # fmt: skip
def test_times_are_what_their_zone_says_or_the_schedules(start: str, end: str, shift: str) -> None:
    assert shifts(calendar(event("chen", start, end))) == [f"{shift} chen"]


@pytest.mark.parametrize(
    ("lines", "note"),
    [
        (event("a", ";TZID=Mars/Base:20260105T080000", "20260105T090000Z"), "line 7: the event 'a' has a time zone 'Mars/Base' that is not known, and Europe/Paris is taken"),
        (event("a", "soon"), "line 7: the event 'a' has no usable start: 'soon' is no time, and is left out"),
        (event("a", "20260105T080000Z", "20260104T080000Z"), "line 8: the event 'a' ends before it starts, and is left out"),
        (event("a", "20260105T080000Z", "20260105T080001Z", "RRULE:FREQ=SECONDLY"), "line 9: the event 'a' repeats by the minute or second, and is left out"),
    ],
)  # fmt: skip
def test_what_cannot_be_used_is_noted_and_the_rest_is_kept(lines: str, note: str) -> None:
    read = read_feed(calendar(lines, event("chen")), "Europe/Paris", FROM, TO)
    assert read.notes == (note,)
    assert "chen" in [one.title for one in read.events]


def test_cancelled_events_and_those_of_no_length_are_none() -> None:
    raw = calendar(
        event("chen", "20260105T080000Z", "20260105T090000Z", "STATUS:CANCELLED"),
        event("chen", "20260106T080000Z", "20260106T080000Z"),
        event("chen", "20200106T080000Z", "20200106T090000Z"),
    )
    assert shifts(raw) == []


@pytest.mark.parametrize(
    ("raw", "said"),
    [
        (b"", "is not a calendar: it begins with 'nothing'"),
        (
            b"<!DOCTYPE html><title>Sign in</title>",
            "is not a calendar: it begins with '<!DOCTYPE html><title>Sign in</title>'",
        ),
        (sample("google")[:900], "is cut short: END:VCALENDAR is missing"),
        (b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\nEND:VCALENDAR", "is not a calendar: "),
        (calendar("CALSCALE:HEBREW", event("a")), "cannot be read: Only Gregorian calendars are supported."),
    ],
)
def test_what_is_no_calendar_is_refused(raw: bytes, said: str) -> None:
    with pytest.raises(BadFeed) as refused:
        read_feed(raw, "UTC", FROM, TO)
    assert str(refused.value).startswith(said)


def test_a_calendar_has_only_so_many_events() -> None:
    often = "\n".join(
        f"RDATE:2026010{day}T{hour:02}{minute:02}00Z"
        for day in range(1, 8)
        for hour in range(24)
        for minute in range(2)
    )
    raw = calendar(*(event(f"e{n}", "20260105T080000Z", "20260105T090000Z", often) for n in range(62)))
    with pytest.raises(BadFeed, match=f"more than {MOST_EVENTS} events"):
        read_feed(raw, "UTC", FROM, TO)


PIECES = st.sampled_from(
    [*sample("google").splitlines(keepends=True), *sample("outlook").splitlines(keepends=True), b"RRULE:FREQ=DAILY;COUNT=x\r\n",
     b"EXDATE:1\r\n", b"DURATION:-P1D\r\n", b"DTEND;VALUE=DATE:20260101\r\n", b"RECURRENCE-ID:20260101\r\n", b"\xff:\r\n"]
)  # fmt: skip


@settings(max_examples=60, deadline=None)
@given(st.lists(PIECES, max_size=25))
def test_whatever_the_lines_a_feed_is_read_or_refused(pieces: list[bytes]) -> None:
    body = b"".join(one for one in pieces if not one.startswith((b"BEGIN:VCAL", b"END:VCAL")))
    raw = b"BEGIN:VCALENDAR\r\n" + body + b"END:VCALENDAR\r\n"
    try:
        read = read_feed(raw, "UTC", FROM, TO)
    except BadFeed:
        return
    assert from_json(as_json(read)) == read


# ------------------------------------------------------------------------------------- who is meant

ANA, BO, GRACE, ZOE = (
    ("ana@example.org", "Ana Pires"), ("bo.dahl@example.org", "Bo Dahl"), ("grace@example.org", "Grace Hopper"),
    ("zoe@elsewhere.example", "Zoe Zed"),
)  # fmt: skip


@pytest.mark.parametrize(
    ("title", "invited", "organizer", "users", "unknown"),
    [
        # the title
        ("Ana Pires", (), None, "ana", ()),
        ("  ANA   pires ", (), None, "ana", ()),
        ("ana", (), None, "ana", ()),
        ("ana@example.org", (), None, "ana", ()),
        ("On-call: ana, bo", (), None, "ana bo", ()),
        ("On call: ana and zoe", (), None, "ana", ("zoe",)),
        ("Chen (on call)", (), None, "chen", ()),
        ("Primary on-call | Bo Dahl", (), None, "bo", ()),
        ("Bereitschaft von Bo Dahl, Woche 3", (), None, "bo", ()),
        ("On Call - Ana Pires - Bo Dahl's schedule", (), None, "ana", ()),
        ("On Call - Zoe Zed - Bo Dahl's schedule", (), None, "", ("Zoe Zed",)),
        ("Sam Smith", (), None, "", ("Sam Smith (could be sam1 or sam2)",)),
        ("Anabel", (), None, "", ("Anabel",)),
        ("", (), None, "", ("an event without a title",)),
        # the title beats the invited
        ("Bo Dahl", (ANA,), ANA, "bo", ()),
        ("Bo Dahl", (), GRACE, "bo", ()),
        # the invited
        ("On call", (ANA,), None, "ana", ()),
        ("On call", (ANA, BO), None, "ana bo", ()),
        ("On call", (GRACE, ANA), GRACE, "ana", ()),          # an organizer among several organises
        ("On call", (GRACE,), GRACE, "grace", ()),
        ("On call", (("", "Ana Pires"),), None, "ana", ()),
        ("On call", (("a.pires@private.example", "Ana Pires"),), None, "ana", ()),
        ("On call", (ANA, ZOE), None, "ana", ("Zoe Zed",)),
        # nobody else is paged for a person who is not known
        ("On call", (ZOE,), GRACE, "", ("Zoe Zed",)),
        ("Zoe Zed", (), GRACE, "", ("Zoe Zed",)),
        ("On call", (GRACE, ZOE), GRACE, "", ("Zoe Zed",)),
        # the organizer, where nobody is named at all
        ("On call", (), ANA, "ana", ()),
        ("", (), ANA, "ana", ()),
        ("Night shift 2", (), ("", "Ana Pires"), "ana", ()),
    ],
)  # fmt: skip
def test_whom_an_event_means(
    title: str,
    invited: tuple[tuple[str, str], ...],
    organizer: tuple[str, str] | None,
    users: str,
    unknown: tuple[str, ...],
) -> None:
    read = FeedEvents((FeedEvent(FROM, TO, title, tuple(invited), organizer),))
    found = shifts_of(read, names_of(schedule(), USERS))
    assert [" ".join(one.users) for one in found.shifts] == ([users] if users else [])
    assert found.unknown == unknown


def test_the_schedules_own_names_beat_those_of_the_users() -> None:
    read = FeedEvents(
        (FeedEvent(FROM, TO, "Zoe Zed"), FeedEvent(FROM, TO, "On Call - Sam Smith - x"), FeedEvent(FROM, TO, "ana"))
    )
    plan = schedule(**{"zoe zed": "chen", "Sam Smith": "sam2", "ana": "bo"})
    assert [one.users for one in shifts_of(read, names_of(plan, USERS)).shifts] == [("chen",), ("sam2",), ("bo",)]


def test_an_invitation_that_was_declined_is_none() -> None:
    raw = calendar(
        event("On call", "20260105T080000Z", "20260105T090000Z", "ATTENDEE;PARTSTAT=DECLINED:mailto:ana@example.org",
              "ATTENDEE;CN=Bo:MAILTO:Bo.Dahl@example.org")
    )  # fmt: skip
    assert shifts(raw) == ["2026-01-05T08:00:00Z 2026-01-05T09:00:00Z bo"]


def test_a_long_calendar_is_looked_through_a_slice_at_a_time() -> None:
    events = tuple(
        FeedEvent(Instant(FROM + n), TO, f"Ana Pires, week {n}" if n % 2 else f"Zed {n}") for n in range(1_000)
    )
    names = names_of(schedule(), USERS)
    steps = list(growing(FeedEvents(events), names))
    assert [len(one.shifts) for one in steps] == [100, 200, 300, 400, 500]
    assert steps[-1] == shifts_of(FeedEvents(events), names)
    assert list(growing(FeedEvents(), names)) == [Fed((), ())]


def test_many_events_of_strangers_and_many_people_take_no_time_worth_mentioning() -> None:
    users = {f"u{n}": user(f"u{n}", f"Person Number{n}", f"u{n}@example.org") for n in range(300)}
    read = FeedEvents(tuple(FeedEvent(FROM, TO, f"{'word ' * 38}{n}") for n in range(4_000)))
    started = time.process_time()
    assert shifts_of(read, names_of(schedule(), users)).shifts == ()
    assert time.process_time() - started < 4  # of the 16 that it took name by name


def test_only_so_many_people_of_one_event_are_looked_at() -> None:
    crowd = "\r\n".join(f"ATTENDEE;CN=P{n}:mailto:p{n}@example.org" for n in range(500))
    [found] = read_feed(
        calendar(event("On call", "20260105T080000Z", "20260105T090000Z", crowd)), "UTC", FROM, TO
    ).events
    assert len(found.invited) == 50
