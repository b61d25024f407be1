"""A storm: 100,000 distinct alerts of one service in a minute, each of which would page; and something else breaks.

Nothing of paging is configured but people and policies: storm and limits are the defaults. Ana's messages go over a
channel with the limits of an SMS, and she has another one without. Ten times something unrelated and critical happens
to a service of Bo's, and once to another one of Ana's. When the storm is over all that it took in still fires and goes
on to page: then once more something breaks.
"""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks import bodies, servers
from benchmarks.load import Report, at_rate, post
from benchmarks.row import Bench, Row, at_least, at_most
from benchmarks.sink import Sink, sink
from tests.daemon import Daemon, until

PATH, OTHER = "/v1/webhooks/bench", "/v1/webhooks/other"
CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [user:bo]
defaults: {policy: ana}
integrations:
  bench: {type: alertmanager, token: bench-token}
  other: {type: alertmanager, token: other-token, set: {service: vault}}
  hers: {type: alertmanager, token: hers-token, set: {service: lift, policy: ana}}
channels:
  text: {type: webhook, url: "http://127.0.0.1:{sink}/page", secret: bench-secret, allow_private: true}
  desk: {type: webhook, url: "http://127.0.0.1:{sink}/page", secret: bench-secret, allow_private: true}
throttle: {text: [1/1m, 5/15m, 11/1h]}
users:
  ana: {name: Ana, timezone: UTC, contacts: {text: ana, desk: ana}, notify: {high: [{by: text}]}}
  bo: {name: Bo, timezone: UTC, contacts: {desk: bo}}
policies:
  ana: {steps: [{notify: [user:ana], wait: 1d}], repeat: 0}
  bo: {steps: [{notify: [user:bo], wait: 1d}], repeat: 0}
services:
  checkout: {policy: ana}
  vault: {policy: bo, impact: high}
  lift: {policy: ana, impact: high}
"""
SECONDS = 60
EACH = 10  # alerts a post, as Alertmanager groups them


@dataclass
class Beside:
    """What else broke, and when it was posted."""

    sent: dict[str, float] = field(default_factory=dict)
    peak: float = 0.0
    over: bool = False


async def hundred_thousand_in_a_minute(bench: Bench) -> list[Row]:
    count = bench.size(100_000, 5_000)
    seconds = SECONDS if not bench.quick else 3
    async with sink() as journal:
        text = CONFIGURATION.replace("{sink}", str(journal.port))
        async with Daemon(bench.place("storm"), text) as daemon:
            report, beside = await _storm(bench, daemon, count, seconds)
            await until(lambda: _all_arrived(journal, beside), within=30, what="pages about what else broke")
            rows = _rows(daemon, journal, report, beside, count, seconds)
            return rows if bench.quick else [*rows, *await _aftermath(bench, daemon, journal)]


async def _storm(bench: Bench, daemon: Daemon, count: int, seconds: int) -> tuple[Report, Beside]:
    keys, beside = bench.keys(count), Beside()
    requests = [
        post(daemon.port, PATH, bodies.webhook(keys[at : at + EACH], "StormWind"), servers.TOKEN)
        for at in range(0, count, EACH)
    ]
    watching = asyncio.create_task(_watch(daemon, beside))
    others = asyncio.create_task(_break_other_things(bench, daemon, beside, seconds))
    report = await at_rate(daemon.port, requests, len(requests) / seconds, connections=16, within=seconds * 4)
    beside.over = True
    await others
    await watching
    return report, beside


async def _break_other_things(bench: Bench, daemon: Daemon, beside: Beside, seconds: int) -> None:
    """Ten times something of Bo's; in the middle once something of Ana's."""
    for turn in range(10):
        await asyncio.sleep(seconds / 12)
        ways = [(OTHER, "other-token"), ("/v1/webhooks/hers", "hers-token")] if turn == 5 else [(OTHER, "other-token")]
        for path, token in ways:
            await _break_one(bench, daemon, beside, path, token)


async def _break_one(bench: Bench, daemon: Daemon, beside: Beside, path: str, token: str) -> None:
    (key,) = bench.keys(1)
    beside.sent[key] = time.perf_counter()
    request = post(daemon.port, path, bodies.webhook([key], "VaultOpen"), token)
    await at_rate(daemon.port, [request], 1000, connections=1, within=30)


async def _aftermath(bench: Bench, daemon: Daemon, journal: Sink) -> list[Row]:
    """The storm ends by itself; while what it took in goes on, something of Bo's breaks every few seconds."""
    path, beside = daemon.folder / "tocsin.db", Beside()
    watching = asyncio.create_task(_watch(daemon, beside))
    await until(lambda: _waiting(path)[1] == 0, within=120, what="the storm to end")
    began, before = time.perf_counter(), len(journal.heard["ana"])
    while _waiting(path)[0]:
        await _break_one(bench, daemon, beside, OTHER, "other-token")
        await asyncio.sleep(3)
        assert time.perf_counter() - began < 300, f"{_waiting(path)[0]} incidents still wait"
    took = time.perf_counter() - began
    await until(lambda: _all_arrived(journal, beside), within=30, what="pages about what else broke")
    beside.over = True
    await watching
    late = sorted(journal.arrived[key] - moment for key, moment in beside.sent.items())
    ana = journal.heard["ana"][before:]
    return [
        at_most("after the storm: critical of another service → page, the latest", late[-1], "s", 10, seconds=took,
                messages_to_ana=float(len(ana)), memory=beside.peak),
    ]  # fmt: skip


def _waiting(path: Path) -> tuple[int, int]:
    """(incidents that wait within the storm, storms that are on)"""
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        waiting = conn.execute("select count(*) from incidents where storm is not null and muted_by is not null")
        on = conn.execute("select count(*) from storms where incident is not null")
        return waiting.fetchone()[0], on.fetchone()[0]


async def _watch(daemon: Daemon, beside: Beside) -> None:
    while not beside.over:
        beside.peak = max(beside.peak, servers.resident_mib(daemon.pid))
        await asyncio.sleep(0.2)


def _all_arrived(journal: Sink, beside: Beside) -> bool:
    return beside.sent.keys() <= journal.arrived.keys()


def _rows(daemon: Daemon, journal: Sink, report: Report, beside: Beside, count: int, seconds: int) -> list[Row]:
    alerts, incidents, taken_in, storms, planned = _stored(daemon.folder / "tocsin.db")
    late = sorted(journal.arrived[key] - moment for key, moment in beside.sent.items())
    most = {user: _most_in_a_minute(moments) for user, moments in journal.heard.items()}
    lost = count + len(beside.sent) - alerts
    return [
        at_most("storm: alerts answered 2xx and not stored", lost, "", 0, stored=alerts, incidents=incidents),
        at_least("storm: alerts a second, all that were sent", report.rate(EACH), "/s", 0.95 * count / seconds,
                 seconds=report.seconds, p99_ms=report.at(0.99) * 1000),
        at_most("storm: critical of another service → page, the latest", late[-1], "s", 10,
                median=late[len(late) // 2]),
        at_most("storm: memory at most", beside.peak, "MiB", 512),
        at_most("storm: messages to Ana in one minute (limit 1, a summary, a P1 beside)", most.get("ana", 0), "", 3,
                bo=float(most.get("bo", 0)), storms=float(storms), taken_in=float(taken_in), pages=float(planned)),
    ]  # fmt: skip


def _stored(path: Path) -> tuple[int, int, int, int, int]:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as conn:
        return (
            conn.execute("select count(*) from alerts").fetchone()[0],
            conn.execute("select count(*) from incidents").fetchone()[0],
            conn.execute("select count(*) from incidents where storm is not null").fetchone()[0],
            conn.execute("select count(*) from incidents where key like 'storm/%'").fetchone()[0],
            conn.execute("select count(*) from pages").fetchone()[0],
        )


def _most_in_a_minute(moments: list[float]) -> int:
    return max((sum(start <= one < start + 60 for one in moments) for start in moments), default=0)
