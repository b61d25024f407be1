"""Shapes of values: they read a node into a value, report every mistake, and describe themselves.

A shape is declared once and gives validation, messages, JSON Schema and the manual's tables. `read`
never raises; it returns a value, BROKEN (reported), or LEFT_OUT (valid, and without effect).
"""

from __future__ import annotations

from collections.abc import Callable
from collections.abc import Mapping as Map
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import Any, Generic, TypeVar

from tocsin.errors import is_bug
from tocsin.settings.document.nodes import Mapping, Node, RefusedNode, Scalar, Sequence
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import Mistake, did_you_mean, nearest, whole

T = TypeVar("T")
U = TypeVar("U")


class Nothing(Enum):
    """No value: a reported mistake, or something valid that has no effect."""

    BROKEN = "broken"
    LEFT_OUT = "left out"


BROKEN = Nothing.BROKEN
LEFT_OUT = Nothing.LEFT_OUT


class Shape(Generic[T]):
    """A kind of value."""

    def read(self, node: Node, reading: Reading) -> T | Nothing:
        raise NotImplementedError

    def schema(self) -> dict[str, Any]:
        """JSON Schema, draft 2020-12, of what may be written."""
        raise NotImplementedError


def tried(read: Callable[[], T | Nothing], node: Node, reading: Reading) -> T | Nothing:
    """Call `read`; an error of ours in it is a problem at `node`, and the rest is read all the same."""
    if reading.full:
        return BROKEN
    try:
        return read()
    except BaseException as bug:  # an error of ours costs this value alone
        if not is_bug(bug):
            raise
        reading.stumbled(node, bug)
        return BROKEN


def wrong_kind(node: Node, reading: Reading, wanted: str) -> Nothing:
    """Reports that something else than `wanted` stands here, unless it is reported already."""
    if not isinstance(node, RefusedNode):
        reading.error(node, "wrong-kind", f"{_kind(node)} stands where {wanted} is expected")
    return BROKEN


def _kind(node: Node) -> str:
    match node:
        case Scalar() if node.empty:
            return "nothing"
        case Scalar():
            return f"'{_short(node.text)}'"
        case Sequence():
            return "a list"
        case _:
            return "a mapping"


def _short(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:57]}…"


@dataclass(frozen=True, eq=False)
class Word(Shape[T]):
    """A scalar that `parse` turns into a value; `parse` raises Mistake (a ValueError) with its message."""

    parse: Callable[[str], T]
    wanted: str
    pattern: str = ""
    example: str = ""
    code: str = "bad-value"  # of the problem when `parse` refuses

    def read(self, node: Node, reading: Reading) -> T | Nothing:
        if not isinstance(node, Scalar) or node.empty:
            return wrong_kind(node, reading, self.wanted)
        try:
            return self.parse(node.text)
        except ValueError as mistake:
            reading.error(node, self.code, str(mistake))
            return BROKEN

    def schema(self) -> dict[str, Any]:
        about: dict[str, Any] = {"type": "string", "description": self.wanted}
        if self.pattern:
            about["pattern"] = self.pattern
        if self.example:
            about["examples"] = [self.example]
        return about


def text(wanted: str = "text", *, longest: int = 10_000) -> Word[str]:
    """A shape for any text that is not empty."""

    def parse(written: str) -> str:
        if not written.strip():
            raise Mistake(f"is empty; write {wanted}")
        if len(written) > longest:
            raise Mistake(f"has {len(written)} characters; at most {longest} are allowed")
        return written

    return Word(parse, wanted)


@dataclass(frozen=True, eq=False)
class WholeNumber(Shape[int]):
    """A whole number within bounds."""

    least: int | None = None
    most: int | None = None

    def read(self, node: Node, reading: Reading) -> int | Nothing:
        return Word(lambda written: whole(written, self.least, self.most), "a whole number").read(node, reading)

    def schema(self) -> dict[str, Any]:
        bounds = {"minimum": self.least, "maximum": self.most}
        return {"type": "integer", **{name: bound for name, bound in bounds.items() if bound is not None}}


@dataclass(frozen=True, eq=False)
class Flag(Shape[bool]):
    """true or false."""

    def read(self, node: Node, reading: Reading) -> bool | Nothing:
        return Word(_flag, "true or false").read(node, reading)

    def schema(self) -> dict[str, Any]:
        return {"type": "boolean"}


def _flag(written: str) -> bool:
    if written in ("true", "false"):
        return written == "true"
    lower = written.lower()
    meant = "true" if lower in ("true", "yes", "on", "1") else "false" if lower in ("false", "no", "off", "0") else None
    raise Mistake(f"'{written}' is neither true nor false; write {meant or 'true or false'}")


@dataclass(frozen=True, eq=False)
class Choice(Shape[str]):
    """A word out of a few."""

    words: tuple[str, ...]

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        return Word(self._one_of, " or ".join(self.words)).read(node, reading)

    def _one_of(self, written: str) -> str:
        if written in self.words:
            return written
        close = nearest(written, self.words)
        raise Mistake(f"'{_short(written)}' is not known; write {close or ' or '.join(self.words)}")

    def schema(self) -> dict[str, Any]:
        return {"enum": list(self.words)}


@dataclass(frozen=True, eq=False)
class Name(Shape[str]):
    """The name of something that another part of the configuration defines."""

    section: str

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        if not isinstance(node, Scalar) or node.empty:
            return wrong_kind(node, reading, f"a name out of {self.section}")
        return node.text if reading.knows(node, self.section, node.text) else BROKEN

    def schema(self) -> dict[str, Any]:
        return {"type": "string", "description": f"a name out of {self.section}"}


@dataclass(frozen=True, eq=False)
class Many(Shape[tuple[T, ...]]):
    """A list. `alone`: a single value may stand without brackets. `least`: how many there must be."""

    item: Shape[T]
    least: int = 0
    alone: bool = False

    def read(self, node: Node, reading: Reading) -> tuple[T, ...] | Nothing:
        nodes = self._items(node)
        if nodes is None:
            return wrong_kind(node, reading, "a list [ … ]")
        if len(nodes) < self.least:
            reading.error(node, "empty", "is an empty list; write at least one entry")
            return BROKEN
        values = [tried(partial(self.item.read, each, reading), each, reading) for each in nodes]
        if BROKEN in values:
            return BROKEN
        return tuple(value for value in values if not isinstance(value, Nothing))

    def _items(self, node: Node) -> list[Node] | None:
        match node:
            case Sequence():
                return node.items
            case Scalar() if node.empty:
                return []
            case _ if self.alone and not isinstance(node, RefusedNode):
                return [node]
            case _:
                return None

    def schema(self) -> dict[str, Any]:
        several = {"type": "array", "items": self.item.schema(), **({"minItems": self.least} if self.least else {})}
        return {"anyOf": [self.item.schema(), several]} if self.alone else several


@dataclass(frozen=True, eq=False)
class Table(Shape[dict[str, T]]):
    """A mapping of names of one's own choice to values of one shape."""

    item: Shape[T]
    name: Callable[[str], str] | None = None
    section: str = ""  # entries that are left out are noted under it

    def read(self, node: Node, reading: Reading) -> dict[str, T] | Nothing:
        if isinstance(node, Scalar) and node.empty:
            return {}
        if not isinstance(node, Mapping):
            return wrong_kind(node, reading, "a mapping of names")
        return self.read_entries(node.entries, reading)

    def read_entries(self, entries: Map[str, Node], reading: Reading) -> dict[str, T]:
        """The usable entries; what is wrong with the others is reported."""
        values: dict[str, T] = {}
        for key, entry in entries.items():
            self._check_name(key, entry, reading)
            value = tried(partial(self.item.read, entry, reading), entry, reading)
            if value is LEFT_OUT and self.section:
                reading.left_out.setdefault((self.section, key), "has no effect")
            if not isinstance(value, Nothing):
                values[key] = value
        return values

    def _check_name(self, key: str, entry: Node, reading: Reading) -> None:
        if self.name is None:
            return
        try:
            self.name(key)
        except ValueError as mistake:
            reading.note("error", entry.key_at, "bad-name", str(mistake))

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "additionalProperties": self.item.schema()}


@dataclass(frozen=True)
class Key:
    """A key of a record. `later`: validated, and without effect yet. `shown`: its default, for the manual."""

    shape: Shape[Any]
    help: str
    required: bool = False
    later: bool = False
    shown: str = ""


@dataclass(slots=True)
class Got:
    """The values read of a record: those of the keys that are there and right."""

    node: Mapping
    values: dict[str, Any]

    def get(self, key: str, default: Any = None) -> Any:
        return self.values.get(key, default)

    def has(self, key: str) -> bool:
        """Whether the key is written, rightly or not."""
        return key in self.node.entries

    def at(self, key: str) -> Node:
        """The node of a key that is written; else the record's own."""
        return self.node.entries.get(key, self.node)

    @property
    def name(self) -> str:
        return self.node.key


Make = Callable[[Got, Reading], Any]


@dataclass(frozen=True, eq=False)
class Record(Shape[Any]):
    """A mapping with known keys. `make` turns what was read into the value and may report more;
    it is called when all required keys are there and right."""

    what: str
    keys: Map[str, Key]
    make: Make

    def read(self, node: Node, reading: Reading) -> Any | Nothing:
        if isinstance(node, Scalar) and node.empty:
            node = Mapping(node.at, node.key, node.key_at)
        if not isinstance(node, Mapping):
            return wrong_kind(node, reading, f"{self.what} {{ … }}")
        got = Got(node, {})
        for key, entry in node.entries.items():
            self._read_key(key, entry, got, reading)
        return self._finish(got, reading)

    def _read_key(self, key: str, entry: Node, got: Got, reading: Reading) -> None:
        known = self.keys.get(key)
        if known is None:
            if key and not reading.full:
                reading.note("error", entry.key_at, "unknown-key", self._unknown(key, got.node))
            return
        got.values[key] = tried(partial(known.shape.read, entry, reading), entry, reading)
        if known.later:
            reading.no_effect(entry, key)

    def _unknown(self, key: str, node: Mapping) -> str:
        hint = did_you_mean(key, self.keys) or f"; known here: {', '.join(self.keys)}"
        return f"{node.key}: unknown key '{key}'{hint}" if node.key else f"unknown key '{key}'{hint}"

    def _finish(self, got: Got, reading: Reading) -> Any | Nothing:
        missing = [key for key, known in self.keys.items() if known.required and key not in got.node.entries]
        if missing and not got.node.cut:
            for key in missing:
                reading.error(
                    got.node, "missing-key", f"'{key}' is missing ({self.keys[key].help})", at=got.node.key_at
                )
        left_out = LEFT_OUT in got.values.values()
        usable = {key: value for key, value in got.values.items() if not isinstance(value, Nothing)}
        whole_ = all(key in usable for key, known in self.keys.items() if known.required)
        got.values = usable
        if left_out:
            return LEFT_OUT
        return tried(partial(self.make, got, reading), got.node, reading) if whole_ else BROKEN

    def schema(self) -> dict[str, Any]:
        properties = {key: _described(known) for key, known in self.keys.items()}
        required = [key for key, known in self.keys.items() if known.required]
        about = {"type": "object", "properties": properties, "additionalProperties": False}
        return {**about, "required": required} if required else about


def _described(key: Key) -> dict[str, Any]:
    help = f"{key.help} (no effect yet)" if key.later else key.help
    return {**key.shape.schema(), "description": help}


@dataclass(frozen=True, eq=False)
class Either(Shape[Any]):
    """A shape for a single word, and others for a list or a mapping."""

    word: Shape[Any] | None = None
    listed: Shape[Any] | None = None
    mapped: Shape[Any] | None = None

    def read(self, node: Node, reading: Reading) -> Any | Nothing:
        shape = self._of(node)
        return wrong_kind(node, reading, self._wanted()) if shape is None else shape.read(node, reading)

    def _of(self, node: Node) -> Shape[Any] | None:
        match node:
            case Scalar():
                return self.word
            case Sequence():
                return self.listed
            case Mapping():
                return self.mapped
            case _:
                return None

    def _wanted(self) -> str:
        kinds = {"a single value": self.word, "a list": self.listed, "a mapping": self.mapped}
        return " or ".join(kind for kind, shape in kinds.items() if shape is not None)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [shape.schema() for shape in (self.word, self.listed, self.mapped) if shape is not None]}


_ENDLESS = frozenset({"none", "off", "no", "false", "disabled", "infinite", "infinity", "unlimited", "always"})


@dataclass(frozen=True, eq=False)
class Never(Shape[U]):
    """`never` (or another single word) as `value`, else what `other` says; other words for it are told which it is."""

    other: Shape[U]
    word: str
    value: U

    def read(self, node: Node, reading: Reading) -> U | Nothing:
        if isinstance(node, Scalar) and node.text == self.word:
            return self.value
        if isinstance(node, Scalar) and (nearest(node.text, (self.word,)) or node.text.lower() in _ENDLESS):
            reading.error(node, "bad-value", f"'{_short(node.text)}' is not known; write {self.word}")
            return BROKEN
        return self.other.read(node, reading)

    def schema(self) -> dict[str, Any]:
        return {"anyOf": [{"const": self.word}, self.other.schema()]}
