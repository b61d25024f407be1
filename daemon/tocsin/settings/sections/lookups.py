"""Tables beside the rules that add labels to alerts: CSV or YAML, read whole when the configuration is read.

CSV: a first line of column names, then rows; the first column is what is looked up. YAML: what is looked up → the
columns of its row. Every broken row is a problem with its line.
"""

from __future__ import annotations

import csv
import io
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any

from tocsin.model import Enrich, Where
from tocsin.settings.document import nodes
from tocsin.settings.document.nodes import Node, Scalar
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import did_you_mean
from tocsin.settings.document.shapes import BROKEN, Got, Key, Name, Nothing, Shape, Table, text
from tocsin.settings.document.trusted_files import Unreadable, read_whole, who_else_writes

LONGEST = 8 * 1024 * 1024
MOST_ROWS = 200_000
MOST_BROKEN = 20  # rows told of one table: a wrong separator breaks every one
CELL = 2_048

Rows = Mapping[str, Mapping[str, str]]

LABEL_COLUMNS = Table(text("a column's name", longest=1000))
KEYS = {
    "file": Key(text("a file's name"), "a CSV or YAML file, relative to the file that names it", required=True),
    "on": Key(text("a label's name"), "the label that is looked up in the first column", required=True),
    "set": Key(LABEL_COLUMNS, "label → column", required=True),
}


def enrichment(got: Got, reading: Reading) -> Enrich | Nothing:
    """A lookup with its table; what is wrong with the file is told at its own lines."""
    written = got.at("file")
    path = reading.folders.get(written.at.file, Path()) / got.get("file")
    raw = _bytes(written, path, reading)
    if raw is None:
        return BROKEN
    shown = os.path.normpath(Path(written.at.file).parent / got.get("file"))
    known = reading.tables.get(str(path))
    if known is None:
        known = reading.tables[str(path)] = _read(shown, raw, reading)
    columns, rows = known
    for column in _columns_of(got.at("set")):
        if rows and column.text not in columns:
            reading.error(column, "unknown-name", f"{shown} has no column '{column.text}'{_hint(column.text, columns)}")
    return Enrich(got.get("on"), got.get("set"), rows, shown)


class KnownLookup(Shape[Enrich]):
    """The name of a lookup."""

    def read(self, node: Node, reading: Reading) -> Enrich | Nothing:
        name = Name("lookups").read(node, reading)
        found: Mapping[str, Enrich] = reading.values.get("lookups") or {}
        return found.get(name, BROKEN) if isinstance(name, str) else BROKEN

    def schema(self) -> dict[str, Any]:
        return Name("lookups").schema()


def _bytes(node: Node, path: Path, reading: Reading) -> bytes | None:
    """The file; from what was kept with the last good configuration where that is in use."""
    kept = reading.attached.get(str(path))
    if kept is not None:
        return kept
    try:
        found = read_whole(path, LONGEST)
    except Unreadable as wrong:
        reading.error(node, "file", wrong.of(path))
        return None
    others = who_else_writes(found.about, path, reading.owners)
    if others:
        reading.error(node, "permission", others)
    raw = found.raw
    if len(raw) > LONGEST:
        reading.error(node, "lookup", f"{path} is larger than {LONGEST >> 20} MiB")
        return None
    reading.attached[str(path)] = raw
    return raw


def _read(shown: str, raw: bytes, reading: Reading) -> tuple[tuple[str, ...], Rows]:
    if shown.endswith((".yaml", ".yml")):
        return _yaml(shown, raw, reading)
    return _csv(shown, raw, reading)


# -------------------------------------------------------------------------------------------- CSV


def _csv(shown: str, raw: bytes, reading: Reading) -> tuple[tuple[str, ...], Rows]:
    try:
        lines = csv.reader(io.StringIO(raw.decode("utf-8-sig"), newline=""), strict=True)
    except UnicodeDecodeError as bad:
        line = raw[: bad.start].count(b"\n") + 1
        reading.note("error", Where(shown, line, 1), "encoding", "this is not UTF-8; save the file as UTF-8")
        return (), {}
    told = _Told(shown, reading)
    rows: dict[str, Mapping[str, str]] = {}
    columns: tuple[str, ...] = ()
    for line, cells in _rows(lines, told):
        if not columns:
            columns = _header(line, cells, told)
        elif wrong := _wrong(cells, columns, rows):
            told.at(line, wrong)
        else:
            rows[cells[0]] = MappingProxyType(dict(zip(columns, cells, strict=True)))
    if not columns:
        told.at(1, "the table is empty; its first line names the columns, as in host,owner,tier")
    return columns, MappingProxyType(rows)


def _rows(lines: Any, told: _Told) -> Iterator[tuple[int, list[str]]]:
    """Yield the rows that are not blank, each with its line. A row that cannot be read ends the table: the rest would
    be guessed.
    """
    while True:
        line = lines.line_num + 1
        try:
            cells = [cell.strip() for cell in next(lines)]
        except StopIteration:
            return
        except csv.Error as wrong:
            told.at(line, f"this row cannot be read: {wrong}")
            return
        if any(cells):
            yield line, cells


def _header(line: int, cells: list[str], told: _Told) -> tuple[str, ...]:
    for name in dict.fromkeys(name for name in cells if cells.count(name) > 1 or not name):
        told.at(line, f"two columns are named '{name}'" if name else "a column has no name")
    return tuple(cells)


def _wrong(cells: list[str], columns: tuple[str, ...], rows: Mapping[str, object]) -> str:
    if len(cells) != len(columns):
        return f"{len(cells)} cells, where the first line names {len(columns)} columns; quote a cell that holds a comma"
    if not cells[0]:
        return f"the first cell ({columns[0]}) is empty: nothing could be looked up"
    if cells[0] in rows:
        return f"a row '{cells[0]}' exists already; what is looked up is unique"
    if len(rows) >= MOST_ROWS:
        return f"a table has at most {MOST_ROWS} rows"
    return next((f"a cell has more than {CELL} characters" for cell in cells if len(cell) > CELL), "")


class _Told:
    """Mistakes of one table, as many as help."""

    def __init__(self, shown: str, reading: Reading) -> None:
        self.shown, self.reading, self.count = shown, reading, 0

    def at(self, line: int, message: str) -> None:
        self.count += 1
        if self.count <= MOST_BROKEN:
            self.reading.note("error", Where(self.shown, line, 1), "lookup", message)


# ------------------------------------------------------------------------------------------- YAML


def _yaml(shown: str, raw: bytes, reading: Reading) -> tuple[tuple[str, ...], Rows]:
    tree = nodes.read_tree(raw, shown)
    for problem in tree.problems:
        reading.note(problem.level, problem.where, problem.code, problem.message)
    rows: dict[str, Mapping[str, str]] = {}
    for name, node in tree.top.entries.items() if tree.top else ():
        row = _yaml_row(name, node, reading)
        if row is not None:
            rows[name] = MappingProxyType(row)
    columns = dict.fromkeys(column for row in rows.values() for column in row)
    return tuple(columns), MappingProxyType(rows)


def _yaml_row(name: str, node: Node, reading: Reading) -> dict[str, str] | None:
    if not isinstance(node, nodes.Mapping):
        reading.note("error", node.key_at, "lookup", f"'{name}' is no row; write {name}: {{column: value}}")
        return None
    row: dict[str, str] = {}
    for column, cell in node.entries.items():
        if not isinstance(cell, Scalar) or len(cell.text) > CELL:
            reading.note("error", cell.at, "lookup", f"{name}.{column}: is not one short text")
        elif not cell.empty:
            row[column] = cell.text
    return row


def _columns_of(node: Node) -> list[Scalar]:
    entries = node.entries.values() if isinstance(node, nodes.Mapping) else ()
    return [entry for entry in entries if isinstance(entry, Scalar)]


def _hint(name: str, columns: tuple[str, ...]) -> str:
    return did_you_mean(name, columns) or f"; it has {', '.join(columns)}"
