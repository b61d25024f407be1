"""Remembers what a store tells its watch."""

from __future__ import annotations


class Seen:
    """Each commit's rows and each error's kind, in order."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.seconds: list[float] = []
        self.errors: list[str] = []

    def commit_seconds(self, seconds: float) -> None:
        self.seconds.append(seconds)

    def batch_rows(self, rows: int) -> None:
        self.rows.append(rows)

    def error(self, kind: str) -> None:
        self.errors.append(kind)
