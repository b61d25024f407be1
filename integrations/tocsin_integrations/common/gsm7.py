"""SMS segments and their cost: GSM-7 folding, counting, cutting.

One character outside GSM 03.38 turns a whole message into UCS-2, with 70 characters a segment
instead of 160 (3GPP TS 23.038; Twilio "SMS character limit"). So typographic characters are folded
to plain ones, and texts in other scripts are left alone.
"""

from __future__ import annotations

import re
import unicodedata

BASIC = frozenset(
    "@£$¥èéùìòÇ\nØø\rÅåΔ_ΦΓΛΩΠΨΣΘΞÆæßÉ !\"#¤%&'()*+,-./0123456789:;<=>?"
    "¡ABCDEFGHIJKLMNOPQRSTUVWXYZÄÖÑÜ§¿abcdefghijklmnopqrstuvwxyzäöñüà"
)
EXTENDED = frozenset("^{}\\[~]|€")  # an escape character goes before each: they count double
GSM = BASIC | EXTENDED

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
_MOST_FOLDED = 4_096
_ESCAPED = re.compile(f"[{re.escape(''.join(sorted(EXTENDED)))}]")
_ASTRAL = re.compile("[\U00010000-\U0010ffff]")


def fit(text: str, segments: int = 2, wide: int = 4) -> str:
    """The text folded, and cut to `segments` SMS segments, or to `wide` ones in another script than GSM-7's.

    Its last line or sentence is kept whole, because it says how to answer; what goes before is cut,
    with "..." at the cut.
    """
    folded = fold(text)
    is_wide = not GSM.issuperset(folded)
    room = _room(wide if is_wide else segments, wide=is_wide)
    if _length(folded, wide=is_wide) <= room:
        return folded
    head, tail = _apart(folded)
    left = room - _length(tail, wide=is_wide)
    if not head or left < _SHORTEST_HEAD:
        head, tail, left = folded, "", room
    return _cut(head, left, wide=is_wide) + tail


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
    if GSM.issuperset(text):
        return text
    plain = unicodedata.normalize("NFC", text).translate(_FOLDED)
    foreign = set(plain) - GSM
    if any(unicodedata.category(char)[0] in "LNM" for char in foreign):
        return text
    return plain.translate(dict.fromkeys(map(ord, foreign))) if foreign else plain


def is_gsm(text: str) -> bool:
    """Whether every character has a place in GSM-7."""
    return GSM.issuperset(text)


def segments(text: str) -> int:
    """The number of segments a carrier bills for this text. A character that counts double is never split."""
    wide = not is_gsm(text)
    single, part = (_SINGLE_WIDE, _PART_WIDE) if wide else (_SINGLE, _PART)
    if _length(text, wide=wide) <= single:
        return 1
    count, left = 1, part
    for char in text:
        units = _units(char, wide=wide)
        if units > left:
            count, left = count + 1, part
        left -= units
    return count


class _Folded(dict[int, str]):
    """Plain characters by code point, each worked out once; bounded, since a sender chooses what is looked up."""

    def __missing__(self, code: int) -> str:
        if len(self) >= _MOST_FOLDED:
            self.clear()
        self[code] = plain = _plain(chr(code))
        return plain


_FOLDED = _Folded()


def _plain(char: str) -> str:
    if char in GSM:
        return char
    if char in _PLAIN:
        return _PLAIN[char]
    if unicodedata.category(char) == "Zs":
        return " "
    bare = "".join(part for part in unicodedata.normalize("NFKD", char) if not unicodedata.combining(part))
    return bare if bare and GSM.issuperset(bare) else char


def _length(text: str, *, wide: bool) -> int:
    """The length in septets for GSM-7, in UTF-16 units otherwise."""
    if wide:
        return len(text) + len(_ASTRAL.findall(text))
    return len(text) + len(_ESCAPED.findall(text))


def _room(segments: int, *, wide: bool) -> int:
    """Units that surely fit: at each border one may be lost to a character that counts double."""
    single, part = (_SINGLE_WIDE, _PART_WIDE) if wide else (_SINGLE, _PART)
    return single if segments == 1 else part * segments - (segments - 1)


def _cut(text: str, room: int, *, wide: bool) -> str:
    """The longest beginning that has room together with "..."."""
    end = room - 3
    for double in (_ASTRAL if wide else _ESCAPED).finditer(text, 0, max(0, end)):
        if double.start() >= end:
            break
        end -= 1
    return text[: max(0, end)].rstrip() + "..."


def _units(char: str, *, wide: bool) -> int:
    if wide:
        return 2 if ord(char) > 0xFFFF else 1
    return 2 if char in EXTENDED else 1
