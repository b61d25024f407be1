"""Replies and what they ask for: the one parser of SMS, mail and key presses."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import Literal

from tocsin.model import MINUTE, Millis

Verb = Literal["acknowledge", "resolve", "escalate", "snooze", "note", "status", "who"]

# Words carriers act upon themselves (Twilio: default keywords of long codes); never commands of ours.
CARRIER = frozenset("STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT START YES UNSTOP HELP INFO".split())
OPT_OUT = frozenset("STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT".split())
OPT_IN = frozenset("START YES UNSTOP".split())

VERBS: dict[str, Verb] = {
    "ACK": "acknowledge", "A": "acknowledge", "4": "acknowledge", "ACKNOWLEDGE": "acknowledge",
    "RES": "resolve", "R": "resolve", "6": "resolve", "RESOLVE": "resolve",
    "ESC": "escalate", "E": "escalate", "5": "escalate", "ESCALATE": "escalate",
    "SNZ": "snooze", "SNOOZE": "snooze",
    "NOTE": "note", "STATUS": "status", "WHO": "who",
}  # fmt: skip
SHORT: dict[Verb, str] = {"acknowledge": "ACK", "resolve": "RES", "escalate": "ESC", "snooze": "SNZ 30"}
FILLERS = frozenset({"INC", "INCIDENT", "INCS", "INCIDENTS", "AND"})
MOST_SPANS = 50
_RANGE = re.compile(r"(?<!\d)(\d{1,9})\s*(?:[-\u2010-\u2015\u2212]{1,3}>?|\.{2,3}|\u2026|\bTO\b)\s*(\d{1,9})(?!\d)")
_SPAN = re.compile(r"(?:INCS?)?(\d{1,9})(?:TO(\d{1,9}))?")
_LENGTH = re.compile(r"(\d{1,5})([A-Z]+)?")
_UNITS = {
    **dict.fromkeys("M MIN MINS MINUTE MINUTES".split(), 1),
    **dict.fromkeys("H HR HRS HOUR HOURS".split(), 60),
    **dict.fromkeys("D DAY DAYS".split(), 24 * 60),
    **dict.fromkeys("W WEEK WEEKS".split(), 7 * 24 * 60),
}
LONGEST_SNOOZE = Millis(7 * 24 * 60 * MINUTE)


@dataclass(frozen=True, slots=True)
class Command:
    """A reply understood. Without `number`, `several` and `everything` it is about the last page sent to that phone."""

    verb: Verb
    number: int | None = None
    code: str = ""
    text: str = ""
    length: Millis | None = None
    several: tuple[tuple[int, int], ...] = ()  # from and to, both included, as they were written
    everything: bool = False

    @property
    def of_many(self) -> bool:
        return self.everything or bool(self.several)


@dataclass(frozen=True, slots=True)
class Carrier:
    """A word for the carrier: STOP and the like. Never acted upon as a command."""

    word: str

    @property
    def opts_out(self) -> bool:
        return self.word in OPT_OUT

    @property
    def opts_in(self) -> bool:
        return self.word in OPT_IN


@dataclass(frozen=True, slots=True)
class NotUnderstood:
    because: str


def parse(text: str) -> Command | Carrier | NotUnderstood:
    """Case, spaces and punctuation do not matter: " ack. 42!" is `acknowledge` of 42."""
    words = re.findall(r"[^\W_]+", _RANGE.sub(r"\1TO\2", text.upper()[:1600]))
    if len(words) == 1 and words[0] in CARRIER:
        return Carrier(words[0])
    if not words:
        return NotUnderstood("The message was empty.")
    verb, rest = _verb(words)
    match verb:
        case None:
            return NotUnderstood("Reply ACK, RES, ESC, SNZ 30, NOTE text, STATUS or WHO, with the incident's number.")
        case "snooze":
            return _snooze(rest)
        case "note":
            return _note(text, rest)
        case "who":
            return Command("who", text=_after(text, 1))
        case "status":
            return _status(rest)
        case _:
            return _act(verb, rest)


def key_press(digits: str) -> Verb | Literal["details", "repeat"] | None:
    """Request behind one key of the voice menu; None for a key without meaning, or more than one."""
    table: dict[str, Verb | Literal["details", "repeat"]] = {
        "4": "acknowledge", "5": "escalate", "6": "resolve", "1": "details", "*": "repeat",
    }  # fmt: skip
    return table.get(digits)


def _verb(words: list[str]) -> tuple[Verb | None, list[str]]:
    first = words[0]
    if first in VERBS:
        return VERBS[first], words[1:]
    glued = re.fullmatch(r"(ACK|RES|ESC|A|R|E)(\d{1,9}(?:TO\d{1,9})?|ALL)|(SNZ|SNOOZE)(\d{1,5}[A-Z]*)", first)
    if glued:
        return VERBS[glued[1] or glued[3]], [glued[2] or glued[4], *words[1:]]
    return None, words


def _act(verb: Verb, rest: list[str]) -> Command | NotUnderstood:
    """ACK, ACK 42, ACK WXYZ, ACK 42 WXYZ, ACK 11 12, ACK 14-20, ACK ALL: numbers and a page's code in any order."""
    words = [word for word in rest if word not in FILLERS]
    spans = _spans(words)
    codes = [word for word in words if looks_like_code(word)]
    everything = "ALL" in words
    known = len(spans) + len(codes) + words.count("ALL")
    if known < len(words) or (everything and spans) or len(spans) > MOST_SPANS:
        short = SHORT[verb]
        how = f"Write {short}, or {short} and a number, several, from-to, or ALL: {short} 11 12 or {short} 14-20."
        return NotUnderstood(how)
    code = codes[0] if codes else ""
    if len(spans) == 1 and spans[0][0] == spans[0][1]:
        return Command(verb, spans[0][0], code)
    return Command(verb, code=code, several=tuple((min(span), max(span)) for span in spans), everything=everything)


def _snooze(rest: list[str]) -> Command | NotUnderstood:
    """SNZ 30, SNZ 2H, SNZ 1 HOUR, then what it is about: "HOUR" is never taken for a page's code."""
    words = rest[1:] if rest[:1] == ["FOR"] else rest
    found = _LENGTH.fullmatch(words[0]) if words else None
    apart = found is not None and not found[2] and words[1:2] and words[1] in _UNITS
    unit = _UNITS.get(words[1] if apart else (found and found[2]) or "M")
    if found is None or unit is None:
        return NotUnderstood("Say for how long: SNZ 30 is half an hour, SNZ 2H two hours.")
    length = Millis(int(found[1]) * unit * MINUTE)
    if not 0 < length <= LONGEST_SNOOZE:
        return NotUnderstood("A snooze lasts from one minute to seven days.")
    about = _act("snooze", words[2 if apart else 1 :])
    return replace(about, length=length) if isinstance(about, Command) else about


def _status(rest: list[str]) -> Command:
    """STATUS, STATUS 42, STATUS 11 14-20, STATUS ALL; words that say nothing of it are passed over."""
    spans = _spans(rest)
    if "ALL" in rest:
        return Command("status", everything=True)
    if len(spans) > 1 or (spans and spans[0][0] != spans[0][1]):
        return Command("status", several=tuple((min(span), max(span)) for span in spans[:MOST_SPANS]))
    return Command("status", spans[0][0] if spans else None)


def _spans(words: list[str]) -> list[tuple[int, int]]:
    return [(int(found[1]), int(found[2] or found[1])) for word in words if (found := _SPAN.fullmatch(word))]


def _note(text: str, rest: list[str]) -> Command | NotUnderstood:
    number = _number(rest[:1]) if len(rest) > 1 else None
    said = _after(text, 1 if number is None else 2)
    return Command("note", number, text=said) if said else NotUnderstood("Write the note behind NOTE.")


def _number(words: list[str]) -> int | None:
    return int(words[0]) if words and words[0].isdecimal() and len(words[0]) <= 9 else None


def _after(text: str, words: int) -> str:
    """`text` as written, behind its first `words` words."""
    found = re.match(r"(?:[\W_]*[^\W_]+){" + str(words) + r"}[\W_]*", text)
    return text[found.end() :].strip() if found else ""


def looks_like_code(word: str) -> bool:
    return re.fullmatch("[A-Z]{4}", word.upper()) is not None


def code_of(page_id: str) -> str:
    """The four letters that prove an SMS answer is to this page (`answers: {sms: code}`)."""
    number = int(page_id[:8] or "0", 16)
    letters = []
    for _ in range(4):
        number, letter = divmod(number, 26)
        letters.append(chr(ord("A") + letter))
    return "".join(letters)
