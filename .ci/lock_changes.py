"""Changes between two lock files, for the changelog and the reviewer: what moved, came and went.

python .ci/lock_changes.py BEFORE AFTER        as lines of Markdown on standard output
"""

from __future__ import annotations

import re
import sys
from pathlib import Path

PINNED = re.compile(r"^([A-Za-z0-9._-]+)==([^\s;\\]+)", re.MULTILINE)


def changes(before: str, after: str) -> list[str]:
    """One line a package whose versions differ, by name. A package may have a version for each platform or Python."""
    old, new = versions(before), versions(after)
    return [_line(name, old.get(name), new.get(name)) for name in sorted(old | new) if old.get(name) != new.get(name)]


def versions(lock: str) -> dict[str, str]:
    found: dict[str, list[str]] = {}
    for name, version in PINNED.findall(lock):
        found.setdefault(name.lower(), []).append(version)
    return {name: " and ".join(sorted(several)) for name, several in found.items()}


def _line(name: str, old: str | None, new: str | None) -> str:
    if old is None:
        return f"- {name} {new} is new"
    if new is None:
        return f"- {name} {old} is gone"
    return f"- {name} {old} → {new}"


def main() -> None:
    before, after = (Path(name).read_text() for name in sys.argv[1:3])
    sys.stdout.write("\n".join(changes(before, after) or ["- nothing moved"]) + "\n")


if __name__ == "__main__":
    main()
