"""Reading what others send: JSON of any quality into texts, times, severities and links.

Everything here is total: a value that cannot be read becomes None or "" and never an exception, but
for `read_json`, which raises BadBody. Texts are passed on as sent; intake sanitises them.
"""

from __future__ import annotations

import hashlib
import json
import math
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from functools import lru_cache
from types import MappingProxyType
from typing import Any, NoReturn

import orjson

from tocsin.errors import BadBody
from tocsin.model import EMPTY, Alert, Instant, Link, Severity

DEPTH = 32
KEY_LENGTH = 512

# ------------------------------------------------------------------------------------------- JSON


def read_json(raw: bytes, *, exact: bool = False) -> Any:
    """The value of a JSON body, as every door for alerts reads it. Raises BadBody for anything else.

    Refused: what is no UTF-8, NaN and infinities, nesting beyond 32. Let through, since a page may depend on it: lone
    surrogates (intake replaces them), a byte order mark, raw control characters in texts, a NUL behind the body. Of a
    key that is there twice the last one counts. Whole numbers beyond 64 bits are rounded unless
    `exact`, which is slower.
    """
    try:
        value = _exact(raw) if exact else orjson.loads(raw)
    except orjson.JSONDecodeError:
        value = _exact(raw)
    if raw.count(b"{") + raw.count(b"[") > DEPTH and too_deep(raw, value):
        raise BadBody(f"the body is nested deeper than {DEPTH} levels")
    return value


def rounded(alerts: Iterable[Alert]) -> bool:
    """Whether an identity may have been a number that `read_json` rounded: two would become one."""
    return any(alert.source_key is not None and "e+" in alert.source_key for alert in alerts)


def _exact(raw: bytes) -> Any:
    try:
        return _READER.decode(raw.decode("utf-8-sig").rstrip("\0 \t\r\n"))
    except RecursionError as e:
        raise BadBody(f"the body is nested deeper than {DEPTH} levels") from e
    except ValueError as e:
        raise BadBody(f"the body is not JSON: {e}") from e


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON value")


def _whole(digits: str) -> int | float:
    """A whole number; rounded where it is longer than Python reads."""
    return int(digits) if len(digits) <= _LONGEST_NUMBER else float(digits)


_LONGEST_NUMBER = 4_000
_READER = json.JSONDecoder(parse_constant=_no_constant, parse_int=_whole, strict=False)

_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


def too_deep(raw: bytes, value: Any) -> bool:
    """Whether `value`, read from `raw`, is nested deeper than 32.

    First by counting brackets, then by peeling pairs of them off the text, which is quick and can only err
    towards "deep" (brackets inside strings); then, if need be, by walking the value.
    """
    if raw.count(b"{") + raw.count(b"[") <= DEPTH:
        return False
    brackets = raw.translate(None, _NO_BRACKETS)
    for _ in range(DEPTH):
        if not brackets:
            return False
        brackets = brackets.replace(b"{}", b"").replace(b"[]", b"")
    return bool(brackets) and _deeper(value, DEPTH)


def _deeper(value: Any, allowed: int) -> bool:
    level = [value]
    for _ in range(allowed):
        level = [inner for outer in level for inner in _inside(outer)]
        if not level:
            return False
    return any(isinstance(each, dict | list) for each in level)


def _inside(value: Any) -> Iterable[Any]:
    match value:
        case dict():
            return value.values()
        case list():
            return value
        case _:
            return ()


# ------------------------------------------------------------------------------------------ texts


def text(value: Any) -> str:
    """The text of any JSON value: numbers and flags as JSON writes them, nested values as JSON, null as ""."""
    if type(value) is str:
        return value
    if value is None:
        return ""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)


def labels_of(value: Any) -> Mapping[str, str]:
    """Labels from an object (names to any values) or a list of tags ("env:prod", "env=prod", "prod").

    Null and empty values are left out. A tag without a value gets "true".
    """
    match value:
        case dict():
            for each in value.values():
                if type(each) is not str or not each:
                    break
            else:
                return value
            return {name: text(each) for name, each in value.items() if each is not None and each != ""}
        case list():
            return dict(_tag(text(tag)) for tag in value if tag)
        case _:
            return EMPTY


def _tag(tag: str) -> tuple[str, str]:
    name, separator, rest = tag.partition("=") if "=" in tag else tag.partition(":")
    return (name.strip(), rest.strip()) if separator and name.strip() and rest.strip() else (tag, "true")


def key_of(value: Any) -> str | None:
    """An identity as sent; None when there is none. Longer than 512 characters: its start and a hash."""
    key = text(value)
    if len(key) <= KEY_LENGTH:
        return key or None
    digest = hashlib.sha256(key.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{key[: KEY_LENGTH - 65]}:{digest}"


def link(href: Any, label: str = "") -> tuple[Link, ...]:
    """A tuple of one link if `href` is a web address; else empty."""
    if type(href) is str and href.startswith(("http://", "https://")):
        return (Link(href, label),)
    return ()


def links_of(value: Any) -> tuple[Link, ...]:
    """Links from an address, a list of addresses, or objects with href (or url) and text."""
    match value:
        case str():
            return link(value)
        case dict():
            named = value.get("text") or value.get("title") or value.get("alt")
            return link(value.get("href") or value.get("url") or value.get("src"), text(named))
        case list():
            return tuple(each for one in value if not isinstance(one, list) for each in links_of(one))
        case _:
            return ()


# --------------------------------------------------------------------------------------- severity

_WORDS: tuple[tuple[Severity, str], ...] = (
    ("critical", "critical crit fatal emergency emerg alert page disaster p1 sev0 sev1 blocker"),
    ("error", "error err high major p2 sev2"),
    ("warning", "warning warn minor medium moderate average p3 sev3"),
    ("info", "info information informational none notice low debug p4 p5 sev4 sev5"),
)

SEVERITY_OF: Mapping[str, Severity] = MappingProxyType(
    {word: severity for severity, words in _WORDS for word in words.split()}
)
"""The severity words of the field, in lower case."""


def severity_of(value: Any) -> Severity | None:
    """The severity, of the four, that a word somebody uses stands for; None when unknown."""
    return SEVERITY_OF.get(value.strip().lower()) if type(value) is str else None


# ------------------------------------------------------------------------------------------ times

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MILLISECONDS_FROM = 100_000_000_000  # as seconds this would be the year 5138
_LONGEST = 40  # characters; nothing longer is a time, and nothing longer is remembered
_LATEST = 253_370_764_800_000  # the year 9999: later ones overflow where zones are added


def instant_of(value: Any) -> Instant | None:
    """RFC 3339 text (any fraction, offset with or without colon; no offset: UTC), or epoch seconds or
    milliseconds. None for the zero time of Go, for times before 1970 and for what cannot be read."""
    if type(value) is str:
        return _written(value) if len(value) < _LONGEST else None
    if type(value) in (int, float):
        return _counted(value)
    return None


@lru_cache(maxsize=4096)
def _written(value: str) -> Instant | None:
    try:
        moment = datetime.fromisoformat(value)
    except ValueError:
        return _odd(value)
    since = (moment if moment.tzinfo else moment.replace(tzinfo=UTC)) - _EPOCH
    millis = since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000
    return Instant(millis) if 0 < millis < _LATEST else None


def _odd(value: str) -> Instant | None:
    """Lower-case letters, a leap second, or a number in quotes."""
    plain = value.strip().upper()
    if plain != value or ":60" in plain:
        return _written(plain.replace(":60", ":59"))
    if re.fullmatch(r"\d{1,15}(\.\d{1,9})?", plain, re.ASCII):
        return _counted(float(plain))
    return None


def _counted(value: float) -> Instant | None:
    if not math.isfinite(value):
        return None
    millis = int(value) if value >= _MILLISECONDS_FROM else int(value * 1_000)
    return Instant(millis) if 0 < millis < _LATEST else None
