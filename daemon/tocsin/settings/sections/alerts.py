"""Sections integrations, services and what goes with them: where alerts come from, what they are about."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tocsin.decide.heartbeats import crontab
from tocsin.model import EMPTY, PRIORITIES, Heartbeat, IntegrationConfig, Millis, Secret, Service, StormLimit, Support
from tocsin.settings.document import scalars
from tocsin.settings.document.nodes import Node
from tocsin.settings.document.reading import Reading
from tocsin.settings.document.shapes import (
    BROKEN,
    Choice,
    Either,
    Flag,
    Got,
    Key,
    Many,
    Name,
    Nothing,
    Record,
    Table,
    WholeNumber,
    Word,
    text,
)
from tocsin.settings.sections import lookups
from tocsin.settings.sections.people import options_of
from tocsin.settings.sections.plugin_options import DURATION, SECRET, URL, Kinded
from tocsin.settings.sections.shared import (
    IMPACT,
    LINE,
    MATCHERS,
    SEVERITY,
    SOME_TIME,
    SUPPORT,
    ZONE,
    default_zone,
)

# ----------------------------------------------------------------------------------- integrations

LABELS = Table(text("a label's value", longest=1000))

_FILL_KEYS = {
    "service": Key(Name("services"), "the service"),
    "severity": Key(SEVERITY, "the severity"),
    "labels": Key(LABELS, "labels"),
    "policy": Key(Name("policies"), "the policy"),
}
_FILL = Record("defaults", _FILL_KEYS, lambda got, _reading: dict(got.values))
OWN_NAMES = ("tocsin", "heartbeat")  # of alerts that Tocsin makes: about itself, and about silence
_ACKS = ("pagerduty", "opsgenie")  # sources whose senders acknowledge on purpose


def _integration_keys(kind: Any) -> Mapping[str, Key]:
    return {
        "token": Key(SECRET, "what senders put into the bearer header, the basic password or ?token="),
        "service": Key(Name("services"), "short for defaults.service"),
        "defaults": Key(_FILL, "fill what an alert lacks"),
        "set": Key(_FILL, "beats what the alert says"),
        "may_resolve": Key(Flag(), "whether its resolves count", shown="true"),
        "may_acknowledge": Key(Flag(), "whether its acks count", shown="true for pagerduty and opsgenie, else false"),
        "auto_resolve": Key(SOME_TIME, "resolve an alert that was not repeated for so long", shown="never"),
    }


def _integration(got: Got, reading: Reading, type: str, kind: Any) -> IntegrationConfig | Nothing:
    if not _has_a_key(got, kind) and not got.node.cut:
        keys = " or ".join(["token", *_own_keys(kind)])
        message = f"'{keys}' is missing; anyone could post alerts"
        reading.error(got.node, "missing-key", message, at=got.node.key_at)
        return BROKEN
    if got.name in OWN_NAMES:
        message = "is Tocsin's own name; give the integration another one"
        reading.error(got.node, "bad-name", message, at=got.node.key_at)
        return BROKEN
    return IntegrationConfig(
        name=got.name,
        type=type,
        token=got.get("token"),
        options=options_of(got, kind.options),
        defaults=_defaults(got, reading),
        overrides=MappingProxyType(got.get("set", {})),
        may_resolve=got.get("may_resolve", True),
        may_acknowledge=got.get("may_acknowledge", type in _ACKS),
        auto_resolve=got.get("auto_resolve"),
    )


def _own_keys(kind: Any) -> list[str]:
    return [name for name, option in kind.options.items() if option.kind in ("secret", "keys") and name != "token"]


def _has_a_key(got: Got, kind: Any) -> bool:
    return any(got.has(name) for name in ("token", *_own_keys(kind)))


def _defaults(got: Got, reading: Reading) -> Mapping[str, Any]:
    defaults = dict(got.get("defaults", {}))
    if got.has("service") and "service" in defaults and got.get("service") != defaults["service"]:
        reading.error(got.at("service"), "contradiction", "defaults.service says something else; write one of them")
    if got.get("service"):
        defaults.setdefault("service", got.get("service"))
    return MappingProxyType(defaults)


INTEGRATIONS = Table(Kinded("sources", _integration_keys, _integration), scalars.path_name, "integrations")


def check_shared_keys(configs: Mapping[str, IntegrationConfig], entries: Mapping[str, Node], reading: Reading) -> None:
    """Two integrations of one type may not share a key: it says whose alert it is."""
    owners: dict[tuple[str, str], str] = {}
    for name, config in configs.items():
        for value in _key_values(config):
            owner = owners.setdefault((config.type, value), name)
            if owner != name:
                message = f"has the same key as the integration '{owner}' ({entries[owner].key_at}); give each its own"
                reading.error(entries[name], "shared-key", message, at=entries[name].key_at)
                break


def _key_values(config: IntegrationConfig) -> list[str]:
    secrets = [config.token, *config.options.values()]
    for option in config.options.values():
        if isinstance(option, Mapping):
            secrets.extend(entry.get("key") for entry in option.values() if isinstance(entry, Mapping))
    return [value for secret in secrets if isinstance(secret, Secret) for value in secret.values]


# --------------------------------------------------------------------------------------- services

_SLA_TIMES = Record(
    "times",
    {
        "ack": Key(SOME_TIME, "acknowledged within"),
        "resolve": Key(SOME_TIME, "resolved within"),
    },
    lambda got, _reading: MappingProxyType(dict(got.values)),
)
_SLA = Record(
    "an SLA",
    {
        **{priority: Key(_SLA_TIMES, f"times for {priority}") for priority in PRIORITIES},
        "calendar": Key(Name("calendars"), "the clock runs in these hours only", shown="always"),
    },
    lambda got, _reading: MappingProxyType(dict(got.values)),
)


_SUPPORT_HOURS = Either(word=Name("calendars"), mapped=SUPPORT)


def _support_hours(got: Got, reading: Reading) -> Support | None:
    """The support hours as written, or the calendar of that name."""
    written: Support | str | None = got.get("support_hours")
    if isinstance(written, str):
        calendars: Mapping[str, Support] = reading.values["calendars"]
        return calendars.get(written)
    return written


def _service(got: Got, reading: Reading) -> Service:
    if got.name in got.get("depends_on", ()):
        reading.error(got.at("depends_on"), "contradiction", f"'{got.name}' cannot depend on itself")
    return Service(
        name=got.name,
        owner=got.get("owner"),
        policy=got.get("policy"),
        impact=got.get("impact", "medium"),
        depends_on=got.get("depends_on", ()),
        runbook=got.get("runbook"),
        support_hours=_support_hours(got, reading),
        sla=got.get("sla", EMPTY),
    )


SERVICES = Table(
    Record(
        "a service",
        {
            "owner": Key(Name("teams"), "the team that owns it"),
            "policy": Key(Name("policies"), "who is paged", shown="defaults.policy"),
            "impact": Key(IMPACT, "how bad it is when this breaks", shown="medium"),
            "depends_on": Key(
                Many(Name("services"), alone=True),
                "services it cannot work without: while somebody is on a P1 or P2 of one, no more urgent incidents of "
                "this one wait",
            ),
            "runbook": Key(URL, "where to read what to do"),
            "support_hours": Key(
                _SUPPORT_HOURS, "outside them urgency is low unless P1, P2; or a calendar's name", shown="always"
            ),
            "sla": Key(_SLA, "times promised by priority", later=True),
        },
        _service,
    ),
    text("a service's name", longest=100).parse,
    "services",
)

# ------------------------------------------------------------------ what must report, what is planned


def _heartbeat(got: Got, reading: Reading) -> Heartbeat | Nothing:
    written = [key for key in ("every", "cron") if got.has(key)]
    if not written and not got.has("match") and not got.node.cut:
        message = "'every' is missing (how often it must be heard), or 'cron' (at which times)"
        reading.error(got.node, "missing-key", message, at=got.node.key_at)
        return BROKEN
    if len(written) == 2:
        reading.error(got.at("cron"), "contradiction", "'every' says something else; write one of them")
        return BROKEN
    return Heartbeat(
        name=got.name,
        every=None if got.has("cron") else got.get("every", FIVE_MINUTES),
        cron=got.get("cron", ""),
        timezone=got.get("timezone") or default_zone(reading),
        grace=got.get("grace", Millis(0)),
        match=got.get("match", ()),
        service=got.get("service", ""),
        severity=got.get("severity", "error"),
        policy=got.get("policy"),
        token=got.get("token"),
    )


def _crontab(written: str) -> str:
    return crontab.parse(written).text


FIVE_MINUTES = scalars.duration("5m")
HEARTBEATS = Table(
    Record(
        "a heartbeat",
        {
            "every": Key(SOME_TIME, "how often it must be heard; required without `cron` and `match`", shown="5m"),
            "cron": Key(
                Word(_crontab, "a crontab expression", "", "0 3 * * *"), "instead of `every`: at which times it runs"
            ),
            "timezone": Key(ZONE, "the zone of `cron`", shown="defaults.timezone"),
            "grace": Key(DURATION, "how late it may be", shown="0s"),
            "match": Key(MATCHERS, "alerts that count as a check-in (Watchdog …)"),
            "service": Key(Name("services"), "the incident's service"),
            "severity": Key(SEVERITY, "the incident's severity", shown="error"),
            "policy": Key(Name("policies"), "who is paged", shown="the service's"),
            "token": Key(SECRET, "a token of its own; any integration's token works too"),
        },
        _heartbeat,
    ),
    scalars.path_name,
    "heartbeats",
)

CALENDARS = Table(
    SUPPORT,
    scalars.name,
    "calendars",
)

LOOKUPS = Table(Record("a lookup", lookups.KEYS, lookups.enrichment), scalars.name, "lookups")

CATEGORIES = Either(
    listed=Many(LINE),
    mapped=Table(
        Record("a category", {"description": Key(text(), "what belongs into it")}, lambda got, _reading: None)
    ),
    word=Many(LINE),
)

STORM = Record(
    "a storm limit",
    {
        "new_incidents": Key(WholeNumber(2, 1_000_000), "more new incidents than these …", required=True),
        "within": Key(SOME_TIME, "… in this time become one", required=True),
        "per": Key(Choice(("service", "integration", "all")), "counted per", shown="service"),
    },
    lambda got, _reading: StormLimit(**got.values),
)
