"""Sections that keep alerts quiet: inhibitions and maintenance, and services that depend on others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tocsin.decide.muting.dependencies import circle_of
from tocsin.decide.muting.maintenance import span_of
from tocsin.model import Defaults, Inhibition, Maintenance, Service
from tocsin.settings.document import scalars
from tocsin.settings.document.nodes import Mapping as MappingNode
from tocsin.settings.document.nodes import Node
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.shapes import BROKEN, Got, Key, Many, Nothing, Record, Word, text
from tocsin.settings.sections.shared import LINE, MATCHERS, SOME_TIME, ZONE


def _inhibition(got: Got, _reading: Reading) -> Inhibition:
    return Inhibition(got.get("name", ""), got.get("source"), got.get("target"), got.get("equal", ()))


INHIBITION = Record(
    "an inhibition",
    {
        "name": Key(LINE, "shown where it mutes", shown="its place in the list: 1, 2 …"),
        "source": Key(MATCHERS, "while an alert like this fires …", required=True),
        "target": Key(MATCHERS, "… alerts like this do not page", required=True),
        "equal": Key(Many(text("a label's name"), alone=True), "where these labels are the same"),
    },
    _inhibition,
)


def named(written: Sequence[Inhibition]) -> tuple[Inhibition, ...]:
    """The inhibitions, each with a name: its own, or else its place."""
    return tuple(one if one.name else replace(one, name=str(place)) for place, one in enumerate(written, start=1))


def _maintenance(got: Got, reading: Reading) -> Maintenance | Nothing:
    repeated, once = {"every", "for"}, {"from", "to"}
    written = {key for key in (*repeated, *once) if got.has(key)}
    if written not in (repeated, once):
        message = "write every: and for: (a repeated window), or from: and to: (once)"
        reading.error(got.node, "maintenance", message, at=got.node.at)
        return BROKEN
    defaults = reading.values.get("defaults") or Defaults()
    days, minute = got.get("every", (frozenset(), None))
    window = Maintenance(
        got.get("name"), got.get("match"), got.get("timezone", defaults.timezone), days, minute, got.get("for", 0),
        got.get("from", ""), got.get("to", ""),
    )  # fmt: skip
    if any(key not in got.values for key in written):
        return BROKEN  # what one of them says is no time, which was told
    if window.minute is None and not _has_length(window):
        reading.error(got.at("to"), "maintenance", "is not after the window's beginning")
        return BROKEN
    return window


def _has_length(window: Maintenance) -> bool:
    """Whether a window has a length in real time: a window within the hour that the clocks skip has none."""
    start, end = span_of(window)
    return start < end


MAINTENANCE = Record(
    "a maintenance window",
    {
        "name": Key(LINE, "shown where it mutes; unique", required=True),
        "match": Key(MATCHERS, "alerts like this do not page", required=True),
        "every": Key(Word(scalars.weekly_time, "a repeated time", "", "Sun 02:00"), "when it begins, each week or day"),
        "for": Key(SOME_TIME, "how long it lasts"),
        "from": Key(Word(scalars.local_time, "a local time"), "when it begins, once"),
        "to": Key(Word(scalars.local_time, "a local time"), "when it ends"),
        "timezone": Key(ZONE, "the zone of these times", shown="defaults.timezone"),
    },
    _maintenance,
)


def check_windows(windows: Sequence[Maintenance], nodes: Sequence[Node], reading: Reading) -> None:
    """A window's name names it in timelines, so each is unique."""
    seen: dict[str, Node] = {}
    for node in nodes:
        name = node.entries.get("name") if isinstance(node, MappingNode) else None
        text_of = getattr(name, "text", None)
        if name is None or text_of is None:
            continue
        first = seen.setdefault(text_of, name)
        if first is not name:
            message = f"a maintenance window '{text_of}' exists already ({first.at}); names are unique"
            reading.error(name, "duplicate-name", message)


def check_circles(services: Mapping[str, Service], entries: Mapping[str, Node], reading: Reading) -> None:
    """Services that depend on each other in a circle would keep each other quiet."""
    circle = circle_of({name: [one for one in service.depends_on if one != name] for name, service in services.items()})
    if circle:
        node = entries[circle[0]]
        key = node.entries.get("depends_on") if isinstance(node, MappingNode) else None
        way = " → ".join([*circle, circle[0]])
        message = f"goes in a circle: {way}; none of them would page: take one of these out"
        reading.error(key or node, "contradiction", message)
