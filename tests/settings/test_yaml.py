"""How the YAML itself is read: text stays as written, what could surprise is refused, nothing is raised."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.settings.conftest import Folder
from tocsin.settings import load
from tocsin.settings.catalogue import SECTIONS
from tocsin.settings.document.nodes import MAX_BYTES, read_tree
from tocsin.settings.document.nodes import plain as written


def test_every_plain_scalar_stays_as_written() -> None:
    tree = read_tree(b"a: no\nb: 12:30\nc: +15550100\nd: 0755\ne: 1e3\nf: 2026-01-05\ng: ~\nh:\n", "x")

    assert tree.problems == ()
    assert tree.top is not None
    assert written(tree.top) == {
        "a": "no", "b": "12:30", "c": "+15550100", "d": "0755", "e": "1e3", "f": "2026-01-05", "g": "~", "h": "",
    }  # fmt: skip


REFUSED = [
    (b"users: &a {}\n", "1:8: anchors are not read (&a); remove it"),
    (b"users: {}\nteams: *a\n", "2:8: aliases are not read (*a); write the value out"),
    (b"users: {<<: {a: b}}\n", "1:9: merge keys are not read (<<); write the keys out"),
    (b"users: !!map {}\n", "1:8: tags are not read (tag:yaml.org,2002:map); write the plain value"),
    (b"users: !python/object:os.system {}\n", "1:8: tags are not read (!python/object:os.system); write the plain value"),
    (b"users: {}\nteams: {}\nusers: {}\n", "3:1: 'users' is written twice, first in line 1; remove one"),
    (b"users: {}\n---\nteams: {}\n", "2:1: a second document begins here; write one per file"),
    (b"users: {? [a, b] : c}\n", "1:11: a key must be text, not a list or mapping"),
    (b"users:\n\tana: {}\n", "2:1: broken YAML: a tab cannot indent here; write spaces"),
    (b"users: a: b\n", "1:9: broken YAML: a second ': ' in one line, or a wrong indent; put the value in quotes, or begin a new line"),
    (b"users: {}\nteams: {a\n", "3:1: broken YAML: did not find expected ',' or '}' (while parsing a flow mapping)"),
    (b"users: {}\n# \xff\n", "2:3: this is not UTF-8 (byte 0xff); save the file as UTF-8"),
    (b"users: {}\n# \xc3\xa9\0\n", "2:4: the character U+0000 is not allowed in YAML; remove it"),
    (b"- a\n", "1:1: a configuration file is a mapping of sections (users:, rules: …)"),
    (b"just text", "1:1: a configuration file is a mapping of sections (users:, rules: …)"),
    (b"users: " + b"[" * 40 + b"]" * 40, "1:39: this is nested deeper than 32 levels; the file is not read any further"),
    (b"#" * (MAX_BYTES + 1), f"1:1: this file has {MAX_BYTES + 1} bytes; at most {MAX_BYTES} are read"),
]  # fmt: skip


@pytest.mark.parametrize(("raw", "said"), REFUSED, ids=range(len(REFUSED)))
def test_what_could_surprise_is_refused_at_its_place(raw: bytes, said: str) -> None:
    tree = read_tree(raw, "x")

    assert str(tree.problems[0]) == f"x:{said}"


@pytest.mark.parametrize("raw", [b"", b"\n", b"# nothing\n", b"---\n", b"~\n", b"\xef\xbb\xbfusers: {}\n"])
def test_an_empty_file_is_an_empty_configuration(raw: bytes) -> None:
    tree = read_tree(raw, "x")

    assert tree.problems == ()
    assert tree.top is not None


def test_deep_nesting_ends_in_one_problem_and_quickly() -> None:
    tree = read_tree(b"a: " + b"[" * 100_000, "x")

    assert [problem.code for problem in tree.problems] == ["depth"]


def test_a_syntax_error_hides_neither_other_files_nor_what_stands_before_it(folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": "include: [people.yaml]\nretention: {alerts: 5 mins}\ncatch_all: [user:ana, user:bo]\n",
            "people.yaml": "channels: {terminal: {type: consol}}\nusers:\n  ana: {contacts: {}}\n  bo: {\n    contacts: }\n oops",
        }
    )

    assert folder.said(folder.load(), "error") == [
        "tocsin.yaml:2:21: alerts: '5 mins' is not a duration; write 5m",
        "people.yaml:1:29: type: no such channel type 'consol' (did you mean 'console'?)",
        "people.yaml:6:2: broken YAML: did not find expected key (while parsing a block mapping)",
    ]


@given(st.binary(max_size=300))
def test_no_bytes_make_the_reader_raise(raw: bytes) -> None:
    tree = read_tree(raw, "x")

    assert tree.top is not None or tree.problems


WORDS = st.sampled_from(
    ["", "ana", "5m", "5 mins", "user:ana", "schedule: x", "true", "1", "webhook", "console", "{{ x", "a=~\"(\"", "Mon-Fri",
     "24:00", "2026-01-05 09:00", "\u202e", "~", "+351912345678", "a" * 200, "[", "=", "@next", "user:", "/", "1/0s"]
) | st.text(max_size=12)  # fmt: skip
KEYS = st.sampled_from(
    ["type", "token", "file", "env", "users", "layers", "rotation", "every", "start", "days", "hours", "from", "to", "steps",
     "notify", "only", "priority", "name", "match", "set", "service", "labels", "contacts", "channel", "by", "url", "map",
     "members", "overrides", "terminal", "ana", "each", "routing_keys", "key"]
) | WORDS  # fmt: skip
VALUES = st.recursive(
    WORDS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4), max_leaves=12
)


@settings(max_examples=60, deadline=None)
@given(st.dictionaries(st.sampled_from([*SECTIONS]), VALUES, max_size=6))
def test_no_content_makes_the_configuration_raise(tmp_path_factory: pytest.TempPathFactory, content: object) -> None:
    main = tmp_path_factory.getbasetemp() / "arbitrary.yaml"
    main.write_text(yaml.safe_dump(content, allow_unicode=True), encoding="utf-8")

    loaded = load(main, env={})

    assert (loaded.settings is None) == any(problem.level == "error" for problem in loaded.problems)


def test_a_file_that_is_not_there_is_a_problem_like_any_other(tmp_path: Path) -> None:
    loaded = load(tmp_path / "none.yaml", env={})

    assert [str(problem) for problem in loaded.problems] == [
        f"{tmp_path}/none.yaml:1:1: cannot read {tmp_path}/none.yaml: No such file or directory",
        f"{tmp_path}/none.yaml:1:1: the main file is given by -c or $TOCSIN_CONFIG",
    ]


EXAMPLE = (Path(__file__).parents[2] / "docs" / "example.yaml").read_text(encoding="utf-8").splitlines(keepends=True)
SLIPS = st.tuples(
    st.integers(0, len(EXAMPLE) - 1), st.integers(0, 60), st.sampled_from([*"{}[]:,\"'&*!#|>- \t\n~@0aé", ""])
)


@settings(max_examples=40, deadline=None)
@given(st.lists(SLIPS, min_size=1, max_size=4))
def test_a_slip_of_the_keyboard_never_makes_the_configuration_raise(
    tmp_path_factory: pytest.TempPathFactory, slips: list[tuple[int, int, str]]
) -> None:
    lines = list(EXAMPLE)
    for line, column, key in slips:
        lines[line] = lines[line][:column] + key + lines[line][column + 1 :]
    main = tmp_path_factory.getbasetemp() / "slip.yaml"
    main.write_text("".join(lines), encoding="utf-8")

    loaded = load(main, env={})

    assert loaded.settings is None  # its secrets are not there, at least
    assert all(problem.where.line > 0 and problem.where.column > 0 for problem in loaded.problems)


def test_names_that_may_stand_in_an_unreadable_file_are_not_called_unknown(folder: Folder) -> None:
    folder.write(
        {
            "tocsin.yaml": "include: [gone.yaml, people.yaml]\ncatch_all: [user:zoe, user:anna]\n",
            "people.yaml": "users: {ana: {}}\n",
        }
    )

    assert folder.said(folder.load()) == [
        "tocsin.yaml:1:11: cannot read gone.yaml: No such file or directory",
        "tocsin.yaml:2:23: catch_all: no such user 'anna' (did you mean 'ana'?)",
    ]


def test_a_syntax_error_does_not_make_what_follows_it_missing(folder: Folder) -> None:
    errors = folder.errors("users: {ana: {}}\nteams:\n  y:\n    managers: [ana }\n    members: [ana]\n")

    assert errors == ["4:20: broken YAML: did not find expected ',' or ']' (while parsing a flow sequence)"]
