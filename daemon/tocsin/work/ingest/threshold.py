"""Where a rule pages only when several came: are there enough by now, and what becomes of those that waited?"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from tocsin.decide.incidents.firing_counts import with_alert
from tocsin.decide.noise import threshold
from tocsin.decide.noise.counters import Mark, bulk_tally, firing_mark, in_window
from tocsin.decide.routing.alert_terms import PASSING
from tocsin.model import EMPTY, TOCSIN, Incident, Instant, StoredAlert, Threshold
from tocsin.work.ingest.batch_state import Facts
from tocsin.work.ingest.correlation import Opening
from tocsin.work.ingest.counters import Counting
from tocsin.work.ingest.posts import Draft, Item


class Gathering:
    """`reaches` counts a firing; `gather` has those that waited join the incident that came of it."""

    def __init__(self, facts: Facts, counting: Counting, opening: Opening) -> None:
        self.facts, self.counting, self.opening = facts, counting, opening

    def reaches(self, item: Item, draft: Draft, limit: Threshold, existing: StoredAlert | None) -> bool:
        """Count this firing, unless it is known; whether there are enough, or the incident is open already."""
        assert item.group is not None
        now = self.facts.now
        tally, started_at = bulk_tally(item.group.key), item.alert.started_at
        fires_again = existing is not None and existing.status == "waiting"
        if existing is None or fires_again or started_at not in (None, existing.started_at):
            what = firing_mark(*item.pair, now if started_at is None or fires_again else started_at)
            if self.counting.of_another(tally, what, draft.id):  # it ended, and fires again with the same start
                what = firing_mark(*item.pair, now)
            self.counting.count(tally, Mark(now, draft.id, what))
        if self.opening.joins(item):
            return True
        found = threshold.judge(limit, self.counting.have(tally, limit.within))
        draft.because = found.because
        if isinstance(found, threshold.Below):
            draft.status = "suppressed"
            return False
        draft.window = self._waiting(in_window(self.counting.marks(tally), limit.within, now), draft.id)
        return True

    def _waiting(self, window: Sequence[Mark], but: int) -> list[StoredAlert]:
        """Those of the window that wait without an incident, as this batch leaves them."""
        added, saved, stored = self.facts.added, self.facts.saved, self.counting.alerts
        ids = dict.fromkeys(mark.alert for mark in window if mark.alert != but)
        known = [added.get(id) or saved.get(id) or stored.get(id) for id in ids]
        return [one for one in known if one is not None and one.incident is None and one.status == "suppressed"]

    def gather(self, item: Item, draft: Draft) -> None:
        """Those that waited for the threshold join the incident that reached it."""
        incident = self.facts.ledger.get(draft.incident or 0)
        assert incident is not None
        quiet = draft.verdict.auto_resolve or item.integration.auto_resolve
        kept = EMPTY if draft.verdict.terms is None else draft.verdict.terms.kept()
        counted = incident
        for alert in draft.window:
            own = alert.expires_at if PASSING not in alert.terms else None
            joined = replace(
                alert,
                status="firing" if alert.ended_at is None else "resolved",
                incident=incident.number,
                joined=True,
                because=draft.because,
                hold_until=draft.hold_until,
                terms=kept,
                expires_at=own or (Instant(alert.last_seen_at + quiet) if quiet and alert.ended_at is None else None),
            )
            self.facts.put(joined)
            if joined.ended_at is None:
                counted = with_alert(counted, joined)
            if joined.ended_at is None:
                self.facts.alerts[(joined.integration, joined.source_key)] = joined
                if self.facts.watching:
                    self.facts.watch(joined)
        self._count(counted, draft)

    def _count(self, incident: Incident, draft: Draft) -> None:
        ledger, total = self.facts.ledger, len(draft.window)
        firing = sum(alert.ended_at is None for alert in draft.window)
        ledger.put(
            replace(
                incident,
                firing=incident.firing + firing,
                resolved=incident.resolved + total - firing,
                total=incident.total + total,
            )
        )
        ledger.note(incident, "joined", TOCSIN, "alert", draft.because, alerts=[one.id for one in draft.window])
        self.facts.touched[incident.number] = None
