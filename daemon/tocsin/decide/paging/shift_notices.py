"""Shift notices: who is told that a shift of theirs comes or has begun, over which contact, in which words."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal
from zoneinfo import ZoneInfo

from tocsin.decide.oncall.reach import People, personal_rules, usable_contacts
from tocsin.decide.oncall.resolver import shifts
from tocsin.decide.page_texts import headline
from tocsin.decide.paging import swap_notices
from tocsin.decide.text import cut
from tocsin.model import (
    DAY,
    HOUR,
    MINUTE,
    Contact,
    Incident,
    Instant,
    Millis,
    Override,
    Policy,
    Schedule,
    Settings,
    User,
)
from tocsin.model.civil import civil

LOOK_BACK = 8 * DAY
LOOK_AHEAD = 32 * DAY
NO_LATE_CALL = Millis(10 * MINUTE)  # a shift that began longer ago is not told of by a call
OVERDUE = Millis(12 * HOUR)  # a notice that found no way out for so long is no news any more
NIGHT_BEGINS, NIGHT_ENDS = 21, 8  # hours of the person's own clock
MOST_NAMED = 10  # incidents

Which = Literal["before", "at"]


@dataclass(frozen=True, slots=True)
class ShiftTurn:
    """Time of one person on call without a break; None where the window does not show the end."""

    user: str
    start: Instant | None
    end: Instant | None


@dataclass(frozen=True, slots=True)
class Notice:
    """Notice of a turn that has a beginning, for the person whose it is."""

    schedule: str
    user: str
    which: Which
    start: Instant
    end: Instant | None

    @property
    def key(self) -> str:
        """Unique for ever: of a restart, a second look or another replica nobody is told twice."""
        return f"notice/{self.schedule}/{self.start}/{self.user}/{self.which}"

    @property
    def alarm_key(self) -> str:
        """Key of the alarm that this person cannot be reached: one for both notices of a turn."""
        return f"oncall/{self.schedule}/{self.start}/{self.user}"


def due_notices(schedule: Schedule, now: Instant, extra: Sequence[Override] = ()) -> list[Notice]:
    """Every notice whose time has come and whose turn is not over; told already or not."""
    ahead = schedule.handoff_notice
    if ahead is None:
        return []
    found = []
    for turn in turns(schedule, Instant(now - LOOK_BACK), Instant(now + ahead + MINUTE), extra):
        if turn.start is None:
            continue  # began before the window: long ago, or somebody who never hands over
        if now < turn.start <= now + ahead:
            found.append(Notice(schedule.name, turn.user, "before", turn.start, None))
        elif turn.start <= now and (turn.end is None or now < turn.end):
            found.append(Notice(schedule.name, turn.user, "at", turn.start, None))
    return found


def turns(schedule: Schedule, start: Instant, end: Instant, extra: Sequence[Override] = ()) -> Iterator[ShiftTurn]:
    """Turns of each person within the window, by their ends; who stays on over a handoff has one."""
    on: dict[str, Instant | None] = {}
    until: Instant | None = None
    for shift in shifts(schedule, start, end, extra).shifts:
        staying = shift.users if shift.start == until else ()
        yield from (ShiftTurn(user, since, until) for user, since in on.items() if user not in staying)
        began = None if shift.start == start else shift.start
        on = {user: on[user] if user in staying and user in on else began for user in shift.users}
        until = shift.end
    yield from (ShiftTurn(user, since, None if until == end else until) for user, since in on.items())


def end_of_turn(notice: Notice, schedule: Schedule, extra: Sequence[Override] = ()) -> Instant | None:
    """End of the turn; None: not within a month."""
    for turn in turns(schedule, notice.start, Instant(notice.start + LOOK_AHEAD), extra):
        if turn.user == notice.user and turn.start is None:
            return turn.end
    return None


def out_of_time(key: str, created_at: Instant, now: Instant) -> str:
    """Reason why a planned notice of this key is no news any more; "" while it is."""
    if key.startswith(swap_notices.PREFIX):
        return swap_notices.past_due(key, now)
    _, _, start, _, which = key.split("/")
    if which == "before" and now >= int(start):
        return "the shift has begun"
    return "it found no way out in time" if now - created_at > OVERDUE else ""


# ----------------------------------------------------------------------------------- the contact


def quiet_contact(
    user: User, settings: Settings, people: People, notice: Notice, now: Instant, calls: Callable[[Contact], bool]
) -> Contact | None:
    """Over what the person is told: as their rules for low urgency say; by a call at night only where there is
    nothing else, and late not even then. None: by nothing."""
    usable = {contact.name: contact for contact in usable_contacts(user, settings, people)}
    low = [name for rule in personal_rules(user, "low", settings) for name in rule.by]
    ordered = [usable[name] for name in dict.fromkeys([*low, *usable]) if name in usable]
    if not ordered:
        return None
    silent = [contact for contact in ordered if not calls(contact)]
    asked_for = bool(user.notify.get("low")) and ordered[0].name in low
    if calls(ordered[0]) and silent and (_is_night(user, now) or not asked_for):
        return silent[0]
    late = notice.which == "at" and now - notice.start > NO_LATE_CALL
    if calls(ordered[0]) and late:
        return silent[0] if silent else None
    return ordered[0]


def _is_night(user: User, now: Instant) -> bool:
    hour = civil(now, ZoneInfo(user.timezone)).hour
    return hour >= NIGHT_BEGINS or hour < NIGHT_ENDS


# ------------------------------------------------------------------------------------- the words


def notice_text(notice: Notice, user: User, trouble: str, incidents: Sequence[Incident]) -> str:
    """The first line says it all; then what is against it, and what the person takes over."""
    lines = [_headline(notice, user)]
    if trouble:
        lines.append(trouble)
    if notice.which == "at":
        lines += _taken_over(incidents)
    return "\n".join(lines)


def _headline(notice: Notice, user: User) -> str:
    zone = ZoneInfo(user.timezone)
    until = f" until {_clock(notice.end, zone, notice.start)}" if notice.end is not None else ""
    if notice.which == "before":
        return f"You are on call for {notice.schedule} from {_day(notice.start, zone)} ({user.timezone}){until}."
    return f"You are on call for {notice.schedule} now, since {_day(notice.start, zone)} ({user.timezone}){until}."


def _day(at: Instant, zone: ZoneInfo) -> str:
    return f"{civil(at, zone):%a %H:%M}"


def _clock(at: Instant, zone: ZoneInfo, since: Instant) -> str:
    """The weekday alone where it is plain which one is meant."""
    then = civil(at, zone)
    return f"{then:%a %H:%M}" if at - since < 6 * DAY else f"{then:%a} {then.day} {then:%b %H:%M}"


def _taken_over(incidents: Sequence[Incident]) -> list[str]:
    if not incidents:
        return ["No incident of its services is open."]
    some = sorted(incidents, key=lambda one: (one.priority, one.number))
    head = "1 incident is open:" if len(some) == 1 else f"{len(some)} incidents are open:"
    more = [f"and {len(some) - MOST_NAMED} more"] if len(some) > MOST_NAMED else []
    return [head, *(_standing(one) for one in some[:MOST_NAMED]), *more]


def _standing(incident: Incident) -> str:
    """INC 3 P1 [shop] db down: acknowledged by bo."""
    who = f" by {incident.acknowledged_by}" if incident.acknowledged_by and incident.status != "triggered" else ""
    muted = ", muted" if incident.muted_by else ""
    return f"{cut(headline(incident), 100)}: {incident.status.replace('_', ' ')}{who}{muted}"


def serves(policy: Policy | None, schedule: str, settings: Settings) -> bool:
    """Whether this schedule is asked for incidents of that policy (None: the catch-all alone)."""
    targets = settings.catch_all if policy is None else [each for step in policy.steps for each in step.notify]
    return any(target.kind == "schedule" and target.name == schedule for target in targets)
