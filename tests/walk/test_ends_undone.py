"""Which alerts are open is remembered: an end that was undone, or was followed by a new firing, must not mislead it."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path
from typing import Any

import orjson
import pytest
import structlog
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.errors import BadBody, NoSuchIncident, StoreError, StoreUnavailable
from tocsin.work.ingest.posts import Taken

HELD = "rules: [{name: wait, match: ['env=\"held\"'], hold: 5m}]"
GONE = StoreUnavailable("the disk is full")


def firing(key: str, title: str = "") -> dict[str, Any]:
    return {"title": title or key, "dedup_key": key, "status": "firing", "labels": {"env": "held"}}


def over(key: str) -> dict[str, Any]:
    return {"title": key, "dedup_key": key, "status": "resolved"}


async def take(town: Town, document: Any) -> Taken:
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
    assert (await town.incident(1)).status == "resolved"


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


POST = st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from(["firing", "firing", "resolved"]), st.sampled_from(["", "x"])), min_size=1, max_size=4)  # fmt: skip
STORIES = st.lists(
    st.tuples(
        st.lists(POST, min_size=1, max_size=3), st.sampled_from([None, None, GONE, StoreError("odd")]), st.booleans()
    ),
    max_size=6,
)


@settings(max_examples=25, deadline=None)
@given(STORIES, st.sampled_from(["", HELD]))
def test_whatever_happens_memory_agrees_with_the_database(story: list[Any], rules: str) -> None:
    asyncio.run(told(story, rules))


async def told(story: list[Any], rules: str) -> None:
    """Posts that come together, some of which the database undoes, and a person who resolves in between."""
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs():
        town = await Town.open(Path(folder), rules)
        try:
            for posts, error, by_hand in story:
                town.store_undoes(error)
                bodies = [
                    [firing(key, title) if status == "firing" else over(key) for key, status, title in post]
                    for post in posts
                ]
                works: list[Any] = [take(town, body) for body in bodies]
                if by_hand:
                    works += [town.daemon.actions.resolve(1, town.actor("ana"), "api")]
                for heard in await asyncio.gather(*works, return_exceptions=True):
                    assert not isinstance(heard, BaseException) or isinstance(
                        heard, (StoreError, BadBody, NoSuchIncident)
                    )
                town.counted_store.undoing.clear()
                await town.settle()
                await agrees(town)
            await take(town, [over(key) for key in "abc"])
            await town.settle()
            assert set(await statuses(town)) <= {"resolved"}
        finally:
            await town.end()


async def agrees(town: Town) -> None:
    kept = {(key, id, content) async for _, key, id, content, _ in await town.daemon.store.open_keys()}
    known = town.daemon.intake.open_alerts
    for key in "abc":
        open_ones = {(id, content) for name, id, content in kept if name == key}
        assert len(open_ones) <= 1
        found = known.same(f"apps\0{key}", next(iter(open_ones))[1]) if open_ones else None
        if open_ones:
            assert found is None or found[0] == next(iter(open_ones))[0]
            assert known.knows(f"apps\0{key}")  # else its resolve would be lost
        else:
            assert f"apps\0{key}" not in known._packed  # else its next firing would be


class Deaf:
    """Somebody who waits for a post and cannot be told of it."""

    heard: BaseException | None = None

    def done(self) -> bool:
        return self.heard is not None

    def set_result(self, result: Taken) -> None:
        raise RuntimeError("not a word")

    def set_exception(self, exception: BaseException) -> None:
        self.heard = exception


async def test_a_sender_that_cannot_be_told_costs_nobody_else_the_next_answer(build: Build) -> None:
    town = await build("")
    town.expected_errors = {"batch_not_answered"}
    config, raw = town.daemon.live.settings.integrations["apps"], orjson.dumps(firing("db"))
    parsed = town.daemon.live.sources[config.type].parse(raw, {}, config, town.clock.now())
    deaf = Deaf()

    assert town.daemon.intake.take_at_once(config, raw, parsed, deaf)
    await town.settle()
    await town.post("apps", firing("web"))

    assert isinstance(deaf.heard, StoreUnavailable)
    assert await statuses(town) == ["triggered", "triggered"]
