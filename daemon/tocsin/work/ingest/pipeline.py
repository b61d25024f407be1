"""How are alerts decided that do not come straight in? Slice by slice: read what must be known, then alert by alert."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.decide.routing.grouping import group_of
from tocsin.decide.routing.kept_texts import begun
from tocsin.model import MINUTE, Alert, Instant, Millis
from tocsin.work.ingest.batch_state import Facts
from tocsin.work.ingest.correlation import Opening
from tocsin.work.ingest.counters import Counting
from tocsin.work.ingest.evaluation import Judged, bytes_of, judge
from tocsin.work.ingest.firing import Firing
from tocsin.work.ingest.open_alerts import Pair, identity_of
from tocsin.work.ingest.posts import Item, Queued
from tocsin.work.ingest.prefetch import Asking
from tocsin.work.ingest.resolving import Ending
from tocsin.work.ingest.threshold import Gathering

SLICE = 100  # alerts decided before the event loop gets a turn
MINTED = Millis(2 * MINUTE)


class LongWay:
    """Those who decide, made for one batch: what fires, which incident it belongs to, what ends."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        counting = Counting(facts.tx, facts.now)
        self.opening = Opening(facts)
        self.asking = Asking(facts, counting, self.opening)
        self.firing = Firing(facts, counting, self.opening, Gathering(facts, counting, self.opening))
        self.ending = Ending(facts, counting)
        self._moving: set[Pair] = set()  # something in this batch is no pure repeat of these: nor is what follows

    async def go(self, others: Sequence[tuple[int, Queued, Judged]]) -> None:
        """Each in order; then what only the whole batch can tell."""
        slice_: list[Item] = []
        for index, post, judged in others:
            slice_.append(await self._prepare(index, post, judged))
            if len(slice_) == SLICE:
                await self._decide(slice_)
                await self.facts.core.clock.turn()
                slice_ = []
        if slice_:
            await self._decide(slice_)
        await self.ending.reassess()
        self.opening.page_what_opened()

    # ----------------------------------------------------------------------------- prepare

    async def _prepare(self, index: int, post: Queued, judged: Judged) -> Item:
        """One alert with its identity; a repeat as far as memory may be trusted."""
        facts, alert, integration = self.facts, judged.alert, post.integration
        key = judged.key
        if not key:
            key = facts.minted[id(judged)] = await self._mint(post, alert)
        item = Item(index, integration, alert, (integration.name, key), judged.content, waited=judged.waited)
        if alert.status == "firing" or alert.status == "heartbeat":
            if facts.trust and not item.waited and item.pair not in facts.alerts and item.pair not in self._moving:
                item.repeat = facts.known.same(identity_of(*item.pair), item.content)
            if item.repeat is None:
                if judged.verdict is None or post.rulebook is not facts.rulebook:
                    judge(judged, integration, facts.rulebook)
                item.verdict, item.fit = judged.verdict, judged.fit
                assert item.verdict is not None
                item.group = judged.group or group_of(item.verdict, key, integration.name)
                if item.threshold is not None:
                    item.content = begun(item.content, alert.started_at)
        if item.repeat is None:
            self._moving.add(item.pair)
        return item

    async def _mint(self, post: Queued, alert: Alert) -> str:
        """An identity for an alert that has none: the same bytes within two minutes are the same alert."""
        tx, now = self.facts.tx, self.facts.now
        body = bytes_of(post.raw, alert)
        known = await tx.minted(post.integration.name, body, now)
        if known is not None:
            return known
        key = self.facts.core.chance.token()
        tx.add_minted(post.integration.name, body, key, Instant(now + MINTED))
        return key

    # ------------------------------------------------------------------------------ decide

    async def _decide(self, items: list[Item]) -> None:
        """Read what this slice needs in few reads, then decide alert by alert."""
        facts = self.facts
        await self.asking.ask(items)
        fresh = sum(item.group is not None for item in items)
        ids = iter(await facts.tx.next_alert_ids(fresh) if fresh else ())
        opening = sum(item.group is not None and self.asking.may_open(item) for item in items)
        self.opening.numbers = iter(await facts.tx.next_numbers(opening) if opening else ())
        for item in items:
            if item.repeat is not None:
                facts.repeat(item.post, item.integration, item.alert, *item.repeat)
                continue
            existing = facts.alerts[item.pair]
            match item.alert.status:
                case "firing" | "heartbeat":
                    self.firing.fire(item, existing, next(ids))
                case "resolved":
                    self.ending.resolve(item, existing)
                case "acknowledged":
                    self.ending.acknowledge(item, existing)
                case _:
                    self.ending.remark(item, existing)
