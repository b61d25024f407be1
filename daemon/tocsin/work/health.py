"""Can alerts and answers be stored, and do the timers run? And what of sending, which is another matter."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tocsin.errors import StoreUnavailable
from tocsin.model import Millis
from tocsin.work.core import Core
from tocsin.work.pager import Pager
from tocsin.work.timers import Timers

FAILING = "its last calls failed; the incident about it says how"  # providers quote numbers, and /readyz is open
STUCK = Millis(10_000)  # timers that made no round for so long do not run


class Health:
    """What /readyz says. Trouble with sending is `degraded`, never unready: alerts and answers still come in."""

    def __init__(self, core: Core, timers: Timers, pager: Pager) -> None:
        self.core, self.timers, self.pager = core, timers, pager
        self.quarantined = False
        self.feeds: Callable[[], Mapping[str, str]] = dict  # schedule → what is wrong with its calendar feed
        self.on_last_good = ""  # why the configuration asked for is not in force

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """(ready, body): `{"status": "ready|degraded|unready", "checks": {...}}`."""
        store = await self._store()
        timers = "ok" if self._timers_run() else "no progress"
        failing = {name: FAILING for name, line in self.pager.lines.items() if not line.healthy}
        ready = store == "ok" and timers == "ok"
        feeds = self.feeds()
        degraded = bool(failing) or self.quarantined or bool(self.on_last_good) or bool(feeds)
        body: dict[str, Any] = {
            "status": "unready" if not ready else "degraded" if degraded else "ready",
            "checks": {"store": store, "timers": timers, "channels": failing or "ok"},
        }
        if feeds:
            body["checks"]["feeds"] = dict(feeds)
        if self.quarantined:
            body["checks"]["quarantine"] = "a restored copy: nobody is paged until `tocsin db restore --confirm`"
        if self.on_last_good:
            body["checks"]["configuration"] = f"the last good one is in force: {self.on_last_good}"
        return ready, body

    async def why_silent(self) -> str:
        """Why the outside watcher must not hear that all is well; "" when it may.

        One failing channel is told over the others; when all fail nobody inside can be told any more.
        """
        store = await self._store()
        if store != "ok":
            return f"nothing can be stored: {store}"
        if self.quarantined:
            return "a restored copy pages nobody"
        if not self._timers_run():
            return "the timers make no progress"
        lines = self.pager.lines.values()
        return "every channel is failing" if lines and not any(line.healthy for line in lines) else ""

    def _timers_run(self) -> bool:
        return self.quarantined or self.core.clock.now() - self.timers.progressed_at < STUCK

    async def _store(self) -> str:
        try:
            await self.core.store.check()
        except StoreUnavailable as error:
            return str(error) or "unavailable"
        return "ok"
