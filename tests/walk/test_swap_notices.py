"""Whoever is asked for a swap is told, quietly: by mail, chat or SMS, never by a call, and never in a page's place."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.town import PHONES, Town
from tocsin.decide.oncall.overrides import AskedSwap
from tocsin.errors import Refused

SCHEDULE = """
schedules:
  primary:
    timezone: UTC
    layers:
      - {users: [ana, bo], rotation: {every: 1w, start: 2026-01-05 09:00}}
policies:
  default:
    steps: [{notify: [user:bo], wait: 5m}]
    repeat: 0
"""
SMS = f'sms: "{PHONES["bo"]}"'
VOICE = f'voice: "{PHONES["bo"]}"'
MAIL = "mail: bo@example.org"


def config(contacts: str, notify: str = "") -> str:
    ana = f'ana: {{name: Ana Pires, timezone: UTC, contacts: {{sms: "{PHONES["ana"]}"}}}}'
    bo = f"bo: {{name: Bo, timezone: America/New_York, contacts: {{{contacts}}}{notify}}}"
    return f"{SCHEDULE}users:\n  {ana}\n  {bo}\n"


async def ask(town: Town, *, favour: bool = False, **other: str) -> str:
    back = {} if favour else {"back_start": "2026-01-13 09:00", "back_end": "2026-01-14 09:00"}
    facts = {
        "schedule": "primary",
        "asked": "bo",
        "start": "2026-01-06 09:00",
        "end": "2026-01-07 09:00",
        **back,
        **other,
    }
    return (await town.daemon.swaps.ask(AskedSwap(**facts), town.actor("ana"))).id


def told(town: Town) -> list[tuple[str, str, str]]:
    return [(one.user, one.channel, one.kind) for one in town.told]


async def test_the_one_who_is_asked_is_told_who_asks_and_how_to_answer(build: Build) -> None:
    town = await build(config(f"{SMS}, {MAIL}"))
    swap = await ask(town, reason="family")
    await town.pass_time(seconds=5)

    [one] = town.told
    assert (one.user, one.channel, one.kind) == ("bo", "mail", "notice"), "low urgency: the first mail or chat"
    lines = one.text.replace("\r", "").strip().split("\n")
    assert lines[-4:] == [
        "Ana Pires (ana) asks you to take over primary: Tue 6 Jan 04:00 until Wed 7 Jan 04:00 (America/New_York).",
        "In return ana takes yours: Tue 13 Jan 04:00 until Wed 14 Jan 04:00.",
        "Reason: family",
        f"Answer before Tue 6 Jan 04:00: tocsin swap accept {swap} (or: decline)",
    ]


@pytest.mark.parametrize(
    ("contacts", "notify", "channel"),
    [
        (SMS, "", "sms"),
        (f"{VOICE}, {SMS}", "", "sms"),
        (f"{VOICE}, {SMS}, {MAIL}", "", "mail"),
        (f"{SMS}, {MAIL}", ", notify: {low: [{by: sms}]}", "sms"),
        (f"{VOICE}, {MAIL}", ", notify: {low: [{by: voice}]}", "mail"),
    ],
)
async def test_over_the_quietest_contact_and_never_by_a_call(
    build: Build, contacts: str, notify: str, channel: str
) -> None:
    town = await build(config(contacts, notify))
    await ask(town, favour=True)
    await town.pass_time(minutes=2)

    assert told(town) == [("bo", channel, "notice")]


async def test_whom_only_a_call_reaches_is_not_called_and_the_swap_stands(build: Build) -> None:
    town = await build(config(VOICE))
    await ask(town)
    await town.pass_time(minutes=2)

    assert told(town) == []
    assert [one.status for one in await town.daemon.swaps.list()] == ["asked"]


async def test_being_asked_takes_no_slot_that_a_page_could_use(build: Build) -> None:
    """One SMS a minute: the page of the same second goes at once, and so does the one right behind."""
    town = await build(config(SMS) + "throttle: {sms: [1/1m]}\n")
    await ask(town, favour=True)
    await town.pass_time(seconds=3)
    await town.alert("db down")
    await town.pass_time(seconds=3)

    assert [(one.kind, (one.at - town.start) // 1000) for one in town.told] == [("notice", 1), ("page", 3)]


async def test_while_pages_wait_nobody_hears_of_a_swap(build: Build) -> None:
    town = await build(config(SMS) + "throttle: {sms: [1/5m]}\n")
    await town.alert("db down")
    await town.alert("cache down")
    await ask(town, favour=True)
    await town.pass_time(minutes=4)

    assert "notice" not in [one.kind for one in town.told[:2]]


async def test_nobody_is_told_of_a_swap_that_is_past_due(build: Build) -> None:
    town = await build(config(SMS) + "throttle: {sms: [1/10m]}\n")
    await town.trigger("db down")
    await town.pass_time(seconds=5)
    await ask(town, favour=True, start="2026-01-05 12:05", end="2026-01-05 14:00")
    await town.pass_time(minutes=20)

    assert [one.kind for one in town.told].count("notice") == 0


async def test_a_swap_that_is_refused_tells_nobody(build: Build) -> None:
    town = await build(config(SMS))
    with pytest.raises(Refused):
        await ask(town, start="2026-01-13 09:00", end="2026-01-14 09:00")
    await town.pass_time(minutes=1)

    assert told(town) == []


@pytest.mark.parametrize("answer", ["accept", "decline"])
@pytest.mark.parametrize("favour", [True, False])
async def test_whoever_asked_is_told_of_the_answer(build: Build, answer: str, favour: bool) -> None:
    town = await build(config(f"{SMS}, {MAIL}"))
    swap = await ask(town, favour=favour)
    await town.pass_time(minutes=1)
    await getattr(town.daemon.swaps, answer)(swap, town.actor("bo"))
    await town.pass_time(seconds=5)

    assert told(town) == [("bo", "mail", "notice"), ("ana", "sms", "notice")]
    said = town.told[1].text
    shift = "primary: Tue 6 Jan 09:00 until Wed 7 Jan 09:00 (UTC)"
    assert (f"Bo (bo) accepted your swap and takes over {shift}." in said) == (answer == "accept")
    assert (f"Bo (bo) declined your swap. Still yours is {shift}." in said) == (answer == "decline")
    assert ("In return you take: Tue 13 Jan 09:00 until Wed 14 Jan 09:00." in said) == (
        answer == "accept" and not favour
    )


@pytest.mark.parametrize("end", ["withdraw", "accept", "decline"])
async def test_nobody_is_asked_for_a_swap_that_was_withdrawn_or_answered_before_the_notice_left(
    build: Build, end: str
) -> None:
    town = await build(config(SMS) + "throttle: {sms: [1/10m]}\n")
    await town.alert("db down")
    await town.pass_time(seconds=5)
    swap = await ask(town)
    await town.pass_time(seconds=30)
    await getattr(town.daemon.swaps, end)(swap, town.actor("ana" if end == "withdraw" else "bo"))
    await town.pass_time(minutes=30)

    notices = [one for one in town.told if one.kind == "notice"]
    assert [one.user for one in notices] == ([] if end == "withdraw" else ["ana"])
    assert not any("asks you" in one.text for one in notices)


async def test_of_an_answer_nobody_hears_whose_shift_is_over(build: Build) -> None:
    town = await build(config(MAIL) + "throttle: {sms: [1/2h]}\n")
    await town.alert("db down", service="shop")
    swap = await ask(town, favour=True, start="2026-01-05 12:05", end="2026-01-05 12:30")
    await town.daemon.swaps.decline(swap, town.actor("bo"))
    await town.pass_time(seconds=5)

    assert ("ana", "sms", "notice") in told(town), "no slot of hers was taken"


# --------------------------------------------------------------------------------- whose turn it is


async def test_a_reload_that_moves_the_turn_says_so_and_what_keeps_it(build: Build) -> None:
    before = config(SMS).replace(
        "[ana, bo], rotation: {every: 1w, start: 2026-01-05 09:00}",
        "[grace, ana, bo], rotation: {every: 1d, start: 2026-01-01 09:00}",
    )
    town = await build(before)
    said = await town.reload(before.replace("[grace, ana, bo]", "[ana, bo]").replace("user:bo", "user:ana"))

    # Monday noon is in the fifth turn: ana's, and of two people the first's: ana's too
    assert said == "schedules ~1, policies ~1; needs a restart: database"
    said = await town.reload(before.replace("[grace, ana, bo]", "[bo, ana]"))
    assert said.splitlines()[1:] == [
        "primary: ana was on call, and bo is now",
        "primary, layer 1: it was the turn of ana, and is that of bo now, since turns are counted over the people as written; "
        "to keep the present turn, write start: 2025-12-31 09:00",
    ]
    assert [entry["said"] for entry in town.logs if entry["event"] == "turn_changed"] == said.splitlines()[1:]
    kept = before.replace("[grace, ana, bo]", "[bo, ana]").replace("2026-01-01 09:00", "2025-12-31 09:00")
    assert (await town.reload(kept)).splitlines()[1] == "primary: bo was on call, and ana is now"
