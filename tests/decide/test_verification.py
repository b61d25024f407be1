"""Codes: how often, how long, how many tries. Tables of a clock in seconds."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tocsin.decide.paging import verification
from tocsin.decide.paging.verification import NotNow, NotProven, Proven, Send
from tocsin.model import Contact, Instant, Verification

NEW = Verification("ana", "twilio_sms", "+1")


def asked(*seconds: int) -> list[bool]:
    """Whether a code asked for at each of these seconds goes out."""
    known, went = NEW, []
    for each in seconds:
        answer = verification.ask(known, f"p{each}", "user:ana", Instant(each * 1000), readmits=False)
        went.append(isinstance(answer, Send))
        known = answer.known if isinstance(answer, Send) else known
    return went


@pytest.mark.parametrize(
    ("seconds", "went"),
    [
        ((0, 59, 60), [True, False, True]),
        ((0, 60, 120, 180, 240, 300, 3599, 3600), [True] * 5 + [False, False, True]),
    ],
)
def test_codes_are_not_sent_as_often_as_one_likes(seconds: tuple[int, ...], went: list[bool]) -> None:
    assert asked(*seconds) == went


@given(st.lists(st.integers(0, 20_000), max_size=60))
def test_no_hour_of_asking_brings_more_than_twice_five(moments: list[int]) -> None:
    ordered = sorted(moments)
    sent = [at for at, went in zip(ordered, asked(*ordered), strict=True) if went]

    assert all(later - sooner >= 60 for sooner, later in pairwise(sent))
    assert all(sum(start <= at < start + 3600 for at in sent) <= 10 for start in sent)


def code_out() -> Verification:
    answer = verification.ask(NEW, "p1", "user:ana", Instant(0), readmits=False)
    assert isinstance(answer, Send)
    return answer.known


def test_the_right_code_in_time_proves() -> None:
    answer = verification.confirm(code_out(), True, "user:ana", Instant(599_999))

    assert isinstance(answer, Proven)
    assert (answer.known.verified_at, answer.known.verified_by, answer.known.page) == (599_999, "user:ana", "")


@pytest.mark.parametrize(
    ("known", "right", "now", "because"),
    [
        (NEW, True, 1, "no code is under way for it"),
        (code_out(), True, 600_000, "the code has expired; it holds 10 minutes"),
        (code_out(), False, 1, "that is not the code; 4 tries are left"),
    ],
)
def test_what_does_not_prove_says_why(known: Verification, right: bool, now: int, because: str) -> None:
    answer = verification.confirm(known, right, "user:ana", Instant(now))

    assert isinstance(answer, NotProven)
    assert answer.because == because


def test_the_right_code_after_five_wrong_ones_proves_nothing() -> None:
    known = code_out()
    for _ in range(verification.MOST_TRIES):
        answer = verification.confirm(known, False, "user:ana", Instant(1))
        known = answer.known

    answer = verification.confirm(known, True, "user:ana", Instant(1))
    assert isinstance(answer, NotProven)
    assert answer.late


def test_a_new_code_takes_the_place_of_the_old_one_and_its_tries() -> None:
    wrong = verification.confirm(code_out(), False, "user:ana", Instant(1)).known

    answer = verification.ask(wrong, "p2", "user:ana", Instant(60_000), readmits=False)

    assert isinstance(answer, Send)
    assert (answer.known.page, answer.known.tries, answer.known.expires_at) == ("p2", 0, 660_000)


def test_the_wait_is_told() -> None:
    answer = verification.ask(code_out(), "p2", "user:ana", Instant(500), readmits=False)

    assert answer == NotNow("a code was sent a moment ago; another one can be sent in 60 s")


def test_the_text_begins_with_the_code_and_the_voice_says_it_three_times() -> None:
    assert verification.code_text("012345", "ana", Contact("sms", "sms", "+1")).startswith("012345 is the Tocsin code")
    assert verification.spoken_code("012345").count("0, 1, 2, 3, 4, 5") == 3
