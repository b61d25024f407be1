"""SMS texts: folded where nothing is lost, cut where they are too long, always at a known price."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin_integrations.common.gsm7 import fit, fold, is_gsm, segments


@pytest.mark.parametrize(
    ("text", "folded"),
    [
        ("“db-1” – it’s down…", '"db-1" - it\'s down...'),
        ("Überlauf: größer, à côté, niño", "Überlauf: größer, à coté, niño"),
        ("naïve Łódź œuvre ça va", "naive Lodz oeuvre ca va"),
        ("cpu ≥ 95 % → critical", "cpu >= 95 % -> critical"),
        ("fire 🔥 in rack 7", "fire  in rack 7"),
        ("no\u00a0break\tand tab", "no break and tab"),
        ("{a} [b] ~ ^ | \\ €", "{a} [b] ~ ^ | \\ €"),
        ("сервер упал", "сервер упал"),
        ("数据库 down", "数据库 down"),
        ("α and β", "α and β"),
    ],
)
def test_what_becomes_of_characters_that_cost_a_segment(text: str, folded: str) -> None:
    assert fold(text) == folded


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 1), ("a" * 160, 1), ("a" * 161, 2), ("a" * 306, 2), ("a" * 307, 3), ("€" * 80, 1), ("€" * 81, 2), ("€" * 153, 3),
        ("я" * 70, 1), ("я" * 71, 2), ("я" * 134, 2), ("я" * 135, 3), ("🔥" * 35, 1), ("🔥" * 36, 2),
    ],
)  # fmt: skip
def test_how_many_segments_a_text_costs(text: str, count: int) -> None:
    assert segments(text) == count


def test_the_last_line_survives_the_cut() -> None:
    text = "INC 7 " + "x" * 400 + "\nReply ACK 7"

    assert fit(text).startswith("INC 7 xxx")
    assert fit(text).endswith("...\nReply ACK 7")


def test_the_last_sentence_survives_the_cut_where_there_is_one_line() -> None:
    text = "INC 7 P1 [shop] v1.2. " + "x" * 400 + ". Reply ACK 7 https://tocsin.example.org/a/abc.def"

    assert fit(text).startswith("INC 7 P1 [shop] v1.2. xxx")
    assert fit(text).endswith("x... Reply ACK 7 https://tocsin.example.org/a/abc.def")
    assert segments(fit(text)) == 2


def test_another_script_gets_more_segments_and_keeps_the_way_to_answer() -> None:
    text = "INC 7 " + "сервер упал " * 40 + ". Reply ACK 7 https://tocsin.example.org/a/" + "t" * 90

    assert fit(text).endswith("... Reply ACK 7 https://tocsin.example.org/a/" + "t" * 90)
    assert "сервер упал сервер упал" in fit(text)
    assert segments(fit(text)) == 4


def test_a_text_of_one_endless_last_line_is_cut_at_its_end() -> None:
    assert fit("INC 7\n" + "x" * 400).endswith("x...")


def test_a_short_text_is_left_alone() -> None:
    assert fit("INC 7 db down\nReply ACK") == "INC 7 db down\nReply ACK"


@given(st.text(max_size=600), st.integers(1, 4))
def test_no_text_costs_more_than_was_allowed(text: str, allowed: int) -> None:
    assert segments(fit(text, allowed, allowed)) <= allowed


@given(st.text(max_size=100))
def test_folding_twice_changes_nothing_more_and_never_makes_a_text_dearer(text: str) -> None:
    once = fold(text)
    assert fold(once) == once
    assert is_gsm(once) or once == text
