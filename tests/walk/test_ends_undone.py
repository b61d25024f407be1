"""Which alerts are open is remembered: an end that was undone, or was followed by a new firing, must not mislead it."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.errors import StoreError, StoreUnavailable
from tocsin.work.batch import Taken

HELD = "rules: [{name: wait, match: ['env=\"held\"'], hold: 5m}]"
GONE = StoreUnavailable("the disk is full")


def firing(key: str, title: str = "") -> dict[str, Any]:
    return {"title": title or key, "dedup_key": key, "status": "firing", "labels": {"env": "held"}}


def over(key: str) -> dict[str, Any]:
    return {"title": key, "dedup_key": key, "status": "resolved"}


async def take(town: Town, document: dict[str, Any]) -> Taken:
    """A post that does not wait until the town has come to rest."""
    config, raw = town.daemon.live.settings.integrations["apps"], orjson.dumps(document)
    parsed = town.daemon.live.sources[config.type].parse(raw, {}, config, town.clock.now())
    return await town.daemon.intake.take(config, raw, parsed)


async def statuses(town: Town) -> list[str]:
    return [one.status for one in await town.incidents()]


@pytest.mark.parametrize("rules", ["", HELD], ids=["pages", "straight in"])
async def test_what_ends_and_fires_anew_in_one_post_can_end_again(build: Build, rules: str) -> None:
    town = await build(rules)
    await town.post("apps", firing("db"))
    await town.post("apps", [over("db"), firing("db", "again")])
    await town.post("apps", over("db"))
    assert await statuses(town) == ["resolved", "resolved"]


@pytest.mark.parametrize("rules", ["", HELD], ids=["pages", "straight in"])
async def test_a_resolve_that_could_not_be_kept_counts_when_it_is_sent_again(build: Build, rules: str) -> None:
    town = await build(rules)
    await town.post("apps", firing("db"))
    town.store_undoes(GONE)
    with pytest.raises(StoreUnavailable):
        await town.post("apps", over("db"))
    await town.post("apps", over("db"))
    assert await statuses(town) == ["resolved"]


@pytest.mark.parametrize("rules", ["", HELD], ids=["pages", "straight in"])
async def test_a_resolve_beside_a_poisoned_post_counts(build: Build, rules: str) -> None:
    town = await build(rules)
    town.expected_errors = {"post_poisoned"}
    await town.post("apps", firing("db"))
    town.store_undoes(StoreError("it cannot be kept"))  # both together; then each goes alone
    await asyncio.gather(take(town, over("db")), take(town, firing("web")))
    await town.settle()
    assert await statuses(town) == ["resolved", "triggered"]


async def test_a_person_s_resolve_that_could_not_be_kept_leaves_the_source_s_to_count(build: Build) -> None:
    town = await build(HELD)
    await town.post("apps", firing("db"))
    town.store_undoes(GONE)
    with pytest.raises(StoreUnavailable):
        await town.resolve(1)
    await town.post("apps", over("db"))
    assert await statuses(town) == ["resolved"]


async def test_an_expiry_that_could_not_be_kept_leaves_the_source_s_resolve_to_count(build: Build) -> None:
    town = await build("integrations: {apps: {type: webhook, token: apps-token, auto_resolve: 10m}}")
    town.expected_errors = {"store_unavailable"}
    await town.post("apps", firing("db"))
    await town.pass_time(minutes=9)
    town.store_fails("next_due")  # nobody looks at the timers meanwhile
    await town.pass_time(minutes=2)
    town.store_undoes(None, GONE)  # incidents first, then alerts
    with pytest.raises(StoreUnavailable):
        await town.daemon.timers.run_due()
    await town.post("apps", over("db"))
    assert await statuses(town) == ["resolved"]


@pytest.mark.parametrize("rules", ["", HELD], ids=["pages", "straight in"])
async def test_after_an_end_that_was_undone_a_repeat_is_a_repeat(build: Build, rules: str) -> None:
    town = await build(rules)
    await town.post("apps", firing("db"))
    town.store_undoes(GONE)
    with pytest.raises(StoreUnavailable):
        await town.post("apps", over("db"))
    await town.post("apps", firing("db"))
    await town.pass_time(seconds=2)
    assert [alert.count for alert in await town.alerts_of(1)] == [2]
    assert len(await town.incidents()) == 1
