"""What the rules make of an alert."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.decide.routing.matchers import parse
from tocsin.decide.routing.rules import Rulebook, Traced, Verdict, value_of
from tocsin.model import (
    DAY,
    HOUR,
    MINUTE,
    Alert,
    Defaults,
    IntegrationConfig,
    Millis,
    Rule,
    RuleSet,
    Settings,
    Severity,
)

PROMETHEUS = IntegrationConfig("prometheus", "alertmanager")
NODE_DOWN = Alert(
    "firing",
    "k1",
    severity="critical",
    title="Node down",
    description="no answer",
    service="shop",
    source="web-1",
    labels={"alertname": "NodeDown", "cluster": "eu", "instance": "web-1:9100"},
)


def rule(name: str, *match: str, **rest: Any) -> Rule:
    return Rule(name, match, **rest)


def book(*rules: Rule, **rest: Any) -> Rulebook:
    return Rulebook(Settings(rules=rules, **rest))


def walk(*rules: Rule, alert: Alert = NODE_DOWN, integration: IntegrationConfig = PROMETHEUS) -> Verdict:
    return book(*rules).walk(alert, integration)


# ------------------------------------------------------------------------------- without any rule


def test_without_rules_an_alert_stays_what_it_is() -> None:
    assert walk() == Verdict(
        rules=(),
        severity="critical",
        service="shop",
        title="Node down",
        category="",
        labels=NODE_DOWN.labels,
        impact=None,
        urgency=None,
        priority=None,
        policy=None,
        group_by=None,
        join_within=DAY,
        dedup_key=None,
        hold=None,
        auto_resolve=None,
        re_page="raise",
        dropped_by=None,
        suppressed_by=None,
        errors=(),
        source="web-1",
    )


@pytest.mark.parametrize(
    ("said", "default", "override", "overall", "severity"),
    [
        ("critical", "info", None, "error", "critical"),
        (None, "info", None, "error", "info"),
        (None, None, None, "error", "error"),
        (None, None, None, "warning", "warning"),
        ("critical", "info", "warning", "error", "warning"),
    ],
)
def test_severity_comes_from_set_then_the_alert_then_the_integration_then_the_defaults(
    said: Severity | None, default: Severity | None, override: Severity | None, overall: Severity, severity: Severity
) -> None:
    integration = replace(
        PROMETHEUS,
        defaults={"severity": default} if default else {},
        overrides={"severity": override} if override else {},
    )
    rules = Rulebook(Settings(defaults=Defaults(severity=overall)))
    assert rules.walk(replace(NODE_DOWN, severity=said), integration).severity == severity


def test_an_integration_fills_what_an_alert_lacks_and_its_set_beats_what_it_says() -> None:
    integration = replace(
        PROMETHEUS,
        defaults={"service": "infra", "policy": "slow", "labels": {"env": "prod", "cluster": "none"}},
        overrides={"labels": {"team": "ops", "alertname": "Renamed"}},
        auto_resolve=Millis(6 * HOUR),
    )
    found = walk(integration=integration)
    assert (found.service, found.policy, found.auto_resolve) == ("shop", "slow", 6 * HOUR)
    assert found.labels == {**NODE_DOWN.labels, "env": "prod", "team": "ops", "alertname": "Renamed"}
    assert walk(alert=replace(NODE_DOWN, service=None), integration=integration).service == "infra"


def test_rules_see_what_the_integration_filled_in() -> None:
    integration = replace(PROMETHEUS, defaults={"labels": {"env": "prod"}})
    assert walk(rule("prod", "env=prod"), integration=integration).rules == ("prod",)


def test_two_integrations_do_not_share_what_was_decided() -> None:
    rules = book(rule("mail", "integration=mail", drop=True))
    mail = IntegrationConfig("mail", "webhook")
    assert [rules.walk(NODE_DOWN, one).dropped_by for one in (PROMETHEUS, mail, PROMETHEUS)] == [None, "mail", None]


# ----------------------------------------------------------------------------------- order, end


def test_all_rules_that_match_apply_and_a_later_set_wins() -> None:
    found = walk(
        rule("one", "cluster=eu", set=RuleSet(category="network", impact="low"), hold=MINUTE, group_by=("cluster",)),
        rule("two", "cluster=us", set=RuleSet(category="never")),
        rule("three", 'alertname=~"Node.*"', set=RuleSet(category="hardware"), group_by=("alertname",)),
    )
    assert found.rules == ("one", "three")
    assert (found.category, found.impact, found.hold, found.group_by) == ("hardware", "low", MINUTE, ("alertname",))


@pytest.mark.parametrize(("end", "dropped"), [({"drop": True}, "end"), ({"stop": True}, None)])
def test_drop_and_stop_end_the_walk(end: dict[str, bool], dropped: str | None) -> None:
    found = walk(
        rule("end", "cluster=eu", set=RuleSet(category="seen"), **end), rule("after", set=RuleSet(category="no"))
    )
    assert (found.rules, found.category, found.dropped_by) == (("end",), "seen", dropped)


def test_suppress_is_remembered_and_the_walk_goes_on() -> None:
    found = walk(rule("quiet", suppress=True), rule("after", set=RuleSet(category="network"), suppress=True))
    assert (found.suppressed_by, found.category, found.dropped_by) == ("quiet", "network", None)


def test_a_rule_without_matchers_matches_everything() -> None:
    assert walk(rule("all")).rules == ("all",)


def test_join_within_belongs_to_the_last_rule_that_says_it() -> None:
    grouped = rule("grouped", group_by=("cluster",), join_within=HOUR)
    assert walk(grouped, rule("other", set=RuleSet(category="x"))).join_within == HOUR
    assert walk(grouped, rule("longer", join_within=2 * HOUR)).join_within == 2 * HOUR
    assert walk(grouped, rule("again", group_by=("alertname",))).join_within == DAY


def test_what_is_kept_from_the_last_rule_that_says_it() -> None:
    found = walk(rule("a", re_page="never", auto_resolve=HOUR), rule("b", re_page="any"), rule("c"))
    assert (found.re_page, found.auto_resolve) == ("any", HOUR)


# ---------------------------------------------------------------------------------------- names

NAMED = replace(NODE_DOWN, labels={"severity": "page", "team": "ops"})


def test_an_empty_label_is_a_missing_one() -> None:
    assert walk(rule("r", "severity=critical"), alert=replace(NODE_DOWN, labels={"severity": ""})).rules == ("r",)


@pytest.mark.parametrize(
    ("matcher", "before", "hits"),
    [
        ("severity=page", RuleSet(), True),  # the label before the field
        ("severity=critical", RuleSet(), False),
        ("field.severity=critical", RuleSet(), True),
        ("label.severity=page", RuleSet(), True),
        ("severity=warning", RuleSet(severity="warning"), True),  # what an earlier rule set before both
        ("field.severity=warning", RuleSet(severity="warning"), True),
        ("label.severity=page", RuleSet(severity="warning"), True),
        ("severity=page", RuleSet(severity="warning"), False),
        ("team=db", RuleSet(labels={"team": "db"}), True),
        ("label.team=db", RuleSet(labels={"team": "db"}), True),
        ("new=x", RuleSet(labels={"new": "x"}), True),
        ("new=x", RuleSet(), False),
        ("new=", RuleSet(), True),  # a missing label is an empty one
        ("category=db", RuleSet(category="db"), True),
        ("impact=high", RuleSet(impact="high"), True),
        ("service=shop", RuleSet(), True),
        ("service=bank", RuleSet(service="bank"), True),
        ("title=~Node.*", RuleSet(), True),
        ("source=web-1", RuleSet(), True),
        ("integration=prometheus", RuleSet(), True),
        ("description=~.*answer", RuleSet(), True),
    ],
)
def test_a_bare_name_is_what_a_rule_set_else_the_label_else_the_field(
    matcher: str, before: RuleSet, hits: bool
) -> None:
    rules = book(rule("before", set=before), rule("asked", matcher))
    verdict = rules.walk(NAMED, PROMETHEUS)
    assert ("asked" in verdict.rules) is hits
    # and a silence with the same matcher sees the same names after the rules
    assert parse(matcher).hits(value_of(verdict, NAMED, "prometheus")) is hits


def test_a_rule_can_make_an_earlier_named_value_match_only_later_rules() -> None:
    found = walk(
        rule("too early", "service=infra", set=RuleSet(category="never")),
        rule("sets", set=RuleSet(service="infra")),
        rule("in time", "service=infra", set=RuleSet(category="infra")),
        rule("no more", "service=shop", set=RuleSet(category="never")),
    )
    assert (found.rules, found.category) == (("sets", "in time"), "infra")


# ------------------------------------------------------------------------------------- templates


def test_texts_are_rendered_from_what_held_before_the_rule() -> None:
    found = walk(
        rule(
            "infra",
            set=RuleSet(
                service="infra-{{ labels.cluster }}",
                title="{{ labels.alertname }} in {{ service }}",
                labels={"where": "{{ labels.cluster }}", "cluster": "EU"},
                dedup_key="{{ source }}",
                policy="slow",
            ),
        ),
    )
    assert (found.service, found.title) == ("infra-eu", "NodeDown in shop")
    assert found.labels == {**NODE_DOWN.labels, "where": "eu", "cluster": "EU"}
    assert (found.dedup_key, found.policy) == ("web-1", "slow")


@pytest.mark.parametrize(
    ("set_", "error"),
    [
        (RuleSet(title="{{ labels.zone }}"), "title: the alert has no label 'zone'"),
        (RuleSet(service="{{ labels.zone or '' }}"), "service: the template says nothing for this alert"),
        (RuleSet(severity="{{ labels.cluster }}"), "severity: 'eu' is none of critical, error, warning, info"),
        (RuleSet(severity="hot"), "severity: 'hot' is none of critical, error, warning, info"),
        (RuleSet(labels={"a": "{{ labels.zone }}"}), "labels.a: the alert has no label 'zone'"),
    ],
)
def test_a_text_that_fails_leaves_the_plain_one_and_is_counted(set_: RuleSet, error: str) -> None:
    found = walk(rule("broken", set=set_, hold=MINUTE), rule("after", set=RuleSet(category="x")))
    assert found.errors == (("broken", error),)
    assert (found.title, found.service, found.severity) == ("Node down", "shop", "critical")
    assert found.labels == NODE_DOWN.labels
    assert (found.hold, found.category) == (MINUTE, "x"), "all else applies"


def test_alerts_that_differ_only_in_what_no_rule_reads_keep_what_is_their_own() -> None:
    rules = book(rule("infra", "cluster=eu", set=RuleSet(category="hardware")))
    other = replace(NODE_DOWN, title="Other", source="web-2", labels={**NODE_DOWN.labels, "instance": "web-2"})
    first, second = (rules.walk(alert, PROMETHEUS) for alert in (NODE_DOWN, other))
    assert (first.title, first.source, first.labels) == ("Node down", "web-1", NODE_DOWN.labels)
    assert (second.title, second.source, second.labels) == ("Other", "web-2", other.labels)
    assert first.category == second.category == "hardware"


@pytest.mark.parametrize(
    "title",
    [
        "{{ labels.instance }}",
        "{{ labels['instance'] }}",
        "{{ labels.get('instance') }}",
        "{% for name, value in labels.items() %}{{ value }} {% endfor %}",
        "{{ title }}",
        "{{ source }}",
        "{{ description }}",
    ],
)
def test_what_a_template_reads_is_never_remembered_from_another_alert(title: str) -> None:
    rules = book(rule("titled", set=RuleSet(title=f"x {title}")))
    other = replace(
        NODE_DOWN, title="Other", description="D", source="web-2", labels={**NODE_DOWN.labels, "instance": "web-2"}
    )
    fresh = book(rule("titled", set=RuleSet(title=f"x {title}"))).walk(other, PROMETHEUS)
    rules.walk(NODE_DOWN, PROMETHEUS)
    assert rules.walk(other, PROMETHEUS) == fresh
    assert fresh.title != rules.walk(NODE_DOWN, PROMETHEUS).title


# ----------------------------------------------------------------------------------- mistakes


@pytest.mark.parametrize("broken", [rule("bad", "a=~["), rule("bad", set=RuleSet(title="{{ x"))])
def test_a_rule_that_does_not_parse_is_named(broken: Rule) -> None:
    with pytest.raises(ValueError, match="rule 'bad'"):
        book(broken)


# -------------------------------------------------------------------------------------- trace


def test_every_rule_says_yes_or_no_and_why() -> None:
    rules = book(
        rule("a", "cluster=us"),
        rule("b", "cluster=eu", 'alertname=~"Node.*"', set=RuleSet(title="{{ labels.zone }}")),
        rule("c", "zone!=", drop=True),
        rule("d", drop=True),
        rule("e"),
    )
    assert rules.trace(NODE_DOWN, PROMETHEUS) == (
        Traced("a", False, "cluster=us does not fit: cluster is 'eu'"),
        Traced("b", True, "cluster=eu and alertname=~\"Node.*\"; title: the alert has no label 'zone'"),
        Traced("c", False, "zone!= does not fit: zone is not there"),
        Traced("d", True, "it matches every alert"),
        Traced("e", False, "not reached: 'd' dropped the alert"),
    )


# --------------------------------------------------------------------------- bounded, whatever comes


def test_long_values_are_decided_and_not_remembered() -> None:
    rules = book(rule("big", "blob=~x.*", set=RuleSet(category="big")))
    for number in range(10):
        alert = replace(NODE_DOWN, labels={"blob": f"x{number}" + "y" * 100_000})
        assert rules.walk(alert, PROMETHEUS).category == "big"
    desk = next(iter(rules._desks.values()))
    assert len(desk._memory) == 0


def test_what_is_remembered_is_bounded() -> None:
    rules = book(rule("any", "instance=~.*", set=RuleSet(category="x")))
    for number in range(10_000):
        rules.walk(replace(NODE_DOWN, labels={"instance": str(number)}), PROMETHEUS)
    desk = next(iter(rules._desks.values()))
    assert 0 < len(desk._memory) <= 2 * 4096


NAMES = ["a", "b", "severity", "label.severity", "service", "field.severity", "category", "label.a"]
PATTERNS = ["x", "y", "critical", "x|y", "[^x]*", ".+", ".*", "c.*"]


@st.composite
def rules_(draw: st.DrawFn, number: int) -> Rule:
    operators = st.sampled_from(["=", "!=", "=~", "!~"])
    asked = draw(st.lists(st.tuples(st.sampled_from(NAMES), operators, st.sampled_from(PATTERNS)), max_size=3))
    return Rule(
        f"r{number}",
        tuple(f'{name}{op}"{value}"' for name, op, value in asked),
        set=RuleSet(
            severity=draw(st.sampled_from([None, None, "info", "warning"])),
            service=draw(st.sampled_from([None, None, "x", "{{ labels.a }}"])),
            category=draw(st.sampled_from([None, None, "x", "y"])),
            labels=draw(st.sampled_from([{}, {}, {"a": "x"}, {"b": "{{ severity }}"}])),
        ),
        stop=draw(st.integers(0, 9)) == 0,
        drop=draw(st.integers(0, 9)) == 0,
    )


VALUES = st.sampled_from(["x", "y", "xx", "critical", ""])
ALERTS = st.builds(
    Alert,
    st.just("firing"),
    st.just("k"),
    severity=st.sampled_from([None, "critical", "info"]),
    title=st.just("t"),
    service=st.sampled_from([None, "x", "y"]),
    labels=st.dictionaries(st.sampled_from(["a", "b", "severity"]), VALUES),
)


def slowly(rules: tuple[Rule, ...], alert: Alert) -> tuple[tuple[str, ...], str, str, str, dict[str, str]]:
    """The manual read word by word: (rules, severity, service, category, labels)."""
    fields = {"severity": alert.severity or "error", "service": alert.service or "", "category": ""}
    labels = dict(alert.labels)
    written: set[str] = set()
    applied: list[str] = []
    for one in rules:
        if not all(_fits(text, fields, labels, written) for text in one.match):
            continue
        applied.append(one.name)
        before, severity = dict(labels), fields["severity"]
        for name, text in one.set.labels.items():
            labels[name] = severity if "{{" in text else text
        for field in ("severity", "service", "category"):
            value = getattr(one.set, field)
            if value is not None and "{{" in value:
                value = before.get("a")
            if value:
                fields[field] = value
                written.add(field)
        if one.drop or one.stop:
            break
    return tuple(applied), fields["severity"], fields["service"], fields["category"], labels


def _fits(text: str, fields: dict[str, str], labels: dict[str, str], written: set[str]) -> bool:
    read = re.fullmatch(r'([\w.]+)(=~|!~|!=|=)"(.*)"', text)
    assert read is not None
    name, op, value = read.groups()
    where, _, bare = name.rpartition(".")
    if where == "label" or (not where and labels.get(bare) and bare not in written):
        actual = labels.get(bare, "")
    else:
        actual = fields.get(bare, "")
    same = re.fullmatch(value, actual) is not None if "~" in op else actual == value
    return same != op.startswith("!")


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_whatever_the_rules_the_fast_walk_says_what_the_manual_says(data: st.DataObject) -> None:
    count = data.draw(st.integers(0, 12))
    rules = tuple(data.draw(rules_(number)) for number in range(count))
    compiled = book(*rules)
    for alert in data.draw(st.lists(ALERTS, min_size=1, max_size=6)):
        expected = slowly(rules, alert)
        for _ in ("new", "remembered"):
            found = compiled.walk(alert, PROMETHEUS)
            said = (found.rules, found.severity, found.service, found.category, dict(found.labels))
            assert said == expected
        traced = tuple(one.name for one in compiled.trace(alert, PROMETHEUS) if one.matched)
        assert traced == expected[0]
