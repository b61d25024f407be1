"""SMS segments and their cost: GSM-7 folding, counting, cutting.

One character outside GSM 03.38 turns a whole message into UCS-2, with 70 characters a segment
instead of 160 (3GPP TS 23.038; Twilio "SMS character limit"). So typographic characters are folded
to plain ones, and texts in other scripts are left alone.
"""

from __future__ import annotations

import unicodedata

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[~]|€")  # an escape character goes before each: they count double

_PLAIN = {
    "‘": "'", "’": "'", "‚": "'", "‛": "'", "′": "'", "`": "'", "´": "'", "ʼ": "'",
    "“": '"', "”": '"', "„": '"', "‟": '"', "″": '"', "«": '"', "»": '"', "‹": "'", "›": "'",
    "–": "-", "—": "-", "‐": "-", "‑": "-", "‒": "-", "―": "-", "−": "-", "­": "", "…": "...",
    "•": "*", "·": ".", "×": "x", "÷": "/", "→": "->", "←": "<-", "⇒": "=>", "≥": ">=", "≤": "<=", "≠": "!=",
    "°": " deg ", "±": "+/-", "©": "(c)", "®": "(r)", "™": "(tm)", "№": "No ", "µ": "u", "μ": "u",
    "\t": " ", "\u2028": "\n", "\u2029": "\n", "ı": "i", "ł": "l", "Ł": "L", "đ": "d", "Đ": "D", "œ": "oe", "Œ": "OE",
    "þ": "th", "Þ": "Th", "ð": "d", "Ð": "D", "ç": "c",
}  # fmt: skip

_SHORTEST_HEAD = 20  # what is left of a text before its end is worth keeping
_SINGLE, _PART = 160, 153
_SINGLE_WIDE, _PART_WIDE = 70, 67


def fit(text: str, segments: int = 2, wide: int = 4) -> str:
    """The text folded, and cut to `segments` SMS segments, or to `wide` ones in another script than GSM-7's.

    Its last line or sentence is kept whole, because it says how to answer; what goes before is cut,
    with "..." at the cut.
    """
    folded = fold(text)
    room = _room(folded, segments if is_gsm(folded) else wide)
    if _length(folded) <= room:
        return folded
    head, tail = _apart(folded)
    if not head or _length(tail) > room - _SHORTEST_HEAD:
        head, tail = folded, ""
    return _cut(head, room - _length(tail), wide=not is_gsm(folded)) + tail


def _apart(text: str) -> tuple[str, str]:
    """Split a text into the part that may be cut and the end that is kept, with what sets it apart."""
    for border in ("\n", ". "):
        head, found, last = text.rpartition(border)
        if head:
            return head, found.lstrip(".") + last
    return text, ""


def fold(text: str) -> str:
    """The text in GSM-7 characters; unchanged where a letter of it has no counterpart there.

    Typographic signs become plain ones, accents unknown to GSM-7 are dropped, emoji left out.
    """
    plain = "".join(map(_plain, unicodedata.normalize("NFC", text)))
    if is_gsm(plain):
        return plain
    if any(unicodedata.category(c)[0] in "LNM" for c in plain if c not in BASIC and c not in EXTENDED):
        return text
    return "".join(c for c in plain if c in BASIC or c in EXTENDED)


def is_gsm(text: str) -> bool:
    """Whether every character has a place in GSM-7."""
    return all(c in BASIC or c in EXTENDED for c in text)


def segments(text: str) -> int:
    """The number of segments a carrier bills for this text. A character that counts double is never split."""
    wide = not is_gsm(text)
    single, part = (_SINGLE_WIDE, _PART_WIDE) if wide else (_SINGLE, _PART)
    if _length(text) <= single:
        return 1
    count, left = 1, part
    for char in text:
        units = _units(char, wide=wide)
        if units > left:
            count, left = count + 1, part
        left -= units
    return count


def _plain(char: str) -> str:
    if char in BASIC or char in EXTENDED:
        return char
    if char in _PLAIN:
        return _PLAIN[char]
    if unicodedata.category(char) == "Zs":
        return " "
    bare = "".join(c for c in unicodedata.normalize("NFKD", char) if not unicodedata.combining(c))
    return bare if bare and is_gsm(bare) else char


def _length(text: str) -> int:
    """The length in septets for GSM-7, in UTF-16 units otherwise."""
    wide = not is_gsm(text)
    return sum(_units(char, wide=wide) for char in text)


def _room(text: str, segments: int) -> int:
    """Units that surely fit: at each border one may be lost to a character that counts double."""
    single, part = (_SINGLE, _PART) if is_gsm(text) else (_SINGLE_WIDE, _PART_WIDE)
    return single if segments == 1 else part * segments - (segments - 1)


def _cut(text: str, room: int, *, wide: bool) -> str:
    kept, left = [], room - 3
    for char in text:
        left -= _units(char, wide=wide)
        if left < 0:
            break
        kept.append(char)
    return "".join(kept).rstrip() + "..."


def _units(char: str, *, wide: bool) -> int:
    if wide:
        return 2 if ord(char) > 0xFFFF else 1
    return 2 if char in EXTENDED else 1
