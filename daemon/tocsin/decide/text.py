"""Sanitiser of text from outside: what is fit to keep and to show, one total function for every source."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Mapping

TITLE = 1024
DESCRIPTION = 15_000
LABEL_NAME = 256
LABEL_VALUE = 2_048
KEY = 512
LABELS = 64

# Marks that reorder text (Unicode UAX #9): a title must not read differently from what it says.
BIDI = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x061C])
_ADDRESS = re.compile(r"(?<!\d)(?!\d{4}-\d\d-\d\d)\+?\d[\d ()-]{5,}\d|[^\s@<>]+@[^\s@<>]+")  # a date is none
JOINERS = {"\u200d", "\ufe0e", "\ufe0f"}


def without_addresses(text: str) -> str:
    """Providers quote numbers and mailboxes in what they say; who may see the trouble need not see those."""
    return _ADDRESS.sub("…", text)


def clean(text: str, limit: int, *, lines: bool = False) -> str:
    """`text` without control and bidi characters, in NFC, at most `limit` characters.

    Lone surrogates become U+FFFD. The cut falls between graphemes. With `lines` newlines and tabs
    stay; without, they become spaces. Total: any str gives a str that UTF-8 can hold.
    """
    if text.isascii() and text.isprintable():
        return text if len(text) <= limit else text[:limit]
    shown = "".join(filter(None, (_fit(char, lines) for char in text[: limit * 4])))
    return cut(unicodedata.normalize("NFC", shown.translate(BIDI)), limit)


def cut_with_hash(text: str, limit: int) -> str:
    """A text that tells things apart, at most `limit` characters: what is cut is replaced by a hash of the whole."""
    return text if len(text) <= limit else hashed(text, text, limit)


def hashed(shown: str, whole: str, limit: int) -> str:
    """As much of `shown` as fits before a hash of `whole`. What fits too is told apart by its hash as well."""
    digest = hashlib.blake2b(whole.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()
    return f"{shown[: limit - len(digest) - 1]}~{digest}"


def clean_identity(text: str, limit: int, hashed_limit: int | None = None) -> str:
    """`clean` for a text that tells things apart: two that differ never become one. Canonically equal ones do (NFC).

    Newlines and tabs become spaces, as in any text; other characters that are left out or replaced leave a hash.
    `hashed_limit`: the length with a hash, where it is another one.
    """
    if len(text) <= limit and text.isascii() and text.isprintable():
        return text
    shown = clean(text, len(text))
    if len(shown) <= limit and not _lost(text):
        return shown
    return hashed(shown, text, hashed_limit or limit)


def _lost(text: str) -> bool:
    """Whether cleaning leaves something out that could tell this text from another."""
    return any(ord(char) in BIDI or _fit(char, lines=False) not in (char, " ") for char in text)


def _fit(char: str, lines: bool) -> str:
    if char.isprintable():
        return char
    if char in "\n\t":
        return char if lines else " "
    if "\ud800" <= char <= "\udfff":
        return "\ufffd"
    category = unicodedata.category(char)
    if category in ("Zs", "Zl", "Zp"):
        return " "
    return char if category == "Cf" or category == "Co" else ""


def cut(text: str, limit: int) -> str:
    """At most `limit` characters, never inside a grapheme (base with its marks and joiners)."""
    if len(text) <= limit:
        return text
    end = limit
    while end > 0 and limit - end < 32 and _continues(text, end):
        end -= 1
    return text[: end or limit]


def _continues(text: str, at: int) -> bool:
    """Whether the character at `at` belongs to the one before it."""
    char = text[at]
    return bool(unicodedata.combining(char)) or char in JOINERS or text[at - 1] == "\u200d" or _is_tone(char)


def _is_tone(char: str) -> bool:
    return "\U0001f3fb" <= char <= "\U0001f3ff"


def clean_labels(labels: Mapping[str, str]) -> tuple[dict[str, str], bool]:
    """The labels fit to keep, sorted by nothing, at most 64; and whether anything was cut."""
    if not labels:
        return {}, False
    names, values = "".join(labels), "".join(labels.values())
    if (
        len(labels) <= LABELS
        and names.isascii() and names.isprintable() and values.isascii() and values.isprintable()
        and max(map(len, labels)) <= LABEL_NAME and max(map(len, labels.values())) <= LABEL_VALUE
    ):  # fmt: skip
        return dict(labels), False
    kept = {
        clean(name, LABEL_NAME): clean(value, LABEL_VALUE, lines=True) for name, value in list(labels.items())[:LABELS]
    }
    shortened = len(labels) > LABELS or any(len(k) > LABEL_NAME or len(v) > LABEL_VALUE for k, v in labels.items())
    return kept, shortened
