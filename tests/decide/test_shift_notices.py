"""Whose turn begins when, who is told of it, and in which words: written dates."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from tocsin.decide.oncall.reach import People
from tocsin.decide.oncall.resolver import local_instant
from tocsin.decide.paging.shift_notices import (
    Notice,
    Which,
    due_notices,
    end_of_turn,
    notice_text,
    out_of_time,
    quiet_contact,
    serves,
    turns,
)
from tocsin.model import (
    MINUTE,
    ChannelConfig,
    Contact,
    Instant,
    Layer,
    Millis,
    NotifyRule,
    Override,
    Policy,
    Rotation,
    Schedule,
    Settings,
    Step,
    Target,
    User,
)


def at(text: str, zone: str = "Europe/Paris") -> Instant:
    return local_instant(text, zone)


def weekly(*users: tuple[str, ...], overrides: tuple[Override, ...] = (), ahead: int = 30 * MINUTE) -> Schedule:
    layer = Layer("week", users, Rotation(1, "weeks", "2026-01-05T09:00"))
    return Schedule("primary", "Europe/Paris", (layer,), overrides, handoff_notice=Millis(ahead))


def due(schedule: Schedule, now: str, *extra: Override) -> list[str]:
    return [
        f"{one.user} {one.which} {datetime.fromtimestamp(one.start // 1000, UTC):%a %H:%M}"
        for one in due_notices(schedule, at(now), extra)
    ]


ANA_BO = weekly(("ana",), ("bo",))

DUE = [
    ("2026-01-12 08:29", ["ana at Mon 08:00"]),
    ("2026-01-12 08:30", ["ana at Mon 08:00", "bo before Mon 08:00"]),
    ("2026-01-12 08:59", ["ana at Mon 08:00", "bo before Mon 08:00"]),
    ("2026-01-12 09:00", ["bo at Mon 08:00"]),
    ("2026-01-05 08:45", ["ana before Mon 08:00"]),  # nobody was on call before
]


@pytest.mark.parametrize(("now", "told"), DUE)
def test_a_notice_is_due_from_its_lead_until_the_handoff_and_at_it(now: str, told: list[str]) -> None:
    assert due(ANA_BO, now) == told


def test_who_stays_is_not_told() -> None:
    together = weekly(("ana", "bo"), ("bo", "chen"))

    assert due(together, "2026-01-12 08:45") == ["ana at Mon 08:00", "bo at Mon 08:00", "chen before Mon 08:00"]


def test_who_never_hands_over_is_told_when_it_began_and_not_again() -> None:
    alone = weekly(("ana",))

    assert due(alone, "2026-01-05 09:00") == ["ana at Mon 08:00"]
    assert due(alone, "2026-01-26 08:45") == []


def test_an_override_made_at_run_time_is_a_turn() -> None:
    grace = Override(("grace",), "2026-01-12T08:40", "2026-01-12T08:50", id="o1")

    assert due(ANA_BO, "2026-01-12 08:30", grace) == [
        "ana at Mon 08:00", "grace before Mon 07:40", "ana before Mon 07:50", "bo before Mon 08:00"
    ]  # fmt: skip
    assert due(ANA_BO, "2026-01-12 08:45", grace)[0] == "grace at Mon 07:40"


def test_a_colleague_who_steps_in_beside_is_the_only_one_told() -> None:
    added = Override(("grace",), "2026-01-07T12:00", "2026-01-07T14:00", mode="add", id="o1")

    assert due(ANA_BO, "2026-01-07 11:45", added) == ["ana at Mon 08:00", "grace before Wed 11:00"]


def test_a_gap_ends_a_turn() -> None:
    removed = Override(("ana",), "2026-01-07T12:00", "2026-01-07T14:00", mode="remove", id="o1")

    found = list(turns(ANA_BO, at("2026-01-05 08:00"), at("2026-01-08 00:00"), (removed,)))

    assert [(one.user, one.start, one.end) for one in found] == [
        ("ana", at("2026-01-05 09:00"), at("2026-01-07 12:00")),
        ("ana", at("2026-01-07 14:00"), None),
    ]


def test_a_schedule_without_the_key_tells_nobody() -> None:
    silent = Schedule("primary", "Europe/Paris", ANA_BO.layers)

    assert due_notices(silent, at("2026-01-12 08:45")) == []


def test_the_end_of_a_turn_is_looked_up_beyond_the_notice() -> None:
    before = next(one for one in due_notices(ANA_BO, at("2026-01-12 08:45")) if one.user == "bo")

    assert end_of_turn(before, ANA_BO) == at("2026-01-19 09:00")
    assert end_of_turn(Notice("primary", "ana", "at", at("2026-01-05 09:00"), None), weekly(("ana",))) is None


# ------------------------------------------------------------------------------------------- words


@pytest.mark.parametrize(
    ("which", "zone", "end", "said"),
    [
        ("before", "Europe/Paris", "2026-01-19 09:00",
         "You are on call for primary from Mon 09:00 (Europe/Paris) until Mon 19 Jan 09:00."),
        ("before", "Asia/Tokyo", "2026-01-12 21:00",
         "You are on call for primary from Mon 17:00 (Asia/Tokyo) until Tue 05:00."),
        ("at", "Europe/Paris", "", "You are on call for primary now, since Mon 09:00 (Europe/Paris)."),
    ],
)  # fmt: skip
def test_a_notice_speaks_the_persons_own_time(which: Which, zone: str, end: str, said: str) -> None:
    notice = Notice("primary", "bo", which, at("2026-01-12 09:00"), at(end) if end else None)

    assert notice_text(notice, User("bo", "Bo", zone), "", ()).splitlines()[0] == said


# ------------------------------------------------------------------------------------ out of time


@pytest.mark.parametrize(
    ("which", "planned", "now", "stale"),
    [
        ("before", "08:30", "08:59", ""),
        ("before", "08:30", "09:00", "the shift has begun"),
        ("at", "09:00", "20:59", ""),
        ("at", "09:00", "21:01", "it found no way out in time"),
    ],
)
def test_a_notice_that_came_too_late_is_no_news(which: Which, planned: str, now: str, stale: str) -> None:
    key = Notice("primary", "bo", which, at("2026-01-12 09:00"), None).key

    assert out_of_time(key, at(f"2026-01-12 {planned}"), at(f"2026-01-12 {now}")) == stale


# ------------------------------------------------------------------------------------ the contact

CHANNELS = {
    name: ChannelConfig(name, type)
    for name, type in (("sms", "twilio_sms"), ("voice", "twilio_voice"), ("mail", "smtp"))
}
SETTINGS = Settings(channels=CHANNELS)


def over(names: str, low: str, now: str, *, which: Which = "before", dead: str = "") -> str | None:
    contacts = {name: Contact(name, name, "x") for name in names.split()}
    notify = {"low": (NotifyRule((low,)),)} if low else {}
    user = User("bo", "Bo", "Europe/Paris", contacts=contacts, notify=notify)
    people = People(unusable=lambda contact: contact.name == dead)
    notice = Notice("primary", "bo", which, at("2026-01-12 09:00"), None)
    found = quiet_contact(user, SETTINGS, people, notice, at(now), lambda contact: contact.name == "voice")
    return found.name if found is not None else None


NOON, NIGHT = "2026-01-12 12:00", "2026-01-12 23:00"


@pytest.mark.parametrize(
    ("names", "low", "now", "chosen"),
    [
        ("sms voice mail", "", NOON, "mail"),
        ("voice sms", "", NOON, "sms"),
        ("voice sms", "voice", NOON, "voice"),
        ("voice sms", "voice", NIGHT, "sms"),
        ("voice", "", NIGHT, "voice"),
        ("sms", "", NIGHT, "sms"),
        ("", "", NOON, None),
    ],
)
def test_the_quiet_way(names: str, low: str, now: str, chosen: str | None) -> None:
    assert over(names, low, now) == chosen


def test_a_dead_contact_is_passed_over() -> None:
    assert over("sms voice mail", "", NOON, dead="mail") == "sms"


def test_nobody_is_called_about_a_shift_that_began_long_ago() -> None:
    assert over("voice", "", "2026-01-12 09:05", which="at") == "voice"
    assert over("voice", "", "2026-01-12 09:11", which="at") is None
    assert over("voice sms", "voice", "2026-01-12 09:11", which="at") == "sms"


def test_a_schedule_serves_the_policies_that_ask_it() -> None:
    asked, other = (Policy("p", (Step((Target("schedule", name),)),)) for name in ("primary", "secondary"))
    settings = Settings(catch_all=(Target("schedule", "primary"),))

    assert serves(asked, "primary", settings)
    assert not serves(other, "primary", settings)
    assert serves(None, "primary", settings)
    assert not serves(None, "secondary", settings)
