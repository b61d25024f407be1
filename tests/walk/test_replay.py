"""A replay is the daemon itself in other clothes: the same alerts at the same times come to the same incidents and pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import pytest

from tests.walk.conftest import Build
from tests.walk.town import MONDAY_NOON, Everything, Town
from tests.week import week
from tocsin.decide.whatif.outcomes import Played, compare, figures
from tocsin.decide.whatif.recordings import Answer, Record, Signal
from tocsin.model import MINUTE, Alert, Instant, Millis, Parsed
from tocsin.replay import play
from tocsin.settings import load, load_over
from tocsin.work.whatif.recordings import Past, Recorded

RULES = """
rules:
  - {name: warnings heal, match: ['severity="warning"'], hold: 2m}
  - {name: nodes, match: ['alertname="NodeDown"'], group_by: [alertname, cluster], hold: 1m}
"""
PAST_THE_END = 20 * MINUTE


async def lived(town: Town, records: Sequence[Record], until: int) -> list[str]:
    """The records as they come to a daemon that is running; what was paged."""
    posts: dict[tuple[int, int], list[Signal]] = {}
    for one in records:
        if isinstance(one, Signal):
            posts.setdefault((one.received_at, one.post), []).append(one)
    for (at, _), signals in sorted(posts.items()):
        await town.pass_time(seconds=(at - town.clock.now()) / 1000)
        config = town.daemon.live.settings.integrations[signals[0].integration]
        town.daemon.tasks(town.daemon.intake.take(config, b"{}", Parsed(tuple(one.alert for one in signals))), "post")
        await town.settle()
    await town.pass_time(seconds=(until - town.clock.now()) / 1000)
    return town.pages


async def replayed(town: Town, records: Sequence[Record], until: int) -> Played:
    loaded = load(town.folder / "tocsin.yaml", env={})
    return await play(loaded, records, until=Instant(until))


def lines(played: Played, start: int) -> list[str]:
    """As `town.pages` has them."""
    found = sorted(
        (page.at, f"{round((page.at - start) / 60_000, 3):g}m {page.user} {page.channel}")
        for page in played.pages()
        if not page.bundled
    )
    return [line for _, line in found]


async def test_a_replay_comes_to_the_same_incidents_and_pages_as_a_life(build: Build) -> None:
    town = await build(RULES + "throttle: {sms: [1000/1m]}")
    start = Instant(town.clock.now())
    records = [one for one in week(500, seed=4, start=start, length=Millis(40 * MINUTE)) if isinstance(one, Signal)]
    records = [one for one in records if one.received_at <= start + 60 * MINUTE]
    until = start + 60 * MINUTE + PAST_THE_END

    told = await lived(town, records, until)
    played = await replayed(town, records, until)

    live = await town.incidents()
    assert len(records) > 200
    assert sorted(case.key for case in played.cases.values()) == sorted(one.key for one in live)
    assert sorted((case.key, case.opened_at, case.alerts, case.status) for case in played.cases.values()) == sorted(
        (one.key, one.created_at, one.total, one.status) for one in live
    )
    summaries = [f"{line.partition(':')[0]}" for line in town.summaries]
    assert len(told) > 30
    assert lines(played, start) == sorted([*told, *summaries], key=lambda line: (float(line.partition("m")[0]), line))


async def test_limits_and_summaries_are_the_same_too(build: Build) -> None:
    town = await build(RULES)
    start = Instant(town.clock.now())
    records = [Signal(Instant(start + nth * 7_000), "apps", nth + 1, Alert("firing", f"k{nth}", "critical", f"t{nth}"))
               for nth in range(20)]  # fmt: skip
    until = start + 12 * MINUTE

    told = await lived(town, records, until)
    played = await replayed(town, records, until)

    assert figures(played).pages == len(told) + len(town.summaries)
    assert figures(played).bundled > 0


async def test_a_storm_is_the_same_storm(build: Build) -> None:
    town = await build("storm: {new_incidents: 5, within: 1m, per: service}\nthrottle: {sms: [1000/1m]}")
    start = Instant(town.clock.now())
    fired = [Signal(Instant(start + nth * 3_000), "apps", nth + 1, Alert("firing", f"k{nth}", "critical", f"t{nth}", service="shop"))
             for nth in range(12)]  # fmt: skip
    over = [
        Signal(Instant(start + 4 * MINUTE + nth * 2_000), "apps", 100 + nth, Alert("resolved", f"k{nth}"))
        for nth in range(9)
    ]
    until = start + 25 * MINUTE

    told = await lived(town, [*fired, *over], until)
    played = await replayed(town, [*fired, *over], until)

    assert len(played.cases) == len(await town.incidents()) == 13, "twelve and the storm"
    assert {line.rpartition("m ")[2] for line in told} <= {"ana sms", "bo sms", "grace sms"}
    assert [line.partition("m ")[2] for line in lines(played, start)] == [line.partition("m ")[2] for line in told]
    assert [float(one.partition("m")[0]) for one in lines(played, start)] == pytest.approx(
        [float(one.partition("m")[0]) for one in told], abs=0.05
    )


async def test_what_was_recorded_is_read_again_as_it_came(build: Build) -> None:
    town = await build(RULES, database="file")
    start = town.clock.now()
    await town.alert("db down", service="shop", labels={"zone": "a"})
    await town.pass_time(minutes=2)
    await town.ack(1)
    await town.pass_time(minutes=1)
    await town.clear("db down")

    recorded = Recorded(cast(Past, town.daemon.store), town.daemon.live.settings, town.daemon.live.sources)
    found = [one async for one in recorded.records(Instant(start))]

    fired, answered, ended = found
    assert isinstance(fired, Signal)
    assert (fired.received_at, fired.alert.title, fired.alert.labels) == (start, "db down", {"zone": "a"})
    assert answered == Answer(Instant(start + 2 * MINUTE), "apps", "db down", "acknowledged", "ana", Instant(start))
    assert isinstance(ended, Signal)
    assert ended.alert.status == "resolved"
    assert [one async for one in recorded.records(Instant(start + 150_000))] == [ended]


async def test_people_answer_as_long_after_their_page_as_they_did(town: Town) -> None:
    start = town.clock.now()
    fired = Signal(start, "apps", 1, Alert("firing", "k", "critical", "db down"))
    answer = Answer(Instant(start + 3 * MINUTE), "apps", "k", "acknowledged", "ana", start)

    now = await replayed(town, [fired, answer], start + 30 * MINUTE)
    town.configure("rules: [{name: held, match: ['severity=\"critical\"'], hold: 10m}]")
    later = await replayed(town, [fired, answer], start + 30 * MINUTE)

    assert lines(now, start) == ["0m ana sms"]
    assert lines(later, start) == ["10m ana sms"], "acknowledged at 13m: bo is never paged"
    assert [case.status for case in later.cases.values()] == ["acknowledged"]


async def test_without_answers_nobody_answers(town: Town) -> None:
    start = town.clock.now()

    played = await replayed(
        town, [Signal(start, "apps", 1, Alert("firing", "k", "critical", "down"))], start + 6 * MINUTE
    )

    assert lines(played, start) == ["0m ana sms", "5m bo sms"]


async def test_a_rule_that_lets_an_acted_on_alert_heal_unpaged_is_told_as_missed(town: Town, tmp_path: Path) -> None:
    start = town.clock.now()
    records: list[Record] = [
        Signal(start, "apps", 1, Alert("firing", "k", "critical", "db down")),
        Answer(Instant(start + MINUTE), "apps", "k", "acknowledged", "ana", start),
        Signal(Instant(start + 4 * MINUTE), "apps", 2, Alert("resolved", "k")),
    ]
    candidate = tmp_path / "held.yaml"
    candidate.write_text("rules: [{name: held, match: ['severity=\"critical\"'], hold: 5m}]")
    main = town.folder / "tocsin.yaml"

    before = await play(load(main, env={}), records)
    after = await play(load_over(main, [candidate], always=("rules",), env={}), records)
    found = compare(before, after)

    assert [(one.fate.source_key, one.because) for one in found.missed] == [
        ("k", "its incident apps/k heals before anybody is paged")
    ]
    assert (found.before.pages, found.after.pages, found.after.healed) == (1, 0, 1)
    assert [(one.change, one.before.title) for one in found.differences if one.before] == [("changed", "db down")]


async def test_support_hours_begin_to_the_second(build: Build) -> None:
    hours = "{timezone: UTC, days: Mon-Fri, from: '13:00', to: '18:00'}"
    town = await build(
        f"services: {{shop: {{owner: platform, impact: low, support_hours: {hours}}}}}\n"
        "policies: {default: {steps: [{notify: [schedule:primary], wait: 3h}], repeat: 0}}"
    )
    start = town.clock.now()
    records: list[Record] = [Signal(start, "apps", 1, Alert("firing", "k", "critical", "slow", service="shop"))]

    told = await lived(town, records, start + 90 * MINUTE)
    played = await replayed(town, records, start + 90 * MINUTE)

    assert told == lines(played, start) == ["0m ana sms", "60m ana sms"]


async def test_integrations_that_are_gone_are_counted(town: Town) -> None:
    start = town.clock.now()
    records: list[Record] = [Signal(start, "gone", 1, Alert("firing", "k", "critical", "x"))]

    played = await replayed(town, records, start + MINUTE)

    assert (dict(played.skipped), played.cases) == ({"gone": 1}, {})


async def test_nothing_recorded_comes_to_nothing(town: Town) -> None:
    assert await replayed(town, [], MONDAY_NOON) == Played()


@pytest.mark.parametrize("late", [0, 5])
async def test_a_line_that_stands_late_counts_as_of_where_it_stands(town: Town, late: int) -> None:
    start = town.clock.now()
    first = Signal(Instant(start + late * MINUTE), "apps", 1, Alert("firing", "a", "critical", "a"))
    second = Signal(start, "apps", 2, Alert("firing", "b", "critical", "b"))

    played = await replayed(town, [first, second], start + 10 * MINUTE)

    assert {case.opened_at for case in played.cases.values()} == {start + late * MINUTE}


def test_the_sample_week_is_the_same_each_time() -> None:
    assert week(500) == week(500)
    assert week(500, seed=2) != week(500)
    assert replace(week(10)[0]) == week(10)[0]
    assert Everything is not None
