"""The arithmetic of thresholds and flapping, as tables."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tests.store.facts import alert, incident
from tocsin.decide.noise.counters import Mark, in_window
from tocsin.decide.noise.flapping import clearing, rest, settles_at
from tocsin.decide.noise.threshold import Below, Reached, judge
from tocsin.decide.routing.alert_terms import Terms, terms_of
from tocsin.model import MINUTE, Flap, Instant, Millis, StoredAlert, Threshold

FLAP = Flap(3, Millis(10 * MINUTE), Millis(5 * MINUTE), "links")


def m(minutes: float) -> Instant:
    return Instant(round(minutes * MINUTE))


def marks(*minutes: float) -> list[Mark]:
    return [Mark(m(at), 1, f"c{at}") for at in minutes]


@pytest.mark.parametrize(("have", "kind"), [(1, Below), (2, Below), (3, Reached), (4, Reached)])
def test_enough_is_enough(have: int, kind: type) -> None:
    assert isinstance(judge(Threshold(3, Millis(MINUTE), "r"), have), kind)


def test_the_window_is_open_at_its_beginning_and_each_firing_counts_once() -> None:
    found = in_window([*marks(0, 5, 9, 12), Mark(m(6), 1, "c5")], Millis(10 * MINUTE), m(10))
    assert [mark.at for mark in found] == [m(5), m(9), m(12)]  # what a replica counted a moment later counts, too


@pytest.mark.parametrize(
    ("changes", "before", "now", "until"),
    [
        ((1, 2), None, 2, None),
        ((1, 2, 3), None, 3, 8),
        ((1, 8, 12), None, 12, None),  # the first is out of the window
        ((12,), 14, 12, 17),  # it flaps still: each change goes on
        ((12,), 12, 12, None),  # it has just settled
    ],
)
def test_until_when_it_flaps(changes: tuple[int, ...], before: int | None, now: int, until: int | None) -> None:
    found = settles_at(FLAP, marks(*changes), None if before is None else m(before), m(now))
    assert found == (None if until is None else m(until))


@pytest.mark.parametrize(
    ("terms", "settles", "ends"),
    [
        (Terms(), None, None),
        (Terms(resolve_after=Millis(2 * MINUTE)), None, 12),
        (Terms(flap=FLAP), None, None),
        (Terms(flap=FLAP), 15, 15),
        (Terms(flap=FLAP, resolve_after=Millis(8 * MINUTE)), 15, 18),
    ],
)
def test_when_a_resolved_alert_ends(terms: Terms, settles: int | None, ends: int | None) -> None:
    found = clearing(terms, None if settles is None else m(settles), m(10))
    assert (found.ends_at if found else None) == (None if ends is None else m(ends))


def test_terms_come_back_as_they_were_kept() -> None:
    terms = Terms(None, FLAP, Millis(7))
    assert terms_of(terms.kept()) == terms
    assert terms_of({}) == Terms()


CLEARED = replace(alert(1), cleared_at=m(9), expires_at=m(14))
FLAPPING = replace(alert(2), settles_at=m(20))
FIRING = alert(3)


@pytest.mark.parametrize(
    ("alerts", "step", "until"),
    [
        ([FIRING], 1, None),
        ([CLEARED], 1, 14),
        ([CLEARED, FIRING], 2, None),
        ([FLAPPING], 1, None),
        ([FLAPPING], 2, 20),
        ([CLEARED, FLAPPING], 2, 14),
        ([], 2, None),
        ([replace(FLAPPING, settles_at=m(10))], 2, None),
    ],
)
def test_when_the_step_in_hand_rests(alerts: list[StoredAlert], step: int, until: int | None) -> None:
    found = rest(replace(incident(1), step=step), alerts, m(10))
    assert (found.until - found.until % MINUTE if found else None) == (None if until is None else m(until))
