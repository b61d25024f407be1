"""Whatever happens to pages: troubles, answers, receipts, reloads, crashes and stops in any order, and what holds after it."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import AsyncIterator

import pytest

from tests.walk.conftest import Build
from tests.walk.town import ACCOUNT, HOOK, PHONES, SMS_B, Told, Town, Trouble
from tocsin.model import Attempt, Page

STEPS = 50
WITHOUT_HOOK = f"""
channels: {{{SMS_B}}}
fallbacks: {{sms: [sms-b]}}
users:
  ana:
    name: Ana
    timezone: UTC
    contacts: {{sms: "{PHONES["ana"]}", voice: "{PHONES["ana"]}", mail: ana@example.org}}
    notify: {{high: [{{by: sms}}, {{after: 1m, by: voice}}, {{after: 2m, by: [sms, mail]}}]}}
  bo: {{name: Bo, timezone: UTC, contacts: {{sms: "{PHONES["bo"]}"}}}}
  grace: {{name: Grace, timezone: UTC, contacts: {{sms: "{PHONES["grace"]}", voice: "{PHONES["grace"]}"}}}}
policies:
  default:
    steps: [{{notify: [user:ana], wait: 2m}}, {{notify: [user:bo, user:ana], wait: 3m}}]
    repeat: 1
    ack_timeout: 10m
"""
WITH_HOOK = WITHOUT_HOOK.replace(SMS_B, f"{SMS_B}, {HOOK}").replace(
    f'"{PHONES["bo"]}"}}}}', f'"{PHONES["bo"]}", hook: bo}}}}'
)
CONFIGS = (WITH_HOOK, WITHOUT_HOOK, WITH_HOOK.replace("fallbacks: {sms: [sms-b]}", "fallbacks: {}"))
TROUBLES: tuple[Trouble, ...] = (
    "unreachable", "lost", "answer lost", "broken", "busy", "slow to connect", "slow to answer", "hangs", "wrong token",
)  # fmt: skip
STATES = ("queued", "sent", "delivered", "undelivered", "failed", "no-answer")
NOT_HEARD = {"undelivered", "failed", "no-answer"}

Acks = list[tuple[int, int, int]]  # incident, cycle, instant


@pytest.mark.parametrize("seed", range(5))
async def test_whatever_happens_the_promises_hold(seed: int, build: Build) -> None:
    chance = random.Random(seed)
    town = await build(WITH_HOOK, database="file", seed=seed)
    town.expected_errors.add("own_trouble")
    acks: Acks = []

    for _ in range(STEPS):
        await something(town, chance, acks)
    town.peace()
    await town.pass_time(minutes=3)

    assert [problem async for problem in problems(town, acks)] == []


async def something(town: Town, chance: random.Random, acks: Acks) -> None:
    what = chance.choices(
        ["alert", "trouble", "ack", "act", "receipt", "restart", "stop", "reload", "silence", "time"],
        weights=[25, 20, 10, 5, 15, 3, 2, 2, 2, 20],
    )[0]
    unresolved = [one for one in await town.incidents() if one.open]
    match what:
        case "alert":
            title = f"t{chance.randrange(1000)}"
            await town.alert(title, chance.choice(["critical", "error", "warning"]))
        case "trouble":
            channel = chance.choice(["sms", "sms", "voice", "hook", "sms-b", "mail"])
            town.trouble(channel, chance.choice(TROUBLES), times=chance.choice([1, 2, 5]))
        case "ack" if unresolved:
            incident = chance.choice(unresolved)
            if (await town.ack(incident.number)).changed:
                acks.append((incident.number, incident.cycle, town.clock.now()))
        case "act" if unresolved:
            await town.act(chance.choice(["unacknowledge", "escalate", "resolve"]), chance.choice(unresolved).number)
        case "receipt" if town.told:
            told = chance.choice(town.told)
            if told.channel in ("sms", "sms-b", "voice"):
                await town.daemon.answers.receipt(ACCOUNT, told.attempt, told.ref or "SM", chance.choice(STATES), None)
        case "restart":
            await town.restart(after_minutes=chance.choice([0, 0.2, 1]))
        case "stop":
            await town.end()
            await town.begin()
        case "reload":
            await town.reload(chance.choice(CONFIGS))
        case "silence":
            await town.silence(chance.choice(['title=~"t[0-4].*"', 'severity="critical"']), minutes=2)
        case _:
            await town.pass_time(seconds=chance.choice([1, 5, 10, 20, 45, 60, 150]))


async def problems(town: Town, acks: Acks) -> AsyncIterator[str]:
    """Every promise that was broken."""
    now = town.clock.now()
    told = {one.attempt: one for one in town.told}
    rows = [row for incident in await town.incidents() for row in await town.pages_planned(incident.number)]
    states = {attempt.id: attempt for _, attempts in rows for attempt in attempts}
    for page, attempts in rows:
        maybe = [one.state for one in attempts if one.state in ("open", "accepted", "unknown", "bundled")]
        if len(maybe) > 2 or len(maybe) != page.tries:
            yield f"I3: {page.key} {page.tries} {maybe}"
        if page.status in ("calling", "waiting") or (page.status == "planned" and page.due_at < now - 120_000):
            yield f"I2: {page.key} is stuck: {page.status}"
        for attempt in attempts:
            if page.kind == "page" and not was_told(attempt, states, told):
                yield f"I10: nobody was told: {page.key} {attempt.state}"
    for key, count in Counter(one.page.key for one in town.told if one.page and one.kind == "page").items():
        if count > 2:
            yield f"I3: {key} reached somebody {count} times"
    for one in town.told:
        if one.page is not None and is_too_late(one, one.page, acks):
            yield f"I5: {one.page.key} after the ack"
    for incident in await town.incidents():
        if incident.status == "triggered" and incident.due_at is None:
            yield f"I2: INC {incident.number} waits for nothing"


def was_told(attempt: Attempt, states: dict[str, Attempt], told: dict[str, Told]) -> bool:
    """Whether what counts as accepted, alone or in a summary, reached somebody."""
    carrier = states.get(attempt.ref) if attempt.state == "bundled" else attempt
    if carrier is None or (attempt.state == "bundled" and carrier.state in ("failed", "cancelled")):
        return False
    if carrier.state != "accepted" or carrier.delivery in NOT_HEARD:
        return True
    if carrier.id not in told:
        return False
    text, number = told[carrier.id].text, str(attempt.incident)
    return attempt.state != "bundled" or carrier.channel == "voice" or number in text or " more" in text


def is_too_late(told: Told, page: Page, acks: Acks) -> bool:
    """Whether it was called about a cycle that had been acknowledged."""
    return page.kind == "page" and any(
        told.incident == number and page.cycle <= cycle and told.at > at for number, cycle, at in acks
    )
