"""Whatever a template says, a rendering ends soon: with its text, or with the plain one."""

from __future__ import annotations

import time

import pytest

from tocsin.decide.routing.templates import Broken, Text, template
from tocsin.decide.text import DESCRIPTION, LABEL_VALUE, LABELS, TITLE

LARGE = {
    "labels": {f"l{number}": "v" * LABEL_VALUE for number in range(LABELS)},
    "title": "t" * TITLE, "description": "d" * DESCRIPTION, "service": "s" * 200, "severity": "critical",
    "source": "x" * 200, "integration": "apps",
}  # fmt: skip
SOON = 0.25
HOSTILE = [
    "{{ 1 | round(100000000) }}",
    "{{ 5 | round(-100000000) }}",
    "{{ 1.5 | round(1000000000, 'ceil') }}",
    "{{ ('9' | int) | round(precision=99999999) }}",
    "{% for c in description %}{% if description in description ~ c %}{% endif %}{% endfor %}",
    "{% for c in description %}{{ (description ~ description ~ description) | length }}{% endfor %}",
    "{% for c in description %}{{ description | upper | lower | title | capitalize | first }}{% endfor %}",
    "{% for c in description %}{{ description.replace('d', 'e').replace('e', 'f') | last }}{% endfor %}",
    "{% for c in description | list %}{{ (description | list | sort | unique | list) | length }}{% endfor %}",
    "{% for c in labels.values() %}{{ (labels.values() | list | sort | join(',')) | length }}{% endfor %}",
    "{% for c in description %}{% if description == description ~ c or c in description + c %}x{% endif %}{% endfor %}",
    "{% for c in description.split('d') %}{{ description.split('d') | length }}{% endfor %}",
    "".join("{% set a" + str(n) + " = description | replace('d', 'dddddddd') %}" for n in range(300)),
    "{{ " + " ~ ".join(["description"] * 500) + " }}",
    "{{ (" + " + ".join(["description"] * 400) + ") | length }}",
    "{{ description" + " | upper | lower" * 400 + " }}",
    "{{ description" + ".upper().lower()" * 400 + " }}",
    "{{ description | center(100000000) }}",
    "{{ '%999999999d' | format(1) }}",
    "{{ 'x' * 999999999 }}",
    "{{ 9 ** 9 ** 9 }}",
    "{{ description | indent(100000000) }}",
    "{{ description | wordwrap(1) }}",
    "{% for n in range(10**9) %}{% endfor %}",
    "{{ description | truncate(10, True, description * 9) }}",
    "{{ description | batch(1) | list }}",
    "{{ ('9' * 5000) | int }}",
]


@pytest.mark.parametrize("source", HOSTILE)
def test_a_hostile_template_ends_soon(source: str) -> None:
    began = time.process_time()
    try:
        made = template(source)
    except ValueError:  # told by `check`
        made = None
    compiled = time.process_time() - began
    began = time.process_time()
    said = made.render(LARGE) if made is not None else None
    rendered = time.process_time() - began

    assert isinstance(said, Text | Broken | None)
    assert compiled < 4 * SOON
    assert rendered < SOON, f"{rendered:.2f} s"


@pytest.mark.parametrize(
    ("source", "text"),
    [
        ("{{ labels.a ~ '/' ~ labels.b }}", "x/y"),
        ("{% for word in description.split() %}{{ word | title }} {% endfor %}", "One Two Three"),
        ("{% for name, value in labels.items() %}{{ name }}={{ value }};{% endfor %}", "a=x;b=y;"),
        ("{{ 3.14159 | round(2) }} {{ 1234 | round(-2) }}", "3.14 1200"),
        ("{{ ('1' | int) + 2 }}", "3"),
        ("{{ description.replace(' ', '-') | upper }}", "ONE-TWO-THREE"),
    ],
)
def test_a_usual_template_says_what_it_did(source: str, text: str) -> None:
    said = template(source).render({**LARGE, "labels": {"a": "x", "b": "y"}, "description": "one two three"})
    assert said == Text(text)


def test_a_loop_over_the_words_of_a_long_description_is_no_harm() -> None:
    words = "disk full on gw " * (DESCRIPTION // 16)
    said = template("{% for word in description.split() %}{{ word | upper }} {% endfor %}").render(
        {**LARGE, "labels": {}, "description": words}
    )
    assert isinstance(said, Text)


def test_an_absent_label_in_a_joined_text_is_an_error_as_ever() -> None:
    assert isinstance(template("{{ 'a' ~ labels.nowhere }}").render({**LARGE, "labels": {}}), Broken)
