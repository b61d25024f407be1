"""Error codes of Twilio, in answers and in status callbacks, and what each asks us to do.

https://www.twilio.com/docs/api/errors
"""

from __future__ import annotations

from typing import Literal

from tocsin.model import Failed, Instant, Outcome, Unknown
from tocsin_integrations.common.http_outcomes import retry_after_of

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
