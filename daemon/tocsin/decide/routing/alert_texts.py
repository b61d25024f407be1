"""Texts of an alert as they are fit to keep, its identity among them, and the hash of what it says."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tocsin.decide.routing.rules import Verdict
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
from tocsin.model import Alert, Instant, Link

MASK63 = (1 << 63) - 1
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


def fit_to_keep(alert: Alert, verdict: Verdict, labels_sent: str = "", links_sent: str = "") -> Fit:
    """The texts of an alert as the rules left them; nearly all are fit as they are, and one look tells.

    `labels_sent`, `links_sent`: labels and links as its source sent them, where they are in JSON already.
    """
    labels = verdict.labels
    title, description, service, source = verdict.title, alert.description, verdict.service, alert.source
    if not fit_texts(title, description, service, source):
        title = clean(title, TITLE) or "(no title)"
        description = clean(description, DESCRIPTION, lines=True)
        service, source = clean_identity(service, NAME), clean(source, NAME)
    labels_text, truncated = labels_sent if labels_sent and labels is alert.labels else as_json(labels), False
    if not fit_labels(labels, labels_text):
        labels, truncated = clean_labels(labels)
        labels_text = as_json(labels)
    links, links_text = alert.links, links_sent or as_json(alert.links)
    if not (len(links_text) <= HREF and is_plain(links_text) and len(links) <= LINKS):
        links = fit_links(links)
        links_text = as_json(links)
    return Fit(title, description, service, source, labels, links, truncated, labels_text, links_text)


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
    return hash_of(alert, as_json(alert.labels), as_json(alert.links))


def hash_of(alert: Alert, labels: str, links: str) -> int:
    """`content_of`, with labels and links in JSON already."""
    said = (
        f"{alert.severity or ''}\0{alert.title}\0{alert.description}\0{alert.service or ''}\0{alert.source}\0"
        f"{alert.status}\0{labels}\0{links}"
    )
    digest = hashlib.blake2b(said.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return int.from_bytes(digest) >> 1


def fit_key(key: str) -> str:
    """An identity that can be stored: cleaned, and where that costs something a hash of the whole at its end."""
    return clean_identity(key, KEY, KEY - 1)  # as ever: what is open under such a key must be found


def begun(content: int, started_at: Instant | None) -> int:
    """The content of what a threshold counts: it is another firing when it started at another time."""
    return (content ^ (started_at or 0) * 0x9E3779B97F4A7C15) & MASK63
