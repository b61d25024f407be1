"""What can be said of an alert before its batch begins? Rules, group, identity, content, texts fit to keep."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tocsin.decide.routing.grouping import LONGEST, Group, group_of
from tocsin.decide.routing.rules import Rulebook, Verdict
from tocsin.decide.text import (
    DESCRIPTION,
    KEY,
    LABEL_NAME,
    LABEL_VALUE,
    LABELS,
    TITLE,
    clean,
    clean_identity,
    clean_labels,
)
from tocsin.model import (
    Alert,
    ChangeEvent,
    Instant,
    IntegrationConfig,
    Link,
)

LINKS = 32
HREF = 2_048
NAME = 256  # of a service, of the thing that reports


@dataclass(slots=True)
class Fit:
    """An alert's texts as they are fit to keep. `labels_text`, `links_text`: the same as JSON."""

    title: str
    description: str
    service: str
    source: str
    labels: Mapping[str, str]
    links: tuple[Link, ...]
    truncated: bool
    labels_text: str
    links_text: str


@dataclass(slots=True)
class Judged:
    """What can be said of one alert before its batch begins. A repeat needs no verdict.

    `alone`: if it is new it opens an incident of its own and pages nobody yet.
    """

    alert: Alert
    key: str  # "": the batch mints one
    identity: str = ""
    content: int = 0
    labels: str = "{}"  # as the source sent them, in JSON
    links: str = "[]"
    verdict: Verdict | None = None
    group: Group | None = None
    fit: Fit | None = None
    alone: bool = False
    waited: bool = False  # its wait behind its end is over: it fires now, if it waits still


def read(one: Judged) -> None:
    """The content of an alert that fires: enough to tell whether it only repeats itself."""
    alert = one.alert
    one.labels, one.links = as_json(alert.labels), as_json(alert.links)
    one.content = _hash_of(alert, one.labels, one.links)


def judge(one: Judged, integration: IntegrationConfig, rulebook: Rulebook) -> None:
    """What the rules say of an alert, the group it belongs to, and its texts fit to keep."""
    one.verdict = verdict = rulebook.walk(one.alert, integration)
    one.fit = fit_to_keep(one, verdict)
    one.alone = stands_alone(one, verdict, integration)
    one.group = group_of(verdict, one.key, integration.name) if one.key and not one.alone else None


def stands_alone(one: Judged, verdict: Verdict, integration: IntegrationConfig) -> bool:
    return (
        verdict.hold is not None
        and verdict.group_by is None
        and verdict.dedup_key is None
        and verdict.dropped_by is None
        and verdict.suppressed_by is None
        and verdict.terms is None
        and not verdict.errors
        and one.alert.status == "firing"
        and 0 < len(one.key) < LONGEST - len(integration.name)
    )


def fit_to_keep(one: Judged, verdict: Verdict) -> Fit:
    """The texts of an alert as the rules left them; nearly all are fit as they are, and one look tells."""
    alert, labels = one.alert, verdict.labels
    title, description, service, source = verdict.title, alert.description, verdict.service, alert.source
    if not fit_texts(title, description, service, source):
        title = clean(title, TITLE) or "(no title)"
        description = clean(description, DESCRIPTION, lines=True)
        service, source = clean_identity(service, NAME), clean(source, NAME)
    labels_text, truncated = one.labels if labels is alert.labels else as_json(labels), False
    if not fit_labels(labels, labels_text):
        labels, truncated = clean_labels(labels)
        labels_text = as_json(labels)
    links, links_text = alert.links, one.links
    if not (len(links_text) <= HREF and is_plain(links_text) and len(links) <= LINKS):
        links = fit_links(links)
        links_text = as_json(links)
    return Fit(title, description, service, source, labels, links, truncated, labels_text, links_text)


def change_of(alert: Alert, integration: IntegrationConfig, key: str, rulebook: Rulebook, now: Instant) -> ChangeEvent:
    """What was changed on purpose, as it is kept; the rules may name its service and title."""
    verdict = rulebook.walk(alert, integration)
    fit = fit_to_keep(Judged(alert, key, labels=as_json(alert.labels), links=as_json(alert.links)), verdict)
    at = now if alert.started_at is None else min(alert.started_at, now)
    return ChangeEvent(
        integration.name, key, at, fit.service, fit.title, fit.description, fit.source, fit.labels, fit.links
    )


def fit_texts(title: str, description: str, service: str, source: str) -> bool:
    together = f"{title}{description}{service}{source}"
    return (
        title != ""
        and together.isascii()
        and together.isprintable()
        and len(title) <= TITLE
        and len(description) <= DESCRIPTION
        and len(service) <= NAME
        and len(source) <= NAME
    )


def fit_labels(labels: Mapping[str, str], text: str) -> bool:
    """Whether labels can be kept as they are, told by their JSON."""
    return (
        is_plain(text)
        and len(labels) <= LABELS
        and (
            len(text) <= LABEL_NAME
            or (max(map(len, labels)) <= LABEL_NAME and max(map(len, labels.values())) <= LABEL_VALUE)
        )
    )


def is_plain(text: str) -> bool:
    """Whether nothing in this JSON is odd: JSON writes control characters and quotes with a backslash."""
    return text.isascii() and text.isprintable() and "\\" not in text


def fit_links(links: tuple[Link, ...]) -> tuple[Link, ...]:
    return tuple(Link(clean(one.href, HREF), clean(one.text, NAME)) for one in links[:LINKS])


def as_json(value: Any) -> str:
    """JSON of labels or links. What UTF-8 cannot hold (lone surrogates) stays escaped."""
    if not value:
        return "{}" if isinstance(value, Mapping) else "[]"
    try:
        return orjson.dumps(value).decode()
    except TypeError:  # orjson refuses lone surrogates, and mappings that are no dict
        plain = dict(value) if isinstance(value, Mapping) else [(one.href, one.text) for one in value]
        return json.dumps(plain)


def content_of(alert: Alert) -> int:
    """A 63-bit hash of what an alert says; times of the source that move by themselves are left out."""
    return _hash_of(alert, as_json(alert.labels), as_json(alert.links))


def _hash_of(alert: Alert, labels: str, links: str) -> int:
    said = "\0".join(
        (alert.severity or "", alert.title, alert.description, alert.service or "", alert.source, alert.status,
         labels, links)
    )  # fmt: skip
    digest = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def fit_key(key: str) -> str:
    """An identity that can be stored: cleaned, and where that costs something a hash of the whole at its end."""
    return clean_identity(key, KEY, KEY - 1)  # as ever: what is open under such a key must be found


def bytes_of(raw: bytes, alert: Alert) -> str:
    """What stands for an alert without an identity: its post's bytes, and its place in them."""
    return hashlib.blake2b(raw + alert.pointer.encode(), digest_size=16).hexdigest()
