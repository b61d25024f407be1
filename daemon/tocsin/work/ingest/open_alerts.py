"""In-memory index of open alerts and recent tombstones; trusted only where this process is the sole writer.

It is a cache: where it says "unknown" of an alert that fires and is wrong, the unique index of open alerts says so,
and the batch is decided again from the database. It never says "open" of an alert that has ended: who ends one takes
it out before the commit. Until that commit is known to be kept it is in doubt, and the database is asked: else the
resolve of an alert whose end was undone would find nothing to resolve.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from tocsin.contracts import Store
from tocsin.decide.routing.alert_texts import MASK63
from tocsin.model import Arrival, Instant, StoredAlert, Tombstone
from tocsin.work.runtime import Runtime

Pair = tuple[str, str]
MASK40 = (1 << 40) - 1
TIDIED = 10_000  # tombstones remembered before those whose time is over are forgotten; they hold for minutes at most


class OpenAlerts:
    """Open alerts, packed: identity → content hash, alert id and incident in one number."""

    def __init__(self) -> None:
        self.trusted = False
        self._packed: dict[str, int] = {}
        self._buried: dict[str, Tombstone] = {}
        self._ended_meanwhile: set[int] = set()  # ids: an identity may end and fire anew in one batch
        self._bury_most = TIDIED
        self._in_doubt: dict[str, int] = {}  # identity → the alert that may have ended

    async def load(self, store: Store, now: Instant) -> None:
        """Read all that is open; from then on a miss means a new alert. Before any alert is taken."""
        if not store.exclusive:
            return
        async for integration, key, alert, content, incident in await store.open_keys():
            self._packed[identity_of(integration, key)] = packed(content, alert, incident)
        self.bury(await store.live_tombstones(now), now)
        self.trusted = True

    def has(self, pair: Pair) -> bool:
        return self.knows(identity_of(*pair))

    def knows(self, identity: str) -> bool:
        """Whether it is open, or may be."""
        return identity in self._packed or identity in self._in_doubt

    def same(self, identity: str, content: int) -> tuple[int, int] | None:
        """(alert id, incident or 0) of the open alert that says this very content."""
        found = self._packed.get(identity)
        if found is None or found & MASK63 != content:
            return None
        return found >> 63 & MASK40, found >> 103

    def batch_begins(self) -> None:
        self._ended_meanwhile.clear()

    def remember(self, alerts: Iterable[StoredAlert]) -> None:
        """Alerts a committed batch left open; those that were ended while it committed are not."""
        for alert in alerts:
            if alert.id not in self._ended_meanwhile:
                identity = identity_of(alert.integration, alert.source_key)
                self._packed[identity] = packed(alert.content, alert.id, alert.incident)
                self._in_doubt.pop(identity, None)

    def welcome(self, arrivals: Iterable[Arrival]) -> None:
        """Remember alerts that took the fast path."""
        for one in arrivals:
            if not self._ended_meanwhile or one.id not in self._ended_meanwhile:
                identity = f"{one.integration}\0{one.source_key}"
                self._packed[identity] = one.content | one.id << 63 | one.incident << 103

    def ending(self, alerts: Iterable[StoredAlert]) -> None:
        """To be called inside the transaction that ends them, before it commits."""
        for alert in alerts:
            identity = identity_of(alert.integration, alert.source_key)
            self._packed.pop(identity, None)
            self._ended_meanwhile.add(alert.id)
            if self.trusted:  # else the database is asked about everything
                self._in_doubt[identity] = alert.id

    def ended(self, alerts: Iterable[StoredAlert]) -> None:
        """To be called when that transaction is kept."""
        for one in alerts:
            identity = identity_of(one.integration, one.source_key)
            if self._in_doubt.get(identity) == one.id:
                del self._in_doubt[identity]

    def not_open(self, pairs: Iterable[Pair]) -> None:
        """The database was asked inside the transaction of a batch, and has no open alert of these identities."""
        if self._in_doubt:
            for pair in pairs:
                self._in_doubt.pop(identity_of(*pair), None)

    def bury(self, tombstones: Iterable[Tombstone], now: Instant) -> None:
        """Remember tombstones. Told before a commit that fails, it errs towards asking: what stays open is found."""
        for one in tombstones:
            self._buried[identity_of(one.integration, one.source_key)] = one
        if len(self._buried) > self._bury_most:
            self._buried = {identity: one for identity, one in self._buried.items() if one.until > now}
            self._bury_most = max(TIDIED, 2 * len(self._buried))

    def buried(self, pair: Pair, now: Instant) -> Tombstone | None:
        """The tombstone of this identity, while it holds."""
        found = self._buried.get(identity_of(*pair))
        return found if found is not None and found.until > now else None

    def buried_lately(self, identity: str, now: Instant) -> bool:
        """Whether a tombstone of this identity holds."""
        found = self._buried.get(identity)
        return found is not None and found.until > now

    def __len__(self) -> int:
        return len(self._packed)


def identity_of(integration: str, key: str) -> str:
    return f"{integration}\0{key}"


def packed(content: int, alert: int, incident: int | None) -> int:
    return content | alert << 63 | (incident or 0) << 103


def forget(runtime: Runtime, open_alerts: OpenAlerts, alerts: Sequence[StoredAlert]) -> None:
    """Take alerts that end for open no more. To be called inside that transaction."""
    open_alerts.ending(alerts)
    runtime.unsettled |= runtime.mutes.forget(alerts)
