"""Docstrings begin with a noun or an imperative: they are read in a hover and found by a search."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
DONE = ("daemon/tocsin", "integrations")
PRONOUNS = frozenset(
    "all any both each everybody he her his it its nobody none nothing one others our she some somebody something such "
    "that their these they this those us we".split()
)
ASKING = frozenset("how of what when where which who whom whose why".split())


def test_docstrings_begin_with_a_noun_or_an_imperative() -> None:
    assert [
        f"{file.relative_to(ROOT)}:{line}: {wrong}"
        for file in _files()
        for line, docstring in _docstrings(file.read_text(encoding="utf-8"))
        if (wrong := fault(docstring))
    ] == []


@pytest.mark.parametrize(
    ("docstring", "wrong"),
    [
        ("The same for tokens alone.", "'The same'"),
        ("Those of the configuration in force.", "'Those'"),
        ("What systemd is told: ready, stopping.", "'What'"),
        ("`one`: written in one file only.", "'one'"),
        ("Each, with its styles.", "'Each'"),
        ("Of a person among others, the contact is told already.", "'Of'"),
        ("Is this a phone number? E.164.", "a question"),
        ("POST /v1/webhooks: whose post is this, and is it\nstored?", "a question"),
        ("", "is empty"),
    ],
)
def test_a_docstring_that_needs_its_code_to_be_understood_is_refused(docstring: str, wrong: str) -> None:
    assert wrong in fault(docstring)


@pytest.mark.parametrize(
    "docstring",
    [
        "Notifications to systemd: ready, reloading, stopping, watchdog.",
        "Fetch each feed as it is right now.",
        "The subset of `openings` that no error can put in doubt.",
        "`tocsin oncall`: who is on call now.\n\nWho asks? A person.",
        "The password of basic authentication, or `?token=`.",
        "Whether a window has a length in real time.",
    ],
)
def test_a_docstring_with_a_subject_is_taken(docstring: str) -> None:
    assert fault(docstring) == ""


def fault(docstring: str) -> str:
    """The reason why a docstring does not stand for itself, and what to write instead; "" when it does."""
    first = docstring.split("\n\n")[0].split(". ")[0]
    words = [word.strip("`,:;.") for word in first.split()[:2]]
    instead = 'begin with a noun ("The people on call …") or an imperative ("List who is on call …")'
    match [word.lower() for word in words]:
        case []:
            return f"the docstring is empty: {instead}"
        case ["the", "same"]:
            return f"the docstring begins with '{' '.join(words)}', which needs another one to be understood: {instead}"
        case [word, *_] if word in PRONOUNS:
            return f"the docstring begins with the pronoun '{words[0]}': say what it stands for; {instead}"
        case [word, *_] if word in ASKING:
            return f"the docstring begins with '{words[0]}', as a question does: {instead}"
    asks = "?" in re.sub(r"`[^`]*`|\"[^\"]*\"", "", first)  # what it quotes may ask
    return f"the docstring begins with a question: answer it; {instead}" if asks else ""


def _files() -> Iterator[Path]:
    for place in DONE:
        found = sorted(ROOT.glob(place if place.endswith(".py") else f"{place}/**/*.py"))
        assert found, f"{place} has no Python files: was the folder renamed?"
        yield from found


def _docstrings(source: str) -> Iterator[tuple[int, str]]:
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            docstring = ast.get_docstring(node)
            if docstring is not None:
                yield node.body[0].lineno, docstring
