"""Whatever happens in whatever order: the books balance, and the timeline alone rebuilds the incident (I11)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.decide.muting.mutes import stored_values
from tocsin.decide.views import opening
from tocsin.model import Entry, Incident

CONFIG = """
defaults: {reopen_within: 10m, close_after: 2h}
services: {shop: {impact: high}}
rules:
  - {name: nodes, match: ['cluster!=""'], group_by: [cluster]}
  - {name: queues, match: ['title="queue"'], set: {dedup_key: queues}}
  - {name: held, match: ['severity="warning"'], hold: 3m}
  - {name: trifles, match: ['severity="info"', 'cluster=""'], drop: true}
  - {name: heart, match: ['title="heart"'], set: {priority: P1}}
throttle: {sms: [1000/1m]}
"""
OTHER = CONFIG.replace("hold: 3m", "hold: 7m").replace("drop: true", "set: {urgency: high}")
KEYS, CLUSTERS, SEVERITIES = "abcdef", ("eu", "us", ""), ("critical", "error", "warning", "info")
DEEDS = ("acknowledge", "unacknowledge", "resolve", "escalate", "cancel", "close")


@dataclass
class Rebuilt:
    """What the lines say, one after the other."""

    status: str = ""
    cycle: int = 1
    by: str | None = None
    priority: str = ""
    firing: set[int] = field(default_factory=set)

    def read(self, entry: Entry) -> None:
        detail = entry.detail
        self.cycle = detail.get("cycle", self.cycle)
        self.priority = detail.get("priority", self.priority)
        match entry.kind:
            case "opened" | "retriggered" | "unacknowledged" | "reopened":
                self.status = "triggered"
            case "escalated" if detail["cycle"]:
                self.status = "triggered"
            case "acknowledged" | "snoozed":
                self.status, self.by = "acknowledged", detail["by"]
            case "resolved" | "closed" | "canceled":
                self.status = entry.kind
                self.firing = set()
        match entry.kind:
            case "joined":
                self.firing.add(detail["alert"])
            case "alert_resolved":
                self.firing.discard(detail["alert"])


def rebuilt(incident: Incident, entries: Sequence[Entry]) -> Rebuilt:
    start = opening(incident)
    found = Rebuilt(priority=incident.priority, firing={incident.alert} if incident.alert else set())
    for entry in [start, *entries]:
        found.read(entry)
    return found


async def balance(town: Town) -> None:
    """What must hold at every moment of rest."""
    incidents = await town.incidents()
    open_keys = [incident.key for incident in incidents if incident.open]
    assert len(open_keys) == len(set(open_keys)), "two open incidents of one key"
    for incident in incidents:
        alerts = await town.alerts_of(incident.number)
        firing = {alert.id for alert in alerts if alert.ended_at is None}
        assert incident.firing == len(firing), incident
        assert incident.open == bool(firing), incident
        if incident.status == "triggered":
            assert incident.due_at is not None, f"nobody will ever be paged again: {incident}"
        if incident.muted_by is not None:
            assert incident.status == "triggered", incident
            mutes, now = town.daemon.runtime.mutes, town.clock.now()
            loud = [one for one in alerts if one.ended_at is None and not mutes.of(stored_values(one), now, "P1")]
            assert loud == [], "muted, although an alert of it is not silenced"
        if incident.open:
            assert incident.severity == min((one.severity for one in alerts if one.id in firing), key=SEVERITIES.index)
        again = rebuilt(incident, await town.timeline(incident.number))
        assert (again.status, again.cycle, again.firing) == (incident.status, incident.cycle, firing), incident
        assert (again.by, again.priority) == (incident.acknowledged_by, incident.priority), incident


def event(random: Random) -> dict[str, Any]:
    key = random.choice(KEYS)
    if random.random() < 0.35:
        return {"title": "over", "dedup_key": key, "status": "resolved"}
    cluster = CLUSTERS[KEYS.index(key) % 3]
    title = random.choice(("disk", "net", "heart"))
    return {
        "title": title, "dedup_key": key, "status": "firing", "severity": random.choice(SEVERITIES),
        "service": "shop", "labels": {"cluster": cluster} if cluster else {},
    }  # fmt: skip


def sent_to_pagerduty(random: Random) -> dict[str, Any]:
    payload = {
        "summary": "queue",
        "source": "mq",
        "severity": "critical",
        "custom_details": {"x": random.randint(1, 2)},
    }
    verb = random.choice(("trigger", "trigger", "acknowledge", "resolve"))
    return {
        "routing_key": "0123456789abcdef0123456789abcdef", "event_action": verb, "dedup_key": random.choice("xy"),
        "payload": payload,
    }  # fmt: skip


async def something(town: Town, random: Random) -> None:
    found = [incident.number for incident in await town.incidents()]
    silences = await town.daemon.silences.list(True)
    kinds: list[Callable[[], Any]] = [
        lambda: town.post("apps", event(random)),
        lambda: town.post("apps", [event(random) for _ in range(4)]),
        lambda: town.pass_quietly(minutes=random.choice((0.1, 1, 4, 31))),
    ]
    weights: list[float] = [6, 3, 4]
    kinds.append(lambda: town.post("pd", sent_to_pagerduty(random)))
    weights.append(2)
    if found:
        kinds.append(lambda: town.act(random.choice(DEEDS), random.choice(found[-6:])))
        kinds.append(lambda: town.snooze(random.choice(found[-6:]), minutes=5))
        weights += [3, 1]
    kinds.append(lambda: town.silence(f'severity="{random.choice(SEVERITIES)}"', minutes=random.choice((2, 20))))
    kinds.append(lambda: town.restart(after_minutes=random.choice((0, 1))))
    kinds.append(lambda: town.reload(random.choice((CONFIG, OTHER))))
    weights += [1, 0.4, 0.3]
    if silences:
        kinds.append(lambda: town.unsilence(random.choice(silences)))
        weights.append(1)
    await random.choices(kinds, weights)[0]()


@pytest.mark.parametrize("seed", range(4))
async def test_whatever_happens_the_books_balance_and_the_timeline_tells_it_all(seed: int, build: Build) -> None:
    town, random = await build(CONFIG, database="file", seed=seed), Random(seed)
    for _ in range(60):
        await something(town, random)
        await balance(town)
