"""Whatever a `when:` or a `map` says, it is refused or ends soon."""

from __future__ import annotations

import contextlib
import time

import jmespath
import pytest

from tocsin.decide.routing.conditions import Condition
from tocsin.decide.text import DESCRIPTION, LABEL_VALUE, LABELS
from tocsin_integrations.common.jmespath_steps import TooMuch, search

SOON = 0.25
LABELS_AS_LARGE = {f"l{number}": "x" * LABEL_VALUE for number in range(LABELS)}
FIELDS = {"description": "d" * DESCRIPTION, "title": "t" * 900}
HOSTILE = [
    r'description.matches("(?i)\\pL{100}")',
    r'description.matches("(\\w{50}){9}")',
    r'description.matches("(?i)(\\pL+\\pN*){20}")',
    r'labels.all(k, labels[k].matches("(?i)\\pL{60}"))',
    r'labels.all(k, labels[k].matches("\\w{30}"))',
    "description.matches(description)",
    "size(labels.map(k, " + "+".join(["description"] * 100) + ")) > 0",
    "size(labels.map(k, description).map(y, y+y+y+y).map(y, y+y+y+y).map(y, y+y+y+y).map(y, y+y+y+y)) > 0",
    "size(labels.map(k, [k, k]).map(k, [k, k]).map(k, [k, k])) > 0",
    "+".join(["description"] * 140) + ' == "x"',
    " && ".join([r'description.matches("(?i)\\pL{10}x")'] * 40),
    'labels.exists(k, labels[k] + labels[k] + description == "x")',
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_condition_is_refused_or_ends_soon(source: str) -> None:
    pytest.importorskip("cel")
    began = time.process_time()
    try:
        made = Condition(source)
    except ValueError:
        made = None
    made_in = time.process_time() - began
    began = time.process_time()
    if made is not None:
        made.holds(LABELS_AS_LARGE, FIELDS)
    assert made_in < 4 * SOON
    assert time.process_time() - began < SOON


@pytest.mark.parametrize(
    "source",
    [
        'title.matches("^db-[0-9]+$")',
        r'title.matches("\\d+ of \\d+ disks")',
        'labels.exists(k, labels[k].startsWith("gw-"))',
        'labels.filter(k, k.startsWith("x")).size() > 1',
        'labels.exists(k, labels[k].matches("^gw-[a-z]+$"))',
        'title + "/" + service == "a/b"',
    ],
)
def test_a_usual_condition_is_taken(source: str) -> None:
    pytest.importorskip("cel")
    Condition(source)


BODY = {"a": "x" * 1000, "alerts": [{"name": f"n{number}", "tags": ["a", "b"]} for number in range(1000)]}


@pytest.mark.parametrize(
    "expression",
    [
        "a | " + " | ".join(["join('', [@, @])"] * 60),
        "[@]" + " | ".join(["", *["[@, @][]"] * 60]),
        "[a]" + "".join(" | [@, @]" for _ in range(60)) + " | to_string(@)",
        "[a]" + "".join(" | [@, @]" for _ in range(60)),
        "[a]" + "".join(" | [@, @]" for _ in range(40)) + " | @ == `1`",
        "[a]" + "".join(" | [@, @]" for _ in range(40)) + " | contains(@, `1`)",
        "a" + "".join(" | to_string([@])" for _ in range(60)),
        "alerts[*].[tags, tags, tags][][] | [?contains(@, 'a')] | sort(@) | reverse(@)",
        "alerts[?contains(to_string(@), 'zzz')].map(&to_string(@), [@, @, @, @])",
    ],
)
def test_a_hostile_expression_ends_soon(expression: str) -> None:
    began = time.process_time()
    with contextlib.suppress(TooMuch, jmespath.exceptions.JMESPathError, RecursionError):
        search(jmespath.compile(expression), BODY)
    assert time.process_time() - began < 4 * SOON


def test_a_usual_expression_finds_what_the_package_finds() -> None:
    for expression in (
        "alerts",
        "alerts[*].name",
        "join(',', alerts[0].tags)",
        "length(alerts)",
        "alerts[?name=='n7'].tags[]",
    ):
        parsed = jmespath.compile(expression)
        assert search(parsed, BODY) == parsed.search(BODY)
