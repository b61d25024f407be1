"""Tables and lines on a terminal, with colours. Imported only for a terminal: rich costs half a client's start."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

_WRAPS = frozenset({"title", "because", "matchers", "comment", "detail"})
_STYLES = {
    "P1": "bold red",
    "P2": "red",
    "P3": "yellow",
    "P4": "cyan",
    "P5": "dim",
    "triggered": "bold red",
    "acknowledged": "yellow",
    "on_hold": "yellow",
    "resolved": "green",
    "accepted": "green",
    "failed": "red",
    "unknown": "yellow",
}


def print_table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Rows of clean text under their headings; long texts are folded, never cut."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        wraps = column in _WRAPS
        table.add_column(column.upper(), no_wrap=not wraps, overflow="fold", min_width=16 if wraps else None)
    for row in rows:
        table.add_row(*(Text(cell, style=_STYLES.get(cell, "")) for cell in row))
    Console(highlight=False).print(table)


def print_lines(lines: Iterable[Sequence[tuple[str, str]]]) -> None:
    """Print lines of (text, style) pairs, folded by the terminal alone."""
    console = Console(highlight=False)
    for line in lines:
        console.print(Text.assemble(*line), soft_wrap=True)
