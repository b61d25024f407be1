"""Overrides and swaps: the check of one that is asked for, and those that were made, as the resolver sees them.

Pure, and the only judge: the API, the command line and the pages all ask here.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal, NamedTuple

from tocsin.decide.oncall.resolver import shifts, zone_of
from tocsin.decide.oncall.time_parsing import moment_of
from tocsin.decide.text import clean
from tocsin.model import (
    DAY,
    SECOND,
    Instant,
    MadeOverride,
    Millis,
    Override,
    Rejected,
    Schedule,
    Settings,
    Swap,
    rfc3339,
)
from tocsin.model.civil import civil

LONGEST = Millis(366 * DAY)
MOST_USERS = 20
REASON = 500

Extra = Mapping[str, tuple[Override, ...]]
"""Run-time overrides by schedule, as `on_call` takes them."""

Mode = Literal["replace", "add", "remove"]
State = Literal["pending", "active", "ended", "removed"]


@dataclass(frozen=True, slots=True)
class Asked:
    """An override as somebody wrote it. Times are RFC 3339, or local to `timezone`, else to the schedule."""

    schedule: str
    users: tuple[str, ...]
    start: str | None = None  # None: now
    end: str | None = None
    length: Millis | None = None  # instead of `end`
    replaces: str | None = None
    mode: Mode = "replace"
    timezone: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class AskedSwap:
    """A swap as somebody wrote it: `asked` takes the asker's shift, for one of theirs when `back` says so."""

    schedule: str
    asked: str
    start: str
    end: str
    back_start: str | None = None
    back_end: str | None = None
    timezone: str | None = None
    reason: str = ""


class Window(NamedTuple):
    start: Instant
    end: Instant


@dataclass(frozen=True, slots=True)
class Wrong:
    """Mistakes in it, every one at its place."""

    mistakes: tuple[Rejected, ...]


# ------------------------------------------------------------------------- what was made, resolved


def extra_of(made: Iterable[MadeOverride], settings: Settings) -> Extra:
    """The overrides that count, by schedule, in the order given.

    Left out are those of schedules that are gone; people who are gone are passed over, and an override that loses
    everybody it names does not count: whom it replaced is on call again, rather than nobody.
    """
    found: dict[str, list[Override]] = {}
    for one in made:
        schedule = settings.schedules.get(one.schedule)
        users = tuple(user for user in one.users if user in settings.users)
        window = effective(one)
        if schedule is not None and window is not None and (users or not one.users):
            zone = zone_of(schedule.timezone)
            start, end = rfc3339(window.start, zone), rfc3339(window.end, zone)
            found.setdefault(one.schedule, []).append(Override(users, start, end, one.replaces, one.mode, one.id))
    return {name: tuple(overrides) for name, overrides in found.items()}


def effective(made: MadeOverride) -> Window | None:
    """Span in which it counts, in whole seconds: what was before it was made or after it was taken back stays."""
    start = max(made.starts_at, _second(made.created_at))
    end = made.ends_at if made.removed_at is None else min(made.ends_at, _second(made.removed_at))
    return Window(Instant(start), Instant(end)) if start < end else None


def state_of(made: MadeOverride, now: Instant) -> State:
    if made.removed_at is not None:
        return "removed"
    if now >= made.ends_at:
        return "ended"
    return "active" if now >= made.starts_at else "pending"


def swap_state(swap: Swap, now: Instant) -> str:
    """asked, accepted, declined, withdrawn; or past_due: its time came before an answer."""
    return "past_due" if swap.status == "asked" and now >= swap.dies_at else swap.status


def _second(at: Instant) -> int:
    return at // SECOND * SECOND


# ------------------------------------------------------------------------------- what is asked for


def checked(asked: Asked, settings: Settings, now: Instant, made: Iterable[MadeOverride]) -> Window | Wrong:
    """Span in which the override would hold; or everything that is wrong with it."""
    wrong = [*_wrong_people(asked, settings), *_wrong_length(asked)]
    found = _window(asked, settings, now)
    if isinstance(found, Wrong) or wrong:
        return Wrong((*wrong, *(found.mistakes if isinstance(found, Wrong) else ())))
    touched = (asked.replaces,) if asked.replaces else asked.users if asked.mode == "remove" else ()  # () is everybody
    schedule, extra = settings.schedules[asked.schedule], extra_of(made, settings).get(asked.schedule, ())
    idle = [user for user in touched if not _on_call_within(schedule, user, found, extra)]
    where = "/replaces" if asked.replaces else "/users"
    return Wrong(tuple(_not_on_call(where, user, schedule, found) for user in idle)) if idle else found


def checked_swap(
    asker: str, asked: AskedSwap, settings: Settings, now: Instant, made: Iterable[MadeOverride]
) -> tuple[Window, Window | None] | Wrong:
    """The asker's shift and the one in return; or everything that is wrong with it."""
    wrong = list(_wrong_partner(asker, asked, settings))
    one = _span(asked.schedule, asked.start, asked.end, asked.timezone, settings, now, "")
    other: Window | Wrong | None = None
    if asked.back_start is not None and asked.back_end is not None:
        other = _span(asked.schedule, asked.back_start, asked.back_end, asked.timezone, settings, now, "/in_return")
    for span, pointer in ((one, ""), (other, "/in_return")):
        if isinstance(span, Wrong):
            wrong += [mistake for mistake in span.mistakes if mistake not in wrong]
        elif span is not None and span.start <= now:
            wrong.append(Rejected(f"{pointer}/from", "has begun already; a swap is accepted before its shifts begin"))
    if wrong or isinstance(one, Wrong) or isinstance(other, Wrong):
        return Wrong(tuple(wrong))
    if other is not None and one.start < other.end and other.start < one.end:
        return Wrong((Rejected("/in_return", "the two shifts overlap: nobody can take both"),))
    found = not_theirs(asked.schedule, asker, asked.asked, one, other, settings, made)
    return Wrong(found) if found else (one, other)


def not_theirs(
    schedule: str,
    asker: str,
    asked: str,
    one: Window,
    other: Window | None,
    settings: Settings,
    made: Iterable[MadeOverride],
) -> tuple[Rejected, ...]:
    """Shift of a swap that is not of the person who gives it away; asked again when it is accepted."""
    plan, extra = settings.schedules[schedule], extra_of(made, settings).get(schedule, ())
    wrong = []
    if not _on_call_within(plan, asker, one, extra):
        wrong.append(_not_on_call("/from", asker, plan, one))
    if other is not None and not _on_call_within(plan, asked, other, extra):
        wrong.append(_not_on_call("/in_return/from", asked, plan, other))
    return tuple(wrong)


def halves(swap: Swap, ids: Sequence[str], now: Instant) -> tuple[MadeOverride, ...]:
    """The overrides that an accepted swap is made of."""
    why = f"swap {swap.id}" + (f": {swap.reason}" if swap.reason else "")
    one = MadeOverride(
        ids[0], swap.schedule, (swap.asked,), swap.starts_at, swap.ends_at, swap.asker, "replace", swap.asker, why, now,
        swap.id,
    )  # fmt: skip
    if swap.back_from is None or swap.back_to is None:
        return (one,)
    other = replace(
        one, id=ids[1], users=(swap.asker,), starts_at=swap.back_from, ends_at=swap.back_to, replaces=swap.asked
    )
    return one, other


def reason_of(text: str) -> str:
    return clean(text, REASON).strip()


# ----------------------------------------------------------------------------------- people


def _wrong_people(asked: Asked, settings: Settings) -> Iterable[Rejected]:
    if asked.schedule not in settings.schedules:
        yield unknown("schedule", asked.schedule, settings.schedules, "/schedule")
    if not asked.users and asked.mode != "remove":
        yield Rejected("/users", "say who: user or users")
    if len(asked.users) > MOST_USERS:
        yield Rejected("/users", f"at most {MOST_USERS} people are on call together")
    if len(set(asked.users)) < len(asked.users):
        yield Rejected("/users", "somebody is named twice")
    for user in asked.users:
        if user not in settings.users:
            yield unknown("user", user, settings.users, "/users")
    if asked.replaces is None:
        return
    if asked.mode == "add" or (asked.mode == "remove" and asked.users):
        yield Rejected("/replaces", f"with mode {asked.mode} nobody is replaced; leave one of the two out")
    elif asked.replaces not in settings.users:
        yield unknown("user", asked.replaces, settings.users, "/replaces")
    elif asked.replaces in asked.users:
        yield Rejected("/replaces", f"{asked.replaces} cannot step in for {asked.replaces}")


def _wrong_partner(asker: str, asked: AskedSwap, settings: Settings) -> Iterable[Rejected]:
    if asked.schedule not in settings.schedules:
        yield unknown("schedule", asked.schedule, settings.schedules, "/schedule")
    if asked.asked not in settings.users:
        yield unknown("user", asked.asked, settings.users, "/with")
    elif asked.asked == asker:
        yield Rejected("/with", "a swap needs somebody else")


def unknown(kind: str, name: str, known: Iterable[str], pointer: str) -> Rejected:
    """No such thing, and the name that was meant, where one is near."""
    names = list(known)
    near = [one for one in names if one.lower() == name.lower()] or difflib.get_close_matches(name[:80], names, 1)
    return Rejected(pointer, f"no such {kind} {name[:80]!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))


def _on_call_within(schedule: Schedule, user: str, window: Window, extra: Sequence[Override]) -> bool:
    return any(user in shift.users for shift in shifts(schedule, window.start, window.end, extra).shifts)


def _not_on_call(pointer: str, user: str, schedule: Schedule, window: Window) -> Rejected:
    zone = zone_of(schedule.timezone)
    when = f"from {shown(window.start, zone.key)} to {shown(window.end, zone.key)}"
    return Rejected(pointer, f"{user} is not on call in {schedule.name} {when}; nothing would change")


# -------------------------------------------------------------------------------------- times


def _wrong_length(asked: Asked) -> Iterable[Rejected]:
    if (asked.end is None) == (asked.length is None):
        yield Rejected("/to", "say when it ends: `to`, or `for` how long; not both")


def _window(asked: Asked, settings: Settings, now: Instant) -> Window | Wrong:
    start = asked.start if asked.start is not None else rfc3339(Instant(_second(now)))
    if asked.end is not None or asked.length is None:
        return _span(asked.schedule, start, asked.end or "", asked.timezone, settings, now, "")
    begun = _moment(asked.schedule, start, asked.timezone, settings, "/from", now)
    if isinstance(begun, Rejected):
        return Wrong((begun,))
    return _judged(Window(begun, Instant(begun + asked.length)), now, "/for", settings.schedules.get(asked.schedule))


def _span(
    schedule: str, start: str, end: str, timezone: str | None, settings: Settings, now: Instant, pointer: str
) -> Window | Wrong:
    one = _moment(schedule, start, timezone, settings, f"{pointer}/from", now)
    since = now if isinstance(one, Rejected) else Instant(max(now, one))
    other = _moment(schedule, end, timezone, settings, f"{pointer}/to", since)
    wrong = tuple(dict.fromkeys(found for found in (one, other) if isinstance(found, Rejected)))
    if isinstance(one, Rejected) or isinstance(other, Rejected):
        return Wrong(wrong)
    return _judged(Window(one, other), now, f"{pointer}/to", settings.schedules.get(schedule))


def _moment(
    schedule: str, text: str, timezone: str | None, settings: Settings, pointer: str, after: Instant
) -> Instant | Rejected:
    known = settings.schedules.get(schedule)
    zone = timezone or (known.timezone if known is not None else "UTC")
    try:
        zone_of(zone)
    except ValueError as wrong:
        return Rejected("/timezone", str(wrong))
    try:
        return moment_of(text, zone, after)
    except (ValueError, OverflowError) as wrong:
        return Rejected(pointer, str(wrong))


def _judged(window: Window, now: Instant, pointer: str, schedule: Schedule | None) -> Window | Wrong:
    zone = schedule.timezone if schedule is not None else "UTC"
    start, end = shown(window.start, zone), shown(window.end, zone)
    if window.end <= window.start:
        return Wrong((Rejected(pointer, f"it ends before it starts: {end} is not after {start}"),))
    if window.end <= now:
        return Wrong((Rejected(pointer, f"it is over already: {end} is in the past"),))
    if window.end - window.start > LONGEST:
        return Wrong((Rejected(pointer, "it lasts longer than a year; change the schedule instead"),))
    return window


def shown(at: Instant, timezone: str) -> str:
    """`2026-01-05 09:00 Europe/Paris`."""
    return f"{civil(at, zone_of(timezone)):%Y-%m-%d %H:%M} {timezone}"
