"""Readiness: whether alerts and answers can be stored and timers run; and, apart from it, the state of sending."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any

from tocsin.contracts import Task
from tocsin.errors import StoreUnavailable
from tocsin.model import Millis
from tocsin.work.background_duties import ESSENTIAL, TIMERS
from tocsin.work.ingest.intake import Intake
from tocsin.work.paging.channels import Lines
from tocsin.work.runtime import Runtime

FAILING = "its last calls failed; the incident about it says how"  # providers quote numbers, and /readyz is open
WITHIN = Millis(2_000)  # a database that takes longer to answer is not there: nor may the probe wait for it


class Health:
    """Answer of /readyz. Trouble with sending is `degraded`, never unready: alerts and answers still come in."""

    def __init__(self, runtime: Runtime, intake: Intake, lines: Lines) -> None:
        self.runtime, self.intake, self.lines = runtime, intake, lines
        self._asked: Task | None = None  # whoever asks meanwhile waits for the same answer
        self._said = ""
        self.quarantined = False
        self.feeds: Callable[[], Mapping[str, str]] = dict  # schedule → what is wrong with its calendar feed
        self.on_last_good = ""  # why the configuration asked for is not in force

    async def ready(self) -> tuple[bool, dict[str, Any]]:
        """(ready, body): `{"status": "ready|degraded|unready", "checks": {...}}`."""
        store = await self._store()
        late = self.runtime.duties.late()
        timers = "ok" if TIMERS not in late else "no progress"
        failing = {name: FAILING for name, line in self.lines.items() if not line.healthy}
        ready = store == "ok" and not any(name in late for name in ESSENTIAL)
        feeds = self.feeds()
        degraded = bool(failing) or self.quarantined or bool(self.on_last_good) or bool(feeds) or bool(late)
        body: dict[str, Any] = {
            "status": "unready" if not ready else "degraded" if degraded else "ready",
            "checks": {"store": store, "timers": timers, "channels": failing or "ok", "duties": late or "ok"},
        }
        if feeds:
            body["checks"]["feeds"] = dict(feeds)
        if self.quarantined:
            body["checks"]["quarantine"] = "a restored copy: nobody is paged until `tocsin db restore --confirm`"
        if self.on_last_good:
            body["checks"]["configuration"] = f"the last good one is in force: {self.on_last_good}"
        return ready, body

    async def why_silent(self) -> str:
        """Reason why the outside watcher must not hear that all is well; "" when it may.

        One failing channel is told over the others; when all fail nobody inside can be told any more.
        """
        store = await self._store()
        if store != "ok":
            return f"nothing can be stored: {store}"
        if self.quarantined:
            return "a restored copy pages nobody"
        late = [name for name in ESSENTIAL if name in self.runtime.duties.late()]
        if TIMERS in late:
            return "the timers make no progress"
        if late:
            return f"late: {', '.join(late)}"
        lines = self.lines.values()
        return "every channel is failing" if lines and not any(line.healthy for line in lines) else ""

    async def exercise(self) -> None:
        """Whether the database takes what answers and posts need. Raises StoreUnavailable."""
        said = await self._store()
        if said != "ok":
            raise StoreUnavailable(said)
        self.intake.still_idle()

    async def store_answers(self) -> bool:
        """Without its database the daemon cannot make progress, and a restart would not help it."""
        return await self._store() == "ok"

    async def _store(self) -> str:
        """ "ok", or what is wrong; never later than promised, and asked once for all who ask at the same time."""
        if self._asked is None or self._asked.done():
            self._said = ""
            self._asked = self.runtime.spawn(self._check(), "readiness")
        asked = self._asked
        try:
            async with self.runtime.clock.timeout(WITHIN):
                await asyncio.shield(asked)
        except TimeoutError:
            return f"no answer within {WITHIN // 1000} s"
        return self._said

    async def _check(self) -> None:
        try:
            await self.runtime.store.check()
        except Exception as error:  # noqa: BLE001  # whatever it is, the database does not take what it should
            self._said = str(error) or "unavailable"
        else:
            self._said = "ok"
