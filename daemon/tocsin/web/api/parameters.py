"""Parameters of requests: their JSON Schema, and how each is read."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from tocsin.contracts import Stand
from tocsin.decide.oncall.time_parsing import moment_of
from tocsin.model import Instant, MadeOverride, Rejected, Schedule, Silence, Swap, rfc3339
from tocsin.settings.document.scalars import duration
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Param, bad_value
from tocsin.web.problem_json import HttpProblem

LIMIT, MOST = 50, 200
TIMELINE_MOST = 1000
_STAND = re.compile(r"([0-9]{1,18})\.([0-9A-Za-z_-]{1,64})", re.ASCII)  # of what was made, in a list of its kind
L = TypeVar("L", Silence, MadeOverride, Swap)
FLAG: Mapping[str, Any] = {"type": "boolean"}
INSTANT: Mapping[str, Any] = {"type": "string", "format": "date-time"}
MOMENT: Mapping[str, Any] = {
    "type": "string", "maxLength": 40, "examples": ["2026-01-05T09:00:00Z", "2026-01-05 09:00"],
}  # fmt: skip
CURSOR: Mapping[str, Any] = {"type": "string", "pattern": "^[0-9]{1,18}$"}


def one_of(*words: str) -> Mapping[str, Any]:
    return {"type": "string", "enum": list(words)}


def whole_number(default: int, most: int) -> Mapping[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


PAGED = (
    Param("limit", f"How many at most; {LIMIT} where absent, {MOST} at most.", whole_number(LIMIT, MOST)),
    Param("cursor", "`next` of the answer before.", CURSOR),
)
PAGED_LINES = (
    Param("limit", f"How many at most; {TIMELINE_MOST} where absent.", whole_number(TIMELINE_MOST, TIMELINE_MOST)),
    PAGED[1],
)
PAGED_MADE = (
    Param("limit", f"How many at most; {TIMELINE_MOST} where absent.", whole_number(TIMELINE_MOST, TIMELINE_MOST)),
    Param("cursor", "`next` of the answer before.", {"type": "string", "pattern": f"^{_STAND.pattern}$"}),
)
AT = "RFC 3339, or local to the schedule (`2026-01-05 09:00`)."


def whole(ask: Ask, name: str, default: int, most: int) -> int:
    """A count between 1 and `most`."""
    text = ask.param(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise bad_value(name, f"{text[:40]!r} is not a whole number from 1 to {most}")
    return int(text)


def cursor(ask: Ask) -> int | None:
    text = ask.param("cursor")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise bad_value("cursor", "is not one that an answer's `next` gave")
    return int(text)


def stand(ask: Ask) -> Stand | None:
    """The cursor of a list by when things were made."""
    found = cursor_like(ask, _STAND)
    return None if found is None else Stand(Instant(int(found[1])), found[2])


def cursor_like(ask: Ask, pattern: re.Pattern[str]) -> re.Match[str] | None:
    """The cursor that is asked for, of this form; None for the beginning of the list."""
    text = ask.param("cursor")
    found = None if text is None else pattern.fullmatch(text)
    if text is not None and found is None:
        raise bad_value("cursor", "is not one that an answer's `next` gave")
    return found


async def part_of(ask: Ask, read: Callable[[int, Stand | None], Awaitable[list[L]]]) -> tuple[list[L], str | None]:
    """The part of a list that is asked for, and the cursor of the one behind it; one value is read beyond it."""
    limit = whole(ask, "limit", TIMELINE_MOST, TIMELINE_MOST)
    found = await read(limit + 1, stand(ask))
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], None if last is None else f"{last.created_at}.{last.id}"


def time_of(ask: Ask, name: str, schedule: Schedule, default: Instant | None = None) -> Instant:
    """A time parameter: RFC 3339, or by the schedule's clock as `moment_of` reads it; now or `default` if absent."""
    text = ask.param(name)
    if text is None:
        return ask.now if default is None else default
    try:
        plus = re.match(r"\d{4}-\d\d-\d\dT", text) is not None  # a bare + in a query arrives as a space
        return moment_of(text.replace(" ", "+", 1) if plus else text, schedule.timezone, ask.now)
    except (ValueError, OverflowError) as wrong:
        raise bad_value(name, str(wrong)) from None


def instant_of(ask: Ask, name: str, default: Instant) -> Instant:
    text = ask.param(name)
    try:
        return default if text is None else bodies.moment(text.replace(" ", "+", 1))
    except ValueError as wrong:
        raise bad_value(name, str(wrong)) from None


def end_of(ask: Ask, start: Instant, end: str | None, length: str | None, pointer: str) -> Instant:
    """The end a body names, as a time or as a length from `start`. Raises HttpProblem 422 when it is past."""
    found = bodies.moment(end) if end is not None else Instant(start + duration(length or ""))
    if found <= max(start, ask.now):
        detail = f"{rfc3339(found)} is not in the future" if found <= ask.now else "it ends before it starts"
        where = pointer if end is not None else "/for"
        raise HttpProblem(422, detail, errors=(Rejected(where, detail),))
    return found
