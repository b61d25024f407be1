"""Lookup of the integration that a token, a routing key or a path leads to."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, replace

from tocsin.contracts import Source
from tocsin.model import EMPTY, IntegrationConfig, Secret, Settings


@dataclass(frozen=True, slots=True)
class InboundIntegration:
    """An integration as its posts find it. `accepts`: the secrets, any of which lets a post in."""

    config: IntegrationConfig
    source: Source
    accepts: Secret


@dataclass(frozen=True, slots=True)
class InboundIntegrations:
    """The integrations of a configuration: by name, and by the hash of a routing key."""

    settings: Settings
    by_name: Mapping[str, InboundIntegration]
    by_key: Mapping[bytes, InboundIntegration]


def inbound_integrations(settings: Settings, sources: Mapping[str, Source]) -> InboundIntegrations:
    """The integrations of `settings` as posts find them, but those whose kind is not installed."""
    by_name: dict[str, InboundIntegration] = {}
    by_key: dict[bytes, InboundIntegration] = {}
    for config in settings.integrations.values():
        source = sources.get(config.type)
        if source is None:
            continue
        keyed = routing_keys(config)
        own = (config.token,) if config.token else ()
        accepts = Secret(tuple(value for secret in (*own, *(key for key, _ in keyed)) for value in secret.values))
        by_name[config.name] = InboundIntegration(config, source, accepts)
        for key, service in keyed:
            integration = InboundIntegration(for_service(config, service), source, key)
            by_key.update({digest(value): integration for value in key.values})
    return InboundIntegrations(settings, by_name, by_key)


def routing_keys(config: IntegrationConfig) -> list[tuple[Secret, str | None]]:
    """(key, service) of each routing key; service None: as the alert says."""
    keys: list[tuple[Secret, str | None]] = []
    if isinstance(config.options.get("routing_key"), Secret):
        keys.append((config.options["routing_key"], None))
    for entry in (config.options.get("routing_keys") or EMPTY).values():
        keys.append((entry["key"], entry.get("service")))
    return keys


def for_service(config: IntegrationConfig, service: str | None) -> IntegrationConfig:
    """`config` with another default service, for one of several teams behind one integration."""
    return replace(config, defaults={**config.defaults, "service": service}) if service else config


def digest(key: str) -> bytes:
    """Look-ups go by hash, so that their time says nothing about the key."""
    return hashlib.sha256(key.encode("utf-8", "surrogatepass")).digest()
