"""Source map of a configuration: from a value's path (section, name, keys and numbers) to file, line and column."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from tocsin.model import Where
from tocsin.settings.document.nodes import Mapping as MappingNode
from tocsin.settings.document.nodes import Node, Scalar, Sequence, walk

Path = tuple[str | int, ...]
"""("policies", "default", "steps", 2, "wait"): a section, then names, keys and places in lists, counted from 0."""

Entry = tuple[str, str | int]
"""(section, name), or (section, place in the list); of a section that is written once (section, ""). The name of what
is hidden under a misspelt section is that section's."""


@dataclass(slots=True)
class Merged:
    """A section's nodes out of all files."""

    nodes: list[Node] = field(default_factory=list)  # of a list: its items; of one: the node
    entries: dict[str, Node] = field(default_factory=dict)  # of names
    hidden: list[Node] = field(default_factory=list)  # written a second time, or under a misspelt section: not read


@dataclass(frozen=True, slots=True)
class SourceMap:
    """The sections as they are written, merged. `once`: the sections that are written in one place."""

    sections: Mapping[str, Merged]
    once: frozenset[str]
    top: Where

    def at(self, *path: str | int) -> Where:
        """The place of what `path` names, or of the nearest thing around it that is written."""
        found = self._deepest(path)
        if found is None:
            return self.top
        inside = isinstance(found, Scalar) or found.key_at == found.at
        return found.at if inside else found.key_at

    def node(self, *path: str | int) -> Node | None:
        """The node that is written at exactly this path; None where there is none."""
        here = self._first(path[:2])
        for step in path[1:] if path[0] in self.once else path[2:]:
            here = None if here is None else _below(here, step)
        return here

    def text(self, *path: str | int) -> str:
        """The scalar at this path; "" where there is none."""
        found = self.node(*path)
        return found.text if isinstance(found, Scalar) and not found.empty else ""

    def count(self, *path: str | int) -> int:
        """The number of items in the list at this path; a single value counts as a list of one."""
        if len(path) == 1 and path[0] not in self.once:
            return len(self.sections[str(path[0])].nodes)
        match self.node(*path):
            case None:
                return 0
            case Sequence(items=items):
                return len(items)
            case Scalar(empty=True):
                return 0
            case _:
                return 1

    def texts(self, *path: str | int) -> list[str]:
        """The scalars of the list at this path, each at its place; "" for what is no scalar."""
        return [self.text(*path, place) for place in range(self.count(*path))]

    def rule_place(self, where: Where | None) -> int | None:
        """The place in the walk of the rule that is written at `where`; None where there is no rule."""
        for place, node in enumerate(self.sections["rules"].nodes):
            if node.at == where:
                return place
        return None

    def mentions(self) -> set[str]:
        """Every word that is written anywhere, but as the name of an entry itself."""
        parts = self.sections.values()
        nodes = [node for part in parts for node in (*part.nodes, *part.entries.values(), *part.hidden)]
        below = [(here, here is node) for node in nodes for here in walk(node)]
        keys = {here.key for here, is_entry in below if not is_entry}
        return keys | {here.text for here, _ in below if isinstance(here, Scalar)}

    def _deepest(self, path: Path) -> Node | None:
        for length in range(len(path), 0, -1):
            found = self.node(*path[:length])
            if found is not None:
                return found
        return None

    def _first(self, path: Path) -> Node | None:
        part = self.sections.get(str(path[0]))
        if part is None:
            return None
        if path[0] in self.once or len(path) == 1:
            return next(iter([*part.nodes, *part.entries.values()]), None)
        name = path[1]
        if isinstance(name, int):
            return part.nodes[name] if name < len(part.nodes) else None
        return part.entries.get(name)


def _below(node: Node, step: str | int) -> Node | None:
    match node, step:
        case MappingNode(entries=entries), str():
            return entries.get(step)
        case Sequence(items=items), int() if step < len(items):
            return items[step]
        case Scalar() | MappingNode(), 0:
            return node
        case _:
            return None


def damaged(sections: Mapping[str, Merged], once: Iterable[str], places: Iterable[Where]) -> frozenset[Entry]:
    """The entries in which an error (or a name nobody can be sure of) stands: they may not be what is meant."""
    starts = sorted(_starts(sections, frozenset(once)))
    found = set()
    for place in places:
        where = (place.file, place.line, place.column)
        before = [start for start in starts if start[0][0] == where[0] and start[0] <= where]
        found |= {entry for _, entry in before[-1:]}
    return frozenset(found | set(_leaning(sections, found)))


# What is read of the one depends on the other.
_LEANS = {"users": "channels", "services": "calendars", "schedules": "calendars"}


def _leaning(sections: Mapping[str, Merged], found: set[Entry]) -> Iterator[Entry]:
    """Entries that name a damaged one by which they are read."""
    for section, other in _LEANS.items():
        names = {name for where, name in found if where == other}
        for entry, node in sections[section].entries.items() if names else ():
            words = {word for here in walk(node) for word in (here.key, getattr(here, "text", ""))}
            if words & names:
                yield section, entry


def _starts(sections: Mapping[str, Merged], once: frozenset[str]) -> Iterator[tuple[tuple[str, int, int], Entry]]:
    for section, part in sections.items():
        for name, node in part.entries.items():
            yield _order(node.key_at), (section, name)
        for place, node in enumerate(part.nodes):
            yield (_order(node.key_at), (section, "")) if section in once else (_order(node.at), (section, place))
        for node in part.hidden:
            yield _order(node.key_at), (section, "" if section in once else node.key)


def _order(where: Where) -> tuple[str, int, int]:
    return where.file, where.line, where.column
