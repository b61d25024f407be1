"""Sources and channels, as plug-ins give them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from tocsin.contracts.ports import Chance, Clock, Gate, Http, Mail
from tocsin.model import Attempt, Instant, IntegrationConfig, Message, Option, Outcome, Parsed


class Source(Protocol):
    """A kind of alert source: bytes in, alerts out. Pure; no I/O, no clock."""

    type: str
    title: str
    options: Mapping[str, Option]

    def parse(self, raw: bytes, headers: Mapping[str, str], config: IntegrationConfig, now: Instant) -> Parsed:
        """Every alert of the body, in order, and those that cannot be taken.

        `headers` names are lower case; `now` is used only where the wire format relates to it.
        Raises BadBody when nothing of it can be read. Never raises anything else, whatever the bytes.
        """


@dataclass(frozen=True, slots=True)
class Tools:
    """Tools that a channel is given to work with."""

    http: Http
    mail: Mail
    clock: Clock
    chance: Chance
    show: Callable[[str], None]  # prints on the daemon's terminal; console only


class Channel(Protocol):
    """A configured way to reach people."""

    async def send(self, message: Message, gate: Gate) -> Outcome:
        """Make one attempt. Calls the gate (through its transport) before the first byte; never retries.

        Raises nothing but cancellation: every trouble is an Outcome.
        """

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        """Look up what the provider knows of this attempt by its own mark; None: it cannot tell.
        Only called where `confirms` is "lookup"."""


class ChannelKind(Protocol):
    """A kind of channel, as a module in the entry-point group `tocsin.channels` gives it."""

    type: str
    title: str
    options: Mapping[str, Option]
    address: Literal["phone", "email", "text"]
    throttle: Literal["sms", "voice", "mail", "chat", ""]  # which default limits apply
    confirms: Literal["callback", "lookup", "nothing"]
    interactive: bool  # whether an answer comes back through it

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        """A channel ready to send; raises nothing, connects to nothing."""
