"""What must the database be asked before these alerts can be decided? As few reads as a slice allows."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.decide.noise.counters import bulk_tally, flap_tally, in_window
from tocsin.decide.routing.alert_terms import terms_of
from tocsin.model import Instant, Threshold
from tocsin.work.ingest.batch_state import Facts
from tocsin.work.ingest.correlation import Opening
from tocsin.work.ingest.counters import Counting
from tocsin.work.ingest.open_alerts import Pair
from tocsin.work.ingest.posts import Item


class Asking:
    """`ask` before the alerts of a slice are decided; then `may_open` tells how many numbers they need."""

    def __init__(self, facts: Facts, counting: Counting, opening: Opening) -> None:
        self.facts, self.counting, self.opening = facts, counting, opening
        self._too_few: set[str] = set()  # counts that this slice cannot bring to their threshold

    async def ask(self, items: Sequence[Item]) -> None:
        await self._read(items)
        await self._read_counted(items)

    async def _read(self, items: Sequence[Item]) -> None:
        """One read for all that this slice must know and memory does not hold; none when every alert is new."""
        facts = self.facts
        asked = [item.pair for item in items if item.repeat is None and item.pair not in facts.alerts]
        fresh = [item for item in items if item.group is not None and not facts.has_incident(item.pair)]
        ended = [item.pair for item in items if item.repeat is None and self._may_be_overtaken(item)]
        keys = {item.group.key: None for item in fresh if item.group is not None and item.group.key not in facts.latest}
        if facts.trust:
            asked, ended = self._recall(asked, ended)
            if not facts.settings.defaults.reopen_within:
                keys = {item.group.key: None for item in fresh
                        if item.group is not None and item.group.grouped and item.group.key in keys}  # fmt: skip
        if not (asked or ended or keys):
            return
        found = await facts.tx.standing(asked, ended, list(keys), facts.now)
        for pair in asked:
            facts.alerts[pair] = found.open.get(pair)
        facts.known.not_open(pair for pair in asked if facts.alerts[pair] is None)
        for key in keys:
            facts.latest[key] = found.latest.get(key)
        for pair, tombstone in found.tombstones.items():
            facts.tombstones.setdefault(pair, tombstone)  # what ended in this batch is newer
        facts.ledger.know(found.latest.values())
        await facts.ledger.load([alert.incident for alert in found.open.values() if alert.incident is not None])

    def _may_be_overtaken(self, item: Item) -> bool:
        """Whether it matters to this alert that its identity ended just now."""
        if item.alert.status == "resolved":
            return True
        return item.group is not None and item.alert.started_at is not None and not self.facts.has_incident(item.pair)

    def _recall(self, asked: list[Pair], ended: list[Pair]) -> tuple[list[Pair], list[Pair]]:
        """What of these must still be asked: memory knows who is not open, and who ended just now."""
        facts, known = self.facts, self.facts.known
        for pair in ended:
            tombstone = known.buried(pair, facts.now)
            if tombstone is not None:
                facts.tombstones.setdefault(pair, tombstone)
        for pair in asked:
            if not known.has(pair):
                facts.alerts[pair] = None
        return [pair for pair in asked if known.has(pair)], []

    async def _read_counted(self, items: Sequence[Item]) -> None:
        """What rules count of these alerts, and the alerts that join when a threshold is reached."""
        now = self.facts.now
        ending = any(item.alert.status == "resolved" for item in items)  # what is open may be over before it is joined
        self._too_few.clear()
        asked: dict[str, Instant] = {}
        limits: dict[str, Threshold] = {}
        for item in items:
            existing = self.facts.alerts.get(item.pair)
            terms = item.verdict.terms if item.verdict is not None else None
            if terms is not None and terms.threshold is not None and item.group is not None:
                if ending or not self.opening.joins(item):
                    tally = bulk_tally(item.group.key)
                    limits[tally] = terms.threshold
                    asked[tally] = Instant(now - terms.threshold.within)
            flap = terms.flap if terms is not None else terms_of(existing.terms).flap if existing is not None else None
            if flap is not None:
                asked[flap_tally(*item.pair)] = Instant(now - flap.within)
        if asked:
            await self.counting.read(asked)
        for tally, limit in limits.items():
            waiting = in_window(self.counting.marks(tally), limit.within, now)
            if len(waiting) + len(items) < limit.count:
                self._too_few.add(tally)
            else:
                await self.counting.read_alerts(mark.alert for mark in waiting)

    def may_open(self, item: Item) -> bool:
        """Whether it may need a number of its own."""
        verdict = item.verdict
        if verdict is None or verdict.dropped_by or verdict.suppressed_by:
            return False
        return item.threshold is None or item.group is None or bulk_tally(item.group.key) not in self._too_few
