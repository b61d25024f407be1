"""The store: one Protocol a capability, put together. Two implementations, one promise."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol, TypeVar

from tocsin.contracts.alerts import AlertChanges, AlertReads
from tocsin.contracts.contacts import ContactChanges, ContactReads
from tocsin.contracts.heartbeats import HeartbeatChanges, HeartbeatReads
from tocsin.contracts.incidents import IncidentChanges, IncidentReads
from tocsin.contracts.muting import MutingChanges, MutingReads
from tocsin.contracts.noise import NoiseChanges, NoiseReads
from tocsin.contracts.oncall import OnCallChanges, OnCallReads
from tocsin.contracts.paging import PagingChanges, PagingReads
from tocsin.contracts.upkeep import UpkeepChanges, UpkeepReads
from tocsin.model import Arrival, Incident, Instant, StoredAlert, Tombstone

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Standing:
    """Facts about some alerts before they are decided."""

    open: dict[tuple[str, str], StoredAlert]
    tombstones: dict[tuple[str, str], Tombstone]
    latest: dict[str, Incident]


class Tx(
    AlertChanges,
    IncidentChanges,
    PagingChanges,
    ContactChanges,
    MutingChanges,
    NoiseChanges,
    OnCallChanges,
    HeartbeatChanges,
    UpkeepChanges,
    Protocol,
):
    """A write transaction.

    Reads see everything committed and everything this transaction wrote. Incidents read through it
    are locked against other writers until the end (PostgreSQL: row locks; SQLite: the one writer).
    `add_*` and `save_*` are buffered, applied in the order called, at the next read or at commit.
    """

    async def lock_keys(self, keys: Sequence[str]) -> None:
        """Until commit no other transaction holding one of these keys runs. Sorted inside; call once, first."""

    async def standing(
        self, alerts: Sequence[tuple[str, str]], dated: Sequence[tuple[str, str]], keys: Sequence[str], now: Instant
    ) -> Standing:
        """Open alerts of the identities `alerts`, the ends of the identities `dated` that still hold, and the newest
        incident of each group key, whatever its status; asked together."""

    def add_arrivals(self, arrivals: Sequence[Arrival]) -> None:
        """Add alerts, each with the incident it opens; the same rows as by `add_alerts` and `add_incidents`."""


class Store(
    AlertReads,
    IncidentReads,
    PagingReads,
    ContactReads,
    MutingReads,
    NoiseReads,
    OnCallReads,
    HeartbeatReads,
    UpkeepReads,
    Protocol,
):
    """The database: everything that must survive. One promise, two implementations.

    Every method raises StoreUnavailable when the database does not answer. Cancelling a caller of
    `write` never leaves a half-done transaction nor a held lock: the transaction runs to its end in a
    task of its own.
    """

    exclusive: bool
    """True when no other process can write (SQLite): what is cached in this process is the truth."""

    async def write(
        self, work: Callable[[Tx], Awaitable[T]], *, lane: Literal["urgent", "ingest"] = "urgent", paging: bool = False
    ) -> T:
        """Run `work` in one transaction and return what it returned once it is durable.

        If `work` raises, nothing of it is kept and the error is raised here; others that shared the
        commit are not touched. Urgent work goes before ingest and never shares a transaction with it.
        Serialisation failures and Conflict are retried (at most 5 times) by running `work` again, so
        `work` must not have effects outside the transaction. What is `lost` raises StoreUnavailable, unless it
        is `paging`: pages that are due go out, whatever becomes of their rows.
        """

    def lost(self) -> str:
        """The reason why what is written now would be gone at the next start: the file was deleted or replaced; or "".

        Cheap, and asks anew each time.
        """

    async def close(self) -> None:
        """Waits for what is under way, checkpoints, closes the writer last, releases the lock file."""
