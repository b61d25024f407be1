"""Outbound heartbeat: an outside watcher hears that all of Tocsin works; when it stops hearing, it wakes somebody."""

from __future__ import annotations

import structlog

from tocsin.contracts import Http
from tocsin.errors import MaybeSent, NotSent
from tocsin.model import SECOND, Millis
from tocsin.model.civil import unix
from tocsin.work.background_duties import promise
from tocsin.work.runtime import Runtime
from tocsin.work.upkeep.health import Health

log = structlog.stdlib.get_logger("tocsin.outbound")

LOOK = Millis(5 * SECOND)  # how often a reload is looked for while nothing is configured


class Outbound:
    """Calls `heartbeat_out.url` every so often, as long as the self check passes."""

    def __init__(self, runtime: Runtime, health: Health, http: Http) -> None:
        self.runtime, self.health, self.http = runtime, health, http

    async def run(self) -> None:
        """Forever; the configuration in force is read each time."""
        duty = self.runtime.duties.add("outbound heartbeat", self._beat_if_asked, within=promise(LOOK))
        while True:
            asked = self.runtime.settings.heartbeat_out
            every = LOOK if asked is None else asked[1]
            duty.within = promise(every)
            await duty.run()
            await self.runtime.clock.sleep(every)

    async def _beat_if_asked(self) -> None:
        asked = self.runtime.settings.heartbeat_out
        if asked is not None:
            await self.beat(asked[0])

    async def beat(self, url: str) -> bool:
        """Whether the watcher heard. Silence, and the reason in the log, while something essential does not work."""
        because = await self.health.why_silent()
        if because:
            log.warning("outbound_heartbeat_withheld", because=because)
            return False
        try:
            reply = await self.http.request("GET", url)
        except (NotSent, MaybeSent) as error:
            log.warning("outbound_heartbeat_failed", because=str(error))
            return False
        if not 200 <= reply.status < 300:
            log.warning("outbound_heartbeat_failed", because=f"the watcher answered {reply.status}")
            return False
        self.runtime.metrics.deadman_last_success_timestamp_seconds.set(unix(self.runtime.clock.now()) / 1000)
        return True
