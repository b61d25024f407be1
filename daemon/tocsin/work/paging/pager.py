"""The send protocol: claim and intent in one transaction, the gate, the call, its outcome.

One task a channel claims pages for the slots it has free. Each call runs in a task of its own, and
what it may have done is never forgotten: the attempt's row was there before the first byte left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import NamedTuple

import structlog

from tocsin.contracts import Gate, Tools, Tx
from tocsin.decide.incidents.escalation import is_first
from tocsin.decide.paging.replies import code_of
from tocsin.decide.paging.verification import code_text, spoken_code
from tocsin.decide.views import (
    all_resolved_body,
    all_resolved_text,
    headline,
    incident_view,
    long_text,
    short_text,
    spoken_text,
    summary_body,
    summary_text,
)
from tocsin.errors import GateClosed, NotSent, StoreUnavailable
from tocsin.model import (
    EMPTY,
    MINUTE,
    Accepted,
    Cancelled,
    Failed,
    Incident,
    Instant,
    Message,
    Millis,
    Outcome,
    Page,
    Unknown,
    User,
)
from tocsin.work.duties import CLAIMS, CONFIRMATIONS, TAKEOVER
from tocsin.work.incidents.self_alerts import OWN, Selfcare
from tocsin.work.ledger import Effects
from tocsin.work.paging.ack_links import Links
from tocsin.work.paging.channels import Line, open_lines
from tocsin.work.paging.claim import Claim, due_below
from tocsin.work.paging.delivery import Call, Ended, why_not
from tocsin.work.paging.outcomes import Record
from tocsin.work.paging.verification_codes import Codes
from tocsin.work.runtime import Core

log = structlog.stdlib.get_logger("tocsin.pager")

POLL = Millis(1_000)
CLAIMS_WITHIN = Millis(10_000)  # what readiness is promised
CONFIRMED_WITHIN = Millis(15_000)
TAKEN_OVER_WITHIN = Millis(10_000)
BREATH = Millis(500)
FRESH = 0.1  # seconds: an intent younger than this needs no second look at the store
LOOKED = 0.15  # seconds: what a look told is good for so long, counted from its question
LOOKS = 20  # at a store this slow, a call that may come too late is better than none
DEAD_AFTER = Millis(30_000)  # an intent of another replica older than this was left by a crash
MISSED_FOR = 2.5  # seconds without its name after which a replica is dead; who lost a connection has it back by then
FORGOTTEN_AFTER = Millis(15_000)  # an intent of ours that no call is under way for: longer than any call takes
STALE_AFTER = Millis(10 * MINUTE)  # what a provider may still deliver late
LONGEST_CALL = Millis(11_000)  # a channel that keeps to the transport's deadlines never takes as long
LAST_CALLS = Millis(12_000)  # at the daemon's end: longer than any call may take
STRANDED_AT_ONCE = 500
CLAIMED_AT_ONCE = 200
ALL_TOGETHER = 100  # unknown or lost calls in one transaction
MOST_TAKEN_OVER = 1_000
POSTPONED = Millis(30_000)  # a page that cannot be claimed is asked again after this
FOREVER = Instant(1 << 62)


class Words(NamedTuple):
    """The same said as a title, in the length of an SMS, at length, and aloud."""

    title: str
    text: str
    body: str
    spoken: str


class Pager:
    """Sends what is planned. `start` once, `configure` after each reload."""

    def __init__(self, core: Core, tools: Tools, selfcare: Selfcare, links: Links, codes: Codes) -> None:
        self.core, self.tools, self.selfcare, self.links, self.codes = core, tools, selfcare, links, codes
        self.owner = core.chance.token()
        self.lines: dict[str, Line] = {}
        self.confirm_wake = asyncio.Event()
        self.strand_wake = asyncio.Event()  # a channel may be gone
        self.stopping = False
        self._under_way = 0  # claims and calls
        self._ended: list[Ended] = []
        self._calls: set[str] = set()  # attempts that are under way here
        self._missing: dict[str, float] = {}  # other replicas → since when their names are not held
        self._next_claim: dict[str, Instant | None] = {}
        self._next_confirmation: Instant | None = None
        self._idle = asyncio.Event()

    def configure(self) -> None:
        """Open the channels of the configuration in force and keep a task for each."""
        old, self.lines = self.lines, open_lines(self.core.settings, self.core.kinds, self.tools, self.lines)
        for name, line in self.lines.items():
            line.shown = line.healthy
            self.core.metrics.channel_healthy.labels(name).set(line.healthy)
            if old.get(name) is not line:
                self.core.spawn(self._run_line(line), f"channel {name}")
        for name, line in old.items():
            if self.lines.get(name) is not line:
                line.wake.set()
        self.strand_wake.set()  # what waits for a channel that is gone must go another way

    async def stop(self) -> None:
        """Claim no more; what the calls under way come to is kept. No call takes as long as this waits."""
        self.stopping = True
        for line in self.lines.values():
            line.wake.set()
        until = Instant(self.core.clock.now() + LAST_CALLS)
        while self._under_way and self.core.clock.now() < until:
            self._idle.clear()
            await self.core.clock.wait(self._idle, until)

    def wake(self, channels: Sequence[str]) -> None:
        """Pages were planned for these channels."""
        for name in channels:
            line = self.lines.get(name)
            if line is not None:
                line.wake.set()

    # -------------------------------------------------------------------------------- the loop

    async def _run_line(self, line: Line) -> None:
        """Claim and call for one channel, until a reload replaces the line."""
        clock, within = self.core.clock, Millis(max(CLAIMS_WITHIN, 3 * self.core.poll))
        duty = self.core.duties.add(CLAIMS, lambda: self._claim_round(line), within=within, part=line.name)
        while self._serves(line):
            line.wake.clear()
            if not await duty.run():
                await clock.sleep(BREATH)
                continue
            rest, due = Instant(clock.now() + self.core.poll), self._next_claim.get(line.name)
            await clock.wait(line.wake, rest if due is None else min(due, rest))
        self.core.duties.drop(duty)

    async def _claim_round(self, line: Line) -> None:
        """Claim all that is due; a poisoned page stops no other."""
        try:
            self._next_claim[line.name] = await self._claim_all(line)
        except StoreUnavailable:
            raise
        except Exception as error:  # one by one, and the culprit is postponed
            log.error("claim_failed", channel=line.name, error=repr(error), exc_info=True)
            await self.core.clock.sleep(BREATH)
            await self._claim_one_by_one(line)
            self._next_claim[line.name] = self.core.clock.now()

    def _serves(self, line: Line) -> bool:
        return not self.stopping and self.lines.get(line.name) is line

    async def _claim_all(self, line: Line) -> Instant | None:
        """Claim while slots are free and pages are due; when the next one will be."""
        while line.free > 0 and self._serves(line):
            due = await self.core.store.next_due_page(line.name, due_below(line))
            if due is None or due > self.core.clock.now():
                return due
            if not self._serves(line):
                return None
            await self._claim_and_call(line)
        return None

    async def _claim_and_call(self, line: Line, at_most: int = CLAIMED_AT_ONCE) -> None:
        self._begin()
        try:
            for call in await self._claim(line, at_most):
                line.begin(call.page.kind)
                self._calls.add(call.attempt.id)
                self._begin()
                self.core.spawn(self._call(line, call), f"call {call.attempt.id}")
                if call.more:
                    self.core.spawn(self._join(line, call), f"pages behind {call.attempt.id}")
        finally:
            self._end()

    async def _claim_one_by_one(self, line: Line) -> None:
        """As many as there are slots; the page that cannot be claimed is postponed, and the others go.

        Raises what the last one raised where not a single one could be claimed.
        """
        claimed, culprit = 0, None
        for _ in range(line.free):
            try:
                await self._claim_and_call(line, 1)
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
            now = self.core.clock.now()
            pages = await tx.due_pages(line.name, now, 1)
            held = await tx.pages([page.id for page in pages])
            tx.save_pages([replace(page, due_at=Instant(now + POSTPONED)) for page in held.values()
                           if page.status == "planned"])  # fmt: skip

        try:
            await self.core.store.write(work, paging=True)
        except Exception as error:  # noqa: BLE001  # called from the loop of a channel, which never ends
            log.error("not_postponed", channel=line.name, error=repr(error))

    def _begin(self) -> None:
        self._under_way += 1

    def _end(self) -> None:
        self._under_way -= 1
        if not self._under_way:
            self._idle.set()

    # ------------------------------------------------------------------------------- the claim

    async def _claim(self, line: Line, at_most: int) -> list[Call]:
        """Pages and intents in one transaction, committed before any byte leaves."""

        async def work(tx: Tx) -> tuple[list[Call], Effects]:
            claim = Claim(self, line, tx)
            calls = await claim.run(at_most)
            effects = await claim.ledger.close()
            before = self.core.clock.monotonic()  # of the commit: who is stopped while it commits must look again
            return [replace(call, intent_at=before) for call in calls], effects

        calls, effects = await self.core.store.write(work, paging=True)
        effects.apply(self.core)
        return calls

    async def _join(self, line: Line, call: Call) -> None:
        """The pages that a summary has no room for in its transaction join it behind, some at a time.

        What a crash leaves waits for the next summary.
        """

        async def work(tx: Tx) -> tuple[int, Effects]:
            claim = Claim(self, line, tx)
            return await claim.join(call), await claim.ledger.close()

        joined = 1
        while joined and self._serves(line):
            try:
                joined, effects = await self.core.store.write(work, paging=True)
            except Exception as error:  # noqa: BLE001  # they wait for the next one
                log.warning("not_joined", attempt=call.attempt.id, error=repr(error))
                return
            effects.apply(self.core)

    # -------------------------------------------------------------------------------- the call

    async def _call(self, line: Line, call: Call) -> None:
        try:
            outcome = await self._send(line, call)
            await self._record(line, call, outcome)
        finally:
            self._calls.discard(call.attempt.id)
            line.end(call.page.kind)
            line.wake.set()
            self._end()

    async def _send(self, line: Line, call: Call) -> Outcome:
        clock = self.core.clock
        started = clock.monotonic()
        try:
            message = await self.message(line, call)
            async with clock.timeout(LONGEST_CALL):
                outcome = await line.channel.send(message, self._gate(call))
        except GateClosed as closed:
            outcome = Cancelled(str(closed))
        except TimeoutError:
            outcome = Unknown("the call did not end in time")
        except Exception as error:  # a channel broke its promise: it may have sent
            log.error("channel_broke", channel=line.name, error=repr(error), exc_info=True)
            outcome = Unknown(f"{type(error).__name__} in the channel")
        self.core.metrics.attempt_seconds.labels(line.name).observe(clock.monotonic() - started)
        return outcome

    def _gate(self, call: Call) -> Gate:
        """The last look, with the connection in hand."""

        async def gate() -> None:
            self._refuse_stopped(call)
            if is_first(call.page) and call.attempt.number == 1 and call.incident is not None:
                waited = (self.core.clock.now() - call.incident.created_at) / 1000
                self.core.metrics.ingest_to_first_attempt_seconds.observe(max(0.0, waited))
            looked, fresh = call.intent_at, FRESH
            for _ in range(LOOKS):
                if self.core.clock.monotonic() - looked <= fresh:
                    break
                fresh = LOOKED
                # of the question: its answer may have waited with a stopped process
                looked = self.core.clock.monotonic()
                await self._look_again(call)
            self._refuse_stopped(call)

        return gate

    def _refuse_stopped(self, call: Call) -> None:
        for page in (call.page, *call.carried):
            if page.kind == "page" and page.rule > 0 and self.core.stops.has(page.incident or 0, page.cycle):
                raise GateClosed("it was answered meanwhile")

    async def _look_again(self, call: Call) -> None:
        try:
            await self._ask_store(call)
        except StoreUnavailable as error:
            raise NotSent(f"nobody can tell whether it is still wanted: {error}") from error

    async def _ask_store(self, call: Call) -> None:
        attempt = await self.core.store.attempt(call.attempt.id)
        if attempt is None or attempt.state != "open":
            raise GateClosed("the intent is no longer ours")
        for page in (call.page, *call.carried):
            if page.kind == "page" and page.incident is not None:
                incident = await self.core.store.standing(page.incident)
                refused = "the incident is gone" if incident is None else why_not(page, incident)
                if refused:
                    raise GateClosed(refused)

    async def message(self, line: Line, call: Call) -> Message:
        """What the channel carries. Whatever fails here falls back to the headline: the page goes out."""
        page, incident, settings = call.page, call.incident, self.core.settings
        now = self.core.clock.now()
        alone = page.kind == "page" and bool(page.user) and not call.bundled  # a link answers for one that waits, alone
        ack_url = self.links.url(incident, page.user, page.id) if alone and incident is not None else ""
        words = await self._words(line, call, ack_url)
        base = settings.server.public_url
        callbacks = f"{base}/v1/callbacks/twilio" if base else ""
        return Message(
            page=page.id,
            attempt=call.attempt.id,
            kind=call.kind,
            channel=line.name,
            to=call.attempt.address,
            user=page.user,
            name=call.user.name if call.user else "",
            urgency=incident.urgency if incident else "high" if page.kind == "test" else "low",
            title=words.title,
            text=words.text,
            body=words.body,
            spoken=words.spoken,
            ack_url=ack_url,
            status_url=f"{callbacks}/status/{call.attempt.id}" if callbacks else "",
            voice_url=f"{callbacks}/voice/{call.attempt.id}" if callbacks else "",
            incident=incident_view(incident, settings) if incident else EMPTY,
            cycle=page.cycle,
            round=page.round,
            step=page.step,
            rule=page.rule,
            try_number=call.attempt.number,
            expires_in=STALE_AFTER,
            now=now,
            incidents=call.incidents,
        )

    async def _words(self, line: Line, call: Call, ack_url: str) -> Words:
        """What is said, for each way of saying it."""
        page, incident = call.page, call.incident
        sms = line.kind.throttle == "sms"
        code = code_of(page.id) if sms and self.core.settings.answers.get("sms") == "code" else ""
        if call.bundled:
            return self._bundled(call, mail=line.kind.address == "email", code=code)
        if page.kind == "code" and call.user is not None and page.contact in call.user.contacts:
            proof = self.codes.of(page.id)
            text = code_text(proof, page.user, call.user.contacts[page.contact])
            return Words(text.partition(". ")[0], text, text, spoken_code(proof))
        if page.kind == "page" and incident is not None:
            affected = await self.core.affected(incident)
            text = short_text(incident, ack_url, code, interactive=sms, affected=affected)
            body = await self._body(line, incident, call.user, ack_url, affected)
            return Words(headline(incident), text, body, spoken_text(incident, affected))
        return Words(page.text.splitlines()[0] if page.text else "", page.text, page.text, page.text)

    def _bundled(self, call: Call, *, mail: bool, code: str) -> Words:
        """Of several incidents: that they are over, or that they wait. `code`: what an answer must have."""
        if call.page.kind == "update":
            text, body = all_resolved_text(call.bundled), all_resolved_body(call.bundled)
        else:
            pages = {page.incident: page.id for page in (*call.carried, call.page) if mail and page.user}
            links = {
                one.number: self.links.url(one, call.page.user, pages[one.number])
                for one in call.bundled if one.number in pages
            }  # fmt: skip
            text = summary_text(call.bundled, call.more, code)
            body = summary_body(call.bundled, call.more, self.core.settings, links)
        return Words(text, text, body if mail else text, text)

    async def _body(
        self, line: Line, incident: Incident, user: User | None, ack_url: str, affected: Sequence[str]
    ) -> str:
        """The longer text, for mail; read only where it is used."""
        if line.kind.address != "email":
            return headline(incident)
        try:
            alerts = await self.core.store.incident_alerts(incident.number, 10, None)
            zone = user.timezone if user else self.core.settings.defaults.timezone
            return long_text(incident, alerts, self.core.settings, zone, ack_url, affected)
        except Exception as error:  # noqa: BLE001  # fail open: the plain text goes out
            self.core.metrics.template_fallbacks.inc()
            log.warning("body_fallback", incident=incident.number, error=repr(error))
            return f"{headline(incident)}\n{ack_url}"

    # ----------------------------------------------------------------------------- the outcome

    async def _record(self, line: Line, call: Call, outcome: Outcome) -> None:
        """Keep the outcome, together with those of other calls that ended meanwhile."""
        ended = Ended(line, call, outcome, asyncio.get_running_loop().create_future())
        self._ended.append(ended)
        if len(self._ended) == 1:
            await self.core.clock.turn()  # who comes first takes along all that end in this turn of the loop
            group, self._ended = self._ended, []
            await self._record_all(group)
        await ended.done

    async def _record_all(self, group: list[Ended]) -> None:
        try:
            states, effects = await self.core.store.write(lambda tx: self._keep_all(tx, group), paging=True)
        except Exception as error:  # noqa: BLE001  # one by one: only the culprit's may go wrong again
            log.warning("outcomes_one_by_one", calls=len(group), error=repr(error))
            for one in group:
                state, effects = await self._record_one(one)
                effects.apply(self.core)
                self._recorded(one, state)
            return
        effects.apply(self.core)
        for one, state in zip(group, states, strict=True):
            self._recorded(one, state)

    async def _keep_all(self, tx: Tx, group: list[Ended]) -> tuple[list[str], Effects]:
        """One transaction: those that went through with few reads for all, the others as each needs."""
        record = Record(self, tx, None)
        plain = [one.call for one in group if isinstance(one.outcome, Accepted) and not one.call.carried]
        await record.ledger.load([call.page.incident for call in plain if call.page.incident is not None])
        attempts = await tx.attempts([call.attempt.id for call in plain])
        pages = await tx.pages([call.page.id for call in plain])
        states = []
        for one in group:
            if isinstance(one.outcome, Accepted) and not one.call.carried:
                attempt, page = attempts.get(one.call.attempt.id), pages.get(one.call.page.id)
                states.append(await record.settle(attempt, page, one.outcome, []))
            else:
                states.append(await record.outcome(one.call, one.outcome))
        return states, await record.ledger.close()

    async def _record_one(self, one: Ended) -> tuple[str, Effects]:
        """While the database does not answer, keep trying: the row stays an open intent."""

        async def work(tx: Tx) -> tuple[str, Effects]:
            record = Record(self, tx, one.line)
            return await record.outcome(one.call, one.outcome), await record.ledger.close()

        while True:
            try:
                return await self.core.store.write(work, paging=True)
            except StoreUnavailable as error:
                log.error("outcome_not_stored", attempt=one.call.attempt.id, error=str(error))
                await self.core.clock.sleep(BREATH)
            except Exception as error:  # the outermost loop of this call: forgotten, the page would never end
                log.error("outcome_not_stored", attempt=one.call.attempt.id, error=repr(error), exc_info=True)
                await self.core.clock.sleep(POLL)

    def _recorded(self, one: Ended, state: str) -> None:
        """After the commit: count, log, watch the channel's health."""
        line, call = one.line, one.call
        self.core.metrics.attempts.labels(line.name, line.config.type, state).inc()
        self.core.metrics.messages.labels(line.name, call.kind, state).inc()
        log.info(
            "attempt", attempt=call.attempt.id, page=call.page.id, incident=call.page.incident, channel=line.name,
            user=call.page.user, outcome=state, because=getattr(one.outcome, "because", ""),
        )  # fmt: skip
        if self.lines.get(line.name) is line:  # of a channel that was configured anew the old one's calls tell nothing
            self._health(line, one.outcome, call.attempt.started_at)
        if not isinstance(one.outcome, Accepted):
            self.confirm_wake.set()
        if not one.done.done():
            one.done.set_result(None)

    def _health(self, line: Line, outcome: Outcome, begun_at: Instant) -> None:
        match outcome:
            case Accepted():
                if line.succeeded(begun_at):
                    self.selfcare.recovered(f"channel/{line.name}")
                elif line.healthy and not line.proven:
                    self.core.spawn(self._end_an_old_alarm(line.name), f"alarm of channel {line.name}")
                line.proven |= line.healthy
            case Failed(permanent=True, account=False) | Cancelled():
                return
            case Failed(because=because) | Unknown(because=because):
                if line.failed(because, begun_at, self.core.clock.now()):
                    self.selfcare.alarm(f"channel/{line.name}", f"channel {line.name} is failing", because)
        if line.healthy is not line.shown:
            line.shown = line.healthy
            self.core.metrics.channel_healthy.labels(line.name).set(line.healthy)

    async def _end_an_old_alarm(self, channel: str) -> None:
        """What was raised before a restart, or before the channel was configured anew, is over with a first success."""
        try:
            if await self.core.store.open_alert(OWN.name, f"channel/{channel}") is not None:
                self.selfcare.recovered(f"channel/{channel}")
        except StoreUnavailable as error:
            log.warning("old_alarm_not_ended", channel=channel, error=str(error))

    def fallback_of(self, channel: str) -> str:
        """The channel to use while this one fails: the first healthy of its fallbacks."""
        names = self.core.settings.fallbacks.get(channel, ())
        healthy = [name for name in names if name in self.lines and self.lines[name].healthy]
        return (healthy or [name for name in names if name in self.lines] or [""])[0]

    # ------------------------------------------------------------------- unknown ones, and a crash

    async def run_confirmations(self) -> None:
        """Unknown attempts whose time to be confirmed is over get their one more attempt; forever."""
        clock, within = self.core.clock, Millis(max(CONFIRMED_WITHIN, 3 * self.core.poll))
        duty = self.core.duties.add(CONFIRMATIONS, self._confirm_all, within=within)
        while True:
            self.confirm_wake.clear()
            if not await duty.run():
                await clock.sleep(BREATH)
                continue
            rest, due = Instant(clock.now() + 5 * self.core.poll), self._next_confirmation
            await clock.wait(self.confirm_wake, rest if due is None else min(due, rest))

    async def run_strandings(self) -> None:
        """Pages for channels that are no more go another way; after each reload, and now and then; forever."""
        clock, within = self.core.clock, Millis(max(MINUTE, 3 * self.core.poll))
        duty = self.core.duties.add("stranded pages", self.take_in_stranded, within=within)
        while True:
            self.strand_wake.clear()
            if await duty.run():
                await clock.wait(self.strand_wake, Instant(clock.now() + 5 * self.core.poll))
            else:
                await clock.sleep(POLL)

    async def run_takeover(self) -> None:
        """Calls that nobody is making any more get their second attempt; forever."""
        every = Millis(self.core.poll if not self.core.store.exclusive else 5 * self.core.poll)
        duty = self.core.duties.add(TAKEOVER, self.recover, within=Millis(max(TAKEN_OVER_WITHIN, 3 * every)))
        while True:
            await self.core.clock.sleep(every)
            await duty.run()

    async def _confirm_all(self) -> None:
        clock = self.core.clock
        while (due := await self.core.store.next_confirmation()) is not None and due <= clock.now():
            if not await self._one_or_all(self._confirm):
                due = Instant(clock.now() + BREATH)  # another replica has them
                break
        self._next_confirmation = due

    async def _confirm(self, most: int, *, put_off: bool) -> int:
        """Up to `most` of them in one transaction, or only put off; how many there were."""

        async def work(tx: Tx) -> tuple[int, Effects]:
            record = Record(self, tx, None)
            found = await tx.unconfirmed(self.core.clock.now(), most)
            later = Instant(self.core.clock.now() + POSTPONED)
            if put_off:
                tx.save_attempts([replace(attempt, confirm_by=later) for attempt in found])
            for attempt in () if put_off else found:
                await record.unconfirmed(attempt)
            return len(found), await record.ledger.close()

        count, effects = await self.core.store.write(work, paging=True)
        effects.apply(self.core)
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

    async def recover(self) -> int:
        """Open intents whose call nobody makes any more are unknown: of replicas that are no more or stood still for
        long, and of this one where it never heard that it had claimed them."""
        store, now = self.core.store, self.core.clock.now()
        await store.hold(self.owner)
        begun = await store.open_intents(MOST_TAKEN_OVER)
        others = {owner for _, owner, _ in begun if owner != self.owner}
        dead = self._dead(others, await store.alive(others) if others else set())
        lost = [
            id for id, owner, at in begun
            if (owner in dead or at <= now - DEAD_AFTER if owner != self.owner
                else id not in self._calls and at <= now - FORGOTTEN_AFTER)
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
        """Those that are missing for long enough; where only one process can be, at once."""
        now = self.core.clock.monotonic()
        self._missing = {owner: self._missing.get(owner, now) for owner in others - alive}
        longest = 0.0 if self.core.store.exclusive else MISSED_FOR
        return {owner for owner, since in self._missing.items() if now - since >= longest}

    async def _take_over(self, ids: Sequence[str]) -> int:
        async def work(tx: Tx) -> tuple[int, Effects]:
            record = Record(self, tx, None)
            found = [one for one in (await tx.attempts(ids)).values() if one.state == "open"]
            for attempt in found:
                await record.lost(attempt)
            return len(found), await record.ledger.close()

        count, effects = await self.core.store.write(work, paging=True)
        effects.apply(self.core)
        self.confirm_wake.set()
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

    async def take_in_stranded(self) -> int:
        """Pages planned for channels that are configured no more go another way, or their step is asked again."""
        if not self.lines:
            return 0
        pages = await self.core.store.write(self._stranded, paging=True)
        if not pages:
            return 0
        try:
            return await self._take_in(pages)
        except StoreUnavailable:
            raise
        except Exception as error:  # one by one: a poisoned one stops no other
            log.error("strandings_one_by_one", error=repr(error), exc_info=True)
        count, failed = 0, None
        for page in pages:
            try:
                count += await self._take_in([page])
            except StoreUnavailable:
                raise
            except Exception as error:  # noqa: BLE001  # tried again in the next round
                failed = error
        if failed is not None:
            raise failed
        return count

    async def _stranded(self, tx: Tx) -> list[Page]:
        gone = [name for name in await tx.planned_channels() if name not in self.lines]
        return [page for name in gone for page in await tx.due_pages(name, FOREVER, STRANDED_AT_ONCE)]

    async def _take_in(self, pages: Sequence[Page]) -> int:
        async def work(tx: Tx) -> tuple[int, Effects]:
            claim = Claim(self, None, tx)
            return await claim.take_in(list(pages)), await claim.ledger.close()

        count, effects = await self.core.store.write(work, paging=True)
        effects.apply(self.core)
        return count
