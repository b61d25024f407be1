"""What every store promises, on every store."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import fields, replace
from typing import Any, Literal

import pytest

from tests.store.conftest import Opener, StillClock
from tests.store.facts import (
    T0,
    alert,
    at,
    attempt,
    entry,
    eventually,
    incident,
    override,
    page,
    post,
    silence,
    swap,
    there,
    token,
    tombstone,
)
from tocsin.contracts import Door, IncidentFilter, Place, Stand, Store, Tx
from tocsin.errors import Conflict, Refused, StoreUnavailable
from tocsin.model import EMPTY, Arrival, Beat, ContactState, FeedCopy, Incident, Instant, Storm, Verification
from tocsin.store.arrivals import alert_of, incident_of


async def put(store: Store, *, lane: Literal["urgent", "ingest"] = "urgent", **changes: Any) -> None:
    """One transaction of changes: put(store, add_alerts=[…], add_incidents=[…])."""

    async def work(tx: Tx) -> None:
        for name, values in changes.items():
            getattr(tx, name)(values)

    await store.write(work, lane=lane)


async def ask(store: Store, name: str, *args: Any) -> Any:
    """What one read of a transaction answers."""
    return await store.write(lambda tx: getattr(tx, name)(*args))


# ------------------------------------------------------------------------------- round trips


async def test_an_alert_comes_back_as_it_went_in(store: Store) -> None:
    full = alert(
        3, 9, post=4, description="línea\nnueva", ended_at=at(5), expires_at=at(6), hold_until=at(7), acknowledged_at=at(8),
        count=12, truncated=True, joined=True, muted_by="silence s1", content=2**62, because="grouped",
        terms={"flap": [3, 60000, 60000, "links"]}, cleared_at=at(9), settles_at=at(10),
    )  # fmt: skip
    bare = alert(5, labels=EMPTY, links=(), rules=())
    await put(store, add_alerts=[full, bare])
    assert await store.alerts(integration=None, status=None, limit=10, before=None) == [bare, full]


async def test_an_incident_comes_back_as_it_went_in(store: Store) -> None:
    # every field gets a value of its own, so that two swapped columns cannot hide
    values: dict[str, Any] = {}
    for index, field in enumerate(fields(incident(1))):
        number = "int" in str(field.type) or "Instant" in str(field.type) or "Millis" in str(field.type)
        values[field.name] = index + 1 if number else f"text {index}"
    values |= {"number": 7, "status": "acknowledged", "priority": "P1", "grouped": True, "due_kind": "step"}
    full = replace(incident(7), **values)
    await put(store, add_incidents=[full, incident(8)])
    assert await store.incident(7) == full
    assert await store.incident(8) == incident(8)


async def test_an_arrival_is_an_alert_and_the_incident_it_opens(store: Store) -> None:
    come = Arrival(
        3, "apps", "k3", 2**62, 7, 4, "critical", "disk full", "línea\nnueva", "checkout", "host-1", '{"env":"prod"}',
        '[{"href":"https://example.org","text":"Runbook"}]', '["hold"]', at(1), at(2), at(3), at(4), True, '["service"]',
        "apps/k3", "high", "low", "P3", "hardware", "default", "hash",
    )  # fmt: skip
    other = come._replace(id=5, source_key="k5", incident=8, key="apps/k5", expires_at=None, links="[]", written="[]")
    await put(store, add_arrivals=[come, other])
    assert await store.alerts(integration=None, status=None, limit=10, before=None) == [alert_of(other), alert_of(come)]
    assert [await store.incident(number) for number in (7, 8)] == [incident_of(come), incident_of(other)]


async def test_pages_attempts_posts_silences_tokens_come_back_as_they_went_in(store: Store) -> None:
    kept = page("p1", because="Ana is on call", text="fixed", updated_at=at(3), tries=1, failures=2, rank=1, config="c")
    call = attempt(
        "a1", "p1", state="accepted", ref="SM1", ended_at=at(1), confirm_by=at(2), permanent=True, delivery="sent"
    )
    quiet, key = silence("s1", matchers=('a="b"', "c!~d")), token("t1", revoked_at=at(9), user=None)

    async def work(tx: Tx) -> None:
        tx.add_pages([kept])
        tx.add_attempts([call])
        tx.add_posts([post(1, body=bytes(range(256)))])
        tx.add_silence(quiet)
        tx.add_token(key)
        tx.save_contact_state(ContactState("sms", "+1", False, "STOP", T0))

    await store.write(work)
    assert await store.pages(1) == [(kept, [call])]
    assert await store.page("p1") == kept
    assert await store.attempt("a1") == call
    assert [await store.attempts_of("p1"), await store.attempts_of("p2")] == [[call], []]
    assert await store.silences(active_at=None, limit=5) == [quiet]
    assert await store.tokens() == [key]
    assert await ask(store, "contact_state", "sms", "+1") == ContactState("sms", "+1", False, "STOP", T0)
    assert await ask(store, "contact_state", "voice", "+1") is None


async def test_a_verification_comes_back_as_it_went_in_and_belongs_to_a_person_and_address(store: Store) -> None:
    proven = Verification(
        "ana", "twilio_sms", "+1", at(1), "user:grace", "p1", at(2), 3, at(4), "user:bo", 5, at(6), readmits=True
    )
    asked = Verification("ana", "twilio_sms", "+2", page="p2", expires_at=at(9))
    await put(store, save_verification=proven)
    await put(store, save_verification=asked)
    assert await ask(store, "verification", "ana", "twilio_sms", "+1") == proven
    assert await ask(store, "verification", "bo", "twilio_sms", "+1") is None
    await put(store, save_verification=replace(asked, tries=1))
    assert await store.verifications() == [proven, replace(asked, tries=1)]


async def test_all_that_was_learnt_of_addresses_is_told(store: Store) -> None:
    stopped, back = ContactState("mail", "a@b.c", False, "550", T0), ContactState("sms", "+1", True, "START", T0)
    await put(store, save_contact_state=back)
    await put(store, save_contact_state=stopped)
    assert await store.contact_states() == [stopped, back]


async def test_whether_a_page_key_is_taken_is_told_whatever_became_of_the_page(store: Store) -> None:
    await put(store, add_pages=[page("p1", None, key="notice/a"), page("p2", None, key="notice/b", status="failed")])
    assert await ask(store, "page_keys", ["notice/a", "notice/b", "notice/c"]) == {"notice/a", "notice/b"}
    assert await ask(store, "page_keys", []) == set()


async def test_what_was_sent_is_told_by_kind_too(store: Store) -> None:
    await put(store, add_pages=[page("p1"), page("p2", None, kind="notice")])
    await put(store, add_attempts=[attempt("a1", "p1"), attempt("a2", "p2", incident=None, started_at=at(1))])
    assert await ask(store, "sent_since", "ana", "sms", T0) == [T0, at(1)]
    assert await ask(store, "sent_since", "ana", "sms", T0, {"page", "update"}) == [T0]


async def test_a_line_of_the_timeline_keeps_its_detail_and_gets_a_number(store: Store) -> None:
    lines = [
        entry(1, "opened"),
        entry(1, "paged", detail={"to": ["ana"], "n": 3, "deep": {"x": None}}),
        entry(2, "note"),
    ]
    await put(store, add_entries=lines)
    found = await store.timeline(1, 10, None)
    assert [replace(line, id=None) for line in found] == lines[:2]
    assert await store.timeline(1, 10, found[0].id) == found[1:]
    assert await store.timeline(1, 1, None) == found[:1]


async def test_a_feeds_copy_comes_back_and_a_failed_try_leaves_what_was_kept(store: Store) -> None:
    never = FeedCopy("backup", source="b", error="is answered 404", since=at(1))
    kept = FeedCopy(
        "primary",
        "a",
        at(1),
        '"tag"',
        "Mon",
        "Europe/Paris",
        at(2),
        b"BEGIN:VCALENDAR" * 999,
        b'{"events":[]}',
        "",
        None,
    )

    async def work(tx: Tx) -> None:
        tx.save_feed(kept)
        tx.save_feed(never)

    await store.write(work)
    assert await store.feeds() == [never, kept]
    await store.write(lambda tx: touched(tx, "primary", at(1), "is answered 500", at(3)))
    assert await store.feeds() == [never, replace(kept, error="is answered 500", since=at(3))]
    await store.write(lambda tx: touched(tx, "primary", at(5), "", None))
    await put(store, save_feed=replace(never, body=b"new", fetched_at=at(6), error="", since=None))
    assert await store.feeds() == [
        replace(never, body=b"new", fetched_at=at(6), error="", since=None),
        replace(kept, fetched_at=at(5)),
    ]


async def touched(tx: Tx, *row: Any) -> None:
    tx.touch_feed(*row)


# ------------------------------------------------------------------------------ transactions


async def test_a_failing_work_leaves_nothing_and_its_neighbours_untouched(store: Store) -> None:
    async def good(tx: Tx, number: int) -> int:
        tx.add_incidents([incident(number)])
        await tx.incidents([number])
        return number

    async def bad(tx: Tx) -> None:
        tx.add_incidents([incident(50)])
        assert (await tx.incidents([50]))[50].number == 50
        tx.add_incidents([incident(51)])
        raise Refused("no")

    answers = await asyncio.gather(
        store.write(lambda tx: good(tx, 1)),
        store.write(bad),
        store.write(lambda tx: good(tx, 2)),
        store.write(lambda tx: good(tx, 3)),
        return_exceptions=True,
    )
    assert [str(answer) for answer in answers] == ["1", "no", "2", "3"]
    found = await store.incidents(IncidentFilter(), 10, None)
    assert [one.number for one in found] == [3, 2, 1]


async def test_the_urgent_ones_come_first_however_many_newer_ones_there_are(store: Store) -> None:
    kinds = [
        ("P4", "triggered"),
        ("P1", "acknowledged"),
        ("P1", "triggered"),
        ("P2", "on_hold"),
        ("P1", "resolved"),
        ("P1", "triggered"),
    ]
    rows = [
        incident(number, priority=priority, status=status, service="shop" if number % 2 else "web",
                 due_at=None, due_kind=None)
        for number, (priority, status) in enumerate(kinds, 1)
    ]  # fmt: skip
    await put(store, add_incidents=[*rows, *(incident(number, priority="P4") for number in range(10, 60))])
    where = IncidentFilter(("triggered", "acknowledged", "on_hold"))

    first = await store.urgent_incidents(where, 5, None)
    assert [one.number for one in first] == [6, 3, 2, 4, 59]
    found, last = [one.number for one in first], first[-1]
    while slice_ := await store.urgent_incidents(
        where, 7, Place(last.priority, last.status != "triggered", last.number)
    ):
        found, last = found + [one.number for one in slice_], slice_[-1]
    assert found == [6, 3, 2, 4, *range(59, 9, -1), 1]
    assert [one.number for one in await store.urgent_incidents(IncidentFilter(("triggered",), "shop"), 3, None)] == [
        3,
        59,
        58,
    ]
    assert [
        one.number for one in await store.urgent_incidents(IncidentFilter(("on_hold",), None, "INCIDENT"), 9, None)
    ] == [4]


async def test_the_last_of_a_group_may_fail_without_harm_to_the_others(store: Store) -> None:
    async def clash(tx: Tx) -> None:
        tx.add_incidents([incident(1), incident(2)])

    answers = await asyncio.gather(put(store, add_incidents=[incident(1)]), store.write(clash), return_exceptions=True)
    kept = [one.number for one in await store.incidents(IncidentFilter(), 10, None)]
    refused = [isinstance(one, Conflict) for one in answers]
    # where each is a transaction of its own, either may come first
    assert (kept, refused) == ([1], [False, True]) or (
        not store.exclusive and (kept, refused) == ([2, 1], [True, False])
    )


async def test_later_reads_see_what_was_written_in_the_order_it_was_written(store: Store) -> None:
    async def work(tx: Tx) -> tuple[Incident, str]:
        tx.add_incidents([incident(1)])
        tx.save_incidents([incident(1, title="two")])
        tx.add_alerts([alert(1, 1)])
        tx.save_incidents([incident(1, title="three", version=3)])
        seen = await tx.incidents([1])
        tx.save_incidents([replace(seen[1], title="four")])
        return seen[1], (await tx.incidents([1]))[1].title

    seen, title = await store.write(work)
    assert (seen.title, seen.version, title) == ("three", 3, "four")


async def test_what_is_not_committed_is_not_seen_outside(store: Store) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        inside.set()
        await go_on.wait()

    writing = asyncio.ensure_future(store.write(slow))
    await inside.wait()
    assert await store.incident(1) is None
    go_on.set()
    await writing
    assert await store.incident(1) is not None


async def test_cancelling_the_caller_neither_stops_the_transaction_nor_leaves_a_lock(store: Store) -> None:
    inside, go_on = asyncio.Event(), asyncio.Event()

    async def slow(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        inside.set()
        await go_on.wait()
        tx.add_incidents([incident(2)])

    writing = asyncio.ensure_future(store.write(slow))
    await inside.wait()
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    go_on.set()
    await put(store, add_incidents=[incident(3)])
    await eventually(lambda: store.incident(2))
    assert [one.number for one in await store.incidents(IncidentFilter(), 10, None)] == [3, 2, 1]


@pytest.mark.parametrize("turns", range(0, 30, 3))
async def test_a_caller_may_be_cancelled_anywhere(store: Store, turns: int) -> None:
    async def work(tx: Tx) -> None:
        await tx.incidents([1])
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        tx.add_alerts([alert(1, 1)])

    writing = asyncio.ensure_future(store.write(work))
    for _ in range(turns):
        await asyncio.sleep(0)
    writing.cancel()
    await asyncio.gather(writing, return_exceptions=True)
    await put(store, add_incidents=[incident(2)])
    if turns:  # else it was cancelled before it had begun
        await eventually(lambda: store.incident(1))
    opened = await store.incident(1)
    assert bool(opened) == bool(await store.alerts(integration=None, status=None, limit=1, before=None))


async def test_a_conflict_is_tried_again_on_fresh_facts(store: Store) -> None:
    tries = []

    async def work(tx: Tx) -> str:
        tries.append(await tx.incidents([1]))
        tx.add_incidents([incident(1)])
        if len(tries) < 4:
            raise Conflict("look again")
        return "done"

    assert await store.write(work) == "done"
    assert tries == [{}, {}, {}, {}]
    assert await store.incident(1) is not None


async def test_a_conflict_that_stays_is_the_callers_after_five_more_tries(store: Store) -> None:
    tries = []

    async def work(tx: Tx) -> None:
        tries.append(1)
        tx.add_incidents([incident(1)])
        await tx.incidents([1])
        raise Conflict("for ever")

    with pytest.raises(Conflict, match="for ever"):
        await store.write(work)
    assert len(tries) == 6
    assert await store.incident(1) is None


async def test_a_work_that_cancels_itself_harms_nobody(store: Store) -> None:
    async def odd(tx: Tx) -> None:
        tx.add_incidents([incident(1)])
        raise asyncio.CancelledError

    with pytest.raises(asyncio.CancelledError):
        await store.write(odd)
    await put(store, add_incidents=[incident(2)])
    assert [one.number for one in await store.incidents(IncidentFilter(), 10, None)] == [2]


async def test_what_cannot_be_kept_is_refused_and_harms_nobody(store: Store) -> None:
    answers = await asyncio.gather(
        put(store, add_incidents=[incident(1)]),
        put(store, add_incidents=[incident(2, title="\ud800")]),
        put(store, add_incidents=[incident(3, due_at=2**70)]),
        put(store, add_alerts=[alert(1, labels={"a": object()})]),
        put(store, add_incidents=[incident(4)]),
        return_exceptions=True,
    )
    assert [type(answer).__name__ for answer in answers] == [
        "NoneType",
        "StoreError",
        "StoreError",
        "StoreError",
        "NoneType",
    ]
    assert [one.number for one in await store.incidents(IncidentFilter(), 10, None)] == [4, 1]


async def test_a_closed_store_says_so(store: Store) -> None:
    await store.close()
    with pytest.raises(StoreUnavailable):
        await put(store, add_incidents=[incident(1)])
    await store.close()


async def test_closing_waits_for_what_is_under_way(store: Store, open_it: Opener) -> None:
    writing = [asyncio.ensure_future(put(store, add_incidents=[incident(n)])) for n in range(1, 20)]
    await asyncio.sleep(0)
    await store.close()
    await asyncio.gather(*writing)
    again = await open_it()
    assert len(await again.incidents(IncidentFilter(), 50, None)) == 19


# ------------------------------------------------------------------------- alerts and identity


async def test_a_second_open_alert_of_one_identity_is_refused(store: Store) -> None:
    await put(store, add_alerts=[alert(1, source_key="db")])
    with pytest.raises(Conflict):
        await put(store, add_alerts=[alert(2, source_key="db")])
    await put(store, save_alerts=[alert(1, source_key="db", ended_at=at(1), status="resolved")])
    await put(store, add_alerts=[alert(2, source_key="db")])
    assert (await ask(store, "open_alerts", [("apps", "db")]))["apps", "db"].id == 2


async def test_open_alerts_are_found_by_integration_and_key(store: Store) -> None:
    await put(
        store,
        add_alerts=[
            alert(1, source_key="a"),
            alert(2, source_key="a", integration="other"),
            alert(3, source_key="b", ended_at=at(1)),
        ],
    )
    asked = [("apps", "a"), ("apps", "b"), ("other", "a"), ("apps", "a"), ("nobody", "x' or 1=1")]
    found = await ask(store, "open_alerts", asked)
    assert {key: one.id for key, one in found.items()} == {("apps", "a"): 1, ("other", "a"): 2}
    assert await ask(store, "open_alerts", []) == {}


async def test_tombstones_hold_until_their_time_is_over(store: Store) -> None:
    a, b, newer = (
        tombstone("a", at(1), at(300)),
        tombstone("b", at(2), at(300), incident=4),
        tombstone("a", at(7), at(400)),
    )
    await put(store, add_tombstones=[a, b])
    await put(store, add_tombstones=[a, newer])  # of the same identity the last one counts
    asked = [("apps", "a"), ("apps", "b"), ("apps", "c")]
    assert (await ask(store, "standing", [], asked, [], at(299))).tombstones == {("apps", "a"): newer, ("apps", "b"): b}
    assert (await ask(store, "standing", [], asked, [], at(300))).tombstones == {("apps", "a"): newer}
    assert await store.live_tombstones(at(300)) == [newer]
    assert [await store.tombstone("apps", key) for key in "abc"] == [newer, b, None]


async def test_alerts_that_wait_come_when_their_time_is_over_the_longest_overdue_first(store: Store) -> None:
    waits = [alert(1, waits_until=at(7)), alert(2, waits_until=at(5)), alert(3), alert(4, waits_until=at(9))]
    await put(store, add_alerts=waits)

    assert await store.next_waiting() == at(5)
    assert [one.id for one in await store.waiting_alerts(at(8), 10)] == [2, 1]
    assert [one.id for one in await store.waiting_alerts(at(8), 1)] == [2]
    await put(store, save_alerts=[replace(one, waits_until=None) for one in waits])
    assert await store.next_waiting() is None


async def test_minted_keys_are_remembered_for_their_time(store: Store) -> None:
    async def mint(tx: Tx) -> None:
        tx.add_minted("apps", "hash", "key-1", at(120))

    await store.write(mint)
    assert await ask(store, "minted", "apps", "hash", at(119)) == "key-1"
    assert await ask(store, "minted", "apps", "hash", at(120)) is None
    assert await ask(store, "minted", "other", "hash", at(119)) is None


async def test_repeats_add_up(store: Store) -> None:
    await put(store, add_alerts=[alert(1, count=2, expires_at=at(5)), alert(2)])
    await store.flush_repeats(
        [
            (1, 3, at(50), None, at(30)),
            (1, 4, at(40), at(60), at(20)),
            (2, 1, at(1), None, None),
            (99, 1, at(1), None, None),
        ]
    )
    await store.flush_repeats([])
    two, one = await store.alerts(integration=None, status="firing", limit=10, before=None)
    assert (one.count, one.last_seen_at, one.expires_at, one.started_at) == (9, at(50), at(60), at(30))
    assert (two.count, two.last_seen_at, two.expires_at) == (2, at(1), None)


async def test_the_last_post_whose_repeats_are_counted_is_remembered_with_the_counts(store: Store) -> None:
    await put(store, add_alerts=[alert(1)], add_posts=[post(1), post(2, repeats=1), post(3), post(4, repeats=2)])
    await store.flush_repeats([(1, 3, at(50), None, None)], 2)
    assert await store.meta("repeats_counted") == "2"
    assert [one.id for one in await store.repeated_posts(2, 10)] == [4]
    assert [one.id for one in await store.repeated_posts(0, 1)] == [2]
    await store.flush_repeats([], 4)
    assert await store.meta("repeats_counted") == "4"


async def test_every_open_alert_fills_the_cache(store: Store) -> None:
    await put(store, add_alerts=[alert(1, 7), alert(2), alert(3, ended_at=at(1)), alert(4, integration="zed")])
    assert {tuple(row) async for row in await store.open_keys()} == {
        ("apps", "key-1", 1, 7, 7),
        ("apps", "key-2", 2, 14, None),
        ("zed", "key-4", 4, 28, None),
    }


async def test_alerts_are_listed_newest_first(store: Store) -> None:
    await put(
        store, add_alerts=[alert(1), alert(2, ended_at=at(1), status="resolved"), alert(3, integration="zed"), alert(4)]
    )

    async def ids(**where: Any) -> list[int]:
        asked = {"integration": None, "status": None, "limit": 10, "before": None, **where}
        return [one.id for one in await store.alerts(**asked)]

    assert await ids() == [4, 3, 2, 1]
    assert await ids(limit=2) == [4, 3]
    assert await ids(before=3) == [2, 1]
    assert await ids(status="firing") == [4, 3, 1]
    assert await ids(status="firing", integration="apps", before=4) == [1]
    assert await ids(status="resolved") == [2]
    assert await ids(integration="zed") == [3]


async def test_firing_alerts_of_incidents_come_in_slices_the_newest_incident_first(store: Store) -> None:
    firing = [alert(1, 1), alert(2, 2), alert(3, 1, joined=True), alert(4, 2, joined=True), alert(5, 3)]
    await put(
        store,
        add_alerts=[*firing, alert(6, 2, joined=True, ended_at=at(1), status="resolved"), alert(7, 9)],
        add_incidents=[incident(1, alert=1), incident(2, alert=2), incident(3, alert=5), incident(9, alert=7)],
    )

    after = (0, 0)
    found: list[tuple[int, int]] = []
    while some := await store.firing_in([1, 2, 3], after, 2):
        found += [(there(one.incident), one.id) for one in some]
        after = found[-1]

    assert found == [(3, 5), (2, 2), (2, 4), (1, 1), (1, 3)]


# --------------------------------------------------------------------------------- incidents


async def test_an_incidents_alerts_are_the_one_that_opened_it_and_those_that_joined(store: Store) -> None:
    await put(
        store,
        add_incidents=[incident(1, alert=1), incident(2, alert=5)],
        add_alerts=[
            alert(1, 1), alert(2, 1, joined=True), alert(3, 1, joined=True, ended_at=at(1)), alert(4, None), alert(5, 2),
        ],
    )  # fmt: skip
    assert [one.id for one in await ask(store, "firing_alerts", 1)] == [1, 2]
    assert [one.id for one in await ask(store, "firing_alerts", 2)] == [5]
    assert [one.id for one in await store.incident_alerts(1, 10, None)] == [1, 2, 3]
    assert [one.id for one in await store.incident_alerts(1, 1, 1)] == [2]
    assert await store.incident_alerts(9, 10, None) == []


async def test_an_alert_moved_to_another_incident_is_found_there_only(store: Store) -> None:
    await put(store, add_incidents=[incident(1, alert=1), incident(2)], add_alerts=[alert(1, 1)])
    await put(store, save_alerts=[alert(1, 2, joined=True)])
    assert await ask(store, "firing_alerts", 1) == []
    assert [one.id for one in await ask(store, "firing_alerts", 2)] == [1]


async def test_a_group_key_leads_to_its_open_incident(store: Store) -> None:
    await put(
        store,
        add_incidents=[incident(1, key="g"), incident(2, key="h", status="resolved")],
        add_incident_keys=[("g", 1, at(9)), ("merged", 1, None), ("h", 2, None)],
    )
    found = (await ask(store, "standing", [], [], ["g", "h", "merged", "nobody"], T0)).latest
    assert {key: one.number for key, one in found.items() if one.open} == {"g": 1, "merged": 1}
    await put(store, add_incidents=[incident(3, key="g")], add_incident_keys=[("g", 3, None)])
    assert (await ask(store, "standing", [], [], ["g"], T0)).latest["g"].number == 3


async def test_the_newest_incident_of_a_key_is_found_in_any_state(store: Store) -> None:
    await put(
        store,
        add_incidents=[
            incident(1, key="alone", status="closed"), incident(2, key="alone", status="resolved"), incident(3, key="other"),
            incident(4, key="g", status="resolved"), incident(5, key="g"), incident(6, key="gone", status="canceled"),
        ],
        add_incident_keys=[("g", 5, None)],
    )  # fmt: skip
    found = (await ask(store, "standing", [], [], ["alone", "g", "gone", "nobody", "g"], T0)).latest
    assert {key: one.number for key, one in found.items()} == {"alone": 2, "g": 5, "gone": 6}


async def test_what_a_transaction_would_find_is_found_without_one(store: Store) -> None:
    ended = incident(3, key="k", status="closed")
    now = incident(5, key="k", grouped=True)
    alone = incident(4, key="apps/alone", status="resolved")
    firing = alert(1, 5, source_key="a")
    over = alert(2, 4, source_key="alone", ended_at=at(5))
    await put(store, add_incidents=[ended, alone, now], add_incident_keys=[("k", 5, None)], add_alerts=[firing, over])
    assert [await store.newest_of_key(key) for key in ("k", "apps/alone", "none")] == [now, alone, None]
    assert [await store.open_alert("apps", key) for key in ("a", "alone")] == [firing, None]
    assert await store.open_alert("other", "a") is None
    assert await store.newest_number() == 5


async def test_the_newest_number_counts_those_that_were_given_and_not_used(store: Store) -> None:
    assert await store.newest_number() == 0
    given = await ask(store, "next_numbers", 3)
    assert await store.newest_number() == given[-1]


async def test_what_was_received_in_a_window_comes_in_slices(store: Store) -> None:
    await put(store, add_posts=[post(number, received_at=at(number)) for number in range(1, 7)])
    first = await store.posts(at(2), at(6), 3, 0)
    rest = await store.posts(at(2), at(6), 3, first[-1].id)
    assert [[one.id for one in found] for found in (first, rest)] == [[2, 3, 4], [5]]


async def test_a_window_is_found_among_many(store: Store) -> None:
    await put(store, add_posts=[post(number, received_at=at(number)) for number in range(1, 12_001)])
    assert [one.id for one in await store.posts(at(11_000), at(20_000), 2, 0)] == [11_000, 11_001]


async def test_what_was_learnt_of_addresses_is_listed(store: Store) -> None:
    known = [ContactState("mail", "a@example.org", False, "bounced", at(1)), ContactState("sms", "+1", True, "", at(2))]

    async def learn(tx: Tx) -> None:
        for state in known:
            tx.save_contact_state(state)

    await store.write(learn)
    assert await store.contact_states() == known


async def test_how_things_stand_is_answered_together(store: Store) -> None:
    await put(
        store,
        add_alerts=[alert(1), alert(2)],
        add_incidents=[incident(1), incident(4, key="g")],
        add_incident_keys=[("g", 4, None)],
        add_tombstones=[tombstone("buried", at(3), at(20), "prometheus")],
    )
    pairs = [("apps", "key-1"), ("apps", "nobody")]

    async def both(tx: Tx) -> Any:
        one = await tx.standing(pairs, [("prometheus", "buried")], ["g", "h"], at(5))
        return one, await tx.open_alerts(pairs), await tx.incidents([4])

    standing, alerts, incidents = await store.write(both)
    assert (standing.open, standing.latest) == (alerts, {"g": incidents[4]})
    assert standing.tombstones == {("prometheus", "buried"): tombstone("buried", at(3), at(20), "prometheus")}
    assert alerts
    assert standing.latest["g"].number == 4


async def test_due_incidents_come_by_priority_then_age(store: Store) -> None:
    await put(
        store,
        add_incidents=[
            incident(1, priority="P3", due_at=at(1)), incident(2, priority="P1", due_at=at(9)), incident(3, priority="P1", due_at=at(5)),
            incident(4, priority="P5", due_at=at(2)), incident(5, priority="P1", due_at=at(11)), incident(6, priority="P1", due_at=None),
            incident(7, priority="P4", due_at=at(3), status="resolved", due_kind="close"),
        ],
    )  # fmt: skip

    async def due(now: int, limit: int) -> list[Any]:
        return [one.number for one in await ask(store, "due_incidents", at(now), limit)]

    assert await due(10, 10) == [3, 2, 1, 7, 4]
    assert await due(10, 2) == [3, 2]
    assert await due(0, 10) == []
    assert await store.next_due() == at(1)


async def test_incidents_are_listed_and_searched(store: Store) -> None:
    await put(
        store,
        add_incidents=[
            incident(1, title="Disk 100% full", service="db"), incident(2, status="acknowledged", key="K_2"),
            incident(3, status="closed", title="disk"), incident(4, status="resolved", due_at=at(5)),
        ],
    )  # fmt: skip

    async def numbers(limit: int = 10, before: int | None = None, **where: Any) -> list[int]:
        return [one.number for one in await store.incidents(IncidentFilter(**where), limit, before)]

    assert await numbers() == [4, 3, 2, 1]
    assert await numbers(limit=2) == [4, 3]
    assert await numbers(before=3) == [2, 1]
    assert await numbers(status=("triggered", "acknowledged", "on_hold")) == [2, 1]
    assert await numbers(status=("triggered", "closed")) == [3, 1]
    assert await numbers(service="db") == [1]
    assert await numbers(text="DISK") == [3, 1]
    assert await numbers(text="0% f") == [1]
    assert await numbers(text="k_2") == [2]
    assert await numbers(text="%") == [1]
    assert await numbers(text="4") == [4]
    assert await numbers(text="' or 1=1 --") == []
    assert await store.incident(99) is None
    assert await store.incident(2**80) is None


async def test_open_incidents_are_counted_by_status_and_priority(store: Store) -> None:
    await put(
        store,
        add_incidents=[
            incident(1, due_at=at(-5)), incident(2, due_at=at(5)), incident(3, status="acknowledged", priority="P1"),
            incident(4, status="resolved", due_at=at(1)), incident(5, status="closed"),
        ],
        add_alerts=[alert(1, expires_at=at(-1)), alert(2), alert(3, ended_at=at(1))],
        add_attempts=[attempt("a", "p"), attempt("b", "p", state="accepted")],
    )  # fmt: skip
    counts = await store.counts()
    assert counts.incidents == {("triggered", "P2"): 2, ("acknowledged", "P1"): 1}
    assert (counts.open_alerts, counts.due_timers, counts.open_intents, counts.oldest_due) == (2, 2, 1, at(-5))


async def test_due_alerts_come_the_longest_overdue_first(store: Store) -> None:
    await put(
        store,
        add_alerts=[
            alert(1, expires_at=at(9)),
            alert(2, expires_at=at(3)),
            alert(3),
            alert(4, expires_at=at(2), ended_at=at(1)),
        ],
    )
    assert [one.id for one in await ask(store, "due_alerts", at(9), 10)] == [2, 1]
    assert [one.id for one in await ask(store, "due_alerts", at(8), 10)] == [2]
    assert await store.next_due() == at(3)


# ------------------------------------------------------------------------ pages and attempts


async def test_a_page_is_planned_once_however_often_it_is_asked_for(store: Store) -> None:
    first = page("p1", key="1/1/1/1/user:ana/1/sms")
    await put(store, add_pages=[first])
    await put(store, add_pages=[replace(first, id="p2", because="again"), page("p3", key="other")])
    assert [one.id for one, _ in await store.pages(1)] == ["p1", "p3"]


async def test_due_pages_come_by_rank_then_age(store: Store) -> None:
    await put(
        store,
        add_pages=[
            page("a", rank=5, due_at=at(1)), page("b", rank=1, due_at=at(9)), page("c", rank=1, due_at=at(2)),
            page("d", rank=3, due_at=at(2)), page("e", rank=1, due_at=at(99)), page("f", rank=1, channel="voice"),
            page("g", rank=1, status="done"),
        ],
    )  # fmt: skip

    async def due(now: int, limit: int) -> list[Any]:
        return [one.id for one in await ask(store, "due_pages", "sms", at(now), limit)]

    assert await due(10, 10) == ["c", "b", "d", "a"]
    assert await due(10, 3) == ["c", "b", "d"]
    assert await due(1, 3) == ["a"]
    assert await store.next_due_page("sms") == at(1)
    assert await store.next_due_page("voice") == at(0)
    assert await store.next_due_page("sms", 5) == at(2)  # of the ranks below five
    assert await store.next_due_page("sms", 1) is None


async def test_of_pages_of_one_instant_the_older_incident_s_goes_first(store: Store) -> None:
    await put(store, add_pages=[page("a", 12), page("c", 3), page("b", 7), page("d", 3, due_at=at(0), rank=1)])
    assert [one.id for one in await ask(store, "due_pages", "sms", at(1), 10)] == ["d", "c", "b", "a"]
    assert [one.id for one in await ask(store, "due_pages", "sms", at(1), 2)] == ["d", "c"]
    assert await store.next_due_page("mail") is None


async def test_the_pages_of_an_incident(store: Store) -> None:
    await put(
        store,
        add_pages=[
            page("a", created_at=at(2), cycle=2), page("b", created_at=at(1)), page("c", status="waiting"), page("d", 2),
            page("e", status="done"), page("f", kind="update"),
        ],
    )  # fmt: skip
    assert [one.id for one in await ask(store, "pages_of", 1)] == ["c", "e", "f", "b", "a"]
    assert [one.id for one in await ask(store, "pages_of", 1, 2)] == ["a"]
    assert [one.id for one in await ask(store, "unsent_pages", [1, 2])] == ["a", "b", "c", "d"]
    assert set(await ask(store, "pages", ["a", "x"])) == {"a"}


async def test_a_page_changes_but_never_its_key(store: Store) -> None:
    await put(store, add_pages=[page("a")])
    await put(store, save_pages=[page("a", status="calling", tries=1, due_at=at(7), rank=2, key="forged")])
    found = await store.page("a")
    assert found == page("a", status="calling", tries=1, due_at=at(7), rank=2)


async def test_attempts_of_a_page_in_order(store: Store) -> None:
    await put(
        store, add_pages=[page("p")], add_attempts=[attempt("b", "p", number=2), attempt("a", "p"), attempt("c", "q")]
    )
    assert [one.id for one in await ask(store, "attempts_of", "p")] == ["a", "b"]
    assert [[call.id for call in calls] for _, calls in await store.pages(1)] == [["a", "b"]]
    assert (await ask(store, "attempt", "c")).page == "q"
    assert await ask(store, "attempt", "x") is None


async def test_what_waits_for_a_slot_of_a_person_is_found_counted_and_put_off_at_once(store: Store) -> None:
    rows = [
        page("new", due_at=at(1)), page("late", due_at=at(1), delayed="a limit", updated_at=at(0)),
        page("later", due_at=at(50), delayed="a limit", updated_at=at(0)), page("urgent", due_at=at(1), rank=0),
        page("bo", due_at=at(1), user="bo"), page("mail", due_at=at(1), channel="mail"),
        page("update", due_at=at(1), kind="update"), page("sent", due_at=at(1), status="done", delayed="a limit"),
    ]  # fmt: skip
    await put(store, add_pages=rows)

    assert [one.id for one in await ask(store, "late_pages", "sms", "ana", at(9), 10)] == ["late"]
    assert await ask(store, "count_late_pages", "sms", "ana", at(60)) == 2

    assert await ask(store, "put_off", "sms", "ana", at(5), at(100), "no room", "5: no room", [0]) == 1

    found = await ask(store, "pages", [row.id for row in rows])
    assert {id: (one.due_at, one.delayed, one.updated_at) for id, one in found.items() if one.due_at == at(100)} == {
        "new": (at(100), "5: no room", at(5)), "late": (at(100), "a limit", at(0)),
    }  # fmt: skip
    (line,) = await store.timeline(1, 10, None)
    assert (line.kind, line.because, line.at, line.channel) == ("page_throttled", "no room", at(5), "sms")
    assert line.detail == {"user": "ana", "until": at(100)}


async def test_open_intents_come_with_their_owners_the_oldest_first(store: Store) -> None:
    await put(
        store,
        add_attempts=[
            attempt("a", "p", started_at=at(5)), attempt("b", "p", owner="replica-2"), attempt("c", "p", state="accepted"),
        ],
    )  # fmt: skip
    assert [one[:2] for one in await store.open_intents(10)] == [("b", "replica-2"), ("a", "replica-1")]
    assert [one[0] for one in await store.open_intents(1)] == ["b"]


async def test_what_a_summary_carried_is_found_by_its_attempt(store: Store) -> None:
    await put(
        store,
        add_attempts=[
            attempt("lead", "p"), attempt("a", "q", state="bundled", ref="lead"), attempt("b", "r", state="bundled", ref="lead"),
            attempt("c", "s", state="bundled", ref="other"), attempt("d", "t", state="unknown", ref="lead"),
        ],
    )  # fmt: skip
    lead = await ask(store, "attempt", "lead")
    assert [one.id for one in await ask(store, "carried_by", lead)] == ["a", "b"]
    assert await ask(store, "carried_by", replace(lead, id="nobody")) == []


async def test_the_channels_that_planned_pages_wait_for_are_named_once(store: Store) -> None:
    assert await ask(store, "planned_channels") == []
    await put(
        store,
        add_pages=[
            page("a", channel="voice"), page("b", channel="sms", due_at=at(9)), page("c", channel="sms", rank=1),
            page("d", channel="mail", status="done"),
        ],
    )  # fmt: skip
    assert await ask(store, "planned_channels") == ["sms", "voice"]


async def test_unknown_attempts_wait_for_a_confirmation_while_their_page_waits(store: Store) -> None:
    await put(
        store,
        add_pages=[page("w", status="waiting"), page("d", status="done")],
        add_attempts=[
            attempt("a", "w", state="unknown", confirm_by=at(20)), attempt("b", "d", state="unknown", confirm_by=at(1)),
            attempt("c", "w", state="unknown", confirm_by=at(10)), attempt("e", "w", state="accepted", confirm_by=at(1)),
        ],
    )  # fmt: skip
    assert [one.id for one in await ask(store, "unconfirmed", at(20), 10)] == ["c", "a"]
    assert [one.id for one in await ask(store, "unconfirmed", at(10), 10)] == ["c"]
    assert await store.next_confirmation() == at(10)


async def test_when_a_person_was_reached_for(store: Store) -> None:
    await put(
        store,
        add_pages=[page("ana"), page("bo", user="bo")],
        add_attempts=[
            attempt("1", "ana", started_at=at(10)), attempt("2", "ana", started_at=at(20), state="accepted"),
            attempt("3", "ana", started_at=at(30), state="failed"), attempt("4", "ana", started_at=at(40), state="cancelled"),
            attempt("5", "ana", started_at=at(50), channel="voice"), attempt("6", "bo", started_at=at(60)),
            attempt("7", "ana", started_at=at(70), state="unknown"),
        ],
    )  # fmt: skip
    assert await ask(store, "sent_since", "ana", "sms", at(0)) == [at(10), at(20), at(70)]
    assert await ask(store, "sent_since", "ana", "sms", at(20)) == [at(20), at(70)]
    assert await store.sent("sms", at(20), 10) == [("ana", at(70)), ("bo", at(60)), ("ana", at(20))]
    assert await store.sent("sms", at(0), 1) == [("ana", at(70))]


async def test_whose_answer_a_message_may_be(store: Store) -> None:
    await put(
        store,
        add_pages=[page("p"), page("q", 2)],
        add_attempts=[
            attempt("1", "p", started_at=at(1)), attempt("2", "q", started_at=at(2)), attempt("3", "q", started_at=at(3), address="+9"),
            attempt("4", "p", started_at=at(4), state="failed"),
        ],
    )  # fmt: skip
    found = await ask(store, "pages_to", "+351000", at(0))
    assert [(one.id, call.id) for one, call in found] == [("q", "2"), ("p", "1")]
    assert found[0] == (page("q", 2), attempt("2", "q", started_at=at(2)))
    assert [call.id for _, call in await ask(store, "pages_to", "+351000", at(2))] == ["2"]


async def test_a_providers_message_is_answered_once(store: Store) -> None:
    door = Door("twilio_sms", "SM1")

    async def answer(tx: Tx) -> str:
        if (said := await tx.answers_to(door)) is not None:
            return said
        tx.add_answer(door, "+1", "INC 1 acknowledged", at(5))
        return "fresh"

    assert await store.write(answer) == "fresh"
    assert await store.write(answer) == "INC 1 acknowledged"

    async def without_looking(tx: Tx) -> None:
        tx.add_answer(door, "+1", "another", at(6))
        tx.add_incidents([incident(1)])

    with pytest.raises(Conflict):
        await store.write(without_looking)
    assert await store.incident(1) is None

    async def silent(tx: Tx) -> None:
        tx.add_answer(Door("twilio_sms", "SM2"), "+1", "", at(7))

    await store.write(silent)
    assert await ask(store, "answers_to", Door("twilio_sms", "SM2")) == ""
    assert await ask(store, "replies_since", "+1", at(0)) == 1
    assert await ask(store, "replies_since", "+1", at(6)) == 0


# ------------------------------------------------------------------------- heartbeats, storms


async def test_heartbeats_come_back_as_they_went_in_and_may_be_forgotten(store: Store) -> None:
    nightly = Beat("nightly", "0 3 * * *", at(100), at(5), "token:cron", at(50), True)
    watchdog = Beat("watchdog", "5m", at(7))
    for beat in (watchdog, replace(nightly, due_at=at(1)), nightly):
        await put(store, save_beat=beat)

    assert await store.beats() == [nightly, watchdog]
    assert await ask(store, "beats") == {"nightly": nightly, "watchdog": watchdog}

    await put(store, forget_beat="nightly")
    assert await store.beats() == [watchdog]


async def test_storms_are_known_by_scope(store: Store) -> None:
    shop = Storm("shop", ((1, 20), (2, 11)), 31, at(2), 5, {"DiskFull": 3, "": 2}, at(9))
    await put(store, save_storm=replace(shop, incident=None))
    await put(store, save_storm=shop)

    assert await ask(store, "storms", ["shop", "nobody"]) == {"shop": shop, "nobody": Storm("nobody")}
    assert [storm.scope for storm in await store.storms()] == ["nobody", "shop"]

    await put(store, forget_storms=at(100))
    assert await store.storms() == [shop]


async def test_who_counts_a_storm_waits_for_whoever_counts_it_already(store: Store) -> None:
    async def one_more(tx: Tx) -> None:
        known = (await tx.storms(["shop"]))["shop"]
        tx.save_storm(replace(known, collected=known.collected + 1))

    await asyncio.gather(*(store.write(one_more) for _ in range(10)))

    assert (await store.storms())[0].collected == 10


async def test_what_a_storm_took_in_is_found_by_urgency_and_by_number(store: Store) -> None:
    rows = [
        incident(1), incident(2, storm=9, muted_by="storm:9"), incident(3, storm=9, muted_by="storm:9", priority="P1"),
        incident(4, storm=9, muted_by="storm:9", status="acknowledged"), incident(5, storm=9),
        incident(6, storm=8, muted_by="storm:8"),
    ]  # fmt: skip
    await put(store, add_incidents=rows)

    assert [one.number for one in await ask(store, "taken_in", 9, "storm:9", 10)] == [3, 2]
    assert [one.number for one in await store.members(9, 10, None)] == [2, 3, 4, 5]
    assert [one.number for one in await store.members(9, 2, 3)] == [4, 5]


# ------------------------------------------------------------------- silences, tokens, the rest


async def test_silences_are_in_force_from_their_start_until_their_end(store: Store) -> None:
    async def add(tx: Tx) -> None:
        tx.add_silence(silence("a", starts_at=at(0), ends_at=at(10)))
        tx.add_silence(silence("b", starts_at=at(5), ends_at=at(20)))

    await store.write(add)
    for now, expected in ((-1, []), (0, ["a"]), (5, ["a", "b"]), (10, ["b"]), (20, [])):
        assert [one.id for one in await ask(store, "silences", at(now))] == expected
        assert [one.id for one in await store.silences(active_at=at(now), limit=9)] == expected
    assert [one.id for one in await store.silences(active_at=None, limit=9)] == ["b", "a"]

    async def shorten(tx: Tx) -> None:
        tx.add_silence(silence("b", ends_at=at(6)))

    await store.write(shorten)
    assert (await ask(store, "silence", "b")).ends_at == at(6)
    assert await ask(store, "silence", "x") is None


async def parts(read: Callable[..., Awaitable[Any]], at_once: int = 3) -> list[Any]:
    """All parts of a list, each behind the last one of the part before."""
    found, last = [], None
    while part := await read(at_once, last):
        assert len(part) <= at_once
        found += part
        last = Stand(part[-1].created_at, part[-1].id)
    return [one.id for one in found]


async def test_lists_of_what_people_made_are_read_in_parts_that_leave_out_nothing(store: Store) -> None:
    names = [f"{n:02}" for n in range(10)]  # three at a time were made at one instant

    async def add(tx: Tx) -> None:
        for n, name in enumerate(names):
            tx.add_silence(silence(name, created_at=at(n // 3), ends_at=at(10 + n // 4)))
            whose = {"schedule": "primary" if n % 2 else "night", "created_at": at(n // 3), "ends_at": at(10 + n)}
            tx.add_override(override(name, **whose, removed_at=at(5) if n == 9 else None))
            state = {"status": "declined" if n == 8 else "accepted" if n == 7 else "asked"}
            tx.add_swap(swap(name, **whose, **state, starts_at=at(n), asked="chen" if n < 4 else "bo"))

    await store.write(add)

    assert await parts(lambda limit, after: store.silences_made(None, limit, after)) == names[::-1]
    assert await parts(lambda limit, after: store.silences_made(at(10), limit, after)) == names[:3:-1]
    assert await parts(lambda limit, after: store.overrides_made(None, None, limit, after)) == names
    assert await parts(lambda limit, after: store.overrides_made("night", None, limit, after)) == names[::2]
    assert await parts(lambda limit, after: store.overrides_made("primary", at(13), limit, after)) == ["05", "07"]
    assert await parts(lambda limit, after: store.swaps_made(None, None, None, limit, after)) == names
    assert await parts(lambda limit, after: store.swaps_made("night", None, None, limit, after)) == names[::2]
    assert await parts(lambda limit, after: store.swaps_made(None, "chen", None, limit, after)) == names[:4]
    assert await parts(lambda limit, after: store.swaps_made(None, "ana", at(5), limit, after)) == ["06", "07", "09"]
    assert await parts(lambda limit, after: store.swaps_made(None, None, at(16), limit, after)) == ["07"]


async def test_silences_are_read_by_when_they_end(store: Store) -> None:
    async def add(tx: Tx) -> None:
        for n in range(10):
            tx.add_silence(silence(f"{n:02}", ends_at=at(10 + n // 4)))

    await store.write(add)

    found, last = [], Stand(at(11), "")
    while part := await store.silences_by_end(3, last):
        found += [one.id for one in part]
        last = Stand(part[-1].ends_at, part[-1].id)
    assert found == ["04", "05", "06", "07", "08", "09"]
    assert [one.id for one in await store.silences_ended(at(11), 5)] == ["07", "06", "05", "04", "03"]
    assert await store.silences_ended(at(9), 5) == []
    assert there(await store.silence("07")).ends_at == at(11)
    assert await store.silence("77") is None


async def test_overrides_are_found_until_they_end_in_the_order_they_were_made(store: Store) -> None:
    full = override(
        "b", schedule="night", users=("bo", "chen"), replaces="ana", mode="add", ends_at=at(9), swap="s1",
        removed_at=at(4), removed_by="bo",
    )  # fmt: skip

    async def add(tx: Tx) -> None:
        tx.add_override(full)
        tx.add_override(override("a", created_at=at(2), ends_at=at(20)))
        tx.add_override(override("c", created_at=at(1), ends_at=at(20)))

    await store.write(add)
    assert await store.overrides(at(-1)) == await ask(store, "overrides", at(-1))
    assert (await store.overrides(at(-1)))[0] == full
    for since, expected in ((8, ["b", "c", "a"]), (9, ["c", "a"]), (20, [])):
        assert [one.id for one in await store.overrides(at(since))] == expected
    assert [one.id for one in await store.overrides(at(0), "night")] == ["b"]

    async def take_back(tx: Tx) -> None:
        found = there(await tx.override("a"))
        tx.add_override(replace(found, removed_at=at(5), removed_by="bo"))

    await store.write(take_back)
    assert (await ask(store, "override", "a")).removed_by == "bo"
    assert await ask(store, "override", "x") is None


async def test_swaps_are_found_until_both_shifts_are_over(store: Store) -> None:
    full = swap(
        "w", back_from=at(5), back_to=at(9), ends_at=at(4), status="accepted", answered_at=at(1), answered_by="bo"
    )

    async def add(tx: Tx) -> None:
        tx.add_swap(full)
        tx.add_swap(swap("x", ends_at=at(3), created_at=at(1)))

    await store.write(add)
    assert await ask(store, "swap", "w") == full
    assert await ask(store, "swap", "y") is None
    for since, expected in ((2, ["w", "x"]), (3, ["w"]), (8, ["w"]), (9, [])):
        assert [one.id for one in await store.swaps(at(since))] == expected


async def test_tokens_are_added_once_and_revoked(store: Store) -> None:
    async def add(tx: Tx) -> None:
        tx.add_token(token("a"))

    await store.write(add)
    with pytest.raises(Conflict):
        await store.write(add)

    async def revoke(tx: Tx) -> None:
        tx.save_token(token("a", revoked_at=at(5)))

    await store.write(revoke)
    assert await store.tokens() == [token("a", revoked_at=at(5))]


async def test_the_use_of_a_token_changes_nothing_else_of_it_and_never_goes_back(store: Store) -> None:
    async def work(tx: Tx) -> None:
        tx.add_token(token("a", revoked_at=at(5)))
        tx.touch_token("a", at(9))
        tx.touch_token("a", at(7))
        tx.touch_token("nobody", at(9))

    await store.write(work)
    assert await store.tokens() == [token("a", revoked_at=at(5), last_used_at=at(9))]


async def test_a_policys_text_is_kept_under_its_hash(store: Store) -> None:
    async def keep(tx: Tx, body: str) -> None:
        tx.add_policy_version("h1", "default", body)

    await store.write(lambda tx: keep(tx, "{}"))
    await store.write(lambda tx: keep(tx, "never the second text of one hash"))
    assert await store.policy_version("h1") == "{}"
    assert await store.policy_version("h2") is None


async def test_values_are_remembered(store: Store) -> None:
    assert await store.meta("alive_at") is None
    await store.set_meta("alive_at", "1")
    await store.set_meta("alive_at", "2")
    assert await store.meta("alive_at") == "2"
    await store.add_meta("alive_at", "3")
    await asyncio.gather(*(store.add_meta("new", str(n)) for n in range(4)))
    assert await store.meta("alive_at") == "2"
    assert await store.meta("new") in {"0", "1", "2", "3"}
    await store.check()


# ------------------------------------------------------------------------------------ numbers


async def test_numbers_ascend_and_never_come_twice(store: Store, open_it: Opener) -> None:
    async def take(tx: Tx) -> tuple[list[int], list[int], list[int]]:
        return (
            [*await tx.next_numbers(3), *await tx.next_numbers(1)],
            list(await tx.next_alert_ids(2)),
            list(await tx.next_post_ids(1)),
        )

    numbers, alerts, posts = await store.write(take)
    assert (numbers, alerts, posts) == ([1, 2, 3, 4], [1, 2], [1])
    many = await asyncio.gather(*(store.write(take) for _ in range(10)))
    taken = [number for numbers, _, _ in many for number in numbers]
    assert len(set(taken)) == 40
    assert min(taken) > 4
    await put(store, add_incidents=[incident(max(taken))], add_alerts=[alert(77)], add_posts=[post(5)])
    assert list(await ask(store, "next_numbers", 0)) == []
    await store.close()
    again = await open_it()
    assert next(iter(await ask(again, "next_numbers", 1))) > max(taken)


# ----------------------------------------------------------------------------------- retention


async def prune_all(store: Store, alerts_before: Instant, incidents_before: Instant, limit: int = 2) -> int:
    gone = 0
    while more := await store.prune(alerts_before, incidents_before, limit):
        assert more <= limit
        gone += more
    return gone


async def test_old_ended_alerts_and_bodies_go_and_firing_ones_stay(store: Store) -> None:
    await put(
        store,
        add_alerts=[
            alert(1, received_at=at(1), ended_at=at(2)), alert(2, received_at=at(2)), alert(3, received_at=at(3), ended_at=at(4)),
            alert(4, received_at=at(4), ended_at=at(99)), alert(5, received_at=at(5), ended_at=at(6)),
            alert(6, received_at=at(50), ended_at=at(51)),
        ],
        add_posts=[post(1, received_at=at(1)), post(2, received_at=at(2)), post(3, received_at=at(3)), post(4, received_at=at(50))],
    )  # fmt: skip
    assert await prune_all(store, at(50), at(0)) == 6
    assert [one.id for one in await store.alerts(integration=None, status=None, limit=10, before=None)] == [6, 4, 2]
    assert await prune_all(store, at(50), at(0)) == 0


async def test_old_closed_incidents_go_with_all_that_belongs_to_them(store: Store) -> None:
    await put(
        store,
        add_incidents=[
            incident(1, status="closed", created_at=at(1), updated_at=at(2)), incident(2, created_at=at(1), updated_at=at(2)),
            incident(3, status="resolved", created_at=at(1), updated_at=at(2), due_at=at(99)),
            incident(4, status="closed", created_at=at(1), updated_at=at(60)), incident(5, created_at=at(70)),
        ],
        add_incident_keys=[("g1", 1, None), ("g2", 2, None)],
        add_pages=[page("p1", 1), page("p2", 2)],
        add_attempts=[attempt("a1", "p1"), attempt("a2", "p2", incident=2)],
        add_entries=[entry(1, "opened"), entry(2, "opened")],
    )  # fmt: skip
    assert await prune_all(store, at(0), at(50)) == 1
    assert [one.number for one in await store.incidents(IncidentFilter(), 10, None)] == [5, 4, 3, 2]
    assert await store.page("p1") is None
    assert await store.attempt("a1") is None
    assert await store.timeline(1, 10, None) == []
    assert await store.attempt("a2") is not None
    assert len(await store.timeline(2, 10, None)) == 1
    assert (await ask(store, "standing", [], [], ["g1"], T0)).latest == {}


async def test_what_was_only_kept_for_a_moment_goes(store: Store, clock: StillClock) -> None:
    async def add(tx: Tx) -> None:
        tx.add_tombstones([tombstone("a", at(1), at(10))])
        tx.add_minted("apps", "h", "k", at(10))
        tx.add_answer(Door("sms", "old"), "+1", "x", at(0))
        tx.add_silence(silence("s", ends_at=at(5)))
        tx.add_override(override("o", ends_at=at(5)))
        tx.add_override(override("kept", ends_at=at(7)))
        tx.add_swap(swap("w", ends_at=at(5)))
        tx.add_swap(swap("kept", ends_at=at(5), back_from=at(6), back_to=at(7)))

    await store.write(add)
    assert await prune_all(store, at(0), at(0)) == 0
    clock.advance_to(at(5 * 86_400_000))
    assert await prune_all(store, at(3 * 86_400_000), at(6)) == 6
    assert [one.id for one in await store.overrides(at(0))] == ["kept"]
    assert [one.id for one in await store.swaps(at(0))] == ["kept"]
    assert await store.silences(active_at=None, limit=5) == []


async def test_the_newest_of_each_kind_stays_so_that_numbers_go_on(store: Store, open_it: Opener) -> None:
    await put(
        store, add_alerts=[alert(9, ended_at=at(1))], add_incidents=[incident(9, status="closed")], add_posts=[post(9)]
    )
    await prune_all(store, at(100), at(100))
    await store.close()
    again = await open_it()
    assert await again.incident(9) is not None
    assert len(await again.alerts(integration=None, status=None, limit=9, before=None)) == 1


async def test_old_notices_tests_and_codes_are_forgotten_with_their_calls(store: Store, clock: StillClock) -> None:
    old = page("p1", None, kind="notice", key="notice/a")
    await put(
        store, add_pages=[old, page("p2", 1), page("p3", None, kind="test", key="t", created_at=at(5 * 86_400_000))]
    )
    await put(store, add_attempts=[attempt("a1", "p1", incident=None), attempt("a2", "p2")])
    clock.advance_to(at(9 * 86_400_000))
    assert await prune_all(store, at(86_400_000), T0) == 2
    assert [await store.page("p1"), await store.attempt("a1")] == [None, None]
    assert None not in (await store.page("p2"), await store.attempt("a2"), await store.page("p3"))


# ------------------------------------------------------------------------------- what rules count


async def test_what_is_counted_is_read_by_name_and_window_and_counts_once(store: Store) -> None:
    rows = [("bulk a", at(1), 1, "x"), ("bulk a", at(5), 2, "y"), ("bulk a", at(5), 2, "y"), ("bulk b", at(5), 3, "z")]
    await put(store, add_tallies=rows)
    await put(store, add_tallies=rows[1:2])
    found = await ask(store, "tallied", {"bulk a": at(1), "bulk b": at(0), "bulk c": at(0)})
    assert found == {"bulk a": [(at(5), 2, "y")], "bulk b": [(at(5), 3, "z")], "bulk c": []}
    assert await store.marks("bulk a", at(0), 9) == [(at(1), 1, "x"), (at(5), 2, "y")]
    assert await store.marks("bulk a", at(0), 1) == [(at(1), 1, "x")]


async def test_a_count_sees_what_its_own_transaction_adds(store: Store) -> None:
    async def work(tx: Tx) -> dict[str, list[tuple[Instant, int, str]]]:
        tx.add_tallies([("bulk a", at(1), 1, "x")])
        return await tx.tallied({"bulk a": at(0)})

    assert await store.write(work) == {"bulk a": [(at(1), 1, "x")]}


async def test_old_counts_are_forgotten_in_slices(store: Store) -> None:
    await put(store, add_tallies=[("bulk a", at(n), n, "x") for n in range(1, 6)])
    assert [await ask(store, "forget_tallies", at(4), 2) for _ in range(3)] == [2, 1, 0]
    assert len((await ask(store, "tallied", {"bulk a": at(0)}))["bulk a"]) == 2


async def test_alerts_are_found_by_id(store: Store) -> None:
    await put(store, add_alerts=[alert(1), alert(2), alert(3)])
    assert sorted(await ask(store, "alerts", [3, 1, 9])) == [1, 3]
    assert await ask(store, "alerts", []) == {}


async def test_the_count_of_an_older_repetition_does_not_move_the_end_of_a_cleared_alert(store: Store) -> None:
    await put(store, add_alerts=[alert(1, expires_at=at(9), cleared_at=at(5)), alert(2, expires_at=at(9))])
    await store.flush_repeats([(1, 1, at(4), at(99), None), (2, 1, at(4), at(99), None)], 0)
    found = await ask(store, "alerts", [1, 2])
    assert [(found[id].count, found[id].expires_at) for id in (1, 2)] == [(2, at(9)), (2, at(99))]


async def test_the_oldest_firing_alerts_of_each_incident_come_in_one_read(store: Store) -> None:
    alerts = [
        alert(1, 7),
        *(alert(n, 7, joined=True) for n in range(2, 9)),
        alert(9, 8),
        alert(10, 8, joined=True, ended_at=at(3)),
    ]
    await put(store, add_alerts=alerts, add_incidents=[incident(7, alert=1), incident(8, alert=9), incident(9)])

    for found in (await store.oldest_firing([7, 8, 9], 3), await ask(store, "oldest_firing", [7, 8, 9], 3)):
        assert {number: [one.id for one in some] for number, some in found.items()} == {7: [1, 2, 3, 4], 8: [9], 9: []}
    assert await store.oldest_firing([], 3) == {}


async def test_what_an_incident_counts_comes_back(store: Store) -> None:
    await put(store, add_incidents=[incident(1, counts={"critical": 2, "ruled": 1})])
    assert there(await store.incident(1)).counts == {"critical": 2, "ruled": 1}
