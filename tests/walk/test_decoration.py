"""Nothing that only adorns an alert costs its page: odd texts, through every source, under rules that look at all of them,
over every kind of channel."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import HOOK, OPS_MAIL, Town

ODD = {
    "lone surrogate": "a\ud800b",
    "nul and controls": "\x00\x07\x1b[31mred\r\nBcc: x@example.org",
    "right to left": "\u202egnp.exe \u2066x",
    "a template": "{{ 1/0 }} {% for x in y %}",
    "markup": "<script>&amp;]]></Say><Hangup/>",
    "very long": "x" * 200_000,
    "long words of marks": "e" + "\u0301" * 30_000,
    "astral": "\U0001f525" * 3_000,
    "only spaces and controls": " \t\x00\u200b ",
    "a pattern": "(((((((((((a*)*)*)*$",
    "quotes": "\"'\\`${x}%s%n{0}",
}

RULES = """
rules:
  - {name: looks, match: ['title=~".*[a-z].*"'], set: {category: "{{ labels.odd }}", service: "{{ labels.odd }}"}}
  - {name: renders, set: {title: "{{ title | upper }} {{ labels.odd | truncate(20) }} {{ labels.nothing | round(2) }}"}}
  - {name: broken, set: {labels: {note: "{{ labels.nothing | round(2) }}", other: "{{ labels.odd | round(1) }}"}}}
  - {name: together, match: ['label.odd!=""'], group_by: [odd, identity]}
  - {name: flaps, match: ['odd=~".*x.*"'], flap: {changes: 5, within: 10m, settle: 1m}}
throttle: {sms: [10000/1m], voice: [10000/1m], mail: [10000/1m], chat: [10000/1m]}
storm: {new_incidents: 1000000, within: 1m}
integrations:
  am: {type: alertmanager, token: am-token}
  mapped:
    type: webhook
    token: mapped-token
    map: {title: "join(' ', [app, nothing])", dedup_key: key, severity: "upper(severity)", labels: labels, description: "sum(text)"}
users:
  ana: {name: Ana, timezone: UTC, contacts: {sms: "+15005550010", voice: "+15005550010", mail: ana@example.org}, notify: {high: [{by: [sms, voice, mail]}], medium: [{by: [sms, voice, mail]}], low: [{by: [sms, voice, mail]}]}}
policies: {default: {steps: [{notify: [user:ana, channel:ops-mail, channel:hook], wait: 1h}], repeat: 0, ack_timeout: never}}
"""


async def town_with_all(build: Build) -> Town:
    hook = HOOK.replace("}", ", to: ops}")
    return await build(RULES + f"channels: {{{hook.replace('hook: ', 'hook: ', 1)}, {OPS_MAIL}}}")


def bodies(odd: str) -> list[tuple[str, Any]]:
    """One firing a source, with the odd text wherever a text may stand."""
    labels = {"odd": odd, odd or "x": odd, "alertname": odd}
    return [
        ("apps", {"title": odd, "dedup_key": f"1{odd}", "severity": odd, "description": odd, "service": odd, "source": odd,
                  "labels": {**labels, "identity": "1"}, "links": [{"href": f"https://{odd}", "text": odd}, odd], "timestamp": odd}),
        ("apps", {"title": "plain", "dedup_key": "2", "tags": [odd, f"{odd}:{odd}", f"{odd}=1", "identity=2"], "link": odd, "state": odd}),
        ("am", {"alerts": [{"status": "firing", "labels": {**labels, "severity": odd, "identity": "3", "instance": odd},
                            "annotations": {"summary": odd, "description": odd, "runbook_url": f"https://{odd}"},
                            "startsAt": odd, "endsAt": odd, "generatorURL": f"http://{odd}"}]}),
        ("pd", {"routing_key": "0123456789abcdef0123456789abcdef", "event_action": "trigger", "dedup_key": "4",
                "payload": {"summary": f"s{odd}", "source": f"s{odd}", "severity": "error", "timestamp": odd, "class": odd,
                            "custom_details": {**labels, "identity": "4"}}, "links": [{"href": odd, "text": odd}], "client": odd}),
        ("mapped", {"app": odd, "key": "5", "severity": odd, "labels": {**labels, "identity": "5"}, "text": odd}),
    ]  # fmt: skip


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_no_odd_text_costs_a_page_over_any_channel(odd: str, build: Build) -> None:
    town = await town_with_all(build)
    for integration, body in bodies(odd):
        taken = await town.post(integration, json.dumps(body).encode())
        assert (taken.accepted, len(taken.incidents)) == (1, 1), (integration, taken)
    await town.pass_time(seconds=5)

    for incident in await town.incidents():
        told = {one.channel for one in town.told if one.incident == incident.number and one.kind == "page"}
        assert told == {"sms", "voice", "mail", "ops-mail", "hook"}, incident
    assert len(await town.incidents()) == 5


@pytest.mark.parametrize("odd", ODD.values(), ids=ODD)
async def test_nor_its_resolve(odd: str, build: Build) -> None:
    town = await town_with_all(build)
    await town.post("apps", json.dumps({"title": "db", "dedup_key": odd, "status": "firing"}).encode())
    await town.post("mapped", json.dumps({"app": odd, "key": odd}).encode())

    await town.post("apps", json.dumps({"title": odd, "dedup_key": odd, "status": "resolved", "labels": odd}).encode())

    assert [one.status for one in await town.incidents()] == ["resolved", "triggered"]
