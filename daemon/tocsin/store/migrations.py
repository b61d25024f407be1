"""Migrations: the steps from the schema that a database has to the one this Tocsin needs.

Numbered files in `sql/sqlite/` and `sql/postgres/`, each applied in a transaction of its own; the
number reached is kept in `meta` under `schema`.
"""

from __future__ import annotations

import os
import sqlite3
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote

from tocsin.errors import SchemaTooNew, StoreError
from tocsin.store.lock import empty
from tocsin.store.named_queries import HERE


@dataclass(frozen=True, slots=True)
class Migration:
    number: int
    text: str


def migrations(dialect: str) -> tuple[Migration, ...]:
    """The steps of "sqlite" or "postgres", in order."""
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

    A database that holds something is first copied to `<path>.before-<number>`, once. With `apply` false
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
        copy_before(conn, path, todo[-1].number)
    for step in todo:
        take_step(conn, step)
    return steps[-1].number


def version_of(conn: sqlite3.Connection) -> int:
    """0 for a database without anything in it."""
    known = conn.execute("select 1 from sqlite_master where type = 'table' and name = 'meta'").fetchone()
    row = conn.execute("select value from meta where name = 'schema'").fetchone() if known else None
    return int(row[0]) if row else 0


def refuse_foreign(conn: sqlite3.Connection, path: Path, *, interrupted: bool) -> None:
    """Raises StoreError for a database of something else, and for one without any table unless its making was
    `interrupted`. Reads only."""
    tables = [name for (name,) in conn.execute("select name from sqlite_master where type = 'table' order by name")]
    if not tables and not interrupted:
        raise StoreError(empty(path))
    if tables and not is_ours(conn, tables):
        raise StoreError(
            f"{path}: is a database of another program (its tables are {', '.join(tables[:5])}), and is left as it is; "
            "write another path in database.url"
        )


def is_ours(conn: sqlite3.Connection, tables: Sequence[str]) -> bool:
    if "meta" not in tables:
        return False
    columns = {row[1] for row in conn.execute("pragma table_info(meta)")}
    return {"name", "value"} <= columns and version_of(conn) > 0


def copy_before(conn: sqlite3.Connection, path: Path, number: int) -> None:
    """Keep what the database holds as `<path>.before-<number>`. A copy that is there is never written over: one of
    this very state, or of the state before a migration that was cut off, is enough; else the new one gets a number."""
    first = path.with_name(f"{path.name}.before-{number}")
    copy, again = first, 1
    while copy.exists():
        if is_enough(copy, conn):
            return
        again += 1
        copy = first.with_name(f"{first.name}-{again}")
    keep_copy(conn, copy)


def is_enough(copy: Path, conn: sqlite3.Connection) -> bool:
    """Whether a copy has all that the database had before anything was changed."""
    try:
        kept = sqlite3.connect(f"file:{quote(str(copy))}?mode=ro&immutable=1", uri=True)
        try:
            return state_of(kept) == state_of(conn)
        finally:
            kept.close()
    except sqlite3.Error:
        return False


def state_of(conn: sqlite3.Connection) -> tuple[object, ...]:
    """Equal for two databases that nothing but migrations lies between: each start and each row changes it."""
    newest = [conn.execute(f"select max({key}) from {table}").fetchone()[0] for table, key in NEWEST]  # noqa: S608  # ours
    others = conn.execute("select name, value from meta where name <> 'schema' order by name").fetchall()
    return (*newest, *others)


NEWEST = (("posts", "id"), ("alerts", "id"), ("incidents", "number"), ("timeline", "id"))


def keep_copy(conn: sqlite3.Connection, path: Path) -> None:
    """A whole copy, on the disk before it gets its name. Raises FileExistsError where the name is taken."""
    partial = path.with_name(path.name + ".partial")
    partial.unlink(missing_ok=True)
    conn.execute("vacuum into ?", (str(partial),))
    partial.chmod(0o600)
    sync(partial)
    os.link(partial, path)  # unlike a rename it never takes the place of another file
    partial.unlink()
    sync(path.parent)


def sync(path: Path) -> None:
    """Have the file, or the directory's entries, on the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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
