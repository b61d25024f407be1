"""Last good copies of calendars: what they say about schedules, and what is wrong with each."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tocsin.decide.oncall.feeds import Fed, FeedEvents, fed, from_json, names_of, shifts_of
from tocsin.model import DAY, FeedCopy, Ical, Millis, Schedule, Settings, User, rfc3339

BACK, AHEAD = Millis(32 * DAY), Millis(400 * DAY)  # how far events are spelled out


@dataclass(frozen=True, slots=True)
class Held:
    """State of one feed: its copy, the events in it, and what they mean for whom, with these users."""

    copy: FeedCopy
    events: FeedEvents
    fed: Fed
    users: Mapping[str, User]
    feed: Ical | None

    def means_the_same(self, copy: FeedCopy, schedule: Schedule, settings: Settings) -> bool:
        """Whether that copy with those people comes to what this one does."""
        return self.copy.events == copy.events and self.users is settings.users and self.feed == schedule.ical


def held(copy: FeedCopy, schedule: Schedule, settings: Settings) -> Held:
    """Meaning of a copy with these users."""
    events = from_json(copy.events) if copy.events else FeedEvents()
    found = shifts_of(events, names_of(schedule, settings.users))
    return Held(copy, events, found, settings.users, schedule.ical)


def with_copies(settings: Settings, copies: Iterable[FeedCopy]) -> tuple[Settings, Mapping[str, Held]]:
    """The settings with what the copies say in their schedules, and each feed as it stands."""
    kept = {copy.schedule: copy for copy in copies}
    feeds = {
        name: held(kept[name], schedule, settings)
        for name, schedule in settings.schedules.items()
        if schedule.ical is not None and name in kept
    }
    shifts = {name: one.fed.shifts for name, one in feeds.items()}
    return fed(settings, shifts, {name: one.events.notes for name, one in feeds.items()}), feeds


def readable_of(copy: FeedCopy) -> bytes:
    """Readable part of a copy, as a file to read beside the next one: itself, and what it kept of those before."""
    kept = from_json(copy.events).kept if copy.events else ""
    return b"\r\n".join([copy.body, kept.encode()]) if copy.body else b""


def trouble(one: Held | None, feed: Ical) -> str:
    """Trouble of a feed, in one sentence without names or addresses; "" when nothing is."""
    if one is None or (one.copy.fetched_at is None and not one.copy.error):
        return "not fetched yet: nobody is on call by it"
    if one.copy.error:
        since = f" since {rfc3339(one.copy.since)}" if one.copy.since is not None else ""
        return f"{one.copy.error}{since}; {instead_of(one.copy)}"
    if one.copy.source != source_of(feed):
        return f"its address was changed and not fetched yet; {instead_of(one.copy)}"
    if one.fed.unknown:
        count = len(one.fed.unknown)
        return f"{count} name{'s are' if count > 1 else ' is'} nobody's here; `tocsin check` tells which"
    return ""


def instead_of(copy: FeedCopy) -> str:
    """Copy that is used while the feed is broken."""
    if copy.fetched_at is None:
        return "it was never read, so nobody is on call by it"
    return f"the copy of {rfc3339(copy.fetched_at)} is used"


def source_of(feed: Ical) -> str:
    """A name for the address that does not tell it."""
    return hashlib.blake2b(feed.url.first.encode(), digest_size=12).hexdigest()
