"""Somebody steps in: made at run time, it changes who is woken with its commit; taken back, it does not."""

from __future__ import annotations

from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.decide.oncall.overrides import Asked, AskedSwap
from tocsin.errors import Refused
from tocsin.model import HOUR, MINUTE, MadeOverride

WEEK = "2026-01-05 09:00"  # Ana's, until Bo's on the 12th


async def step_in(town: Town, user: str = "bo", *, by: str = "ana", **asked: Any) -> MadeOverride:
    how: dict[str, Any] = {"length": HOUR, **asked}
    made = await town.daemon.overrides.add(Asked("primary", (user,), **how), town.actor(by))
    await town.settle()
    return made


async def take_back(town: Town, made: MadeOverride, by: str = "bo") -> None:
    await town.daemon.overrides.remove(made.id, town.actor(by))


async def test_who_stepped_in_is_woken_and_the_page_says_why(town: Town) -> None:
    made = await step_in(town)

    await town.alert("db down")

    assert town.pages == ["0m bo sms"]
    [(page, _)] = await town.pages_planned()
    assert page.because == f"on call in primary: override {made.id}: bo for ana, until 2026-01-05 13:00"


async def test_once_taken_back_it_wakes_nobody(town: Town) -> None:
    made = await step_in(town)
    await take_back(town, made)

    await town.alert("db down")

    assert town.pages == ["0m ana sms"]


async def test_a_step_asks_again_who_stepped_in_meanwhile(build: Build) -> None:
    twice = (
        "policies: {default: {steps: [{notify: [schedule:primary], wait: 5m}, {notify: [schedule:primary], wait: 5m}]}}"
    )
    town = await build(twice)
    await town.alert("db down")
    await town.pass_time(minutes=1)
    made = await step_in(town, "grace")
    await town.pass_time(minutes=4)
    await take_back(town, made)
    await town.pass_time(minutes=5)

    assert town.pages == ["0m ana sms", "5m grace sms", "10m ana sms"]


async def test_it_counts_from_its_start_until_its_end(town: Town) -> None:
    await step_in(town, start="2026-01-05 12:10", length=10 * MINUTE)
    for minutes, title in ((9, "before"), (1, "first"), (9, "last"), (1, "after")):
        await town.pass_time(minutes=minutes)
        await town.resolve(await town.alert(title) or 0, "grace")

    assert town.pages == ["9m ana sms", "10m bo sms", "19m bo sms", "20m ana sms"]


async def test_a_restart_forgets_none(build: Build) -> None:
    town = await build(database="file")
    await step_in(town)
    gone = await step_in(town, "grace")
    await take_back(town, gone)

    await town.restart(after_minutes=5)
    await town.alert("db down")

    assert town.pages == ["5m bo sms"]


async def test_the_person_who_follows_and_the_team_on_call_know_of_it_too(build: Build) -> None:
    steps = "[{notify: [team:platform@oncall], wait: 5m}, {notify: [schedule:primary@next], wait: 5m}]"
    town = await build(f"policies: {{default: {{steps: {steps}}}}}")
    await step_in(town, start="2026-01-05 12:00")
    await step_in(town, "grace", start="2026-01-05 13:00")

    await town.alert("db down")
    await town.pass_time(minutes=5)

    assert town.pages == ["0m bo sms", "5m grace sms"]


async def test_who_by_sms_names_the_one_who_stepped_in(town: Town) -> None:
    await step_in(town)

    assert await town.phones["ana"].reply("WHO") == "primary: bo"


async def test_who_left_the_company_steps_in_for_nobody(town: Town) -> None:
    await step_in(town, "bo")
    await town.reload(
        """
        users: {bo: ~}
        teams: {platform: {members: [ana], managers: [grace]}}
        schedules: {primary: {timezone: UTC, layers: [{name: week, users: [ana]}]}}
        """
    )

    await town.alert("db down")

    assert town.pages == ["0m ana sms"]


async def test_what_was_is_not_rewritten(town: Town) -> None:
    await town.pass_time(minutes=30)
    made = await step_in(town, start="2026-01-05 12:00")
    await town.pass_time(minutes=10)
    await take_back(town, made)

    extra = (await town.daemon.overrides.in_force(town.start))["primary"]

    assert [(one.start, one.end) for one in extra] == [("2026-01-05T12:30:00Z", "2026-01-05T12:40:00Z")]


async def test_who_made_it_and_who_took_it_back_is_kept(town: Town) -> None:
    made = await step_in(town, by="grace", reason="  dentist\x07 ")
    await town.pass_time(minutes=1)
    await take_back(town, made, by="bo")

    [kept] = await town.daemon.overrides.list("primary", everything=True)

    assert (kept.author, kept.reason, kept.created_at) == ("grace", "dentist", town.start)
    assert (kept.removed_by, kept.removed_at) == ("bo", town.start + MINUTE)
    assert await town.daemon.overrides.list("primary") == []


@pytest.mark.parametrize("when", ["gone", "removed", "over", "elsewhere"])
async def test_there_is_nothing_to_take_back(town: Town, when: str) -> None:
    made = await step_in(town)
    if when == "removed":
        await take_back(town, made)
    if when == "over":
        await town.pass_quietly(hours=1)

    with pytest.raises(Refused) as refused:
        await town.daemon.overrides.remove(
            "x" if when == "gone" else made.id, town.actor("bo"), "other" if when == "elsewhere" else None
        )

    said = {"gone": "there is no override 'x'", "removed": "taken back already, by bo", "over": "is over",
            "elsewhere": "there is no override"}  # fmt: skip
    assert said[when] in refused.value.because


# ------------------------------------------------------------------------------------------ swaps

ANA, BO = ("2026-01-06 09:00", "2026-01-07 09:00"), ("2026-01-13 09:00", "2026-01-14 09:00")


async def ask(town: Town, *, favour: bool = False, **other: Any) -> str:
    back = {} if favour else {"back_start": BO[0], "back_end": BO[1]}
    facts = {"schedule": "primary", "asked": "bo", "start": ANA[0], "end": ANA[1], **back, **other}
    return (await town.daemon.swaps.ask(AskedSwap(**facts), town.actor("ana"))).id


async def who(town: Town, *minutes_after: float) -> list[str]:
    """Who is woken at these hours from the start."""
    for hours in minutes_after:
        await town.pass_quietly(hours=hours - town.minutes / 60)
        await town.resolve(await town.alert(f"at {hours}") or 0, "grace")
    return [line.split()[1] for line in town.pages]


async def test_an_accepted_swap_changes_both_shifts(town: Town) -> None:
    swap = await ask(town)
    accepted = await town.daemon.swaps.accept(swap, town.actor("bo"))

    assert accepted.status == "accepted"
    assert await who(town, 0, 22, 44, 46, 180, 190, 213.5) == ["ana", "bo", "bo", "ana", "bo", "ana", "bo"]
    assert [one.swap for one in await town.daemon.overrides.list(None, everything=True)] == [swap, swap]


async def test_a_favour_gives_nothing_back(town: Town) -> None:
    swap = await ask(town, favour=True)
    await town.daemon.swaps.accept(swap, town.actor("bo"))

    assert await who(town, 22, 46, 190) == ["bo", "ana", "bo"]


@pytest.mark.parametrize("answer", ["decline", "withdraw", ""])
async def test_a_swap_that_is_not_accepted_changes_nothing(town: Town, answer: str) -> None:
    swap = await ask(town)
    if answer:
        await getattr(town.daemon.swaps, answer)(swap, town.actor("bo" if answer == "decline" else "ana"))

    assert await who(town, 22, 190) == ["ana", "bo"]


@pytest.mark.parametrize(
    ("verb", "user", "said"),
    [
        ("accept", "ana", "only bo may accept this swap"),
        ("accept", "grace", "only bo may accept this swap"),
        ("decline", "ana", "only bo may decline this swap"),
        ("withdraw", "bo", "only ana may withdraw this swap"),
    ],
)
async def test_only_those_concerned_answer(town: Town, verb: str, user: str, said: str) -> None:
    swap = await ask(town)

    with pytest.raises(Refused, match=said):
        await getattr(town.daemon.swaps, verb)(swap, town.actor(user))

    assert [one.status for one in await town.daemon.swaps.list()] == ["asked"]


@pytest.mark.parametrize(
    ("first", "by", "said"),
    [
        ("accept", "bo", "is accepted already; to undo it, take its overrides back"),
        ("decline", "bo", "is declined"),
        ("withdraw", "ana", "is withdrawn"),
    ],
)
async def test_an_answer_is_given_once(town: Town, first: str, by: str, said: str) -> None:
    swap = await ask(town)
    await getattr(town.daemon.swaps, first)(swap, town.actor(by))

    for verb, user in (("accept", "bo"), ("decline", "bo"), ("withdraw", "ana")):
        with pytest.raises(Refused, match=said):
            await getattr(town.daemon.swaps, verb)(swap, town.actor(user))


async def test_past_due_it_cannot_be_accepted(town: Town) -> None:
    swap = await ask(town)
    await town.pass_quietly(hours=21)

    with pytest.raises(Refused, match="past due"):
        await town.daemon.swaps.accept(swap, town.actor("bo"))

    assert await town.daemon.swaps.list() == []
    assert await town.daemon.overrides.list(None, everything=True) == []


async def test_it_is_not_accepted_once_the_shifts_have_changed(town: Town) -> None:
    swap = await ask(town)
    await step_in(town, "grace", start=ANA[0], length=None, end=ANA[1])

    with pytest.raises(Refused, match="the shifts have changed since it was asked: ana is not on call in primary"):
        await town.daemon.swaps.accept(swap, town.actor("bo"))


async def test_it_survives_a_restart(build: Build) -> None:
    town = await build(database="file")
    swap = await ask(town)
    await town.restart(after_minutes=1)
    await town.daemon.swaps.accept(swap, town.actor("bo"))
    await town.restart(after_minutes=1)

    assert await who(town, 22, 190) == ["bo", "ana"]
