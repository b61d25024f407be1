"""A transaction of either database: the changes and reads of every capability."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tocsin.contracts import Standing
from tocsin.model import Arrival, Incident, Instant
from tocsin.store.arrivals import alert_of, alert_row, incident_of, incident_row
from tocsin.store.capabilities.alerts import AlertChanges, by_pair, ends
from tocsin.store.capabilities.contacts import ContactChanges
from tocsin.store.capabilities.heartbeats import HeartbeatChanges
from tocsin.store.capabilities.incidents import IncidentChanges
from tocsin.store.capabilities.muting import MutingChanges
from tocsin.store.capabilities.noise import NoiseChanges
from tocsin.store.capabilities.oncall import OnCallChanges
from tocsin.store.capabilities.paging import PagingChanges
from tocsin.store.capabilities.upkeep import UpkeepChanges
from tocsin.store.rows import INCIDENT, Row


class Transaction(
    AlertChanges,
    IncidentChanges,
    PagingChanges,
    ContactChanges,
    MutingChanges,
    NoiseChanges,
    OnCallChanges,
    HeartbeatChanges,
    UpkeepChanges,
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
