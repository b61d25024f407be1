"""A contact is proven by a code that comes over it, and a test page goes the way of every page."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import HOOK, PHONES, Town
from tocsin.errors import Refused
from tocsin.model import Actor

EVERY_WAY = f"""
channels:
  {HOOK}
users:
  ana:
    name: Ana
    timezone: UTC
    contacts: {{sms: "{PHONES["ana"]}", voice: "{PHONES["ana"]}", mail: ana@example.org, hook: ana}}
"""
ANA, BO, GRACE = Actor("user", "ana"), Actor("user", "bo"), Actor("user", "grace")


async def ask(town: Town, contact: str = "sms", *, admin: bool = False) -> None:
    await town.daemon.contacts.verify("ana", contact, GRACE if admin else ANA, admin=admin)
    await town.settle()


async def enter(town: Town, code: str, contact: str = "sms") -> str:
    """What comes of a code: "verified", or why not."""
    try:
        await town.daemon.contacts.confirm("ana", contact, code, ANA)
    except Refused as refused:
        return f"{refused.status} {refused.because}"
    await town.settle()
    return "verified"


def codes(text: str) -> list[str]:
    return re.findall(r"\b\d{6}\b", text)


async def state(town: Town, contact: str = "sms") -> Any:
    views = await town.daemon.contacts.views(town.daemon.live.settings.users["ana"])
    return next(one for one in views if one.contact.name == contact)


async def refused(asking: Any) -> str:
    with pytest.raises(Refused) as found:
        await asking
    return f"{found.value.status} {found.value.because}"


# ------------------------------------------------------------------------------------------- codes


@pytest.mark.parametrize("contact", ["sms", "mail", "hook"])
async def test_the_code_that_came_proves_the_contact(build: Build, contact: str) -> None:
    town = await build(EVERY_WAY)
    assert not (await state(town, contact)).verified

    await ask(town, contact)
    [code] = set(codes(town.told[-1].text))

    assert await enter(town, code, contact) == "verified"
    assert (await state(town, contact)).verified_at == town.clock.now()
    assert [
        one.contact.name
        for one in await town.daemon.contacts.views(town.daemon.live.settings.users["ana"])
        if one.verified
    ] == [contact]


async def test_a_code_is_read_out_on_the_phone(build: Build) -> None:
    town = await build(EVERY_WAY)
    await ask(town, "voice")

    said = await town.phones["ana"].pick_up()

    digits = re.findall(r"\d", said)
    assert digits[:6] == digits[6:12] == digits[12:]
    assert await enter(town, "".join(digits[:6]), "voice") == "verified"


async def test_no_code_is_kept_in_the_database(build: Build) -> None:
    town = await build(EVERY_WAY)
    await ask(town)
    [code] = set(codes(town.phones["ana"].texts[-1]))

    [kept] = await town.daemon.store.verifications()
    page = await town.daemon.store.page(kept.page)

    assert code not in f"{kept}{page}"


async def test_five_wrong_codes_void_the_right_one(town: Town) -> None:
    await ask(town)
    code = codes(town.phones["ana"].texts[-1])[0]
    wrong = f"{(int(code) + 1) % 1_000_000:06}"

    said = [await enter(town, wrong) for _ in range(5)]

    assert said[0] == "422 sms of ana: that is not the code; 4 tries are left"
    assert said[4] == "422 sms of ana: that is not the code; ask for a new one"
    assert (await enter(town, code)).startswith("409 sms of ana: too many wrong codes")
    assert not (await state(town)).verified


async def test_a_code_holds_ten_minutes_and_only_until_the_next_one(town: Town) -> None:
    await ask(town)
    first = codes(town.phones["ana"].texts[-1])[0]
    await town.pass_time(minutes=1.1)
    await ask(town)
    second = codes(town.phones["ana"].texts[-1])[0]

    assert (await enter(town, first)).startswith("422")
    await town.pass_quietly(minutes=10)
    assert (await enter(town, second)).startswith("409 sms of ana: the code has expired; it holds 10 minutes")


async def test_a_used_code_is_void(town: Town) -> None:
    await ask(town)
    code = codes(town.phones["ana"].texts[-1])[0]

    assert await enter(town, f" {code[:3]} {code[3:]} ") == "verified"
    assert (await enter(town, code)).startswith("409 sms of ana: no code is under way for it")


async def test_a_number_cannot_be_pestered_with_codes(build: Build) -> None:
    town = await build(EVERY_WAY)
    await ask(town, "mail")
    again = await refused(town.daemon.contacts.verify("ana", "mail", ANA, admin=False))
    for _ in range(4):
        await town.pass_quietly(minutes=1)
        await ask(town, "mail")
    await town.pass_quietly(minutes=1)
    sixth = await refused(town.daemon.contacts.verify("ana", "mail", ANA, admin=False))
    await town.pass_quietly(minutes=56)
    await ask(town, "mail")

    assert again == "429 mail of ana: a code was sent a moment ago; another one can be sent in 60 s"
    assert sixth.startswith("429 mail of ana: 5 codes were sent within an hour")
    assert len(town.mail) == 6


async def test_another_address_is_not_verified(build: Build) -> None:
    town = await build(EVERY_WAY)
    await ask(town)
    await enter(town, codes(town.phones["ana"].texts[-1])[0])

    await town.reload(EVERY_WAY.replace(f'sms: "{PHONES["ana"]}"', 'sms: "+15005550055"'))
    assert not (await state(town)).verified
    await town.reload(EVERY_WAY)
    assert (await state(town)).verified


async def test_it_is_still_verified_after_a_restart(build: Build) -> None:
    town = await build(EVERY_WAY, database="file")
    await ask(town)
    code = codes(town.phones["ana"].texts[-1])[0]
    await town.restart()

    assert await enter(town, code) == "verified"
    await town.restart()
    assert (await state(town)).verified
    assert town.daemon.runtime.is_verified("ana", town.daemon.live.settings.users["ana"].contacts["sms"])


async def test_after_stop_only_start_or_an_admins_code_makes_it_usable(town: Town) -> None:
    town.expected_errors.add("own_trouble")
    phone = town.phones["ana"]
    await phone.reply("STOP")
    assert await refused(town.daemon.contacts.verify("ana", "sms", ANA, admin=False)) == (
        "409 sms of ana cannot be used: answered STOP; after STOP send START from that phone, or have an admin verify it"
    )

    await ask(town, admin=True)
    assert (await state(town)).because == "answered STOP"
    assert await enter(town, codes(phone.texts[-1])[0]) == "verified"

    assert (await state(town)).usable
    assert not town.daemon.runtime.is_dead(town.daemon.live.settings.users["ana"].contacts["sms"])


async def test_a_code_asked_for_before_stop_does_not_undo_it(town: Town) -> None:
    town.expected_errors.add("own_trouble")
    await ask(town)
    code = codes(town.phones["ana"].texts[-1])[0]
    await town.phones["ana"].reply("STOP")

    assert await enter(town, code) == "verified"
    assert not (await state(town)).usable


async def test_why_a_contact_cannot_be_used_is_told_without_its_address(town: Town) -> None:
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "bad number")
    await town.alert("db down")

    assert not (await state(town)).usable
    assert "+1500" not in (await state(town)).because


async def test_who_or_what_is_not_there_is_told(town: Town) -> None:
    contacts = town.daemon.contacts

    assert await refused(contacts.verify("anna", "sms", ANA, admin=False)) == "404 no such user 'anna'"
    assert await refused(contacts.test("ana", "smss", ANA)) == "404 ana has no contact 'smss'; there are: sms"
    assert await refused(contacts.sent("ana", "nothing")) == "404 there is no test, code or notice 'nothing' to ana"


# -------------------------------------------------------------------------------------- test pages


async def test_a_test_page_is_marked_and_its_fate_is_told(town: Town) -> None:
    [page] = await town.daemon.contacts.test("ana", "", ANA)
    await town.settle()

    assert town.phones["ana"].texts == [
        "TEST page of Tocsin for Ana over sms. Nothing is wrong. Reply OK to answer it."
    ]
    sent = await town.daemon.contacts.sent("ana", page.id)
    assert (sent.outcome, sent.arrived, sent.settled) == ("accepted", True, False)
    await town.phones["ana"].receipt("delivered")
    sent = await town.daemon.contacts.sent("ana", page.id)
    assert (sent.delivery, sent.arrived, sent.settled) == ("delivered", True, True)


async def test_a_test_page_that_was_not_delivered_did_not_arrive(town: Town) -> None:
    [page] = await town.daemon.contacts.test("ana", "sms", ANA)
    await town.settle()
    await town.phones["ana"].receipt("undelivered", "30003")

    sent = await town.daemon.contacts.sent("ana", page.id)
    assert (sent.arrived, sent.settled) == (False, True)


async def test_a_bad_number_is_found_out_by_a_test(town: Town) -> None:
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "bad number", times=None)
    [page] = await town.daemon.contacts.test("ana", "sms", ANA)
    await town.settle()

    sent = await town.daemon.contacts.sent("ana", page.id)
    assert (sent.outcome, sent.arrived, sent.settled) == ("failed", False, True)
    assert await refused(town.daemon.contacts.test("ana", "sms", ANA)) != ""


async def test_all_contacts_can_be_tested_at_once(build: Build) -> None:
    town = await build(EVERY_WAY)

    await town.daemon.contacts.test("ana", "all", ANA)
    await town.settle()

    assert sorted(told.channel for told in town.told if told.kind == "test") == ["hook", "mail", "sms", "voice"]


async def test_a_reply_to_a_test_is_thanked_for_and_acknowledges_nothing(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=1.1)
    [page] = await town.daemon.contacts.test("ana", "sms", ANA)
    await town.settle()

    said = await town.phones["ana"].reply("ok!")

    assert said == (
        "Thank you, Ana: you answered the test. Nothing was acknowledged. Still open: INC 1 P2 db down. Reply ACK 1."
    )
    assert (await town.incident()).status == "triggered"
    sent = await town.daemon.contacts.sent("ana", page.id)
    assert (sent.answered, sent.because) == (True, "you answered the test by SMS: ok!")
    assert (await town.phones["ana"].reply("ack 1") or "").startswith("INC 1 acknowledged by you.")


async def test_a_test_is_answered_once_and_the_next_reply_means_the_page_before_it(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=1.1)
    await town.daemon.contacts.test("ana", "sms", ANA)
    await town.settle()

    assert (await town.phones["ana"].reply("ack") or "").startswith("Thank you")
    assert (await town.phones["ana"].reply("ack") or "").startswith("INC 1 acknowledged by you.")


async def test_a_number_named_after_a_test_still_means_the_incident(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=1.1)
    await town.daemon.contacts.test("ana", "sms", ANA)
    await town.settle()

    assert (await town.phones["ana"].reply("ack 1") or "").startswith("INC 1 acknowledged by you.")


async def test_a_page_after_the_test_is_what_a_reply_means(town: Town) -> None:
    await town.daemon.contacts.test("ana", "sms", ANA)
    await town.pass_time(minutes=1.1)
    await town.alert("db down")

    assert (await town.phones["ana"].reply("ack") or "").startswith("INC 1 acknowledged by you.")


async def test_a_key_pressed_in_a_test_call_answers_it(build: Build) -> None:
    town = await build(EVERY_WAY)
    [page] = await town.daemon.contacts.test("ana", "voice", ANA)
    await town.settle()

    assert (
        await town.phones["ana"].pick_up() == "This is a test of Tocsin. Nothing is wrong. Press any key to answer it."
    )
    assert (await town.phones["ana"].press("4")).startswith("Thank you: you answered the test.")
    assert (await town.daemon.contacts.sent("ana", page.id)).answered


async def test_a_test_page_waits_behind_pages_and_takes_no_slot_of_theirs(town: Town) -> None:
    await town.daemon.contacts.test("ana", "sms", ANA)
    await town.settle()
    await town.alert("db down")
    await town.pass_time(seconds=5)

    assert [told.kind for told in town.told if told.user == "ana"] == ["test", "page"]


async def test_tests_are_limited(build: Build) -> None:
    town = await build(EVERY_WAY)
    for _ in range(5):
        await town.daemon.contacts.test("ana", "mail", ANA)
        await town.settle()

    said = await refused(town.daemon.contacts.test("ana", "mail", ANA))

    assert said == "429 mail of ana was tested 5 times within an hour; wait a while"
