"""Templates: what they say, and how they fail to plain text."""

from __future__ import annotations

import re
from collections.abc import Set
from pathlib import Path

import pytest

from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.routing.templates import FILTERS, LONGEST, METHODS, Broken, Template, Text
from tocsin.model import Alert, IntegrationConfig, Rule, RuleSet, Settings

LABELS = {"cluster": "eu-1", "alertname": "NodeDown", "instance": "web-1:9100", "copy": "c", "a-b": "dash"}
INPUTS = {
    "labels": LABELS,
    "title": "Node down",
    "description": "It is down",
    "service": "shop",
    "severity": "critical",
    "source": "web-1",
    "integration": "prometheus",
}


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("plain text", "plain text"),
        ("infra-{{ labels.cluster }}", "infra-eu-1"),
        ("{{ labels['a-b'] }}", "dash"),
        ("{{ labels.get('zone', 'none') }}", "none"),
        ("{{ labels.zone | default('none') }}", "none"),
        ("{{ labels.zone or 'none' }}", "none"),
        ("{% if labels.zone %}{{ labels.zone }}{% else %}no zone{% endif %}", "no zone"),
        ("{{ labels.copy }}", "c"),  # a label wins over a method of dict
        ("{{ labels.instance.split(':')[0] }}", "web-1"),
        ("{{ labels.instance | replace(':9100', '') | upper }}", "WEB-1"),
        ("{{ 'P' if severity == 'critical' else 'p' }}: {{ title }}", "P: Node down"),
        (
            "{% for name, value in labels.items() if name != 'copy' %}{{ name }} {% endfor %}",
            "cluster alertname instance a-b",
        ),
        ("{{ integration }} {{ source }} {{ service }} {{ description }}", "prometheus web-1 shop It is down"),
        ("  {{ title }}  ", "Node down"),
        ("{{ title ~ ' in ' ~ labels.cluster }}", "Node down in eu-1"),
        ("{{ '<b>' }}", "<b>"),
    ],
)
def test_a_template_says_what_its_author_meant(source: str, said: str) -> None:
    assert Template(source).render(INPUTS) == Text(said)


@pytest.mark.parametrize(
    ("source", "because"),
    [
        ("{{ labels.zone }}", "the alert has no label 'zone'"),
        ("{{ labels['zone'] }}", "the alert has no label 'zone'"),
        ("{{ labels.cluster.split(':')[3] }}", "undefined"),
        ("{{ title.nothing }}", "has no attribute 'nothing'"),
        ("{{ ''.__class__.__mro__ }}", "unsafe"),
        ("{{ title + 1 }}", "TypeError"),
        ("{{ labels.title() }}", "no label"),
    ],
)
def test_what_cannot_be_said_is_broken_with_a_reason(source: str, because: str) -> None:
    match Template(source).render(INPUTS):
        case Broken(said):
            assert because in said or because == "undefined"
        case Text(text):
            pytest.fail(f"it said {text!r}")


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{{ title", "is not a template"),
        ("{% if title %}", "is not a template"),
        ("{{ alertname }}", "write {{ labels.alertname }}"),
        ("{{ range(10) }}", "a call"),
        ("{{ cycler }}", "no input of a template"),
        ("{{ title | center(100000000) }}", "the filter 'center'"),
        ("{{ title.center(100000000) }}", ".center()"),
        ("{{ title.format(1) }}", ".format()"),
        ("{{ 'x' * 1000000000 }}", "'mul'"),
        ("{{ 9 ** 9 ** 9 }}", "'pow'"),
        ("{{ '%1000000000d' % 1 }}", "'mod'"),
        ("{% for a in labels %}{% for b in labels %}x{% endfor %}{% endfor %}", "a loop within a loop"),
        ("{% for a in labels recursive %}{{ loop(labels) }}{% endfor %}", "a recursive loop"),
        ("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}", "'macro'"),
        ("{% include 'x' %}", "'include'"),
        ("{{ title is callable }}", "the test 'callable'"),
    ],
)
def test_what_could_run_away_is_refused_when_it_is_read(source: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        Template(source)
    assert said in str(refused.value)


def test_the_output_is_cut() -> None:
    rendered = Template("{{ title }}").render({**INPUTS, "title": "x" * 100_000})
    assert rendered == Text("x" * LONGEST)


@pytest.mark.parametrize(
    ("source", "labels", "fields"),
    [
        ("plain", set(), set()),
        ("{{ labels.a }} {{ labels['b'] }} {{ labels.get('c') }} {{ title }}", {"a", "b", "c"}, {"title"}),
        ("{{ labels[title] }}", None, {"title"}),
        ("{% for name in labels %}{{ name }}{% endfor %}", None, set()),
        ("{{ labels.items() | first }}", None, set()),
        ("{{ labels.a }}{{ labels | length }}", None, set()),
        ("{% set l = labels %}{{ l.a }}", None, set()),
        ("{{ severity if service else source }}", set(), {"severity", "service", "source"}),
    ],
)
def test_a_template_knows_what_it_reads(source: str, labels: Set[str] | None, fields: Set[str]) -> None:
    template = Template(source)
    assert (template.labels, template.fields) == (labels, fields)


def test_the_manual_names_every_filter_and_method() -> None:
    manual = (Path(__file__).parents[2] / "docs" / "rules.md").read_text()
    named = set(re.findall(r"[a-z]+", manual.split("A template is an expression, not a program")[1].split("##")[0]))
    assert (FILTERS - {"d"}) | METHODS <= named


DOUBLING = "{% set t = title ~ title %}" + "{% set t = t ~ t %}" * 13 + "{{ t }}"


@pytest.mark.parametrize(
    "source",
    [
        "{{ title.replace('', title).replace('', title) }}",
        "{{ title | replace('t', description) }}",
        "{{ description | list | join(title) }}",
        DOUBLING,
        "{% if title.replace('', description) %}x{% endif %}",
        "{% for c in title.replace('', description) %}{{ c }}{% endfor %}",
    ],
)
def test_a_template_that_could_print_megabytes_is_refused_when_it_is_read(source: str) -> None:
    with pytest.raises(ValueError, match=r"could grow to .* million characters"):
        Template(source)


@pytest.mark.parametrize(
    "source",
    [
        "{{ labels.instance | replace('.', labels.zone) }}",
        "{{ labels.items() | list | join(', ') }}",
        "{% set who = labels.team | default('nobody') %}{{ who }}: {{ title ~ description }}",
        "{% for name, value in labels.items() %}{{ name }}={{ value }} {% endfor %}",
    ],
)
def test_what_stays_short_is_no_matter(source: str) -> None:
    Template(source)


def test_an_input_is_cut_before_a_template_sees_it() -> None:
    huge = Alert("firing", "k", title="t" * 3_000_000, labels={"a": "x" * 3_000_000})
    rule = Rule("r", set=RuleSet(title="{{ title.replace('', title) }}", category="{{ labels.a | length }}"))
    verdict = Rulebook(Settings(rules=(rule,))).walk(huge, IntegrationConfig("apps", "webhook"))
    assert (len(verdict.title), verdict.category) == (1024, "2048")
