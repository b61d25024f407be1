"""The production clock, with readings that a test gives."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.clock import SystemClock, system_boot, system_elapsed
from tocsin.decide.oncall.resolver import local_instant
from tocsin.decide.time_line import is_step, off_by
from tocsin.model import HOUR, Instant, Millis, instant, rfc3339
from tocsin.model.civil import civil, on_line, set_ahead, unix

NOON = 1_767_614_400_000


class Machine:
    """A machine's clocks."""

    def __init__(self) -> None:
        self.wall, self.elapsed = NOON, 1_000

    def passes(self, milliseconds: int) -> None:
        self.wall += milliseconds
        self.elapsed += milliseconds

    def clock(self) -> SystemClock:
        return SystemClock(lambda: self.wall, lambda: self.elapsed, lambda: "boot")


@given(st.lists(st.tuples(st.integers(0, 100_000), st.integers(-(10**12), 10**12)), max_size=20))
def test_no_step_of_the_wall_clock_moves_the_line(moments: list[tuple[int, int]]) -> None:
    machine = Machine()
    clock, gone = machine.clock(), 0
    for passes, step in moments:
        machine.passes(passes)
        machine.wall += step
        gone += passes
        assert clock.now() == NOON + gone
        assert clock.reading().wall == machine.wall


@given(st.lists(st.tuples(st.integers(1, 40_000), st.integers(-1_000, 1_000)), max_size=30))
def test_it_is_steered_slowly_and_never_goes_back(moments: list[tuple[int, int]]) -> None:
    machine = Machine()
    clock = machine.clock()
    before = clock.now()
    for passes, by in moments:
        clock.steer(Millis(by))
        machine.passes(passes)
        now = clock.now()
        assert passes * 0.95 - 1 <= now - before <= passes * 1.05 + 1
        before = now


def test_a_drift_of_500_ppm_is_followed() -> None:
    machine = Machine()
    clock = machine.clock()
    for _ in range(2_880):  # a day, looked at each half minute
        machine.passes(30_000)
        machine.wall += 15
        clock.steer(Millis(machine.wall - clock.now()))
    assert abs(machine.wall - clock.now()) <= 15


def test_the_machines_sleep_counts() -> None:
    assert system_elapsed() > 0
    assert system_boot() != ""


@given(st.integers(-(10**12), 10**12), st.integers(-14 * 60, 14 * 60))
def test_civil_time_is_shown_and_read_alike_however_far_it_is_ahead(length: int, minutes: int) -> None:
    set_ahead(Millis(length))
    try:
        at = Instant(NOON + 1_234)
        zone = timezone(timedelta(minutes=minutes))
        assert instant(datetime.fromisoformat(rfc3339(at, zone))) == at
        assert on_line(unix(at)) == at
        assert civil(at, UTC) == datetime.fromtimestamp((at + length) // 1000, UTC)
    finally:
        set_ahead(Millis(0))


@pytest.mark.parametrize("text", ["2026-03-29T02:30", "2026-10-25T02:30", "2026-01-05T09:00"])
def test_wall_times_of_a_zone_lie_elsewhere_on_the_line_after_a_step(text: str) -> None:
    before = local_instant(text, "Europe/Paris")
    set_ahead(HOUR)
    assert local_instant(text, "Europe/Paris") == before - HOUR


def test_a_process_that_is_stopped_at_each_question_sees_no_step() -> None:
    machine = Machine()
    clock = machine.clock()

    def wall() -> int:
        found = machine.wall
        machine.passes(3_000)
        return found

    clock._wall = wall
    reading = clock.reading()
    assert not is_step(off_by(reading.line, Millis(0), reading.wall), reading.doubt)
