"""Protocol shared by Twilio's SMS and voice: webhook signatures, forms, TwiML, and what its errors mean.

The `twilio` package does the signing and the XML. Its REST client is heavy and lives in
`client.py`, which is loaded when a Twilio channel is opened. Vendor pages:
https://www.twilio.com/docs/usage/security, .../docs/voice/twiml, .../docs/api/errors.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from typing import Literal
from urllib.parse import parse_qs, parse_qsl, urlsplit

from multidict import MultiDict
from twilio.request_validator import RequestValidator, get_signature_algorithm  # type: ignore[import-untyped]
from twilio.twiml.messaging_response import MessagingResponse  # type: ignore[import-untyped]
from twilio.twiml.voice_response import Gather, VoiceResponse  # type: ignore[import-untyped]

from tocsin.errors import BadBody
from tocsin.model import Failed, Instant, Outcome, Secret, Unknown
from tocsin_integrations.common.gsm7 import fit
from tocsin_integrations.common.http_outcomes import retry_after_of

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"

FORM_BYTES = 64 * 1024
FORM_FIELDS = 200
MENU_ROUNDS = 3
SPOKEN = 1500  # characters of one Say: about two minutes of speech

# ---------------------------------------------------------------------------- requests from Twilio


def verify(
    urls: str | Iterable[str],
    params: Mapping[str, str],
    signature: str,
    secret: Secret,
    *,
    raw: bytes = b"",
    headers: Mapping[str, str] | None = None,
) -> bool:
    """Whether Twilio, knowing one of the secret's values, signed this request.

    The package's own validator judges, so a signature is good with the URL's port and without it, as Twilio makes
    both. `urls`: the public URL as configured plus the path and query as they arrived (several where several
    are possible). `params`: the form's fields (from `parse_form`), empty for a JSON body, whose `raw` bytes must
    then match the URL's bodySHA256. `headers`: lower-case names; the one that names the algorithm is read. Every
    token is tried, whichever fits.
    """
    algorithm = get_signature_algorithm((headers or {}).get(SETTINGS, ""))
    given = [urls] if isinstance(urls, str) else list(urls)
    if algorithm.upper() not in ("HMAC_SHA1", "HMAC_SHA256") or not signature:
        return False
    signed = [
        RequestValidator(value).validate(url, params, signature, algorithm) for value in secret.values for url in given
    ]
    return any(signed) and _body_is_signed(given, params, raw)


def _body_is_signed(urls: Sequence[str], params: Mapping[str, str], raw: bytes) -> bool:
    """A form is covered by its fields; anything else by bodySHA256 in the signed URL."""
    if params or not raw:
        return True
    digest = hashlib.sha256(raw).hexdigest()
    stated = [value for url in urls for value in parse_qs(urlsplit(url).query).get("bodySHA256", [])]
    return bool(stated) and all(hmac.compare_digest(digest.encode(), each.lower().encode()) for each in stated)


def parse_form(raw: bytes) -> MultiDict[str]:
    """The fields of a form post, empty ones included, in order.

    Raises BadBody (status 413 or 400) beyond 64 KiB or 200 fields, or where it is not UTF-8.
    """
    if len(raw) > FORM_BYTES:
        raise BadBody(f"the form is larger than {FORM_BYTES} bytes", status=413)
    try:
        text = raw.decode("utf-8").rstrip("\r\n")
        fields = parse_qsl(text, keep_blank_values=True, max_num_fields=FORM_FIELDS, errors="strict")
    except ValueError as e:
        raise BadBody(f"the form cannot be read: {e}") from e
    return MultiDict(fields)


# ------------------------------------------------------------------------------------------- TwiML


def sms_reply(text: str | None) -> str:
    """TwiML that answers an SMS; None: says nothing."""
    response = MessagingResponse()
    if text:
        response.message(fit(_speakable(text), segments=4))
    return str(response)


def voice_menu(text: str, action_url: str, goodbye: str = "Nobody pressed a key. Goodbye.") -> str:
    """TwiML that says `text` and waits for one key, three times over, then hangs up.

    A key press interrupts the speech and is posted to `action_url` as Digits. `#` and `*` count as keys.
    """
    response = VoiceResponse()
    said = _speakable(text)[:SPOKEN]
    for _ in range(MENU_ROUNDS):
        gather = Gather(input="dtmf", num_digits=1, finish_on_key="", timeout=5, method="POST", action=action_url)
        gather.say(said)
        response.append(gather)
    return _farewell(response, goodbye)


def voice_goodbye(text: str) -> str:
    """TwiML that says `text` and hangs up."""
    return _farewell(VoiceResponse(), text)


def _farewell(response: VoiceResponse, text: str) -> str:
    response.say(_speakable(text)[:SPOKEN])
    response.hangup()
    return str(response)


def _speakable(text: str) -> str:
    """The text without what XML 1.0 cannot hold."""
    return "".join(c for c in text if c in "\n\t" or " " <= c < "\ud800" or "\ue000" <= c < "\ufffe" or c > "\uffff")


# ------------------------------------------------------------------------------------------ errors

Fate = Literal["later", "contact", "account", "ours", "other"]
"""later: try again; contact: this number cannot be reached this way; account: our account or set-up is
broken; ours: our own web server failed Twilio; other: not known to us."""

_LATER = frozenset({20429, 30001, 30008, 30022, 30410, 21611})
_CONTACT = frozenset(
    {21610, 21211, 21614, 21612, 21408, 21215, 30003, 30004, 30005, 30006, 30007, 32017, 21217, 21401}
)  # fmt: skip
_ACCOUNT = frozenset(
    {20003, 20404, 21606, 21212, 21608, 21219, 21609, 21617, 30002, 30032, 30034, 20005, 21603, 21210, 21602}
)  # fmt: skip
_OURS = frozenset({11200, 11205, 11210, 12100, 12300, 57012})


def fate(code: int | str | None) -> Fate:
    """Classify one of Twilio's error codes by what it asks us to do; it also comes as ErrorCode in status callbacks."""
    try:
        number = int(code or 0)
    except ValueError:
        return "other"
    kinds: tuple[tuple[frozenset[int], Fate], ...] = (
        (_LATER, "later"), (_CONTACT, "contact"), (_ACCOUNT, "account"), (_OURS, "ours"),
    )  # fmt: skip
    return next((kind for codes, kind in kinds if number in codes), "other")


def refusal(
    status: int, code: int | None, text: str, retry_after: str = "", date: str = "", now: Instant | None = None
) -> Outcome:
    """The outcome of a page for an answer of Twilio's API other than 2xx. `retry_after`, `date`: its headers; `now`:
    when it came.
    """
    because = f"twilio answered {status}" + (f", error {code}" if code else "") + (f": {text}" if text else "")
    if status in (408, 409, 425) or status >= 500:
        return Unknown(because)
    if status == 429 or fate(code) == "later":
        return Failed(because, retry_after=retry_after_of(retry_after, date, now))
    if fate(code) == "contact":
        return Failed(because, permanent=True)
    return Failed(because, account=fate(code) == "account" or status in (401, 403, 404) or status < 400)
