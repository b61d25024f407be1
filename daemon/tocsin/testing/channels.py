"""Promises of a channel, tried over every kind of message and every answer that a provider may give, or not give."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, get_args

from tocsin.contracts import ChannelKind, Reply
from tocsin.errors import MaybeSent, NotSent
from tocsin.model import Accepted, Cancelled, Failed, Message, Outcome, PageKind, Secret, Unknown
from tocsin.testing.sources import kind_troubles, raise_all
from tocsin.testing.world import CountingGate, PretendHttp, PretendMail, attempt, message, tools

NASTY = "\x1b[2J\x00\r\nBcc: eve@example.org\r\n\u202e" + "\U0001f6a8" * 400 + "x" * 5_000
BODIES = (b"", b"{", b"null", b"[]", b'{"message": 7, "code": "x"}', b"<html>", b"\xff\xfe")
REFUSED = (400, 401, 403, 404, 410, 422, 429)
BROKEN = (500, 502, 503, 504)


async def check_channel(
    kind: ChannelKind, options: Mapping[str, Any], *, to: str = "+15005550010", accepted: Reply | None = None
) -> None:
    """Hold a channel to what `tocsin.contracts.ChannelKind` and `Channel` promise.

    Raises AssertionError with every broken promise. `options` as the configuration gives them, secrets as Secret; `to`
    an address that the channel takes; `accepted` what its provider answers to a good request (200 and an empty JSON
    object).
    """
    trial = _Trial(kind, options, to, accepted or Reply(200, {"content-type": "application/json"}, b"{}"))
    troubles = [*_described(kind, options)]
    async for trouble in trial.troubles():
        troubles.append(trouble)
    raise_all(kind.type, troubles)


def _described(kind: ChannelKind, options: Mapping[str, Any]) -> Iterator[str]:
    yield from kind_troubles(kind.type, kind.title, kind.options)
    allowed = {
        "address": ("phone", "email", "text"),
        "throttle": ("sms", "voice", "mail", "chat", ""),
        "confirms": ("callback", "lookup", "nothing"),
        "interactive": (True, False),
    }
    yield from (
        f"{name} is {getattr(kind, name)!r}, none of {values}"
        for name, values in allowed.items()
        if getattr(kind, name) not in values
    )
    yield from (f"the option {name} is not declared" for name in options if name not in kind.options)
    yield from (
        f"the option {name} is required: give it to check_channel"
        for name, option in kind.options.items()
        if option.required and name not in options
    )


class _Trial:
    """A kind under every circumstance; a channel of its own in each."""

    def __init__(self, kind: ChannelKind, options: Mapping[str, Any], to: str, accepted: Reply) -> None:
        self.kind, self.options, self.to, self.accepted = kind, options, to, accepted
        self.uses_http = self.uses_mail = False

    async def troubles(self) -> Any:
        async for trouble in self._when_all_is_well():
            yield trouble
        async for trouble in self._when_the_gate_is_shut():
            yield trouble
        async for trouble in self._when_the_line_is_down():
            yield trouble
        if self.uses_http:
            async for trouble in self._whatever_the_provider_answers():
                yield trouble
        async for trouble in self._when_it_is_looked_up():
            yield trouble

    async def _when_all_is_well(self) -> Any:
        for kind in get_args(PageKind):
            for said in (
                message(kind=kind, to=self.to, channel=self.kind.type),
                _bare(kind, self.to),
                _nasty(kind, self.to),
            ):
                http, mail, door = PretendHttp([self.accepted]), PretendMail(), CountingGate()
                outcome, trouble = await self._send(said, http, mail, door)
                self.uses_http |= bool(http.asked)
                self.uses_mail |= bool(mail.asked)
                if trouble:
                    yield f"a message of kind {kind} {trouble}"
                elif not isinstance(outcome, Accepted):
                    yield f"a message of kind {kind} that the provider takes is {outcome}, not Accepted"
                elif door.asked != 1:
                    yield f"the gate is asked {door.asked} times for one message, not once"
                elif len(http.sent) + len(mail.sent) > 1:
                    yield "one message is sent more than once"

    async def _when_the_gate_is_shut(self) -> Any:
        http, mail, shown = PretendHttp([self.accepted]), PretendMail(), list[str]()
        outcome, trouble = await self._send(message(to=self.to), http, mail, CountingGate("acknowledged"), shown)
        if trouble:
            yield f"a shut gate {trouble}"
        elif outcome != Cancelled("acknowledged"):
            yield f"a shut gate gives {outcome}, not Cancelled with the gate's reason"
        if http.sent or mail.sent or shown:
            yield "something is sent although the gate is shut"

    async def _when_the_line_is_down(self) -> Any:
        if not (self.uses_http or self.uses_mail):
            return
        lines: tuple[tuple[NotSent | MaybeSent, type[Outcome]], ...] = (
            (NotSent("connection refused"), Failed),
            (MaybeSent("the connection was reset"), Unknown),
        )
        for error, wanted in lines:
            outcome, trouble = await self._send(
                message(to=self.to), PretendHttp([error]), PretendMail(error), CountingGate()
            )
            if trouble:
                yield f"{type(error).__name__} {trouble}"
            elif not isinstance(outcome, wanted):
                yield f"{type(error).__name__} gives {outcome}, not {wanted.__name__}"

    async def _whatever_the_provider_answers(self) -> Any:
        for status, wanted in [*((one, Failed) for one in REFUSED), *((one, Unknown) for one in BROKEN)]:
            for body in BODIES:
                reply = Reply(status, {"content-type": "application/json", "retry-after": "soon"}, body)
                outcome, trouble = await self._send(
                    message(to=self.to), PretendHttp([reply]), PretendMail(), CountingGate()
                )
                if trouble:
                    yield f"the answer {status} {trouble}"
                elif not isinstance(outcome, wanted):
                    yield f"the answer {status} gives {outcome}, not {wanted.__name__}"
        for body in BODIES:
            reply = Reply(self.accepted.status, {}, body)
            _, trouble = await self._send(message(to=self.to), PretendHttp([reply]), PretendMail(), CountingGate())
            if trouble:
                yield f"an answer {reply.status} with the body {body!r} {trouble}"

    async def _when_it_is_looked_up(self) -> Any:
        for reply in (self.accepted, Reply(500, {}, b""), MaybeSent("reset"), NotSent("refused")):
            channel = self.kind.open("mine", self.options, tools(PretendHttp([reply])))
            try:
                found = await channel.lookup(attempt(channel=self.kind.type))
            except Exception as error:  # noqa: BLE001  # any error is the broken promise itself
                yield f"lookup raises {type(error).__name__}: {error}"
                continue
            if found is not None and not isinstance(found, Accepted | Failed | Unknown):
                yield f"lookup gives {found!r}, neither an outcome nor None"

    async def _send(
        self, said: Message, http: PretendHttp, mail: PretendMail, door: CountingGate, shown: list[str] | None = None
    ) -> tuple[Outcome | None, str]:
        """Outcome of one message, and what is wrong with it."""
        try:
            channel = self.kind.open("mine", self.options, tools(http, mail, shown))
        except Exception as error:  # noqa: BLE001  # any error is the broken promise itself
            return None, f"cannot be sent: open raises {type(error).__name__}: {error}"
        if http.asked or mail.asked:
            return None, "cannot be sent: open connects, which only send may"
        try:
            outcome = await channel.send(said, door)
        except Exception as error:  # noqa: BLE001  # any error is the broken promise itself
            return None, f"raises {type(error).__name__}: {str(error)[:120]}"
        leaked = [name for name, text in self._secrets() if text in f"{channel!r} {outcome!r}"]
        if leaked:
            return outcome, f"shows the secret {leaked[0]} in the channel's repr or in the outcome"
        return outcome, ""

    def _secrets(self) -> Iterator[tuple[str, str]]:
        for name, value in self.options.items():
            if isinstance(value, Secret):
                yield from ((name, text) for text in value.values)


def _bare(kind: Any, to: str) -> Message:
    """Message as it is without a public_url, and about no incident."""
    return message(kind=kind, to=to, ack_url="", status_url="", voice_url="", incident={}, user="", name="")


def _nasty(kind: Any, to: str) -> Message:
    return message(kind=kind, to=to, title=NASTY, text=NASTY, body=NASTY, spoken=NASTY, name=NASTY)
