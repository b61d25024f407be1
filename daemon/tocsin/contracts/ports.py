"""The five ports: clock, chance, tasks, HTTP and mail; and the reader of a stranger's calendar."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Coroutine, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, Protocol

from tocsin.model import Instant, Millis


class Reading(NamedTuple):
    """Readings of the machine's clocks: its wall clock, which may be stepped, and how long it is up, which may not be.
    Milliseconds, all of one moment, give or take `doubt`: a process may be stopped between two questions. `boot` names
    the boot that `elapsed` counts from; `line` is what `now` says."""

    wall: int
    elapsed: int
    boot: str
    line: Instant = Instant(0)
    doubt: Millis = Millis(0)


class Clock(Protocol):
    """The only source of time. Code outside clock.py never reads or waits for another one.

    Instants lie on a line that runs evenly and is never stepped; `model/civil.py` says where civil time is on it.
    """

    def now(self) -> Instant:
        """The instant now; never goes backwards within a process."""

    def reading(self) -> Reading:
        """For whoever watches the clocks; everybody else asks `now`."""

    def steer(self, by: Millis) -> None:
        """Take up a small difference slowly."""

    def set(self, now: Instant, elapsed: int | None = None) -> None:
        """Set the line to `now`, as of when the machine was up for `elapsed`. At a start, or forward."""

    def monotonic(self) -> float:
        """Seconds on a clock that no adjustment moves; for lengths only."""

    async def sleep_until(self, due: Instant) -> None:
        """Returns at `due` or at once when it is past."""

    async def sleep(self, length: Millis) -> None:
        """Returns `length` from now."""

    async def turn(self) -> None:
        """Let everybody else who is ready run once; for long work on the loop."""

    def timeout(self, length: Millis) -> AbstractAsyncContextManager[None]:
        """Cancels its body after `length` and raises TimeoutError, as asyncio.timeout does."""

    async def wait(self, event: Wakeable, until: Instant | None) -> bool:
        """Wait for `event` to be set, at the latest until `until`; True when it was set."""


class Wakeable(Protocol):
    def is_set(self) -> bool: ...

    async def wait(self) -> Any: ...


class Chance(Protocol):
    """The only source of randomness."""

    def token(self) -> str:
        """128 unguessable bits as 32 hex digits."""

    def fraction(self) -> float:
        """Uniform in [0, 1)."""


class Spawn(Protocol):
    """The only way to start a task. Every task has a name and an owner who awaits or stops it."""

    def __call__(self, work: Coroutine[Any, Any, Any], name: str) -> Task: ...


class Task(Protocol):
    def cancel(self) -> bool: ...

    def done(self) -> bool: ...

    def __await__(self) -> Any: ...


Gate = Callable[[], Awaitable[None]]
"""Called with the connection in hand, just before the first byte is written. Raises GateClosed."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An HTTP answer, its body read whole (up to what was asked for). Header names are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Http(Protocol):
    """Requests to providers, under the port's own deadlines: connect 3 s, 10 s in all."""

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] = ...,
        body: bytes = b"",
        gate: Gate | None = None,
        allow_private: bool = True,
        largest: int = 1024 * 1024,
    ) -> Reply:
        """Make one request, never retried, no redirect followed; of the body at most `largest` bytes.

        Raises NotSent when surely not one byte left (DNS, refused, TLS, connect time-out),
        MaybeSent for a time-out or a reset after that, GateClosed when the gate refused.
        With `allow_private=False` a name that resolves to a loopback, private or link-local address
        is NotSent; the check is on the address that is dialled.
        """


class Mail(Protocol):
    """Delivery of one message to one SMTP server, under the same deadlines."""

    async def send(
        self,
        *,
        host: str,
        port: int,
        security: Literal["none", "starttls", "tls"],
        username: str | None,
        password: str | None,
        sender: str,
        recipient: str,
        message: bytes,
        gate: Gate | None = None,
    ) -> str:
        """Returns the server's last answer. The gate runs after RCPT TO, before DATA.

        Raises NotSent (nothing of the message left, or the server refused it by 4xx/5xx: its text is
        the message; `permanent` is true on 5xx), MaybeSent after the content began to leave.
        """


class ReadFeed(Protocol):
    """Reads a stranger's calendar where it can be stopped: a rule of three words can keep a processor busy for ever."""

    async def __call__(self, raw: bytes, timezone: str, start: Instant, end: Instant, before: bytes = b"") -> bytes:
        """The events that touch [start, end) as `decide.feeds.from_json` reads them; floating times are `timezone`'s.
        What cannot be read is taken from `before`, the copy before, where it can be.

        Raises BadFeed when it is no calendar, or takes too long or too much memory.
        """


class Live(Protocol):
    """The configuration in force. Read `.settings` anew for each decision: a reload replaces it whole."""

    @property
    def settings(self) -> Any: ...
