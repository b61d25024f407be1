"""Reader of a configuration, from files to Settings: merge the sections, read each by its shape, check what spans
several.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from collections.abc import Sequence as Seq
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import MappingProxyType
from typing import Any, cast

from tocsin.model import Problem, Settings, Where
from tocsin.settings.catalogue import SECTIONS, Section
from tocsin.settings.document import shapes
from tocsin.settings.document.files import File
from tocsin.settings.document.nodes import Mapping as MappingNode
from tocsin.settings.document.nodes import Node, RefusedNode, Scalar, Sequence, plain
from tocsin.settings.document.reading import SINGULAR, Reading
from tocsin.settings.document.scalars import did_you_mean, nearest
from tocsin.settings.document.shapes import Nothing, Shape, Table
from tocsin.settings.document.source_map import Entry, Merged, SourceMap, damaged
from tocsin.settings.sections import alerts, muting, people, rules


@dataclass(frozen=True, slots=True)
class Draft:
    """The parts of a configuration that could be read, errors or not: for the lint, never to run with. `damaged`:
    entries with an error in them; `incomplete`: names may be missing that are written somewhere.
    """

    settings: Settings
    written: SourceMap
    damaged: frozenset[Entry]
    incomplete: bool


@dataclass(frozen=True, slots=True)
class Read:
    settings: Settings | None  # None when any problem is an error
    problems: tuple[Problem, ...]
    places: Mapping[tuple[str, str], Where]  # (section, name) → where it is defined
    draft: Draft | None


def read_settings(files: Seq[File], main: Path, database: Path, reading: Reading, problems: Seq[Problem] = ()) -> Read:
    """`files` in the order of their rules, the main file last; `database`: the folder of a relative sqlite path."""
    reading.problems.extend(problems)
    for file in files:
        reading.problems.extend(file.tree.problems)
        reading.incomplete |= file.tree.broken
        reading.folders[file.shown] = file.path.parent
    merged = _merge(files, reading)
    _declare(merged, reading)
    for name, section in SECTIONS.items():
        reading.values[name] = _read_section(name, section, merged[name], reading)
    _check_all(merged, reading)
    settings = _settings(files, main, database, reading)
    draft = _draft(settings, merged, main, reading)
    return Read(None if reading.failed else settings, _in_order(reading.problems, files), _places(merged), draft)


_ONCE = frozenset(name for name, section in SECTIONS.items() if section.kind == "one")
_HIDING = frozenset({"duplicate-key", "include", "documents"})


def _draft(settings: Settings, merged: Mapping[str, Merged], main: Path, reading: Reading) -> Draft:
    written = SourceMap(merged, _ONCE, Where(str(main), 1, 1))
    hidden = any(problem.level == "error" and problem.code in _HIDING for problem in reading.problems)
    places = [*(problem.where for problem in reading.problems if problem.level == "error"), *reading.unsure]
    harmed = frozenset() if reading.full else damaged(merged, _ONCE, places)  # nothing is linted then
    return Draft(settings, written, harmed, reading.incomplete or hidden)


# ---------------------------------------------------------------------------------------- merging


def _merge(files: Seq[File], reading: Reading) -> dict[str, Merged]:
    merged = {name: Merged() for name in SECTIONS}
    for file in files:
        for name, node in file.tree.top.entries.items() if file.tree.top else ():
            if name in SECTIONS:
                _add(name, node, merged[name], reading, is_main=file is files[-1])
            elif name and not reading.full:
                hint = did_you_mean(name, SECTIONS) or f"; known are {', '.join(SECTIONS)}"
                reading.note("error", node.key_at, "unknown-section", f"unknown section '{name}'{hint}")
                meant = nearest(name, SECTIONS)
                if meant is not None:
                    _hide(meant, node, merged[meant], reading)
    return merged


def _add(name: str, node: Node, merged: Merged, reading: Reading, *, is_main: bool) -> None:
    if isinstance(node, RefusedNode):
        reading.incomplete = True
        return
    if name == "include" and not is_main:
        reading.error(node, "include", "only the main file may include others", at=node.key_at)
        return
    match SECTIONS[name].kind:
        case "one" if merged.nodes:
            reading.error(node, "duplicate-section", f"is written in {merged.nodes[0].key_at} already", at=node.key_at)
            merged.hidden.append(node)
        case "one":
            merged.nodes.append(node)
        case "list":
            _add_items(node, merged, reading)
        case _:
            _add_names(name, node, merged, reading)


def _add_items(node: Node, merged: Merged, reading: Reading) -> None:
    match node:
        case Sequence():
            merged.nodes.extend(node.items)
        case Scalar() if node.empty:
            pass
        case _:
            shapes.wrong_kind(node, reading, "a list, each entry begun with '- '")


def _add_names(section: str, node: Node, merged: Merged, reading: Reading) -> None:
    if isinstance(node, Scalar) and node.empty:
        return
    if not isinstance(node, MappingNode):
        shapes.wrong_kind(node, reading, "a mapping of names")
        _hide(section, node, merged, reading)
        return
    for name, entry in node.entries.items():
        first = merged.entries.setdefault(name, entry)
        if first is not entry:
            what = f"a {SINGULAR.get(section, section.removesuffix('s'))} '{name}'"
            message = f"{section}: {what} exists already ({first.key_at}); names are unique"
            reading.note("error", entry.key_at, "duplicate-name", message)
            merged.hidden.append(entry)


def _hide(section: str, node: Node, merged: Merged, reading: Reading) -> None:
    """Mark a section as not read there: nobody is told that its names do not exist, or are not used."""
    merged.hidden.append(node)
    reading.hidden.add(section)


def _declare(merged: Mapping[str, Merged], reading: Reading) -> None:
    """Declare every name before the first value is read, so that references need no second look."""
    for name, section in SECTIONS.items():
        if section.kind == "names":
            reading.declared[name] = {key: node.key_at for key, node in merged[name].entries.items()}
    reading.declared["categories"] = _category_names(merged["categories"])


def _category_names(merged: Merged) -> dict[str, Where]:
    match merged.nodes:
        case [Sequence(items=items)]:
            return {item.text: item.at for item in items if isinstance(item, Scalar)}
        case [MappingNode(entries=entries)]:
            return {name: entry.key_at for name, entry in entries.items()}
        case _:
            return {}


# ---------------------------------------------------------------------------------------- reading


def _read_section(name: str, section: Section, merged: Merged, reading: Reading) -> Any:
    """The section's value; an empty one where it is absent or wrong."""
    written = [*merged.nodes, *merged.entries.values()]
    if section.later and written:
        reading.note("info", _section_at(merged), "no-effect-yet", f"{name}: is valid and has no effect yet")
        reading.without_effect.add(name)
    match section.kind:
        case "names":
            return cast("Table[Any]", section.shape).read_entries(merged.entries, reading)
        case "list":
            return _each(cast("shapes.Many[Any]", section.shape).item, merged.nodes, reading)
        case _:
            values = _each(section.shape, merged.nodes, reading)
            return values[0] if values else None


def _each(shape: Shape[Any], nodes: Seq[Node], reading: Reading) -> tuple[Any, ...]:
    values = [shapes.tried(partial(shape.read, node, reading), node, reading) for node in nodes]
    return tuple(value for value in values if not isinstance(value, Nothing))


def _section_at(merged: Merged) -> Where:
    first = next(iter([*merged.nodes, *merged.entries.values()]))
    return first.key_at


def _check_all(merged: Mapping[str, Merged], reading: Reading) -> None:
    """Check what only the whole configuration can tell."""
    for node in merged["fallbacks"].nodes:
        if isinstance(node, MappingNode):
            written = reading.values["fallbacks"] or {}
            reading.values["fallbacks"] = people.fallbacks(written, node, reading)
    alerts.check_shared_keys(reading.values["integrations"], merged["integrations"].entries, reading)
    rules.check_names(merged["rules"].nodes, reading)
    muting.check_windows(reading.values["maintenance"], merged["maintenance"].nodes, reading)
    muting.check_circles(reading.values["services"], merged["services"].entries, reading)
    _check_catch_all(merged, reading)


def _check_catch_all(merged: Mapping[str, Merged], reading: Reading) -> None:
    """Mandatory as soon as a channel exists that reaches further than the terminal."""
    if merged["catch_all"].nodes or reading.incomplete:
        return
    for name, node in merged["channels"].entries.items():
        type = node.entries.get("type") if isinstance(node, MappingNode) else None
        if isinstance(type, Scalar) and type.text != "console" and type.text in reading.kinds.types("channels"):
            somebody = next(iter(reading.names("users")), "ana")
            message = (
                f"catch_all: is missing, and the channel '{name}' is no console; say who is paged when nobody else "
                f"can be, as in catch_all: [user:{somebody}]"
            )
            reading.note("error", node.key_at, "catch-all", message)
            return


# --------------------------------------------------------------------------------------- settings


def _settings(files: Seq[File], main: Path, database: Path, reading: Reading) -> Settings:
    values = reading.values
    given: dict[str, Any] = {
        "server": values["server"],
        "database": _database(values["database"] or "sqlite:tocsin.db", database),
        "retention": values["retention"],
        "defaults": values["defaults"],
        "heartbeat_out": values["heartbeat_out"],
        "priorities": values["priorities"],
        "throttle": values["throttle"],
        "storm": values["storm"],
        "answers": values["answers"],
        "catch_all": values["catch_all"],
        "rules": values["rules"],
        "categories": tuple(reading.names("categories")),
        "inhibitions": muting.named(values["inhibitions"]),
        "maintenance": values["maintenance"],
        "fallbacks": _frozen(values["fallbacks"]),
    }
    for name in ("integrations", "channels", "users", "teams", "schedules", "policies", "services", "heartbeats"):
        given[name] = _frozen(values[name])
    return Settings(
        hash=_hash(files, reading.attached),
        source=str(main),
        without_effect=tuple(name for name in SECTIONS if name in reading.without_effect),
        **{name: value for name, value in given.items() if value is not None},
    )


def _frozen(values: Mapping[str, Any] | None) -> Mapping[str, Any] | None:
    return MappingProxyType(dict(values)) if values else None


def _database(url: str, folder: Path) -> str:
    scheme, _, rest = url.partition(":")
    return f"sqlite:{folder / rest}" if scheme == "sqlite" and not rest.startswith("/") else url


def _hash(files: Seq[File], tables: Mapping[str, bytes]) -> str:
    """Names what is configured: comments, layout and the files' names do not change it; order does, where it
    means something."""
    contents: list[Any] = [plain(file.tree.top) for file in files if file.tree.top is not None]
    contents += [hashlib.sha256(tables[path]).hexdigest() for path in sorted(tables)]
    canonical = json.dumps(contents, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def _in_order(problems: Seq[Problem], files: Seq[File]) -> tuple[Problem, ...]:
    """Problems in order of file (main first, then as included), line and column."""
    rank = {file.shown: place for place, file in enumerate([*files[-1:], *files[:-1]])}
    order = {"error": 0, "warning": 1, "info": 2}

    def key(problem: Problem) -> tuple[int, str, int, int, int]:
        where = problem.where
        return rank.get(where.file, -1), where.file, where.line, where.column, order[problem.level]

    return tuple(sorted(problems, key=key))


def _places(merged: Mapping[str, Merged]) -> Mapping[tuple[str, str], Where]:
    places = {(section, name): node.key_at for section, part in merged.items() for name, node in part.entries.items()}
    for section, part in merged.items():
        for node in part.nodes:
            places.setdefault((section, ""), node.key_at)
    return MappingProxyType(places)
