"""Sections whose keys depend on `type`: the options that an installed kind declares become shapes."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jmespath
import jmespath.exceptions

from tocsin.model import Millis, Option
from tocsin.settings.document import nodes, scalars
from tocsin.settings.document.nodes import Node, Scalar
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.secrets import SecretShape
from tocsin.settings.document.shapes import (
    BROKEN,
    LEFT_OUT,
    Choice,
    Flag,
    Got,
    Key,
    Name,
    Nothing,
    Record,
    Shape,
    Table,
    WholeNumber,
    Word,
    text,
    wrong_kind,
)
from tocsin.settings.plugins import COMING, INSTALLED, BrokenKind, Group
from tocsin.settings.sections.phones import PHONE

SINGULAR: Mapping[Group, str] = {"sources": "integration", "channels": "channel"}

DURATION = Word(
    scalars.duration,
    "a duration",
    "^([0-9]+y)?([0-9]+w)?([0-9]+d)?([0-9]+h)?([0-9]+m)?([0-9]+s)?$",
    "5m",
    "bad-duration",
)
URL = Word(scalars.web_url, "a web address", "^https?://", "https://example.org", "bad-address")
EMAIL = Word(scalars.email, "a mail address", "@", "ana@example.org", "bad-address")
SECRET = SecretShape()

KeysOf = Callable[[Any], Mapping[str, Key]]
"""The common keys of a group's sections, for one kind (None: a kind still to come)."""

Finish = Callable[[Got, Reading, str, Any], Any]
"""(what was read, reading, type, kind) → the model's value."""


@dataclass(frozen=True, eq=False)
class Kinded(Shape[Any]):
    """An integration or channel: `type` decides which options it takes beside the common keys."""

    group: Group
    common: KeysOf
    finish: Finish

    def read(self, node: Node, reading: Reading) -> Any | Nothing:
        if not isinstance(node, nodes.Mapping):
            return wrong_kind(node, reading, f"a mapping {{type: …}} that describes one {SINGULAR[self.group]}")
        written = node.entries.get("type")
        if written is None:
            types = ", ".join(reading.kinds.types(self.group))
            if not node.cut:
                reading.error(node, "missing-key", f"'type' is missing; write one of {types}", at=node.key_at)
            return BROKEN
        if not isinstance(written, Scalar) or written.empty:
            return wrong_kind(written, reading, "the name of a type")
        return self._read_as(written, node, reading)

    def _read_as(self, written: Scalar, node: nodes.Mapping, reading: Reading) -> Any | Nothing:
        type = written.text
        kind = reading.kinds.kind(self.group, type)
        if isinstance(kind, BrokenKind):
            reading.error(
                written, "unknown-type", f"the {SINGULAR[self.group]} type '{type}' cannot be loaded: {kind.because}"
            )
            return BROKEN
        if kind is None and type not in COMING[self.group]:
            types = reading.kinds.types(self.group)
            hint = scalars.did_you_mean(type, types) or f"; write one of {', '.join(types)}"
            reading.error(written, "unknown-type", f"no such {SINGULAR[self.group]} type '{type}'{hint}")
            return BROKEN
        options = COMING[self.group][type] if kind is None else kind.options
        record = Record(f"a {SINGULAR[self.group]}", self._keys(type, kind, options), self._make(type, kind))
        return record.read(node, reading)

    def _keys(self, type: str, kind: Any, options: Mapping[str, Option]) -> dict[str, Key]:
        own = {
            name: Key(shape_of(type, name, option), option.help, option.required) for name, option in options.items()
        }
        return {"type": Key(text(), "which kind it is", required=True), **own, **self.common(kind)}

    def _make(self, type: str, kind: Any) -> Callable[[Got, Reading], Any]:
        def make(got: Got, reading: Reading) -> Any:
            if kind is not None:
                return self.finish(got, reading, type, kind)
            because = f"the {SINGULAR[self.group]} type '{type}' has no effect yet"
            reading.warn(got.at("type"), "no-effect-yet", f"{because}; '{got.name}' is left out")
            return LEFT_OUT

        return make

    def schema(self) -> dict[str, Any]:
        return {
            "type": "object",
            "required": ["type"],
            "properties": {"type": {"enum": INSTALLED.types(self.group)}},
            "allOf": [self._when(type) for type in INSTALLED.types(self.group)],
        }

    def _when(self, type: str) -> dict[str, Any]:
        kind = INSTALLED.kind(self.group, type)
        if kind is None or isinstance(kind, BrokenKind):
            kind = None
        options = COMING[self.group].get(type, {}) if kind is None else kind.options
        record = Record("", self._keys(type, kind, options), lambda got, _reading: got).schema()
        record["properties"]["type"] = {"const": type}
        return {"if": {"required": ["type"], "properties": {"type": {"const": type}}}, "then": record}


MAP_KEYS = (
    "each", "dedup_key", "status", "resolved_when", "title", "description", "severity", "service", "source",
    "labels", "links", "started_at", "ended_at",
)  # fmt: skip
DEEPEST = 60
LITERAL_MAP_KEYS = frozenset({"resolved_when"})  # compared with what `status` yields; not an expression


def jmespath_expression(written: str) -> str:
    """A JMESPath expression that compiles."""
    shown = scalars.short(written)
    try:
        tree = jmespath.compile(written).parsed
    except RecursionError:
        raise scalars.Mistake(f"'{shown}' is nested too deeply; write a plainer one") from None
    except (jmespath.exceptions.JMESPathError, ValueError) as error:
        first = str(error).strip().partition("\n")[0] or type(error).__name__
        raise scalars.Mistake(f"'{shown}' is not a JMESPath expression: {scalars.short(first)}") from None
    if _depth(tree) > DEEPEST:
        raise scalars.Mistake(f"'{shown}' has more than {DEEPEST} steps within each other; write a plainer one")
    return written


def _depth(tree: Any) -> int:
    """The depth to which an expression is nested; walking it for an alert goes as deep."""
    deepest, level = 0, [tree]
    while level:
        deepest += 1
        level = [child for node in level for child in node.get("children", ()) if isinstance(child, dict)]
    return deepest


EXPRESSION = Word(jmespath_expression, "a JMESPath expression", example="alerts[].labels", code="bad-expression")
_PICKED_APART = Record(
    "a map of JMESPath expressions",
    {
        name: Key(
            text("the word that means resolved") if name in LITERAL_MAP_KEYS else EXPRESSION,
            f"{'the status that means resolved' if name in LITERAL_MAP_KEYS else f'where {name} is found'}",
        )
        for name in MAP_KEYS
    },
    lambda got, _reading: dict(got.values),
)


def shape_of(type: str, name: str, option: Option) -> Shape[Any]:
    """The shape of a declared option."""
    match option.kind:
        case "secret":
            return SECRET
        case "url":
            return URL
        case "int":
            return WholeNumber(option.least, option.most)
        case "flag":
            return Flag()
        case "duration":
            return _bounded(option)
        case "choice":
            return Choice(option.choices)
        case "phone":
            return PHONE
        case "email":
            return EMAIL
        case "map":
            return _PICKED_APART if (type, name) == ("webhook", "map") else Table(text())
        case "keys":
            return Table(_NAMED_KEY, scalars.name)
        case _:
            return text(option.help)


def _named_key(got: Got, _reading: Reading) -> dict[str, Any]:
    return {"key": got.get("key"), "service": got.get("service")}


def _bounded(option: Option) -> Word[Millis]:
    def parse(written: str) -> Millis:
        length = scalars.duration(written)
        if option.least is not None and length < option.least:
            raise scalars.Mistake(f"'{written}' is too short; write {scalars.spell(Millis(option.least))} or more")
        if option.most is not None and length > option.most:
            raise scalars.Mistake(f"'{written}' is too long; write {scalars.spell(Millis(option.most))} or less")
        return length

    return Word(parse, "a duration", DURATION.pattern, "30s", "bad-duration")


_NAMED_KEY = Record(
    "a key",
    {
        "key": Key(SECRET, "the key that senders use", required=True),
        "service": Key(Name("services"), "the service of alerts that come with this key"),
    },
    _named_key,
)
