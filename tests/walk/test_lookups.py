"""A channel that confirms by lookup: asked before the second attempt, and never waited for beyond its time."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.crash import asked_channel
from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.contracts import Channel, ChannelKind, Gate, Tools
from tocsin.model import EMPTY, Accepted, Attempt, Cancelled, Failed, Message, Option, Outcome, Unknown
from tocsin.settings import plugins

ASKED = """
channels: {asked: {type: asked}}
users: {ana: {name: Ana, timezone: UTC, contacts: {asked: ana}, notify: {high: [{by: asked}], low: [{by: asked}]}}}
policies: {default: {steps: [{notify: [user:ana], wait: 120m}], repeat: 0}}
"""


@dataclass
class Provider:
    """What the provider does: outcomes of calls in order (then accepted), answers to look-ups in order (the last one
    again and again)."""

    outcomes: list[Outcome] = field(default_factory=list)
    answers: list[Outcome | Exception | Literal["never"] | None] = field(default_factory=list)
    sent: list[Message] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)

    async def send(self, message: Message, gate: Gate) -> Outcome:
        await gate()
        self.sent.append(message)
        return self.outcomes.pop(0) if self.outcomes else Accepted()

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        self.asked.append(attempt.id)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0] if self.answers else None
        if isinstance(answer, Exception):
            raise answer
        if answer == "never":
            await asyncio.get_running_loop().create_future()
        assert answer != "never"
        return answer


PROVIDER = Provider()


@dataclass(slots=True)
class Kind:
    type: str = "asked"
    title: str = "A provider that can be asked"
    options: Mapping[str, Option] = field(default_factory=lambda: EMPTY)
    address: Literal["phone", "email", "text"] = "text"
    throttle: Literal["sms", "voice", "mail", "chat", ""] = ""
    confirms: Literal["callback", "lookup", "nothing"] = "lookup"
    interactive: bool = False

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        return PROVIDER


CHANNEL: ChannelKind = Kind()


@pytest.fixture
async def town(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Town:
    """Ana by a channel whose provider can be asked; each call's outcome is unknown, once."""
    monkeypatch.syspath_prepend(asked_channel.install(tmp_path / "plugins", __name__))
    monkeypatch.setattr(plugins.INSTALLED, "_points", {})
    monkeypatch.setattr(plugins.INSTALLED, "_loaded", {})
    PROVIDER.__init__(outcomes=[Unknown("no answer")])  # type: ignore[misc]  # as new
    return await build(ASKED, database="file")


async def states(town: Town, number: int = 1) -> list[str]:
    return [attempt.state for page, attempts in await town.pages_planned(number) for attempt in attempts]


async def status(town: Town) -> str:
    return (await town.pages_planned(1))[0][0].status


async def test_a_call_that_got_through_is_not_made_again(town: Town) -> None:
    PROVIDER.answers = [Accepted("p-1")]
    await town.alert("db down")
    await town.pass_time(minutes=5)

    assert (await states(town), await status(town)) == (["accepted"], "done")
    assert len(PROVIDER.sent) == len(PROVIDER.asked) == 1
    [attempt] = (await town.pages_planned(1))[0][1]
    assert attempt.ref == "p-1"
    assert [entry.via for entry in await town.timeline(1) if entry.kind == "delivery"] == ["lookup"]


async def test_a_provider_that_cannot_tell_yet_is_asked_again(town: Town) -> None:
    PROVIDER.answers = [None, Unknown("no idea"), Accepted()]
    await town.alert("db down")
    await town.pass_time(seconds=19)

    assert (await states(town), await status(town)) == (["accepted"], "done")
    assert len(PROVIDER.asked) == 3


async def test_what_surely_did_not_get_there_is_tried_again_like_any_failure(town: Town) -> None:
    PROVIDER.answers = [Failed("never seen")]
    await town.alert("db down")
    await town.pass_time(seconds=5)

    assert await states(town) == ["failed", "accepted"]
    assert len(PROVIDER.sent) == 2


@pytest.mark.parametrize("answer", [None, "never", OSError("refused"), Unknown("?"), Cancelled("?")])
async def test_without_an_answer_the_second_attempt_is_made_within_twenty_seconds_and_no_third(
    answer: Any, town: Town
) -> None:
    town.expected_errors.add("channel_broke")
    PROVIDER.outcomes = [Unknown("no answer"), Unknown("no answer")]
    PROVIDER.answers = [answer]
    await town.alert("db down")

    await town.pass_time(seconds=19.9)
    assert len(PROVIDER.sent) == 1
    assert len(PROVIDER.asked) > 1
    await town.pass_time(seconds=0.1)
    assert len(PROVIDER.sent) == 2

    await town.pass_time(minutes=30)
    assert len(PROVIDER.sent) == 2
    assert {message.attempt for message in PROVIDER.sent} == set(PROVIDER.asked)


async def test_a_call_that_a_crash_cut_off_is_looked_up_though_its_time_is_over_by_then(town: Town) -> None:
    PROVIDER.answers = [None]
    await town.alert("db down")
    await town.pass_time(seconds=1)
    PROVIDER.asked.clear()
    PROVIDER.answers = [Accepted()]

    await town.restart(after_minutes=3)
    await town.pass_time(seconds=1)

    assert (await states(town), await status(town)) == (["accepted"], "done")
    assert len(PROVIDER.sent) == len(PROVIDER.asked) == 1


async def test_a_provider_that_hangs_after_a_crash_delays_the_page_by_no_more_than_one_look_up(town: Town) -> None:
    PROVIDER.answers = ["never"]
    await town.alert("db down")
    await town.pass_time(seconds=1)

    await town.restart(after_minutes=3)
    await town.pass_time(seconds=5.5)

    assert len(PROVIDER.sent) == 2


async def test_an_answer_meanwhile_is_the_end_of_it(town: Town) -> None:
    PROVIDER.answers = [None, Failed("never seen")]
    await town.alert("db down")
    await town.pass_time(seconds=1)
    await town.ack(1)
    await town.pass_time(minutes=2)

    assert len(PROVIDER.sent) == 1
    assert await status(town) == "cancelled"


async def test_all_that_a_summary_carried_shares_what_the_look_up_told(town: Town) -> None:
    await town.reload(ASKED + "throttle: {asked: [1/1m]}")
    PROVIDER.outcomes = [Accepted(), Unknown("no answer")]
    PROVIDER.answers = [Failed("never seen")]
    for number in range(3):
        await town.alert(f"trouble {number}")
    await town.pass_time(minutes=5)

    assert [message.kind for message in PROVIDER.sent] == ["page", "summary", "summary"]
    assert set(PROVIDER.sent[2].incidents) == {2, 3}
    assert PROVIDER.asked == [PROVIDER.sent[1].attempt]
    fates = [(await town.pages_planned(number))[0][0].status for number in (1, 2, 3)]
    assert sorted(fates) == ["bundled", "done", "done"]
