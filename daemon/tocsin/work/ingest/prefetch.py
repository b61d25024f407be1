"""Reads of all that must be known before alerts can be placed, as few as a slice allows."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.decide.incidents.placement import joinable, may_open
from tocsin.decide.noise.counters import bulk_tally, flap_tally, in_window
from tocsin.decide.routing.alert_terms import terms_of
from tocsin.model import Instant, Threshold
from tocsin.work.ingest.batch_state import BatchState
from tocsin.work.ingest.open_alerts import Pair
from tocsin.work.ingest.posts import Item


async def prefetch(batch: BatchState, items: Sequence[Item]) -> None:
    """Read all that `facts_for` these alerts needs, and reserve the ids and numbers that they may need."""
    await _read_standing(batch, items)
    too_few = await _read_counted(batch, items)
    fires = [item for item in items if item.group is not None]
    if not fires:
        batch.numbers = []
        return
    for item, id_ in zip(fires, await batch.tx.next_alert_ids(len(fires)), strict=True):
        item.alert_id = id_
    opening = sum(_may_open(item, too_few) for item in fires)
    batch.numbers = list(await batch.tx.next_numbers(opening)) if opening else []


async def _read_standing(batch: BatchState, items: Sequence[Item]) -> None:
    """Read once all that this slice must know and memory does not hold; none when every alert is new."""
    asked = [item.pair for item in items if item.repeat is None and item.pair not in batch.alerts]
    fresh = [item.group for item in items if item.group is not None and not batch.has_incident(item.pair)]
    ended = [item.pair for item in items if item.repeat is None and _may_be_overtaken(batch, item)]
    keys = {group.key: None for group in fresh if group.key not in batch.latest}
    if batch.trust:
        asked, ended = _recall(batch, asked, ended)
        if not batch.settings.defaults.reopen_within:
            keys = {group.key: None for group in fresh if group.grouped and group.key in keys}
    if not (asked or ended or keys):
        return
    found = await batch.tx.standing(asked, ended, list(keys), batch.now)
    for pair in asked:
        batch.alerts[pair] = found.open.get(pair)
    batch.open_alerts.not_open(pair for pair in asked if batch.alerts[pair] is None)
    for key in keys:
        batch.latest[key] = found.latest.get(key)
    for pair, tombstone in found.tombstones.items():
        batch.tombstones.setdefault(pair, tombstone)  # what ended in this batch is newer
    batch.ledger.know(found.latest.values())
    await batch.ledger.load([alert.incident for alert in found.open.values() if alert.incident is not None])


def _may_be_overtaken(batch: BatchState, item: Item) -> bool:
    """Whether it matters to this alert that its identity ended just now."""
    if item.alert.status == "resolved":
        return True
    return item.group is not None and item.alert.started_at is not None and not batch.has_incident(item.pair)


def _recall(batch: BatchState, asked: list[Pair], ended: list[Pair]) -> tuple[list[Pair], list[Pair]]:
    """Leave out what need not be asked: memory knows who is not open, and who ended just now."""
    known = batch.open_alerts
    for pair in ended:
        tombstone = known.buried(pair, batch.now)
        if tombstone is not None:
            batch.tombstones.setdefault(pair, tombstone)
    for pair in asked:
        if not known.has(pair):
            batch.alerts[pair] = None
    return [pair for pair in asked if known.has(pair)], []


async def _read_counted(batch: BatchState, items: Sequence[Item]) -> set[str]:
    """Read what rules count of these alerts, and the alerts that join when a threshold is reached.

    Returns the counts that this slice cannot bring to their threshold.
    """
    now, counters = batch.now, batch.counters
    ending = any(item.alert.status == "resolved" for item in items)  # what is open may be over before it is joined
    asked: dict[str, Instant] = {}
    limits: dict[str, Threshold] = {}
    for item in items:
        existing = batch.alerts.get(item.pair)
        terms = item.verdict.terms if item.verdict is not None else None
        if terms is not None and terms.threshold is not None and item.group is not None:
            latest = batch.latest_of(item.group.key)
            if ending or latest is None or not joinable(latest, now):
                tally = bulk_tally(item.group.key)
                limits[tally] = terms.threshold
                asked[tally] = Instant(now - terms.threshold.within)
        flap = terms.flap if terms is not None else terms_of(existing.terms).flap if existing is not None else None
        if flap is not None:
            asked[flap_tally(*item.pair)] = Instant(now - flap.within)
    if asked:
        await counters.read(asked)
    too_few: set[str] = set()
    for tally, limit in limits.items():
        waiting = in_window(counters.marks(tally).values(), limit.within, now)
        if len(waiting) + len(items) < limit.count:
            too_few.add(tally)
        else:
            await counters.read_alerts(mark.alert for mark in waiting)
    return too_few


def _may_open(item: Item, too_few: set[str]) -> bool:
    """Whether it may need a number of its own."""
    if item.verdict is None or item.group is None or not may_open(item.verdict):
        return False
    return item.threshold is None or bulk_tally(item.group.key) not in too_few
