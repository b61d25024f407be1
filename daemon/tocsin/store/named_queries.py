"""Named queries: reads `sql/*.sql`, a file a capability, and turns the one text into each dialect.

`alerts.sql` is for both databases, `alerts.sqlite.sql` and `alerts.postgres.sql` are what only one of them says
this way; migrations are in folders of their own.

A query starts with `-- name: it`, its sentence and its text follow; no name stands twice. Parameters are `$1`, `$2` …
In the text `{page}` stands for the page's columns, `{p.page}` for those of alias `p`, `{page.values}` for the rows an
insert is given, `{page.changes}` for `column = excluded.column` of all that may change.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable

from tocsin.errors import StoreError
from tocsin.store.rows import SHAPES, Shape

HERE = files("tocsin.store") / "sql"
NAME = re.compile(r"^-- name: (\w+)$", re.MULTILINE)
COMMENT = re.compile(r"^--.*\n", re.MULTILINE)
MACRO = re.compile(r"\{(?:(\w+)\.)?(\w+)\}")
LIVE = "(due_at is not null or status in ('triggered', 'acknowledged', 'on_hold'))"
"""Incidents that still wait for something: the condition of their partial index, to be repeated word for word."""


@dataclass(frozen=True, slots=True)
class Insert:
    """An insert of any number of rows: `head`, as many row groups as wanted, `tail`."""

    head: str
    tail: str
    width: int
    shape: Shape[object] | None


@dataclass(frozen=True, slots=True)
class Queries:
    """Every named query of one dialect."""

    texts: Mapping[str, str]
    inserts: Mapping[str, Insert]


def load(dialect: str) -> Queries:
    """Load the queries for "sqlite" or "postgres"."""
    found = gathered(HERE, dialect)
    translate = to_sqlite if dialect == "sqlite" else str
    texts: dict[str, str] = {}
    inserts: dict[str, Insert] = {}
    for name, text in found.items():
        if ".values}" in text:
            inserts[name] = insert_of(text, translate)
        else:
            texts[name] = translate(expand(text))
    return Queries(texts, inserts)


def gathered(folder: Traversable, dialect: str) -> dict[str, str]:
    """Name → text, of all files that this dialect reads. Raises StoreError for a name that stands twice."""
    found: dict[str, str] = {}
    places: dict[str, str] = {}
    for file in sorted(folder.iterdir(), key=lambda file: file.name):
        if not file.name.endswith(".sql") or file.name.removesuffix(".sql").partition(".")[2] not in ("", dialect):
            continue
        parts = NAME.split(file.read_text("utf-8"))
        for name, text in zip(parts[1::2], parts[2::2], strict=True):
            if name in found:
                raise StoreError(f"{file.name}: the query {name} stands in {places[name]} too; rename one")
            found[name], places[name] = COMMENT.sub("", text).strip().removesuffix(";"), file.name
    return found


def insert_of(text: str, translate: Callable[[str], str]) -> Insert:
    """Cut an insert at its `{….values}`."""
    (macro,) = re.findall(r"\{(\w+)\.values\}", text)
    head, tail = text.split("{" + macro + ".values}")
    shape = SHAPES.get(macro)
    # a table that has no dataclass names its columns itself: {3.values} is three columns
    width = int(macro) if shape is None else len(shape.given)
    return Insert(translate(expand(head)), translate(expand(tail)), width, shape)


def expand(text: str) -> str:
    return MACRO.sub(expansion, text.replace("{live}", LIVE))


def expansion(macro: re.Match[str]) -> str:
    first, second = macro.groups()
    if second == "given":
        return ", ".join(quoted(name) for name in SHAPES[first].given)
    if second == "changes":
        shape = SHAPES[first]
        changed = [quoted(name) for name in shape.columns if name not in shape.fixed]
        return ", ".join(f"{name} = excluded.{name}" for name in changed)
    return ", ".join(f"{first}.{quoted(name)}" if first else quoted(name) for name in SHAPES[second].columns)


def quoted(name: str) -> str:
    """`user` is a reserved word of PostgreSQL."""
    return '"user"' if name == "user" else name


def to_sqlite(text: str) -> str:
    """The common text as SQLite reads it: no locks (there is one writer), no casts, lists as JSON."""
    text = re.sub(r"\s+for update(?: of \w+)?(?: skip locked)?", "", text)
    text = re.sub(r"= any\(\$(\d+)::\w+\[\]\)", r"in (select value from json_each($\1))", text)
    text = re.sub(r"unnest\(\$(\d+)::\w+\[\]\) as (\w+)\(value\)", r"json_each($\1) as \2", text)
    text = re.sub(r"::\w+", "", text)
    return re.sub(r"\$(\d+)", r"?\1", text)
