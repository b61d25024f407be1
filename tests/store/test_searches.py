"""A search over all there ever was ends in time, and keeps no other question waiting."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.store.conftest import Opener
from tests.store.facts import T0, attempt, incident, page
from tocsin.clock import SystemClock
from tocsin.contracts import IncidentFilter, Store, Tx
from tocsin.errors import Refused
from tocsin.store import searches

SLOW = {
    "sqlite": "(with recursive n(x) as (select 1 union all select x + 1 from n where x < 4000000000) select count(*) c from n)",
    "postgres": "(select count(*) c from generate_series(1, 4000000) a, generate_series(1, 40000) b)",
}
"""What no machine counts in two seconds."""


@pytest.fixture(params=["sqlite", "postgres"])
def kind(request: pytest.FixtureRequest) -> str:
    """Not inline: everything is one connection there, in virtual time."""
    return str(request.param)


@pytest.fixture
async def store(kind: str, open_it: Opener, monkeypatch: pytest.MonkeyPatch) -> Store:
    """A store whose lists take for ever, as those of many million incidents would."""
    module = __import__(f"tocsin.store.{kind}", fromlist=["queries"])
    real = module.queries()
    text = real.texts["list_incidents"]
    texts = {**real.texts, "list_incidents": text.replace("where ", f"where {SLOW[kind]} < 0 and ", 1)}
    assert texts["list_incidents"] != text
    store = await open_it(clock=SystemClock())

    async def one(tx: Tx) -> None:
        tx.add_incidents([incident(1)])

    await store.write(one)
    monkeypatch.setattr(module, "queries", lambda: type(real)(texts, real.inserts))
    return store


async def test_a_search_that_takes_too_long_says_how_to_narrow_it(store: Store) -> None:
    with pytest.raises(Refused, match="narrow it") as refused:
        await store.incidents(IncidentFilter(text="x"), 10, None)

    assert refused.value.status == 422
    assert await store.newest_number() == 1, "the connection is good for other questions"


async def test_others_are_answered_while_somebody_searches(store: Store) -> None:
    searching = asyncio.ensure_future(store.incidents(IncidentFilter(text="x"), 10, None))
    await asyncio.sleep(0.2)
    began = time.monotonic()

    for _ in range(5):
        await asyncio.gather(store.newest_number(), store.alerts(integration=None, status=None, limit=5, before=None))
        await store.set_meta("a", "b")

    assert time.monotonic() - began < searches.SECONDS / 2
    assert not searching.done()
    with pytest.raises(Refused):
        await searching


async def test_searches_wait_for_each_other_and_not_without_end(store: Store) -> None:
    asked = [store.incidents(IncidentFilter(text="x"), 10, None) for _ in range(searches.WAITING + 3)]
    tasks = [asyncio.ensure_future(one) for one in asked]
    await asyncio.sleep(0.2)
    refused = [task.exception() for task in tasks if task.done()]
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    assert [one.status for one in refused if isinstance(one, Refused)] == [429] * 3


async def test_pages_of_an_incident_come_in_parts_each_with_its_attempts(open_it: Opener) -> None:
    store = await open_it()

    async def some(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        tx.add_pages([page(f"p{n}", due_at=T0 + n) for n in range(7)])
        tx.save_attempts([attempt(f"a{n}", f"p{n}") for n in range(7)])

    await store.write(some)
    parts = [await store.pages(1, 3, after) for after in (0, 3, 6)]

    assert [[one.id for one, _ in part] for part in parts] == [["p0", "p1", "p2"], ["p3", "p4", "p5"], ["p6"]]
    assert [made.id for part in parts for _, attempts in part for made in attempts] == [f"a{n}" for n in range(7)]
    assert await store.pages(1) == [one for part in parts for one in part]
