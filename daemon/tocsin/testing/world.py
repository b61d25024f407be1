"""Pretend transports, a gate and a message: what a channel is given, without a network and with time standing still."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from tocsin.clock import SeededChance, VirtualClock
from tocsin.contracts import Gate, Reply, Tools
from tocsin.errors import GateClosed, NotSent
from tocsin.model import Attempt, Instant, Message, Millis

NOW = Instant(1_767_614_400_000)
"""The time that stands still: 2026-01-05T12:00:00Z, a Monday."""

MESSAGE = Message(
    page="0" * 32,
    attempt="a" * 32,
    kind="page",
    channel="mine",
    to="+15005550010",
    user="ana",
    name="Ana Pires",
    urgency="high",
    title="P1 INC 42 db down",
    text="P1 INC 42 db down\nReply ACK 42",
    body="P1 INC 42 db down\ncheckout: nothing is sold",
    spoken="Incident 42. db down.",
    ack_url="https://tocsin.example.org/a/token",
    status_url="https://tocsin.example.org/v1/callbacks/mine/" + "a" * 32,
    voice_url="https://tocsin.example.org/v1/callbacks/mine/" + "a" * 32,
    incident={"number": 42, "title": "db down", "status": "triggered", "service": "checkout", "priority": "P1"},
    cycle=1,
    round=1,
    step=1,
    rule=1,
    try_number=1,
    expires_in=Millis(300_000),
    now=NOW,
)


def message(**changes: Any) -> Message:
    """A page for Ana about incident 42, with changes: `message(kind="test", incident={})`."""
    return replace(MESSAGE, **changes)


def attempt(**changes: Any) -> Attempt:
    """The attempt that carries `message()`, as `Channel.lookup` is given it once its outcome is unknown."""
    made = Attempt("a" * 32, "0" * 32, 42, "mine", "+15005550010", 1, "here", NOW, state="unknown")
    return replace(made, **changes)


@dataclass
class CountingGate:
    """A gate that counts how often it was asked; with a `reason` it is shut."""

    reason: str = ""
    asked: int = 0

    async def __call__(self) -> None:
        self.asked += 1
        if self.reason:
            raise GateClosed(self.reason)


@dataclass(frozen=True)
class Request:
    """A request or mail that left: everything of it that a provider would have seen."""

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes
    allow_private: bool = True


@dataclass
class PretendHttp:
    """An `Http` port. It answers with `answers` one after the other; the last one stays.

    An answer is a Reply, or an error to raise: NotSent before the gate is asked, anything else behind it.
    """

    answers: Sequence[Reply | Exception] = (Reply(200, {}, b"{}"),)
    sent: list[Request] = field(default_factory=list, repr=False)
    asked: int = 0

    async def request(
        self,
        method: str,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        body: bytes = b"",
        gate: Gate | None = None,
        allow_private: bool = True,
        largest: int = 1024 * 1024,
    ) -> Reply:
        answer = self.answers[min(self.asked, len(self.answers) - 1)]
        self.asked += 1
        if isinstance(answer, NotSent):
            raise answer
        if gate is not None:
            await gate()
        self.sent.append(Request(method, url, dict(headers or {}), body, allow_private))
        if isinstance(answer, Exception):
            raise answer
        return replace(answer, body=answer.body[:largest])


@dataclass
class PretendMail:
    """A `Mail` port that answers `answer`, or raises it: NotSent before the gate is asked, anything else behind it."""

    answer: str | Exception = "250 OK"
    sent: list[Request] = field(default_factory=list, repr=False)
    asked: int = 0

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
        self.asked += 1
        if isinstance(self.answer, NotSent):
            raise self.answer
        if gate is not None:
            await gate()
        self.sent.append(Request("MAIL", f"{host}:{port}", {"from": sender, "to": recipient}, message))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


def tools(
    http: PretendHttp | None = None, mail: PretendMail | None = None, shown: list[str] | None = None, *, seed: int = 1
) -> Tools:
    """Tools of a channel; `shown` takes what it prints on the terminal."""
    show = shown if shown is not None else []
    return Tools(http or PretendHttp(), mail or PretendMail(), VirtualClock(NOW), SeededChance(seed), show.append)
