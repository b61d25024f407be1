"""How many messages a person bears, and when the next may go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.paging.throttle import Later, Now, limits_for, longest, overflow_at, room
from tocsin.model import DEFAULT_THROTTLE, Instant, Limit, Millis, Settings

M = 60_000
ONE_A_MINUTE = (Limit(1, Millis(M)),)
THREE_A_QUARTER = (Limit(3, Millis(15 * M)),)


@pytest.mark.parametrize(
    ("sent", "limits", "urgent", "free_in"),
    [
        ([], ONE_A_MINUTE, False, 0),
        ([0], ONE_A_MINUTE, False, 1),
        ([0], ONE_A_MINUTE, True, 1),             # a single slot cannot be kept
        ([-1], ONE_A_MINUTE, False, 0),           # exactly a minute ago
        ([-2, -1], THREE_A_QUARTER, False, 13),   # the third is kept for P1
        ([-2, -1], THREE_A_QUARTER, True, 0),
        ([-3, -2, -1], THREE_A_QUARTER, True, 12),
        ([-20, -2], THREE_A_QUARTER, False, 0),
        ([-2, -1], (*ONE_A_MINUTE, *THREE_A_QUARTER), False, 13),  # the longest wait decides
        ([-9, 0], (*ONE_A_MINUTE, *THREE_A_QUARTER), True, 1),
        ([0, 0, 0], (), False, 0),
    ],
)  # fmt: skip
def test_when_there_is_room(sent: list[int], limits: tuple[Limit, ...], urgent: bool, free_in: int) -> None:
    found = room([Instant(at * M) for at in sent], limits, Instant(0), urgent=urgent)

    match found:
        case Now():
            assert free_in == 0
        case Later(at):
            assert at == free_in * M


@given(st.lists(st.integers(-60 * M, 0), max_size=30), st.booleans())
def test_the_promised_slot_is_really_free(sent: list[int], urgent: bool) -> None:
    limits = DEFAULT_THROTTLE["sms"]
    at = [Instant(one) for one in sent]

    found = room(at, limits, Instant(0), urgent=urgent)

    if isinstance(found, Later):
        assert found.at > 0
        assert isinstance(room(at, limits, found.at, urgent=urgent), Now)


@pytest.mark.parametrize(
    ("sent", "goes_in"),
    [
        ([-14, -9, -1], 0),  # three are sent: one more may go, as the summary
        ([-14, -9, -2, -1], 1),  # it went already: when the oldest has left the window
    ],
)
def test_each_window_bears_one_summary_more(sent: list[int], goes_in: int) -> None:
    at = overflow_at([Instant(one * M) for one in sent], THREE_A_QUARTER, Instant(0))

    assert at == goes_in * M


def test_the_shortest_limit_is_never_exceeded_by_a_summary_since_that_waits_a_minute_anyway() -> None:
    assert overflow_at([Instant(-M)], ONE_A_MINUTE, Instant(0)) == 0


def test_limits_by_the_channels_name_replace_those_by_its_kind() -> None:
    own = (Limit(2, Millis(M)),)
    settings = Settings(throttle={**DEFAULT_THROTTLE, "sms-b": own})

    assert limits_for(settings, "sms-b", "sms") == own
    assert limits_for(settings, "sms", "sms") == DEFAULT_THROTTLE["sms"]
    assert limits_for(settings, "mail", "") == ()
    assert longest(DEFAULT_THROTTLE["sms"]) == 60 * M
    assert longest(()) == 0
