"""`python -m tocsin.readfeed ZONE START END`: the daemon's helper; a calendar comes in, events go out."""

from __future__ import annotations

import sys

from tocsin.apart import BAD, limit_myself
from tocsin.decide.feeds import as_json
from tocsin.decide.ical import read_feed
from tocsin.errors import BadFeed
from tocsin.model import Instant

LARGEST = 8 * 1024 * 1024  # of what is told: the daemon keeps it in memory


def main(timezone: str, start: str, end: str) -> int:
    """0 with the events on stdout, 3 with the reason there."""
    limit_myself()
    raw = sys.stdin.buffer.read()
    try:
        said, code = as_json(read_feed(raw, timezone, Instant(int(start)), Instant(int(end)))), 0
        if len(said) > LARGEST:
            raise BadFeed(f"says more than {LARGEST // 1024 // 1024} MiB in a little over a year")
    except BadFeed as bad:
        said, code = str(bad).encode("utf-8", "replace"), BAD
    sys.stdout.buffer.write(said)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
