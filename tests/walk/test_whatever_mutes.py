"""Whatever mutes, in whatever order: nobody is paged while all that fires is muted, nothing else is ever forgotten."""

from __future__ import annotations

import random

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.model import MINUTE, Incident, Instant, StoredAlert

EVERYTHING = """
throttle: {sms: ["1000/1m"]}
services: {shop: {depends_on: [db]}, db: {impact: high}}
inhibitions: [{name: down, source: ['kind="down"'], target: ['kind="slow"'], equal: [cluster]}]
maintenance: [{name: window, match: ['cluster="a"'], every: "12:20", for: 15m}]
rules: [{name: together, match: ['kind="slow"'], group_by: [cluster]}]
"""
STEPS = 30


class Model:
    """What must hold, worked out anew from what fires, the silences made, and the clock."""

    def __init__(self, town: Town) -> None:
        self.town = town
        self.silences: list[tuple[str, Instant, Instant]] = []  # of a cluster

    async def muted(self, incident: Incident) -> bool:
        alerts = [one for one in await self.town.alerts_of(incident.number) if one.ended_at is None]
        down = await self.town.daemon.store.alerts(integration=None, status="firing", limit=1000, before=None)
        known = {one.number: one for one in await self.town.incidents()}
        sources = {
            one.labels.get("cluster") for one in down
            if one.labels.get("kind") == "down" and one.incident is not None and known[one.incident].muted_by is None
        }  # fmt: skip
        parents = False
        for one in known.values():
            if one.open and one.service == "db" and one.priority in ("P1", "P2") and one.priority <= incident.priority:
                parents |= await self.somebody_is_on(one)
        return bool(alerts) and all(self._quiet(one, sources, parents) for one in alerts)

    async def somebody_is_on(self, incident: Incident) -> bool:
        """Nobody acknowledges here and everybody can be reached: it pages until its policy is exhausted."""
        kinds = [one.kind for one in await self.town.timeline(incident.number)]
        return incident.muted_by is None and "catch_all" not in kinds

    def _quiet(self, alert: StoredAlert, sources: set[str | None], parents: bool) -> bool:
        now, cluster = self.town.clock.now(), alert.labels.get("cluster")
        minutes = now % (24 * 60 * MINUTE) / MINUTE
        return (
            any(of == cluster and start <= now < end for of, start, end in self.silences)
            or (cluster == "a" and 12 * 60 + 20 <= minutes < 12 * 60 + 35)
            or (alert.labels.get("kind") == "slow" and cluster in sources)
            or (alert.service == "shop" and parents)
        )


@pytest.mark.parametrize("seed", range(3))
async def test_an_incident_is_muted_exactly_while_all_its_firing_alerts_are(seed: int, build: Build) -> None:
    chance = random.Random(seed)
    town = await build(EVERYTHING, database="file", seed=seed)
    model = Model(town)
    for _ in range(STEPS):
        await something(town, model, chance)
        for incident in await town.incidents():
            if incident.status == "triggered":
                assert (incident.muted_by is not None) == await model.muted(incident), (town.minutes, incident)
                assert incident.due_at is not None
    for told in town.told:
        assert told.kind != "page" or told.of is None or told.of.muted_by is None
    await town.pass_time(minutes=2)
    for incident in await town.incidents():
        if incident.status == "triggered" and incident.muted_by is None:
            assert any(one.incident == incident.number and one.kind == "page" for one in town.told), incident


async def something(town: Town, model: Model, chance: random.Random) -> None:
    cluster, kind = chance.choice("ab"), chance.choice(["slow", "down", "other"])
    title, service = f"{kind} {cluster}", chance.choice(["shop", "db", "none"])
    what = chance.choices(["fire", "clear", "silence", "time", "restart", "resolve"], [30, 20, 6, 34, 4, 6])[0]
    match what:
        case "fire":
            severity = chance.choice(["critical", "info"])
            labels = {"kind": kind, "cluster": cluster}
            await town.alert(f"{title} {service}", severity, labels=labels, service=service)
        case "clear":
            await town.clear(f"{title} {service}")
            open_ones = await town.daemon.store.alerts(integration=None, status="firing", limit=100, before=None)
            assert f"{title} {service}" not in {one.title for one in open_ones}
        case "silence":
            made = await town.silence(f'cluster="{cluster}"', minutes=chance.choice([1, 5]))
            model.silences.append((cluster, made.starts_at, made.ends_at))
        case "restart":
            await town.restart(after_minutes=chance.choice([0, 2]))
        case "resolve":
            unresolved = [one for one in await town.incidents() if one.open]
            if unresolved:
                number = chance.choice(unresolved).number
                await town.resolve(number)
                assert (await town.incident(number)).status == "resolved"
        case _:
            await town.pass_time(seconds=chance.choice([1, 20, 60, 150]))
    await town.pass_time(seconds=1)
