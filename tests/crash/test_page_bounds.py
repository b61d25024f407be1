"""What pages and lists of a large incident may cost the others: each is bounded, told where it ends, and made apart."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.crash.bounds import CONFIGURATION, SHOP, bounded, post, session
from tests.daemon import Daemon

pytestmark = pytest.mark.slow
MANY = 5_000


async def test_an_incident_of_many_pages_and_lines_holds_nobody_up(tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        await daemon.token(user="ana")
        async with session() as connections:
            body = orjson.dumps([{"title": "t", "dedup_key": "k", "severity": "critical", "service": "shop"}])
            assert (await post(connections, daemon, "shop", SHOP, body))[0] == 202
        await daemon.post("/v1/incidents/1/acknowledge", {})
        await daemon.stop()
        with sqlite3.connect(tmp_path / "tocsin.db") as database:
            for number in range(MANY):
                copied(database, "timeline", id=1_000_000 + number, incident=1)
                copied(database, "pages", id=f"p{number}", key=f"k{number}", incident=1)
        await daemon.start()

        async def load(_: Daemon, connections: aiohttp.ClientSession) -> Any:
            paths = [
                "/incidents/1",
                "/",
                "/schedules",
                "/silences",
                "/v1/incidents/1/pages",
                "/v1/incidents/1/timeline",
            ]
            return await asyncio.gather(*(text(daemon, connections, path) for path in paths * 4))

        said = await bounded(daemon, load)

        assert {status for status, _ in said} == {200}
        assert "There are more lines" in said[0][1]
        assert "There are more; <code>GET /v1/incidents/1/pages" in said[0][1]
        for name in ("pages", "timeline"):
            found = await whole(daemon, f"/v1/incidents/1/{name}")
            assert len(found) > MANY


async def test_many_silences_overrides_and_swaps_hold_nobody_up(tmp_path: Path) -> None:
    hourly = "{every: 1h, start: 2026-01-05 09:00}"
    layers = f"{{timezone: Europe/Lisbon, layers: [{{name: one, users: [ana, bo], rotation: {hourly}}}]}}"
    async with Daemon(tmp_path, CONFIGURATION + f"schedules: {{primary: {layers}}}\n") as daemon:
        await daemon.token(user="ana")
        matchers = [f'label{number}="value"' for number in range(50)]
        await daemon.post("/v1/silences", {"matchers": matchers, "for": "9h", "comment": "stays"})
        await daemon.post("/v1/schedules/primary/overrides", {"user": "bo", "for": "30d"})
        await daemon.stop()
        with sqlite3.connect(tmp_path / "tocsin.db") as database:
            ((last,),) = database.execute("select ends_at from overrides")
            swaps = "insert into swaps select ?, 'primary', 'ana', 'bo', ?, ?, null, null, '', 0, 'asked', null, null"
            for number in range(1_999):
                copied(database, "silences", id=f"s{number}")
            for number in range(999):
                copied(database, "overrides", id=f"o{number}", starts_at=last - number * 60_000)
            for number in range(MANY):
                database.execute(swaps, (f"w{number}", last, last + 60_000))
        await daemon.start()

        async def load(_: Daemon, connections: aiohttp.ClientSession) -> Any:
            lists = ["/v1/silences", "/v1/schedules/primary/overrides", "/v1/swaps", "/api/v2/silences"]
            paths = ["/silences", "/schedules/primary", "/docs", *lists]
            return await asyncio.gather(*(text(daemon, connections, path) for path in paths * 4))

        said = await bounded(daemon, load)

        assert {status for status, _ in said} == {200}
        assert "lists them all" in said[0][1]
        assert "lists them all" in said[1][1]
        assert len(orjson.loads(said[6][1])) == 2_000
        assert len(await whole(daemon, "/v1/swaps")) == MANY
        assert len(await whole(daemon, "/v1/silences")) == 2_000


def copied(database: sqlite3.Connection, table: str, **other: Any) -> None:
    """A row like the first of its table, but for these columns."""
    found = database.execute(f"select * from {table} limit 1")
    names, first = [column[0] for column in found.description], found.fetchone()
    row = {**dict(zip(names, first, strict=True)), **other}
    database.execute(f"insert into {table} values ({', '.join('?' * len(row))})", tuple(row.values()))


async def whole(daemon: Daemon, path: str) -> list[Any]:
    """All parts of a list, none longer than a thousand."""
    found: list[Any] = []
    cursor: str | None = ""
    while cursor is not None:
        answer = await daemon.get(path + (f"?cursor={cursor}" if cursor else ""))
        cursor = answer.pop("next")
        (part,) = answer.values()
        assert len(part) <= 1_001
        found += part
    return found


async def text(daemon: Daemon, connections: aiohttp.ClientSession, path: str) -> tuple[int, str]:
    async with connections.get(daemon.url + path, headers={"Authorization": f"Bearer {daemon.bearer}"}) as answer:
        return answer.status, await answer.text()
