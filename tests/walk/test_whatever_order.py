"""Whatever happens in whatever order: one incident a key, nobody paged after an answer, and never nobody at all."""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import structlog
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.walk.town import SMS_B, Town
from tocsin.model import Entry, Incident

CONFIG = f"""
defaults: {{policy: default, reopen_within: 3m}}
channels: {{{SMS_B}}}
rules:
  - {{name: by cluster, match: ['cluster!=""'], group_by: [cluster]}}
  - {{name: held, match: ['held="yes"'], hold: 2m}}
users:
  ana:
    name: Ana
    timezone: UTC
    contacts: {{sms: "+15005550010", voice: "+15005550010"}}
    notify: {{high: [{{by: sms}}, {{after: 1m, by: voice}}]}}
policies:
  default:
    steps: [{{notify: [schedule:primary], wait: 5m}}, {{notify: [user:bo], wait: 5m, only: {{priority: [P1, P2]}}}}]
    repeat: 1
    ack_timeout: 10m
"""

KEYS = st.sampled_from(["a", "b", "c", "d"])
WHO = st.sampled_from(["ana", "bo"])
ALERT = st.tuples(
    st.just("alert"), KEYS, st.sampled_from(["critical", "warning", "info"]), st.booleans(), st.booleans()
)
ACT = st.tuples(st.just("act"), st.integers(0, 1), st.integers(0, 4), WHO)
FITTING = {  # what people do to an incident in this state; the first of it most often
    "triggered": ["acknowledge", "acknowledge", "escalate", "resolve", "cancel"],
    "acknowledged": ["unacknowledge", "unacknowledge", "escalate", "acknowledge", "resolve"],
}
WAIT = st.tuples(st.just("wait"), st.sampled_from([0.2, 1.0, 2.0, 5.0, 11.0]))
STEPS = st.one_of(
    ALERT,
    ACT,
    ACT,
    WAIT,
    WAIT,
    st.tuples(st.just("clear"), KEYS),
    st.tuples(st.just("snooze"), st.integers(0, 2), st.integers(1, 20)),
    st.tuples(st.just("reply"), WHO, st.sampled_from(["ACK", "RES", "ESC", "ACK 1", "STOP", "START", "SNZ 3"])),
    st.tuples(st.just("press"), st.sampled_from("456*9")),
    st.tuples(st.just("silence"), KEYS, st.integers(1, 15)),
    st.tuples(st.just("receipt"), WHO, st.sampled_from(["sent", "delivered", "undelivered", "no-answer", "completed"])),
    st.tuples(
        st.just("trouble"), st.sampled_from(["sms", "voice"]), st.sampled_from([1, 5]),
        st.sampled_from(["unreachable", "lost", "answer lost", "broken", "busy", "slow to connect", "slow to answer"]),
    ),
    st.tuples(st.just("restart"), st.sampled_from([0.0, 2.0])),
)  # fmt: skip
STORIES = st.tuples(ALERT, st.lists(STEPS, min_size=3, max_size=16)).map(lambda story: [story[0], *story[1]])


# Without shrinking: it would take minutes, and a story of this length can be read as it is.
UNSHRUNK = (Phase.explicit, Phase.reuse, Phase.generate)


@given(story=STORIES)
@settings(max_examples=60, deadline=None, phases=UNSHRUNK, suppress_health_check=[HealthCheck.too_slow])
def test_the_promises_hold_whatever_happens_in_whatever_order(story: Sequence[tuple[Any, ...]]) -> None:
    with structlog.testing.capture_logs() as logs, tempfile.TemporaryDirectory() as folder:
        asyncio.run(tell(Path(folder), story))
    broken = {"channel_broke", "claim_failed", "timers_batch_failed", "post_poisoned", "task_failed", "duty_failed"}
    assert [entry for entry in logs if entry["event"] in broken] == []


async def tell(folder: Path, story: Sequence[tuple[Any, ...]]) -> None:
    town = await Town.open(
        folder, CONFIG, database="file" if any(step[0] == "restart" for step in story) else "sqlite::memory:"
    )
    try:
        for step in story:
            await happen(town, *step)
            await check(town)
        town.peace()
        await town.pass_quietly(minutes=70)
        await check(town)
        await somebody_heard(town)
    finally:
        await town.end()


async def happen(town: Town, what: str, *how: Any) -> None:
    match what:
        case "alert":
            key, severity, held, grouped = how
            labels = {"held": "yes"} if held else {}
            await town.alert(
                f"trouble {key}", severity, key=key, labels={**labels, "cluster": "eu"} if grouped else labels
            )
        case "clear":
            await town.clear("", key=how[0])
        case "snooze":
            if (number := await some(town, how[0])) is not None:
                await town.snooze(number, how[1])
        case "reply":
            await town.phones[how[0]].reply(how[1])
        case "press":
            if town.phones["ana"].heard:
                await town.phones["ana"].press(how[0])
        case "silence":
            await town.silence(f'title="trouble {how[0]}"', minutes=how[1])
        case "receipt":
            if town.phones[how[0]].texts:
                await town.phones[how[0]].receipt(how[1])
        case "trouble":
            town.trouble(how[0], how[2], times=how[1])
        case "wait":
            await town.pass_time(minutes=how[0])
        case "restart":
            await town.restart(after_minutes=how[0])
        case "act":
            if (number := await some(town, how[0])) is not None:
                verbs = FITTING.get((await town.incident(number)).status, ["acknowledge"])
                await town.act(verbs[how[1] % len(verbs)], number, how[2])


async def some(town: Town, index: int) -> int | None:
    known = await town.incidents()
    return known[index % len(known)].number if known else None


async def check(town: Town) -> None:
    incidents = await town.incidents()
    keys = Counter(one.key for one in incidents if one.open)
    assert all(count == 1 for count in keys.values()), f"two open incidents of one key: {keys}"
    for told in town.told:
        if told.page is not None and told.page.kind == "page" and told.of is not None:
            assert told.of.status == "triggered", f"paged while {told.of.status}: {told}"
            assert told.of.cycle == told.page.cycle, f"a page of an earlier cycle: {told}"
            assert told.of.muted_by is None, f"paged while muted: {told}"
    page_keys: Counter[str] = Counter()
    for one in incidents:
        for page, attempts in await town.pages_planned(one.number):
            page_keys[page.key] += 1
            maybe = [attempt for attempt in attempts if attempt.state in ("open", "accepted", "unknown", "bundled")]
            assert len(maybe) <= 2, f"{len(maybe)} attempts that may have been delivered: {page.key}"
        replayed = replay(one, await town.timeline(one.number))
        assert replayed == (one.status, one.cycle, one.acknowledged_by if one.status == "acknowledged" else None)
    assert all(count == 1 for count in page_keys.values())
    sent = Counter(told.attempt for told in town.told)
    assert all(count == 1 for count in sent.values()), "one attempt left twice"


def replay(opened: Incident, entries: list[Entry]) -> tuple[str, int, str | None]:
    """Status, cycle and who has it, from the opening and the timeline alone."""
    status, cycle, by = "triggered", 1, None
    for entry in entries:
        match entry.kind:
            case "acknowledged" | "snoozed":
                status, by = "acknowledged", entry.detail["by"]
            case "unacknowledged" | "retriggered" | "reopened" | "escalated":
                status, by, cycle = "triggered", None, entry.detail["cycle"]
            case "resolved" | "canceled" | "closed":
                status, by = entry.kind, None
    return status, cycle, by


async def somebody_heard(town: Town) -> None:
    """An incident that has been triggered and unmuted for an hour has been heard by somebody in this cycle."""
    for one in await town.incidents():
        if one.status == "triggered" and one.muted_by is None and one.held_until is None:
            rows = [row for row in await town.pages_planned(one.number) if row[0].cycle == one.cycle]
            heard = [page for page, attempts in rows if any(each.state in ("accepted", "bundled") for each in attempts)]
            assert heard, f"nobody was paged for {one}"
