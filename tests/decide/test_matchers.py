"""Matchers: what is read, what is refused with which words, what fits."""

from __future__ import annotations

from typing import Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.routing.matchers import Matcher, hit_all, parse, refuse_typographic


@pytest.mark.parametrize(
    ("text", "name", "op", "value"),
    [
        ('severity="critical"', "severity", "=", "critical"),
        ("severity=critical", "severity", "=", "critical"),
        (' severity != "critical" ', "severity", "!=", "critical"),
        ('alertname=~"Node.*"', "alertname", "=~", "Node.*"),
        ('alertname!~"Node.*"', "alertname", "!~", "Node.*"),
        ("label.severity=x", "label.severity", "=", "x"),
        ('field.title=~"disk .*"', "field.title", "=~", "disk .*"),
        ("label.k8s.io/name=x", "label.k8s.io/name", "=", "x"),
        ('"a name"="x"', "a name", "=", "x"),
        ('a="say \\"hi\\""', "a", "=", 'say "hi"'),
        ('a="one\\ntwo"', "a", "=", "one\ntwo"),
        ('a="back\\\\slash"', "a", "=", "back\\slash"),
        (r'a=~"\d+\.\d+"', "a", "=~", r"\d+\.\d+"),
        ("a=two words", "a", "=", "two words"),
        ('a=""', "a", "=", ""),
        ("a=", "a", "=", ""),
        ('a="x=y,z"', "a", "=", "x=y,z"),
        ('größe="groß"', "größe", "=", "groß"),
    ],
)
def test_a_matcher_is_read_as_alertmanager_reads_it(text: str, name: str, op: str, value: str) -> None:
    found = parse(text)
    assert (found.name, found.op, found.value, found.text) == (name, op, value, text.strip())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a='b'", 'values stand in double quotes; write a="b"'),
        ('a="b', "the double quote is never closed"),
        ('a="b",c="d"', "one matcher an entry"),
        ('{a="b"}', "as a list, without braces"),
        ("a: b", "write 'a=b'"),
        ("a", 'write name="value"'),
        ("", 'write name="value"'),
        ('="b"', 'write name="value"'),
        ("a==b", "== is not an operator"),
        ('a~"b"', 'a pattern is written name=~"..."'),
        ('a=~"("', "missing )"),
        ('a=~"*.example"', "write '.*.example'"),
        ('a=~"(?!stag).*"', "no look-around: use a second matcher with !~"),
        (r'a=~"(.)\1"', "no back-references"),
        ('a="b"c', "follows the closing quote"),
        ('""="b"', "the name is empty"),
    ],
)
def test_what_is_no_matcher_is_refused_with_what_to_write_instead(text: str, said: str) -> None:
    with pytest.raises(ValueError) as refused:
        parse(text)
    assert said in str(refused.value)


@pytest.mark.parametrize(
    ("text", "value", "fits"),
    [
        ("a=b", "b", True),
        ("a=b", "B", False),
        ("a=b", "", False),
        ("a=", "", True),
        ("a!=b", "", True),
        ("a!=b", "b", False),
        ('a=~"b.*"', "bcd", True),
        ('a=~"b.*"', "abc", False),  # anchored at both ends
        ('a=~"b"', "bc", False),
        ('a=~"b|c"', "xc", False),  # alternatives are anchored together
        ('a=~""', "", True),
        ('a=~".+"', "", False),
        ('a!~".+"', "", True),
        ('a!~"b.*"', "bc", False),
        ('a=~"(?i)crit.*"', "CRITICAL", True),
        ('a=~"gr.ß"', "groß", True),  # a dot is a character, not a byte
        ('a=~".*"', "two\nlines", False),  # as in Alertmanager, a dot is no line break
    ],
)
def test_patterns_match_the_whole_value_and_a_missing_one_is_empty(text: str, value: str, fits: bool) -> None:
    matcher = parse(text)
    assert matcher.accepts(value) is fits
    assert matcher.accepts(value) is fits, "the remembered answer is the same"


def test_a_lone_surrogate_does_not_stop_a_pattern() -> None:
    assert parse('a=~".*"').accepts("\ud800") is True


def test_all_matchers_must_hit() -> None:
    values = {"a": "1", "b": "2"}
    assert hit_all([parse("a=1"), parse("b=2")], lambda name: values.get(name, ""))
    assert not hit_all([parse("a=1"), parse("b=3")], lambda name: values.get(name, ""))
    assert hit_all([], lambda name: "")


def test_a_hostile_pattern_costs_no_time() -> None:
    assert parse('a=~"(a+)+$"').accepts("a" * 20_000 + "!") is False


def test_a_pattern_remembers_a_bounded_number_of_values() -> None:
    matcher = parse('a=~"x.*"')
    for number in range(5_000):
        matcher.accepts(f"x{number}")
    matcher.accepts("y" * 100_000)
    assert len(matcher._known) <= 1024
    assert not any(len(value) > 1024 for value in matcher._known)


@given(st.text(st.characters(exclude_categories=["Cs"]), min_size=1), st.sampled_from(["=", "!="]))
def test_whatever_stands_in_quotes_comes_out_again(value: str, op: Literal["=", "!="]) -> None:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    assert parse(f'name{op}"{escaped}"') == Matcher("name", op, value)


TYPOGRAPHIC = ["a=“b”", "a=‘b’", "a=~“b.*”", "a!=„b“", "a=«b»", "“a”=b", 'a="b”', "a=＂b＂", "severity=”critical”"]


@pytest.mark.parametrize("text", TYPOGRAPHIC)
def test_typographic_quotes_are_refused_where_somebody_writes_them(text: str) -> None:
    with pytest.raises(ValueError, match="typographic quotes"):
        refuse_typographic(text)


@pytest.mark.parametrize("text", ["a=it’s", 'a="“b”"', 'a=~"x“y"', '"“a”"="b"', "a=b", 'a="b"'])
def test_within_plain_quotes_and_words_they_are_themselves(text: str) -> None:
    refuse_typographic(text)

    assert parse(text).text == text


def test_a_refused_one_is_told_plainly() -> None:
    with pytest.raises(ValueError, match=r'write severity="critical"$'):
        refuse_typographic("severity=“critical”")
