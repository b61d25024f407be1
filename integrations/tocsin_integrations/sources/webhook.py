"""Webhook source for any JSON: Tocsin's own plain shape, or another tool's picked apart by JMESPath (`map`).

Without `map` a body is one alert, a list of alerts or {"alerts": [...]}, each with the names below;
the least that pages is {"title": "..."}. With `map` each name is an expression (https://jmespath.org).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

from tocsin.contracts import Source
from tocsin.errors import BadBody
from tocsin.model import Alert, Instant, IntegrationConfig, Option, Parsed, Rejected, SignalStatus
from tocsin_integrations.common.jmespath_steps import search
from tocsin_integrations.common.json_fields import (
    instant_of,
    key_of,
    labels_of,
    links_of,
    read_json,
    rounded,
    severity_of,
    text,
)

ALIASES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "status": ("status", "state"),
        "dedup_key": ("dedup_key", "key", "fingerprint", "alias", "id"),
        "severity": ("severity", "level", "priority"),
        "title": ("title", "summary", "message"),
        "description": ("description", "details", "body"),
        "service": ("service",),
        "source": ("source", "host"),
        "labels": ("labels", "tags"),
        "links": ("links", "link", "url"),
        "started_at": ("started_at", "timestamp", "time"),
        "ended_at": ("ended_at",),
    }
)
"""What each part of an alert may be called; the first one present is taken."""

NAMES = ("each", "resolved_when", *ALIASES)
"""What `map` may hold."""

STATUS_OF: Mapping[str, SignalStatus] = MappingProxyType(
    {
        **dict.fromkeys(("resolved", "resolve", "ok", "closed", "close", "up", "recovered", "recovery", "normal",
                         "cleared", "inactive", "healthy", "passing", "success", "0"), "resolved"),
        **dict.fromkeys(("acknowledged", "acknowledge", "acked", "ack"), "acknowledged"),
        "heartbeat": "heartbeat",
    }
)  # fmt: skip
"""Words other than these mean firing: a page too many is the smaller harm."""

Find = Callable[[str, Any], Any]
"""The value of a part ("title" ...) in one alert's body; None when there is none."""


@dataclass(slots=True)
class Webhook:
    """The source behind `type: webhook`."""

    type: str = "webhook"
    title: str = "Webhook with any JSON"
    options: Mapping[str, Option] = field(
        default_factory=lambda: MappingProxyType(
            {"map": Option("map", "JMESPath expressions that pick each alert's parts: " + ", ".join(NAMES))}
        )
    )

    def parse(self, raw: bytes, headers: Mapping[str, str], config: IntegrationConfig, now: Instant) -> Parsed:
        """Every alert of the body, and those that are none. Raises BadBody when the body holds no alerts at all."""
        written: Mapping[str, str] = config.options.get("map") or {}
        parsed = _read(read_json(raw), written)
        return _read(read_json(raw, exact=True), written) if rounded(parsed.alerts) else parsed


def _read(body: Any, written: Mapping[str, str]) -> Parsed:
    if not written:
        return _read_all(*_own_shape(body), _by_name, "")
    expressions = compiled(tuple(sorted(written.items())))
    bodies, base = _each(expressions, written, body)
    left_out: dict[str, str] = {}
    parsed = _read_all(bodies, base, _by_expression(expressions, left_out), written.get("resolved_when", ""))
    return replace(parsed, left_out=tuple(Rejected(f"map.{part}", why) for part, why in left_out.items()))


def _read_all(bodies: list[Any], base: str, find: Find, resolved_when: str) -> Parsed:
    alerts: list[Alert] = []
    rejected: list[Rejected] = []
    for index, body in enumerate(bodies):
        pointer = f"{base}/{index}" if base is not _ALONE else ""
        try:
            alerts.append(_alert(body, find, resolved_when, pointer))
        except BadBody as e:
            rejected.append(Rejected(e.pointer, e.detail))
    return Parsed(tuple(alerts), tuple(rejected))


def _alert(body: Any, find: Find, resolved_when: str, pointer: str) -> Alert:
    if type(body) is not dict and find is _by_name:
        raise BadBody("an alert is an object", pointer)
    status = _status(find("status", body), resolved_when)
    key = key_of(find("dedup_key", body))
    if status in ("resolved", "acknowledged"):
        return _answer(body, find, status, key, pointer)
    description = text(find("description", body))
    title = text(find("title", body)) or description.partition("\n")[0] or key or ""
    if not title.strip():
        if find is _by_name:
            raise BadBody('title is missing; the least that pages is {"title": "..."}', f"{pointer}/title")
        title = _stand_in(find, body)
    return Alert(
        status=status,
        source_key=key,
        severity=severity_of(find("severity", body)),
        title=title,
        description=description,
        service=text(find("service", body)) or None,
        source=text(find("source", body)),
        labels=labels_of(find("labels", body)),
        links=links_of(find("links", body)),
        started_at=instant_of(find("started_at", body)),
        pointer=pointer,
    )


def _answer(body: Any, find: Find, status: SignalStatus, key: str | None, pointer: str) -> Alert:
    """The end (or the acknowledgement) of an alert: who it is and when; the rest is known already."""
    if key is None:
        raise BadBody(f"an alert that is {status} needs the dedup_key it fired with", f"{pointer}/dedup_key")
    at = instant_of(find("ended_at", body)) or instant_of(find("started_at", body))
    return Alert(
        status=status,
        source_key=key,
        severity=severity_of(find("severity", body)),
        title=text(find("title", body)),
        description=text(find("description", body)),
        service=text(find("service", body)) or None,
        labels=labels_of(find("labels", body)),
        ended_at=at if status == "resolved" else None,
        pointer=pointer,
    )


def _stand_in(find: Find, body: Any) -> str:
    """A title of last resort for what another tool's body does not name: what it is about pages, not its title."""
    labels = labels_of(find("labels", body))
    named = ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))[:200]
    found = (text(find("service", body)), text(find("source", body)), labels.get("alertname", ""), named)
    return next((each for each in found if each.strip()), "(an alert without a title)")


def _status(value: Any, resolved_when: str) -> SignalStatus:
    """`resolved_when`: the words (separated by commas) that mean resolved; all others then mean firing."""
    word = text(value).strip().lower()
    if resolved_when:
        return "resolved" if word in (each.strip().lower() for each in resolved_when.split(",")) else "firing"
    return STATUS_OF.get(word, "firing")


# ------------------------------------------------------------------------------------ our own shape

_ALONE = "(one alert)"


def _own_shape(body: Any) -> tuple[list[Any], str]:
    match body:
        case {"alerts": list() as alerts}:
            return alerts, "/alerts"
        case list() as alerts:
            return alerts, ""
        case {"alerts": _}:
            raise BadBody("alerts is not a list", "/alerts")
        case dict():
            return [body], _ALONE
        case _:
            raise BadBody('the body is neither an alert like {"title": "..."} nor a list of alerts')


def _by_name(part: str, body: Any) -> Any:
    for name in ALIASES[part]:
        value = body.get(name)
        if value is not None:
            return value
    return None


# --------------------------------------------------------------------------------------- JMESPath

Expressions = Mapping[str, Any]


@lru_cache(maxsize=256)
def compiled(written: tuple[tuple[str, str], ...]) -> Expressions:
    """The expressions of a `map`, compiled once. Raises BadBody naming the one that is not JMESPath."""
    expressions: dict[str, Any] = {}
    for name, expression in written:
        if name == "resolved_when":
            continue
        try:
            expressions[name] = jmespath.compile(expression)
        except (JMESPathError, ValueError) as e:
            raise BadBody(f"map.{name}: {expression!r} is not a JMESPath expression: {e}", status=500) from e
    return expressions


def _each(expressions: Expressions, written: Mapping[str, str], body: Any) -> tuple[list[Any], str]:
    """The bodies of the single alerts, and where they stand (exactly so when `each` is a plain path)."""
    if "each" not in expressions:
        return (body, "") if isinstance(body, list) else ([body], _ALONE)
    where = written["each"]
    pointer = "/" + where.replace(".", "/") if where.replace(".", "").isidentifier() else ""
    match _search(expressions["each"], body, "each", pointer):
        case list() as found:
            return found, pointer
        case dict() as one:
            return [one], _ALONE
        case _:
            raise BadBody(f"map.each: {where!r} finds no list of alerts in this body", pointer)


def _by_expression(expressions: Expressions, left_out: dict[str, str]) -> Find:
    """A part that cannot be computed is left out, and told in `left_out`: its alert pages without it."""

    def find(part: str, body: Any) -> Any:
        expression = expressions.get(part)
        if expression is None:
            return None
        try:
            return _search(expression, body, part, "")
        except BadBody as error:
            left_out.setdefault(part, error.detail)
            return None

    return find


def _search(expression: Any, body: Any, name: str, pointer: str) -> Any:
    """Functions of an expression may meet values they were not written for. Raises BadBody."""
    try:
        return search(expression, body)
    except (JMESPathError, ArithmeticError, LookupError, TypeError, ValueError, AttributeError, RecursionError) as e:
        raise BadBody(f"map.{name} cannot be applied: {e}", pointer) from e


SOURCE: Source = Webhook()
