"""Turns at something scarce, fair to each asker: who asks much waits behind itself, and never keeps another out."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager


class Crowded(Exception):
    """Raised where no place to wait is left, or where it was given to somebody who asks less."""


class FairTurns:
    """`at_once` turns under way; of those who wait each asker has its turn before anybody has a second one.

    At most `waiting` wait. With all places taken, a newcomer that has fewer of them than another gets the newest place
    of the one who has most.
    """

    def __init__(self, at_once: int, waiting: int | None = None) -> None:
        self._free = at_once
        self._places = waiting
        self._queues: dict[str, deque[asyncio.Future[None]]] = {}  # in the order in which askers have their turns

    @asynccontextmanager
    async def turn(self, asker: str) -> AsyncIterator[None]:
        """A turn of this asker's. Raises Crowded."""
        if self._free > 0:
            self._free -= 1
        else:
            await self._wait(asker)
        try:
            yield
        finally:
            self._pass_on()

    async def _wait(self, asker: str) -> None:
        """Return with the turn of another, which has ended."""
        self._make_room(asker)
        turn = asyncio.get_running_loop().create_future()
        self._queues.setdefault(asker, deque()).append(turn)
        try:
            await turn
        except asyncio.CancelledError:
            self._remove(asker, turn)
            if turn.done() and not turn.cancelled() and turn.exception() is None:
                self._pass_on()  # it was given just now, to somebody who has gone
            raise

    def _make_room(self, asker: str) -> None:
        if self._places is None or sum(map(len, self._queues.values())) < self._places:
            return
        most = max(self._queues, key=lambda one: len(self._queues[one]))
        if len(self._queues[most]) <= len(self._queues.get(asker, ())) + 1:
            raise Crowded
        newest = self._queues[most][-1]
        self._remove(most, newest)
        if not newest.done():
            newest.set_exception(Crowded())

    def _remove(self, asker: str, turn: asyncio.Future[None]) -> None:
        queue = self._queues.get(asker)
        if queue is None or turn not in queue:
            return
        queue.remove(turn)
        if not queue:
            del self._queues[asker]

    def _pass_on(self) -> None:
        """Give a turn that has ended to the next asker."""
        while self._queues:
            asker = next(iter(self._queues))
            queue = self._queues.pop(asker)
            turn = queue.popleft()
            if queue:
                self._queues[asker] = queue
            if not turn.done():  # one whose asker has gone is left out
                turn.set_result(None)
                return
        self._free += 1
