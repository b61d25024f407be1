"""`python -m tocsin.feed_worker ZONE START END [LENGTH]`: the daemon's helper; a calendar comes in, events go out.

Behind the first LENGTH bytes comes the copy before.
"""

from __future__ import annotations

import sys

from tocsin.decide.oncall.feeds import as_json
from tocsin.decide.oncall.ical import TakesTooLong, read_feed
from tocsin.errors import BadFeed
from tocsin.feed_process import BAD, budget_of, limit_myself
from tocsin.model import Instant

LARGEST = 8 * 1024 * 1024  # of what is told: the daemon keeps it in memory


def main(timezone: str, start: str, end: str, length: str = "") -> int:
    """0 with the events on stdout, 3 with the reason there."""
    limit_myself()
    whole = sys.stdin.buffer.read()
    raw, before = (whole[: int(length)], whole[int(length) :]) if length else (whole, b"")
    window = Instant(int(start)), Instant(int(end))
    try:
        said, code = as_json(read_feed(raw, timezone, *window, before, budget=budget_of(TakesTooLong))), 0
        if len(said) > LARGEST:
            raise BadFeed(f"says more than {LARGEST // 1024 // 1024} MiB in a little over a year")
    except BadFeed as bad:
        said, code = str(bad).encode("utf-8", "replace"), BAD
    sys.stdout.buffer.write(said)
    return code


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:5]))
