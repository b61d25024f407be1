"""Progress bar on a terminal; nothing where nobody watches."""

from __future__ import annotations

import sys

WIDE = 30


class Progress:
    """Over `total` steps; drawn on stderr when a whole percent was made."""

    def __init__(self, what: str, total: int) -> None:
        self._what, self._total = what, max(1, total)
        self._shown = -1
        self._watched = sys.stderr.isatty()

    def tell(self, done: int) -> None:
        percent = min(100, done * 100 // self._total)
        if self._watched and percent != self._shown:
            self._shown = percent
            filled = "█" * (percent * WIDE // 100)
            sys.stderr.write(f"\r{self._what} {filled:·<{WIDE}} {percent:3} %")
            sys.stderr.flush()

    def end(self) -> None:
        """Wipe the bar off the terminal."""
        if self._watched and self._shown >= 0:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()
