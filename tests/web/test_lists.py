"""Lists of what people made, read in parts over the API: none left out, none told twice, whatever happens meanwhile."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.store.facts import override, silence, swap
from tests.web.conftest import Client
from tests.web.real import running
from tests.web.test_whole import CONFIGURATION
from tocsin.contracts import Tx
from tocsin.model import DAY, HOUR, Instant
from tocsin.web.ui.html import LINES
from tocsin.web.ui.silences import LIVE_SHOWN
from tocsin.wiring import Daemon

MANY = 25
LISTS = {
    "silences": ("/v1/silences?active=true&", silence, "add_silence"),
    "overrides": ("/v1/schedules/primary/overrides?", override, "add_override"),
    "swaps": ("/v1/swaps?user=bo&", swap, "add_swap"),
}


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with running(
        tmp_path, CONFIGURATION.replace(', public_url: "https://tocsin.larkspur.example"', "")
    ) as daemon:
        yield daemon


async def put(daemon: Daemon, verb: str, values: list[Any]) -> None:
    async def work(tx: Tx) -> None:
        for one in values:
            getattr(tx, verb)(one)

    await daemon.store.write(work)


def lasting(daemon: Daemon, make: Callable[..., Any], name: str, made: int = 0) -> Any:
    now = daemon.clock.now()
    return make(name, created_at=Instant(now + made), starts_at=Instant(now + HOUR), ends_at=Instant(now + DAY))


@pytest.mark.parametrize("what", LISTS)
async def test_a_list_in_parts_is_whole_though_some_are_made_and_some_end_between_them(
    client: Client, daemon: Daemon, what: str
) -> None:
    path, make, verb = LISTS[what]
    headers = {"Authorization": f"Bearer {(await daemon.access.create('wall', 'viewer', None))[1]}"}
    await put(daemon, verb, [lasting(daemon, make, f"k{n:02}", made=n // 4) for n in range(MANY)])

    told: list[str] = []
    cursor: str | None = ""
    part = 0
    while cursor is not None:
        answer = await (await client.get(f"{path}limit=4&cursor={cursor}", headers=headers)).json()
        told += [one["id"] for one in answer[what]]
        assert len(answer[what]) <= 4
        cursor, part = answer["next"], part + 1
        over = make(told[0], ends_at=daemon.clock.now(), starts_at=Instant(0))  # would move all the others up by one
        await put(daemon, verb, [over, lasting(daemon, make, f"new{part}", made=-HOUR if what != "silences" else HOUR)])

    assert sorted(told) == [f"k{n:02}" for n in range(MANY)]


@pytest.mark.parametrize("path", [each[0] for each in LISTS.values()])
@pytest.mark.parametrize(
    "cursor", ["7", "x", "1.", ".x", "1.é", "-1.x", "1.x.y", f"{'9' * 19}.x", "1.%00", f"1.{'x' * 65}"]
)
async def test_a_cursor_that_no_answer_gave_is_refused(client: Client, daemon: Daemon, path: str, cursor: str) -> None:
    headers = {"Authorization": f"Bearer {(await daemon.access.create('wall', 'viewer', None))[1]}"}
    assert (await client.get(f"{path}cursor={cursor}", headers=headers)).status == 400


async def test_pages_show_the_first_and_say_where_all_are(client: Client, daemon: Daemon) -> None:
    await put(daemon, "add_silence", [lasting(daemon, silence, f"s{n:03}") for n in range(LIVE_SHOWN + 1)])
    await put(daemon, "add_override", [lasting(daemon, override, f"o{n:03}") for n in range(LINES + 1)])

    silences, schedule = [await (await client.get(path)).text() for path in ("/silences", "/schedules/primary")]

    assert f"More than {LIVE_SHOWN} silences" in silences
    assert "<code>GET /v1/silences?active=true</code> lists them all" in silences
    assert silences.count("<code>s") == LIVE_SHOWN
    assert "<code>GET /v1/schedules/primary/overrides</code> lists them all" in schedule
    assert schedule.count("<code>o") == LINES


async def test_alertmanagers_list_has_all_that_have_not_ended_and_those_of_the_last_five_days(
    client: Client, daemon: Daemon
) -> None:
    now = daemon.clock.now()
    old = [silence(f"old{n}", starts_at=Instant(0), ends_at=Instant(now - DAY * (n + 4))) for n in range(4)]
    await put(daemon, "add_silence", [*old, *(lasting(daemon, silence, f"s{n:04}") for n in range(1_201))])
    headers = {"Authorization": f"Bearer {(await daemon.access.create('wall', 'viewer', None))[1]}"}

    listed = await (await client.get("/api/v2/silences", headers=headers)).json()
    beyond = await client.get("/api/v2/silence/old3", headers=headers)

    assert [one["id"] for one in listed] == ["old0", *(f"s{n:04}" for n in range(1_201))]
    assert (beyond.status, (await beyond.json())["status"]["state"]) == (200, "expired")
