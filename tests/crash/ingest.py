"""Kills while alerts come in: what was answered 2xx must be there afterwards, once, in the state last answered (I1)."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter
from dataclasses import dataclass, field

import aiohttp
import orjson

from tests.daemon import Daemon

TOKEN = "crash-token"  # of a daemon that lives for seconds
CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [channel:terminal]
defaults: {policy: default}
integrations: {shop: {type: webhook, token: crash-token}}
channels: {terminal: {type: console, to: terminal}}
users: {ana: {name: Ana, timezone: UTC, contacts: {terminal: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 5m}]}}
rules: [{name: nobody is paged here, match: ['title=~".*"'], hold: 1d}]
"""
CLIENTS = 6


@dataclass
class Told:
    """What this lane's clients were promised about one key."""

    state: set[str] = field(default_factory=lambda: {"firing"})  # states it may be in
    answered: int = 0  # firing posts answered 202
    sent: int = 0  # firing posts that were sent, answered or not


@dataclass
class IngestLane:
    """One daemon, killed again and again under load; `told` is the clients' memory over all its lives."""

    daemon: Daemon
    seed: int
    told: dict[str, Told] = field(default_factory=dict)
    killed: int = 0
    made: int = 0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)

    async def run(self, kills: int) -> None:
        """Kill it `kills` times, and look after each start; every promise ever made is checked once more at the end."""
        await self.daemon.token()
        while self.killed < kills:
            await self.daemon.launch()
            if self._chance.random() < 0.15:
                await self._kill_after(self._chance.uniform(0.05, 1.0))
                continue
            await self.daemon.until_ready()
            await self._look(recent=True)
            await self._load_until_killed()
        await self.daemon.start()
        await self._look(recent=False)
        await self.daemon.kill()

    async def _load_until_killed(self) -> None:
        """Closed loops post alerts until the daemon is gone; a post without an answer promises nothing."""
        async with (
            aiohttp.ClientSession(headers={"Authorization": f"Bearer {TOKEN}"}) as session,
            asyncio.TaskGroup() as clients,
        ):
            for _ in range(CLIENTS):
                clients.create_task(self._client(session, self._chance.random()))
            await self._kill_after(self._chance.uniform(0.02, 0.45))

    async def _kill_after(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        assert self.daemon.process is not None
        if self.daemon.process.returncode is not None:
            raise AssertionError(f"seed {self.seed}: it ended by itself:\n{self.daemon.log[-3000:]}")
        await self.daemon.kill()
        self.killed += 1

    async def _client(self, session: aiohttp.ClientSession, seed: float) -> None:
        chance = random.Random(seed)
        mine: list[str] = []
        try:
            while True:
                roll = chance.random()
                if roll < 0.15 and mine:
                    await self._resolve(session, mine.pop(chance.randrange(len(mine))))
                elif roll < 0.35 and mine:
                    await self._fire(session, chance.sample(mine, min(len(mine), 3)))
                else:
                    new = [self._new_key() for _ in range(chance.choice((1, 1, 2, 20)))]
                    await self._fire(session, new)
                    mine += new
        except (aiohttp.ClientError, ConnectionError):
            return  # killed

    def _new_key(self) -> str:
        self.made += 1
        return f"k{self.seed}-{self.made:07d}"

    async def _fire(self, session: aiohttp.ClientSession, keys: list[str]) -> None:
        for key in keys:
            self.told.setdefault(key, Told(state={"firing", "absent"})).sent += 1
        await self._post(session, [{"status": "firing", "dedup_key": key, "title": f"alert {key}"} for key in keys])
        for key in keys:
            self.told[key].answered += 1
            self.told[key].state = {"firing"}

    async def _resolve(self, session: aiohttp.ClientSession, key: str) -> None:
        self.told[key].state = {"firing", "resolved"}
        await self._post(session, [{"status": "resolved", "dedup_key": key}])
        self.told[key].state = {"resolved"}

    async def _post(self, session: aiohttp.ClientSession, alerts: list[dict[str, str]]) -> None:
        url = f"{self.daemon.url}/v1/webhooks/shop"
        async with session.post(url, data=orjson.dumps({"alerts": alerts})) as answer:
            body = await answer.read()
            if answer.status != 202 or orjson.loads(body)["accepted"] != len(alerts):
                raise AssertionError(f"seed {self.seed}: {answer.status} {body!r}\n{self.daemon.log[-3000:]}")

    async def _look(self, *, recent: bool) -> None:
        """Compare what is stored with what was promised: `recent`, only the newest few hundred alerts."""
        path = "/v1/alerts?integration=shop"
        if recent:
            rows = (await self.daemon.get(f"{path}&limit=200"))["alerts"]
            promised = dict(list(self.told.items())[-150:])
            if not promised.keys() <= {
                row["dedup_key"] for row in rows
            }:  # what was sent first is not always stored first
                rows = await self.daemon.every(path, "alerts")
        else:
            rows = await self.daemon.every(path, "alerts")
            promised = self.told
        self._compare({row["dedup_key"]: row for row in rows}, promised)
        twice = [key for key, count in Counter(row["dedup_key"] for row in rows).items() if count > 1]
        assert not twice, f"seed {self.seed}: stored twice: {twice[:5]}"

    def _compare(self, stored: dict[str, dict[str, object]], promised: dict[str, Told]) -> None:
        for key, told in promised.items():
            row = stored.get(key)
            state = "absent" if row is None else str(row["status"])
            where = f"seed {self.seed}, kill {self.killed}, {key} ({told}): {row}"
            assert state in told.state, f"answered 2xx and not found as promised: {where}"
            if row is None:
                continue
            assert row["incident"], f"an alert without its incident: {where}"
            least = told.answered if state == "firing" else 1  # what has ended is not counted again after a crash
            assert least <= int(str(row["count"])) <= told.sent, f"miscounted: {where}"


async def kill_during_ingest(daemon: Daemon, seed: int, kills: int) -> IngestLane:
    """Run one lane and return it for its figures."""
    lane = IngestLane(daemon, seed)
    started = time.monotonic()
    await lane.run(kills)
    answered = sum(told.answered for told in lane.told.values())
    print(
        f"ingest, seed {seed}: {lane.killed} kills in {time.monotonic() - started:.0f} s, {answered} alerts answered 2xx"
    )
    return lane
