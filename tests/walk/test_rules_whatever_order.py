"""Rules that wait, count and settle, whatever happens in whatever order: never too many pages, never none, and it ends."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.walk.town import Town
from tocsin.model import MINUTE, StoredAlert

SETTLE, LAST, WITHIN, ENOUGH, HOLD = 6, 4, 5, 3, 2
CONFIG = f"""
rules:
  - {{name: bulk, match: ['kind="bulk"'], group_by: [kind], threshold: {{count: {ENOUGH}, within: {WITHIN}m}}}}
  - {{name: links, match: ['kind="link"'], flap: {{changes: 4, within: 20m, settle: {SETTLE}m}}}}
  - {{name: lasting, match: ['kind="slow"'], resolve_after: {LAST}m}}
  - {{name: both, match: ['kind="both"'], group_by: [kind], hold: {HOLD}m, resolve_after: {LAST}m,
     flap: {{changes: 4, within: 20m, settle: {SETTLE}m}}}}
  - {{name: held, match: ['kind="held"'], hold: {HOLD}m}}
throttle: {{sms: [1000/1m]}}
policies: {{default: {{steps: [{{notify: [user:ana], wait: 3m}}, {{notify: [user:bo], wait: 3m}}], repeat: 1, ack_timeout: 10m}}}}
"""
KINDS = st.sampled_from(["bulk", "link", "slow", "both", "held"])
KEYS = st.sampled_from("ab")
COMES_AND_GOES = st.sampled_from(["link", "slow", "both"])
FIRE = st.tuples(st.just("fire"), KINDS, KEYS)
STEPS = st.one_of(
    FIRE,
    FIRE,
    st.tuples(st.just("clear"), KINDS, KEYS),
    st.tuples(st.just("clear"), KINDS, KEYS),
    st.tuples(st.just("flap"), COMES_AND_GOES, KEYS),
    st.tuples(st.just("again"), COMES_AND_GOES, KEYS),
    st.tuples(st.just("burst"), st.integers(1, 4)),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 2.5, 4.0, 7.0])),
    st.tuples(st.just("wait"), st.sampled_from([0.5, 1.0, 2.5, 4.0, 7.0])),
    st.tuples(st.just("ack"), st.integers(0, 3)),
    st.tuples(st.just("silence"), KINDS, st.integers(1, 8)),
    st.tuples(st.just("restart"), st.sampled_from([0.0, 0.3])),
)
STORIES = st.lists(STEPS, min_size=3, max_size=14)
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


@example(story=[("flap", "link", "a"), ("fire", "link", "a")])
@example(story=[("again", "slow", "a"), ("silence", "slow", 3), ("wait", 4.0)])
@given(story=STORIES)
@settings(max_examples=12, deadline=None, phases=UNSHRUNK, suppress_health_check=[HealthCheck.too_slow])
def test_the_rules_keep_their_promises_whatever_happens(story: Sequence[tuple[Any, ...]]) -> None:
    with structlog.testing.capture_logs() as logs, tempfile.TemporaryDirectory() as folder:
        asyncio.run(tell(Path(folder), story))
    assert [entry for entry in logs if entry["log_level"] == "error"] == []


async def tell(folder: Path, story: Sequence[tuple[Any, ...]]) -> None:
    said: dict[str, str] = {}  # what each source said last
    restarts = any(step[0] == "restart" for step in story)
    town = await Town.open(folder, CONFIG, database="file" if restarts else "sqlite::memory:")
    try:
        for step in story:
            await happen(town, *step)
            said |= last_said(*step)
            await check(town, said)
        await town.pass_quietly(minutes=3 * SETTLE + 10)
        await check(town, said)
        await somebody_heard(town)
        await everything_ends(town)
    finally:
        await town.end()


async def happen(town: Town, what: str, *how: Any) -> None:
    match what, *how:
        case "fire", kind, key:
            await town.alert(f"{kind} {key}", key=f"{kind}-{key}", labels={"kind": kind})
        case "clear", kind, key:
            await town.clear("", key=f"{kind}-{key}")
        case "flap", kind, key:
            for _ in range(3):
                await happen(town, "fire", kind, key)
                await town.pass_time(seconds=20)
                await happen(town, "clear", kind, key)
                await town.pass_time(seconds=20)
        case "again", kind, key:
            for which in ("fire", "clear", "fire"):
                await happen(town, which, kind, key)
                await town.pass_time(seconds=30)
        case "burst", count:
            for key in "abcd"[:count]:
                await happen(town, "fire", "bulk", key)
        case "wait", length:
            await town.pass_time(minutes=length)
        case "ack", index:
            known = [one for one in await town.incidents() if one.status == "triggered"]
            if known:
                await town.ack(known[index % len(known)].number)
        case "silence", kind, length:
            await town.silence(f'kind="{kind}"', minutes=length)
        case "restart", after:
            await town.restart(after_minutes=after)


def last_said(what: str, *how: Any) -> dict[str, str]:
    match what, *how:
        case "fire" | "clear", kind, key:
            return {f"{kind}-{key}": what}
        case "flap", kind, key:
            return {f"{kind}-{key}": "clear"}
        case "again", kind, key:
            return {f"{kind}-{key}": "fire"}
        case "burst", count:
            return {f"bulk-{key}": "fire" for key in "abcd"[:count]}
        case _:
            return {}


async def check(town: Town, said: dict[str, str]) -> None:
    incidents = await town.incidents()
    keys = Counter(one.key for one in incidents if one.open)
    assert all(count == 1 for count in keys.values()), f"two open incidents of one key: {keys}"
    for told in town.told:
        if told.kind == "page" and told.of is not None:
            assert told.of.muted_by is None, "paged while silenced"
            assert told.of.held_until is None or told.at >= told.of.held_until, "paged while held"
    alerts = await everything(town)
    open_ones = {alert.source_key for alert in alerts if alert.ended_at is None}
    assert {key for key, what in said.items() if what == "fire"} <= open_ones, "one that fires has ended"
    for one in incidents:
        mine = [alert for alert in alerts if alert.incident == one.number]
        assert one.total == len(mine), f"{one} does not count its alerts"
        if one.open:
            assert one.firing == sum(alert.ended_at is None for alert in mine) > 0, f"{one} is open without a reason"
        if one.key == '""{kind="bulk"}':
            assert enough(mine), f"{one} opened below its threshold"
    for alert in alerts:
        if alert.incident is None:
            assert (alert.status, "of 3 firings within 5m" in alert.because) == ("suppressed", True), alert


def enough(alerts: list[StoredAlert]) -> bool:
    """Whether so many of them fired within the window, or one of them joined an incident before."""
    times = sorted(alert.received_at for alert in alerts)
    return (
        any(later - first < WITHIN * MINUTE for first, later in zip(times, times[ENOUGH - 1 :], strict=False))
        or len(alerts) < ENOUGH
    )  # what fired in the window may belong to the incident before this one


async def everything(town: Town) -> list[StoredAlert]:
    return await town.daemon.store.alerts(integration=None, status=None, limit=10_000, before=None)


async def somebody_heard(town: Town) -> None:
    """What has fired for so long, unsilenced and unanswered, was heard of in this cycle, and by the catch-all too."""
    for one in await town.incidents():
        if one.status == "triggered" and one.muted_by is None:
            rows = [row for row in await town.pages_planned(one.number) if row[0].cycle == one.cycle]
            assert any(each.state == "accepted" for _, attempts in rows for each in attempts), (
                f"nobody was paged: {one}"
            )
            assert one.due_kind == "again", f"its escalation rested for too long: {one}"


async def everything_ends(town: Town) -> None:
    """Whatever it was: when all sources resolve, everything is over after the longest wait there is."""
    for kind in ("bulk", "link", "slow", "both", "held"):
        for key in "abcd":
            await happen(town, "clear", kind, key)
    await town.pass_quietly(minutes=max(SETTLE, LAST) + 1)
    assert [one for one in await town.incidents() if one.open] == []
    assert [alert for alert in await everything(town) if alert.ended_at is None] == []
