"""Recordings: an alert, or a person's answer to it, as one line of JSON, written and read."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal, cast, get_args

import orjson

from tocsin.model import (
    EMPTY,
    SEVERITIES,
    Alert,
    Instant,
    Link,
    Severity,
    SignalStatus,
    instant,
    rfc3339,
)

Answered = Literal["acknowledged", "snoozed", "resolved", "canceled"]
ANSWERS: tuple[Answered, ...] = get_args(Answered)
LONGEST = 4 << 20  # characters of a line
_TIMES = ("started_at", "ended_at", "expires_at")
_TEXTS = ("dedup_key", "title", "description", "service", "source", "actor", "pointer", "bytes")


@dataclass(frozen=True, slots=True)
class Signal:
    """An alert of a post, as its source read it. `post`: alerts of one number came together.

    `bytes` stands for the post's bytes where the alert has no key: the same ones are the same alert.
    """

    received_at: Instant
    integration: str
    post: int
    alert: Alert
    bytes: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """Answer of a person to the incident of an alert. `paged_at`: when its first page had gone out, if one had."""

    received_at: Instant
    integration: str
    source_key: str
    kind: Answered
    user: str
    paged_at: Instant | None = None
    until: Instant | None = None  # of a snooze


Record = Signal | Answer


def line_of(record: Record) -> bytes:
    """A line, its end included. What is empty is left out."""
    match record:
        case Signal():
            written = _signal(record)
        case Answer():
            written = _answer(record)
    return orjson.dumps({name: value for name, value in written.items() if value not in (None, "", {}, [])}) + b"\n"


def _signal(one: Signal) -> dict[str, Any]:
    alert = one.alert
    return {
        "received_at": rfc3339(one.received_at),
        "integration": one.integration,
        "status": alert.status,
        "dedup_key": _fit(alert.source_key),
        "severity": alert.severity,
        "title": _fit(alert.title),
        "description": _fit(alert.description),
        "service": _fit(alert.service),
        "source": _fit(alert.source),
        "labels": {_fit(name): _fit(value) for name, value in alert.labels.items()},
        "links": [{"href": _fit(link.href), "text": _fit(link.text)} for link in alert.links],
        **{name: _when(getattr(alert, name)) for name in _TIMES},
        "actor": alert.actor,
        "pointer": alert.pointer,
        "bytes": one.bytes,
        "post": one.post,
    }


def _answer(one: Answer) -> dict[str, Any]:
    return {
        "received_at": rfc3339(one.received_at),
        "integration": one.integration,
        "status": one.kind,
        "dedup_key": one.source_key,
        "by": f"user:{one.user}",
        "paged_at": _when(one.paged_at),
        "until": _when(one.until),
    }


def _when(at: Instant | None) -> str | None:
    return None if at is None else rfc3339(at)


def _fit(text: str | None) -> str | None:
    """JSON in UTF-8 holds no lone surrogates."""
    return None if text is None else text.encode("utf-8", "replace").decode() if not text.isascii() else text


def record_of(line: bytes) -> Record:
    """Raises ValueError that says what is wrong with the line."""
    if len(line) > LONGEST:
        raise ValueError(f"has {len(line)} bytes; at most {LONGEST} are read")
    try:
        written = orjson.loads(line)
    except ValueError as wrong:
        raise ValueError(f"is not JSON: {wrong}") from None
    if not isinstance(written, dict):
        raise ValueError("is no object {…}")
    return _read_answer(written) if "by" in written else _read_signal(written)


def _read_answer(written: Mapping[str, Any]) -> Answer:
    kind, by = written.get("status"), _text(written, "by")
    if kind not in ANSWERS:
        raise ValueError(f"status: a person's answer is one of {', '.join(ANSWERS)}, not {kind!r}")
    user = by.removeprefix("user:")
    key = _text(written, "dedup_key")
    received, integration = _received(written)
    paged, until = _time(written, "paged_at"), _time(written, "until")
    return Answer(received, integration, key, cast(Answered, kind), user, paged, until)


def _read_signal(written: Mapping[str, Any]) -> Signal:
    received, integration = _received(written)
    texts = {name: _text(written, name) for name in _TEXTS}
    post = written.get("post", 0)
    if not isinstance(post, int):
        raise ValueError("post: is not a number")
    alert = Alert(
        status=_status(written),
        source_key=texts["dedup_key"] or None,
        severity=_severity(written),
        title=texts["title"],
        description=texts["description"],
        service=texts["service"] or None,
        source=texts["source"],
        labels=_labels(written),
        links=_links(written),
        started_at=_time(written, "started_at"),
        ended_at=_time(written, "ended_at"),
        expires_at=_time(written, "expires_at"),
        actor=texts["actor"] or None,
        pointer=texts["pointer"],
    )
    return Signal(received, integration, post, alert, texts["bytes"])


def _received(written: Mapping[str, Any]) -> tuple[Instant, str]:
    at, integration = _time(written, "received_at"), _text(written, "integration")
    if at is None:
        raise ValueError('received_at is missing; write for example "2026-01-05T09:00:00Z"')
    if not integration:
        raise ValueError("integration is missing: whose alert is this?")
    return at, integration


def _status(written: Mapping[str, Any]) -> SignalStatus:
    status = written.get("status", "firing")
    if status not in get_args(SignalStatus):
        raise ValueError(f"status: {status!r} is none of {', '.join(get_args(SignalStatus))}")
    return cast(SignalStatus, status)


def _severity(written: Mapping[str, Any]) -> Severity | None:
    severity = written.get("severity")
    if severity is not None and severity not in SEVERITIES:
        raise ValueError(f"severity: {severity!r} is none of {', '.join(SEVERITIES)}")
    return cast("Severity | None", severity)


def _text(written: Mapping[str, Any], name: str) -> str:
    value = written.get(name)
    if value is None:
        return ""
    if not isinstance(value, str):
        raise ValueError(f"{name}: is not a text")
    return value


def _time(written: Mapping[str, Any], name: str) -> Instant | None:
    text = _text(written, name)
    if not text:
        return None
    try:
        moment = datetime.fromisoformat(text)
        if moment.tzinfo is None:
            raise ValueError
        return instant(moment)
    except (ValueError, OverflowError):
        raise ValueError(f'{name}: {text!r} is not a time; write for example "2026-01-05T09:00:00Z"') from None


def _labels(written: Mapping[str, Any]) -> Mapping[str, str]:
    labels = written.get("labels")
    if not labels:
        return EMPTY
    if not isinstance(labels, dict) or not all(isinstance(value, str) for value in labels.values()):
        raise ValueError("labels: is not an object of texts")
    return labels


def _links(written: Mapping[str, Any]) -> tuple[Link, ...]:
    links = written.get("links") or []
    if not isinstance(links, list) or not all(isinstance(one, dict) for one in links):
        raise ValueError('links: is not a list of {"href", "text"}')
    return tuple(Link(_text(one, "href"), _text(one, "text")) for one in links)
