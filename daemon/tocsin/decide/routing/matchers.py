"""Alertmanager's matchers: `name="value"` with =, !=, =~ and !~, one at a time.

What a pattern may cost is bounded: what comes over the API (`small`) gets little memory for its program, so that
compiling it takes milliseconds and a match is cheap; the configuration, which its owner checks before it is in force,
gets more. RE2 keeps the interpreter while it compiles, so that no thread helps.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from functools import lru_cache
from typing import Any, Literal, NamedTuple, cast

import re2

Op = Literal["=", "!=", "=~", "!~"]
ValueOf = Callable[[str], str]
"""The value a name has for the alert in hand; "" when it has none (as in Alertmanager)."""

LONGEST = 4096
"""Characters of a matcher that comes over the API."""

_LONGEST_VALUE = 65_536  # of a value patterns see this much
_SMALL, _LARGE = 256 << 10, 2 << 20  # bytes for a pattern's program and its states
_REMEMBERED = 1024  # values whose result one pattern keeps
_WORTH_KEEPING = 1024  # longer values are matched anew: a sender must not choose how much we remember
_SHAPE = re.compile(r"""("(?:[^"\\]|\\.)*"|[^\s=!~"'{},]+)\s*(=~|!~|!=|=)\s*(.*)""", re.DOTALL)
_QUOTED = re.compile(r'"((?:[^"\\]|\\.)*)"', re.DOTALL)
_CHEAPER = "repeat less, or name fewer classes of letters: write [a-z]{1,99} instead of \\pL{1,99}"
_TYPOGRAPHIC = re.compile("[\u2018-\u201f\u00ab\u00bb\u2032\u2033\u301d-\u301f\uff02]")  # made of " by word processors
_ESCAPE = re.compile(r"\\(.)", re.DOTALL)


def _options(memory: int) -> Any:
    options = re2.Options()
    options.log_errors = False
    options.max_mem = memory
    return options


_OPTIONS = {_SMALL: _options(_SMALL), _LARGE: _options(_LARGE)}


class Written(NamedTuple):
    """A matcher as it is written, its pattern not yet looked at."""

    name: str
    op: Op
    value: str

    @property
    def is_pattern(self) -> bool:
        return self.op in ("=~", "!~")


class Matcher:
    """Condition of a matcher: `name`, `op` and `value` as parsed, `text` as written."""

    __slots__ = ("_known", "_pattern", "name", "op", "text", "value")

    def __init__(self, name: str, op: Op, value: str, text: str = "", *, small: bool = False) -> None:
        """Raises ValueError when `value` is not an RE2 pattern and `op` asks for one, or when it is too large."""
        self.name = name
        self.op = op
        self.value = value
        self.text = text or f'{name}{op}"{value}"'
        self._pattern = compiled(value, small=small) if op in ("=~", "!~") else None
        self._known: dict[str, bool] = {}

    @property
    def is_pattern(self) -> bool:
        return self._pattern is not None

    def hits(self, value_of: ValueOf) -> bool:
        return self.accepts(value_of(self.name))

    def accepts(self, value: str) -> bool:
        """Whether a thing whose `name` is `value` fits. Patterns match the whole value."""
        match self.op:
            case "=":
                return value == self.value
            case "!=":
                return value != self.value
            case "=~":
                return self._fits(value)
            case "!~":
                return not self._fits(value)

    def _fits(self, value: str) -> bool:
        known = self._known.get(value)
        return self._look(value) if known is None else known

    def _look(self, value: str) -> bool:
        seen = octets(value[:_LONGEST_VALUE])
        found = self._pattern.fullmatch(seen) is not None  # type: ignore[union-attr]  # set for patterns
        if len(value) <= _WORTH_KEEPING:
            if len(self._known) >= _REMEMBERED:
                self._known.clear()
            self._known[value] = found
        return found

    def __repr__(self) -> str:
        return f"Matcher({self.text})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Matcher) and (self.name, self.op, self.value) == (other.name, other.op, other.value)

    def __hash__(self) -> int:
        return hash((self.name, self.op, self.value))


def parse(text: str, *, small: bool = False) -> Matcher:
    """`alertname=~"Node.*"` as a Matcher; quotes around a simple value may be left out.

    Raises ValueError with what to write instead. In double quotes `\\"`, `\\\\` and `\\n` are escapes and
    any other backslash stands for itself, so `"\\d+"` is a pattern of digits (Alertmanager, matchers).
    `small`: what comes over the API, bounded in length and in what its pattern may cost.
    """
    if small and len(text) > LONGEST:
        raise ValueError(f"a matcher of {len(text)} characters is too long: {LONGEST} at most")
    return Matcher(*written(text), text.strip(), small=small)


def written(text: str) -> Written:
    """Matcher as `parse` reads it, without compiling a pattern. Raises ValueError."""
    text = text.strip()
    found = _SHAPE.fullmatch(text)
    if found is None:
        raise ValueError(_what_is_wrong(text))
    name, op, value = _name(found[1]), cast(Op, found[2]), found[3]
    return Written(name, op, _value(name, op, value, text))


def _curly(name: str, value: str) -> bool:
    """Whether typographic quotes stand where plain ones are meant: around the value, or in the name. Within plain
    quotes they are themselves."""
    around = bool(value) and (_TYPOGRAPHIC.match(value) is not None or _TYPOGRAPHIC.match(value[-1]) is not None)
    return around or (not name.startswith('"') and _TYPOGRAPHIC.search(name) is not None)


def refuse_typographic(text: str) -> None:
    """For what a person writes: typographic quotes belong to the value, so that it would never match. Raises
    ValueError. `parse` takes them: what was accepted before goes on."""
    found = _SHAPE.fullmatch(text.strip())
    if found is not None and _curly(found[1], found[3]):
        name, value = (_TYPOGRAPHIC.sub("", part) for part in (found[1], found[3]))
        plain = value.replace('"', "")
        raise ValueError(f'{text[:200]!r} has typographic quotes, which never match; write {name}{found[2]}"{plain}"')


def hit_all(matchers: Iterable[Matcher], value_of: ValueOf) -> bool:
    """Whether every matcher hits; of no matchers: yes."""
    return all(matcher.hits(value_of) for matcher in matchers)


def compiled(pattern: str, *, small: bool = False) -> Any:
    """`pattern` as RE2. Raises ValueError that says what is wrong with it."""
    try:
        return re2.compile(pattern, _OPTIONS[_SMALL]) if small else _kept(pattern)
    except re2.error as wrong:
        because = wrong.args[0].decode() if wrong.args and isinstance(wrong.args[0], bytes) else str(wrong)
        shown = repr(pattern if len(pattern) <= 200 else f"{pattern[:200]}…")
        if because.startswith("pattern too large"):
            raise ValueError(f"{shown} is too costly; {_CHEAPER}") from None
        raise ValueError(f"{shown} is not a pattern RE2 knows: {because}{_instead(pattern)}") from None


@lru_cache(maxsize=4096)
def _kept(pattern: str) -> Any:
    """A pattern of the configuration: it is compiled where the files are checked, and used where they are in force."""
    return re2.compile(pattern, _OPTIONS[_LARGE])


def octets(value: str) -> bytes:
    """`value` for RE2; a lone surrogate, which no source should let through, becomes `?`."""
    return value.encode("utf-8", "replace")


def _name(written: str) -> str:
    name = _unescaped(written[1:-1]) if written.startswith('"') else written
    if not name:
        raise ValueError('the name is empty; write for example severity="critical"')
    return name


def _value(name: str, op: Op, written: str, text: str) -> str:
    if written.startswith('"'):
        quoted = _QUOTED.match(written)
        if quoted is None:
            raise ValueError(f'{text!r}: the double quote is never closed; write {name}{op}"..."')
        if quoted.end() != len(written):
            raise ValueError(_what_follows(text, written, quoted.end()))
        return _unescaped(quoted[1])
    if written.startswith("'"):
        raise ValueError(f'{text!r}: values stand in double quotes; write {name}{op}"{written.strip(chr(39))}"')
    if written[:1] in ("=", "~", "!"):
        raise ValueError(f"{text!r}: {op}{written[0]} is not an operator; write =, !=, =~ or !~")
    if '"' in written:
        raise ValueError(f'{text!r}: put the whole value in double quotes, and a quote inside as \\"')
    return written


def _unescaped(text: str) -> str:
    return _ESCAPE.sub(_meant, text) if "\\" in text else text


def _meant(escape: re.Match[str]) -> str:
    match escape[1]:
        case "n":
            return "\n"
        case '"' | "\\" as itself:
            return itself
        case _:
            return escape[0]


def _what_follows(text: str, written: str, end: int) -> str:
    rest = written[end:].strip()
    if rest.startswith(","):
        return f"{text!r}: one matcher an entry; write ['…', '…'] with {rest.lstrip(', ')!r} as an entry of its own"
    return f'{text!r}: {rest!r} follows the closing quote; write a quote inside a value as \\"'


def _what_is_wrong(text: str) -> str:
    bare = text.strip()
    if bare.startswith("{"):
        return f"{text!r}: write the matchers as a list, without braces: ['severity=\"critical\"']"
    if bare.startswith("'"):
        return f'{text!r}: names stand bare or in double quotes; write severity="critical"'
    if ":" in bare and "=" not in bare:
        return f"{text!r} is no matcher; write {bare.replace(':', '=', 1).replace(' ', '')!r}"
    if "~" in bare and "=~" not in bare and "!~" not in bare:
        return f'{text!r} is no matcher; a pattern is written name=~"..."'
    return f'{text!r} is no matcher; write name="value", name!="value", name=~"pattern" or name!~"pattern"'


def _instead(pattern: str) -> str:
    if "(?=" in pattern or "(?!" in pattern or "(?<" in pattern:
        return "; RE2 has no look-around: use a second matcher with !~"
    if pattern.startswith("*"):
        return f"; write {'.' + pattern!r}"
    if re.search(r"\\[1-9]", pattern):
        return "; RE2 has no back-references"
    return ""
