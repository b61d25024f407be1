"""Overlap of matchers: the values they let through together: none, or surely no others than some.

A matcher stands for a set of texts, a regular language. Patterns of a common, well understood part of RE2 become
expressions with union, intersection and complement; what an expression leaves after one character (its derivative,
Brzozowski 1964) is an expression again, so that walking them decides emptiness. Whatever is not understood, or takes
too many steps, is answered by None: not known. A proof is never a guess.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache, reduce
from typing import Literal

from tocsin.decide.routing.matchers import Matcher

MOST_STATES = 400
_MOST_REPEATS = 64
_LAST = 0x10FFFF

Ranges = tuple[tuple[int, int], ...]  # of code points, both ends included, in order, apart


def never(matchers: Iterable[Matcher]) -> bool | None:
    """Whether no value at all fits these matchers of one name; None: not known."""
    together = _together(matchers)
    return None if together is None else _empty(together)


def within(narrow: Iterable[Matcher], wide: Iterable[Matcher]) -> bool | None:
    """Whether every value that fits `narrow` fits `wide` as well (matchers of one name); None: not known."""
    inner, outer = _together(narrow), _together(wide)
    return None if inner is None or outer is None else _empty(_and(inner, _not(outer)))


def always(matcher: Matcher) -> bool | None:
    """Whether every value of one line fits; None: not known."""
    return within([_ONE_LINE], [matcher])


def sample(matchers: Iterable[Matcher]) -> str | None:
    """Value that fits all of these matchers of one name; None when there is none, or none is known."""
    together = _together(matchers)
    found = None if together is None else _shortest(together)
    return None if found is False else found


# ------------------------------------------------------------------------------------ expressions


@dataclass(frozen=True, slots=True)
class _Chars:
    ranges: Ranges


@dataclass(frozen=True, slots=True)
class _Cat:
    first: Expression
    rest: Expression


@dataclass(frozen=True, slots=True)
class _Star:
    inner: Expression


@dataclass(frozen=True, slots=True)
class _Or:
    parts: frozenset[Expression]


@dataclass(frozen=True, slots=True)
class _Not:
    inner: Expression


@dataclass(frozen=True, slots=True)
class _Nothing:
    """The empty text alone."""


Expression = _Chars | _Cat | _Star | _Or | _Not | _Nothing

_NONE = _Chars(())
_ANY_CHAR = _Chars(((0, _LAST),))
_BLANK = _Nothing()
_ALL = _Not(_NONE)


def _cat(first: Expression, rest: Expression) -> Expression:
    if first == _NONE or rest == _NONE:
        return _NONE
    if first == _BLANK:
        return rest
    if rest == _BLANK:
        return first
    if isinstance(first, _Cat):
        return _cat(first.first, _cat(first.rest, rest))
    return _Cat(first, rest)


def _or(*parts: Expression) -> Expression:
    flat: set[Expression] = set()
    for part in parts:
        flat |= part.parts if isinstance(part, _Or) else {part}
    flat.discard(_NONE)
    if _ALL in flat:
        return _ALL
    chars = [part for part in flat if isinstance(part, _Chars)]
    if len(chars) > 1:
        flat -= set(chars)
        flat.add(_Chars(_joined(pair for part in chars for pair in part.ranges)))
    if len(flat) < 2:
        return next(iter(flat), _NONE)
    return _Or(frozenset(flat))


def _not(inner: Expression) -> Expression:
    return inner.inner if isinstance(inner, _Not) else _Not(inner)


def _and(*parts: Expression) -> Expression:
    return _not(_or(*map(_not, parts)))


def _star(inner: Expression) -> Expression:
    if isinstance(inner, _Star):
        return inner
    return _BLANK if inner in (_NONE, _BLANK) else _Star(inner)


def _text(text: str) -> Expression:
    return reduce(lambda rest, character: _cat(_char(ord(character)), rest), reversed(text), _as_expression(_BLANK))


def _as_expression(one: Expression) -> Expression:
    return one


def _char(code: int) -> Expression:
    return _Chars(((code, code),))


def _joined(ranges: Iterable[tuple[int, int]]) -> Ranges:
    found: list[tuple[int, int]] = []
    for low, high in sorted(ranges):
        if found and low <= found[-1][1] + 1:
            found[-1] = (found[-1][0], max(found[-1][1], high))
        else:
            found.append((low, high))
    return tuple(found)


def _inverted(ranges: Ranges) -> Ranges:
    found, start = [], 0
    for low, high in ranges:
        if low > start:
            found.append((start, low - 1))
        start = high + 1
    if start <= _LAST:
        found.append((start, _LAST))
    return tuple(found)


# ------------------------------------------------------------------------------------ derivatives


@lru_cache(maxsize=16384)
def _takes_blank(one: Expression) -> bool:
    match one:
        case _Nothing() | _Star():
            return True
        case _Chars():
            return False
        case _Cat(first, rest):
            return _takes_blank(first) and _takes_blank(rest)
        case _Or(parts):
            return any(map(_takes_blank, parts))
        case _Not(inner):
            return not _takes_blank(inner)


@lru_cache(maxsize=16384)
def _after(one: Expression, code: int) -> Expression:
    """States that may follow once the character `code` was read."""
    match one:
        case _Nothing():
            return _NONE
        case _Chars(ranges):
            return _BLANK if any(low <= code <= high for low, high in ranges) else _NONE
        case _Star(inner):
            return _cat(_after(inner, code), one)
        case _Cat(first, rest):
            taken = _cat(_after(first, code), rest)
            return _or(taken, _after(rest, code)) if _takes_blank(first) else taken
        case _Or(parts):
            return _or(*(_after(part, code) for part in parts))
        case _Not(inner):
            return _not(_after(inner, code))


@lru_cache(maxsize=16384)
def _edges(one: Expression) -> frozenset[int]:
    """Code points at which the derivative may become another one: a sample of each kind of next character."""
    match one:
        case _Nothing():
            return frozenset({0})
        case _Chars(ranges):
            return frozenset({0, *(low for low, _ in ranges), *(high + 1 for _, high in ranges if high < _LAST)})
        case _Star(inner) | _Not(inner):
            return _edges(inner)
        case _Cat(first, rest):
            return _edges(first) | _edges(rest) if _takes_blank(first) else _edges(first)
        case _Or(parts):
            return frozenset().union(*map(_edges, parts))


def _empty(start: Expression) -> bool | None:
    """Whether no text fits; None when that takes more than MOST_STATES states to know."""
    found = _shortest(start)
    return found if found is None else found is False


@lru_cache(maxsize=4096)
def _shortest(start: Expression) -> str | Literal[False] | None:
    """The shortest text that fits (one of them); False when none does, None when it is not known."""
    seen = {start}
    waiting = deque([(start, "")])
    while waiting:
        here, text = waiting.popleft()
        if _takes_blank(here):
            return text
        for code in sorted(_edges(here), key=_readable):
            then = _after(here, code)
            if then not in seen and then != _NONE:
                seen.add(then)
                waiting.append((then, text + chr(code)))
        if len(seen) > MOST_STATES:
            return None
    return False


def _readable(code: int) -> int:
    """Letters and digits first, so that what is shown can be read; lone surrogates are no texts to try."""
    return 0 if 0x20 < code < 0x7F else 1


# --------------------------------------------------------------------------------------- matchers


def _together(matchers: Iterable[Matcher]) -> Expression | None:
    parts = [_language(matcher.op, matcher.value) for matcher in matchers]
    return None if None in parts else _and(*(part for part in parts if part is not None))


@lru_cache(maxsize=8192)
def _language(op: str, value: str) -> Expression | None:
    if any(0xD800 <= ord(character) <= 0xDFFF for character in value):
        return None
    if op in ("=", "!="):
        found: Expression | None = _text(value)
    else:
        found = _pattern(value)
    return found if found is None or op in ("=", "=~") else _not(found)


def _pattern(written: str) -> Expression | None:
    """RE2's syntax as far as it is understood for certain (google/re2, wiki Syntax); None beyond that."""
    try:
        return _Reader(written).whole()
    except (_Unknown, RecursionError):
        return None


class _Unknown(Exception):
    """A construct this reader does not claim to understand."""


_DIGIT: Ranges = ((48, 57),)
_SPACE: Ranges = ((9, 10), (12, 13), (32, 32))
_WORD: Ranges = ((48, 57), (65, 90), (95, 95), (97, 122))
_KINDS = {
    "d": _DIGIT, "s": _SPACE, "w": _WORD,
    "D": _inverted(_DIGIT), "S": _inverted(_SPACE), "W": _inverted(_WORD),
}  # fmt: skip
_CONTROLS = {"n": 10, "t": 9, "r": 13, "f": 12, "v": 11, "a": 7}
_ALSO = {"k": 0x212A, "s": 0x17F}  # what Unicode folds onto these two letters
_PUNCTUATION = frozenset("!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~ ")


class _Reader:
    """Pattern, read once from left to right."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.fold = False
        self.dot: Ranges = _inverted(((10, 10),))
        self.depth = 0

    def whole(self) -> Expression:
        self._flags()
        found = self._branches()
        if self.at != len(self.text):
            raise _Unknown
        return found

    def _flags(self) -> None:
        flags = next((flags for flags in ("i", "s", "is", "si") if self.text.startswith(f"(?{flags})")), "")
        self.at = len(f"(?{flags})") if flags else 0
        self.fold = "i" in flags
        self.dot = ((0, _LAST),) if "s" in flags else self.dot

    def _branches(self) -> Expression:
        branches = [self._sequence()]
        while self._next("|"):
            branches.append(self._sequence())
        return _or(*branches)

    def _sequence(self) -> Expression:
        """Branch of a pattern. At its ends `^` and `$` say nothing, as patterns are anchored; only outside groups."""
        parts: list[Expression] = []
        if self.depth == 0:
            self._next("^")
        while self.at < len(self.text) and self.text[self.at] not in "|)":
            if self.text[self.at] == "$" and self.depth == 0 and self._ends_branch():
                self.at += 1
                break
            parts.append(self._repeated(self._atom()))
        return reduce(lambda rest, part: _cat(part, rest), reversed(parts), _as_expression(_BLANK))

    def _ends_branch(self) -> bool:
        return self.text[self.at + 1 : self.at + 2] in ("", "|")

    def _next(self, word: str) -> bool:
        if not self.text.startswith(word, self.at):
            return False
        self.at += len(word)
        return True

    def _repeated(self, atom: Expression) -> Expression:
        if self._next("*"):
            found = _star(atom)
        elif self._next("+"):
            found = _cat(atom, _star(atom))
        elif self._next("?"):
            found = _or(_BLANK, atom)
        elif self.text[self.at : self.at + 1] == "{":
            found = self._counted(atom)
        else:
            return atom
        self._next("?")  # lazy or not, the same texts fit
        if self.text[self.at : self.at + 1] in ("*", "+", "?", "{") and self.at < len(self.text):
            raise _Unknown
        return found

    def _counted(self, atom: Expression) -> Expression:
        end = self.text.find("}", self.at)
        least, comma, most = self.text[self.at + 1 : end].partition(",")
        if end < 0 or not least.isascii() or not least.isdigit() or (most and not (most.isascii() and most.isdigit())):
            raise _Unknown
        low, high = int(least), int(most) if most else int(least)
        if max(low, high) > _MOST_REPEATS or low > high:
            raise _Unknown
        self.at = end + 1
        tail = _star(atom) if comma and not most else _as_expression(_BLANK)
        for _ in range(high - low):
            tail = _or(_BLANK, _cat(atom, tail))
        for _ in range(low):
            tail = _cat(atom, tail)
        return tail

    def _atom(self) -> Expression:
        here = self.text[self.at]
        if here == "(":
            return self._group()
        if here == "[":
            return _Chars(self._set())
        self.at += 1
        if here == ".":
            return _Chars(self.dot)
        if here == "\\":
            return _Chars(self._folded(self._escape()))
        if here in "^$*+?{})":
            raise _Unknown
        return _Chars(self._folded(((ord(here), ord(here)),)))

    def _group(self) -> Expression:
        self.at += 1
        if self._next("?"):
            self._kind_of_group()
        self.depth += 1
        found = self._branches()
        self.depth -= 1
        if not self._next(")"):
            raise _Unknown
        return found

    def _kind_of_group(self) -> None:
        if self._next(":"):
            return
        if (self._next("P<") or self._next("<")) and (end := self.text.find(">", self.at)) > 0:
            self.at = end + 1
            return
        raise _Unknown

    def _escape(self) -> Ranges:
        letter = self.text[self.at : self.at + 1]
        self.at += 1
        if letter in _KINDS:
            return _KINDS[letter]
        code = _CONTROLS.get(letter) or (ord(letter) if letter and letter in _PUNCTUATION else None)
        if code is None:
            raise _Unknown
        return ((code, code),)

    def _set(self) -> Ranges:
        self.at += 1
        inverted = self._next("^")
        found: list[tuple[int, int]] = []
        first = True
        while first or not self.text.startswith("]", self.at):
            found.extend(self._one_of_set(first))
            first = False
        self.at += 1
        ranges = self._folded(_joined(found))
        return _inverted(ranges) if inverted else ranges

    def _one_of_set(self, first: bool) -> Ranges:
        low = self._end_of_range(first)
        if len(low) != 1 or low[0][0] != low[0][1] or not self.text.startswith("-", self.at):
            return low
        if self.text[self.at + 1 : self.at + 2] == "]":
            return low
        self.at += 1
        high = self._end_of_range(False)
        if len(high) != 1 or high[0][0] != high[0][1] or high[0][0] < low[0][0]:
            raise _Unknown
        return ((low[0][0], high[0][0]),)

    def _end_of_range(self, first: bool) -> Ranges:
        here = self.text[self.at : self.at + 1]
        if not here or (here == "[" and self.text[self.at + 1 : self.at + 2] in (":", ".", "=")):
            raise _Unknown
        if here == "]" and not first:
            raise _Unknown
        self.at += 1
        return self._escape() if here == "\\" else ((ord(here), ord(here)),)

    def _folded(self, ranges: Ranges) -> Ranges:
        """Characters under the flag i: both cases of ASCII letters. Beyond ASCII nothing is claimed."""
        if not self.fold:
            return ranges
        if any(high > 127 for _, high in ranges):
            raise _Unknown
        more = list(ranges)
        for low, high in ranges:
            for code in range(low, high + 1):
                letter = chr(code)
                if letter.isalpha():
                    more += [(ord(letter.swapcase()), ord(letter.swapcase()))]
                    more += [(_ALSO[letter.lower()], _ALSO[letter.lower()])] if letter.lower() in _ALSO else []
        return _joined(more)


_ONE_LINE = Matcher("", "=~", ".*")
