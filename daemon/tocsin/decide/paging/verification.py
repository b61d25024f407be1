"""Verification of contacts: whether a code may be sent now, and whether the one that came back proves it."""

from __future__ import annotations

from dataclasses import dataclass, replace

from tocsin.model import HOUR, MINUTE, SECOND, Contact, Instant, Millis, Verification

CODE_LIVES = Millis(10 * MINUTE)
MOST_TRIES = 5
BETWEEN_CODES = MINUTE
CODES_AN_HOUR = 5


@dataclass(frozen=True, slots=True)
class Send:
    """A code goes out; `known` is how things stand from then on."""

    known: Verification


@dataclass(frozen=True, slots=True)
class NotNow:
    """No code: too many were sent lately."""

    because: str


@dataclass(frozen=True, slots=True)
class Proven:
    """The code was right."""

    known: Verification


@dataclass(frozen=True, slots=True)
class NotProven:
    """The code was not right; `known` counts the try. `late`: there is none that counts any more."""

    known: Verification
    because: str
    late: bool = False


def ask(known: Verification, page: str, asked_by: str, now: Instant, *, readmits: bool) -> Send | NotNow:
    """A new code in `page` takes the place of the one before, unless codes were sent too often: a number is not to
    be pestered by asking for codes."""
    if known.asked and now - known.asked_at < BETWEEN_CODES:
        wait = _seconds(known.asked_at + BETWEEN_CODES - now)
        return NotNow(f"a code was sent a moment ago; another one can be sent in {wait} s")
    fresh = not known.asked or now - known.asked_since >= HOUR
    if not fresh and known.asked >= CODES_AN_HOUR:
        wait = _seconds(known.asked_since + HOUR - now)
        return NotNow(f"{CODES_AN_HOUR} codes were sent within an hour; another one can be sent in {wait} s")
    return Send(
        replace(
            known, page=page, expires_at=Instant(now + CODE_LIVES), tries=0, asked_at=now, asked_by=asked_by,
            asked=1 if fresh else known.asked + 1, asked_since=now if fresh else known.asked_since, readmits=readmits,
        )
    )  # fmt: skip


def confirm(known: Verification, right: bool, by: str, now: Instant) -> Proven | NotProven:
    """Outcome of a code that was typed; `right` was found out in constant time, whatever else holds."""
    if not known.page or known.expires_at is None:
        return NotProven(known, "no code is under way for it", late=True)
    if now >= known.expires_at:
        return NotProven(known, f"the code has expired; it holds {CODE_LIVES // MINUTE} minutes", late=True)
    if known.tries >= MOST_TRIES:
        return NotProven(known, "too many wrong codes were entered; ask for a new one", late=True)
    if right:
        return Proven(replace(known, verified_at=now, verified_by=by, page="", expires_at=None, tries=0))
    left = MOST_TRIES - known.tries - 1
    more = f"{left} tries are left" if left > 1 else "one try is left" if left else "ask for a new one"
    return NotProven(replace(known, tries=known.tries + 1), f"that is not the code; {more}")


def code_text(code: str, user: str, contact: Contact) -> str:
    """Message that carries a code: the code first, as a phone shows it in its preview."""
    return (
        f"{code} is the Tocsin code for {user}'s contact {contact.name}. It holds {CODE_LIVES // MINUTE} minutes: "
        f"tocsin contact confirm {user} {code}"
    )


def spoken_code(code: str) -> str:
    """The digits one by one, three times: nobody has a pen at hand."""
    digits = ", ".join(code)
    return f"Tocsin. Your code is: {digits}. Again: {digits}. Once more: {digits}."


def _seconds(length: int) -> int:
    return -(-length // SECOND)
