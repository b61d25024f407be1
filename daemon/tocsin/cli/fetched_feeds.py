"""Fetch the calendar feeds of a configuration right now, for `tocsin check --online`."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from tocsin.clock import SystemClock
from tocsin.decide.oncall.feed_copies import AHEAD, BACK, readable_of, source_of
from tocsin.errors import BadFeed
from tocsin.feed_process import ReadApart
from tocsin.model import FeedCopy, Ical, Instant, Schedule, Settings
from tocsin.transport import AioHttp
from tocsin.work.oncall.feed_fetch import fetch


def fetched(settings: Settings, kept: Sequence[FeedCopy] = ()) -> list[FeedCopy]:
    """Fetch a copy for each schedule that has a feed; nothing is stored. A feed that cannot be read is as in the
    daemon's last good copies, `kept`, as it will be for the daemon.
    """
    return asyncio.run(_all(settings, {copy.schedule: copy for copy in kept}))


async def _all(settings: Settings, kept: Mapping[str, FeedCopy]) -> list[FeedCopy]:
    clock = SystemClock()
    http, read = AioHttp(clock), ReadApart(clock)
    try:
        schedules = settings.schedules.values()
        return [
            await _one(http, read, clock, one, one.ical, kept.get(one.name))
            for one in schedules
            if one.ical is not None
        ]
    finally:
        await http.close()


async def _one(
    http: AioHttp, read: ReadApart, clock: SystemClock, schedule: Schedule, feed: Ical, kept: FeedCopy | None
) -> FeedCopy:
    copy = FeedCopy(schedule.name, source_of(feed))
    try:
        answer = await fetch(http, clock, feed.url.first, allow_private=feed.allow_private)
        assert answer is not None, "nothing was asked conditionally"
        now = clock.now()
        window = Instant(now - BACK), Instant(now + AHEAD)
        before = b"" if kept is None else readable_of(kept)
        events = await read(answer.body, schedule.timezone, *window, before)
    except BadFeed as bad:
        return FeedCopy(copy.schedule, copy.source, error=str(bad))
    return FeedCopy(copy.schedule, copy.source, now, body=answer.body, events=events)
