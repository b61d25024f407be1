"""Stages of a batch in one function: `decide_batch`."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.decide.incidents.placement import place
from tocsin.decide.routing.alert_texts import begun
from tocsin.decide.routing.grouping import group_of
from tocsin.model import MINUTE, Alert, Instant, Millis, Post
from tocsin.work.ingest.batch_state import BatchState
from tocsin.work.ingest.evaluation import bytes_of, evaluate
from tocsin.work.ingest.execution import execute
from tocsin.work.ingest.fast_path import Located, take_fast_path
from tocsin.work.ingest.open_alerts import identity_of
from tocsin.work.ingest.posts import Item, Outcome, Queued, Taken
from tocsin.work.ingest.prefetch import prefetch
from tocsin.work.ingest.reassessment import page_opened_incidents, reassess_touched_incidents
from tocsin.work.noise.storms import Storms

SLICE = 100  # alerts placed before the event loop gets a turn
MINTED = Millis(2 * MINUTE)


async def decide_batch(batch: BatchState, storms: Storms) -> Outcome:
    """Decide what becomes of these posts, in order, in one transaction; its caller commits."""
    batch.post_ids = await _ids_of_posts(batch)
    await _lock_identities(batch)
    await _load_mutes_and_people(batch)
    others = await take_fast_path(batch)
    for start in range(0, len(others), SLICE):
        items = [await _item(batch, located) for located in others[start : start + SLICE]]
        await prefetch(batch, items)
        for item in items:
            if item.repeat is not None:
                batch.repeat(item.post, item.integration, item.alert, *item.repeat)
            else:
                execute(batch, item, place(item.alert, item.verdict, batch.facts_for(item), batch.now))
        if len(items) == SLICE:
            await batch.runtime.clock.turn()
    await reassess_touched_incidents(batch)
    page_opened_incidents(batch)
    await storms.page(batch.ledger)  # first pages go out, or a storm takes their incidents in
    return await _write(batch)


async def _ids_of_posts(batch: BatchState) -> Sequence[int]:
    """The id of each post's row: a new one, but for the later parts of a big post."""
    rows = [post.row for post in batch.posts]
    if not any(rows):
        return await batch.tx.next_post_ids(len(rows))
    new = iter(await batch.tx.next_post_ids(rows.count(0)))
    return [row or next(new) for row in rows]


async def _lock_identities(batch: BatchState) -> None:
    """Lock these identities, bytes and groups where others write too: nobody else decides about them meanwhile."""
    if batch.runtime.store.exclusive:
        return
    keys: dict[str, None] = {}
    for post in batch.posts:
        for one in post.evaluated:
            alert, name = one.alert, post.integration.name
            keys[f"{name}\0{alert.source_key or bytes_of(post.raw, alert)}"] = None
            group = group_of(batch.rulebook.walk(alert, post.integration), alert.source_key or "", name)
            if group.grouped:
                keys[group.key] = None
    await batch.tx.lock_keys(list(keys))


async def _load_mutes_and_people(batch: BatchState) -> None:
    await batch.ledger.mutes()
    await batch.ledger.people()
    batch.watching = batch.mutes.watching


async def _item(batch: BatchState, located: Located) -> Item:
    """Prepare one alert with its identity; a repeat as far as memory may be trusted."""
    index, post, evaluated = located
    alert, integration, key = evaluated.alert, post.integration, evaluated.key
    if not key:
        key = batch.minted[id(evaluated)] = await _mint(batch, post, alert)
    item = Item(index, integration, alert, (integration.name, key), evaluated.content, waited=evaluated.waited)
    if alert.status == "firing" or alert.status == "heartbeat":
        if batch.trust and not item.waited and item.pair not in batch.alerts and item.pair not in batch.moving:
            item.repeat = batch.open_alerts.same(identity_of(*item.pair), item.content)
        if item.repeat is None:
            if evaluated.verdict is None or post.rulebook is not batch.rulebook:
                evaluate(evaluated, integration, batch.rulebook)
            item.verdict, item.fit = evaluated.verdict, evaluated.fit
            assert item.verdict is not None
            item.group = evaluated.group or group_of(item.verdict, key, integration.name)
            if item.threshold is not None:
                item.content = begun(item.content, alert.started_at)
    if item.repeat is None:
        batch.moving.add(item.pair)
    return item


async def _mint(batch: BatchState, post: Queued, alert: Alert) -> str:
    """An identity for an alert that has none: the same bytes within two minutes are the same alert."""
    body = bytes_of(post.raw, alert)
    known = await batch.tx.minted(post.integration.name, body, batch.now)
    if known is not None:
        return known
    key = batch.runtime.chance.token()
    batch.tx.add_minted(post.integration.name, body, key, Instant(batch.now + MINTED))
    return key


async def _write(batch: BatchState) -> Outcome:
    tx, out = batch.tx, batch.out
    tx.add_posts(
        [
            Post(id_, post.integration.name, post.received_at, post.raw, len(post.parsed.alerts), repeats)
            for id_, post, repeats in zip(batch.post_ids, batch.posts, batch.repeats, strict=True)
            if not post.row
        ]
    )
    if batch.saved:  # first: what ended here may fire anew here, and an identity is open once
        tx.save_alerts(list(batch.saved.values()))
    if batch.added:
        tx.add_alerts(list(batch.added.values()))
    if batch.changes:
        tx.add_changes(batch.changes)
    if batch.sources:
        tx.add_inhibitors(batch.sources)
    await batch.ledger.close()
    out.last_post = max(batch.post_ids)
    out.fresh.extend(alert for alert in batch.added.values() if alert.ended_at is None)
    out.fresh.extend(alert for alert in batch.saved.values() if alert.ended_at is None)
    for row, post, incidents in zip(batch.post_ids, batch.posts, batch.incidents, strict=True):
        keys = tuple([one.key or batch.minted[id(one)] for one in post.evaluated])
        out.results.append(Taken(len(post.evaluated), tuple(incidents), post.parsed.rejected, keys, row=row))
    return out
