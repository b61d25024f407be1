"""Every channel against a real pretend vendor: what is sent, and what each answer means for the page."""

from __future__ import annotations

import email
import email.policy
import subprocess
import sys
from pathlib import Path
from typing import Any, get_args

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.integrations.messages import Shown, page, real_tools
from tests.vendors import twilio as vendor
from tests.vendors.sink import Answer, WebhookSink
from tests.vendors.smtp import PretendMailServer
from tests.vendors.twilio import PretendTwilio, Trouble
from tocsin.model import Accepted, Cancelled, Failed, Instant, Message, Millis, Outcome, PageKind, Secret, Unknown
from tocsin.testing import CountingGate
from tocsin_integrations.channels import console, smtp, webhook
from tocsin_integrations.channels.twilio import sms as twilio_sms
from tocsin_integrations.channels.twilio import voice
from tocsin_integrations.common.gsm7 import segments
from tocsin_integrations.common.http_outcomes import retry_after_of

SECRET = "hook-secret"
NOON, SOON = "Fri, 20 Nov 2026 12:00:00 GMT", "Fri, 20 Nov 2026 12:01:30 GMT"
NOW = Instant(1_795_176_000_000)  # NOON


# ---------------------------------------------------------------------------------------- console


async def test_the_console_shows_who_is_paged_for_what_and_how_to_answer() -> None:
    shown = Shown()
    incident = {"number": 42, "service": "checkout", "severity": "critical", "policy": ""}
    async with real_tools(shown) as tools:
        outcome = await console.CHANNEL.open("terminal", {}, tools).send(page(incident=incident), CountingGate())

    assert outcome == Accepted(ref="a" * 32)
    assert "service checkout, severity critical\n" in shown.pages[0]
    for part in (
        "INC 42",
        "Ana Pires",
        "db down",
        "nothing is sold",
        "tocsin ack 42",
        "https://tocsin.example.org/a/tok",
    ):
        assert part in shown.pages[0]


async def test_the_console_prints_no_escape_sequences() -> None:
    shown = Shown()
    async with real_tools(shown) as tools:
        await console.CHANNEL.open("terminal", {}, tools).send(
            page(title="\x1b[2Jgone\x07", body="\x1b]0;x\x07"), CountingGate()
        )

    assert "\x1b" not in shown.pages[0]
    assert "\x07" not in shown.pages[0]


async def test_the_console_shows_nothing_when_the_gate_is_shut() -> None:
    shown = Shown()
    async with real_tools(shown) as tools:
        outcome = await console.CHANNEL.open("terminal", {}, tools).send(page(), CountingGate("acknowledged"))

    assert (outcome, shown.pages) == (Cancelled("acknowledged"), [])


# ---------------------------------------------------------------------------------------- webhook


async def hook(sink: WebhookSink, message: Message, gate: CountingGate | None = None, **options: Any) -> Outcome:
    given = {"url": sink.url, "secret": Secret((SECRET, "older")), "allow_private": True, **options}
    async with real_tools() as tools:
        return await webhook.CHANNEL.open("hook", given, tools).send(message, gate or CountingGate())


async def test_a_webhook_page_is_the_signed_document_of_the_manual() -> None:
    async with WebhookSink(secret=SECRET) as sink:
        outcome = await hook(sink, page(channel="hook", to="ops-room"))

    assert outcome == Accepted()
    assert [p.signed for p in sink.pages] == [True]
    assert sink.pages[0].body == {
        "kind": "page", "page": "0" * 32, "attempt": "a" * 32, "cycle": 1, "round": 1, "step": 2, "rule": 1, "try": 1, "channel": "hook",
        "incident": {"number": 42, "title": "db down", "status": "triggered"}, "user": "ana", "to": "ops-room",
        "urgency": "high", "text": "P1 INC 42 db down\nReply ACK 42", "ack_url": "https://tocsin.example.org/a/tok",
    }  # fmt: skip


MESSAGE_KINDS = ("page", "update", "summary", "notice", "test", "code")


@pytest.mark.parametrize("kind", MESSAGE_KINDS)
async def test_programs_are_told_what_it_is_by_webhook_and_by_mail(kind: Any) -> None:
    message = page(channel="hook", kind=kind, incidents=(42, 43) if kind == "summary" else ())

    body = orjson.loads(webhook.document(message))
    mail = smtp.compose(message, "tocsin@example.org")

    assert body["kind"] == kind
    assert body.get("incidents") == ([42, 43] if kind == "summary" else None)
    assert mail["X-Tocsin-Kind"] == kind
    assert mail["X-Tocsin-Incident"] == ("42, 43" if kind == "summary" else "42")


def test_the_manual_names_every_kind() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "channels.md").read_text(encoding="utf-8")

    assert set(get_args(PageKind)) == set(MESSAGE_KINDS)
    assert all(f"| {kind} |" in manual for kind in MESSAGE_KINDS)


async def test_another_secret_does_not_fit_the_signature() -> None:
    async with WebhookSink(secret="another") as sink:
        await hook(sink, page())

    assert [p.signed for p in sink.pages] == [False]


@pytest.mark.parametrize(
    ("answer", "kind", "detail"),
    [
        (Answer(204, body=""), Accepted, {}),
        (Answer(429, retry_after=7), Failed, {"retry_after": 7_000, "permanent": False}),
        (Answer(429), Failed, {"retry_after": None}),
        (Answer(429, retry_after=SOON, date=NOON), Failed, {"retry_after": 90_000, "permanent": False}),
        (Answer(400, body="no such room"), Failed, {"account": True, "permanent": False}),
        (Answer(302), Failed, {"account": True}),
        (Answer(408), Unknown, {}),
        (Answer(409), Unknown, {}),
        (Answer(425), Unknown, {}),
        (Answer(500), Unknown, {}),
        (Answer(503), Unknown, {}),
        (Answer(then="reset"), Unknown, {}),
        (Answer(then="hang"), Unknown, {}),
    ],
    ids=lambda each: str(getattr(each, "status", "")) + getattr(each, "then", "") if isinstance(each, Answer) else "",
)
async def test_what_each_answer_of_a_webhook_means(answer: Answer, kind: type, detail: dict[str, Any]) -> None:
    async with WebhookSink(secret=SECRET, scripted=[answer]) as sink:
        outcome = await hook(sink, page())

    assert isinstance(outcome, kind)
    assert {name: getattr(outcome, name) for name in detail} == detail
    assert len(sink.pages) == 1


@pytest.mark.parametrize(
    ("value", "date", "now", "pause"),
    [
        ("7", "", NOW, 7_000),
        (" 7 ", "", NOW, 7_000),
        ("0", "", NOW, 0),
        ("999999999999", "", NOW, 3_600_000),
        (SOON, NOON, Instant(0), 90_000),  # of the answer's own clock, whatever ours says
        (SOON, "", NOW, 90_000),
        (SOON, "yesterday", NOW, 90_000),
        ("Friday, 20-Nov-26 12:01:30 GMT", NOON, NOW, 90_000),
        ("Fri Nov 20 12:01:30 2026", NOON, NOW, 90_000),
        ("Fri, 20 Nov 2026 11:00:00 GMT", NOON, NOW, 0),  # it is over
        ("Sat, 20 Nov 2027 12:00:00 GMT", NOON, NOW, 3_600_000),
        ("Fri, 31 Dec 9999 23:59:59 GMT", "", NOW, 3_600_000),
        (SOON, "", None, None),
        ("", NOON, NOW, None),
        ("soon", NOON, NOW, None),
        ("-5", NOON, NOW, None),
        ("Fri, 99 Nov 2026 12:00:00 GMT", NOON, NOW, None),
    ],
)
def test_what_pause_an_answer_asks_for(value: str, date: str, now: Instant | None, pause: int | None) -> None:
    assert retry_after_of(value, date, now) == pause


@given(st.text(max_size=60), st.text(max_size=60))
def test_whatever_stands_in_the_header_is_a_pause_within_an_hour_or_none(value: str, date: str) -> None:
    found = retry_after_of(value, date, NOW)

    assert found is None or 0 <= found <= 3_600_000


async def test_a_webhook_to_this_machine_needs_permission() -> None:
    async with WebhookSink() as sink:
        outcome = await hook(sink, page(), allow_private=False)

    assert isinstance(outcome, Failed)
    assert "allow_private" in outcome.because
    assert sink.pages == []


async def test_a_shut_gate_cancels_a_webhook_page() -> None:
    async with WebhookSink() as sink:
        outcome = await hook(sink, page(), CountingGate("acknowledged meanwhile"))

    assert (outcome, sink.pages) == (Cancelled("acknowledged meanwhile"), [])


# ------------------------------------------------------------------------------------- SMS, voice

KINDS = {"sms": twilio_sms.CHANNEL, "voice": voice.CHANNEL}


async def through(
    twilio: PretendTwilio, kind: str, message: Message, gate: CountingGate | None = None, **options: Any
) -> Outcome:
    given = {
        "account_sid": twilio.account, "auth_token": Secret((twilio.token,)), "from": twilio.number,
        "api_base": twilio.url, "allow_private": False, **options,
    }  # fmt: skip
    async with real_tools() as tools:
        return await KINDS[kind].open(kind, given, tools).send(message, gate or CountingGate())


async def test_an_sms_carries_its_callback_and_dies_when_stale() -> None:
    async with PretendTwilio(deliver=()) as twilio:
        outcome = await through(twilio, "sms", page(expires_in=Millis(300_000)))

    sms = twilio.messages[0]
    assert outcome == Accepted(ref=sms.sid)
    assert sms.form == {
        "To": "+15005550010", "From": vendor.NUMBER, "Body": "P1 INC 42 db down\nReply ACK 42", "ValidityPeriod": "300",
        "StatusCallback": page().status_url,
    }  # fmt: skip


@pytest.mark.parametrize(("left", "seconds"), [(0, "6"), (59_999, "59"), (90_000_000, "36000")])
async def test_the_life_of_an_sms_stays_within_what_twilio_takes(left: int, seconds: str) -> None:
    async with PretendTwilio(deliver=()) as twilio:
        await through(twilio, "sms", page(expires_in=Millis(left)))

    assert twilio.messages[0].form["ValidityPeriod"] == seconds


async def test_an_sms_may_go_through_a_messaging_service() -> None:
    options: dict[str, Any] = {"from": None, "messaging_service_sid": "MG1"}
    async with PretendTwilio(deliver=()) as twilio:
        await through(twilio, "sms", page(status_url=""), **options)

    form = twilio.messages[0].form
    assert (form.get("From"), form["MessagingServiceSid"], form.get("StatusCallback")) == (None, "MG1", None)


async def test_an_sms_channel_without_any_sender_says_what_to_write() -> None:
    async with PretendTwilio() as twilio:
        outcome = await through(twilio, "sms", page(), **{"from": None})

    assert isinstance(outcome, Failed)
    assert "messaging_service_sid" in outcome.because
    assert twilio.journal == []


async def test_a_long_sms_is_two_segments_and_still_says_how_to_answer() -> None:
    async with PretendTwilio(deliver=()) as twilio:
        await through(twilio, "sms", page(text="INC 42 – " + "“down” " * 100 + "\nReply ACK 42"))

    body = twilio.messages[0].body
    assert segments(body) == 2
    assert body.endswith("...\nReply ACK 42")


async def test_a_call_asks_us_what_to_say_and_reports_its_progress() -> None:
    async with PretendTwilio() as twilio:
        outcome = await through(twilio, "voice", page(status_url=""))

    call = twilio.calls[0]
    assert outcome == Accepted(ref=call.sid)
    assert (call.form["Url"], call.form["Method"], call.form["Timeout"]) == (page().voice_url, "POST", "30")


async def test_every_event_of_a_call_is_asked_for() -> None:
    async with PretendTwilio() as twilio:
        await through(twilio, "voice", page())

    assert twilio.calls[0].events == ("initiated", "ringing", "answered", "completed")


async def test_without_a_public_address_a_call_still_says_what_is_wrong() -> None:
    async with PretendTwilio(picks_up=True) as twilio:
        await through(twilio, "voice", page(voice_url="", status_url=""))
        await twilio.until(lambda: twilio.calls[0].status == "completed")

    assert twilio.calls[0].heard == ["Incident 42. db down. Incident 42. db down."]


@pytest.mark.parametrize("kind", ["sms", "voice"])
@pytest.mark.parametrize(
    ("trouble", "outcome", "detail"),
    [
        (vendor.TOO_MANY, Failed, {"retry_after": 1_000, "permanent": False, "account": False}),
        (Trouble(status=400, code=21611, message="queue full"), Failed, {"permanent": False, "account": False}),
        (vendor.OPTED_OUT, Failed, {"permanent": True, "account": False}),
        (vendor.BAD_NUMBER, Failed, {"permanent": True, "account": False}),
        (Trouble(status=400, code=21606, message="not our number"), Failed, {"permanent": False, "account": True}),
        (Trouble(status=400, code=99999, message="new"), Failed, {"permanent": False, "account": False}),
        (vendor.WRONG_TOKEN, Failed, {"permanent": False, "account": True}),
        (Trouble(status=404, code=20404), Failed, {"account": True}),
        (Trouble(status=409, code=20409), Unknown, {}),
        (vendor.BROKEN, Unknown, {}),
        (Trouble(status=503), Unknown, {}),
        (vendor.RESET, Unknown, {}),
        (vendor.HANG, Unknown, {}),
    ],
    ids=lambda each: f"{each.status}-{each.code}-{each.then}" if isinstance(each, Trouble) else "",
)
async def test_what_each_answer_of_twilio_means(
    kind: str, trouble: Trouble, outcome: type, detail: dict[str, Any]
) -> None:
    async with PretendTwilio() as twilio:
        twilio.trouble(trouble)
        came = await through(twilio, kind, page(status_url=""))

    assert isinstance(came, outcome)
    assert {name: getattr(came, name) for name in detail} == detail
    assert len([line for line in twilio.journal if line["kind"] != "callback"]) == 1
    if trouble.code:
        assert not isinstance(came, Accepted)
        assert f"error {trouble.code}" in came.because


async def test_a_wrong_auth_token_is_a_trouble_of_the_account() -> None:
    async with PretendTwilio() as twilio:
        outcome = await through(twilio, "sms", page(), auth_token=Secret(("wrong",)))

    assert isinstance(outcome, Failed)
    assert outcome.account


@pytest.mark.parametrize("kind", ["sms", "voice"])
async def test_a_shut_gate_cancels_before_twilio_hears_of_it(kind: str) -> None:
    gate = CountingGate("acknowledged meanwhile")
    async with PretendTwilio() as twilio:
        outcome = await through(twilio, kind, page(), gate)

    assert (outcome, gate.asked, twilio.journal) == (Cancelled("acknowledged meanwhile"), 1, [])


async def test_twilio_out_of_reach_means_not_sent() -> None:
    async with PretendTwilio() as twilio:
        pass
    outcome = await through(twilio, "sms", page())

    assert isinstance(outcome, Failed)
    assert (outcome.permanent, outcome.account) == (False, False)


@pytest.mark.parametrize("base", ["http://10.0.0.1:1", "https://twilio.example.org", "http://127.0.0.1.evil.example"])
async def test_an_api_base_elsewhere_needs_permission(base: str) -> None:
    async with PretendTwilio() as twilio:
        outcome = await through(twilio, "sms", page(), api_base=base)

    assert isinstance(outcome, Failed)
    assert outcome.account
    assert "allow_private" in outcome.because


def test_twilios_heavy_client_is_loaded_by_the_first_twilio_channel_only() -> None:
    names = "console", "webhook", "smtp", "twilio.sms", "twilio.voice"
    script = "import sys\n" + "".join(f"import tocsin_integrations.channels.{name}\n" for name in names)
    asked = script + "print('twilio' in sys.modules, 'aiohttp' in sys.modules)"

    said = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True, timeout=60)

    assert said.stdout.split() == ["False", "False"]


# ------------------------------------------------------------------------------------------- mail


async def post(server: PretendMailServer, message: Message, gate: CountingGate | None = None) -> Outcome:
    options = {"host": "localhost", "port": server.port, "security": "none", "from": "tocsin@example.org"}
    async with real_tools() as tools:
        return await smtp.CHANNEL.open("mail", options, tools).send(message, gate or CountingGate())


async def test_a_mail_is_plain_text_threaded_by_incident_and_marked_automatic() -> None:
    server = PretendMailServer()
    await server.start()
    outcome = await post(
        server, page(to="ana@example.org", title="db down\r\nBcc: eve@example.org", body="größer – 数\x00")
    )
    await server.stop()

    assert isinstance(outcome, Accepted)
    sent = server.mails[0]
    read = email.message_from_bytes(sent.content, policy=email.policy.default)
    assert (sent.sender, sent.recipient) == ("tocsin@example.org", "ana@example.org")
    assert read["Subject"] == "db down Bcc: eve@example.org"
    assert read["Bcc"] is None
    assert read["Message-ID"] == f"<{'a' * 32}@example.org>"
    assert read["References"] == read["In-Reply-To"] == "<incident-42@example.org>"
    assert read["Auto-Submitted"] == "auto-generated"
    assert read["Date"].datetime.isoformat() == "2026-11-20T03:14:21+00:00"
    assert "größer – 数" in read.get_content()
    assert "https://tocsin.example.org/a/tok" in read.get_content()
    assert sent.content.isascii()


@pytest.mark.parametrize(
    ("scripted", "permanent", "account"),
    [
        ({"refuse_recipient": "550 no such user"}, True, False),
        ({"refuse_recipient": "451 later"}, False, False),
        ({"refuse_sender": "550 relaying denied"}, False, True),
    ],
)
async def test_what_a_refusal_of_the_mail_server_means(
    scripted: dict[str, Any], permanent: bool, account: bool
) -> None:
    server = PretendMailServer(**scripted)
    await server.start()
    outcome = await post(server, page(to="ana@example.org"))
    await server.stop()

    assert isinstance(outcome, Failed)
    assert (outcome.permanent, outcome.account) == (permanent, account)


async def test_a_mail_whose_receipt_got_lost_is_unknown() -> None:
    server = PretendMailServer(vanish_after_data=True)
    await server.start()
    outcome = await post(server, page(to="ana@example.org"))
    await server.stop()

    assert isinstance(outcome, Unknown)


async def test_a_shut_gate_cancels_a_mail() -> None:
    server = PretendMailServer()
    await server.start()
    outcome = await post(server, page(to="ana@example.org"), CountingGate("acknowledged"))
    await server.stop()

    assert (outcome, server.mails) == (Cancelled("acknowledged"), [])


@pytest.mark.parametrize("to", ["a@b\r\nRCPT TO:<eve@example.org>", "", "no address", "\ud800@example.org"])
async def test_an_impossible_recipient_is_a_failure_and_no_exception(to: str) -> None:
    server = PretendMailServer(refuse_recipient="553 that is no address")
    await server.start()
    outcome = await post(server, page(to=to))
    await server.stop()

    assert isinstance(outcome, Failed)
    assert outcome.permanent
    assert "eve@example.org" not in server.recipients
