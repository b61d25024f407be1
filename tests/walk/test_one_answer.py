"""Paging, the API, `tocsin oncall` and `explain` agree on who is on call, whatever was changed at run time."""

from __future__ import annotations

import asyncio
import random
from datetime import datetime
from typing import Any
from urllib.parse import quote

import pytest
from aiohttp import web
from aiohttp.test_utils import TestClient, TestServer

from tests.walk.conftest import Build
from tests.walk.town import Town
from tocsin.cli.known_overrides import known_overrides
from tocsin.cli.oncall import _moment, _window
from tocsin.decide.oncall.overrides import Asked
from tocsin.decide.oncall.reach import People
from tocsin.decide.whatif.explain import Facts, explain
from tocsin.errors import Refused
from tocsin.model import HOUR, MINUTE, Alert, Instant, Parsed, instant, rfc3339
from tocsin.web.app import make_app

EVENING = 1_792_864_800_000  # 2026-10-24T18:00Z: in the night the clocks of Paris go back
CONFIG = """
schedules:
  primary:
    timezone: Europe/Paris
    layers:
      - {name: turns, users: [ana, [bo, grace], bo], rotation: {every: 3h, start: 2026-10-24 09:00}}
      - {name: night, users: [grace, ana], rotation: {every: 1d, start: 2026-10-23 22:00}, hours: {from: 01:00, to: 02:30}}
    overrides: [{user: bo, replaces: ana, from: 2026-10-25 02:15, to: 2026-10-25 05:00}]
policies: {default: {steps: [{notify: [schedule:primary], wait: 5m}], repeat: 0}}
"""
WHO = ("ana", "bo", "grace")


async def change(town: Town, dice: random.Random) -> None:
    """Somebody steps in, or what was made is taken back; now and then it is refused."""
    known = await town.daemon.overrides.list("primary")
    start = Instant(town.clock.now() + dice.randint(-60, 300) * MINUTE)
    mode = dice.choice(["replace", "replace", "add", "remove"])
    asked: dict[str, Any] = {
        "start": rfc3339(start), "length": dice.randint(1, 240) * MINUTE, "mode": mode,
        "replaces": dice.choice([None, *WHO]) if mode == "replace" else None,
    }  # fmt: skip
    try:
        if known and dice.random() < 0.3:
            await town.daemon.overrides.remove(dice.choice(known).id, town.actor("bo"))
        else:
            await town.daemon.overrides.add(Asked("primary", (dice.choice(WHO),), **asked), town.actor("ana"))
    except Refused:
        pass


async def paged(town: Town, number: int) -> list[str]:
    before = len(town.told)
    incident = await town.alert(f"alert {number}")
    await town.resolve(incident or 0, "grace")
    found = {told.user for told in town.told[before:] if told.kind == "page" and told.page and told.page.step == 1}
    return sorted(found)


async def api(client: TestClient[web.Request, web.Application], bearer: str, path: str) -> Any:
    answer = await client.get(path, headers={"Authorization": f"Bearer {bearer}"})
    return await answer.json()


def planned(town: Town, people: People, at: Instant) -> list[str]:
    """Whom the first step of explain's plan pages."""
    live = town.daemon.runtime.live
    parsed = Parsed((Alert("firing", "explained", severity="critical", title="explained"),))
    source = live.settings.integrations["apps"]
    [one] = explain(live.settings, live.rulebook, source, parsed, at, Facts(people=people))
    return sorted({page.user for page in one.plan if page.step == 1 and page.at == at and page.user and page.channel})


@pytest.mark.parametrize("seed", range(3))
async def test_they_all_agree_at_every_sampled_minute(build: Build, seed: int) -> None:
    town, dice = await build(CONFIG, database="file", start=EVENING), random.Random(seed)
    settings = town.daemon.runtime.settings
    schedule = settings.schedules["primary"]
    _, bearer = await town.daemon.access.create("looks", "viewer", "ana")
    async with TestClient(TestServer(make_app(town.daemon))) as client:
        for number in range(12):
            await change(town, dice)
            await town.pass_quietly(minutes=dice.randint(1, 50))
            then = Instant(town.clock.now() + dice.randint(0, 600) * MINUTE)
            extra = await asyncio.to_thread(known_overrides, settings)

            for at in (town.clock.now(), then):
                [line] = (await api(client, bearer, f"/v1/oncall?at={quote(rfc3339(at))}"))["schedules"]
                *_, cli = _moment(schedule, rfc3339(at), extra)
                assert (tuple(line["users"]), line["layer"], line["because"]) == (cli.users, cli.layer, cli.because)
                assert planned(town, People(extra), at) == sorted(cli.users)
                assert planned(town, town.daemon.runtime.people(), at) == sorted(cli.users)
            *_, now = _moment(schedule, rfc3339(town.clock.now()), extra)
            assert await paged(town, number) == sorted(now.users)

        window = [rfc3339(at) for at in (town.start, Instant(town.clock.now() + 10 * HOUR))]
        shifts = await api(client, bearer, f"/v1/schedules/primary/shifts?from={window[0]}&to={window[1]}")
        assert shifts == _window(schedule, (window[0], window[1]), extra)
        await _and_each_shift_is_what_its_first_and_last_minute_say(client, bearer, shifts["shifts"])


async def _and_each_shift_is_what_its_first_and_last_minute_say(client: Any, bearer: str, shifts: list[Any]) -> None:
    for shift in shifts:
        start, end = (instant(datetime.fromisoformat(shift[name])) for name in ("start", "end"))
        for at in (start, Instant(end - 1000)):
            [line] = (await api(client, bearer, f"/v1/oncall?at={quote(rfc3339(at))}"))["schedules"]
            assert line["users"] == shift["users"]
