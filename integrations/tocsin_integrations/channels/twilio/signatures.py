"""Requests from Twilio: whether one is signed by who knows the account's token, and the fields of its form.

The `twilio` package's own validator judges: https://www.twilio.com/docs/usage/security.
"""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Iterable, Mapping, Sequence
from urllib.parse import parse_qs, parse_qsl, urlsplit

from multidict import MultiDict
from twilio.request_validator import RequestValidator, get_signature_algorithm

from tocsin.errors import BadBody
from tocsin.model import Secret

SIGNATURE = "x-twilio-signature"
SETTINGS = "x-twilio-webhooks-signature-settings"

FORM_BYTES = 64 * 1024
FORM_FIELDS = 200


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
