"""Named queries asked: within a transaction, behind the changes made so far, or beside it.

Changes wait in a `Changes` until the next read or the commit, and then travel with it in one hop.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol, TypeVar, cast

from tocsin.contracts import Clock
from tocsin.model import StoredAlert
from tocsin.store.rows import Row

V = TypeVar("V")
EVERYTHING = 1_000_000_000
SLICE = 5_000
BEYOND = 9_000_000_000_000_000_000  # above every number a database can give


@dataclass(frozen=True, slots=True)
class Change:
    """Values for one named insert, or one set of arguments for any other statement."""

    name: str
    values: list[Any]


@dataclass(slots=True)
class Changes:
    """Changes that are not yet in the database, for each table in the order they were asked for.

    Tables do not depend on each other, so gathering by table keeps every promise and needs few
    statements however finely the caller mixed its calls.
    """

    by_table: dict[str, list[Change]] = field(default_factory=dict)

    def insert(self, table: str, name: str, values: Sequence[Any]) -> None:
        if not values:
            return
        waiting = self.by_table.setdefault(table, [])
        if waiting and waiting[-1].name == name:
            waiting[-1].values.extend(values)
        else:
            waiting.append(Change(name, list(values)))

    def run(self, table: str, name: str, *args: Any) -> None:
        self.by_table.setdefault(table, []).append(Change(name, list(args)))

    def take(self) -> list[Change]:
        """Take them all, once."""
        taken = [change for changes in self.by_table.values() for change in changes]
        self.by_table.clear()
        return taken


class Session(Protocol):
    """An open transaction of one database.

    `narrow`: it has statements for arrivals that bind only what varies.
    """

    narrow: ClassVar[bool]

    async def ask(self, changes: list[Change], name: str, args: Sequence[Any]) -> list[Row]:
        """Apply `changes`, then answer the named query."""

    async def ask_all(self, changes: list[Change], asked: Sequence[tuple[str, Sequence[Any]]]) -> list[list[Row]]:
        """Answer several queries behind `changes`, in as few hops as the database allows."""

    async def lock(self, keys: Sequence[str]) -> None:
        """Hold these keys until the end."""

    async def numbers(self, kind: str, count: int) -> range:
        """`count` fresh ascending numbers for "incident", "alert" or "post"."""

    def pairs(self, keys: Sequence[tuple[str, str]]) -> tuple[Any, ...]:
        """The arguments that carry these pairs into a query."""


class TransactionBase:
    """Named queries and buffered changes of one transaction."""

    def __init__(self, session: Session) -> None:
        self._session = session
        self.changes = Changes()

    async def ask(self, name: str, *args: Any) -> list[Row]:
        """Ask a named query, behind the changes so far."""
        return await self._session.ask(self.changes.take(), name, args)


class ReaderBase:
    """A recent committed state, beside whatever is being written."""

    _clock: Clock

    async def _look(self, name: str, *args: Any) -> list[Row]:
        """Answer a named query from a recent committed state."""
        raise NotImplementedError

    async def _search(self, name: str, *args: Any) -> list[Row]:
        """Answer a query that may read all there ever was. Raises Refused where it takes too long."""
        raise NotImplementedError


def first(values: list[V]) -> V | None:
    return values[0] if values else None


def only(rows: list[Row], kind: Callable[..., V]) -> V | None:
    """The single value of a query that finds at most one row of one column; `kind` names its type."""
    return cast(V, rows[0][0]) if rows else None


def by_incident(incidents: Sequence[int], alerts: Sequence[StoredAlert]) -> dict[int, list[StoredAlert]]:
    found: dict[int, list[StoredAlert]] = {number: [] for number in incidents}
    for alert in alerts:
        if alert.incident is not None:
            found[alert.incident].append(alert)
    return found


def below(before: int | None) -> int:
    return BEYOND if before is None else before


def escaped(text: str) -> str:
    """For `like … escape '!'`."""
    return text.replace("!", "!!").replace("%", "!%").replace("_", "!_")
