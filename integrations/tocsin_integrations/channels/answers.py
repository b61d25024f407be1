"""What a provider's HTTP answer, or the lack of one, means for a page."""

from __future__ import annotations

import re
from collections.abc import Awaitable

from tocsin.contracts import Reply
from tocsin.errors import GateClosed, MaybeSent, NotSent
from tocsin.model import Cancelled, Failed, Millis, Outcome, Unknown

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


def refusal(who: str, reply: Reply) -> Failed | Unknown:
    """What an answer other than 2xx of a plain HTTP service means."""
    because = f"{who} answered {reply.status}" + _excerpt(reply.body)
    if reply.status in MAYBE or reply.status >= 500:
        return Unknown(because)
    if reply.status == 429:
        return Failed(because, retry_after=retry_after_of(reply.headers.get("retry-after", "")))
    return Failed(because, account=True)


def retry_after_of(value: str) -> Millis | None:
    """The delay of a Retry-After header in seconds (at most an hour); None for a date or nonsense."""
    if not re.fullmatch(r"\s*\d{1,6}\s*", value, re.ASCII):
        return None
    return Millis(min(int(value) * 1_000, LONGEST))


def _excerpt(body: bytes) -> str:
    said = " ".join(body[:200].decode("utf-8", "replace").split())
    return f": {said}" if said else ""
