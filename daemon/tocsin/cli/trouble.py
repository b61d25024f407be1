"""Failure of a command: one line for a person, one exit code for a script."""

from __future__ import annotations

from typing import Literal

REFUSED: Literal[1] = 1
WRONG: Literal[2] = 2
UNREACHABLE: Literal[3] = 3
FORBIDDEN: Literal[4] = 4


class Trouble(Exception):
    """A command that cannot do what was asked; printed as one line, without a traceback."""

    def __init__(self, message: str, code: int = REFUSED) -> None:
        super().__init__(message)
        self.code = code
