"""Durable ingest: one alert a post beside a handler that only reads, a hundred a post beside Alertmanager.

Rounds are interleaved, so that a noisy neighbour hits both sides; the ratio is the median of the rounds' ratios.
Every answer must be 2xx. Nobody is paged: the alerts fall under `hold: 1d`.
"""

from __future__ import annotations

import asyncio
from statistics import median

from benchmarks import bodies, servers
from benchmarks.load import Report, as_fast_as_answered, post
from benchmarks.row import Bench, Row, at_least, at_most

PATH = "/v1/webhooks/bench"


class Side:
    """One server under load, round after round: alerts a second and CPU microseconds an alert."""

    def __init__(self, port: int, pid: int, each: int) -> None:
        self.port, self.pid, self.each = port, pid, each
        self.rates: list[float] = []
        self.cpu: list[float] = []

    async def round(self, requests: list[bytes], connections: int) -> Report:
        before = servers.cpu_seconds(self.pid)
        report = await as_fast_as_answered(self.port, requests, connections=connections, within=120)
        self.rates.append(report.rate(self.each))
        self.cpu.append((servers.cpu_seconds(self.pid) - before) * 1e6 / (len(requests) * self.each))
        return report

    def again(self) -> Side:
        """The same server, another row."""
        return Side(self.port, self.pid, self.each)


def ratio(ours: list[float], theirs: list[float]) -> float:
    return median(mine / other for mine, other in zip(ours, theirs, strict=True))


async def one_a_post(bench: Bench) -> list[Row]:
    """New alerts and repeats, one a post over 32 connections, against the bare handler."""
    count, rounds = bench.size(4000, 600), bench.size(7, 3)
    async with servers.bare() as (port, pid), servers.tocsin(bench.place("one")) as daemon:
        bare, new = Side(port, pid, 1), Side(daemon.port, daemon.pid, 1)
        repeats = new.again()
        await _warm_up(bench, bare, new)
        for _ in range(rounds):
            requests = _singles(bench, daemon.port, count)
            await bare.round(requests, 32)
            await new.round(requests, 32)
            await asyncio.sleep(1.1)  # the first repeats' counts are flushed within a second: not part of this round
            await repeats.round(requests, 32)
    side_by_side = {"bare_per_s": median(bare.rates), "bare_cpu_us": median(bare.cpu)}
    return [
        at_least(
            "ingest, 1 new alert a post", ratio(new.rates, bare.rates), "× bare", 0.6,
            per_s=median(new.rates), cpu_us=median(new.cpu), rounds=new.rates, **side_by_side,
        ),
        at_least(
            "ingest, 1 repeat a post", ratio(repeats.rates, bare.rates), "× bare", 0.85,
            per_s=median(repeats.rates), cpu_us=median(repeats.cpu), rounds=repeats.rates, **side_by_side,
        ),
    ]  # fmt: skip


async def hundred_a_post(bench: Bench) -> list[Row]:
    """New alerts, a hundred a post over 16 connections, against Alertmanager with a group each (where installed)."""
    posts, rounds = bench.size(200, 30), bench.size(5, 2)
    async with servers.tocsin(bench.place("hundred")) as daemon:
        ours = Side(daemon.port, daemon.pid, 100)
        await ours.round(_hundreds(bench, daemon.port, 20), 16)
        ours = ours.again()
        if servers.ALERTMANAGER is None:
            for _ in range(rounds):
                await ours.round(_hundreds(bench, daemon.port, posts), 16)
            return [_rate(ours)]
        async with servers.alertmanager(bench.place("alertmanager")) as (port, pid):
            theirs = Side(port, pid, 100)
            for _ in range(rounds):
                await theirs.round(_api_hundreds(bench, port, posts), 16)
                await ours.round(_hundreds(bench, daemon.port, posts), 16)
    beside = {"alertmanager_per_s": median(theirs.rates), "alertmanager_cpu_us": median(theirs.cpu)}
    return [
        _rate(ours),
        at_least("ingest, 100 new alerts a post", ratio(ours.rates, theirs.rates), "× Alertmanager", 1.5, **beside),
        at_most("CPU an alert, 100 a post", ratio(ours.cpu, theirs.cpu), "× Alertmanager", 0.4,
                cpu_us=median(ours.cpu), **beside),
    ]  # fmt: skip


def _rate(ours: Side) -> Row:
    return at_least(
        "ingest, 100 new alerts a post",
        median(ours.rates),
        "alerts/s",
        25_000,
        cpu_us=median(ours.cpu),
        rounds=ours.rates,
    )


async def _warm_up(bench: Bench, *sides: Side) -> None:
    for side in sides:
        await side.again().round(_singles(bench, side.port, 400), 32)


def _singles(bench: Bench, port: int, count: int) -> list[bytes]:
    return [post(port, PATH, bodies.webhook([key]), servers.TOKEN) for key in bench.keys(count)]


def _hundreds(bench: Bench, port: int, posts: int) -> list[bytes]:
    return [post(port, PATH, bodies.webhook(bench.keys(100)), servers.TOKEN) for _ in range(posts)]


def _api_hundreds(bench: Bench, port: int, posts: int) -> list[bytes]:
    return [post(port, "/api/v2/alerts", bodies.api(bench.keys(100))) for _ in range(posts)]
