"""What becomes of an alert that fires? It is new, repeats itself, says something else, or was cleared and is back."""

from __future__ import annotations

from dataclasses import replace

from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.overtaken import (
    WAITS,
    as_sent,
    because_it_waits,
    waits_behind,
    waits_behind_clear,
    waits_on,
)
from tocsin.decide.noise.flapping import flaps
from tocsin.model import DAY, MINUTE, Entry, Instant, StoredAlert
from tocsin.work.ingest.batch_state import Facts, sender_of
from tocsin.work.ingest.correlation import Opening
from tocsin.work.ingest.counters import Counting
from tocsin.work.ingest.posts import Draft, Item, KeptStatus
from tocsin.work.ingest.threshold import Gathering


class Firing:
    """`fire`, once for each."""

    def __init__(self, facts: Facts, counting: Counting, opening: Opening, gathering: Gathering) -> None:
        self.facts, self.counting, self.opening, self.gathering = facts, counting, opening, gathering

    def fire(self, item: Item, existing: StoredAlert | None, new_id: int) -> None:
        """`existing`: the open alert of this identity. `new_id`: its id if it is new."""
        if item.waited and (existing is None or not _is_over(existing, self.facts.now)):
            return  # it was resolved meanwhile, or fires already
        if existing is not None:
            self._fire_known(item, existing)
        else:
            self._new(item, new_id)

    def _fire_known(self, item: Item, existing: StoredAlert) -> None:
        facts = self.facts
        at_once = item.threshold is not None or existing.id in facts.added or not facts.core.store.exclusive
        if existing.cleared_at is not None:
            self._fire_again(item, existing)
        elif existing.content != item.content:
            self._update(item, existing)
        elif not at_once:
            facts.repeat(item.post, item.integration, item.alert, existing.id, existing.incident or 0)
            if existing.id not in facts.saved:
                facts.out.fresh.append(existing)
        else:  # where others write too, it is counted at once; what is counted too
            expires = facts.expiry(item.integration, item.alert) or existing.expires_at
            began = max(existing.started_at, item.alert.started_at or existing.started_at)
            again = replace(
                existing, count=existing.count + 1, last_seen_at=facts.now, expires_at=expires, started_at=began
            )
            facts.keep(item, again)
            facts.repeats[item.post] += existing.id not in facts.added
            facts.outcome("repeat")

    def _new(self, item: Item, new_id: int) -> None:
        draft = self._draft(item, new_id)
        if draft.status == "firing":
            self._begin(item, draft, None)
        else:
            self.facts.outcome(draft.status)
        stored = draft.stored()
        self.facts.added[new_id] = stored
        self.facts.keep(item, stored)

    def _update(self, item: Item, existing: StoredAlert, outcome: str = "updated") -> None:
        """The same alert with other content: kept, and its incident assessed again."""
        facts = self.facts
        draft = self._draft(item, existing.id)
        incident = facts.ledger.get(existing.incident) if existing.incident is not None else None
        mute = facts.mute_of(item, draft.verdict, incident, alone=incident is None or incident.firing <= 1)
        draft.incident, draft.joined, draft.muted_by = existing.incident, existing.joined, mute.reason if mute else None
        again = existing.cleared_at is not None
        draft.settles_at = self._settles(item, draft, existing.settles_at) if again else existing.settles_at
        if existing.incident is not None:
            draft.status, draft.because = existing.status, existing.because
            draft.expires_at = facts.expiry(item.integration, item.alert, draft.verdict)
            draft.hold_until = draft.hold_until and existing.hold_until  # an update never lengthens it
        elif draft.status == "firing":
            self._begin(item, draft, existing)
        after = replace(
            draft.stored(),
            received_at=existing.received_at,
            count=existing.count + (not item.waited),
            last_seen_at=existing.last_seen_at if item.waited else facts.now,
            acknowledged_at=existing.acknowledged_at,
        )
        if existing.incident is not None:
            self.opening.update(after, existing, draft.verdict, mute)
        elif after.incident is not None and after.acknowledged_at is not None:
            self.opening.acknowledged_before(after)
        facts.keep(item, after)
        facts.outcome(outcome)

    def _fire_again(self, item: Item, alert: StoredAlert) -> None:
        """It was cleared and fires before it was quiet for long enough: it never ended."""
        facts, ledger = self.facts, self.facts.ledger
        until = None if item.waited else waits_behind_clear(alert, item.alert.started_at, facts.now)
        if until is not None:
            self._wait_cleared(item, alert, until)
            return
        self._update(item, alert, "fired_again")
        incident = ledger.get(alert.incident) if alert.incident is not None else None
        if incident is None or not incident.open:
            return
        if not flaps(alert.settles_at, facts.now):  # its story is told once, not with each change
            ledger.note(incident, "fired_again", sender_of(alert), "alert", alert.title, alert=alert.id)
        roused = lifecycle.roused(incident, facts.now)
        if roused is not incident:
            ledger.put(roused)

    # ------------------------------------------------------------------------ right behind its end

    def _begin(self, item: Item, draft: Draft, existing: StoredAlert | None) -> None:
        """It waits, since it may have been overtaken by its resolve; or it fires now."""
        until = self._waits(item, existing)
        if until is not None:
            self._wait(item, draft, until, existing)
            return
        if existing is None or existing.status == "waiting":
            draft.settles_at = self._settles(item, draft, None)
        if item.waited and existing is not None:
            _as_when_it_came(draft, existing, self.facts.now)
        self._place(item, draft, existing)

    def _waits(self, item: Item, existing: StoredAlert | None) -> Instant | None:
        if item.waited:
            return None
        started_at, now = item.alert.started_at, self.facts.now
        if existing is not None and existing.status == "waiting":
            return waits_on(existing, started_at, now)
        return waits_behind(self.facts.tombstones.get(item.pair), started_at, now)

    def _wait(self, item: Item, draft: Draft, until: Instant, existing: StoredAlert | None) -> None:
        draft.status, draft.waits_until = "waiting", until
        if existing is not None and existing.status == "waiting":
            draft.because = existing.because
        else:
            tombstone = self.facts.tombstones.get(item.pair)
            draft.because = because_it_waits(tombstone, until)
            self._tell_waiting(item, draft.because, tombstone.incident if tombstone is not None else None, draft.id)
        self._fires_later(until)

    def _wait_cleared(self, item: Item, alert: StoredAlert, until: Instant) -> None:
        """It has not ended yet, and will not before it is known whether it fires again."""
        facts = self.facts
        kept = as_sent(item.alert, item.pair[1], item.integration)
        ends = Instant(max(alert.expires_at or until, until + MINUTE))
        facts.keep(
            item,
            replace(
                alert, waits_until=until, terms={**alert.terms, WAITS: kept}, expires_at=ends, last_seen_at=facts.now,
                count=alert.count + 1,
            ),
        )  # fmt: skip
        if alert.waits_until is None:
            self._tell_waiting(item, because_it_waits(None, until), alert.incident, alert.id)
        self._fires_later(until)

    def _fires_later(self, until: Instant) -> None:
        out = self.facts.out
        out.waits_until = until if out.waits_until is None else min(until, out.waits_until)
        self.facts.outcome("waits")

    def _tell_waiting(self, item: Item, because: str, incident: int | None, alert: int) -> None:
        """In the story of the incident that ended with it."""
        if incident is not None:
            actor = f"integration:{item.pair[0]}"
            entry = Entry(incident, self.facts.now, "waits", actor, "alert", because, detail={"alert": alert})
            self.facts.ledger.tell(entry)

    # ------------------------------------------------------------------------- how it is done

    def _draft(self, item: Item, alert_id: int) -> Draft:
        """The alert as it will be kept; which incident it belongs to is decided next."""
        facts, verdict = self.facts, item.verdict
        assert verdict is not None
        assert item.fit is not None
        facts.out.rule_errors.extend(verdict.errors)
        status: KeptStatus = "firing"
        because = ""
        if item.alert.status == "heartbeat":
            status, because = "heartbeat", "it feeds a heartbeat and opens nothing"
        elif verdict.dropped_by:
            status, because = "dropped", f"rule {verdict.dropped_by!r} drops it"
        elif verdict.suppressed_by:
            status, because = "suppressed", f"rule {verdict.suppressed_by!r} keeps it without an incident"
        ends = facts.expiry(item.integration, item.alert, verdict)
        return Draft(
            item,
            verdict,
            alert_id,
            status,
            facts.post_ids[item.post],
            item.fit,
            facts.now,
            ends or (Instant(facts.now + DAY) if status != "firing" else None),
            None if verdict.hold is None else Instant(facts.now + verdict.hold),
            because=because,
        )

    def _settles(self, item: Item, draft: Draft, before: Instant | None) -> Instant | None:
        """Under a flap rule: count that it fires; until when it counts as flapping."""
        terms = draft.verdict.terms
        flap = terms.flap if terms is not None else None
        return None if flap is None else self.counting.changes(item.pair, draft.id, "firing", flap, before)

    def _place(self, item: Item, draft: Draft, existing: StoredAlert | None) -> None:
        """Into an incident; under a threshold only when enough of them came."""
        assert item.group is not None
        limit = item.threshold
        if limit is not None and not self.gathering.reaches(item, draft, limit, existing):
            draft.expires_at = draft.expires_at or Instant(self.facts.now + DAY)
            self.facts.outcome("suppressed")
            return
        draft.because = draft.because or (item.group.because if item.group.grouped else "")
        self.opening.place(item, draft)
        if draft.window:
            self.gathering.gather(item, draft)


def _is_over(alert: StoredAlert, now: Instant) -> bool:
    """Whether it waited behind its end, and has waited long enough."""
    return alert.waits_until is not None and alert.waits_until <= now


def _as_when_it_came(draft: Draft, waiting: StoredAlert, now: Instant) -> None:
    """Its hold and its end count from when it came, not from the end of its wait."""
    held = waiting.hold_until
    draft.hold_until = held if held is not None and held > now and draft.hold_until is not None else None
    draft.expires_at = waiting.expires_at
