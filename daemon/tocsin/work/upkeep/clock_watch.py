"""Watch the wall clock: follow it where it drifts, notice where it is stepped, and let neither stop nor hurry a timer.

Where one process writes the wall clock is the machine's; on a shared database it is the database's, and the replicas
agree through `meta.clock` on where civil time lies (docs/decisions/0007-the-line-of-time.md).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

import structlog

from tocsin.contracts import Clock, Reading, Store, Tx
from tocsin.decide.time_line import (
    SMALL,
    TOLD,
    Anchor,
    Place,
    anchor_of,
    in_words,
    is_step,
    may_follow,
    off_by,
    others_agree,
    placed,
    resumed,
)
from tocsin.model import SECOND, Instant, Millis, rfc3339
from tocsin.model.civil import ahead, set_ahead
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.clock")

KEPT = "clock"
KEEP = Millis(60 * SECOND)  # in one boot any anchor does; after another one it says how far the line had come
KEEP_SHARED = Millis(5 * SECOND)  # tells the others that the database's clock is as it was
STEER = Millis(30 * SECOND)
VAGUE = Millis(100)  # an answer of the database that is no more exact is no reason to steer
PATIENCE = 15  # seconds for another replica to say what became of the database's clock


class SharedClock(Protocol):
    """Time as a shared database knows it."""

    async def database_clock(self) -> tuple[int, str | None]: ...

    async def others_live(self) -> bool: ...


class Seen(NamedTuple):
    """The wall clock that counts, at an instant of the line give or take `doubt`, and the anchor that is kept."""

    wall: int
    line: Instant
    kept: str | None
    doubt: Millis = Millis(0)


@dataclass(frozen=True, slots=True)
class Followers:
    """The parts of the daemon that a step of the clock concerns. `follow`: run behind each step, in order."""

    runtime: Runtime
    alarm: Callable[[str, str, str], None]
    follow: Sequence[Callable[[], Awaitable[object]]]


class ClockWatch:
    """`resume` before anything asks for the time; `look` every second. `followers` hear of each step."""

    def __init__(self, store: Store, clock: Clock, me: str, shared: SharedClock | None) -> None:
        self.store, self.clock, self.me, self.shared = store, clock, me, shared
        self.followers: Followers | None = None  # given once the daemon's parts are made
        self.stepped = Millis(0)  # over the start: told when there is somebody to tell
        self._kept_at = self._steered_at = Instant(0)
        self._known: str | None = None

    # -------------------------------------------------------------------------------- at a start

    async def resume(self) -> None:
        """Go on where the process before this one, or the other replicas, are. Raises StoreUnavailable."""
        kept, reading = await (self._read_shared(self.shared) if self.shared else self._read())
        place = resumed(anchor_of(kept), reading)
        self._known = kept
        self.clock.set(place.line, reading.elapsed or None)
        set_ahead(place.ahead)
        if place.step and await self._keep_step(kept, place):
            self.stepped = place.step
        await self.keep()

    async def _read(self) -> tuple[str | None, Reading]:
        return await self.store.meta(KEPT), self.clock.reading()

    async def _read_shared(self, shared: SharedClock) -> tuple[str | None, Reading]:
        for _ in range(PATIENCE):
            wall, kept = await shared.database_clock()
            anchor = anchor_of(kept)
            if anchor is None or may_follow(anchor, wall) or not await shared.others_live():
                break
            await self.clock.sleep(SECOND)  # others live, and have not said yet what became of the clock
        return kept, Reading(wall, 0, "")

    async def tell_step_over_start(self) -> None:
        if self.stepped:
            self._tell(self.stepped)

    # ----------------------------------------------------------------------------------- the look

    async def look(self) -> None:
        """Compare the line with the wall clock. Raises StoreUnavailable; the next look tries again."""
        seen = await self._see()
        if self.shared is not None and seen.kept != self._known:
            await self._agree(seen.kept)
        off = off_by(seen.line, ahead(), seen.wall)
        if is_step(off, seen.doubt):
            await self._differs(seen, off)
            return
        if seen.doubt <= VAGUE and seen.line - self._steered_at >= STEER:
            self._steered_at = seen.line
            self.clock.steer(off)
        if self.clock.now() - self._kept_at >= (KEEP_SHARED if self.shared else KEEP):
            await self.keep()

    async def _see(self) -> Seen:
        if self.shared is None:
            reading = self.clock.reading()
            return Seen(reading.wall, reading.line, self._known, reading.doubt)
        before = self.clock.now()
        wall, kept = await self.shared.database_clock()
        after = self.clock.now()
        return Seen(wall, Instant((before + after) // 2), kept, Millis((after - before) // 2))

    async def _agree(self, kept: str | None) -> None:
        """Another replica kept an anchor; where civil time lies it knows as well as this one."""
        self._known, anchor = kept, anchor_of(kept)
        if anchor is not None and anchor.ahead != ahead():
            step = Millis(anchor.ahead - ahead())
            set_ahead(anchor.ahead)
            await self._follow(step)

    async def _differs(self, seen: Seen, off: Millis) -> None:
        anchor = anchor_of(seen.kept)
        if self.shared is not None and anchor is not None and others_agree(anchor, seen.wall, self.me):
            log.error("clock_off", milliseconds=off, advice="this machine stood still, or its clock runs wrong")
            if off > 0:
                self.clock.set(Instant(seen.line + off))
            else:
                self.clock.steer(off)
            return
        place = placed(seen.line, ahead(), seen.wall, SMALL, seen.line)
        if await self._keep_step(seen.kept, place):
            set_ahead(place.ahead)
            await self._follow(place.step)

    async def _follow(self, step: Millis) -> None:
        """Civil time lies elsewhere: what follows it looks again, and people are told."""
        self._tell(step)
        for follow in self.followers.follow if self.followers is not None else ():
            try:
                await follow()
            except Exception as error:  # the next one, and the next look, must come
                log.error("clock_step_not_followed", error=repr(error), exc_info=True)

    # ----------------------------------------------------------------------------------- what is kept

    async def keep(self) -> None:
        """For the next start, and for the other replicas."""
        after = self._anchor(ahead()).packed()
        if self._known is None or await self._swap(self._known, after, None):
            if self._known is None:
                await self.store.add_meta(KEPT, after)
            self._known, self._kept_at = after, self.clock.now()

    async def _keep_step(self, kept: str | None, place: Place) -> bool:
        """Whether this process was the one to say where civil time lies now; what was meant in it moves along."""
        after = self._anchor(place.ahead).packed()
        before = anchor_of(kept)
        shift = Millis((before.ahead if before else ahead()) - place.ahead)
        if not await self._swap(kept, after, shift):
            return False
        self._known, self._kept_at = after, self.clock.now()
        return True

    async def _swap(self, before: str | None, after: str, shift: Millis | None) -> bool:
        async def work(tx: Tx) -> bool:
            if not await tx.swap_meta(KEPT, before, after):
                return False
            if shift:
                tx.shift_civil(shift, self.clock.now())
            return True

        return await self.store.write(work, paging=True)

    def _anchor(self, length: Millis) -> Anchor:
        reading = self.clock.reading()
        return Anchor(reading.line, length, reading.elapsed, self.me if self.shared else reading.boot)

    # -------------------------------------------------------------------------------------- telling

    def _tell(self, step: Millis) -> None:
        whose = "the database's clock" if self.shared else "this machine's clock"
        now = self.clock.now()
        log.error("clock_stepped", by=in_words(step), milliseconds=step, whose=whose, now=rfc3339(now))
        if self.followers is None:
            return
        metrics = self.followers.runtime.metrics
        metrics.clock_steps.labels("forward" if step > 0 else "back").inc()
        metrics.clock_ahead_seconds.set(ahead() / 1000)
        if abs(step) >= TOLD:
            title = f"{whose} was set {in_words(step)}"
            because = (
                f"{whose} was set {in_words(step)}; it shows {rfc3339(now)} now. Waits and escalations run on as if "
                "nothing had happened; shifts, maintenance windows, support hours and silences follow the clock"
            )
            self.followers.alarm("clock", title, because)


class Attendance:
    """Notices that this process stood still for long (a suspended machine, a stopped process): what fell due
    meanwhile fell into a downtime, as if there had been a restart. Asked before anything is judged late."""

    def __init__(self, clock: Clock, judge: Callable[[], Awaitable[object]], longest: Millis) -> None:
        self._clock, self._judge, self._longest = clock, judge, longest
        self._seen = clock.now()
        self._alone = asyncio.Lock()

    async def attend(self) -> None:
        if self._clock.now() - self._seen <= self._longest and not self._alone.locked():
            self._seen = self._clock.now()
            return
        async with self._alone:
            gap = self._clock.now() - self._seen
            if gap > self._longest:
                log.error("stood_still", seconds=gap // 1000)
                await self._judge()
            self._seen = self._clock.now()
