"""The incident key: who shares an incident, and keys that cannot be mistaken for each other."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.routing.grouping import LONGEST, group_of
from tocsin.decide.routing.rules import Rulebook, Verdict
from tocsin.decide.text import clean, clean_identity
from tocsin.model import Alert, IntegrationConfig, Rule, RuleSet, Settings

PROMETHEUS = IntegrationConfig("prometheus", "alertmanager")


def verdict(labels: dict[str, str], *group_by: str, service: str = "shop", dedup_key: str | None = None) -> Verdict:
    """What one rule with this group_by makes of an alert with these labels."""
    rule = Rule("group", group_by=group_by or None, set=RuleSet(dedup_key=dedup_key))
    alert = Alert("firing", "k1", severity="error", service=service, labels=labels, source="web-1")
    return Rulebook(Settings(rules=(rule,))).walk(alert, PROMETHEUS)


@pytest.mark.parametrize(
    ("labels", "group_by", "key", "grouped"),
    [
        ({"cluster": "eu"}, (), "prometheus/k1", False),
        ({"cluster": "eu"}, ("cluster",), 'shop{cluster="eu"}', True),
        ({"cluster": "eu", "alertname": "X"}, ("cluster", "alertname"), 'shop{alertname="X",cluster="eu"}', True),
        ({"cluster": "eu"}, ("cluster", "alertname"), 'shop{alertname="",cluster="eu"}', True),  # one is there
        ({"other": "x"}, ("cluster", "alertname"), "prometheus/k1", False),  # all missing: alone
        ({"cluster": ""}, ("cluster",), "prometheus/k1", False),  # an empty label is a missing one
        ({}, ("severity",), 'shop{severity="error"}', True),  # fields group as well
        ({}, ("source",), 'shop{source="web-1"}', True),
        ({"severity": ""}, ("severity",), 'shop{severity="error"}', True),
        ({"severity": "page"}, ("severity",), 'shop{severity="page"}', True),  # a label before the field
        ({"severity": "page"}, ("field.severity",), 'shop{field.severity="error"}', True),
        ({"c": 'a"b\\c\nd'}, ("c",), 'shop{c="a\\"b\\\\c\\nd"}', True),
        ({"field.severity": "no"}, ("field.severity",), 'shop{field.severity="error"}', True),
        ({"c": "x"}, ("c", "c"), 'shop{c="x"}', True),
    ],
)
def test_the_key_is_the_service_and_the_sorted_values_of_group_by(
    labels: dict[str, str], group_by: tuple[str, ...], key: str, grouped: bool
) -> None:
    group = group_of(verdict(labels, *group_by), "k1", "prometheus")
    assert (group.key, group.grouped) == (key, grouped)


def test_the_same_group_of_another_service_is_another_incident() -> None:
    keys = {group_of(verdict({"c": "x"}, "c", service=name), "k1", "prometheus").key for name in ("shop", "bank", "")}
    assert len(keys) == 3


def test_a_rules_dedup_key_joins_alerts_of_one_integration() -> None:
    found = [group_of(verdict({}, dedup_key="deploy-7"), source_key, "prometheus") for source_key in ("k1", "k2")]
    assert found[0].key == found[1].key == "prometheus#deploy-7"
    assert found[0].grouped
    other = group_of(verdict({}, dedup_key="deploy-7"), "k1", "apps")
    assert other.key != found[0].key


def test_group_by_goes_before_dedup_key_unless_all_its_labels_are_missing() -> None:
    assert group_of(verdict({"c": "x"}, "c", dedup_key="d"), "k1", "prometheus").key == 'shop{c="x"}'
    assert group_of(verdict({}, "c", dedup_key="d"), "k1", "prometheus").key == "prometheus#d"


def test_the_reason_says_what_was_the_same_or_missing() -> None:
    assert group_of(verdict({"c": "x"}, "c", "a"), "k1", "prometheus").because == "same a and c"
    assert "none of a, c is there" in group_of(verdict({}, "c", "a"), "k1", "prometheus").because


def test_a_long_key_is_bounded_and_stays_its_own() -> None:
    long = ["x" * 600 + end for end in ("a", "b")]
    keys = {group_of(verdict({"c": value}, "c"), "k1", "prometheus").key for value in long}
    keys |= {group_of(verdict({}), value, "prometheus").key for value in long}
    assert len(keys) == 4
    assert all(len(key) == LONGEST for key in keys)


TEXTS = st.text(st.sampled_from('a="{},/#\\\n'), max_size=6)


@given(TEXTS, TEXTS, TEXTS, TEXTS, TEXTS, TEXTS)
def test_whatever_the_texts_different_groups_have_different_keys(
    service: str, a: str, b: str, other_service: str, c: str, d: str
) -> None:
    def key(service: str, a: str, b: str) -> str:
        return group_of(verdict({"a": a, "b": b}, "a", "b", service=service), "k1", "prometheus").key

    same = (service, a, b) == (other_service, c, d) or not (a or b or c or d)
    if (a or b) and (c or d):
        assert (key(service, a, b) == key(other_service, c, d)) is same


@given(TEXTS.filter(bool), TEXTS, TEXTS, TEXTS)
def test_whatever_the_texts_a_group_a_dedup_key_and_an_alert_alone_never_share_a_key(
    value: str, service: str, source_key: str, dedup_key: str
) -> None:
    group = group_of(verdict({"a": value}, "a", service=service), source_key, "prometheus").key
    alone = group_of(verdict({}, service=service), source_key, "prometheus").key
    keyed = group_of(verdict({}, service=service)._replace(dedup_key=dedup_key), source_key, "prometheus").key
    assert len({group, alone, keyed}) == 3


LONG = "x" * 5_000


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (f"{LONG}1", f"{LONG}2"),
        ("a\x00b", "ab"),
        ("a\ud800", "a\ud801"),
        ("a\u202eb", "ab"),
        (f"{LONG}é1", f"{LONG}é2"),
    ],
    ids=["long", "a control character", "lone surrogates", "bidirectional", "long and not ASCII"],
)
def test_two_texts_that_tell_things_apart_never_become_one(one: str, other: str) -> None:
    for limit in (64, 512, 1_024):
        kept = [clean_identity(text, limit) for text in (one, other)]
        assert kept[0] != kept[1]
        assert all(len(text) <= limit and text == clean(text, limit) for text in kept)
    keys = [group_of(verdict({"c": text}, "c"), "k1", "apps").key for text in (one, other)]
    assert keys[0] != keys[1]
    assert all(len(key) <= 512 and key.encode() for key in keys)


@pytest.mark.parametrize("what", ["dedup_key", "service", "labels"])
@pytest.mark.parametrize(
    "template",
    ["{{ labels.c }}", "{{ title }}", "{{ description }}", "x{{ labels.c }}{{ labels.c }}", "{{ labels.c | upper }}"],
)
def test_a_rules_text_that_is_too_long_ends_in_a_hash(what: str, template: str) -> None:
    """Two alerts that differ behind the place where it is cut stay two incidents."""

    def key_of(end: str) -> str:
        text = "y" * 20_000 + end
        texts: dict[str, dict[str, Any]] = {
            "dedup_key": {"dedup_key": template},
            "service": {"service": template},
            "labels": {"labels": {"g": template}},
        }
        rule = Rule(
            "r",
            set=RuleSet(**texts[what]),
            group_by=None if what == "dedup_key" else ("g",) if what == "labels" else ("all",),
        )
        alert = Alert("firing", "k", title=text, description=text, labels={"c": text, "all": "1"})
        found = Rulebook(Settings(rules=(rule,))).walk(alert, IntegrationConfig("apps", "webhook"))
        assert found.errors == ()
        return group_of(found, "k", "apps").key

    assert key_of("1") != key_of("2")
    assert key_of("1") == key_of("1")


def test_what_looks_at_the_beginning_alone_groups_by_it() -> None:
    rule = Rule("r", set=RuleSet(dedup_key="{{ title[:20] }}"))
    book = Rulebook(Settings(rules=(rule,)))
    keys = {
        book.walk(Alert("firing", "k", title="x" * 5_000 + end), IntegrationConfig("apps", "webhook")).dedup_key
        for end in "12"
    }
    assert keys == {"x" * 20}
