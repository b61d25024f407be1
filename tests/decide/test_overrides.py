"""Overrides made at run time, as the resolver sees them: a plain reading of the rules agrees at every minute."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.decide.oncall.overrides import Asked, Mode, Window, Wrong, checked, effective, extra_of, state_of
from tocsin.decide.oncall.reach import People, whom
from tocsin.decide.oncall.resolver import local_instant, next_on_call, on_call, shifts
from tocsin.model import DAY, HOUR, MINUTE, Instant, Layer, MadeOverride, Rotation, Schedule, Settings, Target, User

ZONE = "Europe/Paris"
START = local_instant("2026-10-24T12:00", ZONE)  # the clocks go back in the night
SPAN = 2 * DAY
PEOPLE = ("ana", "bo", "chen")
PRIMARY = Schedule(
    "primary", ZONE, (Layer("days", (("ana",), ("bo", "chen")), Rotation(8, "hours", "2026-10-24T09:00")),)
)
SETTINGS = Settings(
    hash="h", source="", users={key: User(key, key, ZONE) for key in PEOPLE}, schedules={"primary": PRIMARY}
)

minutes = st.integers(-60, SPAN // MINUTE + 60)


@st.composite
def made(draw: st.DrawFn, number: int = 0) -> MadeOverride:
    start, length, created = draw(minutes), draw(st.integers(1, 900)), draw(minutes)
    mode: Mode = draw(st.sampled_from(["replace", "replace", "add", "remove"]))
    removed = draw(st.none() | st.integers(created, created + 900))
    return MadeOverride(
        "", "primary",
        tuple(draw(st.lists(st.sampled_from((*PEOPLE, "gone")), min_size=mode != "remove", max_size=2, unique=True))),
        Instant(START + start * MINUTE), Instant(START + (start + length) * MINUTE),
        draw(st.none() | st.sampled_from(PEOPLE)) if mode != "add" else None, mode, "ana", "",
        Instant(START + created * MINUTE), removed_at=None if removed is None else Instant(START + removed * MINUTE),
    )  # fmt: skip


def read_plainly(every: list[MadeOverride], at: Instant) -> list[str]:
    """Who is on call, by the sentences of the manual, one after the other."""
    who = list(on_call(PRIMARY, at).users)
    for one in every:
        known = [user for user in one.users if user in PEOPLE]
        begun = one.starts_at <= at and one.created_at <= at
        over = one.ends_at <= at or (one.removed_at is not None and one.removed_at <= at)
        if (one.users and not known) or not begun or over:
            continue
        if one.mode == "add":
            who += [user for user in known if user not in who]
        elif one.mode == "remove":
            away = known or ([one.replaces] if one.replaces else who)
            who = [user for user in who if user not in away]
        elif one.replaces is None:
            who = known
        elif one.replaces in who:
            place = who.index(one.replaces)
            who = list(dict.fromkeys([*who[:place], *known, *who[place + 1 :]]))
    return who


@settings(max_examples=150, deadline=None)
@given(st.lists(made(), max_size=6), st.lists(st.integers(0, SPAN // MINUTE), min_size=1, max_size=20))
def test_a_plain_reading_agrees_with_paging_shifts_and_the_look_ahead(
    every: list[MadeOverride], sampled: list[int]
) -> None:
    extra = extra_of(every, SETTINGS)
    own = extra.get("primary", ())
    window = shifts(PRIMARY, START, Instant(START + SPAN + MINUTE), own)
    people = People(extra)
    for minute in sampled:
        at = Instant(START + minute * MINUTE)
        expected = tuple(read_plainly(every, at))
        assert on_call(PRIMARY, at, own).users == expected
        assert tuple(key for key, _ in whom(Target("schedule", "primary"), SETTINGS, people, at)) == expected
        assert next((one.users for one in window.shifts if one.start <= at < one.end), ()) == expected
        follows = next((one.users for one in window.shifts if one.start > at and {*one.users} != {*expected}), None)
        if follows is not None:
            assert next_on_call(PRIMARY, at, own).users == follows


def one(**other: Any) -> MadeOverride:
    plain = MadeOverride("o", "primary", ("bo",), START, Instant(START + HOUR), None, "replace", "ana", "", START)
    return replace(plain, **other)


@pytest.mark.parametrize(
    ("facts", "window"),
    [
        ({}, (0, 60)),
        ({"created_at": Instant(START + 10 * MINUTE)}, (10, 60)),
        ({"created_at": Instant(START + 10 * MINUTE + 999)}, (10, 60)),  # whole seconds
        ({"created_at": Instant(START - DAY)}, (0, 60)),
        ({"removed_at": Instant(START + 20 * MINUTE + 1)}, (0, 20)),
        ({"removed_at": Instant(START + 90 * MINUTE)}, (0, 60)),
        ({"removed_at": START}, None),
        ({"created_at": Instant(START + 5), "removed_at": Instant(START + 900)}, None),  # within one second
    ],
)
def test_it_counts_from_when_it_was_made_until_it_was_taken_back(
    facts: dict[str, Any], window: tuple[int, ...] | None
) -> None:
    found = effective(one(**facts))
    assert found == (None if window is None else tuple(START + minute * MINUTE for minute in window))


@pytest.mark.parametrize(
    ("at", "removed", "state"),
    [(-1, None, "pending"), (0, None, "active"), (59, None, "active"), (60, None, "ended"), (30, 10, "removed")],
)
def test_it_is_pending_active_ended_or_removed(at: int, removed: int | None, state: str) -> None:
    made = one(removed_at=None if removed is None else Instant(START + removed * MINUTE))
    assert state_of(made, Instant(START + at * MINUTE)) == state


@pytest.mark.parametrize(
    ("written", "start", "end"),
    [
        (("2026-10-25 01:00", "2026-10-25 02:30"), "2026-10-24T23:00Z", "2026-10-25T00:30Z"),  # twice: the first
        (
            ("2026-10-25T02:30:00+01:00", "2026-10-25 03:00"),
            "2026-10-25T01:30Z",
            "2026-10-25T02:00Z",
        ),  # its offset says
        (("2027-03-28 02:30", "2027-03-28 04:00"), "2027-03-28T01:00Z", "2027-03-28T02:00Z"),  # never: after the gap
        (("2026-12-24", "2026-12-25"), "2026-12-23T23:00Z", "2026-12-24T23:00Z"),
    ],
)
def test_times_are_read_as_a_schedules_are(written: tuple[str, str], start: str, end: str) -> None:
    found = checked(Asked("primary", ("bo",), start=written[0], end=written[1]), SETTINGS, START, [])
    assert found == Window(local_instant(start[:-1], "UTC"), local_instant(end[:-1], "UTC"))


def test_what_the_one_before_did_counts_for_the_next() -> None:
    day = ("2026-10-24 18:00", "2026-10-24 20:00")
    chen = one(users=("chen",), starts_at=START, ends_at=Instant(START + DAY))
    asked = Asked("primary", ("ana",), *day, replaces="bo")
    assert isinstance(checked(asked, SETTINGS, START, []), Window)
    assert isinstance(checked(asked, SETTINGS, START, [chen]), Wrong)
