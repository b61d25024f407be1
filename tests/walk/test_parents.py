"""Stories of services that need others: while the database is down nobody is woken for the shop as well."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town

NEEDS = """
throttle: {sms: ["1000/1m"]}
services:
  shop: {depends_on: [api]}
  api: {depends_on: [db]}
  db: {impact: high}
"""


async def shop(town: Town, title: str = "shop slow", severity: str = "critical") -> int:
    return await town.alert(title, severity, service="shop") or 0


async def db(town: Town, title: str = "db down", severity: str = "critical") -> int:
    return await town.alert(title, severity, service="db") or 0


async def test_while_the_parent_is_down_its_child_waits_and_both_say_so(build: Build) -> None:
    town = await build(NEEDS)
    parent, child = await db(town), await shop(town)
    await town.pass_time(minutes=9)

    assert town.pages_of("shop slow") == []
    assert (await town.incident(child)).muted_by == f"parent:{parent}"
    store = town.daemon.store
    assert [(one.other, one.kind) for one in await store.related(child, 9)] == [(parent, "muted_by")]
    assert [(one.other, one.kind) for one in await store.related(parent, 9)] == [(child, "mutes")]
    assert [one.because for one in await town.timeline(parent) if one.kind == "mutes"] == [
        f"INC {child} of shop waits until this is over"
    ]
    assert [one.because for one in await town.timeline(child) if one.kind == "muted"] == [f"parent:{parent}"]


async def test_when_the_parent_resolves_the_step_due_next_runs_at_once_and_once(build: Build) -> None:
    town = await build(NEEDS)
    await db(town)
    await shop(town)
    await town.pass_time(minutes=8)

    await town.clear("db down")

    assert town.pages_of("shop slow") == ["8m ana sms"]
    await town.pass_time(minutes=4)
    assert town.pages_of("shop slow") == ["8m ana sms"]


async def test_a_child_that_was_open_before_its_parent_goes_quiet(build: Build) -> None:
    town = await build(NEEDS)
    await shop(town)
    await town.pass_time(minutes=1)
    await db(town)
    await town.pass_time(minutes=9)
    assert town.pages_of("shop slow") == ["0m ana sms"]


async def test_a_parent_that_stands_behind_its_child_in_one_post_counts(build: Build) -> None:
    each = """
integrations:
  apps:
    type: webhook
    token: apps-token
    map: {each: "all", dedup_key: "id", title: "id", severity: "sev", service: "svc"}
"""
    town = await build(NEEDS + each)
    alerts = [{"id": "shop slow", "sev": "critical", "svc": "shop"}, {"id": "db down", "sev": "critical", "svc": "db"}]
    await town.post("apps", {"all": alerts})
    assert [told.title for told in town.told] == ["db down"]


async def test_only_the_two_highest_priorities_of_a_parent_count(build: Build) -> None:
    town = await build(NEEDS)
    await db(town, "db a little slow", "info")
    await shop(town)
    await town.settle()
    assert town.pages_of("shop slow") == ["0m ana sms"]


async def test_a_parent_that_becomes_worse_counts_from_then_on(build: Build) -> None:
    town = await build(NEEDS)
    await db(town, "db", "info")
    child = await shop(town)
    await town.pass_time(minutes=1)
    await db(town, "db", "critical")
    await town.settle()
    assert (await town.incident(child)).muted_by == "parent:1"


async def test_an_acknowledged_parent_still_counts(build: Build) -> None:
    town = await build(NEEDS)
    parent = await db(town)
    await town.ack(parent)
    await shop(town)
    await town.pass_time(minutes=6)
    assert town.pages_of("shop slow") == []


async def test_the_parent_itself_pages(build: Build) -> None:
    town = await build(NEEDS)
    await shop(town)
    await db(town)
    await town.settle()
    assert town.pages_of("db down") == ["0m ana sms"]


async def test_the_child_resolves_while_it_waits(build: Build) -> None:
    town = await build(NEEDS)
    await db(town)
    child = await shop(town)
    await town.clear("shop slow")
    await town.clear("db down")
    assert (await town.incident(child)).status == "resolved"
    assert town.pages_of("shop slow") == []


async def test_two_parents_the_child_waits_for_the_last(build: Build) -> None:
    town = await build(NEEDS)
    await db(town, "db down")
    second = await db(town, "db gone")
    child = await shop(town)
    await town.clear("db down")
    await town.pass_time(seconds=1)
    assert (await town.incident(child)).muted_by == f"parent:{second}"
    assert town.pages_of("shop slow") == []
    await town.clear("db gone")
    assert len(town.pages_of("shop slow")) == 1


@pytest.mark.parametrize("how", ["resolve", "cancel"])
async def test_what_a_person_ends_counts_no_more(how: str, build: Build) -> None:
    town = await build(NEEDS)
    parent = await db(town)
    await shop(town)
    await town.act(how, parent)
    await town.settle()
    assert town.pages_of("shop slow") == ["0m ana sms"]


async def test_after_a_crash_parents_are_known(build: Build) -> None:
    town = await build(NEEDS, database="file")
    await db(town)
    await town.pass_time(minutes=1)
    await town.restart(after_minutes=2)
    await shop(town)
    await town.pass_time(minutes=2)
    assert town.pages_of("shop slow") == []
    await town.clear("db down")
    assert town.pages_of("shop slow") == ["5m ana sms"]


async def test_what_somebody_opened_by_hand_pages_whatever_is_down(build: Build) -> None:
    town = await build(NEEDS)
    await db(town)
    await town.trigger("customers call", service="shop")
    assert town.pages_of("customers call") == ["0m ana sms"]
