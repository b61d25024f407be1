"""A transaction of either database: the changes and reads of every capability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tocsin.contracts import Standing
from tocsin.model import Arrival, Incident, Instant
from tocsin.store.arrivals import alert_of, alert_row, incident_of, incident_row
from tocsin.store.capabilities.alerts import AlertTransaction, by_pair, ends
from tocsin.store.capabilities.contacts import ContactTransaction
from tocsin.store.capabilities.heartbeats import HeartbeatTransaction
from tocsin.store.capabilities.incidents import IncidentTransaction
from tocsin.store.capabilities.muting import MutingTransaction
from tocsin.store.capabilities.noise import NoiseTransaction
from tocsin.store.capabilities.oncall import OnCallTransaction
from tocsin.store.capabilities.paging import PagingTransaction
from tocsin.store.capabilities.upkeep import UpkeepTransaction
from tocsin.store.rows import INCIDENT, Row


class Transaction(
    AlertTransaction,
    IncidentTransaction,
    PagingTransaction,
    ContactTransaction,
    MutingTransaction,
    NoiseTransaction,
    OnCallTransaction,
    HeartbeatTransaction,
    UpkeepTransaction,
):
    """See `contracts.Tx` for what is promised."""

    async def lock_keys(self, keys: Sequence[str]) -> None:
        await self._session.lock(keys)

    async def standing(
        self, alerts: Sequence[tuple[str, str]], dated: Sequence[tuple[str, str]], keys: Sequence[str], now: Instant
    ) -> Standing:
        asked: list[tuple[str, Sequence[Any]]] = [
            ("open_alerts", self._session.pairs(alerts)),
            ("tombstones", (*self._session.pairs(dated), now)),
            ("latest_by_key", (list(keys),)),
        ]
        wanted = [bool(alerts), bool(dated), bool(keys)]
        answers = iter(
            await self._session.ask_all(
                self.changes.take(), [one for one, want in zip(asked, wanted, strict=True) if want]
            )
        )
        rows = [next(answers) if want else [] for want in wanted]
        return Standing(by_pair(rows[0]), ends(rows[1]), _by_key(rows[2]))

    def add_arrivals(self, arrivals: Sequence[Arrival]) -> None:
        if self._session.narrow:
            self.changes.insert("alerts", "add_arrived_alerts", list(map(alert_row, arrivals)))
            self.changes.insert("incidents", "add_arrived_incidents", list(map(incident_row, arrivals)))
        else:
            self.add_alerts(list(map(alert_of, arrivals)))
            self.add_incidents(list(map(incident_of, arrivals)))


def _by_key(rows: list[Row]) -> dict[str, Incident]:
    return {row[0]: INCIDENT.value(row[1:]) for row in rows}
