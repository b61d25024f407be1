"""Who is paged, when, over what; and what follows while nobody answers."""

from __future__ import annotations

import pytest

from tests.walk.conftest import Build
from tests.walk.town import OPS_MAIL, PHONES, Town

TWO_ROUNDS = """
policies:
  default:
    steps:
      - {notify: [user:ana], wait: 5m}
      - {notify: [user:bo], wait: 10m}
    repeat: 1
"""


def person(name: str, notify: str = "", contacts: str = "") -> str:
    """A user with phone for SMS and voice, and a mailbox."""
    known = contacts or f'sms: "{PHONES[name]}", voice: "{PHONES[name]}", mail: {name}@example.org'
    rules = f", notify: {notify}" if notify else ""
    return f"{name}: {{name: {name.title()}, timezone: UTC, contacts: {{{known}}}{rules}}}"


# ------------------------------------------------------------------------------------- steps


async def test_an_unanswered_page_goes_to_the_second_person_after_five_minutes(town: Town) -> None:
    await town.alert("db down")
    assert town.pages == ["0m ana sms"]
    assert town.phones["ana"].texts[0].startswith("INC 1 P2 db down. Reply ACK 1 https://tocsin.example.org/a/")

    await town.pass_time(minutes=4.9)
    assert town.pages == ["0m ana sms"]

    await town.pass_time(minutes=0.1)
    assert town.pages == ["0m ana sms", "5m bo sms"]


async def test_the_steps_are_repeated_and_then_the_catch_all_is_paged_again_and_again(build: Build) -> None:
    town = await build(TWO_ROUNDS)
    await town.alert("db down")

    await town.pass_quietly(minutes=95)

    assert town.pages == [
        "0m ana sms", "5m bo sms",        # the first pass
        "15m ana sms", "20m bo sms",      # repeated once
        "30m grace sms", "60m grace sms", "90m grace sms",
    ]  # fmt: skip


async def test_a_low_priority_reminds_the_catch_all_every_four_hours_only(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [user:ana], wait: 5m}], repeat: 0}}")
    await town.alert("disk 80%", "info")

    await town.pass_quietly(hours=9)

    assert town.pages == ["0m ana sms", "5m grace sms", "245m grace sms", "485m grace sms"]


async def test_repeat_forever_never_reaches_the_catch_all(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [user:ana], wait: 10m}], repeat: forever}}")
    await town.alert("db down")

    await town.pass_quietly(minutes=45)

    assert town.pages == ["0m ana sms", "10m ana sms", "20m ana sms", "30m ana sms", "40m ana sms"]


async def test_without_a_policy_the_catch_all_is_paged_at_once(build: Build) -> None:
    town = await build("defaults: {policy: ~}")
    await town.alert("db down")
    assert town.pages == ["0m grace sms"]

    await town.pass_quietly(minutes=31)
    assert town.pages == ["0m grace sms", "30m grace sms"]


async def test_whoever_several_targets_name_is_paged_once(build: Build) -> None:
    town = await build(
        "policies: {default: {steps: [{notify: [user:ana, schedule:primary, team:platform, managers:platform], wait: 5m}]}}"
    )

    await town.alert("db down")

    assert town.pages == ["0m ana sms", "0m bo sms", "0m grace sms"]


async def test_a_channel_with_an_address_of_its_own_is_a_target(build: Build) -> None:
    town = await build(
        f"channels: {{{OPS_MAIL}}}\npolicies: {{default: {{steps: [{{notify: [channel:ops-mail], wait: 5m}}]}}}}"
    )

    await town.alert("db down")

    assert town.pages == ["0m ops-mail"]


async def test_pick_one_takes_turns_by_the_incidents_number(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [team:platform], pick: one, wait: 5m}]}}")

    for title in ("one", "two", "three"):
        await town.alert(title)
        await town.pass_time(minutes=1)

    assert [town.pages_of(title)[0].split()[1] for title in ("one", "two", "three")] == ["bo", "ana", "bo"]


async def test_team_oncall_pages_only_those_on_duty(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [team:platform@oncall], wait: 5m}]}}")

    await town.alert("db down")

    assert town.pages == ["0m ana sms"]


async def test_people_are_found_when_the_step_runs_and_not_before(build: Build) -> None:
    town = await build(
        """
policies: {default: {steps: [{notify: [user:grace], wait: 5m}, {notify: [schedule:primary], wait: 5m}]}}
schedules:
  primary: {timezone: UTC, layers: [{name: day, users: [ana, bo], rotation: {every: 1d, start: 2026-01-05 12:03}}]}
"""
    )
    await town.alert("db down")  # at noon, when nobody was on call yet

    await town.pass_time(minutes=5)

    assert town.pages == ["0m grace sms", "5m ana sms"]


# ------------------------------------------------------------------------------------- nobody there


async def test_nobody_on_call_hands_over_to_the_next_step_at_once(build: Build) -> None:
    town = await build(
        """
policies: {default: {steps: [{notify: [schedule:night], wait: 5m}, {notify: [user:bo], wait: 5m}], repeat: 0}}
schedules:
  night:
    timezone: UTC
    layers: [{name: night, users: [ana], rotation: {every: 1d, start: 2026-01-05 22:00}, hours: {from: 22:00, to: 06:00}}]
"""
    )

    await town.alert("db down")

    assert town.pages == ["0m bo sms"]
    assert "nobody" in await town.kinds()
    assert town.metric("tocsin_nobody_reached_total") == 1


async def test_no_step_that_reaches_anybody_pages_the_catch_all_at_once(build: Build) -> None:
    town = await build(
        """
policies: {default: {steps: [{notify: [schedule:later], wait: 5m}], repeat: 1}}
schedules:
  later: {timezone: UTC, layers: [{name: l, users: [ana], rotation: {every: 1w, start: 2026-02-02 09:00}}]}
"""
    )

    await town.alert("db down")
    assert town.pages == ["0m grace sms"]

    await town.pass_quietly(minutes=41)
    assert town.pages == ["0m grace sms", "5m grace sms", "10m grace sms", "40m grace sms"]


async def test_a_step_that_does_not_apply_is_passed_over_without_disturbing_the_catch_all(build: Build) -> None:
    town = await build(
        """
policies:
  default:
    steps:
      - {notify: [user:ana], wait: 5m}
      - {notify: [user:bo], wait: 5m, only: {priority: [P1]}}
    repeat: 1
"""
    )
    await town.alert("db down")  # P2

    await town.pass_time(minutes=11)

    assert town.pages == ["0m ana sms", "5m ana sms", "10m grace sms"]


async def test_a_policy_of_which_no_step_applies_pages_the_catch_all(build: Build) -> None:
    town = await build(
        "policies: {default: {steps: [{notify: [user:ana], wait: 5m, only: {urgency: [high]}}], repeat: 0}}"
    )

    await town.alert("disk 80%", "info")

    assert town.pages == ["0m grace sms"]


async def test_only_by_urgency_and_support_hours(build: Build) -> None:
    town = await build(
        """
services:
  shop: {owner: platform, impact: high, support_hours: {timezone: UTC, days: Mon-Fri, from: 08:00, to: 18:00}}
policies:
  default:
    steps:
      - {notify: [user:ana], wait: 5m, only: {hours: support}}
      - {notify: [user:bo], wait: 5m, only: {hours: off}}
      - {notify: [user:grace], wait: 5m, only: {urgency: [low]}}
    repeat: forever
"""
    )
    await town.alert("cart broken", service="shop")
    assert town.pages == ["0m ana sms"]  # Monday noon

    await town.pass_quietly(hours=7)
    assert town.pages[-1].split()[1] == "bo"  # seven in the evening


# ------------------------------------------------------------------------------------- personal rules


async def test_without_rules_of_ones_own_high_rings_every_contact_a_minute_apart(build: Build) -> None:
    town = await build(f"users: {{{person('ana')}}}")

    await town.alert("db down")
    await town.pass_time(minutes=3)

    assert town.pages == ["0m ana sms", "1m ana voice", "2m ana mail"]
    assert town.phones["ana"].heard == ["db down"]
    assert town.mail[0].startswith("INC 1 P2 db down\n")


async def test_low_urgency_writes_a_mail_and_medium_counts_as_high(build: Build) -> None:
    town = await build(f"users: {{{person('ana')}}}")

    await town.alert("disk 80%", "info")
    assert town.pages == ["0m ana mail"]

    await town.alert("disk 90%", "warning")
    await town.pass_time(minutes=2)
    assert town.pages_of("disk 90%") == ["0m ana sms", "1m ana voice", "2m ana mail"]


async def test_written_rules_are_followed_and_go_on_after_the_escalation_moved_on(build: Build) -> None:
    rules = "{high: [{by: [sms, mail]}, {after: 7m, by: voice}]}"
    town = await build(f"users: {{{person('ana', rules)}}}")

    await town.alert("db down")
    await town.pass_time(minutes=8)

    assert town.pages == ["0m ana mail", "0m ana sms", "5m bo sms", "7m ana voice"]


async def test_a_contact_can_be_named_by_the_step(build: Build) -> None:
    town = await build(
        f"users: {{{person('ana')}}}\npolicies: {{default: {{steps: [{{notify: [user:ana/mail], wait: 5m}}], repeat: 0}}}}"
    )

    await town.alert("db down")
    await town.pass_time(minutes=4)

    assert town.pages == ["0m ana mail"]


# ------------------------------------------------------------------------------------- priority


async def test_outside_support_hours_lesser_trouble_loses_its_urgency_and_gets_it_back_in_the_morning(
    build: Build,
) -> None:
    town = await build(
        f"""
users: {{{person("ana", "{high: [{by: sms}], low: [{by: mail}]}")}}}
services:
  shop: {{impact: low, support_hours: {{timezone: UTC, days: Mon-Fri, from: 13:00, to: 18:00}}}}
policies: {{default: {{steps: [{{notify: [user:ana], wait: 20m}}], repeat: forever}}}}
"""
    )

    await town.alert("cart slow", service="shop")
    found = await town.incident()
    assert (found.priority, found.urgency, town.pages) == ("P5", "low", ["0m ana mail"])

    await town.pass_quietly(minutes=61)
    found = await town.incident()
    assert (found.priority, found.urgency) == ("P3", "high")
    assert town.pages[-1] == "60m ana sms"


@pytest.mark.parametrize("seed", range(1, 7))
async def test_more_urgent_incidents_are_paged_first_after_an_outage(build: Build, seed: int) -> None:
    town = await build("services: {shop: {impact: high}}\nthrottle: {sms: [100/1m]}", database="file", seed=seed)
    for title, severity in [
        ("minor", "info"),
        ("old", "error"),
        ("new", "error"),
        ("least", "info"),
        ("mild", "warning"),
    ]:
        await town.alert(title, severity)
    await town.alert("major", "critical", service="shop")

    await town.restart(after_minutes=6)

    expected = ["major", "old", "new", "mild", "minor", "least"]
    assert [told.title for told in town.told if told.user == "bo"] == expected


@pytest.mark.parametrize("seed", range(1, 4))
async def test_a_summary_names_the_most_urgent_first(build: Build, seed: int) -> None:
    town = await build("throttle: {sms: [2/10m]}", database="file", seed=seed)
    for title, severity in [("minor", "info"), ("old", "error"), ("new", "error"), ("mild", "warning")]:
        await town.alert(title, severity)

    await town.restart(after_minutes=6)
    await town.pass_time(minutes=2)

    [said] = [told.text for told in town.told if told.user == "bo"]
    assert said.startswith("4 incidents wait for you: INC 2 P2 old; INC 3 P2 new; INC 4 P3 mild; INC 1 P4 minor")
