"""The way of a page out: plan and claim, connect, last check, send, outcome and follow-up.

One task a channel claims pages for the slots it has free. Each call runs in a task of its own, and
what it may have done is never forgotten: the attempt's row was there before the first byte left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import structlog

from tocsin.contracts import Tools, Tx
from tocsin.errors import GateClosed, StoreUnavailable
from tocsin.model import Cancelled, Instant, Millis, Outcome, Unknown
from tocsin.work.background_duties import CLAIMS
from tocsin.work.effects import Effects
from tocsin.work.incidents.self_alerts import SelfAlerts
from tocsin.work.paging.ack_links import AckLinks
from tocsin.work.paging.channels import Line, Lines
from tocsin.work.paging.claim import Claim, free_slots
from tocsin.work.paging.delivery import Delivery
from tocsin.work.paging.last_check import last_check
from tocsin.work.paging.messages import Messages
from tocsin.work.paging.outcomes import BREATH, Outcomes
from tocsin.work.paging.takeover import StrandedPages, Takeover
from tocsin.work.paging.unknown_outcomes import UnknownOutcomes
from tocsin.work.paging.verification_codes import VerificationCodes
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.pager")

CLAIMS_WITHIN = Millis(10_000)  # what readiness is promised
LONGEST_CALL = Millis(11_000)  # a channel that keeps to the transport's deadlines never takes as long
LAST_CALLS = Millis(12_000)  # at the daemon's end: longer than any call may take
CLAIMED_AT_ONCE = 200
POSTPONED = Millis(30_000)  # a page that cannot be claimed is asked again after this


class Pager:
    """Sends what is planned. `configure` at the start and after each reload; `unknown`, `takeover` and `stranded` run
    beside it."""

    def __init__(
        self, runtime: Runtime, tools: Tools, self_alerts: SelfAlerts, links: AckLinks, codes: VerificationCodes
    ) -> None:
        self.runtime = runtime
        self.owner = runtime.chance.token()
        self.stopping = False
        self._under_way = 0  # claims and calls
        self._calling: set[str] = set()  # attempts whose calls are under way here
        self._next_claim: dict[str, Instant | None] = {}
        self._idle = asyncio.Event()
        self.lines = Lines(runtime, tools, self_alerts)
        self.messages = Messages(runtime, links, codes)
        self.unknown = UnknownOutcomes(runtime, self.lines)
        self.outcomes = Outcomes(runtime, self.lines, self.unknown.wake)
        self.takeover = Takeover(runtime, self.lines, self.owner, self._calling, self.unknown.wake)
        self.stranded = StrandedPages(runtime, self.lines)

    def configure(self) -> None:
        """Open the channels of the configuration in force and keep a task for each."""
        for line in self.lines.configure():
            self.runtime.spawn(self._run_line(line), f"channel {line.name}")
        self.stranded.wake()  # what waits for a channel that is gone must go another way

    async def stop(self) -> None:
        """Claim no more; what the calls under way come to is kept. No call takes as long as this waits."""
        self.stopping = True
        for line in self.lines.values():
            line.wake.set()
        until = Instant(self.runtime.clock.now() + LAST_CALLS)
        while self._under_way and self.runtime.clock.now() < until:
            self._idle.clear()
            await self.runtime.clock.wait(self._idle, until)

    def wake(self, channels: Sequence[str]) -> None:
        """Pages were planned for these channels."""
        for name in channels:
            line = self.lines.get(name)
            if line is not None:
                line.wake.set()

    # ------------------------------------------------------------------------------ the stages

    async def _page(self, line: Line, at_most: int = CLAIMED_AT_ONCE) -> None:
        """Take what is due on one channel from the plan to the calls; each `_deliver` has the rest of the way."""
        self._begin()
        try:
            for delivery in await self._claim(line, at_most):  # plan and claim: one transaction
                line.begin(delivery.page.kind)
                self._calling.add(delivery.attempt.id)
                self._begin()
                self.runtime.spawn(self._deliver(delivery), f"call {delivery.attempt.id}")
                if delivery.more:
                    self.runtime.spawn(self._join(delivery), f"pages behind {delivery.attempt.id}")
        finally:
            self._end()

    async def _deliver(self, delivery: Delivery) -> None:
        try:
            outcome = await self._send(delivery)  # connect, last check, send
            await self.outcomes.keep(delivery, outcome)  # outcome and follow-up: one transaction
        finally:
            self._calling.discard(delivery.attempt.id)
            delivery.line.end(delivery.page.kind)
            delivery.line.wake.set()
            self._end()

    async def _claim(self, line: Line, at_most: int) -> list[Delivery]:
        """Pages and intents in one transaction, committed before any byte leaves."""

        async def work(tx: Tx) -> tuple[list[Delivery], Effects]:
            claim = Claim(self.runtime, self.lines, line, self.owner, tx)
            deliveries = await claim.run(at_most)
            effects = await claim.ledger.close()
            before = self.runtime.clock.monotonic()  # of the commit: who is stopped while it commits must look again
            return [replace(delivery, intent_at=before) for delivery in deliveries], effects

        deliveries, effects = await self.runtime.store.write(work, paging=True)
        effects.apply(self.runtime)
        return deliveries

    async def _join(self, delivery: Delivery) -> None:
        """The pages that a summary has no room for in its transaction join it behind, some at a time.

        What a crash leaves waits for the next summary.
        """

        async def work(tx: Tx) -> tuple[int, Effects]:
            claim = Claim(self.runtime, self.lines, delivery.line, self.owner, tx)
            return await claim.join(delivery), await claim.ledger.close()

        joined = 1
        while joined and self._serves(delivery.line):
            try:
                joined, effects = await self.runtime.store.write(work, paging=True)
            except Exception as error:  # noqa: BLE001  # they wait for the next one
                log.warning("not_joined", attempt=delivery.attempt.id, error=repr(error))
                return
            effects.apply(self.runtime)

    async def _send(self, delivery: Delivery) -> Outcome:
        """Make one call: the channel's transport connects, passes the last check, then writes."""
        clock, line = self.runtime.clock, delivery.line
        started = clock.monotonic()
        try:
            message = await self.messages.compose(delivery)
            async with clock.timeout(LONGEST_CALL):
                outcome = await line.channel.send(message, last_check(self.runtime, delivery))
        except GateClosed as closed:
            outcome = Cancelled(str(closed))
        except TimeoutError:
            outcome = Unknown("the call did not end in time")
        except Exception as error:  # a channel broke its promise: it may have sent
            log.error("channel_broke", channel=line.name, error=repr(error), exc_info=True)
            outcome = Unknown(f"{type(error).__name__} in the channel")
        self.runtime.metrics.attempt_seconds.labels(line.name).observe(clock.monotonic() - started)
        return outcome

    def _begin(self) -> None:
        self._under_way += 1

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    # -------------------------------------------------------------------------------- the loop

    async def _run_line(self, line: Line) -> None:
        """Claim and call for one channel, until a reload replaces the line."""
        clock, within = self.runtime.clock, Millis(max(CLAIMS_WITHIN, 3 * self.runtime.poll))
        duty = self.runtime.duties.add(CLAIMS, lambda: self._claim_round(line), within=within, part=line.name)
        while self._serves(line):
            line.wake.clear()
            if not await duty.run():
                await clock.sleep(BREATH)
                continue
            rest, due = Instant(clock.now() + self.runtime.poll), self._next_claim.get(line.name)
            await clock.wait(line.wake, rest if due is None else min(due, rest))
        self.runtime.duties.drop(duty)

    async def _claim_round(self, line: Line) -> None:
        """Claim all that is due; a poisoned page stops no other."""
        try:
            self._next_claim[line.name] = await self._claim_all(line)
        except StoreUnavailable:
            raise
        except Exception as error:  # one by one, and the culprit is postponed
            log.error("claim_failed", channel=line.name, error=repr(error), exc_info=True)
            await self.runtime.clock.sleep(BREATH)
            await self._claim_one_by_one(line)
            self._next_claim[line.name] = self.runtime.clock.now()

    def _serves(self, line: Line) -> bool:
        return not self.stopping and self.lines.serves(line)

    async def _claim_all(self, line: Line) -> Instant | None:
        """Claim while slots are free and pages are due; when the next one will be."""
        while line.free > 0 and self._serves(line):
            due = await self.runtime.store.next_due_page(line.name, free_slots(line).below)
            if due is None or due > self.runtime.clock.now():
                return due
            if not self._serves(line):
                return None
            await self._page(line)
        return None

    async def _claim_one_by_one(self, line: Line) -> None:
        """As many as there are slots; the page that cannot be claimed is postponed, and the others go.

        Raises what the last one raised where not a single one could be claimed.
        """
        claimed, culprit = 0, None
        for _ in range(line.free):
            try:
                await self._page(line, 1)
                claimed += 1
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  # postponed first, then seen
                culprit = error
                await self._postpone_first(line)
                log.error("page_postponed", channel=line.name, error=repr(error))
        if culprit is not None and not claimed:
            raise culprit

    async def _postpone_first(self, line: Line) -> None:
        async def work(tx: Tx) -> None:
            now = self.runtime.clock.now()
            pages = await tx.due_pages(line.name, now, 1)
            held = await tx.pages([page.id for page in pages])
            tx.save_pages([replace(page, due_at=Instant(now + POSTPONED)) for page in held.values()
                           if page.status == "planned"])  # fmt: skip

        try:
            await self.runtime.store.write(work, paging=True)
        except Exception as error:  # noqa: BLE001  # called from the loop of a channel, which never ends
            log.error("not_postponed", channel=line.name, error=repr(error))
