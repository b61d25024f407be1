"""What matchers let through, as sets: proofs that hold, and silence where there is none."""

from __future__ import annotations

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tocsin.decide.routing.matcher_overlap import always, never, within
from tocsin.decide.routing.matchers import Matcher, parse


def matchers(*texts: str) -> list[Matcher]:
    return [parse(text) for text in texts]


NEVER = [
    (('a="x"', 'a="y"'), True),
    (('a="x"', 'a!="x"'), True),
    (('a="x"', 'a=~"x|y"'), False),
    (('a="x"', 'a=~"y.*"'), True),
    (('a=~"foo.*"', 'a!~"f.*"'), True),
    (('a=~"web[0-9]+"', 'a=~"db[0-9]+"'), True),
    (('a=~".*web.*"', 'a=~".*db.*"'), False),
    (('a=~"[a-c]{2}"', 'a!~"aa|ab|ac|ba|bb|bc|ca|cb|cc"'), True),
    (('a=~"x?"', 'a!="x"', 'a!=""'), True),
    (('a!~".*"',), False),  # a text of two lines fits
    (('a!~"(?s).*"',), True),
    (('a!=""',), False),
]


@pytest.mark.parametrize(("written", "said"), NEVER)
def test_whether_no_value_fits_all(written: tuple[str, ...], said: bool) -> None:
    assert never(matchers(*written)) is said


WITHIN = [
    (('env="staging"',), 'env=~"stag.*"', True),
    (('env=~"staging|stage"',), 'env=~"stag.*"', True),
    (('env=~"staging.+"',), 'env=~"stag.*"', True),
    (('env=~"stag.*"',), 'env=~"staging.*"', False),
    (('env=~".*"',), 'env=~"(?s).*"', True),
    (('env!=""',), 'env=~".+"', False),  # a value of two lines
    (('host=~"web[0-9]{1,3}\\.prod"',), 'host=~"web.*prod"', True),
    (('host=~"(?i)kube"',), 'host=~"(?i)K[A-Z]be"', True),
    (('host=~"(?i)kube"',), 'host=~"[Kk][Uu][Bb][Ee]"', False),  # the Kelvin sign is a K to (?i)
    (('a=~".*x.*"', 'a=~".*y.*"'), 'a=~".*(x.*y|y.*x).*"', True),
    (('a!="x"',), 'a!~"x"', True),
    (('a!~"x|y"',), 'a!="x"', True),
    ((), 'a=~"x"', False),
    ((), 'a=~"(?s).*"', True),
]


@pytest.mark.parametrize(("narrow", "wide", "said"), WITHIN)
def test_whether_all_that_fits_the_one_fits_the_other(narrow: tuple[str, ...], wide: str, said: bool) -> None:
    assert within(matchers(*narrow), matchers(wide)) is said


@pytest.mark.parametrize(
    "pattern", [r"\bx", r"\pL", "(?m)x", "x(?i)y", "[[:alpha:]]", "a{1,65}", r"\Qx\E", "(^a)", "(a$)b?"]
)
def test_of_what_is_not_understood_nothing_is_claimed(pattern: str) -> None:
    matcher = Matcher("a", "=~", pattern)

    assert never([matcher]) is None
    assert within([matcher], [matcher]) is None


@pytest.mark.parametrize("written", ['a=~".*"', 'a=~"^.*$"', 'a=~"(.*)"', 'a=~"(?s).*"', 'a=~"[^\\n]*"', 'a!~"x\\ny"'])
def test_what_every_value_of_one_line_fits(written: str) -> None:
    assert always(parse(written)) is True


def test_a_proof_that_takes_too_long_is_none() -> None:
    wide = Matcher("a", "=~", "(a|b)*a" + "(a|b)" * 30)

    assert within(matchers('a=~"(a|b)*b"'), [wide]) in (None, False)
    assert never([wide, Matcher("a", "=~", "(a|b)*b" + "(a|b)" * 30)]) in (None, True)


# ---------------------------------------------------------------------- against RE2, whatever the pattern

LETTERS = "abkK\n1.-é"
ATOMS = [
    "a",
    "b",
    "k",
    "K",
    "1",
    ".",
    r"\.",
    r"\d",
    r"\w",
    r"\s",
    r"\D",
    r"\n",
    "-",
    "[ab]",
    "[^a]",
    "[a-k]",
    "[^k1]",
    "[]a]",
    "[a-]",
    "é",
]


def _patterns() -> st.SearchStrategy[str]:
    atom = st.sampled_from(ATOMS)
    grown = st.recursive(
        atom,
        lambda inner: st.one_of(
            st.tuples(inner, inner).map("".join),
            st.tuples(inner, inner).map(lambda pair: f"(?:{pair[0]}|{pair[1]})"),
            st.tuples(inner, st.sampled_from(["*", "+", "?", "{2}", "{1,3}", "{1,}", "*?", ""])).map(
                lambda p: f"({p[0]}){p[1]}"
            ),
        ),
        max_leaves=6,
    )
    flags = st.sampled_from(["", "", "", "(?i)", "(?s)"])
    return st.tuples(flags, st.sampled_from(["", "^"]), grown, st.sampled_from(["", "$", "|b", "|"])).map("".join)


@settings(max_examples=250, deadline=None)
@given(pattern=_patterns(), value=st.text(LETTERS, max_size=5))
@example(pattern="(?i)k", value="\u212a")
@example(pattern="(?i)[a-z]", value="\u017f")
@example(pattern="^a|b$", value="ab")
@example(pattern="a.", value="a\n")
def test_one_value_is_let_through_as_re2_lets_it(pattern: str, value: str) -> None:
    try:
        matcher = Matcher("a", "=~", pattern)
    except ValueError:
        return
    known = within([Matcher("a", "=", value)], [matcher])

    assert known in (None, matcher.accepts(value))
    assert never([Matcher("a", "=", value), matcher]) in (None, not matcher.accepts(value))


@settings(max_examples=200, deadline=None)
@given(first=_patterns(), second=_patterns(), values=st.lists(st.text(LETTERS, max_size=4), max_size=12))
def test_no_value_contradicts_a_proof(first: str, second: str, values: list[str]) -> None:
    try:
        narrow, wide = Matcher("a", "=~", first), Matcher("a", "=~", second)
    except ValueError:
        return
    fits = [value for value in values if narrow.accepts(value)]

    if within([narrow], [wide]):
        assert all(wide.accepts(value) for value in fits)
    if never([narrow, wide]):
        assert not any(wide.accepts(value) for value in fits)
