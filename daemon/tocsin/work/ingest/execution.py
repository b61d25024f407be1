"""Execution of an answer about an alert: keep it, move its incident, count it. Nothing is decided here."""

from __future__ import annotations

from tocsin.decide.incidents.placement_answers import (
    Acknowledge,
    Clear,
    Drop,
    End,
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
from tocsin.model import StoredAlert
from tocsin.work.ingest.batch_state import BatchState
from tocsin.work.ingest.evaluation import change_of
from tocsin.work.ingest.open_alerts import forget
from tocsin.work.ingest.posts import Item
from tocsin.work.ingest.reassessment import take_end


def execute(batch: BatchState, item: Item, placed: Placed) -> None:
    """Execute `placed` for one alert."""
    known = batch.alerts[item.pair]
    match placed:
        case Join() | Open() | Reopen() | Suppress() | Drop() | Wait():
            _place(batch, item, placed, known)
        case Ignore():
            _ignore(batch, placed)
        case Repeat():
            assert known is not None
            _repeat(batch, item, known, placed)
        case Update():
            _update(batch, item, placed)
        case Clear() | End():
            _end(batch, item, placed)
        case Acknowledge():
            _acknowledge(batch, item, placed)
        case Remark():
            _remark(batch, item, placed)


def _ignore(batch: BatchState, placed: Ignore) -> None:
    if placed.tombstone is not None:
        batch.bury(placed.tombstone)
    if placed.outcome:
        batch.outcome(placed.outcome)


def _repeat(batch: BatchState, item: Item, known: StoredAlert, placed: Repeat) -> None:
    """Counted in memory; at once where others write too, and where what is counted is kept anew here."""
    if item.threshold is None and known.id not in batch.added and batch.runtime.store.exclusive:
        batch.repeat(item.post, item.integration, item.alert, known.id, known.incident or 0)
        if known.id not in batch.saved:
            batch.out.fresh.append(known)
        return
    batch.keep(item, placed.alert)
    batch.repeats[item.post] += known.id not in batch.added
    batch.outcome("repeat")


# ------------------------------------------------------------------------------------ it has no incident yet


def _place(
    batch: BatchState, item: Item, placed: Drop | Suppress | Wait | Open | Join | Reopen, known: StoredAlert | None
) -> None:
    _count_errors(batch, item)
    match placed:
        case Join():
            _count(batch, placed)
            for move in placed.moves:
                batch.ledger.take(move)
            batch.outcome("joined")
        case Reopen():
            _count(batch, placed)
            for move in placed.moves:
                batch.ledger.take(move)
            _gather(batch, placed)
            batch.outcome("reopened")
        case Drop():
            if known is None:
                batch.outcome("dropped")
        case Suppress():
            _count(batch, placed)
            if known is None or placed.below:
                batch.outcome(placed.alert.status)
        case Wait():
            _wait(batch, placed)
        case Open():
            _count(batch, placed)
            _open(batch, placed)
    if known is None:
        batch.added[placed.alert.id] = placed.alert
    elif known.cleared_at is None:  # what was cleared waits as it is
        batch.outcome("updated")
    batch.keep(item, placed.alert)


def _wait(batch: BatchState, placed: Wait) -> None:
    for entry in placed.story:
        batch.ledger.tell(entry)
    out = batch.out
    out.waits_until = placed.until if out.waits_until is None else min(placed.until, out.waits_until)
    batch.outcome("waits")


def _open(batch: BatchState, placed: Open) -> None:
    ledger = batch.ledger
    assert batch.numbers[0] == placed.incident.number
    incident = ledger.open(placed.incident, placed.policy)
    del batch.numbers[0]
    batch.latest[incident.key] = incident
    if incident.grouped:
        batch.tx.add_incident_keys([(incident.key, incident.number, incident.joins_until)])
    for move in placed.moves:
        ledger.take(move)
    if placed.pages and batch.watching:
        batch.unpaged[incident.number] = placed.policy
    elif placed.pages:
        ledger.begin(incident, placed.policy, placed.alert.labels.get("alertname", ""))
    _gather(batch, placed)
    batch.outcome("opened")


def _gather(batch: BatchState, placed: Open | Reopen) -> None:
    """Keep those that waited for the threshold in the incident that reached it."""
    if not placed.gathered:
        return
    for alert in placed.gathered:
        batch.put(alert)
        if alert.ended_at is None:
            batch.alerts[alert.integration, alert.source_key] = alert
            if batch.watching:
                batch.watch(alert)
    batch.touched[placed.incident.number] = None


# -------------------------------------------------------------------------------------------- it is open already


def _update(batch: BatchState, item: Item, placed: Update) -> None:
    _count_errors(batch, item)
    _count(batch, placed)
    for move in placed.moves:
        batch.ledger.take(move)
    if placed.reassess and placed.incident is not None:
        batch.touched[placed.incident.number] = None
    batch.keep(item, placed.alert)
    batch.outcome("fired_again" if placed.again else "updated")


def _end(batch: BatchState, item: Item, placed: Clear | End) -> None:
    _count(batch, placed)
    if isinstance(placed, Clear):
        for entry in placed.story:
            batch.ledger.tell(entry)
        batch.keep(item, placed.alert)
        batch.outcome("cleared")
        return
    if placed.tombstone is not None:
        batch.bury(placed.tombstone)
    batch.keep(item, placed.alert)
    batch.alerts[item.pair] = None
    forget(batch.runtime, batch.open_alerts, [placed.alert])
    batch.out.ended.append(placed.alert)
    batch.outcome("resolved")
    resolved = take_end(batch.ledger, placed.moves, batch.touched)
    if resolved is not None:
        batch.latest[resolved.key] = resolved


def _acknowledge(batch: BatchState, item: Item, placed: Acknowledge) -> None:
    batch.keep(item, placed.alert)
    if placed.alert.incident is not None:
        batch.acknowledged[placed.alert.incident] = None
    for move in placed.moves:
        batch.ledger.take(move)
    batch.outcome("acknowledged")


def _remark(batch: BatchState, item: Item, placed: Remark) -> None:
    """A note or a change: context for the timeline of its incident, if there is one."""
    batch.outcome(item.alert.status)
    if item.alert.status == "change":
        batch.changes.append(change_of(item.alert, item.integration, item.pair[1], batch.rulebook, batch.now))
    for entry in placed.story:
        batch.ledger.tell(entry)
        batch.incidents[item.post][entry.incident] = None


def _count(batch: BatchState, placed: Suppress | Open | Join | Reopen | Update | Clear | End) -> None:
    for tally, mark in placed.counts:
        batch.counters.count(tally, mark)


def _count_errors(batch: BatchState, item: Item) -> None:
    """Rules that went wrong on this alert."""
    if item.verdict is not None and item.verdict.errors:
        batch.out.rule_errors.extend(item.verdict.errors)
