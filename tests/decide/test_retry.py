"""What follows an attempt."""

from __future__ import annotations

from dataclasses import replace

import pytest

from tocsin.decide.paging.retry import Again, Over, Wait, after, after_unknown
from tocsin.model import Accepted, Cancelled, Failed, Instant, Millis, Outcome, Page, Unknown

NOW = Instant(1_000_000)
PAGE = Page(
    id="ab", key="k", kind="page", incident=7, cycle=1, round=1, step=1, rule=1, target="user:ana", user="ana",
    contact="sms", channel="sms", due_at=NOW, created_at=NOW,
)  # fmt: skip


def following(
    outcome: Outcome,
    *,
    tries: int = 0,
    failures: int = 0,
    confirms: bool = False,
    fallback: str = "",
    more: bool = False,
) -> Over | Again | Wait:
    page = replace(PAGE, tries=tries, failures=failures)
    return after(outcome, page, NOW, confirms=confirms, fallback=fallback, more_contacts=more)


def test_accepted_is_the_end() -> None:
    assert following(Accepted("SM1"), tries=1) == Over("done", "accepted")


def test_refused_at_the_gate_is_the_end_and_hurries_nobody() -> None:
    assert following(Cancelled("acknowledged")) == Over("cancelled", "acknowledged")


@pytest.mark.parametrize(("failures", "seconds"), [(1, 5), (2, 10), (3, 20)])
def test_what_surely_failed_is_tried_again_after_longer_and_longer_pauses(failures: int, seconds: int) -> None:
    found = following(Failed("refused"), failures=failures)

    assert found == Again(Instant(NOW + seconds * 1000), "refused", next_contact=True)


def test_the_fourth_failure_ends_it() -> None:
    assert following(Failed("refused"), failures=4) == Over("failed", "refused", next_contact=True)


def test_the_provider_may_ask_for_a_longer_pause() -> None:
    found = following(Failed("429", retry_after=Millis(90_000)), failures=1)

    assert found == Again(Instant(NOW + 90_000), "429", next_contact=True)


def test_no_provider_asks_for_more_than_an_hour() -> None:
    found = following(Failed("429", retry_after=Millis(90_000_000)), failures=1)

    assert found == Again(Instant(NOW + 3_600_000), "429", next_contact=True)


def test_a_fallback_is_used_at_once_and_not_for_itself() -> None:
    assert following(Failed("refused"), failures=1, fallback="sms-b") == Again(
        NOW, "refused", "sms-b", next_contact=True
    )
    assert following(Failed("refused"), failures=1, fallback="sms") == Again(
        Instant(NOW + 5_000), "refused", next_contact=True
    )


def test_a_permanent_failure_ends_it_at_once() -> None:
    assert following(Failed("bad number", permanent=True), failures=1) == Over(
        "failed", "bad number", next_contact=True
    )


def test_an_unknown_one_waits_twenty_seconds_where_word_may_come() -> None:
    assert following(Unknown("reset"), tries=1, confirms=True) == Wait(Instant(NOW + 20_000), "reset")


def test_an_unknown_one_is_sent_once_more_where_no_word_can_come() -> None:
    assert following(Unknown("reset"), tries=1) == Again(NOW, "reset")


def test_an_unknown_one_goes_over_the_next_contact_where_there_is_one() -> None:
    found = following(Unknown("reset"), tries=1, more=True)

    assert found == Over("done", "unknown: reset; the next contact is tried", next_contact=True)


@pytest.mark.parametrize("more", [True, False])
@pytest.mark.parametrize("fallback", ["", "sms-b"])
def test_there_is_never_a_third_that_may_have_arrived(more: bool, fallback: str) -> None:
    found = after_unknown("reset", replace(PAGE, tries=2), NOW, fallback, more)

    assert found == Over("done", "unknown twice: reset", next_contact=True)
