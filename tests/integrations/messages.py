"""One page as channels get it, and the tools they work with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.clock import SeededChance, SystemClock
from tocsin.contracts import Tools
from tocsin.model import Instant, Message, Millis
from tocsin.testing import message
from tocsin.transport import AioHttp, AioSmtp

CALLBACKS = "https://tocsin.example.org/v1/callbacks/twilio"
PAGE = message(
    channel="sms",
    ack_url="https://tocsin.example.org/a/tok",
    status_url=f"{CALLBACKS}/status/{'a' * 32}",
    voice_url=f"{CALLBACKS}/voice/{'a' * 32}",
    incident={"number": 42, "title": "db down", "status": "triggered"},
    step=2,
    now=Instant(1_795_144_461_000),
)


def page(**changes: Any) -> Message:
    """The page above, with changes."""
    return replace(PAGE, **changes)


@dataclass
class Shown:
    """What the console printed."""

    pages: list[str] = field(default_factory=list)

    def __call__(self, text: str) -> None:
        self.pages.append(text)


@contextlib.asynccontextmanager
async def real_tools(show: Shown | None = None, trust: Any = None) -> AsyncIterator[Tools]:
    """The production transport with short deadlines."""
    clock = SystemClock()
    http = AioHttp(clock, connect=Millis(500), total=Millis(1_000))
    mail = AioSmtp(clock, trust=trust, connect=Millis(500), total=Millis(1_500))
    try:
        yield Tools(http=http, mail=mail, clock=clock, chance=SeededChance(1), show=show or Shown())
    finally:
        await http.close()
