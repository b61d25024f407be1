"""What becomes of a page when the provider refuses, stays silent, or the person has had enough messages."""

from __future__ import annotations

import itertools

import pytest

from tests.walk.conftest import Build
from tests.walk.test_paging import person
from tests.walk.town import HOOK, PHONES, SMS_B, Town, Trouble

SMS_AND_VOICE = f"""
users: {{{person("ana", "{high: [{by: sms}, {after: 3m, by: voice}]}")}}}
policies: {{default: {{steps: [{{notify: [user:ana], wait: 5m}}, {{notify: [user:bo], wait: 5m}}], repeat: 0}}}}
throttle: {{sms: [100/1m], voice: [100/1m]}}
"""
NO_LIMITS = "throttle: {sms: [100/1m], voice: [100/1m]}\n"
GRACE = f'grace: {{name: Grace, timezone: UTC, contacts: {{sms: "{PHONES["grace"]}"}}}}'


# ------------------------------------------------------------------------------------- surely not sent


async def test_what_surely_did_not_go_out_is_tried_again_after_a_pause(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.trouble("sms", "unreachable", times=2)

    await town.alert("db down")
    await town.pass_time(minutes=1)

    assert town.pages == ["0.25m ana sms"]  # after 5 s and another 10 s
    assert await town.outcomes() == ["ana sms done: failed failed accepted"]


async def test_a_failed_send_brings_the_next_contact_forward(build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "unreachable", user="ana", times=None)

    await town.alert("db down")

    assert town.pages == ["0m ana voice"]  # planned for the third minute


async def test_a_second_account_is_used_while_the_first_one_fails(build: Build) -> None:
    town = await build(f"channels: {{{SMS_B}}}\nfallbacks: {{sms: [sms-b]}}\n{NO_LIMITS}")
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "unreachable", times=None)

    await town.alert("db down")

    assert town.pages == ["0m ana sms-b"]


async def test_all_sends_failed_so_the_next_step_runs_early(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "unreachable", user="ana", times=None)

    await town.alert("db down")
    await town.pass_time(minutes=2)

    assert town.pages_of("db down") == ["0.583m bo sms"]  # four failures: 5 s, 10 s, 20 s
    assert "escalated_early" in await town.kinds()


async def test_a_step_that_was_heard_is_not_hurried_by_the_late_failure_of_an_earlier_one(build: Build) -> None:
    town = await build(
        f"""
{NO_LIMITS}
users: {{ana: {{name: Ana, timezone: UTC, contacts: {{sms: "{PHONES["ana"]}"}}, notify: {{high: [{{after: 4m, by: sms}}]}}}}, {GRACE}}}
policies:
  default: {{steps: [{{notify: [user:ana], wait: 4m}}, {{notify: [user:bo], wait: 10m}}, {{notify: [user:grace], wait: 10m}}]}}
"""
    )
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "unreachable", user="ana", times=None)

    await town.alert("db down")
    await town.pass_time(minutes=13)

    assert town.pages_of("db down") == ["4m bo sms"]


async def test_two_failures_of_one_step_hurry_the_escalation_once(build: Build) -> None:
    town = await build(
        NO_LIMITS
        + "policies: {default: {steps: [{notify: [user:ana, user:bo], wait: 5m}, {notify: [user:grace], wait: 5m}, {notify: [channel:hook], wait: 5m}]}}\n"
        + f"channels: {{{HOOK}}}"
    )
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "bad number", user="ana", times=None)
    town.trouble("sms", "unreachable", user="bo", times=None)

    await town.alert("db down")
    await town.pass_time(minutes=4)

    assert town.pages_of("db down") == ["0.583m grace sms"]


@pytest.mark.parametrize("what", ["bad number", "opted out"])
async def test_a_dead_number_is_skipped_at_once_and_from_then_on_and_alarmed_on(what: Trouble, build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", what, user="ana")

    await town.alert("db down")
    assert town.pages_of("db down") == ["0m ana voice"]
    alarm = (await town.incidents())[-1]
    assert (alarm.title, alarm.integration) == ("ana cannot be reached by sms", "tocsin")

    await town.alert("disk full")
    assert town.pages_of("disk full") == ["0m ana voice"]


async def test_a_wrong_token_of_ours_does_not_bury_the_contact(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "wrong token", user="ana")

    await town.alert("db down")
    await town.pass_time(minutes=1)

    assert town.pages_of("db down") == ["0.083m ana sms"]
    assert len(await town.incidents()) == 1


async def test_a_channel_that_keeps_failing_becomes_an_incident_and_one_that_recovers_ends_it(build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "unreachable", times=None)

    await town.alert("db down")
    await town.pass_time(seconds=16)
    alarm = next(one for one in await town.incidents() if one.integration == "tocsin")
    assert alarm.title == "channel sms is failing"
    ready, body = await town.daemon.health.ready()
    assert (ready, body["status"]) == (True, "degraded")
    assert body["checks"]["channels"] == {"sms": "its last calls failed; the incident about it says how"}
    assert town.metric("tocsin_channel_healthy", channel="sms") == 0

    town.peace()
    await town.pass_time(minutes=1)
    assert (await town.incident(alarm.number)).status == "resolved"
    assert town.metric("tocsin_channel_healthy", channel="sms") == 1


async def own_alarms(town: Town) -> list[str]:
    return [f"{one.title}: {one.status}" for one in await town.incidents() if one.integration == "tocsin"]


MANY_PAGES = NO_LIMITS + "storm: {new_incidents: 1000, within: 1m}\n"


async def test_one_outage_is_one_incident_however_late_its_time_outs_come(build: Build) -> None:
    town = await build(MANY_PAGES)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "hangs", times=None)
    for number in range(15):
        await town.alert(f"trouble {number}")
        await town.pass_time(seconds=1)
    assert await own_alarms(town) == ["channel sms is failing: triggered"]

    town.peace()
    await town.alert("the first that goes through")
    await town.pass_time(seconds=2)
    assert await own_alarms(town) == ["channel sms is failing: resolved"]
    await town.pass_time(minutes=2)

    assert await own_alarms(town) == ["channel sms is failing: resolved"]
    assert town.metric("tocsin_channel_healthy", channel="sms") == 1


async def test_a_call_that_began_before_the_outage_does_not_end_it(build: Build) -> None:
    town = await build(MANY_PAGES)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "slow to answer")
    await town.alert("slow")
    await town.pass_time(seconds=1)
    town.trouble("sms", "unreachable", times=None)
    for number in range(3):
        await town.alert(f"trouble {number}")

    await town.pass_time(seconds=11)  # the slow one was accepted

    assert await own_alarms(town) == ["channel sms is failing: triggered"]


async def test_what_a_channel_failed_at_before_it_was_mended_by_a_reload_tells_nothing_of_it(build: Build) -> None:
    town = await build(MANY_PAGES)
    town.trouble("sms", "hangs", times=None)
    for number in range(6):
        await town.alert(f"trouble {number}")
    await town.pass_time(seconds=5)

    path = town.folder / "tocsin.yaml"
    path.write_text(path.read_text().replace("auth_token: secret", "auth_token: mended"))
    await town.daemon.reload(yes=True)
    town.peace()
    await town.pass_time(minutes=1)

    assert await own_alarms(town) == []


async def test_an_alarm_about_a_channel_is_over_with_the_first_success_after_a_restart(build: Build) -> None:
    town = await build(MANY_PAGES, database="file")
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "unreachable", times=None)
    for number in range(3):
        await town.alert(f"trouble {number}")
    assert await own_alarms(town) == ["channel sms is failing: triggered"]
    town.peace()

    await town.restart(after_minutes=0.2)
    await town.pass_time(minutes=2)

    assert await own_alarms(town) == ["channel sms is failing: resolved"]


async def test_late_word_of_an_old_message_does_not_bury_a_contact_that_is_alive_again(town: Town) -> None:
    town.expected_errors.add("own_trouble")
    await town.alert("db down")
    await town.pass_time(minutes=1)
    await town.phones["ana"].reply("STOP", opt_out="STOP")
    await town.pass_time(minutes=1)
    await town.phones["ana"].reply("START", opt_out="START")

    await town.phones["ana"].receipt("undelivered", "21610", nth=0)

    assert town.daemon.runtime.dead == {}


async def test_that_a_channel_fails_is_told_over_another_one(build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "unreachable", times=None)

    await town.alert("db down")
    await town.pass_time(seconds=20)

    assert [page.split(" ", 1)[1] for page in town.pages_of("channel sms is failing")] == ["ana voice"]


async def test_a_busy_provider_is_asked_again_later(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.trouble("sms", "busy")

    await town.alert("db down")
    await town.pass_time(minutes=1)

    assert town.pages == ["0.083m ana sms"]


async def test_one_persons_trouble_does_not_stop_the_others(build: Build) -> None:
    town = await build(
        f"{NO_LIMITS}policies: {{default: {{steps: [{{notify: [team:platform, user:grace], wait: 5m}}]}}}}"
    )
    town.expected_errors.add("own_trouble")
    town.trouble("sms", "hangs", user="ana")
    town.trouble("sms", "bad number", user="bo")

    await town.alert("db down")

    assert town.pages_of("db down") == ["0m grace sms"]


# ------------------------------------------------------------------------------------- perhaps sent


async def test_an_unknown_outcome_that_a_callback_confirms_is_not_sent_again(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.trouble("sms", "answer lost")
    await town.alert("db down")
    assert await town.outcomes() == ["ana sms waiting: unknown"]

    await town.pass_time(seconds=19)
    await town.phones["ana"].receipt("delivered")
    await town.pass_time(minutes=4)

    assert town.pages == ["0m ana sms"]
    assert await town.outcomes() == ["ana sms done: accepted"]


async def test_an_unknown_outcome_that_nobody_confirms_is_sent_once_more_and_never_a_third_time(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.trouble("sms", "answer lost", user="ana", times=None)

    await town.alert("db down")
    await town.pass_time(minutes=2)

    assert town.pages_of("db down") == ["0m ana sms", "0.333m ana sms", "0.667m bo sms"]
    assert (await town.outcomes())[0] == "ana sms done: unknown unknown"
    assert "escalated_early" in await town.kinds()


async def test_the_second_attempt_goes_over_the_next_contact_and_uses_it_up(build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    town.trouble("sms", "lost", user="ana")

    await town.alert("db down")
    await town.pass_time(minutes=4)

    assert town.pages == ["0.333m ana voice"]


async def test_a_channel_that_can_confirm_nothing_is_tried_again_at_once(build: Build) -> None:
    town = await build(
        f"channels: {{{HOOK}}}\npolicies: {{default: {{steps: [{{notify: [user:ana], wait: 5m}}]}}}}\nusers: {{ana: {{name: Ana, timezone: UTC, contacts: {{hook: ana}}}}, {GRACE}}}"
    )
    town.trouble("hook", "answer lost")

    await town.alert("db down")

    assert town.pages == ["0m ana hook", "0m ana hook"]
    assert [(body["try"], body["step"], body["to"]) for body in town.hook] == [(1, 1, "ana"), (2, 1, "ana")]


async def test_no_second_attempt_once_it_was_answered(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.trouble("sms", "lost")
    await town.alert("db down")

    await town.ack(1)
    await town.pass_time(minutes=5)

    assert town.pages == []


async def test_an_answer_while_the_connection_is_made_stops_the_call(town: Town) -> None:
    town.trouble("sms", "slow to connect")
    await town.alert("db down")

    await town.ack(1)
    await town.pass_time(minutes=1)

    assert (town.pages, town.outside.tried) == ([], [])
    assert await town.outcomes() == ["ana sms cancelled: cancelled"]


async def test_an_answer_while_the_provider_thinks_leaves_the_truth_in_the_books(town: Town) -> None:
    town.trouble("sms", "slow to answer")
    await town.alert("db down")

    await town.ack(1)
    await town.pass_time(minutes=1)

    assert await town.outcomes() == ["ana sms done: accepted"]
    assert (await town.incident()).status == "acknowledged"


# ------------------------------------------------------------------------------------- receipts


async def test_receipts_never_move_a_delivery_back(town: Town) -> None:
    await town.alert("db down")

    for state in ("delivered", "sent", "queued", "undelivered", "delivered"):
        await town.phones["ana"].receipt(state, "30003" if state == "undelivered" else None)

    (_, (attempt,)) = (await town.pages_planned())[0]
    assert attempt.delivery == "delivered"
    assert (await town.kinds()).count("delivery") == 1
    assert await town.outcomes() == ["ana sms done: accepted"]


async def test_an_undelivered_message_sends_the_next_contact_on_its_way(build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    await town.alert("db down")
    await town.phones["ana"].receipt("sent")

    await town.pass_time(seconds=30)
    await town.phones["ana"].receipt("undelivered", "30003")

    assert town.pages == ["0m ana sms", "0.5m ana voice"]


async def test_a_call_that_nobody_picks_up_escalates_early_when_nothing_else_is_planned(build: Build) -> None:
    town = await build(
        f"users: {{{person('ana', '{high: [{by: voice}]}')}}}\npolicies: {{default: {{steps: [{{notify: [user:ana], wait: 15m}}, {{notify: [user:bo], wait: 5m}}]}}}}"
    )
    await town.alert("db down")
    await town.pass_time(seconds=30)

    await town.phones["ana"].receipt("no-answer")

    assert town.pages == ["0m ana voice", "0.5m bo sms"]


async def test_a_delivery_error_that_says_the_number_is_dead_buries_the_contact(build: Build) -> None:
    town = await build(SMS_AND_VOICE)
    town.expected_errors.add("own_trouble")
    await town.alert("db down")

    await town.phones["ana"].receipt("undelivered", "30005")

    assert (await town.incidents())[-1].title == "ana cannot be reached by sms"


# ------------------------------------------------------------------------------------- throttle


async def test_more_than_the_limit_becomes_one_summary_that_names_each_incident(town: Town) -> None:
    for title in ("one", "two", "three"):
        await town.alert(title)
    assert town.pages == ["0m ana sms"]

    await town.pass_time(minutes=2)

    assert len(town.summaries) == 1
    assert town.summaries[0].startswith("1m ana sms: 2 incidents wait for you: ")
    assert all(f"INC {number} P2 {title}" in town.summaries[0] for number, title in ((2, "two"), (3, "three")))
    assert sorted([*await town.outcomes(2), *await town.outcomes(3)]) == [
        "ana sms bundled: bundled", "ana sms done: accepted",
    ]  # fmt: skip


async def test_a_storm_says_something_every_minute_at_most_and_within_a_minute_at_least(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0}}")
    for count in range(20):
        await town.alert(f"trouble {count}")
        await town.pass_time(seconds=15)

    await town.pass_time(minutes=1)
    heard = [told for told in town.told if told.address == PHONES["ana"]]
    apart = [(later.at - earlier.at) / 1000 for earlier, later in itertools.pairwise(heard)]

    assert apart == [60.0] * 5
    assert {number for told in heard for number in range(1, 30) if f"INC {number} " in told.text} == set(range(1, 21))


async def test_a_long_storm_keeps_to_the_longer_limits_but_for_one_message(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [user:ana], wait: 240m}], repeat: 0}}")
    for count in range(70):
        await town.alert(f"trouble {count}")
        await town.pass_time(minutes=1)

    at = [(told.at - town.start) / 60_000 for told in town.told if told.address == PHONES["ana"]]

    for count, window in ((5, 15), (11, 60)):
        assert max(sum(start <= one < start + window for one in at) for start in at) <= count + 1
    named = {number for told in town.told for number in range(1, 80) if f"INC {number} " in told.text}
    assert len(named) >= 12


async def test_nobody_waits_longer_than_a_minute_even_when_the_long_limit_is_used_up(build: Build) -> None:
    town = await build(
        "throttle: {sms: [2/60m]}\npolicies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0}}"
    )
    await town.alert("one")
    await town.pass_time(minutes=5)

    await town.alert("two")
    await town.alert("three")
    await town.pass_time(minutes=2)

    assert [line.split(":")[0] for line in town.summaries] == ["6m ana sms"]


async def test_at_the_limit_another_channel_with_room_takes_over(build: Build) -> None:
    town = await build(
        f"""
users: {{{person("ana", "{high: [{by: sms}]}")}}}
throttle: {{sms: [2/60m], voice: [100/1m]}}
policies: {{default: {{steps: [{{notify: [user:ana], wait: 60m}}], repeat: 0}}}}
"""
    )
    await town.alert("one")
    await town.pass_time(minutes=2)

    await town.alert("two")
    await town.pass_time(minutes=2)

    assert town.pages_of("two") == ["3m ana voice"]


async def test_one_slot_is_kept_for_the_most_urgent(build: Build) -> None:
    town = await build(
        """
services: {shop: {impact: high}}
throttle: {sms: [3/60m]}
policies: {default: {steps: [{notify: [user:ana], wait: 60m}], repeat: 0}}
"""
    )
    await town.alert("one")
    await town.alert("two")
    await town.alert("three")
    assert len(town.told) == 2

    await town.alert("the shop is down", service="shop")

    assert town.pages_of("the shop is down") == ["0m ana sms"]


async def test_word_that_it_is_over_is_no_part_of_a_summary_and_keeps_within_the_limit(town: Town) -> None:
    await town.alert("one")
    await town.clear("one")
    await town.alert("two")

    await town.pass_time(minutes=3)

    assert town.summaries == []
    assert (town.pages, town.updates) == (
        ["0m ana sms", "1m ana sms"], ["2m ana sms: INC 1 resolved by integration:apps: one"],
    )  # fmt: skip


async def test_an_answer_to_a_summary_names_its_incident(town: Town) -> None:
    for title in ("one", "two", "three"):
        await town.alert(title)
    await town.pass_time(minutes=2)

    said = await town.phones["ana"].reply("ACK 2")

    assert said is not None
    assert said.startswith("INC 2 acknowledged by you.")
    assert (await town.incident(3)).status == "triggered"


# ------------------------------------------------------------------------------------- the database


async def test_a_database_that_does_not_answer_at_the_gate_means_surely_not_sent(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.trouble("sms", "slow to connect")
    await town.alert("db down")
    town.expected_errors.add("own_trouble")

    town.store_fails("attempt")
    await town.pass_time(seconds=11)
    town.store_works()
    await town.pass_time(seconds=20)

    assert await town.outcomes() == ["ana sms done: failed accepted"]
    assert town.pages == ["0.25m ana sms"]


async def test_an_outcome_that_cannot_be_stored_yet_is_stored_later_and_not_sent_again(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors |= {"outcome_not_stored", "store_unavailable"}
    town.trouble("sms", "slow to answer")
    await town.alert("db down")

    town.store_fails("write")
    await town.pass_time(minutes=1)
    town.store_works()
    await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms"]
    assert await town.outcomes() == ["ana sms done: accepted"]


async def test_paging_goes_on_when_the_database_comes_back(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors |= {"store_unavailable"}
    await town.alert("db down")

    town.store_fails("write", "next_due", "next_due_page", "next_confirmation")
    await town.pass_time(minutes=7)
    assert town.pages == ["0m ana sms"]
    town.store_works()
    await town.pass_time(seconds=2)

    assert len(town.pages) == 2
    assert 7 <= float(town.pages[1].split("m")[0]) < 7.02
