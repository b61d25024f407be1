"""Outcomes of attempts and what follows from them: done, again, the next contact, an earlier escalation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

import structlog

from tocsin.contracts import Tx
from tocsin.decide.incidents.escalation import run_catch_all
from tocsin.decide.paging import retry
from tocsin.decide.text import clean, clean_identity
from tocsin.errors import StoreUnavailable
from tocsin.model import (
    MINUTE,
    TOCSIN,
    Accepted,
    Attempt,
    Cancelled,
    ContactState,
    Failed,
    Incident,
    Instant,
    Millis,
    Outcome,
    Page,
    Unknown,
    changed,
)
from tocsin.work.effects import Effects
from tocsin.work.ledger import Ledger
from tocsin.work.paging.channels import Line, Lines
from tocsin.work.paging.delivery import Delivery, place_in_cycle
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.pager")

BREATH = Millis(500)
POLL = Millis(1_000)
AROUND = MINUTE  # the least pause before the same targets are asked again, when all of them failed
NOT_DELIVERED = frozenset({"undelivered", "failed", "busy", "no-answer", "canceled"})


class OutcomeRecord:
    """A transaction that keeps what became of attempts."""

    def __init__(self, runtime: Runtime, lines: Lines, tx: Tx) -> None:
        self.runtime, self.lines, self.tx = runtime, lines, tx
        self.now = runtime.clock.now()
        self.ledger = Ledger(runtime, tx, self.now)

    async def outcome(self, delivery: Delivery, outcome: Outcome) -> str:
        """Keep one call's outcome; the attempt's state afterwards."""
        carried = await self._lock_incidents(delivery.attempt, summary=bool(delivery.carried))
        attempt, page = await self._read(delivery.attempt.id, delivery.page.id)
        return await self.settle(attempt, page, outcome, carried, delivery.line)

    async def settle(
        self, attempt: Attempt | None, page: Page | None, outcome: Outcome, carried: list[Attempt], line: Line | None
    ) -> str:
        """Keep an outcome for rows that are read and incidents that are locked already."""
        if attempt is None or page is None:
            return "gone"
        if attempt.state != "open":
            return self._late(attempt, page, outcome)
        attempt, page = self._ended(attempt, page, outcome)
        self.tx.save_attempts([attempt])
        await self._tell(page, attempt, carried)
        self.ledger.call_ended(page)
        if isinstance(outcome, Cancelled) and carried:
            self._plan_again(page)  # the answer may have been to another one of the summary's incidents
        else:
            await self._follow(page, attempt, outcome, line)
        await self._share(carried, outcome)
        return attempt.state

    def _late(self, attempt: Attempt, page: Page, outcome: Outcome) -> str:
        """Word of this attempt was here before its outcome: a callback, or another replica that gave it up for lost."""
        if not isinstance(outcome, Accepted):
            return attempt.state
        known = changed(attempt, ref=attempt.ref or clean_identity(outcome.ref, 200))
        if attempt.state == "unknown":
            known = changed(known, state="accepted", confirm_by=None)
            self._no_second(page)
        if known != attempt:
            self.tx.save_attempts([known])
        return known.state

    def _no_second(self, page: Page) -> None:
        """End a second attempt that was not begun: what may have gone out did."""
        if page.status in ("waiting", "planned"):
            self.tx.save_pages([changed(page, status="done", updated_at=self.now)])

    def _ended(self, attempt: Attempt, page: Page, outcome: Outcome) -> tuple[Attempt, Page]:
        now = self.now
        match outcome:
            case Accepted(ref):
                ended = changed(attempt, ended_at=now, state="accepted", ref=clean_identity(ref, 200))
                return ended, changed(page, tries=page.tries + 1)
            case Failed(because, permanent):
                ended = changed(attempt, ended_at=now, state="failed", because=clean(because, 500), permanent=permanent)
                return ended, changed(page, failures=page.failures + 1)
            case Unknown(because):
                ended = changed(attempt, ended_at=now, state="unknown", because=clean(because, 500))
                return ended, changed(page, tries=page.tries + 1)
            case Cancelled(because):
                return changed(attempt, ended_at=now, state="cancelled", because=clean(because, 500)), page

    async def _follow(self, page: Page, attempt: Attempt, outcome: Outcome, line: Line | None = None) -> None:
        line = line or self.lines.get(page.channel)
        confirms = self.lines.confirming(page.channel)
        next_pages = await self._planned_elsewhere(page) if not isinstance(outcome, Accepted | Cancelled) else []
        follow_up = retry.after(
            outcome, page, self.now,
            confirms=confirms, fallback=self.lines.fallback_of(page.channel), more_contacts=bool(next_pages),
        )  # fmt: skip
        if isinstance(outcome, Failed) and outcome.permanent and not outcome.account and page.user and line is not None:
            await self._bury_contact(line, attempt, outcome)
        await self._do(page, attempt, follow_up, next_pages)

    async def _share(self, carried: list[Attempt], outcome: Outcome, *, waited: bool = False) -> None:
        """Let the pages that a summary carried share its fate, each for itself; while word of it may come they wait
        with it."""
        if carried and not waited:
            for attempt in carried:
                self.ledger.summary_ended(attempt)
        if not carried or isinstance(outcome, Accepted):
            return
        if isinstance(outcome, Unknown) and not waited and self.lines.confirming(carried[0].channel):
            return
        pages = await self.tx.pages([attempt.page for attempt in carried])
        for attempt in carried:
            page = pages.get(attempt.page)
            if page is not None and page.status == "bundled":
                ended, tried = self._ended(attempt, changed(page, tries=page.tries - 1), outcome)
                self.tx.save_attempts([ended])
                await self._share_one(tried, ended, outcome)

    async def _share_one(self, page: Page, attempt: Attempt, outcome: Outcome) -> None:
        match outcome:
            case Cancelled():
                self._plan_again(page)
            case Unknown():
                await self._still_unknown(page, attempt)
            case _:
                await self._follow(page, attempt, outcome)

    def _plan_again(self, page: Page) -> None:
        """At once; whether it is still wanted is asked when it is claimed."""
        self.tx.save_pages([changed(page, status="planned", due_at=self.now, updated_at=self.now)])
        self.ledger.effects.channels.add(page.channel)

    async def _do(
        self, page: Page, attempt: Attempt, follow_up: retry.Over | retry.Again | retry.Wait, next_pages: list[Page]
    ) -> None:
        match follow_up:
            case retry.Wait(until):
                self.tx.save_pages([changed(page, status="waiting", updated_at=self.now)])
                self.tx.save_attempts([changed(attempt, confirm_by=until)])
            case retry.Again(at, _, channel, next_contact):
                again = changed(page, status="planned", due_at=at, channel=channel or page.channel)
                self.tx.save_pages([again])
                self.ledger.effects.channels.add(again.channel)
                self._hasten(next_pages if next_contact else [])
            case retry.Over(status, _, next_contact):
                self.tx.save_pages([changed(page, status=status, updated_at=self.now)])
                self.runtime.metrics.pages.labels(page.channel, attempt.state).inc()
                if status == "failed":
                    self.ledger.lost(page)
                    self.ledger.untold(page)
                self._hasten(next_pages if next_contact else [])
                if next_contact and not next_pages:
                    await self._escalate_early(page)

    async def _lock_incidents(self, attempt: Attempt, *, summary: bool = True) -> list[Attempt]:
        """Incidents are locked before their pages, by everybody: so that nobody waits in a circle.

        Returns the attempts of the pages that travel in the same message, if it is a summary.
        """
        carried = await self.tx.carried_by(attempt) if summary else []
        await self.ledger.load([each.incident for each in (attempt, *carried) if each.incident is not None])
        return carried

    async def _read(self, attempt: str, page: str) -> tuple[Attempt | None, Page | None]:
        known = await self.tx.attempt(attempt)
        return known, (await self.tx.pages([page])).get(page)

    async def _planned_elsewhere(self, page: Page) -> list[Page]:
        """The person's next planned page of this incident over another contact."""
        if page.kind != "page" or page.incident is None or not page.user:
            return []
        mine = [other for other in await self.tx.pages_of(page.incident, page.cycle)
                if other.user == page.user and other.status == "planned"
                and other.kind == "page" and other.contact != page.contact]  # fmt: skip
        return sorted(mine, key=lambda other: other.due_at)[:1]

    def _hasten(self, pages: list[Page]) -> None:
        for page in pages:
            if page.due_at > self.now:
                self.tx.save_pages([changed(page, due_at=self.now)])
            self.ledger.effects.channels.add(page.channel)

    async def _escalate_early(self, page: Page) -> None:
        """Run the next step now where nothing of this step can reach anybody any more."""
        if page.kind != "page" or page.incident is None or page.rule == 0:
            return
        await self.ledger.load([page.incident])
        incident = self.ledger.get(page.incident)
        if incident is None or incident.status != "triggered" or incident.cycle != page.cycle or incident.muted_by:
            return
        if incident.due_at is None or incident.due_at <= self.now:
            return
        pages = [other for other in await self.tx.pages_of(page.incident, page.cycle)
                 if other.kind == "page" and other.rule > 0 and other.id != page.id]  # fmt: skip
        if any(place_in_cycle(other) > place_in_cycle(page) for other in pages):
            return  # the escalation has gone on since
        step = [other for other in pages if place_in_cycle(other) == place_in_cycle(page)]
        if any(other.status in ("planned", "calling", "waiting", "done", "bundled") for other in step):
            return
        around = incident.due_kind == "step" and incident.round != page.round
        if around and page.step and not any(other.round == page.round and other.status != "failed" for other in pages):
            await self._page_catch_all(page, incident)
            return
        at = Instant(self.now + AROUND) if around or page.step == 0 else self.now
        if at >= incident.due_at:
            return
        after = changed(incident, due_at=at, planned_at=at, version=incident.version + 1)
        self.ledger.put(after)
        self.ledger.note(after, "escalated_early", TOCSIN, "pager", f"no page of step {page.step} got through")

    async def _page_catch_all(self, page: Page, incident: Incident) -> None:
        """The last step failed like all before it in this round: the catch-all now, the next round in its time."""
        runtime, people, because = (
            self.runtime,
            await self.ledger.people(),
            f"no page of round {page.round} got through",
        )
        run = run_catch_all(incident, page.round, runtime.settings, people, self.now, runtime.chance.token, because)
        self.ledger.keep(run)

    async def _bury_contact(self, line: Line, attempt: Attempt, failed: Failed) -> None:
        """A number that cannot be reached this way: skipped from now on, shown, and alarmed on; unless it came back to
        life since this attempt began."""
        known = await self.tx.contact_state(line.config.type, attempt.address)
        if known is not None and known.usable and known.at > attempt.started_at:
            return
        state = ContactState(line.config.type, attempt.address, False, failed.because, self.now)
        self.tx.save_contact_state(state)
        self.ledger.effects.contacts.append(state)

    async def _tell(self, page: Page, attempt: Attempt, carried: list[Attempt]) -> None:
        if page.incident is None:
            return
        await self.ledger.load([page.incident])
        incident = self.ledger.get(page.incident)
        several = page.kind == "page" and any(other.incident != page.incident for other in carried)
        if incident is not None:
            self.ledger.note(
                incident, "attempt", TOCSIN, "pager", outcome_of(page, attempt), attempt.channel, page=page.id,
                attempt=attempt.id, user=page.user, contact=page.contact, outcome=attempt.state,
                message="summary" if several else page.kind,
            )  # fmt: skip

    # ------------------------------------------------------- unconfirmed, looked up, lost, receipts

    async def unconfirmed(self, attempt: Attempt) -> None:
        """No word within the time: still unknown, so one more attempt or the end."""
        carried = await self._lock_incidents(attempt)
        page = (await self.tx.pages([attempt.page])).get(attempt.page)
        self.tx.save_attempts([changed(attempt, confirm_by=None)])
        if page is None or page.status != "waiting":
            return
        await self._still_unknown(page, attempt)
        await self._share(carried, Unknown(attempt.because), waited=True)

    async def _still_unknown(self, page: Page, attempt: Attempt) -> None:
        next_pages = await self._planned_elsewhere(page)
        follow_up = retry.after_unknown(
            attempt.because, page, self.now, self.lines.fallback_of(page.channel), bool(next_pages)
        )
        await self._do(page, attempt, follow_up, next_pages)

    async def looked_up(self, attempt_id: str, page_id: str, outcome: Accepted | Failed) -> None:
        """Keep what the provider itself told of an unknown attempt; a failure is old news when the wait for it is
        over."""
        known = await self.tx.attempt(attempt_id)
        if known is None:
            return
        carried = await self._lock_incidents(known)
        attempt, page = await self._read(attempt_id, page_id)
        if attempt is None or page is None or attempt.state != "unknown":
            return
        waited, number = attempt.confirm_by is not None and page.status == "waiting", page.incident
        if isinstance(outcome, Accepted):
            known = changed(attempt, ref=attempt.ref or clean_identity(outcome.ref, 200), state="accepted")
            self._no_second(page)
        elif waited:
            page = changed(page, tries=page.tries - 1)
            known, page = self._ended(attempt, page, outcome)
        else:
            return
        self.tx.save_attempts([changed(known, confirm_by=None)])
        incident = self.ledger.get(number) if number is not None else None
        if incident is not None:
            because = "" if isinstance(outcome, Accepted) else outcome.because
            self.ledger.note(
                incident, "delivery", TOCSIN, "lookup", because, attempt=attempt.id, state=known.state, user=page.user
            )
        if isinstance(outcome, Failed):
            await self._follow(page, changed(known, confirm_by=None), outcome)
            await self._share(carried, outcome, waited=True)

    async def lost(self, attempt: Attempt) -> None:
        """An intent whose process died: it may or may not have gone out."""
        carried = await self._lock_incidents(attempt)
        page = (await self.tx.pages([attempt.page])).get(attempt.page)
        if page is None:
            self.tx.save_attempts([changed(attempt, state="unknown", because="a crash", ended_at=self.now)])
            return
        outcome = Unknown("the process ended with the call under way")
        ended, tried = self._ended(attempt, page, outcome)
        self.tx.save_attempts([ended])
        await self._tell(tried, ended, carried)
        self.ledger.call_ended(tried)
        await self._follow(tried, ended, outcome)
        await self._share(carried, outcome)

    async def receipt(self, known: Attempt, state: str, rank: int, error: str | None, dead: bool) -> bool:
        """A delivery state from the provider; False when it is old news. Never moves backwards."""
        carried = await self._lock_incidents(known)
        attempt, page = await self._read(known.id, known.page)
        if attempt is None or rank <= attempt.delivery_rank:
            return False
        heard = changed(attempt, ref=attempt.ref or known.ref, delivery=state, delivery_rank=rank, confirm_by=None)
        if attempt.state in ("open", "unknown"):
            heard = changed(heard, state="accepted", ended_at=attempt.ended_at or self.now)
        self.tx.save_attempts([heard])
        if page is None:
            return True
        last = is_last(attempt, page)
        if attempt.state == "open":
            page = changed(page, tries=page.tries + 1)
            self.ledger.call_ended(page)
        if last and page.status in ("waiting", "calling"):
            page = changed(page, status="done", updated_at=self.now)
            self.tx.save_pages([page])
        self._note_delivery(page, attempt, state, error)
        if state not in NOT_DELIVERED:
            self._no_second(page)
        elif last:
            await self._not_delivered(page, heard, state, error, dead)
            for bundled in (await self.tx.pages([other.page for other in carried])).values():
                await self._not_delivered(bundled, heard, state, error, dead=False)
        return True

    def _note_delivery(self, page: Page, attempt: Attempt, state: str, error: str | None) -> None:
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        if incident is not None:
            self.ledger.note(
                incident, "delivery", TOCSIN, "callback", error or "", attempt=attempt.id, state=state, user=page.user
            )

    async def _not_delivered(self, page: Page, attempt: Attempt, state: str, error: str | None, dead: bool) -> None:
        line = self.lines.get(page.channel)
        if dead and line is not None:
            await self._bury_contact(line, attempt, Failed(f"{state} ({error})", permanent=True))
        self.tx.save_pages([changed(page, status="failed", updated_at=self.now)])
        self.ledger.lost(page)
        self.ledger.untold(page)
        next_pages = await self._planned_elsewhere(page)
        self._hasten(next_pages)
        if not next_pages:
            await self._escalate_early(page)


@dataclass(slots=True, eq=False)
class _Ended:
    """A call that ended, on its way into the store."""

    delivery: Delivery
    outcome: Outcome
    done: asyncio.Future[None]

    @property
    def plain(self) -> bool:
        """Whether it went through and carried nothing else: most do, and need few reads."""
        return isinstance(self.outcome, Accepted) and not self.delivery.carried


class Outcomes:
    """Keeps the outcomes of calls, those that end in one turn of the loop in one transaction.

    `unknown` is called after the commit of any that was not accepted: somebody may have to wait for word of it.
    """

    def __init__(self, runtime: Runtime, lines: Lines, unknown: Callable[[], None]) -> None:
        self.runtime, self.lines, self.unknown = runtime, lines, unknown
        self._ended: list[_Ended] = []

    async def keep(self, delivery: Delivery, outcome: Outcome) -> None:
        """Keep an outcome with what follows from it, together with others that came meanwhile; return when it is in
        the store, however long that takes."""
        ended = _Ended(delivery, outcome, asyncio.get_running_loop().create_future())
        self._ended.append(ended)
        if len(self._ended) == 1:
            await self.runtime.clock.turn()  # who comes first takes along all that end in this turn of the loop
            group, self._ended = self._ended, []
            await self._keep_group(group)
        await ended.done

    async def _keep_group(self, group: list[_Ended]) -> None:
        try:
            states, effects = await self.runtime.store.write(lambda tx: self._record_all(tx, group), paging=True)
        except Exception as error:  # noqa: BLE001  # one by one: only the culprit's may go wrong again
            log.warning("outcomes_one_by_one", calls=len(group), error=repr(error))
            for ended in group:
                state, effects = await self._keep_one(ended)
                effects.apply(self.runtime)
                self._kept(ended, state)
            return
        effects.apply(self.runtime)
        for ended, state in zip(group, states, strict=True):
            self._kept(ended, state)

    async def _record_all(self, tx: Tx, group: list[_Ended]) -> tuple[list[str], Effects]:
        """Record a group in one transaction: calls that went through with few reads for all, the others as each
        needs."""
        record = OutcomeRecord(self.runtime, self.lines, tx)
        plain = [ended.delivery for ended in group if ended.plain]
        await record.ledger.load([ended.page.incident for ended in plain if ended.page.incident is not None])
        attempts = await tx.attempts([ended.attempt.id for ended in plain])
        pages = await tx.pages([ended.page.id for ended in plain])
        states = []
        for ended in group:
            delivery = ended.delivery
            if ended.plain:
                attempt, page = attempts.get(delivery.attempt.id), pages.get(delivery.page.id)
                states.append(await record.settle(attempt, page, ended.outcome, [], delivery.line))
            else:
                states.append(await record.outcome(delivery, ended.outcome))
        return states, await record.ledger.close()

    async def _keep_one(self, ended: _Ended) -> tuple[str, Effects]:
        """While the database does not answer, keep trying: the row stays an open intent."""

        async def work(tx: Tx) -> tuple[str, Effects]:
            record = OutcomeRecord(self.runtime, self.lines, tx)
            return await record.outcome(ended.delivery, ended.outcome), await record.ledger.close()

        while True:
            try:
                return await self.runtime.store.write(work, paging=True)
            except StoreUnavailable as error:
                log.error("outcome_not_stored", attempt=ended.delivery.attempt.id, error=str(error))
                await self.runtime.clock.sleep(BREATH)
            except Exception as error:  # the outermost loop of this call: forgotten, the page would never end
                log.error("outcome_not_stored", attempt=ended.delivery.attempt.id, error=repr(error), exc_info=True)
                await self.runtime.clock.sleep(POLL)

    def _kept(self, ended: _Ended, state: str) -> None:
        """After the commit: count, log, watch the channel's health."""
        delivery, line = ended.delivery, ended.delivery.line
        self.runtime.metrics.attempts.labels(line.name, line.config.type, state).inc()
        self.runtime.metrics.messages.labels(line.name, delivery.kind, state).inc()
        log.info(
            "attempt", attempt=delivery.attempt.id, page=delivery.page.id, incident=delivery.page.incident,
            channel=line.name, user=delivery.page.user, outcome=state, because=getattr(ended.outcome, "because", ""),
        )  # fmt: skip
        self.lines.watch(line, ended.outcome, delivery.attempt.started_at)
        if not isinstance(ended.outcome, Accepted):
            self.unknown()
        if not ended.done.done():
            ended.done.set_result(None)


def is_last(attempt: Attempt, page: Page) -> bool:
    """Whether the page's fate hangs on this attempt: no other one was begun or is planned after it."""
    if attempt.state == "open":
        return True
    return page.status in ("waiting", "done") and attempt.number == page.tries + page.failures


def outcome_of(page: Page, attempt: Attempt) -> str:
    """An attempt as a line of the timeline: what became of it, for whom, and why."""
    outcome = f"{attempt.state} for {page.user or page.target}"
    return f"{outcome}: {attempt.because}" if attempt.because else outcome
