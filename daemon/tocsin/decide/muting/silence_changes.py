"""Changes of a silence: made where it stands, or by another one in its place.

As Alertmanager decides it (silence/silence.go, `canUpdate`): whoever keeps an id may rely on what it mutes. Comment and
author may always change; of one in force its end; of one to come its times. Anything else ends the old one, if it has
not ended, and makes a new one. Times are compared by the second, as there.
"""

from __future__ import annotations

from dataclasses import replace

from tocsin.decide.routing.matchers import written
from tocsin.model import Instant, Silence

SECOND = 1_000


def changed(before: Silence, asked: Silence, now: Instant) -> Silence | None:
    """`before` as `asked`, under its id; None where that makes a new silence."""
    if [written(text) for text in before.matchers] != [written(text) for text in asked.matchers]:
        return None
    if before.ends_at <= now:
        return None
    if before.starts_at <= now:
        same_start = asked.starts_at // SECOND == before.starts_at // SECOND
        return replace(asked, id=before.id, starts_at=before.starts_at) if same_start else None
    return replace(asked, id=before.id) if asked.starts_at >= now else None


def ended(before: Silence, now: Instant) -> Silence:
    """The silence, over."""
    return replace(before, ends_at=min(before.ends_at, now), starts_at=min(before.starts_at, now))
