"""Copies of calendar feeds known here: the daemon's last good ones, read from the database where there is one.

Nothing is fetched unless it is asked for (`tocsin check --online`): a check must say the same in a build that has no
network as on the machine whose daemon fetches, and pages go by what the daemon has.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from tocsin.cli.tables import warn
from tocsin.clock import SystemClock
from tocsin.decide.oncall.feed_copies import Held, instead_of, source_of, with_copies
from tocsin.errors import StoreError
from tocsin.model import HOUR, FeedCopy, Ical, Instant, Millis, Problem, Settings, Where, rfc3339
from tocsin.store import is_absent, open_reader

PATIENCE = Millis(3_000)
MOST_TOLD = 10  # notes of one feed, beside an answer; `tocsin check` tells more
Places = Mapping[tuple[str, str], Where]


def with_known_feeds(settings: Settings, database: str) -> Settings:
    """The settings with what the daemon last fetched in their schedules; said on stderr where that is not known."""
    if not _feeds(settings):
        return settings
    copies = _kept(database)
    known, feeds = with_copies(settings, copies or ())
    for name in _feeds(settings):
        if name not in feeds or feeds[name].copy.fetched_at is None:
            warn(f"{name}: nothing of its feed is known here yet, so nobody is on call by it")
        for note in feeds[name].events.notes[:MOST_TOLD] if name in feeds else ():
            warn(f"{name}: of its feed, {note}")
    return known


def feed_problems(settings: Settings, places: Places, *, online: bool = False) -> tuple[Settings, list[Problem]]:
    """The settings with what is known of their feeds in them, and what is wrong with these, each at its schedule."""
    if not _feeds(settings):
        return settings, []
    copies = _kept(settings.database)
    if online:
        copies = _fetched(settings, copies or ())
    known, feeds = with_copies(settings, copies or ())
    now, top = SystemClock().now(), Where(settings.source, 1, 1)
    found = [
        Problem(places.get(("schedules", name), top), level, code, f"{name}: {message}")
        for name, feed in _feeds(settings).items()
        for level, code, message in _findings(feeds.get(name), feed, copies is None, now)
    ]
    return known, found


def _feeds(settings: Settings) -> dict[str, Ical]:
    return {name: one.ical for name, one in settings.schedules.items() if one.ical is not None}


# ---------------------------------------------------------------------------------------- findings

Finding = tuple[Literal["warning", "info"], str, str]


def _findings(one: Held | None, feed: Ical, no_database: bool, now: Instant) -> Iterator[Finding]:
    if one is None:
        because = "there is no database here" if no_database else "the daemon has not fetched it yet"
        yield "info", "feed-not-read", f"its feed was not read: {because}; tocsin check --online fetches it now"
        return
    yield from _state(one, feed, now)
    for name in one.fed.unknown:
        said = f"its feed names {name!r}, who is nobody here and is not paged"
        yield "warning", "feed-unknown-name", f"{said}; write people: {{{_quoted(name)}: KEY}} under ical"
    for note in one.events.notes:
        yield "warning", "feed-left-out", f"of its feed, {note}"


def _state(one: Held, feed: Ical, now: Instant) -> Iterator[Finding]:
    copy = one.copy
    if copy.error:
        since = f" since {rfc3339(copy.since)}" if copy.since is not None else ""
        yield "warning", "feed-broken", f"its feed {copy.error}{since}; {instead_of(copy)}"
    elif copy.source != source_of(feed):
        yield "info", "feed-not-read", "its feed has another address now, which was not fetched yet"
    elif copy.fetched_at is None or now - copy.fetched_at > max(HOUR, 3 * feed.every):
        when = "never" if copy.fetched_at is None else rfc3339(copy.fetched_at)
        yield "info", "feed-not-read", f"its feed was last fetched {when}; is the daemon running?"
    if copy.fetched_at is not None and not copy.error and not one.events.events:
        yield "warning", "feed-empty", "its feed has no events within the next 400 days"


def _quoted(name: str) -> str:
    plain = name.partition(" (could be ")[0]
    return '"' + plain.replace("\\", "\\\\").replace('"', '\\"') + '"'


# -------------------------------------------------------------------------------------- what is kept


def _kept(url: str) -> Sequence[FeedCopy] | None:
    """The feed copies in the database; None where there is no database. A database that cannot be read is said on
    stderr.
    """
    if is_absent(url):
        return None
    return asyncio.run(_read(url))


async def _read(url: str) -> Sequence[FeedCopy]:
    clock = SystemClock()
    try:
        async with clock.timeout(PATIENCE):
            reader = await open_reader(url, clock)
            try:
                return await reader.feeds()
            finally:
                await reader.close()
    except (StoreError, TimeoutError) as wrong:
        warn(f"what the daemon fetched is not known: {wrong or 'the database does not answer'}")
        return ()


def _fetched(settings: Settings, kept: Sequence[FeedCopy]) -> Sequence[FeedCopy]:
    """Fetch each feed as it is right now; the libraries for it are imported only then."""
    found: Sequence[FeedCopy] = importlib.import_module("tocsin.cli.fetched_feeds").fetched(settings, kept)
    return found
