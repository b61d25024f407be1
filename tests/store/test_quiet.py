"""What keeps alerts quiet, as both databases keep it: sources, parents, windows that were told, relations, changes."""

from __future__ import annotations

from typing import Any

import pytest

from tests.store.facts import alert, at, incident
from tocsin.contracts import Store, Tx
from tocsin.model import ChangeEvent, Related


def change(key: str, **other: Any) -> ChangeEvent:
    plain = {
        "integration": "apps", "source_key": key, "at": at(5), "service": "shop", "title": "deployed 1.2",
        "description": "", "source": "ci", "labels": {"env": "prod"}, "links": (),
    }  # fmt: skip
    return ChangeEvent(**{**plain, **other})


async def put(store: Store, **changes: Any) -> None:
    async def work(tx: Tx) -> None:
        for name, values in changes.items():
            getattr(tx, name)(values)

    await store.write(work)


async def ask(store: Store, name: str, *args: Any) -> Any:
    async def work(tx: Tx) -> Any:
        return await getattr(tx, name)(*args)

    return await store.write(work)


async def test_sources_are_those_that_still_fire(store: Store) -> None:
    await put(store, add_alerts=[alert(1), alert(2), alert(3), alert(4, ended_at=at(2))], add_inhibitors=[2, 3, 4])
    await put(store, add_inhibitors=[3])

    assert [one.id for one in await ask(store, "inhibitors")] == [2, 3]
    await put(store, save_alerts=[alert(3, ended_at=at(9))])
    assert [one.id for one in await store.inhibitors()] == [2]


async def test_the_firing_alerts_of_several_incidents_come_in_one_answer(store: Store) -> None:
    await put(
        store,
        add_incidents=[incident(1, alert=1), incident(2, alert=3), incident(3, alert=5)],
        add_alerts=[
            alert(1, incident=1), alert(2, incident=1, joined=True), alert(3, incident=2, ended_at=at(1)),
            alert(4, incident=2, joined=True, ended_at=at(1)), alert(5, incident=3),
        ],
    )  # fmt: skip

    found = await store.firing_of([1, 2])

    assert {number: [one.id for one in alerts] for number, alerts in found.items()} == {1: [1, 2], 2: []}
    assert await store.firing_of([]) == {}


async def test_down_are_services_with_an_open_incident_of_high_priority(store: Store) -> None:
    await put(
        store,
        add_incidents=[
            incident(1, service="db", priority="P1"), incident(2, service="db", priority="P3"),
            incident(3, service="dns", priority="P2", status="acknowledged"), incident(4, service="shop", priority="P1"),
            incident(5, service="db", priority="P1", status="resolved", due_at=at(9)),
        ],
    )  # fmt: skip

    assert [one.number for one in await store.down(["db", "dns"])] == [1, 3]
    assert [one.number for one in await ask(store, "down", ["shop"])] == [4]
    assert await ask(store, "down", []) == []


async def test_a_window_is_told_once(store: Store) -> None:
    assert await ask(store, "begin_window", "patching", at(1), "began")
    assert not await ask(store, "begin_window", "patching", at(1), "began")
    assert await ask(store, "begin_window", "patching", at(1), "ended")
    assert await ask(store, "begin_window", "patching", at(2), "began")


async def test_relations_are_kept_once_and_go_with_their_incident(store: Store) -> None:
    rows = [Related(1, 2, "mutes", at(1)), Related(1, 3, "mutes", at(2)), Related(2, 1, "muted_by", at(1))]
    await put(store, add_incidents=[incident(1, status="closed", updated_at=at(1)), incident(9)], add_related=rows)
    await put(store, add_related=[Related(1, 2, "mutes", at(5))])

    assert await store.related(1, 9) == rows[:2]
    assert await store.related(1, 1) == rows[:1]
    while await store.prune(at(0), at(3), 10):
        pass
    assert await store.related(1, 9) == []


async def test_changes_come_newest_first_within_a_window_and_once(store: Store) -> None:
    await put(store, add_changes=[change("a"), change("b", at=at(7), service="db"), change("c", at=at(9))])
    await put(store, add_changes=[change("a", title="again")])

    found = await store.changes(at(0), at(10), service=None, limit=9)
    assert [one.source_key for one in found] == ["c", "b", "a"]
    assert (found[2].title, found[2].labels, found[2].id is not None) == ("deployed 1.2", {"env": "prod"}, True)
    assert [one.source_key for one in await store.changes(at(5), at(8), service="shop", limit=9)] == ["a"]
    assert len(await store.changes(at(0), at(10), service=None, limit=2)) == 2


@pytest.mark.parametrize("before", [6])
async def test_old_changes_and_sources_that_ended_are_forgotten(store: Store, before: int) -> None:
    await put(
        store,
        add_changes=[change("a"), change("b", at=at(7))],
        add_alerts=[alert(1, ended_at=at(9))],
        add_inhibitors=[1],
    )
    while await store.prune(at(before), at(before), 10):
        pass
    assert [one.source_key for one in await store.changes(at(0), at(10), service=None, limit=9)] == ["b"]
