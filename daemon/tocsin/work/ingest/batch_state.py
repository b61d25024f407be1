"""What is known while a batch is decided? Its alerts as they were read, and as it has changed them so far."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from tocsin.contracts import Tx
from tocsin.decide.muting.mutes import Mute, Mutes, counts_as_source, identity_of, stored_values
from tocsin.decide.routing.priority import assess
from tocsin.decide.routing.rules import Rulebook, Verdict, value_of
from tocsin.model import (
    Actor,
    Alert,
    ChangeEvent,
    Incident,
    Instant,
    IntegrationConfig,
    Priority,
    Settings,
    StoredAlert,
    Tombstone,
    later_start,
)
from tocsin.work.ingest.open_alerts import Known, Pair
from tocsin.work.ingest.posts import Item, Outcome
from tocsin.work.ledger import Ledger
from tocsin.work.runtime import Core

if TYPE_CHECKING:
    from tocsin.work.ingest.intake import Intake


@dataclass(slots=True, eq=False)
class Facts:
    """One batch, at one instant. The parts that decide read it, and keep here what they decided."""

    intake: Intake
    core: Core
    tx: Tx
    known: Known
    trust: bool  # whether `known` may be asked
    now: Instant
    settings: Settings
    rulebook: Rulebook
    ledger: Ledger
    out: Outcome
    incidents: list[dict[int, None]]  # by post: in which incidents its alerts are
    repeats: list[int]  # by post: how many of its alerts only repeat themselves
    post_ids: Sequence[int] = field(init=False)
    alerts: dict[Pair, StoredAlert | None] = field(init=False, default_factory=dict)  # those that are open
    latest: dict[str, Incident | None] = field(init=False, default_factory=dict)  # by key
    tombstones: dict[Pair, Tombstone] = field(init=False, default_factory=dict)  # ends of identities that still hold
    added: dict[int, StoredAlert] = field(init=False, default_factory=dict)
    saved: dict[int, StoredAlert] = field(init=False, default_factory=dict)
    touched: dict[int, None] = field(init=False, default_factory=dict)  # incidents that may be less severe now
    minted: dict[int, str] = field(init=False, default_factory=dict)  # by id() of what was judged
    changes: list[ChangeEvent] = field(init=False, default_factory=list)
    sources: list[int] = field(init=False, default_factory=list)  # ids of alerts that may keep others quiet
    watching: bool = field(init=False, default=False)  # whether alerts may mute others

    def outcome(self, name: str) -> None:
        self.out.counts[name] = self.out.counts.get(name, 0) + 1

    def repeat(self, post: int, integration: IntegrationConfig, alert: Alert, alert_id: int, incident: int) -> None:
        """An open alert only says again what it said before."""
        self.repeats[post] += 1
        repeats, expires = self.out.repeats, self.expiry(integration, alert)
        if alert_id in repeats:
            count, until, began = repeats[alert_id]
            repeats[alert_id] = (count + 1, expires or until, later_start(began, alert.started_at))
        else:
            repeats[alert_id] = (1, expires, alert.started_at)
        if incident:
            self.incidents[post][incident] = None
        self.outcome("repeat")

    def expiry(self, integration: IntegrationConfig, alert: Alert, verdict: Verdict | None = None) -> Instant | None:
        """When silence of the source ends this alert: its own expiry, else the quiet time of rule or integration."""
        if alert.expires_at is not None:
            return alert.expires_at
        quiet = (verdict.auto_resolve if verdict is not None else None) or integration.auto_resolve
        if quiet is None and verdict is None and self.core.live.rules_end_quiet_alerts:
            quiet = self.rulebook.walk(alert, integration).auto_resolve
        return None if quiet is None else Instant(self.now + quiet)

    def began(self, alert: StoredAlert) -> Instant:
        """When its newest firing began, as its source says: repeats that are not in the database yet count too."""
        here = self.out.repeats.get(alert.id)
        before = self.intake.up_to_date(alert).started_at
        return before if here is None or here[2] is None else max(before, here[2])

    # --------------------------------------------------------------------------------- alerts

    def has_incident(self, pair: Pair) -> bool:
        known = self.alerts.get(pair)
        return known is not None and known.incident is not None

    def keep(self, item: Item, stored: StoredAlert) -> None:
        """This alert is now as `stored`, for the rest of the batch and for the store."""
        self.alerts[item.pair] = stored
        self.put(stored)
        if stored.incident:
            self.incidents[item.post][stored.incident] = None
        if self.watching:
            self.watch(stored)

    def put(self, stored: StoredAlert) -> None:
        (self.added if stored.id in self.added else self.saved)[stored.id] = stored

    async def firing_of(self, number: int) -> list[StoredAlert]:
        """An incident's firing alerts as this batch leaves them."""
        rows = {alert.id: alert for alert in await self.tx.firing_alerts(number)}
        for alert in [*self.added.values(), *self.saved.values()]:
            if alert.incident == number:
                rows[alert.id] = alert
        return [alert for alert in rows.values() if alert.ended_at is None]

    # ------------------------------------------------------------------------ what keeps it quiet

    @property
    def mutes(self) -> Mutes:
        """All that mutes, as this batch leaves it so far."""
        return self.ledger.what_mutes

    def mute_of(self, item: Item, verdict: Verdict, before: Incident | None, *, alone: bool) -> Mute | None:
        """`before`: the incident it is in or joins; `alone`: no other alert of that fires."""
        mutes = self.mutes
        if not mutes:
            return None
        priority: Priority = "P1"
        if mutes.parents:
            priority = assess(verdict, verdict.severity, self.settings, self.now).priority
            priority = priority if before is None or alone else min(priority, before.priority)
        return mutes.of(value_of(verdict, item.alert, item.pair[0]), self.now, priority)

    def watch(self, stored: StoredAlert) -> None:
        """It may keep others quiet from now on, or no longer; for the rest of this batch too."""
        standing = self.mutes.inhibited.standing(stored_values(stored))
        if not counts_as_source(stored, self.settings):
            standing = ()
        elif standing:
            self.sources.append(stored.id)
        if standing or self.mutes.inhibited:
            self.ledger.fork_mutes().inhibited.fires(identity_of(stored), standing, stored.incident)
            incident = self.ledger.get(stored.incident) if standing and stored.incident is not None else None
            if incident is not None:
                self.ledger.see(incident)


def sender_of(alert: StoredAlert) -> Actor:
    return Actor("integration", alert.integration)
