"""Forecast of alerts that come, one post after another, and of what they and open incidents lead to.

One answer for several alerts at given times: each is placed as the daemon places it (`decide/incidents/placement.py`),
against all that came before. Nobody answers, every message goes through, and a source that fires goes on firing.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.ending import ended_in, ended_in_silence
from tocsin.decide.incidents.firing_counts import firing_in, firing_of
from tocsin.decide.incidents.lifecycle import Move
from tocsin.decide.incidents.placement import place
from tocsin.decide.incidents.placement_answers import (
    Acknowledge,
    Clear,
    Counted,
    Drop,
    End,
    Facts,
    Ignore,
    Join,
    Open,
    Placed,
    Reopen,
    Repeat,
    Suppress,
    Update,
    Wait,
)
from tocsin.decide.incidents.timers import reassessed, retold
from tocsin.decide.incidents.waiting_firings import was_sent
from tocsin.decide.muting.mutes import counts_as_source
from tocsin.decide.noise.counters import Mark, bulk_tally, flap_tally, in_window
from tocsin.decide.routing.alert_terms import terms_of
from tocsin.decide.routing.alert_texts import begun, content_of, fit_to_keep
from tocsin.decide.routing.grouping import Group, group_of
from tocsin.decide.routing.rules import Rulebook, Verdict
from tocsin.decide.whatif.escalation_forecast import LONGEST, Course, Incidents, Planned
from tocsin.model import (
    EMPTY,
    Actor,
    Alert,
    Instant,
    IntegrationConfig,
    Policy,
    Settings,
    StoredAlert,
    Tombstone,
)

MOST_AT_ONCE = 1_000  # events of one instant
FIRST_ID = 1 << 52  # ids of alerts that come in the forecast

Pair = tuple[str, str]


class Came(NamedTuple):
    """An alert and what becomes of it."""

    alert: Alert
    verdict: Verdict | None
    group: Group | None
    placed: Placed


class Forecast:
    """`arrive` for each alert of a post and then `settle`; `going` lets time pass. `incidents` has their courses."""

    def __init__(self, settings: Settings, rulebook: Rulebook | None, incidents: Incidents) -> None:
        self.settings, self.rulebook, self.incidents = settings, rulebook, incidents
        self.alerts: dict[Pair, StoredAlert] = {}  # that are open
        self.latest: dict[str, int] = {}  # the newest incident, by incident key
        self.tombstones: dict[Pair, Tombstone] = {}
        self.marks: dict[str, dict[str, Mark]] = {}  # what thresholds and flap rules count, by tally
        self.by_id: dict[int, StoredAlert] = {}  # alerts that wait for a threshold
        self.fired: list[Came] = []  # those that waited behind their end, and whose wait ended
        self._next_id = FIRST_ID
        self._unpaged: list[Course] = []
        self._touched: dict[int, None] = {}
        self._acknowledged: dict[int, None] = {}
        self._kept_numbers = 0  # that the daemon keeps for what this post may open
        self._opened = 0  # of these
        self._timed: dict[Pair, Instant] = {}  # when open alerts fire or end by themselves
        self._doors: dict[str, IntegrationConfig] = {}

    @property
    def now(self) -> Instant:
        return self.incidents.now

    # ------------------------------------------------------------------------------ what is known

    def know_alert(self, alert: StoredAlert) -> None:
        """Add an alert that is open, or that waits for a threshold."""
        self.by_id[alert.id] = alert
        pair = (alert.integration, alert.source_key)
        at = _changes_at(alert) if alert.ended_at is None else None
        if alert.ended_at is None:
            self.alerts[pair] = alert
        else:
            self.alerts.pop(pair, None)
        if at is None:
            self._timed.pop(pair, None)
        else:
            self._timed[pair] = at

    def know_marks(self, tally: str, marks: Sequence[Mark]) -> None:
        self.marks[tally] = {mark.what: mark for mark in marks}

    # ------------------------------------------------------------------------------ alerts that come

    def arrive(self, integration: IntegrationConfig, alert: Alert, waited: str = "") -> Came:
        """Place an alert of a post. `waited`: its identity, where it waited behind its end and that wait is over."""
        name = integration.name
        self._doors.setdefault(name, integration)
        key = waited or alert.source_key or f"(made on arrival){alert.pointer}"
        existing = self.alerts.get((name, key))
        verdict: Verdict | None = None
        group: Group | None = None
        own = self.incidents.get(existing.incident) if existing is not None else None
        facts = Facts(self.settings, integration, self.incidents.mutes, key, self._next_id, existing=existing, own=own,
                      tombstone=self._tombstone(name, key), waited=bool(waited))  # fmt: skip
        if alert.status in ("firing", "heartbeat"):
            assert self.rulebook is not None
            verdict = self.rulebook.walk(alert, integration)
            group = group_of(verdict, key, name)
            facts = self._facts_of_firing(facts, alert, verdict, group)
        else:
            flap = terms_of(existing.terms).flap if existing is not None else None
            facts = facts._replace(changes=self._changes(name, key) if flap is not None else ())
        placed = place(alert, verdict, facts, self.now)
        self._next_id += 1
        below = isinstance(placed, Suppress) and placed.below
        if verdict is not None and not (verdict.dropped_by or verdict.suppressed_by or below):
            self._kept_numbers += not isinstance(placed, Repeat)
        self._apply((name, key), placed)
        return Came(alert, verdict, group, placed)

    def _tombstone(self, name: str, key: str) -> Tombstone | None:
        found = self.tombstones.get((name, key))
        return found if found is not None and found.until > self.now else None

    def _facts_of_firing(self, facts: Facts, alert: Alert, verdict: Verdict, group: Group) -> Facts:
        terms, content = verdict.terms, content_of(alert)
        limit = terms.threshold if terms is not None else None
        facts = facts._replace(
            number=self.incidents.next_number,
            content=content if limit is None else begun(content, alert.started_at),
            fit=fit_to_keep(alert, verdict),
            group=group,
            latest=self.incidents.get(self.latest.get(group.key)),
            changes=self._changes(facts.integration.name, facts.key) if terms is not None and terms.flap else (),
        )
        if limit is None:
            return facts
        counted = self.marks.get(bulk_tally(group.key), EMPTY)
        window = in_window(counted.values(), limit.within, self.now)
        waiting = [self.by_id[id_] for id_ in dict.fromkeys(mark.alert for mark in window) if id_ in self.by_id]
        return facts._replace(counted=counted, have=len(window), window=waiting)

    def _changes(self, name: str, key: str) -> tuple[Mark, ...]:
        return tuple(self.marks.get(flap_tally(name, key), EMPTY).values())

    def _apply(self, pair: Pair, placed: Placed) -> None:
        """Keep what was decided."""
        match placed:
            case Open():
                self._open(placed)
            case Join() | Reopen() | Update() | Acknowledge():
                self._move(placed.moves)
            case End():
                self._move(placed.moves)
                if placed.alert.incident is not None:
                    self._touched[placed.alert.incident] = None
            case _:
                pass
        if isinstance(placed, Update) and placed.reassess and placed.alert.incident is not None:
            self._touched[placed.alert.incident] = None
        if isinstance(placed, Acknowledge) and placed.alert.incident is not None:
            self._acknowledged[placed.alert.incident] = None
        if isinstance(placed, Open | Reopen):
            for alert in placed.gathered:
                self._keep(alert)
                if alert.incident is not None:
                    self._touched[alert.incident] = None
        if isinstance(placed, End | Ignore) and placed.tombstone is not None:
            self.tombstones[pair] = placed.tombstone
        if isinstance(placed, Suppress | Open | Join | Reopen | Update | Clear | End):
            self._count(placed.counts)
        if isinstance(
            placed, Drop | Suppress | Wait | Repeat | Open | Join | Reopen | Update | Clear | End | Acknowledge
        ):
            self._keep(placed.alert)

    def _open(self, placed: Open) -> None:
        incident = placed.incident
        self.incidents.next_number, self._opened = incident.number + 1, self._opened + 1
        course = self.incidents.know(incident, placed.policy, ())
        self.latest[incident.key] = incident.number
        self._move(placed.moves)
        if placed.pages:
            self._unpaged.append(course)

    def _move(self, moves: Sequence[Move]) -> None:
        self.incidents.do(move for move in moves if move.incident.number in self.incidents.courses)

    def _count(self, counts: Sequence[Counted]) -> None:
        for tally, mark in counts:
            self.marks.setdefault(tally, {}).setdefault(mark.what, mark)

    def _keep(self, alert: StoredAlert) -> None:
        """Keep an alert as it is now."""
        self.know_alert(alert)
        course = self.incidents.courses.get(alert.incident or 0)
        if course is not None:
            course.asked = True
            others = [one for one in course.alerts if one.id != alert.id]
            at = next((place for place, one in enumerate(course.alerts) if one.id == alert.id), len(others))
            course.alerts = [*others[:at], *([alert] if alert.ended_at is None else []), *others[at:]]
        mutes = self.incidents.mutes
        if mutes.inhibited.rules:
            mutes.see(alert, counts=counts_as_source(alert, self.settings))
            if course is not None:
                mutes.see_incident(course.incident, self.now)

    # --------------------------------------------------------------------------- the end of a post

    def settle(self) -> None:
        """Decide what only the whole post can tell: how bad incidents are by now, first pages, who keeps whom quiet."""
        for number in self._touched:
            self._reassess(number)
        for number in self._acknowledged:
            self._acknowledge(number)
        self.incidents.next_number += self._kept_numbers - self._opened  # kept for what joined, and given to nobody
        self._kept_numbers = self._opened = 0
        unpaged, self._unpaged = self._unpaged, []
        self._touched, self._acknowledged = {}, {}
        self.incidents.begin_unless_muted(unpaged)
        self.incidents.page_firsts()
        self.incidents.send(self.now)
        self.incidents.follow()

    def _reassess(self, number: int) -> None:
        course = self.incidents.courses.get(number)
        if course is None or not course.incident.open:
            return
        firing = firing_in(course.incident) or firing_of(course.alerts)
        if firing.severity in (None, course.incident.severity):
            return
        after = reassessed(course.incident, firing, self.settings, self.now)
        if after is not course.incident:
            self.incidents.do((retold(after, "alert", "as its firing alerts are now", self.now),))

    def _acknowledge(self, number: int) -> None:
        course = self.incidents.courses.get(number)
        if course is None or not course.incident.open or not firing_of(course.alerts).acknowledged:
            return
        timeout = (course.policy or Policy("", ())).ack_timeout
        actor = Actor("integration", course.incident.integration)
        move = lifecycle.acknowledge(course.incident, actor, "alert", self.now, timeout)
        if isinstance(move, Move):
            self.incidents.do((move,))

    # -------------------------------------------------------------------------------------- time

    def until(self, end: Instant) -> None:
        """Everything that happens until `end`, included."""
        for _ in self.going(end):
            pass

    def going(self, end: Instant | None) -> Iterator[None]:
        """Event by event: whoever shares a thread with others may stop between any two.

        `end` None: until the catch-all of each incident that is asked for had its turn after the last round, at most
        LONGEST.
        """
        incidents = self.incidents
        incidents.ends_when_exhausted = end is None
        due = [one.incident.due_at or 0 for one in incidents.courses.values() if one.asked]
        last = Instant(max([self.now, *due]) + LONGEST) if end is None else end
        at_once = 0
        while (at := self._next()) is not None and at <= last and not (end is None and self._all_told()):
            at_once = at_once + 1 if at <= incidents.now else 0
            if at_once > MOST_AT_ONCE:
                break  # a guard: whatever goes round and round at one instant, the answer comes
            incidents.send(Instant(at - 1))  # what is due at that very instant leaves after what happens then
            incidents.now = max(at, incidents.now)
            incidents.note_tie()
            incidents.begin_hours()
            self._fire_those_that_waited()
            yield
            self._end_quiet_alerts()
            yield from incidents.happen()
        incidents.send(last)
        if end is not None:
            incidents.now = max(self.now, end)

    def _all_told(self) -> bool:
        return self.incidents.all_told() and not any(self.alerts[pair].waits_until for pair in self._timed)

    def _next(self) -> Instant | None:
        found = [self.incidents.next(), *self._timed.values()]
        return min((max(at, self.now) for at in found if at is not None), default=None)

    def _fire_those_that_waited(self) -> None:
        """Fire what came right behind its end, unless it was resolved again."""
        due = [one for one in self._due() if one.waits_until is not None]
        for waited in due:
            alert, defaults = was_sent(waited)
            known = self._doors.get(waited.integration) or IntegrationConfig(waited.integration, waited.integration)
            door = known if known.defaults == defaults else replace(known, defaults=defaults)
            self.fired.append(self.arrive(door, alert, waited.source_key))
        if due:
            self.settle()

    def _due(self) -> list[StoredAlert]:
        return [self.alerts[pair] for pair, at in self._timed.items() if at <= self.now]

    def _end_quiet_alerts(self) -> None:
        """Alerts that their source resolved end when they stayed quiet; the incident with the last of them."""
        due = [one for one in self._due() if one.waits_until is None]
        for alert in due:
            after = ended_in_silence(alert, self.now)
            course = self.incidents.courses.get(alert.incident or 0)
            self._keep(after)
            if course is None:
                continue
            self.incidents.do(ended_in(course.incident, after, self.settings.defaults.close_after, self.now))
            if not course.incident.open:
                self.incidents.note(course, "it resolves: it stayed quiet", "resolved")
            self._touched[course.incident.number] = None
        if due:
            self.settle()


def next_pages(settings: Settings, incidents: Incidents, course: Course) -> tuple[Planned, ...]:
    """Pages that come next: all of the first instant that has any; () where none has within LONGEST."""
    found = Forecast(settings, None, incidents)
    for alert in course.alerts:
        found.know_alert(alert)
    for _ in found.going(None):
        if any(one.channel for one in course.told):
            break
    pages = sorted((one for one in course.told if one.channel), key=lambda one: one.at)
    return tuple(one for one in pages if one.at == pages[0].at)


def _changes_at(alert: StoredAlert) -> Instant | None:
    """Instant at which an open alert fires or ends by itself."""
    if alert.waits_until is not None:
        return alert.waits_until
    return alert.expires_at if alert.cleared_at is not None else None
