"""Storms, whatever comes in whatever order: nobody is paged for what is taken in, and in the end nothing was hidden."""

from __future__ import annotations

import asyncio
import tempfile
from pathlib import Path

import structlog
from hypothesis import HealthCheck, Phase, example, given, settings
from hypothesis import strategies as st

from tests.walk.town import Town

CONFIG = """
storm: {new_incidents: 2, within: 1m}
throttle: {sms: [2/1m, 20/15m]}
services: {shop: {owner: platform}, vault: {impact: high}}
rules: [{name: held, match: ['held="yes"'], hold: 20s}]
policies: {default: {steps: [{notify: [user:ana], wait: 600m}], repeat: 0, ack_timeout: never}}
"""
KEYS = st.integers(0, 20)
ALERT = st.tuples(
    st.just("alert"), KEYS, st.sampled_from(["critical", "error", "error", "warning"]),
    st.sampled_from(["shop", "shop", "shop", "vault"]), st.booleans(),
)  # fmt: skip
STEPS = st.one_of(
    ALERT, ALERT, ALERT,
    st.tuples(st.just("burst"), KEYS, st.sampled_from(["error", "critical"]), st.sampled_from(["shop", "vault"])),
    st.tuples(st.just("clear"), KEYS),
    st.tuples(st.just("answer"), st.sampled_from(["ack", "resolve"]), st.booleans(), st.integers(0, 5)),
    st.tuples(st.just("wait"), st.sampled_from([1, 1, 5, 20, 70])),
    st.tuples(st.just("silence"), KEYS),
    st.tuples(st.just("crash")),
)  # fmt: skip


@example(  # a storm resolved by hand, and the next one of its scope before anybody looked after the first
    [("burst", 4, "critical", "vault"), ("crash",), ("silence", 2), ("wait", 20), ("answer", "resolve", True, 2),
     ("burst", 5, "critical", "vault"), ("crash",), ("alert", 0, "critical", "vault", True)],
    78,
)  # fmt: skip
@given(st.lists(STEPS, min_size=5, max_size=25), st.integers(0, 1000))
@settings(
    max_examples=8, deadline=None, suppress_health_check=list(HealthCheck),
    phases=(Phase.explicit, Phase.reuse, Phase.generate),
)  # fmt: skip
def test_nobody_is_paged_for_what_a_storm_took_in_and_nothing_stays_hidden(
    steps: list[tuple[object, ...]], seed: int
) -> None:
    with tempfile.TemporaryDirectory() as folder, structlog.testing.capture_logs():
        asyncio.run(story(Path(folder), steps, seed))


async def story(folder: Path, steps: list[tuple[object, ...]], seed: int) -> None:
    town = await Town.open(folder, CONFIG, seed=seed, database="file")
    for step in steps:
        await take(town, step)
        assert [told for told in town.told if told.kind == "page" and told.of is not None and told.of.muted_by] == []
    await town.pass_time(minutes=6)
    for incident in await town.incidents():
        assert not (incident.muted_by or "").startswith("storm:"), f"INC {incident.number} is still hidden: {steps}"
        if incident.status == "triggered" and incident.muted_by is None:
            told = [attempts for page, attempts in await town.pages_planned(incident.number) if page.kind == "page"]
            assert any(told), f"nobody was ever told of INC {incident.number}: {steps}"
    await town.end()


async def take(town: Town, step: tuple[object, ...]) -> None:
    match step:
        case ("alert", int(key), str(severity), str(service), bool(held)):
            labels = {"held": "yes"} if held else {}
            await town.alert(f"trouble {key}", severity, service=service, labels=labels)
        case ("burst", int(first), str(severity), str(service)):
            for key in range(first, first + 5):
                await town.alert(f"trouble {key}", severity, service=service)
        case ("clear", int(key)):
            await town.clear(f"trouble {key}")
        case ("answer", str(verb), bool(to_storm), int(which)):
            there = [one for one in await town.incidents() if one.open and one.key.startswith("storm/") == to_storm]
            if there:
                await getattr(town, verb)(there[which % len(there)].number)
        case ("wait", int(seconds)):
            await town.pass_time(seconds=seconds)
        case ("silence", int(key)):
            await town.silence(f'title="trouble {key}"', minutes=2)
        case _:
            await town.restart()
