"""Twilio's signatures (by the vendor's vectors), forms, TwiML and error codes."""

from __future__ import annotations

from importlib import import_module
from typing import Any
from urllib.parse import urlencode
from xml.etree import ElementTree

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from twilio.request_validator import RequestValidator

from tests.integrations.samples import SAMPLES
from tocsin.errors import BadBody
from tocsin.model import Failed, Millis, Secret, Unknown
from tocsin_integrations.channels.twilio import error_codes, signatures, twiml

VECTORS = orjson.loads((SAMPLES / "signatures/twilio.json").read_bytes())


def check(vector: dict[str, Any], **changes: Any) -> bool:
    headers = {name.lower(): value for name, value in vector["header"].items()}
    given: dict[str, Any] = {
        "urls": vector["url"], "params": vector.get("params", {}), "signature": headers[signatures.SIGNATURE],
        "secret": Secret((vector["auth_token"],)), "raw": vector.get("body", "").encode(), "headers": headers, **changes,
    }  # fmt: skip
    return signatures.verify(
        given.pop("urls"), given.pop("params"), given.pop("signature"), given.pop("secret"), **given
    )


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_published_vectors_hold(vector: dict[str, Any]) -> None:
    assert check(vector) is vector["valid"]


@pytest.mark.parametrize("vector", [v for v in VECTORS if v["valid"]], ids=lambda vector: vector["name"])
@pytest.mark.parametrize(
    "changes",
    [
        {"secret": Secret(("another",))},
        {"secret": Secret(())},
        {"signature": ""},
        {"signature": "é\ud800"},
        {"urls": "https://evil.example/twilio/sms"},
        {"urls": []},
    ],
    ids=["another secret", "no secret", "no signature", "a signature in no alphabet", "another address", "no address"],
)
def test_whatever_is_wrong_nothing_is_let_in(vector: dict[str, Any], changes: dict[str, Any]) -> None:
    assert check(vector, **changes) is False


def test_during_a_rotation_either_secret_is_good() -> None:
    assert check(VECTORS[0], secret=Secret(("the new one", VECTORS[0]["auth_token"])))


def test_the_default_port_may_be_signed_left_out_or_configured() -> None:
    with_port = VECTORS[0]["url"].replace(".example/", ".example:443/")
    assert check(VECTORS[0], urls=with_port)
    assert check(VECTORS[3], urls=VECTORS[3]["url"])


@given(
    st.sampled_from(["https", "http"]), st.sampled_from(["", ":443", ":80", ":8443"]), st.booleans(),
    st.sampled_from(["", "HMAC_SHA256"]),
)  # fmt: skip
def test_what_the_vendors_validator_accepts_is_accepted_with_the_port_and_without(
    scheme: str, port: str, left_out: bool, algorithm: str
) -> None:
    url, form = f"{scheme}://t.example{port}/x?a=1&b=%2F", {"Body": "ACK 1", "From": "+15005550010"}
    signer = RequestValidator("token")
    signature = signer.compute_signature(
        url.replace(port, "", 1) if left_out and port else url, form, algorithm or None
    )
    headers = {signatures.SETTINGS: f"key=x,algorithm={algorithm}"} if algorithm else {}

    assert signer.validate(url, form, signature, algorithm or None)
    assert signatures.verify(url, form, signature, Secret(("old", "token")), headers=headers)
    assert not signatures.verify(url, form, signature, Secret(("old",)), headers=headers)
    assert not signatures.verify(url.replace("/x", "/y"), form, signature, Secret(("token",)), headers=headers)


def test_one_of_several_addresses_is_enough() -> None:
    assert check(VECTORS[0], urls=["https://old.example.org/twilio/sms", VECTORS[0]["url"]])


def test_an_unknown_algorithm_is_refused() -> None:
    assert not check(VECTORS[0], headers={signatures.SETTINGS: "key=x,algorithm=HMAC_MD5"})


def test_a_body_that_is_no_form_must_be_covered_by_its_digest() -> None:
    vector = next(v for v in VECTORS if "body" in v and v["valid"])
    plain = vector["url"].partition("?")[0]
    signature = RequestValidator(vector["auth_token"]).compute_signature(plain, {})

    assert check(vector)
    assert not check(vector, urls=plain, signature=signature)
    assert not check(vector, raw=b"{}")


def test_a_repeated_field_is_verified_as_twilio_signs_it() -> None:
    form = signatures.parse_form(b"Body=b&Body=a&Body=b&From=%2B1")
    signature = RequestValidator("token").compute_signature("https://t.example/x", form)

    assert signatures.verify("https://t.example/x", form, signature, Secret(("token",)))


# ------------------------------------------------------------------------------------------ forms


@pytest.mark.parametrize("path", sorted((SAMPLES / "twilio").glob("*.txt")), ids=lambda path: path.stem)
def test_sample_forms_are_read_field_by_field(path: Any) -> None:
    form = signatures.parse_form(path.read_bytes())

    assert form["AccountSid"].startswith("AC")
    assert urlencode(list(form.items())) == path.read_text().strip()


def test_texts_keep_their_spaces_and_empty_fields_count() -> None:
    assert list(signatures.parse_form(b"Body=+4+&ToCity=").items()) == [("Body", " 4 "), ("ToCity", "")]


@pytest.mark.parametrize(
    ("raw", "status"),
    [
        (b"x=" + b"a" * 70_000, 413),
        (b"&".join(b"a%d=1" % n for n in range(300)), 400),
        (b"\xff", 400),
        (b"Body=%ff", 400),
    ],
)
def test_a_form_out_of_bounds_is_refused(raw: bytes, status: int) -> None:
    with pytest.raises(BadBody) as refused:
        signatures.parse_form(raw)

    assert refused.value.status == status


@given(st.binary(max_size=400))
def test_any_bytes_are_a_form_or_a_refusal(raw: bytes) -> None:
    try:
        form = signatures.parse_form(raw)
    except BadBody:
        return
    assert all(isinstance(value, str) for value in form.values())


# ------------------------------------------------------------------------------------------ TwiML


def test_a_menu_is_said_three_times_waits_for_one_key_each_and_hangs_up() -> None:
    response = ElementTree.fromstring(twiml.voice_menu("INC 42 <db> & more. Press 4.", "https://t.example/v?a=1&b=2"))

    verbs = [verb.tag for verb in response]
    assert verbs == ["Gather", "Gather", "Gather", "Say", "Hangup"]
    for gather in response.findall("Gather"):
        assert (gather.get("numDigits"), gather.get("method"), gather.get("input")) == ("1", "POST", "dtmf")
        assert gather.get("action") == "https://t.example/v?a=1&b=2"
        assert gather.get("finishOnKey") == ""
        assert [say.text for say in gather] == ["INC 42 <db> & more. Press 4."]


def test_a_goodbye_is_said_and_the_line_is_cut() -> None:
    response = ElementTree.fromstring(twiml.voice_goodbye("Incident 42 acknowledged. Goodbye."))

    assert [(verb.tag, verb.text) for verb in response] == [
        ("Say", "Incident 42 acknowledged. Goodbye."),
        ("Hangup", None),
    ]


def test_a_reply_is_one_message_and_silence_is_an_empty_response() -> None:
    said = ElementTree.fromstring(twiml.sms_reply("INC 42 acknowledged by you."))
    silent = ElementTree.fromstring(twiml.sms_reply(None))

    assert [(verb.tag, verb.text) for verb in said] == [("Message", "INC 42 acknowledged by you.")]
    assert list(silent) == []


@given(st.text(alphabet=st.characters(), max_size=200))
def test_any_text_becomes_xml_that_can_be_read(text: str) -> None:
    for document in (twiml.sms_reply(text), twiml.voice_menu(text, "/x"), twiml.voice_goodbye(text)):
        ElementTree.fromstring(document.encode())


# ----------------------------------------------------------------------------------------- errors


@pytest.mark.parametrize(
    ("code", "fate"),
    [
        (20429, "later"), (30001, "later"), (30008, "later"), (21610, "contact"), ("30003", "contact"), (30006, "contact"),
        (20003, "account"), (21606, "account"), (30034, "account"), (11200, "ours"), (57012, "ours"), (99999, "other"),
        ("", "other"), (None, "other"), ("x", "other"),
    ],
)  # fmt: skip
def test_what_a_code_asks_us_to_do(code: int | str | None, fate: str) -> None:
    assert error_codes.fate(code) == fate


def test_a_late_retry_is_asked_for_at_most_an_hour_ahead() -> None:
    assert error_codes.refusal(429, 20429, "", "999999") == Failed(
        "twilio answered 429, error 20429", retry_after=Millis(3_600_000)
    )
    assert error_codes.refusal(429, None, "", "Fri, 20 Nov 2026 03:14:08 GMT") == Failed("twilio answered 429")
    noon, soon = "Fri, 20 Nov 2026 12:00:00 GMT", "Fri, 20 Nov 2026 12:01:30 GMT"
    assert error_codes.refusal(429, None, "", soon, noon) == Failed("twilio answered 429", retry_after=Millis(90_000))
    assert isinstance(error_codes.refusal(503, None, "", "5"), Unknown)


@pytest.mark.parametrize("kind", ["sms", "voice"])
def test_an_installation_made_before_the_move_finds_the_channel(kind: str) -> None:
    former = import_module(f"tocsin_integrations.channels.twilio_{kind}")

    assert former.CHANNEL is import_module(f"tocsin_integrations.channels.twilio.{kind}").CHANNEL
