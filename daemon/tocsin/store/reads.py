"""Every read of `contracts.Store`, over one `_look`, and the small writes that need no decision.

Both stores inherit from `Reads`; each says how a named query is answered from a recent committed state.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

from tocsin.model import Repeated, later_start
from tocsin.store.capabilities.alerts import AlertReader
from tocsin.store.capabilities.contacts import ContactReader
from tocsin.store.capabilities.heartbeats import HeartbeatReader
from tocsin.store.capabilities.incidents import IncidentReader
from tocsin.store.capabilities.muting import MutingReader
from tocsin.store.capabilities.noise import NoiseReader
from tocsin.store.capabilities.oncall import OnCallReader
from tocsin.store.capabilities.paging import PagingReader
from tocsin.store.capabilities.upkeep import UpkeepReader
from tocsin.store.history import History
from tocsin.store.tx import Transaction

T = TypeVar("T")
FOR_PAGES = frozenset(
    {"next_due_page", "one_attempt", "one_incident", "next_confirmation", "next_due", "held", "what_became_of"}
)
"""The reads that pages wait for: they have a connection that nobody's long list keeps busy."""


class Reads(
    AlertReader,
    IncidentReader,
    PagingReader,
    ContactReader,
    MutingReader,
    NoiseReader,
    OnCallReader,
    HeartbeatReader,
    UpkeepReader,
    History,
):
    """The reading half of a store, and the small writes that need no decision."""

    async def _write(self, work: Callable[[Transaction], Awaitable[T]], lane: str) -> T:
        """`Store.write`."""
        raise NotImplementedError

    async def set_meta(self, name: str, value: str) -> None:
        async def remember(tx: Transaction) -> None:
            tx.changes.insert("meta", "set_meta", [(name, value)])

        await self._write(remember, "urgent")

    async def add_meta(self, name: str, value: str) -> None:
        """Remember a value, unless there is one: of two who do this at once, both find the same afterwards."""

        async def remember(tx: Transaction) -> None:
            tx.changes.insert("meta", "add_meta", [(name, value)])

        await self._write(remember, "urgent")

    async def check(self) -> None:
        """Commits a row, so that a full disk or a lost server shows here."""
        await self.set_meta("checked_at", str(self._clock.now()))


def added_up(rows: Sequence[Repeated]) -> list[Repeated]:
    """Add up repeats to one row an alert, ascending: counts summed, the latest sight and start, the last end given."""
    sums: dict[int, Repeated] = {}
    for id, more, seen, expires, began in rows:
        _, before, earlier, end, start = sums.get(id, (id, 0, seen, None, None))
        expires = end if expires is None else expires
        sums[id] = (id, before + more, max(earlier, seen), expires, later_start(start, began))
    return [sums[id] for id in sorted(sums)]
