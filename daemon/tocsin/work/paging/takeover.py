"""Takeover of what nobody attends to any more: calls of processes that are gone, pages for channels that are gone."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence

import structlog

from tocsin.contracts import Tx
from tocsin.decide.oncall.reach import People
from tocsin.decide.paging.delivery_plan import ChannelFacts, why_not_as_planned
from tocsin.errors import StoreUnavailable
from tocsin.model import MINUTE, Incident, Instant, Millis, Page
from tocsin.work.background_duties import TAKEOVER
from tocsin.work.effects import Effects
from tocsin.work.ledger import Ledger
from tocsin.work.paging.channels import Lines
from tocsin.work.paging.claim import Withdrawals, still_planned
from tocsin.work.paging.outcomes import POLL, OutcomeRecord
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.pager")

TAKEN_OVER_WITHIN = Millis(10_000)  # what readiness is promised
DEAD_AFTER = Millis(30_000)  # an intent of another replica older than this was left by a crash
MISSED_FOR = 2.5  # seconds without its name after which a replica is dead; who lost a connection has it back by then
FORGOTTEN_AFTER = Millis(15_000)  # an intent of ours that no call is under way for: longer than any call takes
ALL_TOGETHER = 100  # lost calls in one transaction
MOST_TAKEN_OVER = 1_000
STRANDED_AT_ONCE = 500
FOREVER = Instant(1 << 62)


class Takeover:
    """Calls that nobody is making any more. `owner`: this process; `under_way`: attempts whose calls it is making;
    `unknown` is called when some were taken over."""

    def __init__(
        self, runtime: Runtime, lines: Lines, owner: str, under_way: Collection[str], unknown: Callable[[], None]
    ) -> None:
        self.runtime, self.lines, self.owner, self.under_way, self.unknown = runtime, lines, owner, under_way, unknown
        self._missing: dict[str, float] = {}  # other replicas → since when their names are not held

    async def run(self) -> None:
        """Give lost calls their second attempt; forever."""
        every = Millis(self.runtime.poll if not self.runtime.store.exclusive else 5 * self.runtime.poll)
        duty = self.runtime.duties.add(TAKEOVER, self.recover, within=Millis(max(TAKEN_OVER_WITHIN, 3 * every)))
        while True:
            await self.runtime.clock.sleep(every)
            await duty.run()

    async def recover(self) -> int:
        """Open intents whose call nobody makes any more are unknown: of replicas that are no more or stood still for
        long, and of this one where it never heard that it had claimed them."""
        store, now = self.runtime.store, self.runtime.clock.now()
        await store.hold(self.owner)
        begun = await store.open_intents(MOST_TAKEN_OVER)
        others = {owner for _, owner, _ in begun if owner != self.owner}
        dead = self._dead(others, await store.alive(others) if others else set())
        lost = [
            id for id, owner, at in begun
            if (owner in dead or at <= now - DEAD_AFTER if owner != self.owner
                else id not in self.under_way and at <= now - FORGOTTEN_AFTER)
        ]  # fmt: skip
        count, failed = 0, None
        for start in range(0, len(lost), ALL_TOGETHER):
            some = lost[start : start + ALL_TOGETHER]
            try:
                count += await self._take_over(some)
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  # one by one: a poisoned one stops no other
                failed = error
                count += await self._take_over_one_by_one(some)
        if failed is not None and not count:
            raise failed
        return count

    def _dead(self, others: set[str], alive: set[str]) -> set[str]:
        """Replicas that are missing for long enough; where only one process can be, at once."""
        now = self.runtime.clock.monotonic()
        self._missing = {owner: self._missing.get(owner, now) for owner in others - alive}
        longest = 0.0 if self.runtime.store.exclusive else MISSED_FOR
        return {owner for owner, since in self._missing.items() if now - since >= longest}

    async def _take_over(self, ids: Sequence[str]) -> int:
        async def work(tx: Tx) -> tuple[int, Effects]:
            record = OutcomeRecord(self.runtime, self.lines, tx)
            lost = [attempt for attempt in (await tx.attempts(ids)).values() if attempt.state == "open"]
            for attempt in lost:
                await record.lost(attempt)
            return len(lost), await record.ledger.close()

        count, effects = await self.runtime.store.write(work, paging=True)
        effects.apply(self.runtime)
        self.unknown()
        return count

    async def _take_over_one_by_one(self, ids: Sequence[str]) -> int:
        count = 0
        for id in ids:
            try:
                count += await self._take_over([id])
            except StoreUnavailable:
                raise
            except Exception as error:  # tried again in the next round
                log.error("not_taken_over", attempt=id, error=repr(error), exc_info=True)
        return count


class StrandedPages:
    """Pages planned for channels that are configured no more: they go another way, or their step is asked again."""

    def __init__(self, runtime: Runtime, lines: Lines) -> None:
        self.runtime, self.lines = runtime, lines
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """A channel may be gone."""
        self._wake.set()

    async def run(self) -> None:
        """Take them in after each reload, and now and then; forever."""
        clock, within = self.runtime.clock, Millis(max(MINUTE, 3 * self.runtime.poll))
        duty = self.runtime.duties.add("stranded pages", self.take_in, within=within)
        while True:
            self._wake.clear()
            if await duty.run():
                await clock.wait(self._wake, Instant(clock.now() + 5 * self.runtime.poll))
            else:
                await clock.sleep(POLL)

    async def take_in(self) -> None:
        """Move or end what is stranded now."""
        if not self.lines:
            return
        pages = await self.runtime.store.write(self._stranded, paging=True)
        if not pages:
            return
        try:
            await self._take_in(pages)
        except StoreUnavailable:
            raise
        except Exception as error:  # one by one: a poisoned one stops no other
            log.error("strandings_one_by_one", error=repr(error), exc_info=True)
        else:
            return
        failed = None
        for page in pages:
            try:
                await self._take_in([page])
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  # tried again in the next round
                failed = error
        if failed is not None:
            raise failed

    async def _stranded(self, tx: Tx) -> list[Page]:
        gone = [name for name in await tx.planned_channels() if name not in self.lines]
        return [page for name in gone for page in await tx.due_pages(name, FOREVER, STRANDED_AT_ONCE)]

    async def _take_in(self, pages: list[Page]) -> None:
        async def work(tx: Tx) -> Effects:
            now, runtime = self.runtime.clock.now(), self.runtime
            ledger = Ledger(runtime, tx, now)
            withdrawals = Withdrawals(runtime, tx, ledger, now)
            incidents: dict[int, Incident] = {}
            facts = ChannelFacts("", "", (), runtime.settings, People(unusable=runtime.is_dead), incidents)
            for page in await still_planned(pages, tx, ledger, incidents, exclusive=runtime.store.exclusive):
                answer = why_not_as_planned(page, facts, now)
                if answer is not None:
                    withdrawals.do(answer)
            await withdrawals.ask_again()
            return await ledger.close()

        effects = await self.runtime.store.write(work, paging=True)
        effects.apply(self.runtime)
