"""What only PostgreSQL promises: several replicas, none in the other's way, none twice."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from tests.postgres import Server
from tests.store.conftest import StillClock
from tests.store.facts import T0, alert, at, eventually, incident, page, there
from tests.store.watching import Seen
from tocsin.clock import SeededChance, SystemClock
from tocsin.contracts import IncidentFilter, Tx
from tocsin.errors import Conflict, StoreUnavailable
from tocsin.model import Page, Storm
from tocsin.store import open_reader, open_store
from tocsin.store.postgres import PostgresSession, PostgresStore, lock_of, understood
from tocsin.store.tx import Transaction

Replicas = Callable[..., Awaitable[PostgresStore]]

pytestmark = pytest.mark.peers


@pytest.fixture
async def replica(postgres_url: str) -> AsyncIterator[Replicas]:
    """Opens another replica on the same database."""
    opened: list[PostgresStore] = []

    async def open_one(**how: Any) -> PostgresStore:
        given: dict[str, Any] = {"clock": StillClock(T0), "chance": SeededChance(len(opened)), **how}
        store = await open_store(postgres_url, **given)
        assert isinstance(store, PostgresStore)
        opened.append(store)
        return store

    yield open_one
    for store in opened:
        await store.close()


def adds(*numbers: int, **how: Any) -> Callable[[Tx], Awaitable[None]]:
    async def work(tx: Tx) -> None:
        tx.add_incidents([incident(number, **how) for number in numbers])

    return work


def transaction_of(tx: Tx) -> Transaction:
    assert isinstance(tx, Transaction)
    return tx


def session_of(tx: Tx) -> PostgresSession:
    session = transaction_of(tx)._session
    assert isinstance(session, PostgresSession)
    return session


class Held:
    """A transaction that stays open, with what it holds, until told to go on."""

    def __init__(self, store: PostgresStore, work: Callable[[Tx], Awaitable[Any]]) -> None:
        self._inside, self._go_on = asyncio.Event(), asyncio.Event()
        self.found: Any = None

        async def slow(tx: Tx) -> None:
            self.found = await work(tx)
            self._inside.set()
            await self._go_on.wait()

        self._writing = asyncio.ensure_future(store.write(slow))

    async def __aenter__(self) -> Held:
        await self._inside.wait()
        return self

    async def __aexit__(self, *_: object) -> None:
        self._go_on.set()
        await self._writing


async def test_no_replica_is_alone(replica: Replicas) -> None:
    assert (await replica()).exclusive is False


async def test_due_rows_that_one_replica_holds_are_skipped_by_the_other(replica: Replicas) -> None:
    one, two = await replica(), await replica()

    async def add(tx: Tx) -> None:
        tx.add_incidents([incident(number, due_at=at(number)) for number in range(1, 7)])
        tx.add_alerts([alert(number, expires_at=at(number)) for number in range(1, 7)])

    await one.write(add)
    for name, args, key in (
        ("due_incidents", (at(9), 2), "number"),
        ("due_alerts", (at(9), 2), "id"),
    ):

        def claim(tx: Tx, name: str = name, args: tuple[Any, ...] = args) -> Awaitable[Any]:
            claimed: Awaitable[Any] = getattr(tx, name)(*args)
            return claimed

        async with Held(one, claim) as held:
            mine = [getattr(row, key) for row in held.found]
            theirs = [getattr(row, key) for row in await two.write(claim)]
        assert (mine, theirs) == ([1, 2], [3, 4]), name


async def test_a_page_that_is_being_claimed_makes_the_other_replica_wait_and_see(replica: Replicas) -> None:
    one, two = await replica(), await replica()

    async def add(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        tx.add_pages([page("p1", 1, due_at=at(1))])

    await one.write(add)

    async def claim(tx: Tx) -> list[Page]:
        found = await tx.due_pages("sms", at(9), 5)
        await tx.incidents([1])
        held = await tx.pages([one_page.id for one_page in found])
        taken = [replace(one_page, status="calling") for one_page in held.values() if one_page.status == "planned"]
        tx.save_pages(taken)
        return taken

    first, second = await asyncio.gather(one.write(claim), two.write(claim))
    assert len(first) + len(second) == 1


async def test_an_incident_read_in_a_transaction_waits_for_the_other_replica(replica: Replicas) -> None:
    one, two = await replica(), await replica()
    await one.write(adds(1))

    async def acknowledge(tx: Tx) -> str:
        (found,) = (await tx.incidents([1])).values()
        if found.status == "triggered":
            tx.save_incidents([incident(1, status="acknowledged")])
        return found.status

    async with Held(one, acknowledge):
        second = asyncio.ensure_future(two.write(acknowledge))
        await eventually(lambda: waiting_for_locks(two))
        assert not second.done()
    assert await second == "acknowledged"


async def waiting_for_locks(store: PostgresStore) -> bool:
    rows = await store._pool.fetch(
        "select 1 from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()"
    )
    return bool(rows)


async def test_locked_keys_belong_to_one_transaction_at_a_time(replica: Replicas) -> None:
    one, two = await replica(), await replica()

    async with Held(one, lambda tx: tx.lock_keys(["b", "a"])):
        other = asyncio.ensure_future(two.write(lambda tx: tx.lock_keys(["a", "c"])))
        await eventually(lambda: waiting_for_locks(two))
        assert not other.done()
        free = next(key for key in map(str, range(100)) if lock_of(key) not in map(lock_of, "abc"))
        await two.write(lambda tx: tx.lock_keys([free]))
    await other


async def test_many_writers_over_the_same_keys_never_deadlock(replica: Replicas) -> None:
    one, two = await replica(), await replica()
    keys = [f"k{number}" for number in range(40)]

    async def work(tx: Tx, mixed: list[str]) -> None:
        await tx.lock_keys(mixed)
        await tx.open_alerts([("apps", key) for key in mixed])

    watch = one.watch = two.watch = Seen()
    mixes = [keys[number:] + keys[:number] for number in range(0, 40, 2)]
    await asyncio.gather(*(store.write(functools.partial(work, mixed=m)) for store in (one, two) for m in mixes))
    assert watch.errors == []


async def test_of_two_replicas_that_open_the_same_alert_one_opens_it_and_the_other_sees_it(replica: Replicas) -> None:
    one, two = await replica(), await replica()

    async def take(tx: Tx) -> str:
        found = await tx.open_alerts([("apps", "db")])
        if found:
            return "repeat"
        (number,), (id,) = await tx.next_numbers(1), await tx.next_alert_ids(1)
        tx.add_alerts([alert(id, number, source_key="db")])
        tx.add_incidents([incident(number, alert=id)])
        return "opened"

    said = await asyncio.gather(*(store.write(take) for store in (one, two) for _ in range(8)))
    assert sorted(said) == ["opened"] + ["repeat"] * 15
    assert len(await one.incidents(IncidentFilter(), 99, None)) == 1


async def test_a_deadlock_is_tried_again(replica: Replicas) -> None:
    one, two = await replica(), await replica()
    await one.write(adds(1, 2))
    met = asyncio.Barrier(2)
    tries: list[int] = []

    async def crossed(tx: Tx, first: int, second: int) -> str:
        tries.append(first)
        await tx.incidents([first])
        if len(tries) <= 2:
            await met.wait()
        await tx.incidents([second])
        return "done"

    said = list(await asyncio.gather(one.write(lambda tx: crossed(tx, 1, 2)), two.write(lambda tx: crossed(tx, 2, 1))))
    assert said == ["done", "done"]
    assert len(tries) >= 3  # whoever tries again may be quicker than who waited, and meet the other once more


async def test_two_replicas_never_give_the_same_number(replica: Replicas) -> None:
    one, two = await replica(), await replica()
    ranges = await asyncio.gather(
        *(store.write(lambda tx: tx.next_numbers(7)) for store in (one, two) for _ in range(20))
    )
    numbers = [number for taken in ranges for number in taken]
    assert len(numbers) == len(set(numbers)) == 280


async def test_two_replicas_may_start_at_once_on_an_empty_database(replica: Replicas) -> None:
    one, two, three = await asyncio.gather(replica(), replica(), replica())
    await asyncio.gather(one.write(adds(1)), two.write(adds(2)), three.write(adds(3)))
    assert len(await one.incidents(IncidentFilter(), 9, None)) == 3


async def test_a_save_of_one_row_twice_keeps_the_last(replica: Replicas) -> None:
    store = await replica()

    async def twice(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        tx.save_incidents([incident(1, title="first"), incident(2, title="new")])
        tx.save_incidents([incident(1, title="last")])

    await store.write(twice)
    assert there(await store.incident(1)).title == "last"


# ------------------------------------------------------------------------------- when the server goes


async def test_a_connection_lost_before_the_commit_is_an_honest_failure(
    replica: Replicas, postgres_server: Server
) -> None:
    store = await replica()

    async def cut_off(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        ((pid,),) = await session_of(tx)._conn.fetch("select pg_backend_pid()")
        postgres_server.run(f"select pg_terminate_backend({pid})")
        await tx.incidents([1])

    with pytest.raises(StoreUnavailable):
        await store.write(cut_off)
    assert await store.incident(1) is None
    await store.write(adds(2))


class CutAt:
    """A connection whose `commit` is sent, or not, before the connection is cut."""

    def __init__(self, conn: Any, sent: bool) -> None:
        self._conn, self._sent = conn, sent

    def __getattr__(self, name: str) -> Any:
        return getattr(self._conn, name)

    def transaction(self) -> Any:
        conn, sent, frame = self._conn, self._sent, self._conn.transaction()

        class Frame:
            start, rollback = frame.start, frame.rollback

            async def commit(self) -> None:
                if sent:
                    await frame.commit()
                conn.terminate()
                raise ConnectionResetError("cut during the commit")

        return Frame()


class CuttingPool:
    """Cuts the first commit; everything else is the real pool's."""

    def __init__(self, pool: Any, sent: bool) -> None:
        self._pool, self._cuts = pool, [sent]

    def __getattr__(self, name: str) -> Any:
        return getattr(self._pool, name)

    async def acquire(self, **how: Any) -> Any:
        conn = await self._pool.acquire(**how)
        return CutAt(conn, self._cuts.pop()) if self._cuts else conn

    async def release(self, conn: Any) -> None:
        await self._pool.release(conn._conn if isinstance(conn, CutAt) else conn)


@pytest.mark.parametrize("sent", [True, False])
async def test_a_commit_of_unknown_result_is_asked_for_and_happens_once(replica: Replicas, sent: bool) -> None:
    store = await replica()
    runs: list[int] = []

    async def count(tx: Tx) -> str:
        runs.append(1)
        (number,) = await tx.next_numbers(1)
        tx.add_incidents([incident(number)])
        return "kept"

    store._pool = CuttingPool(store._pool, sent)
    assert await store.write(count) == "kept"
    assert len(await store.incidents(IncidentFilter(), 9, None)) == 1
    assert len(runs) == (1 if sent else 2)


async def test_a_server_that_went_away_is_said_so_and_comes_back(
    replica: Replicas, postgres_server: Server, postgres_url: str
) -> None:
    store = await replica()
    await store.write(adds(1))
    name = postgres_url.rpartition("/")[2]
    postgres_server.run(f"alter database {name} allow_connections false")
    postgres_server.run(f"select pg_terminate_backend(pid) from pg_stat_activity where datname = '{name}'")
    calls: list[Callable[[], Awaitable[object]]] = [
        store.check, lambda: store.incident(1), lambda: store.write(adds(2)),
    ]  # fmt: skip
    for asked in calls:
        with pytest.raises(StoreUnavailable):
            await asked()
    postgres_server.run(f"alter database {name} allow_connections true")
    await store.write(adds(3))
    assert [one.number for one in await store.incidents(IncidentFilter(), 9, None)] == [3, 1]


async def test_nobody_at_the_address_is_said_so() -> None:
    with pytest.raises(StoreUnavailable, match="cannot be reached"):
        await open_store("postgresql://tocsin@127.0.0.1:1/x", clock=SystemClock(), chance=SeededChance(1))


async def test_a_commit_waits_for_the_disk_even_where_the_server_is_told_not_to(
    replica: Replicas, postgres_server: Server, postgres_url: str
) -> None:
    name = postgres_url.rpartition("/")[2]
    postgres_server.run(f"alter database {name} set synchronous_commit = off")
    store = await replica()
    assert await store._pool.fetchval("show synchronous_commit") == "on"


async def test_a_reader_needs_tables_and_sees_what_is_committed(replica: Replicas, postgres_url: str) -> None:
    with pytest.raises(StoreUnavailable, match="no tables of Tocsin yet"):
        await open_reader(postgres_url, SystemClock())
    store = await replica()
    await store.write(adds(1))
    reader = await open_reader(postgres_url, SystemClock())
    assert there(await reader.incident(1)).number == 1
    await reader.close()


async def test_ingest_leaves_connections_to_what_is_urgent(replica: Replicas) -> None:
    store = await replica()
    go_on = asyncio.Event()
    inside: list[int] = []

    async def slow(tx: Tx) -> None:
        await tx.incidents([1])
        inside.append(1)
        await go_on.wait()

    posts = [asyncio.ensure_future(store.write(slow, lane="ingest")) for _ in range(40)]
    await eventually(lambda: len(inside) >= 6)
    await store.write(adds(1))
    assert len(inside) == 6
    go_on.set()
    await asyncio.gather(*posts)


async def test_a_conflict_waits_a_little_longer_each_time(postgres_url: str) -> None:
    clock = StillClock(T0)
    store = await open_store(postgres_url, clock=clock, chance=SeededChance(3))

    async def never(tx: Tx) -> None:
        raise Conflict("no")

    with pytest.raises(Conflict):
        await store.write(never)
    assert 0 < clock.now() - T0 < 1_000
    await store.close()


# ------------------------------------------------------------- replicas that are stopped, cut off or ended


def sessions(server: Server, url: str, what: str = "pid", where: str = "true") -> list[str]:
    """One column of the sessions on a test's database."""
    name = url.rpartition("/")[2]
    asked = f"select {what} from pg_stat_activity where datname = '{name}' and pid <> pg_backend_pid() and ({where})"
    return server.run(asked).split()


@pytest.mark.shouts  # asyncpg leaves what a session that is ended under its hands would have answered to the collector
async def test_a_name_is_taken_again_whatever_became_of_its_connection(
    replica: Replicas, postgres_server: Server, postgres_url: str
) -> None:
    one, two = await replica(), await replica()
    await one.hold("a")
    await one.hold("a")
    for pid in sessions(postgres_server, postgres_url):
        postgres_server.run(f"select pg_terminate_backend({pid})")

    async def holds() -> bool:
        try:
            await one.hold("a")
            return await two.alive({"a", "b"}) == {"a"}
        except StoreUnavailable:
            return False

    await eventually(holds)


async def test_the_check_of_readiness_holds_no_row_that_a_timer_wants(replica: Replicas) -> None:
    one, two = await replica(), await replica()

    async def open_it(tx: Tx) -> None:
        tx.add_incidents([incident(1, due_at=at(1))])

    async def check_and_look(tx: Tx) -> list[int]:
        assert isinstance(tx, Transaction)
        assert await tx.ask("exercise_claim", at(9)) != []
        return await two.write(due)

    async def due(tx: Tx) -> list[int]:
        return [one.number for one in await tx.due_incidents(at(9), 10)]

    await one.write(open_it)
    assert await one.write(check_and_look) == [1]


async def test_a_name_is_taken_though_the_server_still_believes_in_its_last_connection(replica: Replicas) -> None:
    one, two = await replica(), await replica()
    await one.hold("a")
    left, one._holding = one._holding, None  # as if the way to it were cut: the server hears nothing of it
    await one.hold("a")
    assert await two.alive({"a"}) == {"a"}
    await left.close()
    assert await two.alive({"a"}) == {"a"}


@pytest.mark.parametrize(
    ("does", "answers"),
    [
        ("select pg_sleep(9)", "statement timeout"),
        ("select nonsense from nowhere", "does not exist"),
        ("insert into meta values ('a', 'b')", "read-only"),
        ("select pg_terminate_backend(pg_backend_pid())", "does not answer"),
    ],
)
async def test_what_is_wrong_with_the_database_is_not_the_senders_fault(
    replica: Replicas, does: str, answers: str
) -> None:
    store = await replica()

    async def work(tx: Tx) -> None:
        if "read-only" in answers:
            await session_of(tx)._conn.execute("set transaction read only")
        if "timeout" in answers:
            await session_of(tx)._conn.execute("set local statement_timeout = 20")
        with understood():
            await session_of(tx)._conn.execute(does)

    with pytest.raises(StoreUnavailable, match=answers):
        await store.write(work)
    await store.write(adds(1))


async def test_a_work_that_lost_its_session_is_done_over_another_one(
    replica: Replicas, postgres_server: Server
) -> None:
    store = await replica()
    runs: list[int] = []

    async def cut_off_once(tx: Tx) -> None:
        runs.append(1)
        tx.add_incidents([incident(1)])
        if len(runs) == 1:
            ((pid,),) = await session_of(tx)._conn.fetch("select pg_backend_pid()")
            postgres_server.run(f"select pg_terminate_backend({pid})")
        await tx.incidents([1])

    await store.write(cut_off_once)
    assert there(await store.incident(1)).number == 1
    assert len(runs) == 2


async def test_who_stands_still_in_a_transaction_holds_nobody_up_for_long(replica: Replicas) -> None:
    one, two = await replica(clock=SystemClock()), await replica(clock=SystemClock())
    await one.write(adds(1))
    on = asyncio.Event()
    runs: list[int] = []

    async def stands_still(tx: Tx) -> None:
        runs.append(1)
        await tx.lock_keys(["k"])
        await tx.incidents([1])
        if len(runs) == 1:
            on.set()
            await asyncio.sleep(4)  # as a stopped process would

    still = asyncio.ensure_future(one.write(stands_still))
    await on.wait()

    async def as_soon_as_it_can(tx: Tx) -> None:
        await tx.lock_keys(["k"])
        await tx.incidents([1])

    async with asyncio.timeout(3.5):
        await two.write(as_soon_as_it_can)
    await still
    assert len(runs) == 2, "what it had not committed is done again"


async def test_what_takes_long_though_nobody_stands_still_gets_its_time_in_the_end(replica: Replicas) -> None:
    store = await replica(clock=SystemClock())
    runs: list[int] = []

    async def thinks_long(tx: Tx) -> None:
        runs.append(1)
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        await asyncio.sleep(2.3)

    await store.write(thinks_long)
    assert len(runs) == 3


async def test_a_server_without_a_connection_to_give_leaves_us_those_that_we_have(
    replica: Replicas, postgres_server: Server
) -> None:
    store = await replica(clock=SystemClock())
    taken = int(postgres_server.run("show max_connections"))
    url = postgres_server.url("postgres")
    hoard: list[Any] = []
    with contextlib.suppress(asyncpg.TooManyConnectionsError):
        while len(hoard) < taken:
            hoard.append(await asyncpg.connect(url))
    try:
        await asyncio.gather(*(store.write(adds(number), lane="ingest") for number in range(1, 40)))
        await asyncio.gather(*(store.incident(number) for number in range(1, 40)))
        await store.check()
    finally:
        for conn in hoard:
            await conn.close()


async def test_the_session_limits_are_set_for_every_connection_and_come_back_after_each_use(replica: Replicas) -> None:
    store = await replica()

    async def asked(tx: Tx) -> list[str]:
        names = ("statement_timeout", "lock_timeout", "idle_in_transaction_session_timeout", "tcp_user_timeout",
                 "tcp_keepalives_idle", "client_connection_check_interval")  # fmt: skip
        return [await session_of(tx)._conn.fetchval(f"show {name}") for name in names]

    async def changes(tx: Tx) -> None:
        await session_of(tx)._conn.execute("set statement_timeout = 0; set lock_timeout = 0")

    expected = ["3s", "1500ms", "2s", "5000", "3", "1s"]
    assert await store.write(asked) == expected
    await store.write(changes)
    assert await asyncio.gather(*(store.write(asked) for _ in range(4))) == [expected] * 4


async def test_our_side_of_each_connection_notices_a_silent_network(replica: Replicas) -> None:
    store = await replica()

    async def options(tx: Tx) -> list[int]:
        sock = session_of(tx)._conn._con._transport.get_extra_info("socket")
        return [
            sock.getsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE),
            sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT),
        ]

    assert await store.write(options) == [1, 5000]


async def test_another_server_is_not_believed_about_a_commit(replica: Replicas) -> None:
    store = await replica()

    async def numbered(tx: Tx) -> str | None:
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        return await session_of(tx).number()

    number = there(await store.write(numbered))
    assert await store._became_of(number) == "committed"
    assert await store._became_of(number.replace("/00000001", "/00000002")) is None, (
        "who took over may have given it again"
    )
    store._identity += 1
    assert await store._became_of(number) is None, "these are not the data it was written to"
    assert await store._became_of(number) == "committed"


@pytest.mark.parametrize("table", ["posts", "alerts", "incidents", "pages", "attempts", "timeline"])
async def test_readiness_tries_what_posts_pages_and_answers_do(
    replica: Replicas, postgres_server: Server, postgres_url: str, table: str
) -> None:
    store = await replica()
    await store.check()
    postgres_server.run(f"alter table {table} rename to gone", postgres_url.rpartition("/")[2])
    with pytest.raises(StoreUnavailable):
        await store.check()


async def test_readiness_waits_for_nobodys_row(replica: Replicas) -> None:
    one, two = await replica(clock=SystemClock()), await replica(clock=SystemClock())
    await one.write(adds(1, due_at=at(1)))

    async def all_of_them(tx: Tx) -> None:
        await tx.incidents([1])
        await transaction_of(tx).ask("lock_alerts", [1])
        await session_of(tx)._conn.execute("update meta set value = value")

    async with Held(one, all_of_them):
        await asyncio.wait_for(two.check(), 1)


async def test_a_storms_row_that_somebody_holds_is_looked_at_and_not_waited_for(replica: Replicas) -> None:
    one, two = await replica(clock=SystemClock()), await replica(clock=SystemClock())

    async def held(tx: Tx) -> Any:
        tx.save_storm(Storm("service:shop", ((1, 5),), None, None, 0, {}, at(1)))
        return await tx.storms(["service:shop"])

    await one.write(held)

    async def looks(tx: Tx) -> tuple[Any, Any]:
        return await tx.storms(["service:shop"]), await tx.storms_seen(["service:shop", "unknown"])

    async with Held(one, held):
        async with asyncio.timeout(1):
            mine, seen = await two.write(looks)
        assert mine == {}
        assert [(scope, row.recent) for scope, row in seen.items()] == [("service:shop", ((1, 5),))]
    mine, _ = await two.write(looks)
    assert list(mine) == ["service:shop"]


async def test_incidents_that_are_looked_at_are_not_waited_for(replica: Replicas) -> None:
    one, two = await replica(), await replica()
    await one.write(adds(1))
    async with Held(one, lambda tx: tx.incidents([1])):
        assert list(await two.write(lambda tx: tx.incidents_seen([1, 2]))) == [1]


@pytest.mark.shouts  # asyncpg leaves a future behind where a connection is ended while it is made
async def test_a_question_whose_session_is_lost_is_asked_over_another_one(
    replica: Replicas, postgres_server: Server, postgres_url: str
) -> None:
    store = await replica()
    await store.write(adds(1))
    for _ in range(3):
        for pid in sessions(postgres_server, postgres_url):
            postgres_server.run(f"select pg_terminate_backend({pid})")
        answers = await asyncio.gather(*(store.incident(1) for _ in range(12)))
        assert {there(found).number for found in answers} == {1}
