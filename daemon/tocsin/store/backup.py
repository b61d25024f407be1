"""Backup and restore: a database copied whole, checked, and brought back without waking anybody.

A backup is a plain SQLite file, made while the daemon runs or not; of PostgreSQL it is a dump in
pg_dump's custom format. A restored copy lies in quarantine (`meta.quarantine`): the daemon takes alerts
in and shows them but pages nobody until a person confirms, so that a rehearsal or a stale copy never
rings a phone.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit, urlunsplit

from tocsin.errors import StoreBusy, StoreError, StoreUnavailable
from tocsin.model import Instant, rfc3339
from tocsin.store.connections import as_store_error, open_reading, open_writer, plain_connection
from tocsin.store.lock import MAGIC, LockFile, lock_byte
from tocsin.store.migrations import migrations, missing, sync, version_of

QUARANTINE = "quarantine"
PROGRAM_SECONDS = 3600


@contextmanager
def understood() -> Iterator[None]:
    """SQLite's and the file system's complaints as the store's."""
    try:
        yield
    except sqlite3.Error as error:
        raise as_store_error(error) from error
    except OSError as error:
        raise StoreUnavailable(f"{error.filename}: {error.strerror}") from error


def backup_sqlite(database: Path, target: Path) -> None:
    """Copy `database`, as of one instant, into the new file `target`, readable by its owner alone.

    Works beside a running daemon and does not hold it up. The copy is checked before it gets its name.
    Raises StoreError when `target` exists or there is nothing to copy.
    """
    if not database.is_file():
        raise StoreUnavailable(f"{database}: there is no database yet")
    if target.exists():
        raise StoreError(f"{target}: exists already; a backup never overwrites, name another file")
    partial = target.with_name(target.name + ".partial")
    with understood():
        partial.unlink(missing_ok=True)
        os.close(os.open(partial, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        source = open_reading(database)
        try:
            source.execute("vacuum into ?", (str(partial),))
        finally:
            source.close()
        if problems := problems_of(partial):
            raise StoreError(f"{partial}: the copy is damaged: {problems[0]}")
        sync(partial)
        partial.replace(target)
        sync(target.parent)


def restore_sqlite(database: Path, source: Path, now: Instant) -> Path | None:
    """Put a backup in the database's place, in quarantine; returns where the replaced file went.

    Raises StoreBusy while a daemon runs on it, SchemaTooNew for a backup of a newer Tocsin, StoreError for a
    file that is none or is damaged. Until the last step nothing of the old database is touched.
    """
    if not source.is_file():
        raise StoreError(f"{source}: no such file")
    if problems := problems_of(source):
        raise StoreError(f"{source}: cannot be restored: {problems[0]}")
    database = database.resolve()
    lock = LockFile.take(database)
    held = os.open(database, os.O_RDWR | os.O_CLOEXEC) if database.is_file() else None
    try:
        if held is not None:
            lock_byte(held, database)
        with understood():
            incoming = database.with_name(database.name + ".incoming")
            shutil.copyfile(source, incoming)
            incoming.chmod(0o600)
            put_into_quarantine(incoming, source, now)
            sync(incoming)
            replaced = set_aside(database) if database.exists() else None
            incoming.replace(database)
            sync(database.parent)
            return replaced
    finally:
        if held is not None:
            os.close(held)
        lock.release()


def put_into_quarantine(copy: Path, source: Path, now: Instant) -> None:
    conn = plain_connection(str(copy), uri=False)
    try:
        conn.execute("insert or replace into meta (name, value) values (?, ?)", (QUARANTINE, reason(source, now)))
    finally:
        conn.close()


def reason(source: Path, now: Instant) -> str:
    return f"restored from {source.name} at {rfc3339(now)}"


def set_aside(database: Path) -> Path:
    """Close the old database's log into it and give it a second name; a log left behind would be taken for
    the new database's own. What is empty or no database keeps a second name too."""
    if is_database(database):
        close_log(database)
    for ending in ("-wal", "-shm"):
        database.with_name(database.name + ending).unlink(missing_ok=True)
    number = 1
    while (aside := database.with_name(f"{database.name}.replaced-{number}")).exists():
        number += 1
    os.link(database, aside)  # not a rename: at no moment may the daemon find no database and make an empty one
    return aside


def is_database(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(len(MAGIC)) == MAGIC


def close_log(database: Path) -> None:
    conn = open_writer(database)
    try:
        conn.execute("pragma busy_timeout = 1000")
        ((held, *_),) = conn.execute("pragma wal_checkpoint(truncate)").fetchall()
    finally:
        conn.close()
    if held:
        raise StoreBusy(f"{database}: somebody is still reading it; let that end first")


def problems_of(database: Path) -> list[str]:
    """Faults of a database file; none when it is sound and of this Tocsin or an older one."""
    try:
        conn = plain_connection(f"file:{quote(str(database))}?mode=ro", uri=True)
        try:
            found = [row[0] for row in conn.execute("pragma integrity_check(20)") if row[0] != "ok"]
            if found:
                return found
            version = version_of(conn)
        finally:
            conn.close()
    except sqlite3.DatabaseError as error:
        return [str(error)]
    if not version:
        return ["it is not a database of Tocsin"]
    missing(version, migrations("sqlite"), str(database))
    return []


# -------------------------------------------------------------------------------------- PostgreSQL


def backup_postgres(url: str, target: Path) -> None:
    """Dump the database with pg_dump. Raises StoreError with its words when that fails."""
    if target.exists():
        raise StoreError(f"{target}: exists already; a backup never overwrites, name another file")
    partial = target.with_name(target.name + ".partial")
    bare, secret = without_password(url)
    run(["pg_dump", "--format=custom", "--no-owner", f"--file={partial}", f"--dbname={bare}"], secret)
    with understood():
        partial.chmod(0o600)
        sync(partial)
        partial.replace(target)


def restore_postgres(url: str, source: Path) -> None:
    """Replace what the database holds by a dump, in one transaction. The caller puts it into quarantine."""
    bare, secret = without_password(url)
    options = ["--clean", "--if-exists", "--no-owner", "--single-transaction", "--exit-on-error"]
    run(["pg_restore", *options, f"--dbname={bare}", str(source)], secret)


def without_password(url: str) -> tuple[str, Mapping[str, str]]:
    """The URL as others on this machine may see it in the list of processes, and the secret beside it."""
    parts = urlsplit(url)
    if parts.password is None:
        return url, {}
    user, _, host = parts.netloc.rpartition("@")
    bare = parts._replace(netloc=f"{user.partition(':')[0]}@{host}")
    return urlunsplit(bare), {"PGPASSWORD": unquote(parts.password)}


def run(command: Sequence[str], secret: Mapping[str, str]) -> None:
    try:
        done = subprocess.run(
            command, env={**os.environ, **secret}, capture_output=True, text=True, timeout=PROGRAM_SECONDS, check=False
        )
    except FileNotFoundError as error:
        raise StoreError(f"{command[0]} is not installed; on Debian: apt-get install postgresql-client") from error
    except subprocess.TimeoutExpired as error:
        raise StoreUnavailable(f"{command[0]} did not come to an end within an hour") from error
    if done.returncode:
        raise StoreError(f"{command[0]}: {done.stderr.strip() or f'exit code {done.returncode}'}")
