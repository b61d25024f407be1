"""Threshold of firings within a time before anybody is paged; each firing is counted once."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.decide.views import in_words
from tocsin.model import Threshold


@dataclass(frozen=True, slots=True)
class Below:
    """Not enough of them yet: the alert is kept without an incident."""

    because: str


@dataclass(frozen=True, slots=True)
class Reached:
    """Enough: those of the window join one incident."""

    because: str


def judge(threshold: Threshold, have: int) -> Below | Reached:
    """`have`: firings within the window, the one that has just come included."""
    if have < threshold.count:
        return Below(f"rule {threshold.rule!r}: {said(threshold, have)}, so no incident yet")
    return Reached(f"rule {threshold.rule!r}: {said(threshold, have)}")


def said(threshold: Threshold, have: int) -> str:
    """The count in words."""
    if have >= threshold.count:
        return f"{have} firings within {in_words(threshold.within)}, and {threshold.count} are enough"
    return f"{have} of {threshold.count} firings within {in_words(threshold.within)}"
