"""Which incident does a firing alert open, join or reopen, and what does it change there?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.incidents.firing_counts import changed_alert, counts_with
from tocsin.decide.muting.mutes import Mute, muting, stored_values
from tocsin.decide.routing.grouping import Group
from tocsin.decide.routing.priority import assess, is_higher, worst
from tocsin.decide.routing.rules import Verdict
from tocsin.model import Actor, Incident, Instant, Policy, Severity, StoredAlert, changed
from tocsin.work.ingest.batch_state import Facts, sender_of
from tocsin.work.ingest.posts import Draft, Item


class Opening:
    """`place` a new firing, `update` what another one says; `page_what_opened` when the whole batch is known.

    `numbers`: for those that open, as many as this slice may need.
    """

    def __init__(self, facts: Facts) -> None:
        self.facts, self.ledger, self.now = facts, facts.ledger, facts.now
        self.numbers: Iterator[int] = iter(())
        self._unpaged: dict[int, Policy | None] = {}  # opened, and to be paged for at the end

    def joins(self, item: Item) -> bool:
        """Whether its incident is open already: then nothing is to be counted."""
        before = self.facts.latest.get(item.group.key) if item.group is not None else None
        return before is not None and self._joinable(self.ledger.get(before.number) or before)

    def place(self, item: Item, draft: Draft) -> None:
        """Find the incident this alert joins or reopens, or open one."""
        assert item.group is not None
        before = self.facts.latest.get(item.group.key)
        if before is not None:
            before = self.ledger.get(before.number) or before
        joined = before if before is not None and self._joinable(before) else None
        mute = self.facts.mute_of(item, draft.verdict, joined, alone=joined is None or not joined.firing)
        draft.muted_by = mute.reason if mute is not None else None
        if mute is not None and draft.window and not self._all_muted(draft.window, draft.verdict):
            mute = None
        if before is not None:
            draft.incident, draft.joined = before.number, True
            if self._joinable(before):
                return self._join(before, draft, mute)
            if self._reopens(before):
                return self._reopen(before, draft)
        draft.joined = False
        self._open(item.group, draft, mute, before)
        return None

    def _all_muted(self, alerts: Sequence[StoredAlert], verdict: Verdict) -> bool:
        firing = [alert for alert in alerts if alert.ended_at is None]
        severity = worst([verdict.severity, *(one.severity for one in firing)])
        priority = assess(verdict, severity, self.facts.settings, self.now).priority
        mutes = self.facts.mutes
        return all(mutes.of(stored_values(alert), self.now, priority) is not None for alert in firing)

    def _joinable(self, incident: Incident) -> bool:
        return incident.open and (incident.joins_until is None or self.now < incident.joins_until)

    def _reopens(self, incident: Incident) -> bool:
        within = self.facts.settings.defaults.reopen_within
        return incident.status == "resolved" and within > 0 and self.now - (incident.resolved_at or 0) <= within

    # ------------------------------------------------------------------------------------ open

    def _open(self, group: Group, draft: Draft, mute: Mute | None, before: Incident | None) -> None:
        facts, verdict, now = self.facts, draft.verdict, self.now
        policy = policy_for(verdict.policy, verdict.service, facts.settings)
        severity = verdict.severity
        if draft.window:
            severity = worst([severity, *(one.severity for one in draft.window if one.ended_at is None)])
        integration = draft.item.pair[0]
        incident = self.ledger.open(
            next(self.numbers),
            group.key,
            draft.fit.title,
            draft.fit.service,
            severity,
            assess(verdict, severity, facts.settings, now),
            policy,
            f"integration:{integration}",
            category=verdict.category,
            integration=integration,
            held_until=draft.hold_until,
            joins_until=Instant(now + verdict.join_within) if group.grouped else None,
            grouped=group.grouped,
            alert=draft.id,
            previous=before.number if before else None,
        )
        draft.incident = incident.number
        if group.grouped:
            incident = replace(incident, counts=counts_with(incident, draft.kinds))
            self.ledger.put(incident)
        facts.latest[group.key] = incident
        if group.grouped:
            facts.tx.add_incident_keys([(group.key, incident.number, incident.joins_until)])
        if mute is not None:
            self.ledger.take(lifecycle.mute(incident, mute.reason, mute.until, now))
        elif draft.hold_until is None and facts.watching:
            self._unpaged[incident.number] = policy
        elif draft.hold_until is None:
            self.ledger.begin(incident, policy, draft.fit.labels.get("alertname", ""))
        facts.outcome("opened")

    def page_what_opened(self) -> None:
        """Their first steps, unless something that came behind them in this batch keeps them quiet."""
        if not self._unpaged:
            return
        facts = self.facts
        alerts: dict[int, list[StoredAlert]] = {number: [] for number in self._unpaged}
        for alert in (*facts.added.values(), *facts.saved.values()):
            if alert.incident in alerts and alert.ended_at is None:
                alerts[alert.incident].append(alert)
        for number, policy in sorted(self._unpaged.items(), key=self._who_is_needed_first):
            opened = self.ledger.get(number)
            if opened is None or opened.status != "triggered" or opened.muted_by is not None:
                continue
            mute = muting(opened, alerts[number], facts.mutes, self.now)
            if mute is not None:
                self.ledger.take(lifecycle.mute(opened, mute.reason, mute.until, self.now))
            else:
                kind = alerts[number][0].labels.get("alertname", "") if alerts[number] else ""
                self.ledger.begin(opened, policy, kind)

    def _who_is_needed_first(self, one: tuple[int, Policy | None]) -> int:
        incident = self.ledger.get(one[0])
        return self.facts.mutes.parents.depth(incident.service) if incident is not None else 0

    # ---------------------------------------------------------------------------- join, reopen

    def _join(self, incident: Incident, draft: Draft, mute: Mute | None) -> None:
        verdict = draft.verdict
        severity = worst([incident.severity, verdict.severity]) if incident.firing else verdict.severity
        after = changed(
            self._assessed(incident, verdict, severity, alone=not incident.firing),
            counts=counts_with(incident, draft.kinds),
            firing=incident.firing + 1,
            total=incident.total + 1,
        )
        self.ledger.put(after)
        self._tell_joined(after, draft)
        self.facts.outcome("joined")
        if self._pages_anew(incident, after, verdict):
            because = f"priority rose from {incident.priority} to {after.priority}"
            if incident.priority == after.priority:
                because = "another alert joined (re_page: any)"
            self.ledger.take(lifecycle.retrigger(after, self.now, because, "alert"))
        elif mute is None:
            self._let_page(after, draft.hold_until, "an alert that is not silenced joined")

    def _reopen(self, incident: Incident, draft: Draft) -> None:
        self.ledger.take(lifecycle.reopen(incident, self.now, "the alert fired again"))
        again = self.ledger.get(incident.number) or incident
        assessed = self._assessed(again, draft.verdict, draft.verdict.severity, alone=not again.firing)
        counts = counts_with(assessed, draft.kinds)
        counted = replace(assessed, counts=counts, firing=again.firing + 1, total=again.total + 1)
        self.ledger.put(lifecycle.held(counted, draft.hold_until, self.now) if draft.hold_until else counted)
        self._tell_joined(counted, draft)
        self.facts.outcome("reopened")

    def _tell_joined(self, incident: Incident, draft: Draft) -> None:
        integration, key = draft.item.pair
        self.ledger.note(
            incident, "joined", Actor("integration", integration), "alert", draft.fit.title,
            alert=draft.id, dedup_key=key, priority=incident.priority,
        )  # fmt: skip

    # ---------------------------------------------------------------------------------- update

    def update(self, alert: StoredAlert, existing: StoredAlert, verdict: Verdict, mute: Mute | None) -> None:
        """One of its alerts says something else now: assessed again, and paged anew where it got worse."""
        assert alert.incident is not None
        incident = self.ledger.get(alert.incident)
        if incident is None or not incident.open:
            return
        if incident.firing > 1 and alert.severity != existing.severity:
            self.facts.touched[incident.number] = None
        counted = changed_alert(incident, existing, alert)
        if counted is not incident:
            self.ledger.put(counted)
            incident = counted
        severity = alert.severity if incident.firing == 1 else worst([incident.severity, alert.severity])
        after = self._assessed(incident, verdict, severity, alone=incident.firing == 1)
        if incident.firing == 1 and alert.title != incident.title:
            after = replace(after, title=alert.title, updated_at=self.now, version=after.version + 1)
        if after is not incident:
            self.ledger.put(after)
            self.ledger.note(
                after, "updated", sender_of(alert), "alert", alert.title,
                alert=alert.id, severity=after.severity, priority=after.priority,
            )  # fmt: skip
        if self._pages_anew(incident, after, verdict) and is_higher(after.priority, incident.priority):
            because = f"priority rose from {incident.priority} to {after.priority}"
            self.ledger.take(lifecycle.retrigger(after, self.now, because, "alert"))
        elif mute is None:
            self._let_page(after, alert.hold_until, "one of its alerts is not silenced any more")

    def acknowledged_before(self, alert: StoredAlert) -> None:
        """It was acknowledged by its source before it came into its incident."""
        incident = self.ledger.get(alert.incident or 0)
        if incident is not None and incident.grouped:
            self.ledger.put(changed_alert(incident, replace(alert, acknowledged_at=None), alert))

    def _assessed(self, incident: Incident, verdict: Verdict, severity: Severity, *, alone: bool) -> Incident:
        """As this alert would have it; beside others it never makes the incident less urgent."""
        found = assess(verdict, severity, self.facts.settings, self.now)
        impact, urgency, priority = found.impact, found.urgency, found.priority
        if not alone and is_higher(incident.priority, priority):
            impact, urgency, priority = incident.impact, incident.urgency, incident.priority
        return lifecycle.reassessed(incident, severity, impact, urgency, priority, self.now)

    def _pages_anew(self, before: Incident, after: Incident, verdict: Verdict) -> bool:
        if before.status != "acknowledged" or verdict.re_page == "never":
            return False
        return verdict.re_page == "any" or is_higher(after.priority, before.priority)

    def _let_page(self, incident: Incident, hold_until: Instant | None, because: str) -> None:
        """An alert that is not silenced ends the silence of its incident; one held less long shortens its hold."""
        if incident.held_until is not None and (hold_until or self.now) < incident.held_until:
            incident = lifecycle.held(incident, hold_until, self.now)
            self.ledger.put(incident)
        if lifecycle.rises_above_its_storm(incident):
            self.ledger.take(lifecycle.released(incident, self.now, "it became critical"))
        elif incident.muted_by is not None:
            self.ledger.take(lifecycle.unmute(incident, self.now, because))
