"""What only SQLite promises: one writer, one lock, commits that are shared and true."""

from __future__ import annotations

import asyncio
import functools
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, cast

import pytest

from tests.store.facts import T0, alert, at, entry, eventually, incident, page, there
from tests.store.watching import Seen
from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import IncidentFilter, Tx
from tocsin.errors import Conflict, StoreBusy, StoreError, StoreUnavailable
from tocsin.store import open_reader, open_store
from tocsin.store.connections import Connection, Runner
from tocsin.store.named_queries import load
from tocsin.store.sqlite import MOST_WAITING, SqliteReader, SqliteStore

Work = Callable[[Tx], Awaitable[None]]
Opener = Callable[..., Awaitable[SqliteStore]]

DEADLINE = 20


@pytest.fixture(params=["thread", "inline"])
def runner(request: pytest.FixtureRequest) -> Runner:
    return cast(Runner, request.param)


@pytest.fixture
async def opener(tmp_path: Path, runner: Runner) -> AsyncIterator[Opener]:
    opened: list[SqliteStore] = []

    async def open_one(name: str = "tocsin.db", **how: Any) -> SqliteStore:
        given: dict[str, Any] = {"clock": VirtualClock(T0), "chance": SeededChance(1), "runner": runner, **how}
        store = await open_store(f"sqlite:{tmp_path / name}", **given)
        assert isinstance(store, SqliteStore)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


def adds(number: int) -> Work:
    async def work(tx: Tx) -> None:
        tx.add_incidents([incident(number)])

    return work


@pytest.mark.parametrize("name", ["tocsin.db", "tocsin.db-wal", "tocsin.db-shm", "tocsin.db.lock"])
async def test_a_new_database_is_its_owners_alone(opener: Opener, tmp_path: Path, name: str) -> None:
    before = os.umask(0o022)
    try:
        store = await opener()
        await store.write(adds(1))
    finally:
        os.umask(before)

    assert stat.S_IMODE((tmp_path / name).stat().st_mode) == 0o600


# --------------------------------------------------------------------------------------- the lock


async def test_a_second_store_on_the_same_file_is_refused_and_told_who_holds_it(opener: Opener) -> None:
    await opener()
    with pytest.raises(StoreBusy, match=rf"tocsin\.db: process {os.getpid()} is using it; stop that one first"):
        await opener()


async def test_the_lock_is_free_again_after_closing(opener: Opener) -> None:
    first = await opener()
    await first.close()
    await opener()


async def test_a_store_that_could_not_be_opened_holds_no_lock(opener: Opener, tmp_path: Path) -> None:
    (tmp_path / "tocsin.db").write_bytes(b"this is no database, but it is long enough to look like one" * 40)
    with pytest.raises(StoreError, match="is not an SQLite database, and is left as it is"):
        await opener()
    (tmp_path / "tocsin.db").unlink()
    await opener()


async def test_a_folder_that_is_not_there_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="does its directory exist"):
        await open_store(f"sqlite:{tmp_path}/none/tocsin.db", clock=VirtualClock(T0), chance=SeededChance(1))


async def test_a_killed_daemon_leaves_its_lock_free_and_what_it_said_was_kept(opener: Opener, tmp_path: Path) -> None:
    # given another process that commits, says so, and is killed inside its next transaction
    script = f"""
import asyncio, sys
from tocsin.clock import SystemClock, SystemChance
from tocsin.store import open_store
from tests.store.facts import incident
async def main():
    store = await open_store("sqlite:{tmp_path}/tocsin.db", clock=SystemClock(), chance=SystemChance())
    async def kept(tx): tx.add_incidents([incident(1)])
    await store.write(kept)
    async def lost(tx):
        tx.add_incidents([incident(2)])
        await tx.incidents([2])
        print("inside", flush=True)
        await asyncio.Event().wait()
    await store.write(lost)
asyncio.run(main())
"""
    victim = subprocess.Popen([sys.executable, "-c", script], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2])
    assert victim.stdout is not None
    assert await asyncio.to_thread(victim.stdout.readline) == b"inside\n"
    with pytest.raises(StoreBusy, match=str(victim.pid)):
        await opener()
    victim.send_signal(signal.SIGKILL)
    victim.wait(timeout=DEADLINE)
    victim.stdout.close()
    # when the next one opens it
    store = await opener()
    # then the first is there, the second is not, and it can write
    await store.write(adds(3))
    assert [one.number for one in await store.incidents(IncidentFilter(), 9, None)] == [3, 1]


# ---------------------------------------------------------------------------------------- the turns


async def test_what_queues_while_a_commit_runs_shares_the_next_one(opener: Opener) -> None:
    watch = Seen()
    store = await opener(watch=watch)
    await asyncio.gather(*(store.write(adds(number)) for number in range(1, 101)))
    assert sum(watch.rows) == 100
    assert len(watch.rows) <= 2


async def test_urgent_goes_first_and_ingest_goes_alone(opener: Opener) -> None:
    store = await opener()
    order: list[str] = []
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def first(tx: Tx) -> None:
        inside.set()
        await go_on.wait()

    def noted(name: str) -> Work:
        async def work(tx: Tx) -> None:
            order.append(name)
            tx.add_incidents([incident(len(order))])

        return work

    waiting = [asyncio.ensure_future(store.write(first))]
    await inside.wait()
    waiting += [asyncio.ensure_future(store.write(noted(f"post {n}"), lane="ingest")) for n in (1, 2)]
    await asyncio.sleep(0)
    waiting += [asyncio.ensure_future(store.write(noted(f"ack {n}"))) for n in (1, 2)]
    await asyncio.sleep(0)
    go_on.set()
    await asyncio.gather(*waiting)
    # the first turn ends, then a post may go (it queued when nothing urgent did), but never two in a row
    assert order.index("ack 1") < order.index("post 2")
    assert order.index("ack 2") < order.index("post 2")
    assert order.index("post 1") < order.index("post 2")


async def test_urgent_work_waits_for_one_post_at_the_most(opener: Opener) -> None:
    store = await opener()
    order: list[str] = []

    def noted(name: str) -> Work:
        async def work(tx: Tx) -> None:
            await tx.incidents([1])
            order.append(name)

        return work

    posts = [asyncio.ensure_future(store.write(noted("post"), lane="ingest")) for _ in range(20)]
    await eventually(lambda: len(order) >= 3)
    before = len(order)
    await store.write(noted("ack"))
    assert order.index("ack") <= before + 2
    await asyncio.gather(*posts)


async def test_what_pages_wait_for_is_read_beside_any_number_of_long_lists(tmp_path: Path) -> None:
    store = await open_store(f"sqlite:{tmp_path / 'tocsin.db'}", clock=VirtualClock(T0), chance=SeededChance(1))
    assert isinstance(store, SqliteStore)
    await store.write(adds(1))
    go_on = threading.Event()

    def slow(conn: sqlite3.Connection) -> list[Any]:
        go_on.wait(DEADLINE)
        return conn.execute("select 1").fetchall()

    def run_of(reader: Connection) -> Callable[[Any], Awaitable[Any]]:
        run = reader.run

        async def slowly(steps: Any) -> Any:
            return await run(slow if "list" in there(asyncio.current_task()).get_name() else steps)

        return slowly

    for reader in store._readers:
        reader.run = run_of(reader)  # type: ignore[method-assign,assignment]  # a slow one
    lists = [asyncio.create_task(store.incidents(IncidentFilter(), 9, None), name=f"list {n}") for n in range(30)]
    try:
        await asyncio.sleep(0)
        async with asyncio.timeout(DEADLINE / 2):
            assert await store.next_due_page("sms") is None
            assert await store.attempt("a") is None
    finally:
        go_on.set()
        await asyncio.gather(*lists, return_exceptions=True)
        await store.close()


async def test_a_full_disk_is_nobodys_success_and_passes(opener: Opener) -> None:
    watch = Seen()
    store = await opener(watch=watch)
    pages = (await store._writer.run(lambda conn: conn.execute("pragma page_count").fetchone()))[0]
    await store._writer.run(lambda conn: conn.execute(f"pragma max_page_count = {pages + 2}").fetchall())

    async def large(tx: Tx, number: int) -> None:
        tx.add_incidents([incident(number, title="x" * 100_000)])

    answers = await asyncio.gather(
        *(store.write(functools.partial(large, number=n)) for n in (1, 2)), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable]
    assert "StoreUnavailable" in watch.errors
    await store._writer.run(lambda conn: conn.execute("pragma max_page_count = 1000000").fetchall())
    await store.write(adds(3))
    assert [one.number for one in await store.incidents(IncidentFilter(), 9, None)] == [3]


async def test_nobody_hears_of_a_commit_whose_transaction_is_gone(opener: Opener) -> None:
    """SQLite undoes it by itself when the disk is full or memory is short."""
    store = await opener()

    async def loses_it(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        await store._writer.run(lambda conn: conn.execute("rollback"))

    with pytest.raises(StoreUnavailable):
        await store.write(loses_it)
    await store.write(adds(2))
    assert await store.incident(1) is None
    assert await store.incident(2) is not None


async def test_when_the_commit_fails_everybody_in_it_hears_so(opener: Opener) -> None:
    store = await opener()
    # given a check that SQLite makes at the commit only
    await store._writer.run(
        lambda conn: conn.executescript(
            """pragma foreign_keys = on;
            create table parent (id integer primary key);
            create table child (id integer references parent (id) deferrable initially deferred);"""
        )
    )

    async def breaks_the_commit(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        await store._writer.run(lambda conn: conn.execute("insert into child values (7)"))

    async def refused(tx: Tx) -> None:
        raise Conflict("mine alone")

    answers = await asyncio.gather(
        store.write(breaks_the_commit), store.write(adds(2)), store.write(refused), return_exceptions=True
    )
    assert [type(answer) for answer in answers] == [StoreUnavailable, StoreUnavailable, Conflict]
    assert await store.incidents(IncidentFilter(), 9, None) == []
    await store.write(adds(3))
    assert [one.number for one in await store.incidents(IncidentFilter(), 9, None)] == [3]


@pytest.mark.parametrize("together", [False, True], ids=["alone", "shared"])
async def test_where_not_even_undoing_works_everybody_hears_so_and_so_does_the_next(
    opener: Opener, together: bool
) -> None:
    store = await opener()

    async def breaks(tx: Tx) -> None:
        tx.add_entries([entry(1, "lost")])
        await tx.incidents([1])
        await store._writer.run(lambda conn: conn.close())
        raise ValueError("whatever")

    others = [adds(2)] if together else []
    writes = [asyncio.ensure_future(store.write(work)) for work in (breaks, *others)]
    async with asyncio.timeout(5):
        heard = await asyncio.gather(*writes, return_exceptions=True)
        with pytest.raises(StoreError):
            await store.write(adds(3))
    assert all(isinstance(one, Exception) for one in heard)
    assert not store._task.done()
    with pytest.raises(StoreError):
        await store.close()


async def test_a_lane_that_is_too_long_says_so(opener: Opener) -> None:
    store = await opener()
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        inside.set()
        await go_on.wait()

    async def nothing(tx: Tx) -> None:
        """Only waits in the lane."""

    waiting = [asyncio.ensure_future(store.write(slow))]
    await inside.wait()
    waiting += [asyncio.ensure_future(store.write(nothing, lane="ingest")) for _ in range(MOST_WAITING)]
    await asyncio.sleep(0)
    with pytest.raises(StoreUnavailable, match="wait for the database already"):
        await store.write(nothing, lane="ingest")
    go_on.set()
    await store.write(nothing)
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize("count", [1, 3, 4, 5, 63, 64, 65, 149])
async def test_any_number_of_rows_goes_in_whole_and_in_order(opener: Opener, count: int) -> None:
    store = await opener()

    async def work(tx: Tx) -> None:
        tx.add_alerts([alert(number + 1) for number in range(count)])

    await store.write(work)
    found = await store.alerts(integration=None, status=None, limit=999, before=None)
    assert [one.id for one in found] == list(range(count, 0, -1))


async def test_the_log_does_not_grow_without_bound(opener: Opener, tmp_path: Path) -> None:
    store = await opener()
    for start in range(130):
        await store.write(adds(start + 1))
    assert (tmp_path / "tocsin.db-wal").stat().st_size < 32 * 1024 * 1024
    await store.close()
    assert not (tmp_path / "tocsin.db-wal").exists()


async def test_a_commit_is_on_the_disk_when_it_returns(opener: Opener) -> None:
    store = await opener()
    ((mode,), (sync,)) = await store._writer.run(
        lambda conn: (conn.execute("pragma journal_mode").fetchone(), conn.execute("pragma synchronous").fetchone())
    )
    assert (mode, sync) == ("wal", 2)


# ------------------------------------------------------------------------------------ readers


async def test_a_reader_sees_what_is_committed_and_cannot_write(opener: Opener, tmp_path: Path) -> None:
    store = await opener()
    await store.write(adds(1))
    reader = await open_reader(f"sqlite:{tmp_path}/tocsin.db", VirtualClock(T0))
    assert isinstance(reader, SqliteReader)
    assert [one.number for one in await reader.incidents(IncidentFilter(), 9, None)] == [1]
    with pytest.raises(StoreUnavailable, match="readonly"):
        await reader._readers[0].run(lambda conn: conn.execute("delete from incidents"))
    await store.write(adds(2))
    assert len(await reader.incidents(IncidentFilter(), 9, None)) == 2
    await reader.close()


async def test_a_reader_makes_no_database(tmp_path: Path) -> None:
    with pytest.raises(StoreUnavailable, match="no database yet"):
        await open_reader(f"sqlite:{tmp_path}/tocsin.db", VirtualClock(T0))
    assert list(tmp_path.iterdir()) == []


async def test_a_database_in_memory_goes_with_its_store() -> None:
    store = await open_store("sqlite::memory:", clock=VirtualClock(T0), chance=SeededChance(1), runner="inline")
    assert isinstance(store, SqliteStore)
    path = store.path
    await store.write(adds(1))
    assert await store.incident(1) is not None
    await store.close()
    assert not path.parent.exists()


async def test_alone_too_nobody_reads_what_is_not_committed() -> None:
    store = await open_store("sqlite::memory:", clock=VirtualClock(T0), chance=SeededChance(1), runner="alone")
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def work(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        assert await tx.incidents([1])
        begun.set()
        await go_on.wait()
        raise KeyError

    writing = asyncio.ensure_future(store.write(work))
    await begun.wait()
    reading = asyncio.ensure_future(store.incident(1))
    await asyncio.sleep(0)
    go_on.set()
    assert await reading is None
    with pytest.raises(KeyError):
        await writing
    await store.close()


async def test_inline_never_leaves_the_loops_thread(tmp_path: Path) -> None:
    before = threading.active_count()
    store = await open_store("sqlite::memory:", clock=VirtualClock(T0), chance=SeededChance(1), runner="inline")
    await store.write(adds(1))
    assert threading.active_count() == before
    await store.close()


# -------------------------------------------------------------------------------- cost and plans


@pytest.fixture
async def inline() -> AsyncIterator[SqliteStore]:
    store = await open_store("sqlite::memory:", clock=VirtualClock(T0), chance=SeededChance(1), runner="inline")
    assert isinstance(store, SqliteStore)
    yield store
    await store.close()


async def test_an_alert_that_stands_alone_touches_four_b_trees(inline: SqliteStore) -> None:
    store = inline

    def cells(conn: sqlite3.Connection) -> dict[str, int]:
        """How many cells each B-tree holds."""
        return dict(conn.execute("select name, sum(ncell) from dbstat group by name"))

    async def open_one(tx: Tx, number: int) -> None:
        tx.add_alerts([alert(number, number)])
        tx.add_incidents([incident(number, alert=number, due_at=at(1), due_kind="step")])

    await store.write(lambda tx: open_one(tx, 1))
    before = await store._writer.run(cells)
    await store.write(lambda tx: open_one(tx, 2))
    after = await store._writer.run(cells)
    assert {name for name in after if after[name] != before[name]} == {
        "alerts",
        "alerts_open",
        "incidents",
        "incidents_live",
    }


PLANS = {
    "open_alerts": "alerts_open",
    "due_alerts": "alerts_expiring",
    "firing_alerts": "alerts_firing",
    "open_keys": "alerts_open",
    "firing_now": "alerts_open",
    "firing_in": "alerts_firing",
    "latest_by_key": "incidents_ended",
    "due_incidents": "incidents_live",
    "waiting_alerts": "alerts_waiting",
    "oldest_firing": "alerts_firing",
    "next_waiting": "alerts_waiting",
    "list_open_incidents": "incidents_live",
    "open_incidents_counted": "incidents_live",
    "next_due": "incidents_live",
    "due_pages": "pages_claim",
    "next_due_page": "pages_claim",
    "planned_channels": "pages_claim",
    "carried_by": "attempts_address",
    "pages_of": "pages_incident",
    "unsent_pages": "pages_incident",
    "attempts_of": "attempts_page",
    "open_intents": "attempts_open",
    "unconfirmed": "attempts_unknown",
    "next_confirmation": "attempts_unknown",
    "sent_since": "attempts_channel",
    "pages_to": "attempts_address",
    "replies_since": "inbound_address",
    "timeline": "timeline_incident",
}
FULL_SCANS = {"list_silences", "tokens", "prune_tombstones", "prune_minted", "prune_inbound", "prune_silences"}


@pytest.mark.parametrize("name", sorted(load("sqlite").texts))
async def test_every_query_finds_its_rows_by_an_index(inline: SqliteStore, name: str) -> None:
    store = inline
    text = load("sqlite").texts[name]

    def plan(conn: sqlite3.Connection) -> list[str]:
        given = ["[]" if f"json_each(?{n})" in text else 1 for n in range(1, 10) if f"?{n}" in text]
        return [row[3] for row in conn.execute(f"explain query plan {text}", given)]

    steps = await store._writer.run(plan)
    tables = ("alerts", "incidents", "pages", "attempts", "timeline", "posts", "inbound", "i", "a", "p", "e", "d", "k")
    scans = [step for step in steps if step.startswith("SCAN") and step.split()[1] in tables and "INDEX" not in step]
    if name not in FULL_SCANS:
        assert [step for step in scans if step not in ("SCAN p", "SCAN k VIRTUAL TABLE INDEX 1:")] == []
    if name in PLANS:
        assert any(PLANS[name] in step for step in steps), steps


async def test_claims_stay_cheap_with_many_pages_that_are_not_due(inline: SqliteStore) -> None:
    store = inline

    async def many(tx: Tx) -> None:
        tx.add_pages([page(f"{n:05}", n, rank=1, due_at=at(10**9 + n)) for n in range(5_000)])
        tx.add_pages([page("due", 1, rank=9)])

    await store.write(many)

    def steps_of(conn: sqlite3.Connection) -> tuple[int, int]:
        steps = [0]

        def count() -> int:
            steps[0] += 1
            return 0

        conn.set_progress_handler(count, 10)
        try:
            rows = conn.execute(load("sqlite").texts["due_pages"], ["sms", T0, 10]).fetchall()
        finally:
            conn.set_progress_handler(None, 0)
        return len(rows), steps[0] * 10

    found, steps = await store._writer.run(steps_of)
    assert found == 1
    assert steps < 1_000  # walking past all that is not due would take tens of thousands
