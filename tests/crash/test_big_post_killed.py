"""kill -9 in the middle of a big post, which is decided in parts: after its sender's retry nothing is missing or double."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import orjson
import pytest

from tests.crash.sink import Sink
from tests.daemon import Daemon, until

CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [channel:hook]
defaults: {policy: default}
integrations: {shop: {type: webhook, token: crash-token}}
channels: {hook: {type: webhook, url: "{sink}", secret: crash-secret, allow_private: true, to: ana}}
users: {ana: {name: Ana, timezone: UTC, contacts: {hook: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 2h}], repeat: 0, ack_timeout: never}}
storm: {new_incidents: 1000000, within: 1m}
rules: [{name: one incident a cluster, match: ['cluster=~".+"'], group_by: [cluster]}]
"""
ALERTS = 2_800  # seven parts
CLUSTERS = 7  # the incidents of nearly all of them, touched by each part
ALONE = 97  # of so many alerts one has an incident of its own
ROUNDS = [(1,), (3, 4), (9,), (2, 1, 1), (5,), (14,)]
"""Each a post, killed as this call of it arrives or some moments later, as often as there are numbers."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(120)]


async def test_every_alert_is_there_once_and_no_incident_pages_twice(tmp_path: Path) -> None:
    await kill_big_posts(tmp_path, "sqlite:tocsin.db")


@pytest.mark.peers
async def test_the_same_on_postgresql(tmp_path: Path, postgres_url: str) -> None:
    await kill_big_posts(tmp_path, postgres_url)


async def kill_big_posts(folder: Path, database: str) -> None:
    chance, seen = random.Random(int(os.environ.get("TOCSIN_SEED", "1"))), []
    async with Sink(1, {"200": 9, "slow": 1}) as sink:
        daemon = Daemon(folder, CONFIGURATION.replace("{sink}", sink.url), database)
        await daemon.token()
        try:
            for number, calls in enumerate(ROUNDS if os.environ.get("TOCSIN_FULL") else ROUNDS[:2]):
                body = post_of(number)
                for call in calls:
                    await daemon.start()
                    await killed_within(daemon, sink, body, call, chance.choice((0, chance.uniform(0, 0.1))))
                await daemon.start()
                seen.append(len(await stored(daemon, number)))
                await sent(daemon, body)
                await look(daemon, sink, number, len(calls) + 1)
                await daemon.kill()
        finally:
            await daemon.kill()
    print(f"stored as it was killed, of {ALERTS}: {seen}")
    assert any(0 < count < ALERTS for count in seen), f"no kill came in the middle: {seen}"


def post_of(number: int) -> bytes:
    """Most alerts share a few incidents, which each part touches; some have one of their own."""
    return orjson.dumps([
        {
            "title": f"down {n}", "dedup_key": f"{number}-{n}", "severity": "critical",
            "labels": {} if n % ALONE == 0 else {"cluster": f"{number}-{n % CLUSTERS}"},
        }
        for n in range(ALERTS)
    ])  # fmt: skip


async def killed_within(daemon: Daemon, sink: Sink, body: bytes, calls: int, later: float) -> None:
    """Send the post, and kill the daemon as the n-th call of it arrives, or some moments later."""
    loop, left = asyncio.get_running_loop(), [calls]

    def called(_: str) -> None:
        left[0] -= 1
        if left[0] == 0:
            loop.call_later(later, os.kill, daemon.pid, signal.SIGKILL)

    sink.on_call = called
    with contextlib.suppress(aiohttp.ClientError, ConnectionError):  # one that was answered before is sent again, too
        await sent(daemon, body)
    assert daemon.process is not None
    with contextlib.suppress(TimeoutError):  # all may have been paged in an earlier life
        async with asyncio.timeout(2):
            await daemon.process.wait()
    await daemon.kill()
    sink.on_call = lambda _: None


async def sent(daemon: Daemon, body: bytes) -> None:
    headers = {"Authorization": "Bearer crash-token"}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{daemon.url}/v1/webhooks/shop", data=body) as answer,
    ):
        said = await answer.read()
        assert answer.status == 202, f"{answer.status} {said[:300]!r}\n{daemon.log[-3000:]}"
        assert orjson.loads(said)["accepted"] == ALERTS


async def stored(daemon: Daemon, number: int) -> list[dict[str, Any]]:
    """The alerts of this post, which are the newest."""
    found: list[dict[str, Any]] = []
    before = ""
    while True:
        part = await daemon.get(f"/v1/alerts?limit=200{before}")
        mine = [row for row in part["alerts"] if row["dedup_key"].startswith(f"{number}-")]
        found += mine
        if part["next"] is None or len(mine) < len(part["alerts"]):
            return found
        before = f"&cursor={part['next']}"


async def look(daemon: Daemon, sink: Sink, number: int, most: int) -> None:
    """What the sender was promised, and what the people were called about."""
    rows = await stored(daemon, number)
    assert sorted(row["dedup_key"] for row in rows) == sorted(f"{number}-{n}" for n in range(ALERTS))
    assert {row["status"] for row in rows} == {"firing"}
    assert {row["count"] for row in rows} <= set(range(1, most + 1)), f"each was sent {most} times"
    incidents = Counter(row["incident"] for row in rows)
    alone = -(-ALERTS // ALONE)
    assert None not in incidents
    assert len(incidents) == CLUSTERS + alone
    assert sum(count == 1 for count in incidents.values()) == alone

    await until(lambda: {one for one, _ in sink.told()} >= incidents.keys(), within=20, what="a page for each incident")
    calls = Counter(call.incident for call in sink.calls)
    for incident in incidents:
        pages = [
            page for page in (await daemon.get(f"/v1/incidents/{incident}/pages"))["pages"] if page["kind"] == "page"
        ]
        steps = Counter(page["step"] for page in pages)
        assert steps[1] == 1, f"paged twice for incident {incident}: {pages}"
        lost = pages[0]["outcome"] == "unknown"  # killed in both calls: then the catch-all has its turn
        assert steps == ({1: 1, 0: 1} if lost and len(pages) > 1 else {1: 1}), f"incident {incident}: {pages}"
        unknown = sum(attempt["outcome"] == "unknown" for page in pages for attempt in page["attempts"])
        assert calls[incident] <= 1 + unknown, f"called {calls[incident]} times about incident {incident}: {pages}"
