"""Sections about the daemon itself: server, database, retention, defaults, priorities, throttle, answers."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tocsin.model import (
    DEFAULT_PRIORITIES,
    DEFAULT_THROTTLE,
    Defaults,
    Impact,
    Limit,
    Priority,
    Retention,
    Server,
    Urgency,
)
from tocsin.settings.document import nodes, scalars
from tocsin.settings.document.nodes import Node
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.scalars import Mistake, did_you_mean
from tocsin.settings.document.shapes import (
    BROKEN,
    Choice,
    Flag,
    Got,
    Key,
    Many,
    Name,
    Nothing,
    Record,
    Shape,
    Table,
    Word,
    wrong_kind,
)
from tocsin.settings.sections.plugin_options import DURATION, URL
from tocsin.settings.sections.shared import PRIORITY, SEVERITY, SOME_TIME, ZONE

_LISTEN = Word(scalars.listen, "an address to listen on", r":[0-9]+$", "127.0.0.1:8420")
_BASE = Word(scalars.base_url, "a web address", "^https?://", "https://tocsin.example.org")


def _server(got: Got, reading: Reading) -> Server:
    host, port = got.get("listen", ("127.0.0.1", 8420))
    admin_host, admin_port = got.get("admin_listen", (None, None))
    if port and port == admin_port and (host == admin_host or {host, admin_host} & {"0.0.0.0", "::"}):  # noqa: S104
        reading.error(got.at("admin_listen"), "contradiction", f"port {port} is that of listen; write another one")
    return Server(host, port, admin_host, admin_port, got.get("public_url"), got.get("trusted_proxies", ()))


SERVER = Record(
    "server settings",
    {
        "listen": Key(_LISTEN, "API, UI, webhooks, callbacks", shown="127.0.0.1:8420"),
        "admin_listen": Key(_LISTEN, "moves /metrics, /healthz, /readyz here", shown="none"),
        "public_url": Key(_BASE, "the only base for links and callback signatures"),
        "trusted_proxies": Key(
            Many(Word(scalars.network, "an IP address or network"), alone=True), "whose X-Forwarded-For is believed"
        ),
    },
    _server,
)


def _database_url(written: str) -> str:
    scheme, colon, rest = written.partition(":")
    if scheme == "sqlite" and rest == ":memory:":
        raise Mistake("'sqlite::memory:' would forget every incident; write sqlite:tocsin.db")
    if colon and scheme == "sqlite" and rest.strip("/") and "\0" not in rest:
        return written
    if colon and scheme in ("postgresql", "postgres") and rest.startswith("//") and len(rest) > 2:
        return written
    shown = re.sub(r"//[^@/]*@", "//…@", written)  # no password on the screen
    raise Mistake(f"'{shown}' is not a database; write sqlite:tocsin.db or postgresql://user@host/name")


DATABASE = Record(
    "database settings",
    {
        "url": Key(
            Word(_database_url, "sqlite:FILE or postgresql://…", "^(sqlite:|postgres(ql)?://)", "sqlite:tocsin.db"),
            "where everything is kept",
            required=True,
        )
    },
    lambda got, _reading: got.get("url"),
)

RETENTION = Record(
    "retention",
    {
        "alerts": Key(SOME_TIME, "how long received alerts are kept", shown="90d"),
        "incidents": Key(SOME_TIME, "how long closed incidents are kept", shown="3y"),
    },
    lambda got, _reading: Retention(**got.values),
)

DEFAULTS = Record(
    "defaults",
    {
        "timezone": Key(ZONE, "where no zone is written", shown="UTC"),
        "policy": Key(Name("policies"), "for services without one", shown="the catch-all is paged"),
        "severity": Key(SEVERITY, "of alerts that say none", shown="error"),
        "reopen_within": Key(DURATION, "firing again so soon after: the same incident", shown="0s"),
        "close_after": Key(DURATION, "a resolved incident is closed after", shown="3d"),
        "notify_resolved": Key(Flag(), "those who were paged hear when it is over", shown="true"),
    },
    lambda got, _reading: Defaults(**got.values),
)

HEARTBEAT_OUT = Record(
    "an outbound heartbeat",
    {
        "url": Key(URL, "called while an end-to-end self check passes", required=True),
        "every": Key(SOME_TIME, "how often", shown="60s"),
    },
    lambda got, _reading: (got.get("url"), got.get("every", scalars.duration("60s"))),
)

# ------------------------------------------------------------------------------------- priorities


def _priorities(got: Got, _reading: Reading) -> Mapping[Impact, Mapping[Urgency, Priority]]:
    rows = {impact: {**row, **got.get(impact, {})} for impact, row in DEFAULT_PRIORITIES.items()}
    return MappingProxyType({impact: MappingProxyType(row) for impact, row in rows.items()})


_ROW = Record(
    "a row of priorities",
    {urgency: Key(PRIORITY, f"for {urgency} urgency") for urgency in ("high", "medium", "low")},
    lambda got, _reading: dict(got.values),
)
PRIORITIES_TABLE = Record(
    "the table of priorities",
    {
        impact: Key(_ROW, f"for {impact} impact, by urgency", shown=", ".join(DEFAULT_PRIORITIES[impact].values()))
        for impact in DEFAULT_PRIORITIES
    },
    _priorities,
)

# ------------------------------------------------------------------------------ throttle, answers

LIMITS = Many(Word(scalars.limit, "a limit such as 5/15m", "^[0-9]+/", "5/15m"), least=1, alone=True)


class _Throttle(Shape[Mapping[str, tuple[Limit, ...]]]):
    """Limits by kind (sms, voice) or by a channel's name, which goes first."""

    _table = Table(LIMITS)

    def read(self, node: Node, reading: Reading) -> Mapping[str, tuple[Limit, ...]] | Nothing:
        found = self._table.read(node, reading)
        if isinstance(found, Nothing):
            return found
        known = [*DEFAULT_THROTTLE, *reading.names("channels")]
        for name, entry in node.entries.items() if isinstance(node, nodes.Mapping) else ():
            if name not in known:
                message = f"throttle: no such channel '{name}'{did_you_mean(name, known)}"
                reading.note("error", entry.key_at, "unknown-name", message)
        return MappingProxyType({**DEFAULT_THROTTLE, **found})

    def schema(self) -> dict[str, Any]:
        return self._table.schema()


THROTTLE = _Throttle()

ANSWERS = Record(
    "answers",
    {"sms": Key(Choice(("code", "number")), "code: a reply must carry the page's four-letter code", shown="number")},
    lambda got, _reading: MappingProxyType(dict(got.values)),
)


class _NoTokens(Shape[None]):
    """`tokens: {}`: tokens live in the database."""

    def read(self, node: Node, reading: Reading) -> Nothing:
        if isinstance(node, nodes.Scalar) and node.empty:
            return BROKEN
        if not isinstance(node, nodes.Mapping):
            return wrong_kind(node, reading, "{}")
        for entry in node.entries.values():
            message = "tokens: are not written here; make one by `tocsin token create`"
            reading.note("error", entry.key_at, "tokens", message)
        return BROKEN

    def schema(self) -> dict[str, Any]:
        return {"type": "object", "maxProperties": 0}


TOKENS = _NoTokens()
