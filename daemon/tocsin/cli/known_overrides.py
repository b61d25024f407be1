"""Overrides made at run time, read from the database where there is one; a database is never created."""

from __future__ import annotations

import asyncio

from tocsin.cli.tables import warn
from tocsin.clock import SystemClock
from tocsin.decide.oncall.overrides import Extra, extra_of
from tocsin.errors import StoreError
from tocsin.model import EMPTY, Instant, Millis, Settings
from tocsin.store import is_absent, open_reader

PATIENCE = Millis(3_000)


def known_overrides(settings: Settings, *, database: str | None = None) -> Extra:
    """Overrides made at run time, by schedule, as these settings know their people; none where there is no database
    (`database`: another's).

    A database that is there and cannot be read is said on stderr: the answer may be another one than the daemon's.
    """
    url = database or settings.database
    if is_absent(url):
        return EMPTY
    return asyncio.run(_known(settings, url))


async def _known(settings: Settings, url: str) -> Extra:
    clock = SystemClock()
    try:
        async with clock.timeout(PATIENCE):
            reader = await open_reader(url, clock)
            try:
                return extra_of(await reader.overrides(Instant(0)), settings)
            finally:
                await reader.close()
    except (StoreError, TimeoutError) as wrong:
        because = str(wrong) or f"no answer within {PATIENCE // 1000} s"
        warn(f"overrides made at run time are not known: {because}")
        return EMPTY
