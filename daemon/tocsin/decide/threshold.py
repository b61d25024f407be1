"""Are there enough of these to page anybody? So many firings within a time, each counted once."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from tocsin.decide.tally import Mark, in_window
from tocsin.decide.views import in_words
from tocsin.model import Instant, Threshold


@dataclass(frozen=True, slots=True)
class Below:
    """Not enough of them yet: the alert is kept without an incident."""

    have: int
    because: str


@dataclass(frozen=True, slots=True)
class Reached:
    """Enough: `alerts` are those of the window, who join the incident."""

    alerts: tuple[int, ...]
    because: str


def judge(threshold: Threshold, marks: Iterable[Mark], this: Mark) -> Below | Reached:
    """`marks` are the firings known under this key, `this` the one that has just come, at the time of its `at`."""
    window = in_window([*marks, this], threshold.within, this.at)
    because = f"rule {threshold.rule!r}: {said(threshold, len(window))}"
    if len(window) < threshold.count:
        return Below(len(window), f"{because}, so no incident")
    return Reached(tuple(dict.fromkeys(mark.alert for mark in window)), because)


def said(threshold: Threshold, have: int) -> str:
    if have >= threshold.count:
        return f"{have} firings within {in_words(threshold.within)}, {threshold.count} are enough"
    return f"{have} of {threshold.count} firings within {in_words(threshold.within)}"


def so_far(threshold: Threshold, marks: Iterable[Mark], now: Instant) -> int:
    """How many are counted at `now`."""
    return len(in_window(marks, threshold.within, now))
