"""The database: chosen by its URL, opened as a store or for reading alone."""

from __future__ import annotations

import importlib
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeAlias, cast

from tocsin.clock import Tasks
from tocsin.contracts import Chance, Clock, Spawn, Store
from tocsin.decide.time_line import anchor_of
from tocsin.errors import StoreUnavailable
from tocsin.model import Instant
from tocsin.model.civil import ahead, set_ahead
from tocsin.store.connections import Runner
from tocsin.store.sqlite import SqliteReader, SqliteStore, open_sqlite, open_sqlite_reader
from tocsin.store.watch import Unwatched, Watch

if TYPE_CHECKING:
    from tocsin.store.postgres import PostgresReader

Reader: TypeAlias = "SqliteReader | PostgresReader"

log = logging.getLogger("tocsin.store")

__all__ = [
    "Reader",
    "Runner",
    "SqliteStore",
    "Unwatched",
    "Watch",
    "is_absent",
    "is_postgres",
    "open_reader",
    "open_store",
    "sqlite_path",
]


async def open_store(
    url: str,
    *,
    clock: Clock,
    chance: Chance,
    runner: Runner = "thread",
    migrate: bool = True,
    spawn: Spawn | None = None,
    watch: Watch | None = None,
) -> Store:
    """The store behind `url`, its schema up to date, ready to write.

    `sqlite:PATH` makes the file where there is none and holds its lock until closed;
    `sqlite::memory:` is a file that goes away with the store. `postgresql://…` connects to a server.
    `runner` "inline" keeps SQLite on the loop's own thread: for simulations. So does "alone", where
    `sqlite::memory:` is a single connection: a read waits for the transaction that is under way. With
    `migrate` false a database that is behind is refused. Raises StoreBusy, SchemaTooNew,
    StoreUnavailable, StoreError.
    """
    spawn = spawn or Tasks(report)
    if is_postgres(url):
        store = await _postgres().open_postgres(
            url, clock=clock, chance=chance, spawn=spawn, migrate=migrate, watch=watch
        )
        return cast(Store, store)
    return await open_sqlite(sqlite_path(url), clock=clock, spawn=spawn, runner=runner, migrate=migrate, watch=watch)


async def open_reader(url: str, clock: Clock) -> Reader:
    """The reads alone, beside whoever writes; creates nothing. StoreUnavailable when there is nothing to read."""
    if is_postgres(url):
        reader: Reader = await _postgres().open_postgres_reader(url, clock=clock)
    else:
        reader = await open_sqlite_reader(sqlite_path(url), clock=clock)
    try:
        await _read_its_time(reader, clock)
    except BaseException:
        await reader.close()
        raise
    return reader


async def _read_its_time(reader: Reader, clock: Clock) -> None:
    """Read where the database's line of time lies: a step of the clock took it off civil time."""
    anchor = anchor_of(await reader.meta("clock"))
    if anchor is not None and anchor.ahead != ahead():
        clock.set(Instant(clock.now() + ahead() - anchor.ahead))
        set_ahead(anchor.ahead)


def _postgres() -> Any:
    """Import PostgreSQL's driver where it is used: commands beside a SQLite file start without it."""
    return importlib.import_module("tocsin.store.postgres")


def is_postgres(url: str) -> bool:
    return url.startswith(("postgresql:", "postgres:"))


def is_absent(url: str) -> bool:
    """Whether there is surely nothing to read: a SQLite file that was never made."""
    return not is_postgres(url) and not Path(sqlite_path(url)).is_file()


def sqlite_path(url: str) -> str:
    """The path in `sqlite:PATH` (`sqlite:///absolute` is understood too)."""
    if not url.startswith("sqlite:"):
        raise StoreUnavailable(f"{url!r} names no database; write sqlite:PATH or postgresql://USER@HOST/NAME")
    path = url.removeprefix("sqlite:")
    return path[2:] if path.startswith("///") else path


def report(name: str, error: BaseException) -> None:
    """A task of the store ended with an error nobody awaits."""
    log.error("%s ended: %s", name, error, exc_info=error)
