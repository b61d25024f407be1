"""What would happen to these alerts, and who would be paged when? The production functions, asked ahead of time."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.decide.heartbeats.heartbeats import HeartbeatMatcher
from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.incidents.lifecycle import Move, Stay
from tocsin.decide.incidents.overtaken import because_it_waits, waits_behind, waits_behind_clear, waits_on
from tocsin.decide.incidents.timers import follow_mutes, page_unless_muted
from tocsin.decide.muting.mutes import Mute, Mutes
from tocsin.decide.noise import threshold
from tocsin.decide.noise.flapping import clearing
from tocsin.decide.oncall.reach import People
from tocsin.decide.oncall.resolver import zone_of
from tocsin.decide.routing.alert_terms import terms_of
from tocsin.decide.routing.grouping import Group, group_of
from tocsin.decide.routing.priority import Assessment, assess, is_higher, worst
from tocsin.decide.routing.rules import Rulebook, Traced, Verdict, value_of
from tocsin.decide.text import DESCRIPTION, TITLE, clean, clean_identity, clean_labels
from tocsin.decide.views import in_words
from tocsin.decide.whatif.delivery_forecast import NO_LIMITS, Limits, SentLately
from tocsin.decide.whatif.delivery_forecast import of as sending_of
from tocsin.decide.whatif.escalation_forecast import Course, Planned
from tocsin.model import (
    EMPTY,
    Alert,
    Incident,
    Instant,
    IntegrationConfig,
    Millis,
    Page,
    Parsed,
    Policy,
    Settings,
    Severity,
    Silence,
    StoredAlert,
    Tombstone,
    rfc3339,
)

MOST_OTHERS = 20  # incidents that keep others quiet whose course is foreseen
MOST_LIVED = 100  # events of each


@dataclass(frozen=True, slots=True)
class Facts:
    """What is known of the running system; nothing of it where there is no database."""

    incidents: Mapping[str, Incident] = EMPTY  # the latest one of each incident key, and those of `alerts` by theirs
    alerts: Mapping[str, StoredAlert] = EMPTY  # firing alerts of the integration, by dedup_key
    silences: Sequence[Silence] = ()
    people: People = field(default_factory=People)
    firing: Mapping[int, Sequence[StoredAlert]] = field(default_factory=dict)  # all firing alerts of these incidents
    pages: Mapping[int, Sequence[Page]] = field(default_factory=dict)  # their pages of this cycle, sent or not
    policies: Mapping[str, Policy] = EMPTY  # as frozen, by hash
    limits: Limits = NO_LIMITS  # of the channels that have any
    sent: SentLately = field(default_factory=dict)  # what went to people lately over these
    counted: Mapping[str, int] = EMPTY  # firings within the window, of the incident keys that a threshold counts
    sources: Sequence[StoredAlert] = ()  # that fire and keep others quiet
    down: Sequence[Incident] = ()  # open incidents of services that others depend on
    next_number: int = 0  # the number a new incident would get; 0: not known
    tombstones: Mapping[str, Tombstone] = EMPTY  # ends of the integration's alerts, by dedup_key
    now: Instant | None = None  # when this was so


@dataclass(slots=True)
class Explained:
    """One alert, what the rules and the running system make of it, and whom it would page."""

    alert: Alert
    action: str  # open, join, update, resolve, drop, suppress, hold
    because: str
    rules: tuple[Traced, ...] = ()
    verdict: Verdict | None = None
    group: Group | None = None
    assessed: Assessment | None = None
    policy: str | None = None
    silences: tuple[Silence, ...] = ()
    mute: Mute | None = None
    hold_until: Instant | None = None
    course: Course | None = None
    plan: tuple[Planned, ...] = ()
    notes: tuple[Planned, ...] = ()

    @property
    def muted_by(self) -> str | None:
        """The silence that hits it and ends last, by its id; else `maintenance:NAME`, `inhibition:NAME`, `parent:N`."""
        return None if self.mute is None else self.mute.reason.removeprefix("silence:")


def explain(
    settings: Settings,
    rulebook: Rulebook,
    integration: IntegrationConfig,
    parsed: Parsed,
    at: Instant,
    facts: Facts = Facts(),
    ahead: Millis | None = None,
) -> tuple[Explained, ...]:
    """Every alert of a body in order, as if it arrived at `at` and nobody answered. Writes nothing.

    `ahead`: how much of the page plan; None: until the catch-all had its turn.
    """
    asking = Asking(settings, rulebook, integration, at, facts)
    parsed, _ = HeartbeatMatcher(settings.heartbeats.values()).hear(integration.name, parsed)
    for alert in parsed.alerts:
        asking.about(alert)
    for course in asking.courses:
        asking.plan(course, ahead)
    return tuple(asking.found)


class Asking:
    """One body under explanation: an alert that opens an incident is joined by those behind it.

    `about` each alert in order, then `plan` each of `courses`; `found` has the answers. No call takes long.
    """

    def __init__(
        self, settings: Settings, rulebook: Rulebook, integration: IntegrationConfig, at: Instant, facts: Facts,
        mutes: Mutes | None = None,
    ) -> None:  # fmt: skip
        """`mutes`: those of `settings`, where they know silences that were compiled already."""
        self.settings, self.rulebook, self.integration = settings, rulebook, integration
        self.at, self.facts = at, facts
        self.found: list[Explained] = []
        self.seen: dict[str, Explained] = {}
        self._by_key: dict[str, Course] = {}
        self._by_number: dict[int, Course] = {}
        self._later: dict[Instant, Asking] = {}  # what waits behind its end, by when it fires
        self._have: dict[str, int] = {}  # by incident key: firings counted, with those of this body
        self._numbers = 0
        self.mutes = Mutes(settings, facts.people) if mutes is None else mutes
        self.mutes.learn(facts.sources, facts.down, at if facts.now is None else min(at, facts.now))
        since = at if facts.now is None else min(at, facts.now)
        self.mutes.replace(one for one in facts.silences if one.ends_at > since)
        self._unpaged: list[tuple[Explained, Course]] = []  # opened, and to be paged for when all of the body is known
        self._settled = False
        self._coming: list[tuple[Instant, Incident]] = []  # what becomes of those that keep others quiet, in order
        self._coming = self._lives([self._alone(one, since) for one in facts.down[:MOST_OTHERS]])
        for _, incident in [one for one in self._coming if one[0] <= at]:
            self.mutes.see_incident(incident, at)
        self._coming = [one for one in self._coming if one[0] > at]

    @property
    def courses(self) -> list[Course]:
        """Those of all incidents that the alerts open, join or change; all alerts have been asked `about`."""
        self._settle()
        later = [course for asking in self._later.values() for course in asking.courses]
        mine = (*self._by_number.values(), *self._by_key.values(), *later)
        return list({id(course): course for course in mine}.values())

    def about(self, alert: Alert) -> Explained:
        found = self._about(alert)
        self.found.append(found)
        return found

    def plan(self, course: Course, ahead: Millis | None) -> None:
        """What comes of one incident; told with the first alert that touches it."""
        for _ in self.planning(course, ahead):
            pass

    def planning(self, course: Course, ahead: Millis | None) -> Generator[None, None, None]:
        """The same, event by event. Whoever stops early has the plan so far."""
        try:
            yield from course.going(None if ahead is None else Instant(self.at + ahead))
        finally:
            first = next((one for one in self.found if one.course is course), None)
            if first is not None:
                told = sorted(course.told, key=lambda one: one.at)
                first.plan = tuple(one for one in told if one.channel)
                first.notes = tuple(one for one in told if not one.channel)

    def _about(self, alert: Alert) -> Explained:
        match alert.status:
            case "firing" | "heartbeat":
                return self._firing(alert)
            case "resolved":
                return self._resolved(alert)
            case status:
                return Explained(alert, "update", f"{status}: rules are not run, nobody is paged")

    def _resolved(self, alert: Alert) -> Explained:
        """Rules are not run for a resolve and cannot drop it."""
        if not self.integration.may_resolve:
            return Explained(alert, "resolve", f"ignored: {self.integration.name} may not resolve (may_resolve)")
        known = self.facts.alerts.get(alert.source_key or "")
        if known is not None and known.status == "waiting":
            return Explained(alert, "resolve", "it ends a firing that waits: nobody is paged for that")
        if known is not None:
            where = f"it resolves the alert of incident {known.incident}"
            return Explained(alert, "resolve", where + self._waits(known))
        if alert.source_key in self.seen:
            return Explained(alert, "resolve", "it resolves an alert of this very body")
        return Explained(alert, "resolve", "no open alert with this dedup_key is known; a resolve opens nothing")

    def _firing(self, alert: Alert) -> Explained:
        verdict = self.rulebook.walk(alert, self.integration)
        group = group_of(verdict, alert.source_key or f"(made on arrival){alert.pointer}", self.integration.name)
        policy = policy_for(verdict.policy, verdict.service, self.settings)
        found = Explained(
            alert,
            "open",
            "",
            rules=self.rulebook.trace(alert, self.integration),
            verdict=verdict,
            group=group,
            assessed=assess(verdict, verdict.severity, self.settings, self.at),
            policy=policy.name if policy else None,
            silences=tuple(self.mutes.hitting(value_of(verdict, alert, self.integration.name), self.at)),
            hold_until=None if verdict.hold is None else Instant(self.at + verdict.hold),
        )
        found.mute = self._mute_of(found)
        self._place(found, verdict, group, policy)
        self._fires(found, verdict)
        if alert.source_key:
            self.seen[alert.source_key] = found
        return found

    def _fires(self, found: Explained, verdict: Verdict) -> None:
        """It may keep others quiet, from here on."""
        if not self.mutes.inhibited.rules:
            return
        number = found.course.incident.number if found.course is not None else None
        stored = replace(self._stored(found, verdict, number or 0), incident=number)
        counts = number is not None or verdict.suppressed_by is not None
        self.mutes.see(stored, counts=counts)
        if found.course is not None:
            self.mutes.see_incident(found.course.incident, self.at)

    def _place(self, found: Explained, verdict: Verdict, group: Group, policy: Policy | None) -> None:
        """What becomes of it, with the reason, and its incident's course."""
        known = self.facts.alerts.get(found.alert.source_key or "")
        again = self.seen.get(found.alert.source_key or "")
        until = self._waits_behind_its_end(found, known)
        if again is not None:
            found.course = again.course
            found.action, found.because = "update", _updates("an alert of this very body")
        elif known is not None and known.incident is not None and until is not None:
            found.action, found.because = "update", because_it_waits(None, until)
        elif known is not None and known.incident is not None:
            self._update(found, known, verdict)
        elif found.alert.status == "heartbeat":
            found.action, found.because = "suppress", "it feeds a heartbeat and opens nothing"
        elif verdict.dropped_by is not None:
            found.action, found.because = "drop", f"rule {verdict.dropped_by!r} drops it"
        elif verdict.suppressed_by is not None:
            found.action = "suppress"
            found.because = f"rule {verdict.suppressed_by!r} keeps it without incident"
        elif until is not None:
            self._place_later(found, until, known)
        elif not self._too_few(found, verdict, group):
            self._into_incident(found, verdict, group, policy)

    def _waits_behind_its_end(self, found: Explained, known: StoredAlert | None) -> Instant | None:
        """When it would fire, where it comes right behind its end and is not newer."""
        started_at = found.alert.started_at
        if known is None:
            return waits_behind(self.facts.tombstones.get(found.alert.source_key or ""), started_at, self.at)
        if known.status == "waiting":
            return waits_on(known, started_at, self.at)
        return waits_behind_clear(known, started_at, self.at)

    def _place_later(self, found: Explained, until: Instant, known: StoredAlert | None) -> None:
        """What becomes of it when its wait is over, unless it is resolved."""
        alerts = {key: one for key, one in self.facts.alerts.items() if one is not known}
        facts = replace(self.facts, tombstones=EMPTY, alerts=alerts)
        if until not in self._later:
            self._later[until] = Asking(self.settings, self.rulebook, self.integration, until, facts)
        placed = self._later[until].about(found.alert)
        tombstone = self.facts.tombstones.get(found.alert.source_key or "")
        why = known.because if known is not None else because_it_waits(tombstone, until)
        found.action, found.because = "hold", f"{why}; then {placed.because}"
        found.hold_until, found.mute, found.course = placed.hold_until or until, placed.mute, placed.course
        found.silences = placed.silences

    def _waits(self, known: StoredAlert) -> str:
        found = clearing(terms_of(known.terms), known.settles_at, self.at) if known.incident is not None else None
        return f"; {found.because}" if found is not None else ""

    def _too_few(self, found: Explained, verdict: Verdict, group: Group) -> bool:
        """Under a threshold: whether it only counts, so far."""
        limit = verdict.terms.threshold if verdict.terms is not None else None
        if limit is None or self._is_open(group.key):
            return False
        have = self._have.get(group.key, self.facts.counted.get(group.key, 0))
        known = self.facts.alerts.get(found.alert.source_key or "")
        if known is None or found.alert.started_at not in (None, known.started_at):
            have += 1
        self._have[group.key] = have
        judged = threshold.judge(limit, have)
        if isinstance(judged, threshold.Reached):
            return False
        found.action, found.because = "suppress", judged.because
        return True

    def _is_open(self, key: str) -> bool:
        opened = self._by_key.get(key)
        before = opened.incident if opened is not None else self.facts.incidents.get(key)
        return before is not None and before.open and (before.joins_until is None or self.at < before.joins_until)

    def _into_incident(self, found: Explained, verdict: Verdict, group: Group, policy: Policy | None) -> None:
        opened = self._by_key.get(group.key)
        before = opened.incident if opened is not None else self.facts.incidents.get(group.key)
        if before is None:
            self._open(found, verdict, group, policy, None)
        elif before.open and (before.joins_until is None or self.at < before.joins_until):
            self._join(found, verdict, opened or self._course_of(before))
        elif self._reopens(before):
            self._reopen(found, verdict, opened or self._course_of(before))
        else:
            self._open(found, verdict, group, policy, before)

    # ------------------------------------------------------------------------------ opens, joins

    def _open(
        self, found: Explained, verdict: Verdict, group: Group, policy: Policy | None, before: Incident | None
    ) -> None:
        incident = self._incident(found, verdict, group, policy)
        course = self._start(incident, policy, [self._stored(found, verdict, incident.number)])
        self._by_key[group.key] = found.course = course
        mute = found.mute
        if mute is not None:
            course.do(_moves(lifecycle.mute(incident, mute.reason, mute.until, self.at)))
        elif found.hold_until is None:
            self._unpaged.append((found, course))
        self.mutes.see_incident(course.incident, self.at)
        found.action = "hold" if verdict.hold else "open"
        found.because = self._opening(found, group, verdict, before)

    def _opening(self, found: Explained, group: Group, verdict: Verdict, before: Incident | None) -> str:
        because = f"it opens an incident: {group.because}"
        if before is not None:
            why = f"is {before.status}" if not before.open else "takes no more alerts (join_within)"
            because += f"; incident {before.number} of the same key {why}"
        if verdict.hold:
            because += f"; nobody is paged for {in_words(verdict.hold)}, and not at all if it resolves before"
        return because + _quiet(found, self.settings)

    def _incident(self, found: Explained, verdict: Verdict, group: Group, policy: Policy | None) -> Incident:
        """The incident this alert would open."""
        assessed = found.assessed or assess(verdict, verdict.severity, self.settings, self.at)
        due = found.hold_until or self.at
        return Incident(
            number=self._next_number(),
            key=group.key,
            status="triggered",
            title=clean(verdict.title, TITLE) or "(no title)",
            service=clean_identity(verdict.service, 256),
            severity=verdict.severity,
            impact=assessed.impact,
            urgency=assessed.urgency,
            priority=assessed.priority,
            category=verdict.category,
            integration=self.integration.name,
            policy=policy.name if policy else "",
            policy_hash="",
            created_at=self.at,
            updated_at=self.at,
            due_at=due,
            due_kind="step",
            planned_at=due,
            held_until=found.hold_until,
            joins_until=Instant(self.at + verdict.join_within) if group.grouped else None,
            grouped=group.grouped,
            firing=1,
            total=1,
        )

    def _next_number(self) -> int:
        """Where none is known, they are told apart all the same."""
        self._numbers += 1
        return self.facts.next_number + self._numbers - 1

    def _join(self, found: Explained, verdict: Verdict, course: Course) -> None:
        before = course.incident
        found.mute = mute = self._mute_of(found, before, alone=not before.firing)
        found.action, found.course = "join", course
        found.because = f"it joins {self._named(before)}: {found.group.because if found.group else ''}"
        course.alerts.append(self._stored(found, verdict, before.number))
        severity = worst([before.severity, verdict.severity]) if before.firing else verdict.severity
        after = replace(
            self._assessed(before, verdict, severity, alone=not before.firing),
            firing=before.firing + 1,
            total=before.total + 1,
        )
        course.incident = after
        if self._pages_anew(before, after, verdict):
            found.because += f"; that is acknowledged by {before.acknowledged_by}, and this one pages again"
            course.do(_moves(lifecycle.retrigger(after, self.at, self._why_anew(before, after), "alert")))
            return
        found.because += _quiet(found, self.settings)
        if mute is None:
            self._let_page(course, found.hold_until)
        if after.priority != before.priority:
            found.because += f"; its priority rises from {before.priority} to {after.priority}"
        found.because += f"; its paging goes on as it stands ({before.status})"

    def _update(self, found: Explained, known: StoredAlert, verdict: Verdict) -> None:
        """The same alert again: with other content its incident is assessed anew."""
        found.action, found.because = "update", _updates(f"incident {known.incident}")
        before = next((one for one in self.facts.incidents.values() if one.number == known.incident), None)
        if before is None or not before.open:
            return
        course = found.course = self._by_number.get(before.number) or self._course_of(before)
        if _same(known, self._stored(found, verdict, before.number)):
            found.because = f"incident {known.incident} has this very alert already: its repetition is counted"
            return
        before = course.incident
        alone = before.firing == 1
        found.mute = mute = self._mute_of(found, before, alone=alone)
        severity = verdict.severity if alone else worst([before.severity, verdict.severity])
        after = self._assessed(before, verdict, severity, alone=alone)
        found.hold_until = None if found.hold_until is None else known.hold_until
        stored = replace(self._stored(found, verdict, before.number), id=known.id)
        course.alerts = [stored if one.id == known.id else one for one in course.alerts]
        course.incident = after
        if self._pages_anew(before, after, verdict) and is_higher(after.priority, before.priority):
            found.because += f"; the priority rises to {after.priority}, and it pages again"
            course.do(_moves(lifecycle.retrigger(after, self.at, self._why_anew(before, after), "alert")))
        elif mute is None:
            self._let_page(course, found.hold_until)

    def _reopens(self, before: Incident) -> bool:
        within = self.settings.defaults.reopen_within
        return before.status == "resolved" and within > 0 and self.at - (before.resolved_at or 0) <= within

    def _reopen(self, found: Explained, verdict: Verdict, course: Course) -> None:
        before = course.incident
        course.do(_moves(lifecycle.reopen(before, self.at, "the alert fired again")))
        course.alerts = [self._stored(found, verdict, before.number)]
        assessed = self._assessed(course.incident, verdict, verdict.severity, alone=True)
        course.incident = replace(assessed, firing=1, total=assessed.total + 1)
        if found.hold_until is not None:
            course.incident = lifecycle.held(course.incident, found.hold_until, self.at)
        found.action, found.course = "open", course
        found.because = f"it reopens incident {before.number}, resolved within reopen_within"
        found.because += _quiet(found, self.settings)

    def _let_page(self, course: Course, hold_until: Instant | None) -> None:
        """An alert that is not silenced ends the silence of its incident; one held less long shortens its hold."""
        incident = course.incident
        if incident.held_until is not None and (hold_until or self.at) < incident.held_until:
            incident = course.incident = lifecycle.held(incident, hold_until, self.at)
        if incident.muted_by is not None:
            course.do(_moves(lifecycle.unmute(incident, self.at, "an alert that is not silenced joined")))

    def _pages_anew(self, before: Incident, after: Incident, verdict: Verdict) -> bool:
        if before.status != "acknowledged" or verdict.re_page == "never":
            return False
        return verdict.re_page == "any" or is_higher(after.priority, before.priority)

    def _why_anew(self, before: Incident, after: Incident) -> str:
        if before.priority == after.priority:
            return "another alert joined (re_page: any)"
        return f"priority rose from {before.priority} to {after.priority}"

    def _assessed(self, incident: Incident, verdict: Verdict, severity: Severity, *, alone: bool) -> Incident:
        """As this alert would have it; beside others it never makes the incident less urgent."""
        found = assess(verdict, severity, self.settings, self.at)
        impact, urgency, priority = found.impact, found.urgency, found.priority
        if not alone and is_higher(incident.priority, priority):
            impact, urgency, priority = incident.impact, incident.urgency, incident.priority
        return lifecycle.reassessed(incident, severity, impact, urgency, priority, self.at)

    # -------------------------------------------------------------------- first steps, and others

    def _settle(self) -> None:
        """The first steps, as at the end of a post: what it brings behind an alert may keep that quiet."""
        if self._settled:
            return
        self._settled = True
        for found, course in sorted(self._unpaged, key=lambda one: self._depth(one[1])):
            course.do(page_unless_muted(course.incident, course.around()))
            self.mutes.see_incident(course.incident, self.at)
            if course.incident.muted_by is not None:
                found.mute = self._mute_of(found)
                found.because += _quiet(found, self.settings)
        mine = list({id(one): one for one in (*self._by_number.values(), *self._by_key.values())}.values())
        self._follow(mine)
        others = self._lives([self._again(one) for one in mine if self.mutes.watches(one.incident)])
        for course in mine:
            course.foresee(sorted([*self._coming, *others], key=lambda one: one[0]))

    def _depth(self, course: Course) -> int:
        return self.mutes.parents.depth(course.incident.service)

    def _follow(self, courses: Sequence[Course]) -> None:
        """What was muted by one that turned out to page nobody is muted no more."""
        for course in sorted(courses, key=self._depth):
            if course.incident.status == "triggered" and course.now == self.at:
                course.do(follow_mutes(course.incident, course.around()))
                self.mutes.see_incident(course.incident, self.at)

    def _again(self, course: Course) -> Course:
        """The same course, to be run ahead."""
        people, mutes = self.facts.people, self.mutes.fork()
        return Course(course.incident, course.policy, course.alerts, self.settings, people, mutes, course.now)

    def _alone(self, incident: Incident, since: Instant) -> Course:
        """The course of one that keeps others quiet now; of no length where its alerts are not known."""
        facts = self.facts
        policy = facts.policies.get(incident.policy_hash) or self.settings.policies.get(incident.policy)
        alerts = facts.firing.get(incident.number, ())
        return Course(incident, policy, alerts, self.settings, facts.people, self.mutes.fork(), since)

    def _lives(self, courses: Sequence[Course]) -> list[tuple[Instant, Incident]]:
        """What becomes of them, in order, where it changes what they keep quiet; whoever is needed comes first."""
        found: list[tuple[Instant, Incident]] = []
        for course in sorted(courses, key=self._depth)[:MOST_OTHERS]:
            if not course.alerts:
                continue
            course.foresee(sorted([*self._coming, *found], key=lambda one: one[0]))
            seen = self.mutes.fork()
            found += [(at, one) for at, one in course.life(MOST_LIVED) if seen.see_incident(one, at)]
        return sorted(found, key=lambda one: one[0])

    # ---------------------------------------------------------------------------------- courses

    def _course_of(self, incident: Incident) -> Course:
        """The course of an incident that is there already, as far as the alert's arrival."""
        facts = self.facts
        policy = facts.policies.get(incident.policy_hash) or self.settings.policies.get(incident.policy)
        since = min(self.at, facts.now) if facts.now is not None else self.at
        course = self._start(
            incident, policy, facts.firing.get(incident.number, ()), since, facts.pages.get(incident.number, ())
        )
        if since < self.at:
            course.until(self.at)
            course.told = []
        self._by_number[incident.number] = course
        self._by_key.setdefault(incident.key, course)
        return course

    def _start(
        self,
        incident: Incident,
        policy: Policy | None,
        alerts: Sequence[StoredAlert],
        since: Instant | None = None,
        pages: Sequence[Page] = (),
    ) -> Course:
        at = self.at if since is None else since
        facts = self.facts
        sending = sending_of(self.settings, facts.people, facts.limits, facts.sent)
        return Course(incident, policy, alerts, self.settings, facts.people, self.mutes, at, pages, sending)

    def _mute_of(self, found: Explained, before: Incident | None = None, *, alone: bool = True) -> Mute | None:
        """`before`: the incident it is in or joins; `alone`: no other alert of that fires."""
        assert found.verdict is not None
        assert found.assessed is not None
        priority = found.assessed.priority
        priority = priority if before is None or alone else min(priority, before.priority)
        return self.mutes.of(value_of(found.verdict, found.alert, self.integration.name), self.at, priority)

    def _named(self, incident: Incident) -> str:
        known = any(one.number == incident.number for one in self.facts.incidents.values())
        return f"incident {incident.number}" if known else "the incident that an earlier alert of this body opens"

    def _stored(self, found: Explained, verdict: Verdict, incident: int) -> StoredAlert:
        """The alert as it would be kept."""
        alert, at = found.alert, self.at
        return StoredAlert(
            0,
            self.integration.name,
            alert.source_key or "",
            0,
            "firing",
            incident,
            None,
            verdict.severity,
            clean(verdict.title, TITLE) or "(no title)",
            clean(alert.description, DESCRIPTION, lines=True),
            clean_identity(verdict.service, 256),
            clean(alert.source, 256),
            clean_labels(verdict.labels)[0],
            (),
            verdict.rules,
            at if alert.started_at is None else alert.started_at,
            at,
            at,
            hold_until=found.hold_until,
            written=tuple(sorted(verdict.written)),
        )


def _moves(move: Move | Stay) -> tuple[Move, ...]:
    return () if isinstance(move, Stay) else (move,)


def _updates(where: str) -> str:
    return f"{where} has this alert already: its content is updated, or its repetition counted"


def _same(known: StoredAlert, again: StoredAlert) -> bool:
    return (known.severity, known.title, known.description, known.service, known.source, known.labels) == (
        again.severity, again.title, again.description, again.service, again.source, again.labels,
    )  # fmt: skip


def _quiet(found: Explained, settings: Settings) -> str:
    if found.mute is None:
        return ""
    kind, _, what = found.mute.reason.partition(":")
    match kind:
        case "silence":
            return f"; it is kept quiet by {_silence(found.silences[0])}"
        case "maintenance":
            until = rfc3339(found.mute.until, zone_of(settings.defaults.timezone))
            return f"; it is kept quiet by the maintenance window '{what}' until {until}"
        case "inhibition":
            return f"; it is kept quiet while another alert fires (inhibition {what})"
        case _:
            return f"; it waits until INC {what} of a service it depends on is over"


def _silence(silence: Silence) -> str:
    """Until when is told beside it, by the clock of who asks."""
    return f"silence {silence.id} ({silence.comment})" if silence.comment else f"silence {silence.id}"
