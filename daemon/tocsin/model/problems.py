"""Options that plug-ins take in a configuration, and findings about its files."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal


@dataclass(frozen=True, slots=True)
class Option:
    """A key that a source's or channel's section of the configuration takes.

    kinds: text, secret (Secret), secrets (many keys), url, int, flag, duration (Millis), choice,
    phone, email, expr (JMESPath text), map (name → text), keys (name → {key: Secret, service: text}).
    """

    kind: Literal["text", "secret", "url", "int", "flag", "duration", "choice", "phone", "email", "map", "keys"]
    help: str
    required: bool = False
    default: Any = None
    choices: tuple[str, ...] = ()
    least: int | None = None
    most: int | None = None


@dataclass(frozen=True, slots=True)
class Where:
    """A place in a configuration file; lines and columns count from 1."""

    file: str
    line: int
    column: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}:{self.column}"


@dataclass(frozen=True, slots=True)
class Problem:
    """A finding about the configuration. `code` is stable and documented; `fix` says what to write, where the message
    does not say it already.
    """

    where: Where
    level: Literal["error", "warning", "info"]
    code: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"
