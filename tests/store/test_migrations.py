"""A schema goes forward only, each step whole or not at all, and SQLite keeps a copy first."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from tests.store.facts import T0, alert, at, incident, page, there
from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import Tx
from tocsin.decide.incidents.firing_counts import firing_in
from tocsin.errors import SchemaTooNew, StoreError
from tocsin.model import PageStatus
from tocsin.store import open_store
from tocsin.store.connections import open_writer
from tocsin.store.migrations import Migration, migrate_sqlite, migrations, statements, version_of
from tocsin.store.postgres import migrate_postgres
from tocsin.store.postgres import version_of as version_there
from tocsin.store.rows import ALERT, INCIDENT, Shape

Connect = Callable[[Path], sqlite3.Connection]
NEWEST = migrations("sqlite")[-1].number


def one_more(text: str) -> tuple[Migration, ...]:
    return (*migrations("sqlite"), Migration(NEWEST + 1, text))


@pytest.mark.parametrize("dialect", ["sqlite", "postgres"])
def test_no_two_steps_have_one_number(dialect: str) -> None:
    numbers = [step.number for step in migrations(dialect)]

    assert numbers == sorted(set(numbers))
    assert numbers == [step.number for step in migrations("sqlite")]


@pytest.fixture
async def used(tmp_path: Path) -> Path:
    """A database file with one incident in it, closed."""
    store = await open_store(f"sqlite:{tmp_path}/tocsin.db", clock=VirtualClock(T0), chance=SeededChance(1))

    async def add(tx: Tx) -> None:
        tx.add_incidents([incident(1)])

    await store.write(add)
    await store.close()
    return tmp_path / "tocsin.db"


@pytest.fixture
def connect() -> Iterator[Connect]:
    opened: list[sqlite3.Connection] = []

    def open_one(path: Path) -> sqlite3.Connection:
        opened.append(open_writer(path))
        return opened[-1]

    yield open_one
    for conn in opened:
        conn.close()


def columns(conn: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in conn.execute(f"pragma table_info({table})")]


def test_both_dialects_have_the_same_steps() -> None:
    assert [step.number for step in migrations("sqlite")] == [step.number for step in migrations("postgres")]
    numbers = [step.number for step in migrations("sqlite")]
    assert numbers[0] == 1
    assert numbers == sorted(set(numbers))


def test_both_dialects_have_the_same_tables_and_columns(connect: Connect, tmp_path: Path) -> None:
    def shape(text: str) -> dict[str, list[str]]:
        tables = re.findall(r"^create table (\w+) \((.*?)^\)", text, re.MULTILINE | re.DOTALL)
        return {
            name: re.findall(r'^    "?(\w+)"? (?:text|bigint|integer|boolean|bytea|blob)', body, re.MULTILINE)
            for name, body in tables
        }

    one, other = ("".join(step.text for step in migrations(dialect)) for dialect in ("sqlite", "postgres"))
    assert shape(one) == shape(other)
    assert len(shape(one)) > 10


def test_a_new_file_gets_the_newest_schema_and_no_copy(connect: Connect, tmp_path: Path) -> None:
    conn = connect(tmp_path / "new.db")
    assert version_of(conn) == 0
    assert migrate_sqlite(conn, tmp_path / "new.db", apply=True) == NEWEST
    assert version_of(conn) == NEWEST
    assert list(tmp_path.glob("*.before-*")) == []


def test_a_used_database_is_copied_before_it_is_changed(connect: Connect, used: Path) -> None:
    conn = connect(used)
    migrate_sqlite(conn, used, apply=True, steps=one_more("alter table incidents add column mood text;"))
    assert "mood" in columns(conn, "incidents")
    copy = connect(used.with_name(f"tocsin.db.before-{NEWEST + 1}"))
    assert "mood" not in columns(copy, "incidents")
    assert copy.execute("select number from incidents").fetchall() == [(1,)]
    assert version_of(copy) == NEWEST


def two_more(second: str) -> tuple[Migration, ...]:
    return (*one_more("alter table incidents add column mood text;"), Migration(NEWEST + 2, second))


def test_a_crash_during_a_migration_leaves_the_copy_made_before_it(connect: Connect, used: Path) -> None:
    conn = connect(used)
    with pytest.raises(sqlite3.OperationalError):
        migrate_sqlite(conn, used, apply=True, steps=two_more("select nonsense;"))
    assert version_of(conn) == NEWEST + 1  # the first step stands
    conn.close()

    migrate_sqlite(connect(used), used, apply=True, steps=two_more("alter table incidents add column tune text;"))

    assert [copy.name for copy in used.parent.glob("*.before-*")] == [f"tocsin.db.before-{NEWEST + 2}"]
    copy = connect(used.with_name(f"tocsin.db.before-{NEWEST + 2}"))
    assert version_of(copy) == NEWEST
    assert "mood" not in columns(copy, "incidents")


def test_a_migration_that_fails_each_time_makes_one_copy(connect: Connect, used: Path) -> None:
    for _ in range(3):
        conn = connect(used)
        with pytest.raises(sqlite3.OperationalError):
            migrate_sqlite(conn, used, apply=True, steps=one_more("select nonsense;"))
        conn.close()
    assert [copy.name for copy in used.parent.glob("*.before-*")] == [f"tocsin.db.before-{NEWEST + 1}"]


@pytest.mark.parametrize("there", ["of another day", "no database"])
def test_a_copy_that_is_there_is_never_written_over(connect: Connect, used: Path, there: str) -> None:
    first = used.with_name(f"tocsin.db.before-{NEWEST + 1}")
    conn = connect(used)
    if there == "of another day":
        conn.execute("vacuum into ?", (str(first),))
        conn.execute("insert into meta (name, value) values ('alive_at', '7')")
    else:
        first.write_text("the notes of a person")
    before = first.read_bytes()

    migrate_sqlite(conn, used, apply=True, steps=one_more("alter table incidents add column mood text;"))

    assert first.read_bytes() == before
    second = connect(used.with_name(f"tocsin.db.before-{NEWEST + 1}-2"))
    assert version_of(second) == NEWEST


def test_a_crash_while_the_copy_is_made_leaves_no_half_one_under_its_name(connect: Connect, used: Path) -> None:
    half = used.with_name(f"tocsin.db.before-{NEWEST + 1}.partial")
    half.write_bytes(b"half a copy")
    migrate_sqlite(connect(used), used, apply=True, steps=one_more("alter table incidents add column mood text;"))
    copy = connect(used.with_name(f"tocsin.db.before-{NEWEST + 1}"))
    assert version_of(copy) == NEWEST
    assert not half.exists()


def test_a_step_that_fails_in_the_middle_leaves_nothing_of_itself(connect: Connect, used: Path) -> None:
    conn = connect(used)
    with pytest.raises(sqlite3.OperationalError):
        migrate_sqlite(
            conn, used, apply=True, steps=one_more("alter table incidents add column mood text;\nselect nonsense;")
        )
    assert "mood" not in columns(conn, "incidents")
    assert version_of(conn) == NEWEST
    assert not conn.in_transaction


def test_without_leave_to_migrate_an_old_database_is_refused_and_untouched(connect: Connect, used: Path) -> None:
    conn = connect(used)
    with pytest.raises(StoreError, match="run `tocsin db migrate`"):
        migrate_sqlite(conn, used, apply=False, steps=one_more("alter table incidents add column mood text;"))
    assert "mood" not in columns(conn, "incidents")
    assert migrate_sqlite(conn, used, apply=False) == NEWEST


async def test_a_newer_schema_is_refused_and_the_lock_is_free_again(connect: Connect, used: Path) -> None:
    conn = connect(used)
    conn.execute("update meta set value = '99' where name = 'schema'")
    for _ in range(2):
        with pytest.raises(SchemaTooNew, match=f"schema is number 99, this Tocsin knows up to {NEWEST}"):
            await open_store(f"sqlite:{used}", clock=VirtualClock(T0), chance=SeededChance(1))


def test_statements_are_cut_at_their_ends_only() -> None:
    text = "create table a (x text default ';');\n-- a ; in a comment\ncreate table b (y text);\n"
    assert [cut.split("create table ")[1][0] for cut in statements(text)] == ["a", "b"]


@pytest.mark.peers
async def test_postgres_takes_each_step_whole_or_not_at_all(postgres_url: str) -> None:
    conn = await asyncpg.connect(postgres_url)
    steps = migrations("postgres")
    try:
        assert await version_there(conn) == 0
        with pytest.raises(StoreError, match="run `tocsin db migrate`"):
            await migrate_postgres(conn, apply=False)
        assert await migrate_postgres(conn, apply=True) == NEWEST
        broken = (*steps, Migration(NEWEST + 1, "alter table incidents add column mood text; select nonsense;"))
        with pytest.raises(asyncpg.UndefinedColumnError):
            await migrate_postgres(conn, apply=True, steps=broken)
        assert await version_there(conn) == NEWEST
        await conn.execute("update meta set value = '99' where name = 'schema'")
        with pytest.raises(SchemaTooNew):
            await migrate_postgres(conn, apply=True)
    finally:
        await conn.close()


@pytest.mark.parametrize("kind", ["sqlite", pytest.param("postgres", marks=pytest.mark.peers)])
async def test_open_escalations_of_the_version_before_know_whom_they_page(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    """What they keep quiet stays quiet; not so where the policy was exhausted or every page failed."""
    url = f"sqlite:{tmp_path}/tocsin.db" if kind == "sqlite" else request.getfixturevalue("postgres_url")
    store = await open_store(url, clock=VirtualClock(T0), chance=SeededChance(1))
    planned: list[tuple[int, str, int, PageStatus]] = [
        (1, "ana", 1, "done"),
        (1, "bo", 2, "planned"),
        (2, "ana", 1, "failed"),
        (3, "ana", 1, "done"),
        (3, "gus", 0, "done"),
    ]

    async def add(tx: Tx) -> None:
        again = replace(incident(3), status="triggered", round=2, step=0, due_kind="again", muted_by=None)
        tx.add_incidents(
            [replace(incident(n), status="triggered", due_kind="step", muted_by=None) for n in (1, 2)] + [again]
        )
        tx.add_pages([
            replace(page(f"p{n}{user}", incident=n), user=user, step=step, status=status, cycle=again.cycle, round=1, rule=1, kind="page")
            for n, user, step, status in planned
        ])  # fmt: skip

    await store.write(add)
    await store.close()
    (step,) = [one for one in migrations(kind) if "add column paged" in one.text]
    again = ("alter table incidents drop column paged", *statements(step.text))
    if kind == "sqlite":
        conn = sqlite3.connect(tmp_path / "tocsin.db")
        for statement in again:
            conn.execute(statement)
        conn.commit()
        conn.close()
    else:
        server = await asyncpg.connect(url)
        for statement in again:
            await server.execute(statement)
        await server.close()

    store = await open_store(url, clock=VirtualClock(T0), chance=SeededChance(1))
    found = [await store.incident(number) for number in (1, 2, 3)]
    await store.close()

    assert [sorted(there(one).paged.split()) for one in found] == [["ana", "bo"], [], []]


async def test_open_grouped_incidents_of_the_version_before_are_counted(tmp_path: Path) -> None:
    """Their firing alerts are counted once, by the schema's step; nobody else's are."""
    path = tmp_path / "tocsin.db"
    conn = open_writer(path)
    before = tuple(step for step in migrations("sqlite") if step.number < 12)
    migrate_sqlite(conn, path, apply=True, steps=before)

    def put(table: str, row: dict[str, Any]) -> None:
        columns = ", ".join(f'"{name}"' for name in row)
        conn.execute(f"insert into {table} ({columns}) values ({', '.join('?' * len(row))})", list(row.values()))

    def rows(shape: Shape[Any], value: Any, *but: str) -> dict[str, Any]:
        return {name: item for name, item in zip(shape.given, shape.row(value), strict=True) if name not in but}

    put("incidents", rows(INCIDENT, incident(1, grouped=True, alert=1, firing=3), "counts"))
    put("incidents", rows(INCIDENT, incident(2, alert=9, firing=1), "counts"))
    kept = [
        alert(1, 1, severity="critical"), alert(2, 1, joined=True, written=("urgency",)), alert(4, 1, joined=True, acknowledged_at=at(3)),
        alert(5, 1, joined=True, ended_at=at(2)), alert(9, 2),
    ]  # fmt: skip
    for one in kept:
        put("alerts", rows(ALERT, one))
    conn.close()

    store = await open_store(f"sqlite:{path}", clock=VirtualClock(T0), chance=SeededChance(1))
    try:
        found = there(await store.incident(1))
        assert {name: many for name, many in found.counts.items() if many} == {
            "critical": 1,
            "error": 2,
            "ruled": 1,
            "acked": 1,
        }
        assert firing_in(found) is not None
        assert there(await store.incident(2)).counts == {}
    finally:
        await store.close()
