"""What Twilio tells us: rightly signed it is heard, otherwise it is not, and GET never acts."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import pytest
from twilio.request_validator import RequestValidator
from yarl import URL

from tests.web.conftest import Client
from tests.web.fakes import ACCOUNT, FakeDaemon
from tocsin.model import Server

SAMPLES = Path(__file__).parent.parent / "samples" / "twilio"
PUBLIC = "https://tocsin.larkspur.example"


def form_of(sample: str) -> dict[str, str]:
    fields = (field.partition("=") for field in (SAMPLES / sample).read_text().strip().split("&"))
    return {name: unquoted(value) for name, _, value in fields}


def unquoted(value: str) -> str:
    return value.replace("+", " ").replace("%2B", "+")


def signed(path: str, form: dict[str, str], secret: str = "twilio-secret") -> dict[str, str]:
    return {"X-Twilio-Signature": RequestValidator(secret).compute_signature(PUBLIC + path, form)}


async def post(client: Client, path: str, form: dict[str, str], **headers: Any) -> Any:
    given = {"Content-Type": "application/x-www-form-urlencoded", **(headers or signed(path, form))}
    return await client.post(URL(path, encoded=True), data=urlencode(form), headers=given)


async def test_a_reply_by_sms_is_heard_and_answered_in_twiml(client: Client, daemon: FakeDaemon) -> None:
    form = form_of("inbound_sms_ack.txt")

    answer = await post(client, "/v1/callbacks/twilio/sms", form)

    assert answer.status == 200
    assert answer.content_type == "text/xml"
    assert ElementTree.fromstring(await answer.text()).findtext("Message") == "INC 42 acknowledged by you."
    assert daemon.answers.heard == [
        ("sms", ACCOUNT, "+15005550006", "+15005550010", "ACK 4312", "SMa1b2c3d4e5f60718a1b2c3d4e5f60718", "")
    ]


async def test_what_stands_behind_an_id_is_no_part_of_it(client: Client, daemon: FakeDaemon) -> None:
    """Names and values are signed run together: the borders between fields can be moved under one signature."""
    path, form = "/v1/callbacks/twilio/sms", form_of("inbound_sms_ack.txt")
    names = sorted(form)
    behind = names[names.index("MessageSid") + 1]
    moved = {**form, "MessageSid": f"{form['MessageSid']}{behind}{form[behind]}"}
    del moved[behind]
    assert signed(path, moved) == signed(path, form)

    for one in (form, moved):
        assert (await post(client, path, one, **signed(path, form))).status == 200

    first, second = (heard[5] for heard in daemon.answers.heard)
    assert first == second == form["MessageSid"]


async def test_a_stranger_gets_an_empty_reply(client: Client) -> None:
    answer = await post(client, "/v1/callbacks/twilio/sms", form_of("inbound_sms_stranger.txt"))

    assert answer.status == 200
    assert list(ElementTree.fromstring(await answer.text())) == []


async def test_an_opt_out_is_passed_on_with_its_type(client: Client, daemon: FakeDaemon) -> None:
    await post(client, "/v1/callbacks/twilio/sms", form_of("inbound_sms_stop.txt"))

    assert daemon.answers.heard[0][6] == "STOP"


async def test_an_answered_call_hears_the_menu_and_posts_keys_to_the_same_address(client: Client) -> None:
    answer = await post(client, "/v1/callbacks/twilio/voice/known", form_of("voice_answered.txt"))

    gather = ElementTree.fromstring(await answer.text()).find("Gather")
    assert gather is not None
    assert gather.get("action") == f"{PUBLIC}/v1/callbacks/twilio/voice/known"
    assert gather.get("method") == "POST"
    assert gather.get("numDigits") == "1"
    assert gather.findtext("Say") == "Press 4 & more."


async def test_a_pressed_key_is_heard_and_the_call_ends(client: Client, daemon: FakeDaemon) -> None:
    form = form_of("voice_gather_4.txt")

    answer = await post(client, "/v1/callbacks/twilio/voice/known", form)

    document = ElementTree.fromstring(await answer.text())
    assert document.find("Gather") is None
    assert document.findtext("Say") == "Acknowledged."
    assert document.find("Hangup") is not None
    assert daemon.answers.heard == [("voice", "known", form["CallSid"], "4")]


async def test_an_unknown_attempt_rightly_signed_gets_a_goodbye(client: Client) -> None:
    answer = await post(client, "/v1/callbacks/twilio/voice/unknown", form_of("voice_answered.txt"))

    document = ElementTree.fromstring(await answer.text())
    assert answer.status == 200
    assert document.find("Gather") is None
    assert document.find("Hangup") is not None


@pytest.mark.parametrize(
    ("sample", "state", "error"),
    [
        ("sms_status_sent.txt", "sent", None),
        ("sms_status_delivered.txt", "delivered", None),
        ("sms_status_undelivered_30003.txt", "undelivered", "30003"),
        ("voice_status_completed.txt", "completed", None),
        ("voice_status_no_answer.txt", "no-answer", None),
        ("amd_async.txt", "machine", None),
    ],
)
async def test_the_fate_of_a_message_is_noted(
    client: Client, daemon: FakeDaemon, sample: str, state: str, error: str | None
) -> None:
    answer = await post(client, "/v1/callbacks/twilio/status/a1", form_of(sample))

    assert answer.status == 204
    assert daemon.answers.heard == [("receipt", "a1", state, error)]


# -------------------------------------------------------------------------------------- signatures

DOORS = ["/v1/callbacks/twilio/sms", "/v1/callbacks/twilio/voice/known", "/v1/callbacks/twilio/status/known"]
FORM = form_of("voice_gather_4.txt")


@pytest.mark.parametrize("door", DOORS)
async def test_what_is_not_rightly_signed_is_403_and_heard_by_nobody(
    client: Client, daemon: FakeDaemon, door: str
) -> None:
    right = signed(door, FORM)["X-Twilio-Signature"]
    attempts = [
        await post(client, door, FORM, Host="x"),
        await post(client, door, FORM, **{"X-Twilio-Signature": ""}),
        await post(client, door, FORM, **{"X-Twilio-Signature": right[:-2] + "x="}),
        await post(client, door, FORM, **{"X-Twilio-Signature": "é" * 20}),
        await post(client, door, FORM, **signed(door, FORM, "another-secret")),
        await post(client, door, {**FORM, "Digits": "6"}, **{"X-Twilio-Signature": right}),
        await post(client, door + "?x=1", FORM, **{"X-Twilio-Signature": right}),
        await post(
            client,
            door,
            {**FORM, "AccountSid": "AC" + "f" * 32},
            **signed(door, {**FORM, "AccountSid": "AC" + "f" * 32}),
        ),
        await post(client, door, {}, **signed(door, {})),
    ]

    assert [answer.status for answer in attempts] == [403] * 9
    assert len({(await answer.json())["detail"] for answer in attempts}) == 1
    assert daemon.answers.heard == []


async def test_wrong_signatures_are_counted_by_door(client: Client, daemon: FakeDaemon) -> None:
    await post(client, DOORS[0], FORM, **{"X-Twilio-Signature": "wrong"})

    value = daemon.metrics.registry.get_sample_value("tocsin_signature_failures_total", {"door": "twilio_sms"})
    assert value == 1


async def test_the_old_token_of_an_account_still_signs(client: Client) -> None:
    answer = await post(client, DOORS[2], FORM, **signed(DOORS[2], FORM, "old-secret"))

    assert answer.status == 204


async def test_the_signed_address_has_the_query_as_it_was_sent(client: Client) -> None:
    path = DOORS[2] + "?b=%2F&a=1"

    answer = await post(client, path, FORM)

    assert answer.status == 204


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("empty", ["", " ", None])
async def test_what_has_no_id_of_its_own_is_refused_at_every_door(
    client: Client, daemon: FakeDaemon, door: str, empty: str | None
) -> None:
    ids = dict.fromkeys(("MessageSid", "SmsSid", "SmsMessageSid", "CallSid"), empty)
    form = {name: value for name, value in {**FORM, "Body": "ACK", **ids}.items() if value is not None}

    answer = await post(client, door, form)

    assert answer.status == 400
    assert daemon.answers.heard == []


async def test_the_older_name_of_the_id_is_as_good(client: Client, daemon: FakeDaemon) -> None:
    form = {name: value for name, value in form_of("inbound_sms_ack.txt").items() if name != "MessageSid"}

    answer = await post(client, DOORS[0], form)

    assert answer.status == 200
    assert daemon.answers.heard[0][5] == "SMa1b2c3d4e5f60718a1b2c3d4e5f60718"


async def test_a_signature_without_the_port_of_public_url_is_as_good(client: Client, daemon: FakeDaemon) -> None:
    daemon.with_settings(server=Server(public_url=PUBLIC + ":8443"))

    answer = await post(client, DOORS[2], FORM)

    assert answer.status == 204


async def test_without_a_public_url_no_callback_is_believed(client: Client, daemon: FakeDaemon) -> None:
    daemon.with_settings(server=Server())

    bare = {"X-Twilio-Signature": RequestValidator("twilio-secret").compute_signature(DOORS[2], FORM)}
    answers = [await post(client, DOORS[2], FORM), await post(client, DOORS[2], FORM, **bare)]

    assert [answer.status for answer in answers] == [403, 403]


@pytest.mark.parametrize("door", DOORS)
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
async def test_callbacks_act_on_post_alone(client: Client, daemon: FakeDaemon, door: str, method: str) -> None:
    answer = await client.request(method, f"{door}?Digits=4", headers=signed(door, {}))

    assert answer.status == 405
    assert answer.headers["Allow"] == "OPTIONS, POST"
    assert daemon.answers.heard == []


@pytest.mark.parametrize(
    "body",
    [b"\xff=\xfe", b"a=%ff", b"&".join(b"a%d=b" % n for n in range(5_000)), b"a=" + b"b" * 100_000],
    ids=["not UTF-8", "not UTF-8, quoted", "many fields", "a long field"],
)
async def test_a_hostile_form_is_a_4xx(client: Client, daemon: FakeDaemon, body: bytes) -> None:
    answer = await client.post(DOORS[0], data=body, headers={"X-Twilio-Signature": "x"})

    assert 400 <= answer.status < 500
    assert answer.content_type == "application/problem+json"
    assert daemon.answers.heard == []


async def test_text_no_xml_can_hold_does_not_break_the_answer(client: Client) -> None:
    form = {**form_of("inbound_sms_ack.txt"), "Body": "ACK \x00\x01 <&> \u202e"}

    answer = await post(client, DOORS[0], form)

    assert answer.status == 200
    ElementTree.fromstring(await answer.text())
