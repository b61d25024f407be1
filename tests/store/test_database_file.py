"""The database file itself: whose it is, whether it is still there, and what is no database at all."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
import textwrap
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from tests.store.facts import T0, incident
from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import Tx
from tocsin.errors import StoreBusy, StoreError, StoreUnavailable
from tocsin.store import open_store
from tocsin.store.backup import backup_sqlite, restore_sqlite
from tocsin.store.lock import MAKING, LockFile
from tocsin.store.sqlite import Lane, SqliteStore

OPENS = """
import asyncio, sys
from tocsin.clock import SeededChance, VirtualClock
from tocsin.errors import StoreError
from tocsin.store import open_store
async def main():
    try:
        store = await open_store("sqlite:" + sys.argv[1], clock=VirtualClock(1), chance=SeededChance(1))
    except StoreError as error:
        print(type(error).__name__, error)
    else:
        print("opened")
        await store.close()
asyncio.run(main())
"""


def another_process_opens(path: Path) -> str:
    """What a second process says that opens the database: one process would drop its own locks."""
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(OPENS), str(path)],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return done.stdout.strip()


async def opened(path: Path) -> SqliteStore:
    store = await open_store(f"sqlite:{path}", clock=VirtualClock(T0), chance=SeededChance(1))
    assert isinstance(store, SqliteStore)
    return store


def adds(number: int) -> Callable[[Tx], Awaitable[None]]:
    async def work(tx: Tx) -> None:
        tx.add_incidents([incident(number)])

    return work


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[SqliteStore]:
    one = await opened(tmp_path / "tocsin.db")
    await one.write(adds(1))
    yield one
    await one.close()


# ---------------------------------------------------------------------------------- a second process


def by_symbolic_link(path: Path) -> Path:
    other = path.with_name("elsewhere.db")
    other.symlink_to(path)
    return other


def through_a_linked_folder(path: Path) -> Path:
    (path.parent / "linked").symlink_to(path.parent)
    return path.parent / "linked" / path.name


def by_hard_link(path: Path) -> Path:
    other = path.with_name("second.db")
    os.link(path, other)
    return other


def by_hard_link_in_another_folder(path: Path) -> Path:
    (path.parent / "deeper").mkdir()
    other = path.parent / "deeper" / "tocsin.db"
    os.link(path, other)
    return other


def after_its_lock_file_was_removed(path: Path) -> Path:
    path.with_name("tocsin.db.lock").unlink()
    return path


def after_its_lock_file_was_replaced(path: Path) -> Path:
    path.with_name("tocsin.db.lock").unlink()
    path.with_name("tocsin.db.lock").write_text("")
    return path


@pytest.mark.parametrize(
    "way",
    [
        lambda path: path,
        by_symbolic_link,
        through_a_linked_folder,
        by_hard_link,
        by_hard_link_in_another_folder,
        after_its_lock_file_was_removed,
        after_its_lock_file_was_replaced,
    ],
)
async def test_no_second_process_opens_the_same_file_whatever_way_it_comes(
    store: SqliteStore, way: Callable[[Path], Path]
) -> None:
    other = way(store.path)

    assert another_process_opens(other).startswith("StoreBusy ")

    await store.write(adds(2))
    assert await store.incident(2) is not None


async def test_the_file_is_free_for_the_next_once_it_is_closed(store: SqliteStore) -> None:
    other = by_hard_link(store.path)
    await store.close()
    assert another_process_opens(other) == "opened"


async def test_a_removed_lock_file_is_made_anew(store: SqliteStore) -> None:
    after_its_lock_file_was_removed(store.path)
    assert store.lost() == ""
    assert str(os.getpid()) in store.path.with_name("tocsin.db.lock").read_text()


async def test_nothing_is_restored_over_a_database_that_is_served_under_another_name(
    store: SqliteStore, tmp_path: Path
) -> None:
    backup = tmp_path / "backup.db"
    backup_sqlite(store.path, backup)
    other = by_hard_link_in_another_folder(store.path)
    done = subprocess.run(
        [sys.executable, "-c", "import sys; from pathlib import Path; from tocsin.store.backup import restore_sqlite;"
         "restore_sqlite(Path(sys.argv[1]), Path(sys.argv[2]), 1)", str(other), str(backup)],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert "StoreBusy" in done.stderr


# ------------------------------------------------------------------------------------- it vanishes


def deleted(path: Path) -> None:
    path.unlink()


def moved(path: Path) -> None:
    path.rename(path.with_name("moved.db"))


def replaced(path: Path) -> None:
    moved(path)
    path.write_bytes(b"something else")


def folder_moved(path: Path) -> None:
    path.parent.rename(path.parent.with_name("folder-moved"))


def log_deleted(path: Path) -> None:
    path.with_name(path.name + "-wal").unlink()


@pytest.mark.shouts
@pytest.mark.parametrize("how", [deleted, moved, replaced, folder_moved, log_deleted])
@pytest.mark.parametrize("lane", ["urgent", "ingest"])
async def test_nothing_is_taken_once_the_file_is_gone_but_pages_go_on(
    tmp_path: Path, how: Callable[[Path], None], lane: Lane
) -> None:
    (tmp_path / "folder").mkdir()
    store = await opened(tmp_path / "folder" / "tocsin.db")
    await store.write(adds(1))
    how(store.path)

    for number in (2, 3):
        with pytest.raises(StoreUnavailable, match="while Tocsin was running on it"):
            await store.write(adds(number), lane=lane)
    with pytest.raises(StoreUnavailable):
        await store.check()
    assert "while Tocsin was running on it" in store.lost()
    await store.write(adds(4), paging=True)

    await store.close()


async def test_a_file_that_is_put_back_is_served_again(store: SqliteStore) -> None:
    moved(store.path)
    with pytest.raises(StoreUnavailable):
        await store.write(adds(2))

    store.path.with_name("moved.db").rename(store.path)

    await store.write(adds(3))
    assert await store.incident(3) is not None


@pytest.mark.shouts
async def test_what_a_deleted_file_held_is_left_as_a_copy_that_can_be_restored(store: SqliteStore) -> None:
    deleted(store.path)
    await store.close()

    restore_sqlite(store.path, store.path.with_name("tocsin.db.rescued-1"), T0)

    again = await opened(store.path)
    assert await again.incident(1) is not None
    await again.close()


# -------------------------------------------------------------------------------- what is no database


def empty(path: Path) -> None:
    path.touch()


def without_tables(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.execute("pragma user_version = 1")
    conn.commit()
    conn.close()


def text(path: Path) -> None:
    path.write_text("users:\n  ana: {}\n")


def of_another_program(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.executescript("create table bookmarks (url text); create table meta (key text);")
    conn.close()


def with_a_meta_of_its_own(path: Path) -> None:
    conn = sqlite3.connect(path)
    conn.executescript("create table meta (name text, value text); insert into meta values ('version', '3');")
    conn.close()


def folder(path: Path) -> None:
    path.mkdir()


def pipe(path: Path) -> None:
    os.mkfifo(path)


def a_log_alone(path: Path) -> None:
    path.with_name(path.name + "-wal").write_bytes(b"frames")


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (empty, "is empty where a database should be"),
        (without_tables, "is empty where a database should be"),
        (text, "is not an SQLite database"),
        (of_another_program, "is a database of another program (its tables are bookmarks, meta)"),
        (with_a_meta_of_its_own, "is a database of another program"),
        (folder, ""),
        (pipe, "is no file"),
        (a_log_alone, "is missing, and its log tocsin.db-wal is there"),
    ],
    ids=lambda given: getattr(given, "__name__", None),
)
async def test_what_is_no_database_of_ours_is_refused_and_left_as_it_is(
    tmp_path: Path, make: Callable[[Path], object], said: str
) -> None:
    path = tmp_path / "tocsin.db"
    make(path)
    before = path.read_bytes() if path.is_file() else None

    with pytest.raises(StoreError) as refused:
        await opened(path)

    assert said in str(refused.value)
    assert str(path) in str(refused.value)
    assert (path.read_bytes() if path.is_file() else None) == before


@pytest.mark.parametrize("make", [empty, text])
async def test_a_backup_is_restored_over_what_is_no_database(
    store: SqliteStore, tmp_path: Path, make: Callable[[Path], object]
) -> None:
    await store.close()
    backup = tmp_path / "backup.db"
    store.path.rename(backup)
    make(store.path)

    replaced_by = restore_sqlite(store.path, backup, T0)

    assert replaced_by is not None
    again = await opened(store.path)
    assert await again.incident(1) is not None
    await again.close()


@pytest.mark.parametrize("make", [lambda path: None, empty, without_tables])
async def test_a_new_path_works_also_after_a_crash_in_its_making(
    tmp_path: Path, make: Callable[[Path], object]
) -> None:
    lock = LockFile.take(tmp_path / "tocsin.db")
    lock.say(MAKING)
    lock.release()
    make(tmp_path / "tocsin.db")

    first = await opened(tmp_path / "tocsin.db")
    assert first.made_again == ""
    await first.close()


async def test_a_database_that_is_missing_at_the_start_is_made_again_and_that_is_told(store: SqliteStore) -> None:
    await store.close()
    deleted(store.path)

    again = await opened(store.path)

    assert again.made_again == str(store.path)
    await again.close()
    once_more = await opened(store.path)
    assert once_more.made_again == ""
    await once_more.close()


async def test_a_second_store_in_this_process_is_refused_before_it_touches_the_file(store: SqliteStore) -> None:
    with pytest.raises(StoreBusy, match=f"process {os.getpid()} is using it"):
        await opened(by_symbolic_link(store.path))
