"""Text from outside is made fit to keep and to show, whatever it is."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.text import LABEL_NAME, LABEL_VALUE, LABELS, clean, clean_labels, cut

ANYTHING = st.text(alphabet=st.characters(exclude_categories=()), max_size=200)  # lone surrogates included


@given(text=ANYTHING, limit=st.integers(1, 80), lines=st.booleans())
def test_any_text_becomes_one_that_can_be_stored_shown_and_is_not_too_long(text: str, limit: int, lines: bool) -> None:
    kept = clean(text, limit, lines=lines)

    assert len(kept) <= limit
    kept.encode("utf-8")
    assert unicodedata.is_normalized("NFC", kept)
    assert not any(unicodedata.category(char) in ("Cc", "Cs") for char in kept if char not in "\n\t")
    assert not any(
        unicodedata.bidirectional(char) in ("LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI")
        for char in kept
    )
    if not lines:
        assert "\n" not in kept
        assert "\t" not in kept


@given(text=ANYTHING, limit=st.integers(1, 80), lines=st.booleans())
def test_cleaning_twice_changes_nothing(text: str, limit: int, lines: bool) -> None:
    once = clean(text, limit, lines=lines)

    assert clean(once, limit, lines=lines) == once


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("plain", "plain"),
        ("nul\x00 bell\x07 escape\x1b[1m", "nul bell escape[1m"),
        ("two\r\nlines\tand tab", "two lines and tab"),
        ("evil\u202etxt.exe", "eviltxt.exe"),
        ("e\u0301te\u0301", "été"),
        ("half \ud83d of a pair", "half \ufffd of a pair"),
        ("no\u00a0break\u2003wide\u2028line", "no break wide line"),
        ("naïve Ελλάδα 日本 👩🏽‍🚒", "naïve Ελλάδα 日本 👩🏽‍🚒"),
    ],
)
def test_what_is_kept_of_a_title(text: str, kept: str) -> None:
    assert clean(text, 1024) == kept


def test_a_description_keeps_its_lines() -> None:
    assert clean("first\n\tsecond\x00", 100, lines=True) == "first\n\tsecond"


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("abcdef", 3, "abc"),
        ("ab", 3, "ab"),
        ("abg\u0308cd", 3, "ab"),  # a base is not parted from its mark
        ("ab👍🏽cd", 3, "ab"),  # nor from its tone
        ("ab👩\u200d🚒cd", 4, "ab"),  # nor a joined pair in its middle
        ("e" + "\u0301" * 100, 5, "e\u0301\u0301\u0301\u0301"),  # but an endless heap of marks is
    ],
)
def test_a_cut_falls_between_what_reads_as_one_letter(text: str, limit: int, kept: str) -> None:
    assert cut(text, limit) == kept


def test_plain_labels_stay_as_they_are() -> None:
    assert clean_labels({"cluster": "eu", "job": "node"}) == ({"cluster": "eu", "job": "node"}, False)
    assert clean_labels({}) == ({}, False)


def test_too_many_or_too_long_labels_are_cut_and_that_is_told() -> None:
    many, told = clean_labels({f"l{number}": "x" for number in range(LABELS + 1)})
    assert (len(many), told) == (LABELS, True)

    long, told = clean_labels({"n" * (LABEL_NAME + 1): "v" * (LABEL_VALUE + 1)})
    assert (long, told) == ({"n" * LABEL_NAME: "v" * LABEL_VALUE}, True)


def test_labels_are_cleaned_like_titles_and_values_keep_their_lines() -> None:
    assert clean_labels({"a\x00b": "x\ny\u202e"}) == ({"ab": "x\ny"}, False)
