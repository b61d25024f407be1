"""`python -m benchmarks [--only NAME] [--quick] [--json FILE]`: measure, print the table, write the figures."""

from __future__ import annotations

import argparse
import asyncio
import os
import platform
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Literal

import orjson
import uvloop
from rich.console import Console
from rich.table import Table

from benchmarks import backtest, client, ingest, oncall, paging, restart, rules, stall, storm, timers
from benchmarks.row import Bench, Row

RESULTS = Path(__file__).parent / "results" / "latest.json"
WITHIN = 600  # seconds, for each measurement
MEASUREMENTS: Mapping[str, Callable[[Bench], Awaitable[Sequence[Row]]]] = MappingProxyType(
    {
        "rules": rules.two_hundred_rules,
        "oncall": oncall.who_is_on_call,
        "ingest": ingest.one_a_post,
        "bulk": ingest.hundred_a_post,
        "paging": paging.first_page,
        "timers": timers.due_in_one_second,
        "storm": storm.hundred_thousand_in_a_minute,
        "stall": stall.beside_a_big_post,
        "restart": restart.with_100k_open,
        "client": client.command_start,
        "backtest": backtest.of_a_week,
    }
)


def main() -> int:
    asked = _arguments()
    console = Console(width=None if sys.stdout.isatty() else 160)
    rows, broken = uvloop.run(_measure(asked.only or list(MEASUREMENTS), quick=asked.quick))
    console.print(_table(rows))
    for name, why in broken.items():
        console.print(f"[red]{name}: {why}", markup=True, highlight=False)
    _write(asked.json, rows, broken, quick=asked.quick)
    print(f"written to {asked.json}")
    return 1 if broken else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument(
        "--only", action="append", choices=list(MEASUREMENTS), help="measure this alone (may be repeated)"
    )
    parser.add_argument("--quick", action="store_true", help="small and rough, to see that everything works")
    parser.add_argument("--json", type=Path, default=RESULTS, help=f"where to write the figures ({RESULTS})")
    return parser.parse_args()


async def _measure(names: list[str], *, quick: bool) -> tuple[list[Row], dict[str, str]]:
    """All rows in order, and what could not be measured: one broken measurement does not cost the others."""
    rows: list[Row] = []
    broken: dict[str, str] = {}
    with tempfile.TemporaryDirectory(prefix="tocsin-bench-") as folder:
        bench = Bench(Path(folder), quick)
        for name in names:
            began = time.monotonic()
            try:
                async with asyncio.timeout(WITHIN):
                    rows += await MEASUREMENTS[name](bench)
            except Exception as error:  # noqa: BLE001  # whatever it is, the other figures are wanted
                broken[name] = f"{type(error).__name__}: {error}"
            print(f"{name}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return rows, broken


def _table(rows: list[Row]) -> Table:
    table = Table(title="Tocsin, measured")
    columns: list[tuple[str, Literal["left", "right"]]] = [
        ("what", "left"),
        ("figure", "right"),
        ("unit", "left"),
        ("reach", "right"),
        ("", "left"),
        ("beside", "left"),
    ]
    for heading, side in columns:
        table.add_column(heading, justify=side)
    for row in rows:
        mark = {True: "[green]yes", False: "[red]no", None: ""}[row.reached]
        table.add_row(row.name, _shown(row.value), row.unit, row.reach, mark, _beside(row))
    return table


def _beside(row: Row) -> str:
    return ", ".join(f"{name} {_shown(value)}" for name, value in row.details.items() if not isinstance(value, list))


def _shown(value: float | str | list[float]) -> str:
    if isinstance(value, str | list):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _write(path: Path, rows: list[Row], broken: dict[str, str], *, quick: bool) -> None:
    machine = {
        "python": platform.python_version(),
        "system": platform.platform(),
        "cores": os.cpu_count(),
        "load": os.getloadavg()[0],
    }
    report = {
        "at": int(time.time()),
        "quick": quick,
        "machine": machine,
        "broken": broken,
        "rows": [asdict(row) for row in rows],
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(orjson.dumps(report, option=orjson.OPT_INDENT_2))


if __name__ == "__main__":
    sys.exit(main())
