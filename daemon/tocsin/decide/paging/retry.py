"""Retry: what follows an attempt. Done, try again, wait for word, or go to the person's next contact."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model import Accepted, Cancelled, Failed, Instant, Millis, Outcome, Page, Unknown

MOST_DELIVERED = 2  # attempts that may have been delivered, per page (I3)
MOST_FAILURES = 4  # attempts that surely were not
FIRST_BACKOFF = Millis(5_000)
LONGEST_BACKOFF = Millis(60_000)
LONGEST_PAUSE = Millis(3_600_000)  # that a provider may ask for
CONFIRM_WITHIN = Millis(20_000)  # an unknown outcome may be confirmed for so long


@dataclass(frozen=True, slots=True)
class Over:
    """The page has come to its end. `next_contact`: the person's next planned page goes at once."""

    status: str
    because: str
    next_contact: bool = False


@dataclass(frozen=True, slots=True)
class Again:
    """Try the page once more at `at`, over `channel` ("" = its own). `next_contact` as above."""

    at: Instant
    because: str
    channel: str = ""
    next_contact: bool = False


@dataclass(frozen=True, slots=True)
class Wait:
    """For a callback or a look-up, at most until `until`."""

    until: Instant
    because: str


def after(
    outcome: Outcome, page: Page, now: Instant, *, confirms: bool, fallback: str, more_contacts: bool
) -> Over | Again | Wait:
    """The next move of `page`, now that its attempt ended with `outcome`.

    `page` counts the attempt already. `confirms`: an unknown outcome can become known. `fallback`: a
    channel to use while this one fails. `more_contacts`: the person has a planned page on another contact.
    """
    match outcome:
        case Accepted():
            return Over("done", "accepted")
        case Cancelled(because):
            return Over("cancelled", because)
        case Failed(because, permanent=True):
            return Over("failed", because, next_contact=True)
        case Failed(because) as failed:
            return _after_failure(failed, because, page, now, fallback)
        case Unknown(because) if confirms:
            return Wait(Instant(now + CONFIRM_WITHIN), because)
        case Unknown(because):
            return after_unknown(because, page, now, fallback, more_contacts)


def after_unknown(because: str, page: Page, now: Instant, fallback: str, more_contacts: bool) -> Over | Again:
    """Still unknown: exactly one more attempt, over the person's next contact where one is planned."""
    if page.tries >= MOST_DELIVERED:
        return Over("done", f"unknown twice: {because}", next_contact=True)
    if more_contacts:
        return Over("done", f"unknown: {because}; the next contact is tried", next_contact=True)
    return Again(now, because, fallback)


def _after_failure(failed: Failed, because: str, page: Page, now: Instant, fallback: str) -> Over | Again:
    if page.failures >= MOST_FAILURES:
        return Over("failed", because, next_contact=True)
    if fallback and fallback != page.channel:
        return Again(now, because, fallback, next_contact=True)
    wait = min(LONGEST_BACKOFF, FIRST_BACKOFF * 2 ** (page.failures - 1))
    asked = min(failed.retry_after or 0, LONGEST_PAUSE)
    return Again(Instant(now + max(wait, asked)), because, next_contact=True)
