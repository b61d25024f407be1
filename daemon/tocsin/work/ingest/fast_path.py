"""Fast path: pure repeats, and new alerts that stand alone and page nobody yet, need no read and few steps.

Everything else is placed one by one (work/ingest/pipeline.py), and so is one of these as soon as anything else in the
batch concerns it. What comes of it is what `place` (decide/incidents/placement.py) would answer; a test compares them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.routing.alert_texts import as_json
from tocsin.decide.routing.priority import assess
from tocsin.decide.routing.rules import Verdict, value_of
from tocsin.model import Alert, Arrival, Impact, Instant, IntegrationConfig, Priority, Urgency
from tocsin.work.ingest.batch_state import BatchState
from tocsin.work.ingest.evaluation import Evaluated
from tocsin.work.ingest.open_alerts import OpenAlerts
from tocsin.work.ingest.posts import Queued
from tocsin.work.ledger import Ledger

SLICE = 400  # alerts that take it before the event loop gets a turn
Located = tuple[int, Queued, Evaluated]
"""An alert, its post, and which of the batch that is."""

Basis = tuple[Impact, Urgency, Priority, str, str, str, str, str]
"""impact, urgency, priority, category, policy, its hash, rules and written as JSON."""


async def take_fast_path(batch: BatchState) -> list[Located]:
    """Count pure repeats, write what is new and alone. Returns the others, in order."""
    if not batch.trust or batch.settings.defaults.reopen_within:
        return [(index, post, one) for index, post in enumerate(batch.posts) for one in post.evaluated]
    fast = FastPath(batch.open_alerts, batch.ledger, batch.mutes, batch.now)
    others: list[Located] = []
    concerned: set[str] = set()  # identities that others concern
    for index, post in enumerate(batch.posts):
        name, quiet, current = post.integration.name, post.integration.auto_resolve, post.rulebook is batch.rulebook
        for one in post.evaluated:
            first = fast.new_alerts.pop(one.identity, None)
            if first is not None:
                others.append((first.post, batch.posts[first.post], first.evaluated))
            elif current and not one.waited and one.identity not in concerned:
                if one.verdict is None and _repeats_itself(batch, index, post.integration, one):
                    continue
                if fast.takes(NewAlert(index, name, quiet, one)):
                    continue
            fast.leaves(name, one)
            others.append((index, post, one))
            concerned.add(one.identity)
    await _write(batch, fast)
    return others


def _repeats_itself(batch: BatchState, index: int, integration: IntegrationConfig, one: Evaluated) -> bool:
    """Whether this is a pure repeat of an alert that is open, by memory; then it is counted."""
    if one.alert.status not in ("firing", "heartbeat"):
        return False
    known = batch.open_alerts.same(one.identity, one.content)
    if known is not None:
        batch.repeat(index, integration, one.alert, *known)
    return known is not None


async def _write(batch: BatchState, fast: FastPath) -> None:
    """Write those that are new and alone, and give the loop its turns."""
    count = len(fast.new_alerts)
    if not count:
        return
    incidents, arrived = batch.incidents, batch.out.arrived
    ids, numbers = await batch.tx.next_alert_ids(count), await batch.tx.next_numbers(count)
    for done, arrival in enumerate(fast.arrivals(ids, numbers, batch.post_ids), start=1):
        arrived.append(arrival)
        if done % SLICE == 0 and done < count:
            await batch.runtime.clock.turn()
    for new, number in zip(fast.new_alerts.values(), numbers, strict=True):
        incidents[new.post][number] = None
    batch.ledger.arrive(arrived)
    batch.out.counts["opened"] = count


class NewAlert(NamedTuple):
    """Alert that may take the fast path: which post of the batch brings it, under which integration."""

    post: int
    integration: str
    quiet: int | None  # after so long without a repeat it ends
    evaluated: Evaluated


@dataclass(slots=True)
class FastPath:
    """New alerts of one batch that take the fast path, by identity."""

    open_alerts: OpenAlerts
    ledger: Ledger
    mutes: Mutes
    now: Instant
    new_alerts: dict[str, NewAlert] = field(default_factory=dict)
    any_mutes: bool = field(init=False)  # now
    may_mute: bool = field(init=False)  # what comes
    _source_came: bool = False  # in this batch: it keeps targets behind it quiet, which memory does not know yet
    _parents: frozenset[str] = field(init=False)
    _bases: dict[tuple[object, ...], Basis] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.any_mutes, self.may_mute = self.mutes.any_at(self.now), bool(self.mutes.inhibited.rules)
        self._parents = self.mutes.parents.services

    def takes(self, one: NewAlert) -> bool:
        """Whether this alert may take the fast path: nothing is known of its identity, and nothing keeps it quiet."""
        evaluated = one.evaluated
        if not evaluated.alone or self.open_alerts.knows(evaluated.identity):
            return False
        if self.open_alerts.buried_lately(evaluated.identity, self.now):
            return False
        if (self.any_mutes or self.may_mute or self._parents) and self._concerned(one):
            return False
        self.new_alerts[evaluated.identity] = one
        return True

    def leaves(self, integration: str, one: Evaluated) -> None:
        """Note an alert that does not take the fast path: it may keep others of its batch quiet."""
        if self.may_mute and not self._source_came and one.verdict is not None:
            values = at_need(one.verdict, one.alert, integration)
            self._source_came = bool(self.mutes.inhibited.standing(values))

    def _concerned(self, one: NewAlert) -> bool:
        """Whether something keeps it quiet, or it may keep others quiet."""
        verdict = one.evaluated.verdict
        assert verdict is not None
        if verdict.service in self._parents:
            return True
        if not self.any_mutes and not self.may_mute:
            return False
        values = at_need(verdict, one.evaluated.alert, one.integration)
        if self.may_mute and self.mutes.inhibited.standing(values):
            return True
        if self._source_came and self.mutes.inhibited.is_target(values):
            return True
        return self.any_mutes and self.mutes.of(values, self.now, "P5") is not None

    def arrivals(self, ids: Sequence[int], numbers: Sequence[int], posts: Sequence[int]) -> Iterator[Arrival]:
        """Rows of the alerts taken, in order. `posts`: the id of each post of the batch."""
        for one, id_, number in zip(self.new_alerts.values(), ids, numbers, strict=True):
            yield self._arrival(one, id_, number, posts[one.post])

    def _arrival(self, one: NewAlert, id_: int, number: int, post: int) -> Arrival:
        integration, evaluated, now = one.integration, one.evaluated, self.now
        alert, verdict, fit = evaluated.alert, evaluated.verdict, evaluated.fit
        assert verdict is not None
        assert fit is not None
        assert verdict.hold is not None
        impact, urgency, priority, category, policy, policy_hash, rules, written = self._basis(verdict)
        quiet, expires = verdict.auto_resolve or one.quiet, alert.expires_at
        return Arrival(
            id_,
            integration,
            evaluated.key,
            evaluated.content,
            number,
            post,
            verdict.severity,
            fit.title,
            fit.description,
            fit.service,
            fit.source,
            fit.labels_text,
            fit.links_text,
            rules,
            now if alert.started_at is None else alert.started_at,
            now,
            expires if expires is not None or quiet is None else Instant(now + quiet),
            Instant(now + verdict.hold),
            fit.truncated,
            written,
            f"{integration}/{evaluated.key}",
            impact,
            urgency,
            priority,
            category,
            policy,
            policy_hash,
        )

    def _basis(self, verdict: Verdict) -> Basis:
        """Values shared by all alerts that the rules made alike, worked out once a batch."""
        alike = (
            verdict.policy, verdict.service, verdict.severity, verdict.impact, verdict.urgency, verdict.priority,
            verdict.category, verdict.rules, verdict.written,
        )  # fmt: skip
        found = self._bases.get(alike)
        if found is None:
            found = self._bases[alike] = self._new_basis(verdict)
        return found

    def _new_basis(self, verdict: Verdict) -> Basis:
        settings = self.ledger.runtime.settings
        assessed = assess(verdict, verdict.severity, settings, self.now)
        policy = policy_for(verdict.policy, verdict.service, settings)
        return (
            assessed.impact,
            assessed.urgency,
            assessed.priority,
            verdict.category,
            policy.name if policy else "",
            self.ledger.freeze(policy) if policy else "",
            as_json(verdict.rules),
            as_json(tuple(sorted(verdict.written))),
        )


def at_need(verdict: Verdict, alert: Alert, integration: str) -> Callable[[str], str]:
    """Lazy `value_of`, made only for a name that is no label: nearly all matchers name labels."""
    labels, written = verdict.labels, verdict.written
    whole: list[Callable[[str], str]] = []

    def value(name: str) -> str:
        if name not in written and "." not in name and (label := labels.get(name)):
            return label
        if not whole:
            whole.append(value_of(verdict, alert, integration))
        return whole[0](name)

    return value
