"""What-if knows who waits for whom, and for how long: the plan it tells is what then happens when nobody answers."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.model import MINUTE, Millis
from tocsin.work.whatif.explain import Asked

AHEAD = 16 * MINUTE  # until the policy of db is exhausted
NEEDS = """
throttle: {sms: ["1000/1m"]}
integrations:
  apps:
    type: webhook
    token: apps-token
    map: {each: "all", dedup_key: "id", title: "id", severity: "sev", service: "svc", labels: "labels"}
policies:
  bare: {steps: [{notify: [user:ana], wait: 5m}, {notify: [user:bo], wait: 5m}], repeat: 0, ack_timeout: 10m}
schedules: {nights: {timezone: UTC, layers: [{name: later, users: [ana], rotation: {every: 1w, start: 2027-01-04 09:00}}]}}
rules: [{name: held, match: ['env="held"'], hold: 3m}, {name: quiet, match: ['env="site"'], suppress: true}]
inhibitions: [{name: site, source: ['env=~"site|loud"'], target: ['env="room"']}]
services:
  web: {depends_on: [api]}
  api: {depends_on: [db], impact: high}
  db: {impact: high, policy: bare}
"""


def alert(service: str, severity: str = "error", env: str = "") -> dict[str, Any]:
    return {"id": f"{service} down {env}", "sev": severity, "svc": service, "labels": {"env": env} if env else {}}


BEFORE: dict[str, list[dict[str, Any]]] = {
    "nothing": [],
    "db": [alert("db")],
    "db held": [alert("db", env="held")],
    "api": [alert("api")],
    "a loud source": [alert("none", env="loud")],
}
BODIES: dict[str, list[dict[str, Any]]] = {
    "parent first": [alert("db"), alert("api")],
    "child first": [alert("api"), alert("db")],
    "a chain": [alert("web"), alert("api"), alert("db")],
    "a more urgent child": [alert("db", "warning"), alert("api", "critical")],
    "a held parent": [alert("db", env="held"), alert("api")],
    "a child alone": [alert("api")],
    "the last of three alone": [alert("web", "critical")],
    "what a source suppresses": [alert("none", env="site"), alert("none", env="room")],
    "what a loud source keeps quiet": [alert("none", env="room"), alert("none", env="loud")],
    "what is kept quiet alone": [alert("none", env="room")],
}


async def foretold(town: Town, body: list[dict[str, Any]]) -> list[str]:
    config = town.daemon.live.settings.integrations["apps"]
    raw = orjson.dumps({"all": body})
    parsed = town.daemon.live.sources[config.type].parse(raw, {}, config, town.clock.now())
    answer = await town.daemon.foresight.explain(Asked(config, parsed, town.clock.now(), Millis(AHEAD)))
    return sorted(
        f"{page['at'][11:19]} {one['dedup_key'].strip()} {page['user']}"
        for one in answer["alerts"] for page in one["plan"] if page.get("user")
    )  # fmt: skip


async def happened(town: Town, body: list[dict[str, Any]]) -> list[str]:
    since = town.clock.now()
    await town.post("apps", {"all": body})
    await town.pass_quietly(minutes=AHEAD / MINUTE)
    asked = {one["id"].strip() for one in body}
    noon = 12 * 3600
    lines = []
    for told in town.told:
        seconds = round((told.at - town.start) / 1000) + noon
        if told.kind == "page" and told.title.strip() in asked and told.at >= since:
            lines.append(
                f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02} {told.title.strip()} {told.user}"
            )
    return sorted(lines)


@pytest.mark.parametrize("before", BEFORE)
@pytest.mark.parametrize("what", BODIES)
async def test_the_plan_is_what_happens(before: str, what: str, build: Build) -> None:
    town = await build(NEEDS)
    body = [one for one in BODIES[what] if one not in BEFORE[before]]
    if BEFORE[before]:
        await town.post("apps", {"all": BEFORE[before]})
    await town.pass_time(minutes=2)

    told = await foretold(town, body)

    assert told == await happened(town, body)
