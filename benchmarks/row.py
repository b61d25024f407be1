"""One line of the table, and how much work a run may do."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One figure: `value` in `unit`, what it should reach, and whether it does (None: nothing to reach)."""

    name: str
    value: float
    unit: str
    reach: str = ""
    reached: bool | None = None
    details: dict[str, float | str | list[float]] = field(default_factory=dict)


def at_least(name: str, value: float, unit: str, goal: float, **details: float | str | list[float]) -> Row:
    return Row(name, value, unit, f"≥ {goal:g}", value >= goal, details)


def at_most(name: str, value: float, unit: str, goal: float, **details: float | str | list[float]) -> Row:
    return Row(name, value, unit, f"≤ {goal:g}", value <= goal, details)


@dataclass
class Bench:
    """What a measurement is given: a folder for its files, whether to be quick, and keys nobody used."""

    folder: Path
    quick: bool
    _numbers: Iterator[int] = field(default_factory=lambda: itertools.count(1))
    _places: Iterator[int] = field(default_factory=lambda: itertools.count(1))

    def place(self, name: str) -> Path:
        """A folder nobody used."""
        return self.folder / f"{name}-{next(self._places)}"

    def size(self, usual: int, quick: int) -> int:
        return quick if self.quick else usual

    def keys(self, count: int) -> list[str]:
        """`count` keys nobody used: `k` and ten digits."""
        return [f"k{next(self._numbers):010d}" for _ in range(count)]
