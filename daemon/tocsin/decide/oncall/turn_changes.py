"""Changes of the present turn by a configuration: in words, with what keeps the present turn.

The person of turn k is entry k of `users`, round and round. So whoever takes a person out of the list, adds or moves
one, moves everybody's turns, also the one under way: rarely what was meant.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

from tocsin.decide.oncall.overrides import Extra
from tocsin.decide.oncall.resolver import on_call, shifts
from tocsin.model import DAY, EMPTY, Instant, Layer, Rotation, Schedule, Settings

Crew = tuple[str, ...]
AHEAD = 800 * DAY  # at most so far ahead handoffs are compared
ENOUGH = 12  # handoffs that agree, beside one of each entry


@dataclass(frozen=True, slots=True)
class TurnMoved:
    """A layer whose turn now is another one's than before.

    `keeps`: whose it could be: the same people's, or, where they are gone, those of the next who are not. Either
    `start` or `order` makes it theirs, with the same handoffs.
    """

    schedule: str
    layer: str
    was: Crew
    will: Crew
    keeps: Crew
    start: str | None
    order: tuple[Crew, ...]


@dataclass(frozen=True, slots=True)
class TurnChanges:
    """Schedules whose people now are others, (name, before, after), and layers whose turn moved."""

    on_call: tuple[tuple[str, Crew, Crew], ...]
    moved: tuple[TurnMoved, ...]

    def __bool__(self) -> bool:
        return bool(self.on_call or self.moved)


def turn_changes(
    before: Settings, after: Settings, now: Instant, made_before: Extra = EMPTY, made_after: Extra = EMPTY
) -> TurnChanges:
    """Meaning of the change for those whose turn it is at this moment, schedule by schedule."""
    changed, moved = [], list[TurnMoved]()
    for name, was in before.schedules.items():
        will = after.schedules.get(name)
        if will is None or (was == will and made_before.get(name, ()) == made_after.get(name, ())):
            continue
        people = on_call(was, now, made_before.get(name, ())).users, on_call(will, now, made_after.get(name, ())).users
        if set(people[0]) != set(people[1]):
            changed.append((name, *people))
        moved += _moved(was, will, now)
    return TurnChanges(tuple(changed), tuple(moved))


def in_words(changes: TurnChanges, *, done: bool, at: str = "now") -> Iterator[str]:
    """Sentence a schedule or layer, for people. `done`: the change is in force; `at`: the moment that was asked for."""
    for schedule, was, will in changes.on_call:
        if done:
            now = f"{_and(will)} {_be(will, 'is', 'are')} now"
            yield f"{schedule}: {_and(was)} {_be(was, 'was', 'were')} on call, and {now}"
        else:
            yield f"{schedule}: {_and(was)} {_be(was, 'is', 'are')} on call {at}, and {_and(will)} would be"
    for one in changes.moved:
        yield f"{one.schedule}, layer {one.layer}: {_said(one, done, at)}"


def _said(one: TurnMoved, done: bool, at: str) -> str:
    turn = f"it is the turn of {_and(one.was)} {at}, and would be that of {_and(one.will)}"
    if done:
        turn = f"it was the turn of {_and(one.was)}, and is that of {_and(one.will)} now"
    why = "turns are counted over the people as written"
    if set(one.keeps) == set(one.was):
        what = f"to keep {'the present' if at == 'now' else 'that'} turn"
    else:
        gone = f"{_and(one.was)} {_be(one.was, 'is', 'are')} not in it any more"
        what = f"{gone}; for the next in line, {_and(one.keeps)}"
    write = f"start: {one.start.replace('T', ' ')}" if one.start is not None else f"users: {_list(one.order)}"
    return f"{turn}, since {why}; {what}, write {write}"


def _be(users: Sequence[str], one: str, several: str) -> str:
    return several if len(users) > 1 else one


def _and(users: Sequence[str]) -> str:
    return " and ".join(users) or "nobody"


def _list(entries: Sequence[Crew]) -> str:
    written = [entry[0] if len(entry) == 1 else f"[{', '.join(entry)}]" for entry in entries]
    return f"[{', '.join(written)}]"


# ------------------------------------------------------------------------------------------ layers


def _moved(was: Schedule, will: Schedule, now: Instant) -> Iterator[TurnMoved]:
    for name, old, new in _pairs(was, will):
        if old.rotation is None or new.rotation is None or old.users == new.users:
            continue
        before, after = _turn(old, was, now), _turn(new, will, now)
        if before is None or after is None:
            continue
        keeps = _kept(old.users, before, new.users)
        if keeps is not None and set(new.users[keeps]) != set(new.users[after]):
            yield _proposal(name, old.users[before], new, will, after, keeps, now)


def _pairs(was: Schedule, will: Schedule) -> Iterator[tuple[str, Layer, Layer]]:
    """Layers that are the same one before and after: by name, else by place where there are as many."""
    known = _by_name(was)
    for place, (name, new) in enumerate(_by_name(will).items()):
        if name in known:
            yield name, known[name], new
        elif len(was.layers) == len(will.layers) and (old := was.layers[place]).name not in _by_name(will):
            yield name, old, new


def _by_name(schedule: Schedule) -> dict[str, Layer]:
    return {layer.name or f"{place}": layer for place, layer in enumerate(schedule.layers, 1)}


def _kept(old: Sequence[Crew], turn: int, new: Sequence[Crew]) -> int | None:
    """The entry of `new` whose turn it should be: that of the same people, else of the first after them that is still
    there; of several, the one behind which most turns come as before. None where nobody is left."""
    for step in range(len(old)):
        crew = set(old[(turn + step) % len(old)])
        same = [place for place, entry in enumerate(new) if set(entry) == crew]
        some = same or [place for place, entry in enumerate(new) if step == 0 and crew & set(entry)]
        if some:
            return max(some, key=lambda place: _as_before(old, turn + step, new, place))
    return None


def _as_before(old: Sequence[Crew], turn: int, new: Sequence[Crew], place: int) -> int:
    """Number of turns in a row, from `place` of `new` on, are those of `old` from `turn` on, without who is gone."""
    staying = {user for entry in new for user in entry}
    left = [set(old[(turn + step) % len(old)]) & staying for step in range(len(old))]
    come = [set(new[(place + step) % len(new)]) for step in range(len(new))]
    alike = [bool(was & will) for was, will in zip([crew for crew in left if crew], come, strict=False)]
    return alike.index(False) if False in alike else len(alike)


def _turn(layer: Layer, schedule: Schedule, now: Instant) -> int | None:
    """Entry whose turn it is, whether the layer covers now or not; None before the first and after its end."""
    found = on_call(_numbered(layer, schedule, layer.rotation, len(layer.users), layer.end), now).users
    return int(found[0]) if found else None


def _numbered(
    layer: Layer, schedule: Schedule, rotation: Rotation | None, entries: int, end: str | None = None
) -> Schedule:
    """The layer alone, covering always, with numbers for people."""
    users = tuple((str(number),) for number in range(entries))
    return Schedule(schedule.name, schedule.timezone, (Layer("", users, rotation, (), layer.timezone, end),))


# --------------------------------------------------------------------------------------- proposals


def _proposal(name: str, was: Crew, layer: Layer, schedule: Schedule, turn: int, keeps: int, now: Instant) -> TurnMoved:
    back = (keeps - turn) % len(layer.users)
    start = _start(layer, schedule, back, now)
    order = tuple(layer.users[(place + back) % len(layer.users)] for place in range(len(layer.users)))
    return TurnMoved(schedule.name, name, was, layer.users[turn], layer.users[keeps], start, order)


def _start(layer: Layer, schedule: Schedule, back: int, now: Instant) -> str | None:
    """An earlier start by so many turns, where all handoffs to come stay as they are; the past stays covered by it."""
    assert layer.rotation is not None
    wanted = _handoffs(layer, schedule, layer.rotation, now, back)
    for candidate in _earlier(layer.rotation, back):
        if _handoffs(layer, schedule, candidate, now, 0) == wanted:
            return candidate.start
    return None


def _handoffs(layer: Layer, schedule: Schedule, rotation: Rotation, now: Instant, on: int) -> list[tuple[Instant, int]]:
    """(when, which entry) of the next turns, `on` entries further."""
    entries = max(len(layer.users), 2)
    length = {"hours": DAY / 24, "days": DAY, "weeks": 7 * DAY, "months": 31 * DAY}[rotation.unit] * rotation.length
    ahead = min(int(length * (entries + ENOUGH) * (7 if rotation.days else 1)), AHEAD)
    found = shifts(_numbered(layer, schedule, rotation, len(layer.users)), now, Instant(now + ahead)).shifts
    return [(one.start, (int(one.users[0]) + on) % len(layer.users)) for one in found]


def _earlier(rotation: Rotation, back: int) -> Iterator[Rotation]:
    """Starts that lie about so many turns before."""
    start = datetime.fromisoformat(rotation.start)
    steps = back * rotation.length
    match rotation.unit:
        case "hours":
            found = [start - timedelta(hours=steps)]
        case "days" if rotation.days is not None:
            found = [start - timedelta(days=days) for days in range(steps, 7 * (steps + 2))]
        case "days":
            found = [start - timedelta(days=steps)]
        case "weeks":
            found = [start - timedelta(weeks=weeks) for weeks in (steps, steps + rotation.length)]
        case "months":
            years, month = divmod(start.year * 12 + start.month - 1 - steps, 12)
            found = [start.replace(year=years, month=month + 1)] if start.day <= 28 else []
    for one in found:
        yield replace(rotation, start=one.isoformat(timespec="minutes"))
