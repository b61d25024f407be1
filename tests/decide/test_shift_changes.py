"""Who gains and loses shifts between two plans."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.oncall.resolver import on_call, shifts
from tocsin.decide.oncall.shift_changes import Change, Span, Turnover, changes, turnover
from tocsin.model import DAY, HOUR, Instant, Layer, Rotation, Schedule

START = Instant(1_780_272_000_000)  # 2026-06-01T00:00Z
END = Instant(START + 4 * DAY)


def plan(*users: str, every: int = 24) -> Schedule:
    entries = tuple(tuple(entry.split("+")) for entry in users)
    return Schedule("primary", "UTC", (Layer("", entries, Rotation(every, "hours", "2026-06-01T00:00")),))


def between(before: Schedule, after: Schedule) -> tuple[Change, ...]:
    return changes(shifts(before, START, END), shifts(after, START, END))


def hours(first: int, last: int) -> tuple[Instant, Instant]:
    return Instant(START + first * HOUR), Instant(START + last * HOUR)


def test_a_person_who_replaces_another_gains_their_shifts() -> None:
    found = between(plan("ana", "bo"), plan("ana", "grace"))
    assert found == (Change(*hours(24, 48), ("bo",), ("grace",)), Change(*hours(72, 96), ("bo",), ("grace",)))
    assert turnover(found) == (
        Turnover("bo", (), (Span(*hours(24, 48)), Span(*hours(72, 96)))),
        Turnover("grace", (Span(*hours(24, 48)), Span(*hours(72, 96))), ()),
    )


def test_who_stays_on_call_beside_others_neither_gains_nor_loses() -> None:
    found = between(plan("ana+bo"), plan("bo+chen"))
    assert [one.user for one in turnover(found)] == ["ana", "chen"]


def test_the_same_people_in_another_order_or_layer_are_no_change() -> None:
    other = Schedule("primary", "UTC", (Layer("renamed", (("bo", "ana"),), None),))
    assert between(plan("ana+bo"), other) == ()


def test_spans_that_touch_are_told_once() -> None:
    [ana, bo, _] = turnover(between(plan("ana", "bo"), plan("chen")))
    assert (ana.loses, bo.loses) == (
        (Span(*hours(0, 24)), Span(*hours(48, 72))),
        (Span(*hours(24, 48)), Span(*hours(72, 96))),
    )
    assert turnover(between(plan("ana", "bo"), plan("chen")))[2].gains == (Span(*hours(0, 96)),)


def test_a_schedule_that_is_new_is_all_gain() -> None:
    nobody = Schedule("primary", "UTC", ())
    assert turnover(between(nobody, plan("ana"))) == (Turnover("ana", (Span(*hours(0, 96)),), ()),)


crews = st.lists(st.sampled_from(["ana", "bo", "ana+bo", "chen"]), min_size=1, max_size=4)


@given(crews, crews, st.integers(1, 30), st.integers(1, 30))
def test_at_every_hour_the_changes_are_the_difference_of_who_is_on_call(
    first: list[str], second: list[str], every: int, other: int
) -> None:
    before, after = plan(*first, every=every), plan(*second, every=other)
    found = between(before, after)
    for at in range(START, END, HOUR):
        was, will = (set(on_call(one, Instant(at)).users) for one in (before, after))
        now = next((one for one in found if one.start <= at < one.end), None)
        assert (set(now.before), set(now.after)) == (was, will) if now else was == will
        gaining = {one.user for one in turnover(found) if any(span.start <= at < span.end for span in one.gains)}
        assert gaining == will - was
