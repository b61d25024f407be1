"""Questions that may read all there ever was: one at a time, not for long, and few that wait.

Whoever pages, answers or takes alerts in asks other connections meanwhile.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from tocsin.errors import Refused

SECONDS = 2.0  # of the database, for one search
WAITING = 16  # under way, and to come


class Searches:
    """Turns of those who search."""

    def __init__(self) -> None:
        self._one = asyncio.Semaphore(1)
        self._asked = 0

    @asynccontextmanager
    async def turn(self) -> AsyncIterator[None]:
        """Wait for it. Raises Refused (429) where WAITING wait already."""
        if self._asked >= WAITING:
            raise Refused("too many search at once; ask again in a moment", status=429)
        self._asked += 1
        try:
            async with self._one:
                yield
        finally:
            self._asked -= 1


def too_long() -> Refused:
    """For a search that was ended."""
    return Refused(f"this search takes longer than {SECONDS:g} seconds; narrow it, as by status=open", status=422)
