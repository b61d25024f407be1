"""Crashes, downtime and reloads: what goes on afterwards, and from where."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from tests.walk.conftest import Build
from tests.walk.test_paging import person
from tests.walk.town import HOOK, PHONES, Town
from tocsin.errors import SettingsError, StoreUnavailable

Story = Callable[[Town], Awaitable[None]]
NO_LIMITS = "throttle: {sms: [100/1m], voice: [100/1m]}\n"
THREE_STEPS = (
    NO_LIMITS
    + """
policies:
  default: {steps: [{notify: [user:ana], wait: 5m}, {notify: [user:bo], wait: 5m}, {notify: [user:grace], wait: 5m}], repeat: 0}
"""
)
WITHOUT_ANA = f"""
users: {{ana: ~, bo: {{name: Bo, timezone: UTC, contacts: {{sms: "{PHONES["bo"]}"}}}}}}
teams: {{platform: {{members: [bo], managers: [grace]}}}}
schedules: {{primary: {{timezone: UTC, layers: [{{name: week, users: [bo], rotation: {{every: 1w, start: 2026-01-05 09:00}}}}]}}}}
"""


async def test_an_escalation_goes_on_after_a_restart(build: Build) -> None:
    town = await build(THREE_STEPS, database="file")
    await town.alert("db down")

    await town.restart(after_minutes=1)
    await town.pass_time(minutes=4)

    assert town.pages == ["0m ana sms", "5m bo sms"]


async def test_a_long_downtime_does_not_fire_the_whole_policy_at_once(build: Build) -> None:
    town = await build(THREE_STEPS, database="file")
    await town.alert("db down")

    await town.restart(after_minutes=60)
    assert town.pages == ["0m ana sms", "60m bo sms"]

    await town.pass_time(minutes=7)
    assert town.pages == ["0m ana sms", "60m bo sms", "61m grace sms", "66m grace sms"]


async def test_a_step_a_little_late_keeps_to_its_plan(build: Build) -> None:
    town = await build(THREE_STEPS, database="file")
    await town.alert("db down")

    await town.restart(after_minutes=5.5)
    assert town.pages == ["0m ana sms", "5.5m bo sms"]

    await town.pass_time(minutes=4.5)
    assert town.pages == ["0m ana sms", "5.5m bo sms", "10m grace sms"]


async def test_a_page_that_was_planned_and_not_sent_goes_out_after_the_crash(build: Build) -> None:
    town = await build(f"users: {{{person('ana', '{high: [{by: sms}, {after: 3m, by: voice}]}')}}}", database="file")
    await town.alert("db down")

    await town.restart(after_minutes=4)

    assert town.pages == ["0m ana sms", "4m ana voice"]


async def test_a_call_under_way_at_the_crash_is_unknown_and_made_once_more(build: Build) -> None:
    town = await build(NO_LIMITS, database="file")
    town.trouble("sms", "hangs")
    await town.alert("db down")
    assert await town.outcomes() == ["ana sms calling: open"]

    await town.restart()
    assert await town.outcomes() == ["ana sms waiting: unknown"]
    await town.pass_time(minutes=1)

    assert town.pages == ["0.333m ana sms"]
    assert await town.outcomes() == ["ana sms done: unknown accepted"]


async def test_a_callback_after_the_crash_confirms_what_was_under_way(build: Build) -> None:
    town = await build(NO_LIMITS, database="file")
    town.trouble("sms", "slow to answer")
    await town.alert("db down")

    await town.restart()
    await town.phones["ana"].receipt("delivered")
    await town.pass_time(minutes=1)

    assert town.pages == ["0m ana sms"]
    assert await town.outcomes() == ["ana sms done: accepted"]


async def test_an_answered_incident_stays_quiet_after_a_crash(build: Build) -> None:
    town = await build(NO_LIMITS, database="file")
    town.trouble("sms", "hangs")
    await town.alert("db down")
    await town.ack(1)

    await town.restart(after_minutes=1)
    await town.pass_time(minutes=20)

    assert town.pages == []


async def test_what_was_learnt_of_a_phone_and_what_is_silenced_survive_a_restart(build: Build) -> None:
    town = await build(NO_LIMITS, database="file")
    town.expected_errors.add("own_trouble")
    await town.silence('title="known"', minutes=60)
    await town.alert("db down")
    await town.phones["ana"].reply("STOP")

    await town.restart(after_minutes=1)
    await town.alert("known")
    await town.alert("net down")

    assert town.pages_of("known") == []
    assert town.pages_of("net down") == ["1m bo sms"]


async def test_a_link_still_works_after_a_restart(build: Build) -> None:
    town = await build(database="file")
    await town.alert("db down")

    await town.restart(after_minutes=1)

    view = await town.phones["ana"].tap()
    assert view is not None
    assert view.said.startswith("INC 1 acknowledged by you.")


# ------------------------------------------------------------------------------------- expiry


EXPIRING = "integrations: {apps: {type: webhook, token: t, auto_resolve: 10m}}\n" + THREE_STEPS


async def test_what_a_source_no_longer_mentions_resolves_by_itself(build: Build) -> None:
    town = await build(EXPIRING)
    await town.alert("db down")
    await town.pass_time(minutes=8)
    await town.alert("db down")  # once more: it counts from the last repeat

    await town.pass_time(minutes=9)
    assert (await town.incident()).status == "triggered"

    await town.pass_time(minutes=2)
    found = await town.incident()
    assert (found.status, found.resolved_by, found.firing) == ("resolved", "integration:apps", 0)
    assert (await town.alerts_of(1))[0].count == 2


async def test_an_expiry_that_fell_into_a_downtime_is_judged_anew(build: Build) -> None:
    town = await build(EXPIRING, database="file")
    await town.alert("db down")
    await town.pass_time(minutes=5)

    await town.restart(after_minutes=20)
    assert (await town.incident()).status == "triggered"

    await town.pass_time(minutes=9)
    assert (await town.incident()).status == "triggered"
    await town.pass_time(minutes=2)
    assert (await town.incident()).status == "resolved"


async def test_a_short_restart_judges_nothing_anew(build: Build) -> None:
    town = await build(EXPIRING, database="file")
    await town.alert("db down")
    await town.pass_time(minutes=9.8)

    await town.restart(after_minutes=0.3)

    assert (await town.incident()).status == "resolved"


async def test_a_new_firing_after_its_expiry_is_a_new_incident(build: Build) -> None:
    town = await build(EXPIRING)
    await town.alert("db down")
    await town.pass_time(minutes=11)

    assert await town.alert("db down") not in (1, None)


# ------------------------------------------------------------------------------------- reload


async def test_a_running_escalation_keeps_the_policy_it_began_with(build: Build) -> None:
    town = await build(THREE_STEPS)
    await town.alert("db down")

    await town.reload(NO_LIMITS + "policies: {default: {steps: [{notify: [user:grace], wait: 1m}], repeat: 0}}")
    await town.pass_time(minutes=6)
    assert town.pages_of("db down") == ["0m ana sms", "5m bo sms"]

    await town.alert("net down")
    assert town.pages_of("net down") == ["6m grace sms"]


async def test_a_new_cycle_follows_the_policy_of_now(build: Build) -> None:
    town = await build(THREE_STEPS)
    await town.alert("db down")
    await town.ack(1)
    await town.reload(NO_LIMITS + "policies: {default: {steps: [{notify: [user:grace], wait: 1m}], repeat: 0}}")

    await town.act("unacknowledge", 1)

    assert town.pages == ["0m ana sms", "0m grace sms"]


async def test_a_policy_that_is_gone_still_ends_what_it_began_even_after_a_restart(build: Build) -> None:
    town = await build(THREE_STEPS, database="file")
    await town.alert("db down")
    town.configure(
        NO_LIMITS
        + "policies: {default: ~, other: {steps: [{notify: [user:grace], wait: 1m}]}}\ndefaults: {policy: other}"
    )

    await town.restart(after_minutes=1)
    await town.pass_time(minutes=9)

    assert town.pages == ["0m ana sms", "5m bo sms", "10m grace sms"]


async def test_who_is_removed_is_not_paged_any_more_and_the_step_is_asked_again(build: Build) -> None:
    rules = "{high: [{after: 2m, by: sms}]}"
    town = await build(
        f"{NO_LIMITS}users: {{{person('ana', rules)}}}\npolicies: {{default: {{steps: [{{notify: [schedule:primary], wait: 10m}}], repeat: 0}}}}"
    )
    await town.alert("db down")
    await town.pass_time(minutes=1)

    await town.reload(
        NO_LIMITS + WITHOUT_ANA + "policies: {default: {steps: [{notify: [schedule:primary], wait: 10m}], repeat: 0}}"
    )
    await town.pass_time(minutes=2)

    assert town.pages == ["2m bo sms"]
    assert await town.outcomes() == ["ana sms cancelled", "bo sms done: accepted"]


async def test_a_contact_that_was_replaced_is_not_used_and_the_new_one_is(build: Build) -> None:
    rules = "{high: [{after: 2m, by: sms}]}"
    town = await build(f"{NO_LIMITS}users: {{{person('ana', rules)}}}")
    await town.alert("db down")

    await town.reload(
        f"{NO_LIMITS}users: {{{person('ana', '{high: [{after: 2m, by: mail}]}', 'mail: ana@example.org')}}}"
    )
    await town.pass_time(minutes=4.5)

    assert town.pages == ["4m ana mail"]


async def test_a_target_that_no_longer_exists_reaches_nobody_so_the_next_step_runs(build: Build) -> None:
    town = await build(THREE_STEPS)
    await town.alert("db down")
    await town.reload(
        NO_LIMITS
        + f"""
users: {{bo: ~, ana: {{name: Ana, timezone: UTC, contacts: {{sms: "{PHONES["ana"]}"}}}}}}
teams: {{platform: {{members: [ana], managers: [grace]}}}}
schedules: {{primary: {{timezone: UTC, layers: [{{name: week, users: [ana], rotation: {{every: 1w, start: 2026-01-05 09:00}}}}]}}}}
policies: {{default: {{steps: [{{notify: [user:ana], wait: 5m}}]}}}}
"""
    )

    await town.pass_time(minutes=5)

    assert town.pages == ["0m ana sms", "5m grace sms"]


async def test_a_channel_added_by_a_reload_is_used_and_one_that_is_gone_is_not_waited_for(build: Build) -> None:
    town = await build(f"{NO_LIMITS}users: {{{person('ana', '{high: [{by: voice}]}')}}}")
    ana = "ana: {name: Ana, timezone: UTC, contacts: {hook: ana}}"

    await town.reload(f"{NO_LIMITS}channels: {{{HOOK}}}\nusers: {{{ana}}}")
    await town.alert("db down")

    assert town.pages == ["0m ana hook"]


async def test_a_broken_configuration_changes_nothing(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.expected_errors.add("configuration")
    with pytest.raises(SettingsError):
        await town.reload("policies: {default: {steps: [{notify: [user:nobody], wait: 5m}]}}")

    await town.alert("db down")

    assert town.pages == ["0m ana sms"]


# ------------------------------------------------------------------------------------- the store


async def test_an_alert_that_cannot_be_stored_is_not_accepted(build: Build) -> None:
    town = await build(NO_LIMITS)
    town.store_fails("write")

    with pytest.raises(StoreUnavailable):
        await town.alert("db down")

    town.store_works()
    assert await town.alert("db down") == 1


# ------------------------------------------------------------------------ what falls due afterwards


MANY = """
integrations: {apps: {type: webhook, token: t, auto_resolve: 10m}, other: {type: webhook, token: t2}}
throttle: {sms: [100/1m], voice: [100/1m]}
policies: {default: {steps: [{notify: [user:ana], wait: 10m}, {notify: [user:bo], wait: 10m}], repeat: 0, ack_timeout: 10m}}
rules:
  - {name: held, match: ['title="held"'], hold: 10m}
  - {name: settles, match: ['title="settles"'], resolve_after: 10m}
maintenance:
  - {name: works, match: ['title="under works"'], every: "Mon 11:10", for: 1h}
"""


async def _acknowledged(town: Town) -> None:
    await town.alert("db down", integration="other")
    await town.ack(1)


async def _snoozed(town: Town) -> None:
    await town.alert("db down", integration="other")
    await town.snooze(1, minutes=10)


async def _silenced(town: Town) -> None:
    await town.silence('title="known"', minutes=10)
    await town.alert("known", integration="other")


async def _settling(town: Town) -> None:
    await town.alert("settles", integration="other")
    await town.clear("settles", integration="other")


async def _paging(town: Town) -> None:
    await town.alert("db down", integration="other")


async def _held(town: Town) -> None:
    await town.alert("held", integration="other")


async def _in_maintenance(town: Town) -> None:
    await town.alert("under works", integration="other")


async def _expiring(town: Town) -> None:
    await town.alert("db down", integration="apps")


@pytest.mark.parametrize(
    ("begin", "due"),
    [
        (_paging, "10m bo sms"),
        (_acknowledged, "10m ana sms"),
        (_snoozed, "10m ana sms"),
        (_silenced, "10m ana sms"),
        (_held, "10m ana sms"),
        (_in_maintenance, "10m ana sms"),
        (_expiring, "resolved at 10m"),
        (_settling, "resolved at 10m"),
    ],
    ids=lambda given: getattr(given, "__name__", given).strip("_"),
)
async def test_what_falls_due_after_a_downtime_comes_when_it_was_due(build: Build, begin: Story, due: str) -> None:
    town = await build(MANY, database="file")
    await begin(town)

    await town.restart(after_minutes=9.5)
    assert [page for page in town.pages if not page.startswith("0m")] == []
    assert (await town.incident()).status != "resolved"
    await town.pass_time(minutes=0.6)

    if due.startswith("resolved"):
        resolved_at = (await town.incident()).resolved_at
        assert resolved_at is not None
        assert f"resolved at {(resolved_at - town.start) / 60_000:g}m" == due
    else:
        assert due in town.pages
