"""Line of time: whether a wall clock was stepped, and where civil time lies on Tocsin's own line since."""

from __future__ import annotations

from typing import NamedTuple

import orjson

from tocsin.contracts import Reading
from tocsin.model import MINUTE, SECOND, Instant, Millis

SMALL = Millis(SECOND)
"""A difference up to this is drift, and is run down slowly. Beyond it somebody set a clock."""

TOLD = Millis(MINUTE)
"""A step from this on becomes an incident; smaller ones a line in the log and a count."""

FRESH = Millis(10 * SECOND)
"""What another replica wrote within this says that the database's clock was not stepped meanwhile."""


class Anchor(NamedTuple):
    """Kept in the database: how the line, civil time and the machine's clocks lay to each other at one moment."""

    line: Instant
    ahead: Millis  # civil time minus the line
    elapsed: int  # since `boot`
    boot: str  # of the machine; on a shared database the process that wrote it

    @property
    def civil(self) -> int:
        return self.line + self.ahead

    def packed(self) -> str:
        return orjson.dumps(self._asdict()).decode()


def anchor_of(text: str | None) -> Anchor | None:
    return None if not text else Anchor(**orjson.loads(text))


class Place(NamedTuple):
    """Instant at which the line goes on, and the lead of civil time; `step`: by how much the wall clock was set."""

    line: Instant
    ahead: Millis
    step: Millis = Millis(0)


def resumed(anchor: Anchor | None, reading: Reading) -> Place:
    """Instant of the line at a start. In one boot of the machine its own count tells how long nobody was here, so a
    step is seen over a restart too; after another boot only a wall clock that went back is one for certain."""
    if anchor is None:
        return Place(Instant(reading.wall), Millis(0))
    if reading.boot and reading.boot == anchor.boot and reading.elapsed >= anchor.elapsed:
        gone = reading.elapsed - anchor.elapsed
        drift = Millis(SMALL + gone // 1000)
        return placed(Instant(anchor.line + gone), anchor.ahead, reading.wall, drift, anchor.line)
    gone = max(0, reading.wall - anchor.civil)
    return placed(Instant(anchor.line + gone), anchor.ahead, reading.wall, SMALL, anchor.line)


def placed(line: Instant, ahead: Millis, wall: int, small: Millis, not_before: Instant) -> Place:
    """The line as it would go on, beside the wall clock."""
    off = wall - ahead - line
    if abs(off) <= small:
        return Place(Instant(max(line + off, not_before)), ahead)
    return Place(line, folded(Millis(ahead + off)), Millis(off))


def folded(ahead: Millis) -> Millis:
    """A clock that was set and set back leaves nothing behind; the rest is drift."""
    return Millis(0) if abs(ahead) <= SMALL else ahead


def off_by(line: Instant, ahead: Millis, wall: int) -> Millis:
    """Lead of the wall clock over the line."""
    return Millis(wall - ahead - line)


def is_step(off: Millis, doubt: Millis) -> bool:
    """Whether somebody set a clock that was read with so much doubt about the moment."""
    return abs(off) > SMALL + doubt


def others_agree(anchor: Anchor, wall: int, me: str) -> bool:
    """Whether another replica found the database's clock unmoved a moment ago: then this machine stood still."""
    return anchor.boot != me and 0 <= wall - anchor.civil <= FRESH


def may_follow(anchor: Anchor, wall: int) -> bool:
    """Whether a replica that starts may take the line off the anchor: it was written a moment ago."""
    return -SMALL <= wall - anchor.civil <= FRESH


def in_words(step: Millis) -> str:
    """`1 h 0 m forward`, for people."""
    seconds = (abs(step) + 500) // 1000
    parts = [(seconds // 86_400, "d"), (seconds // 3600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    shown = " ".join(f"{count} {unit}" for count, unit in parts if count)[:40] or f"{abs(step)} ms"
    return f"{shown} {'forward' if step > 0 else 'back'}"
