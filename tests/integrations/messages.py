"""One page as channels get it, and the tools they work with."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

from tocsin.clock import SeededChance, SystemClock
from tocsin.contracts import Tools
from tocsin.model import Instant, Message, Millis
from tocsin.transport import AioHttp, AioSmtp

PAGE = Message(
    page="0" * 32,
    attempt="a" * 32,
    kind="page",
    channel="sms",
    to="+15005550010",
    user="ana",
    name="Ana Pires",
    urgency="high",
    title="P1 INC 42 db down",
    text="P1 INC 42 db down\nReply ACK 42",
    body="P1 INC 42 db down\ncheckout: nothing is sold",
    spoken="Incident 42. db down.",
    ack_url="https://tocsin.example.org/a/tok",
    status_url="https://tocsin.example.org/v1/callbacks/twilio/status/" + "a" * 32,
    voice_url="https://tocsin.example.org/v1/callbacks/twilio/voice/" + "a" * 32,
    incident={"number": 42, "title": "db down", "status": "triggered"},
    cycle=1,
    round=1,
    step=2,
    rule=1,
    try_number=1,
    expires_in=Millis(300_000),
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
