"""Settings: the whole configuration, typed and valid."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tocsin.model.access import Secret
from tocsin.model.people import Policy, Target, Team, User
from tocsin.model.rules import Inhibition, Maintenance, Rule
from tocsin.model.schedules import Hours, Schedule
from tocsin.model.values import EMPTY
from tocsin.model.words import MINUTE, Impact, Millis, Priority, Severity, Urgency


@dataclass(frozen=True, slots=True)
class Support:
    """Weekly hours in a zone, for support_hours and calendars."""

    timezone: str
    hours: tuple[Hours, ...]
    holidays: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Service:
    """A service that people answer for. `depends_on`: services it cannot work without."""

    name: str
    owner: str | None = None
    policy: str | None = None
    impact: Impact = "medium"
    depends_on: tuple[str, ...] = ()
    runbook: str | None = None
    support_hours: Support | None = None
    sla: Mapping[str, Any] = EMPTY


@dataclass(frozen=True, slots=True)
class IntegrationConfig:
    """A configured source of alerts. `options` holds the values its kind declares."""

    name: str
    type: str
    token: Secret | None = None
    options: Mapping[str, Any] = EMPTY
    defaults: Mapping[str, Any] = EMPTY  # service, severity, labels, policy: fill what an alert lacks
    overrides: Mapping[str, Any] = EMPTY  # `set`: the same keys, beats what the alert says
    may_resolve: bool = True
    may_acknowledge: bool = False
    auto_resolve: Millis | None = None


@dataclass(frozen=True, slots=True)
class ChannelConfig:
    """A configured way to reach people. `to` makes it a target of its own."""

    name: str
    type: str
    options: Mapping[str, Any] = EMPTY
    to: str | None = None


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `count` messages in `window`."""

    count: int
    window: Millis


@dataclass(frozen=True, slots=True)
class Heartbeat:
    """A heartbeat: something that must report every so often, or at the times of a crontab expression."""

    name: str
    every: Millis | None = None  # None: `cron` says when
    cron: str = ""
    timezone: str = "UTC"  # of `cron`
    grace: Millis = Millis(0)
    match: tuple[str, ...] = ()  # alerts that are check-ins
    service: str = ""
    severity: Severity = "error"
    policy: str | None = None
    token: Secret | None = None


@dataclass(frozen=True, slots=True)
class StormLimit:
    """More first pages than `new_incidents` in `within` are a storm."""

    new_incidents: int = 30
    within: Millis = MINUTE
    per: Literal["service", "integration", "all"] = "service"


@dataclass(frozen=True, slots=True)
class Server:
    """Addresses the daemon listens on, and the one under which people and providers reach it."""

    host: str = "127.0.0.1"
    port: int = 8420
    admin_host: str | None = None
    admin_port: int | None = None
    public_url: str | None = None  # without a trailing slash
    trusted_proxies: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Defaults:
    """Values that hold where nothing else is said."""

    timezone: str = "UTC"
    policy: str | None = None
    severity: Severity = "error"
    reopen_within: Millis = Millis(0)
    close_after: Millis = Millis(3 * 86_400_000)
    notify_resolved: bool = True


@dataclass(frozen=True, slots=True)
class Retention:
    """Lengths of time for which what is over is kept."""

    alerts: Millis = Millis(90 * 86_400_000)
    incidents: Millis = Millis(3 * 365 * 86_400_000)


DEFAULT_PRIORITIES: Mapping[Impact, Mapping[Urgency, Priority]] = MappingProxyType(
    {
        "high": MappingProxyType({"high": "P1", "medium": "P2", "low": "P3"}),
        "medium": MappingProxyType({"high": "P2", "medium": "P3", "low": "P4"}),
        "low": MappingProxyType({"high": "P3", "medium": "P4", "low": "P5"}),
    }
)

_M = 60_000
DEFAULT_THROTTLE: Mapping[str, tuple[Limit, ...]] = MappingProxyType(
    {
        "sms": (Limit(1, Millis(_M)), Limit(5, Millis(15 * _M)), Limit(11, Millis(60 * _M))),
        "voice": (Limit(1, Millis(_M)), Limit(3, Millis(15 * _M)), Limit(7, Millis(60 * _M))),
        "mail": (Limit(10, Millis(_M)), Limit(60, Millis(60 * _M))),
        "chat": (Limit(20, Millis(_M)),),
    }
)


@dataclass(frozen=True, slots=True)
class Settings:
    """The whole configuration, valid. `hash` names it in pages and logs; `source` is the main file."""

    hash: str = ""
    source: str = ""
    server: Server = Server()
    database: str = "sqlite:tocsin.db"  # absolute by now for sqlite
    retention: Retention = Retention()
    defaults: Defaults = Defaults()
    catch_all: tuple[Target, ...] = ()
    heartbeat_out: tuple[str, Millis] | None = None
    integrations: Mapping[str, IntegrationConfig] = EMPTY
    channels: Mapping[str, ChannelConfig] = EMPTY
    fallbacks: Mapping[str, tuple[str, ...]] = EMPTY
    users: Mapping[str, User] = EMPTY
    teams: Mapping[str, Team] = EMPTY
    schedules: Mapping[str, Schedule] = EMPTY
    policies: Mapping[str, Policy] = EMPTY
    services: Mapping[str, Service] = EMPTY
    priorities: Mapping[Impact, Mapping[Urgency, Priority]] = field(default_factory=lambda: DEFAULT_PRIORITIES)
    rules: tuple[Rule, ...] = ()  # in the order they are walked
    categories: tuple[str, ...] = ()  # that rules may set; (): any text
    inhibitions: tuple[Inhibition, ...] = ()
    maintenance: tuple[Maintenance, ...] = ()
    throttle: Mapping[str, tuple[Limit, ...]] = field(default_factory=lambda: DEFAULT_THROTTLE)  # by name or kind
    heartbeats: Mapping[str, Heartbeat] = EMPTY
    storm: StormLimit = StormLimit()
    answers: Mapping[str, str] = EMPTY  # {sms: code}
    without_effect: tuple[str, ...] = ()  # sections that are valid and have no effect yet
    steps_may_rest: bool = field(init=False, default=False)  # some rule has flap or resolve_after

    def __post_init__(self) -> None:
        rests = any(rule.flap is not None or rule.resolve_after for rule in self.rules)
        object.__setattr__(self, "steps_may_rest", rests)
