"""What ends, and what else is said of an alert that is open? It resolves or clears, is acknowledged, or remarked on."""

from __future__ import annotations

from dataclasses import replace

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.firing_counts import (
    Firing,
    changed_alert,
    counted_anew,
    counts_without,
    firing_in,
    firing_of,
)
from tocsin.decide.incidents.overtaken import ended_by_source, without_wait
from tocsin.decide.incidents.timers import reassessed, retold
from tocsin.decide.noise.flapping import clearing, flaps
from tocsin.decide.routing.alert_terms import terms_of
from tocsin.decide.text import clean
from tocsin.model import Actor, Incident, Instant, Policy, StoredAlert, changed
from tocsin.work.ingest.batch_state import Facts, sender_of
from tocsin.work.ingest.counters import Counting
from tocsin.work.ingest.evaluation import change_of
from tocsin.work.ingest.open_alerts import Pair
from tocsin.work.ingest.posts import Item, KeptStatus
from tocsin.work.ledger import Ledger


class Ending:
    """`resolve`, `acknowledge` and `remark` one by one; `reassess` their incidents when the whole batch is known."""

    def __init__(self, facts: Facts, counting: Counting) -> None:
        self.facts, self.ledger, self.counting, self.now = facts, facts.ledger, counting, facts.now
        self._acked: dict[int, None] = {}  # incidents whose alerts may all be acknowledged

    # --------------------------------------------------------------------------------- resolve

    def resolve(self, item: Item, existing: StoredAlert | None) -> None:
        facts, ended = self.facts, item.alert.ended_at
        if not item.integration.may_resolve:
            facts.outcome("resolve_without_alert" if existing is None else "resolve_not_allowed")
            return
        if existing is None:
            self._resolve_unknown(item.pair, ended)
            return
        began = facts.began(existing)
        if began != existing.started_at:
            existing = replace(existing, started_at=began)
        if ended is not None and existing.started_at != existing.received_at and ended < existing.started_at:
            facts.outcome("stale")  # of an earlier firing, overtaken by this one on its way
            return
        if existing.cleared_at is not None and existing.waits_until is None:
            facts.outcome("repeat")
            return
        if self._clears(item, existing):
            return
        if existing.started_at != existing.received_at or item.pair in facts.tombstones:  # else none is taken for older
            self._bury(item.pair, Instant(existing.started_at + 1), existing.incident)
        self._end(item, existing)

    def _resolve_unknown(self, pair: Pair, ended: Instant | None) -> None:
        """A resolve before its trigger, or once more. After a person's resolve it is the source that says so now."""
        before = self.facts.tombstones.get(pair)
        ends = [at for at in (ended, before.ended_at if before is not None else None) if at is not None]
        if ends:
            self._bury(pair, max(ends), before.incident if before is not None else None)
        self.facts.outcome("resolve_without_alert")

    def _bury(self, pair: Pair, ended: Instant, incident: int | None) -> None:
        """What comes right behind this end, and began before it, waits."""
        facts = self.facts
        tombstone = ended_by_source(*pair, ended, self.now, incident)
        facts.tx.add_tombstones([tombstone])
        facts.out.buried.append(tombstone)
        facts.tombstones[pair] = tombstone

    def _clears(self, item: Item, alert: StoredAlert) -> bool:
        """Whether this resolve must wait: then the alert is cleared, and ends when it stayed quiet."""
        if alert.incident is None or not alert.terms:
            return False
        terms = terms_of(alert.terms)
        settles = None
        if terms.flap is not None:
            settles = self.counting.changes(item.pair, alert.id, "resolved", terms.flap, alert.settles_at)
        found = clearing(terms, settles, self.now)
        if found is None:
            return False
        other = alert.content ^ 1  # so that the next firing, which says the same, is not taken for a repetition
        after = replace(
            alert, content=other, cleared_at=self.now, last_seen_at=self.now, expires_at=found.ends_at,
            settles_at=found.settles_at, waits_until=None, terms=without_wait(alert.terms),
        )  # fmt: skip
        self.facts.keep(item, after)
        self.facts.outcome("cleared")
        incident = self.ledger.get(alert.incident)
        if incident is not None and incident.open and not flaps(alert.settles_at, self.now):
            self.ledger.note(incident, "cleared", sender_of(alert), "alert", found.because, alert=alert.id)
        return True

    def _end(self, item: Item, existing: StoredAlert) -> None:
        facts, status = self.facts, ended_status(existing)
        because = "it was resolved again before it fired" if existing.status == "waiting" else existing.because
        after = changed(
            existing, status=status, ended_at=self.now, last_seen_at=self.now, expires_at=None, because=because,
            waits_until=None, terms=without_wait(existing.terms),
        )  # fmt: skip
        facts.keep(item, after)
        facts.alerts[item.pair] = None
        facts.intake.forget([after])
        facts.out.ended.append(after)
        facts.outcome("resolved")
        if after.incident is not None:
            end_in_incident(self.ledger, after, facts.touched, facts.latest)

    # --------------------------------------------------------------------- acknowledge, remark

    def acknowledge(self, item: Item, existing: StoredAlert | None) -> None:
        if existing is None or not item.integration.may_acknowledge:
            self.facts.outcome("ack_without_alert" if existing is None else "ack_not_allowed")
            return
        after = replace(existing, acknowledged_at=self.now, last_seen_at=self.now)
        self.facts.keep(item, after)
        if after.incident is not None:
            self._acked[after.incident] = None
            incident = self.ledger.get(after.incident)
            counted = incident and changed_alert(incident, existing, after)
            if counted is not None and counted is not incident:
                self.ledger.put(counted)
        self.facts.outcome("acknowledged")

    def remark(self, item: Item, existing: StoredAlert | None) -> None:
        """A note or a change: context for the timeline of its incident, if there is one."""
        facts = self.facts
        facts.outcome(item.alert.status)
        if item.alert.status == "change":
            facts.changes.append(change_of(item.alert, item.integration, item.pair[1], facts.rulebook, self.now))
        incident = self.ledger.get(existing.incident) if existing is not None and existing.incident else None
        if incident is not None:
            text = clean(item.alert.description or item.alert.title, 2000, lines=True)
            self.ledger.note(incident, "note", Actor("integration", item.pair[0]), "alert", text)
            facts.incidents[item.post][incident.number] = None

    # ------------------------------------------------------------------------------- the end

    async def reassess(self) -> None:
        """Incidents whose severity may have sunk, or whose alerts may all be acknowledged: look at all their alerts."""
        touched = self.facts.touched
        for number in dict.fromkeys([*touched, *self._acked]):
            incident = self.ledger.get(number)
            if incident is None or not incident.open:
                continue
            firing = firing_in(incident) or await self._read(incident)
            if number in touched and firing.severity not in (None, incident.severity):
                sink(self.ledger, incident, firing)
            if number in self._acked and firing.acknowledged:
                await self._acknowledge_incident(number)

    async def _read(self, incident: Incident) -> Firing:
        """An incident that stands alone, or one whose counts do not tell: they do from now on."""
        alerts = await self.facts.firing_of(incident.number)
        if incident.grouped:
            self.ledger.put(counted_anew(replace(incident, firing=len(alerts)), alerts))
        return firing_of(alerts)

    async def _acknowledge_incident(self, number: int) -> None:
        incident = self.ledger.get(number)
        assert incident is not None
        actor = Actor("integration", incident.integration)
        policy = await self.ledger.core.policies.thaw(incident.policy_hash)
        timeout = policy.ack_timeout if policy else Policy("", ()).ack_timeout
        move = lifecycle.acknowledge(
            incident, actor, "alert", self.now, timeout, "all its firing alerts are acknowledged"
        )
        self.ledger.take(move, "alert")


def ended_status(alert: StoredAlert) -> KeptStatus:
    """What never had an incident stays findable as what it was."""
    return "resolved" if alert.incident is not None or alert.status in ("firing", "waiting") else alert.status


def ended_in_silence(alert: StoredAlert, now: Instant) -> StoredAlert:
    """The same alert, over since nobody heard of it for too long."""
    because = "its source fell silent before it fired" if alert.status == "waiting" else alert.because
    return replace(
        alert, status=ended_status(alert), ended_at=now, expires_at=None, because=because, waits_until=None,
        terms=without_wait(alert.terms),
    )  # fmt: skip


def end_in_incident(
    ledger: Ledger, alert: StoredAlert, touched: dict[int, None], latest: dict[str, Incident | None] | None = None
) -> None:
    """One alert of an incident has ended: count it; the last one resolves the incident."""
    assert alert.incident is not None
    incident = ledger.get(alert.incident)
    if incident is None or not incident.open:
        return
    firing, resolved = max(0, incident.firing - 1), incident.resolved + 1
    after = changed(incident, counts=counts_without(incident, alert), firing=firing, resolved=resolved)
    ledger.put(after)
    if after.firing:
        ledger.note(after, "alert_resolved", sender_of(alert), "alert", alert.title, alert=alert.id)
        touched[after.number] = None
        return
    held = after.held_until is not None and (after.cycle, after.round, after.step) == (1, 1, 1)
    because = "self-recovered before anybody was paged" if held else "its last alert resolved"
    settings = ledger.core.settings
    ledger.take(lifecycle.resolve(after, sender_of(alert), "alert", ledger.now, settings.defaults.close_after, because))
    if not after.grouped:
        ledger.tx.add_incident_keys([(after.key, after.number, ledger.now)])
    if latest is not None:
        latest[after.key] = ledger.get(after.number)


def sink(ledger: Ledger, incident: Incident, firing: Firing) -> None:
    """An alert ended or changed: the incident is as bad as those that are left."""
    incident = ledger.get(incident.number) or incident
    after = reassessed(incident, firing, ledger.core.settings, ledger.now)
    if after is not incident:
        ledger.take(retold(after, "alert", "as its firing alerts are now", ledger.now))
