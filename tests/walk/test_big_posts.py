"""A big post is decided in parts, a transaction each: one answer, one kept body, and others come in between."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.errors import BadBody
from tocsin.model import EMPTY, Alert, Instant, IntegrationConfig, Parsed
from tocsin.work.ingest.intake import BATCH_ALERTS
from tocsin.work.ingest.posts import Queued
from tocsin.work.ingest.waiting_posts import WaitingPosts

HELD = "rules: [{name: waits, match: ['title=~\".*\"'], hold: 1d}]"
GROUPED = "rules: [{name: g, match: ['cluster!=\"\"'], group_by: [cluster], hold: 1d}]"
SIZES = [BATCH_ALERTS, BATCH_ALERTS + 1, 3 * BATCH_ALERTS, 3 * BATCH_ALERTS + 7]


def many(count: int, **more: Any) -> list[dict[str, Any]]:
    return [{"title": f"t{n}", "dedup_key": f"k{n}", "status": "firing", **more} for n in range(count)]


@pytest.mark.parametrize("size", SIZES)
async def test_every_alert_of_a_big_post_is_kept_and_told_once(build: Build, size: int) -> None:
    town = await build(HELD)

    taken = await town.post("apps", many(size))

    assert (taken.accepted, len(set(taken.incidents)), len(set(taken.keys))) == (size, size, size)
    assert list(taken.keys) == [f"k{n}" for n in range(size)]
    posts = await town.daemon.store.posts(Instant(0), Instant(1 << 60), 100, 0)
    assert [(post.alerts, post.integration) for post in posts] == [(size, "apps")], "one body, whole"
    assert town.metric("tocsin_alerts_received_total", integration="apps", status="firing") == size


async def test_its_alerts_join_one_incident_as_in_a_small_post(build: Build) -> None:
    town = await build(GROUPED)

    taken = await town.post("apps", many(2 * BATCH_ALERTS + 1, labels={"cluster": "eu"}))

    assert taken.incidents == (1,)
    assert len(await town.alerts_of(1)) == 2 * BATCH_ALERTS + 1


async def test_repeats_in_a_big_post_are_counted_exactly_whatever_crashes(build: Build) -> None:
    town = await build(GROUPED, database="file")
    known = many(2 * BATCH_ALERTS + 1, labels={"cluster": "eu"})
    fresh = [{**one, "dedup_key": f"new {one['dedup_key']}"} for one in known[:BATCH_ALERTS]]
    await town.post("apps", known)
    await town.post("apps", known)
    await town.post("apps", [*fresh, *known])  # the part that keeps the body repeats nothing

    await town.crash()
    await town.begin()
    await town.pass_time(seconds=2)

    counts = {alert.source_key: alert.count for alert in await town.alerts_of(1)}
    assert {counts[one["dedup_key"]] for one in known} == {3}
    assert {counts[one["dedup_key"]] for one in fresh} == {1}


async def test_a_part_that_cannot_be_stored_costs_its_own_alerts(build: Build, monkeypatch: pytest.MonkeyPatch) -> None:
    town = await build(HELD)
    town.expected_errors = {"post_poisoned"}
    judge = town.daemon.intake._evaluate

    def poisoned(alert: Alert, *rest: Any) -> Any:
        if alert.source_key == f"k{BATCH_ALERTS}":
            raise RuntimeError("poison")
        return judge(alert, *rest)

    monkeypatch.setattr(town.daemon.intake, "_evaluate", poisoned)
    taken = await town.post("apps", many(3 * BATCH_ALERTS))
    monkeypatch.setattr(town.daemon.intake, "_evaluate", lambda *_: 1 / 0)
    with pytest.raises(BadBody):
        await town.post("apps", many(3 * BATCH_ALERTS))

    assert (taken.accepted, len(taken.rejected)) == (2 * BATCH_ALERTS, BATCH_ALERTS)
    assert taken.rejected[0].pointer == f"/{BATCH_ALERTS}"


async def test_what_others_send_is_decided_between_its_parts(build: Build) -> None:
    town = await build(HELD)
    order: list[str] = []

    async def send(name: str, integration: str, document: Any) -> None:
        await post(town, integration, document)
        order.append(name)

    await asyncio.gather(
        send("big", "apps", many(10 * BATCH_ALERTS)),
        *(send(f"small {n}", "prometheus", many(1, dedup_key=f"s{n}")) for n in range(3)),
    )

    assert order == ["small 0", "small 1", "small 2", "big"]


async def post(town: Town, integration: str, document: list[dict[str, Any]]) -> None:
    """Straight to intake: what is looked at is the order of batches."""
    alerts = tuple(Alert("firing", one["dedup_key"], title=one["title"]) for one in document)
    await town.daemon.intake.take(IntegrationConfig(integration, "webhook"), b"", Parsed(alerts))


def test_senders_take_turns_and_each_keeps_its_order() -> None:
    waiting = WaitingPosts()
    for number in range(3):
        for name in ("a", "b", "c"):
            waiting.add(queued(name, number, bytes_=10))

    first, rest = waiting.batch(4), waiting.batch(100)

    assert [(post.integration.name, post.received_at) for post in first] == [("a", 0), ("b", 0), ("c", 0), ("a", 1)]
    assert [post.received_at for post in rest if post.integration.name == "b"] == [1, 2]
    assert (len(waiting), waiting.bytes, waiting.batch(4)) == (0, 0, [])


def test_a_post_larger_than_a_batch_goes_alone() -> None:
    waiting = WaitingPosts()
    waiting.add(queued("a", 0, alerts=900))
    waiting.add(queued("b", 0))

    assert [len(waiting.batch(400)), len(waiting.batch(400))] == [1, 1]


def queued(name: str, at: int, *, alerts: int = 1, bytes_: int = 0) -> Queued:
    config = IntegrationConfig(name, "webhook", options=EMPTY)
    return Queued(config, b"x" * bytes_, Parsed(()), Instant(at), [None] * alerts, None, None)  # type: ignore[arg-type,list-item]  # not looked at
