"""The store in one SQLite file, by one writer, so that a commit is cheap and true.

Works queue in two lanes. A turn of the writer takes everything urgent that queued meanwhile, runs each
work under its own savepoint, commits once and then answers all of them; then one work of the ingest
lane; then it looks again. Nobody waits for a timer: under load the groups grow by themselves.
"""

from __future__ import annotations

import asyncio
import itertools
import logging
import sqlite3
import tempfile
from collections import deque
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, ClassVar, Literal, TypeVar, cast

import orjson

from tocsin.contracts import Clock, Spawn, Task, Tx
from tocsin.errors import Conflict, StoreError, StoreUnavailable
from tocsin.model import Repeated
from tocsin.store.asking import Change
from tocsin.store.connections import (
    BUSY_SECONDS,
    Connection,
    Runner,
    connect,
    open_alone,
    open_reading,
    open_writer,
)
from tocsin.store.lock import SERVED, DatabaseFile, LockFile
from tocsin.store.migrations import keep_copy, migrate_sqlite, refuse_foreign
from tocsin.store.named_queries import Insert, Queries, load
from tocsin.store.prune import Pruner
from tocsin.store.reads import FOR_PAGES, Reads, added_up
from tocsin.store.rows import Row
from tocsin.store.searches import SECONDS, Searches, too_long
from tocsin.store.tx import Transaction
from tocsin.store.watch import Unwatched, Watch

T = TypeVar("T")
log = logging.getLogger("tocsin.store")
Lane = Literal["urgent", "ingest"]
MOST_TOGETHER = 256  # urgent works in one commit
MOST_WAITING = 20_000  # works in a lane before the store says no
MOST_TRIES = 6  # the first and five more
READERS = 3
AWAY = 1_000  # a reader that searches: others ask another one
STEPS = 20_000  # of SQLite, until it is asked whether a search takes too long: some milliseconds
CHUNK, CHUNKS = 80, 5  # rows in one statement: up to 5 times 80, or any number below that
NO_WAIT = "pragma busy_timeout = 0"
LITTLE = 128  # rows that are written on the loop's thread
WAL_LIMIT = 128 * 1024 * 1024
TURNS_BETWEEN_LOOKS = 64


@dataclass(slots=True)
class Piece:
    """A work in the queue, and who waits for it."""

    work: Callable[[Transaction], Awaitable[Any]]
    waiter: asyncio.Future[Any]
    paging: bool = False
    result: Any = None
    error: BaseException | None = None


class Lost(Exception):
    """The whole transaction is gone; nobody who shared it may be told that it was kept."""


async def open_sqlite(
    database: str,
    *,
    clock: Clock,
    spawn: Spawn,
    runner: Runner = "thread",
    migrate: bool = True,
    watch: Watch | None = None,
) -> SqliteStore:
    """Open, lock and migrate the file, creating it where there is none. ":memory:" is a file that goes with the store;
    with the runner "alone" it is no file, but one connection for what is written and what is read.

    Raises StoreBusy, SchemaTooNew, StoreUnavailable; StoreError for a file that is empty or another program's.
    """
    folder = tempfile.TemporaryDirectory(prefix="tocsin-") if database == ":memory:" else None
    path = (Path(folder.name) / "tocsin.db" if folder else Path(database)).resolve()
    lock = LockFile.take(path)
    file: DatabaseFile | None = None
    opened: list[Connection] = []
    try:
        alone = folder is not None and runner == "alone"
        file = None if folder else DatabaseFile.hold(path, lock)

        def check(conn: sqlite3.Connection) -> None:
            refuse_foreign(conn, path, interrupted=folder is not None or lock.interrupted)

        writer = await connect(
            runner, open_alone if alone else lambda: open_writer(path, durable=folder is None, check=check)
        )
        opened.append(writer)
        await writer.run(lambda conn: migrate_sqlite(conn, path, apply=migrate))
        lock.say(SERVED)
        for _ in range(0 if alone else READERS if runner == "thread" else 1):
            opened.append(await connect(runner, lambda: open_reading(path)))
        (last,) = await writer.run(lambda conn: conn.execute(queries().texts["last_numbers"]).fetchall())
        await writer.run(lambda conn: conn.execute(NO_WAIT))
    except BaseException:
        for connection in reversed(opened):
            await connection.close()
        if file is not None:
            file.release()
        lock.release()
        raise
    store = OneConnection if alone else SqliteStore
    return store(
        path,
        clock=clock,
        spawn=spawn,
        writer=writer,
        readers=opened[1:],
        lock=lock,
        file=file,
        last=last,
        folder=folder,
        watch=watch or Unwatched(),
    )


async def open_sqlite_reader(database: str, *, clock: Clock, runner: Runner = "thread") -> SqliteReader:
    """Read an existing file beside whoever writes it. Raises StoreUnavailable when there is none."""
    path = existing(database)
    return SqliteReader([await connect(runner, lambda: open_reading(path))], clock)


def existing(database: str) -> Path:
    """The path of a file that is there."""
    path = Path(database)
    if not path.is_file():
        raise StoreUnavailable(f"{path}: there is no database yet; `tocsin serve` makes it")
    return path


@cache
def queries() -> Queries:
    return load("sqlite")


class SqliteReader(Reads):
    """The reads of a store over connections that cannot write."""

    def __init__(self, readers: Sequence[Connection], clock: Clock) -> None:
        self._clock = clock
        self._readers = list(readers)
        self._busy = [0] * len(readers)
        self._searches = Searches()

    async def _look(self, name: str, *args: Any) -> list[Row]:
        kept = 0 if name in FOR_PAGES else 1  # the last connection is for what pages wait for
        open_to = self._busy[: max(1, len(self._busy) - kept)]
        index = open_to.index(min(open_to))
        self._busy[index] += 1
        try:
            return await self._readers[index].run(lambda conn: fetch(conn, name, args))
        finally:
            self._busy[index] -= 1

    async def _search(self, name: str, *args: Any) -> list[Row]:
        async with self._searches.turn():
            self._busy[0] += AWAY
            try:
                return await self._readers[0].run(lambda conn: briefly(conn, name, args, self._clock))
            finally:
                self._busy[0] -= AWAY

    async def close(self) -> None:
        for reader in self._readers:
            await reader.close()


class SqliteStore(SqliteReader, Pruner):
    """See `contracts.Store` for what is promised."""

    exclusive = True

    def __init__(
        self,
        path: Path,
        *,
        clock: Clock,
        spawn: Spawn,
        writer: Connection,
        readers: Sequence[Connection],
        lock: LockFile,
        file: DatabaseFile | None,
        last: Row,
        folder: tempfile.TemporaryDirectory[str] | None,
        watch: Watch,
    ) -> None:
        super().__init__(readers, clock)
        self.path = path
        self.watch = watch
        self._writer = writer
        self._lock = lock
        self._file = file
        self._lost = ""
        self._folder = folder
        self._last = dict(zip(("incident", "alert", "post"), last, strict=True))
        self._lanes: dict[str, deque[Piece]] = {"urgent": deque(), "ingest": deque()}
        self._wake = asyncio.Event()
        self._closing = False
        self._held: set[str] = set()
        self._turns = 0
        self._task: Task = spawn(self._write_in_turns(), "store writer")

    async def write(self, work: Callable[[Tx], Awaitable[T]], *, lane: Lane = "urgent", paging: bool = False) -> T:
        return await self._write(work, lane, paging=paging)

    async def _write(self, work: Callable[[Transaction], Awaitable[T]], lane: str, *, paging: bool = False) -> T:
        if self._closing:
            raise StoreUnavailable("the database is closed")
        if self._lost and not paging and self.lost():
            raise StoreUnavailable(self._lost)
        waiting = self._lanes[lane]
        if len(waiting) >= MOST_WAITING:
            raise StoreUnavailable(f"{len(waiting)} transactions wait for the database already")
        piece = Piece(work, asyncio.get_running_loop().create_future(), paging)
        waiting.append(piece)
        self._wake.set()
        return cast(T, await asyncio.shield(piece.waiter))

    @property
    def made_again(self) -> str:
        """The path, where there was a database before and none was found."""
        return str(self.path) if self._lock.missing else ""

    def lost(self) -> str:
        if self._file is not None and not self._closing:
            self._lost = self._file.lost() or self._lock_lost(self._file)
        return self._lost

    def _lock_lost(self, file: DatabaseFile) -> str:
        try:
            if file.keep_lock():
                log.warning("the lock file %s was removed, and is made anew", self._lock.path)
        except StoreError as error:
            return str(error)
        return ""

    async def newest_number(self) -> int:
        return int(max(self._last["incident"], await super().newest_number()))

    async def hold(self, owner: str) -> None:
        self._held.add(owner)

    async def alive(self, owners: Collection[str]) -> set[str]:
        return self._held.intersection(owners)  # nobody else can be: the lock file

    async def flush_repeats(self, rows: Sequence[Repeated], counted: int | None = None) -> None:
        if not rows and counted is None:
            return

        async def add_up(tx: Transaction) -> None:
            tx.changes.run("alerts", "flush_repeats", added_up(rows))
            if counted is not None:
                tx.changes.insert("meta", "set_meta", [("repeats_counted", str(counted))])

        await self._write(add_up, "ingest")

    async def close(self) -> None:
        if self._closing:
            return
        self._closing = True
        self._wake.set()
        await self._task
        await super().close()
        try:
            if self._file is not None and (lost := self._file.lost()):
                await self._rescue(lost)
            else:
                await self._writer.run(checkpoint)
        finally:
            await self._writer.close()
            if self._file is not None:
                self._file.release()
            self._lock.release()
            if self._folder is not None:
                self._folder.cleanup()

    async def _rescue(self, lost: str) -> None:
        """Copy what a file that has no name any more still holds, so that it can be restored."""
        number = 1
        while (copy := self.path.with_name(f"{self.path.name}.rescued-{number}")).exists():
            number += 1
        try:
            await self._writer.run(lambda conn: keep_copy(conn, copy))
            log.error("%s; what was stored is kept in %s: tocsin db restore %s", lost, copy, copy)
        except (StoreError, OSError) as error:
            log.error("%s; and no copy of what was stored could be made: %s", lost, error)

    # the writer

    async def _write_in_turns(self) -> None:
        """Until the store is closed and both lanes are empty."""
        try:
            while True:
                for pieces in self._next_turns():
                    await self._turn(pieces)
                if not any(self._lanes.values()):
                    if self._closing:
                        return
                    self._wake.clear()
                    await self._wake.wait()
        finally:
            self._closing = True
            for piece in itertools.chain.from_iterable(self._lanes.values()):
                answer(piece, StoreUnavailable("the database was closed before this was written"))

    def _next_turns(self) -> Iterator[list[Piece]]:
        """Yield all that is urgent, together; then one of the ingest lane, alone."""
        urgent, ingest = self._lanes["urgent"], self._lanes["ingest"]
        if urgent:
            yield [urgent.popleft() for _ in range(min(len(urgent), MOST_TOGETHER))]
        if ingest:
            yield [ingest.popleft()]

    async def _turn(self, pieces: list[Piece]) -> None:
        turn = WriterTurn(self._writer, self._last, self.watch, self._clock, shared=len(pieces) > 1)
        try:
            for piece in pieces:
                await self._run(piece, turn, last=piece is pieces[-1])
            await turn.commit()
        except Lost as lost:
            await turn.give_up()
            for piece in pieces:
                piece.error = piece.error or StoreUnavailable(str(lost))
        except asyncio.CancelledError:
            await turn.give_up()
            for piece in pieces:
                answer(piece, StoreUnavailable("the database was closed while this was written"))
            raise
        except Exception as error:  # noqa: BLE001  # not even undoing works: nobody may wait for ever, and the next turn comes
            await turn.give_up()
            for piece in pieces:
                piece.error = piece.error or StoreUnavailable(f"the database does not answer: {error}")
        if turn.changed and self._file is not None:
            self._lost = self._file.lost()  # behind the commit: before it, the file could go in between
        for piece in pieces:
            if self._lost and not piece.paging:
                piece.error = piece.error or StoreUnavailable(self._lost)
            answer(piece, piece.error)
            if piece.error is not None:
                self.watch.error(type(piece.error).__name__)
        await self._bound_the_log()

    async def _run(self, piece: Piece, turn: WriterTurn, *, last: bool) -> None:
        """Run one work to its end, or undo what it did and note its error."""
        for attempt in range(1, MOST_TRIES + 1):
            turn.enter()
            tx = Transaction(turn)
            try:
                piece.result = await piece.work(tx)
                await turn.leave(tx.changes.take(), commit=last)
                return
            except Lost:
                raise
            except Conflict as conflict:
                await turn.undo()
                if attempt == MOST_TRIES:
                    piece.error = conflict
            except asyncio.CancelledError as cancelled:
                current = asyncio.current_task()
                if current is not None and current.cancelling():
                    raise
                await turn.undo()
                piece.error = cancelled
                return
            except Exception as error:  # noqa: BLE001  # the work's own: it is its caller's to handle
                await turn.undo()
                piece.error = error
                return

    async def _bound_the_log(self) -> None:
        """A reader that never rests keeps the log from starting over; wait for the readers once it is large."""
        self._turns += 1
        if self._turns % TURNS_BETWEEN_LOOKS:
            return
        log = self.path.with_name(self.path.name + "-wal")
        if log.exists() and log.stat().st_size > WAL_LIMIT:
            with suppress(StoreError):  # it is looked at again
                await self._writer.run(checkpoint)


class OneConnection(SqliteStore):
    """Everything over the writer's connection, for a database that nobody else sees.

    What a turn has not committed is seen by that turn alone: others wait until it is over.
    """

    def __init__(self, path: Path, **around: Any) -> None:
        super().__init__(path, **around)
        self._between = asyncio.Event()  # no turn is under way
        self._between.set()

    async def _turn(self, pieces: list[Piece]) -> None:
        self._between.clear()
        try:
            await super()._turn(pieces)
        finally:
            self._between.set()

    async def _search(self, name: str, *args: Any) -> list[Row]:
        return await self._look(name, *args)

    async def _look(self, name: str, *args: Any) -> list[Row]:
        if not self._between.is_set() and asyncio.current_task() is not self._task:
            await self._between.wait()
        return await self._writer.run(lambda conn: fetch(conn, name, args))


class WriterTurn:
    """A transaction of the writer. Statements that answer nothing wait for the next hop to the connection."""

    narrow: ClassVar[bool] = True

    def __init__(self, writer: Connection, last: dict[str, int], watch: Watch, clock: Clock, *, shared: bool) -> None:
        self._writer = writer
        self._last = last
        self._watch = watch
        self._clock = clock
        self._shared = shared
        self._begun = False
        self._marked = False  # the piece's savepoint is set
        self._rows = 0
        self.changed = False

    # the session of one piece

    async def ask(self, changes: list[Change], name: str, args: Sequence[Any]) -> list[Row]:
        return await self._hop(changes, lambda conn: fetch(conn, name, args))

    async def ask_all(self, changes: list[Change], asked: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Row]]:
        return await self._hop(changes, lambda conn: [fetch(conn, name, args) for name, args in asked])

    async def lock(self, keys: Sequence[str]) -> None:
        """There is one writer, so everything is locked."""

    async def numbers(self, kind: str, count: int) -> range:
        first = self._last[kind] + 1
        self._last[kind] += count
        return range(first, first + count)

    def pairs(self, keys: Sequence[tuple[str, str]]) -> tuple[Any, ...]:
        return ([list(pair) for pair in keys],)

    # the writer's

    def enter(self) -> None:
        """Another piece begins."""
        self._marked = False

    async def leave(self, changes: list[Change], *, commit: bool) -> None:
        """The piece is done; the last one of the turn takes the commit along."""
        if not changes and not self._marked:
            return
        await self._hop(changes, self._release, commit=commit)

    async def undo(self) -> None:
        """As if the piece had never been. Raises Lost when SQLite has undone everything."""
        if not self._marked:
            return
        self._marked = False
        await self._writer.run(self._roll_back)

    async def commit(self) -> None:
        """Commit what was not committed with the last piece."""
        if self._begun:
            await self._hop([], None, commit=True)

    async def give_up(self) -> None:
        """Leave no transaction behind; where even that fails, the next turn cannot begin, and tries this again."""
        self._begun = False
        self.changed = False
        with suppress(StoreError):
            await self._writer.run(roll_back_all)

    async def _hop(
        self, changes: list[Change], steps: Callable[[sqlite3.Connection], T] | None, *, commit: bool = False
    ) -> T:
        """Begin where needed, apply `changes`, run `steps`, perhaps commit: one crossing.

        What is little is written on this thread, and only its commit crosses: each statement over there has to
        wait three times for the interpreter, which costs more than a few inserts.
        """
        made = statements(changes)
        begin, mark = not self._begun, not self._marked and not (commit and steps is None)
        little = commit and is_little(made)
        if begin:
            begin = not self._writer.here(try_to_begin)
        self._begun = self._marked = True

        def run(conn: sqlite3.Connection) -> Any:
            if begin:
                begin_now(conn)
            return write(conn)

        def write(conn: sqlite3.Connection) -> Any:
            if mark and self._shared:
                conn.execute("savepoint piece")
            self._rows += apply(conn, made)
            answer = steps(conn) if steps is not None else None
            if commit and not little:
                commit_now(conn)
            return answer

        started = self._clock.monotonic()
        if little and not begin:
            found = self._writer.here(write)
        else:
            found = await self._writer.run(run)
        if little:
            await self._writer.run(commit_now)
        self.changed = self.changed or bool(changes)
        if commit:
            self._begun = False
            self._watch.commit_seconds(self._clock.monotonic() - started)
            self._watch.batch_rows(self._rows)
        return cast(T, found)

    def _release(self, conn: sqlite3.Connection) -> None:
        if self._shared:
            conn.execute("release piece")

    def _roll_back(self, conn: sqlite3.Connection) -> None:
        if not self._shared:
            roll_back_all(conn)
            self._begun = False
        elif conn.in_transaction:
            conn.execute("rollback to piece")
            conn.execute("release piece")
        else:
            raise Lost("the database undid the transaction that this shared")


def is_little(made: Sequence[Statement]) -> bool:
    """Whether these are but a few inserts, so that the loop may do without a turn."""
    return sum(one.rows for one in made) <= LITTLE and all(one.insert for one in made)


def try_to_begin(conn: sqlite3.Connection) -> bool:
    """Begin without waiting; False while somebody else writes."""
    try:
        conn.execute("begin immediate")
    except sqlite3.OperationalError:
        return False
    return True


def begin_now(conn: sqlite3.Connection) -> None:
    """Begin, and wait for whoever else writes; not for ever."""
    if try_to_begin(conn):
        return
    try:
        with patience(conn):
            conn.execute("begin immediate")
    except sqlite3.Error as error:
        raise Lost(f"the database does not answer: {error}") from error


def checkpoint(conn: sqlite3.Connection) -> None:
    """Bring the log into the file and empty it; waits for readers, not for ever."""
    with patience(conn):
        conn.execute("pragma wal_checkpoint(truncate)").fetchall()


@contextmanager
def patience(conn: sqlite3.Connection) -> Iterator[None]:
    """The writer waits for others only here, on its own thread: the loop must not."""
    conn.execute(f"pragma busy_timeout = {int(BUSY_SECONDS * 1000)}")
    try:
        yield
    finally:
        conn.execute(NO_WAIT)


def commit_now(conn: sqlite3.Connection) -> None:
    """Commit; `commit()` gives the interpreter's lock away once, the statement would three times.

    It says nothing where there is nothing to commit, so that is asked first.
    """
    if not conn.in_transaction:
        raise Lost("the database undid the transaction before its commit")
    try:
        conn.commit()
    except sqlite3.Error as error:
        raise Lost(f"the database could not commit: {error}") from error


def roll_back_all(conn: sqlite3.Connection) -> None:
    if conn.in_transaction:
        conn.execute("rollback")


def fetch(conn: sqlite3.Connection, name: str, args: Sequence[Any]) -> list[Row]:
    return conn.execute(queries().texts[name], [bound(arg) for arg in args]).fetchall()


def briefly(conn: sqlite3.Connection, name: str, args: Sequence[Any], clock: Clock) -> list[Row]:
    """Answer a named query within SECONDS. Raises Refused."""
    until = clock.monotonic() + SECONDS
    conn.set_progress_handler(lambda: clock.monotonic() > until, STEPS)
    try:
        return fetch(conn, name, args)
    except sqlite3.OperationalError:
        if clock.monotonic() > until:
            raise too_long() from None
        raise
    finally:
        conn.set_progress_handler(None, 0)


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement with all its values, ready to cross to the connection."""

    text: str
    values: list[Any]
    rows: int
    insert: bool = True


def statements(changes: Sequence[Change]) -> list[Statement]:
    """The few statements that carry these changes. Raises StoreError for what cannot be kept.

    Made on the loop's thread, and few: each statement hands Python's lock over and has to wait to get it
    back, which under load costs a hundred times the insert.
    """
    return [statement for change in changes for statement in _statements(change)]


def _statements(change: Change) -> Iterator[Statement]:
    insert = queries().inserts.get(change.name)
    if insert is None:
        yield Statement(queries().texts[change.name], [bound(arg) for arg in change.values], 1, insert=False)
        return
    try:
        rows = change.values if insert.shape is None else [insert.shape.row(value) for value in change.values]
    except (TypeError, ValueError) as error:
        raise StoreError(f"{change.name}: cannot be kept: {error}") from error
    start = 0
    while start < len(rows):
        size = chunk(len(rows) - start)
        values = list(itertools.chain.from_iterable(rows[start : start + size]))
        yield Statement(many(change.name, size), values, size)
        start += size


def chunk(left: int) -> int:
    """Size of the next statement, in rows: large ones have few sizes, since each is prepared and kept."""
    return left if left < CHUNK else CHUNK * min(left // CHUNK, CHUNKS)


def apply(conn: sqlite3.Connection, made: Sequence[Statement]) -> int:
    """Run the statements; returns how many rows they carried."""
    for statement in made:
        execute_kept(conn, statement)
    return sum(statement.rows for statement in made)


def execute_kept(conn: sqlite3.Connection, statement: Statement) -> None:
    """Run it; `executemany` gives the interpreter's lock away once less, since it does not look for the last row."""
    try:
        if statement.insert:
            conn.executemany(statement.text, [statement.values])
        else:
            conn.execute(statement.text, statement.values)
    except (OverflowError, UnicodeError) as error:
        raise StoreError(f"the database cannot keep this: {error}") from error


@cache
def many(name: str, size: int) -> str:
    """The text of a named insert of `size` rows."""
    insert: Insert = queries().inserts[name]
    group = "(" + ", ".join("?" * insert.width) + ")"
    return f"{insert.head}values {', '.join([group] * size)}{insert.tail}"


def bound(arg: Any) -> Any:
    """Lists travel as JSON; SQLite takes them apart."""
    return orjson.dumps(arg).decode() if isinstance(arg, list) else arg


def answer(piece: Piece, error: BaseException | None) -> None:
    """Tell whoever waits; nobody may be waiting any more."""
    if piece.waiter.done():
        return
    if isinstance(error, asyncio.CancelledError):
        piece.waiter.cancel()
    elif error is not None:
        piece.waiter.set_exception(error)
    else:
        piece.waiter.set_result(piece.result)
