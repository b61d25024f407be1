"""Leftovers in the database of people who are no longer configured: shifts, tokens, incidents."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator

from tocsin.clock import SystemClock
from tocsin.contracts import IncidentFilter
from tocsin.decide.oncall.overrides import state_of, swap_state
from tocsin.errors import StoreError
from tocsin.model import Incident, Instant, MadeOverride, Millis, Settings, Swap, Token, rfc3339
from tocsin.store import Reader, is_absent, open_reader

PATIENCE = Millis(3_000)
LOOKED_AT = 1_000  # open incidents
GONE = "who is no user any more"
ANSWERED = ("acknowledged", "in_progress", "on_hold")


def known_leavers(settings: Settings) -> list[str]:
    """A sentence for each thing; none where there is no database, or it does not answer. Creates nothing."""
    return [] if is_absent(settings.database) else asyncio.run(_read(settings))


async def _read(settings: Settings) -> list[str]:
    clock = SystemClock()
    try:
        async with clock.timeout(PATIENCE):
            reader = await open_reader(settings.database, clock)
            try:
                return list(await _all_of(reader, settings, clock.now()))
            finally:
                await reader.close()
    except (StoreError, TimeoutError):
        return []


async def _all_of(reader: Reader, settings: Settings, now: Instant) -> Iterable[str]:
    here = settings.users
    incidents = await reader.incidents(IncidentFilter(ANSWERED), LOOKED_AT, None)
    return [
        *_overrides(await reader.overrides(now), here, now),
        *_swaps(await reader.swaps(now), here, now),
        *_tokens(await reader.tokens(), here),
        *_incidents(incidents, here),
    ]


def _overrides(made: Iterable[MadeOverride], here: Iterable[str], now: Instant) -> Iterator[str]:
    for one in made:
        named = [*one.users, *([one.replaces] if one.replaces else [])]
        gone = [user for user in dict.fromkeys(named) if user not in here]
        if gone and state_of(one, now) in ("pending", "active"):
            what = f"the override {one.id} of {one.schedule} until {rfc3339(one.ends_at)}"
            yield f"{what} names {', '.join(gone)}, {GONE}; run tocsin override remove {one.id}"


def _swaps(swaps: Iterable[Swap], here: Iterable[str], now: Instant) -> Iterator[str]:
    for one in swaps:
        gone = [user for user in (one.asker, one.asked) if user not in here]
        if gone and swap_state(one, now) == "asked":
            what = f"the swap {one.id} of {one.schedule} waits for an answer and names {', '.join(gone)}"
            yield f"{what}, {GONE}; it can be accepted by nobody, and ends when its shift begins"


def _tokens(tokens: Iterable[Token], here: Iterable[str]) -> Iterator[str]:
    for one in tokens:
        if one.user is not None and one.user not in here and one.revoked_at is None:
            yield f"the token {one.name} belongs to {one.user}, {GONE}; run tocsin token revoke {one.id}"


def _incidents(incidents: Iterable[Incident], here: Iterable[str]) -> Iterator[str]:
    for one in incidents:
        who = one.acknowledged_by or ""
        user = who.removeprefix("user:")
        if user and ":" not in user and user not in here:
            what = f"INC {one.number} is acknowledged by {user}, {GONE}"
            yield f"{what}, so nobody works on it; run tocsin unack {one.number}"
