"""Webhook channel: posts each page as signed JSON to an address of your own."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any, Literal

import orjson

from tocsin.contracts import Channel, ChannelKind, Gate, Reply, Tools
from tocsin.model import Accepted, Attempt, Message, Option, Outcome, Secret
from tocsin.model.civil import unix
from tocsin_integrations.common.http_outcomes import refusal, sent

SIGNATURE = "Tocsin-Signature"


@dataclass(slots=True)
class WebhookKind:
    """The kind of channel behind `type: webhook`."""

    type: str = "webhook"
    title: str = "Webhook (signed JSON)"
    options: Mapping[str, Option] = field(
        default_factory=lambda: MappingProxyType(
            {
                "url": Option("url", "where pages are posted", required=True),
                "secret": Option("secret", f"signs each body in the header {SIGNATURE}"),
                "allow_private": Option("flag", "whether the address may be loopback or private", default=False),
            }
        )
    )
    address: Literal["phone", "email", "text"] = "text"
    throttle: Literal["sms", "voice", "mail", "chat", ""] = ""
    confirms: Literal["callback", "lookup", "nothing"] = "nothing"
    interactive: bool = False

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        """A channel that posts to `url`."""
        return Webhook(options["url"], options.get("secret"), bool(options.get("allow_private")), tools)


@dataclass(frozen=True, slots=True)
class Webhook:
    url: str
    secret: Secret | None
    allow_private: bool
    tools: Tools

    async def send(self, message: Message, gate: Gate) -> Outcome:
        """Post the page. Any 2xx is accepted; 5xx and no answer are unknown, the rest surely did not arrive."""
        body = document(message)
        headers = {"Content-Type": "application/json", "User-Agent": "Tocsin"}
        if self.secret is not None:
            headers[SIGNATURE] = sign(body, self.secret.first, unix(self.tools.clock.now()))
        match await sent(
            self.tools.http.request(
                "POST", self.url, headers=headers, body=body, gate=gate, allow_private=self.allow_private
            )
        ):
            case Reply(status=status) as reply:
                return Accepted() if 200 <= status < 300 else refusal("the webhook", reply, self.tools.clock.now())
            case outcome:
                return outcome

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        return None


def document(message: Message) -> bytes:
    """The body: its kind, page, attempt, the counts from 1, the incident as in the HTTP API, whom and what."""
    shown: dict[str, Any] = {
        "kind": message.kind,
        "page": message.page,
        "attempt": message.attempt,
        "cycle": message.cycle,
        "round": message.round,
        "step": message.step,
        "rule": message.rule,
        "try": message.try_number,
        "channel": message.channel,
        "incident": dict(message.incident),
        "user": message.user,
        "to": message.to,
        "urgency": message.urgency,
        "text": message.text,
        "ack_url": message.ack_url,
    }
    if len(message.incidents) > 1:
        shown["incidents"] = message.incidents
    return orjson.dumps(shown, default=_plain, option=orjson.OPT_NON_STR_KEYS)


def sign(body: bytes, secret: str, now: int) -> str:
    """`t=<unix seconds>,v1=<hex HMAC-SHA256 of "t.body">`."""
    at = now // 1_000
    digest = hmac.new(secret.encode(), b"%d." % at + body, hashlib.sha256).hexdigest()
    return f"t={at},v1={digest}"


def _plain(value: Any) -> Any:
    """Mappings that are no dict, and whatever else has a written form."""
    return dict(value) if isinstance(value, Mapping) else str(value)


CHANNEL: ChannelKind = WebhookKind()
