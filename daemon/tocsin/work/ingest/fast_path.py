"""The straight way in: new alerts that stand alone and page nobody yet need no question and few steps.

Everything else goes the long way (work/ingest/pipeline.py), and so does one of these as soon as anything else in the
batch concerns it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.routing.kept_texts import as_json
from tocsin.decide.routing.priority import assess
from tocsin.decide.routing.rules import Verdict, value_of
from tocsin.model import Alert, Arrival, Impact, Instant, Priority, Urgency
from tocsin.work.ingest.evaluation import Judged
from tocsin.work.ingest.open_alerts import Known
from tocsin.work.ledger import Ledger

Basis = tuple[Impact, Urgency, Priority, str, str, str, str, str]
"""impact, urgency, priority, category, policy, its hash, rules and written as JSON."""


class Coming(NamedTuple):
    """One of them: which post of the batch brings it, under which integration."""

    post: int
    integration: str
    quiet: int | None  # after so long without a repeat it ends
    judged: Judged


@dataclass(slots=True)
class Straight:
    """Those of one batch that go the straight way, by identity."""

    known: Known
    ledger: Ledger
    mutes: Mutes
    now: Instant
    coming: dict[str, Coming] = field(default_factory=dict)
    any_mutes: bool = field(init=False)  # now
    may_mute: bool = field(init=False)  # what comes
    _parents: frozenset[str] = field(init=False)
    _bases: dict[tuple[object, ...], Basis] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.any_mutes, self.may_mute = self.mutes.any_at(self.now), bool(self.mutes.inhibited.rules)
        self._parents = self.mutes.parents.services

    def takes(self, one: Coming) -> bool:
        """Whether this alert may go straight: nothing is known of its identity, and nothing keeps it quiet."""
        judged = one.judged
        if not judged.alone or self.known.knows(judged.identity):
            return False
        if self.known.buried_lately(judged.identity, self.now):
            return False
        if (self.any_mutes or self.may_mute or self._parents) and self._concerned(one):
            return False
        self.coming[judged.identity] = one
        return True

    def _concerned(self, one: Coming) -> bool:
        """Whether something keeps it quiet, or it may keep others quiet."""
        verdict = one.judged.verdict
        assert verdict is not None
        if verdict.service in self._parents:
            return True
        if not self.any_mutes and not self.may_mute:
            return False
        values = at_need(verdict, one.judged.alert, one.integration)
        if self.may_mute and self.mutes.inhibited.standing(values):
            return True
        return self.any_mutes and self.mutes.of(values, self.now, "P5") is not None

    def arrivals(self, ids: Sequence[int], numbers: Sequence[int], posts: Sequence[int]) -> Iterator[Arrival]:
        """Their rows, in order. `posts`: the id of each post of the batch."""
        for one, id_, number in zip(self.coming.values(), ids, numbers, strict=True):
            yield self._arrival(one, id_, number, posts[one.post])

    def _arrival(self, one: Coming, id_: int, number: int, post: int) -> Arrival:
        integration, judged, now = one.integration, one.judged, self.now
        alert, verdict, fit = judged.alert, judged.verdict, judged.fit
        assert verdict is not None
        assert fit is not None
        assert verdict.hold is not None
        impact, urgency, priority, category, policy, policy_hash, rules, written = self._basis(verdict)
        quiet, expires = verdict.auto_resolve or one.quiet, alert.expires_at
        return Arrival(
            id_,
            integration,
            judged.key,
            judged.content,
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
            f"{integration}/{judged.key}",
            impact,
            urgency,
            priority,
            category,
            policy,
            policy_hash,
        )

    def _basis(self, verdict: Verdict) -> Basis:
        """What is the same of all alerts that the rules made alike, worked out once a batch."""
        alike = (
            verdict.policy, verdict.service, verdict.severity, verdict.impact, verdict.urgency, verdict.priority,
            verdict.category, verdict.rules, verdict.written,
        )  # fmt: skip
        found = self._bases.get(alike)
        if found is None:
            found = self._bases[alike] = self._new_basis(verdict)
        return found

    def _new_basis(self, verdict: Verdict) -> Basis:
        settings = self.ledger.core.settings
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
    """The same as `value_of`, which is made only for a name that is no label: nearly all matchers name labels."""
    labels, written = verdict.labels, verdict.written
    whole: list[Callable[[str], str]] = []

    def value(name: str) -> str:
        if name not in written and "." not in name and (label := labels.get(name)):
            return label
        if not whole:
            whole.append(value_of(verdict, alert, integration))
        return whole[0](name)

    return value
