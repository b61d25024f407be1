"""Times as people write and read them on a terminal: lengths like 30m, clock times in the local zone."""

from __future__ import annotations

import importlib
import os
import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from tocsin.cli.trouble import WRONG, Trouble

_UNITS = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_LENGTH = re.compile(r"(?:\d+[wdhms])+")


def length(text: str) -> timedelta:
    """`30s`, `5m`, `1h30m`, `2d`, `1w`. Raises Trouble that says what to write instead."""
    if not _LENGTH.fullmatch(text):
        raise Trouble(f"{text!r} is not a duration; write for example 30m, 1h30m or 2d", WRONG)
    seconds = sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([wdhms])", text))
    if not 0 < seconds <= 366 * 86_400:
        raise Trouble(f"{text!r} is not a duration between a second and a year", WRONG)
    return timedelta(seconds=seconds)


def moment(text: str, after: datetime | None = None) -> datetime:
    """RFC 3339, a local `2026-01-05 09:00`, or the next `Sunday 03:10` after `after` (now), as every command reads
    times. Raises Trouble that says what to write instead."""
    # A command without a time starts without these.
    reader = importlib.import_module("tocsin.decide.oncall.time_parsing")
    clock = importlib.import_module("tocsin.clock").SystemClock()
    since = clock.now() if after is None else int(after.timestamp() * 1000)  # civil: a client has no line
    try:
        found = reader.moment_of(text, local_zone(), since)
        return datetime.fromtimestamp(found / 1000, UTC)  # civil
    except (ValueError, OverflowError):
        raise Trouble(
            f"{text!r} is not a time; write 2026-01-05T09:00:00Z, or local: 2026-01-05 09:00 or Sunday 03:10",
            WRONG,
        ) from None


def local_zone() -> str:
    """The machine's zone by its name in the IANA database; UTC where it has none."""
    linked = os.path.realpath("/etc/localtime").partition("zoneinfo/")[2]
    for name in (os.environ.get("TZ", "").lstrip(":"), linked):
        try:
            if name:
                return ZoneInfo(name).key
        except (ValueError, OSError):
            continue
    return "UTC"


def rfc3339(at: datetime) -> str:
    return at.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


def local(text: object) -> str:
    """An API's RFC 3339 time in the terminal's zone; "" for none; what cannot be read stays as it is."""
    if not isinstance(text, str) or not text:
        return ""
    try:
        at = datetime.fromisoformat(text).astimezone()
    except (ValueError, OverflowError):
        return text
    return at.strftime("%Y-%m-%d %H:%M:%S %Z")


def short(text: object) -> str:
    """Local time without year, seconds and zone, for a list that must fit a terminal's width."""
    whole = local(text)
    return whole[5:16] if whole != text else whole


def clock(text: str) -> str:
    """An API's RFC 3339 time as the clock shows it there, with its offset: `2026-01-05 09:00 +0100`."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %z")
