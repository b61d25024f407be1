"""What becomes of these posts? One transaction: each alert opens, joins, repeats, updates or resolves."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Literal, Protocol

from tocsin.contracts import Tx
from tocsin.decide import lifecycle, threshold
from tocsin.decide.due import reassessed, retold
from tocsin.decide.escalation import policy_for
from tocsin.decide.flap import clearing, is_stale, settles_at
from tocsin.decide.grouping import Group, group_of
from tocsin.decide.muting import Mute, counts_as_source, muting, stored_values
from tocsin.decide.muting import identity_of as muting_identity
from tocsin.decide.priority import assess, is_higher, worst
from tocsin.decide.rules import Rulebook, Verdict, value_of
from tocsin.decide.tally import Mark, bulk_tally, firing_mark, flap_tally, in_window
from tocsin.decide.terms import PASSING, terms_of
from tocsin.decide.text import clean
from tocsin.model import (
    DAY,
    EMPTY,
    MINUTE,
    TOCSIN,
    Actor,
    Alert,
    Arrival,
    ChangeEvent,
    Flap,
    Incident,
    Instant,
    IntegrationConfig,
    Millis,
    Parsed,
    Policy,
    Post,
    Rejected,
    Severity,
    StoredAlert,
    Threshold,
)
from tocsin.work.arriving import Coming, Straight
from tocsin.work.counting import Counting
from tocsin.work.judging import Fit, Judged, bytes_of, change_of, judge
from tocsin.work.known import MASK63, Pair, identity_of
from tocsin.work.ledger import Effects, Ledger

if TYPE_CHECKING:
    from tocsin.work.intake import Intake

KeptStatus = Literal["firing", "resolved", "dropped", "suppressed", "heartbeat"]

SLICE = 100  # alerts decided before the event loop gets a turn
STRAIGHT_SLICE = 400  # the same of those that come straight in
STALE = Millis(5 * MINUTE)
MINTED = Millis(2 * MINUTE)


@dataclass(frozen=True, slots=True)
class Taken:
    """What became of one post. `incidents`: numbers, each once. `keys`: identity of each alert taken."""

    accepted: int
    incidents: tuple[int, ...]
    rejected: tuple[Rejected, ...]
    keys: tuple[str, ...]
    reason: str = ""


class Waiter(Protocol):
    """Who waits for what becomes of a post: a future, or what acts like one."""

    def done(self) -> bool: ...
    def set_result(self, result: Taken, /) -> None: ...
    def set_exception(self, exception: Exception, /) -> None: ...


@dataclass(slots=True, eq=False)
class Queued:
    """A post that waits for its batch."""

    integration: IntegrationConfig
    raw: bytes
    parsed: Parsed
    received_at: Instant
    judged: list[Judged]
    rulebook: Rulebook
    waiter: Waiter


@dataclass(slots=True)
class Item:
    """One alert of a post on its way through a batch."""

    post: int
    integration: IntegrationConfig
    alert: Alert
    pair: tuple[str, str]
    content: int = 0
    verdict: Verdict | None = None
    group: Group | None = None
    fit: Fit | None = None
    repeat: tuple[int, int] | None = None  # (alert id, incident or 0): a pure repeat, from the cache

    @property
    def threshold(self) -> Threshold | None:
        terms = self.verdict.terms if self.verdict is not None else None
        return terms.threshold if terms is not None else None


@dataclass(slots=True)
class Outcome:
    """What a committed batch leaves to do outside the database."""

    results: list[Taken]
    effects: Effects
    repeats: dict[int, tuple[int, Instant | None]] = field(default_factory=dict)
    fresh: list[StoredAlert] = field(default_factory=list)
    ended: list[StoredAlert] = field(default_factory=list)
    arrived: list[Arrival] = field(default_factory=list)
    buried: list[tuple[str, str, Instant, Instant]] = field(default_factory=list)
    counts: dict[str, int] = field(default_factory=dict)
    rule_errors: list[tuple[str, str]] = field(default_factory=list)
    last_post: int = 0


@dataclass(slots=True)
class Draft:
    """An alert about to be kept: all but its incident is known."""

    item: Item
    verdict: Verdict
    id: int
    status: KeptStatus
    post: int
    fit: Fit
    now: Instant
    expires_at: Instant | None
    hold_until: Instant | None
    incident: int | None = None
    joined: bool = False
    muted_by: str | None = None
    because: str = ""
    settles_at: Instant | None = None
    window: list[StoredAlert] = field(default_factory=list)  # those that waited with it for a threshold

    def stored(self) -> StoredAlert:
        started_at, now, fit = self.item.alert.started_at, self.now, self.fit
        return StoredAlert(
            self.id,
            *self.item.pair,
            self.item.content,
            self.status,
            self.incident,
            self.post,
            self.verdict.severity,
            fit.title,
            fit.description,
            fit.service,
            fit.source,
            fit.labels,
            fit.links,
            self.verdict.rules,
            now if started_at is None else started_at,
            now,
            now,
            expires_at=self.expires_at,
            hold_until=self.hold_until,
            truncated=fit.truncated,
            joined=self.joined,
            muted_by=self.muted_by,
            written=tuple(sorted(self.verdict.written)) if self.verdict.written else (),
            because=self.because,
            terms=self.terms,
            settles_at=self.settles_at,
        )

    @property
    def terms(self) -> Mapping[str, Any]:
        """On which terms it ends; one that waits for a threshold is kept for a day by us, not by its source."""
        kept = EMPTY if self.verdict.terms is None else self.verdict.terms.kept()
        return {**kept, PASSING: True} if self.passing else kept

    @property
    def passing(self) -> bool:
        return self.status == "suppressed" and self.item.alert.expires_at is None


class Batch:
    """One transaction's worth of posts. Made anew for each try, so that a retry starts clean."""

    def __init__(self, intake: Intake, tx: Tx, posts: Sequence[Queued], *, trust: bool) -> None:
        self.intake, self.core, self.tx, self.posts, self.trust = intake, intake.core, tx, posts, trust
        self.settings, self.rulebook = self.core.live.settings, self.core.live.rulebook
        self.now = self.core.clock.now()
        self.ledger = Ledger(self.core, tx, self.now)
        self.out = Outcome([], self.ledger.effects)
        self.alerts: dict[tuple[str, str], StoredAlert | None] = {}
        self.moving: set[Pair] = set()  # something in this batch is no pure repeat of these: nor is what follows
        self.latest: dict[str, Incident | None] = {}
        self.stale: dict[tuple[str, str], Instant] = {}
        self.counting = Counting(tx, self.now)
        self.too_few: set[str] = set()  # counts that this slice cannot bring to their threshold
        self.added: dict[int, StoredAlert] = {}
        self.saved: dict[int, StoredAlert] = {}
        self.touched: dict[int, None] = {}
        self.acked: dict[int, None] = {}
        self.incidents: list[dict[int, None]] = [{} for _ in posts]
        self.minted: dict[int, str] = {}  # by id() of what was judged
        self.repeats: list[int] = [0] * len(posts)
        self.watching = self.forked = False  # whether alerts may mute others; whether some of this batch do
        self.changes: list[ChangeEvent] = []
        self.sources: list[int] = []  # ids of alerts that may keep others quiet
        self.unpaged: dict[int, Policy | None] = {}  # opened, and to be paged for once the whole batch is known

    async def run(self) -> Outcome:
        self.post_ids = await self.tx.next_post_ids(len(self.posts))
        if not self.core.store.exclusive:
            await self._lock()
        self.mutes = await self.ledger.mutes()
        await self.ledger.people()
        self.watching = self.mutes.watching
        slice_: list[Item] = []
        for index, post, judged in await self._not_straight():
            slice_.append(await self._prepare(index, post, judged))
            if len(slice_) == SLICE:
                await self._decide(slice_)
                await self.core.clock.turn()
                slice_ = []
        if slice_:
            await self._decide(slice_)
        await self._reassess()
        if self.unpaged:
            self._page_what_opened()
        return await self._write()

    async def _not_straight(self) -> list[tuple[int, Queued, Judged]]:
        """Those that go the long way, in order; pure repeats are counted here, what comes straight in is written."""
        if not self.trust or self.settings.defaults.reopen_within:
            return [(index, post, one) for index, post in enumerate(self.posts) for one in post.judged]
        straight = Straight(self.intake.known, self.ledger, self.mutes, self.now)
        others: list[tuple[int, Queued, Judged]] = []
        concerned: set[str] = set()  # identities that others concern
        for index, post in enumerate(self.posts):
            name, quiet, current = post.integration.name, post.integration.auto_resolve, post.rulebook is self.rulebook
            for one in post.judged:
                first = straight.coming.pop(one.identity, None)
                if first is not None:
                    others.append((first.post, self.posts[first.post], first.judged))
                elif current and one.identity not in concerned:
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
        known = self.intake.known.same(one.identity, one.content)
        if known is not None:
            self._repeat(index, integration, one.alert, *known)
        return known is not None

    async def _arrive(self, straight: Straight) -> None:
        """Write those that come straight in, and give the loop its turns."""
        count = len(straight.coming)
        if not count:
            return
        ids, numbers = await self.tx.next_alert_ids(count), await self.tx.next_numbers(count)
        arrived = self.out.arrived
        for done, arrival in enumerate(straight.arrivals(ids, numbers, self.post_ids), start=1):
            arrived.append(arrival)
            if done % STRAIGHT_SLICE == 0 and done < count:
                await self.core.clock.turn()
        for coming, number in zip(straight.coming.values(), numbers, strict=True):
            self.incidents[coming.post][number] = None
        self.ledger.arrive(arrived)
        self.out.counts["opened"] = count

    async def _lock(self) -> None:
        """Where others write too: nobody else decides about these identities, bytes and groups meanwhile."""
        keys: dict[str, None] = {}
        for post in self.posts:
            for alert in post.parsed.alerts:
                name = post.integration.name
                keys[f"{name}\0{alert.source_key or bytes_of(post.raw, alert)}"] = None
                group = group_of(self.rulebook.walk(alert, post.integration), alert.source_key or "", name)
                if group.grouped:
                    keys[group.key] = None
        await self.tx.lock_keys(list(keys))

    # ----------------------------------------------------------------------------- prepare

    async def _prepare(self, index: int, post: Queued, judged: Judged) -> Item:
        """One alert with its identity; a repeat as far as memory may be trusted."""
        alert, integration = judged.alert, post.integration
        key = judged.key
        if not key:
            key = self.minted[id(judged)] = await self._mint(post, alert)
        item = Item(index, integration, alert, (integration.name, key), judged.content)
        if alert.status == "firing" or alert.status == "heartbeat":
            if self.trust and item.pair not in self.alerts and item.pair not in self.moving:
                item.repeat = self.intake.known.same(identity_of(*item.pair), item.content)
            if item.repeat is None:
                if judged.verdict is None or post.rulebook is not self.rulebook:
                    judge(judged, integration, self.rulebook)
                item.verdict, item.fit = judged.verdict, judged.fit
                assert item.verdict is not None
                item.group = judged.group or group_of(item.verdict, key, integration.name)
                if item.threshold is not None:
                    item.content = begun(item.content, alert.started_at)
        if item.repeat is None:
            self.moving.add(item.pair)
        return item

    async def _mint(self, post: Queued, alert: Alert) -> str:
        """An identity for an alert that has none: the same bytes within two minutes are the same alert."""
        body = bytes_of(post.raw, alert)
        known = await self.tx.minted(post.integration.name, body, self.now)
        if known is not None:
            return known
        key = self.core.chance.token()
        self.tx.add_minted(post.integration.name, body, key, Instant(self.now + MINTED))
        return key

    # ------------------------------------------------------------------------------ decide

    async def _decide(self, items: list[Item]) -> None:
        """Read what this slice needs in few reads, then decide alert by alert."""
        await self._read(items)
        await self._read_counted(items)
        fresh = sum(item.group is not None for item in items)
        ids = iter(await self.tx.next_alert_ids(fresh) if fresh else ())
        opening = sum(item.group is not None and self._may_open(item) for item in items)
        self.numbers = iter(await self.tx.next_numbers(opening) if opening else ())
        for item in items:
            if item.repeat is not None:
                self._repeat(item.post, item.integration, item.alert, *item.repeat)
                continue
            existing = self.alerts[item.pair]
            match item.alert.status:
                case "firing" | "heartbeat":
                    self._fire(item, existing, next(ids))
                case "resolved":
                    self._resolve(item, existing)
                case "acknowledged":
                    self._acknowledge(item, existing)
                case _:
                    self._remark(item, existing)

    async def _read(self, items: list[Item]) -> None:
        """One read for all that this slice must know and memory does not hold; none when every alert is new."""
        asked = [item.pair for item in items if item.repeat is None and item.pair not in self.alerts]
        fresh = [item for item in items if item.group is not None and not self._has_incident(item.pair)]
        dated = [item.pair for item in fresh if item.alert.started_at is not None]
        keys = {item.group.key: None for item in fresh if item.group is not None and item.group.key not in self.latest}
        if self.trust:
            asked, dated = self._recall(asked, dated)
            if not self.settings.defaults.reopen_within:
                keys = {item.group.key: None for item in fresh
                        if item.group is not None and item.group.grouped and item.group.key in keys}  # fmt: skip
        if not (asked or dated or keys):
            return
        found = await self.tx.standing(asked, dated, list(keys), self.now)
        for pair in asked:
            self.alerts[pair] = found.open.get(pair)
        self.intake.known.not_open(pair for pair in asked if self.alerts[pair] is None)
        for key in keys:
            self.latest[key] = found.latest.get(key)
        self.stale.update(found.tombstones)
        self.ledger.know(found.latest.values())
        await self.ledger.load([alert.incident for alert in found.open.values() if alert.incident is not None])

    def _has_incident(self, pair: Pair) -> bool:
        known = self.alerts.get(pair)
        return known is not None and known.incident is not None

    async def _read_counted(self, items: list[Item]) -> None:
        """What rules count of these alerts, and the alerts that join when a threshold is reached."""
        self.too_few.clear()
        asked: dict[str, Instant] = {}
        limits: dict[str, Threshold] = {}
        for item in items:
            existing = self.alerts.get(item.pair)
            terms = item.verdict.terms if item.verdict is not None else None
            if terms is not None and terms.threshold is not None and item.group is not None and not self._joins(item):
                tally = bulk_tally(item.group.key)
                limits[tally] = terms.threshold
                asked[tally] = Instant(self.now - terms.threshold.within)
            flap = terms.flap if terms is not None else terms_of(existing.terms).flap if existing is not None else None
            if flap is not None:
                asked[flap_tally(*item.pair)] = Instant(self.now - flap.within)
        if asked:
            await self.counting.read(asked)
        for tally, limit in limits.items():
            waiting = in_window(self.counting.marks(tally), limit.within, self.now)
            if len(waiting) + len(items) < limit.count:
                self.too_few.add(tally)
            else:
                await self.counting.read_alerts(mark.alert for mark in waiting)

    def _may_open(self, item: Item) -> bool:
        """Whether it may need a number of its own."""
        verdict = item.verdict
        if verdict is None or verdict.dropped_by or verdict.suppressed_by:
            return False
        return item.threshold is None or item.group is None or bulk_tally(item.group.key) not in self.too_few

    def _joins(self, item: Item) -> bool:
        """Whether its incident is open already: then nothing is to be counted."""
        before = self.latest.get(item.group.key) if item.group is not None else None
        return before is not None and self._joinable(self.ledger.get(before.number) or before)

    def _recall(self, asked: list[Pair], dated: list[Pair]) -> tuple[list[Pair], list[Pair]]:
        """What of these must still be asked: memory knows who is not open, and which graves are fresh."""
        known = self.intake.known
        for pair in dated:
            ended = known.buried(pair, self.now)
            if ended is not None:
                self.stale.setdefault(pair, ended)
        for pair in asked:
            if not known.has(pair):
                self.alerts[pair] = None
        return [pair for pair in asked if known.has(pair)], []

    def _repeat(self, post: int, integration: IntegrationConfig, alert: Alert, alert_id: int, incident: int) -> None:
        self.repeats[post] += 1
        count, expires = self.out.repeats.get(alert_id, (0, None))
        self.out.repeats[alert_id] = (count + 1, self._expiry(integration, alert) or expires)
        if incident:
            self.incidents[post][incident] = None
        self._outcome("repeat")

    def _fire(self, item: Item, existing: StoredAlert | None, new_id: int) -> None:
        if existing is not None:
            at_once = item.threshold is not None or existing.id in self.added or not self.core.store.exclusive
            if existing.cleared_at is not None:
                self._fire_again(item, existing)
            elif existing.content == item.content and not at_once:
                self._repeat(item.post, item.integration, item.alert, existing.id, existing.incident or 0)
                if existing.id not in self.saved:
                    self.out.fresh.append(existing)
            elif existing.content == item.content:  # where others write too, it is counted at once; what is counted too
                expires = self._expiry(item.integration, item.alert) or existing.expires_at
                again = replace(existing, count=existing.count + 1, last_seen_at=self.now, expires_at=expires)
                self._keep(item, again)
                self.repeats[item.post] += existing.id not in self.added
                self._outcome("repeat")
            else:
                self._update(item, existing)
            return
        ended = self.stale.get(item.pair)
        if ended is not None and item.alert.started_at is not None and item.alert.started_at < ended:
            self._outcome("stale")
            return
        self._new(item, new_id)

    def _new(self, item: Item, new_id: int) -> None:
        draft = self._draft(item, new_id)
        if draft.status == "firing":
            draft.settles_at = self._settles(item, draft, None)
            self._place(item, draft, None)
        stored = draft.stored()
        self.added[new_id] = stored
        self._keep(item, stored)

    def _keep(self, item: Item, stored: StoredAlert) -> None:
        """This alert is now as `stored`, for the rest of the batch and for the store."""
        self.alerts[item.pair] = stored
        (self.added if stored.id in self.added else self.saved)[stored.id] = stored
        if stored.incident:
            self.incidents[item.post][stored.incident] = None
        if self.watching:
            self._watch(stored)

    def _watch(self, stored: StoredAlert) -> None:
        """It may keep others quiet from now on, or no longer; for the rest of this batch too."""
        standing = self.mutes.inhibited.standing(stored_values(stored))
        if not counts_as_source(stored, self.settings):
            standing = ()
        elif standing:
            self.sources.append(stored.id)
        if standing or self.mutes.inhibited:
            self._fork()
            self.mutes.inhibited.fires(muting_identity(stored), standing)

    def _fork(self) -> None:
        if not self.forked:
            self.mutes, self.forked = self.mutes.fork(), True

    def _draft(self, item: Item, alert_id: int) -> Draft:
        """The alert as it will be kept; which incident it belongs to is decided next."""
        verdict = item.verdict
        assert verdict is not None
        assert item.fit is not None
        self.out.rule_errors.extend(verdict.errors)
        status: KeptStatus = "firing"
        because = ""
        if item.alert.status == "heartbeat":
            status, because = "heartbeat", "it feeds a heartbeat and opens nothing"
        elif verdict.dropped_by:
            status, because = "dropped", f"rule {verdict.dropped_by!r} drops it"
        elif verdict.suppressed_by:
            status, because = "suppressed", f"rule {verdict.suppressed_by!r} keeps it without an incident"
        if status != "firing":
            self._outcome(status)
        ends = self._expiry(item.integration, item.alert, verdict)
        return Draft(
            item,
            verdict,
            alert_id,
            status,
            self.post_ids[item.post],
            item.fit,
            self.now,
            ends or (Instant(self.now + DAY) if status != "firing" else None),
            None if verdict.hold is None else Instant(self.now + verdict.hold),
            because=because,
        )

    def _expiry(
        self, integration: IntegrationConfig, alert: Alert, verdict: Verdict | None = None
    ) -> Instant | None:
        """When silence of the source ends this alert: its own expiry, else the quiet time of rule or integration."""
        if alert.expires_at is not None:
            return alert.expires_at
        quiet = (verdict.auto_resolve if verdict is not None else None) or integration.auto_resolve
        if quiet is None and verdict is None and self.core.live.rules_end_quiet_alerts:
            quiet = self.rulebook.walk(alert, integration).auto_resolve
        return None if quiet is None else Instant(self.now + quiet)

    # ------------------------------------------------------------------------ incidents

    def _place(self, item: Item, draft: Draft, existing: StoredAlert | None) -> None:
        """Into an incident; under a threshold only when enough of them came."""
        assert item.group is not None
        limit = item.threshold
        if limit is not None and not self._reaches(item, draft, limit, existing):
            draft.expires_at = draft.expires_at or Instant(self.now + DAY)
            self._outcome("suppressed")
            return
        draft.because = draft.because or (item.group.because if item.group.grouped else "")
        self._into_incident(item, draft)
        if draft.window:
            self._gather(item, draft)

    def _reaches(self, item: Item, draft: Draft, limit: Threshold, existing: StoredAlert | None) -> bool:
        """Count this firing, unless it is known; whether there are enough, or the incident is open already."""
        assert item.group is not None
        tally, started_at = bulk_tally(item.group.key), item.alert.started_at
        if existing is None or started_at not in (None, existing.started_at):
            what = firing_mark(*item.pair, self.now if started_at is None else started_at)
            self.counting.count(tally, Mark(self.now, draft.id, what))
        if self._joins(item):
            return True
        found = threshold.judge(limit, self.counting.have(tally, limit.within))
        draft.because = found.because
        if isinstance(found, threshold.Below):
            draft.status = "suppressed"
            return False
        draft.window = self._waiting(in_window(self.counting.marks(tally), limit.within, self.now), draft.id)
        return True

    def _waiting(self, window: Sequence[Mark], but: int) -> list[StoredAlert]:
        """Those of the window that wait without an incident, as this batch leaves them."""
        ids = dict.fromkeys(mark.alert for mark in window if mark.alert != but)
        known = [self.added.get(id) or self.saved.get(id) or self.counting.alerts.get(id) for id in ids]
        return [one for one in known if one is not None and one.incident is None and one.status == "suppressed"]

    def _gather(self, item: Item, draft: Draft) -> None:
        """Those that waited for the threshold join the incident that reached it."""
        incident = self.ledger.get(draft.incident or 0)
        assert incident is not None
        quiet = draft.verdict.auto_resolve or item.integration.auto_resolve
        kept = EMPTY if draft.verdict.terms is None else draft.verdict.terms.kept()
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
            (self.added if joined.id in self.added else self.saved)[joined.id] = joined
            if joined.ended_at is None:
                self.alerts[(joined.integration, joined.source_key)] = joined
                if self.watching:
                    self._watch(joined)
        firing = sum(alert.ended_at is None for alert in draft.window)
        total = len(draft.window)
        self.ledger.put(
            replace(
                incident,
                firing=incident.firing + firing,
                resolved=incident.resolved + total - firing,
                total=incident.total + total,
            )
        )
        self.ledger.note(incident, "joined", TOCSIN, "alert", draft.because, alerts=[one.id for one in draft.window])
        self.touched[incident.number] = None

    def _into_incident(self, item: Item, draft: Draft) -> None:
        """Find the incident this alert joins or reopens, or open one."""
        assert item.group is not None
        mute = self._mute(item, draft.verdict)
        draft.muted_by = mute.reason if mute is not None else None
        if mute is not None and draft.window and not self._all_muted(draft.window):
            mute = None
        before = self.latest.get(item.group.key)
        if before is not None:
            before = self.ledger.get(before.number) or before
            draft.incident, draft.joined = before.number, True
            if self._joinable(before):
                return self._join(before, draft, mute)
            if self._reopens(before):
                return self._reopen(before, draft)
        draft.joined = False
        self._open(item.group, draft, mute, before)
        return None

    def _mute(self, item: Item, verdict: Verdict) -> Mute | None:
        if not self.mutes:
            return None
        return self.mutes.of(value_of(verdict, item.alert, item.pair[0]), self.now)

    def _all_muted(self, alerts: Sequence[StoredAlert]) -> bool:
        firing = [alert for alert in alerts if alert.ended_at is None]
        return all(self.mutes.of(stored_values(alert), self.now) is not None for alert in firing)

    def _joinable(self, incident: Incident) -> bool:
        return incident.open and (incident.joins_until is None or self.now < incident.joins_until)

    def _reopens(self, incident: Incident) -> bool:
        within = self.settings.defaults.reopen_within
        return incident.status == "resolved" and within > 0 and self.now - (incident.resolved_at or 0) <= within

    def _open(self, group: Group, draft: Draft, mute: Mute | None, before: Incident | None) -> None:
        number, verdict, now = next(self.numbers), draft.verdict, self.now
        policy = policy_for(verdict.policy, verdict.service, self.settings)
        severity = worst([verdict.severity, *(one.severity for one in draft.window if one.ended_at is None)])
        assessed = assess(verdict, severity, self.settings, now)
        due = draft.hold_until if draft.hold_until is not None else now
        integration = draft.item.pair[0]
        incident = Incident(
            number=number,
            key=group.key,
            status="triggered",
            title=draft.fit.title,
            service=draft.fit.service,
            severity=severity,
            impact=assessed.impact,
            urgency=assessed.urgency,
            priority=assessed.priority,
            category=verdict.category,
            integration=integration,
            policy=policy.name if policy else "",
            policy_hash=self.ledger.freeze(policy) if policy else "",
            created_at=now,
            updated_at=now,
            due_at=due,
            due_kind="step",
            planned_at=due,
            held_until=draft.hold_until,
            joins_until=Instant(now + verdict.join_within) if group.grouped else None,
            grouped=group.grouped,
            alert=draft.id,
            previous=before.number if before else None,
            firing=1,
            total=1,
            opened_by=f"integration:{integration}",
        )
        draft.incident = number
        self.ledger.open(incident)
        self.latest[group.key] = incident
        if group.grouped:
            self.tx.add_incident_keys([(group.key, number, incident.joins_until)])
        if mute is not None:
            self.ledger.take(lifecycle.mute(incident, mute.reason, mute.until, now))
        elif draft.hold_until is None and self.watching:
            self.unpaged[number] = policy
        elif draft.hold_until is None:
            self.ledger.begin(incident, policy, draft.fit.labels.get("alertname", ""))
        if incident.service in self.mutes.parents.services:
            self._fork()
            self.mutes.parents.see(incident)
        self._outcome("opened")

    def _page_what_opened(self) -> None:
        """Their first steps, unless something that came behind them in this batch keeps them quiet."""
        if moved := self.ledger.moved():
            self._fork()
            for incident in moved:
                self.mutes.parents.see(incident)
        alerts: dict[int, list[StoredAlert]] = {number: [] for number in self.unpaged}
        for alert in (*self.added.values(), *self.saved.values()):
            if alert.incident in alerts and alert.ended_at is None:
                alerts[alert.incident].append(alert)
        for number, policy in self.unpaged.items():
            opened = self.ledger.get(number)
            if opened is None or opened.status != "triggered" or opened.muted_by is not None:
                continue
            mute = muting(opened, alerts[number], self.mutes, self.now)
            if mute is not None:
                self.ledger.take(lifecycle.mute(opened, mute.reason, mute.until, self.now))
            else:
                kind = alerts[number][0].labels.get("alertname", "") if alerts[number] else ""
                self.ledger.begin(opened, policy, kind)

    def _join(self, incident: Incident, draft: Draft, mute: Mute | None) -> None:
        verdict = draft.verdict
        severity = worst([incident.severity, verdict.severity]) if incident.firing else verdict.severity
        after = replace(
            self._assessed(incident, verdict, severity, alone=not incident.firing),
            firing=incident.firing + 1,
            total=incident.total + 1,
        )
        self.ledger.put(after)
        self._tell_joined(after, draft)
        self._outcome("joined")
        if self._pages_anew(incident, after, verdict):
            because = f"priority rose from {incident.priority} to {after.priority}"
            if incident.priority == after.priority:
                because = "another alert joined (re_page: any)"
            self.ledger.take(lifecycle.retrigger(after, self.now, because, "alert"))
        elif mute is None:
            self._let_page(after, draft.hold_until, "an alert that is not silenced joined")

    def _tell_joined(self, incident: Incident, draft: Draft) -> None:
        integration, key = draft.item.pair
        self.ledger.note(
            incident, "joined", Actor("integration", integration), "alert", draft.fit.title,
            alert=draft.id, dedup_key=key, priority=incident.priority,
        )  # fmt: skip

    def _let_page(self, incident: Incident, hold_until: Instant | None, because: str) -> None:
        """An alert that is not silenced ends the silence of its incident; one held less long shortens its hold."""
        if incident.held_until is not None and (hold_until or self.now) < incident.held_until:
            incident = lifecycle.held(incident, hold_until, self.now)
            self.ledger.put(incident)
        if lifecycle.rises_above_its_storm(incident):
            self.ledger.take(lifecycle.released(incident, self.now, "it became critical"))
        elif incident.muted_by is not None:
            self.ledger.take(lifecycle.unmute(incident, self.now, because))

    def _pages_anew(self, before: Incident, after: Incident, verdict: Verdict) -> bool:
        if before.status != "acknowledged" or verdict.re_page == "never":
            return False
        return verdict.re_page == "any" or is_higher(after.priority, before.priority)

    def _assessed(self, incident: Incident, verdict: Verdict, severity: Severity, *, alone: bool) -> Incident:
        """As this alert would have it; beside others it never makes the incident less urgent."""
        found = assess(verdict, severity, self.settings, self.now)
        impact, urgency, priority = found.impact, found.urgency, found.priority
        if not alone and is_higher(incident.priority, priority):
            impact, urgency, priority = incident.impact, incident.urgency, incident.priority
        return lifecycle.reassessed(incident, severity, impact, urgency, priority, self.now)

    def _reopen(self, incident: Incident, draft: Draft) -> None:
        self.ledger.take(lifecycle.reopen(incident, self.now, "the alert fired again"))
        again = self.ledger.get(incident.number) or incident
        assessed = self._assessed(again, draft.verdict, draft.verdict.severity, alone=not again.firing)
        counted = replace(assessed, firing=again.firing + 1, total=again.total + 1)
        self.ledger.put(lifecycle.held(counted, draft.hold_until, self.now) if draft.hold_until else counted)
        self._tell_joined(counted, draft)
        self._outcome("reopened")

    def _update(self, item: Item, existing: StoredAlert, outcome: str = "updated") -> None:
        """The same alert with other content: kept, and its incident assessed again."""
        draft = self._draft(item, existing.id)
        mute = self._mute(item, draft.verdict)
        draft.incident, draft.joined, draft.muted_by = existing.incident, existing.joined, mute.reason if mute else None
        again = existing.cleared_at is not None
        draft.settles_at = self._settles(item, draft, existing.settles_at) if again else existing.settles_at
        if existing.incident is not None:
            draft.status, draft.because = existing.status, existing.because
            draft.expires_at = self._expiry(item.integration, item.alert, draft.verdict)
            draft.hold_until = draft.hold_until and existing.hold_until  # an update never lengthens it
        elif draft.status == "firing":
            self._place(item, draft, existing)
        after = replace(
            draft.stored(),
            received_at=existing.received_at,
            count=existing.count + 1,
            acknowledged_at=existing.acknowledged_at,
        )
        if existing.incident is not None:
            self._update_incident(after, existing, draft.verdict, mute)
        self._keep(item, after)
        self._outcome(outcome)

    # ------------------------------------------------------------------- what comes and goes

    def _settles(self, item: Item, draft: Draft, before: Instant | None) -> Instant | None:
        """Under a flap rule: count that it fires; until when it counts as flapping."""
        terms = draft.verdict.terms
        flap = terms.flap if terms is not None else None
        return None if flap is None else self._changed(item.pair, draft.id, "firing", flap, before)

    def _changed(self, pair: Pair, alert: int, what: str, flap: Flap, before: Instant | None) -> Instant | None:
        tally = flap_tally(*pair)
        before_this = len(self.counting.marks(tally))
        self.counting.count(tally, Mark(self.now, alert, f"{what}@{self.now}#{before_this}"))
        return settles_at(flap, self.counting.marks(tally), before, self.now)

    def _fire_again(self, item: Item, alert: StoredAlert) -> None:
        """It was cleared and fires before it was quiet for long enough: it never ended."""
        if is_stale(alert, item.alert.started_at, self.now):
            self._outcome("stale")
            return
        self._update(item, alert, "fired_again")
        incident = self.ledger.get(alert.incident) if alert.incident is not None else None
        if incident is None or not incident.open:
            return
        if not self._flaps(alert):
            self.ledger.note(incident, "fired_again", _by(alert), "alert", alert.title, alert=alert.id)
        roused = lifecycle.roused(incident, self.now)
        if roused is not incident:
            self.ledger.put(roused)

    def _clears(self, item: Item, alert: StoredAlert) -> bool:
        """Whether this resolve must wait: then the alert is cleared, and ends when it stayed quiet."""
        if alert.incident is None or not alert.terms:
            return False
        terms = terms_of(alert.terms)
        settles = None
        if terms.flap is not None:
            settles = self._changed(item.pair, alert.id, "resolved", terms.flap, alert.settles_at)
        found = clearing(terms, settles, self.now)
        if found is None:
            return False
        other = alert.content ^ 1  # so that the next firing, which says the same, is not taken for a repetition
        after = replace(
            alert, content=other, cleared_at=self.now, last_seen_at=self.now, expires_at=found.ends_at,
            settles_at=found.settles_at,
        )  # fmt: skip
        self._keep(item, after)
        self._outcome("cleared")
        incident = self.ledger.get(alert.incident)
        if incident is not None and incident.open and not self._flaps(alert):
            self.ledger.note(incident, "cleared", _by(alert), "alert", found.because, alert=alert.id)
        return True

    def _flaps(self, alert: StoredAlert) -> bool:
        """Whether it was flapping before this: its story is told once, not with each change."""
        return alert.settles_at is not None and self.now < alert.settles_at

    def _update_incident(self, alert: StoredAlert, existing: StoredAlert, verdict: Verdict, mute: Mute | None) -> None:
        assert alert.incident is not None
        incident = self.ledger.get(alert.incident)
        if incident is None or not incident.open:
            return
        if incident.firing > 1 and alert.severity != existing.severity:
            self.touched[incident.number] = None
        severity = alert.severity if incident.firing == 1 else worst([incident.severity, alert.severity])
        after = self._assessed(incident, verdict, severity, alone=incident.firing == 1)
        if incident.firing == 1 and alert.title != incident.title:
            after = replace(after, title=alert.title, updated_at=self.now, version=after.version + 1)
        if after is not incident:
            self.ledger.put(after)
            self.ledger.note(
                after, "updated", _by(alert), "alert", alert.title,
                alert=alert.id, severity=after.severity, priority=after.priority,
            )  # fmt: skip
        if self._pages_anew(incident, after, verdict) and is_higher(after.priority, incident.priority):
            because = f"priority rose from {incident.priority} to {after.priority}"
            self.ledger.take(lifecycle.retrigger(after, self.now, because, "alert"))
        elif mute is None:
            self._let_page(after, alert.hold_until, "one of its alerts is not silenced any more")

    # ------------------------------------------------------------------- resolve, acknowledge

    def _resolve(self, item: Item, existing: StoredAlert | None) -> None:
        ended = item.alert.ended_at
        if existing is None:
            if ended is not None:
                self._bury(item.pair, ended)
            self._outcome("resolve_without_alert")
            return
        if not item.integration.may_resolve:
            self._outcome("resolve_not_allowed")
            return
        if ended is not None and existing.started_at != existing.received_at and ended < existing.started_at:
            self._outcome("stale")  # of an earlier firing, overtaken by this one on its way
            return
        if existing.cleared_at is not None or self._clears(item, existing):
            return
        if existing.started_at != existing.received_at:
            self._bury(item.pair, Instant(existing.started_at + 1))
        status = ended_status(existing)
        after = replace(existing, status=status, ended_at=self.now, last_seen_at=self.now, expires_at=None)
        self._keep(item, after)
        self.alerts[item.pair] = None
        self.intake.forget([after])
        self.out.ended.append(after)
        self._outcome("resolved")
        if after.incident is not None:
            end_in_incident(self.ledger, after, self.touched, self.latest)

    def _bury(self, pair: tuple[str, str], ended: Instant) -> None:
        tombstone = (*pair, ended, Instant(self.now + STALE))
        self.tx.add_tombstones([tombstone])
        self.out.buried.append(tombstone)
        self.stale[pair] = ended

    def _acknowledge(self, item: Item, existing: StoredAlert | None) -> None:
        if existing is None or not item.integration.may_acknowledge:
            self._outcome("ack_without_alert" if existing is None else "ack_not_allowed")
            return
        after = replace(existing, acknowledged_at=self.now, last_seen_at=self.now)
        self._keep(item, after)
        if after.incident is not None:
            self.acked[after.incident] = None
        self._outcome("acknowledged")

    def _remark(self, item: Item, existing: StoredAlert | None) -> None:
        """A note or a change: context for the timeline of its incident, if there is one."""
        self._outcome(item.alert.status)
        if item.alert.status == "change":
            self.changes.append(change_of(item.alert, item.integration, item.pair[1], self.rulebook, self.now))
        incident = self.ledger.get(existing.incident) if existing is not None and existing.incident else None
        if incident is not None:
            text = clean(item.alert.description or item.alert.title, 2000, lines=True)
            self.ledger.note(incident, "note", Actor("integration", item.pair[0]), "alert", text)
            self.incidents[item.post][incident.number] = None

    # ------------------------------------------------------------------------------- the end

    async def _reassess(self) -> None:
        """Incidents whose severity may have sunk, or whose alerts may all be acknowledged: look at all their alerts."""
        if not (self.touched or self.acked):
            return
        for number in dict.fromkeys([*self.touched, *self.acked]):
            incident = self.ledger.get(number)
            if incident is None or not incident.open:
                continue
            alerts = await self._firing_of(number)
            if number in self.touched and alerts:
                self._sink(incident, alerts)
            if number in self.acked and alerts and all(alert.acknowledged_at for alert in alerts):
                await self._acknowledge_incident(number)

    async def _firing_of(self, number: int) -> list[StoredAlert]:
        """Its firing alerts as this batch leaves them."""
        rows = {alert.id: alert for alert in await self.tx.firing_alerts(number)}
        for alert in [*self.added.values(), *self.saved.values()]:
            if alert.incident == number:
                rows[alert.id] = alert
        return [alert for alert in rows.values() if alert.ended_at is None]

    def _sink(self, incident: Incident, alerts: Sequence[StoredAlert]) -> None:
        if worst([alert.severity for alert in alerts]) != incident.severity:
            sink(self.ledger, incident, alerts)

    async def _acknowledge_incident(self, number: int) -> None:
        incident = self.ledger.get(number)
        assert incident is not None
        actor = Actor("integration", incident.integration)
        policy = await self.core.policies.thaw(incident.policy_hash)
        timeout = policy.ack_timeout if policy else Policy("", ()).ack_timeout
        move = lifecycle.acknowledge(
            incident, actor, "alert", self.now, timeout, "all its firing alerts are acknowledged"
        )
        self.ledger.take(move, "alert")

    async def _write(self) -> Outcome:
        tx = self.tx
        tx.add_posts(
            [
                Post(id_, post.integration.name, post.received_at, post.raw, len(post.parsed.alerts), repeats)
                for id_, post, repeats in zip(self.post_ids, self.posts, self.repeats, strict=True)
            ]
        )
        if self.saved:  # first: what ended here may fire anew here, and an identity is open once
            tx.save_alerts(list(self.saved.values()))
        if self.added:
            tx.add_alerts(list(self.added.values()))
        if self.changes:
            tx.add_changes(self.changes)
        if self.sources:
            tx.add_inhibitors(self.sources)
        await self.ledger.close()
        self.out.last_post = self.post_ids[-1]
        self.out.fresh.extend(alert for alert in self.added.values() if alert.ended_at is None)
        self.out.fresh.extend(alert for alert in self.saved.values() if alert.ended_at is None)
        for post, incidents in zip(self.posts, self.incidents, strict=True):
            keys = tuple([one.key or self.minted[id(one)] for one in post.judged])
            self.out.results.append(Taken(len(post.parsed.alerts), tuple(incidents), post.parsed.rejected, keys))
        return self.out

    def _outcome(self, name: str) -> None:
        self.out.counts[name] = self.out.counts.get(name, 0) + 1


def ended_status(alert: StoredAlert) -> KeptStatus:
    """What never had an incident stays findable as what it was."""
    return "resolved" if alert.incident is not None or alert.status == "firing" else alert.status


def begun(content: int, started_at: Instant | None) -> int:
    """What is counted is another firing when it started at another time, though it says the same."""
    return (content ^ (started_at or 0) * 0x9E3779B97F4A7C15) & MASK63


def end_in_incident(
    ledger: Ledger, alert: StoredAlert, touched: dict[int, None], latest: dict[str, Incident | None] | None = None
) -> None:
    """One alert of an incident has ended: count it; the last one resolves the incident."""
    assert alert.incident is not None
    incident = ledger.get(alert.incident)
    if incident is None or not incident.open:
        return
    after = replace(incident, firing=max(0, incident.firing - 1), resolved=incident.resolved + 1)
    ledger.put(after)
    if after.firing:
        ledger.note(after, "alert_resolved", _by(alert), "alert", alert.title, alert=alert.id)
        touched[after.number] = None
        return
    held = after.held_until is not None and (after.cycle, after.round, after.step) == (1, 1, 1)
    because = "self-recovered before anybody was paged" if held else "its last alert resolved"
    settings = ledger.core.settings
    ledger.take(lifecycle.resolve(after, _by(alert), "alert", ledger.now, settings.defaults.close_after, because))
    if not after.grouped:
        ledger.tx.add_incident_keys([(after.key, after.number, ledger.now)])
    if latest is not None:
        latest[after.key] = ledger.get(after.number)


def sink(ledger: Ledger, incident: Incident, alerts: Sequence[StoredAlert]) -> None:
    """An alert ended or changed: the incident is as bad as those that are left."""
    after = reassessed(incident, alerts, ledger.core.settings, ledger.now)
    if after is not incident:
        ledger.take(retold(after, "alert", "as its firing alerts are now", ledger.now))


def _by(alert: StoredAlert) -> Actor:
    return Actor("integration", alert.integration)
