"""Where Tocsin's line of time and civil time lie to each other: after a start, a drift, a step."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.contracts import Reading
from tocsin.decide.time_line import SMALL, Anchor, Place, anchor_of, in_words, others_agree, placed, resumed
from tocsin.model import DAY, HOUR, MINUTE, SECOND, Instant, Millis

NOON = Instant(1_767_614_400_000)
ZERO = Millis(0)
BEFORE = Anchor(NOON, ZERO, 500_000, "boot-1")


@pytest.mark.parametrize(
    ("anchor", "reading", "place"),
    [
        (None, Reading(NOON, 7, "boot-1"), Place(NOON, ZERO)),
        # in one boot the machine's own count tells how long nobody was here
        (BEFORE, Reading(NOON + 60_000, 560_000, "boot-1"), Place(Instant(NOON + 60_000), ZERO)),
        (BEFORE, Reading(NOON + 60_000 + HOUR, 560_000, "boot-1"), Place(Instant(NOON + 60_000), HOUR, HOUR)),
        (BEFORE, Reading(NOON + 60_000 - HOUR, 560_000, "boot-1"), Place(Instant(NOON + 60_000), Millis(-HOUR), Millis(-HOUR))),
        (BEFORE, Reading(NOON + DAY + 40_000, 500_000 + DAY, "boot-1"), Place(Instant(NOON + DAY + 40_000), ZERO)),  # drift
        # another boot: forward is a downtime, back can only be a step
        (BEFORE, Reading(NOON + HOUR, 3_000, "boot-2"), Place(Instant(NOON + HOUR), ZERO)),
        (BEFORE, Reading(NOON - HOUR, 3_000, "boot-2"), Place(NOON, Millis(-HOUR), Millis(-HOUR))),
        (BEFORE, Reading(NOON + HOUR, 3_000, ""), Place(Instant(NOON + HOUR), ZERO)),
        # what was stepped before stays, and a clock that is set right again leaves nothing behind
        (Anchor(NOON, HOUR, 500_000, "boot-1"), Reading(NOON + HOUR + 1_000, 501_000, "boot-1"), Place(Instant(NOON + 1_000), HOUR)),
        (Anchor(NOON, HOUR, 500_000, "boot-1"), Reading(NOON + 1_300, 501_000, "boot-1"), Place(Instant(NOON + 1_000), ZERO, Millis(300 - HOUR))),
    ],
)  # fmt: skip
def test_where_the_line_goes_on_at_a_start(anchor: Anchor | None, reading: Reading, place: Place) -> None:
    assert resumed(anchor, reading) == place


anchors = st.builds(
    lambda line, ahead, elapsed: Anchor(Instant(line), Millis(ahead), elapsed, "boot-1"),
    st.integers(0, 4 * 10**12), st.integers(-(10**12), 10**12), st.integers(0, 10**10),
)  # fmt: skip
readings = st.builds(
    lambda wall, elapsed, boot: Reading(wall, elapsed, boot),
    st.integers(0, 5 * 10**12), st.integers(0, 2 * 10**10), st.sampled_from(["boot-1", "boot-2", ""]),
)  # fmt: skip


@given(anchors, readings)
def test_whatever_the_clocks_say_the_line_never_goes_back_and_civil_time_is_true(
    anchor: Anchor, reading: Reading
) -> None:
    found = resumed(anchor, reading)
    assert found.line >= anchor.line
    assert abs(found.line + found.ahead - reading.wall) <= SMALL + max(0, reading.elapsed - anchor.elapsed) // 1000


@given(anchors, st.integers(-(10**12), 10**12))
def test_a_step_moves_civil_time_and_not_the_line(anchor: Anchor, step: int) -> None:
    found = placed(anchor.line, anchor.ahead, anchor.civil + step, SMALL, anchor.line)
    if abs(step) > SMALL:
        assert (found.line, found.step) == (anchor.line, step)
    else:
        assert (found.ahead, found.step) == (anchor.ahead, 0)


@given(anchors)
def test_an_anchor_is_read_as_it_was_kept(anchor: Anchor) -> None:
    assert anchor_of(anchor.packed()) == anchor


@pytest.mark.parametrize(
    ("wall", "by", "agree"),
    [
        (NOON + 3_000, "other", True),
        (NOON + 3_000, "me", False),
        (NOON + HOUR, "other", False),  # nobody has written since the database's clock was set
        (NOON - HOUR, "other", False),
    ],
)
def test_a_replica_is_the_odd_one_out_only_where_another_found_the_clock_unmoved(
    wall: int, by: str, agree: bool
) -> None:
    assert others_agree(Anchor(NOON, ZERO, 0, by), wall, "me") == agree


@pytest.mark.parametrize(
    ("step", "words"),
    [
        (HOUR, "1 h forward"),
        (Millis(-HOUR), "1 h back"),
        (Millis(1_200), "1 s forward"),
        (Millis(-(MINUTE + 5 * SECOND)), "1 m 5 s back"),
        (Millis(-3650 * DAY), "3650 d back"),
    ],
)
def test_a_step_in_words(step: Millis, words: str) -> None:
    assert in_words(step) == words
