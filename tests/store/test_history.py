"""What a store tells of the past: the same on each database, from a time on, in order, slice by slice."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.store.conftest import AnyStore
from tests.store.facts import alert, at, attempt, entry, incident, page, post
from tocsin.contracts import Tx
from tocsin.decide.whatif.noise_report import Heard
from tocsin.decide.whatif.outcomes import Case, Sent
from tocsin.decide.whatif.recordings import Answer

HOUR = 3_600_000


async def kept(store: AnyStore, **rows: Any) -> None:
    async def work(tx: Tx) -> None:
        for name, values in rows.items():
            getattr(tx, f"add_{name}")(values)

    await store.write(work)


async def all_of(found: AsyncIterator[Any]) -> list[Any]:
    return [one async for one in found]


@pytest.fixture(autouse=True)
def small_slices(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tocsin.store.history.SLICE", 2)
    monkeypatch.setattr("tocsin.store.history.MANY", 2)


@pytest.mark.parametrize(("since", "first"), [(0, 1), (5, 5), (6, 6), (11, 0), (-5, 1)])
async def test_posts_since_a_time_are_found_whatever_ids_they_have(store: AnyStore, since: int, first: int) -> None:
    ids = [1, 2, 5, 6, 9, 10]
    await kept(store, posts=[post(one, received_at=at(one * HOUR), body=b"x") for one in ids])

    found = [one.id async for one in store.posts_since(at(since * HOUR))]

    assert found == [one for one in ids if first and one >= first]


async def test_nothing_received_is_nothing_told(store: AnyStore) -> None:
    assert await all_of(store.posts_since(at(0))) == []
    assert await all_of(store.heard_since(at(0))) == []
    assert await all_of(store.pages_sent()) == []
    assert await all_of(store.cases()) == []
    assert await all_of(store.answers_since(at(0))) == []
    assert await all_of(store.alerts_in_short()) == []


async def test_an_answer_is_told_once_for_each_alert_that_was_open_then(store: AnyStore) -> None:
    await kept(
        store,
        alerts=[
            alert(1, 1),
            alert(2, 1, joined=True, received_at=at(10)),
            alert(3, 1, joined=True, ended_at=at(15), status="resolved"),
            alert(4, 1, joined=True, received_at=at(99)),
        ],
        incidents=[incident(1, alert=1)],
        pages=[page("p1"), page("p2"), page("p3")],
        attempts=[
            attempt("a0", "p1", state="failed", started_at=at(1)),
            attempt("a1", "p2", state="accepted", started_at=at(3)),
            attempt("a2", "p3", state="accepted", started_at=at(70)),
        ],
        entries=[
            entry(1, "joined", at(10), actor="integration:apps"),
            entry(1, "acknowledged", at(20)),
            entry(1, "snoozed", at(40), actor="user:bo", detail={"until": at(80)}),
            entry(1, "resolved", at(60), actor="integration:apps"),
        ],
    )

    assert await all_of(store.answers_since(at(0))) == [
        Answer(at(20), "apps", "key-1", "acknowledged", "ana", at(3)),
        Answer(at(20), "apps", "key-2", "acknowledged", "ana", at(3)),
        Answer(at(40), "apps", "key-1", "snoozed", "bo", at(3), at(80)),
        Answer(at(40), "apps", "key-2", "snoozed", "bo", at(3), at(80)),
    ]
    assert [one.kind for one in await all_of(store.answers_since(at(30)))] == ["snoozed", "snoozed"]


async def test_alerts_are_told_with_what_became_of_them(store: AnyStore) -> None:
    await kept(
        store,
        alerts=[
            alert(1, 1, count=4),
            alert(2, None, status="dropped"),
            alert(3, 2, ended_at=at(50), status="resolved"),
        ],
        incidents=[incident(1, alert=1), incident(2, alert=3)],
        pages=[page("p1", tries=1), page("p2"), page("p3", tries=2), page("u", kind="update", tries=1)],
        entries=[entry(2, "acknowledged")],
    )

    first, second, third = await all_of(store.heard_since(at(0)))

    assert first == Heard("apps", "key-1", "error", "alert 1", "shop", "firing", 1, at(0), None, 4, 2,
                          {"alertname": "NodeDown", "ünï": '✓ "quoted"'}, False, True)  # fmt: skip
    assert (second.status, second.incident, second.pages, second.acted) == ("dropped", None, 0, False)
    assert (third.ended_at, third.acted) == (at(50), True)
    assert await all_of(store.alerts_in_short()) == [
        ("apps", "key-1", at(0), 1, "firing"), ("apps", "key-2", at(0), 0, "dropped"), ("apps", "key-3", at(0), 2, "resolved"),
    ]  # fmt: skip


async def test_incidents_are_told_with_who_opened_them_and_whether_they_healed(store: AnyStore) -> None:
    await kept(
        store,
        alerts=[alert(7, 1), alert(8, 2)],
        incidents=[
            incident(1, alert=7, status="resolved", resolved_by="integration:apps", total=3),
            incident(2, alert=8, status="resolved", resolved_by="ana"),
            incident(3, opened_by="user:ana"),
        ],
    )

    first, second, third = await all_of(store.cases())

    assert first == Case(
        1, "apps/key-1", "incident 1", "shop", "error", "P2", "resolved", "apps", at(0), 3, True, "key-7"
    )
    assert (second.healed, second.opened_by) == (False, "key-8")
    assert (third.healed, third.opened_by, third.status) == (False, "", "triggered")


async def test_pages_that_went_out_are_told_incident_by_incident(store: AnyStore) -> None:
    pages = [page(f"p{nth}", nth, tries=1) for nth in (1, 2, 3, 4)]
    unsent = [page("never", 2), page("update", 3, kind="update", tries=1)]
    await kept(
        store,
        incidents=[incident(nth) for nth in (1, 2, 3, 4)],
        pages=[*pages, *unsent],
        attempts=[
            *(attempt(f"a{nth}", f"p{nth}", state="accepted", started_at=at(nth)) for nth in (1, 2, 3)),
            attempt("b", "p4", state="bundled", started_at=at(9)),
            attempt("c", "never", state="failed"),
            attempt("d", "update", state="accepted"),
        ],
    )

    assert await all_of(store.pages_sent()) == [
        *(Sent(nth, at(nth), "ana", "user:ana", "sms", False) for nth in (1, 2, 3)),
        Sent(4, at(9), "ana", "user:ana", "sms", True),
    ]
