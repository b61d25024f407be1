"""Parsers of single values: durations, clock times, days, zones, addresses, limits.

Each function takes the text as written and returns the value, or raises Mistake, whose message says
what is wrong and what to write instead. They know nothing of files or keys.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Iterable
from datetime import date, datetime
from functools import lru_cache
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, available_timezones

import phonenumbers

from tocsin.model import Limit, Millis, Target

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_UNITS = {"w": 604_800_000, "d": 86_400_000, "h": 3_600_000, "m": 60_000, "s": 1_000}
_YEAR = 365 * _UNITS["d"]
_LENGTHS = {"y": _YEAR, **_UNITS}
_LONGEST = 100 * _YEAR

_DURATION = re.compile(r"(?:([0-9]+)y)?(?:([0-9]+)w)?(?:([0-9]+)d)?(?:([0-9]+)h)?(?:([0-9]+)m)?(?:([0-9]+)s)?")
_LOOSE = re.compile(r"([0-9]+(?:\.[0-9]+)?)\s*([a-z]+)[\s,]*", re.IGNORECASE)
_WORDS = {
    "s": ("s", "sec", "secs", "second", "seconds"),
    "m": ("m", "min", "mins", "minute", "minutes"),
    "h": ("h", "hr", "hrs", "hour", "hours"),
    "d": ("d", "day", "days"),
    "w": ("w", "wk", "week", "weeks"),
    "y": ("y", "yr", "year", "years"),
}
_UNIT_OF = {word: unit for unit, words in _WORDS.items() for word in words}

NAME = re.compile(r"\w[\w.-]*")
PATH_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]*")


LONGEST_WORD = 100


class Mistake(ValueError):
    """A written value that cannot be meant; the message says what to write instead."""


def short(text: str) -> str:
    """As much of the text as a message can show."""
    return text if len(text) <= 60 else f"{text[:57]}…"


def nearest(word: str, known: Iterable[str]) -> str | None:
    """The known word that was probably meant; nobody means a very long one, which would take its time."""
    names = list(known)
    same = [name for name in names if name.lower() == word.lower()]
    if same or len(word) > LONGEST_WORD:
        return same[0] if same else None
    close = difflib.get_close_matches(word, [name for name in names if len(name) <= LONGEST_WORD], 1, 0.6)
    return close[0] if close else None


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """A hint to append, such as " (did you mean 'ana'?)"; "" where nothing is near."""
    close = nearest(word, known)
    return f" (did you mean '{close}'?)" if close else ""


# ------------------------------------------------------------------------------------- durations


def duration(text: str) -> Millis:
    """`30s 5m 1h30m 2d 1w 3y` in milliseconds; the largest unit first, each once."""
    found = _DURATION.fullmatch(text)
    if found is None or not text:
        raise Mistake(_not_a_duration(text))
    length = sum(
        int(number[:12]) * each for number, each in zip(found.groups(), _LENGTHS.values(), strict=True) if number
    )
    if length > _LONGEST:
        raise Mistake(f"'{text}' is longer than 100 years")
    return Millis(length)


def _not_a_duration(text: str) -> str:
    if re.fullmatch("[0-9]{1,12}", text):
        return f"'{text}' has no unit; write {text}s, {text}m, {text}h or {text}d"
    meant = _meant(text)
    return f"'{text}' is not a duration; write {meant or 'for example 30s, 5m, 1h30m or 2d'}"


def _meant(text: str) -> str | None:
    """A duration in our spelling for "5 mins", "1.5h", "1 hour 30 minutes"; None where none was probably meant."""
    parts = _LOOSE.findall(text.strip())
    if not parts or _LOOSE.sub("", text.strip()) or any(len(number) > 9 for number, _ in parts):
        return None
    units = [_UNIT_OF.get(word.lower()) for _, word in parts]
    if None in units:
        return None
    total = sum(round(float(number) * _LENGTHS[unit or "s"]) for (number, _), unit in zip(parts, units, strict=True))
    return spell(Millis(total))


def spell(length: Millis) -> str:
    """A length as one would write it: 5m, 1h30m, 2d."""
    if length < 1000:
        return "0s"
    left, words = int(length), ""
    for unit, each in _UNITS.items():
        count, rest = divmod(left, each)
        if count and (unit != "w" or not rest):
            words, left = f"{words}{count}{unit}", rest
    return words


def limit(text: str) -> Limit:
    """`5/15m`: at most five in fifteen minutes."""
    count, slash, window = text.partition("/")
    if not slash or not re.fullmatch("[0-9]{1,6}", count.strip()) or int(count) == 0:
        raise Mistake(f"'{text}' is not a limit; write for example 5/15m: at most five in fifteen minutes")
    length = duration(window.strip())
    if length == 0:
        raise Mistake(f"'{text}' has an empty window; write for example 5/15m")
    return Limit(int(count), length)


def turn_length(text: str) -> tuple[int, str]:
    """The length of a rotation's turn: `12h`, `1d`, `2w`, `1mo` as (length, unit)."""
    units = {"h": "hours", "d": "days", "w": "weeks", "mo": "months"}
    found = re.fullmatch("([0-9]{1,4})(h|d|w|mo)", text)
    if found is None or int(found[1]) == 0:
        raise Mistake(f"'{text}' is not a turn's length; write for example 12h, 1d, 1w, 2w or 1mo")
    return int(found[1]), units[found[2]]


# ------------------------------------------------------------------------------------ wall clocks


def clock_time(text: str) -> int:
    """`09:00` as minutes of the day."""
    found = re.fullmatch("([01][0-9]|2[0-3]):([0-5][0-9])", text)
    if found:
        return int(found[1]) * 60 + int(found[2])
    if re.fullmatch("24:00(:00)?", text):
        raise Mistake("'24:00' is refused, it is the next day's beginning; write 00:00")
    loose = re.fullmatch("([0-9]{1,2})(?::([0-5][0-9]))?(?::[0-5][0-9])? ?(am|pm)?", text.lower())
    if loose and int(loose[1]) < 24:
        hour = int(loose[1]) % 12 + (12 if loose[3] == "pm" else 0) if loose[3] else int(loose[1])
        raise Mistake(f"'{text}' is not a clock time; write {hour:02d}:{loose[2] or '00'}")
    raise Mistake(f"'{text}' is not a clock time; write for example 09:00 or 17:30")


def days(text: str) -> frozenset[int]:
    """`Sat`, `Mon-Fri`, `Fri-Mon` (wraps) as numbers, 0 = Monday."""
    first, dash, last = (part.strip() for part in text.partition("-"))
    begin = _day(first, text)
    if not dash:
        return frozenset({begin})
    end = _day(last, text)
    return frozenset((begin + step) % 7 for step in range((end - begin) % 7 + 1))


def _day(word: str, text: str) -> int:
    if word in DAYS:
        return DAYS.index(word)
    meant = [day for day in DAYS if len(word) > 1 and word.lower().startswith(day[:2].lower())]
    if "," in text:
        raise Mistake(f"'{text}' is not a day or range of days; write a list, for example [Mon, Wed-Fri]")
    instead = (
        f"write {text.replace(word, meant[0])}"
        if meant and word
        else "write for example Sat, Mon-Fri or [Mon, Wed-Fri]"
    )
    raise Mistake(f"'{text}' is not a day or range of days; {instead}")


def local_time(text: str) -> str:
    """`2026-01-05 09:00`, a wall-clock time without a zone, as `2026-01-05T09:00`."""
    found = re.fullmatch(r"([0-9]{4}-[0-9]{2}-[0-9]{2})[ T]([0-9]{2}:[0-9]{2})", text)
    if found is None:
        raise Mistake(_not_a_local_time(text))
    calendar_date(found[1])
    clock_time(found[2])
    return f"{found[1]}T{found[2]}"


def _not_a_local_time(text: str) -> str:
    if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text):
        return f"'{text}' has no clock time; write {text} 09:00"
    try:
        meant = datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M")
    except ValueError:
        return f"'{text}' is not a local time; write for example 2026-01-05 09:00"
    return f"'{text}' must be a local time of the schedule's zone, to the minute; write for example {meant}"


def calendar_date(text: str) -> str:
    """`2026-01-05`, a date that exists."""
    try:
        return (
            date.fromisoformat(text).isoformat() if re.fullmatch("[0-9]{4}-[0-9]{2}-[0-9]{2}", text) else _no_date(text)
        )
    except ValueError:
        return _no_date(text)


def _no_date(text: str) -> str:
    raise Mistake(f"'{text}' is not a date of the calendar; write for example 2026-01-05")


def window_end(text: str) -> tuple[int | None, int]:
    """`09:00` or `Fri 17:00`, where a window begins or ends, as (day or None, minute of the day)."""
    words = text.split()
    if len(words) == 2 and "-" not in words[0]:
        return _day(words[0], words[0]), clock_time(words[1])
    if len(words) == 1 and text.strip() in DAYS:
        raise Mistake(f"'{text}' has no clock time; write for example {text.strip()} 09:00")
    if len(words) == 2:
        raise Mistake(f"'{text}' names several days; write one, for example Fri 17:00, or days: beside clock times")
    return None, clock_time(text)


def weekly_time(text: str) -> tuple[frozenset[int], int]:
    """`Sun 02:00`, `Mon-Fri 02:00`, or `02:00` for every day, as (days, minute of the day)."""
    words = text.split()
    if len(words) not in (1, 2):
        raise Mistake(f"'{text}' is not a repeated time; write for example Sun 02:00 or 02:00")
    return days(words[0]) if len(words) == 2 else frozenset(range(7)), clock_time(words[-1])


@lru_cache(maxsize=256)
def zone(text: str) -> str:
    """A zone of the IANA database: `Europe/Paris`."""
    try:
        ZoneInfo(text)
    except (ValueError, OSError, KeyError):
        raise Mistake(f"no such time zone '{text}'{_zone_instead(text)}") from None
    return text


@lru_cache(maxsize=1)
def _zones() -> list[str]:
    return sorted(available_timezones())


_ABBREVIATED = {
    "PST": "America/Los_Angeles", "PDT": "America/Los_Angeles", "PT": "America/Los_Angeles", "MDT": "America/Denver",
    "CST": "America/Chicago", "CDT": "America/Chicago", "EDT": "America/New_York", "ET": "America/New_York",
    "BST": "Europe/London", "CEST": "Europe/Paris", "EEST": "Europe/Helsinki", "IST": "Asia/Kolkata",
    "JST": "Asia/Tokyo", "AEST": "Australia/Sydney", "AEDT": "Australia/Sydney", "BRT": "America/Sao_Paulo",
}  # fmt: skip


def _zone_instead(text: str) -> str:
    """The zone that was probably meant: by an abbreviation's, a city's or a similar name."""
    if text.upper() in _ABBREVIATED:
        return f"; abbreviations name several zones, write for example {_ABBREVIATED[text.upper()]}"
    zones = _zones()
    city = text.rpartition("/")[2].strip().replace(" ", "_").lower()
    cities = [zone for zone in zones if city and zone.rpartition("/")[2].lower() == city and "/" in zone]
    if cities:
        return f" (did you mean '{cities[0]}'?)"
    return did_you_mean(text, zones) or "; write for example Europe/Paris or UTC"


# -------------------------------------------------------------------------- addresses and numbers


def whole(text: str, least: int | None = None, most: int | None = None) -> int:
    """A whole number within its bounds."""
    if not re.fullmatch("-?[0-9]{1,15}", text):
        raise Mistake(f"'{text}' is not a whole number")
    number = int(text)
    if least is not None and number < least:
        raise Mistake(f"{number} is too small; write {least} or more")
    if most is not None and number > most:
        raise Mistake(f"{number} is too large; write {most} or less")
    return number


def web_url(text: str) -> str:
    """An absolute http or https address, without spaces."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and parts.hostname and (parts.port is None or parts.port > 0)
    except ValueError:
        usable = False
    if not usable or re.search(r"\s", text):
        raise Mistake(f"'{text}' is not a web address; write for example https://tocsin.example.org")
    return text


def base_url(text: str) -> str:
    """A web address that paths are put after: no query, no fragment; the trailing slash is dropped."""
    parts = urlsplit(web_url(text))
    if parts.query or parts.fragment or parts.username:
        raise Mistake(
            f"'{text}' must be a plain base; write {parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"
        )
    return text.rstrip("/")


def listen(text: str) -> tuple[str, int]:
    """`127.0.0.1:8420` or `[::1]:8420` as (host, port). Port 0 takes any free one."""
    found = re.fullmatch(r"(\[[0-9a-fA-F:.]+\]|[^\s:\[\]]+):([0-9]{1,5})", text)
    if found is None or int(found[2]) > 65535:
        port = re.fullmatch(":?([0-9]{2,5})", text)
        meant = f"127.0.0.1:{port[1]}" if port else "for example 127.0.0.1:8420"
        raise Mistake(f"'{text}' is not an address to listen on; write {meant}")
    return found[1].strip("[]"), int(found[2])


def network(text: str) -> str:
    """An IP address or network: `127.0.0.1`, `10.0.0.0/8`."""
    try:
        ipaddress.ip_network(text)
    except ValueError as error:
        raise Mistake(f"'{text}' is not an IP address or network ({error}); write for example 10.0.0.0/8") from None
    return text


def is_loopback(host: str) -> bool:
    """Whether `host` surely means this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_private(host: str) -> bool:
    """Whether `host` is written as an address that is not on the public internet."""
    try:
        return not ipaddress.ip_address(host).is_global
    except ValueError:
        return host == "localhost"


@lru_cache(maxsize=4096)
def phone(text: str) -> str:
    """A phone number as E.164: `+351912345678`. Spaces, dashes and brackets are taken out."""
    bare = re.sub(r"[ ()./-]", "", text)
    if not bare.startswith("+"):
        raise Mistake(
            f"'{text}' is not an international phone number; begin with + and the country code, as in +351912345678"
        )
    try:
        number = phonenumbers.parse(bare)
    except phonenumbers.NumberParseException as error:
        raise Mistake(f"'{text}' is not a phone number: {str(error).partition(') ')[2] or error}") from None
    if not phonenumbers.is_possible_number(number):
        raise Mistake(f"'{text}' has too few or too many digits for a phone number of its country")
    return str(phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.E164))


def email(text: str) -> str:
    """A bare mail address."""
    if not re.fullmatch(r"[^\s@<>,;\"]+@[^\s@<>,;\"]+", text) or len(text) > 254:
        raise Mistake(f"'{text}' is not a mail address; write for example ana@example.org")
    return text


def name(text: str) -> str:
    """A name of ours: letters, digits, `_`, `.` and `-`."""
    return _name(text, NAME)


def path_name(text: str) -> str:
    """A name that stands in a URL's path: ASCII letters, digits, `_`, `.` and `-`."""
    return _name(text, PATH_NAME)


def _name(text: str, form: re.Pattern[str]) -> str:
    if form.fullmatch(text) and len(text) <= 100:
        return text
    meant = re.sub("[^A-Za-z0-9_.]+", "-", text).strip("-.")[:100]
    raise Mistake(f"'{text}' cannot be a name (letters, digits, '_', '.', '-'); write {meant or 'for example primary'}")


# --------------------------------------------------------------------------------------- targets

_SUFFIXES = {"schedule": ("next",), "team": ("oncall",), "managers": (), "channel": ()}
TARGET_KINDS = ("user", "schedule", "team", "managers", "channel")


def target(text: str) -> Target:
    """`user:ana`, `user:ana/mail`, `schedule:primary@next`, `team:x@oncall`, `managers:x`, `channel:ops`."""
    kind, colon, rest = text.partition(":")
    if not colon or kind not in TARGET_KINDS or not rest.strip():
        raise Mistake(_not_a_target(text, kind if colon else ""))
    if rest != rest.strip():
        raise Mistake(f"'{text}' has a space after the colon; write {kind}:{rest.strip()}")
    if kind == "user":
        who, _, contact = rest.partition("/")
        return Target("user", who, contact)
    who, at, suffix = rest.partition("@")
    allowed = _SUFFIXES[kind]
    if at and suffix not in allowed:
        instead = f"write {kind}:{who}" + "".join(f" or {kind}:{who}@{each}" for each in allowed)
        raise Mistake(f"unknown suffix '@{suffix}' in '{text}'; {instead}")
    return Target(kind, who, suffix)  # type: ignore[arg-type]  # one of TARGET_KINDS


def _not_a_target(text: str, kind: str) -> str:
    close = nearest(kind, TARGET_KINDS) if kind else None
    if close:
        return f"'{text}' is not a target; write {close}:{text.partition(':')[2].strip() or 'NAME'}"
    kinds = ", ".join(f"{each}:NAME" for each in TARGET_KINDS)
    return f"'{text}' is not a target; write one of {kinds}"
