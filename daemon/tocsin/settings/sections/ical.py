"""`ical:` of a schedule: where its shifts are imported from, and whom the feed means by which name."""

from __future__ import annotations

from types import MappingProxyType
from typing import Any
from urllib.parse import urlsplit

from tocsin.model import EMPTY, MINUTE, Ical, Millis, Secret
from tocsin.settings.document import nodes, scalars
from tocsin.settings.document.nodes import Node, Scalar
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import Mistake, duration
from tocsin.settings.document.shapes import (
    BROKEN,
    Flag,
    Got,
    Key,
    Name,
    Nothing,
    Record,
    Shape,
    Table,
    Word,
    wrong_kind,
)
from tocsin.settings.sections.plugin_options import DURATION, SECRET

USUAL = Millis(5 * MINUTE)
WANTED = "a web address, {file: NAME} or {env: NAME}"


class _Address(Shape[Secret]):
    """A web address. Who has a calendar's address can read it, so it may be kept as a secret."""

    def read(self, node: Node, reading: Reading) -> Secret | Nothing:
        if isinstance(node, nodes.Sequence):
            return wrong_kind(node, reading, WANTED)
        found = SECRET.read(node, reading)
        if isinstance(found, Nothing) or (reading.made_up_secrets and not isinstance(node, Scalar)):
            return found
        try:
            scalars.web_url(_as_http(found.first))
        except Mistake as mistake:
            named = "what it names is not a web address; write for example https://calendar.example.org/oncall.ics"
            reading.error(node, "bad-value", str(mistake) if isinstance(node, Scalar) else named)
            return BROKEN
        return Secret((_as_http(found.first),))

    def schema(self) -> dict[str, Any]:
        return SECRET.schema()


def _as_http(address: str) -> str:
    """`webcal:` is how programs hand addresses of calendars to each other; it is fetched over https."""
    scheme, found, rest = address.partition("://")
    return f"https://{rest}" if found and scheme.lower() in ("webcal", "webcals") else address


def _every(written: str) -> Millis:
    length = duration(written)
    if length < MINUTE:
        raise Mistake(f"'{written}' is too often for somebody else's server; write 1m or more")
    return length


def _ical(got: Got, reading: Reading) -> Ical:
    url = got.get("url")
    host = urlsplit(url.first).hostname
    if host and scalars.is_private(host) and not got.get("allow_private"):
        message = f"'{host}' is a private address, so it will not be fetched; write allow_private: true if it is meant"
        reading.warn(got.at("url"), "private-address", message)
    people = MappingProxyType(got.get("people", {})) if got.get("people") else EMPTY
    return Ical(url, got.get("every", USUAL), people, got.get("allow_private", False))


ICAL = Record(
    "a feed",
    {
        "url": Key(_Address(), "the address of the iCalendar feed; it may be a secret", required=True),
        "every": Key(Word(_every, "a duration", DURATION.pattern, "5m"), "how often it is fetched", shown="5m"),
        "people": Key(Table(Name("users")), "what the feed calls somebody → that user", shown="their names and mail"),
        "allow_private": Key(Flag(), "whether the address may be loopback or private", shown="false"),
    },
    _ical,
)
