"""The store in PostgreSQL, written by several replicas at once.

Each write is a transaction of its own on a pooled connection, READ COMMITTED, with row locks taken in
ascending order and advisory locks on the keys it decides about; the server groups the commits. What
could not be serialised, or lost its session, is run again on fresh facts.

Any replica may be stopped or cut off inside a transaction. The server ends the sessions of such a one after
two seconds of silence, and nobody waits longer than a second and a half for a lock, so that the others go on.
"""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from hashlib import blake2b
from typing import Any, ClassVar, Literal, TypeVar, cast

import asyncpg

from tocsin.contracts import Chance, Clock, Spawn, Tx
from tocsin.errors import Conflict, StoreError, StoreUnavailable
from tocsin.model import SECOND, Millis, Repeated
from tocsin.store.asking import Change
from tocsin.store.migrations import Migration, migrations, missing
from tocsin.store.named_queries import Insert, Queries, load
from tocsin.store.prune import Pruner
from tocsin.store.reads import FOR_PAGES, Reads, added_up
from tocsin.store.rows import Row, Shape
from tocsin.store.searches import SECONDS, Searches, too_long
from tocsin.store.tx import Transaction
from tocsin.store.watch import Unwatched, Watch

T = TypeVar("T")
Lane = Literal["urgent", "ingest"]
CONNECTIONS = 12
READERS = 6  # for reads beside transactions, which must not wait for those
SLOW_READS = 4  # the other readers are for what pages and answers ask
INGEST_AT_ONCE = 6  # the other connections are for what is urgent
MOST_WAITING = 20_000
MOST_TRIES = 6  # the first and five more
MOST_CUT_OFF = 4  # the same for sessions that were lost
KEYS = 4096  # advisory locks: a few posts at once rarely meet by chance
PATIENCE = Millis(10 * SECOND)
CONNECT_SECONDS = 5.0
RELEASE_SECONDS = 2.0
CLOSING = Millis(5 * SECOND)
FULL_PAUSE = Millis(50)  # until a server without a free connection is asked again
PROMPT_SECONDS = 3.0  # for a question that pages and answers wait for
READ_SECONDS = 30.0
MIGRATING = 7267244  # the advisory lock of whoever migrates
MIGRATION_SECONDS = 3600.0  # for one step, or to wait for another replica's
MIGRATION_SILENT = "'60s'"
PROMPT = frozenset({
    "next_due", "next_due_page", "next_confirmation", "open_intents", "one_attempt", "one_incident",
    "policy_version", "meta", "held", "what_became_of", "which_server", "database_now",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bounds:
    """Time limits of a session, in seconds: for one statement; for a lock; silent inside a transaction.

    The client gives up a little after the server. `lock` is below `silent`: what a stopped replica waits for is given
    up before it could get it, and so it holds up the others once, not once for each of its transactions.
    """

    statement: float
    silent: float
    lock: float = 1.5

    @property
    def client(self) -> float:
        return self.statement + 2.0

    def settings(self) -> dict[str, str]:
        """As the server calls them."""
        return {
            "statement_timeout": f"{self.statement * 1000:.0f}",
            "lock_timeout": f"{self.lock * 1000:.0f}",
            "idle_in_transaction_session_timeout": f"{self.silent * 1000:.0f}",
        }


BRIEF = Bounds(statement=3.0, silent=2.0)  # every transaction
LONG = Bounds(statement=30.0, silent=20.0)  # what was cut off twice: perhaps it takes long and nobody stands still
READING = Bounds(statement=READ_SECONDS, silent=2.0)
NETWORK = {
    "tcp_keepalives_idle": "3",
    "tcp_keepalives_interval": "1",
    "tcp_keepalives_count": "3",
    "tcp_user_timeout": "5000",
}
"""When the server counts a silent network as dead; `KEEPALIVE` is the same for our side."""

KEEPALIVE = {"TCP_KEEPIDLE": 3, "TCP_KEEPINTVL": 1, "TCP_KEEPCNT": 3, "TCP_USER_TIMEOUT": 5000}
HELD_FOR = Millis(10 * SECOND)  # a replica that is silent for so long holds its name no more

Gone = (
    asyncpg.InterfaceError,
    asyncpg.InternalClientError,  # a connection that broke in the middle of an exchange
    asyncpg.PostgresConnectionError,
    asyncpg.CannotConnectNowError,
    asyncpg.AdminShutdownError,
    asyncpg.CrashShutdownError,
    asyncpg.IdleInTransactionSessionTimeoutError,
    asyncpg.TooManyConnectionsError,
    OSError,
    TimeoutError,
)
"""What asyncpg raises when the server, the way to it or the session is gone."""

Again = (asyncpg.SerializationError, asyncpg.DeadlockDetectedError, asyncpg.UniqueViolationError)
"""What running the transaction once more, on fresh facts, may cure."""


class CutOff(Exception):
    """The session was lost or made to give up before its commit: nothing is kept, and another one may do it."""

    def __init__(self, error: StoreUnavailable) -> None:
        super().__init__(str(error))
        self.error = error


async def open_postgres(
    url: str, *, clock: Clock, chance: Chance, spawn: Spawn, migrate: bool = True, watch: Watch | None = None
) -> PostgresStore:
    """Connect, and bring the schema up to date. Raises StoreUnavailable, SchemaTooNew."""
    server = Server(url, await session_settings(url))
    pool = await server.pool(CONNECTIONS, BRIEF)
    try:
        async with borrowed(pool, clock) as conn:
            with understood():
                await migrate_postgres(conn, apply=migrate)
                identity = await conn.fetchval(queries().texts["which_server"])
        readers = await server.pool(READERS, READING)
    except BaseException:
        pool.terminate()
        raise
    return PostgresStore(
        pool,
        readers,
        server=server,
        identity=identity,
        clock=clock,
        chance=chance,
        spawn=spawn,
        watch=watch or Unwatched(),
    )


async def open_postgres_reader(url: str, *, clock: Clock) -> PostgresReader:
    """The reads alone. Raises StoreUnavailable when nothing of Tocsin is there."""
    pool = await Server(url, await session_settings(url)).pool(1, READING)
    async with borrowed(pool, clock) as conn:
        with understood():
            known = await version_of(conn)
    if not known:
        await pool.close()
        raise StoreUnavailable("the database has no tables of Tocsin yet; `tocsin serve` makes them")
    return PostgresReader(pool, clock)


async def session_settings(url: str) -> dict[str, str]:
    """Settings of every session of ours, as far as this server knows them."""
    settings = {"application_name": "tocsin", "jit": "off", **NETWORK}
    with reached():
        conn = await asyncpg.connect(url, timeout=CONNECT_SECONDS)
        try:
            if await conn.fetchval("show synchronous_commit") == "off":
                settings["synchronous_commit"] = "on"  # an answer of 2xx promises that it is on the disk
            if conn.get_server_version().major >= 14:
                settings["client_connection_check_interval"] = "1000"  # the dead wait for no lock
                settings["idle_session_timeout"] = "0"
        finally:
            await conn.close(timeout=RELEASE_SECONDS)
    return settings


@dataclass(frozen=True, slots=True)
class Server:
    """Address of the database, and settings of its sessions."""

    url: str
    settings: dict[str, str]

    async def pool(self, size: int, bounds: Bounds) -> Any:
        """A pool of `size` connections, all kept open: who asks for one later may find the server full."""
        with reached():
            try:
                return await self._pool(size, size, bounds)
            except asyncpg.TooManyConnectionsError:
                return await self._pool(1, size, bounds)

    async def _pool(self, least: int, most: int, bounds: Bounds) -> Any:
        return await asyncpg.create_pool(
            self.url,
            min_size=least,
            max_size=most,
            max_inactive_connection_lifetime=0,
            max_cached_statement_lifetime=0,
            statement_cache_size=400,
            timeout=CONNECT_SECONDS,
            command_timeout=bounds.client,
            init=watch_network,
            server_settings={**self.settings, **bounds.settings()},
        )

    async def connection(self) -> Any:
        """A connection of its own, for the name that a replica holds: it ends when nobody is heard over it."""
        settings = {**self.settings, **BRIEF.settings()}
        if "idle_session_timeout" in settings:
            settings["idle_session_timeout"] = str(HELD_FOR)
        conn = await asyncpg.connect(
            self.url, timeout=CONNECT_SECONDS, command_timeout=PROMPT_SECONDS, server_settings=settings
        )
        await watch_network(conn)
        return conn


async def watch_network(conn: Any) -> None:
    """Let our side of the connection notice a silent network too."""
    transport = getattr(conn, "_transport", None)
    sock = transport.get_extra_info("socket") if transport is not None else None
    if sock is None or sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in KEEPALIVE.items():
        if hasattr(socket, name):  # not every system has all of them
            sock.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)


@contextmanager
def reached() -> Iterator[None]:
    """Whatever goes wrong on the way to a connection is that the database cannot be reached."""
    try:
        yield
    except (*Gone, asyncpg.PostgresError) as error:
        raise StoreUnavailable(f"the database cannot be reached: {error or type(error).__name__}") from error


@asynccontextmanager
async def borrowed(pool: Any, clock: Clock) -> AsyncIterator[Any]:
    """Borrow one of the pool's connections for a while. Raises StoreUnavailable when there is none to be had.

    A connection over which something could not be finished in time is not used again.
    """
    with reached():
        conn = await _acquired(pool, clock)
    try:
        yield conn
    except StoreUnavailable:
        give_up(conn)
        raise
    finally:
        with suppress(*Gone, asyncpg.PostgresError):  # what is broken is thrown away by the pool
            await pool.release(conn)


def give_up(conn: Any) -> None:
    """Use a connection no more. What is broken the pool may have taken back already; then it cannot be touched."""
    with suppress(*Gone):
        conn.terminate()


async def _acquired(pool: Any, clock: Clock) -> Any:
    """A free connection; where the server has none left to give, one of ours that becomes free."""
    until = clock.monotonic() + CONNECT_SECONDS
    while True:
        try:
            return await pool.acquire(timeout=CONNECT_SECONDS)
        except asyncpg.TooManyConnectionsError:
            if clock.monotonic() >= until:
                raise
            await clock.sleep(FULL_PAUSE)


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
    """A value that cannot be kept is its sender's trouble; a table that is missing, a disk that is full, a lock that is
    not given or a server that only reads is not: whoever sent something must send it again."""
    match error:
        case asyncpg.IntegrityConstraintViolationError():
            return Conflict(f"a promise of the database would be broken: {error}")
        case asyncpg.DataError() | asyncpg.ProgramLimitExceededError():
            return StoreError(f"the database cannot do this: {error}")
        case _:
            return StoreUnavailable(f"the database does not answer: {error}")


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
        await conn.execute(
            f"set local statement_timeout = 0; set local lock_timeout = 0;"
            f" set local idle_in_transaction_session_timeout = {MIGRATION_SILENT}"
        )
        await conn.execute("select pg_advisory_xact_lock($1)", MIGRATING, timeout=MIGRATION_SECONDS)
        version = await version_of(conn)
        todo = missing(version, steps, "the database")
        if todo and not apply:
            raise StoreError(
                f"the database: its schema is number {version}, {todo[-1].number} is needed; run `tocsin db migrate`"
            )
        for step in todo:
            async with conn.transaction():
                await conn.execute(step.text, timeout=MIGRATION_SECONDS)
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
        self._slow = asyncio.Semaphore(SLOW_READS)
        self._searches = Searches()

    async def _look(self, name: str, *args: Any) -> list[Row]:
        if name in PROMPT:
            return await self._fetch(name, args, PROMPT_SECONDS)
        async with self._slow:
            return await self._fetch(name, args, READING.client)

    async def _fetch(self, name: str, args: Sequence[Any], seconds: float) -> list[Row]:
        """Over another session where one was lost, a few times: a question may be asked again."""
        for attempt in itertools.count(1):
            async with borrowed(self._readers, self._clock) as conn:
                try:
                    with understood():
                        return cast(list[Row], await conn.fetch(queries().texts[name], *args, timeout=seconds))
                except StoreUnavailable as error:
                    give_up(conn)
                    if attempt == MOST_CUT_OFF or isinstance(error.__cause__, TimeoutError):
                        raise
        raise AssertionError("unreachable")

    async def _search(self, name: str, *args: Any) -> list[Row]:
        async with self._searches.turn():  # first: who waits keeps nothing
            return await self._briefly(name, *args)

    async def _briefly(self, name: str, *args: Any) -> list[Row]:
        async with self._slow, borrowed(self._readers, self._clock) as conn:
            with understood():
                try:
                    async with conn.transaction(readonly=True):
                        await conn.execute(f"set local statement_timeout = {SECONDS * 1000:.0f}")
                        return cast(list[Row], await conn.fetch(queries().texts[name], *args, timeout=READING.client))
                except asyncpg.QueryCanceledError:
                    raise too_long() from None
        raise AssertionError("unreachable")

    async def close(self) -> None:
        await closed(self._readers, self._clock)


async def closed(pool: Any, clock: Clock) -> None:
    """Close a pool; a server that does not answer holds nobody up."""
    try:
        async with clock.timeout(CLOSING):
            await pool.close()
    except TimeoutError:
        pool.terminate()


class PostgresStore(PostgresReader, Pruner):
    """See `contracts.Store` for what is promised."""

    exclusive = False

    def __init__(
        self,
        pool: Any,
        readers: Any,
        *,
        server: Server,
        identity: int,
        clock: Clock,
        chance: Chance,
        spawn: Spawn,
        watch: Watch,
    ) -> None:
        super().__init__(readers, clock)
        self._pool = pool
        self._server = server
        self._identity = identity  # of the data: a number of a transaction means something there alone
        self.watch = watch
        self._chance = chance
        self._spawn = spawn
        self._ingest = asyncio.Semaphore(INGEST_AT_ONCE)
        self._lists = asyncio.Semaphore(READERS - 2)  # one holds the name, one is for what pages wait for
        self._under_way = 0
        self._idle = asyncio.Event()
        self._idle.set()
        self._closing = False
        self._holding: Any = None

    async def _look(self, name: str, *args: Any) -> list[Row]:
        if name in FOR_PAGES:
            return await super()._look(name, *args)
        async with self._lists:
            return await super()._look(name, *args)

    async def _briefly(self, name: str, *args: Any) -> list[Row]:
        async with self._lists:
            return await super()._briefly(name, *args)

    async def write(self, work: Callable[[Tx], Awaitable[T]], *, lane: Lane = "urgent", paging: bool = False) -> T:
        return await self._write(work, lane)

    def lost(self) -> str:
        return ""  # the server's files are its own affair

    async def _write(self, work: Callable[[Transaction], Awaitable[T]], lane: str) -> T:
        if self._closing:
            raise StoreUnavailable("the database is closed")
        if self._under_way >= MOST_WAITING:
            raise StoreUnavailable(f"{self._under_way} transactions wait for the database already")
        waiter: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._under_way += 1
        self._idle.clear()
        self._spawn(self._see_through(work, lane, waiter), "store write")
        return await asyncio.shield(waiter)

    async def _see_through(
        self, work: Callable[[Transaction], Awaitable[T]], lane: str, waiter: asyncio.Future[T]
    ) -> None:
        """Bring one work to its end, whether or not anybody still waits for it."""
        try:
            if lane == "ingest":
                async with self._ingest:
                    result = await self._with_retries(work)
            else:
                result = await self._with_retries(work)
        except asyncio.CancelledError:
            waiter.cancel()
            raise
        except Exception as error:  # noqa: BLE001  # the work's own: it is its caller's to handle
            self.watch.error(type(error).__name__)
            if not waiter.done():
                waiter.set_exception(error)
        else:
            if not waiter.done():
                waiter.set_result(result)
        finally:
            self._under_way -= 1
            if not self._under_way:
                self._idle.set()

    async def _with_retries(self, work: Callable[[Transaction], Awaitable[T]]) -> T:
        """Once more on fresh facts after a conflict, and over another session where one was lost; not for ever."""
        until = self._clock.monotonic() + PATIENCE / 1000
        conflicts = cut_off = 0
        while True:
            try:
                return await self._once(work, LONG if cut_off > 1 else None)
            except Conflict:
                conflicts += 1
                if conflicts == MOST_TRIES:
                    raise
            except CutOff as cut:
                cut_off += 1
                if cut_off == MOST_CUT_OFF or self._clock.monotonic() >= until:
                    raise cut.error from cut
            await self._clock.sleep(Millis(int(self._chance.fraction() * 10 * 2 ** (conflicts + cut_off))))

    async def _once(self, work: Callable[[Transaction], Awaitable[T]], bounds: Bounds | None = None) -> T:
        """Run one transaction and return what `work` returned. Raises CutOff."""
        async with borrowed(self._pool, self._clock) as conn:
            frame = conn.transaction()
            session = PostgresSession(conn, (bounds or BRIEF).client)
            try:
                with understood():
                    await frame.start()
                    if bounds is not None:
                        await conn.execute(
                            "; ".join(f"set local {name} = {value}" for name, value in bounds.settings().items())
                        )
                tx = Transaction(session)
                result = await work(tx)
                await session.apply(tx.changes.take())
                number = await session.number()
            except BaseException as error:
                await self._undo(conn, frame)
                if isinstance(error, StoreUnavailable):
                    raise CutOff(error) from error
                raise
            sent = await self._commit(frame, session)
        if not sent:
            await self._settle(number)
        return result

    async def _undo(self, conn: Any, frame: Any) -> None:
        """Roll back; where even that fails the connection is given up, and the server rolls back."""
        try:
            await frame.rollback()
        except (*Gone, asyncpg.PostgresError):
            give_up(conn)

    async def database_clock(self) -> tuple[int, str | None]:
        """The server's wall clock, which every replica anchors its own to, and the value of `meta.clock`."""
        ((now, agreed),) = await self._look("database_now")
        return now, agreed

    async def others_live(self) -> bool:
        """Whether any process holds an owner's lock: asked before this one takes its own."""
        return bool(await self._look("held"))

    async def check(self) -> None:
        """Do what a post, a page and an answer do, but for the rows, over the way that each takes.

        It waits for no row and holds none, so no other replica's trouble is told as this one's.
        """

        async def exercise(tx: Transaction) -> None:
            await tx.lock_keys([self._chance.token()])
            await tx.next_post_ids(1)
            await tx.ask("exercise")
            await tx.ask("exercise_claim", self._clock.now())

        await asyncio.gather(self._write(exercise, "ingest"), self._write(exercise, "urgent"))

    async def _commit(self, frame: Any, session: PostgresSession) -> bool:
        """Whether the server said that it is kept. False: the connection went away and nobody knows yet."""
        started = self._clock.monotonic()
        try:
            with understood():
                await frame.commit()
        except StoreUnavailable as error:
            if session.changed:
                return False
            raise CutOff(error) from error
        if session.changed:
            self.watch.commit_seconds(self._clock.monotonic() - started)
            self.watch.batch_rows(session.rows)
        return True

    async def _settle(self, number: str | None) -> None:
        """The connection went away during a commit: ask the server what became of it.

        Returns when it was committed. Raises Conflict when it surely was not, StoreUnavailable when
        nobody can tell: the sender, or the loop that wrote, does it again, and it is found done or is done then.
        """
        until = self._clock.monotonic() + PATIENCE / 1000
        status: str | None = "in progress"
        while status == "in progress" and self._clock.monotonic() < until:
            try:
                status = await self._became_of(number)
            except StoreUnavailable:
                status = "in progress"
            if status == "committed":
                return
            if status == "aborted":
                raise Conflict("the connection went away and the transaction with it")
            await self._clock.sleep(Millis(100))
        raise StoreUnavailable("the connection went away during a commit, and nobody can tell whether it was kept")

    async def _became_of(self, number: str | None) -> str | None:
        transaction, _, timeline = (number or "").partition("/")
        if not transaction:
            return None
        ((status,),) = await self._look("what_became_of", transaction, timeline, self._identity)
        if status is None:
            ((self._identity,),) = await self._look("which_server")
        return cast(str | None, status)

    async def hold(self, owner: str) -> None:
        """Take the name, or show that it is still held; over a connection that is kept for this alone."""
        conn, self._holding = self._holding, None
        try:
            if conn is not None and not conn.is_closed():
                await conn.execute(queries().texts["still_here"])
            else:
                conn = await self._server.connection()
                await conn.execute(queries().texts["hold"], held_as(owner))
        except BaseException as error:
            if conn is not None:
                give_up(conn)
            if isinstance(error, (*Gone, asyncpg.PostgresError)):
                raise StoreUnavailable(f"the database cannot be reached: {error or type(error).__name__}") from error
            raise
        self._holding = conn  # the lock goes with the connection, and that with the process

    async def alive(self, owners: Collection[str]) -> set[str]:
        held = {key for (key,) in await self._look("held")}
        return {owner for owner in owners if held_as(owner) in held}

    async def flush_repeats(self, rows: Sequence[Repeated], counted: int | None = None) -> None:
        if not rows and counted is None:
            return
        columns = [list(column) for column in zip(*added_up(rows), strict=True)]

        async def add_up(tx: Transaction) -> None:
            if columns:
                tx.changes.run("alerts", "lock_alerts", columns[0])
                tx.changes.run("alerts", "flush_repeats", *columns)
            if counted is not None:
                tx.changes.insert("meta", "set_meta", [("repeats_counted", str(counted))])

        await self._write(add_up, "ingest")

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        await self._idle.wait()
        if self._holding is not None:
            with suppress(*Gone, asyncpg.PostgresError):
                await self._holding.close(timeout=RELEASE_SECONDS)
        await super().close()
        await closed(self._pool, self._clock)


class PostgresSession:
    """An open transaction."""

    narrow: ClassVar[bool] = False

    def __init__(self, conn: Any, seconds: float) -> None:
        self._conn = conn
        self._seconds = seconds  # a statement may take so long
        self.rows = 0
        self.changed = False

    async def ask(self, changes: list[Change], name: str, args: Sequence[Any]) -> list[Row]:
        await self.apply(changes)
        with understood():
            return cast(list[Row], await self._conn.fetch(queries().texts[name], *args, timeout=self._seconds))

    async def ask_all(self, changes: list[Change], asked: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Row]]:
        await self.apply(changes)
        return [await self.ask([], name, args) for name, args in asked]

    async def lock(self, keys: Sequence[str]) -> None:
        if keys:
            with understood():
                numbers = sorted({lock_of(key) for key in keys})
                await self._conn.execute(queries().texts["lock_keys"], numbers, timeout=self._seconds)

    async def numbers(self, kind: str, count: int) -> range:
        if count < 1:
            return range(0)
        sequence = "incident_numbers" if kind == "incident" else f"{kind}_ids"
        with understood():
            first = await self._conn.fetchval(queries().texts["take_numbers"], sequence, count, timeout=self._seconds)
        return range(first, first + count)

    async def number(self) -> str | None:
        """The transaction's own number, by which the server can be asked later what became of it."""
        if not self.changed:
            return None
        with understood():
            asked = self._conn.fetchval(queries().texts["this_transaction"], timeout=self._seconds)
            return cast(str | None, await asked)

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
            await self._conn.execute(queries().texts[change.name], *change.values, timeout=self._seconds)
            return
        self.rows += len(change.values)
        if insert.shape is None:
            await self._conn.executemany(row_by_row(change.name), change.values, timeout=self._seconds)
        else:
            await self._conn.execute(all_at_once(change.name), *columns_of(insert.shape, change), timeout=self._seconds)


def held_as(owner: str) -> int:
    """The number under which an owner is held; the same on every replica."""
    return int.from_bytes(blake2b(owner.encode(), digest_size=4).digest(), "big") >> 1


def lock_of(key: str) -> int:
    """Number of the lock for a key, one of a few thousand; two keys may share one, and then wait for each other."""
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
