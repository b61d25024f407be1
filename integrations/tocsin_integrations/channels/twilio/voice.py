"""Twilio voice channel: pages by phone call; a key press answers. A picked-up call alone never does."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tocsin.contracts import Channel, ChannelKind, Gate, Tools
from tocsin.model import Attempt, Message, Millis, Option, Outcome
from tocsin_integrations.channels.twilio.options import ACCOUNT

EVENTS = ("initiated", "ringing", "answered", "completed")
LONGEST_CALL = 300  # seconds


@dataclass(slots=True)
class VoiceKind:
    """The kind of channel behind `type: twilio_voice`."""

    type: str = "twilio_voice"
    title: str = "Voice call (Twilio)"
    options: Mapping[str, Option] = field(
        default_factory=lambda: MappingProxyType(
            {
                **ACCOUNT,
                "from": Option("phone", "the number calls come from", required=True),
                "ring": Option("duration", "how long it rings", default=Millis(30_000), least=5_000, most=600_000),
            }
        )
    )
    address: Literal["phone", "email", "text"] = "phone"
    throttle: Literal["sms", "voice", "mail", "chat", ""] = "voice"
    confirms: Literal["callback", "lookup", "nothing"] = "callback"
    interactive: bool = True

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        """A channel that calls from `from`. Loads Twilio's client."""
        client = importlib.import_module("tocsin_integrations.channels.twilio.client")
        twiml = importlib.import_module("tocsin_integrations.channels.twilio.twiml")
        return Voice(client.Account.of(options, tools), twiml.voice_goodbye, options.get("ring") or Millis(30_000))


@dataclass(frozen=True, slots=True)
class Voice:
    account: Any  # client.Account, loaded late
    goodbye: Any  # twilio.voice_goodbye, loaded late
    ring: Millis

    async def send(self, message: Message, gate: Gate) -> Outcome:
        """Rings; what is said and which keys work is asked of us at `voice_url` when it is picked up.

        Without a public URL the text is spoken twice and no key can be pressed.
        """
        parameters: dict[str, Any] = {
            "to": message.to,
            "from_": self.account.sender,
            "timeout": self.ring // 1_000,
            "time_limit": LONGEST_CALL,
        }
        if message.voice_url:
            parameters.update(url=message.voice_url, method="POST")
        else:
            parameters["twiml"] = self.goodbye(f"{message.spoken} {message.spoken}"[:1500])
        if message.status_url:
            parameters.update(
                status_callback=message.status_url,
                status_callback_method="POST",
                status_callback_event=list(EVENTS),
            )
        outcome: Outcome = await self.account.create(lambda client: client.calls.create_async(**parameters), gate)
        return outcome

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        return None


CHANNEL: ChannelKind = VoiceKind()
