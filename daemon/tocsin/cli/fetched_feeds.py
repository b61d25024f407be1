"""What do the calendar feeds of this configuration say right now? For `tocsin check --online`."""

from __future__ import annotations

import asyncio

from tocsin.apart import ReadApart
from tocsin.clock import SystemClock
from tocsin.decide.copies import AHEAD, BACK, source_of
from tocsin.errors import BadFeed
from tocsin.model import FeedCopy, Ical, Instant, Schedule, Settings
from tocsin.transport import AioHttp
from tocsin.work.fetching import fetch


def fetched(settings: Settings) -> list[FeedCopy]:
    """One copy a schedule that has a feed; nothing is kept."""
    return asyncio.run(_all(settings))


async def _all(settings: Settings) -> list[FeedCopy]:
    clock = SystemClock()
    http, read = AioHttp(clock), ReadApart(clock)
    try:
        schedules = settings.schedules.values()
        return [await _one(http, read, clock, one, one.ical) for one in schedules if one.ical is not None]
    finally:
        await http.close()


async def _one(http: AioHttp, read: ReadApart, clock: SystemClock, schedule: Schedule, feed: Ical) -> FeedCopy:
    copy = FeedCopy(schedule.name, source_of(feed))
    try:
        answer = await fetch(http, clock, feed.url.first, allow_private=feed.allow_private)
        assert answer is not None, "nothing was asked conditionally"
        now = clock.now()
        events = await read(answer.body, schedule.timezone, Instant(now - BACK), Instant(now + AHEAD))
    except BadFeed as bad:
        return FeedCopy(copy.schedule, copy.source, error=str(bad))
    return FeedCopy(copy.schedule, copy.source, now, body=answer.body, events=events)
