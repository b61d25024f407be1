"""How is everything kept in PostgreSQL, by several replicas at once?

Each write is a transaction of its own on a pooled connection, READ COMMITTED, with row locks taken in
ascending order and advisory locks on the keys it decides about; the server groups the commits. What
could not be serialised is run again on fresh facts.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from functools import cache
from hashlib import blake2b
from typing import Any, ClassVar, Literal, TypeVar, cast

import asyncpg

from tocsin.contracts import Chance, Clock, Spawn, Tx
from tocsin.errors import Conflict, StoreError, StoreUnavailable
from tocsin.model import SECOND, Instant, Millis
from tocsin.store.migrations import Migration, migrations, missing
from tocsin.store.prune import Pruner
from tocsin.store.queries import Insert, Queries, load
from tocsin.store.reads import Reads, added_up
from tocsin.store.rows import Row, Shape
from tocsin.store.tx import Change, Transaction
from tocsin.store.watch import Unwatched, Watch

T = TypeVar("T")
Lane = Literal["urgent", "ingest"]
CONNECTIONS = 12
READERS = 5  # for reads beside transactions, which must not wait for those; one holds this replica's name
INGEST_AT_ONCE = 6  # the other connections are for what is urgent
MOST_WAITING = 20_000
MOST_TRIES = 6  # the first and five more
KEYS = 4096  # advisory locks: a few posts at once rarely meet by chance
PATIENCE = Millis(10 * SECOND)
CONNECT_SECONDS = 5.0
STATEMENT_SECONDS = 30.0
MIGRATING = 7267244  # the advisory lock of whoever migrates

Gone = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of an exchange
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
"""What asyncpg raises when the server, or the way to it, is gone."""

Again = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)
"""What running the transaction once more, on fresh facts, may cure."""


async def open_postgres(
    url: str, *, clock: Clock, chance: Chance, spawn: Spawn, migrate: bool = True, watch: Watch | None = None
) -> PostgresStore:
    """Connect, and bring the schema up to date. Raises StoreUnavailable, SchemaTooNew."""
    pool = await open_pool(url, CONNECTIONS)
    try:
        async with borrowed(pool) as conn:
            with understood():
                await migrate_postgres(conn, apply=migrate)
        readers = await open_pool(url, READERS)
    except BaseException:
        pool.terminate()
        raise
    return PostgresStore(pool, readers, clock=clock, chance=chance, spawn=spawn, watch=watch or Unwatched())


async def open_postgres_reader(url: str, *, clock: Clock) -> PostgresReader:
    """The reads alone. Raises StoreUnavailable when nothing of Tocsin is there."""
    pool = await open_pool(url, 1)
    async with borrowed(pool) as conn:
        with understood():
            known = await version_of(conn)
    if not known:
        await pool.close()
        raise StoreUnavailable("the database has no tables of Tocsin yet; `tocsin serve` makes them")
    return PostgresReader(pool, clock)


async def open_pool(url: str, size: int) -> Any:
    settings = {"application_name": "tocsin", "jit": "off"}
    try:
        conn = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            if await conn.fetchval("show synchronous_commit") == "off":
                settings["synchronous_commit"] = "on"  # an answer of 2xx promises that it is on the disk
        finally:
            await conn.close()
        return await asyncpg.create_pool(
            url,
            min_size=1,
            max_size=size,
            timeout=CONNECT_SECONDS,
            command_timeout=STATEMENT_SECONDS,
            server_settings=settings,
        )
    except (*Gone, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"the database cannot be reached: {error}") from error


@asynccontextmanager
async def borrowed(pool: Any) -> AsyncIterator[Any]:
    """One of the pool's connections, for a while. Raises StoreUnavailable when there is none to be had."""
    try:
        conn = await pool.acquire(timeout=CONNECT_SECONDS)
    except (*Gone, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"the database cannot be reached: {error or type(error).__name__}") from error
    try:
        yield conn
    finally:
        with suppress(*Gone):  # what is broken is thrown away by the pool
            await pool.release(conn)


@contextmanager
def understood() -> Iterator[None]:
    """The server's and the network's complaints as the store's; what a work raises itself never passes here."""
    try:
        yield
    except Again as error:
        raise Conflict(f"the database asks to try again: {error}") from error
    except Gone as error:
        if isinstance(error, ValueError):  # asyncpg's word for a value that does not fit its column
            raise StoreError(f"the database cannot keep this: {error}") from error
        raise StoreUnavailable(f"the database does not answer: {error or type(error).__name__}") from error
    except asyncpg.PostgresError as error:
        raise as_store_error(error) from error


def as_store_error(error: asyncpg.PostgresError) -> StoreError:
    match error:
        case asyncpg.InsufficientResourcesError() | asyncpg.OperatorInterventionError() | asyncpg.PostgresSystemError():
            return StoreUnavailable(f"the database does not answer: {error}")
        case asyncpg.IntegrityConstraintViolationError():
            return Conflict(f"a promise of the database would be broken: {error}")
        case _:
            return StoreError(f"the database cannot do this: {error}")


@cache
def queries() -> Queries:
    return load("postgres")


# -------------------------------------------------------------------------------------- migrations


async def version_of(conn: Any) -> int:
    """0 where there is nothing of Tocsin."""
    if await conn.fetchval("select to_regclass('meta')") is None:
        return 0
    return int(await conn.fetchval("select value from meta where name = 'schema'") or 0)


async def migrate_postgres(conn: Any, *, apply: bool, steps: Sequence[Migration] | None = None) -> int:
    """Take the missing steps, one replica at a time; returns the schema's number."""
    steps = migrations("postgres") if steps is None else steps
    async with conn.transaction():
        await conn.execute("select pg_advisory_xact_lock($1)", MIGRATING)
        version = await version_of(conn)
        todo = missing(version, steps, "the database")
        if todo and not apply:
            raise StoreError(
                f"the database: its schema is number {version}, {todo[-1].number} is needed; run `tocsin db migrate`"
            )
        for step in todo:
            async with conn.transaction():
                await conn.execute(step.text)
                await conn.execute(
                    "insert into meta (name, value) values ('schema', $1)"
                    " on conflict (name) do update set value = excluded.value",
                    str(step.number),
                )
    return steps[-1].number


# -------------------------------------------------------------------------------------- the stores


class PostgresReader(Reads):
    """The reads of a store over a pool."""

    def __init__(self, readers: Any, clock: Clock) -> None:
        self._readers = readers
        self._clock = clock

    async def _look(self, name: str, *args: Any) -> list[Row]:
        async with borrowed(self._readers) as conn:
            with understood():
                return cast(list[Row], await conn.fetch(queries().texts[name], *args))

    async def close(self) -> None:
        await self._readers.close()


class PostgresStore(PostgresReader, Pruner):
    """See `contracts.Store` for what is promised."""

    exclusive = False

    def __init__(
        self, pool: Any, readers: Any, *, clock: Clock, chance: Chance, spawn: Spawn, watch: Watch
    ) -> None:
        super().__init__(readers, clock)
        self._pool = pool
        self.watch = watch
        self._chance = chance
        self._spawn = spawn
        self._ingest = asyncio.Semaphore(INGEST_AT_ONCE)
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._listeners: list[Callable[[], None]] = []
        self._holding: Any = None

    async def write(self, work: Callable[[Tx], Awaitable[T]], *, lane: Lane = "urgent") -> T:
        return await self._write(work, lane)

    async def _write(self, work: Callable[[Transaction], Awaitable[T]], lane: str, *, quiet: bool = False) -> T:
        if self._closing:
            raise StoreUnavailable("the database is closed")
        if self._under_way >= MOST_WAITING:
            raise StoreUnavailable(f"{self._under_way} transactions wait for the database already")
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._under_way += 1
        self._idle.clear()
        self._spawn(self._see_through(work, lane, quiet, waiter), "store write")
        return await asyncio.shield(waiter)

    async def _see_through(
        self, work: Callable[[Transaction], Awaitable[T]], lane: str, quiet: bool, waiter: asyncio.Future[T]
    ) -> None:
        """Bring one work to its end, whether or not anybody still waits for it."""
        try:
            if lane == "ingest":
                async with self._ingest:
                    result, changed = await self._with_retries(work)
            else:
                result, changed = await self._with_retries(work)
        except asyncio.CancelledError:
            waiter.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # the work's own: it is its caller's to handle
            self.watch.error(type(error).__name__)
            waiter.set_exception(error)
        else:
            waiter.set_result(result)
            if changed and not quiet:
                for listener in self._listeners:
                    listener()
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _with_retries(self, work: Callable[[Transaction], Awaitable[T]]) -> tuple[T, bool]:
        for attempt in itertools.count(1):
            try:
                return await self._once(work)
            except Conflict:
                if attempt == MOST_TRIES:
                    raise
                await self._clock.sleep(Millis(int(self._chance.fraction() * 10 * 2**attempt)))
        raise AssertionError("unreachable")

    async def _once(self, work: Callable[[Transaction], Awaitable[T]]) -> tuple[T, bool]:
        """One transaction; returns what `work` returned and whether anything was changed."""
        async with borrowed(self._pool) as conn:
            frame = conn.transaction()
            with understood():
                await frame.start()
            session = PostgresSession(conn)
            try:
                tx = Transaction(session)
                result = await work(tx)
                await session.apply(tx.changes.take())
                number = await session.number()
            except BaseException:
                with suppress(*Gone):  # a lost connection has rolled back already
                    await frame.rollback()
                raise
            sent = await self._commit(frame, session)
        if not sent:
            await self._settle(number)
        return result, session.changed

    async def database_now(self) -> Instant:
        """The server's clock. Every replica anchors its own to it."""
        ((now,),) = await self._look("database_now")
        return Instant(now)

    async def _commit(self, frame: Any, session: PostgresSession) -> bool:
        """Whether the server said that it is kept. False: the connection went away and nobody knows yet."""
        started = self._clock.monotonic()
        try:
            with understood():
                await frame.commit()
        except StoreUnavailable:
            if session.changed:
                return False
            raise
        if session.changed:
            self.watch.commit_seconds(self._clock.monotonic() - started)
            self.watch.batch_rows(session.rows)
        return True

    async def _settle(self, number: str | None) -> None:
        """The connection went away during a commit: ask the server what became of it.

        Returns when it was committed. Raises Conflict when it surely was not, StoreUnavailable when
        nobody can tell.
        """
        until = self._clock.now() + PATIENCE
        while self._clock.now() < until:
            try:
                ((status,),) = await self._look("what_became_of", number)
            except StoreUnavailable:
                status = "in progress"
            if status == "committed":
                return
            if status == "aborted":
                raise Conflict("the connection went away and the transaction with it")
            await self._clock.sleep(Millis(100))
        raise StoreUnavailable("the connection went away during a commit, and nobody can tell whether it was kept")

    def on_commit(self, listener: Callable[[], None]) -> None:
        self._listeners.append(listener)

    async def hold(self, owner: str) -> None:
        if self._holding is not None and not self._holding.is_closed():
            return
        try:
            conn = await self._readers.acquire(timeout=CONNECT_SECONDS)
            await conn.execute(queries().texts["hold"], held_as(owner))
        except (*Gone, asyncpg.PostgresError) as error:
            raise StoreUnavailable(f"the database cannot be reached: {error or type(error).__name__}") from error
        self._holding = conn  # the lock goes with the connection, and that with the process

    async def alive(self, owners: Collection[str]) -> set[str]:
        held = {key for (key,) in await self._look("held")}
        return {owner for owner in owners if held_as(owner) in held}

    async def flush_repeats(
        self, rows: Sequence[tuple[int, int, Instant, Instant | None]], counted: int | None = None
    ) -> None:
        if not rows and counted is None:
            return
        columns = [list(column) for column in zip(*added_up(rows), strict=True)]

        async def add_up(tx: Transaction) -> None:
            if columns:
                tx.changes.run("alerts", "lock_alerts", columns[0])
                tx.changes.run("alerts", "flush_repeats", *columns)
            if counted is not None:
                tx.changes.insert("meta", "set_meta", [("repeats_counted", str(counted))])

        await self._write(add_up, "ingest", quiet=True)

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        await self._idle.wait()
        if self._holding is not None:
            with suppress(*Gone):
                await self._readers.release(self._holding)
        await super().close()
        await self._pool.close()


class PostgresSession:
    """One open transaction."""

    narrow: ClassVar[bool] = False

    def __init__(self, conn: Any) -> None:
        self._conn = conn
        self.rows = 0
        self.changed = False

    async def ask(self, changes: list[Change], name: str, args: Sequence[Any]) -> list[Row]:
        await self.apply(changes)
        with understood():
            return cast(list[Row], await self._conn.fetch(queries().texts[name], *args))

    async def ask_all(self, changes: list[Change], asked: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Row]]:
        await self.apply(changes)
        return [await self.ask([], name, args) for name, args in asked]

    async def lock(self, keys: Sequence[str]) -> None:
        if keys:
            with understood():
                await self._conn.execute(queries().texts["lock_keys"], sorted({lock_of(key) for key in keys}))

    async def numbers(self, kind: str, count: int) -> range:
        if count < 1:
            return range(0)
        sequence = "incident_numbers" if kind == "incident" else f"{kind}_ids"
        with understood():
            first = await self._conn.fetchval(queries().texts["take_numbers"], sequence, count)
        return range(first, first + count)

    async def number(self) -> str | None:
        """The transaction's own number, by which the server can be asked later what became of it."""
        if not self.changed:
            return None
        with understood():
            return cast(str | None, await self._conn.fetchval(queries().texts["this_transaction"]))

    def pairs(self, keys: Sequence[tuple[str, str]]) -> tuple[Any, ...]:
        if not keys:
            return [], []
        integrations, source_keys = zip(*dict.fromkeys(keys), strict=True)
        return list(integrations), list(source_keys)

    async def apply(self, changes: list[Change]) -> None:
        for change in changes:
            self.changed = True
            try:
                with understood():
                    await self._apply(change)
            except (TypeError, ValueError) as error:
                raise StoreError(f"{change.name}: the database cannot keep this: {error}") from error

    async def _apply(self, change: Change) -> None:
        insert = queries().inserts.get(change.name)
        if insert is None:
            await self._conn.execute(queries().texts[change.name], *change.values)
            return
        self.rows += len(change.values)
        if insert.shape is None:
            await self._conn.executemany(row_by_row(change.name), change.values)
        else:
            await self._conn.execute(all_at_once(change.name), *columns_of(insert.shape, change))


def held_as(owner: str) -> int:
    """The number under which an owner is held; the same on every replica."""
    return int.from_bytes(blake2b(owner.encode(), digest_size=4).digest(), "big") >> 1


def lock_of(key: str) -> int:
    """One of a few thousand locks; two keys may share one, which only makes them wait for each other."""
    return int.from_bytes(blake2b(key.encode("utf-8", "surrogatepass"), digest_size=4).digest(), "big") % KEYS


def columns_of(shape: Shape[Any], change: Change) -> list[list[Any]]:
    """The rows turned on their side. Of a row saved twice the last one counts; saves go in by key, so that
    two writers lock in the same order."""
    rows = [shape.row(value) for value in change.values]
    if change.name.startswith("save_"):
        newest = {shape.key_of(row): row for row in rows}
        rows = [newest[key] for key in sorted(newest)]
    return [list(column) for column in zip(*rows, strict=True)]


@cache
def all_at_once(name: str) -> str:
    insert: Insert = queries().inserts[name]
    if insert.shape is None:
        raise AssertionError(f"{name} has no shape")
    types = insert.shape.types[: insert.width]
    arrays = ", ".join(f"${index}::{kind}[]" for index, kind in enumerate(types, 1))
    return f"{insert.head}select * from unnest({arrays}){insert.tail}"  # noqa: S608  # our own names alone


@cache
def row_by_row(name: str) -> str:
    insert: Insert = queries().inserts[name]
    return f"{insert.head}values ({', '.join(f'${index}' for index in range(1, insert.width + 1))}){insert.tail}"
