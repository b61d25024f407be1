"""Before a shift and when it begins its people are told, once; and others are when their phones would not ring."""

from __future__ import annotations

from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.town import HOOK, MONDAY_NOON, PHONES, Told, Town
from tocsin.contracts import Tx
from tocsin.model import HOUR, MINUTE, Instant, Verification

HANDOFF = Instant(MONDAY_NOON + 7 * 24 * HOUR - 3 * HOUR)  # Monday 2026-01-12 09:00, from Ana to Bo
EARLY = Instant(HANDOFF - 6 * MINUTE)

PRIMARY = """
    timezone: UTC
    handoff_notice: 5m
    layers:
      - {name: week, users: [ana, bo], rotation: {every: 1w, start: 2026-01-05 09:00}}
"""
USERS = f"""
users:
  ana: {{name: Ana, timezone: Europe/Paris, contacts: {{sms: "{PHONES["ana"]}", mail: ana@example.org}}}}
  bo: {{name: Bo, timezone: Europe/Paris, contacts: {{sms: "{PHONES["bo"]}", mail: bo@example.org}}}}
"""


WOKEN_BY_SMS = USERS.replace("mail: bo@example.org}", "mail: bo@example.org}, notify: {high: [{by: sms}]}")


def config(more: str = "", users: str = USERS, primary: str = PRIMARY) -> str:
    return f"schedules:\n  primary:{primary}{users}{more}"


async def proven(town: Town, *users: str) -> None:
    """Their phones are verified, as far as SMS goes."""
    found = [Verification(user, "twilio_sms", PHONES[user], verified_at=town.clock.now()) for user in users]

    async def work(tx: Tx) -> None:
        for one in found:
            tx.save_verification(one)

    await town.daemon.store.write(work)
    await town.daemon.housekeeping.learn_contacts()


async def opened(
    build: Build, configuration: str, *, start: int = EARLY, verified: tuple[str, ...] = ("ana", "bo"), **how: Any
) -> Town:
    """A town whose Ana was told long ago that she is on call."""
    town = await build(configuration, start=start, **how)
    await proven(town, *verified)
    await town.pass_time(seconds=2)
    town.told.clear()
    return town


def body_of(told: Told) -> str:
    """What a mail says below its subject, or an SMS."""
    text = told.text.replace("\r", "").strip()
    return text.partition("\n")[2] if told.channel == "mail" else text


def notices(town: Town) -> list[str]:
    """`-30m bo mail: You are …`: minutes from the handoff."""
    return [
        f"{round((told.at - HANDOFF) / 60_000):+d}m {told.user} {told.channel}: {body_of(told)}"
        for told in town.told
        if told.kind == "notice"
    ]


BEFORE = "-5m bo mail: You are on call for primary from Mon 10:00 (Europe/Paris) until Mon 19 Jan 10:00."
AT = "+0m bo mail: You are on call for primary now, since Mon 10:00 (Europe/Paris) until Mon 19 Jan 10:00."
NOTHING = "\nNo incident of its services is open."


async def test_the_next_person_is_told_before_the_shift_and_again_when_it_begins(build: Build) -> None:
    town = await opened(build, config())

    await town.pass_time(minutes=8)

    assert notices(town) == [BEFORE, AT + NOTHING]


async def test_who_takes_over_hears_of_the_open_incidents_that_the_schedule_serves(build: Build) -> None:
    services = (
        "\npolicies:\n  other: {steps: [{notify: [user:grace]}], repeat: 0}\nservices:\n  elsewhere: {policy: other}\n"
    )
    town = await opened(build, config(services))
    await town.alert("db down", service="shop")
    await town.alert("disk full", severity="warning")
    await town.alert("not ours", service="elsewhere")
    await town.ack(1)

    await town.pass_time(minutes=7)

    assert notices(town)[-1] == AT + (
        "\n2 incidents are open:\nINC 1 P2 [shop] db down: acknowledged by ana\nINC 2 P3 disk full: triggered"
    )


async def test_nobody_is_told_twice_over_a_restart(build: Build) -> None:
    town = await opened(build, config(), database="file")
    await town.pass_time(minutes=2)
    await town.restart()
    await town.pass_time(minutes=5)
    await town.restart()
    await town.pass_time(minutes=2)

    assert notices(town) == [BEFORE, AT + NOTHING]


async def test_after_a_downtime_over_the_handoff_only_what_is_still_true_is_told(build: Build) -> None:
    town = await opened(build, config(), database="file")
    await town.restart(after_minutes=60)
    await town.pass_time(minutes=2)

    assert notices(town) == [AT.replace("+0m", "+54m") + NOTHING]


async def test_who_stays_on_call_over_a_handoff_is_not_told(build: Build) -> None:
    together = PRIMARY.replace("[ana, bo]", "[[ana, bo], [bo]]")
    town = await opened(build, config(primary=together))

    await town.pass_time(minutes=8)

    assert notices(town) == []


async def test_an_override_is_a_shift_of_its_own(build: Build) -> None:
    override = "    overrides:\n      - {user: bo, replaces: ana, from: 2026-01-12 08:56, to: 2026-01-12 08:58}\n"
    town = await opened(build, config(primary=PRIMARY + override))

    await town.pass_time(minutes=8)

    told = [(line.partition(" ")[0], line.split()[1]) for line in notices(town)]
    assert told == [
        ("-5m", "bo"), ("-4m", "bo"), ("-2m", "ana"), ("+0m", "bo")
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("contacts", "low", "start", "over"),
    [
        ('{voice: "%s", mail: bo@example.org}', "", HANDOFF, "mail"),
        ('{voice: "%s", sms: "%s"}', "", HANDOFF, "sms"),  # nobody asked to be called for this
        ('{voice: "%s", sms: "%s"}', "low: [{by: voice}]", HANDOFF, "voice"),
        ('{voice: "%s"}', "", HANDOFF, "voice"),
    ],
)
async def test_a_notice_takes_the_quiet_way(build: Build, contacts: str, low: str, start: int, over: str) -> None:
    written = contacts.replace("%s", PHONES["bo"])
    users = USERS.replace(f'{{sms: "{PHONES["bo"]}", mail: bo@example.org}}', f"{written}, notify: {{{low}}}")
    town = await opened(build, config(users=users), verified=("ana",))
    town.expected_errors.add("alarm")

    await town.pass_time(minutes=2)

    assert [told.channel for told in town.told if told.kind == "notice" and told.user == "bo"] == [over]


async def test_at_night_there_is_no_call_where_something_else_is_left(build: Build) -> None:
    bo = f'{{voice: "{PHONES["bo"]}", sms: "{PHONES["bo"]}"}}, notify: {{low: [{{by: voice}}]}}'
    users = USERS.replace(f'{{sms: "{PHONES["bo"]}", mail: bo@example.org}}', bo).replace(
        "Bo, timezone: Europe/Paris", "Bo, timezone: Asia/Tokyo"
    )
    tokyo_at_night = PRIMARY.replace("09:00", "18:00")
    town = await opened(build, config(users=users, primary=tokyo_at_night), start=EARLY + 9 * HOUR)

    await town.pass_time(minutes=2)

    assert [told.channel for told in town.told if told.kind == "notice" and told.user == "bo"] == ["sms"]


async def test_a_notice_never_takes_a_pages_slot(build: Build) -> None:
    bo = f'users:\n  bo: {{name: Bo, timezone: UTC, contacts: {{sms: "{PHONES["bo"]}"}}}}\n'
    town = await opened(build, config(users=f"\n{bo}"))
    await town.pass_time(minutes=6.2)
    await town.alert("db down")
    await town.pass_time(minutes=3)

    told = [(round((one.at - HANDOFF) / 60_000), one.kind) for one in town.told if one.user == "bo"]
    assert told == [(-5, "notice"), (0, "notice"), (0, "page")]


async def test_a_notice_that_found_no_room_before_the_shift_is_not_sent_after_its_beginning(build: Build) -> None:
    only_sms = USERS.replace(", mail: bo@example.org", "")
    town = await opened(build, config("\nthrottle: {sms: [1/10m]}\n", users=only_sms))
    await town.trigger("db down")
    await town.page(1, "user:bo")
    await town.ack(1)

    await town.pass_time(minutes=12)

    said = "+4m bo sms: You are on call for primary now, since Mon 10:00"
    assert [line.partition(" (")[0] for line in notices(town)] == [said]


# ------------------------------------------------------------------------------- will my phone ring?


async def stopped(town: Town, user: str) -> None:
    town.expected_errors |= {"own_trouble", "on_call_not_reachable"}
    await town.phones[user].reply("STOP")


async def test_who_cannot_be_reached_is_told_so_and_so_is_who_is_on_call(build: Build) -> None:
    town = await opened(build, config(users=WOKEN_BY_SMS))
    await stopped(town, "bo")
    await town.resolve(1)
    town.told.clear()

    await town.pass_time(minutes=2)

    assert notices(town)[0] == f"{BEFORE}\nAttention: nothing that wakes you works: sms: answered STOP."
    incident = await town.incident(2)
    assert incident.title == "bo goes on call for primary in 5m and cannot be reached: sms: answered STOP"
    assert next(one.user for one in town.told if one.incident == 2 and one.kind == "page") == "ana"


async def test_it_is_told_once_a_shift_whatever_happens(build: Build) -> None:
    town = await opened(build, config(users=WOKEN_BY_SMS), database="file")
    await stopped(town, "bo")
    await town.pass_time(minutes=2)
    await town.restart()
    await town.pass_time(minutes=7)

    about = [one.title for one in await town.incidents() if "on call for" in one.title]
    assert about == ["bo goes on call for primary in 5m and cannot be reached: sms: answered STOP"]


async def test_it_is_over_when_the_phone_would_ring_again(build: Build) -> None:
    town = await opened(build, config(users=WOKEN_BY_SMS))
    await stopped(town, "bo")
    await town.pass_time(minutes=2)
    await town.phones["bo"].reply("START")
    await town.pass_time(minutes=2)

    assert [one.status for one in await town.incidents()] == ["resolved", "resolved"]


async def test_of_an_unproven_contact_its_person_is_told_and_nobody_else(build: Build) -> None:
    """It would be tried. An incident would wake others in each shift of those who have not verified anything yet."""
    town = await opened(build, config(), verified=("ana",))

    await town.pass_time(minutes=10)

    assert notices(town)[0].endswith("Attention: sms and mail are not verified: tocsin contact verify bo --by sms")
    assert await town.incidents() == []


async def test_who_was_unproven_before_the_shift_and_cannot_be_reached_at_its_start_is_told_about(build: Build) -> None:
    town = await opened(build, config(users=WOKEN_BY_SMS), verified=("ana",))
    await town.pass_time(minutes=2)
    await stopped(town, "bo")
    await town.pass_time(minutes=5)

    about = [one.title for one in await town.incidents() if "on call for" in one.title]
    assert about == ["bo is on call for primary and cannot be reached: sms: answered STOP"]


async def test_it_is_over_when_the_phone_would_be_tried_again(build: Build) -> None:
    town = await opened(build, config(users=WOKEN_BY_SMS), verified=("ana",))
    await stopped(town, "bo")
    await town.pass_time(minutes=2)
    assert any("cannot be reached: sms: answered STOP" in one.title for one in await town.incidents())
    await town.phones["bo"].reply("START")
    await town.pass_time(minutes=2)

    assert {one.status for one in await town.incidents()} == {"resolved"}


async def test_a_failing_channel_does_not_ring(build: Build) -> None:
    town = await opened(build, config(f"\nchannels:\n  {HOOK}\n"))
    town.expected_errors |= {"own_trouble", "on_call_not_reachable"}
    town.trouble("sms", "unreachable", times=None)
    only_sms = USERS.replace(", mail: bo@example.org", "")
    await town.reload(config(f"\nchannels:\n  {HOOK}\n", users=only_sms))
    await town.alert("db down")
    await town.pass_time(minutes=2)

    titles = [one.title for one in await town.incidents()]
    assert "bo goes on call for primary in 5m and cannot be reached: sms: channel sms is failing" in titles


async def test_who_has_no_contact_left_is_counted_and_told_about(build: Build) -> None:
    only_sms = USERS.replace(", mail: bo@example.org", "")
    town = await opened(build, config(users=only_sms))
    await stopped(town, "bo")
    await town.pass_time(minutes=7)

    assert notices(town) == []
    assert town.metric("tocsin_people_without_contact") == 1
    assert "bo goes on call for primary in 5m and cannot be reached: sms: answered STOP" in [
        one.title for one in await town.incidents()
    ]


async def test_a_schedule_without_the_key_tells_nobody(build: Build) -> None:
    quiet = PRIMARY.replace("    handoff_notice: 5m\n", "")
    town = await opened(build, config(primary=quiet))

    await town.pass_time(minutes=8)

    assert notices(town) == []
