"""Sections schedules and policies: who is on call when, and whom an escalation asks in which order."""

from __future__ import annotations

from typing import Any

from tocsin.decide.oncall.resolver import local_instant
from tocsin.model import MINUTE, PRIORITIES, Layer, Millis, Only, Override, Policy, Rotation, Schedule, Step
from tocsin.settings.document import scalars
from tocsin.settings.document.nodes import Mapping, Node, Sequence
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.shapes import (
    BROKEN,
    Choice,
    Either,
    Got,
    Key,
    Many,
    Name,
    Never,
    Nothing,
    Record,
    Shape,
    Table,
    WholeNumber,
    Word,
)
from tocsin.settings.sections.coverage import HOLIDAYS, HOURS
from tocsin.settings.sections.ical import ICAL
from tocsin.settings.sections.plugin_options import DURATION
from tocsin.settings.sections.shared import (
    DAYS,
    LINE,
    LOCAL,
    NEVER_OR_TIME,
    TARGETS,
    ZONE,
    default_zone,
)

# ------------------------------------------------------------------------------------- rotations


def _rotation(got: Got, reading: Reading) -> Rotation | Nothing:
    length, unit = got.get("every")
    if got.has("days") and unit in ("hours", "months"):
        message = (
            f"days do not go with turns of {unit}; write every: 1d or 1w, or cut the layer with hours: {{days: …}}"
        )
        reading.error(got.at("days"), "rotation", message, at=got.at("days").key_at)
        return BROKEN
    return Rotation(length, unit, got.get("start"), got.get("days"))


ROTATION = Record(
    "a rotation",
    {
        "every": Key(
            Word(scalars.turn_length, "a turn's length", "^[0-9]+(h|d|w|mo)$", "1w"),
            "how long a turn is: 12h, 1d, 1w, 2w, 1mo",
            required=True,
        ),
        "start": Key(LOCAL, "when the first turn begins, in the schedule's zone", required=True),
        "days": Key(DAYS, "turns count these days only"),
    },
    _rotation,
)

_TURN: Shape[Any] = Either(word=Name("users"), listed=Many(Name("users"), least=1))


def _layer(got: Got, reading: Reading) -> Layer:
    turns = tuple((turn,) if isinstance(turn, str) else turn for turn in got.get("users"))
    misspelt = set(got.node.entries) - LAYER.keys.keys()
    if len(turns) > 1 and not got.has("rotation") and not got.node.cut and not misspelt:
        reading.warn(got.at("users"), "no-rotation", "without a rotation only the first entry is ever on call")
    return Layer(
        got.get("name", ""), turns, got.get("rotation"), got.get("hours", ()), got.get("timezone", ""), got.get("end"),
        got.get("holidays"),
    )  # fmt: skip


LAYER = Record(
    "a layer",
    {
        "name": Key(LINE, "shown beside the shift"),
        "users": Key(
            Many(_TURN, least=1, alone=True),
            "whose turn it is, in order; a list in the list: on call together",
            required=True,
        ),
        "timezone": Key(ZONE, "the zone of this layer's handoffs, hours, holidays and end", shown="the schedule's"),
        "rotation": Key(ROTATION, "when turns change", shown="the first entry, always"),
        "end": Key(LOCAL, "from then on nobody of this layer is on call", shown="never"),
        "hours": Key(HOURS, "cuts the coverage, not the turns; one window or a list of them", shown="always"),
        "holidays": Key(HOLIDAYS, "days that it does not cover, or the only ones that it covers", shown="none"),
    },
    _layer,
)


def _check_ends(got: Got, zone: str, reading: Reading) -> bool:
    """Whether each layer's end lies after its start. Only now is the zone known in which both are meant."""
    node, sound = got.at("layers"), True
    for place, layer in enumerate(got.get("layers", ())):
        if layer.end is None or layer.rotation is None:
            continue
        start, end = (local_instant(text, layer.timezone or zone) for text in (layer.rotation.start, layer.end))
        if end <= start:
            here = _written_end(node, place)
            message = f"'{_shown(layer.end)}' is not after the rotation's start, '{_shown(layer.rotation.start)}'"
            reading.error(here, "layer-end", f"{message}; write a later time, or remove the layer")
            sound = False
    return sound


def _written_end(layers: Node, place: int) -> Node:
    """The node of that layer's end."""
    entry = layers.items[place] if isinstance(layers, Sequence) and place < len(layers.items) else layers
    return entry.entries.get("end", entry) if isinstance(entry, Mapping) else entry


# ------------------------------------------------------------------------------------- overrides


def _override(got: Got, reading: Reading) -> Override | Nothing:
    users = _who(got, reading)
    if users is None:
        return BROKEN
    start, end = got.get("from"), got.get("to")
    if end <= start:
        reading.error(
            got.at("to"), "override", f"'{_shown(end)}' is not after the override's beginning, '{_shown(start)}'"
        )
        return BROKEN
    mode = got.get("mode", "replace")
    if got.has("replaces") and (mode == "add" or (mode == "remove" and users)):
        message = f"does not go with mode: {mode}; write one or the other"
        reading.error(got.at("replaces"), "override", message, at=got.at("replaces").key_at)
        return BROKEN
    return Override(users, start, end, got.get("replaces"), mode)


def _who(got: Got, reading: Reading) -> tuple[str, ...] | None:
    if got.has("user") and got.has("users"):
        reading.error(got.at("users"), "override", "write user or users, not both", at=got.at("users").key_at)
        return None
    users: tuple[str, ...] = (got.get("user"),) if got.get("user") else got.get("users", ())
    if not users and not got.has("user") and not got.has("users") and got.get("mode") != "remove":
        reading.error(got.node, "missing-key", "'user' is missing (who takes over)", at=got.node.at)
        return None
    return users


def _shown(local: str) -> str:
    return local.replace("T", " ")


OVERRIDE = Record(
    "an override",
    {
        "user": Key(Name("users"), "who takes over"),
        "users": Key(Many(Name("users"), least=1), "several people who take over together"),
        "replaces": Key(Name("users"), "only this person's turns", shown="the whole window"),
        "from": Key(LOCAL, "when it begins, in the schedule's zone", required=True),
        "to": Key(LOCAL, "when it ends", required=True),
        "mode": Key(Choice(("replace", "add", "remove")), "what it does to who is there", shown="replace"),
    },
    _override,
)


def _schedule(got: Got, reading: Reading) -> Schedule | Nothing:
    if not got.has("layers") and not got.has("ical") and not got.node.cut:
        reading.error(got.node, "missing-key", "'layers' is missing (who takes turns)", at=got.node.key_at)
        return BROKEN
    if got.get("layers") == () and not got.has("ical"):
        reading.error(got.at("layers"), "empty", "is an empty list; write at least one entry")
        return BROKEN
    zone = got.get("timezone") or default_zone(reading)
    if not _check_ends(got, zone, reading):
        return BROKEN
    return Schedule(
        got.name,
        zone,
        got.get("layers", ()),
        got.get("overrides", ()),
        got.get("handoff_notice"),
        ical=got.get("ical"),
    )


SCHEDULES = Table(
    Record(
        "a schedule",
        {
            "timezone": Key(ZONE, "the zone of its times, unless a layer has its own", shown="defaults.timezone"),
            "layers": Key(Many(LAYER), "who takes turns; later layers win where they cover"),
            "overrides": Key(Many(OVERRIDE), "beat the layers, in the order written"),
            "ical": Key(ICAL, "shifts imported from a feed; the layer below all others"),
            "handoff_notice": Key(DURATION, "how long before a shift its people are told; and again when it begins"),
        },
        _schedule,
    ),
    scalars.name,
    "schedules",
)

# -------------------------------------------------------------------------------------- policies

_FIVE = Millis(5 * MINUTE)
_THIRTY = Millis(30 * MINUTE)

_ONLY = Record(
    "a condition",
    {
        "priority": Key(Many(Choice(PRIORITIES), least=1, alone=True), "these priorities"),
        "urgency": Key(Many(Choice(("high", "medium", "low")), least=1, alone=True), "these urgencies"),
        "hours": Key(Choice(("support", "off")), "inside or outside the service's support_hours"),
    },
    lambda got, _reading: Only(got.get("priority", ()), got.get("urgency", ()), got.get("hours", "")),
)

STEP = Record(
    "a step",
    {
        "notify": Key(TARGETS, "whom it pages", required=True),
        "wait": Key(DURATION, "how long until the next step", shown="5m"),
        "only": Key(_ONLY, "when the step applies", shown="always"),
        "pick": Key(Choice(("all", "one")), "page all of them, or one of them", shown="all"),
    },
    lambda got, _reading: Step(
        got.get("notify"), got.get("wait", _FIVE), got.get("only", Only()), got.get("pick", "all")
    ),
)

POLICIES = Table(
    Record(
        "a policy",
        {
            "steps": Key(Many(STEP, least=1), "whom to page, one step after the other", required=True),
            "repeat": Key(Never(WholeNumber(0, 1000), "forever", None), "how often the steps are repeated", shown="2"),
            "ack_timeout": Key(NEVER_OR_TIME, "acknowledged but not resolved for so long: page again", shown="30m"),
        },
        lambda got, _reading: Policy(got.name, got.get("steps"), got.get("repeat", 2), got.get("ack_timeout", _THIRTY)),
    ),
    scalars.name,
    "policies",
)
