"""Tocsin's own trouble becomes an incident like any other: a failing channel, a dead contact, refused posts."""

from __future__ import annotations

import structlog

from tocsin.errors import StoreUnavailable
from tocsin.model import HOUR, Alert, Instant, IntegrationConfig, Parsed, Severity
from tocsin.model.civil import on_line, unix
from tocsin.work.ingest.intake import Intake
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.selfcare")

OWN = IntegrationConfig(name="tocsin", type="tocsin")


class SelfAlerts:
    """Alarms about Tocsin itself, folded by key like every other alert."""

    def __init__(self, runtime: Runtime, intake: Intake) -> None:
        self.runtime, self.intake = runtime, intake

    def alarm(self, key: str, title: str, because: str, severity: Severity = "error") -> None:
        """Open (or repeat) the incident of this trouble. Returns at once; failing to store it is logged."""
        log.error("own_trouble", key=key, title=title, because=because)
        self._send(Alert("firing", key, severity, title, because, labels={"tocsin": key.partition("/")[0]}))

    def tell(self, key: str, title: str, because: str) -> None:
        """Open an incident about something that is over already: a warning, which ends by itself."""
        log.warning("own_news", key=key, title=title, because=because)
        ends = Instant(self.runtime.clock.now() + HOUR)
        self._send(Alert("firing", key, "warning", title, because, labels={"tocsin": key}, expires_at=ends))

    def recovered(self, key: str) -> None:
        self._send(_over(key, self.runtime.clock.now()))

    async def late(self, duty: str, because: str) -> bool:
        """Open, or repeat, the incident of a duty that is late; whether that is stored."""
        title = f"{duty} is late: a background duty of Tocsin does not get through"
        return await self._take(
            Alert("firing", f"duty/{duty}", "error", title, because, labels={"tocsin": "duty", "duty": duty})
        )

    async def in_time(self, duty: str) -> bool:
        """Close the incident of a duty that gets through again; whether that is stored."""
        return await self._take(_over(f"duty/{duty}", self.runtime.clock.now()))

    async def is_told(self, duty: str) -> bool:
        """Whether an incident of this duty is open; an earlier process may have opened it."""
        return await self.runtime.store.open_alert(OWN.name, f"duty/{duty}") is not None

    def refused_post(self, integration: str, detail: str) -> None:
        """A post of a valid token could not be taken: one incident a day and integration."""
        day = unix(self.runtime.clock.now()) // 86_400_000
        expires = on_line((day + 1) * 86_400_000)
        self._send(
            Alert(
                "firing", f"refused/{integration}/{day}", "warning", f"posts of integration {integration} are refused",
                detail, labels={"tocsin": "refused", "integration": integration}, expires_at=expires,
            )
        )  # fmt: skip

    def _send(self, alert: Alert) -> None:
        self.runtime.spawn(self._take(alert), f"alarm {alert.source_key}")

    async def _take(self, alert: Alert) -> bool:
        try:
            await self.intake.take(OWN, b"{}", Parsed((alert,)))
        except StoreUnavailable as error:
            log.warning("alarm_not_stored", key=alert.source_key, error=str(error))
            return False
        except Exception as error:  # noqa: BLE001  # an alarm about trouble must not make more of it
            log.error("alarm_not_stored", key=alert.source_key, error=repr(error))
            return False
        return True


def _over(key: str, now: Instant) -> Alert:
    return Alert("resolved", key, ended_at=now)
