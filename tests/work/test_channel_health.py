"""One outage of a provider is one alarm, whenever its calls began and however late their time-outs come."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, cast

from hypothesis import given
from hypothesis import strategies as st

from tocsin.model import ChannelConfig, Instant
from tocsin.work.paging.channels import SAID_ONCE, SAY_AGAIN, SICK_AFTER, Line

LONGEST = 11_000


def line() -> Line:
    return Line(ChannelConfig("sms", "twilio_sms"), cast(Any, None), cast(Any, None))


Call = tuple[int, int]  # when it began, and how long it took to fail if the provider was out


@given(
    st.lists(st.tuples(st.integers(0, 120_000), st.integers(0, LONGEST)), max_size=80),
    st.integers(0, 60_000), st.integers(0, 60_000),
)  # fmt: skip
def test_one_outage_is_at_most_one_alarm_and_it_ends_with_the_first_call_that_goes_through(
    calls: list[Call], down: int, length: int
) -> None:
    ended = sorted(
        (began + took if down <= began < down + length else began, began, not down <= began < down + length)
        for began, took in calls
    )
    subject, alarms, recoveries, bad = line(), 0, 0, 0
    for at, began, good in ended:
        if good:
            recoveries += subject.succeeded(Instant(began))
        else:
            bad += 1
            alarms += subject.failed("no answer in time", Instant(began), Instant(at))

    assert alarms <= 1
    assert recoveries <= alarms
    after = [began for began, _ in calls if began >= down + length]
    if after:
        assert subject.healthy or not [
            at for at, began, good in ended if good and began >= max(subject.sick_at, down + length)
        ]
    if bad >= SICK_AFTER and not any(good for _, _, good in ended):
        assert alarms == 1


@given(st.lists(st.tuples(st.booleans(), st.integers(1, 60_000)), max_size=300))
def test_a_line_that_fails_now_and_then_is_told_every_ten_minutes_at_most_and_never_not_at_all(
    calls: list[tuple[bool, int]],
) -> None:
    subject, now, told, in_a_row = line(), 0, [], 0
    for good, later in calls:
        now += later
        in_a_row = 0 if good else in_a_row + 1
        if good:
            subject.succeeded(Instant(now))
        elif subject.failed("503", Instant(now), Instant(now)) and in_a_row % SAY_AGAIN:
            told.append(now)
        if in_a_row >= SICK_AFTER:
            assert told
            assert now - told[-1] < SAID_ONCE or told[-1] >= now - sum(length for _, length in calls[-in_a_row:])

    assert all(after - before >= SAID_ONCE for before, after in pairwise(told))


def test_what_goes_on_failing_is_said_again_now_and_then() -> None:
    subject = line()

    said = [number for number in range(1, 1001) if subject.failed("no", Instant(number), Instant(number))]

    assert said == [3, *range(100, 1001, 100)]
