"""Twilio SMS channel; answers come back by SMS too."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

from tocsin.contracts import Channel, ChannelKind, Gate, Tools
from tocsin.model import Attempt, Failed, Message, Millis, Option, Outcome
from tocsin_integrations.channels.twilio.options import ACCOUNT
from tocsin_integrations.common.gsm7 import fit

SHORTEST, LONGEST = 6, 36_000
"""Seconds that Twilio keeps an SMS in its queue (more than 5 are advised, 36000 are allowed)."""


@dataclass(slots=True)
class SmsKind:
    """The kind of channel behind `type: twilio_sms`."""

    type: str = "twilio_sms"
    title: str = "SMS (Twilio)"
    options: Mapping[str, Option] = field(
        default_factory=lambda: MappingProxyType(
            {
                **ACCOUNT,
                "from": Option("phone", "the number messages come from; or write messaging_service_sid"),
                "messaging_service_sid": Option("text", "a messaging service instead of `from`, MG and 32 hex digits"),
            }
        )
    )
    address: Literal["phone", "email", "text"] = "phone"
    throttle: Literal["sms", "voice", "mail", "chat", ""] = "sms"
    confirms: Literal["callback", "lookup", "nothing"] = "callback"
    interactive: bool = True

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        """A channel that sends from `from` or the messaging service. Loads Twilio's client."""
        client = importlib.import_module("tocsin_integrations.channels.twilio.client")
        return Sms(client.Account.of(options, tools), options.get("messaging_service_sid") or "")


@dataclass(frozen=True, slots=True)
class Sms:
    account: Any  # client.Account, loaded late
    service: str

    async def send(self, message: Message, gate: Gate) -> Outcome:
        """Send a page of at most two segments, in GSM-7 where its letters allow; it dies in Twilio's queue when
        stale.
        """
        if not self.service and not self.account.sender:
            return Failed("write `from` or `messaging_service_sid`: the channel has no sender", account=True)
        parameters: dict[str, Any] = {
            "to": message.to,
            "body": fit(message.text),
            "validity_period": validity(message.expires_in),
        }
        if self.service:
            parameters["messaging_service_sid"] = self.service
        else:
            parameters["from_"] = self.account.sender
        if message.status_url:
            parameters["status_callback"] = message.status_url
        outcome: Outcome = await self.account.create(lambda client: client.messages.create_async(**parameters), gate)
        return outcome

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        return None


def validity(length: Millis) -> int:
    """Whole seconds within what Twilio takes."""
    return max(SHORTEST, min(LONGEST, length // 1_000))


CHANNEL: ChannelKind = SmsKind()
