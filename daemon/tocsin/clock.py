"""Ports for time, chance and the ownership of tasks: the only code that asks the system for them.

`SystemClock` is production; `VirtualClock` is a clock that moves only when a test moves it.
"""

from __future__ import annotations

import asyncio
import heapq
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from time import clock_gettime_ns
from typing import Any

from tocsin.contracts import Reading, Wakeable
from tocsin.model import Instant, Millis
from tocsin.model.civil import ahead

LONGEST_NAP = 1.0  # seconds; the machine may sleep while we do, and the loop's timers sleep with it
EXACT, LOOKS = 20, 10  # milliseconds that two clocks are read apart at most, and how often that is tried
SINCE_BOOT = getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC)
SLOWLY = 20  # the line runs at most this part faster or slower than time


def system_wall() -> int:
    return time.time_ns() // 1_000_000


def system_elapsed() -> int:
    """Milliseconds since the machine booted, its sleep included: CLOCK_BOOTTIME, which nobody can set."""
    return clock_gettime_ns(SINCE_BOOT) // 1_000_000


def system_boot() -> str:
    """Names this boot of the machine; "" where the system does not tell."""
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    except OSError:
        return ""


class SystemClock:
    """Tocsin's line of time: it runs with the machine's CLOCK_BOOTTIME, so no step of a wall clock moves it.

    It begins at the wall clock. Small differences are run down slowly (`steer`), a twentieth faster or slower; what is
    larger is a step, and becomes the distance between the line and civil time (`model/civil.py`).
    """

    def __init__(
        self,
        wall: Callable[[], int] = system_wall,
        elapsed: Callable[[], int] = system_elapsed,
        boot: Callable[[], str] = system_boot,
    ) -> None:
        self._wall, self._elapsed, self._boot = wall, elapsed, boot
        self._since, self._slew = elapsed(), 0
        self._base = self._last = Instant(wall() - ahead())
        self._this_boot: str | None = None

    def now(self) -> Instant:
        elapsed = clock_gettime_ns(SINCE_BOOT) // 1_000_000 if self._elapsed is system_elapsed else self._elapsed()
        # As `_at`, without the calls where there are none to make: each alert asks some times.
        now = self._at(elapsed) if self._slew else self._base + elapsed - self._since
        if now > self._last:
            self._last = Instant(now)
        return self._last

    def _at(self, elapsed: int) -> int:
        gone = elapsed - self._since
        if not self._slew:
            return self._base + gone
        return self._base + gone + max(-(gone // SLOWLY), min(gone // SLOWLY, self._slew))

    def reading(self) -> Reading:
        if self._this_boot is None:
            self._this_boot = self._boot()
        for _ in range(LOOKS):
            before, wall, after = self._elapsed(), self._wall(), self._elapsed()
            if after - before <= EXACT:
                break
        elapsed = (before + after) // 2
        return Reading(wall, elapsed, self._this_boot, Instant(self._at(elapsed)), Millis((after - before) // 2))

    def steer(self, by: Millis) -> None:
        """Be so much later (or earlier) soon, a twentieth faster or slower meanwhile."""
        now = self.now()
        self._base, self._since, self._slew = now, self._elapsed(), by

    def set(self, now: Instant, elapsed: int | None = None) -> None:
        """Set the time to `now`: at a start, before anybody asked; later it may only go forward."""
        self._base, self._since, self._slew = now, self._elapsed() if elapsed is None else elapsed, 0
        self._last = now

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep_until(self, due: Instant) -> None:
        while (left := due - self.now()) > 0:
            await asyncio.sleep(min(left / 1000, LONGEST_NAP))

    async def sleep(self, length: Millis) -> None:
        await asyncio.sleep(length / 1000)

    async def turn(self) -> None:
        await asyncio.sleep(0)

    def timeout(self, length: Millis) -> AbstractAsyncContextManager[Any]:
        return asyncio.timeout(length / 1000)

    async def wait(self, event: Wakeable, until: Instant | None) -> bool:
        while not event.is_set():
            left = LONGEST_NAP if until is None else (until - self.now()) / 1000
            if left <= 0:
                return False
            try:
                async with asyncio.timeout(min(left, LONGEST_NAP)):
                    await event.wait()
            except TimeoutError:
                continue
        return True


class VirtualClock:
    """A clock that stands still until `advance_to`; waits sit in its own heap, never in the event loop."""

    def __init__(self, start: Instant) -> None:
        self._now = start
        self._heap: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self.stepped = Millis(0)  # how far the wall clock was set ahead of time

    def now(self) -> Instant:
        return self._now

    def reading(self) -> Reading:
        return Reading(self._now + self.stepped, self._now, "virtual", self._now)

    def steer(self, by: Millis) -> None:
        """Do nothing: virtual time does not drift."""

    def set(self, now: Instant, elapsed: int | None = None) -> None:
        self._now = max(self._now, now)

    def monotonic(self) -> float:
        return self._now / 1000

    def next_due(self) -> Instant | None:
        """The earliest instant anybody waits for."""
        return Instant(self._heap[0][0]) if self._heap else None

    def advance_to(self, at: Instant) -> None:
        """Move to `at` and wake everybody whose time has come, in order."""
        self._now = max(self._now, at)
        while self._heap and self._heap[0][0] <= self._now:
            heapq.heappop(self._heap)[2]()

    def at(self, due: Instant, wake: Callable[[], None]) -> None:
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, wake))

    async def sleep_until(self, due: Instant) -> None:
        if due <= self._now:
            return
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.at(due, lambda: None if woken.done() else woken.set_result(None))
        await woken

    async def sleep(self, length: Millis) -> None:
        await self.sleep_until(Instant(self._now + length))

    async def turn(self) -> None:
        await asyncio.sleep(0)

    @asynccontextmanager
    async def timeout(self, length: Millis) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as limit:
            inside = True

            def expire() -> None:
                if inside:
                    limit.reschedule(0)

            self.at(Instant(self._now + length), expire)
            try:
                yield
            finally:
                inside = False

    async def wait(self, event: Wakeable, until: Instant | None) -> bool:
        if event.is_set():
            return True
        if until is None:
            await event.wait()
            return True
        if until <= self._now:
            return False
        try:
            async with self.timeout(Millis(until - self._now)):
                await event.wait()
        except TimeoutError:
            return False
        return True


class ReplayClock(VirtualClock):
    """A virtual clock for long stretches of time, in few stops.

    `next_due` names what is waited for exactly. Who naps (`sleep`: chores that look around now and then) wakes at the
    first stop after the nap's end, and is no reason to stop.
    """

    def __init__(self, start: Instant) -> None:
        super().__init__(start)
        self._naps: list[tuple[int, int, asyncio.Future[None]]] = []
        self._over: set[int] = set()  # waits that ended before their time; negative: their time came first

    def next_due(self) -> Instant | None:
        while self._heap and self._heap[0][1] in self._over:
            self._over.discard(heapq.heappop(self._heap)[1])
        return super().next_due()

    def advance_to(self, at: Instant) -> None:
        super().advance_to(at)
        while self._naps and self._naps[0][0] <= self._now:
            woken = heapq.heappop(self._naps)[2]
            if not woken.done():
                woken.set_result(None)

    async def sleep(self, length: Millis) -> None:
        woken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._count += 1
        heapq.heappush(self._naps, (self._now + length, self._count, woken))
        await woken

    @asynccontextmanager
    async def timeout(self, length: Millis) -> AsyncIterator[None]:
        async with asyncio.timeout(None) as limit:
            mine = self._count + 1

            def expire() -> None:
                if mine in self._over:
                    self._over.discard(mine)
                else:
                    self._over.add(-mine)
                    limit.reschedule(0)

            self.at(Instant(self._now + length), expire)
            try:
                yield
            finally:
                if -mine in self._over:
                    self._over.discard(-mine)
                else:
                    self._over.add(mine)

    async def rest(self) -> None:
        """Returns when nobody has anything left to do at this instant."""
        loop = asyncio.get_running_loop()
        if loop._ready:  # type: ignore[attr-defined]  # whether anything may run now: there is no public way to ask
            quiet: asyncio.Future[None] = loop.create_future()
            loop.call_soon(_run_until_quiet, loop, quiet)
            await quiet


def _run_until_quiet(loop: Any, quiet: asyncio.Future[None]) -> None:
    """Run what the loop would run, in its order, until nothing is left; then wake the future's waiter.

    Between two turns the loop also looks at its timers and sockets. A replay has none, and many turns.
    """
    ready = loop._ready
    while ready:
        handle = ready.popleft()
        if not handle.cancelled():
            handle._run()
    quiet.set_result(None)


class SystemChance:
    """The operating system's randomness."""

    def token(self) -> str:
        return secrets.token_hex(16)

    def fraction(self) -> float:
        return secrets.randbelow(1 << 53) / (1 << 53)


class SeededChance:
    """Repeatable chance for simulations; never for production: its tokens can be guessed."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)  # noqa: S311  # simulation only

    def token(self) -> str:
        return f"{self._random.getrandbits(128):032x}"

    def fraction(self) -> float:
        return self._random.random()


class Tasks:
    """Owner of the tasks it spawns: keeps them alive, hears of their failures, stops them all."""

    def __init__(self, on_failure: Callable[[str, BaseException], None]) -> None:
        self._tasks: set[asyncio.Task[Any]] = set()
        self._on_failure = on_failure

    def __call__(self, work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
        task = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            self._on_failure(task.get_name(), error)

    @property
    def running(self) -> int:
        return len(self._tasks)

    async def stop(self) -> None:
        """Cancel all that still run, and wait until they have ended."""
        while self._tasks:
            for task in self._tasks:
                task.cancel()
            await asyncio.wait(self._tasks)


def spawn(work: Coroutine[Any, Any, Any], name: str) -> asyncio.Task[Any]:
    """A task whose owner awaits or cancels it itself."""
    return asyncio.get_running_loop().create_task(work, name=name)
