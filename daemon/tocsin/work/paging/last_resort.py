"""Tell people that the database is gone, without it: the one page that leaves no row.

Everything else goes through an incident (`work/incidents/self_alerts.py`), which needs a database. Where its file was
deleted or replaced there is nowhere to keep one; so the catch-all is called straight over the channels, each person
by their contacts in turn until one is accepted, and again every half hour until the file is back or the daemon ends.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

import structlog

from tocsin.decide.oncall.reach import reach, usable_contacts
from tocsin.model import EMPTY, MINUTE, Accepted, Instant, Message, Millis, Target, User
from tocsin.work.paging.channels import Line
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.last_resort")

AGAIN = Millis(30 * MINUTE)
PATIENCE = Millis(11_000)
TITLE = "Tocsin's database is gone"
WHAT_TO_DO = (
    "Alerts and answers are refused. Put the file back where it was; or stop Tocsin, which then leaves a copy of all "
    "it knows beside the path, and give that to: tocsin db restore"
)


class Address(NamedTuple):
    """Way to one person, or to a channel that is nobody's (`user` None)."""

    channel: str
    to: str
    user: User | None


class LastResort:
    """`look` every second."""

    def __init__(self, runtime: Runtime, lines: Mapping[str, Line]) -> None:
        self.runtime, self.lines = runtime, lines
        self._because = ""
        self._told_at = float("-inf")  # monotonic

    async def look(self) -> None:
        """Whether the database file is still there; tells people when it is not."""
        because, clock = self.runtime.store.lost(), self.runtime.clock
        self.runtime.metrics.database_file_lost.set(bool(because))
        if because != self._because:
            self._because = because
            if not because:
                log.warning("database_back")
                return
            log.critical("database_lost", because=because, advice=WHAT_TO_DO)
        if because and clock.monotonic() - self._told_at >= AGAIN / 1000:
            self._told_at = clock.monotonic()
            self.runtime.spawn(self.tell(because), "last resort")

    async def tell(self, because: str) -> int:
        """Call people in turn; the number of those reached."""
        reached = 0
        for ways in self._people():
            for way in ways:
                if await self._send(way, because):
                    reached += 1
                    break
        if not reached:
            log.critical("nobody_told", because=because)
        return reached

    def _people(self) -> Iterator[list[Address]]:
        """People in the catch-all, else those on call, with their contacts in written order."""
        runtime, settings, now = self.runtime, self.runtime.settings, self.runtime.clock.now()
        targets = settings.catch_all or tuple(Target("schedule", name) for name in settings.schedules)
        for one in reach(targets, settings, runtime.people(), now):
            if one.user is not None:
                found = usable_contacts(one.user, settings, runtime.people(), one.contact)
                yield [Address(contact.channel, contact.to, one.user) for contact in found]
            else:
                options = settings.channels[one.target.name].options
                yield [Address(one.target.name, str(options.get("to") or ""), None)]

    async def _send(self, way: Address, because: str) -> bool:
        line = self.lines.get(way.channel)
        if line is None:
            return False
        try:
            async with self.runtime.clock.timeout(PATIENCE):
                outcome = await line.channel.send(self._message(way, because), _open_gate)
        except Exception as error:  # noqa: BLE001  # the next way is tried
            log.error("last_resort_failed", channel=way.channel, error=repr(error))
            return False
        log.warning("last_resort", channel=way.channel, user=way.user.key if way.user else "", outcome=repr(outcome))
        return isinstance(outcome, Accepted)

    def _message(self, way: Address, because: str) -> Message:
        mark = self.runtime.chance.token()
        text = f"{TITLE}: {because}. {WHAT_TO_DO}"
        return Message(
            page=mark, attempt=mark, kind="page", channel=way.channel, to=way.to,
            user=way.user.key if way.user else "", name=way.user.name if way.user else "", urgency="high",
            title=TITLE, text=text, body=text, spoken=f"{TITLE}. Alerts are refused.", ack_url="", status_url="",
            voice_url="", incident=EMPTY, cycle=0, round=1, step=0, rule=1, try_number=1, expires_in=AGAIN,
            now=Instant(self.runtime.clock.now()),
        )  # fmt: skip


async def _open_gate() -> None:
    """Let the call pass: nobody can have answered what no database knows of."""
