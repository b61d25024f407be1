"""Explain: what would happen to alerts, and who would be paged when, by the production functions run ahead."""

from __future__ import annotations

from collections.abc import Generator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tocsin.decide.heartbeats.heartbeats import HeartbeatMatcher
from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.incidents.placement_answers import (
    Acknowledge,
    Clear,
    Drop,
    End,
    Ignore,
    Join,
    Open,
    Remark,
    Reopen,
    Repeat,
    Suppress,
    Update,
    Wait,
)
from tocsin.decide.muting.mutes import Mute, Mutes
from tocsin.decide.noise.counters import Mark
from tocsin.decide.noise.storms import state_of
from tocsin.decide.oncall.reach import People
from tocsin.decide.oncall.resolver import zone_of
from tocsin.decide.routing.grouping import Group
from tocsin.decide.routing.priority import Assessment, assess
from tocsin.decide.routing.rules import Rulebook, Traced, Verdict, value_of
from tocsin.decide.views import in_words
from tocsin.decide.whatif.delivery_forecast import NO_LIMITS, Limits, SentLately
from tocsin.decide.whatif.delivery_forecast import of as sending_of
from tocsin.decide.whatif.escalation_forecast import Course, Incidents, Planned
from tocsin.decide.whatif.forecast import Came, Forecast
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
    Silence,
    StoredAlert,
    Storm,
    Tombstone,
    rfc3339,
)

MOST_OTHERS = 20  # incidents that keep others quiet whose course is foreseen


@dataclass(frozen=True, slots=True)
class Facts:
    """Facts of the running system; none where there is no database."""

    incidents: Mapping[str, Incident] = EMPTY  # the latest one of each incident key, and those of `alerts` by theirs
    alerts: Mapping[str, StoredAlert] = EMPTY  # firing alerts of the integration, by dedup_key
    silences: Sequence[Silence] = ()
    people: People = field(default_factory=People)
    firing: Mapping[int, Sequence[StoredAlert]] = field(default_factory=dict)  # all firing alerts of these incidents
    pages: Mapping[int, Sequence[Page]] = field(default_factory=dict)  # their pages of this cycle, sent or not
    policies: Mapping[str, Policy] = EMPTY  # as frozen, by hash
    limits: Limits = NO_LIMITS  # of the channels that have any
    sent: SentLately = field(default_factory=dict)  # what went to people lately over these
    marks: Mapping[str, Sequence[Mark]] = EMPTY  # what thresholds and flap rules counted of these alerts, by tally
    counted: Mapping[int, StoredAlert] = field(default_factory=dict)  # alerts that wait for a threshold, by id
    sources: Sequence[StoredAlert] = ()  # that fire and keep others quiet
    down: Sequence[Incident] = ()  # open incidents of services that others depend on
    storms: Sequence[Storm] = ()  # what came lately in each scope, and the storms that are on
    others: Sequence[Incident] = ()  # open incidents that have a say in the paging of these: storms, who shares a limit
    next_number: int = 0  # the number a new incident would get; 0: not known
    tombstones: Mapping[str, Tombstone] = EMPTY  # ends of the integration's alerts, by dedup_key
    now: Instant | None = None  # when this was so


@dataclass(slots=True)
class Explained:
    """An alert, what the rules and the running system make of it, and whom it would page."""

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
    storm: int | None = None  # the storm that takes its incident in
    plan: tuple[Planned, ...] = ()
    notes: tuple[Planned, ...] = ()
    storm_plan: tuple[Planned, ...] = ()  # of the storm that begins with it

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
    for _ in asking.going(ahead):
        pass
    return tuple(asking.found)


def forecast_of(
    settings: Settings, rulebook: Rulebook | None, facts: Facts, since: Instant, mutes: Mutes | None = None
) -> Forecast:
    """Forecast from what is known of the running system at `since`, ready for alerts and for time that passes.

    `mutes`: those of `settings`, where they know silences that were compiled already; they are changed.
    """
    mutes = Mutes(settings, facts.people) if mutes is None else mutes
    mutes.learn(facts.sources, facts.down, since)
    mutes.replace(one for one in facts.silences if one.ends_at > since)
    sending = sending_of(settings, facts.people, facts.limits, facts.sent)
    states = [state_of(one) for one in facts.storms]
    number = facts.next_number or 1 + max((one.incident or 0 for one in facts.sources), default=0)
    incidents = Incidents(settings, facts.people, mutes, since, sending, states, number)
    found = Forecast(settings, rulebook, incidents)
    foreseen = [one for one in facts.down[:MOST_OTHERS] if one.number in facts.firing]  # a storm has no alert
    for incident in {one.number: one for one in (*foreseen, *facts.others, *facts.incidents.values())}.values():
        policy = facts.policies.get(incident.policy_hash) or settings.policies.get(incident.policy)
        firing, pages = facts.firing.get(incident.number, ()), facts.pages.get(incident.number, ())
        incidents.know(incident, policy, firing, pages, asked=False)
        for alert in firing:
            found.know_alert(alert)
    for key, incident in facts.incidents.items():
        found.latest[key] = incident.number
    for alert in (*facts.counted.values(), *facts.alerts.values()):
        found.know_alert(alert)
    for tally, marks in facts.marks.items():
        found.know_marks(tally, marks)
    found.tombstones = {(one.integration, one.source_key): one for one in facts.tombstones.values()}
    incidents.settled()
    return found


class Asking:
    """Explanation of a body: `about` each alert in order, then `going`; `found` has the answers."""

    def __init__(
        self, settings: Settings, rulebook: Rulebook, integration: IntegrationConfig, at: Instant, facts: Facts,
        mutes: Mutes | None = None,
    ) -> None:  # fmt: skip
        """`mutes`: those of `settings`, where they know silences that were compiled already."""
        self.settings, self.rulebook, self.integration = settings, rulebook, integration
        self.at = at
        self.found: list[Explained] = []
        self._seen: set[str] = set()  # identities of this body
        self._before = frozenset(one.number for one in facts.incidents.values())
        since = at if facts.now is None else min(at, facts.now)
        self.forecast = forecast_of(settings, rulebook, facts, since, mutes)
        self.incidents = self.forecast.incidents
        if since < at:
            self.forecast.until(at)
            for course in self.incidents.courses.values():
                course.told = []

    # ---------------------------------------------------------------------------------- alerts

    def about(self, alert: Alert) -> Explained:
        """Explain an alert, behind those before it."""
        found = self._firing(alert) if alert.status in ("firing", "heartbeat") else self._told(alert)
        self.found.append(found)
        if alert.source_key:
            self._seen.add(alert.source_key)
        return found

    def _told(self, alert: Alert) -> Explained:
        """Rules are not run for a resolve, an acknowledgement or a note, and cannot drop it."""
        if alert.status == "resolved":
            known = self.forecast.alerts.get((self.integration.name, alert.source_key or ""))
            came = self.forecast.arrive(self.integration, alert)
            return Explained(alert, "resolve", self._ending(came, known), course=self._course_of(came))
        came = self.forecast.arrive(self.integration, alert)
        because = f"{alert.status}: rules are not run, nobody is paged"
        if isinstance(came.placed, Acknowledge):
            because = f"{came.placed.because}; rules are not run, nobody is paged"
        return Explained(alert, "update", because, course=self._course_of(came))

    def _ending(self, came: Came, known: StoredAlert | None) -> str:
        """Words for what a resolve does."""
        if known is not None and known.status == "waiting" and isinstance(came.placed, End):
            return "it ends a firing that waits: nobody is paged for that"
        if known is not None and came.alert.source_key in self._seen and isinstance(came.placed, End | Clear):
            where = "it resolves an alert of this very body"
        elif known is not None and isinstance(came.placed, End | Clear):
            where = f"it resolves the alert of incident {known.incident}"
        else:
            return came.placed.because
        return f"{where}; {came.placed.because}" if isinstance(came.placed, Clear) else where

    def _firing(self, alert: Alert) -> Explained:
        known = self.forecast.alerts.get((self.integration.name, alert.source_key or ""))
        seen_as = self.rulebook.walk(alert, self.integration)
        hitting = self.incidents.mutes.hitting(value_of(seen_as, alert, self.integration.name), self.at)
        before = self._joined(alert, known)
        came = self.forecast.arrive(self.integration, alert)
        verdict = came.verdict
        assert verdict is not None
        policy = policy_for(verdict.policy, verdict.service, self.settings)
        found = Explained(
            alert,
            "open",
            "",
            rules=self.rulebook.trace(alert, self.integration),
            verdict=verdict,
            group=came.group,
            assessed=assess(verdict, verdict.severity, self.settings, self.at),
            policy=policy.name if policy else None,
            silences=tuple(hitting),
            hold_until=None if verdict.hold is None else Instant(self.at + verdict.hold),
            course=self._course_of(came),
        )
        self._say(found, came, known, before)
        return found

    def _joined(self, alert: Alert, known: StoredAlert | None) -> Incident | None:
        return self.incidents.get(known.incident) if known is not None else None

    def _course_of(self, came: Came) -> Course | None:
        kept = None if isinstance(came.placed, Remark | Ignore) else came.placed.alert
        return self.incidents.courses.get(kept.incident or 0) if kept is not None else None

    # ----------------------------------------------------------------------------- in so many words

    def _say(self, found: Explained, came: Came, known: StoredAlert | None, before: Incident | None) -> None:
        """Say what became of it, with the reason."""
        placed, again = came.placed, found.alert.source_key in self._seen and bool(found.alert.source_key)
        match placed:
            case Drop():
                found.action, found.because = "drop", placed.because
            case Suppress():
                rule = came.verdict.suppressed_by if came.verdict is not None else None
                found.action = "suppress"
                found.because = f"rule {rule!r} keeps it without incident" if rule else placed.because
            case Wait():
                found.action = "update" if known is not None and known.incident is not None else "hold"
                found.because, found.hold_until = placed.because, placed.until
            case Open():
                self._say_opened(found, placed)
            case Reopen():
                found.action, found.mute = "open", placed.mute
                found.because = f"it reopens incident {placed.incident.number}, resolved within reopen_within"
                found.because += _quiet(found, self.settings)
            case Join():
                self._say_joined(found, placed)
            case Repeat() | Update():
                self._say_updated(found, placed, before)
            case _:
                found.action, found.because = "update", placed.because
        if again and isinstance(placed, Repeat | Update):
            found.action, found.because = "update", _updates("an alert of this very body")

    def _say_opened(self, found: Explained, placed: Open) -> None:
        assert found.group is not None
        found.mute = placed.mute
        hold = found.verdict.hold if found.verdict is not None else None
        found.action = "hold" if hold else "open"
        found.because = f"it opens an incident: {placed.because or found.group.because}"
        before = self.incidents.get(placed.incident.previous)
        if before is not None:
            why = f"is {before.status}" if not before.open else "takes no more alerts (join_within)"
            found.because += f"; incident {before.number} of the same key {why}"
        if placed.gathered:
            found.because += f"; {len(placed.gathered)} that waited for it join"
        if hold:
            found.because += f"; nobody is paged for {in_words(hold)}, and not at all if it resolves before"
        found.because += _quiet(found, self.settings)

    def _say_joined(self, found: Explained, placed: Join) -> None:
        before, after = placed.incident, placed.moves[0].incident
        found.action, found.mute = "join", placed.mute
        found.because = f"it joins {self._named(before)}: {placed.because}"
        if placed.moves[-1].incident.cycle > before.cycle:
            found.because += f"; that is acknowledged by {before.acknowledged_by}, and this one pages again"
            return
        found.because += _quiet(found, self.settings)
        if after.priority != before.priority:
            found.because += f"; its priority rises from {before.priority} to {after.priority}"
        found.because += f"; its paging goes on as it stands ({before.status})"

    def _say_updated(self, found: Explained, placed: Repeat | Update, before: Incident | None) -> None:
        number = placed.alert.incident
        found.action, found.because = "update", _updates(f"incident {number}")
        if number is None:
            found.action = "drop" if placed.alert.status == "dropped" else "suppress"
            found.because = f"{placed.alert.because}; it is known already: its repetition is counted"
        elif isinstance(placed, Repeat):
            found.because = f"incident {number} has this very alert already: its repetition is counted"
        else:
            found.mute, found.hold_until = placed.mute, placed.alert.hold_until
            after = placed.moves[-1].incident if placed.moves else before
            if before is not None and after is not None and after.cycle > before.cycle:
                found.because += f"; the priority rises to {after.priority}, and it pages again"

    def _named(self, incident: Incident) -> str:
        known = incident.number in self._before
        return f"incident {incident.number}" if known else "the incident that an earlier alert of this body opens"

    # ------------------------------------------------------------------------------------- the plan

    def settle(self) -> None:
        """Settle what the whole body tells: an alert of it may keep another one quiet, and many of them are a storm."""
        self.forecast.settle()
        for found in self.found:
            incident = found.course.incident if found.course is not None else None
            if incident is None or incident.muted_by is None or found.action not in ("open", "join"):
                continue
            kind = incident.muted_by.partition(":")[0]
            if kind == "storm":
                found.storm = incident.storm
                found.because += f"; taken into storm {incident.storm}: INC {incident.storm} pages for all of them"
            elif found.mute is None and found.action == "open" and kind in ("parent", "inhibition"):
                found.mute = Mute(incident.muted_by, incident.due_at or self.at, open_ended=True)
                found.because += _quiet(found, self.settings)

    def going(self, ahead: Millis | None) -> Generator[None, None, None]:
        """Let time pass, event by event. Whoever stops early has the plans so far."""
        self.settle()
        try:
            yield from self.forecast.going(None if ahead is None else Instant(self.at + ahead))
        finally:
            self._tell()

    @property
    def lines(self) -> int:
        """Number of lines that the plans have so far."""
        return sum(len(course.told) for course in self.incidents.courses.values() if course.asked)

    def _tell(self) -> None:
        """Tell each course with the first alert that touches it; a storm's with the first that it takes in."""
        self._tell_those_that_waited()
        told: set[int] = set()
        for found in self.found:
            number = found.course.incident.number if found.course is not None else None
            if number is None or number in told:
                continue
            told.add(number)
            lines = self._lines([number])
            found.plan = tuple(line for line in lines if line.channel)
            begun = [storm for storm, first in self.incidents.storms_begun.items() if first == number]
            of_storm = self._lines(begun)
            found.storm_plan = tuple(line for line in of_storm if line.channel)
            notes = [line for line in (*lines, *of_storm) if not line.channel]
            found.notes = tuple(sorted(notes, key=lambda line: line.at))

    def _lines(self, numbers: Sequence[int]) -> list[Planned]:
        """Lines that are told of these incidents, in order."""
        found = [line for number in numbers for line in self.incidents.courses[number].told]
        return sorted(found, key=lambda line: line.at)

    def _tell_those_that_waited(self) -> None:
        for came in self.forecast.fired:
            found = next((one for one in self.found if one.action == "hold" and one.course is None
                          and one.alert.source_key == came.alert.source_key), None)  # fmt: skip
            if found is None:
                continue
            placed = replace(found, because="", hold_until=None)
            self._say(placed, came, None, None)
            found.course, found.mute = self._course_of(came), placed.mute
            found.because += f"; then {placed.because}"
            found.hold_until = placed.hold_until or found.hold_until


def _updates(where: str) -> str:
    return f"{where} has this alert already: its content is updated, or its repetition counted"


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
