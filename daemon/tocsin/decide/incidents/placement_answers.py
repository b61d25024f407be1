"""Facts to place an alert by, and the answers that placement.py may give."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from tocsin.decide.incidents.lifecycle import Move
from tocsin.decide.muting.mutes import Mute, Mutes
from tocsin.decide.noise.counters import Mark
from tocsin.decide.routing.alert_texts import Fit
from tocsin.decide.routing.grouping import Group
from tocsin.model import (
    EMPTY,
    Entry,
    Incident,
    Instant,
    IntegrationConfig,
    Policy,
    Settings,
    StoredAlert,
    Tombstone,
)

Counted = tuple[str, Mark]
"""A firing or change that counts from now on: under which name, and as what."""


class Facts(NamedTuple):
    """Facts to place one alert by. All of it is plain; nothing is asked for later."""

    settings: Settings
    integration: IntegrationConfig
    mutes: Mutes  # all that mutes just now
    key: str  # its identity at this integration
    alert_id: int = 0  # the id it gets, if it is new
    number: int = 0  # the number that an incident gets which it opens
    post: int | None = None
    content: int = 0  # hash of what it says; of one that fires
    fit: Fit | None = None  # its texts; of one that fires
    group: Group | None = None  # of one that fires
    existing: StoredAlert | None = None  # the open alert of its identity
    own: Incident | None = None  # the incident of `existing`
    latest: Incident | None = None  # the newest incident under the group's key
    tombstone: Tombstone | None = None  # of its identity, while it holds
    waited: bool = False  # it waited behind its end, and that wait is over
    counted: Mapping[str, Mark] = EMPTY  # firings that its threshold counts, by what they are
    have: int = 0  # how many of these are within the threshold's window
    window: Sequence[StoredAlert] = ()  # the alerts of these, wherever one more may reach the threshold
    changes: Sequence[Mark] = ()  # of this alert, that its flap rule counts


class Drop(NamedTuple):
    """A rule drops it: kept for a while, so that it can be found."""

    alert: StoredAlert
    because: str


class Suppress(NamedTuple):
    """Kept without an incident: a rule says so, a threshold is not reached, or it feeds a heartbeat."""

    alert: StoredAlert
    because: str
    counts: tuple[Counted, ...] = ()
    below: bool = False  # a threshold is not reached


class Wait(NamedTuple):
    """A firing that its own resolve may have overtaken: it fires at `until`, unless it is resolved again."""

    alert: StoredAlert
    because: str
    until: Instant
    story: tuple[Entry, ...] = ()  # told where it ended, once


class Repeat(NamedTuple):
    """A repeat of what was said before: it is counted."""

    alert: StoredAlert  # with this repetition
    because: str
    expires_at: Instant | None  # None: as before
    started_at: Instant | None


class Open(NamedTuple):
    """The opening of an incident. Nobody is paged while that is muted or held."""

    alert: StoredAlert
    because: str
    incident: Incident  # before `moves`; its policy is not frozen yet
    policy: Policy | None
    mute: Mute | None
    moves: tuple[Move, ...] = ()
    gathered: tuple[StoredAlert, ...] = ()  # those that waited with it for the threshold
    counts: tuple[Counted, ...] = ()

    @property
    def pages(self) -> bool:
        """Whether its first step runs as soon as the whole post is known."""
        return self.mute is None and self.alert.hold_until is None


class Join(NamedTuple):
    """An alert that joins an open incident. The first of `moves` counts it there."""

    alert: StoredAlert
    because: str
    incident: Incident  # as it was before
    mute: Mute | None
    moves: tuple[Move, ...]
    counts: tuple[Counted, ...] = ()


class Reopen(NamedTuple):
    """An alert whose incident was resolved a short while ago: that goes on."""

    alert: StoredAlert
    because: str
    incident: Incident  # as it was before
    mute: Mute | None
    moves: tuple[Move, ...]
    gathered: tuple[StoredAlert, ...] = ()
    counts: tuple[Counted, ...] = ()


class Update(NamedTuple):
    """An alert that says something else than before, or fires again before its end, in the incident it is in."""

    alert: StoredAlert
    because: str
    incident: Incident | None  # as it was before; None: not known
    mute: Mute | None
    moves: tuple[Move, ...] = ()
    counts: tuple[Counted, ...] = ()
    again: bool = False  # it was cleared, and fires again
    reassess: bool = False  # its incident may be less severe: its other alerts decide


class Clear(NamedTuple):
    """An alert that its source calls over; it ends when it stayed quiet."""

    alert: StoredAlert
    because: str
    story: tuple[Entry, ...] = ()
    counts: tuple[Counted, ...] = ()


class End(NamedTuple):
    """The end of an alert. The last one resolves its incident."""

    alert: StoredAlert
    because: str
    moves: tuple[Move, ...] = ()
    tombstone: Tombstone | None = None
    counts: tuple[Counted, ...] = ()


class Acknowledge(NamedTuple):
    """An alert that somebody has, as its source says. An incident whose alerts all are acknowledged is so too."""

    alert: StoredAlert
    because: str
    moves: tuple[Move, ...] = ()


class Remark(NamedTuple):
    """A note or a change: context for the story of its incident, if it has one."""

    because: str
    story: tuple[Entry, ...] = ()


class Ignore(NamedTuple):
    """A post of which nothing becomes. `outcome`: as it is counted; "": it is not."""

    because: str
    outcome: str
    tombstone: Tombstone | None = None


Placed = Drop | Suppress | Wait | Repeat | Open | Join | Reopen | Update | Clear | End | Acknowledge | Remark | Ignore
