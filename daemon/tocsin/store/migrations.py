"""Which steps lead from the schema a database has to the one this Tocsin needs?

Numbered files in `sql/sqlite/` and `sql/postgres/`, each applied in a transaction of its own; the
number reached is kept in `meta` under `schema`.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tocsin.errors import SchemaTooNew, StoreError
from tocsin.store.queries import HERE

Statements = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    text: str


def migrations(dialect: str) -> tuple[Migration, ...]:
    """All steps of "sqlite" or "postgres", in order."""
    found = [file for file in (HERE / dialect).iterdir() if file.name.endswith(".sql")]
    return tuple(
        Migration(int(file.name.split("_")[0]), file.read_text("utf-8"))
        for file in sorted(found, key=lambda file: file.name)
    )


def missing(version: int, steps: Sequence[Migration], database: str) -> tuple[Migration, ...]:
    """The steps still to take. Raises SchemaTooNew when the database is ahead of this program."""
    newest = steps[-1].number
    if version > newest:
        raise SchemaTooNew(
            f"{database}: its schema is number {version}, this Tocsin knows up to {newest}; "
            "run the newer Tocsin, or restore the backup that was made before it was upgraded"
        )
    return tuple(step for step in steps if step.number > version)


def migrate_sqlite(
    conn: sqlite3.Connection, path: Path, *, apply: bool, steps: Sequence[Migration] | None = None
) -> int:
    """Bring the file up to date and return the schema's number.

    A database that holds something is first copied to `<path>.before-<number>`. With `apply` false
    a database that is behind is refused instead.
    """
    steps = migrations("sqlite") if steps is None else steps
    version = version_of(conn)
    todo = missing(version, steps, str(path))
    if todo and not apply:
        raise StoreError(
            f"{path}: its schema is number {version}, {todo[-1].number} is needed; run `tocsin db migrate`"
        )
    if todo and version:
        keep_copy(conn, path.with_name(f"{path.name}.before-{todo[-1].number}"))
    for step in todo:
        take_step(conn, step)
    return steps[-1].number


def version_of(conn: sqlite3.Connection) -> int:
    """0 for a database without anything in it."""
    known = conn.execute("select 1 from sqlite_master where type = 'table' and name = 'meta'").fetchone()
    row = conn.execute("select value from meta where name = 'schema'").fetchone() if known else None
    return int(row[0]) if row else 0


def keep_copy(conn: sqlite3.Connection, path: Path) -> None:
    path.unlink(missing_ok=True)
    conn.execute("vacuum into ?", (str(path),))
    path.chmod(0o600)


def take_step(conn: sqlite3.Connection, step: Migration) -> None:
    conn.execute("begin immediate")
    try:
        for statement in statements(step.text):
            conn.execute(statement)
        conn.execute("insert or replace into meta (name, value) values ('schema', ?)", (str(step.number),))
        conn.execute("commit")
    except sqlite3.Error:
        if conn.in_transaction:
            conn.execute("rollback")
        raise


def statements(text: str) -> list[str]:
    """The text cut at the semicolons that end statements."""
    found, waiting = [], ""
    for line in text.splitlines(keepends=True):
        waiting += line
        if sqlite3.complete_statement(waiting):
            found.append(waiting)
            waiting = ""
    return found
