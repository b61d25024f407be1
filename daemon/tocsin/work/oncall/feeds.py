"""Calendars that others keep: fetched now and then, the last good copy used whatever becomes of them.

What they say stands in the schedules of the settings in force, so that paging, API, pages and explain see the same.
"""

from __future__ import annotations

from asyncio import Event
from collections.abc import Sequence
from dataclasses import replace

import structlog

from tocsin.contracts import Http, ReadFeed, Tx
from tocsin.decide.oncall.feed_copies import AHEAD, BACK, Held, held, instead_of, readable_of, source_of, trouble
from tocsin.decide.oncall.feeds import Fed, FeedEvents, fed, from_json, growing, names_of
from tocsin.errors import BadFeed, StoreUnavailable
from tocsin.model import DAY, MINUTE, SECOND, FeedCopy, FeedShift, Ical, Instant, Millis, Schedule, Settings
from tocsin.model.civil import unix
from tocsin.work.background_duties import promise
from tocsin.work.oncall.feed_fetch import Fetched, fetch
from tocsin.work.runtime import InForce, Runtime

log = structlog.stdlib.get_logger("tocsin.feeds")

FRESH = Millis(DAY)  # events are spelled out again after this, as the window moves on
AT_ONCE = 8
LONGEST = Millis(5 * MINUTE)  # for one feed, its fetching and its reading
SOONEST = MINUTE  # a broken feed is tried again after this, then ever later


class Feeds:
    """Fetches each feed of the configuration in force when its time has come."""

    def __init__(self, runtime: Runtime, http: Http, read: ReadFeed) -> None:
        self.runtime, self._http, self._read = runtime, http, read
        self.held: dict[str, Held] = {}
        self._due: dict[str, Instant] = {}
        self._failures: dict[str, int] = {}
        self._changed = Event()
        self._more = False  # another round at once

    async def load(self) -> None:
        """The last good copies, in force before the first page is planned."""
        self._take(await self.runtime.store.feeds())

    def _take(self, copies: Sequence[FeedCopy]) -> None:
        settings = self.runtime.settings
        for copy in copies:
            schedule = settings.schedules.get(copy.schedule)
            if schedule is not None and schedule.ical is not None:
                self.held[copy.schedule] = held(copy, schedule, settings)
        self._put_in_force()

    def over(self, settings: Settings) -> Settings:
        """Settings that were just read, with the feeds in them; feeds that are new are fetched at once."""
        for name, one in list(self.held.items()):
            schedule = settings.schedules.get(name)
            if schedule is None or schedule.ical is None:
                del self.held[name]
            else:
                self.held[name] = held(one.copy, schedule, settings)
                if one.copy.source != source_of(schedule.ical):
                    self._due.pop(name, None)
        self._changed.set()
        return fed(settings, self._shifts(), self._notes())

    def troubles(self) -> dict[str, str]:
        """Schedule → what is wrong with its feed; those that are well are absent."""
        feeds = {name: one.ical for name, one in self.runtime.settings.schedules.items() if one.ical is not None}
        found = {name: trouble(self.held.get(name), feed) for name, feed in feeds.items()}
        return {name: said for name, said in found.items() if said}

    # ------------------------------------------------------------------------------ the task

    async def run(self) -> None:
        """For ever; a feed's trouble is its own, and told with it. The duty is that each gets its turn."""
        rest = Millis(max(MINUTE, self.runtime.poll))
        duty = self.runtime.duties.add("feeds", self._round, within=promise(rest), limit=Millis(10 * MINUTE))
        while True:
            if not await duty.run():
                await self.runtime.clock.sleep(Millis(SECOND))
            elif not self._more:
                self._changed.clear()
                at = min([*self._due.values(), Instant(self.runtime.clock.now() + rest)])
                await self.runtime.clock.wait(self._changed, at)

    async def _round(self) -> None:
        """Fetch those that are due, some at a time. Raises behind the last what one of them raised."""
        self._measure()
        now = self.runtime.clock.now()
        wanted = {name for name, one in self.runtime.settings.schedules.items() if one.ical is not None}
        self._due = {name: self._due.get(name, now) for name in wanted}
        due = sorted((name for name, at in self._due.items() if at <= now), key=lambda name: self._due[name])
        self._more = bool(due)
        for name in due[:AT_ONCE]:
            self._due[name] = self._next(name, now)
        tasks = [self.runtime.spawn(self._look(name), f"feed {name}") for name in due[:AT_ONCE]]
        failed = [error for task in tasks if (error := await task) is not None]
        if failed:
            raise failed[0]

    def _next(self, name: str, now: Instant) -> Instant:
        """After `every`; sooner while it fails, up to that. A little apart, so that not all ask at once."""
        feed = self.runtime.settings.schedules[name].ical
        assert feed is not None
        failures = self._failures.get(name, 0)
        length = min(feed.every, SOONEST * 2 ** min(failures - 1, 10)) if failures else feed.every
        return Instant(now + int(length * (1 + self.runtime.chance.fraction() / 10)))

    async def _look(self, name: str) -> Exception | None:
        """Trouble other than with the feed itself."""
        try:
            async with self.runtime.clock.timeout(LONGEST):
                await self._fetch(name)
        except StoreUnavailable as error:
            log.warning("feed_postponed", schedule=name, error=str(error))
            return error
        except Exception as error:  # one feed must not end the others
            log.error("feed_failed", schedule=name, error=repr(error), exc_info=True)
            return error
        return None

    # ------------------------------------------------------------------------------ one feed

    async def _fetch(self, name: str) -> None:
        schedule = self.runtime.settings.schedules.get(name)
        if schedule is None or schedule.ical is None or await self._done_elsewhere(name, schedule.ical):
            return
        one = self.held.get(name)
        copy = one.copy if one is not None else FeedCopy(name)
        try:
            copy = await self._newer(copy, schedule, schedule.ical)
        except BadFeed as error:
            await self._failed(replace(copy, schedule=name), str(error), schedule)
        else:
            await self._succeeded(copy, schedule)

    async def _done_elsewhere(self, name: str, feed: Ical) -> bool:
        """Take over what another replica has just fetched: all use the same copy."""
        if self.runtime.store.exclusive:
            return False
        kept = {copy.schedule: copy for copy in await self.runtime.store.feeds()}
        copy, mine = kept.get(name), self.held.get(name)
        if copy is None:
            return False
        if mine is None or mine.copy != copy:
            self._take([copy])
        fetched = copy.fetched_at if copy.source == source_of(feed) and not copy.error else None
        return fetched is not None and self.runtime.clock.now() - fetched < feed.every

    async def _newer(self, copy: FeedCopy, schedule: Schedule, feed: Ical) -> FeedCopy:
        """The copy as of now. Raises BadFeed; what is kept stays then."""
        same = copy.source == source_of(feed) and bool(copy.body)
        answer = await fetch(
            self._http, self.runtime.clock, feed.url.first,
            etag=copy.etag if same else "", modified=copy.modified if same else "", allow_private=feed.allow_private,
        )  # fmt: skip
        now = self.runtime.clock.now()
        if answer is None:
            answer = Fetched(copy.body, copy.etag, copy.modified)
        marked = replace(copy, source=source_of(feed), etag=answer.etag, modified=answer.modified)
        fetched = replace(marked, fetched_at=now, error="", since=None)
        if answer.body == copy.body and self._is_fresh(copy, schedule, now):
            return fetched
        events = await self._spelt(answer.body, schedule, now, copy)
        return replace(fetched, body=answer.body, events=events, timezone=schedule.timezone, read_at=now)

    def _is_fresh(self, copy: FeedCopy, schedule: Schedule, now: Instant) -> bool:
        return copy.timezone == schedule.timezone and copy.read_at is not None and now - copy.read_at < FRESH

    async def _spelt(self, body: bytes, schedule: Schedule, now: Instant, copy: FeedCopy) -> bytes:
        """Keep what cannot be read now as the last good copy has it."""
        window = Instant(unix(now) - BACK), Instant(unix(now) + AHEAD)
        before = readable_of(copy)
        if not before:
            return await self._read(body, schedule.timezone, *window)
        return await self._read(body, schedule.timezone, *window, before)

    async def _succeeded(self, copy: FeedCopy, schedule: Schedule) -> None:
        before = self.held.get(copy.schedule)
        await self._keep(before, copy)
        self._failures.pop(copy.schedule, None)
        if before is not None and before.copy.error:
            log.info("feed_recovered", schedule=copy.schedule)
        await self._hold(copy, before)

    async def _failed(self, copy: FeedCopy, because: str, schedule: Schedule) -> None:
        """Keep in force what was kept, spelled out further when its window has moved on."""
        now, before = self.runtime.clock.now(), self.held.get(copy.schedule)
        self._failures[copy.schedule] = self._failures.get(copy.schedule, 0) + 1
        if copy.error != because:
            log.warning("feed_broken", schedule=copy.schedule, because=because, instead=instead_of(copy))
        copy = replace(copy, error=because, since=copy.since if copy.since is not None else now)
        if copy.body and not self._is_fresh(copy, schedule, now):
            try:
                events = await self._spelt(copy.body, schedule, now, copy)
                copy = replace(copy, events=events, timezone=schedule.timezone, read_at=now)
            except BadFeed as error:
                log.error("kept_feed_unreadable", schedule=copy.schedule, because=str(error))
        await self._keep(before, copy)
        await self._hold(copy, before)

    async def _keep(self, before: Held | None, copy: FeedCopy) -> None:
        """Durable before it counts; the body is written only when there is another one."""

        async def work(tx: Tx) -> None:
            if before is not None and _same_contents(before.copy, copy):
                tx.touch_feed(copy.schedule, copy.fetched_at, copy.error, copy.since)
            else:
                tx.save_feed(copy)

        if before is None or before.copy != copy:
            await self.runtime.store.write(work, lane="ingest")

    async def _hold(self, copy: FeedCopy, before: Held | None) -> None:
        while True:
            settings = self.runtime.settings
            schedule = settings.schedules.get(copy.schedule)
            if schedule is None or schedule.ical is None:
                return  # reloaded meanwhile
            found = await self._understood(copy, schedule, settings)
            now = self.runtime.settings.schedules.get(copy.schedule)
            if now is not None and found.means_the_same(copy, now, self.runtime.settings):
                break
        self.held[copy.schedule] = found
        self._tell(found, before)
        self._put_in_force()

    async def _understood(self, copy: FeedCopy, schedule: Schedule, settings: Settings) -> Held:
        """Meaning of a copy; pages and posts get their turns while names are looked for in a long one."""
        before = self.held.get(copy.schedule)
        if before is not None and before.means_the_same(copy, schedule, settings):
            return replace(before, copy=copy)
        events = from_json(copy.events) if copy.events else FeedEvents()
        found = Fed((), ())
        for so_far in growing(events, names_of(schedule, settings.users)):
            found = so_far
            await self.runtime.clock.turn()
        return Held(copy, events, found, settings.users, schedule.ical)

    def _tell(self, one: Held, before: Held | None) -> None:
        """Once per change."""
        unknown, notes = one.fed.unknown, one.events.notes
        if unknown and (before is None or unknown != before.fed.unknown):
            log.warning("feed_names_unknown", schedule=one.copy.schedule, names=list(unknown))
        if notes and (before is None or notes != before.events.notes):
            log.warning("feed_left_out", schedule=one.copy.schedule, notes=list(notes))

    # ------------------------------------------------------------------------------ in force

    def _shifts(self) -> dict[str, tuple[FeedShift, ...]]:
        return {name: one.fed.shifts for name, one in self.held.items()}

    def _notes(self) -> dict[str, tuple[str, ...]]:
        return {name: one.events.notes for name, one in self.held.items()}

    def _put_in_force(self) -> None:
        """Only where it changes something: the plans of unchanged schedules stay compiled."""
        live, notes = self.runtime.live, self._notes()
        known = live.settings.schedules
        shifts = {
            name: found
            for name, found in self._shifts().items()
            if name in known and (known[name].feed, known[name].feed_notes) != (found, notes[name])
        }
        if shifts:
            self.runtime.live = InForce(fed(live.settings, shifts, notes), live.rulebook, live.sources)
        self._measure()

    def _measure(self) -> None:
        metrics, schedules = self.runtime.metrics, self.runtime.settings.schedules
        for gauge in (
            metrics.feed_last_success_timestamp_seconds, metrics.feed_working, metrics.feed_unknown_names,
            metrics.feed_doubtful_events,
        ):  # fmt: skip
            gauge.clear()
        for name, schedule in schedules.items():
            if schedule.ical is None:
                continue
            one = self.held.get(name)
            fetched = one.copy.fetched_at if one is not None else None
            metrics.feed_last_success_timestamp_seconds.labels(name).set(unix(fetched) / 1000 if fetched else 0)
            metrics.feed_working.labels(name).set(one is not None and fetched is not None and not one.copy.error)
            metrics.feed_unknown_names.labels(name).set(len(one.fed.unknown) if one is not None else 0)
            metrics.feed_doubtful_events.labels(name).set(one.events.doubtful if one is not None else 0)


def _same_contents(one: FeedCopy, other: FeedCopy) -> bool:
    """Whether only the outcome of the last try differs."""
    return replace(one, fetched_at=None, error="", since=None) == replace(other, fetched_at=None, error="", since=None)
