"""Index of rules that a value rules out: all conditions on one name are judged at once, each value once.

Rules are bits of an integer, the first rule the lowest bit. A walk over hundreds of rules is then a few
look-ups and the rules that are left, instead of hundreds of comparisons.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

import re2

from tocsin.decide.routing.matchers import Matcher, compiled, octets

_REMEMBERED = 4096  # values of one generation
_TOGETHER = 60_000  # instructions of one set; beyond it compiling holds everything up
_WORTH_KEEPING = 1024  # longer values are judged anew: a sender must not choose how much we remember


class Sieve:
    """The conditions of many rules on one name."""

    def __init__(self, conditions: Iterable[tuple[int, Matcher]]) -> None:
        """`conditions` are (the rule's position, matcher); all matchers are on the same name."""
        pairs = list(conditions)
        asked = Counter(position for position, matcher in pairs if matcher.op == "=")
        self._wants_equal = 0
        self._equal: dict[str, int] = {}
        self._unequal: dict[str, int] = {}
        self._contradictory = [(1 << position, m) for position, m in pairs if m.op == "=" and asked[position] > 1]
        self._patterns = _Patterns((1 << position, m) for position, m in pairs if m.op in ("=~", "!~"))
        self._known = Memory()
        for position, matcher in pairs:
            self._index(1 << position, matcher)

    def refuses(self, value: str) -> int:
        """The bits of the rules that a thing with this value cannot match."""
        known: int | None = self._known.get(value)
        if known is None:
            known = self._judge(value)
            if len(value) <= _WORTH_KEEPING:
                self._known.put(value, known)
        return known

    def _index(self, bit: int, matcher: Matcher) -> None:
        if matcher.op == "=":
            self._wants_equal |= bit
            self._equal[matcher.value] = self._equal.get(matcher.value, 0) | bit
        if matcher.op == "!=":
            self._unequal[matcher.value] = self._unequal.get(matcher.value, 0) | bit

    def _judge(self, value: str) -> int:
        refused = self._wants_equal & ~self._equal.get(value, 0)
        refused |= self._unequal.get(value, 0)
        for bit, matcher in self._contradictory:
            if not matcher.accepts(value):
                refused |= bit
        return refused | self._patterns.refuses(value)


class _Patterns:
    """Patterns of many rules, tried in one pass by an RE2 set."""

    def __init__(self, conditions: Iterable[tuple[int, Matcher]]) -> None:
        self._by_pattern: dict[str, tuple[int, int]] = {}  # pattern → (bits that want it, bits that refuse it)
        self._matchers = list(conditions)
        for bit, matcher in self._matchers:
            wants, refuses = self._by_pattern.get(matcher.value, (0, 0))
            pair = (wants | bit, refuses) if matcher.op == "=~" else (wants, refuses | bit)
            self._by_pattern[matcher.value] = pair
        self._bits = list(self._by_pattern.values())
        together = len(self._bits) > 1 and sum(compiled(one).programsize for one in self._by_pattern) <= _TOGETHER
        self._set = _compiled(self._by_pattern) if together else None

    def refuses(self, value: str) -> int:
        matched = self._set.Match(octets(value)) if self._set is not None else None
        if not matched or matched[-1] != len(self._bits):
            return self._one_by_one(value)
        hit = set(matched)
        refused = 0
        for position, (wants, unwanted) in enumerate(self._bits):
            refused |= unwanted if position in hit else wants
        return refused

    def _one_by_one(self, value: str) -> int:
        """Also the way out when the set gave up for want of memory: RE2 then reports no match at all."""
        refused = 0
        for bit, matcher in self._matchers:
            if not matcher.accepts(value):
                refused |= bit
        return refused


def _compiled(patterns: Iterable[str]) -> Any:
    """The patterns as one set, and behind them one that always matches: its absence tells that RE2 gave up."""
    options = re2.Options()
    options.log_errors = False
    options.max_mem = 64 << 20
    together = re2.Set.FullMatchSet(options)
    for pattern in patterns:
        together.Add(pattern)
    together.Add("(?s).*")
    together.Compile()
    return together


class Memory:
    """A bounded memory of what was asked lately: two generations, the older one is forgotten whole."""

    __slots__ = ("_new", "_old", "_size")

    def __init__(self, size: int = _REMEMBERED) -> None:
        self._size = size
        self._new: dict[Any, Any] = {}
        self._old: dict[Any, Any] = {}

    def get(self, key: Any) -> Any:
        """Value that was put under `key`, or None."""
        found = self._new.get(key)
        if found is None and self._old:
            found = self._old.get(key)
            if found is not None:
                self.put(key, found)
        return found

    def put(self, key: Any, value: Any) -> None:
        """Remember `value`, which is not None."""
        if len(self._new) >= self._size:
            self._old, self._new = self._new, {}
        self._new[key] = value

    def __len__(self) -> int:
        return len(self._new) + len(self._old)
