"""Inhibitions: alerts that keep others quiet while they fire, with an index of the sources that fire.

As in Alertmanager: a missing label is an empty one, and an alert that is source and target of one inhibition is not
kept quiet by others of its kind, nor by itself.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from tocsin.decide.routing.matchers import Matcher, hit_all, parse
from tocsin.model import Inhibition

ValueOf = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class _Compiled:
    name: str
    source: tuple[Matcher, ...]
    target: tuple[Matcher, ...]
    equal: tuple[str, ...]


class Standing(NamedTuple):
    """Key of a source in one inhibition: its `equal` values, and whether it is a target there as well."""

    place: int
    equal: tuple[str, ...]
    both: bool


class Inhibited(NamedTuple):
    """By which inhibition, and by which alert (integration and source_key, a zero byte between)."""

    name: str
    source: str


class Inhibitions:
    """The inhibitions of one configuration and the alerts that fire as a source of any."""

    def __init__(self, written: Sequence[Inhibition] = ()) -> None:
        self.rules = tuple(_Compiled(one.name, _parsed(one.source), _parsed(one.target), one.equal) for one in written)
        self._sources: list[dict[tuple[str, ...], dict[str, bool]]] = [{} for _ in self.rules]
        self._standing: dict[str, tuple[Standing, ...]] = {}
        self._in: dict[str, int] = {}  # the incident of each source that has one
        self._of: dict[int, dict[str, None]] = {}
        self._idle: frozenset[int] = frozenset()  # those of these incidents that nobody hears of
        self._named, self._unnamed = _by_name(self.rules)

    def standing(self, value_of: ValueOf) -> tuple[Standing, ...]:
        """Inhibitions of which an alert with these values is a source; () for nearly all."""
        places = list(self._unnamed)
        for name, values in self._named.items():
            places += values.get(value_of(name), ())
        return tuple(self._stands(place, value_of) for place in places if hit_all(self.rules[place].source, value_of))

    def is_target(self, value_of: ValueOf) -> bool:
        """Whether an inhibition may keep an alert with these values quiet, once a source of it fires."""
        return any(hit_all(rule.target, value_of) for rule in self.rules)

    def _stands(self, place: int, value_of: ValueOf) -> Standing:
        rule = self.rules[place]
        return Standing(place, tuple(value_of(name) for name in rule.equal), hit_all(rule.target, value_of))

    def fires(self, identity: str, standing: tuple[Standing, ...], incident: int | None = None) -> bool:
        """An alert fires and stands for this, in an incident or suppressed by a rule; whether that is new."""
        before = self._standing.get(identity, ())
        if before == standing and (not standing or self._in.get(identity) == incident):
            return False
        self.ends(identity)
        if standing:
            self._standing[identity] = standing
            if incident is not None:
                self._in[identity] = incident
                self._of.setdefault(incident, {})[identity] = None
        for place, equal, both in standing:
            self._sources[place].setdefault(equal, {})[identity] = both
        return True

    def ends(self, identity: str) -> bool:
        """An alert fires no more; whether it was a source."""
        before = self._standing.pop(identity, ())
        for place, equal, _ in before:
            group = self._sources[place][equal]
            del group[identity]
            if not group:
                del self._sources[place][equal]
        incident = self._in.pop(identity, None)
        if incident is not None:
            del self._of[incident][identity]
            if not self._of[incident]:
                del self._of[incident]
                self._idle -= {incident}
        return bool(before)

    @property
    def incidents(self) -> Collection[int]:
        """The incidents that sources are in."""
        return self._of.keys()

    def changes(self, incident: int, *, told: bool) -> bool:
        """Whether `tell` would change anything."""
        return incident in self._of and (incident in self._idle) == told

    def tell(self, incident: int, *, told: bool) -> bool:
        """Whether anybody hears of an incident that sources are in; whether that is new."""
        if not self.changes(incident, told=told):
            return False
        self._idle = self._idle - {incident} if told else self._idle | {incident}
        return True

    def by(self, value_of: ValueOf, own: int | None = None) -> Inhibited | None:
        """Inhibition that keeps an alert with these values quiet, but for sources in its `own` incident; or None.

        A source whose incident nobody hears of keeps nothing quiet: else nobody would be paged for either.
        """
        for rule, sources in zip(self.rules, self._sources, strict=True):
            if not sources or not hit_all(rule.target, value_of):
                continue
            group = sources.get(tuple(value_of(name) for name in rule.equal))
            if not group:
                continue
            itself_too = hit_all(rule.source, value_of)
            source = next(
                (one for one, both in group.items()
                 if not (both and itself_too) and self._in.get(one, 0) not in self._idle
                 and (own is None or self._in.get(one) != own)), None
            )  # fmt: skip
            if source is not None:
                return Inhibited(rule.name, source)
        return None

    def fork(self) -> Inhibitions:
        """A copy, to be changed on its own."""
        other = self.empty()
        other._standing = dict(self._standing)
        other._sources = [{equal: dict(group) for equal, group in sources.items()} for sources in self._sources]
        other._in, other._idle = dict(self._in), self._idle
        other._of = {incident: dict(sources) for incident, sources in self._of.items()}
        return other

    def empty(self) -> Inhibitions:
        """A copy of the inhibitions with nothing that fires."""
        other = Inhibitions()
        other.rules, other._sources = self.rules, [{} for _ in self.rules]
        other._named, other._unnamed = self._named, self._unnamed
        return other

    def __bool__(self) -> bool:
        """Whether any source fires."""
        return bool(self._standing)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Inhibitions) and (self._standing, self._in, self._idle) == (
            other._standing, other._in, other._idle,
        )  # fmt: skip

    __hash__ = None  # type: ignore[assignment]  # it changes


def _by_name(rules: Sequence[_Compiled]) -> tuple[dict[str, dict[str, list[int]]], list[int]]:
    """The inhibitions whose source says `name="value"`, by both: one look tells which to ask; and the others."""
    named: dict[str, dict[str, list[int]]] = {}
    unnamed = []
    for place, rule in enumerate(rules):
        exact = next((one for one in rule.source if one.op == "="), None)
        if exact is None:
            unnamed.append(place)
        else:
            named.setdefault(exact.name, {}).setdefault(exact.value, []).append(place)
    return named, unnamed


def _parsed(texts: Iterable[str]) -> tuple[Matcher, ...]:
    return tuple(parse(text) for text in texts)
