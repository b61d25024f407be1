"""What may be watched of a store: the figures behind its metrics."""

from __future__ import annotations

from typing import Protocol


class Watch(Protocol):
    """Told after the fact; must be quick and raise nothing."""

    def commit_seconds(self, seconds: float) -> None:
        """How long a commit took, from its last statement until it was durable."""

    def batch_rows(self, rows: int) -> None:
        """How many rows a commit held."""

    def error(self, kind: str) -> None:
        """A transaction failed; `kind` is the error's class name."""


class Unwatched:
    """Nobody looks."""

    def commit_seconds(self, seconds: float) -> None: ...

    def batch_rows(self, rows: int) -> None: ...

    def error(self, kind: str) -> None: ...
