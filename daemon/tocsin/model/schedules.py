"""Schedules: rotations, layers, overrides, swaps, and shifts that a feed brings."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

from tocsin.model.access import Secret
from tocsin.model.values import EMPTY
from tocsin.model.words import Instant, Millis

Unit = Literal["hours", "days", "weeks", "months"]


@dataclass(frozen=True, slots=True)
class Rotation:
    """A turn lasts `length` `unit`s from the wall-clock time `start` (naive, in the layer's zone)."""

    length: int
    unit: Unit
    start: str  # "2026-01-05T09:00" naive ISO
    days: frozenset[int] | None = None  # 0 = Monday; turns count these days only


@dataclass(frozen=True, slots=True)
class Hours:
    """Cuts coverage. Clock times as minutes of the day; start == end: the whole day.

    `days` are those on which a window begins. `across`: it ends so many days later (Fri 17:00 to Mon 09:00: 3); 0: on
    the same day, or, where `end` is not after `start`, on the next.
    """

    days: frozenset[int]
    start: int
    end: int
    across: int = 0


@dataclass(frozen=True, slots=True)
class Holidays:
    """Whole local days (YYYY-MM-DD, in order) that a layer does not cover (`skip`), or the `only` ones it covers."""

    mode: Literal["skip", "only"]
    dates: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Layer:
    """People who take turns, and the hours that these cover.

    `timezone`: the zone of its handoffs, hours, holidays and end; "": the schedule's. `end`: from this local time on
    nobody of this layer is on call.
    """

    name: str
    users: tuple[tuple[str, ...], ...]
    rotation: Rotation | None  # None: the first entry, always
    hours: tuple[Hours, ...] = ()
    timezone: str = ""
    end: str | None = None  # "2026-06-01T09:00" naive ISO
    holidays: Holidays | None = None

    def zone(self, schedule: Schedule) -> str:
        """The name of the zone in which its times are meant."""
        return self.timezone or schedule.timezone


@dataclass(frozen=True, slots=True)
class FeedShift:
    """A shift read from an iCalendar feed: these people (users' keys) from `start` until `end` (not included)."""

    start: Instant
    end: Instant
    users: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Override:
    """Beats the layers from `start` until `end`: local times of the schedule's zone, or RFC 3339 with an offset.

    `mode` remove without `users` takes everybody (of `replaces`, where that is given) off call.
    """

    users: tuple[str, ...]
    start: str
    end: str
    replaces: str | None = None
    mode: Literal["replace", "add", "remove"] = "replace"
    id: str = ""  # of a run-time override


@dataclass(frozen=True, slots=True)
class Ical:
    """The calendar feed a schedule's shifts are imported from. The address may hold a secret: it is never shown.

    `people`: what the feed calls somebody → that user's key.
    """

    url: Secret
    every: Millis = Millis(300_000)
    people: Mapping[str, str] = EMPTY
    allow_private: bool = False


@dataclass(frozen=True, slots=True)
class Schedule:
    """`feed` is what was last imported: one more layer, named "ical", below the written ones. `feed_notes` tell what of
    it was left out, kept as an earlier copy has it, or guessed."""

    name: str
    timezone: str
    layers: tuple[Layer, ...]
    overrides: tuple[Override, ...] = ()
    handoff_notice: Millis | None = None
    feed: tuple[FeedShift, ...] = ()
    ical: Ical | None = None
    feed_notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class MadeOverride:
    """An override made at run time: by whom and why; and, once taken back, by whom and when.

    It counts from `starts_at`, but never before `created_at`, until `ends_at` or `removed_at`: what was is not
    rewritten. Times are instants, whatever zone they were written in.
    """

    id: str
    schedule: str
    users: tuple[str, ...]
    starts_at: Instant
    ends_at: Instant
    replaces: str | None
    mode: Literal["replace", "add", "remove"]
    author: str  # a user's key
    reason: str
    created_at: Instant
    swap: str = ""  # the id of the swap it is half of
    removed_at: Instant | None = None
    removed_by: str | None = None


@dataclass(frozen=True, slots=True)
class Swap:
    """`asker` asks `asked` to take a shift, and offers to take one of theirs in return (None: a favour)."""

    id: str
    schedule: str
    asker: str
    asked: str
    starts_at: Instant
    ends_at: Instant
    back_from: Instant | None
    back_to: Instant | None
    reason: str
    created_at: Instant
    status: Literal["asked", "accepted", "declined", "withdrawn"] = "asked"
    answered_at: Instant | None = None
    answered_by: str | None = None

    @property
    def dies_at(self) -> Instant:
        """The beginning of the first of its shifts: not accepted by then, it is past due."""
        return self.starts_at if self.back_from is None else min(self.starts_at, self.back_from)


@dataclass(frozen=True, slots=True)
class FeedCopy:
    """The last good copy of a schedule's feed, and how fetching goes.

    `events` are spelled out from `body` in `timezone`, as of `read_at`; `source` names the address without telling it.
    """

    schedule: str
    source: str = ""
    fetched_at: Instant | None = None  # when the server last had it, or said that it had not changed; None: never
    etag: str = ""
    modified: str = ""
    timezone: str = ""
    read_at: Instant | None = None
    body: bytes = field(default=b"", repr=False)
    events: bytes = field(default=b"", repr=False)
    error: str = ""  # why the last try failed
    since: Instant | None = None  # since when it fails
