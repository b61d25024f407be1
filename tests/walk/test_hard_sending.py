"""Pages under attack: summaries that fail, channels that go, providers that lie late, a daemon that must stop."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.test_paging import person
from tests.walk.test_sending import GRACE, NO_LIMITS, SMS_AND_VOICE
from tests.walk.town import ACCOUNT, HOOK, NUMBER, OPS_MAIL, PHONES, Town, Trouble
from tocsin.contracts import Reply
from tocsin.errors import StoreError

PATIENT = "policies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0}}"


# --------------------------------------------------------------------- what travels in a summary


async def three_of_which_two_wait(town: Town) -> None:
    """INC 1 was sent; INC 2 and 3 wait for the next slot, a minute later."""
    for title in ("one", "two", "three"):
        await town.alert(title)
    await town.pass_time(seconds=59)
    assert town.summaries == []


def named(told: list[str], number: int) -> int:
    return sum(f"INC {number} " in text for text in told)


async def test_a_summary_that_surely_did_not_go_out_is_sent_again_with_all_it_carried(build: Build) -> None:
    town = await build(PATIENT)
    await three_of_which_two_wait(town)
    town.trouble("sms", "unreachable")

    await town.pass_time(minutes=2)

    assert [line.split(":")[0] for line in town.summaries] == ["1.083m ana sms"]
    assert named(town.phones["ana"].texts, 2) == named(town.phones["ana"].texts, 3) == 1
    assert sorted([*await town.outcomes(2), *await town.outcomes(3)]) == [
        "ana sms bundled: failed bundled", "ana sms done: failed accepted",
    ]  # fmt: skip


@pytest.mark.parametrize("answered", [2, 3])
async def test_an_answer_to_one_incident_of_a_summary_on_its_way_does_not_swallow_the_other(
    answered: int, build: Build
) -> None:
    town = await build(PATIENT)
    await three_of_which_two_wait(town)
    town.trouble("sms", "slow to connect")
    await town.pass_time(seconds=2)

    await town.ack(answered)
    await town.pass_time(seconds=12)

    left = 5 - answered
    assert named(town.phones["ana"].texts, answered) == 0  # nothing was called about what was acknowledged
    assert named(town.phones["ana"].texts, left) == 1
    assert town.pages_of({2: "two", 3: "three"}[left]) == [f"{1 + 1 / 6:.3f}m ana sms"]


async def test_all_that_an_unknown_summary_carried_gets_its_second_attempt(build: Build) -> None:
    town = await build(PATIENT)
    await three_of_which_two_wait(town)
    town.trouble("sms", "lost")

    await town.pass_time(minutes=5)

    assert named(town.phones["ana"].texts, 2) == named(town.phones["ana"].texts, 3) == 1
    for number in (2, 3):
        assert [page.tries for page, _ in await town.pages_planned(number) if page.user == "ana"] == [2]


async def test_a_summary_that_a_callback_confirms_is_not_sent_again(build: Build) -> None:
    town = await build(PATIENT)
    await three_of_which_two_wait(town)
    town.trouble("sms", "answer lost")
    await town.pass_time(seconds=2)

    await town.phones["ana"].receipt("delivered")
    await town.pass_time(minutes=5)

    assert len(town.summaries) == 1
    assert named(town.phones["ana"].texts, 2) == named(town.phones["ana"].texts, 3) == 1


async def test_a_crash_in_the_middle_of_a_summary_loses_none_of_what_it_carried(build: Build) -> None:
    town = await build(PATIENT, database="file")
    await three_of_which_two_wait(town)
    town.trouble("sms", "hangs")
    await town.pass_time(seconds=2)

    await town.restart()
    await town.pass_time(minutes=3)

    assert named(town.phones["ana"].texts, 2) == named(town.phones["ana"].texts, 3) == 1


async def test_an_undelivered_summary_sends_each_pages_next_contact_on_its_way(build: Build) -> None:
    town = await build(
        f"""
users: {{{person("ana", "{high: [{by: sms}, {after: 30m, by: voice}]}")}}}
throttle: {{sms: [1/1m], voice: [100/1m]}}
{PATIENT}
"""
    )
    await three_of_which_two_wait(town)
    await town.pass_time(seconds=2)

    await town.phones["ana"].receipt("undelivered", "30003")

    assert sorted(told.incident or 0 for told in town.told if told.channel == "voice") == [2, 3]


async def test_a_bare_ack_to_a_summary_asks_which_incident_is_meant(build: Build) -> None:
    town = await build(PATIENT)
    await three_of_which_two_wait(town)
    await town.pass_time(seconds=2)

    said = await town.phones["ana"].reply("ACK")

    assert said == "That message named several incidents: 2, 3. Reply ACK and the number, or ACK ALL."
    assert {(await town.incident(number)).status for number in (1, 2, 3)} == {"triggered"}


async def test_a_call_about_several_incidents_names_them_and_answers_for_all(build: Build) -> None:
    town = await build(f"users: {{{person('ana', '{high: [{by: voice}]}')}}}\n{PATIENT}")
    await three_of_which_two_wait(town)
    await town.pass_time(seconds=2)

    said = await town.phones["ana"].pick_up()
    pressed = await town.phones["ana"].press("4")

    assert said.startswith(
        "Tocsin. 2 incidents wait for you. Incident 2, priority 2. two. Incident 3, priority 2. three."
    )
    assert pressed.count("acknowledged by you") == 2
    assert [(await town.incident(number)).status for number in (1, 2, 3)] == [
        "triggered",
        "acknowledged",
        "acknowledged",
    ]


# ----------------------------------------------------------------- everything fails, for good


async def test_a_catch_all_that_fails_for_good_is_asked_again_but_not_in_a_storm(build: Build) -> None:
    town = await build(
        f"channels: {{{OPS_MAIL}}}\ncatch_all: [channel:ops-mail]\ndefaults: {{timezone: UTC}}\npolicies: {{}}\n{NO_LIMITS}"
        "policies: {default: {steps: [{notify: [channel:ops-mail], wait: 5m}], repeat: forever}}"
    )
    town.trouble("ops-mail", "bad number", times=None)

    await town.alert("db down")
    await town.pass_time(minutes=10)

    assert 2 <= len(town.outside.tried) <= 22


async def test_when_all_of_a_round_failed_the_catch_all_hears_of_it_at_once(build: Build) -> None:
    town = await build(
        f"channels: {{{HOOK}}}\nusers: {{ana: {{name: Ana, timezone: UTC, contacts: {{hook: ana}}}}, {GRACE}}}\n{NO_LIMITS}"
        "policies: {default: {steps: [{notify: [user:ana], wait: 15m}], repeat: forever}}"
    )
    town.expected_errors.add("own_trouble")
    town.trouble("hook", "unreachable", times=None)

    await town.alert("db down")
    await town.pass_time(minutes=2)

    assert town.pages_of("db down") == ["0.583m grace sms"]
    assert "catch_all" in await town.kinds()
    assert (await town.incident()).due_at == town.start + 15 * 60_000  # the next round, in its time


# ---------------------------------------------------------------------------------- reloads


async def test_a_page_planned_for_a_channel_that_is_removed_goes_over_the_persons_new_one(build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    await town.alert("db down")
    assert town.pages == ["0m ana sms"]

    ana = f'ana: {{name: Ana, timezone: UTC, contacts: {{sms: "{PHONES["ana"]}", voice: {{channel: hook, to: ana}}}}}}'
    await town.reload(
        SMS_AND_VOICE.replace(person("ana", "{high: [{by: sms}, {after: 3m, by: voice}]}"), ana)
        + f"channels: {{voice: ~, {HOOK}}}"
    )
    await town.pass_time(minutes=4)

    assert town.pages == ["0m ana sms", "3m ana hook"]


async def test_a_page_planned_for_a_channel_and_contact_that_are_removed_has_its_step_asked_again(build: Build) -> None:
    step = "policies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0}}\n"
    town = await build(f"users: {{{person('ana', '{high: [{after: 2m, by: voice}]}')}}}\n{step}{NO_LIMITS}")
    await town.alert("db down")

    await town.reload(
        f'users: {{ana: {{name: Ana, timezone: UTC, contacts: {{sms: "{PHONES["ana"]}"}}}}}}\n{step}{NO_LIMITS}channels: {{voice: ~}}'
    )

    assert town.pages == ["0m ana sms"]


async def test_a_channel_target_that_is_removed_has_its_step_asked_again(build: Build) -> None:
    config = "policies: {default: {steps: [{notify: [channel:ops-mail], wait: 5m}, {notify: [user:bo], wait: 60m}], repeat: 0}}\n"
    town = await build(f"{config}channels: {{{OPS_MAIL}}}")
    town.trouble("ops-mail", "unreachable")
    await town.alert("db down")

    await town.reload(config.replace("channel:ops-mail", "user:grace"))
    await town.pass_time(seconds=1)

    assert town.pages == ["0m bo sms"]  # the policy is frozen: its step reaches nobody now


# ------------------------------------------------------------------------- outcomes and callbacks


@pytest.mark.parametrize("state", ["queued", "delivered"])
async def test_word_that_comes_late_spares_a_second_attempt_that_has_not_begun(state: str, build: Build) -> None:
    town = await build("throttle: {sms: [1/2m]}\n" + PATIENT)
    town.trouble("sms", "answer lost")
    await town.alert("db down")
    await town.pass_time(seconds=30)  # the second attempt waits for a slot

    await town.phones["ana"].receipt(state)
    await town.pass_time(minutes=5)

    assert town.pages == ["0m ana sms"]


async def test_bad_news_of_a_first_attempt_does_not_undo_the_second(build: Build) -> None:
    town = await build(NO_LIMITS + PATIENT)
    town.trouble("sms", "answer lost")
    await town.alert("db down")
    await town.pass_time(seconds=30)
    assert town.pages == ["0m ana sms", "0.333m ana sms"]

    await town.phones["ana"].receipt("undelivered", "30003", nth=0)
    await town.pass_time(minutes=1)

    assert await town.outcomes() == ["ana sms done: accepted accepted"]


async def test_a_call_keeps_its_own_id_although_a_callback_was_faster_than_the_answer(build: Build) -> None:
    town = await build(f"users: {{{person('ana', '{high: [{by: voice}]}')}}}\n{NO_LIMITS}")
    town.trouble("voice", "slow to answer")
    await town.alert("db down")
    await town.phones["ana"].receipt("ringing")

    await town.pass_time(seconds=11)

    (_, (attempt,)) = (await town.pages_planned())[0]
    assert (attempt.state, attempt.ref) == ("accepted", town.told[0].ref)


async def test_a_providers_words_that_no_database_can_keep_lose_no_page(build: Build) -> None:
    town = await build(
        f"channels: {{{HOOK}}}\n{NO_LIMITS}policies: {{default: {{steps: [{{notify: [channel:hook-to], wait: 5m}}]}}}}\nchannels: {{hook-to: {{type: webhook, url: 'https://hook.example.org/in', to: ops}}}}"
    )
    asked = 0

    async def nonsense(*_: object, **__: object) -> object:
        nonlocal asked
        asked += 1
        return Reply(400, {}, b"no\x00 \xed\xa0\x80 \x1b[31mway")

    town.outside.request = nonsense  # type: ignore[assignment,method-assign]  # a provider of its own kind
    town.expected_errors.add("own_trouble")

    await town.alert("db down")
    await town.pass_time(seconds=40)

    (_, attempts) = (await town.pages_planned())[0]
    assert asked >= 2
    assert all("\x00" not in one.because and "\x1b" not in one.because for one in attempts)


async def test_an_outcome_that_the_store_refuses_at_first_is_kept_in_the_end(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors |= {"outcome_not_stored", "claim_failed", "duty_failed"}
    town.trouble("sms", "slow to answer")
    await town.alert("db down")
    kept = town.daemon.store.write

    async def refuse(*args: Any, **how: Any) -> object:
        if town.minutes < 0.5:
            raise StoreError("a row that cannot be kept")
        return await kept(*args, **how)

    town.daemon.store.write = refuse  # type: ignore[method-assign,assignment]  # a store that refuses
    await town.pass_time(minutes=1)

    assert await town.outcomes() == ["ana sms done: accepted"]
    assert town.pages == ["0m ana sms"]


async def test_one_poisoned_page_does_not_stop_the_channel(build: Build) -> None:
    town = await build(
        NO_LIMITS + "policies: {default: {steps: [{notify: [team:platform, user:grace], wait: 60m}], repeat: 0}}"
    )
    town.expected_errors |= {"claim_failed", "page_postponed"}
    live, users = town.daemon.runtime.live, dict(town.daemon.runtime.settings.users)
    nowhere = replace(users["ana"].contacts["sms"], to=None)  # type: ignore[arg-type]  # no row can be kept for it
    users["ana"] = replace(users["ana"], contacts={"sms": nowhere})
    live.settings = replace(live.settings, users=users)

    await town.alert("db down")
    await town.pass_time(seconds=5)

    assert [line.split("m ")[1] for line in town.pages] == ["bo sms", "grace sms"]


async def test_no_task_ends_for_an_error_of_the_store(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors |= {
        "claim_failed", "duty_failed", "page_postponed", "not_postponed", "timers_batch_failed", "timer_postponed",
        "alarm_not_stored", "post_poisoned",
    }  # fmt: skip
    store = town.daemon.store
    kept = {name: getattr(store, name) for name in ("write", "next_due", "next_due_page", "next_confirmation")}

    async def refuse(*_: object, **__: object) -> object:
        raise StoreError("nothing of this can be read")

    await town.alert("db down")
    for name in kept:
        setattr(store, name, refuse)
    await town.pass_time(minutes=1)
    for name, method in kept.items():
        setattr(store, name, method)
    await town.pass_time(minutes=5)

    assert town.pages == ["0m ana sms", "5m bo sms"]


async def test_rounds_without_waits_do_not_turn_into_a_storm(build: Build) -> None:
    town = await build(
        f"channels: {{{OPS_MAIL}}}\npolicies: {{default: {{steps: [{{notify: [channel:ops-mail], wait: 0s}}], repeat: forever}}}}"
    )

    await town.alert("db down")
    await town.pass_time(minutes=1)

    assert len(town.pages) <= 7


async def test_a_channel_that_never_returns_holds_no_slot_and_no_page_for_ever(build: Build) -> None:
    town = await build(NO_LIMITS + PATIENT)
    town.trouble("sms", "hangs")

    await town.alert("db down")
    await town.pass_time(minutes=1)

    assert await town.outcomes() == ["ana sms done: unknown accepted"]
    assert town.daemon.pager.lines["sms"].busy == 0


# ------------------------------------------------------------------------------- stop and start


@pytest.mark.parametrize("what", ["slow to answer", "slow to connect"])
async def test_a_call_under_way_when_the_daemon_stops_is_finished_and_recorded(what: Trouble, build: Build) -> None:
    town = await build(NO_LIMITS, database="file")
    town.trouble("sms", what)
    await town.alert("db down")

    await town.end()
    await town.begin()
    await town.pass_time(minutes=2)

    assert [line.split("m ")[1] for line in town.pages] == ["ana sms"]
    assert await town.outcomes() == ["ana sms done: accepted"]


async def test_nothing_new_is_called_while_the_daemon_stops(build: Build) -> None:
    town = await build(NO_LIMITS + PATIENT, database="file")
    town.trouble("sms", "slow to answer")
    await town.alert("one")
    town.daemon.pager.stopping = True

    await town.alert("two")

    assert town.pages == ["0m ana sms"]


# ----------------------------------------------------------------------------------- answers


async def test_a_key_in_a_call_of_an_earlier_cycle_acknowledges_nothing(build: Build) -> None:
    town = await build(f"users: {{{person('ana', '{high: [{by: voice}]}')}}}\n{NO_LIMITS}")
    await town.alert("db down")
    call = town.told[0]
    await town.ack(1)
    await town.act("unacknowledge", 1)

    turn = await town.daemon.answers.voice(ACCOUNT, call.attempt, call.ref, "4")

    assert turn is not None
    assert "earlier page" in turn.say
    assert (await town.incident()).status == "triggered"


async def test_a_key_press_delivered_twice_acts_once_and_says_the_same(build: Build) -> None:
    town = await build(
        f"users: {{{person('ana', '{high: [{by: voice}]}')}}}\n{NO_LIMITS}"
        "policies: {default: {steps: [{notify: [user:ana], wait: 5m}, {notify: [user:bo], wait: 5m}, {notify: [user:grace], wait: 5m}]}}"
    )
    await town.alert("db down")

    first = await town.phones["ana"].press("5")
    again = await town.phones["ana"].press("5")

    assert first == again
    assert (await town.kinds()).count("escalated") == 1
    assert town.pages == ["0m ana voice", "0m bo sms"]


async def test_one_sms_delivered_twice_at_the_same_time_acts_once(town: Town) -> None:
    await town.alert("db down")

    sms = town.daemon.answers.sms
    said = await asyncio.gather(*(sms(ACCOUNT, NUMBER, PHONES["ana"], "ESC", "SM-twice", "") for _ in range(3)))

    assert len(set(said)) == 1
    assert (await town.kinds()).count("escalated") == 1


async def test_an_sms_by_another_account_than_the_pages_answers_nothing(build: Build) -> None:
    other = "ACffffffffffffffffffffffffffffffff"
    town = await build(
        f'channels: {{elsewhere: {{type: twilio_sms, account_sid: {other}, auth_token: theirs, from: "+15005550008"}}}}'
    )
    await town.alert("db down")

    said = await town.daemon.answers.sms(other, "+15005550008", PHONES["ana"], "ACK 1", "SM-other", "")

    assert said == "INC 1 was not paged to this phone in the last 24 hours."
    assert (await town.incident()).status == "triggered"


async def test_a_contact_that_died_meanwhile_brings_the_next_one_forward(build: Build) -> None:
    town = await build(
        f"users: {{{person('ana', '{high: [{by: sms}, {after: 10m, by: voice}]}')}}}\nthrottle: {{sms: [1/1m], voice: [100/1m]}}\n{PATIENT}"
    )
    town.expected_errors.add("own_trouble")
    await town.alert("one")
    await town.alert("two")  # its SMS waits for a slot

    await town.phones["ana"].receipt("undelivered", "30005")
    await town.pass_time(minutes=2)

    assert town.pages_of("two") == ["1m ana voice"]
