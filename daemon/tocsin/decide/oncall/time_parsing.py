"""Times in people's words, as instants: `2026-01-05T09:00Z`, `2026-01-05 09:00`, `Sunday 03:10`, `tomorrow 03:10`."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta

from tocsin.decide.oncall.resolver import local_instant, zone_of
from tocsin.model import Instant, instant
from tocsin.model.civil import civil

FIRST_YEAR, LAST_YEAR = 1970, 9000
DAYS = ("monday", "tuesday", "wednesday", "thursday", "friday", "saturday", "sunday")
_WORDS = re.compile(r"(?:(?P<day>[a-z]+)[ ,]+)?(?P<hour>[0-9]{1,2}):(?P<minute>[0-9]{2})")


def moment_of(text: str, timezone: str, now: Instant) -> Instant:
    """The instant: with an offset as it says, else by the clock of `timezone`; a day of the week or a clock time alone
    mean the next one after `now`. Raises ValueError that says what to write."""
    words = text.strip().lower()
    if words == "now":
        return now
    match = _WORDS.fullmatch(words)
    found = _next(match, timezone, now) if match else _written(text.strip(), timezone)
    if found is None:
        raise ValueError(
            f"{text[:40]!r} is not a time; write 2026-01-05T09:00:00Z, or 2026-01-05 09:00 or Sunday 03:10 "
            f"(for {timezone})"
        )
    return found


def _written(text: str, timezone: str) -> Instant | None:
    try:
        written = datetime.fromisoformat(text)
        if not FIRST_YEAR <= written.year <= LAST_YEAR:
            return None
        if written.tzinfo is None:
            return local_instant(written.isoformat(), timezone)
        return instant(written.astimezone(UTC))
    except (ValueError, OverflowError):
        return None


def _next(match: re.Match[str], timezone: str, now: Instant) -> Instant | None:
    """The first day from today on that is the one named, and on which that time is still to come."""
    hour, minute, day = int(match["hour"]), int(match["minute"]), match["day"]
    wanted = None if day in (None, "today", "tomorrow") else _weekday(day)
    if hour > 23 or minute > 59 or wanted == -1:
        return None
    today = civil(now, zone_of(timezone)).date()
    for ahead in range(1 if day == "tomorrow" else 0, 9):
        then = today + timedelta(days=ahead)
        at = _at(then, hour, minute, timezone)
        if day in ("today", "tomorrow") or (at > now and wanted in (None, then.weekday())):
            return at
    return None


def _weekday(text: str) -> int:
    """0 = Monday; three letters are enough; -1 for what is no day."""
    return next((number for number, name in enumerate(DAYS) if len(text) >= 3 and name.startswith(text)), -1)


def _at(day: date, hour: int, minute: int, timezone: str) -> Instant:
    return local_instant(f"{day.isoformat()}T{hour:02}:{minute:02}", timezone)
