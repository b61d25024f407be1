"""How long a backtest of 100,000 recorded alerts takes: both replays, with everything around them."""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

import orjson

from benchmarks.row import Bench, Row, at_most
from tests.walk.town import BASE, laid_over
from tests.week import week
from tocsin.decide.whatif.recordings import line_of

NOW = """
rules:
  - {name: nodes, match: ['alertname="NodeDown"'], group_by: [alertname, cluster]}
  - {name: info, match: ['severity="info"'], hold: 10m}
"""
TRIED = """
rules:
  - {name: nodes, match: ['alertname="NodeDown"'], group_by: [alertname, cluster], hold: 2m}
  - {name: heals, match: ['alertname!="NodeDown"', 'severity=~"warning|error"'], hold: 2m}
  - {name: info, match: ['severity="info"'], hold: 10m}
"""


async def of_a_week(bench: Bench) -> list[Row]:
    """The sample week of the tests, through the rules of a small team and through ones with holds."""
    folder, count = bench.folder / "backtest", bench.size(100_000, 2_000)
    folder.mkdir()
    for name, text in (("tocsin.yaml", laid_over(BASE, NOW)), ("tried.yaml", TRIED)):
        (folder / name).write_text(text)
        (folder / name).chmod(0o600)
    await asyncio.to_thread(_write, folder / "week.jsonl", count)
    began = time.perf_counter()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tocsin", "backtest", "-c", "tocsin.yaml", "--rules", "tried.yaml"),
        *("--alerts", "week.jsonl", "--json"),
        cwd=folder,
        stdout=asyncio.subprocess.PIPE,
    )
    said, _ = await process.communicate()
    took = time.perf_counter() - began
    found = orjson.loads(said)
    before, after = found["before"], found["after"]
    beside = {"incidents": before["incidents"], "pages": before["pages"], "then": after["pages"]}
    return [at_most(f"backtest of {count:,} alerts", took, "s", 60, **beside)]


def _write(file: Path, count: int) -> None:
    with file.open("wb") as opened:
        opened.writelines(line_of(record) for record in week(count))
