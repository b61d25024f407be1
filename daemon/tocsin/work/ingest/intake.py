"""Door of all alerts: posts are batched, decided and committed; only then is the sender answered.

Posts that arrive while a batch commits form the next batch (group commit, no timer). A batch that
fails is halved until only the culprit is refused. A big post is decided in parts, a transaction each, so that
what others send comes in between; its sender is answered after the last one.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Sequence

import structlog

from tocsin.contracts import Tx
from tocsin.decide.muting.mutes import counts_as_source
from tocsin.decide.routing.alert_texts import fit_key
from tocsin.decide.routing.rules import Rulebook
from tocsin.decide.text import KEY
from tocsin.errors import BadBody, StoreUnavailable
from tocsin.model import (
    Alert,
    Instant,
    IntegrationConfig,
    Millis,
    Parsed,
    Rejected,
    SignalStatus,
    StoredAlert,
)
from tocsin.work.background_duties import INGEST, Duty
from tocsin.work.ingest.batch_state import BatchState
from tocsin.work.ingest.evaluation import Evaluated, evaluate, read
from tocsin.work.ingest.open_alerts import OpenAlerts, forget
from tocsin.work.ingest.pipeline import SLICE, decide_batch
from tocsin.work.ingest.posts import Outcome, Queued, Taken, Waiter
from tocsin.work.ingest.repeat_counts import RepeatCounts
from tocsin.work.ingest.waiting_posts import WaitingPosts
from tocsin.work.noise.storms import Storms
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.intake")

BATCH_ALERTS = 400  # alerts in one transaction: while it commits the next ones are read
LOOP_TIME = 0.005  # seconds of the loop that judging may take in one go
WAITING_BYTES = 64 << 20  # posts that may wait; beyond it senders are told to come back
PROMISED = Millis(10_000)  # in which a batch is stored, or it is said that none can be
LONGEST = Millis(45_000)  # for a batch: then its senders are told to come again
TURNS = 8  # of the loop, at most, before a batch begins
GATHERED = 64 << 10  # bytes of posts that are enough for one
COUNTED = "repeats_counted"  # the meta value that says up to which post repeats are counted


class Overloaded(StoreUnavailable):
    """Too many posts wait to be committed; come back in a second."""


class Intake:
    """The door through which every alert goes."""

    def __init__(self, runtime: Runtime, storms: Storms) -> None:
        self.runtime, self.storms = runtime, storms
        self._queue = WaitingPosts()
        self._wake = asyncio.Event()
        self._busy = False
        self.duty: Duty | None = None
        self.open_alerts = OpenAlerts()
        self.repeats = RepeatCounts(runtime.store)
        self.fires_later = asyncio.Event()  # something began to wait behind its end (work/incidents/waiting_firings.py)

    # ------------------------------------------------------------------------------- the door

    async def take(self, integration: IntegrationConfig, raw: bytes, parsed: Parsed) -> Taken:
        """Commit the post's alerts; returns once they are durable.

        Raises Overloaded when too much waits, StoreUnavailable when the database does not answer,
        BadBody when this very post cannot be stored.
        """
        if self._queue.bytes > WAITING_BYTES:
            raise Overloaded("too many posts wait to be committed")
        heard: Sequence[str] = ()
        if self.runtime.live.heartbeat_matcher:
            parsed, heard = self.runtime.live.heartbeat_matcher.hear(integration.name, parsed)
        if len(parsed.alerts) <= BATCH_ALERTS:
            taken = await self._take_part(integration, raw, parsed, parsed.alerts)
        else:
            taken = await self._take_in_parts(integration, raw, parsed)
        if heard:
            await self.runtime.signals.heard(heard, f"integration:{integration.name}")
        return taken

    async def _take_in_parts(self, integration: IntegrationConfig, raw: bytes, parsed: Parsed) -> Taken:
        """Take one part after the other; a part that cannot be stored costs its own alerts alone.

        Repeats are written before this returns: a part may be behind the last post that a crash counts again.
        """
        parts: list[Taken] = []
        rejected = list(parsed.rejected)
        row = 0
        for start in range(0, len(parsed.alerts), BATCH_ALERTS):
            alerts = parsed.alerts[start : start + BATCH_ALERTS]
            try:
                parts.append(await self._take_part(integration, raw, parsed, alerts, row=row, part=True))
                row = parts[-1].row
            except BadBody as error:
                rejected += [Rejected(alert.pointer, error.detail) for alert in alerts]
        if not parts:
            raise BadBody("this post cannot be stored", status=422)
        await self.flush_repeats()
        numbers = dict.fromkeys(number for one in parts for number in one.incidents)
        keys = tuple([key for one in parts for key in one.keys])
        return Taken(sum(one.accepted for one in parts), tuple(numbers), tuple(rejected), keys, row=row)

    async def _take_part(
        self, integration: IntegrationConfig, raw: bytes, parsed: Parsed, alerts: Sequence[Alert], *,
        row: int = 0, part: bool = False,
    ) -> Taken:  # fmt: skip
        now, rulebook = self.runtime.clock.now(), self.runtime.live.rulebook
        try:
            evaluated = await self._evaluate_all(integration, alerts, rulebook)
        except Exception as error:  # whatever one post can raise must cost only that post
            log.error("post_poisoned", integration=integration.name, error=repr(error), exc_info=True)
            raise BadBody("this post cannot be stored", status=422) from error
        done: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        self._line_up(Queued(integration, raw, parsed, now, evaluated, rulebook, done, row, part))
        return await done

    async def fire(self, waited: StoredAlert, integration: IntegrationConfig, alert: Alert) -> None:
        """An alert that waited behind its end fires, unless it was resolved meanwhile; durable when it returns.

        Raises StoreUnavailable, BadBody when it cannot be decided.
        """
        now, rulebook = self.runtime.clock.now(), self.runtime.live.rulebook
        one = Evaluated(alert, waited.source_key, f"{waited.integration}\0{waited.source_key}", waited=True)
        read(one)
        evaluate(one, integration, rulebook)
        done: asyncio.Future[Taken] = asyncio.get_running_loop().create_future()
        post = Queued(integration, b"", Parsed((alert,)), now, [one], rulebook, done, row=waited.post or -1)
        self._line_up(post)
        await done

    def take_at_once(self, integration: IntegrationConfig, raw: bytes, parsed: Parsed, waiter: Waiter) -> bool:
        """Take a post that needs no turns of the loop: `waiter` hears of it. False: it has to be `take`."""
        live = self.runtime.live
        if live.heartbeat_matcher or len(parsed.alerts) > SLICE or self._queue.bytes > WAITING_BYTES:
            return False
        now, rulebook = self.runtime.clock.now(), live.rulebook
        evaluate_one = self._evaluate
        evaluated = [evaluate_one(alert, integration, rulebook) for alert in parsed.alerts]
        self._line_up(Queued(integration, raw, parsed, now, evaluated, rulebook, waiter))
        return True

    async def _evaluate_all(
        self, integration: IntegrationConfig, alerts: Sequence[Alert], rulebook: Rulebook
    ) -> list[Evaluated]:
        """Evaluate all that needs no database, while the batch before this one is being committed."""
        clock, evaluated = self.runtime.clock, []
        began = clock.monotonic()
        for count, alert in enumerate(alerts):
            if (count and count % SLICE == 0) or clock.monotonic() - began > LOOP_TIME:
                await clock.turn()
                began = clock.monotonic()
            evaluated.append(self._evaluate(alert, integration, rulebook))
        return evaluated

    def _evaluate(self, alert: Alert, integration: IntegrationConfig, rulebook: Rulebook) -> Evaluated:
        key = alert.source_key or ""
        if len(key) > KEY or not (key.isascii() and key.isprintable()):
            key = fit_key(key)
        one = Evaluated(alert, key, f"{integration.name}\0{key}")
        if alert.status == "firing" or alert.status == "heartbeat":
            read(one)
            if self.open_alerts.same(one.identity, one.content) is None:
                evaluate(one, integration, rulebook)
        return one

    def _line_up(self, post: Queued) -> None:
        self._queue.add(post)
        self._wake.set()

    async def run(self) -> None:
        """Take what is queued, commit it, answer; forever."""
        self.duty = duty = self.runtime.duties.add(INGEST, self._next, within=PROMISED, limit=LONGEST)
        while True:
            await self._wake.wait()
            self._wake.clear()
            while self._queue:
                self._busy = True
                await duty.run()
                self._busy = False

    def still_idle(self) -> None:
        """The database took what a post needs: where none waits, that counts as having taken one."""
        if self.duty is not None and not self._queue and not self._busy:
            self.duty.done()

    async def _next(self) -> None:
        """Commit one batch. Raises StoreUnavailable when it was not stored; its senders have heard so."""
        await self._gather()
        batch = self._queue.batch(BATCH_ALERTS)
        try:
            unavailable = await self._commit_or_halve(batch)
        except asyncio.CancelledError:
            _fail(batch, StoreUnavailable("the database took too long; send it again"))
            raise
        except Exception as error:  # noqa: BLE001  # a fault behind the commit must not shut the door for what follows
            not_answered(batch, error)
            return
        if unavailable is not None:
            raise unavailable

    async def _gather(self) -> None:
        """Let the loop read the small posts that have arrived already: many cost little more to commit than one."""
        for _ in range(TURNS):
            waiting = len(self._queue)
            await self.runtime.clock.turn()
            if len(self._queue) == waiting or self._queue.bytes > GATHERED:
                return

    async def _commit_or_halve(self, batch: list[Queued]) -> StoreUnavailable | None:
        """Whether the database was there; whatever became of the batch, its senders have heard of it."""
        try:
            outcome = await self._commit(batch)
        except StoreUnavailable as error:
            _fail(batch, error)
            return error
        except Exception as error:  # whatever one post can raise must cost only that post
            if len(batch) == 1:
                log.error("post_poisoned", integration=batch[0].integration.name, error=repr(error), exc_info=True)
                _fail(batch, BadBody("this post cannot be stored", status=422))
                return None
            log.warning("batch_halved", posts=len(batch), error=repr(error))
            middle = len(batch) // 2
            first = await self._commit_or_halve(batch[:middle])
            return await self._commit_or_halve(batch[middle:]) or first
        self._apply(batch, outcome)
        return None

    async def _commit(self, batch: list[Queued]) -> Outcome:
        self.open_alerts.batch_begins()
        tries = 0

        async def work(tx: Tx) -> Outcome:
            nonlocal tries
            tries += 1  # a conflict means that memory was wrong: then the database is asked
            trust = self.open_alerts.trusted and tries == 1
            state = BatchState(self.runtime, self.open_alerts, self.repeats, tx, batch, trust=trust)
            return await decide_batch(state, self.storms)

        return await self.runtime.store.write(work, lane="ingest")

    def _apply(self, batch: list[Queued], outcome: Outcome) -> None:
        """After the commit: remember, answer, count."""
        now = self.runtime.clock.now()
        for alert_id, (count, expires, began) in outcome.repeats.items():
            self.repeats.count(alert_id, now, expires, began, count)
        if self.runtime.store.exclusive:
            self.repeats.counted = max(self.repeats.counted, outcome.last_post)
            self.open_alerts.ended(outcome.ended)
            self.open_alerts.remember(outcome.fresh)
            self.open_alerts.welcome(outcome.arrived)
            self.open_alerts.bury(outcome.buried, now)
        if outcome.waits_until is not None:
            self.fires_later.set()
        if self.runtime.mutes.inhibited.rules:
            self._learn_sources(outcome)
        outcome.effects.apply(self.runtime)
        for post, taken in zip(batch, outcome.results, strict=True):
            if not post.waiter.done():
                post.waiter.set_result(taken)
        for rule, error in outcome.rule_errors:
            self.runtime.metrics.rule_errors.labels(rule).inc()
            log.warning("rule_error", rule=rule, error=error)
        for name, count in outcome.counts.items():
            self.runtime.metrics.alerts_outcome.labels(name).inc(count)
        self._count_received(batch)

    def _learn_sources(self, outcome: Outcome) -> None:
        """Learn of alerts that fire now and may keep others quiet."""
        mutes, settings = self.runtime.mutes, self.runtime.settings
        for alert in outcome.fresh:
            self.runtime.unsettled |= mutes.see(alert, counts=counts_as_source(alert, settings))

    def _count_received(self, batch: list[Queued]) -> None:
        """Once a batch, since counting costs about as much as deciding."""
        received: Counter[tuple[str, SignalStatus]] = Counter()
        for post in batch:
            if post.evaluated and post.evaluated[0].waited:
                continue  # it was counted when it came
            name = post.integration.name
            for one in post.evaluated:
                received[name, one.alert.status] += 1
            if post.parsed.rejected and not post.row:
                self.runtime.metrics.alerts_rejected.labels(name, "invalid").inc(len(post.parsed.rejected))
        for (name, status), count in received.items():
            self.runtime.metrics.alerts_received.labels(name, status).inc(count)

    # ------------------------------------------------------------------------- repeats, the cache

    def forget(self, alerts: Sequence[StoredAlert]) -> None:
        """Alerts that a person or a timer ends; to be called inside that transaction, before its commit."""
        forget(self.runtime, self.open_alerts, alerts)

    def ended(self, alerts: Sequence[StoredAlert]) -> None:
        """Alerts that `forget` was told of, after that commit."""
        self.open_alerts.ended(alerts)

    def up_to_date(self, alert: StoredAlert) -> StoredAlert:
        """The alert as it was read, with the repeats that are not in the database yet."""
        return self.repeats.up_to_date(alert)

    def newest_expiry(self, alert_id: int) -> Instant | None:
        """A later expiry that a repeat brought and that may not be in the database yet."""
        return self.repeats.newest_expiry(alert_id)

    async def flush_repeats(self) -> None:
        """Write the counts of pure repeats; on failure they are kept for the next time."""
        await self.repeats.flush()


def not_answered(batch: list[Queued], error: Exception) -> None:
    """Log what went wrong behind the commit."""
    log.error("batch_not_answered", posts=len(batch), error=repr(error), exc_info=error)
    _fail(batch, StoreUnavailable("this post may be stored; send it again"))


def _fail(batch: list[Queued], error: Exception) -> None:
    for post in batch:
        if not post.waiter.done():
            post.waiter.set_exception(error)
