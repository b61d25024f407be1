"""Who was paged hears that it is over: also whoever was just being called, and over another way where one fails."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town, Trouble

CALM = 'throttle: {sms: ["1000/1m"], mail: ["1000/1m"]}\n'
TWO_WAYS = (
    CALM
    + """
users: {ana: {notify: {high: [{by: sms}]}, contacts: {sms: "+15005550010", mail: ana@example.org}}}
"""
)
End = Callable[[Town], Awaitable[object]]


async def resolve(town: Town) -> None:
    await town.clear("db down")


ENDS: dict[str, tuple[End, str]] = {
    "its source": (resolve, "INC 1 resolved by integration:apps: db down"),
    "a person": (lambda town: town.resolve(1, "bo"), "INC 1 resolved by bo: db down"),
    "a person who cancels": (lambda town: town.act("cancel", 1, "bo"), "INC 1 canceled by bo: db down"),
}


@pytest.mark.parametrize("how", ENDS)
@pytest.mark.parametrize("call", ["slow to answer", "hangs"])
async def test_whoever_is_being_called_as_it_ends_hears_of_the_end(how: str, call: Trouble, build: Build) -> None:
    """The provider has the request and has not answered yet, or never does: it may have gone out."""
    town = await build(CALM)
    end, text = ENDS[how]
    town.trouble("sms", call)
    await town.alert("db down")
    await end(town)
    assert town.updates == []

    await town.pass_time(seconds=30)

    assert [line.partition(": ")[2] for line in town.updates] == [text]


@pytest.mark.parametrize("how", ENDS)
async def test_so_does_whoever_was_paged_before(how: str, build: Build) -> None:
    town = await build(CALM)
    end, text = ENDS[how]
    await town.alert("db down")
    await end(town)
    await town.pass_time(minutes=1)
    assert [line.partition(": ")[2] for line in town.updates] == [text]


async def test_a_call_that_is_stopped_at_its_gate_is_followed_by_nothing(build: Build) -> None:
    town = await build(CALM)
    town.trouble("sms", "slow to connect")
    await town.alert("db down")
    await town.clear("db down")
    await town.pass_time(minutes=1)
    assert (town.pages, town.updates) == ([], [])


async def test_a_call_that_surely_failed_is_followed_by_nothing(build: Build) -> None:
    town = await build(CALM)
    town.trouble("sms", "unreachable", times=None)
    await town.alert("db down")
    await town.clear("db down")
    await town.pass_time(minutes=2)
    town.peace()
    await town.pass_time(minutes=2)
    assert (town.pages, town.updates) == ([], [])


async def test_a_second_attempt_under_way_is_followed_by_the_end_and_not_overtaken_by_it(build: Build) -> None:
    town = await build(CALM)
    town.trouble("sms", "lost")
    town.trouble("sms", "slow to answer")
    await town.alert("db down")
    await town.pass_time(seconds=21)
    await town.clear("db down")
    await town.pass_time(minutes=1)
    assert [told.kind for told in town.told] == ["page", "update"]


async def test_two_calls_of_one_person_are_followed_by_one_word(build: Build) -> None:
    two = TWO_WAYS.replace("[{by: sms}]", "[{by: [sms, mail]}]")
    town = await build(two)
    town.trouble("sms", "slow to answer")
    town.trouble("mail", "slow to answer")
    await town.alert("db down")
    await town.clear("db down")
    await town.pass_time(minutes=1)
    assert len(town.updates) == 1


async def test_what_travels_in_a_summary_is_told_when_that_is_out(build: Build) -> None:
    town = await build('throttle: {sms: ["1/1m"]}')
    for title in ("first", "second", "third"):
        await town.alert(title, "error")
    await town.pass_time(seconds=59)
    town.trouble("sms", "slow to answer")
    await town.pass_time(seconds=1.5)  # the summary of the second and the third is on its way
    assert len(town.summaries) == 1
    await town.clear("second")
    await town.clear("third")
    assert town.updates == []
    await town.pass_time(minutes=3)
    (line,) = town.updates
    assert all(name in line for name in ("INC 2", "INC 3"))


async def test_a_summary_that_failed_is_followed_by_nothing(build: Build) -> None:
    town = await build('throttle: {sms: ["1/1m"]}')
    for title in ("first", "second", "third"):
        await town.alert(title, "error")
    await town.pass_time(seconds=59)
    town.trouble("sms", "slow to connect")
    await town.pass_time(seconds=1.5)
    await town.clear("second")
    await town.clear("third")
    await town.pass_time(minutes=3)
    assert town.updates == []


async def test_a_crash_in_the_middle_of_the_call_forgets_nobody(build: Build) -> None:
    town = await build(CALM, database="file")
    town.trouble("sms", "slow to answer")
    await town.alert("db down")
    await town.clear("db down")
    await town.restart()
    await town.pass_time(minutes=1)
    assert [line.partition(": ")[2] for line in town.updates] == ["INC 1 resolved by integration:apps: db down"]


async def test_word_of_a_delivery_before_the_answer_is_enough(build: Build) -> None:
    town = await build(CALM)
    town.trouble("sms", "slow to answer")
    await town.alert("db down")
    await town.clear("db down")
    await town.phones["ana"].receipt("delivered")
    await town.settle()
    assert len(town.updates) == 1
    await town.pass_time(minutes=1)
    assert len(town.updates) == 1


@pytest.mark.parametrize("trouble", ["bad number", "unreachable", "undelivered", "stopped"])
async def test_an_end_that_does_not_get_through_goes_another_way(trouble: Any, build: Build) -> None:
    town = await build(TWO_WAYS)
    town.expected_errors |= {"own_trouble"}
    await town.alert("db down")
    if trouble == "stopped":
        await town.phones["ana"].reply("STOP")
    elif trouble != "undelivered":
        town.trouble("sms", trouble, times=None)
    await town.clear("db down")
    if trouble == "undelivered":
        await town.phones["ana"].receipt("undelivered", "30003")
    await town.pass_time(minutes=5)

    assert any(text.startswith("INC 1 resolved by integration:apps") for text in town.mail), town.updates


async def test_an_end_whose_contact_a_reload_took_away_goes_another_way(build: Build) -> None:
    town = await build(TWO_WAYS.replace("1000/1m", "1/1m"))
    await town.alert("db down")
    await town.alert("web down", "error")
    await town.clear("db down")
    await town.reload(TWO_WAYS.replace("{by: sms}", "{by: mail}").replace('sms: "+15005550010", ', ""))
    await town.pass_time(minutes=5)
    assert any("INC 1 resolved" in text for text in town.mail)


async def test_whom_somebody_paged_by_hand_hears_of_the_end_though_no_step_ran(build: Build) -> None:
    town = await build(CALM + "rules: [{name: wait, hold: 10m}]")
    await town.alert("db down")
    await town.page(1, "bo")
    await town.clear("db down")
    await town.pass_time(seconds=5)
    assert town.updates == ["0m bo sms: INC 1 resolved by integration:apps: db down"]


async def test_what_healed_while_it_was_held_is_told_to_nobody(build: Build) -> None:
    town = await build(CALM + "rules: [{name: wait, hold: 10m}]")
    await town.alert("db down")
    await town.clear("db down")
    await town.pass_time(minutes=15)
    assert town.told == []


async def test_what_fires_again_before_the_call_ends_is_not_told_as_over(build: Build) -> None:
    town = await build(CALM + "defaults: {reopen_within: 10m}")
    town.trouble("sms", "slow to answer")
    await town.alert("db down")
    await town.clear("db down")
    await town.pass_time(seconds=5)
    await town.alert("db down", started_at="2026-01-05T12:00:05Z")
    await town.pass_time(minutes=1)
    assert town.updates == []
