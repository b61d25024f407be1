"""Frozen values as rows, and rows as values again.

A table's columns are its dataclass's fields, in the same order, so that writing is an `attrgetter`
and reading is `Cls(*row)`; only mappings, tuples and flags take a detour (JSON text, 0 and 1).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from types import NoneType, UnionType
from typing import Any, Generic, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

import orjson
import zstandard

from tocsin.model import (
    EMPTY,
    Attempt,
    Beat,
    ChangeEvent,
    ContactState,
    Entry,
    FeedCopy,
    Incident,
    Link,
    MadeOverride,
    Page,
    Post,
    Silence,
    StoredAlert,
    Storm,
    Swap,
    Token,
    Tombstone,
    Verification,
)

V = TypeVar("V")
Row = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Shape(Generic[V]):
    """Shape of a table's row, made from a dataclass. `fixed` columns are never changed after the insert."""

    cls: Callable[..., V]
    columns: tuple[str, ...]
    types: tuple[str, ...]  # PostgreSQL's names; SQLite needs none
    key: tuple[str, ...]
    fixed: frozenset[str]
    given: tuple[str, ...]  # columns an insert gives; the store makes the others
    detours: tuple[tuple[int, Callable[[Any], Any], Callable[[Any], Any] | None], ...]
    pick: Callable[[V], Row]

    def row(self, value: V) -> Row:
        """The `given` columns of `value`, in order. Raises TypeError for what JSON cannot hold."""
        row = self.pick(value)
        if not self.detours:
            return row
        changed = list(row)
        for index, _, dump in self.detours:
            if dump is not None:
                changed[index] = dump(changed[index])
        return tuple(changed)

    def value(self, row: Sequence[Any]) -> V:
        """The value that all `columns` of one row make."""
        if not self.detours:
            return self.cls(*row)
        changed = list(row)
        for index, load, _ in self.detours:
            changed[index] = load(changed[index])
        return self.cls(*changed)

    def values(self, rows: Iterable[Sequence[Any]]) -> list[V]:
        return [self.value(row) for row in rows]

    def key_of(self, row: Row) -> Row:
        return tuple(row[self.given.index(name)] for name in self.key)


def shape(
    cls: Callable[..., V], *, key: Sequence[str], fixed: Sequence[str] = (), made: Sequence[str] = ()
) -> Shape[V]:
    """The shape of a dataclass. `made` names trailing columns the database fills in itself."""
    hints = get_type_hints(cls)
    columns = tuple(hints)
    given = tuple(name for name in columns if name not in made)
    detours = tuple(
        (index, *detour) for index, name in enumerate(columns) if (detour := detour_of(name, hints[name])) is not None
    )
    return Shape(
        cls=cls,
        columns=columns,
        types=tuple(type_of(hints[name]) for name in columns),
        key=tuple(key),
        fixed=frozenset((*key, *fixed)),
        given=given,
        detours=detours,
        pick=attrgetter(*given),
    )


def type_of(hint: Any) -> str:
    """The column type that holds values of this annotation."""
    hint = plain(hint)
    if hint is bool:
        return "boolean"
    if hint is int:
        return "bigint"
    if hint is bytes:
        return "bytea"
    return "text"


def plain(hint: Any) -> Any:
    """The annotation without `| None`, `NewType` and `Literal` around it."""
    if get_origin(hint) in (Union, UnionType):
        (hint,) = [part for part in get_args(hint) if part is not NoneType]
    if get_origin(hint) is Literal:
        return str
    return getattr(hint, "__supertype__", hint)


def detour_of(name: str, hint: Any) -> tuple[Callable[[Any], Any], Callable[[Any], Any] | None] | None:
    """Functions that load and dump this column's values; None: they go in and come out as they are."""
    hint = plain(hint)
    if hint is bool:
        return bool, None
    if hint is bytes:
        return inflate, deflate
    if name == "links":
        return load_links, dump
    if get_origin(hint) is tuple:
        return load_pairs if get_origin(get_args(hint)[0]) is tuple else load_tuple, dump
    if isinstance(get_origin(hint), type) and issubclass(get_origin(hint), Mapping):
        return load_mapping, dump
    return None


IDLE_COMPRESSORS: list[zstandard.ZstdCompressor] = []  # making one costs more than using it; no two threads share one


ZSTD = b"\x28\xb5\x2f\xfd"  # how a zstd frame begins (RFC 8878)
SMALL = 2_048  # bytes; compressing less costs more than it saves


def deflate(body: bytes) -> bytes:
    """A posted body as it is kept: zstd, or as it is when it is small."""
    if len(body) <= SMALL and not body.startswith(ZSTD):
        return body
    try:
        compressor = IDLE_COMPRESSORS.pop()
    except IndexError:
        compressor = zstandard.ZstdCompressor(level=1)
    kept = compressor.compress(body)
    IDLE_COMPRESSORS.append(compressor)
    return kept


def inflate(kept: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(kept) if kept.startswith(ZSTD) else kept


def dump(value: Any) -> str:
    """As JSON text; the empty ones are most of them and cost nothing."""
    if not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    return orjson.dumps(value, default=as_dict, option=orjson.OPT_NON_STR_KEYS).decode()


def as_dict(value: Any) -> Any:
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, (set, frozenset)):
        return sorted(value)
    raise TypeError(f"{type(value).__name__} cannot be kept as JSON")


def load_mapping(text: str) -> Mapping[str, Any]:
    return EMPTY if text == "{}" else cast(Mapping[str, Any], orjson.loads(text))


def load_tuple(text: str) -> tuple[Any, ...]:
    return () if text == "[]" else tuple(orjson.loads(text))


def load_pairs(text: str) -> tuple[tuple[Any, ...], ...]:
    return () if text == "[]" else tuple(map(tuple, orjson.loads(text)))


def load_links(text: str) -> tuple[Link, ...]:
    return () if text == "[]" else tuple(Link(**link) for link in orjson.loads(text))


ALERT = shape(StoredAlert, key=["id"], fixed=["integration", "source_key", "post", "received_at"])
TOMBSTONE = shape(Tombstone, key=["integration", "source_key"])
POST = shape(Post, key=["id"])
INCIDENT = shape(Incident, key=["number"], fixed=["created_at", "opened_by"])
ENTRY = shape(Entry, key=["id"], made=["id"])
SILENCE = shape(Silence, key=["id"])
CHANGE = shape(ChangeEvent, key=["id"], made=["id"])
PAGE = shape(Page, key=["id"], fixed=["key", "kind", "incident", "created_at"])
ATTEMPT = shape(Attempt, key=["id"], fixed=["page", "incident", "number", "started_at"])
CONTACT_STATE = shape(ContactState, key=["channel_kind", "address"])
VERIFICATION = shape(Verification, key=["user", "channel_kind", "address"])
FEED = shape(FeedCopy, key=["schedule"])
TOKEN = shape(Token, key=["id"], fixed=["created_at"])
BEAT = shape(Beat, key=["name"])
STORM = shape(Storm, key=["scope"])
OVERRIDE = shape(MadeOverride, key=["id"], fixed=["schedule", "created_at"])
SWAP = shape(Swap, key=["id"], fixed=["schedule", "created_at"])

SHAPES: Mapping[str, Shape[Any]] = {
    "alert": ALERT,
    "tombstone": TOMBSTONE,
    "post": POST,
    "incident": INCIDENT,
    "entry": ENTRY,
    "silence": SILENCE,
    "change": CHANGE,
    "page": PAGE,
    "attempt": ATTEMPT,
    "contact_state": CONTACT_STATE,
    "verification": VERIFICATION,
    "feed": FEED,
    "token": TOKEN,
    "beat": BEAT,
    "storm": STORM,
    "override": OVERRIDE,
    "swap": SWAP,
}
