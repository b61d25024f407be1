"""A rule that the lint says never acts is attacked with random alerts, by the rulebook that production uses."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import islice, product
from pathlib import Path
from typing import Any

from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from tocsin.decide.routing.matchers import parse
from tocsin.decide.routing.rules import Rulebook
from tocsin.model import SEVERITIES, Alert, Instant, IntegrationConfig, Rule
from tocsin.settings import Loaded
from tocsin.settings.document.files import parsed
from tocsin.settings.document.reading import Reading
from tocsin.settings.lint import lint
from tocsin.settings.loading import compiled
from tocsin.settings.plugins import INSTALLED

DEAD = {"unreachable", "impossible-match", "never-matches"}
NAMES = ["a", "b", "severity", "service", "label.a", "field.service", "field.severity", "label.severity", "integration"]
VALUES = ["", "x", "y", "xy", "yx", "critical", "info", "shop", "apps"]
PATTERNS = ["x", "x|y", "x.*", ".*x", ".*", ".+", "[xy]+", "(?i)X", "critical|x", "s.*", "y?", "[^x]*", "xy|yx"]


def _matcher() -> st.SearchStrategy[str]:
    plain = st.tuples(st.sampled_from(NAMES), st.sampled_from(["=", "!="]), st.sampled_from(VALUES))
    pattern = st.tuples(st.sampled_from(NAMES), st.sampled_from(["=~", "!~"]), st.sampled_from(PATTERNS))
    return st.one_of(plain, pattern).map(lambda parts: f'{parts[0]}{parts[1]}"{parts[2]}"')


def _set() -> st.SearchStrategy[dict[str, Any]]:
    return st.sampled_from(
        [
            {},
            {},
            {"labels": {"a": "x"}},
            {"labels": {"b": "{{ labels.a }}"}},
            {"severity": "critical"},
            {"service": "{{ labels.a }}"},
            {"labels": {"severity": "x"}},
        ]
    )


def _rules() -> st.SearchStrategy[list[dict[str, Any]]]:
    rule = st.fixed_dictionaries(
        {"match": st.lists(_matcher(), max_size=3), "set": _set()},
        optional={"stop": st.just("true"), "drop": st.just("true")},
    )
    return st.lists(rule, min_size=1, max_size=6)


def _alerts() -> st.SearchStrategy[list[Alert]]:
    value = st.sampled_from(VALUES)
    alert = st.builds(
        lambda severity, service, labels: Alert("firing", "k", severity=severity, service=service, labels=labels),
        st.sampled_from([None, "critical", "error", "warning", "info"]),
        st.sampled_from([None, "x", "shop", "xy"]),
        st.dictionaries(st.sampled_from(["a", "b", "severity", "service", "integration"]), value, max_size=4),
    )
    return st.lists(alert, min_size=1, max_size=25)


def aimed_at(rule: Rule) -> Iterator[Alert]:
    """Alerts that its matchers, each for itself, would let through."""
    matchers = [parse(text) for text in rule.match]
    fits = {matcher.name: [value for value in VALUES if matcher.accepts(value)] for matcher in matchers}
    for values in islice(product(*fits.values()), 60):
        given = dict(zip(fits, values, strict=True))
        labels = {name.removeprefix("label."): value for name, value in given.items() if not name.startswith("field.")}
        fields: Any = {name.removeprefix("field."): value for name, value in given.items() if name.startswith("field.")}
        if fields.get("severity") not in SEVERITIES:
            fields.pop("severity", None)
        yield Alert("firing", "k", labels=labels, **fields)


def loaded(rules: list[dict[str, Any]]) -> Loaded:
    named = [{"name": f"rule {number}", **rule} for number, rule in enumerate(rules)]
    content = {"integrations": {"apps": {"type": "webhook", "token": "t"}}, "rules": named}
    main = Path("/nowhere/tocsin.yaml")
    return compiled([parsed(main, str(main), json.dumps(content).encode())], main, Reading({}, INSTALLED))


@settings(max_examples=250, deadline=None)
@given(rules=_rules(), alerts=_alerts())
@example(
    rules=[
        {"match": ['a="x"'], "drop": "true"},
        {"match": ['b="y"'], "set": {"labels": {"a": "x"}}},
        {"match": ['a="x"']},
    ],
    alerts=[Alert("firing", "k", labels={"b": "y"})],
)
@example(
    rules=[
        {"match": ['severity="critical"'], "drop": "true"},
        {"match": ['b="y"'], "set": {"severity": "critical"}},
        {"match": ['severity="critical"', 'b="y"']},
    ],
    alerts=[Alert("firing", "k", severity="info", labels={"b": "y"})],
)
def test_no_alert_gets_to_a_rule_that_is_said_to_be_dead(rules: list[dict[str, Any]], alerts: list[Alert]) -> None:
    found = loaded(rules)
    assert found.settings is not None, found.problems
    dead = {
        problem.message.partition(":")[0] for problem in lint(found, Instant(1_800_000_000_000)) if problem.code in DEAD
    }
    event(f"dead rules: {len(dead)}")

    book = Rulebook(found.settings)
    integration: IntegrationConfig = found.settings.integrations["apps"]

    aimed = [alert for rule in found.settings.rules if rule.name in dead for alert in aimed_at(rule)]
    for alert in (*alerts, *aimed):
        assert not dead & set(book.walk(alert, integration).rules)
