"""Kills while people are paged: each step is attempted (I2), no page more than twice (I3), acks hold (I5, I7)."""

from __future__ import annotations

import asyncio
import contextlib
import os
import random
import signal
import time
from dataclasses import dataclass, field

import aiohttp
import orjson

from tests.crash.sink import Sink
from tests.daemon import Daemon, until

CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [channel:last]
defaults: {policy: default}
integrations: {shop: {type: webhook, token: crash-token}}
channels:
  hook: {type: webhook, url: "{sink}", secret: crash-secret, allow_private: true}
  last: {type: webhook, url: "{sink}", secret: crash-secret, allow_private: true, to: last}
users:
  ana: {name: Ana, timezone: UTC, contacts: {hook: ana}}
  bo: {name: Bo, timezone: UTC, contacts: {hook: bo}}
policies:
  default: {steps: [{notify: [user:ana], wait: 2s}, {notify: [user:bo], wait: 2h}], repeat: 0, ack_timeout: never}
storm: {new_incidents: 1000000, within: 1m}
"""
RECOVERY = 10.0  # "within seconds of max(due, recovery)"
GRACE = 0.5  # 200 ms of the promise, and the time this process may have been kept from reading the call
ALERTS = 24  # new incidents in one life


def configuration(sink: Sink) -> str:
    """The lane's YAML with the sink's address in it."""
    return CONFIGURATION.replace("{sink}", sink.url)


@dataclass
class PagingLane:
    """One daemon, killed again and again while it pages; the sink is not killed and remembers everything."""

    daemon: Daemon
    sink: Sink
    seed: int
    opened: set[int] = field(default_factory=set)  # incidents whose post was answered 2xx
    asked: set[int] = field(default_factory=set)  # acks sent
    acked: dict[int, float] = field(default_factory=dict)  # acks answered, and when
    given_up: set[tuple[int, str]] = field(default_factory=set)
    killed: int = 0
    made: int = 0
    slowest: float = 0.0

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)
        self._point, self._passes = "", 0
        self.sink.on_call = lambda mood: self._passed("lost" if mood == "lost" else "called")

    async def run(self, kills: int) -> None:
        await self.daemon.token()
        while self.killed < kills:
            await self.daemon.launch()
            if self._chance.random() < 0.1:
                await self._kill_after(self._chance.uniform(0.05, 1.0))
                continue
            await self.daemon.until_ready()
            if self._chance.random() < 0.7:
                await self._until_paged("ana", RECOVERY)
                await self._acks_hold(list(self.acked)[-8:])
            await self._page_until_killed()
        await self.daemon.start()
        await self._until_paged("ana", RECOVERY)
        await self._until_paged("bo", RECOVERY)
        await self._acks_hold(list(self.acked))
        await self.daemon.kill()
        self._judge()

    # ------------------------------------------------------------------------------- one life

    async def _page_until_killed(self) -> None:
        """Half of the kills come at a random moment, the others just as something happened for the n-th time."""
        self._point = self._chance.choice(("", "", "", "answered", "called", "lost", "lost", "acknowledged"))
        self._passes = 1 if self._point == "lost" else self._chance.randint(1, 8)
        within = 1.5 if self._point else self._chance.uniform(0.01, 0.4)
        async with aiohttp.ClientSession() as session, asyncio.TaskGroup() as clients:
            for _ in range(4):
                clients.create_task(self._client(session, self._chance.random()))
            await self._kill_after(within)

    def _passed(self, point: str) -> None:
        """Called where a post was answered, a call arrived or got lost on its way, an ack was answered."""
        if point == self._point:
            self._passes -= 1
            if self._passes == 0:
                os.kill(self.daemon.pid, signal.SIGKILL)

    async def _client(self, session: aiohttp.ClientSession, seed: float) -> None:
        chance = random.Random(seed)
        try:
            for _ in range(ALERTS // 8):
                fresh = await self._post(session, chance.choice((1, 1, 2, 4)))
                self.opened |= fresh
                for number in fresh:
                    if chance.random() < 0.3:
                        await asyncio.sleep(chance.uniform(0, 0.03))
                        await self._acknowledge(session, number)
        except (aiohttp.ClientError, ConnectionError):
            return  # killed

    async def _post(self, session: aiohttp.ClientSession, count: int) -> set[int]:
        alerts = []
        for _ in range(count):
            self.made += 1
            alerts.append({"status": "firing", "dedup_key": f"p{self.seed}-{self.made}", "title": f"down {self.made}"})
        url = f"{self.daemon.url}/v1/webhooks/shop"
        headers = {"Authorization": "Bearer crash-token"}
        async with session.post(url, data=orjson.dumps({"alerts": alerts}), headers=headers) as answer:
            body = await answer.read()
            if answer.status != 202:
                raise AssertionError(f"seed {self.seed}: {answer.status} {body!r}\n{self.daemon.log[-3000:]}")
        self._passed("answered")
        return set(orjson.loads(body)["incidents"])

    async def _acknowledge(self, session: aiohttp.ClientSession, number: int) -> None:
        self.asked.add(number)
        url = f"{self.daemon.url}/v1/incidents/{number}/acknowledge"
        headers = {"Authorization": f"Bearer {self.daemon.bearer}"}
        async with session.post(url, json={"user": "ana"}, headers=headers) as answer:
            body = await answer.read()
            if answer.status != 200:
                raise AssertionError(f"seed {self.seed}: ack of {number}: {answer.status} {body!r}")
        self.acked[number] = time.monotonic()
        self._passed("acknowledged")

    async def _kill_after(self, seconds: float) -> None:
        """Kill it after `seconds`, or find it killed by then at the point that was chosen."""
        assert self.daemon.process is not None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                await self.daemon.process.wait()
        if self.daemon.process.returncode not in (None, -signal.SIGKILL):
            raise AssertionError(f"seed {self.seed}: it ended by itself:\n{self.daemon.log[-3000:]}")
        await self.daemon.kill()
        self._point = ""
        self.killed += 1

    # ------------------------------------------------------------------------------- promises

    async def _until_paged(self, user: str, within: float) -> None:
        """Everybody who must have been called about an incident nobody answered was called, soon."""
        started = time.monotonic()

        async def nobody_left_out() -> bool:
            return not await self._left_out(user)

        try:
            await until(nobody_left_out, within=within, what=f"{user} to be called about every triggered incident")
        except AssertionError as late:
            left = sorted(await self._left_out(user))
            story = await self.daemon.get(f"/v1/incidents/{left[0]}/timeline")
            pages = await self.daemon.get(f"/v1/incidents/{left[0]}/pages")
            raise AssertionError(
                f"seed {self.seed}, kill {self.killed}: {late}: {left}\n{story}\n{pages}\n{self.daemon.log[-3000:]}"
            ) from None
        self.slowest = max(self.slowest, time.monotonic() - started)

    async def _left_out(self, user: str) -> set[int]:
        """Incidents nobody answered, and about which this person was neither told nor called in vain twice."""
        told = {number for number, who in self.sink.told() if who == user}
        left = self.opened - self.asked - told
        return {number for number in left if not await self._called_twice(number, user)}

    async def _called_twice(self, number: int, user: str) -> bool:
        """Both attempts that I3 allows were started, and nobody knows what became of them: lost, or killed with."""
        if (number, user) not in self.given_up:
            for page in (await self.daemon.get(f"/v1/incidents/{number}/pages"))["pages"]:
                unknown = [attempt for attempt in page["attempts"] if attempt["outcome"] == "unknown"]
                if page["user"] == user and page["kind"] == "page" and len(unknown) == 2:
                    self.given_up.add((number, user))
        return (number, user) in self.given_up

    async def _acks_hold(self, numbers: list[int]) -> None:
        for number in numbers:
            incident = await self.daemon.get(f"/v1/incidents/{number}")
            assert (incident["status"], incident["acknowledged_by"]) == ("acknowledged", "ana"), (
                f"seed {self.seed}, kill {self.killed}: the ack of {number} is lost: {incident}"
            )
            entries = (await self.daemon.get(f"/v1/incidents/{number}/timeline"))["entries"]
            doors = [(entry["actor"], entry["via"]) for entry in entries if entry["kind"] == "acknowledged"]
            assert doors == [("user:ana", "api")], f"seed {self.seed}: what {number} tells of its ack: {doors}"

    def _judge(self) -> None:
        """What holds over all lives of the daemon, read from the sink's own memory."""
        often = [(key, [(c.answer, c.body["attempt"]) for c in calls]) for key, calls in self.sink.too_often()]
        assert not often, f"seed {self.seed}: called more than twice: {often[:3]}"
        late = [
            (call.incident, round(call.at - self.acked[call.incident], 3))
            for call in self.sink.calls
            if call.incident in self.acked and call.at > self.acked[call.incident] + GRACE
        ]
        assert not late, f"seed {self.seed}: called after the ack was answered (incident, seconds): {late[:5]}"


async def kill_during_paging(daemon: Daemon, sink: Sink, seed: int, kills: int) -> PagingLane:
    """Run one lane and return it for its figures."""
    lane = PagingLane(daemon, sink, seed)
    started = time.monotonic()
    await lane.run(kills)
    print(
        f"paging, seed {seed}: {lane.killed} kills in {time.monotonic() - started:.0f} s, {len(lane.opened)} incidents, "
        f"{len(sink.calls)} calls, {len(lane.acked)} acks, {len(lane.given_up)} called in vain, slowest recovery {lane.slowest:.1f} s"
    )
    return lane
