"""The sample week, lived by a daemon and replayed, comes to the same numbers, and a rule's effect shows.

A merge waits for its first hours; `TOCSIN_WEEK=50000 python -m pytest tests/walk/test_sample_week.py -s` has all of it (some minutes).
"""

from __future__ import annotations

import os
from typing import Any

import pytest

from tests.walk.conftest import Build
from tests.walk.test_replay import lived, replayed
from tests.week import week
from tocsin.decide.whatif.outcomes import figures
from tocsin.decide.whatif.recordings import Signal
from tocsin.model import HOUR, Instant

COUNT = int(os.environ.get("TOCSIN_WEEK", "2000"))
AS_IT_IS = """
throttle: {sms: [1000/1m]}
rules: [{name: nodes, match: ['alertname="NodeDown"'], group_by: [alertname, cluster]}]
"""
TRIED = """
throttle: {sms: [1000/1m]}
rules:
  - {name: nodes, match: ['alertname="NodeDown"'], group_by: [alertname, cluster]}
  - {name: warnings heal, match: ['severity="warning"'], hold: 2m}
"""


def over(status: str) -> bool:
    """A replay leaves closing to time: a resolved one is over."""
    return status in ("resolved", "closed")


@pytest.mark.slow
@pytest.mark.timeout(1200)  # a week by the second
async def test_the_sample_week_lived_and_replayed_comes_to_the_same_numbers(build: Build) -> None:
    town = await build(AS_IT_IS)
    start = Instant(town.clock.now())
    records: list[Any] = [one for one in week(50_000, start=start) if isinstance(one, Signal)][:COUNT]
    until = records[-1].received_at + HOUR

    told = await lived(town, records, until)
    played = await replayed(town, records, until)

    assert len(records) > COUNT - 1_000
    assert sorted(
        (case.key, case.opened_at, case.alerts, over(case.status)) for case in played.cases.values()
    ) == sorted((one.key, one.created_at, one.total, over(one.status)) for one in await town.incidents())
    before = figures(played)
    assert before.pages == len(told) + len(town.summaries)

    town.configure(TRIED)
    after = figures(await replayed(town, records, until))
    print(f"\n{len(records)} alerts: {before} then {after}")
    assert after.incidents == before.incidents
    assert after.healed > before.healed
    assert after.pages < before.pages
