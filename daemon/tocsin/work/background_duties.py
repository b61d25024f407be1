"""Registry of background duties: what each promises, when it last succeeded, and which are late.

A loop of the daemon adds its duty once and runs it through the registry, which bounds each run in time, keeps one
failure from ending the loop, and remembers the success. Late is what has not succeeded for longer than promised. The
time that counts is time in which this process was watching: after a standstill nobody is late at once.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

import structlog

from tocsin.contracts import Clock
from tocsin.errors import StoreUnavailable
from tocsin.model import MINUTE, SECOND, Instant, Millis

T = TypeVar("T")
log = structlog.stdlib.get_logger("tocsin.duties")

INGEST, ANSWERS, TIMERS, CLAIMS = "ingest", "answers", "timers", "claims"
CONFIRMATIONS, TAKEOVER = "confirmations", "takeover"
ESSENTIAL = (INGEST, ANSWERS, TIMERS, CLAIMS, CONFIRMATIONS, TAKEOVER)
"""Without one of these an alert, an answer or a page may be lost: late, they make the daemon unready."""

STEP = 2.0  # seconds of watching between two looks, at most: what is more was a standstill
FAILING = Millis(2 * MINUTE)  # a duty that is due rarely is late once it has failed for so long
NEVER = Instant(0)
LIMIT = Millis(60 * SECOND)  # for one run
SAID_AGAIN = 60.0  # seconds until a duty that fails in the same way says so again


def promise(every: Millis) -> Millis:
    """The time within which a duty must be done that is done `every` so often."""
    return Millis(max(3 * every, 15 * SECOND))


@dataclass(slots=True, eq=False)
class Duty:
    """A thing that is done again and again. `part`: of several that are one duty to whoever asks, as channels are."""

    name: str
    work: Callable[[], Awaitable[object]]
    within: Millis
    limit: Millis
    registry: Duties
    part: str = ""
    at: Instant = NEVER  # of the last success
    watched_at: float = 0.0  # the same in watched time
    failing_since: float | None = None
    said: str = ""  # in the log, of its last failure
    said_at: float = 0.0

    async def run(self) -> bool:
        """Do it once, for a bounded time; whether that succeeded. What it raised is logged and remembered."""
        try:
            async with self.registry.clock.timeout(self.limit):
                await self.work()
        except StoreUnavailable as error:
            self.failed()
            if self._may_say(str(error)):
                log.warning("duty_postponed", duty=self.name, part=self.part, error=str(error))
        except TimeoutError:
            self.failed()
            if self._may_say("cut off"):
                log.error("duty_cut_off", duty=self.name, part=self.part, after_seconds=self.limit / 1000)
        except Exception as error:  # the outermost loop of this duty, which must come again
            self.failed()
            if self._may_say(repr(error)):
                log.error("duty_failed", duty=self.name, part=self.part, error=repr(error), exc_info=True)
        else:
            self.done()
            return True
        return False

    def done(self) -> None:
        """Note a success."""
        registry = self.registry
        self.at, self.watched_at, self.failing_since = registry.clock.now(), registry.watched(), None

    def failed(self) -> None:
        """Note a run that came to nothing."""
        if self.failing_since is None:
            self.failing_since = self.registry.watched()

    def _may_say(self, what: str) -> bool:
        """Once a minute, or when it is something else: a duty finds out the same again and again."""
        watched = self.registry.watched()
        if what == self.said and watched - self.said_at < SAID_AGAIN:
            return False
        self.said, self.said_at = what, watched
        return True

    def late_by(self, watched: float) -> float:
        """Seconds since the last success where that is too long; 0 while the promise is kept."""
        silent = watched - self.watched_at
        failing = 0.0 if self.failing_since is None else watched - self.failing_since
        return silent if silent * 1000 > self.within or failing * 1000 > min(FAILING, self.within) else 0.0


@dataclass(eq=False)
class Duties:
    """The duties of one daemon."""

    clock: Clock
    _all: dict[tuple[str, str], Duty] = field(default_factory=dict)
    _watched: float = 0.0
    _looked_at: float | None = None

    def add(
        self,
        name: str,
        work: Callable[[], Awaitable[object]],
        *,
        within: Millis,
        limit: Millis = LIMIT,
        part: str = "",
    ) -> Duty:
        """Register a duty that is to succeed once `within` so long, from now on."""
        duty = Duty(name, work, within, limit, self, part)
        self._all[name, part] = duty
        duty.done()
        return duty

    def drop(self, duty: Duty) -> None:
        """Promise it no more: a reload removed what it was about."""
        if self._all.get((duty.name, duty.part)) is duty:
            del self._all[duty.name, duty.part]

    def get(self, name: str, part: str = "") -> Duty | None:
        return self._all.get((name, part))

    def __iter__(self) -> Iterator[Duty]:
        return iter(list(self._all.values()))

    def names(self) -> list[str]:
        """The names, once each, in the order in which they were added."""
        return list(dict.fromkeys(duty.name for duty in self))

    def watched(self) -> float:
        """Seconds in which this process was there to watch, up to now."""
        now = self.clock.monotonic()
        if self._looked_at is not None:
            self._watched += min(max(0.0, now - self._looked_at), STEP)
        self._looked_at = now
        return self._watched

    def oldest(self, name: str) -> Instant:
        """The last success of a duty; of its parts the one that is longest ago."""
        return min((duty.at for duty in self._all.values() if duty.name == name), default=Instant(0))

    def late(self) -> dict[str, str]:
        """Duty → what to say of it; what keeps its promise is absent. Nothing that a provider or a sender said."""
        watched = self.watched()
        found: dict[str, str] = {}
        for duty in self._all.values():
            seconds = duty.late_by(watched)
            if seconds:
                of = f" for {duty.part}" if duty.part else ""
                said = f"no success{of} for {seconds:.0f} s; promised within {duty.within / 1000:.0f} s"
                found[duty.name] = f"{found[duty.name]}; {said}" if duty.name in found else said
        return found


async def each(items: Iterable[T], do: Callable[[T], Awaitable[object]]) -> None:
    """Do it for every item; the first error is raised behind the last item, so that a poisoned one starves no other."""
    failed: Exception | None = None
    for item in items:
        try:
            await do(item)
        except Exception as error:  # noqa: BLE001  # raised below
            failed = failed or error
    if failed is not None:
        raise failed


async def in_turn(*steps: Callable[[], Awaitable[object]]) -> None:
    """Take these steps in turn; the trouble of one holds up none of the others, and is raised behind them."""
    await each(steps, lambda step: step())
