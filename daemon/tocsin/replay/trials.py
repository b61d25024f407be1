"""Tests of rules, each played by the production engine; each difference names the place of what was expected."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from tocsin.contracts import Source
from tocsin.decide.oncall.resolver import local_instant
from tocsin.decide.whatif.outcomes import Case, Played, figures, first_page, paged_first
from tocsin.decide.whatif.recordings import Record, Signal
from tocsin.errors import BadBody
from tocsin.model import Instant, IntegrationConfig, Millis, Settings, Where
from tocsin.replay.engine import play
from tocsin.settings import Loaded
from tocsin.settings.plugins import BrokenKind, Kinds
from tocsin.settings.rule_tests import NEVER, Expected, Trial, TrialAlert

BENCH = b"""
database: {url: "sqlite:tocsin.db"}
defaults: {timezone: UTC, policy: default}
catch_all: [user:sre]
channels: {terminal: {type: console}}
users: {sre: {name: SRE, timezone: UTC, contacts: {terminal: SRE}}}
policies: {default: {steps: [{notify: [user:sre], wait: 5m}], repeat: 0}}
integrations:
  prometheus: {type: alertmanager, token: prometheus-test}
  webhook: {type: webhook, token: webhook-test}
  pagerduty: {type: pagerduty, routing_key: 00000000000000000000000000000000}
"""
"""The configuration under tests that bring their own rules and need no other."""


@dataclass(frozen=True, slots=True)
class Differs:
    where: Where
    message: str

    def __str__(self) -> str:
        return f"{self.where}: {self.message}"


async def run_trial(trial: Trial, loaded: Loaded) -> tuple[Differs, ...]:
    """Play a test and return what differs from what it expects; empty where nothing does."""
    assert loaded.settings is not None
    start = local_instant(trial.start, loaded.settings.defaults.timezone)
    try:
        records = _records(trial, loaded.settings, start)
    except UnreadableAlert as wrong:
        return (Differs(wrong.where, str(wrong)),)
    played = await play(loaded, records, until=Instant(start + trial.until))
    return tuple(_differences(trial, played))


class UnreadableAlert(Exception):
    """An alert of a test that cannot be posted as it is written."""

    def __init__(self, where: Where, message: str) -> None:
        super().__init__(message)
        self.where = where


# ------------------------------------------------------------------------------------- the alerts


def _records(trial: Trial, settings: Settings, start: Instant) -> list[Record]:
    kinds = Kinds()
    return [
        record
        for post, coming in enumerate(trial.alerts, 1)
        for record in _posted(coming, post, settings, kinds, Instant(start + coming.at))
    ]


def _posted(coming: TrialAlert, post: int, settings: Settings, kinds: Kinds, at: Instant) -> Iterator[Record]:
    name = coming.integration or ""
    config = settings.integrations.get(name)
    if config is None:
        known = ", ".join(settings.integrations) or "none"
        raise UnreadableAlert(coming.where, f"integration: there is no integration '{name}'; there are: {known}")
    source = kinds.kind("sources", config.type)
    if source is None or isinstance(source, BrokenKind):
        raise UnreadableAlert(coming.where, f"integration: alerts of type {config.type} cannot be read by this version")
    raw = orjson.dumps(coming.body if coming.body is not None else _body(coming, config, at))
    for alert in _parsed(source, raw, config, coming, at):
        yield Signal(at, name, post, alert, "" if alert.source_key else hashlib.sha256(raw).hexdigest())


def _parsed(source: Source, raw: bytes, config: IntegrationConfig, coming: TrialAlert, at: Instant) -> tuple[Any, ...]:
    try:
        parsed = source.parse(raw, {"content-type": "application/json"}, config, at)
    except BadBody as wrong:
        raise UnreadableAlert(coming.where, f"the source refuses it: {wrong.detail}") from None
    if parsed.rejected:
        raise UnreadableAlert(coming.where, f"the source refuses it: {parsed.rejected[0].detail}")
    return parsed.alerts


def _body(coming: TrialAlert, config: IntegrationConfig, at: Instant) -> Any:
    parts = coming.parts
    if config.type.startswith("alertmanager"):
        return {"version": "4", "alerts": [_of_alertmanager(coming, at)]}
    if config.type == "webhook" and not config.options.get("map"):
        identity = parts.get("dedup_key") or _identity(parts)
        return {"status": "firing", "dedup_key": identity, **parts}
    raise UnreadableAlert(
        coming.where, f"alerts of type {config.type} are tested by their payload: write payload: {{…}}"
    )


def _of_alertmanager(coming: TrialAlert, at: Instant) -> dict[str, Any]:
    strange = [name for name in coming.parts if name not in ("status", "labels", "annotations", "dedup_key")]
    if strange:
        raise UnreadableAlert(coming.where, f"{strange[0]}: an Alertmanager sends labels and annotations only")
    body = {"status": "firing", "labels": {}, "annotations": {}, **coming.parts}
    key = body.pop("dedup_key", None)
    return {**body, "fingerprint": key} if key else body


def _identity(parts: Mapping[str, Any]) -> str:
    """The identity of a test's alert: the same labels, or else the same title, are the same alert."""
    said = sorted(parts.get("labels", {}).items()) or parts.get("title", "")
    return hashlib.sha256(orjson.dumps(said)).hexdigest()[:16]


# ---------------------------------------------------------------------------------- what differs


def _differences(trial: Trial, played: Played) -> Iterator[Differs]:
    cases = list(played.cases.values())
    if trial.incidents is not None:
        if len(cases) != len(trial.incidents):
            at = trial.totals.places["incidents"]
            wanted = _count(len(trial.incidents))
            yield Differs(at, f"incidents: {wanted} expected, {_count(len(cases))} opened{_listed(cases)}")
        else:
            for expected, case in zip(trial.incidents, cases, strict=True):
                yield from _of_case(expected, case)
    totals = figures(played)
    found = {"without_incident": totals.without_incident, "pages": totals.pages}
    for name, value in found.items():
        yield from _same(trial.totals, name, value)


def _count(number: int) -> str:
    return f"{number} incident{'' if number == 1 else 's'}"


def _listed(cases: list[Case]) -> str:
    if not cases:
        return ""
    shown = [f"{case.key} with {case.alerts} alert{'' if case.alerts == 1 else 's'}" for case in cases[:5]]
    return f": {', '.join(shown)}{' …' if len(cases) > 5 else ''}"


def _of_case(expected: Expected, case: Case) -> Iterator[Differs]:
    found = {
        "key": case.key,
        "title": case.title,
        "service": case.service,
        "severity": case.severity,
        "priority": case.priority,
        "status": case.status,
        "alerts": case.alerts,
        "self_healed": case.healed,
        "pages": sum(not page.bundled for page in case.pages),
    }
    for name, value in found.items():
        yield from _same(expected, name, value)
    if "paged" in expected.values:
        yield from _paged(expected, case)


def _same(expected: Expected, name: str, value: object) -> Iterator[Differs]:
    if name in expected.values and expected.values[name] != value:
        yield Differs(expected.places[name], f"{name}: {_said(expected.values[name])} expected, it is {_said(value)}")


def _said(value: object) -> str:
    return str(value).lower() if isinstance(value, bool) else repr(value) if isinstance(value, str) else str(value)


def _paged(expected: Expected, case: Case) -> Iterator[Differs]:
    wanted, where = expected.values["paged"], expected.places["paged"]
    after = first_page(case)
    wanted_after = wanted.get("after") if isinstance(wanted, dict) else wanted
    if wanted_after == NEVER:
        if after is not None:
            yield Differs(where, f"paged: never expected, {_first(case)}")
        return
    if after is None:
        yield Differs(where, f"paged: after {_length(wanted_after)} expected, nobody was paged"
                      if wanted_after is not None else "paged: nobody was paged")  # fmt: skip
        return
    if wanted_after is not None and wanted_after != after:
        yield Differs(where, f"paged: after {_length(wanted_after)} expected, {_first(case)}")
    who = wanted.get("who") if isinstance(wanted, dict) else None
    if who is not None and tuple(sorted(who)) != paged_first(case):
        yield Differs(where, f"paged: {', '.join(sorted(who))} expected, {_first(case)}")


def _first(case: Case) -> str:
    return f"the first page went to {', '.join(paged_first(case))} after {_length(first_page(case) or Millis(0))}"


def _length(length: Millis) -> str:
    """A length as one would write it: 0s, 30s, 2m, 1h30m."""
    seconds, millis = divmod(length, 1000)
    parts = ((seconds // 3600, "h"), (seconds // 60 % 60, "m"))
    rest = f"{seconds % 60}.{millis:03d}s" if millis else f"{seconds % 60}s" if seconds % 60 or not seconds else ""
    return "".join(f"{count}{unit}" for count, unit in parts if count) + rest
