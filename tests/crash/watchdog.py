"""A process of its own that looks at a daemon under load: `python -m tests.crash.watchdog PORT LOG TOKEN`.

Until its input ends it asks for signs of life and posts alerts of another sender, and waits for their pages in the
daemon's log. Then it prints what was worst, as JSON. In a process of its own nothing but the daemon delays it.
"""

from __future__ import annotations

import http.client
import json
import sys
import threading
import time
from pathlib import Path

MOST = 25  # pages: more of one service would be a storm
GIVE_UP = 60.0


def main(port: int, log: Path, token: str) -> None:
    worst = {"stall": 0.0, "paged": 0.0, "pages": 0}
    over = threading.Event()
    looking = threading.Thread(target=look, args=(port, worst, over))
    paging = threading.Thread(target=page, args=(port, log, token, worst, over))
    for one in (looking, paging):
        one.start()
    sys.stdin.read()
    over.set()
    for one in (looking, paging):
        one.join()
    print(json.dumps(worst))


def look(port: int, worst: dict[str, float], over: threading.Event) -> None:
    """Only a loop that stands still delays this answer."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP)
    while not over.is_set():
        began = time.monotonic()
        connection.request("GET", "/healthz")
        connection.getresponse().read()
        worst["stall"] = max(worst["stall"], time.monotonic() - began)
        time.sleep(0.005)


def page(port: int, log: Path, token: str, worst: dict[str, float], over: threading.Event) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=GIVE_UP)
    mark = f"{time.monotonic():.3f}"
    while not worst["pages"] or (not over.is_set() and worst["pages"] < MOST):
        worst["pages"] += 1
        title = f"till {mark} {worst['pages']} is on fire"
        body = json.dumps({"title": title, "dedup_key": title, "severity": "critical", "service": "shop"})
        began, seen = time.monotonic(), log.stat().st_size
        connection.request("POST", "/v1/webhooks/shop", body, {"Authorization": f"Bearer {token}"})
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 202, answer.status
        while title not in since(log, seen) and time.monotonic() - began < GIVE_UP:
            time.sleep(0.01)
        worst["paged"] = max(worst["paged"], time.monotonic() - began)
        time.sleep(0.1)


def since(log: Path, seen: int) -> str:
    with log.open(errors="replace") as lines:
        lines.seek(seen)
        return lines.read()


if __name__ == "__main__":
    main(int(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
