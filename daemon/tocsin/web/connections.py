"""Limits on open connections, in total and per address; the idlest is closed where one more comes.

Descriptors are kept back for what a page needs: the database, providers, answers. Whoever opens connections and lets
them lie takes them from nobody but itself. A connection on which a request is under way is never closed for another.
"""

from __future__ import annotations

import os
import resource
from collections import OrderedDict
from collections.abc import Callable
from typing import Protocol

import structlog

from tocsin.web.problem_json import is_among

log = structlog.stdlib.get_logger("tocsin.web")

MOST = 8_192  # connections, however many descriptors there are: each takes some memory
LEAST = 16  # and however few
KEPT_BACK = 256  # descriptors, at most, for everything else; of a few a third
SHARE = 2  # one address may have MOST divided by this


class CountedConnection(Protocol):
    """An open connection as Connections counts it."""

    @property
    def address(self) -> str: ...
    def is_idle(self) -> bool: ...
    def leave(self) -> None:
        """Close it at once."""


class Connections:
    """Open connections, the least recently used first. One list for all listeners of a daemon."""

    def __init__(self, trusted: Callable[[], tuple[str, ...]], most: int | None = None) -> None:
        self.most = room() if most is None else most
        self._trusted = trusted
        self._open: OrderedDict[CountedConnection, None] = OrderedDict()
        self._of: dict[str, int] = {}

    def __len__(self) -> int:
        return len(self._open)

    def opened(self, connection: CountedConnection) -> bool:
        """Count it, after room was made for it; False: there is none, and it is to be left."""
        address = connection.address
        if self._of.get(address, 0) >= max(LEAST, self.most // SHARE) and not is_among(address, self._trusted()):
            if not self._leave_idlest(address):
                log.warning("connections_refused", peer=address, open=len(self._open))
                return False
        elif len(self._open) >= self.most and not self._leave_idlest():
            log.warning("connections_refused", peer=address, open=len(self._open))
            return False
        self._open[connection] = None
        self._of[address] = self._of.get(address, 0) + 1
        return True

    def used(self, connection: CountedConnection) -> None:
        """Note that data arrived on the connection."""
        try:  # costs nothing where it is counted, as nearly all are
            self._open.move_to_end(connection)
        except KeyError:
            return

    def closed(self, connection: CountedConnection) -> None:
        if connection not in self._open:
            return
        del self._open[connection]
        left = self._of[connection.address] - 1
        if left:
            self._of[connection.address] = left
        else:
            del self._of[connection.address]

    def _leave_idlest(self, address: str | None = None) -> bool:
        for connection in self._open:
            if (address is None or connection.address == address) and connection.is_idle():
                log.info("connections_closed", peer=connection.address, open=len(self._open))
                self.closed(connection)
                connection.leave()
                return True
        return False


def room() -> int:
    """Connections that this process has descriptors for, beside those it has open and those kept back."""
    limit, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    try:
        taken = len(os.listdir("/proc/self/fd"))
    except OSError:  # no /proc
        taken = 64
    if limit == resource.RLIM_INFINITY:
        return MOST
    return max(LEAST, min(MOST, limit - taken - min(KEPT_BACK, limit // 3)))
