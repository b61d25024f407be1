"""docs/glossary.md: in order, each word in a sentence or two, and each piece of code that is named is there."""

from __future__ import annotations

import importlib
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PAGE = (ROOT / "docs" / "glossary.md").read_text()
ENTRIES = {
    word: " ".join(text.split())
    for word, text in re.findall(r"^\*\*(.+?)\*\*: (.+?)(?=\n\n|\n*\Z)", PAGE, re.MULTILINE | re.DOTALL)
}


def test_words_are_in_order_and_none_is_told_twice() -> None:
    assert list(ENTRIES) == sorted(set(ENTRIES), key=str.lower)
    assert len(ENTRIES) == PAGE.count("\n**") > 40


@pytest.mark.parametrize("word", ENTRIES)
def test_a_word_is_told_in_a_sentence_or_two_and_its_code_exists(word: str) -> None:
    text, _, where = ENTRIES[word].rpartition(" — ")

    assert 1 <= len(re.findall(r"[.:]\)?(?: |$)", text)) <= 4
    assert len(text) < 300
    place = re.fullmatch(r"`(contracts|[\w/]+\.py)(?:: (\w+))?`", where)
    assert place is not None, where
    module = importlib.import_module("tocsin." + place[1].removesuffix(".py").replace("/", "."))
    assert place[2] is None or hasattr(module, place[2]), f"there is no {place[2]} in {place[1]}"
