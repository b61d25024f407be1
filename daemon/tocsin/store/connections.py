"""SQLite connections, in a thread of their own or right here.

A whole function crosses to the connection in one hop. `ThreadConnection` is production;
`InlineConnection` runs the same function on the loop's own thread, so that a simulation has one trace.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any, Literal, Protocol, TypeVar
from urllib.parse import quote

import aiosqlite

from tocsin.errors import Conflict, StoreError, StoreUnavailable

T = TypeVar("T")
Runner = Literal["thread", "inline", "alone"]
STATEMENTS_KEPT = 1024
BUSY_SECONDS = 5.0


class Connection(Protocol):
    async def run(self, steps: Callable[[sqlite3.Connection], T]) -> T:
        """Run `steps` where the connection lives, and return its answer. Raises StoreError for SQLite's errors."""

    def here(self, steps: Callable[[sqlite3.Connection], T]) -> T:
        """Run `steps` on the caller's thread, while nothing else runs on the connection: for what is quick."""

    async def close(self) -> None: ...


class ThreadConnection(aiosqlite.Connection):
    """aiosqlite's connection and thread, with one more door: a whole function in one hop.

    aiosqlite itself crosses threads once for each call. `_execute` is the protected method that all
    its public ones are made of; a subclass is who it is protected for.
    """

    stopped: asyncio.Future[Any] | None = None

    def stop(self) -> asyncio.Future[Any] | None:
        """As aiosqlite does; the future is kept, so that who could not open it waits for the thread's end."""
        self.stopped = super().stop()
        return self.stopped

    async def run(self, steps: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return await self._execute(steps, self._conn)  # type: ignore[no-untyped-call, no-any-return]  # aiosqlite has no types here
        except sqlite3.Error as error:
            raise as_store_error(error) from error
        except ValueError as error:
            if self._connection is None or not self._running:
                raise StoreUnavailable("the database is closed") from error
            raise

    def here(self, steps: Callable[[sqlite3.Connection], T]) -> T:
        if self._connection is None:
            raise StoreUnavailable("the database is closed")
        try:
            return steps(self._connection)
        except sqlite3.Error as error:
            raise as_store_error(error) from error


class InlineConnection:
    """A connection that is used on the thread of whoever calls."""

    def __init__(self, conn: sqlite3.Connection) -> None:
        self._conn: sqlite3.Connection | None = conn

    async def run(self, steps: Callable[[sqlite3.Connection], T]) -> T:
        return self.here(steps)

    def here(self, steps: Callable[[sqlite3.Connection], T]) -> T:
        if self._conn is None:
            raise StoreUnavailable("the database is closed")
        try:
            return steps(self._conn)
        except sqlite3.Error as error:
            raise as_store_error(error) from error

    async def close(self) -> None:
        if self._conn is not None:
            self._conn.close()
            self._conn = None


async def connect(runner: Runner, open_it: Callable[[], sqlite3.Connection]) -> Connection:
    """A connection opened where it will live."""
    try:
        if runner != "thread":
            return InlineConnection(open_it())
        connection = ThreadConnection(open_it, iter_chunk_size=64)
        try:
            await connection
            return connection
        finally:
            if connection.stopped is not None:
                await connection.stopped
    except sqlite3.Error as error:
        raise as_store_error(error) from error


def open_writer(
    path: Path, *, durable: bool = True, check: Callable[[sqlite3.Connection], None] | None = None
) -> sqlite3.Connection:
    """The one connection that ever writes or checkpoints. A commit is on the disk when it returns.

    `check` may refuse the database, by an error, before anything of it is changed.
    """
    create_private(path)
    conn = plain_connection(str(path), uri=False)
    try:
        if check is not None:
            check(conn)
    except BaseException:
        conn.close()
        raise
    conn.execute("pragma journal_mode = wal")
    conn.execute(f"pragma synchronous = {'full' if durable else 'off'}")
    conn.execute("pragma wal_autocheckpoint = 4000")
    conn.execute("pragma journal_size_limit = 67108864")
    conn.execute("pragma cache_size = -24576")
    conn.execute("pragma temp_store = memory")
    return conn


def open_alone() -> sqlite3.Connection:
    """The only connection to a database that is nowhere but in memory."""
    conn = plain_connection(":memory:", uri=False)
    conn.execute("pragma temp_store = memory")
    return conn


def create_private(path: Path) -> None:
    """A new file is its owner's alone, whatever the umask: it holds the keys of links, and people's numbers.

    SQLite gives its log the same mode. A file that exists is not touched: closing it would drop SQLite's
    locks (sqlite.org/howtocorrupt.html, 2.2). What cannot be created SQLite says better.
    """
    with suppress(OSError):
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))


def open_reading(path: Path) -> sqlite3.Connection:
    """A connection that cannot write, cannot create and never checkpoints."""
    conn = plain_connection(f"file:{quote(str(path))}?mode=ro", uri=True)
    conn.execute("pragma cache_size = -4096")
    return conn


def plain_connection(target: str, *, uri: bool) -> sqlite3.Connection:
    return sqlite3.connect(
        target,
        uri=uri,
        timeout=BUSY_SECONDS,
        isolation_level=None,
        check_same_thread=False,
        cached_statements=STATEMENTS_KEPT,
    )


def as_store_error(error: Exception) -> StoreError:
    """SQLite's complaint as the store's error."""
    match error:
        case sqlite3.IntegrityError():
            return Conflict(f"a promise of the database would be broken: {error}")
        case sqlite3.OperationalError() | sqlite3.InternalError():
            return StoreUnavailable(f"the database does not answer: {error}")
        case sqlite3.DatabaseError() if not isinstance(error, (sqlite3.ProgrammingError, sqlite3.DataError)):
            return StoreUnavailable(f"the database file is damaged: {error}; see `tocsin db verify`")
        case _:
            return StoreError(f"the database cannot keep this: {error}")
