"""Output of commands: a table for a person, JSON for a script. rich is imported only for a terminal."""

from __future__ import annotations

import importlib
import json
import sys
from collections.abc import Iterable, Sequence
from typing import Any

Line = Sequence[tuple[str, str]]
"""Texts with the style of each."""


def print_json(value: Any) -> None:
    sys.stdout.write(json.dumps(value, indent=2, ensure_ascii=not _utf8()) + "\n")


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Rows under their headings, cut to the terminal; whole, and without colour, where the output is no terminal."""
    cells = [[clean(cell) for cell in row] for row in rows]
    if not cells:
        say(empty)
        return
    if sys.stdout.isatty():
        importlib.import_module("tocsin.cli.terminal_tables").print_table(columns, cells)
    else:
        _plain_table(columns, cells)


def print_lines(lines: Iterable[Line]) -> None:
    """Whole, whatever the terminal's width; in their styles where there is one."""
    if sys.stdout.isatty():
        importlib.import_module("tocsin.cli.terminal_tables").print_lines(lines)
        return
    for line in lines:
        say("".join(text for text, _ in line))


def say(line: str) -> None:
    sys.stdout.write(clean(line, keep="\n") + "\n")


def warn(line: str) -> None:
    sys.stderr.write(clean(line, keep="\n") + "\n")


def clean(value: object, keep: str = "") -> str:
    """Text that cannot steer the terminal: control characters become spaces."""
    text = "" if value is None else str(value)
    return "".join(char if char.isprintable() or char in keep else " " for char in text)


def _plain_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    widths = [max(len(row[index]) for row in (columns, *rows)) for index in range(len(columns))]
    for row in ([column.upper() for column in columns], *rows):
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        sys.stdout.write(line.rstrip() + "\n")


def _utf8() -> bool:
    return (sys.stdout.encoding or "").lower().replace("-", "") == "utf8"
