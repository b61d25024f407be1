"""Findings that a comment keeps quiet, and comments that are findings themselves."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.settings.conftest import Folder
from tocsin.model import instant
from tocsin.settings.document.files import parsed
from tocsin.settings.document.reading import Reading
from tocsin.settings.loading import compiled
from tocsin.settings.plugins import INSTALLED
from tocsin.settings.review import Review, review

NOW = instant(datetime(2026, 11, 23, 8, 0, tzinfo=UTC))
PEOPLE = "channels: {terminal: {type: console}}\nusers: {ana: {role: admin, contacts: {terminal: ana}}}\n"
IDLE = "teams: {idle: {members: [ana]}}"


def reviewed(folder: Folder, content: str, disabled: frozenset[str] = frozenset()) -> Review:
    return review(folder.write({"tocsin.yaml": PEOPLE + content + "\n"}).load(), NOW, disabled=disabled)


def told(review_: Review) -> list[str]:
    return [f"{one.where.line}:{one.where.column} {one.code}: {one.message}" for one in review_.problems]


def test_a_comment_with_a_reason_keeps_a_finding_of_its_line_quiet(folder: Folder) -> None:
    found = reviewed(folder, f"{IDLE}  # tocsin: ignore[unused] they start in May")

    assert told(found) == []
    assert [(one.problem.code, one.reason) for one in found.ignored] == [("unused", "they start in May")]


COMMENTS = [
    ("# tocsin: ignore[unused]", ["3:9 unused: teams: nothing uses 'idle'", "3:34 bad-ignore: this comment gives no reason, so it ignores nothing"]),
    ("# tocsin: ignore they start in May", ["3:9 unused: teams: nothing uses 'idle'", "3:34 bad-ignore: this comment names no code"]),
    ("# tocsin: ignore[unusd] they start in May", ["3:9 unused: teams: nothing uses 'idle'", "3:34 bad-ignore: there is no code 'unusd' (did you mean 'unused'?)"]),
    ("# tocsin: ignore[unused, gap] they start in May", ["3:34 idle-ignore: there is no gap in this line to ignore"]),
    ("# tocsin: ignore[unused, bad-duration] May", ["3:34 bad-ignore: bad-duration is an error, and errors cannot be ignored"]),
    ("# see the tocsin: ignore[unused] comment", ["3:9 unused: teams: nothing uses 'idle'"]),
]  # fmt: skip


@pytest.mark.parametrize(("comment", "said"), COMMENTS, ids=[comment for comment, _ in COMMENTS])
def test_a_comment_that_does_not_do_what_it_seems_to_is_told(folder: Folder, comment: str, said: list[str]) -> None:
    assert told(reviewed(folder, f"{IDLE}  {comment}")) == said


def test_a_comment_counts_in_its_own_line_only(folder: Folder) -> None:
    found = reviewed(folder, f"# tocsin: ignore[unused] they start in May\n{IDLE}")

    assert told(found) == [
        "3:1 idle-ignore: there is no unused in this line to ignore",
        "4:9 unused: teams: nothing uses 'idle'",
    ]


def test_an_error_is_never_ignored_nor_disabled(folder: Folder) -> None:
    content = "retention: {alerts: 5}  # tocsin: ignore[bad-duration] we know"

    found = reviewed(folder, content, frozenset({"bad-duration"}))

    assert [one.code for one in found.problems] == ["bad-duration", "bad-ignore"]


def test_beside_an_error_no_comment_is_called_idle(folder: Folder) -> None:
    """What it ignores may not be found because of the error."""
    found = reviewed(folder, f"{IDLE}  # tocsin: ignore[unused, gap] May\nretention: {{alerts: 5}}")

    assert [one.code for one in found.problems] == ["bad-duration"]


def test_a_code_that_is_disabled_is_not_told(folder: Folder) -> None:
    assert told(reviewed(folder, IDLE, frozenset({"unused"}))) == []
    assert told(reviewed(folder, f"{IDLE} # tocsin: ignore[gap] x", frozenset({"unused", "idle-ignore"}))) == []


PLANTED = sorted(Path(__file__).with_name("planted").glob("*.yaml"))
LINES = [line for file in PLANTED for line in file.read_text(encoding="utf-8").splitlines()]
SLIPS = st.tuples(
    st.integers(0, len(LINES) - 1),
    st.sampled_from(["cut", "indent", "copy", "remove", *"[]{}:,\"'~#"]),
    st.integers(0, 80),
)


def slipped(lines: list[str], where: int, how: str, column: int) -> list[str]:
    line = lines[where]
    match how:
        case "cut":
            changed = [line[:column]]
        case "indent":
            changed = [f"  {line}"]
        case "copy":
            changed = [line, line]
        case "remove":
            changed = [""]
        case key:
            changed = [line[:column] + key + line[column:]]
    return [*lines[:where], *changed, *lines[where + 1 :]]


@settings(max_examples=60, deadline=None)
@given(st.lists(SLIPS, min_size=1, max_size=6))
def test_no_slip_of_the_keyboard_makes_the_lint_raise_or_point_beyond_the_file(
    slips: list[tuple[int, str, int]],
) -> None:
    lines = LINES
    for slip in slips:
        lines = slipped(lines, *slip)
    main = Path("/nowhere/tocsin.yaml")
    file = parsed(main, "tocsin.yaml", "\n".join(lines).encode())

    found = review(compiled([file], main, Reading({}, INSTALLED, made_up_secrets=True)), NOW)

    assert all(1 <= one.where.line <= len(lines) + 1 and one.where.column >= 1 for one in found.problems)
