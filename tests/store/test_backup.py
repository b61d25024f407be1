"""A copy is whole, checked and private; a restored one wakes nobody; the one before is kept."""

from __future__ import annotations

import sqlite3
import stat
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.store.facts import T0, incident, there
from tocsin.clock import SeededChance, SystemClock, VirtualClock
from tocsin.contracts import IncidentFilter, Store, Tx
from tocsin.errors import SchemaTooNew, StoreBusy, StoreError, StoreUnavailable
from tocsin.store import open_store
from tocsin.store.backup import (
    backup_postgres,
    backup_sqlite,
    problems_of,
    restore_postgres,
    restore_sqlite,
    without_password,
)
from tocsin.store.connections import open_writer
from tocsin.store.sqlite import SqliteStore

Opened = Callable[[], Awaitable[SqliteStore]]
Reading = tuple[Path, sqlite3.Connection]


@pytest.fixture
async def opened(tmp_path: Path) -> AsyncIterator[Opened]:
    stores: list[SqliteStore] = []

    async def open_one() -> SqliteStore:
        store = await open_store(f"sqlite:{tmp_path}/tocsin.db", clock=VirtualClock(T0), chance=SeededChance(1))
        assert isinstance(store, SqliteStore)
        stores.append(store)
        return store

    yield open_one
    for store in stores:
        await store.close()


async def add(store: Store, number: int) -> None:
    async def work(tx: Tx) -> None:
        tx.add_incidents([incident(number)])

    await store.write(work)


async def numbers(store: Store) -> list[int]:
    return [one.number for one in await store.incidents(IncidentFilter(), 99, None)]


async def test_a_backup_beside_the_running_daemon_holds_all_that_was_committed(opened: Opened, tmp_path: Path) -> None:
    store = await opened()
    await add(store, 1)
    backup_sqlite(tmp_path / "tocsin.db", tmp_path / "copy")
    await add(store, 2)
    with sqlite3.connect(tmp_path / "copy") as conn:
        assert conn.execute("select number from incidents").fetchall() == [(1,)]
    conn.close()
    assert stat.S_IMODE((tmp_path / "copy").stat().st_mode) == 0o600
    assert not (tmp_path / "copy.partial").exists()


async def test_a_backup_never_overwrites(opened: Opened, tmp_path: Path) -> None:
    await opened()
    (tmp_path / "copy").write_text("precious")
    with pytest.raises(StoreError, match="exists already"):
        backup_sqlite(tmp_path / "tocsin.db", tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "precious"


def test_there_is_nothing_to_back_up_without_a_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no database yet"):
        backup_sqlite(tmp_path / "tocsin.db", tmp_path / "copy")
    assert list(tmp_path.iterdir()) == []


async def test_a_restored_copy_is_in_quarantine_and_the_one_before_is_kept(opened: Opened, tmp_path: Path) -> None:
    store = await opened()
    await add(store, 1)
    backup_sqlite(store.path, tmp_path / "copy")
    await add(store, 2)
    await store.close()
    replaced = restore_sqlite(store.path, tmp_path / "copy", T0)
    again = await opened()
    assert await numbers(again) == [1]
    assert await again.meta("quarantine") == "restored from copy at 2026-01-01T00:00:00Z"
    assert replaced is not None
    with sqlite3.connect(replaced) as conn:
        assert conn.execute("select count(*) from incidents").fetchone() == (2,)
    conn.close()
    await again.close()
    assert restore_sqlite(store.path, tmp_path / "copy", T0) != replaced


async def test_a_log_left_by_a_killed_daemon_is_not_taken_for_the_restored_databases_own(
    opened: Opened, tmp_path: Path
) -> None:
    store = await opened()
    await add(store, 1)
    backup_sqlite(store.path, tmp_path / "copy")
    await add(store, 2)
    # given what a kill leaves: the database and its log, nobody at work
    dead = tmp_path / "dead"
    dead.mkdir()
    for name in ("tocsin.db", "tocsin.db-wal"):
        (dead / name).write_bytes((tmp_path / name).read_bytes())
    replaced = there(restore_sqlite(dead / "tocsin.db", tmp_path / "copy", T0))
    assert not (dead / "tocsin.db-wal").exists()
    for path, held in ((dead / "tocsin.db", 1), (replaced, 2)):
        with sqlite3.connect(path) as conn:
            assert conn.execute("select count(*) from incidents").fetchone() == (held,)
        conn.close()


@pytest.fixture
async def reading(opened: Opened, tmp_path: Path) -> AsyncIterator[Reading]:
    """A database with a copy, nobody writing it, and somebody who has it open to read."""
    store = await opened()
    await add(store, 1)
    backup_sqlite(store.path, tmp_path / "copy")
    await add(store, 2)
    await store.close()
    conn = sqlite3.connect(f"file:{store.path}?mode=ro", uri=True, isolation_level=None)
    conn.execute("select count(*) from incidents").fetchall()
    yield store.path, conn
    conn.close()


async def test_one_who_only_has_the_old_database_open_shares_no_log_with_the_new_one(
    reading: Reading, tmp_path: Path
) -> None:
    path, _ = reading
    replaced = there(restore_sqlite(path, tmp_path / "copy", T0))
    assert not path.with_name("tocsin.db-wal").exists()
    assert not path.with_name("tocsin.db-shm").exists()
    with sqlite3.connect(replaced) as old:
        assert old.execute("select count(*) from incidents").fetchone() == (2,)
    old.close()


async def test_nothing_is_restored_while_somebody_reads_what_is_only_in_the_log(
    reading: Reading, opened: Opened, tmp_path: Path
) -> None:
    path, conn = reading
    conn.execute("begin")
    conn.execute("select count(*) from incidents").fetchall()
    with open_writer(path) as late:
        late.execute("update incidents set title = 'late' where number = 2")
        with pytest.raises(StoreBusy, match="still reading"):
            restore_sqlite(path, tmp_path / "copy", T0)
    late.close()
    conn.execute("rollback")
    assert await numbers(await opened()) == [2, 1]


async def test_nothing_is_restored_under_a_running_daemon(opened: Opened, tmp_path: Path) -> None:
    store = await opened()
    await add(store, 1)
    backup_sqlite(store.path, tmp_path / "copy")
    with pytest.raises(StoreBusy):
        restore_sqlite(store.path, tmp_path / "copy", T0)
    assert await numbers(store) == [1]


async def test_a_file_that_is_no_sound_backup_is_refused_before_anything_is_touched(
    opened: Opened, tmp_path: Path
) -> None:
    store = await opened()
    await add(store, 1)
    backup_sqlite(store.path, tmp_path / "copy")
    await store.close()
    before = store.path.read_bytes()
    (tmp_path / "text").write_text("not a database" * 100)
    sqlite3.connect(tmp_path / "other").close()
    with sqlite3.connect(tmp_path / "other") as conn:
        conn.execute("create table x (y)")
    conn.close()
    with sqlite3.connect(tmp_path / "newer") as conn:
        conn.execute("create table meta (name, value)")
        conn.execute("insert into meta values ('schema', '99')")
    conn.close()
    torn = bytearray((tmp_path / "copy").read_bytes())
    torn[4096 * 2 : 4096 * 5] = b"\xff" * 4096 * 3
    (tmp_path / "torn").write_bytes(torn)
    for name, error in (
        ("text", StoreError),
        ("other", StoreError),
        ("newer", SchemaTooNew),
        ("torn", StoreError),
        ("none", StoreError),
    ):
        with pytest.raises(error):
            restore_sqlite(store.path, tmp_path / name, T0)
    assert store.path.read_bytes() == before
    assert await numbers(await opened()) == [1]


async def test_a_sound_database_has_no_problems(opened: Opened) -> None:
    store = await opened()
    await add(store, 1)
    assert problems_of(store.path) == []


def test_a_password_is_not_shown_in_the_list_of_processes() -> None:
    assert without_password("postgresql://u:p%40ss@db:5/x?sslmode=require") == (
        "postgresql://u@db:5/x?sslmode=require", {"PGPASSWORD": "p@ss"},
    )  # fmt: skip
    assert without_password("postgresql://u@db/x") == ("postgresql://u@db/x", {})


@pytest.mark.peers
async def test_a_dump_of_postgres_comes_back(postgres_url: str, tmp_path: Path) -> None:
    store = await open_store(postgres_url, clock=SystemClock(), chance=SeededChance(1))
    await add(store, 1)
    backup_postgres(postgres_url, tmp_path / "dump")
    await add(store, 2)
    await store.close()
    assert stat.S_IMODE((tmp_path / "dump").stat().st_mode) == 0o600
    restore_postgres(postgres_url, tmp_path / "dump")
    again = await open_store(postgres_url, clock=SystemClock(), chance=SeededChance(1))
    assert await numbers(again) == [1]
    await add(again, 3)
    await again.close()
    with pytest.raises(StoreError, match="exists already"):
        backup_postgres(postgres_url, tmp_path / "dump")
    (tmp_path / "text").write_text("no dump")
    with pytest.raises(StoreError, match="pg_restore"):
        restore_postgres(postgres_url, tmp_path / "text")
