"""Dependencies of services: which service that one needs is down, directly or through others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from tocsin.model import EMPTY, Incident, Priority, Service

DOWN: tuple[Priority, ...] = ("P1", "P2")  # the most urgent first


class Down(NamedTuple):
    """An open incident of a service that others need."""

    number: int
    service: str


class Parents:
    """Open P1 and P2 incidents of the services that others depend on, as far as somebody is on them."""

    def __init__(self, services: Mapping[str, Service] = EMPTY) -> None:
        needs = {name: service.depends_on for name, service in services.items()}
        self._above = {name: above(name, needs) for name in needs if needs[name]}
        self.services = frozenset(parent for parents in self._above.values() for parent in parents)
        self._down: dict[tuple[str, Priority], dict[int, None]] = {}
        self._as: dict[int, tuple[str, Priority]] = {}

    def place_of(self, incident: Incident, *, attended: bool) -> tuple[str, Priority] | None:
        """As what an incident keeps others quiet; None: it does not."""
        counts = incident.service in self.services and incident.open and attended and incident.priority in DOWN
        return (incident.service, incident.priority) if counts else None

    def changes(self, incident: Incident, *, attended: bool) -> bool:
        """Whether `see` would change anything."""
        return self._as.get(incident.number) != self.place_of(incident, attended=attended)

    def see(self, incident: Incident, *, attended: bool) -> bool:
        """An incident as it is now, and whether somebody is on it; whether that changes who is down."""
        if not self.changes(incident, attended=attended):
            return False
        number, place = incident.number, self.place_of(incident, attended=attended)
        before = self._as.pop(number, None)
        if before is not None:
            del self._down[before][number]
            if not self._down[before]:
                del self._down[before]
        if place is not None:
            self._as[number] = place
            self._down.setdefault(place, {})[number] = None
        return True

    def over(self, service: str, priority: Priority, own: int | None = None) -> Down | None:
        """The first incident, at least as urgent as `priority`, of the nearest service above this one that is down.

        Not its `own`: the service of an alert may change, and that of its incident does not.
        """
        for parent in self._above.get(service, ()) if self._down else ():
            for level in DOWN:
                numbers = self._down.get((parent, level)) if level <= priority else None
                first = next((number for number in numbers if number != own), None) if numbers else None
                if first is not None:
                    return Down(first, parent)
        return None

    def depth(self, service: str) -> int:
        """Number of services that this one needs: whoever is needed has fewer than those that need it."""
        return len(self._above.get(service, ()))

    def below(self, service: str) -> tuple[str, ...]:
        """The services that need this one, the nearest first."""
        if service not in self.services:
            return ()
        found = [(parents.index(service), name) for name, parents in self._above.items() if service in parents]
        return tuple(name for _, name in sorted(found))

    def fork(self) -> Parents:
        """A copy, to be changed on its own."""
        other = self.empty()
        other._down = {place: dict(numbers) for place, numbers in self._down.items()}
        other._as = dict(self._as)
        return other

    def empty(self) -> Parents:
        """A copy of the dependencies with nothing that is down."""
        other = Parents()
        other._above, other.services = self._above, self.services
        return other

    def __bool__(self) -> bool:
        return bool(self._down)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Parents) and self._as == other._as

    __hash__ = None  # type: ignore[assignment]  # it changes


def above(name: str, needs: Mapping[str, Iterable[str]]) -> tuple[str, ...]:
    """The services that one needs, the nearest first; itself left out, whatever circles there are."""
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
