"""Effects of a committed transaction outside it: metrics, the gate in front of calls, who is woken."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

from tocsin.model import ContactState, Incident, Instant, Priority, Silence, StoredAlert
from tocsin.work.runtime import Runtime


@dataclass(slots=True)
class Effects:
    """Gathered while a transaction is decided; `apply` them once it is committed."""

    opened: Counter[tuple[str, Priority]] = field(default_factory=Counter)
    acknowledged: list[tuple[Incident, str]] = field(default_factory=list)
    resolved: list[Incident] = field(default_factory=list)
    stopped: list[Incident] = field(default_factory=list)
    nobody: list[Incident] = field(default_factory=list)
    silences: list[Silence] = field(default_factory=list)
    contacts: list[ContactState] = field(default_factory=list)
    moved: list[Incident] = field(default_factory=list)  # that may keep others quiet
    unsettled: bool = False  # something was decided by what has changed since: what is muted is looked at again
    rests_on: int | None = None  # the turn of what mutes, as some incident was muted by it
    ended: list[StoredAlert] = field(default_factory=list)  # by a person
    channels: set[str] = field(default_factory=set)
    policies: set[str] = field(default_factory=set)
    due: Instant | None = None
    collapsed: int = 0  # incidents that a storm took in

    def falls_due(self, at: Instant | None) -> None:
        """Note that something waits for `at`: the timers must know when it is earlier than what they wait for."""
        if at is not None and (self.due is None or at < self.due):
            self.due = at

    def apply(self, runtime: Runtime) -> None:
        """Take effect: after the commit, and only then."""
        runtime.policies.kept |= self.policies
        for incident in self.stopped:
            runtime.stops.add(incident)
        known = runtime.settings.services
        for (service, priority), count in self.opened.items():
            runtime.metrics.incidents_total.labels(service if service in known else "other", priority).inc(count)
        for incident, via in self.acknowledged:
            runtime.metrics.acks.labels(via).inc()
            runtime.metrics.time_to_acknowledge_seconds.observe(
                max(0, (incident.acknowledged_at or 0) - incident.created_at) / 1000
            )
        for incident in self.resolved:
            runtime.metrics.time_to_resolve_seconds.observe(
                max(0, (incident.resolved_at or 0) - incident.created_at) / 1000
            )
        if self.nobody:
            runtime.metrics.nobody_reached.inc(len(self.nobody))
        for silence in self.silences:
            runtime.mutes.set(silence)
        for state in self.contacts:
            runtime.learn(state)
        if self.collapsed:
            runtime.metrics.storm_collapsed.inc(self.collapsed)
        now = runtime.clock.now()
        runtime.unsettled |= self.unsettled or (self.rests_on is not None and self.rests_on != runtime.mutes.turn)
        if self.contacts:
            runtime.unsettled |= runtime.mutes.see_people(now)
        for incident in self.moved:
            runtime.unsettled |= runtime.mutes.see_incident(incident, now)
        if runtime.unsettled:
            runtime.unsettled = False
            runtime.signals.mutes_changed()
        runtime.signals.planned(self.channels, self.due)
