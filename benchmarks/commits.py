"""CPU microseconds of an alert and of a page, beside another commit: `python -m benchmarks.commits BASE [--rounds 15]`.

Both daemons run at once, each from its own tree, and are asked in turn; which is first alternates. A round's ratio is
of two neighbours in time, so a noisy machine hits both. CPU is the process's own, pages are counted where they
arrive. Every few rounds a new pair takes over, with a round to warm up: what an older commit piles up in a long life is
another figure. Spread: the middle half of the rounds' ratios; a cost has grown when all of it lies above 1.
"""

from __future__ import annotations

import argparse
import asyncio
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median, quantiles

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import bodies, servers
from benchmarks.ingest import PATH
from benchmarks.load import as_fast_as_answered, post
from benchmarks.row import Bench
from benchmarks.sink import Sink, sink
from tests.daemon import Daemon

ROOT = Path(__file__).parent.parent
WITHIN = 120.0
LIFE = 5  # rounds of one pair of daemons


@dataclass(frozen=True)
class Cost:
    """What each round cost one commit, by the work: CPU microseconds an alert, or a page."""

    name: str
    rows: dict[str, list[float]] = field(default_factory=dict)


@dataclass(frozen=True)
class Side:
    """One commit's daemon, the sink it pages, and where its costs are written."""

    cost: Cost
    daemon: Daemon
    journal: Sink

    async def measure(
        self, row: str, requests: Sequence[bytes], each: int, connections: int, *, pages: int = 0
    ) -> None:
        before, heard = servers.cpu_seconds(self.daemon.pid), len(self.journal.arrived)
        await as_fast_as_answered(self.daemon.port, requests, connections=connections, within=WITHIN)
        if pages:
            await self.journal.has(heard + pages, WITHIN)
        took = servers.cpu_seconds(self.daemon.pid) - before
        self.cost.rows.setdefault(row, []).append(took * 1e6 / (pages or len(requests) * each))


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.commits", description=__doc__)
    parser.add_argument("base", help="a commit, as git names it")
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--json", type=Path, help="write every round's figures here")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        tree = Path(folder) / "base"
        tree.mkdir()
        archive = subprocess.run(["git", "archive", asked.base], cwd=ROOT, check=True, capture_output=True).stdout
        subprocess.run(["tar", "-x", "-C", str(tree)], input=archive, check=True)
        before, after = uvloop.run(_both(Bench(Path(folder), False), tree, asked.rounds))
    Console(width=None if sys.stdout.isatty() else 120).print(_table(before, after))
    if asked.json:
        asked.json.write_bytes(orjson.dumps({one.name: one.rows for one in (before, after)}))
    return 0


async def _both(bench: Bench, tree: Path, rounds: int) -> tuple[Cost, Cost]:
    before, after = Cost("before"), Cost("after")
    for first in range(0, rounds, LIFE):
        async with AsyncExitStack() as stack:
            sides = []
            for cost, where in ((before, tree), (after, ROOT)):
                journal = await stack.enter_async_context(sink())
                daemon = servers.tocsin(bench.place(f"{cost.name}-{first}"), sink=journal.port)
                daemon.env = {"PYTHONPATH": f"{where / 'daemon'}:{where / 'integrations'}"}
                sides.append(Side(cost, await stack.enter_async_context(daemon), journal))
            for side in sides:
                await _round(bench, Side(Cost("to warm up"), side.daemon, side.journal))
            for nth in range(first, min(first + LIFE, rounds)):
                for side in sides if nth % 2 else sides[::-1]:
                    await _round(bench, side)
                print(f"round {nth + 1} of {rounds}", file=sys.stderr)
    return before, after


async def _round(bench: Bench, side: Side) -> None:
    port = side.daemon.port

    def posts(count: int, each: int, body: Callable[[list[str]], bytes]) -> tuple[list[list[str]], list[bytes]]:
        keys = [bench.keys(each) for _ in range(count)]
        return keys, [post(port, PATH, body(some), servers.TOKEN) for some in keys]

    _, singles = posts(3000, 1, bodies.webhook)
    await side.measure("new, 1 a post", singles, 1, 32)
    await asyncio.sleep(1.1)  # the counts of the repeats before are flushed within a second
    await side.measure("repeat, 1 a post", singles, 1, 32)
    keys, hundreds = posts(150, 100, bodies.webhook)
    await side.measure("new, 100 a post", hundreds, 100, 16)
    await asyncio.sleep(1.1)
    await side.measure("repeat, 100 a post", hundreds, 100, 16)
    ends = [post(port, PATH, _resolved(some), servers.TOKEN) for some in keys[:75]]
    await side.measure("resolve, 100 a post", ends, 100, 16)
    keys, grouped = posts(150, 50, _grouped)
    await side.measure("new in groups of 50, 50 a post", grouped, 50, 16)
    ends = [post(port, PATH, _resolved(some, _grouped), servers.TOKEN) for some in keys[:100]]
    await side.measure("resolve in groups of 50, 50 a post", ends, 50, 16)
    last = [_resolved([one], _grouped, some[0]) for some in keys[100:120] for one in some]
    ends = [post(port, PATH, body, servers.TOKEN) for body in last]
    await side.measure("resolve in groups of 50, 1 a post", ends, 1, 16)
    _, calls = posts(600, 1, lambda some: bodies.webhook(some, "PageNow"))
    await side.measure("page", calls, 1, 16, pages=600)


def _grouped(keys: list[str], group: str = "") -> bytes:
    """The alerts of one group, which the first key names."""
    return bodies.webhook(keys, "Grouped").replace(b"eu-west-1a", (group or keys[0]).encode())


def _resolved(keys: list[str], firing: Callable[..., bytes] = bodies.webhook, *group: str) -> bytes:
    document = orjson.loads(firing(keys, *group))
    for alert in document["alerts"]:
        alert |= {"status": "resolved", "endsAt": "2026-11-20T04:14:07.512Z"}
    return orjson.dumps({**document, "status": "resolved"})


def _table(before: Cost, after: Cost) -> Table:
    table = Table(title=f"CPU µs each, median of {len(next(iter(before.rows.values())))} rounds")
    for heading in ("work", "before", "after", "ratio", "middle half", "grown"):
        table.add_column(heading, justify="left" if heading == "work" else "right")
    for row, costs in before.rows.items():
        ratios = [mine / other for mine, other in zip(after.rows[row], costs, strict=True)]
        low, _, high = quantiles(ratios, n=4)
        medians = (f"{median(one.rows[row]):.1f}" for one in (before, after))
        table.add_row(row, *medians, f"{median(ratios):.3f}", f"{low:.3f}–{high:.3f}", "yes" if low > 1 else "no")
    return table


if __name__ == "__main__":
    sys.exit(main())
