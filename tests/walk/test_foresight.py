"""The running daemon says what would happen: with all it knows, and without a trace."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
import pytest

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.errors import Refused
from tocsin.model import MINUTE, Alert, Instant, Millis, Parsed
from tocsin.work.whatif.explain import MOST_ALERTS, MOST_WAITING, Asked

GROUPED = """
rules: [{name: by cluster, match: ['cluster!=""'], group_by: [cluster]}]
services: {shop: {impact: high}}
throttle: {sms: [100/1m]}
"""


async def asked(town: Town, *documents: dict[str, Any], minutes: float = 0) -> list[dict[str, Any]]:
    config = town.daemon.live.settings.integrations["apps"]
    at = Instant(town.clock.now() + int(minutes * MINUTE))
    parsed = town.daemon.live.sources["webhook"].parse(orjson.dumps(documents), {}, config, at)
    answer = await town.daemon.foresight.explain(Asked(config, parsed, at, Millis(60 * MINUTE)))
    found: list[dict[str, Any]] = answer["alerts"]
    return found


def pages(one: dict[str, Any]) -> list[str]:
    return [f"{page['after']} {page['user']} {page['channel']}" for page in one["plan"]]


def alert(title: str, **more: Any) -> dict[str, Any]:
    return {"title": title, "dedup_key": title, "severity": "critical", "status": "firing", **more}


async def test_it_never_writes(town: Town) -> None:
    await town.alert("db down")
    before = await town.trace()
    town.store_fails("write")

    found = await asked(town, alert("db down", severity="info"), alert("disk full"))

    town.store_works()
    assert [one["action"] for one in found] == ["update", "open"]
    assert await town.trace() == before


async def test_what_is_open_silenced_and_acknowledged_now_counts(build: Build) -> None:
    town = await build(GROUPED)
    number = await town.alert("one", service="shop", severity="warning", labels={"cluster": "eu"})
    await town.silence('cluster="us"', minutes=10)
    await town.ack(number or 0)

    quiet, joins = await asked(
        town,
        alert("three", labels={"cluster": "us"}),
        alert("two", service="shop", labels={"cluster": "eu"}),
    )

    assert (quiet["action"], len(quiet["silences"]), pages(quiet)[0]) == ("open", 1, "10m ana sms")
    assert (joins["action"], joins["incident"], pages(joins)[0]) == ("join", 1, "0s ana sms")
    assert "that is acknowledged by ana, and this one pages again" in joins["because"]


async def test_an_incident_that_runs_on_is_foretold_from_where_it_stands(town: Town) -> None:
    await town.alert("db down")
    await town.pass_time(minutes=3)
    (one,) = await asked(town, alert("db down"))
    assert (one["because"], pages(one)) == (
        "incident 1 has this very alert already: its repetition is counted",
        ["2m bo sms", "7m grace sms", "37m grace sms"],
    )


async def test_what_is_asked_for_a_later_time_goes_on_from_there(town: Town) -> None:
    await town.alert("db down")
    (one,) = await asked(town, alert("db down"), minutes=6)
    assert pages(one) == ["4m grace sms", "34m grace sms"]


@pytest.mark.parametrize("by_hand", [False, True])
async def test_a_firing_behind_its_end_is_foretold_as_one_that_waits(by_hand: bool, build: Build) -> None:
    town = await build("throttle: {sms: [100/1m]}")
    began = "2026-01-05T11:58:00Z"
    await town.alert("db down", started_at=began)
    await (town.resolve(1) if by_hand else town.clear("db down"))
    await town.pass_time(seconds=5)
    for _ in range(2):  # before the first copy, and while it waits
        (one,) = await asked(town, alert("db down", started_at=began))
        assert one["action"] == "hold"
        assert "then it fires unless" in one["because"]
        assert "then it opens an incident" in one["because"]
        assert pages(one)[0] == ("4m55s ana sms" if by_hand else "10s ana sms")
        await town.post("apps", alert("db down", started_at=began))
    (ends,) = await asked(town, alert("db down", status="resolved"))
    assert ends["because"] == "it ends a firing that waits: nobody is paged for that"

    await town.pass_time(minutes=5)

    assert town.pages[1:2] == ["5m ana sms" if by_hand else "0.25m ana sms"]


async def test_of_a_large_body_the_first_hundred_are_told(town: Town) -> None:
    config = town.daemon.live.settings.integrations["apps"]
    parsed = Parsed(tuple(Alert("firing", f"k{number}", title="t") for number in range(MOST_ALERTS + 7)))
    answer = await town.daemon.foresight.explain(Asked(config, parsed, town.clock.now()))
    assert (len(answer["alerts"]), answer["left_out"]) == (MOST_ALERTS, 7)


async def test_a_policy_without_end_is_cut_and_said_so(build: Build) -> None:
    town = await build("policies: {default: {steps: [{notify: [user:ana], wait: 1m}], repeat: forever}}")
    config = town.daemon.live.settings.integrations["apps"]
    parsed = Parsed(tuple(Alert("firing", f"k{number}", title="t") for number in range(30)))
    answer = await town.daemon.foresight.explain(Asked(config, parsed, town.clock.now()))
    assert answer["cut"]
    assert sum(len(one["plan"]) for one in answer["alerts"]) <= 4_100


async def test_more_than_a_few_at_once_are_told_to_come_back(town: Town) -> None:
    async def one() -> list[dict[str, Any]] | Refused:
        try:
            return await asked(town, alert("x"))
        except Refused as refused:
            return refused

    found = await asyncio.gather(*(one() for _ in range(MOST_WAITING + 3)))
    assert [each.status for each in found if isinstance(each, Refused)] == [429, 429, 429]


async def test_who_fills_all_places_keeps_nobody_else_out(town: Town) -> None:
    config = town.daemon.live.settings.integrations["apps"]
    parsed = town.daemon.live.sources["webhook"].parse(orjson.dumps([alert("x")]), {}, config, town.clock.now())

    async def one(asker: str) -> str:
        try:
            await town.daemon.foresight.explain(Asked(config, parsed, town.clock.now(), asker=asker))
        except Refused as refused:
            return f"{asker} {refused.status}"
        return asker

    found = await asyncio.gather(*(one("greedy") for _ in range(MOST_WAITING + 3)), one("ana"), one("bo"))
    assert found[-2:] == ["ana", "bo"]
    assert found.count("greedy 429") == 5
    assert found.count("greedy") == MOST_WAITING - 2


async def test_what_went_to_a_person_lately_counts_for_their_limits(town: Town) -> None:
    """One SMS a minute: the page of a second incident waits, and its line says so."""
    await town.alert("db down")
    await town.pass_time(seconds=20)
    (one,) = await asked(town, alert("disk full"))
    assert pages(one)[0] == "40s ana sms"
    assert "the person's limit was reached: it waited" in one["plan"][0]["because"]
    await town.alert("disk full")
    await town.pass_time(minutes=2)
    assert town.pages_of("disk full") == ["1m ana sms"]


async def test_a_page_without_room_goes_by_another_contact_after_a_minute(build: Build) -> None:
    town = await build(
        """
        throttle: {sms: [1/10m, 2/1h]}
        users: {ana: {name: Ana, timezone: UTC, contacts: {sms: "+15005550010", mail: ana@example.org}, notify: {high: [{by: sms}]}}}
        policies: {default: {steps: [{notify: [user:ana], wait: 3m}], repeat: 1}}
        """
    )
    (one,) = await asked(town, alert("db down"))
    await town.alert("db down")
    await town.pass_time(minutes=5)
    assert pages(one)[:2] == ["0s ana sms", "4m ana mail"]
    assert town.pages == ["0m ana sms", "4m ana mail"]


@pytest.mark.parametrize("minutes", [0, 2])
async def test_a_rule_that_drops_says_so_and_pages_nobody(build: Build, minutes: int) -> None:
    town = await build("rules: [{name: noise, match: ['env=stag'], drop: true}]")
    (one,) = await asked(town, alert("x", labels={"env": "stag"}), minutes=minutes)
    assert (one["action"], one["because"], one["plan"]) == ("drop", "rule 'noise' drops it", [])


async def test_the_plan_of_a_large_team_is_cut_and_lets_others_have_their_turn(build: Build) -> None:
    many = "".join(
        f'\n  u{n}: {{name: U{n}, timezone: UTC, contacts: {{sms: "+1500666{n:04}", mail: u{n}@example.org}}}}'
        for n in range(60)
    )
    steps = "{notify: [team:all], wait: 1m}"
    town = await build(
        f"users:{many}\nteams: {{all: {{members: [{', '.join(f'u{n}' for n in range(60))}]}}}}\n"
        f"policies: {{default: {{steps: [{steps}, {steps}], repeat: forever}}}}"
    )
    alerts = tuple(Alert("firing", f"db {n}", title="db down", severity="critical") for n in range(30))
    integration = town.daemon.live.settings.integrations["apps"]
    turns = 0

    async def beside() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    other = asyncio.create_task(beside())
    answer = await town.daemon.foresight.explain(Asked(integration, Parsed(alerts), town.clock.now()))
    other.cancel()

    lines = sum(len(one["plan"]) for one in answer["alerts"])
    assert answer["cut"] is True
    assert lines < 20_000
    assert turns > 100
