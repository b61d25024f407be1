"""What one sender or reader may cost the others, with a real daemon: bytes, seconds of the loop, and nobody's page."""

from __future__ import annotations

import asyncio
import gzip
import itertools
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from urllib.parse import quote

import aiohttp
import orjson
import pytest
from yarl import URL

from tests.crash.bounds import CONFIGURATION, FLOOD, bounded, memory_peak, post, session
from tests.daemon import Daemon

pytestmark = pytest.mark.slow
_round = itertools.count()


@pytest.fixture
async def daemon(tmp_path: Path) -> AsyncIterator[Daemon]:
    async with Daemon(tmp_path, CONFIGURATION) as one:
        await one.token(user="ana")
        yield one


async def test_posts_of_twenty_thousand_alerts_let_another_senders_page_between_them(daemon: Daemon) -> None:
    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        said = await asyncio.gather(*(flood(daemon, session, many(20_000)) for _ in range(4)))
        return Counter(status for status, _ in said)

    assert await bounded(daemon, load) == {202: 4}


async def test_three_hundred_large_posts_at_once_neither_fill_the_memory_nor_delay_another_sender(
    daemon: Daemon,
) -> None:
    body = orjson.dumps([{"title": "t", "description": "x" * 3_000, "dedup_key": f"k{n}"} for n in range(1_200)])
    before = memory_peak(daemon.pid)

    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        return await asyncio.gather(*(flood(daemon, session, body) for _ in range(300)))

    said = await bounded(daemon, load)

    assert {status for status, _ in said} <= {202, 429, 0}
    assert all(headers["Retry-After"] for status, headers in said if status == 429)
    assert any(status == 202 for status, _ in said)
    assert memory_peak(daemon.pid) - before < 200, "MiB"


async def test_bodies_that_inflate_to_much_are_counted_as_what_they_become(daemon: Daemon) -> None:
    bomb = gzip.compress(orjson.dumps([{"title": "t" * 60_000, "dedup_key": f"k{n}"} for n in range(60)]))
    before = memory_peak(daemon.pid)

    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        return await asyncio.gather(*(flood(daemon, session, bomb, **{"Content-Encoding": "gzip"}) for _ in range(100)))

    assert {status for status, _ in await bounded(daemon, load)} <= {202, 429}
    assert memory_peak(daemon.pid) - before < 200, "MiB"


def many(count: int) -> bytes:
    """A post of so many small alerts, each a new one."""
    fresh = next(_round)
    return orjson.dumps([{"title": "t", "dedup_key": f"{fresh}-{n}", "severity": "info"} for n in range(count)])


async def flood(daemon: Daemon, session: aiohttp.ClientSession, body: bytes, **headers: str) -> tuple[int, Any]:
    return await post(session, daemon, "flood", FLOOD, body, **headers)


# ------------------------------------------------------------------------------- patterns and lists

HOSTILE = (r"(?i)\pL{300}", r"(?i)(\pL+\pN*){20}", r"(\pL{30}){4}", "(x{1000}){1,1}", r"(?i)[\pL\pN]{99}")


@pytest.mark.parametrize("count", [20, 150])
async def test_filters_of_costly_patterns_are_refused_and_hold_nobody_up(daemon: Daemon, count: int) -> None:
    await flood_once(daemon, 500)

    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        paths = [
            f"/api/v2/{what}?" + "&".join([f"filter={quote(f'a=~{pattern}')}"] * count)
            for what in ("alerts", "alerts/groups", "silences")
            for pattern in HOSTILE
        ]
        return await asyncio.gather(*(get(daemon, session, path) for path in paths))

    assert {status for status, _ in await bounded(daemon, load)} <= {200, 400}


async def test_silences_of_costly_patterns_are_refused_whichever_door_they_come_through(daemon: Daemon) -> None:
    ends = "2027-12-31T00:00:00Z"

    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        said = []
        for pattern in HOSTILE:
            texts = [f'l{number}=~"{pattern}"' for number in range(50)]
            shapes = [{"name": f"l{number}", "value": pattern, "isRegex": True} for number in range(64)]
            ours = {"matchers": texts, "for": "1h", "comment": "c"}
            theirs = {"matchers": shapes, "startsAt": "2026-01-01T00:00:00Z", "endsAt": ends, "comment": "c"}
            said += [await send(daemon, session, "/v1/silences", ours)]
            said += [await send(daemon, session, "/api/v2/silences", theirs)]
        return said

    said = await bounded(daemon, load)
    assert {422} <= set(said) <= {201, 200, 422, 409}


async def test_silences_that_were_kept_with_costly_patterns_do_not_hold_a_restart(tmp_path: Path) -> None:
    began = time.monotonic()
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        usual = time.monotonic() - began
        await daemon.token(user="ana")
        await daemon.post("/v1/silences", {"matchers": ['service="db"'], "for": "10h", "comment": "stays"})
        await daemon.stop()
        with sqlite3.connect(tmp_path / "tocsin.db") as database:
            row = dict(zip(*columns_and_row(database), strict=True))
            for number, pattern in enumerate(HOSTILE * 20):
                texts = orjson.dumps([f'l{one}=~"{pattern}"' for one in range(64)]).decode()
                kept = {**row, "id": f"s{number}", "matchers": texts}
                database.execute(f"insert into silences values ({', '.join('?' * len(kept))})", tuple(kept.values()))

        began = time.monotonic()
        await daemon.start()
        took = time.monotonic() - began

        assert took < 2 * usual + 2, f"the start took {took:.1f} s, without them {usual:.1f} s"
        assert "silence_unreadable" in daemon.log
        status, listed = await daemon.ask("GET", "/api/v2/silences")
        assert (status, len(listed)) == (200, 101)
        assert len((await daemon.get("/v1/silences"))["silences"]) == 101


def columns_and_row(database: sqlite3.Connection) -> tuple[list[str], tuple[Any, ...]]:
    found = database.execute("select * from silences")
    return [column[0] for column in found.description], found.fetchone()


async def test_lists_of_all_that_fires_are_whole_and_hold_nobody_up(daemon: Daemon) -> None:
    await flood_once(daemon, 12_000)

    async def load(_: Daemon, session: aiohttp.ClientSession) -> Any:
        paths = ["/api/v2/alerts", "/api/v2/alerts/groups"] * 5
        return await asyncio.gather(*(get(daemon, session, path) for path in paths))

    said = await bounded(daemon, load)

    assert {status for status, _ in said} == {200}
    assert min(len(body) for _, body in said[::2]) >= 12_000
    assert min(sum(len(group["alerts"]) for group in body) for _, body in said[1::2]) >= 12_000
    oldest = quote('alertname="t"')
    _, filtered = await daemon.ask("GET", f"/api/v2/alerts?filter={oldest}")
    assert len(filtered) == 12_000, "filters are applied to all that fires, not to the newest"


async def flood_once(daemon: Daemon, count: int) -> None:
    async with session() as connections:
        assert (await flood(daemon, connections, many(count)))[0] == 202


async def get(daemon: Daemon, session: aiohttp.ClientSession, path: str) -> tuple[int, Any]:
    url = URL(daemon.url + path, encoded=True)
    async with session.get(url, headers={"Authorization": f"Bearer {daemon.bearer}"}) as answer:
        body = await answer.read()
        return answer.status, orjson.loads(body) if answer.status == 200 else body[:200]


async def send(daemon: Daemon, session: aiohttp.ClientSession, path: str, body: Any) -> int:
    headers = {"Authorization": f"Bearer {daemon.bearer}", "Content-Type": "application/json"}
    async with session.post(daemon.url + path, data=orjson.dumps(body), headers=headers) as answer:
        await answer.read()
        return answer.status


async def test_two_years_of_hourly_shifts_hold_nobody_up(tmp_path: Path) -> None:
    hourly = "{every: 1h, start: 2026-01-05 09:00}"
    layers = f"{{timezone: Europe/Lisbon, layers: [{{name: one, users: [ana, bo], rotation: {hourly}}}]}}"
    async with Daemon(tmp_path, CONFIGURATION + f"schedules: {{primary: {layers}}}\n") as daemon:
        await daemon.token(user="ana")

        async def load(_: Daemon, connections: aiohttp.ClientSession) -> Any:
            paths = ["/v1/schedules/primary/shifts?from=2026-01-05T09:00:00Z&to=2028-01-04T09:00:00Z"] * 3
            paths += ["/v1/schedules/primary.ics", "/v1/users/ana.ics", "/v1/oncall"] * 2
            return await asyncio.gather(*(raw(daemon, connections, path) for path in paths))

        assert {status for status, _ in await bounded(daemon, load)} == {200}


async def raw(daemon: Daemon, connections: aiohttp.ClientSession, path: str) -> tuple[int, int]:
    async with connections.get(daemon.url + path, headers={"Authorization": f"Bearer {daemon.bearer}"}) as answer:
        return answer.status, len(await answer.read())
