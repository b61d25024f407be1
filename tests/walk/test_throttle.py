"""The limits of messages to a person, sentence by sentence as promised."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace

import pytest

from tests.walk.conftest import Build
from tests.walk.town import OPS_MAIL, PHONES, Town
from tocsin.contracts import Tx
from tocsin.decide.views import page_view
from tocsin.model import Actor, Page

ANA = "policies: {default: {steps: [{notify: [user:ana], wait: 120m}], repeat: 0}}\n"
TWO_WAYS = f"""
users: {{ana: {{name: Ana, timezone: UTC, contacts: {{sms: "{PHONES["ana"]}", mail: ana@example.org}}, notify: {{high: [{{by: sms}}]}}}}}}
services: {{shop: {{impact: high}}}}
"""


def heard(town: Town) -> list[tuple[float, str, str]]:
    """(minute, channel, kind) of all that reached Ana."""
    return [
        (round((told.at - town.start) / 60_000, 2), told.channel, told.kind) for told in town.told if told.user == "ana"
    ]


async def test_a_channels_own_entry_replaces_the_limits_of_its_kind(build: Build) -> None:
    town = await build(ANA + "throttle: {sms: [3/1m]}")
    for name in ("one", "two", "three"):
        await town.alert(name)

    assert len(town.told) == 3 - 1  # one slot is kept for a P1


async def test_first_pages_go_before_later_steps(build: Build) -> None:
    town = await build(
        """
throttle: {sms: [1/4m]}
policies:
  default: {steps: [{notify: [user:ana], wait: 2m}, {notify: [user:ana], wait: 120m}], repeat: 0}
"""
    )
    await town.alert("old")
    await town.pass_time(minutes=2.5)  # its second step waits for a slot by now
    await town.alert("new")
    await town.pass_time(minutes=3)

    told = [told for told in town.told if told.user == "ana"][1]
    assert told.text.index("INC 2") > 0
    (first, _), *_ = await town.pages_planned(2)
    later = (await town.pages_planned(1))[1][0]
    assert first.rank < later.rank


async def test_all_that_wait_are_one_summary_at_the_next_free_slot(build: Build) -> None:
    town = await build(ANA + "throttle: {sms: [3/1m]}")
    for number in range(12):
        await town.alert(f"trouble {number}")
        await town.pass_time(seconds=4)
    await town.pass_time(minutes=1)

    assert [kind for _, _, kind in heard(town)] == ["page", "page", "summary"]
    assert "10 incidents wait for you" in town.summaries[0]
    assert heard(town)[2][0] == 1


async def test_at_the_latest_after_a_minute_by_another_channel_that_has_room_and_as_one_message(build: Build) -> None:
    town = await build(ANA + TWO_WAYS + "throttle: {sms: [1/60m]}")
    for number in range(6):
        await town.alert(f"trouble {number}")

    await town.pass_time(minutes=2)

    assert heard(town) == [(0, "sms", "page"), (1, "mail", "summary")]
    assert all(f"INC {number} " in town.mail[0] for number in range(2, 7))


async def test_pages_say_of_each_attempt_whether_it_was_a_summary(build: Build) -> None:
    town = await build(ANA + "throttle: {sms: [3/1m]}")
    for name in ("one", "two", "three", "four"):
        await town.alert(name)
    await town.pass_time(minutes=2)
    assert len(town.summaries) == 1

    told = {}
    for number in (1, 2, 3, 4):
        several = await town.daemon.store.summaries(number)
        pages = [page_view(page, attempts, several=several) for page, attempts in await town.pages_planned(number)]
        told[number] = [(page["kind"], one["message"]) for page in pages for one in page["attempts"]]

    lines = [
        entry.detail["message"]
        for number in (1, 2, 3, 4)
        for entry in await town.timeline(number)
        if entry.kind == "attempt"
    ]
    assert told == {1: [("page", "page")], 2: [("page", "page")], 3: [("page", "summary")], 4: [("page", "summary")]}
    assert lines == ["page", "page", "summary"]


async def test_the_summary_counts_as_each_pages_attempt(build: Build) -> None:
    town = await build(ANA)
    for number in range(4):
        await town.alert(f"trouble {number}")
    await town.pass_time(minutes=2)

    outcomes = [(await town.outcomes(number))[0] for number in (2, 3, 4)]
    assert sorted(outcomes) == ["ana sms bundled: bundled", "ana sms bundled: bundled", "ana sms done: accepted"]


async def test_one_slot_of_each_window_is_kept_for_p1_and_where_none_is_left_a_p1_takes_another_way_at_once(
    build: Build,
) -> None:
    town = await build(ANA + TWO_WAYS)
    await town.alert("one")
    await town.alert("the shop is down", service="shop")

    assert heard(town) == [(0, "sms", "page"), (0, "mail", "page")]
    assert (await town.incident(2)).priority == "P1"
    (page, _), *_ = await town.pages_planned(2)
    assert page.delayed == "2026-01-05T12:00:00Z: the limit of sms is reached, and a P1 does not wait"
    assert "page_moved" in await town.kinds(2)


@pytest.mark.parametrize(("service", "urgency"), [("shop", "P1"), ("other", "P2")])
async def test_a_p1_or_p2_that_goes_out_by_mail_has_the_next_sms_too(service: str, urgency: str, build: Build) -> None:
    town = await build(ANA + TWO_WAYS + "throttle: {sms: [1/5m]}")
    await town.alert("one")
    await town.alert("the second", service=service)
    await town.pass_time(minutes=20)

    assert (await town.incident(2)).priority == urgency
    by_mail = 0 if urgency == "P1" else 1
    assert heard(town) == [(0, "sms", "page"), (by_mail, "mail", "page"), (5, "sms", "page")]
    assert "INC 2 " in town.told[-1].text


async def test_a_lesser_page_that_goes_out_by_mail_is_not_told_twice(build: Build) -> None:
    town = await build(ANA + TWO_WAYS.replace("high: [", "low: [{by: sms}], high: [") + "throttle: {sms: [1/5m]}")
    await town.alert("one", severity="info")
    await town.alert("two", severity="info")
    await town.pass_time(minutes=20)

    assert (await town.incident(2)).priority == "P4"
    assert heard(town) == [(0, "sms", "page"), (1, "mail", "page")]


async def test_the_place_that_is_kept_is_given_up_with_an_answer(build: Build) -> None:
    town = await build(ANA + TWO_WAYS + "throttle: {sms: [1/5m]}")
    await town.alert("one")
    await town.alert("the shop is down", service="shop")
    await town.pass_time(minutes=2)
    await town.ack(2)
    await town.pass_time(minutes=20)

    assert heard(town) == [(0, "sms", "page"), (0, "mail", "page")]


async def test_what_keeps_its_place_is_one_message_with_what_came_meanwhile_and_hurries_nobody(build: Build) -> None:
    town = await build(ANA + TWO_WAYS + "throttle: {sms: [1/5m]}")
    for name in ("one", "two"):
        await town.alert(name)
    await town.pass_time(minutes=4.5)
    await town.alert("three")
    await town.pass_time(minutes=10)

    assert heard(town) == [(0, "sms", "page"), (1, "mail", "page"), (5, "sms", "summary")]
    assert all(f"INC {number} " in town.told[-1].text for number in (2, 3))


async def test_a_call_that_finds_no_room_becomes_an_sms_and_a_call_in_its_turn(build: Build) -> None:
    ways = TWO_WAYS.replace("mail: ana@example.org", f'voice: "{PHONES["ana"]}"').replace("by: sms", "by: voice")
    town = await build(ANA + ways + "throttle: {sms: [5/1m], voice: [1/5m]}")
    await town.alert("one")
    await town.alert("the shop is down", service="shop")
    await town.pass_time(minutes=6)

    assert heard(town) == [(0, "voice", "page"), (0, "sms", "page"), (5, "voice", "page")]


async def test_an_sms_that_finds_no_room_becomes_a_call_alone_since_that_wakes(build: Build) -> None:
    ways = TWO_WAYS.replace("mail: ana@example.org", f'voice: "{PHONES["ana"]}"')
    town = await build(ANA + ways + "throttle: {sms: [1/5m], voice: [5/1m]}")
    await town.alert("one")
    await town.alert("the shop is down", service="shop")
    await town.pass_time(minutes=6)

    assert heard(town) == [(0, "sms", "page"), (0, "voice", "page")]


# ------------------------------------------------------------------- what is no page takes nothing


async def told_resolved(town: Town) -> None:
    await town.alert("old")
    await town.ack(1)
    await town.pass_time(minutes=2)
    await town.clear("old")


async def told_of_a_shift(town: Town) -> None:
    await town.pass_time(minutes=2)
    notice = town.daemon.contacts._page(
        "notice", *town.daemon.contacts.find("ana", "sms"), "a shift", "on call", rank=90
    )
    page = replace(notice, key=f"notice/primary/{town.clock.now() + 60_000}/ana/before")
    await town.daemon.store.write(lambda tx: _add(tx, page))
    town.daemon.runtime.signals.planned({"sms"}, None)
    await town.settle()


async def tested(town: Town) -> None:
    await town.pass_time(minutes=2)
    await town.daemon.contacts.test("ana", "sms", Actor("user", "ana"))
    await town.settle()


async def sent_a_code(town: Town) -> None:
    await town.pass_time(minutes=2)
    await town.daemon.contacts.verify("ana", "sms", Actor("user", "ana"), admin=False)
    await town.settle()


async def _add(tx: Tx, page: Page) -> None:
    tx.add_pages([page])


@pytest.mark.parametrize("before", [told_resolved, told_of_a_shift, tested, sent_a_code])
@pytest.mark.parametrize("service", ["shop", "other"])
async def test_what_is_no_page_takes_no_slot_of_one(
    before: Callable[[Town], Awaitable[None]], service: str, build: Build
) -> None:
    town = await build(ANA + "services: {shop: {impact: high}}")
    await before(town)
    assert town.told[-1].kind in ("update", "notice", "test", "code")

    await town.alert("the shop is down", service=service)

    assert (town.told[-1].kind, town.told[-1].at) == ("page", town.clock.now())


async def test_what_is_no_page_waits_for_pages(build: Build) -> None:
    town = await build(ANA)
    await town.alert("old")
    await town.clear("old")
    await town.pass_time(seconds=30)
    assert [kind for _, _, kind in heard(town)] == ["page"]

    await town.pass_time(seconds=31)

    assert [kind for _, _, kind in heard(town)] == ["page", "update"]


async def test_slow_notices_leave_the_slots_of_a_channel_to_pages(build: Build) -> None:
    hook = 'channels: {hook: {type: webhook, url: "https://hook.example.org/in"}}\n'
    ana = "users: {ana: {name: Ana, timezone: UTC, contacts: {hook: ana}}}\nstorm: {new_incidents: 1000, within: 1m}\n"
    town = await build(ANA + hook + ana)
    for number in range(100):
        await town.alert(f"trouble {number}")
    await town.pass_time(seconds=30)
    town.trouble("hook", "slow to answer", times=100)
    for number in range(100):
        await town.clear(f"trouble {number}")

    await town.alert("the shop is down", service="shop")

    assert (town.told[-1].kind, town.told[-1].at) == ("page", town.clock.now())
    await town.pass_time(minutes=5)
    assert sum(told.kind == "update" for told in town.told) == 100


async def test_a_p1_waits_for_no_lesser_call_at_a_slow_provider(build: Build) -> None:
    calm = "throttle: {sms: [1000/1m]}\nstorm: {new_incidents: 1000, within: 1m}\nservices: {shop: {impact: high}}\n"
    town = await build(ANA + calm)
    town.trouble("sms", "slow to answer", times=None)
    for number in range(100):
        await town.alert(f"lesser {number}", "error")
    await town.pass_time(seconds=1)
    assert len(town.told) == 32

    await town.alert("urgent", service="shop")

    assert (await town.incident(101)).priority == "P1"
    assert town.told[-1].title.endswith("urgent") or "urgent" in town.told[-1].text
    assert town.told[-1].at == town.clock.now()
    await town.pass_time(minutes=2)
    assert len({told.incident for told in town.told if told.kind == "page"}) == 101


async def test_mail_has_limits_of_its_own_and_the_rest_is_one_mail(build: Build) -> None:
    town = await build(ANA + TWO_WAYS.replace("by: sms", "by: mail") + "storm: {new_incidents: 1000, within: 1m}")
    for number in range(60):
        await town.alert(f"trouble {number}")
    await town.pass_time(minutes=2)

    mails = [told for told in town.told if told.channel == "mail"]
    assert len(mails) == 10
    assert sum(1 for number in range(1, 61) if any(f"INC {number} " in told.text for told in mails)) == 60


async def test_a_channel_with_a_fixed_address_has_them_too(build: Build) -> None:
    town = await build(
        f"channels: {{{OPS_MAIL}}}\nstorm: {{new_incidents: 1000, within: 1m}}\n"
        "policies: {default: {steps: [{notify: [channel:ops-mail], wait: 120m}], repeat: 0}}"
    )
    for number in range(60):
        await town.alert(f"trouble {number}")
    await town.pass_time(minutes=2)

    mails = [told for told in town.told if told.channel == "ops-mail"]
    assert len(mails) <= 11
    assert sum(1 for number in range(1, 61) if any(f"INC {number} " in told.text for told in mails)) == 60


async def test_a_p1_whose_other_contact_comes_later_has_that_one_at_once_and_only_once(build: Build) -> None:
    town = await build(ANA + TWO_WAYS.replace("[{by: sms}]", "[{by: sms}, {after: 3m, by: mail}]"))
    await town.alert("one")
    await town.alert("the shop is down", service="shop")
    await town.pass_time(minutes=5)

    shop = [(at, channel) for at, channel, _ in heard(town)]
    assert shop.count((0, "mail")) == 1
    assert [channel for _, channel in shop].count("mail") == 2  # of the shop at once, of `one` in its time


async def test_every_late_or_merged_page_says_why_and_since_when(build: Build) -> None:
    town = await build(ANA)
    for number in range(3):
        await town.alert(f"trouble {number}")
    await town.pass_time(minutes=2)

    delayed = [(await town.pages_planned(number))[0][0].delayed for number in (2, 3)]
    assert sorted(delayed) == [
        "2026-01-05T12:00:00Z: at most 1 message in 1m",
        "2026-01-05T12:00:00Z: at most 1 message in 1m; one message for 2 incidents",
    ]
    lines = {entry.kind: entry for number in (2, 3) for entry in await town.timeline(number)}
    assert lines["page_throttled"].because == (
        "at most 1 message in 1m: waits until 2026-01-05T12:01:00Z at the latest"
    )
    assert lines["page_bundled"].because == "one message for 2 incidents"
    assert lines["page_bundled"].detail["attempt"]


async def test_a_summary_by_mail_names_every_incident_however_many(build: Build) -> None:
    town = await build(ANA + TWO_WAYS + "throttle: {sms: [1/60m]}\nstorm: {new_incidents: 1000, within: 1m}")
    for number in range(60):
        await town.alert(f"trouble number {number} of a longer name")

    await town.pass_time(minutes=2)

    assert all(f"INC {number} P2" in town.mail[0] for number in range(2, 61))


async def test_hundreds_that_wait_are_one_summary_that_counts_all_and_each_is_marked(build: Build) -> None:
    town = await build(ANA + "storm: {new_incidents: 100000, within: 1m}\nservices: {shop: {impact: high}}")
    await town.post("apps", [{"title": f"t{n}", "dedup_key": f"k{n}", "severity": "error"} for n in range(900)])
    await town.pass_time(seconds=10)

    await town.alert("the shop is down", service="shop")
    await town.pass_time(minutes=1)

    assert [line.partition(": INC")[0] for line in town.summaries] == [
        "0m ana sms: 200 incidents wait for you", "1m ana sms: 701 incidents wait for you",
    ]  # fmt: skip
    assert "INC 901, " in town.summaries[1]
    left = [page async for number in _numbers() for page, _ in await town.pages_planned(number)]
    assert {page.status for page in left} == {"bundled", "done"}
    assert sum(page.status == "bundled" for page in left) == 899
    assert heard(town)[1:] == [(1.0, "sms", "summary")]
    assert all(page.delayed for page in left if page.status == "bundled")
    late = next(page for page in left if page.status == "bundled" and "at most 1 message in 1m" in page.delayed)
    assert await town.kinds(late.incident or 0) == ["step", "page_throttled", "page_bundled"]


async def _numbers() -> AsyncIterator[int]:
    for number in range(1, 902):
        yield number


async def fates_of_updates(town: Town, number: int) -> list[str]:
    planned = [(page, attempts) for page, attempts in await town.pages_planned(number) if page.kind == "update"]
    return [f"{page.status}: {' '.join(one.state for one in attempts)}" for page, attempts in planned]


async def test_what_resolved_while_no_slot_was_free_is_told_in_one_message(build: Build) -> None:
    town = await build(ANA + "throttle: {sms: [5/10m]}")
    for number in range(3):
        await town.alert(f"trouble {number}")
    for number in range(3):
        await town.clear(f"trouble {number}")
    await town.pass_time(minutes=9)
    assert [kind for _, _, kind in heard(town)] == ["page", "page", "page", "update"]

    await town.pass_time(minutes=2)

    assert heard(town)[4:] == [(10, "sms", "update")]
    told = town.told[-1].text
    assert told == "2 incidents are resolved: INC 2 P2 trouble 1; INC 3 P2 trouble 2"
    assert [await fates_of_updates(town, number) for number in (1, 2, 3)] == [
        ["done: accepted"], ["done: accepted"], ["bundled: bundled"],
    ]  # fmt: skip


async def test_that_they_are_resolved_is_told_by_mail_each_on_a_line(build: Build) -> None:
    town = await build(ANA + TWO_WAYS.replace("by: sms", "by: mail") + "throttle: {mail: [5/10m]}")
    for number in range(3):
        await town.alert(f"trouble {number}")
    for number in range(3):
        await town.clear(f"trouble {number}")

    await town.pass_time(minutes=11)

    by = "resolved by integration:apps"
    assert f"* INC 2 {by}: trouble 1\r\n* INC 3 {by}: trouble 2" in town.mail[-1]


async def test_a_message_about_several_that_are_resolved_and_did_not_go_out_is_sent_again(build: Build) -> None:
    town = await build(ANA + "throttle: {sms: [5/10m]}")
    for number in range(3):
        await town.alert(f"trouble {number}")
    for number in range(3):
        await town.clear(f"trouble {number}")
    await town.pass_time(minutes=9)
    town.trouble("sms", "unreachable", user="ana")

    await town.pass_time(minutes=31)

    told = " ".join(told.text for told in town.told[4:])
    assert "INC 2 " in told
    assert "INC 3 " in told
    assert await fates_of_updates(town, 2) == ["done: failed accepted"]
    assert await fates_of_updates(town, 3) == ["bundled: failed bundled"]


async def test_nobody_hears_of_a_resolve_that_is_over_when_it_could_be_told(build: Build) -> None:
    reopening = "defaults: {timezone: UTC, policy: default, reopen_within: 60m}\n"
    town = await build(ANA + reopening + "throttle: {sms: [5/10m]}")
    for number in range(3):
        await town.alert(f"trouble {number}")
    for number in range(3):
        await town.clear(f"trouble {number}")
    await town.pass_time(minutes=3)
    await town.alert("trouble 1")

    await town.pass_time(minutes=9)

    assert (await town.incident(2)).status == "triggered"
    assert await fates_of_updates(town, 2) == ["cancelled: "]
    assert [told.text for told in town.told if told.kind == "update"][1:] == [
        "INC 3 resolved by integration:apps: trouble 2"
    ]


async def test_that_a_p1_is_resolved_does_not_take_the_slot_kept_for_a_p1_that_fires(build: Build) -> None:
    town = await build(ANA + "services: {shop: {impact: high}}\nthrottle: {sms: [3/10m]}")
    await town.alert("the shop is down", service="shop")
    await town.alert("one")
    await town.clear("the shop is down", service="shop")
    await town.pass_time(minutes=1)

    await town.alert("the shop is down again", service="shop")

    assert heard(town) == [(0, "sms", "page"), (0, "sms", "page"), (1, "sms", "page")]


KINDS_TOWN = (
    'channels: {hook: {type: webhook, url: "https://hook.example.org/in"}}\n'
    "users: {ana: {name: Ana, timezone: UTC, contacts: {hook: ana}}}\nthrottle: {hook: [2/1m]}\n"
)


async def test_each_message_says_of_what_kind_it_is_to_programs_metrics_and_timeline(build: Build) -> None:
    town = await build(ANA + KINDS_TOWN)
    for name in ("one", "two", "three"):
        await town.alert(name)
    await town.pass_time(minutes=1)
    for name in ("one", "two", "three"):
        await town.clear(name)
    await town.pass_time(minutes=3)
    await town.daemon.contacts.test("ana", "hook", Actor("user", "ana"))
    await town.pass_time(minutes=3)
    await town.daemon.contacts.verify("ana", "hook", Actor("user", "ana"), admin=False)
    await town.settle()

    told = [(one.body["kind"], one.body.get("incidents")) for one in town.told]
    assert told == [
        ("page", None), ("summary", [2, 3]), ("update", [1, 2, 3]), ("test", None), ("code", None)
    ]  # fmt: skip
    for kind, count in {"page": 1, "summary": 1, "update": 1, "test": 1, "code": 1}.items():
        assert town.metric("tocsin_messages_total", channel="hook", kind=kind, outcome="accepted") == count
    said = {
        entry.detail["message"]
        for number in (1, 2, 3)
        for entry in await town.timeline(number)
        if entry.kind == "attempt"
    }
    assert said == {"page", "update", "summary"}
