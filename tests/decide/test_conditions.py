"""What a `when:` says of an alert, and what it may say."""

from __future__ import annotations

import builtins
import time
from typing import Any

import pytest

from tests.decide.test_rules import NODE_DOWN, PROMETHEUS, book, rule
from tocsin.decide.routing.conditions import Condition, condition
from tocsin.model import RuleSet

LABELS = {"env": "prod", "count": "7", "empty": "", "odd": "("}
FIELDS = {"severity": "critical", "title": "db down"}


@pytest.mark.parametrize(
    ("source", "holds"),
    [
        ('labels.env == "prod" && severity == "critical"', True),
        ('labels["env"] == "test"', False),
        ('has(labels.team) || title.startsWith("db")', True),
        ("has(labels.empty)", False),
        ('"env" in labels && int(labels.count) > 5', True),
        ('labels.env.matches("^p.*d$")', True),
        ('labels.exists(name, name == "count")', True),
        ('category == ""', True),
        ("size(title) < 100", True),
        ('title.contains("labels.zzz")', False),
    ],
)
def test_an_expression_over_labels_and_fields(source: str, holds: bool) -> None:
    assert Condition(source).holds(LABELS, FIELDS) == (holds, "")


@pytest.mark.parametrize(
    ("source", "because"),
    [
        ('labels.team == "a"', "the alert has no 'team'; ask for it first: has(labels.team) && …"),
        ("int(labels.env) > 4", "string parse error"),
        ("int(labels.count) / 0 == 1", "division by zero"),
    ],
)
def test_what_cannot_be_told_is_no_match_with_the_reason(source: str, because: str) -> None:
    found = Condition(source).holds(LABELS, FIELDS)
    assert not found.holds
    assert because in found.error


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("labels.env ==", "is no CEL expression"),
        ('"unclosed', "is no CEL expression"),
        ('env == "prod"', "'env' is not known here; for a label write labels.env"),
        ("now() > 1", "now() is not known here"),
        ('labels.env.matches("(?=x)")', "look-around"),
        ("labels.env", "it gives str '1' instead of true or false"),
        ("labels.all(a, labels.all(b, a == b))", ".all() within .all() could run for long; write two rules instead"),
        ("title == '" + "x" * 2000 + "'", "2000 are the most"),
        ("(" * 200 + "true" + ")" * 200, "more than a hundred brackets"),
    ],
)
def test_what_an_expression_may_not_say(source: str, says: str) -> None:
    with pytest.raises(ValueError, match=r".") as wrong:
        Condition(source)
    assert says in str(wrong.value)


@pytest.mark.parametrize(
    ("source", "labels"),
    [
        ('labels.a == "x" && labels["b c"] == "y"', {"a", "b c"}),
        ('"d" in labels', {"d"}),
        ('title == "labels.q"', set()),
        ("labels.exists(l, l == 'x')", None),
        ("labels[title] == 'x'", None),
        ("size(labels) > 3", None),
        ("labels == {'x': 'y'}", None),
        ('has(labels.a) && "b" in labels', {"a", "b"}),
    ],
)
def test_it_knows_what_it_reads(source: str, labels: set[str] | None) -> None:
    assert Condition(source).labels == labels


def test_without_the_extra_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    real = builtins.__import__

    def without_cel(name: str, *rest: Any, **more: Any) -> object:
        if name == "cel":
            raise ImportError(name)
        return real(name, *rest, **more)

    monkeypatch.setattr(builtins, "__import__", without_cel)
    with pytest.raises(ValueError, match=r"pip install tocsin\[cel\]"):
        Condition('title == "not compiled before"')


def test_it_costs_little_whatever_the_alert_brings() -> None:
    large = {f"l{n}": "v" * 50_000 for n in range(5_000)}
    expensive = condition('labels.exists(a, a.matches("(a|b|ab)*c") || labels[a].contains("zzz"))')
    begun = time.perf_counter()
    expensive.holds(large, {"title": "t"})
    assert time.perf_counter() - begun < 0.5


# ---------------------------------------------------------------------------------- in a rule


def test_a_rule_applies_when_its_matchers_hit_and_its_condition_holds() -> None:
    found = book(
        rule("one", 'alertname="NodeDown"', when='labels.cluster == "eu"', set=RuleSet(category="eu")),
        rule("two", when='labels.cluster == "us"', set=RuleSet(category="us")),
        rule("three", when='category == "eu"', hold=1),
    )
    assert found.walk(NODE_DOWN, PROMETHEUS).rules == ("one", "three")
    assert [one.because for one in found.trace(NODE_DOWN, PROMETHEUS)] == [
        'alertname="NodeDown" and when labels.cluster == "eu"',
        'when: labels.cluster == "us" is not true',
        'when category == "eu"',
    ]


def test_a_condition_that_fails_is_counted_and_the_alert_goes_on() -> None:
    found = book(rule("broken", when='labels.nope == "x"', drop=True), rule("next", hold=1))
    verdict = found.walk(NODE_DOWN, PROMETHEUS)
    assert (verdict.rules, verdict.dropped_by) == (("next",), None)
    ((name, because),) = verdict.errors
    assert (name, because.startswith("when: the alert has no 'nope'")) == ("broken", True)


def test_alerts_that_differ_in_what_it_reads_are_judged_anew() -> None:
    found = book(rule("one", when='has(labels.team) && labels.team == "db"', hold=1))
    for team, rules in (("db", ("one",)), ("web", ()), ("db", ("one",))):
        alert = type(NODE_DOWN)("firing", "k", labels={"team": team})
        assert found.walk(alert, PROMETHEUS).rules == rules
