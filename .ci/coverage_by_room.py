"""Coverage as a table by room: which share of the lines and branches of each folder the tests ran.

    python .ci/coverage_by_room.py COVERAGE.json   what `coverage json` wrote

A figure to look at where a change is planned, not one to reach: a line that ran was not thereby tested.
"""

from __future__ import annotations

import json
import sys
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePath
from typing import Any

COUNTED = ("num_statements", "covered_lines", "num_branches", "covered_branches")


def table(report: Mapping[str, Any]) -> list[str]:
    """A line a folder, in the order of the tree, then all together."""
    rooms: dict[str, Counter[str]] = {}
    for file, told in report["files"].items():
        rooms.setdefault(room_of(file), Counter()).update({name: told["summary"][name] for name in COUNTED})
    width = max(map(len, rooms), default=0)
    rows = [(name, rooms[name]) for name in sorted(rooms)] + [("all", _sum(rooms.values()))]
    head = f"{'room':{width}}  {'lines':>7}  {'ran':>6}  {'branches':>8}  {'ran':>6}"
    return [head, *(_row(name, counts, width) for name, counts in rows)]


def room_of(file: str) -> str:
    """The folder of a file, without the source root: `tocsin/work/paging`."""
    return str(PurePath(*PurePath(file).parent.parts[1:]))


def _sum(all_counts: Iterable[Counter[str]]) -> Counter[str]:
    total: Counter[str] = Counter()
    for counts in all_counts:
        total.update(counts)
    return total


def _row(name: str, counts: Counter[str], width: int) -> str:
    lines, branches = counts["num_statements"], counts["num_branches"]
    return (
        f"{name:{width}}  {lines:>7}  {_share(counts['covered_lines'], lines):>6}"
        f"  {branches:>8}  {_share(counts['covered_branches'], branches):>6}"
    )


def _share(ran: int, there: int) -> str:
    return f"{100 * ran / there:.0f} %" if there else "–"


def main() -> None:
    sys.stdout.write("\n".join(table(json.loads(Path(sys.argv[1]).read_text()))) + "\n")


if __name__ == "__main__":
    main()
