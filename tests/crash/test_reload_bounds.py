"""What reading a configuration again may cost those who wait for the loop: nothing they notice."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from tests.crash.bounds import CONFIGURATION, bounded
from tests.daemon import Daemon, until

pytestmark = pytest.mark.slow

COSTLY = (r"(?i)(\pL+\pN*){20}", r"(?i)[\pL\pN]{90}", r"(?i)\pL{60}")  # as much as a configuration may ask for


def large(count: int = 2_000) -> str:
    """Rules with patterns and templates, services, schedules, and inhibitions: each a new one."""
    rules = [
        f'  - {{name: r{n}, match: [\'service=~"web{n}-.*"\', \'team="t{n}"\'], set: {{title: "{{{{ service | upper }}}} {n}"}}}}'
        for n in range(count)
    ]
    rota = "{timezone: Europe/Lisbon, layers: [{name: one, users: [ana, bo], rotation: {every: 1d, start: 2026-01-05 09:00}}]}"
    schedules = [f"  s{n}: {rota}" for n in range(count // 20)]
    quiet = [
        f"  - {{name: i{n}, source: ['a=~\"x{n}.*\"'], target: ['b=~\"y{n}.*\"'], equal: [service]}}"
        for n in range(count // 10)
    ]
    return "\n".join([*rules, "schedules:", *schedules, "inhibitions:", *quiet, ""])


def costly(count: int = 60) -> str:
    patterns = [json.dumps(f'a=~"{COSTLY[n % len(COSTLY)]}{n}"') for n in range(count)]
    return "\n".join(f"  - {{name: c{n}, match: [{one}], set: {{title: x}}}}" for n, one in enumerate(patterns)) + "\n"


@pytest.mark.parametrize("text", [large(), costly()], ids=["2,000 rules", "costly patterns"])
async def test_a_large_configuration_read_again_holds_nobody_up(tmp_path: Path, text: str) -> None:
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        await daemon.token(user="ana", role="admin")
        daemon.main.write_text(daemon.main.read_text() + text)

        async def load(_: Daemon, connections: aiohttp.ClientSession) -> Any:
            seen = daemon.log.count('"reloaded"')
            status = await reload(daemon, connections)
            os.kill(daemon.pid, signal.SIGHUP)
            await until(lambda: daemon.log.count('"reloaded"') >= seen + 2, within=90, what="the second reload")
            return status

        assert await bounded(daemon, load) == 200


async def test_a_configuration_of_mistakes_alone_holds_nobody_up(tmp_path: Path) -> None:
    async with Daemon(tmp_path, CONFIGURATION) as daemon:
        await daemon.token(user="ana", role="admin")
        hostile = "\n".join(
            f"  - {{name: h{n}, match: ['a=~\"(?i)(\\pL{{99}}){{{n % 9 + 2}}}\"'], sett: 1}}" for n in range(400)
        )
        daemon.main.write_text(daemon.main.read_text() + hostile + "\n")

        async def load(_: Daemon, connections: aiohttp.ClientSession) -> Any:
            return await asyncio.gather(*(reload(daemon, connections) for _ in range(2)))

        assert await bounded(daemon, load) == [422, 422]


async def reload(daemon: Daemon, connections: aiohttp.ClientSession) -> int:
    headers = {"Authorization": f"Bearer {daemon.bearer}", "Content-Type": "application/json"}
    async with connections.post(daemon.url + "/v1/reload", data=b"{}", headers=headers) as answer:
        print((await answer.text())[:300])
        return answer.status
