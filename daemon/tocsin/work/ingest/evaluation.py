"""Evaluation of an alert before its batch begins: rules, group, identity, content, texts fit to keep."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from tocsin.decide.routing.alert_texts import Fit, as_json, fit_to_keep, hash_of
from tocsin.decide.routing.grouping import LONGEST, Group, group_of
from tocsin.decide.routing.rules import Rulebook, Verdict
from tocsin.model import Alert, ChangeEvent, Instant, IntegrationConfig


@dataclass(slots=True)
class Evaluated:
    """Alert as evaluated before its batch begins. A repeat needs no verdict.

    `alone`: if it is new it opens an incident of its own and pages nobody yet.
    """

    alert: Alert
    key: str  # "": the batch mints one
    identity: str = ""
    content: int = 0
    labels: str = "{}"  # as the source sent them, in JSON
    links: str = "[]"
    verdict: Verdict | None = None
    group: Group | None = None
    fit: Fit | None = None
    alone: bool = False
    waited: bool = False  # its wait behind its end is over: it fires now, if it waits still


def read(one: Evaluated) -> None:
    """The content of an alert that fires: enough to tell whether it only repeats itself."""
    alert = one.alert
    one.labels, one.links = as_json(alert.labels), as_json(alert.links)
    one.content = hash_of(alert, one.labels, one.links)


def evaluate(one: Evaluated, integration: IntegrationConfig, rulebook: Rulebook) -> None:
    """Ask the rules about an alert, find its group, and make its texts fit to keep."""
    one.verdict = verdict = rulebook.walk(one.alert, integration)
    one.fit = fit_to_keep(one.alert, verdict, one.labels, one.links)
    one.alone = stands_alone(one, verdict, integration)
    one.group = group_of(verdict, one.key, integration.name) if one.key and not one.alone else None


def stands_alone(one: Evaluated, verdict: Verdict, integration: IntegrationConfig) -> bool:
    return (
        verdict.hold is not None
        and verdict.group_by is None
        and verdict.dedup_key is None
        and verdict.dropped_by is None
        and verdict.suppressed_by is None
        and verdict.terms is None
        and not verdict.errors
        and one.alert.status == "firing"
        and 0 < len(one.key) < LONGEST - len(integration.name)
    )


def change_of(alert: Alert, integration: IntegrationConfig, key: str, rulebook: Rulebook, now: Instant) -> ChangeEvent:
    """A change that was made on purpose, as it is kept; the rules may name its service and title."""
    verdict = rulebook.walk(alert, integration)
    fit = fit_to_keep(alert, verdict)
    at = now if alert.started_at is None else min(alert.started_at, now)
    return ChangeEvent(
        integration.name, key, at, fit.service, fit.title, fit.description, fit.source, fit.labels, fit.links
    )


def bytes_of(raw: bytes, alert: Alert) -> str:
    """Hash that stands for an alert without an identity: its post's bytes, and its place in them."""
    return hashlib.blake2b(raw + alert.pointer.encode(), digest_size=16).hexdigest()
