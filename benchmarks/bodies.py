"""The alerts that are posted: Alertmanager's shapes, about one kilobyte each, every alert with a key of its own."""

from __future__ import annotations

from typing import Any

import orjson

SIZE = 1000


def webhook(keys: list[str], name: str = "HighLatency") -> bytes:
    """Alertmanager's webhook v4 document with one firing alert a key."""
    alerts = [
        {"status": "firing", **_alert(key, name), "endsAt": "0001-01-01T00:00:00Z", "fingerprint": key} for key in keys
    ]
    return orjson.dumps(
        {
            "version": "4",
            "groupKey": '{}:{alertname="HighLatency"}',
            "truncatedAlerts": 0,
            "status": "firing",
            "receiver": "tocsin",
            "groupLabels": {"alertname": name},
            "commonLabels": {"job": "api-server"},
            "commonAnnotations": {},
            "externalURL": "http://alertmanager.example.org:9093",
            "alerts": alerts,
        }
    )


def api(keys: list[str]) -> bytes:
    """The same alerts for Alertmanager's own POST /api/v2/alerts, times left to it."""
    alerts = [_alert(key, "HighLatency") for key in keys]
    for alert in alerts:
        del alert["startsAt"]
    return orjson.dumps(alerts)


def _alert(key: str, name: str) -> dict[str, Any]:
    alert: dict[str, Any] = {
        "labels": {
            "alertname": name,
            "instance": key,
            "job": "api-server",
            "severity": "critical",
            "cluster": "eu-west-1a",
            "namespace": "payments",
            "team": "platform",
            "service": "checkout",
        },
        "annotations": {
            "summary": f"p99 latency above 2 s on {key}",
            "runbook_url": "https://runbooks.example.org/latency",
        },
        "startsAt": "2026-11-20T03:14:07.512Z",
        "generatorURL": "http://prometheus.example.org:9090/graph?g0.expr=latency",
    }
    room = SIZE - len(orjson.dumps(alert))
    alert["annotations"] = {**alert["annotations"], "description": "x" * max(0, room)}
    return alert
