"""Shapes that several sections share: lengths, zones, targets, matchers, templates, weekly hours."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

from tocsin.decide.routing import matchers, templates
from tocsin.model import PRIORITIES, SEVERITIES, Hours, Millis, Support, Target
from tocsin.settings.document import scalars
from tocsin.settings.document.nodes import Mapping, Node, Scalar
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import Mistake, duration, zone
from tocsin.settings.document.shapes import (
    BROKEN,
    LEFT_OUT,
    Choice,
    Got,
    Key,
    Many,
    Never,
    Nothing,
    Record,
    Shape,
    Word,
    text,
)
from tocsin.settings.sections.holidays import DaysOff
from tocsin.settings.sections.plugin_options import DURATION

ALL_DAYS = frozenset(range(7))


def _some(written: str) -> Millis:
    length = duration(written)
    if length == 0:
        raise Mistake(f"'{written}' is no time at all; write for example 5m")
    return length


SOME_TIME = Word(_some, "a duration above zero", DURATION.pattern, "5m", "bad-duration")
ZONE = Word(zone, "a time zone", "", "Europe/Paris", "unknown-zone")
CLOCK = Word(scalars.clock_time, "a clock time", "^([01][0-9]|2[0-3]):[0-5][0-9]$", "09:00")
LOCAL = Word(scalars.local_time, "a local time", "^[0-9-]{10}[ T][0-9:]{5}$", "2026-01-05 09:00")
SEVERITY = Choice(SEVERITIES)
URGENCY = Choice(("high", "medium", "low"))
IMPACT = Choice(("high", "medium", "low"))
PRIORITY = Choice(PRIORITIES)
LINE = text(longest=500)


def _matcher(text: str) -> str:
    matchers.refuse_typographic(text)
    return _known_matcher(text)


def _known_matcher(text: str) -> str:
    matchers.parse(text)
    return text


_MATCHER = Word(_matcher, "a matcher", "", 'alertname=~"Node.*"', "bad-matcher")


class _Matcher(Shape[str]):
    """A matcher. On the last good configuration one is taken that an earlier version took."""

    def read(self, node: Node, reading: Reading) -> str | Nothing:
        return (replace(_MATCHER, parse=_known_matcher) if reading.lenient_secrets else _MATCHER).read(node, reading)

    def schema(self) -> dict[str, Any]:
        return _MATCHER.schema()


MATCHER = _Matcher()
MATCHERS = Many(MATCHER, alone=True)


def _template(written: str) -> str:
    if not written.strip():
        raise Mistake("is empty; leave the key out, or write a text or template")
    templates.template(written)
    return written


TEMPLATE = Word(
    _template, "a text or Jinja2 template", "", "{{ labels.alertname }} in {{ labels.cluster }}", "bad-template"
)


def is_template(written: str) -> bool:
    return "{{" in written or "{%" in written


# ------------------------------------------------------------------------------------ days, hours


class _Days(Shape[frozenset[int]]):
    """`Sat`, `Mon-Fri`, or a list of these."""

    _several = Many(Word(scalars.days, "a day or range of days"), least=1, alone=True)

    def read(self, node: Node, reading: Reading) -> frozenset[int] | Nothing:
        found = self._several.read(node, reading)
        return found if isinstance(found, Nothing) else frozenset().union(*found)

    def schema(self) -> dict[str, Any]:
        return self._several.schema()


DAYS = _Days()

HOURS_KEYS = {
    "days": Key(DAYS, "on which days; absent: every day", shown="every day"),
    "from": Key(CLOCK, "from this clock time; later than `to`: overnight, of its starting day", shown="00:00"),
    "to": Key(CLOCK, "to this clock time; equal to `from`: the whole day", shown="00:00"),
}


def hours(got: Got, reading: Reading) -> Hours:
    """Weekly hours; one end without the other is a mistake."""
    both_ends(got, reading)
    return Hours(got.get("days", ALL_DAYS), got.get("from", 0), got.get("to", 0))


def both_ends(got: Got, reading: Reading) -> None:
    """Report where `from` stands without `to`, or `to` without `from`."""
    for one, other in (("from", "to"), ("to", "from")):
        if got.has(one) and not got.has(other):
            reading.error(
                got.node, "missing-key", f"'{other}' is missing; '{one}' alone says nothing", at=got.at(one).key_at
            )


SUPPORT_KEYS = {
    "timezone": Key(ZONE, "the zone of these hours", shown="defaults.timezone"),
    **HOURS_KEYS,
    "holidays": Key(DaysOff(), "days off: a country (PT, DE-BY), a file of dates, or a list of dates", shown="none"),
}


def support(got: Got, reading: Reading) -> Support:
    return Support(got.get("timezone") or default_zone(reading), (hours(got, reading),), got.get("holidays", ()))


def default_zone(reading: Reading) -> str:
    defaults = reading.values.get("defaults")
    return defaults.timezone if defaults is not None else "UTC"


SUPPORT = Record("weekly hours", SUPPORT_KEYS, support)
NEVER_OR_TIME: Shape[Millis | None] = Never(SOME_TIME, "never", None)  # type: ignore[arg-type]  # Shape is covariant here


# ---------------------------------------------------------------------------------------- targets


@dataclass(frozen=True, eq=False)
class _TargetShape(Shape[Target]):
    """A person, schedule or channel to page, by name; the name must exist."""

    def read(self, node: Node, reading: Reading) -> Target | Nothing:
        slip = _slip(node)
        if slip:
            reading.error(node, "bad-target", slip)
            return BROKEN
        found = Word(scalars.target, "a target such as user:ana or schedule:primary", code="bad-target").read(
            node, reading
        )
        return found if isinstance(found, Nothing) else _existing(found, node, reading)

    def schema(self) -> dict[str, Any]:
        kinds = "|".join(scalars.TARGET_KINDS)
        return {"type": "string", "pattern": f"^({kinds}):.+$", "examples": ["schedule:primary", "user:ana"]}


def _slip(node: Node) -> str | None:
    """`[schedule: primary]`: a space makes it a mapping."""
    if not isinstance(node, Mapping) or len(node.entries) != 1:
        return None
    ((kind, value),) = node.entries.items()
    if not isinstance(value, Scalar) or kind not in scalars.TARGET_KINDS:
        return None
    return f"'{kind}: {value.text}' with a space is a mapping in YAML; write {kind}:{value.text}"


_SECTION = {"user": "users", "schedule": "schedules", "team": "teams", "managers": "teams", "channel": "channels"}


def _existing(target: Target, node: Node, reading: Reading) -> Target | Nothing:
    if not reading.knows(node, _SECTION[target.kind], target.name):
        return BROKEN
    match target.kind:
        case "user" if target.suffix:
            return _with_contact(target, node, reading)
        case "channel":
            return _fixed_channel(target, node, reading)
        case _:
            return target


def _with_contact(target: Target, node: Node, reading: Reading) -> Target | Nothing:
    user = reading.values.get("users", {}).get(target.name)
    if user is None or target.suffix in user.contacts:
        return target
    if ("contacts", f"{target.name}/{target.suffix}") in reading.left_out:
        reading.warn(node, "left-out", f"{target} is left out: its channel has no effect now")
        return LEFT_OUT
    hint = scalars.did_you_mean(target.suffix, user.contacts)
    reading.error(node, "unknown-name", f"{target.name} has no contact '{target.suffix}'{hint}")
    return BROKEN


def _fixed_channel(target: Target, node: Node, reading: Reading) -> Target | Nothing:
    if ("channels", target.name) in reading.left_out:
        reading.warn(node, "left-out", f"{target} is left out: this channel has no effect now")
        return LEFT_OUT
    channel = reading.values.get("channels", {}).get(target.name)
    if channel is None or channel.to is not None:
        return target
    kind = reading.kinds.kind("channels", channel.type)
    if getattr(kind, "address", "text") == "text":
        return target
    reading.error(
        node, "no-destination", f"the channel '{target.name}' has no fixed destination; give it `to:`, or name a user"
    )
    return BROKEN


TARGET = _TargetShape()
TARGETS = Many(TARGET, least=1, alone=True)
