"""`tocsin.testing` holds every source and channel we ship to its promises, and sees each one that is broken."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import pytest

from tests.integrations.samples import ROUTING_KEY
from tocsin.contracts import Channel, ChannelKind, Gate, Reply, Source, Tools
from tocsin.errors import BadBody, GateClosed, MaybeSent, NotSent
from tocsin.model import (
    Accepted,
    Alert,
    Attempt,
    Cancelled,
    Failed,
    Instant,
    IntegrationConfig,
    Message,
    Option,
    Outcome,
    Parsed,
    Secret,
    Unknown,
)
from tocsin.testing import check_channel, check_source, integration
from tocsin_integrations.channels import console, smtp, webhook
from tocsin_integrations.channels.twilio import sms, voice
from tocsin_integrations.sources import alertmanager, pagerduty
from tocsin_integrations.sources import webhook as webhook_source

SAMPLES = Path(__file__).parent.parent / "samples"
TWILIO = {
    "account_sid": "AC" + "0" * 32, "auth_token": Secret(("wood-pigeon",)), "from": "+15005550006",
    "api_base": "https://api.twilio.com",
}  # fmt: skip
CHANNELS: Mapping[str, tuple[ChannelKind, Mapping[str, Any], str, Reply]] = {
    "console": (console.CHANNEL, {}, "Ana", Reply(200, {}, b"")),
    "webhook": (
        webhook.CHANNEL,
        {"url": "https://hook.example.org", "secret": Secret(("wood-pigeon",))},
        "",
        Reply(204, {}, b""),
    ),
    "smtp": (
        smtp.CHANNEL,
        {"host": "mail.example.org", "port": 587, "security": "starttls", "from": "tocsin@example.org",
         "username": "tocsin", "password": Secret(("wood-pigeon",))},
        "ana@example.org",
        Reply(200, {}, b""),
    ),
    "twilio_sms": (sms.CHANNEL, TWILIO, "+15005550010", Reply(201, {}, b'{"sid": "SM0", "status": "queued"}')),
    "twilio_voice": (voice.CHANNEL, TWILIO, "+15005550010", Reply(201, {}, b'{"sid": "CA0", "status": "queued"}')),
}  # fmt: skip
SOURCES: Mapping[str, tuple[Source, Mapping[str, Any], str]] = {
    "alertmanager": (alertmanager.SOURCE, {}, "alertmanager"),
    "pagerduty": (pagerduty.SOURCE, {"routing_key": Secret((ROUTING_KEY,))}, "pagerduty"),
    "webhook": (webhook_source.SOURCE, {}, ""),
}
NO_ALERTS = ("change", "invalid_")  # a change is no alert; what is invalid is refused on purpose
PLAIN = b'{"title": "db down", "dedup_key": "db", "severity": "critical", "labels": {"env": "prod"}}'


@pytest.mark.parametrize("name", CHANNELS)
async def test_each_channel_we_ship_keeps_its_promises(name: str) -> None:
    kind, options, to, accepted = CHANNELS[name]
    await check_channel(kind, options, to=to, accepted=accepted)


@pytest.mark.parametrize("name", SOURCES)
def test_each_source_we_ship_keeps_its_promises(name: str) -> None:
    source, options, folder = SOURCES[name]
    files = [path for path in sorted((SAMPLES / folder).glob("*.json")) if not path.name.startswith(NO_ALERTS)]
    samples = [path.read_bytes() for path in files] if folder else [PLAIN]
    check_source(source, integration(name, **options), samples=samples)


# ------------------------------------------------------------------------- what is broken is seen


@dataclass
class Tin:
    """A channel as it should be: each test breaks one thing of it."""

    tools: Tools
    secret: Secret = field(repr=False)
    breaks: str = ""

    async def send(self, message: Message, gate: Gate) -> Outcome:
        if self.breaks == "raises on a test" and message.kind == "test":
            raise KeyError("incident")
        asked = None if self.breaks == "forgets the gate" else gate
        try:
            reply = await self.tools.http.request("POST", "https://tin.example.org", body=b"{}", gate=asked)
            if self.breaks == "sends twice":
                await self.tools.http.request("POST", "https://tin.example.org", body=b"{}")
        except GateClosed as closed:
            return Unknown(str(closed)) if self.breaks == "misses the gate's no" else Cancelled(str(closed))
        except NotSent as error:
            return Unknown(str(error)) if self.breaks == "calls a refused line unknown" else Failed(str(error))
        except MaybeSent as error:
            return Unknown(str(error))
        if self.breaks == "takes 500 for sent" or reply.status < 300:
            return Accepted(self.secret.first if self.breaks == "tells its secret" else "")
        return Unknown("5xx") if reply.status >= 500 else Failed(f"HTTP {reply.status}")

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        if self.breaks == "raises when it is looked up":
            raise NotImplementedError
        return None


@dataclass
class TinKind:
    breaks: str = ""
    type: str = "tin"
    title: str = "A tin and a string"
    options: Mapping[str, Option] = field(default_factory=lambda: {"secret": Option("secret", "between us")})
    address: Any = "text"
    throttle: Any = "chat"
    confirms: Any = "nothing"
    interactive: bool = False

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        return Tin(tools, options["secret"], self.breaks)


TIN = {"secret": Secret(("wood-pigeon",))}


async def test_a_channel_as_it_should_be_passes() -> None:
    await check_channel(TinKind(), TIN)


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        ("raises on a test", "a message of kind test raises KeyError"),
        ("forgets the gate", "the gate is asked 0 times"),
        ("sends twice", "one message is sent more than once"),
        ("misses the gate's no", "a shut gate gives Unknown"),
        ("calls a refused line unknown", "NotSent gives Unknown"),
        ("takes 500 for sent", "the answer 500 gives Accepted"),
        ("tells its secret", "shows the secret secret"),
        ("raises when it is looked up", "lookup raises NotImplementedError"),
    ],
)
async def test_each_promise_that_a_channel_breaks_is_told(breaks: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        await check_channel(TinKind(breaks), TIN)


async def test_a_kind_that_describes_itself_badly_is_told_all_at_once() -> None:
    kind = replace(TinKind(), title="", address="pigeon", options={"secret": Option("secret", "")})
    with pytest.raises(AssertionError) as told:
        await check_channel(kind, TIN)

    assert [part in str(told.value) for part in ("no title", "address is 'pigeon'", "secret has no help")] == [True] * 3


@dataclass
class Smoke:
    """A source as it should be: each test breaks one thing of it."""

    breaks: str = ""
    type: str = "smoke"
    title: str = "Smoke signals"
    options: Mapping[str, Option] = field(default_factory=dict)
    puffs: int = 0

    def parse(self, raw: bytes, headers: Mapping[str, str], config: IntegrationConfig, now: Instant) -> Parsed:
        try:
            body = json.loads(raw)
        except (ValueError, RecursionError):
            if self.breaks == "raises its own error":
                raise
            raise BadBody("not JSON") from None
        if not isinstance(body, dict) or not isinstance(body.get("what"), str) or not body["what"]:
            if self.breaks == "trusts what it gets":
                body = {"what": body["what"]}
            raise BadBody("no `what`", "/what")
        self.puffs += 1
        key = str(self.puffs) if self.breaks == "counts" else body["what"][:512]
        severity: Any = "red" if self.breaks == "has words of its own" else "critical"
        title = "" if self.breaks == "has no title" else body["what"]
        return Parsed((Alert("firing", key, severity, title),))


SIGNAL = b'{"what": "fire"}'


def test_a_source_as_it_should_be_passes() -> None:
    check_source(Smoke(), integration("smoke"), samples=[SIGNAL])


@pytest.mark.parametrize(
    ("breaks", "told"),
    [
        ("raises its own error", "raises JSONDecodeError"),
        ("trusts what it gets", "raises (TypeError|KeyError)"),
        ("counts", "read in two ways"),
        ("has words of its own", "severity 'red' is none of critical"),
        ("has no title", "a firing alert has no title"),
    ],
)
def test_each_promise_that_a_source_breaks_is_told(breaks: str, told: str) -> None:
    with pytest.raises(AssertionError, match=told):
        check_source(Smoke(breaks), integration("smoke"), samples=[SIGNAL])


def test_a_sample_that_gives_nothing_is_told() -> None:
    with pytest.raises(AssertionError, match="sample 2: refused"):
        check_source(Smoke(), integration("smoke"), samples=[SIGNAL, b"{}"])
