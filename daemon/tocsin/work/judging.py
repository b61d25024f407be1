"""What can be said of an alert before its batch begins? Rules, group, identity, content, texts fit to keep."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

import orjson

from tocsin.decide.grouping import Group, group_of
from tocsin.decide.rules import Rulebook, Verdict
from tocsin.decide.text import DESCRIPTION, KEY, TITLE, clean, clean_labels
from tocsin.model import (
    Alert,
    IntegrationConfig,
    Link,
)

LINKS = 32


@dataclass(slots=True)
class Fit:
    """An alert's texts as they are fit to keep."""

    title: str
    description: str
    service: str
    source: str
    labels: dict[str, str]
    links: tuple[Link, ...]
    truncated: bool


@dataclass(slots=True)
class Judged:
    """What can be said of one alert before its batch begins. A repeat needs no verdict."""

    alert: Alert
    key: str  # "": the batch mints one
    content: int = 0
    verdict: Verdict | None = None
    group: Group | None = None
    fit: Fit | None = None


def judge(one: Judged, integration: IntegrationConfig, rulebook: Rulebook) -> None:
    """What the rules say of an alert, the group it belongs to, and its texts fit to keep."""
    alert = one.alert
    one.verdict = verdict = rulebook.walk(alert, integration)
    one.group = group_of(verdict, one.key, integration.name) if one.key else None
    labels, cut = clean_labels(verdict.labels)
    one.fit = Fit(
        clean(verdict.title, TITLE) or "(no title)",
        clean(alert.description, DESCRIPTION, lines=True),
        clean(verdict.service, 256),
        clean(alert.source, 256),
        labels,
        fit_links(alert.links),
        cut,
    )


def fit_links(links: tuple[Link, ...]) -> tuple[Link, ...]:
    """The links fit to keep; as they are when nothing about them is odd."""
    if len(links) <= LINKS and all(
        len(one.href) <= 2048 and one.href.isascii() and one.href.isprintable() and one.text.isalnum() for one in links
    ):
        return links
    return tuple(Link(clean(one.href, 2048), clean(one.text, 256)) for one in links[:LINKS])


def content_of(alert: Alert) -> int:
    """A 63-bit hash of what an alert says; times of the source that move by themselves are left out."""
    try:
        body = orjson.dumps(
            (alert.severity, alert.title, alert.description, alert.service, alert.source, alert.labels,
             alert.status, [link.href for link in alert.links])
        )  # fmt: skip
    except TypeError:  # lone surrogates: not UTF-8, so orjson refuses
        body = repr((alert.severity, alert.title, alert.description, alert.service, alert.source,
                     sorted(alert.labels.items()), alert.status)).encode("utf-8", "backslashreplace")  # fmt: skip
    return int.from_bytes(hashlib.blake2b(body, digest_size=8).digest()) >> 1


def fit_key(key: str) -> str:
    """An identity that can be stored: cleaned, and when too long its tail replaced by a hash of the whole."""
    text = clean(key, len(key))
    if len(text) <= KEY:
        return text
    return f"{text[: KEY - 34]}~{hashlib.blake2b(key.encode('utf-8', 'surrogatepass'), digest_size=16).hexdigest()}"


def bytes_of(raw: bytes, alert: Alert) -> str:
    """What stands for an alert without an identity: its post's bytes, and its place in them."""
    return hashlib.blake2b(raw + alert.pointer.encode(), digest_size=16).hexdigest()
