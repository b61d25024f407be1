"""State of one batch while it is decided: its alerts as they were read, and as it has changed them so far."""

from __future__ import annotations

from collections.abc import Sequence

from tocsin.contracts import Tx
from tocsin.decide.incidents.placement import joinable
from tocsin.decide.incidents.placement_answers import Facts
from tocsin.decide.muting.mutes import Mutes, counts_as_source, identity_of, stored_values
from tocsin.decide.noise.counters import bulk_tally, flap_tally, in_window
from tocsin.decide.routing.alert_terms import terms_of
from tocsin.model import (
    Alert,
    ChangeEvent,
    Incident,
    Instant,
    IntegrationConfig,
    Policy,
    StoredAlert,
    Threshold,
    Tombstone,
    changed,
    later_start,
)
from tocsin.work.ingest.counters import Counters
from tocsin.work.ingest.open_alerts import OpenAlerts, Pair
from tocsin.work.ingest.posts import Item, Outcome, Queued
from tocsin.work.ingest.repeat_counts import RepeatCounts
from tocsin.work.ledger import Ledger
from tocsin.work.runtime import Runtime


class BatchState:
    """State of one batch, in one transaction, at one instant. Made anew for each try, so that a retry starts clean.

    `trust`: whether `open_alerts` may be asked, else the database is.
    """

    def __init__(
        self, runtime: Runtime, open_alerts: OpenAlerts, uncounted: RepeatCounts, tx: Tx, posts: Sequence[Queued], *,
        trust: bool,
    ) -> None:  # fmt: skip
        self.runtime, self.open_alerts, self.uncounted, self.tx, self.posts = runtime, open_alerts, uncounted, tx, posts
        self.trust = trust
        self.now = now = runtime.clock.now()
        self.settings, self.rulebook = runtime.live.settings, runtime.live.rulebook
        self.ledger = ledger = Ledger(runtime, tx, now)
        self.out = Outcome([], ledger.effects)
        self.counters = Counters(tx, now)
        self.incidents: list[dict[int, None]] = [{} for _ in posts]  # by post: in which incidents its alerts are
        self.repeats = [0] * len(posts)  # by post: how many of its alerts only repeat themselves
        self.post_ids: Sequence[int] = ()
        self.alerts: dict[Pair, StoredAlert | None] = {}  # those that are open
        self.latest: dict[str, Incident | None] = {}  # by key
        self.tombstones: dict[Pair, Tombstone] = {}  # ends of identities that still hold
        self.added: dict[int, StoredAlert] = {}
        self.saved: dict[int, StoredAlert] = {}
        self.touched: dict[int, None] = {}  # incidents that may be less severe now
        self.acknowledged: dict[int, None] = {}  # incidents whose alerts may all be acknowledged
        self.unpaged: dict[int, Policy | None] = {}  # opened, and to be paged for when the whole batch is known
        self.numbers: list[int] = []  # for incidents that open, as many as may
        self.minted: dict[int, str] = {}  # identities, by id() of what was evaluated
        self.moving: set[Pair] = set()  # something here is no pure repeat of these: nor is what follows
        self.changes: list[ChangeEvent] = []
        self.sources: list[int] = []  # ids of alerts that may keep others quiet
        self.watching = False  # whether alerts may mute others

    def outcome(self, name: str) -> None:
        self.out.counts[name] = self.out.counts.get(name, 0) + 1

    def repeat(self, post: int, integration: IntegrationConfig, alert: Alert, alert_id: int, incident: int) -> None:
        """Count that an open alert only says again what it said before."""
        self.repeats[post] += 1
        repeats, expires = self.out.repeats, self._expiry_of_repeat(integration, alert)
        if alert_id in repeats:
            count, until, began = repeats[alert_id]
            repeats[alert_id] = (count + 1, expires or until, later_start(began, alert.started_at))
        else:
            repeats[alert_id] = (1, expires, alert.started_at)
        if incident:
            self.incidents[post][incident] = None
        self.outcome("repeat")

    def _expiry_of_repeat(self, integration: IntegrationConfig, alert: Alert) -> Instant | None:
        """End of the alert by silence of its source; rules are asked only where one of them may know."""
        if alert.expires_at is not None:
            return alert.expires_at
        quiet = integration.auto_resolve
        if self.runtime.live.rules_end_quiet_alerts:
            quiet = self.rulebook.walk(alert, integration).auto_resolve
        return None if quiet is None else Instant(self.now + quiet)

    # ---------------------------------------------------------------------------- what is known

    def facts_for(self, item: Item) -> Facts:
        """Facts to place this alert by, after all that was decided before it."""
        existing, group, incident_of = self.alerts[item.pair], item.group, self.ledger.get
        latest = self.latest.get(group.key) if group is not None else None
        if latest is not None:
            latest = incident_of(latest.number) or latest
        own: Incident | None = None
        if existing is not None:
            if item.alert.status == "resolved":
                existing = self._newest_start(existing)
            own = incident_of(existing.incident) if existing.incident is not None else None
        numbers = self.numbers
        facts = Facts(
            self.settings, item.integration, self.ledger.what_mutes, item.pair[1], item.alert_id,
            numbers[0] if numbers else 0, self.post_ids[item.post], item.content, item.fit, group, existing, own,
            latest, self.tombstones.get(item.pair), item.waited,
        )  # fmt: skip
        terms = item.verdict.terms if item.verdict is not None else None
        if terms is None and existing is not None and existing.terms:
            terms = terms_of(existing.terms)
        if terms is None:
            return facts
        if terms.flap is not None:
            facts = facts._replace(changes=list(self.counters.marks(flap_tally(*item.pair)).values()))
        if terms.threshold is not None and group is not None:
            facts = self._with_counts(facts, bulk_tally(group.key), terms.threshold)
        return facts

    def _with_counts(self, facts: Facts, tally: str, limit: Threshold) -> Facts:
        marks, have = self.counters.marks(tally), self.counters.have(tally, limit.within)
        window: Sequence[StoredAlert] = ()
        if have + 1 >= limit.count and not (facts.latest is not None and joinable(facts.latest, self.now)):
            ids = dict.fromkeys(mark.alert for mark in in_window(marks.values(), limit.within, self.now))
            found = (self.added.get(id) or self.saved.get(id) or self.counters.alerts.get(id) for id in ids)
            window = [alert for alert in found if alert is not None]
        return facts._replace(counted=marks, have=have, window=window)

    def latest_of(self, key: str) -> Incident | None:
        """The newest incident of a key, as this batch leaves it so far."""
        before = self.latest.get(key)
        return None if before is None else self.ledger.get(before.number) or before

    def _newest_start(self, alert: StoredAlert) -> StoredAlert:
        """With its newest start, as its source says: repeats that are not in the database yet count too."""
        here = self.out.repeats.get(alert.id)
        began = self.uncounted.up_to_date(alert).started_at
        if here is not None and here[2] is not None:
            began = max(began, here[2])
        return alert if began == alert.started_at else changed(alert, started_at=began)

    def has_incident(self, pair: Pair) -> bool:
        known = self.alerts.get(pair)
        return known is not None and known.incident is not None

    async def firing_of(self, number: int) -> list[StoredAlert]:
        """An incident's firing alerts as this batch leaves them."""
        rows = {alert.id: alert for alert in await self.tx.firing_alerts(number)}
        for alert in [*self.added.values(), *self.saved.values()]:
            if alert.incident == number:
                rows[alert.id] = alert
        return [alert for alert in rows.values() if alert.ended_at is None]

    # --------------------------------------------------------------------------- what was decided

    def keep(self, item: Item, alert: StoredAlert) -> None:
        """The alert is now as `alert`, for the rest of the batch and for the store."""
        self.alerts[item.pair] = alert
        self.put(alert)
        if alert.incident:
            self.incidents[item.post][alert.incident] = None
        if self.watching:
            self.watch(alert)

    def put(self, alert: StoredAlert) -> None:
        (self.added if alert.id in self.added else self.saved)[alert.id] = alert

    def bury(self, tombstone: Tombstone) -> None:
        """Remember this end: a firing that comes right behind it, and began before it, waits."""
        self.tx.add_tombstones([tombstone])
        self.out.buried.append(tombstone)
        self.tombstones[tombstone.integration, tombstone.source_key] = tombstone

    # ------------------------------------------------------------------------ what keeps it quiet

    @property
    def mutes(self) -> Mutes:
        """Mutes as this batch leaves them so far."""
        return self.ledger.what_mutes

    def watch(self, alert: StoredAlert) -> None:
        """Note whether it keeps others quiet from now on, for the rest of this batch too."""
        standing = self.mutes.inhibited.standing(stored_values(alert))
        if not counts_as_source(alert, self.settings):
            standing = ()
        elif standing:
            self.sources.append(alert.id)
        if standing or self.mutes.inhibited:
            self.ledger.fork_mutes().inhibited.fires(identity_of(alert), standing, alert.incident)
            incident = self.ledger.get(alert.incident) if standing and alert.incident is not None else None
            if incident is not None:
                self.ledger.see(incident)
