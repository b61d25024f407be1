"""Whose turn it is now, when people come into a rotation or leave it; and what keeps the present turn."""

from __future__ import annotations

from datetime import datetime
from types import MappingProxyType
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.decide.oncall.resolver import on_call, shifts
from tocsin.decide.oncall.turn_changes import TurnMoved, in_words, turn_changes
from tocsin.model import DAY, Hours, Instant, Layer, Override, Rotation, Schedule, Settings, instant
from tocsin.model.schedules import Unit

UNITS: dict[str, Unit] = {"h": "hours", "d": "days", "w": "weeks", "o": "months"}
NOW = instant(datetime.fromisoformat("2026-11-23T08:00:00Z"))  # a Monday, the day before which many turns begin


def config(users: str, every: str = "1w", start: str = "2026-01-05T08:00", zone: str = "UTC", **layer: Any) -> Settings:
    number, unit = int(every.rstrip("hdwmo")), UNITS[every[-1]]
    days = layer.pop("days", None)
    turns = tuple(tuple(entry.split("+")) for entry in users.split())
    week = Layer("week", turns, Rotation(number, unit, start, days), **layer)
    return Settings(schedules=MappingProxyType({"primary": Schedule("primary", zone, (week,))}))


def told(before: Settings, after: Settings, now: Instant = NOW, *, done: bool = False) -> list[str]:
    return list(in_words(turn_changes(before, after, now), done=done))


def moved_to(after: Settings, one: TurnMoved) -> Schedule:
    """The schedule with the proposal in it."""
    schedule = after.schedules["primary"]
    layer = schedule.layers[0]
    rotation, users = layer.rotation, layer.users
    assert rotation is not None
    if one.start is not None:
        rotation = Rotation(rotation.length, rotation.unit, one.start, rotation.days)
    else:
        users = one.order
    return Schedule("primary", schedule.timezone, (Layer("week", users, rotation, layer.hours, layer.timezone),))


MOVED = [
    # before, after, whose turn it is by before (counted from 0), whose it should be
    ("ana bo chen", "ana bo", 0, "ana"), ("ana bo chen", "ana bo", 1, "bo"), ("ana bo chen", "bo chen", 1, "bo"),
    ("ana bo chen", "bo chen", 2, "chen"), ("ana bo chen dora", "ana chen dora", 3, "dora"),
    ("ana bo chen dora", "ana bo chen dora eve", 2, "chen"), ("ana bo", "bo ana", 0, "ana"),
    ("ana bo+eve chen", "ana bo+eve", 1, "bo+eve"), ("ana bo chen", "ana chen", 1, "chen"),  # bo is gone: the next in line
    ("ana bo+eve chen", "ana bo chen", 1, "bo"),  # one of two is gone
]  # fmt: skip


@pytest.mark.parametrize(("before", "after", "turn", "keeps"), MOVED)
@pytest.mark.parametrize("weeks", range(5))
def test_the_proposal_keeps_the_turn_of_whoever_has_it_and_all_handoffs(
    before: str, after: str, turn: int, keeps: str, weeks: int
) -> None:
    now = Instant(
        instant(datetime.fromisoformat("2026-01-05T08:00:00Z")) + (turn + weeks * len(before.split())) * 7 * DAY + DAY
    )
    old, new = config(before), config(after)
    changes = turn_changes(old, new, now)
    plain = on_call(new.schedules["primary"], now).users

    if plain == tuple(keeps.split("+")):
        assert changes.moved == ()
        return
    [one] = changes.moved
    assert "+".join(one.keeps) == keeps
    assert one.will == plain
    assert one.start is not None
    kept = moved_to(new, one)
    assert "+".join(on_call(kept, now).users) == keeps
    edges = [
        [each.start for each in shifts(plan, now, Instant(now + 100 * DAY)).shifts]
        for plan in (new.schedules["primary"], kept)
    ]
    assert edges[0] == edges[1]
    assert f"write start: {one.start.replace('T', ' ')}" in told(old, new, now)[-1]


def test_who_is_gone_is_followed_by_the_next_in_line() -> None:
    old, new = config("ana bo chen dora"), config("ana chen dora")
    now = instant(datetime.fromisoformat("2026-02-10T08:00:00Z"))  # the sixth turn: bo's

    assert on_call(old.schedules["primary"], now).users == ("bo",)
    assert told(old, new, now) == [
        "primary: bo is on call now, and dora would be",
        "primary, layer week: it is the turn of bo now, and would be that of dora, since turns are counted over the people as written; "
        "bo is not in it any more; for the next in line, chen, write start: 2025-12-22 08:00",
    ]  # fmt: skip


def test_who_has_several_turns_keeps_the_one_behind_which_the_same_people_come() -> None:
    old, new = config("ana bo ana chen"), config("ana bo ana")
    proposed = 0
    for week in range(48):
        now = Instant(instant(datetime.fromisoformat("2026-02-10T12:00:00Z")) + 7 * week * DAY)
        come = [on_call(old.schedules["primary"], Instant(now + 7 * ahead * DAY)).users[0] for ahead in range(4)]
        for one in turn_changes(old, new, now).moved:
            kept = moved_to(new, one)
            then = [on_call(kept, Instant(now + 7 * ahead * DAY)).users[0] for ahead in range(3)]
            assert then == [who for who in come if who != "chen"]
            proposed += 1

    assert proposed > 10


def test_after_a_reload_it_is_told_as_done() -> None:
    old, new = config("ana bo chen dora"), config("ana bo dora")
    now = instant(datetime.fromisoformat("2026-02-24T08:00:00Z"))  # the eighth turn: dora's

    assert told(old, new, now, done=True) == [
        "primary: dora was on call, and bo is now",
        "primary, layer week: it was the turn of dora, and is that of bo now, since turns are counted over the people as written; "
        "to keep the present turn, write start: 2025-12-29 08:00",
    ]


def test_a_layer_that_does_not_cover_now_is_told_too_and_who_is_on_call_is_not() -> None:
    cut = (Hours(frozenset({5}), 0, 60),)
    found = turn_changes(
        config("ana bo chen dora", hours=cut),
        config("ana bo dora", hours=cut),
        instant(datetime.fromisoformat("2026-02-24T08:00:00Z")),
    )

    assert found.on_call == ()
    assert [one.keeps for one in found.moved] == [("dora",)]


def test_what_else_changes_who_is_on_call_is_said_without_a_proposal() -> None:
    old = config("ana bo")
    schedule = old.schedules["primary"]
    taken = Schedule("primary", "UTC", schedule.layers, (Override(("eve",), "2026-11-01T00:00", "2026-12-01T00:00"),))
    new = Settings(schedules=MappingProxyType({"primary": taken}))

    assert told(old, new) == ["primary: ana is on call now, and eve would be"]
    assert told(old, old) == []
    assert told(old, Settings()) == []


def test_an_order_is_proposed_where_no_start_keeps_the_handoffs() -> None:
    old, new = config("ana bo chen", "1mo", "2026-01-31T08:00"), config("ana chen", "1mo", "2026-01-31T08:00")
    now = instant(datetime.fromisoformat("2026-04-10T08:00:00Z"))  # the third turn: chen's
    [one] = turn_changes(old, new, now).moved

    assert one.start is None
    assert on_call(moved_to(new, one), now).users == one.keeps == ("chen",)
    assert told(old, new, now)[-1].endswith("to keep the present turn, write users: [chen, ana]")


NAMES = ("ana", "bo", "chen", "dora", "eve")


@settings(max_examples=120, deadline=None)
@given(
    st.permutations(NAMES).flatmap(lambda names: st.integers(2, 5).map(lambda n: tuple(names[:n]))),
    st.permutations(NAMES).flatmap(lambda names: st.integers(1, 5).map(lambda n: tuple(names[:n]))),
    st.sampled_from(["7h", "1d", "2d", "1w", "2w", "1mo", "3mo"]),
    st.sampled_from([None, frozenset(range(5)), frozenset({5, 6})]),
    st.sampled_from(["2026-01-05T09:00", "2026-01-08T02:30", "2026-01-31T00:00"]),
    st.sampled_from(["UTC", "Europe/Lisbon", "Australia/Sydney"]),
    st.integers(0, 700),
)
def test_whatever_the_rotation_what_is_proposed_keeps_the_turn_and_the_handoffs(
    users: tuple[str, ...],
    fewer: tuple[str, ...],
    every: str,
    days: frozenset[int] | None,
    start: str,
    zone: str,
    day: int,
) -> None:
    days = days if every[-1] in "dw" else None
    old, new = (config(" ".join(who), every, start, zone, days=days) for who in (users, fewer))
    now = Instant(NOW - 300 * DAY + day * DAY)
    changes = turn_changes(old, new, now)
    was = on_call(old.schedules["primary"], now).users

    for one in changes.moved:
        kept = moved_to(new, one)
        assert on_call(kept, now).users == one.keeps
        assert one.keeps == was or was[0] not in fewer
        spans = [
            [each.start for each in shifts(plan, now, Instant(now + 60 * DAY)).shifts]
            for plan in (new.schedules["primary"], kept)
        ]
        assert spans[0] == spans[1]
    if not changes.moved and was and was[0] in fewer:
        assert on_call(new.schedules["primary"], now).users == was
