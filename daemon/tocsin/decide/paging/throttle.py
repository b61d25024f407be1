"""Throttle: whether this person may be messaged over this channel now, or when.

Limits are per person and channel. Pages at the limit wait, and become one summary at the next free
slot, at the latest after a minute: then it may go beyond the limit, once in each window, so that nobody hears nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tocsin.decide.views import in_words
from tocsin.model import DEFAULT_THROTTLE, Instant, Limit, Millis, Priority, Settings, rfc3339

PATIENCE = Millis(60_000)
PAGES = ("page", "summary")
"""The kinds that count towards a limit: what is no page never takes the room of one."""

LOUDNESS = {"voice": 2, "sms": 1}
"""How well a kind of channel wakes people; every other kind wakes nobody."""


@dataclass(frozen=True, slots=True)
class Now:
    """There is room."""


@dataclass(frozen=True, slots=True)
class Later:
    """The limit is reached; a slot is free at `at`."""

    at: Instant
    because: str


def limits_for(settings: Settings, channel: str, kind: str) -> tuple[Limit, ...]:
    """The limits of a channel: those written by its name replace those of its kind (sms, voice, mail, chat).

    A default is for its kind alone, whatever a channel is called: a webhook named "mail" has no limit.
    """
    by_name = settings.throttle.get(channel)
    if by_name is not None and (channel == kind or by_name is not DEFAULT_THROTTLE.get(channel)):
        return by_name
    return settings.throttle.get(kind, ()) if kind else ()


def keeps_its_place(priority: Priority, kind: str, other: str) -> bool:
    """Whether a page that goes out over a channel of the kind `other` waits for its own channel's slot too.

    A P1 or P2 does where the other kind wakes people less: a mail alone lets them sleep.
    """
    return priority in ("P1", "P2") and LOUDNESS.get(other, 0) < LOUDNESS.get(kind, 0)


def longest(limits: Sequence[Limit]) -> Millis:
    return max((limit.window for limit in limits), default=Millis(0))


def room(sent: Sequence[Instant], limits: Sequence[Limit], now: Instant, *, urgent: bool) -> Now | Later:
    """Whether one more message fits. One slot of each window that has several is kept for P1 (`urgent`)."""
    frees = [(at, limit) for limit in limits if (at := _free_at(sent, limit, now, spare=0 if urgent else 1)) > now]
    if not frees:
        return Now()
    at, limit = max(frees, key=lambda pair: pair[0])
    return Later(at, f"at most {limit.count} message{'s' if limit.count > 1 else ''} in {in_words(limit.window)}")


def delay(at: Instant, because: str) -> str:
    """Text of a page that had to wait, or that travels with others, about that."""
    return f"{rfc3339(at)}: {because}"


def overflow_at(sent: Sequence[Instant], limits: Sequence[Limit], now: Instant) -> Instant:
    """Instant at which a summary may go beyond the limits: each window bears one message more than it says, no second
    one."""
    return max((_free_at(sent, Limit(limit.count + 1, limit.window), now, spare=0) for limit in limits
                if limit.window > PATIENCE), default=now)  # fmt: skip


def _free_at(sent: Sequence[Instant], limit: Limit, now: Instant, spare: int) -> Instant:
    """Instant at which the window lets one more through; `now` when it does already."""
    allowed = limit.count - spare if limit.count > 1 else limit.count
    if len(sent) < allowed:
        return now
    return Instant(max(now, sorted(sent)[-allowed] + limit.window))
