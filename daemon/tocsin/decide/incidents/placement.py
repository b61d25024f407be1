"""Placement of an alert: the one answer to what becomes of it. Ingest executes it, what-if shows it.

`place` reads what is known (`Facts`) and returns one small value: how the alert is kept (`alert`), why (`because`), and
the moves of its incident in order, with the lines of their story. Nothing is left to decide for whoever executes it,
but when the first page of an incident goes out: the rest of the post may keep it quiet, a storm may take it in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.ending import KeptStatus, ended_by_resolve, ended_in
from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.incidents.firing_counts import ACKNOWLEDGED, changed_alert, counts_with, kinds, new_kinds
from tocsin.decide.incidents.lifecycle import Move, Stay
from tocsin.decide.incidents.opening import opened
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
    Remark,
    Reopen,
    Repeat,
    Suppress,
    Update,
    Wait,
)
from tocsin.decide.incidents.waiting_firings import (
    WAITS,
    as_sent,
    because_it_waits,
    ended_by_source,
    waits_behind,
    waits_behind_clear,
    waits_on,
    without_wait,
)
from tocsin.decide.muting.mutes import Mute, stored_values
from tocsin.decide.noise import threshold
from tocsin.decide.noise.counters import Mark, bulk_tally, firing_mark, flap_tally
from tocsin.decide.noise.flapping import clearing, flaps, settles_at
from tocsin.decide.routing.alert_terms import PASSING, terms_of
from tocsin.decide.routing.priority import assess, is_higher, worst
from tocsin.decide.routing.rules import Verdict, value_of
from tocsin.decide.text import clean
from tocsin.model import (
    DAY,
    EMPTY,
    MINUTE,
    Actor,
    Alert,
    Entry,
    Flap,
    Incident,
    Instant,
    Priority,
    Settings,
    Severity,
    StoredAlert,
    Tombstone,
    changed,
)
from tocsin.model import TOCSIN as DAEMON

NOTES = 2_000  # characters of a remark


def place(alert: Alert, verdict: Verdict | None, facts: Facts, now: Instant) -> Placed:
    """Placement of `alert`. `verdict`: what the rules say of one that fires; they are not run for others."""
    match alert.status:
        case "firing" | "heartbeat":
            assert verdict is not None
            return _Firing(alert, verdict, facts, now).placed()
        case "resolved":
            return _resolved(alert, facts, now)
        case "acknowledged":
            return _acknowledged(facts, now)
        case _:
            return _remark(alert, facts, now)


def may_open(verdict: Verdict) -> bool:
    """Whether an alert may open an incident, as far as the rules alone can tell."""
    return not verdict.dropped_by and not verdict.suppressed_by


def joinable(incident: Incident, now: Instant) -> bool:
    """Whether an alert of the same key joins it."""
    return incident.open and (incident.joins_until is None or now < incident.joins_until)


def reopens(incident: Incident, settings: Settings, now: Instant) -> bool:
    """Whether an alert of the same key reopens it."""
    within = settings.defaults.reopen_within
    return incident.status == "resolved" and within > 0 and now - (incident.resolved_at or 0) <= within


def quiet_until(alert: Alert, verdict: Verdict, now: Instant) -> Instant | None:
    """End of an alert by silence of its source: its own expiry, else the quiet time of a rule or of its integration."""
    if alert.expires_at is not None:
        return alert.expires_at
    return None if verdict.auto_resolve is None else Instant(now + verdict.auto_resolve)


# ------------------------------------------------------------------------------------------ it fires


class _Firing:
    """An alert that fires, while it is placed."""

    __slots__ = (
        "actor", "alert", "because", "counts", "existing", "expires_at", "facts", "gathered", "hold_until", "id", "now",
        "settles_at", "status", "terms", "verdict",
    )  # fmt: skip

    def __init__(self, alert: Alert, verdict: Verdict, facts: Facts, now: Instant) -> None:
        self.alert, self.verdict, self.facts, self.now = alert, verdict, facts, now
        self.existing = existing = facts.existing
        self.id = facts.alert_id if existing is None else existing.id
        self.actor = f"integration:{facts.integration.name}"
        self.hold_until = None if verdict.hold is None else Instant(now + verdict.hold)
        self.expires_at = quiet_until(alert, verdict, now)
        self.settles_at = None if existing is None else existing.settles_at
        self.status: KeptStatus = "firing"
        self.because = ""  # as it is kept with the alert
        self.terms: Mapping[str, Any] = EMPTY if verdict.terms is None else verdict.terms.kept()
        self.counts: tuple[Counted, ...] = ()
        self.gathered: Sequence[StoredAlert] = ()

    def placed(self) -> Placed:
        existing, facts = self.existing, self.facts
        if facts.waited and (existing is None or not waited_long_enough(existing, self.now)):
            return Ignore("it was resolved meanwhile, or fires already", "")
        if existing is None:
            return self._without_incident()
        if existing.cleared_at is not None:
            until = None if facts.waited else waits_behind_clear(existing, self.alert.started_at, self.now)
            return self._update(again=True) if until is None else self._waits_cleared(existing, until)
        if existing.content == facts.content:
            return self._repeat(existing)
        return self._without_incident() if existing.incident is None else self._update(again=False)

    # ------------------------------------------------------------------ what is open already

    def _repeat(self, existing: StoredAlert) -> Repeat:
        started_at = self.alert.started_at
        again = changed(
            existing, count=existing.count + 1, last_seen_at=self.now,
            expires_at=self.expires_at or existing.expires_at,
            started_at=existing.started_at if started_at is None else max(existing.started_at, started_at),
        )  # fmt: skip
        return Repeat(again, "it says what it said before: its repetition is counted", self.expires_at, started_at)

    def _waits_cleared(self, existing: StoredAlert, until: Instant) -> Wait:
        """Let it wait: it has not ended yet, and will not before it is known whether it fires again."""
        kept = as_sent(self.alert, self.facts.key, self.facts.integration)
        after = changed(
            existing, waits_until=until, terms={**existing.terms, WAITS: kept},
            expires_at=Instant(max(existing.expires_at or until, until + MINUTE)), last_seen_at=self.now,
            count=existing.count + 1,
        )  # fmt: skip
        because = because_it_waits(None, until)
        told = () if existing.waits_until is not None else self._waits_told(existing.incident, because)
        return Wait(after, because, until, told)

    def _update(self, *, again: bool) -> Update | Placed:
        """In the incident that it is in, which is assessed again and paged anew where it got worse."""
        existing = self.existing
        assert existing is not None
        if existing.incident is None:
            return self._without_incident()
        incident = self.facts.own
        firing = 0 if incident is None else incident.firing
        mute = self._mute(incident, alone=firing <= 1)
        if again:
            self._count_change()
        self.status, self.because = existing.status, existing.because
        self.hold_until = self.hold_until and existing.hold_until  # an update never lengthens it
        after = self._kept(existing.incident, joined=existing.joined, muted_by=mute.reason if mute else None)
        because = "it fires again before it ended" if again else "its content changed"
        if incident is None or not incident.open:
            return Update(after, because, incident, mute, counts=self.counts, again=again)
        moves = self._update_moves(incident, existing, after, mute)
        if again:
            moves = (*moves, *self._fired_again(moves[-1].incident if moves else incident, existing))
        reassess = firing > 1 and after.severity != existing.severity
        return Update(after, because, incident, mute, moves, self.counts, again, reassess)

    def _update_moves(
        self, before: Incident, existing: StoredAlert, alert: StoredAlert, mute: Mute | None
    ) -> tuple[Move, ...]:
        alone, now = before.firing == 1, self.now
        counted = changed_alert(before, existing, alert)
        severity = alert.severity if alone else worst([before.severity, alert.severity])
        after = self._assessed(counted, severity, alone=alone)
        if alone and alert.title != before.title:
            after = changed(after, title=alert.title, updated_at=now, version=after.version + 1)
        moves: tuple[Move, ...] = ()
        if after is not counted:
            detail = {"alert": alert.id, "severity": after.severity, "priority": after.priority}
            moves = (Move(after, (self._told(after, "updated", alert.title, detail),)),)
        elif counted is not before:
            moves = (Move(counted, ()),)
        if self._pages_anew(before, after) and is_higher(after.priority, before.priority):
            return (*moves, *_done(lifecycle.retrigger(after, now, _priority_rose(before, after), "alert")))
        if mute is None:
            moves += _let_page(after, self.hold_until, "one of its alerts is not silenced any more", now)
        return moves

    def _fired_again(self, incident: Incident, before: StoredAlert) -> tuple[Move, ...]:
        """Tell that it fires again once, not with each change; a step that rested runs."""
        told: tuple[Entry, ...] = ()
        if not flaps(before.settles_at, self.now):
            told = (self._told(incident, "fired_again", before.title, {"alert": before.id}),)
        after = lifecycle.roused(incident, self.now)
        return (Move(after, told),) if told or after is not incident else ()

    # --------------------------------------------------------------- what has no incident yet

    def _without_incident(self) -> Placed:
        verdict = self.verdict
        if self.alert.status == "heartbeat":
            return self._suppress("heartbeat", "it feeds a heartbeat and opens nothing")
        if verdict.dropped_by:
            self.status, self.because = "dropped", f"rule {verdict.dropped_by!r} drops it"
            self.expires_at = self.expires_at or Instant(self.now + DAY)
            return Drop(self._kept(None), self.because)
        if verdict.suppressed_by:
            return self._suppress("suppressed", f"rule {verdict.suppressed_by!r} keeps it without an incident")
        until = self._waits_until()
        return self._fires() if until is None else self._waits(until)

    def _suppress(self, status: KeptStatus, because: str, *, below: bool = False) -> Suppress:
        self.status, self.because = status, because
        self.expires_at = self.expires_at or Instant(self.now + DAY)
        if status == "suppressed" and self.alert.expires_at is None:
            self.terms = {**self.terms, PASSING: True}  # the end it has is ours, and goes when it joins
        return Suppress(self._kept(None), because, self.counts, below)

    def _waits_until(self) -> Instant | None:
        """Instant at which it fires, where it comes right behind its end and may have been overtaken by that."""
        if self.facts.waited:
            return None
        existing, started_at = self.existing, self.alert.started_at
        if existing is not None and existing.status == "waiting":
            return waits_on(existing, started_at, self.now)
        return waits_behind(self.facts.tombstone, started_at, self.now)

    def _waits(self, until: Instant) -> Wait:
        existing, tombstone, facts = self.existing, self.facts.tombstone, self.facts
        told: tuple[Entry, ...] = ()
        if existing is not None and existing.status == "waiting":
            self.because = existing.because
        else:
            self.because = because_it_waits(tombstone, until)
            told = self._waits_told(tombstone.incident if tombstone is not None else None, self.because)
        self.status = "waiting"
        self.terms = {**self.terms, WAITS: as_sent(self.alert, facts.key, facts.integration)}
        return Wait(self._kept(None, waits_until=until), self.because, until, told)

    def _waits_told(self, incident: int | None, because: str) -> tuple[Entry, ...]:
        if incident is None:
            return ()
        return (Entry(incident, self.now, "waits", self.actor, "alert", because, detail={"alert": self.id}),)

    def _fires(self) -> Placed:
        """Into an incident; under a threshold only when enough of them came."""
        existing, facts, terms = self.existing, self.facts, self.verdict.terms
        if existing is None or existing.status == "waiting":
            self.settles_at = None
            self._count_change()
        if facts.waited and existing is not None:  # hold and end count from when it came
            held = existing.hold_until
            self.hold_until = held if held is not None and held > self.now and self.hold_until is not None else None
            self.expires_at = existing.expires_at
        assert facts.group is not None
        because = facts.group.because
        latest = facts.latest
        joins = latest is not None and joinable(latest, self.now)
        if terms is not None and terms.threshold is not None:
            have = facts.have + self._count_firing()
            if not joins:
                found = threshold.judge(terms.threshold, have)
                if isinstance(found, threshold.Below):
                    return self._suppress("suppressed", found.because, below=True)
                because = found.because
                self.gathered = [
                    one for one in facts.window
                    if one.id != self.id and one.incident is None and one.status == "suppressed"
                ]  # fmt: skip
        self.because = because if facts.group.grouped else ""
        if latest is not None and joins:
            return self._join(latest, because)
        if latest is not None and reopens(latest, facts.settings, self.now):
            return self._reopen(latest)
        return self._open(latest, because)

    # ------------------------------------------------------------------------- what is counted

    def _count_change(self) -> None:
        """Under a flap rule: that it fires, and until when it counts as flapping."""
        terms = self.verdict.terms
        flap = terms.flap if terms is not None else None
        if flap is None:
            self.settles_at = None
            return
        counted, self.settles_at = changed_under(flap, "firing", self.id, self.settles_at, self.facts, self.now)
        self.counts = (*self.counts, counted)

    def _count_firing(self) -> int:
        """A firing counts once, however often it is sent: 1 if this one had not been counted."""
        existing, facts, now, started_at = self.existing, self.facts, self.now, self.alert.started_at
        fires_again = existing is not None and existing.status == "waiting"
        if existing is not None and not fires_again and started_at in (None, existing.started_at):
            return 0
        name = facts.integration.name
        what = firing_mark(name, facts.key, now if started_at is None or fires_again else started_at)
        known = facts.counted.get(what)
        if known is not None and known.alert != self.id:  # that ended, and fires again with the same start
            what = firing_mark(name, facts.key, now)
        if what in facts.counted:
            return 0
        assert facts.group is not None
        self.counts = (*self.counts, (bulk_tally(facts.group.key), Mark(now, self.id, what)))
        return 1

    # ------------------------------------------------------------------- open, join and reopen

    def _open(self, before: Incident | None, because: str) -> Open:
        facts, verdict, now, group, fit = self.facts, self.verdict, self.now, self.facts.group, self.facts.fit
        assert group is not None
        assert fit is not None
        firing = [one for one in self.gathered if one.ended_at is None]
        severity = worst([verdict.severity, *(one.severity for one in firing)]) if firing else verdict.severity
        assessed = assess(verdict, severity, facts.settings, now)
        mute, muted_by = self._mute_of_all(None, severity)
        policy = policy_for(verdict.policy, verdict.service, facts.settings)
        incident = opened(
            facts.number, group.key, fit.title, fit.service, severity, assessed,
            policy.name if policy is not None else "", self.actor, now,
            category=verdict.category,
            integration=facts.integration.name,
            held_until=self.hold_until,
            joins_until=Instant(now + verdict.join_within) if group.grouped else None,
            grouped=group.grouped,
            alert=self.id,
            previous=before.number if before is not None else None,
            firing=1,
        )  # fmt: skip
        if group.grouped:
            incident = changed(incident, counts=counts_with(incident, self._kinds()))
        gathered = self._gathered(incident.number)
        moves = () if mute is None else _done(lifecycle.mute(incident, mute.reason, mute.until, now))
        if gathered:
            moves = (*moves, self._gather(moves[-1].incident if moves else incident, gathered, because))
        kept = self._kept(incident.number, muted_by=muted_by)
        return Open(kept, because, incident, policy, mute, moves, gathered, self.counts)

    def _join(self, before: Incident, because: str) -> Join:
        verdict, now = self.verdict, self.now
        mute = self._mute(before, alone=not before.firing)
        severity = worst([before.severity, verdict.severity]) if before.firing else verdict.severity
        after = changed(
            self._assessed(before, severity, alone=not before.firing),
            counts=counts_with(before, self._kinds()),
            firing=before.firing + 1,
            total=before.total + 1,
        )
        moves: tuple[Move, ...] = (Move(after, (self._joined(after),)),)
        if self._pages_anew(before, after):
            why = _priority_rose(before, after)
            if before.priority == after.priority:
                why = "another alert joined (re_page: any)"
            moves = (*moves, *_done(lifecycle.retrigger(after, now, why, "alert")))
        elif mute is None:
            moves = (*moves, *_let_page(after, self.hold_until, "an alert that is not silenced joined", now))
        kept = self._kept(before.number, joined=True, muted_by=mute.reason if mute else None)
        return Join(kept, because, before, mute, moves, self.counts)

    def _reopen(self, before: Incident) -> Reopen:
        because, now = f"INC {before.number} was resolved within reopen_within", self.now
        mute, muted_by = self._mute_of_all(None, self.verdict.severity)
        moves = _done(lifecycle.reopen(before, now, "the alert fired again"))
        again = moves[-1].incident
        assessed = self._assessed(again, self.verdict.severity, alone=not again.firing)
        after = changed(
            assessed, counts=counts_with(assessed, self._kinds()), firing=again.firing + 1, total=again.total + 1
        )
        told = self._joined(after)
        after = lifecycle.held(after, self.hold_until, now) if self.hold_until else after
        moves = (*moves, Move(after, (told,)))
        gathered = self._gathered(before.number)
        if gathered:
            moves = (*moves, self._gather(after, gathered, self.because))
        kept = self._kept(before.number, joined=True, muted_by=muted_by)
        return Reopen(kept, because, before, mute, moves, gathered, self.counts)

    def _gathered(self, number: int) -> tuple[StoredAlert, ...]:
        """The alerts that waited for the threshold, as they are kept in the incident that reached it."""
        if not self.gathered:
            return ()
        quiet = self.verdict.auto_resolve
        kept = EMPTY if self.verdict.terms is None else self.verdict.terms.kept()
        found: list[StoredAlert] = []
        for alert in self.gathered:
            own = alert.expires_at if PASSING not in alert.terms else None
            fires = alert.ended_at is None
            found.append(
                changed(
                    alert,
                    status="firing" if fires else "resolved",
                    incident=number,
                    joined=True,
                    because=self.because,
                    hold_until=self.hold_until,
                    terms=kept,
                    expires_at=own or (Instant(alert.last_seen_at + quiet) if quiet and fires else None),
                )
            )
        return tuple(found)

    def _gather(self, incident: Incident, gathered: Sequence[StoredAlert], because: str) -> Move:
        """Count them in their incident."""
        firing = [one for one in gathered if one.ended_at is None]
        counts = incident
        for alert in firing:
            counts = changed(counts, counts=counts_with(counts, kinds(alert)))
        after = changed(
            counts,
            firing=incident.firing + len(firing),
            resolved=incident.resolved + len(gathered) - len(firing),
            total=incident.total + len(gathered),
        )
        detail = {"alerts": [one.id for one in gathered]}
        return Move(after, (Entry(after.number, self.now, "joined", str(DAEMON), "alert", because, detail=detail),))

    # ------------------------------------------------------------------------- how bad, how quiet

    def _assessed(self, incident: Incident, severity: Severity, *, alone: bool) -> Incident:
        """As this alert would have it; beside others it never makes the incident less urgent."""
        found = assess(self.verdict, severity, self.facts.settings, self.now)
        impact, urgency, priority = found.impact, found.urgency, found.priority
        if not alone and is_higher(incident.priority, priority):
            impact, urgency, priority = incident.impact, incident.urgency, incident.priority
        return lifecycle.reassessed(incident, severity, impact, urgency, priority, self.now)

    def _pages_anew(self, before: Incident, after: Incident) -> bool:
        if before.status != "acknowledged" or self.verdict.re_page == "never":
            return False
        return self.verdict.re_page == "any" or is_higher(after.priority, before.priority)

    def _mute(self, before: Incident | None, *, alone: bool) -> Mute | None:
        """Mute that keeps it quiet. `before`: the incident it is in or joins; `alone`: no other alert of that fires."""
        mutes, facts, verdict = self.facts.mutes, self.facts, self.verdict
        if not mutes:
            return None
        priority: Priority = "P1"
        if mutes.parents:
            priority = assess(verdict, verdict.severity, facts.settings, self.now).priority
            priority = priority if before is None or alone else min(priority, before.priority)
        own = None if before is None else before.number
        return mutes.of(value_of(verdict, self.alert, facts.integration.name), self.now, priority, own)

    def _mute_of_all(self, before: Incident | None, severity: Severity) -> tuple[Mute | None, str | None]:
        """Mutes of its incident, and of this alert alone: one that pages among those gathered is enough."""
        mute = self._mute(before, alone=True)
        if mute is None:
            return None, None
        firing = [one for one in self.gathered if one.ended_at is None]
        if firing:
            severity = worst([severity, *(one.severity for one in firing)])
            priority = assess(self.verdict, severity, self.facts.settings, self.now).priority
            if any(self.facts.mutes.of(stored_values(one), self.now, priority) is None for one in firing):
                return None, mute.reason
        return mute, mute.reason

    # ------------------------------------------------------------------------------ as it is kept

    def _kinds(self) -> tuple[str, ...]:
        """Kinds under which it is counted in its incident."""
        found = new_kinds(self.verdict.severity, self.verdict.written)
        acknowledged = self.existing is not None and self.existing.acknowledged_at is not None
        return (*found, ACKNOWLEDGED) if acknowledged else found

    def _joined(self, incident: Incident) -> Entry:
        fit = self.facts.fit
        assert fit is not None
        detail = {"alert": self.id, "dedup_key": self.facts.key, "priority": incident.priority}
        return self._told(incident, "joined", fit.title, detail)

    def _told(self, incident: Incident, kind: str, because: str, detail: Mapping[str, Any]) -> Entry:
        return Entry(incident.number, self.now, kind, self.actor, "alert", because, detail=detail)

    def _kept(
        self, incident: int | None, *, joined: bool = False, muted_by: str | None = None,
        waits_until: Instant | None = None,
    ) -> StoredAlert:  # fmt: skip
        facts, verdict, now, existing, fit = self.facts, self.verdict, self.now, self.existing, self.facts.fit
        assert fit is not None
        started_at = self.alert.started_at
        seen_before = existing is not None and facts.waited
        return StoredAlert(
            self.id,
            facts.integration.name,
            facts.key,
            facts.content ^ (waits_until is not None),  # what is heard next is no pure repeat
            self.status,
            incident,
            facts.post,
            verdict.severity,
            fit.title,
            fit.description,
            fit.service,
            fit.source,
            fit.labels,
            fit.links,
            verdict.rules,
            now if started_at is None else started_at,
            now if existing is None else existing.received_at,
            existing.last_seen_at if existing is not None and seen_before else now,
            None,
            self.expires_at,
            self.hold_until,
            None if existing is None else existing.acknowledged_at,
            1 if existing is None else existing.count + (not seen_before),
            fit.truncated,
            joined,
            muted_by,
            tuple(sorted(verdict.written)) if verdict.written else (),
            self.because,
            self.terms,
            None,
            self.settles_at,
            waits_until,
        )


def waited_long_enough(alert: StoredAlert, now: Instant) -> bool:
    """Whether it waited behind its end, and that is over."""
    return alert.waits_until is not None and alert.waits_until <= now


def changed_under(
    flap: Flap, what: str, alert: int, before: Instant | None, facts: Facts, now: Instant
) -> tuple[Counted, Instant | None]:
    """An alert under a flap rule fires or is resolved: how that counts, and until when it counts as flapping.

    `before`: until when it did so far.
    """
    mark = Mark(now, alert, f"{what}@{now}#{len(facts.changes)}")
    counted = (flap_tally(facts.integration.name, facts.key), mark)
    return counted, settles_at(flap, [*facts.changes, mark], before, now)


def _let_page(incident: Incident, hold_until: Instant | None, because: str, now: Instant) -> tuple[Move, ...]:
    """An alert that is not silenced ends the silence of its incident; one held less long shortens its hold."""
    moves: tuple[Move, ...] = ()
    if incident.held_until is not None and (hold_until or now) < incident.held_until:
        incident = lifecycle.held(incident, hold_until, now)
        moves = (Move(incident, ()),)
    if lifecycle.rises_above_its_storm(incident):
        return (*moves, lifecycle.released(incident, now, "it became critical"))
    if incident.muted_by is not None:
        return (*moves, *_done(lifecycle.unmute(incident, now, because)))
    return moves


def _priority_rose(before: Incident, after: Incident) -> str:
    return f"priority rose from {before.priority} to {after.priority}"


# ------------------------------------------------------------------ it ends, or something is said of it


def _resolved(alert: Alert, facts: Facts, now: Instant) -> Placed:
    """Rules are not run for a resolve, and cannot drop it."""
    existing, ended, name = facts.existing, alert.ended_at, facts.integration.name
    if not facts.integration.may_resolve:
        outcome = "resolve_without_alert" if existing is None else "resolve_not_allowed"
        return Ignore(f"ignored: {name} may not resolve (may_resolve)", outcome)
    if existing is None:
        because = "no open alert with this dedup_key is known; a resolve opens nothing"
        return Ignore(because, "resolve_without_alert", _buried_unknown(ended, facts, now))
    if ended is not None and existing.started_at != existing.received_at and ended < existing.started_at:
        return Ignore("it is of an earlier firing, overtaken by this one on its way", "stale")
    if existing.cleared_at is not None and existing.waits_until is None:
        return Ignore("its source said so before: it ends when it stayed quiet", "repeat")
    counts: tuple[Counted, ...] = ()
    if existing.incident is not None and existing.terms:
        clear, counts = _cleared(existing, facts, now)
        if clear is not None:
            return clear
    tombstone = None
    if existing.started_at != existing.received_at or facts.tombstone is not None:  # else none is taken for older
        began = Instant(existing.started_at + 1)
        tombstone = ended_by_source(name, facts.key, began, now, existing.incident)
    after = ended_by_resolve(existing, now)
    moves = () if facts.own is None else ended_in(facts.own, after, facts.settings.defaults.close_after, now)
    return End(after, "its source resolved it", moves, tombstone, counts)


def _buried_unknown(ended: Instant | None, facts: Facts, now: Instant) -> Tombstone | None:
    """A resolve before its trigger, or once more. After a person's resolve it is the source that says so now."""
    before = facts.tombstone
    ends = [at for at in (ended, before.ended_at if before is not None else None) if at is not None]
    if not ends:
        return None
    incident = before.incident if before is not None else None
    return ended_by_source(facts.integration.name, facts.key, max(ends), now, incident)


def _cleared(existing: StoredAlert, facts: Facts, now: Instant) -> tuple[Clear | None, tuple[Counted, ...]]:
    """Whether this resolve must wait: then the alert is cleared, and ends when it stayed quiet. What counts, too."""
    terms = terms_of(existing.terms)
    counts: tuple[Counted, ...] = ()
    settles: Instant | None = None
    if terms.flap is not None:
        counted, settles = changed_under(terms.flap, "resolved", existing.id, existing.settles_at, facts, now)
        counts = (counted,)
    found = clearing(terms, settles, now)
    if found is None:
        return None, counts
    after = changed(
        existing,
        content=existing.content ^ 1,  # so that the next firing, which says the same, is not taken for a repetition
        cleared_at=now, last_seen_at=now, expires_at=found.ends_at, settles_at=found.settles_at, waits_until=None,
        terms=without_wait(existing.terms),
    )  # fmt: skip
    story: tuple[Entry, ...] = ()
    if facts.own is not None and facts.own.open and not flaps(existing.settles_at, now):
        sender, detail = str(Actor("integration", existing.integration)), {"alert": existing.id}
        story = (Entry(facts.own.number, now, "cleared", sender, "alert", found.because, detail=detail),)
    return Clear(after, found.because, story, counts), counts


def _acknowledged(facts: Facts, now: Instant) -> Acknowledge | Ignore:
    existing, incident = facts.existing, facts.own
    if existing is None:
        return Ignore("no open alert with this dedup_key is known", "ack_without_alert")
    if not facts.integration.may_acknowledge:
        return Ignore(f"ignored: {facts.integration.name} may not acknowledge (may_acknowledge)", "ack_not_allowed")
    after = changed(existing, acknowledged_at=now, last_seen_at=now)
    counted = changed_alert(incident, existing, after) if incident is not None and incident.open else incident
    moves = () if counted is None or counted is incident else (Move(counted, ()),)
    return Acknowledge(after, "its source acknowledges it", moves)


def _remark(alert: Alert, facts: Facts, now: Instant) -> Remark:
    because = f"{alert.status}: rules are not run, nobody is paged"
    if facts.own is None:
        return Remark(because)
    text = clean(alert.description or alert.title, NOTES, lines=True)
    actor = str(Actor("integration", facts.integration.name))
    return Remark(because, (Entry(facts.own.number, now, "note", actor, "alert", text),))


def _done(move: Move | Stay) -> tuple[Move, ...]:
    return () if isinstance(move, Stay) else (move,)
