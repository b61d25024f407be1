"""Which service that this one needs is down? What a service depends on, and what that depends on in its turn."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tocsin.model import EMPTY, Incident, Priority, Service

REMEMBERED = 20_000  # versions of incidents, those that are over among them
DOWN: frozenset[Priority] = frozenset({"P1", "P2"})


class Down(NamedTuple):
    """An open incident of a service that others need."""

    number: int
    service: str


class Parents:
    """Open P1 and P2 incidents of the services that others depend on."""

    def __init__(self, services: Mapping[str, Service] = EMPTY) -> None:
        needs = {name: service.depends_on for name, service in services.items()}
        self._above = {name: above(name, needs) for name in needs if needs[name]}
        self.services = frozenset(parent for parents in self._above.values() for parent in parents)
        self._down: dict[str, dict[int, None]] = {}
        self._versions: dict[int, int] = {}

    def see(self, incident: Incident) -> bool:
        """An incident as it is now; whether that changes who is down. An older version than one seen is passed over."""
        if incident.service not in self.services or self._versions.get(incident.number, 0) > incident.version:
            return False
        numbers = self._down.setdefault(incident.service, {})
        before = incident.number in numbers
        down = incident.open and incident.priority in DOWN
        self._remember(incident)
        if down:
            numbers[incident.number] = None
        else:
            numbers.pop(incident.number, None)
            if not numbers:
                del self._down[incident.service]
        return before != down

    def _remember(self, incident: Incident) -> None:
        self._versions[incident.number] = incident.version
        if len(self._versions) > REMEMBERED:
            still = {number for numbers in self._down.values() for number in numbers}
            self._versions = {number: version for number, version in self._versions.items() if number in still}

    def over(self, service: str) -> Down | None:
        """The first incident of the nearest service above this one that is down."""
        for parent in self._above.get(service, ()) if self._down else ():
            if parent in self._down:
                return Down(next(iter(self._down[parent])), parent)
        return None

    def fork(self) -> Parents:
        """The same, to be changed on its own."""
        other = Parents()
        other._above, other.services = self._above, self.services
        other._down = {service: dict(numbers) for service, numbers in self._down.items()}
        other._versions = dict(self._versions)
        return other

    def with_all(self, incidents: Iterable[Incident]) -> Parents:
        """These incidents instead of those seen so far."""
        other = Parents()
        other._above, other.services = self._above, self.services
        for incident in incidents:
            other.see(incident)
        return other

    def __bool__(self) -> bool:
        return bool(self._down)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parents) and self._down == other._down

    __hash__ = None  # type: ignore[assignment]  # it changes


def above(name: str, needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """All that a service needs, the nearest first; itself left out, whatever circles there are."""
    found: dict[str, None] = {}
    nearest = [name]
    while nearest:
        nearest = [parent for one in nearest for parent in needs.get(one, ()) if parent != name and parent not in found]
        found.update(dict.fromkeys(nearest))
        nearest = list(dict.fromkeys(nearest))
    return tuple(found)


def circle_of(needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """Services that depend on each other in a circle, in order; () when there is none."""
    done: set[str] = set()
    for start in needs:
        way: dict[str, list[str]] = {start: list(needs[start])} if start not in done else {}
        while way:
            here, left = next(reversed(way.items()))
            if not left:
                done.add(here)
                del way[here]
                continue
            there = left.pop(0)
            if there in way:
                names = list(way)
                return tuple(names[names.index(there) :])
            if there in needs and there not in done:
                way[there] = list(needs[there])
    return ()
