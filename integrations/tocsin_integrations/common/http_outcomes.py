"""Outcomes of a page by a provider's HTTP answer, or by the lack of one."""

from __future__ import annotations

import re
from collections.abc import Awaitable
from datetime import UTC
from email.utils import parsedate_to_datetime

from tocsin.contracts import Reply
from tocsin.errors import GateClosed, MaybeSent, NotSent
from tocsin.model import Cancelled, Failed, Instant, Millis, Outcome, Unknown, instant

MAYBE = frozenset({408, 409, 425})
"""4xx that do not promise that nothing was done (RFC 9110; RFC 8470)."""

LONGEST = Millis(3_600_000)


async def sent(calling: Awaitable[Reply]) -> Reply | Outcome:
    """The reply, or the outcome where there is none."""
    try:
        return await calling
    except GateClosed as e:
        return Cancelled(str(e))
    except NotSent as e:
        return Failed(str(e), permanent=e.permanent, account=e.account)
    except MaybeSent as e:
        return Unknown(str(e))


def refusal(who: str, reply: Reply, now: Instant) -> Failed | Unknown:
    """The outcome for an answer other than 2xx of a plain HTTP service. `now`: when it came."""
    because = f"{who} answered {reply.status}" + _excerpt(reply.body)
    if reply.status in MAYBE or reply.status >= 500:
        return Unknown(because)
    if reply.status == 429:
        return Failed(because, retry_after=pause_of(reply, now))
    return Failed(because, account=True)


def pause_of(reply: Reply, now: Instant) -> Millis | None:
    """The pause an answer asks for."""
    return retry_after_of(reply.headers.get("retry-after", ""), reply.headers.get("date", ""), now)


def retry_after_of(value: str, date: str = "", now: Instant | None = None) -> Millis | None:
    """The pause of a Retry-After header, seconds or a date (RFC 9110, 10.2.3), at most an hour; None for nonsense.

    A date counts from `date`, what the same answer says of its own time, since its clock need not be ours; without one
    from `now`.
    """
    seconds = re.fullmatch(r"\s*(\d{1,18})(?:\.\d+)?\s*", value, re.ASCII)
    if seconds:
        return Millis(min(int(seconds[1]) * 1_000, LONGEST))
    until, since = _instant(value), _instant(date) or now
    if until is None or since is None:
        return None
    return Millis(max(0, min(until - since, LONGEST)))


def _instant(value: str) -> Instant | None:
    """An HTTP date in any of its three forms (RFC 9110, 5.6.7)."""
    try:
        read = parsedate_to_datetime(value)
        return instant(read if read.tzinfo is not None else read.replace(tzinfo=UTC))
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def _excerpt(body: bytes) -> str:
    said = " ".join(body[:200].decode("utf-8", "replace").split())
    return f": {said}" if said else ""
