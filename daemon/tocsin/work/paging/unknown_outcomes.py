"""Unknown outcomes: wait for a callback, look them up where the provider can be asked, then the one more attempt."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace

import structlog

from tocsin.contracts import Tx
from tocsin.errors import StoreUnavailable
from tocsin.model import Accepted, Attempt, Failed, Instant, Millis
from tocsin.work.background_duties import CONFIRMATIONS
from tocsin.work.effects import Effects
from tocsin.work.paging.channels import Line, Lines
from tocsin.work.paging.outcomes import BREATH, OutcomeRecord
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.pager")

CONFIRMED_WITHIN = Millis(15_000)  # what readiness is promised
ALL_TOGETHER = 100  # unknown calls in one transaction
POSTPONED = Millis(30_000)  # one that cannot be confirmed is asked again after this
LOOKUP_WITHIN = Millis(5_000)  # the longest that one look-up may take, and that a late one may hold up a page
LOOKUP_AGAIN = Millis(5_000)  # between two look-ups of a provider that cannot tell yet
LOOKUPS_AT_ONCE = 34
MOST_LOOKED_UP = 1_000
REMEMBERED = 20_000
FOREVER = Instant(1 << 62)


class UnknownOutcomes:
    """`run` forever; `wake` when there may be a new one."""

    def __init__(self, runtime: Runtime, lines: Lines) -> None:
        self.runtime, self.lines = runtime, lines
        self._wake = asyncio.Event()
        self._next: Instant | None = None  # when the next wait is over
        self._asked: dict[str, None] = {}  # attempts that were looked up here, or are being
        self._at_once = asyncio.Semaphore(LOOKUPS_AT_ONCE)

    def wake(self) -> None:
        self._wake.set()

    async def run(self) -> None:
        """Look up what can be; what stays unknown when its time is over gets its one more attempt."""
        clock, within = self.runtime.clock, Millis(max(CONFIRMED_WITHIN, 3 * self.runtime.poll))
        duty = self.runtime.duties.add(CONFIRMATIONS, self._round, within=within)
        while True:
            self._wake.clear()
            if not await duty.run():
                await clock.sleep(BREATH)
                continue
            rest, due = Instant(clock.now() + 5 * self.runtime.poll), self._next
            await clock.wait(self._wake, rest if due is None else min(due, rest))

    async def _round(self) -> None:
        try:
            await self._begin_lookups()
        except StoreUnavailable:
            raise
        except Exception as error:  # no look-up holds up the attempt that follows
            log.error("lookups_not_begun", error=repr(error), exc_info=True)
        await self._confirm_all()

    # -------------------------------------------------------------------------------- look-ups

    def _asks(self, line: Line | None) -> bool:
        return line is not None and line.kind.confirms == "lookup"

    async def _begin_lookups(self) -> None:
        """Ask the providers that can be asked about each unknown attempt that was not looked up here yet. One whose
        wait is nearly over, since a crash or a long stop came between, is given the time of one look-up."""
        if not any(self._asks(line) for line in self.lines.values()):
            return

        async def work(tx: Tx) -> list[Attempt]:
            now = self.runtime.clock.now()
            unknown = [
                attempt for attempt in await tx.unconfirmed(FOREVER, MOST_LOOKED_UP)
                if attempt.id not in self._asked and self._asks(self.lines.get(attempt.channel))
            ]  # fmt: skip
            until = Instant(now + LOOKUP_WITHIN)
            hurried = [replace(one, confirm_by=until) for one in unknown if (one.confirm_by or now) < until]
            tx.save_attempts(hurried)
            return [*hurried, *(one for one in unknown if (one.confirm_by or now) >= until)]

        for attempt in await self.runtime.store.write(work, paging=True):
            self._asked[attempt.id] = None
            self.runtime.spawn(self._look_up(attempt, self.lines[attempt.channel]), f"look-up of {attempt.id}")
        while len(self._asked) > REMEMBERED:
            del self._asked[next(iter(self._asked))]

    async def _look_up(self, attempt: Attempt, line: Line) -> None:
        """Ask until the provider can tell, or the time is over; the attempt that follows waits no longer for it."""
        clock, until = self.runtime.clock, attempt.confirm_by or 0
        while clock.now() < until and self.lines.serves(line):
            try:
                outcome = await self._ask(attempt, line)
                if outcome is not None:
                    await self._keep(attempt, outcome)
                    return
                await clock.sleep(LOOKUP_AGAIN)
                known = await self.runtime.store.attempt(attempt.id)
                if known is None or known.state != "unknown":
                    return
            except Exception as error:  # the attempt that follows does not wait for it
                log.error("look_up_failed", attempt=attempt.id, error=repr(error), exc_info=True)
                await clock.sleep(BREATH)

    async def _ask(self, attempt: Attempt, line: Line) -> Accepted | Failed | None:
        """Look one attempt up; None when the provider could not tell, failed, or took too long."""
        try:
            async with self._at_once, self.runtime.clock.timeout(LOOKUP_WITHIN):
                outcome = await line.channel.lookup(attempt)
        except TimeoutError:
            log.warning("lookup_too_slow", attempt=attempt.id, channel=line.name)
            return None
        except Exception as error:  # a channel broke its promise: it cannot tell
            log.error("channel_broke", channel=line.name, error=repr(error), exc_info=True)
            return None
        return outcome if isinstance(outcome, Accepted | Failed) else None

    async def _keep(self, attempt: Attempt, outcome: Accepted | Failed) -> None:
        async def work(tx: Tx) -> Effects:
            record = OutcomeRecord(self.runtime, self.lines, tx)
            await record.looked_up(attempt.id, attempt.page, outcome)
            return await record.ledger.close()

        effects = await self.runtime.store.write(work, paging=True)
        effects.apply(self.runtime)
        log.info("looked_up", attempt=attempt.id, channel=attempt.channel, outcome=type(outcome).__name__.lower())

    # ------------------------------------------------------------------- the end of the wait

    async def _confirm_all(self) -> None:
        clock = self.runtime.clock
        while (due := await self.runtime.store.next_confirmation()) is not None and due <= clock.now():
            if not await self._one_or_all(self._confirm):
                due = Instant(clock.now() + BREATH)  # another replica has them
                break
        self._next = due

    async def _confirm(self, most: int, *, put_off: bool) -> int:
        """Up to `most` of them in one transaction, or only put off; how many there were."""

        async def work(tx: Tx) -> tuple[int, Effects]:
            record = OutcomeRecord(self.runtime, self.lines, tx)
            attempts = await tx.unconfirmed(self.runtime.clock.now(), most)
            later = Instant(self.runtime.clock.now() + POSTPONED)
            if put_off:
                tx.save_attempts([replace(attempt, confirm_by=later) for attempt in attempts])
            for attempt in () if put_off else attempts:
                await record.unconfirmed(attempt)
            return len(attempts), await record.ledger.close()

        count, effects = await self.runtime.store.write(work, paging=True)
        effects.apply(self.runtime)
        return count

    async def _one_or_all(self, some: Callable[..., Awaitable[int]]) -> int:
        """A hundred together; where that fails one by one, with the culprits put off. Raises when all are culprits."""
        try:
            return await some(ALL_TOGETHER, put_off=False)
        except StoreUnavailable:
            raise
        except Exception as error:  # one poisoned row stops no other
            log.error("confirmations_one_by_one", error=repr(error), exc_info=True)
        count, culprits = 0, 0
        for count in range(ALL_TOGETHER):  # noqa: B007  # how far it came
            try:
                if not await some(1, put_off=False):
                    break
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  # put off first, then seen
                culprits += 1
                await some(1, put_off=True)
                log.error("confirmation_postponed", error=repr(error))
        if culprits and culprits == count:
            raise RuntimeError("none of the unknown calls could be confirmed")
        return count
