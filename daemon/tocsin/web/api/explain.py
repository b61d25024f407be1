"""POST /v1/explain: what the rules would make of an alert here and now, and whom they would page. Reads only."""

from __future__ import annotations

import json
from typing import Any

import orjson
from aiohttp import web
from pydantic import Field, model_validator

from tocsin.decide.oncall.time_parsing import moment_of
from tocsin.decide.routing.sender_times import on_the_line
from tocsin.errors import BadBody
from tocsin.model import (
    Alert,
    Impact,
    Instant,
    IntegrationConfig,
    Millis,
    Parsed,
    Priority,
    Rejected,
    Severity,
    Urgency,
)
from tocsin.model.civil import unix
from tocsin.settings.document.scalars import did_you_mean, duration
from tocsin.web.api.bodies import Body, Length, Line, Name, RejectedShape, Shape, Text, When
from tocsin.web.api.endpoint import Ask, Endpoint
from tocsin.web.problem_json import HttpProblem, json_answer
from tocsin.web.request_turns import TURNS
from tocsin.work.whatif.explain import Asked

BY_HAND = "by-hand"
LONGEST = Millis(7 * 86_400_000)


class AskedAlert(Body):
    """An alert in so many words, where there is no payload."""

    title: Line
    description: Text | None = None
    severity: Severity | None = None
    service: Name | None = None
    source: Name | None = None
    labels: dict[str, str] = Field({}, max_length=64)
    dedup_key: Name | None = None


class Explain(Body):
    """A payload as the integration's tool would post it, or else an alert."""

    integration: Name | None = Field(None, description="Whose alert it would be; needed with a payload.")
    payload: Any = Field(
        None, description="The body as it would be posted (text for one that is not JSON); 100 alerts are explained."
    )
    alert: AskedAlert | None = None
    at: str | None = Field(
        None, max_length=64, description="As if it arrived then; now where absent.",
        examples=["2026-01-05T09:00:00Z", "2026-01-05 09:00", "Sunday 03:10"],
    )  # fmt: skip
    for_: Length | None = Field(
        None, alias="for", description="How far to look; until the catch-all had its turn where absent."
    )

    @model_validator(mode="after")
    def one_of_them(self) -> Explain:
        if (self.payload is None) == (self.alert is None):
            raise ValueError('write one of them: {"alert": {"title": "db down"}} or {"integration": …, "payload": …}')
        if self.payload is not None and self.integration is None:
            raise ValueError("a payload needs the integration that would receive it")
        return self


# ---------------------------------------------------------------------------------------- answers


class TracedShape(Shape):
    name: str
    matched: bool
    because: str = Field(description="What hit, or which matcher failed and the value it saw.")


class PlannedShape(Shape):
    at: When
    after: str
    step: int = Field(description="0: the catch-all.")
    user: str | None
    channel: str | None
    because: str
    local: When | None = Field(description="The same instant by the person's own clock.")


class ExplainedShape(Shape):
    dedup_key: str | None
    status: str
    severity: Severity | None
    service: str | None
    rules: list[TracedShape]
    action: str = Field(description="open, join, update, resolve, drop, suppress or hold")
    because: str
    incident_key: str | None
    incident: int | None = Field(description="The open incident it belongs to; null where it would open one.")
    impact: Impact | None
    urgency: Urgency | None
    priority: Priority | None
    priority_because: str | None
    policy: str | None
    muted_by: str | None
    plan: list[PlannedShape]
    notes: list[PlannedShape] = Field(description="What else happens: silences, new cycles, steps that reach nobody.")
    storm: int | None = Field(
        description="The storm that takes its incident in and pages for it; a new one's likely number."
    )
    storm_plan: list[PlannedShape] = Field(description="Pages of the storm that begins with it.")


class Explanation(Shape):
    at: When
    timezone: str
    alerts: list[ExplainedShape]
    rejected: list[RejectedShape]
    not_computed: list[RejectedShape] = Field(
        description="Parts of the integration's map that cannot be computed: the alerts page without them."
    )
    left_out: int = Field(description="Alerts of the payload beyond the hundredth: not looked at.")
    cut: bool = Field(description="The plans are longer than is told.")


# ---------------------------------------------------------------------------------------- handler


async def explain(ask: Ask) -> web.Response:
    body = ask.read(Explain)
    at = _moment(ask, body.at)
    integration = _integration(ask, body.integration)
    ahead = None if body.for_ is None else duration(body.for_)
    if ahead is not None and ahead > LONGEST:
        raise _wrong("/for", "is longer than a week")
    asker = ask.token.user or ask.token.id
    with ask.request.app[TURNS].admit(asker):
        parsed = await _asked(ask, body, integration, at)
        said = await ask.daemon.foresight.explain(Asked(integration, parsed, at, ahead, asker))
        return await ask.apart(json_answer, said)


async def _asked(ask: Ask, body: Explain, integration: IntegrationConfig, at: Instant) -> Parsed:
    """The alerts in question; a payload is read in a thread, since it may be large and its map costly."""
    if body.alert is not None:
        return _alert(body.alert)
    return await ask.apart(_parsed, ask, integration, body.payload, at)


def _moment(ask: Ask, text: str | None) -> Instant:
    if text is None:
        return ask.now
    try:
        return moment_of(text, ask.settings.defaults.timezone, ask.now)
    except ValueError as wrong:
        raise _wrong("/at", str(wrong)) from None


def _integration(ask: Ask, name: str | None) -> IntegrationConfig:
    if name is None:
        return IntegrationConfig(BY_HAND, "webhook")
    found = ask.settings.integrations.get(name)
    if found is None:
        raise _wrong(
            "/integration", f"no such integration {name[:80]!r}{did_you_mean(name[:80], ask.settings.integrations)}"
        )
    return found


def _alert(asked: AskedAlert) -> Parsed:
    return Parsed(
        (
            Alert(
                "firing",
                asked.dedup_key or asked.title,
                severity=asked.severity,
                title=asked.title,
                description=asked.description or "",
                service=asked.service,
                source=asked.source or "",
                labels=asked.labels,
            ),
        )
    )


def _parsed(ask: Ask, integration: IntegrationConfig, payload: Any, at: Instant) -> Parsed:
    """Parse the payload as its source does. Raises HttpProblem 422 with the place in the payload."""
    source = ask.daemon.live.sources.get(integration.type)
    if source is None:
        raise _wrong("/integration", f"alerts of type {integration.type!r} cannot be read by this daemon")
    raw = payload.encode("utf-8", "surrogatepass") if isinstance(payload, str) else _as_posted(payload)
    headers = {"content-type": "application/json", "content-length": str(len(raw))}
    try:
        return on_the_line(source.parse(raw, headers, integration, Instant(unix(at))))
    except BadBody as wrong:
        raise _wrong(f"/payload{wrong.pointer}", wrong.detail) from None


def _as_posted(payload: Any) -> bytes:
    try:
        return orjson.dumps(payload)
    except TypeError:  # lone surrogates and whole numbers beyond 64 bits
        return json.dumps(payload).encode()


def _wrong(pointer: str, detail: str) -> HttpProblem:
    return HttpProblem(422, detail, errors=(Rejected(pointer, detail),))


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST", "/v1/explain", "viewer", explain, "What would become of an alert, and whom it would page",
        "configuration", Explanation, Explain,
    ),
)  # fmt: skip
