"""Whom does an incident page from now on, if nobody answers and every message goes through?

What the timers decide (`decide/incidents/timers.py`), run ahead of time: steps and rounds, personal rules,
the catch-all, silences that begin and end, holds, support hours that begin. Nothing is written and nothing is sent.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta

from tocsin.decide.incidents import timers
from tocsin.decide.incidents.escalation import StepRun
from tocsin.decide.incidents.lifecycle import Move
from tocsin.decide.incidents.timers import Around, Deed
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.oncall.reach import People
from tocsin.decide.oncall.resolver import in_hours, local_instant, zone_of
from tocsin.decide.whatif.delivery_forecast import Left, Sending
from tocsin.model import DAY, Entry, Incident, Instant, Millis, Page, Policy, Settings, StoredAlert, Support
from tocsin.model.civil import civil

LONGEST = Millis(7 * DAY)
MOST_STEPS = 200
MOST_EVENTS = 2_000  # a guard: silences and steps of a week are far fewer
AHEAD_DAYS = 15  # how far the next support hours are looked for
TOLD = frozenset({"nobody", "unreachable", "catch_all", "muted", "unmuted", "retriggered", "reassessed", "rests"})


@dataclass(frozen=True, slots=True)
class Planned:
    """One page to come, or (then without channel) a line about what else happens."""

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


class Course:
    """One incident on its way. `pages`: those of its cycle so far, sent or not. Moves forward only."""

    def __init__(
        self,
        incident: Incident,
        policy: Policy | None,
        alerts: Sequence[StoredAlert],
        settings: Settings,
        people: People,
        mutes: Mutes,
        now: Instant,
        pages: Sequence[Page] = (),
        sending: Sending | None = None,
    ) -> None:
        self.incident, self.policy, self.alerts = incident, policy, list(alerts)
        self.settings, self.people, self.mutes, self.now = settings, people, mutes, now
        self.sending = sending or Sending(settings, people)
        self.sending.known.update(page.key for page in pages)
        self.sending.waiting += [page for page in pages if page.status == "planned"]
        self.told: list[Planned] = []
        self.coming: list[tuple[Instant, Incident]] = []  # what becomes of others that may keep it quiet, in order
        self.steps = 0
        self.exhausted = False  # the catch-all had its turn after the last round

    def until(self, end: Instant) -> None:
        """Everything that happens until `end`, included."""
        for _ in self.going(end):
            pass

    def going(self, end: Instant | None) -> Iterator[None]:
        """Event by event until `end`, so that whoever shares a thread with others may stop between any two; without one
        until the catch-all had its turn after the last round, at most LONGEST or MOST_STEPS."""
        last = Instant(max(self.now, self.incident.due_at or 0) + LONGEST) if end is None else end
        for _ in range(MOST_EVENTS):
            at = self._next()
            if at is None or at > last or (end is None and (self.exhausted or self.steps >= MOST_STEPS)):
                break
            self._send(Instant(at - 1))  # what is due at that very instant leaves after what happens then
            self.now = at
            self._happen()
            yield
        rest = last if end is None else end
        self._send(rest)
        if end is not None:
            self.now = max(self.now, end)

    def next_pages(self) -> tuple[Planned, ...]:
        """Whom it pages next: all pages of the first instant that has any; () when there is none within LONGEST."""
        for _ in self.going(None):
            if self._pages:
                break
        return tuple(one for one in self._pages if one.at == self._pages[0].at)

    @property
    def _pages(self) -> list[Planned]:
        return sorted((one for one in self.told if one.channel), key=lambda one: one.at)

    def do(self, deeds: Sequence[Deed]) -> None:
        """What was decided is so."""
        for deed in deeds:
            if isinstance(deed, StepRun):
                self._ran(deed)
            else:
                self._moved(deed)

    def around(self) -> Around:
        return Around(self.settings, self.people, self.mutes, self.policy, self.alerts, self.now, _no_id)

    def _ran(self, run: StepRun) -> None:
        self.steps += 1
        self.exhausted |= self.incident.due_kind == "again" or self.policy is None or not self.policy.steps
        self.incident = run.incident
        self.sending.waiting += run.pages
        self._tell(run.entries)

    def _moved(self, move: Move) -> None:
        new_cycle = move.incident.cycle > self.incident.cycle
        if new_cycle:
            self.policy = timers.policy_of_new_cycle(move.incident, self.settings, self.policy)
            self.exhausted = False
        if move.stops_pages or new_cycle:
            self.sending.waiting = []
        self.incident = move.incident
        self._tell(move.entries)

    def _tell(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            if entry.kind in TOLD:
                self.told.append(self._line(entry))

    def _line(self, entry: Entry) -> Planned:
        now = self.incident
        step, round_ = int(entry.detail.get("step", now.step)), int(entry.detail.get("round", now.round))
        return Planned(entry.at, step, None, None, _said(entry), "", now.cycle, round_, kind=entry.kind)

    def _next(self) -> Instant | None:
        """When something happens next, beyond what is waiting to be sent."""
        if not self.incident.open:
            return None
        found = [self.mutes.next_start(self.now), self._hours_begin(), *(at for at, _ in self.coming[:1])]
        if self.incident.due_at is not None and self.incident.due_kind is not None and not self._waits_for_others():
            found.append(max(self.incident.due_at, self.now))
        return min((at for at in found if at is not None), default=None)

    def _waits_for_others(self) -> bool:
        """Muted until something else ends, which no clock tells: its timer only looks again."""
        kind = (self.incident.muted_by or "").partition(":")[0]
        return self.incident.due_kind == "unmute" and kind in ("inhibition", "parent")

    def _hours_begin(self) -> Instant | None:
        service = self.settings.services.get(self.incident.service)
        if service is None or service.support_hours is None:
            return None
        if not timers.may_get_urgency_back(self.incident, self.settings):
            return None
        return next(hours_begin(service.support_hours, self.now), None)

    def _happen(self) -> None:
        """All that happens at this very instant: as in the daemon, support hours first."""
        if timers.may_get_urgency_back(self.incident, self.settings):
            service = self.settings.services[self.incident.service]
            if service.support_hours is not None and _begins(service.support_hours, self.now):
                self.do(timers.urgency_back(self.incident, self.around()))
        begins = self.mutes.starts_at(self.now) | self._others_change()
        if begins and self.incident.status == "triggered":
            self.do(timers.follow_mutes(self.incident, self.around()))
        if self.incident.resting:
            self._end_the_quiet()
        if self.incident.due_at is not None and self.incident.due_at <= self.now:
            before = self.incident
            self.do(timers.fall_due(before, self.around()))
            if self.incident is before:
                self.incident = replace(before, due_at=None)  # nothing to do: it must not be asked forever

    def foresee(self, coming: Sequence[tuple[Instant, Incident]]) -> None:
        """What becomes of other incidents from now on: what they keep quiet they may let go, and the reverse."""
        self.mutes = self.mutes.fork()
        self.coming = [(at, one) for at, one in coming if one.number != self.incident.number]

    def _others_change(self) -> bool:
        changed = False
        while self.coming and self.coming[0][0] <= self.now:
            changed |= self.mutes.see_incident(self.coming.pop(0)[1], self.now)
        return changed

    def life(self, most: int) -> Iterator[tuple[Instant, Incident]]:
        """The incident now and after each of the next events, at most so many, as if nobody answered."""
        yield self.now, self.incident
        for _ in itertools.islice(self.going(None), most):
            yield self.now, self.incident

    def _end_the_quiet(self) -> None:
        """Alerts that their source resolved end when they stayed quiet; the incident with the last of them."""
        left = [one for one in self.alerts if one.cleared_at is None or (one.expires_at or self.now) > self.now]
        if self.alerts and not left:
            self.told.append(Planned(self.now, self.incident.step, None, None, "it resolves: it stayed quiet"))
            self.incident = replace(self.incident, status="resolved", due_at=None, due_kind=None)
        self.alerts = left

    def _send(self, end: Instant) -> None:
        """Pages that are due until `end` go out, unless the incident is not to be paged for."""
        if self.incident.status != "triggered" or self.incident.muted_by is not None:
            self.sending.waiting = [page for page in self.sending.waiting if page.due_at > end]
            return
        for left in self.sending.until(end, self.now, {self.incident.number: self.incident}):
            self.told.append(_planned(left))


def hours_begin(support: Support, after: Instant) -> Iterator[Instant]:
    """When support hours begin next, later than `after`, in order; for AHEAD_DAYS."""
    today = civil(after, zone_of(support.timezone)).date()
    starts = sorted({hours.start for hours in support.hours} | {0})
    for ahead in range(AHEAD_DAYS):
        day = (today + timedelta(days=ahead)).isoformat()
        for minutes in starts:
            at = local_instant(f"{day}T{minutes // 60:02}:{minutes % 60:02}", support.timezone)
            if at > after and _begins(support, at):
                yield at


def _planned(left: Left) -> Planned:
    page = left.page
    because = "; ".join(filter(None, (page.because, left.because)))
    user = page.user or None
    return Planned(
        left.at, page.step, user, page.channel, because, page.contact, page.cycle, page.round, page.rule, left.how
    )


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


def _no_id() -> str:
    return ""
