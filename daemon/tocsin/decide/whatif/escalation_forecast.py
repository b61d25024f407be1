"""Forecast of incidents from now on: whom they page, if nobody answers and every message goes through.

What the daemon decides (`decide/incidents/timers.py`, `decide/incidents/storm_pages.py`, `decide/paging/
delivery_plan.py`), run ahead of time for all of them together: steps and rounds, personal rules, the catch-all, what
mutes and what stops doing so, holds, support hours, storms, a person's limits. Nothing is written and nothing is sent.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import NamedTuple

from tocsin.decide.incidents import lifecycle, storm_pages, timers
from tocsin.decide.incidents.escalation import StepRun, policy_for, run_step
from tocsin.decide.incidents.lifecycle import Move, Stay
from tocsin.decide.incidents.opening import opened
from tocsin.decide.incidents.timers import Around, Deed
from tocsin.decide.muting.dependencies import Parents
from tocsin.decide.muting.inhibitions import Inhibitions
from tocsin.decide.muting.mutes import LOOKED_AT, Mutes, muting
from tocsin.decide.noise import storms
from tocsin.decide.noise.storms import StormState
from tocsin.decide.oncall.reach import People
from tocsin.decide.oncall.resolver import in_hours, local_instant, zone_of
from tocsin.decide.whatif.delivery_forecast import Left, Sending
from tocsin.model import (
    DAY,
    TOCSIN,
    Entry,
    Incident,
    Instant,
    Millis,
    Page,
    Policy,
    Settings,
    StoredAlert,
    Support,
)
from tocsin.model.civil import civil

LONGEST = Millis(7 * DAY)
MOST_STEPS = 200
MOST_LIVED = 100  # events of an incident that nobody asks for
MOST_AT_ONCE = 50  # times that what happens at one instant leads to more at that instant
AHEAD_DAYS = 15  # how far the next support hours are looked for
TOLD = frozenset({"nobody", "unreachable", "catch_all", "muted", "unmuted", "retriggered", "reassessed", "rests"})


@dataclass(frozen=True, slots=True)
class Planned:
    """A page to come, or (then without channel) a line about what else happens."""

    at: Instant
    step: int
    user: str | None
    channel: str | None
    because: str
    contact: str = ""
    cycle: int = 1
    round: int = 1
    rule: int = 0
    kind: str = "page"
    incident: int = 0


class Followed(NamedTuple):
    """Mutes that keep others quiet, as incidents followed it last."""

    turn: int
    inhibited: Inhibitions
    parents: Parents


@dataclass(slots=True, eq=False)
class Course:
    """Course of an incident. `policy`: as frozen for its cycle; `alerts`: its firing ones."""

    incident: Incident
    policy: Policy | None
    alerts: list[StoredAlert]
    asked: bool = True  # whether its plan is asked for
    told: list[Planned] = None  # type: ignore[assignment]  # made below
    events: int = 0
    steps: int = 0
    exhausted: bool = False  # the catch-all had its turn after the last round
    over: bool = False  # looked at no further

    def __post_init__(self) -> None:
        self.told = []


class Incidents:
    """Incidents and what mutes, collects and delivers around them, at one instant that only moves forward."""

    def __init__(
        self, settings: Settings, people: People, mutes: Mutes, now: Instant, sending: Sending | None = None,
        states: Iterable[StormState] = (), next_number: int = 1,
    ) -> None:  # fmt: skip
        self.settings, self.people, self.mutes, self.now = settings, people, mutes, now
        self.sending = sending or Sending(settings, people)
        self.states = {one.scope: one for one in states}
        self.courses: dict[int, Course] = {}
        self.storms_begun: dict[int, int] = {}  # storm → the first incident that it took in
        self.next_number = next_number
        self._sent_at = Instant(0)
        self.ties: list[Instant] = []  # instants at which pages may leave in either order, alone or together
        self.ends_when_exhausted = False  # a course that had all its steps is looked at no further
        self._firsts: list[tuple[Course, str]] = []
        self._followed: Followed | None = None  # as what mutes was followed last; None: all is looked at again
        self._muted_by_others = False  # whether the last decision muted something by what others may end
        self.settled()
        self._mute_starts: tuple[Instant, Instant | None] | None = None
        self._hours: dict[str, tuple[Instant, Instant | None]] = {}

    # ------------------------------------------------------------------------------ what there is

    def know(
        self, incident: Incident, policy: Policy | None, alerts: Sequence[StoredAlert], pages: Sequence[Page] = (),
        *, asked: bool = True,
    ) -> Course:  # fmt: skip
        """Add an incident. `pages`: those of its cycle so far, sent or not."""
        course = self.courses[incident.number] = Course(incident, policy, list(alerts), asked)
        self.sending.known.update(page.key for page in pages)
        self.sending.waiting += [page for page in pages if page.status == "planned"]
        self.mutes.see_incident(incident, self.now)
        return course

    def settled(self) -> None:
        """Note that all incidents have followed what mutes as it is now."""
        self._muted_by_others = False
        self._followed = Followed(self.mutes.turn, self.mutes.inhibited.fork(), self.mutes.parents.fork())

    def get(self, number: int | None) -> Incident | None:
        course = self.courses.get(number) if number is not None else None
        return course.incident if course is not None else None

    def number(self) -> int:
        """The number of the next incident that opens."""
        self.next_number += 1
        return self.next_number - 1

    def around(self, course: Course) -> Around:
        return Around(self.settings, self.people, self.mutes, course.policy, course.alerts, self.now, _no_id)

    def depth(self, course: Course) -> int:
        """Number of services it waits for: whoever is needed comes first."""
        return self.mutes.parents.depth(course.incident.service)

    # ---------------------------------------------------------------------------- what was decided

    def do(self, deeds: Iterable[Deed]) -> None:
        """Keep what was decided; a very first page waits for `page_firsts`."""
        for deed in deeds:
            course = self.courses[deed.incident.number]
            if isinstance(deed, StepRun):
                self._ran(course, deed)
            else:
                self._moved(course, deed)
            self.mutes.see_incident(course.incident, self.now)

    def begin(self, course: Course) -> None:
        """The step that is due now; the very first page waits for the end: a storm may take the incident in."""
        kind = course.alerts[0].labels.get("alertname", "") if course.alerts else ""
        if storm_pages.is_first(course.incident):
            self._firsts.append((course, kind))
        else:
            self._step(course)

    def begin_unless_muted(self, courses: Sequence[Course]) -> None:
        """Page for what just opened, unless something that came with it keeps it quiet."""
        for course in sorted(courses, key=self.depth):
            if course.incident.status != "triggered" or course.incident.muted_by is not None:
                continue
            mute = muting(course.incident, course.alerts, self.mutes, self.now)
            if mute is None:
                self.begin(course)
            else:
                self.do(_moves(lifecycle.mute(course.incident, mute.reason, mute.until, self.now)))

    def _step(self, course: Course) -> None:
        run = run_step(course.incident, course.policy, self.settings, self.people, self.now, _no_id)
        self.do((run,))

    def _ran(self, course: Course, run: StepRun) -> None:
        course.steps += 1
        course.exhausted |= course.incident.due_kind == "again" or course.policy is None or not course.policy.steps
        course.incident = run.incident
        if any(self.sending.meets(page, self.now) for page in run.pages):
            self.ties.append(self.now)
        self.sending.waiting += run.pages
        self._tell(course, run.entries)

    def _moved(self, course: Course, move: Move) -> None:
        new_cycle = move.incident.cycle > course.incident.cycle
        if new_cycle:
            course.policy = timers.policy_of_new_cycle(move.incident, self.settings, course.policy)
            course.exhausted = False
        if move.stops_pages or new_cycle:
            number = move.incident.number
            self.sending.waiting = [page for page in self.sending.waiting if page.incident != number]
        before, course.incident = course.incident, move.incident
        if (
            _by_others(before)
            and before.muted_by == move.incident.muted_by
            and before.priority != move.incident.priority
        ):
            self._followed = None
        self._muted_by_others |= before.muted_by != move.incident.muted_by and _by_others(move.incident)
        self._tell(course, move.entries)

    def _tell(self, course: Course, entries: Sequence[Entry]) -> None:
        now = course.incident
        for entry in entries:
            if entry.kind in TOLD:
                step, round_ = int(entry.detail.get("step", now.step)), int(entry.detail.get("round", now.round))
                course.told.append(
                    Planned(entry.at, step, None, None, _said(entry), "", now.cycle, round_, 0, entry.kind, now.number)
                )

    def note(self, course: Course, because: str, kind: str = "page") -> None:
        course.told.append(
            Planned(self.now, course.incident.step, None, None, because, kind=kind, incident=course.incident.number)
        )

    # ------------------------------------------------------------------------------------- storms

    def page_firsts(self) -> None:
        """First pages that were decided at this instant: each runs its first step, or a storm takes it in."""
        firsts, self._firsts = self._firsts, []
        for state in self.states.values():
            storm = self.get(state.incident)
            if state.incident is not None and (storm is None or not storm.open):
                self._end_storm(state)
        for course, kind in firsts:
            if storm_pages.is_due(course.incident, self.now):
                self._page_first(course, kind)

    def _page_first(self, course: Course, kind: str) -> None:
        incident, limit = course.incident, self.settings.storm
        scope = storms.scope_of(incident, limit)
        state = self.states.setdefault(scope, StormState(scope)) if scope else None
        if state is None or (incident.storm is not None and incident.storm != state.incident):
            self._step(course)
            return
        one = storm_pages.arrived(state, incident, kind, limit, self.now)
        if one.begins:
            self._begin_storm(state, incident, one.name)
        storm = self.get(state.incident)
        if storm is None or not storm_pages.takes_in(storm, one, self.settings, self.people, self.now):
            self._step(course)
            return
        self.do((storm_pages.taken_in(storm, incident, state, self.now),))
        if incident.storm is None and not one.begins:
            storms.collect(state, one.name)
        self.do(storm_pages.risen(storm, incident, self.now))

    def _begin_storm(self, state: StormState, incident: Incident, name: str) -> None:
        number, limit = self.number(), self.settings.storm
        policy = policy_for(None, incident.service, self.settings)
        storms.begin(state, number, self.now)
        storms.collect(state, name)
        service = incident.service if limit.per != "all" else ""
        storm = opened(
            number, f"storm/{state.scope}", storms.title(state, limit), service, incident.severity, incident,
            policy.name if policy is not None else "", str(TOCSIN), self.now,
        )  # fmt: skip
        course = self.know(storm, policy, ())
        self.storms_begun[number] = incident.number
        self.note(course, f"storm INC {number} begins: {storms.because_it_began(limit)}", "storm")
        self._step(course)

    def _end_storm(self, state: StormState) -> None:
        number = state.incident or 0
        self._wake(state, number)
        storms.end(state)

    def _wake(self, state: StormState, number: int) -> None:
        """Let what it took in fall due, the most urgent first, two in a millisecond."""
        muted_by = lifecycle.storm_mute(number, state.scope.endswith(storms.CRITICAL))
        members = [one for one in self.courses.values() if one.incident.muted_by == muted_by]
        members.sort(key=lambda one: (one.incident.priority, one.incident.number))
        for place, member in enumerate(members):
            member.incident = replace(member.incident, due_at=Instant(self.now + place // 2))

    def look_after_storms(self) -> None:
        """Storms that are over end; what a storm took in of which nobody hears pages by itself."""
        for state in self.states.values():
            if state.incident is None or (course := self.courses.get(state.incident)) is None:
                continue
            if not course.incident.open:
                self._end_storm(state)
            elif storms.is_calm(state, self.settings.storm, self.now):
                because = storms.because_it_is_over(state, self.settings.storm, self.now)
                close_after = self.settings.defaults.close_after
                self.do(_moves(lifecycle.resolve(course.incident, TOCSIN, "storm", self.now, close_after, because)))
                self.note(course, f"the storm is over: {because}", "storm")
                self._end_storm(state)
            elif not storm_pages.stands(course.incident, self.settings, self.people, self.now):
                self._wake(state, state.incident)

    def _calm_at(self, state: StormState) -> Instant | None:
        known = state.incident is not None and state.incident in self.courses
        return storms.calm_at(state, self.settings.storm, self.now) if known else None

    def _leave_storm(self, course: Course) -> bool:
        """Whether one that was taken in pages by itself now; else it is answered with its storm, or waits on."""
        incident, storm = course.incident, self.get(course.incident.storm)
        by = storm_pages.answer_of(storm, incident)
        if by is not None:
            timeout = (course.policy or Policy("", ())).ack_timeout
            self.do(_moves(lifecycle.acknowledge(incident, by, "storm", self.now, timeout)))
            return False
        if storm is not None and storm_pages.stands(storm, self.settings, self.people, self.now):
            course.incident = replace(incident, due_at=Instant(self.now + storms.LOOKED_AFTER))
            return False
        self.do((storm_pages.released(storm, incident, self.now),))
        return True

    # -------------------------------------------------------------------------------------- time

    def next(self) -> Instant | None:
        """Next instant of an event, beyond what is waiting to be sent; now, where incidents have yet to follow."""
        if self.unfollowed():
            return self.now
        found = [self._next_mute(), *(self._calm_at(state) for state in self.states.values())]
        for course in self.courses.values():
            if course.over or not course.incident.open:
                continue
            if _is_timed(course.incident) and course.incident.due_at is not None:
                found.append(max(course.incident.due_at, self.now))
            if timers.may_get_urgency_back(course.incident, self.settings):
                found.append(self._hours_begin(course.incident.service))
        return min((at for at in found if at is not None), default=None)

    def _next_mute(self) -> Instant | None:
        """Beginning of the next silence or window; looked for again only behind it."""
        known = self._mute_starts
        if known is None or (known[1] is not None and known[1] <= self.now):
            known = self._mute_starts = (self.now, self.mutes.next_start(self.now))
        return known[1]

    def _hours_begin(self, service: str) -> Instant | None:
        known = self._hours.get(service)
        support = self.settings.services[service].support_hours
        if support is not None and (known is None or (known[1] is not None and known[1] <= self.now)):
            known = self._hours[service] = (self.now, next(hours_begin(support, self.now), None))
        return known[1] if known is not None else None

    def begin_hours(self) -> None:
        """Support hours that begin at this very instant."""
        for course in self._going_on():
            if timers.may_get_urgency_back(course.incident, self.settings):
                support = self.settings.services[course.incident.service].support_hours
                if support is not None and _begins(support, self.now):
                    self.do(timers.urgency_back(course.incident, self.around(course)))

    def happen(self) -> Iterator[None]:
        """Run what is due at this very instant, and what that leads to."""
        self.look_after_storms()
        begins = self.mutes.starts_at(self.now)
        for turn in range(MOST_AT_ONCE):
            if turn:
                self.send(self.now)  # what was decided before is on its way
                self.note_tie()
            yield from self._run_due()
            if begins:
                self._followed, begins = None, False
            if not self.follow() and not self._due():
                break

    def follow(self) -> bool:
        """Follow what began or ceased to mute: each incident is muted while all its firing alerts are.

        As the daemon goes through them: first it is asked which would change by what mutes now, then these change, the
        needed before those that need them. What they change in their turn is for the next time.
        """
        if not self.unfollowed():
            return False
        self.settled()
        for course in self._going_on():
            course.incident = _looked_at(course.incident, self.now)
        newest_first = sorted(self._going_on(), key=lambda one: -one.incident.number)
        changing = [one for one in newest_first if self._follows(one)]
        for course in sorted(changing, key=self.depth):
            self.do(self._follows(course))
        return True

    def _follows(self, course: Course) -> tuple[Deed, ...]:
        triggered = course.incident.status == "triggered"
        return timers.follow_mutes(course.incident, self.around(course)) if triggered else ()

    def unfollowed(self) -> bool:
        """Whether incidents have yet to follow what mutes: not where it only went to and fro within one decision."""
        known, mutes = self._followed, self.mutes
        by_others, self._muted_by_others = self._muted_by_others, False
        if known is None or known.turn == mutes.turn:
            return known is None
        if by_others or known.inhibited != mutes.inhibited or known.parents != mutes.parents:
            self._followed = None
            return True
        self._followed = known._replace(turn=mutes.turn)
        return False

    def _going_on(self) -> list[Course]:
        return [one for one in self.courses.values() if not one.over and one.incident.open]

    def _due(self) -> list[Course]:
        """Courses whose time has come, as the daemon's timers take them: P1 first, then the oldest due."""
        due = [one for one in self._going_on() if _is_due(one.incident, self.now)]
        due.sort(key=lambda one: (one.incident.priority, one.incident.due_at or 0, one.incident.number))
        return sorted(due, key=self.depth)

    def _run_due(self) -> Iterator[None]:
        due = self._due()
        for course in due:  # what is about to page counts for those that are due with it
            self.mutes.see_incident(course.incident, self.now)
        for course in due:
            self._run(course)
            yield
        self.page_firsts()
        for course in due:
            self._end_course(course)

    def _run(self, course: Course) -> None:
        course.events += 1
        if course.incident.due_kind == "unmute" and lifecycle.in_storm(course.incident):
            if not self._leave_storm(course):
                return
        before = course.incident
        for deed in timers.fall_due(before, self.around(course)):
            if isinstance(deed, StepRun) and storm_pages.is_first(course.incident):
                self.begin(course)
            else:
                self.do((deed,))
        if course.incident is before and not storm_pages.is_due(before, self.now):
            course.incident = replace(before, due_at=None)  # nothing to do: it must not be asked forever

    def _end_course(self, course: Course) -> None:
        """Stop at what had all its steps: no more of it is told."""
        if self.ends_when_exhausted:
            course.over |= course.exhausted or course.steps >= MOST_STEPS
        course.over |= not course.asked and course.events >= MOST_LIVED

    def all_told(self) -> bool:
        """Whether nothing more is to be said of those asked for."""
        return all(one.over or not one.incident.open for one in self.courses.values() if one.asked)

    def note_tie(self) -> None:
        """Note that more is decided at an instant at which pages left already."""
        if self._sent_at == self.now:
            self.ties.append(self.now)

    def send(self, end: Instant) -> None:
        """Pages that are due until `end` go out."""
        if end == self.now and any(page.due_at <= end for page in self.sending.waiting):
            self._sent_at = end
        incidents = {number: course.incident for number, course in self.courses.items()} if self.sending.waiting else {}
        for left in self.sending.until(end, self.now, incidents):
            course = self.courses.get(left.page.incident or 0)
            if course is not None:
                course.told.append(_planned(left))


def hours_begin(support: Support, after: Instant) -> Iterator[Instant]:
    """Next beginnings of support hours, later than `after`, in order; for AHEAD_DAYS."""
    today = civil(after, zone_of(support.timezone)).date()
    starts = sorted({hours.start for hours in support.hours} | {0})
    for ahead in range(AHEAD_DAYS):
        day = (today + timedelta(days=ahead)).isoformat()
        for minutes in starts:
            at = local_instant(f"{day}T{minutes // 60:02}:{minutes % 60:02}", support.timezone)
            if at > after and _begins(support, at):
                yield at


def _is_timed(incident: Incident) -> bool:
    """Whether its own timer changes anything: what waits for another's end is told by that."""
    return incident.due_at is not None and incident.due_kind is not None and not _waits_for_others(incident)


def _is_due(incident: Incident, now: Instant) -> bool:
    """Whether its timer is due; of what waits for another's end, whether that timer is due at this very instant: then
    it is asked together with what ends there, before those that follow."""
    if incident.due_at is None or incident.due_at > now:
        return False
    if _waits_for_others(incident):
        return (now - incident.due_at) % LOOKED_AT == 0
    return incident.due_kind is not None


def _looked_at(incident: Incident, now: Instant) -> Incident:
    """Incident that waits for another's end, its timer as it stands after the looks so far that changed nothing."""
    due = incident.due_at
    if due is None or due > now or not _waits_for_others(incident):
        return incident
    return replace(incident, due_at=Instant(due + ((now - due) // LOOKED_AT + 1) * LOOKED_AT))


def _waits_for_others(incident: Incident) -> bool:
    return incident.due_kind == "unmute" and _by_others(incident)


def _by_others(incident: Incident) -> bool:
    return (incident.muted_by or "").startswith(("parent:", "inhibition:"))


def _planned(left: Left) -> Planned:
    page = left.page
    because = "; ".join(filter(None, (page.because, left.because)))
    return Planned(
        left.at, page.step, page.user or None, page.channel, because, page.contact, page.cycle, page.round, page.rule,
        left.how, page.incident or 0,
    )  # fmt: skip


def _begins(support: Support, at: Instant) -> bool:
    return in_hours(support, at) and not in_hours(support, Instant(at - 1))


def _said(entry: Entry) -> str:
    match entry.kind:
        case "muted":
            return f"quiet from now on: {entry.because}"
        case "unmuted" | "retriggered":
            return f"paging begins again: {entry.because}"
        case "reassessed":
            return f"priority {entry.detail.get('priority', '')}: {entry.because}"
        case "catch_all":
            return f"the catch-all is paged: {entry.because}"
        case _:
            return entry.because


def _moves(move: Move | Stay) -> tuple[Move, ...]:
    return () if isinstance(move, Stay) else (move,)


def _no_id() -> str:
    return ""
