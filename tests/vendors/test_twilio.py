"""The pretend Twilio itself: what walks rely on must be true of it."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from tests.integrations.messages import page, real_tools
from tests.vendors import twilio as vendor
from tests.vendors.twilio import PretendTwilio
from tocsin.contracts import ChannelKind
from tocsin.model import Message, Outcome, Secret, Unknown
from tocsin.testing import CountingGate
from tocsin_integrations.channels.twilio import signatures, twiml, voice
from tocsin_integrations.channels.twilio import sms as twilio_sms

PUBLIC = "https://tocsin.example.org"


@dataclass
class Callbacks:
    """The daemon's side of the callbacks: checks each signature over the public address, answers TwiML."""

    forms: list[dict[str, str]] = field(default_factory=list)
    url: str = ""

    async def hear(self, request: web.Request) -> web.Response:
        raw = await request.read()
        form = signatures.parse_form(raw)
        signature = request.headers[signatures.SIGNATURE]
        if not signatures.verify(PUBLIC + request.raw_path, form, signature, Secret((vendor.TOKEN,))):
            return web.Response(status=403)
        self.forms.append(dict(form))
        if "/status/" in request.path:
            return web.Response(status=204)
        if "Body" in form:
            return web.Response(text=twiml.sms_reply(f"you said {form['Body']}" if form["Body"] != "hush" else None))
        if form.get("Digits") == "4":
            return web.Response(text=twiml.voice_goodbye("Acknowledged."))
        return web.Response(text=twiml.voice_menu("Press 4.", PUBLIC + request.path))

    def states(self, name: str) -> list[str]:
        return [form[name] for form in self.forms if name in form and "Body" not in form]


@contextlib.asynccontextmanager
async def town(**options: Any) -> AsyncIterator[tuple[PretendTwilio, Callbacks]]:
    ours = Callbacks()
    app = web.Application()
    app.router.add_post("/{path:.*}", ours.hear)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    base = f"http://127.0.0.1:{runner.addresses[0][1]}"
    async with PretendTwilio(reach={PUBLIC: base}, sms_url=PUBLIC + "/v1/callbacks/twilio/sms", **options) as pretend:
        yield pretend, ours
    await runner.cleanup()


async def through(pretend: PretendTwilio, kind: ChannelKind, message: Message) -> Outcome:
    options = {
        "account_sid": pretend.account, "auth_token": Secret((pretend.token,)), "from": pretend.number, "api_base": pretend.url,
    }  # fmt: skip
    async with real_tools() as tools:
        return await kind.open("it", options, tools).send(message, CountingGate())


async def test_an_sms_is_delivered_with_signed_states() -> None:
    async with town() as (pretend, ours):
        await through(pretend, twilio_sms.CHANNEL, page())
        sms = await pretend.next_sms(to="+15005550010")
        await pretend.until(lambda: sms.states == ["sent", "delivered"])

    assert ours.states("MessageStatus") == ["sent", "delivered"]
    assert pretend.refusals == []


async def test_a_call_is_answered_heard_and_acknowledged_by_a_key() -> None:
    async with town() as (pretend, ours):
        await through(pretend, voice.CHANNEL, page())
        call = await pretend.next_call()
        await pretend.until(lambda: call.states == ["initiated"])

        assert await pretend.answer(call) == ["Press 4."]
        assert await pretend.press(call, "4") == ["Acknowledged."]

    assert call.status == "completed"
    assert ours.states("Digits") == ["4"]
    assert [form["CallStatus"] for form in ours.forms if "SequenceNumber" in form] == [
        "initiated", "ringing", "in-progress", "completed",
    ]  # fmt: skip


async def test_a_call_may_be_taken_and_answered_by_itself() -> None:
    async with town(picks_up=True, presses="4") as (pretend, _):
        await through(pretend, voice.CHANNEL, page())
        call = await pretend.next_call()
        await pretend.until(lambda: call.status == "completed")

    assert call.heard == ["Press 4.", "Acknowledged."]


async def test_a_text_is_answered_and_silence_is_none() -> None:
    async with town() as (pretend, _):
        assert await pretend.text("+15005550010", pretend.number, "ACK 42") == "you said ACK 42"
        assert await pretend.text("+15005550010", pretend.number, "hush") is None


async def test_after_stop_a_number_gets_nothing_until_start() -> None:
    async with town() as (pretend, _):
        await pretend.text("+15005550010", pretend.number, "Stop")
        refused = await through(pretend, twilio_sms.CHANNEL, page())
        await pretend.text("+15005550010", pretend.number, "start")
        await through(pretend, twilio_sms.CHANNEL, page())

    assert "21610" in getattr(refused, "because", "")
    assert len(pretend.messages) == 1


async def test_an_answer_may_be_lost_though_the_message_goes_out() -> None:
    async with town() as (pretend, ours):
        pretend.trouble(vendor.RESET_BUT_SENT)
        outcome = await through(pretend, twilio_sms.CHANNEL, page())
        await pretend.until(lambda: len(ours.states("MessageStatus")) == 2)

    assert isinstance(outcome, Unknown)


async def test_the_journal_is_on_disk_before_the_answer(tmp_path: Path) -> None:
    book = tmp_path / "twilio.jsonl"
    async with town(journal_file=book, deliver=()) as (pretend, _):
        pretend.trouble(vendor.RESET)
        await through(pretend, twilio_sms.CHANNEL, page())
        await through(pretend, twilio_sms.CHANNEL, page())

    lines = [orjson.loads(line) for line in book.read_bytes().splitlines()]
    assert [(line["kind"], line["to"], line["trouble"]) for line in lines] == [
        ("sms", "+15005550010", "reset"),
        ("sms", "+15005550010", ""),
    ]


async def test_a_daemon_that_refuses_a_callback_is_noted() -> None:
    async with town(token="another") as (pretend, _):
        assert await pretend.text("+15005550010", pretend.number, "ACK") is None

    assert pretend.refusals == [(PUBLIC + "/v1/callbacks/twilio/sms", 403)]
