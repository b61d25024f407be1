"""What a reply asks for."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.paging.replies import CARRIER, VERBS, Carrier, Command, NotUnderstood, code_of, key_press, parse
from tocsin.model import Millis

H = Millis(3_600_000)

UNDERSTOOD = [
    ("ACK", Command("acknowledge")),
    ("ack", Command("acknowledge")),
    ("  Ack!  ", Command("acknowledge")),
    ("a", Command("acknowledge")),
    ("4", Command("acknowledge")),
    ("ACK 42", Command("acknowledge", 42)),
    ("ack42", Command("acknowledge", 42)),
    ("A #42.", Command("acknowledge", 42)),
    ("ACK INC 42", Command("acknowledge", 42)),
    ("ack incident-42", Command("acknowledge", 42)),
    ("ACK 42 wxyz", Command("acknowledge", 42, "WXYZ")),
    ("ACK wxyz 42", Command("acknowledge", 42, "WXYZ")),
    ("ACK WXYZ", Command("acknowledge", code="WXYZ")),
    ("ACK ALL", Command("acknowledge", everything=True)),
    ("ackall", Command("acknowledge", everything=True)),
    ("ack all wxyz", Command("acknowledge", code="WXYZ", everything=True)),
    ("4 all", Command("acknowledge", everything=True)),
    ("ACK 11 12 13", Command("acknowledge", several=((11, 11), (12, 12), (13, 13)))),
    ("ack 11, 12 and INC 13", Command("acknowledge", several=((11, 11), (12, 12), (13, 13)))),
    ("ACK 14-20", Command("acknowledge", several=((14, 20),))),
    ("ack 14 - 20", Command("acknowledge", several=((14, 20),))),
    ("Ack 14\u201320", Command("acknowledge", several=((14, 20),))),
    ("ACK 14 to 20", Command("acknowledge", several=((14, 20),))),
    ("ack14-20", Command("acknowledge", several=((14, 20),))),
    ("ACK 20-14 WXYZ", Command("acknowledge", code="WXYZ", several=((14, 20),))),
    ("ACK 11 14-20", Command("acknowledge", several=((11, 11), (14, 20)))),
    ("ACK 7-7", Command("acknowledge", 7)),
    ("RES 7 8", Command("resolve", several=((7, 7), (8, 8)))),
    ("ESC ALL", Command("escalate", everything=True)),
    ("SNZ 30 1 2", Command("snooze", length=Millis(H // 2), several=((1, 1), (2, 2)))),
    ("SNZ 2h all", Command("snooze", length=Millis(2 * H), everything=True)),
    ("STATUS ALL", Command("status", everything=True)),
    ("NOTE 14-20 fine", Command("note", text="14-20 fine")),
    ("res", Command("resolve")),
    ("R 7", Command("resolve", 7)),
    ("6 7", Command("resolve", 7)),
    ("esc", Command("escalate")),
    ("E7", Command("escalate", 7)),
    ("5", Command("escalate")),
    ("SNZ 30", Command("snooze", length=Millis(H // 2))),
    ("snooze 2h", Command("snooze", length=Millis(2 * H))),
    ("SNZ 30 42", Command("snooze", 42, length=Millis(H // 2))),
    ("SNZ 30m 42 WXYZ", Command("snooze", 42, "WXYZ", length=Millis(H // 2))),
    ("SNZ 1 HOUR", Command("snooze", length=Millis(H))),
    ("snooze for 2 hours", Command("snooze", length=Millis(2 * H))),
    ("SNZ 45 min 11 12", Command("snooze", length=Millis(3 * H // 4), several=((11, 11), (12, 12)))),
    ("SNZ 1 week", Command("snooze", length=Millis(168 * H))),
    ("snz30", Command("snooze", length=Millis(H // 2))),
    ("SNZ2H 42", Command("snooze", 42, length=Millis(2 * H))),
    ("SNZ 1 DAYS ALL", Command("snooze", length=Millis(24 * H), everything=True)),
    ("ACK INC42", Command("acknowledge", 42)),
    ("ACK INC 11-INC 13", Command("acknowledge", several=((11, 11), (13, 13)))),
    ("ACK 14 -- 20", Command("acknowledge", several=((14, 20),))),
    ("ACK 1-999999999", Command("acknowledge", several=((1, 999_999_999),))),
    ("ACK ４２", Command("acknowledge", 42)),
    ("STATUS 11 14-20", Command("status", several=((11, 11), (14, 20)))),
    ("SNZ 7d", Command("snooze", length=Millis(168 * H))),
    ("NOTE restarted it", Command("note", text="restarted it")),
    ("note 42 restarted it: twice!", Command("note", 42, text="restarted it: twice!")),
    ("Note: 42", Command("note", text="42")),
    ("STATUS", Command("status")),
    ("status 42", Command("status", 42)),
    ("WHO", Command("who")),
    ("who checkout", Command("who", text="checkout")),
]


@pytest.mark.parametrize(("text", "command"), UNDERSTOOD, ids=[text for text, _ in UNDERSTOOD])
def test_what_is_understood(text: str, command: Command) -> None:
    assert parse(text) == command


MANUAL = Path(__file__).parents[2] / "docs" / "on-call.md"


def test_the_manual_names_every_word_and_its_examples_are_understood() -> None:
    section = MANUAL.read_text(encoding="utf-8").partition("## Answering a page")[2].partition("\n## ")[0]
    examples = re.findall(r"`([A-Z][^`]*)`", section)

    assert {word for word in VERBS if len(word) <= 6} <= {word for one in examples for word in one.split()} | set(
        "456"
    ) | {"SNOOZE"}
    assert [one for one in examples if not one.startswith("INC ") and not isinstance(parse(one), Command)] == []


NOT_UNDERSTOOD = [
    "", "   ", "…", "hello", "acknowledged?", "ACK 42 ALL", "ACK please now", "SNZ", "SNZ soon", "SNZ 0", "SNZ 8d",
    "SNZ 2 WEEK", "SNZ 2W", "SNZ 8 DAYS", "NOTE", "NOTE  ", "ACK 1234567890", "ACK 1-1234567890", "ACK " + "1 " * 51, "SNZ ALL",
]  # fmt: skip


@pytest.mark.parametrize("text", NOT_UNDERSTOOD)
def test_what_is_not_understood_says_what_to_write(text: str) -> None:
    found = parse(text)

    assert isinstance(found, NotUnderstood)
    assert len(found.because) > 10


@pytest.mark.parametrize("word", sorted(CARRIER))
def test_words_of_the_carrier_are_never_commands(word: str) -> None:
    for text in (word, word.lower(), f" {word}. "):
        found = parse(text)
        assert isinstance(found, Carrier)
        assert (found.opts_out, found.opts_in) == (
            word in "STOP STOPALL UNSUBSCRIBE CANCEL END QUIT REVOKE OPTOUT".split(), word in "START YES UNSTOP".split()
        )  # fmt: skip


@given(st.text(max_size=2000))
def test_nothing_that_is_sent_breaks_the_parser(text: str) -> None:
    found = parse(text)

    assert isinstance(found, Command | Carrier | NotUnderstood)
    if not any(char.isalnum() for char in text):
        assert isinstance(found, NotUnderstood)


@pytest.mark.parametrize(
    ("digits", "meaning"),
    [
        ("4", "acknowledge"), ("5", "escalate"), ("6", "resolve"), ("1", "details"), ("*", "repeat"),
        ("0", None), ("9", None), ("#", None), ("44", None), ("", None), ("٤", None),
    ],
)  # fmt: skip
def test_keys(digits: str, meaning: str | None) -> None:
    assert key_press(digits) == meaning


@given(st.integers(0, 2**128 - 1))
def test_a_pages_code_is_four_letters_that_can_be_sent_back(number: int) -> None:
    page = f"{number:032x}"

    code = code_of(page)

    assert parse(f"ACK {code}") == Command("acknowledge", code=code)
