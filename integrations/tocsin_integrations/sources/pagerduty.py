"""PagerDuty's Events API: v2 events (trigger, acknowledge, resolve), v2 change events, v1 events.

Bodies that PagerDuty would refuse are refused in its own words, one sentence a line of BadBody's
detail, because its clients show them. https://developer.pagerduty.com/docs/events-api-v2/overview/.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from tocsin.contracts import Source
from tocsin.errors import BadBody
from tocsin.model import EMPTY, Alert, Instant, IntegrationConfig, Link, Option, Parsed, Secret, SignalStatus
from tocsin_integrations.common.json_fields import (
    instant_of,
    key_of,
    labels_of,
    link,
    links_of,
    read_json,
    rounded,
    severity_of,
    text,
)

KEY_LENGTH = 32
STATUS_OF: Mapping[str, SignalStatus] = MappingProxyType(
    {"trigger": "firing", "acknowledge": "acknowledged", "resolve": "resolved"}
)
SEVERITIES = frozenset({"critical", "warning", "error", "info"})

WRONG_LENGTH = "Length of 'routing_key' is incorrect (should be 32 characters)"
WRONG_SEVERITY = (
    "'payload.severity' is invalid (must be one of the following: 'critical', 'warning', 'error' or 'info')"
)
WRONG_ACTION = "'event_action' is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"
WRONG_TYPE = "Event type is invalid (must be one of the following: 'trigger', 'acknowledge' or 'resolve')"


@dataclass(slots=True)
class PagerDuty:
    """The source behind `type: pagerduty`; v1, v2 and change events tell themselves apart."""

    type: str = "pagerduty"
    title: str = "PagerDuty Events API v2 (and v1)"
    options: Mapping[str, Option] = field(
        default_factory=lambda: MappingProxyType(
            {
                "routing_key": Option("secret", "the key that senders put in the body, 32 characters"),
                "routing_keys": Option("keys", "several keys: name → {key, service}, for several teams"),
            }
        )
    )

    def parse(self, raw: bytes, headers: Mapping[str, str], config: IntegrationConfig, now: Instant) -> Parsed:
        """The one event of the body. Raises BadBody with PagerDuty's own sentences, one a line."""
        event = _event(read_json(raw), config)
        if rounded((event,)):
            event = _event(read_json(raw, exact=True), config)
        return Parsed((event,))


def _event(body: Any, config: IntegrationConfig) -> Alert:
    match body:
        case {"service_key": _} | {"event_type": _}:
            return _v1(body, config)
        case {"payload": {"summary": _} as payload} if _is_change(body, payload):
            return _change(body, payload, config)
        case dict():
            return _v2(body, config)
        case _:
            raise BadBody("Event object is not a JSON object")


def _is_change(body: Mapping[str, Any], payload: Mapping[str, Any]) -> bool:
    """A change event is an event without action, identity and severity."""
    return not any(name in body for name in ("event_action", "dedup_key")) and "severity" not in payload


# --------------------------------------------------------------------------------------------- v2


def _v2(body: dict[str, Any], config: IntegrationConfig) -> Alert:
    action = body.get("event_action")
    given = body.get("payload")
    payload: Mapping[str, Any] = given if isinstance(given, dict) else EMPTY
    _refuse(_errors_of_v2(body, action, payload, config))
    if action != "trigger":
        return _answer(STATUS_OF[text(action)], body.get("dedup_key"), payload)
    details = payload.get("custom_details")
    source = text(payload.get("source"))
    return Alert(
        status="firing",
        source_key=key_of(body.get("dedup_key")),
        severity=severity_of(payload.get("severity")),
        title=text(payload.get("summary")),
        description=_description(details),
        service=_service(body.get("routing_key"), payload, source, config),
        source=source,
        labels=_labels(details, payload, body),
        links=links_of(body.get("links")) + _client(body) + links_of(body.get("images")),
        started_at=instant_of(payload.get("timestamp")),
    )


def _errors_of_v2(
    body: Mapping[str, Any], action: Any, payload: Mapping[str, Any], config: IntegrationConfig
) -> Iterator[str]:
    key = body.get("routing_key")
    if not key or not isinstance(key, str):
        yield "'routing_key' is missing or blank"
    elif len(key) != KEY_LENGTH and key not in _own_keys(config):
        yield WRONG_LENGTH
    if not action:
        yield "'event_action' is missing or blank"
    elif not isinstance(action, str) or action not in STATUS_OF:
        yield WRONG_ACTION
    elif action == "trigger":
        yield from _errors_of_trigger(payload)
    elif not text(body.get("dedup_key")):
        yield "'dedup_key' is missing or blank"


def _errors_of_trigger(payload: Mapping[str, Any]) -> Iterator[str]:
    if not payload:
        yield "'payload' is missing or blank"
        return
    for name in ("summary", "source", "severity"):
        if not text(payload.get(name)).strip():
            yield f"'payload.{name}' is missing or blank"
    severity = payload.get("severity")
    if severity and (not isinstance(severity, str) or severity not in SEVERITIES):
        yield WRONG_SEVERITY


def _own_keys(config: IntegrationConfig) -> set[str]:
    """Keys this integration was given, whatever their length."""
    own = [config.options.get("routing_key"), *(entry.get("key") for entry in _teams(config))]
    return {value for secret in own if isinstance(secret, Secret) for value in secret.values}


def _teams(config: IntegrationConfig) -> list[Mapping[str, Any]]:
    return list((config.options.get("routing_keys") or EMPTY).values())


def _service(key: Any, payload: Mapping[str, Any], source: str, config: IntegrationConfig) -> str | None:
    """The routing key's service; none where the integration has its own; else group, component or source."""
    named = next((t.get("service") for t in _teams(config) if _opens(t.get("key"), key)), None)
    if named or config.defaults.get("service"):
        return named
    return text(payload.get("group")) or text(payload.get("component")) or source or None


def _opens(secret: Any, key: Any) -> bool:
    return isinstance(secret, Secret) and key in secret.values


def _description(details: Any) -> str:
    if isinstance(details, dict):
        return text(details.get("description") or details.get("body"))
    return text(details)


def _labels(details: Any, payload: Mapping[str, Any], body: Mapping[str, Any]) -> Mapping[str, str]:
    """custom_details (nested values as JSON), then class, component, group and client under their names."""
    labels = dict(labels_of(details)) if isinstance(details, dict) else {}
    named = {name: text(payload.get(name)) for name in ("class", "component", "group")}
    named["client"] = text(body.get("client"))
    labels.update({name: value for name, value in named.items() if value})
    return labels or EMPTY


def _client(body: Mapping[str, Any]) -> tuple[Link, ...]:
    return link(body.get("client_url"), text(body.get("client")))


def _answer(status: SignalStatus, key: Any, payload: Mapping[str, Any]) -> Alert:
    """An acknowledge or a resolve: identity and time, the rest is known already."""
    at = instant_of(payload.get("timestamp"))
    return Alert(status=status, source_key=key_of(key), ended_at=at if status == "resolved" else None)


# ----------------------------------------------------------------------------------- change events


def _change(body: Mapping[str, Any], payload: Mapping[str, Any], config: IntegrationConfig) -> Alert:
    """A change event as an alert: what was deployed or changed is context, never an incident."""
    _refuse(_errors_of_change(body, payload, config))
    return Alert(
        status="change",
        source_key=None,
        title=text(payload.get("summary")),
        source=text(payload.get("source")),
        labels=_labels(payload.get("custom_details"), payload, body),
        links=links_of(body.get("links")),
        started_at=instant_of(payload.get("timestamp")),
    )


def _errors_of_change(body: Mapping[str, Any], payload: Mapping[str, Any], config: IntegrationConfig) -> Iterator[str]:
    key = body.get("routing_key")
    if not key or not isinstance(key, str):
        yield "'routing_key' is missing or blank"
    elif len(key) != KEY_LENGTH and key not in _own_keys(config):
        yield WRONG_LENGTH
    if not text(payload.get("summary")).strip():
        yield "'payload.summary' is missing or blank"


# --------------------------------------------------------------------------------------------- v1


def _v1(body: dict[str, Any], config: IntegrationConfig) -> Alert:
    kind = body.get("event_type")
    _refuse(_errors_of_v1(body, kind))
    if kind != "trigger":
        return _answer(STATUS_OF[text(kind)], body.get("incident_key"), EMPTY)
    details = body.get("details")
    return Alert(
        status="firing",
        source_key=key_of(body.get("incident_key")),
        title=text(body.get("description")),
        description=_description(details),
        service=_service(body.get("service_key"), EMPTY, "", config),
        source=text(body.get("client")),
        labels=_labels(details, EMPTY, body),
        links=links_of(body.get("contexts")) + _client(body),
    )


def _errors_of_v1(body: Mapping[str, Any], kind: Any) -> Iterator[str]:
    if not text(body.get("service_key")):
        yield "Service key is missing or blank"
    if not isinstance(kind, str) or kind not in STATUS_OF:
        yield WRONG_TYPE
    elif kind == "trigger" and not text(body.get("description")).strip():
        yield "Description is missing or blank"
    elif kind != "trigger" and not text(body.get("incident_key")):
        yield "Incident key is missing or blank"


def _refuse(errors: Iterator[str]) -> None:
    said = list(errors)
    if said:
        raise BadBody("\n".join(said))


SOURCE: Source = PagerDuty()
