"""Reassessment of incidents when a whole batch is known, and their first pages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.firing_counts import Firing, counted_anew, firing_in, firing_of
from tocsin.decide.incidents.lifecycle import Move
from tocsin.decide.incidents.timers import reassessed, retold
from tocsin.decide.muting.mutes import muting
from tocsin.model import Actor, Incident, Policy, StoredAlert
from tocsin.work.ingest.batch_state import BatchState
from tocsin.work.ledger import Ledger


async def reassess_touched_incidents(batch: BatchState) -> None:
    """Look at all alerts of incidents whose severity may have sunk, or whose alerts may all be acknowledged."""
    for number in dict.fromkeys([*batch.touched, *batch.acknowledged]):
        incident = batch.ledger.get(number)
        if incident is None or not incident.open:
            continue
        firing = firing_in(incident) or await _read(batch, incident)
        if number in batch.touched and firing.severity not in (None, incident.severity):
            sink(batch.ledger, incident, firing)
        if number in batch.acknowledged and firing.acknowledged:
            await _acknowledge(batch.ledger, number)


async def _read(batch: BatchState, incident: Incident) -> Firing:
    """An incident that stands alone, or one whose counts do not tell: they do from now on."""
    alerts = await batch.firing_of(incident.number)
    if incident.grouped:
        batch.ledger.put(counted_anew(replace(incident, firing=len(alerts)), alerts))
    return firing_of(alerts)


async def _acknowledge(ledger: Ledger, number: int) -> None:
    incident = ledger.get(number)
    assert incident is not None
    actor = Actor("integration", incident.integration)
    policy = await ledger.runtime.policies.thaw(incident.policy_hash)
    timeout = policy.ack_timeout if policy else Policy("", ()).ack_timeout
    because = "all its firing alerts are acknowledged"
    ledger.take(lifecycle.acknowledge(incident, actor, "alert", ledger.now, timeout, because), "alert")


def page_opened_incidents(batch: BatchState) -> None:
    """Plan the first steps of what was opened, unless something that came behind it in this batch keeps it quiet."""
    if not batch.unpaged:
        return
    ledger, parents = batch.ledger, batch.mutes.parents
    alerts: dict[int, list[StoredAlert]] = {number: [] for number in batch.unpaged}
    for alert in (*batch.added.values(), *batch.saved.values()):
        if alert.incident in alerts and alert.ended_at is None:
            alerts[alert.incident].append(alert)

    def who_is_needed_first(number: int) -> int:
        incident = ledger.get(number)
        return parents.depth(incident.service) if incident is not None else 0

    for number in sorted(batch.unpaged, key=who_is_needed_first):
        opened = ledger.get(number)
        if opened is None or opened.status != "triggered" or opened.muted_by is not None:
            continue
        mute = muting(opened, alerts[number], batch.mutes, batch.now)
        if mute is not None:
            ledger.take(lifecycle.mute(opened, mute.reason, mute.until, batch.now))
        else:
            kind = alerts[number][0].labels.get("alertname", "") if alerts[number] else ""
            ledger.begin(opened, batch.unpaged[number], kind)


# ------------------------------------------------------------------------ also when a source falls silent


def take_end(ledger: Ledger, moves: Sequence[Move], touched: dict[int, None]) -> Incident | None:
    """Keep what the end of an alert made of its incident; that one, if it was the last."""
    for move in moves:
        ledger.take(move, "alert")
    if not moves:
        return None
    after = moves[-1].incident
    if after.open:
        touched[after.number] = None
        return None
    if not after.grouped:
        ledger.tx.add_incident_keys([(after.key, after.number, ledger.now)])
    return ledger.get(after.number)


def sink(ledger: Ledger, incident: Incident, firing: Firing) -> None:
    """An alert ended or changed: the incident is as bad as those that are left."""
    incident = ledger.get(incident.number) or incident
    after = reassessed(incident, firing, ledger.runtime.settings, ledger.now)
    if after is not incident:
        ledger.take(retold(after, "alert", "as its firing alerts are now", ledger.now))
