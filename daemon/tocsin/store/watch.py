"""Figures of a store for its metrics."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Told after the fact; must be quick and raise nothing."""

    def commit_seconds(self, seconds: float) -> None:
        """Tell how long a commit took, from its last statement until it was durable."""

    def batch_rows(self, rows: int) -> None:
        """Tell how many rows a commit held."""

    def error(self, kind: str) -> None:
        """A transaction failed; `kind` is the error's class name."""


class Unwatched:
    """A watch for where nobody looks."""

    def commit_seconds(self, seconds: float) -> None: ...

    def batch_rows(self, rows: int) -> None: ...

    def error(self, kind: str) -> None: ...
