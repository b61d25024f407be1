"""Reading a stranger's calendar in a process of its own, which is ended when it takes too long.

A rule such as "on each 31 February" keeps the library that spells it out busy for ever, and nothing can stop a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from types import FrameType

from tocsin.contracts import Clock
from tocsin.errors import BadFeed
from tocsin.model import SECOND, Instant, Millis

LONGEST = Millis(20 * SECOND)
PROCESSOR_SECONDS = 15
MEMORY = 768 * 1024 * 1024
SHARE = 0.25  # of the processor's seconds that are left: one event gets no more
BAD = 3  # the exit code that comes with a reason


class ReadApart:
    """The ReadFeed port: one short-lived process a calendar, since they change seldom."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock

    async def __call__(self, raw: bytes, timezone: str, start: Instant, end: Instant, before: bytes = b"") -> bytes:
        """Read a calendar as the ReadFeed port promises."""
        try:
            child = await asyncio.create_subprocess_exec(
                sys.executable, "-P", "-m", "tocsin.feed_worker", timezone, str(start), str(end), str(len(raw)),
                stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.DEVNULL,
            )  # fmt: skip
        except OSError as error:
            raise BadFeed(f"cannot be read at the moment: no process could be started ({error.strerror})") from error
        try:
            async with self._clock.timeout(LONGEST):
                said, _ = await child.communicate(raw + before)
        except TimeoutError:
            raise BadFeed("takes too long to read; does an event repeat without end?") from None
        finally:
            await _ended(child)
        match child.returncode:
            case 0:
                return said
            case code if code == BAD:
                raise BadFeed(said.decode("utf-8", "replace"))
            case _:
                raise BadFeed("takes too long or too much memory to read; does an event repeat without end?")


async def _ended(child: asyncio.subprocess.Process) -> None:
    """Kill the child and wait for it, also when we are cancelled."""
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            child.kill()
        await child.wait()


def limit_myself() -> None:
    """Limit the memory and time of this child process: the system ends it beyond. Where limits may not be set, its
    parent still does.
    """
    limits = ((resource.RLIMIT_CPU, PROCESSOR_SECONDS), (resource.RLIMIT_AS, MEMORY), (resource.RLIMIT_CORE, 0))
    for kind, most in limits:
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(kind, (most, most))


def budget_of(too_long: type[Exception]) -> Callable[[], contextlib.AbstractContextManager[None]]:
    """A bound for the child on what one event takes, so that it costs itself; many of them leave time for the
    others.
    """
    left = PROCESSOR_SECONDS / 2

    def ring(_signal: int, _frame: FrameType | None) -> None:
        raise too_long

    @contextlib.contextmanager
    def budget() -> Iterator[None]:
        nonlocal left
        mine = left * SHARE
        signal.setitimer(signal.ITIMER_VIRTUAL, mine)
        try:
            yield
        except too_long:
            left -= mine
            raise
        finally:
            signal.setitimer(signal.ITIMER_VIRTUAL, 0)

    signal.signal(signal.SIGVTALRM, ring)
    return budget
