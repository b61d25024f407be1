"""What it costs (CPU) to find who is on call: one look-up, a year of shifts, and the person who is next."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from random import Random
from statistics import median

from benchmarks.row import Bench, Row, at_most
from tocsin.decide.oncall.resolver import next_on_call, on_call, shifts
from tocsin.model import DAY, HOUR, Hours, Instant, Layer, Override, Rotation, Schedule

START = Instant(1_767_600_000_000)  # 2026-01-05 09:00 in Paris
WEEKDAYS, EVERY_DAY = frozenset(range(5)), frozenset(range(7))
PLAN = Schedule(
    "bench",
    "Europe/Paris",
    (
        Layer("week", (("ana",), ("bo",), ("chen", "dora")), Rotation(1, "weeks", "2026-01-05T09:00")),
        Layer(
            "office",
            (("eve",), ("finn",)),
            Rotation(1, "days", "2026-01-05T09:00", WEEKDAYS),
            (Hours(WEEKDAYS, 9 * 60, 17 * 60),),
        ),
        Layer(
            "night", (("gus",), ("hal",)), Rotation(1, "days", "2026-01-05T09:00"), (Hours(EVERY_DAY, 22 * 60, 6 * 60),)
        ),
    ),
    (Override(("grace",), "2026-12-24T09:00", "2026-12-25T09:00", "ana"),),
)


async def who_is_on_call(bench: Bench) -> list[Row]:
    """Three layers, two with hours, at random instants of ten years; `first`: of a schedule never asked before."""
    rounds = bench.size(9, 3)
    chance = Random(1)  # the same instants each time
    instants = [Instant(START + chance.randrange(3650 * DAY)) for _ in range(bench.size(20_000, 2_000))]
    made = tuple(
        Override(
            ("bo",), f"2026-{month:02}-{day:02}T09:00", f"2026-{month:02}-{day:02}T17:00", "ana", "replace", f"ov{day}"
        )
        for month in (1, 2)
        for day in range(1, 11)
    )
    look = [_each(lambda at: on_call(PLAN, at), instants) for _ in range(rounds)]
    under = [_each(lambda at: on_call(PLAN, at, made), instants) for _ in range(rounds)]
    fresh = [_each(lambda at: on_call(replace(PLAN), at), instants[:500]) for _ in range(rounds)]
    year = [_each(lambda at: shifts(PLAN, at, Instant(at + 365 * DAY)), [START]) / 1000 for _ in range(rounds)]
    after = [_each(lambda at: next_on_call(PLAN, at), instants[:500]) for _ in range(rounds)]
    hourly = Schedule(
        "hourly", "Europe/Paris", (Layer("", (("ana",), ("bo",)), Rotation(1, "hours", "2026-01-05T09:00")),)
    )
    decade = [_each(lambda at: shifts(hourly, at, Instant(at + 3650 * 24 * HOUR)), [START]) / 1000 for _ in range(1)]
    return [
        at_most("who is on call, a look-up", median(look), "µs", 20,
                with_20_run_time_overrides=median(under), first=median(fresh), next=median(after), rounds=look),
        at_most("a year of shifts, three layers", median(year), "ms", 50,
                shifts=float(len(shifts(PLAN, START, Instant(START + 365 * DAY)).shifts)),
                ten_years_of_hourly_handoffs=median(decade), rounds=year),
    ]  # fmt: skip


def _each(ask: Callable[[Instant], object], instants: list[Instant]) -> float:
    """Microseconds of CPU for each."""
    began = time.thread_time()
    for at in instants:
        ask(at)
    return (time.thread_time() - began) / len(instants) * 1e6
