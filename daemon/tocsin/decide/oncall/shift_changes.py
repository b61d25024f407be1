"""Shift changes: who gains and who loses which shifts between two plans of one schedule."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

from tocsin.decide.oncall.resolver import Gap, Shift, Shifts
from tocsin.model import Instant


class Span(NamedTuple):
    """From `start` until `end` (not included)."""

    start: Instant
    end: Instant


@dataclass(frozen=True, slots=True)
class Change:
    """From `start` until `end` other people are on call: `after` in the place of `before`; () is nobody."""

    start: Instant
    end: Instant
    before: tuple[str, ...]
    after: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Turnover:
    """Shifts that one person gains and loses."""

    user: str
    gains: tuple[Span, ...]
    loses: tuple[Span, ...]


def changes(before: Shifts, after: Shifts) -> tuple[Change, ...]:
    """Spans in which two plans of a window differ in people (not layers), in order; equal neighbours are joined."""
    found: list[Change] = []
    for span in _spans(before, after):
        change = Change(*span, _at(before, span.start), _at(after, span.start))
        if set(change.before) == set(change.after):
            continue
        last = found[-1] if found else None
        if last and (last.end, last.before, last.after) == (change.start, change.before, change.after):
            found[-1] = Change(last.start, change.end, change.before, change.after)
        else:
            found.append(change)
    return tuple(found)


def turnover(of: Iterable[Change]) -> tuple[Turnover, ...]:
    """Changes by person, those who are named in them, sorted by key."""
    listed = tuple(of)
    users = sorted({user for change in listed for user in set(change.before) ^ set(change.after)})
    return tuple(Turnover(user, _joined(_gained(user, listed)), _joined(_lost(user, listed))) for user in users)


def _spans(before: Shifts, after: Shifts) -> Iterator[Span]:
    pieces: tuple[Shift | Gap, ...] = (*before.shifts, *before.gaps, *after.shifts, *after.gaps)
    edges = {edge for piece in pieces for edge in (piece.start, piece.end)}
    return (Span(*pair) for pair in pairwise(sorted(edges)))


def _at(plan: Shifts, at: Instant) -> tuple[str, ...]:
    last = bisect_right(plan.shifts, at, key=lambda one: one.start) - 1
    return plan.shifts[last].users if last >= 0 and at < plan.shifts[last].end else ()


def _gained(user: str, listed: Iterable[Change]) -> Iterator[Span]:
    return (Span(one.start, one.end) for one in listed if user in one.after and user not in one.before)


def _lost(user: str, listed: Iterable[Change]) -> Iterator[Span]:
    return (Span(one.start, one.end) for one in listed if user in one.before and user not in one.after)


def _joined(spans: Iterable[Span]) -> tuple[Span, ...]:
    found: list[Span] = []
    for span in spans:
        if found and found[-1].end == span.start:
            found[-1] = Span(found[-1].start, span.end)
        else:
            found.append(span)
    return tuple(found)
