"""Prometheus Alertmanager: its webhook (version 4), and the bare array of its API v2.

Each alert is decided by its own status; the group's is ignored (it is "firing" while any member
fires). Grafana's unified alerting posts the same envelope. Field by field:
https://prometheus.io/docs/alerting/latest/configuration/#webhook_config.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tocsin.contracts import Source
from tocsin.errors import BadBody
from tocsin.model import EMPTY, MINUTE, Alert, Instant, IntegrationConfig, Link, Option, Parsed, Rejected, SignalStatus
from tocsin_integrations.common.json_fields import (
    SEVERITY_OF,
    instant_of,
    key_of,
    labels_of,
    link,
    read_json,
    severity_of,
    text,
)

RESOLVE_TIMEOUT = 5 * MINUTE
"""How long an alert of the API without endsAt fires unless it is sent again (Alertmanager's default)."""

HEARTBEATS = frozenset({"Watchdog", "DeadMansSwitch"})


@dataclass(slots=True)
class Alertmanager:
    """The source behind `type: alertmanager`."""

    type: str = "alertmanager"
    title: str = "Prometheus Alertmanager"
    options: Mapping[str, Option] = EMPTY

    def parse(self, raw: bytes, headers: Mapping[str, str], config: IntegrationConfig, now: Instant) -> Parsed:
        """Every alert of the body, and those that are none. Raises BadBody when there is no list of alerts."""
        match read_json(raw):
            case {"alerts": list() as alerts}:
                return read_alerts(alerts, "/alerts/", now)
            case list() as alerts:
                return read_alerts(alerts, "/", now)
            case {"alerts": _}:
                raise BadBody("alerts is not a list", "/alerts")
            case dict():
                raise BadBody("there is no list `alerts`; is this an Alertmanager webhook body?", "/alerts")
            case _:
                raise BadBody("the body is neither an object with `alerts` nor a list of alerts")


def read_alerts(bodies: list[Any], base: str, now: Instant) -> Parsed:
    """The alerts of a list whose members stand at pointer `base` + index."""
    alerts: list[Alert] = []
    rejected: list[Rejected] = []
    for index, body in enumerate(bodies):
        try:
            alerts.append(_alert(body, f"{base}{index}", now))
        except BadBody as e:
            rejected.append(Rejected(e.pointer, e.detail))
    return Parsed(tuple(alerts), tuple(rejected))


def _alert(body: Any, pointer: str, now: Instant) -> Alert:
    if type(body) is not dict:
        raise BadBody("an alert is an object", pointer)
    labels = _labels(body.get("labels"), pointer)
    notes = body.get("annotations")
    if type(notes) is not dict:
        notes = EMPTY
    name = labels.get("alertname", "")
    ends = instant_of(body.get("endsAt"))
    status = _status(body.get("status"), ends, now, pointer)
    given = body.get("fingerprint")
    severity = labels.get("severity")
    return Alert(
        "heartbeat" if name in HEARTBEATS and status == "firing" else status,
        key_of(given) if given else fingerprint(labels),
        (SEVERITY_OF.get(severity) or severity_of(severity)) if severity else None,
        text(notes.get("summary") or notes.get("title")) or name or _named(labels),
        text(notes.get("description") or notes.get("message")),
        labels.get("service") or labels.get("job"),
        labels.get("instance", ""),
        labels,
        _links(body, notes),
        instant_of(body.get("startsAt")),
        ends if status == "resolved" else None,
        None if "status" in body or status == "resolved" else ends or Instant(now + RESOLVE_TIMEOUT),
        None,
        pointer,
    )


def _labels(value: Any, pointer: str) -> Mapping[str, str]:
    if type(value) is not dict:
        raise BadBody("labels is not an object", f"{pointer}/labels")
    labels = labels_of(value)
    if not labels:
        raise BadBody("an alert needs at least one label", f"{pointer}/labels")
    return labels


def _status(value: Any, ends: Instant | None, now: Instant, pointer: str) -> SignalStatus:
    """The webhook says it; the API says it by an endsAt in the past or the future."""
    match value:
        case "firing":
            return "firing"
        case "resolved":
            return "resolved"
        case None:
            return "resolved" if ends is not None and ends <= now else "firing"
        case _:
            raise BadBody("status is neither firing nor resolved", f"{pointer}/status")


def _named(labels: Mapping[str, str]) -> str:
    """A title of last resort: what sets this alert apart."""
    return ", ".join(f"{name}={value}" for name, value in sorted(labels.items()))[:200]


def _links(body: Mapping[str, Any], notes: Mapping[str, Any]) -> tuple[Link, ...]:
    found = link(body.get("generatorURL"), "Source") + link(notes.get("runbook_url"), "Runbook")
    if "dashboardURL" in body or "panelURL" in body or "dashboard_url" in notes:
        found += link(body.get("dashboardURL") or notes.get("dashboard_url"), "Dashboard")
        found += link(body.get("panelURL"), "Panel")
    return found


def fingerprint(labels: Mapping[str, str]) -> str:
    """Alertmanager's own: 64-bit FNV-1a over the labels in order of name, each name and value ended by 0xFF."""
    digest = 0xCBF29CE484222325
    for byte in _joined(labels):
        digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


def _joined(labels: Mapping[str, str]) -> bytes:
    return b"".join(part.encode("utf-8", "surrogatepass") + b"\xff" for pair in sorted(labels.items()) for part in pair)


SOURCE: Source = Alertmanager()
