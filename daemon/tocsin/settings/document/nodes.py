"""YAML parser: a file as nodes with line and column, or the reasons why it cannot be read.

Built from PyYAML's parse events, not from its objects: every plain scalar stays the text that was
written (`no`, `12:30`, `+1555…`, `0755`), every node knows its place, and a syntax error leaves what
came before it readable. Anchors, aliases, tags, merge keys, second documents and duplicate keys are
refused; size and depth are capped. No bytes make this module raise.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, cast

import yaml

from tocsin.model import Problem, Where

MAX_BYTES = 4 * 1024 * 1024
MAX_DEPTH = 32

_UNPRINTABLE = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
_PAIR = re.compile(r"(?<!\\)((?:\\\\)*)\\u([dD][89abAB][0-9a-fA-F]{2})\\u([dD][c-fC-F][0-9a-fA-F]{2})")
_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)


@dataclass(slots=True, eq=False)
class Node:
    """A YAML node. `at` is the value's own place; `key` the nearest key above it, standing at `key_at`."""

    at: Where
    key: str
    key_at: Where


@dataclass(slots=True, eq=False)
class Scalar(Node):
    text: str
    plain: bool

    @property
    def empty(self) -> bool:
        """Whether nothing is written here, or a plain null."""
        return self.plain and self.text in ("", "~", "null")


@dataclass(slots=True, eq=False)
class Sequence(Node):
    items: list[Node] = field(default_factory=list)


@dataclass(slots=True, eq=False)
class Mapping(Node):
    """`cut`: a syntax error ended it, so what seems to be missing may be written further down."""

    entries: dict[str, Node] = field(default_factory=dict)
    cut: bool = False


@dataclass(slots=True, eq=False)
class RefusedNode(Node):
    """Stands where something was that is reported already."""


@dataclass(frozen=True, slots=True)
class Tree:
    """The contents of a file: its top mapping (None: nothing usable) and what is wrong with its form."""

    top: Mapping | None
    problems: tuple[Problem, ...]
    broken: bool  # syntax error or unreadable: names may be missing


def read_tree(raw: bytes, file: str) -> Tree:
    """The nodes of `raw`; an empty file is an empty mapping."""
    start = Where(file, 1, 1)
    if len(raw) > MAX_BYTES:
        return _nothing(start, "file", f"this file has {len(raw)} bytes; at most {MAX_BYTES} are read")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as bad:
        where = _place(raw[: bad.start].decode("utf-8", "replace"), file)
        return _nothing(where, "encoding", f"this is not UTF-8 (byte 0x{raw[bad.start]:02x}); save the file as UTF-8")
    odd = _UNPRINTABLE.search(text)
    if odd is not None:
        where = _place(text[: odd.start()], file)
        return _nothing(where, "encoding", f"the character U+{ord(odd.group()):04X} is not allowed in YAML; remove it")
    tree = _Composer(file).compose(text)
    if tree.broken and _PAIR.search(text):
        return _Composer(file).compose(_PAIR.sub(_joined, text))
    return tree


def _joined(pair: re.Match[str]) -> str:
    """JSON writes a character beyond U+FFFF as two escapes, which YAML does not know."""
    high, low = int(pair[2], 16) - 0xD800, int(pair[3], 16) - 0xDC00
    return f"{pair[1]}\\U{0x10000 + (high << 10) + low:08X}"


def _nothing(where: Where, code: str, message: str) -> Tree:
    return Tree(None, (Problem(where, "error", code, message),), broken=True)


def _place(before: str, file: str) -> Where:
    return Where(file, before.count("\n") + 1, len(before) - before.rfind("\n"))


class _Composer:
    """Puts events together, without recursion, so that no depth of input can exhaust the stack."""

    def __init__(self, file: str) -> None:
        self.file = file
        self.start = Where(file, 1, 1)
        self.problems: list[Problem] = []
        self.open: list[Sequence | Mapping] = []
        self.waiting: list[tuple[str, Where] | None] = []  # of each open mapping: the key that waits for its value
        self.documents = 0
        self.skipping = 0  # containers open below what is refused
        self.top: Node | None = None
        self.deep = False  # too deep: the parser's time grows with the depth squared
        self.broken = False

    def compose(self, text: str) -> Tree:
        try:
            for event in yaml.parse(text, Loader=_Loader):
                if self._take(event):
                    break
                if self.deep:
                    self._cut()
                    break
        except (yaml.YAMLError, RecursionError, ValueError) as error:
            self._syntax(error, text)
        return Tree(self._mapping(), tuple(self.problems), self.broken)

    def _take(self, event: Any) -> bool:
        """Add one event; True ends the reading."""
        match event:
            case yaml.DocumentStartEvent():
                self.documents += 1
                if self.documents > 1:
                    self._problem(self._at(event), "documents", "a second document begins here; write one per file")
                    return True
            case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                self._close()
            case yaml.AliasEvent():
                self._refuse(event, "alias", f"aliases are not read (*{event.anchor}); write the value out")
            case yaml.NodeEvent():
                self._node(event)
        return False

    def _node(self, event: Any) -> None:
        if event.anchor is not None and not self.skipping:
            self._problem(self._at(event), "alias", f"anchors are not read (&{event.anchor}); remove it")
        if event.tag is not None and not self.skipping:
            self._problem(self._at(event), "tag", f"tags are not read ({event.tag}); write the plain value")
        if isinstance(event, yaml.ScalarEvent):
            self._scalar(event)
        else:
            self._open(event)

    def _scalar(self, event: Any) -> None:
        if self.skipping:
            return
        if self._expects_key():
            self._key(event)
            return
        key, key_at = self._context(event)
        self._place(Scalar(self._at(event), key, key_at, event.value, not event.style))

    def _key(self, event: Any) -> None:
        at, name = self._at(event), event.value
        entries = cast(Mapping, self.open[-1]).entries
        if name == "<<" and not event.style:
            self._problem(at, "merge-key", "merge keys are not read (<<); write the keys out")
        elif name in entries:
            first = entries[name].key_at
            self._problem(at, "duplicate-key", f"'{name}' is written twice, first in line {first.line}; remove one")
        self.waiting[-1] = (name, at)

    def _open(self, event: Any) -> None:
        if self.skipping:
            self.skipping += 1
            return
        if self._expects_key():
            self._problem(self._at(event), "key", "a key must be text, not a list or mapping")
            self.waiting[-1] = ("", self._at(event))
            self.skipping = 1
            self._place(RefusedNode(self._at(event), "", self._at(event)), keep_key=True)
            return
        if len(self.open) >= MAX_DEPTH:
            self._refuse(
                event, "depth", f"this is nested deeper than {MAX_DEPTH} levels; the file is not read any further"
            )
            self.deep = True
            return
        self._descend(event)

    def _descend(self, event: Any) -> None:
        key, key_at = self._context(event)
        node: Sequence | Mapping
        if isinstance(event, yaml.MappingStartEvent):
            node = Mapping(self._at(event), key, key_at)
        else:
            node = Sequence(self._at(event), key, key_at)
        self._place(node)
        self.open.append(node)
        self.waiting.append(None)

    def _close(self) -> None:
        if self.skipping:
            self.skipping -= 1
            return
        self.open.pop()
        self.waiting.pop()

    def _refuse(self, event: Any, code: str, message: str) -> None:
        if self.skipping:
            return
        self._problem(self._at(event), code, message)
        if self._expects_key():
            self.waiting[-1] = ("", self._at(event))
            return
        key, key_at = self._context(event)
        self._place(RefusedNode(self._at(event), key, key_at))

    def _place(self, node: Node, *, keep_key: bool = False) -> None:
        """Hang `node` where it belongs; of a key written twice the first value stays."""
        if not self.open:
            self.top = node
        elif isinstance(parent := self.open[-1], Sequence):
            parent.items.append(node)
        elif not keep_key:
            waiting = self.waiting[-1]
            self.waiting[-1] = None
            if waiting is not None and waiting[0] != "<<":
                parent.entries.setdefault(waiting[0], node)

    def _expects_key(self) -> bool:
        return bool(self.open) and isinstance(self.open[-1], Mapping) and self.waiting[-1] is None

    def _context(self, event: Any) -> tuple[str, Where]:
        """The nearest key above the place where the event's node will hang."""
        if not self.open:
            return "", self._at(event)
        waiting = self.waiting[-1]
        if waiting is not None:
            return waiting
        parent = self.open[-1]
        return parent.key, self._at(event)

    def _at(self, event: Any) -> Where:
        mark = event.start_mark
        return Where(self.file, mark.line + 1, mark.column + 1)

    def _problem(self, where: Where, code: str, message: str) -> None:
        if len(self.problems) < 1000:
            self.problems.append(Problem(where, "error", code, message))

    def _cut(self) -> None:
        """The rest of the file stays unread; what is open may lack what stands there."""
        self.broken = True
        for node in self.open:
            if isinstance(node, Mapping):
                node.cut = True

    def _syntax(self, error: Exception, text: str) -> None:
        self._cut()
        mark = getattr(error, "problem_mark", None) or getattr(error, "context_mark", None)
        where = self.start if mark is None else Where(self.file, mark.line + 1, mark.column + 1)
        self._problem(where, "syntax", f"broken YAML: {_said(error, _character(text, where))}")

    def _mapping(self) -> Mapping | None:
        match self.top:
            case Mapping():
                return self.top
            case None | RefusedNode():
                return Mapping(self.start, "", self.start)
            case Scalar() if self.top.empty:
                return Mapping(self.start, "", self.start)
            case _:
                message = "a configuration file is a mapping of sections (users:, rules: …)"
                self._problem(self.top.at, "wrong-kind", message)
                return None


def _character(text: str, where: Where) -> str:
    lines = text.split("\n")
    line = lines[where.line - 1] if where.line <= len(lines) else ""
    return line[where.column - 1 : where.column]


def _said(error: Exception, character: str) -> str:
    problem = str(getattr(error, "problem", None) or error)
    context = getattr(error, "context", None)
    if character == "\t":
        return "a tab cannot indent here; write spaces"
    if "mapping values are not allowed" in problem:
        return "a second ': ' in one line, or a wrong indent; put the value in quotes, or begin a new line"
    return f"{problem} ({context})" if context else problem


def walk(node: Node) -> Iterator[Node]:
    """`node` and everything below it, in the order written."""
    pending = [node]
    while pending:
        here = pending.pop()
        yield here
        match here:
            case Sequence():
                pending.extend(reversed(here.items))
            case Mapping():
                pending.extend(reversed(here.entries.values()))


def plain(node: Node) -> Any:
    """The node as lists, dicts and text: for the configuration's hash. Depth is capped, so this may recurse."""
    match node:
        case Scalar():
            return node.text
        case Sequence():
            return [plain(item) for item in node.items]
        case Mapping():
            return {key: plain(value) for key, value in node.entries.items()}
        case _:
            return None
