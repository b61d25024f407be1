"""Somebody answers: by SMS, by a key, by the link, over the API. What that stops, and what it does not."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable

import pytest

from tests.walk.conftest import Build
from tests.walk.test_paging import person
from tests.walk.town import ACCOUNT, PHONES, Town
from tocsin.decide.paging.replies import code_of

EVERYWHERE = f"users: {{{person('ana', '{high: [{by: [sms, voice]}, {after: 3m, by: voice}]}')}}}"


async def by_sms(town: Town) -> str | None:
    return await town.phones["ana"].reply("ack")


async def by_key(town: Town) -> str | None:
    return await town.phones["ana"].press("4")


async def by_link(town: Town) -> str | None:
    view = await town.phones["ana"].tap()
    return view.said if view else None


async def by_api(town: Town) -> str | None:
    return (await town.ack(1)).said


DOORS = {"sms": by_sms, "voice": by_key, "link": by_link, "api": by_api}


@pytest.mark.parametrize("door", DOORS)
async def test_an_answer_stops_everything_whichever_door_it_comes_through(door: str, build: Build) -> None:
    town = await build(EVERYWHERE)
    await town.alert("db down")
    assert town.pages == ["0m ana sms", "0m ana voice"]
    await town.pass_time(minutes=1)

    said = await DOORS[door](town)

    assert said is not None
    assert "1 acknowledged by you. Paging stopped. Re-page in 30m unless resolved." in said
    found = await town.incident()
    assert (found.status, found.acknowledged_by, found.due_kind) == ("acknowledged", "ana", "ack_timeout")
    assert [entry.via for entry in await town.timeline() if entry.kind == "acknowledged"] == [door]
    assert town.metric("tocsin_acks_total", via=door) == 1
    assert "ana voice cancelled" in await town.outcomes()  # the one planned for the third minute
    await town.pass_time(minutes=29)
    assert town.pages == ["0m ana sms", "0m ana voice"]


async def test_an_acknowledgement_that_is_not_followed_up_pages_anew_from_the_first_step(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=6)
    await town.ack(1, "bo")

    await town.pass_quietly(minutes=36)

    assert town.pages == ["0m ana sms", "5m bo sms", "36m ana sms", "41m bo sms"]
    found = await town.incident()
    assert (found.status, found.cycle) == ("triggered", 2)


async def test_ack_timeout_never_keeps_an_acknowledgement(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [user:ana], wait: 5m}], ack_timeout: never}}")
    await town.alert("db down")

    assert (await town.ack(1)).said == "INC 1 acknowledged by you. Paging stopped."

    await town.pass_quietly(hours=24)
    assert town.pages == ["0m ana sms"]


async def test_a_second_answer_is_told_so_and_changes_nothing(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=5)
    await town.phones["ana"].reply("ACK")
    before = await town.incident()

    assert await town.phones["bo"].reply("ACK") == "INC 1 is acknowledged already by ana."

    assert await town.incident() == before
    assert town.metric("tocsin_acks_refused_total", via="sms", reason="too_late") == 1


async def test_an_answer_to_what_is_over_is_a_polite_no_op(town: Town) -> None:
    await town.alert("db down")
    await town.clear("db down")

    assert await town.phones["ana"].reply("ACK 1") == "INC 1 is resolved already."
    assert (await town.incident()).status == "resolved"


# ------------------------------------------------------------------------------------- SMS


async def test_the_same_message_delivered_twice_acts_once_and_says_the_same(town: Town) -> None:
    await town.alert("db down")
    first = await town.phones["ana"].reply("ESC", sid="SM1")
    pages = list(town.pages)

    again = await town.phones["ana"].reply("ESC", sid="SM1")

    assert (again, town.pages) == (first, pages)
    assert (await town.kinds()).count("escalated") == 1


async def test_a_stranger_hears_nothing_and_does_nothing(town: Town) -> None:
    await town.alert("db down")

    assert await town.phones["stranger"].reply("ACK 1") is None

    assert (await town.incident()).status == "triggered"
    assert town.metric("tocsin_acks_refused_total", via="sms", reason="stranger") == 1


async def test_a_colleague_who_was_not_paged_cannot_answer_by_sms(town: Town) -> None:
    await town.alert("db down")

    assert await town.phones["bo"].reply("ACK 1") == "INC 1 was not paged to this phone in the last 24 hours."

    assert (await town.incident()).status == "triggered"


async def test_an_answer_a_day_later_is_too_old(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [user:ana], wait: 5m}], repeat: 0, ack_timeout: never}}")
    await town.alert("db down")
    await town.ack(1, "bo")
    await town.pass_quietly(hours=24.1)

    assert await town.phones["ana"].reply("ACK") == "No page went to this phone in the last 24 hours."


async def test_a_bare_command_means_the_last_page_and_not_the_last_message(town: Town) -> None:
    await town.alert("old trouble")
    await town.pass_time(minutes=2)
    await town.alert("new trouble")
    await town.pass_time(minutes=2)
    await town.clear("old trouble")  # Ana is told
    await town.pass_time(minutes=2)
    assert "INC 1 resolved" in town.phones["ana"].texts[-1]

    said = await town.phones["ana"].reply("ACK")

    assert said is not None
    assert said.startswith("INC 2 acknowledged by you.")


async def test_resolve_asks_back_when_several_are_open(town: Town) -> None:
    await town.alert("one")
    await town.pass_time(minutes=1)
    await town.alert("two")
    await town.pass_time(minutes=1)

    assert await town.phones["ana"].reply("RES") == "Several incidents are open: 2, 1. Reply RES and the number."
    assert await town.phones["ana"].reply("RES 1") == "INC 1 resolved by you."

    assert [(await town.incident(number)).status for number in (1, 2)] == ["resolved", "triggered"]


COMMANDS: list[tuple[str, Callable[[str], bool]]] = [
    ("ACK", lambda said: said.startswith("INC 1 acknowledged by you.")),
    (" ack. 1!", lambda said: said.startswith("INC 1 acknowledged by you.")),
    ("A1", lambda said: said.startswith("INC 1 acknowledged by you.")),
    ("4", lambda said: said.startswith("INC 1 acknowledged by you.")),
    ("res inc 1", lambda said: said == "INC 1 resolved by you."),
    ("6", lambda said: said == "INC 1 resolved by you."),
    ("E", lambda said: said == "INC 1 escalated. The next step is paged now."),
    ("SNZ 30", lambda said: said == "INC 1 snoozed for 30m. Then it pages again."),
    ("SNZ 2h 1", lambda said: said == "INC 1 snoozed for 2h. Then it pages again."),
    ("SNZ", lambda said: said.startswith("Say for how long")),
    ("NOTE 1 restarted the db", lambda said: said == "Note added to INC 1."),
    ("NOTE", lambda said: said == "Write the note behind NOTE."),
    ("STATUS", lambda said: said == "INC 1 P2 db down: triggered, 1 alerts firing."),
    ("WHO", lambda said: said == "primary: ana"),
    ("ACK 99", lambda said: said == "INC 99 was not paged to this phone in the last 24 hours."),
    (
        "ACK 1 2",
        lambda said: said.startswith("INC 1 acknowledged by you.") and "Left: INC 2 (not paged to this phone)" in said,
    ),
    ("please help me", lambda said: said.startswith("Reply ACK, RES, ESC")),
    ("", lambda said: said == "The message was empty."),
]


@pytest.mark.parametrize(("text", "right"), COMMANDS, ids=[repr(text) for text, _ in COMMANDS])
async def test_what_can_be_said_by_sms(text: str, right: Callable[[str], bool], town: Town) -> None:
    await town.alert("db down")

    said = await town.phones["ana"].reply(text)

    assert said is not None
    assert right(said), said


async def test_a_note_by_sms_stands_in_the_timeline_as_written(town: Town) -> None:
    await town.alert("db down")

    await town.phones["ana"].reply("Note: Restarted it. Watching…")

    assert [(entry.actor, entry.because) for entry in await town.timeline() if entry.kind == "note"] == [
        ("user:ana", "Restarted it. Watching…")
    ]


@pytest.mark.parametrize(
    "word", ["STOP", "stopall", "Unsubscribe", "CANCEL", "END", "QUIT", "START", "YES", "HELP", "INFO"]
)
async def test_words_for_the_carrier_never_answer_an_incident(word: str, town: Town) -> None:
    town.expected_errors.add("own_trouble")
    await town.alert("db down")

    assert await town.phones["ana"].reply(word) is None

    assert (await town.incident()).status == "triggered"


async def test_with_codes_an_answer_needs_the_four_letters_of_the_page(build: Build) -> None:
    town = await build("answers: {sms: code}")
    await town.alert("db down")
    found = re.search(r"Reply ACK 1 ([A-Z]{4}) ", town.phones["ana"].texts[0])
    assert found is not None

    assert await town.phones["ana"].reply("ACK 1") == "INC 1: add the four letters of the page to your answer."
    assert await town.phones["ana"].reply("ACK 1 XXXX") == "INC 1: add the four letters of the page to your answer."
    assert (await town.incident()).status == "triggered"
    said = await town.phones["ana"].reply(f"ACK 1 {found[1].lower()}")

    assert said is not None
    assert said.startswith("INC 1 acknowledged by you.")


async def test_the_code_of_any_page_of_the_incident_to_that_phone_is_good(build: Build) -> None:
    town = await build(
        "answers: {sms: code}\npolicies: {default: {steps: [{notify: [user:ana], wait: 5m}], repeat: 5}}"
    )
    await town.alert("db down")
    await town.pass_time(minutes=6)
    first = next(told for told in town.told if told.user == "ana")
    assert len(town.phones["ana"].texts) == 2
    assert first.page is not None

    said = await town.phones["ana"].reply(f"ACK {code_of(first.page.id)}")

    assert said is not None
    assert said.startswith("INC 1 acknowledged by you.")


async def test_with_codes_snooze_and_notes_need_them_too(build: Build) -> None:
    town = await build("answers: {sms: code}")
    await town.alert("db down")
    assert town.told[0].page is not None
    code = code_of(town.told[0].page.id)
    phone = town.phones["ana"]

    assert await phone.reply("NOTE restarted it") == "INC 1: add the four letters of the page to your answer."
    assert await phone.reply(f"NOTE 1 {code} restarted it") == "Note added to INC 1."
    assert await phone.reply("SNZ 30") == "INC 1: add the four letters of the page to your answer."
    assert await phone.reply(f"SNZ 30 {code}") == "INC 1 snoozed for 30m. Then it pages again."
    assert [entry.because for entry in await town.timeline() if entry.kind == "note"] == ["restarted it"]


async def test_at_most_five_automatic_replies_an_hour_and_the_sixth_still_acts(town: Town) -> None:
    await town.alert("db down")
    answers = [await town.phones["ana"].reply("STATUS") for _ in range(6)]
    assert [said is not None for said in answers] == [True] * 5 + [False]

    assert await town.phones["ana"].reply("ACK") is None

    assert (await town.incident()).status == "acknowledged"
    await town.pass_quietly(minutes=61)
    assert await town.phones["ana"].reply("STATUS 1") is not None


async def test_stop_marks_the_phone_unusable_and_start_brings_it_back(town: Town) -> None:
    town.expected_errors.add("own_trouble")
    await town.alert("db down")

    assert await town.phones["ana"].reply("STOP", opt_out="STOP") is None
    alarm = (await town.incidents())[-1]
    assert alarm.title == "ana cannot be reached by sms"
    assert town.pages_of(alarm.title) == ["0m bo sms"]  # Ana is on call, and skipped

    await town.alert("disk full")
    await town.pass_time(minutes=1)
    assert "ana" not in " ".join(town.pages_of("disk full"))

    await town.phones["ana"].reply("START", opt_out="START")
    await town.settle()
    assert (await town.incident(alarm.number)).status == "resolved"
    await town.alert("net down")
    assert town.pages_of("net down") == ["1m ana sms"]


# ------------------------------------------------------------------------------------- voice


async def test_a_call_says_what_is_wrong_and_how_to_answer(build: Build) -> None:
    town = await build(EVERYWHERE)
    await town.alert("db down")

    said = await town.phones["ana"].pick_up()

    assert said.startswith("Tocsin. Incident 1, priority 2. db down. Press 4 to acknowledge")
    assert (await town.incident()).status == "triggered"  # a picked-up call is no answer


@pytest.mark.parametrize(
    ("digits", "status", "said"),
    [
        ("5", "triggered", "Incident 1 escalated. The next step is paged now. Goodbye."),
        ("6", "resolved", "Incident 1 resolved by you. Goodbye."),
        ("1", "triggered", "1 alerts. Severity critical. the disk is gone. Press 4"),
        ("*", "triggered", "Tocsin. Incident 1, priority 2. db down. Press 4"),
        ("9", "triggered", "Tocsin. Incident 1, priority 2. db down. Press 4"),
        ("44", "triggered", "Tocsin. Incident 1, priority 2. db down. Press 4"),
        ("#", "triggered", "Tocsin. Incident 1, priority 2. db down. Press 4"),
    ],
)
async def test_the_keys_of_a_call(digits: str, status: str, said: str, build: Build) -> None:
    town = await build(EVERYWHERE)
    await town.alert("db down", description="the disk is gone")

    assert (await town.phones["ana"].press(digits)).startswith(said)

    assert (await town.incident()).status == status


async def test_a_completed_call_without_a_key_press_is_no_answer(build: Build) -> None:
    town = await build(EVERYWHERE)
    await town.alert("db down")

    await town.phones["ana"].receipt("completed")

    assert (await town.incident()).status == "triggered"
    await town.pass_time(minutes=5)
    assert "5m bo sms" in town.pages


async def test_a_key_in_another_call_than_ours_does_nothing(build: Build) -> None:
    town = await build(EVERYWHERE)
    await town.alert("db down")
    call = next(told for told in town.told if told.channel == "voice")

    assert await town.daemon.answers.voice(ACCOUNT, call.attempt, "CAsomebodyelse", "4") is None
    assert await town.daemon.answers.voice(ACCOUNT, "0" * 32, call.ref, "4") is None

    assert (await town.incident()).status == "triggered"


# ------------------------------------------------------------------------------------- links


async def test_looking_at_the_link_does_nothing_and_pressing_it_twice_acts_once(town: Town) -> None:
    await town.alert("db down")
    phone = town.phones["ana"]

    view = await phone.look()
    assert view is not None
    assert (view.user, view.live, view.incident.status) == ("ana", True, "triggered")

    pressed, again = await phone.tap(), await phone.tap()
    assert pressed is not None
    assert again is not None
    assert pressed.said.startswith("INC 1 acknowledged by you.")
    assert (again.live, again.said) == (False, "INC 1 is acknowledged by ana.")
    assert (await town.kinds()).count("acknowledged") == 1


async def test_a_link_can_resolve(town: Town) -> None:
    await town.alert("db down")

    await town.phones["ana"].tap("resolve")

    assert (await town.incident()).resolved_by == "ana"


async def test_a_link_dies_with_its_cycle(town: Town) -> None:
    await town.alert("db down")
    old = town.phones["ana"].link
    await town.ack(1)
    await town.act("unacknowledge", 1)

    view = await town.phones["ana"].tap(link=old)

    assert view is not None
    assert (view.live, view.said) == (False, "This link belongs to an earlier page.")
    assert (await town.incident()).status == "triggered"


async def test_a_link_dies_after_a_day_and_with_its_user_and_when_forged(build: Build) -> None:
    town = await build()
    await town.alert("db down")
    link = town.phones["ana"].link
    assert await town.phones["ana"].look(link) is not None
    for at in (0, 10, -10):
        forged = [*link]
        forged[at] = "a" if link[at] != "a" else "b"
        assert await town.phones["ana"].look("".join(forged)) is None

    await town.reload(
        f"""
users: {{ana: ~, bo: {{name: Bo, timezone: UTC, contacts: {{sms: "{PHONES["bo"]}"}}}}}}
teams: {{platform: {{members: [bo], managers: [grace]}}}}
schedules: {{primary: {{timezone: UTC, layers: [{{name: week, users: [bo], rotation: {{every: 1w, start: 2026-01-05 09:00}}}}]}}}}
"""
    )
    assert await town.phones["ana"].look(link) is None

    await town.reload("")
    assert await town.phones["ana"].look(link) is not None
    await town.pass_quietly(hours=24.1)
    assert await town.phones["ana"].look(link) is None


# ------------------------------------------------------------------------------------- API


Way = Callable[[Town], Awaitable[object]]


async def test_escalate_by_hand_pages_the_next_person_now(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=1)

    await town.act("escalate", 1)

    assert town.pages == ["0m ana sms", "1m bo sms"]
    await town.pass_time(minutes=5)
    assert town.pages == ["0m ana sms", "1m bo sms", "6m grace sms"]


async def test_escalate_of_an_acknowledged_incident_goes_on_where_it_had_come_to(town: Town) -> None:
    await town.alert("db down")
    await town.ack(1)
    await town.pass_time(minutes=1)

    await town.act("escalate", 1)

    found = await town.incident()
    assert (found.status, found.cycle) == ("triggered", 2)
    assert town.pages == ["0m ana sms", "1m bo sms"]


async def test_somebody_else_can_be_paged_by_hand_even_for_what_is_acknowledged(town: Town) -> None:
    await town.alert("db down")
    await town.ack(1)

    done = await town.page(1, "user:grace")

    assert done.said == "user:grace is paged for INC 1."
    assert town.pages == ["0m ana sms", "0m grace sms"]
    assert (await town.incident()).status == "acknowledged"
    await town.resolve(1)
    assert (await town.page(1, "grace")).changed is False


async def test_an_incident_triggered_by_hand_pages_like_any_other(town: Town) -> None:
    done = await town.trigger("site is slow", "bo", severity="error", service="shop", description="since ten")

    assert done.incident.opened_by == "user:bo"
    assert town.pages == ["0m ana sms"]
    await town.pass_time(minutes=5)
    assert town.pages == ["0m ana sms", "5m bo sms"]
    await town.resolve(1)
    assert (await town.incident()).status == "resolved"


@pytest.mark.parametrize(("over", "acked"), [((), 4), ((3, 4), 2)], ids=["all open", "the last ones are resolved"])
async def test_of_pages_of_one_instant_a_bare_answer_means_the_last_one_that_is_open(
    build: Build, over: tuple[int, ...], acked: int
) -> None:
    town = await build(
        EVERYWHERE + "\nthrottle: {sms: [100/1m]}\ndefaults: {timezone: UTC, policy: default, notify_resolved: false}"
    )
    await town.post("apps", [{"title": f"alert {number}", "dedup_key": str(number)} for number in (1, 2, 3, 4)])
    for number in over:
        await town.clear(f"alert {number}", key=str(number))

    said = await by_sms(town)

    assert said is not None
    assert f"INC {acked} acknowledged" in said


# ------------------------------------------------------------------------- several in one reply

MANY = "throttle: {sms: [100/1m]}\npolicies: {default: {steps: [{notify: [user:ana], wait: 120m}], repeat: 0}}\n"


async def some_incidents(build: Build, count: int, config: str = MANY) -> Town:
    """So many were paged to Ana a minute ago."""
    town = await build(config + "storm: {new_incidents: 1000, within: 1m}\n")
    for number in range(1, count + 1):
        await town.alert(f"trouble {number}")
    await town.pass_time(minutes=1)
    return town


async def statuses(town: Town) -> dict[int, str]:
    return {one.number: one.status for one in await town.incidents()}


async def test_ack_all_means_what_is_open_and_could_be_read_and_says_what_it_left(build: Build) -> None:
    town = await some_incidents(build, 4)
    await town.clear("trouble 1")
    await town.ack(2, user="bo")
    await town.alert("trouble 5")
    await town.pass_time(seconds=9)

    said = await town.phones["ana"].reply("ACK ALL")

    assert said == (
        "INC 3, 4 acknowledged by you. Paging stopped. "
        "Left: INC 2 (acknowledged by bo), INC 5 (paged just now). Reply ACK and a number for these."
    )
    assert await statuses(town) == {
        1: "resolved",
        2: "acknowledged",
        3: "acknowledged",
        4: "acknowledged",
        5: "triggered",
    }
    await town.pass_time(seconds=2)
    assert (await town.phones["ana"].reply("ACK ALL") or "").startswith("INC 5 acknowledged by you.")


async def test_ack_all_does_not_reach_what_another_phone_was_paged_for(build: Build) -> None:
    town = await some_incidents(build, 1, MANY.replace("wait: 120m}", "wait: 2m}, {notify: [user:bo], wait: 120m}"))
    await town.pass_time(minutes=2)
    await town.alert("trouble 2")
    await town.pass_time(minutes=1)

    assert "No open incident" in (await town.phones["grace"].reply("ACK ALL") or "")
    assert (await town.phones["bo"].reply("ACK ALL") or "").startswith("INC 1 acknowledged by you.")
    assert await statuses(town) == {1: "acknowledged", 2: "triggered"}


async def test_what_travelled_in_a_summary_is_meant_too(build: Build) -> None:
    town = await some_incidents(build, 5, MANY.replace("throttle: {sms: [100/1m]}\n", ""))
    await town.pass_time(minutes=1)
    assert len(town.summaries) == 1

    said = await town.phones["ana"].reply("ACK ALL")

    assert said == "INC 1-5 acknowledged by you. Paging stopped."
    assert set((await statuses(town)).values()) == {"acknowledged"}


@pytest.mark.parametrize(
    ("reply", "said", "acted"),
    [
        ("ACK 1 3", "INC 1, 3 acknowledged by you. Paging stopped.", {1, 3}),
        ("ack 2-4", "INC 2-4 acknowledged by you. Paging stopped.", {2, 3, 4}),
        ("ACK 4-99", "INC 4-6 acknowledged by you. Paging stopped.", {4, 5, 6}),
        ("ACK 1 3-5", "INC 1, 3-5 acknowledged by you. Paging stopped.", {1, 3, 4, 5}),
        ("ACK 1 77", "INC 1 acknowledged by you. Paging stopped. Left: INC 77 (not paged to this phone).", {1}),
        ("ACK 77-88", "No open incident of these was paged to this phone in the last 24 hours.", set()),
        ("SNZ 30 1 2", "INC 1, 2 snoozed for 30m. Then they page again.", {1, 2}),
        ("RES 1 2", "INC 1, 2 resolved by you.", {1, 2}),
        ("RES ALL", "INC 1-6 resolved by you.", {1, 2, 3, 4, 5, 6}),
    ],
)
async def test_several_are_answered_at_once(build: Build, reply: str, said: str, acted: set[int]) -> None:
    town = await some_incidents(build, 6)

    assert await town.phones["ana"].reply(reply) == said

    assert {number for number, status in (await statuses(town)).items() if status != "triggered"} == acted


async def test_several_are_escalated_at_once(build: Build) -> None:
    config = MANY.replace("wait: 120m}", "wait: 120m}, {notify: [user:bo], wait: 120m}")
    town = await some_incidents(build, 3, config)

    assert await town.phones["ana"].reply("ESC 1-2") == "INC 1, 2 escalated: the next step is paged."

    assert sorted(page.split()[1] for page in town.pages)[-2:] == ["bo", "bo"]


async def test_a_second_delivery_of_ack_all_says_the_same_and_takes_nothing_more(build: Build) -> None:
    town = await some_incidents(build, 2)
    first = await town.phones["ana"].reply("ACK ALL", sid="SM-all")
    await town.alert("trouble 3")
    await town.pass_time(minutes=1)

    assert await town.phones["ana"].reply("ACK ALL", sid="SM-all") == first
    assert (await statuses(town))[3] == "triggered"


async def test_ack_all_leaves_what_pages_anew_since_its_page_was_read(build: Build) -> None:
    """The acknowledgement was taken back a moment ago: who answers for the rest cannot have read that."""
    town = await some_incidents(build, 3)
    await town.ack(1)
    await town.pass_time(minutes=1)
    await town.act("unacknowledge", 1, "bo")
    await town.pass_time(seconds=2)
    assert (await statuses(town))[1] == "triggered"

    said = await town.phones["ana"].reply("ACK ALL")

    assert said == (
        "INC 2, 3 acknowledged by you. Paging stopped. Left: INC 1 (paged just now). Reply ACK and a number for these."
    )
    await town.pass_time(seconds=9)
    assert (await town.phones["ana"].reply("ACK ALL") or "").startswith("INC 1 acknowledged by you.")


async def test_status_of_several_names_those(build: Build) -> None:
    town = await some_incidents(build, 4)

    assert await town.phones["ana"].reply("STATUS 1 3-4") == (
        "INC 1 P2 trouble 1: triggered; INC 3 P2 trouble 3: triggered; INC 4 P2 trouble 4: triggered"
    )


async def test_status_all_names_what_is_open(build: Build) -> None:
    town = await some_incidents(build, 2)
    await town.ack(2, user="bo")

    assert await town.phones["ana"].reply("STATUS ALL") == (
        "INC 1 P2 trouble 1: triggered; INC 2 P2 trouble 2: acknowledged by bo"
    )


async def test_where_a_code_is_wanted_one_of_the_pages_is_enough_for_several(build: Build) -> None:
    town = await some_incidents(build, 3, MANY + "answers: {sms: code}\n")
    pages = [(await town.pages_planned(number))[0][0] for number in (1, 2, 3)]

    assert await town.phones["ana"].reply("ACK ALL") == "Add the four letters of one of these pages to your answer."
    assert set((await statuses(town)).values()) == {"triggered"}
    assert await town.phones["ana"].reply(f"ACK 1 2 {code_of(pages[2].id)}") == (
        "Add the four letters of one of these pages to your answer."
    )
    assert (
        await town.phones["ana"].reply(f"ACK ALL {code_of(pages[2].id)}")
        == "INC 1-3 acknowledged by you. Paging stopped."
    )


@pytest.mark.parametrize("guess", ["ACK {}", "ACK ALL {}", "NOTE {} x", "SNZ 30 1 2 {}"])
async def test_codes_cannot_be_guessed(guess: str, build: Build) -> None:
    town = await some_incidents(build, 2, MANY + "answers: {sms: code}\n")
    right = code_of((await town.pages_planned(2))[0][0].id)
    for letter in "BCDFGHJKLM":
        await town.phones["ana"].reply(guess.format(letter * 4))

    await town.phones["ana"].reply(f"ACK 2 {right}")
    assert set((await statuses(town)).values()) == {"triggered"}

    await town.pass_time(minutes=61)
    await town.phones["ana"].reply(f"ACK 2 {right}")
    assert await statuses(town) == {1: "triggered", 2: "acknowledged"}


async def test_a_forgotten_code_is_no_guess(build: Build) -> None:
    town = await some_incidents(build, 1, MANY + "answers: {sms: code}\n")
    for _ in range(12):
        await town.phones["ana"].reply("ACK")

    await town.phones["ana"].reply(f"ACK {code_of((await town.pages_planned(1))[0][0].id)}")

    assert await statuses(town) == {1: "acknowledged"}


async def test_a_summary_has_a_code_that_answers_for_what_it_names(build: Build) -> None:
    town = await some_incidents(build, 3, MANY.replace("throttle: {sms: [100/1m]}", "answers: {sms: code}"))
    await town.pass_time(minutes=1)
    found = re.search(r", with ([A-Z]{4})\.$", town.phones["ana"].texts[-1])
    assert found is not None

    assert (
        await town.phones["ana"].reply(f"ACK 2 {found[1]}") != "INC 2: add the four letters of the page to your answer."
    )
    assert await town.phones["ana"].reply(f"ACK 1 3 {found[1]}") == "INC 1, 3 acknowledged by you. Paging stopped."
    assert set((await statuses(town)).values()) == {"acknowledged"}


async def test_the_last_of_the_five_replies_is_kept_for_incidents_and_says_that_it_is_the_last(town: Town) -> None:
    await town.alert("db down")
    talk = [await town.phones["ana"].reply("what?") for _ in range(6)]
    assert [said is not None for said in talk] == [True] * 4 + [False] * 2

    said = await town.phones["ana"].reply("ACK")

    assert said is not None
    assert said.startswith("INC 1 acknowledged by you.")
    assert said.endswith("No more replies within this hour; what you send still acts.")
    assert await town.phones["ana"].reply("STATUS") is None


# ------------------------------------------------------------- whose word counts, at every door

OTHER = "ACffffffffffffffffffffffffffffffff"
TWO_ACCOUNTS = f'{EVERYWHERE}\nchannels: {{elsewhere: {{type: twilio_sms, account_sid: {OTHER}, auth_token: theirs, from: "+15005550008"}}}}'


async def other_voice(town: Town) -> object:
    call = next(told for told in town.told if told.channel == "voice")
    return await town.daemon.answers.voice(OTHER, call.attempt, call.ref, "4")


async def other_sms(town: Town) -> object:
    return await town.daemon.answers.sms(OTHER, "+15005550008", PHONES["ana"], "ACK 1", "SM-other", "")


async def other_status(town: Town) -> object:
    for told in list(town.told):
        await town.daemon.answers.receipt(OTHER, told.attempt, told.ref, "failed", "30005")
    return None


async def other_stop(town: Town) -> object:
    return await town.daemon.answers.sms(OTHER, "+15005550008", PHONES["ana"], "STOP", "SM-other", "STOP")


async def other_who(town: Town) -> object:
    said = await town.daemon.answers.sms(OTHER, "+15005550008", PHONES["ana"], "WHO", "SM-other", "")
    assert "primary" not in (said or "")
    return None


async def sms_at_the_door_of_calls(town: Town) -> object:
    sms = next(told for told in town.told if told.channel == "sms")
    return await town.daemon.answers.voice(ACCOUNT, sms.attempt, sms.ref, "4")


async def another_message_s_status(town: Town) -> object:
    for told in list(town.told):
        await town.daemon.answers.receipt(ACCOUNT, told.attempt, "SM" + "9" * 32, "failed", "30005")
    return None


async def a_call_of_no_id(town: Town) -> object:
    call = next(told for told in town.told if told.channel == "voice")
    return await town.daemon.answers.voice(ACCOUNT, call.attempt, "", "4")


async def a_call_of_last_week(town: Town) -> object:
    call = next(told for told in town.told if told.channel == "voice")
    await town.pass_quietly(minutes=7 * 24 * 60)
    return await town.daemon.answers.voice(ACCOUNT, call.attempt, call.ref, "4")


@pytest.mark.parametrize(
    "forged",
    [other_voice, other_sms, other_status, other_stop, other_who, sms_at_the_door_of_calls, another_message_s_status,
     a_call_of_no_id],
)  # fmt: skip
async def test_a_rightly_signed_word_of_another_s_message_changes_nothing_at_any_door(
    forged: Callable[[Town], Awaitable[object]], build: Build
) -> None:
    town = await build(TWO_ACCOUNTS)
    await town.alert("db down")
    before = [entry.kind for entry in await town.timeline()]

    await forged(town)
    await town.settle()

    assert [entry.kind for entry in await town.timeline()] == before
    assert (await town.incident()).status == "triggered"
    assert town.daemon.runtime.dead == {}


async def test_a_call_of_last_week_acknowledges_nothing(build: Build) -> None:
    town = await build(
        f"{TWO_ACCOUNTS}\npolicies: {{default: {{steps: [{{notify: [user:ana], wait: 30d}}], repeat: 0}}}}"
    )
    await town.alert("db down")

    assert await a_call_of_last_week(town) is None

    assert (await town.incident()).status == "triggered"


async def test_replies_and_keys_to_a_channel_that_a_reload_renamed_still_count(build: Build) -> None:
    town = await build(EVERYWHERE)
    await town.alert("db down")
    path = town.folder / "tocsin.yaml"
    path.write_text(
        re.sub(r"\bsms: |\bsms\b(?=[,\]])", lambda found: found[0].replace("sms", "texts"), path.read_text())
    )
    await town.daemon.reload(yes=True)
    assert "sms" not in town.daemon.live.settings.channels

    assert "acknowledged by you" in (await town.phones["ana"].reply("ACK 1") or "")


async def test_stop_to_the_account_that_stands_in_counts(build: Build) -> None:
    town = await build(TWO_ACCOUNTS + "\nfallbacks: {sms: [elsewhere]}")
    town.expected_errors.add("own_trouble")

    await other_stop(town)
    await town.settle()

    assert list(town.daemon.runtime.dead) == [("twilio_sms", PHONES["ana"])]
