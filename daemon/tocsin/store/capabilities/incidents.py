"""Incidents: the part of a transaction, and the reads beside it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tocsin.contracts import IncidentFilter, Place
from tocsin.model import OPEN, Entry, Incident, Instant, Related
from tocsin.store.asking import BEYOND, ReaderBase, TransactionBase, below, escaped, first, only
from tocsin.store.rows import ENTRY, INCIDENT


class IncidentTransaction(TransactionBase):
    """`contracts.incidents.IncidentChanges`."""

    async def incidents(self, numbers: Sequence[int]) -> dict[int, Incident]:
        if not numbers:
            return {}
        found = INCIDENT.values(await self.ask("incidents", list(numbers)))
        return {incident.number: incident for incident in found}

    async def incidents_seen(self, numbers: Sequence[int]) -> dict[int, Incident]:
        if not numbers:
            return {}
        return {one.number: one for one in INCIDENT.values(await self.ask("incidents_seen", list(numbers)))}

    async def due_incidents(self, now: Instant, limit: int) -> list[Incident]:
        return INCIDENT.values(await self.ask("due_incidents", now, limit))

    async def next_numbers(self, count: int) -> range:
        return await self._session.numbers("incident", count)

    def add_incidents(self, incidents: Sequence[Incident]) -> None:
        self.changes.insert("incidents", "add_incidents", incidents)

    def save_incidents(self, incidents: Sequence[Incident]) -> None:
        self.changes.insert("incidents", "save_incidents", incidents)

    def add_incident_keys(self, keys: Sequence[tuple[str, int, Instant | None]]) -> None:
        self.changes.insert("incident_keys", "add_incident_keys", keys)

    def add_entries(self, entries: Sequence[Entry]) -> None:
        self.changes.insert("timeline", "add_entries", entries)

    def add_policy_version(self, hash: str, name: str, body: str) -> None:
        self.changes.insert("policy_versions", "add_policy_version", [(hash, name, body)])

    def add_related(self, rows: Sequence[Related]) -> None:
        self.changes.insert("related", "add_related", [tuple(row) for row in rows])


class IncidentReader(ReaderBase):
    """`contracts.incidents.IncidentReads`."""

    async def incident(self, number: int) -> Incident | None:
        found = await self.standing(number)
        if found is None or found.grouped or found.previous is not None:
            return found
        before = only(await self._look("one_before", number), int)
        return found if before is None else replace(found, previous=before)

    async def standing(self, number: int) -> Incident | None:
        if not 0 < number < BEYOND:
            return None
        return first(INCIDENT.values(await self._look("one_incident", number)))

    async def incidents(self, where: IncidentFilter, limit: int, before: int | None) -> list[Incident]:
        only_open = bool(where.status) and OPEN.issuperset(where.status)
        text = where.text.strip().lower() if where.text else None
        among_few = text is None and (only_open or not (where.service or where.status))
        rows = await (self._look if among_few else self._search)(
            "list_open_incidents" if only_open else "list_incidents",
            below(before),
            where.service,
            f"%{escaped(text)}%" if text else None,
            text,
            "some" if where.status else None,
            list(where.status),
            limit,
        )
        return INCIDENT.values(rows)

    async def urgent_incidents(self, where: IncidentFilter, limit: int, after: Place | None) -> list[Incident]:
        text = where.text.strip().lower() if where.text else None
        rows = await (self._search if text else self._look)(
            "list_urgent_incidents",
            after.priority if after else "",
            int(after.answered) if after else 0,
            -after.number if after else 0,
            where.service,
            f"%{escaped(text)}%" if text else None,
            text,
            list(where.status),
            limit,
        )
        return INCIDENT.values(rows)

    async def newest_of_key(self, key: str) -> Incident | None:
        return first(INCIDENT.values(await self._look("newest_of_key", key)))

    async def newest_number(self) -> int:
        return only(await self._look("newest_number"), int) or 0

    async def timeline(self, number: int, limit: int, after: int | None) -> list[Entry]:
        return ENTRY.values(await self._look("timeline", number, after or 0, limit))

    async def related(self, incident: int, limit: int) -> list[Related]:
        return [Related(*row) for row in await self._look("related", incident, limit)]

    async def policy_version(self, hash: str) -> str | None:
        return only(await self._look("policy_version", hash), str)

    async def next_due(self) -> Instant | None:
        return only(await self._look("next_due"), Instant)
