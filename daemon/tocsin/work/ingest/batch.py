"""What becomes of these posts? One transaction: some come straight in, the rest go the long way, all is written."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from tocsin.contracts import Tx
from tocsin.decide.routing.grouping import group_of
from tocsin.model import IntegrationConfig, Post
from tocsin.work.ingest.batch_state import Facts
from tocsin.work.ingest.evaluation import Judged, bytes_of
from tocsin.work.ingest.fast_path import Coming, Straight
from tocsin.work.ingest.pipeline import LongWay
from tocsin.work.ingest.posts import Outcome, Queued, Taken
from tocsin.work.ledger import Ledger

if TYPE_CHECKING:
    from tocsin.work.ingest.intake import Intake

STRAIGHT_SLICE = 400  # alerts that come straight in before the event loop gets a turn


class Batch:
    """One transaction's worth of posts. Made anew for each try, so that a retry starts clean."""

    def __init__(self, intake: Intake, tx: Tx, posts: Sequence[Queued], *, trust: bool) -> None:
        self.tx, self.posts, self.storms = tx, posts, intake.storms
        core, now = intake.core, intake.core.clock.now()
        live, ledger = core.live, Ledger(core, tx, now)
        self.facts = Facts(
            intake,
            core,
            tx,
            intake.known,
            trust,
            now,
            live.settings,
            live.rulebook,
            ledger,
            Outcome([], ledger.effects),
            [{} for _ in posts],
            [0] * len(posts),
        )

    async def run(self) -> Outcome:
        facts, ledger = self.facts, self.facts.ledger
        facts.post_ids = await self._rows()
        if not facts.core.store.exclusive:
            await self._lock()
        await ledger.mutes()
        await ledger.people()
        facts.watching = facts.mutes.watching
        others = await self._not_straight()
        if others:
            await LongWay(facts).go(others)
        return await self._write()

    async def _rows(self) -> Sequence[int]:
        """The id of each post's row: a new one, but for the later parts of a big post."""
        rows = [post.row for post in self.posts]
        if not any(rows):
            return await self.tx.next_post_ids(len(rows))
        new = iter(await self.tx.next_post_ids(rows.count(0)))
        return [row or next(new) for row in rows]

    async def _lock(self) -> None:
        """Where others write too: nobody else decides about these identities, bytes and groups meanwhile."""
        keys: dict[str, None] = {}
        for post in self.posts:
            for one in post.judged:
                alert, name = one.alert, post.integration.name
                keys[f"{name}\0{alert.source_key or bytes_of(post.raw, alert)}"] = None
                group = group_of(self.facts.rulebook.walk(alert, post.integration), alert.source_key or "", name)
                if group.grouped:
                    keys[group.key] = None
        await self.tx.lock_keys(list(keys))

    async def _not_straight(self) -> list[tuple[int, Queued, Judged]]:
        """Those that go the long way, in order; pure repeats are counted here, what comes straight in is written."""
        facts = self.facts
        if not facts.trust or facts.settings.defaults.reopen_within:
            return [(index, post, one) for index, post in enumerate(self.posts) for one in post.judged]
        straight = Straight(facts.known, facts.ledger, facts.mutes, facts.now)
        others: list[tuple[int, Queued, Judged]] = []
        concerned: set[str] = set()  # identities that others concern
        for index, post in enumerate(self.posts):
            name, quiet, current = post.integration.name, post.integration.auto_resolve, post.rulebook is facts.rulebook
            for one in post.judged:
                first = straight.coming.pop(one.identity, None)
                if first is not None:
                    others.append((first.post, self.posts[first.post], first.judged))
                elif current and not one.waited and one.identity not in concerned:
                    if one.verdict is None and self._repeats_itself(index, post.integration, one):
                        continue
                    if straight.takes(Coming(index, name, quiet, one)):
                        continue
                others.append((index, post, one))
                concerned.add(one.identity)
        await self._arrive(straight)
        return others

    def _repeats_itself(self, index: int, integration: IntegrationConfig, one: Judged) -> bool:
        """Whether this is a pure repeat of an alert that is open, by memory; then it is counted."""
        if one.alert.status not in ("firing", "heartbeat"):
            return False
        facts = self.facts
        known = facts.known.same(one.identity, one.content)
        if known is not None:
            facts.repeat(index, integration, one.alert, *known)
        return known is not None

    async def _arrive(self, straight: Straight) -> None:
        """Write those that come straight in, and give the loop its turns."""
        count = len(straight.coming)
        if not count:
            return
        facts, incidents = self.facts, self.facts.incidents
        ids, numbers = await self.tx.next_alert_ids(count), await self.tx.next_numbers(count)
        arrived = facts.out.arrived
        for done, arrival in enumerate(straight.arrivals(ids, numbers, facts.post_ids), start=1):
            arrived.append(arrival)
            if done % STRAIGHT_SLICE == 0 and done < count:
                await facts.core.clock.turn()
        for coming, number in zip(straight.coming.values(), numbers, strict=True):
            incidents[coming.post][number] = None
        facts.ledger.arrive(arrived)
        facts.out.counts["opened"] = count

    async def _write(self) -> Outcome:
        tx, facts, out = self.tx, self.facts, self.facts.out
        tx.add_posts(
            [
                Post(id_, post.integration.name, post.received_at, post.raw, len(post.parsed.alerts), repeats)
                for id_, post, repeats in zip(facts.post_ids, self.posts, facts.repeats, strict=True)
                if not post.row
            ]
        )
        if facts.saved:  # first: what ended here may fire anew here, and an identity is open once
            tx.save_alerts(list(facts.saved.values()))
        if facts.added:
            tx.add_alerts(list(facts.added.values()))
        if facts.changes:
            tx.add_changes(facts.changes)
        if facts.sources:
            tx.add_inhibitors(facts.sources)
        await self.storms.page(facts.ledger)
        await facts.ledger.close()
        out.last_post = max(facts.post_ids)
        out.fresh.extend(alert for alert in facts.added.values() if alert.ended_at is None)
        out.fresh.extend(alert for alert in facts.saved.values() if alert.ended_at is None)
        for row, post, incidents in zip(facts.post_ids, self.posts, facts.incidents, strict=True):
            keys = tuple([one.key or facts.minted[id(one)] for one in post.judged])
            out.results.append(Taken(len(post.judged), tuple(incidents), post.parsed.rejected, keys, row=row))
        return out
