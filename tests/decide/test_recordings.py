"""A record and its line say the same; a line that cannot be read says why."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tocsin.decide.whatif.recordings import ANSWERS, Answer, Signal, line_of, record_of
from tocsin.model import SEVERITIES, Alert, Instant, Link

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
TIME = st.integers(0, 4_000_000_000_000).map(Instant)
ALERTS = st.builds(
    Alert,
    status=st.sampled_from(("firing", "resolved", "acknowledged", "note")),
    source_key=st.none() | TEXT.filter(bool),
    severity=st.none() | st.sampled_from(SEVERITIES),
    title=TEXT,
    description=TEXT,
    service=st.none() | TEXT.filter(bool),
    source=TEXT,
    labels=st.dictionaries(TEXT, TEXT, max_size=3),
    links=st.lists(st.builds(Link, TEXT, TEXT), max_size=2).map(tuple),
    started_at=st.none() | TIME,
    ended_at=st.none() | TIME,
    expires_at=st.none() | TIME,
    pointer=TEXT,
)


@settings(max_examples=60)
@given(st.builds(Signal, TIME, TEXT.filter(bool), st.integers(0, 1 << 40), ALERTS, TEXT))
def test_a_signal_comes_back_as_it_was(signal: Signal) -> None:
    line = line_of(signal)

    assert line.endswith(b"\n")
    assert line.count(b"\n") == 1
    assert record_of(line) == signal


@settings(max_examples=30)
@given(
    st.builds(Answer, TIME, TEXT.filter(bool), TEXT, st.sampled_from(ANSWERS), TEXT, st.none() | TIME, st.none() | TIME)
)
def test_an_answer_comes_back_as_it_was(answer: Answer) -> None:
    assert record_of(line_of(answer)) == answer


def test_what_json_cannot_hold_is_replaced() -> None:
    signal = Signal(Instant(0), "apps", 1, Alert("firing", "k\ud800", title="x\udfff"))

    found = record_of(line_of(signal))
    assert isinstance(found, Signal)
    assert found.alert.title == "x?"


def test_the_least_that_can_be_replayed() -> None:
    found = record_of(b'{"received_at": "2026-01-05T12:00:00Z", "integration": "apps", "title": "x"}')

    assert found == Signal(Instant(1_767_614_400_000), "apps", 0, Alert("firing", None, title="x"))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"{", "is not JSON"),
        (b"[]", "is no object"),
        (b"{}", "received_at is missing; write for example"),
        (b'{"received_at": "2026-01-05T12:00:00Z"}', "integration is missing: whose alert is this?"),
        (b'{"received_at": "2026-01-05 12:00"}', "'2026-01-05 12:00' is not a time; write for example"),
        (b'{"received_at": "2026-01-05T12:00:00Z", "integration": "a", "status": "burning"}', "'burning' is none of firing"),
        (b'{"received_at": "2026-01-05T12:00:00Z", "integration": "a", "severity": "bad"}', "'bad' is none of critical"),
        (b'{"received_at": "2026-01-05T12:00:00Z", "integration": "a", "labels": {"a": 1}}', "labels: is not an object of texts"),
        (b'{"received_at": "2026-01-05T12:00:00Z", "integration": "a", "title": 1}', "title: is not a text"),
        (b'{"received_at": "2026-01-05T12:00:00Z", "integration": "a", "links": 1}', 'links: is not a list of {"href", "text"}'),
        (b'{"received_at": "2026-01-05T12:00:00Z", "integration": "a", "by": "user:ana"}', "a person's answer is one of"),
        (b"\xff", "is not JSON"),
    ],
)  # fmt: skip
def test_a_line_that_cannot_be_read_says_why(line: bytes, said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("{", r"\{").replace("?", r"\?")):
        record_of(line)
