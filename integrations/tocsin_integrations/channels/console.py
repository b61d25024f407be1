"""Console channel: prints pages on the daemon's own terminal, for trying Tocsin out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from tocsin.contracts import Channel, ChannelKind, Gate, Tools
from tocsin.errors import GateClosed
from tocsin.model import EMPTY, Accepted, Attempt, Cancelled, Message, Option, Outcome

WIDTH = 78


@dataclass(slots=True)
class Console:
    """The kind of channel behind `type: console`."""

    type: str = "console"
    title: str = "The daemon's terminal"
    options: Mapping[str, Option] = EMPTY
    address: Literal["phone", "email", "text"] = "text"
    throttle: Literal["sms", "voice", "mail", "chat", ""] = ""
    confirms: Literal["callback", "lookup", "nothing"] = "nothing"
    interactive: bool = False

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        """A channel that shows each page through `tools.show`."""
        return Terminal(tools)


@dataclass(frozen=True, slots=True)
class Terminal:
    tools: Tools

    async def send(self, message: Message, gate: Gate) -> Outcome:
        """Shown once the gate agrees; the terminal never refuses."""
        try:
            await gate()
        except GateClosed as e:
            return Cancelled(str(e))
        self.tools.show(page(message))
        return Accepted(ref=message.attempt)

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        return None


def page(message: Message) -> str:
    """The page as it is printed: a frame with title, who is paged, and how to answer."""
    number = message.incident.get("number")
    head = f" {message.kind.upper()}{f' INC {number}' if number else ''} to {message.name or message.to} "
    lines = _plain(message.title).splitlines()[:1]
    lines += [line for line in _plain(message.body or message.text).splitlines() if line not in lines]
    lines += _facts(message)
    if message.kind == "page" and number:
        lines.append(f"acknowledge: tocsin ack {number}")
        if message.ack_url and message.ack_url not in message.body:
            lines.append(f"         or: {message.ack_url}")
    framed = [f"│ {line}" if line else "│" for line in lines]
    return "\n".join(["", "┌" + head.center(WIDTH, "─"), *framed, "└" + "─" * WIDTH])


def _facts(message: Message) -> list[str]:
    """A line with service, severity and policy, which help to judge the page from the bed; empty where none of them is
    known.
    """
    named = {name: message.incident.get(name) for name in ("service", "severity", "policy")}
    line = ", ".join(f"{name} {value}" for name, value in named.items() if value)
    return [_plain(line)] if line else []


def _plain(text: str) -> str:
    """Without control characters: an alert must not write escape sequences on a terminal."""
    return "".join(c for c in text if c == "\n" or c.isprintable())


CHANNEL: ChannelKind = Console()
