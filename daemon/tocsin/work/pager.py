"""The send protocol: claim and intent in one transaction, the gate, the call, its outcome.

One task a channel claims pages for the slots it has free. Each call runs in a task of its own, and
what it may have done is never forgotten: the attempt's row was there before the first byte left.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import structlog

from tocsin.contracts import Gate, Tools, Tx
from tocsin.decide import retry, throttle
from tocsin.decide.answers import code_of
from tocsin.decide.escalation import run_catch_all, usable_contacts
from tocsin.decide.text import clean
from tocsin.decide.views import headline, incident_view, long_text, short_text, spoken_text, summary_text
from tocsin.errors import GateClosed, NotSent, StoreUnavailable
from tocsin.model import (
    EMPTY,
    MINUTE,
    TOCSIN,
    Accepted,
    Attempt,
    Cancelled,
    ContactState,
    DueKind,
    Failed,
    Incident,
    Instant,
    Limit,
    Message,
    Millis,
    Outcome,
    Page,
    Unknown,
    User,
)
from tocsin.work.channels import Line, open_lines
from tocsin.work.core import Core
from tocsin.work.ledger import Effects, Ledger
from tocsin.work.selfcare import OWN, Selfcare

log = structlog.stdlib.get_logger("tocsin.pager")

POLL = Millis(1_000)
BREATH = Millis(500)
FRESH = 0.1  # seconds: an intent younger than this needs no second look at the store
LOOKS = 5  # at a store this slow, a call that may come too late is better than none
DEAD_AFTER = Millis(30_000)  # an intent of another replica older than this was left by a crash
STALE_AFTER = Millis(10 * MINUTE)  # what a provider may still deliver late
LONGEST_CALL = Millis(11_000)  # a channel that keeps to the transport's deadlines never takes as long
LAST_CALLS = Millis(12_000)  # at the daemon's end: longer than any call may take
AROUND = MINUTE  # the least pause before the same targets are asked again, when all of them failed
STRANDED_AT_ONCE = 500
CLAIMED_AT_ONCE = 200
POSTPONED = Millis(30_000)  # a page that cannot be claimed is asked again after this
FOREVER = Instant(1 << 62)


@dataclass(frozen=True, slots=True)
class Call:
    """One claimed page on its way to a provider."""

    page: Page
    attempt: Attempt
    incident: Incident | None
    user: User | None
    bundled: tuple[Incident, ...] = ()  # those a summary names
    carried: tuple[Page, ...] = ()  # the other pages that travel in it
    intent_at: float = 0.0


@dataclass(slots=True, eq=False)
class Ended:
    """A call that ended, on its way into the store."""

    line: Line
    call: Call
    outcome: Outcome
    done: asyncio.Future[None]


class Pager:
    """Sends what is planned. `start` once, `configure` after each reload."""

    def __init__(self, core: Core, tools: Tools, selfcare: Selfcare) -> None:
        self.core, self.tools, self.selfcare = core, tools, selfcare
        self.owner = core.chance.token()
        self.lines: dict[str, Line] = {}
        self.confirm_wake = asyncio.Event()
        self.stopping = False
        self._under_way = 0  # claims and calls
        self._ended: list[Ended] = []
        self._idle = asyncio.Event()

    def configure(self) -> None:
        """Open the channels of the configuration in force and keep a task for each."""
        old, self.lines = self.lines, open_lines(self.core.settings, self.core.kinds, self.tools, self.lines)
        for name, line in self.lines.items():
            self.core.metrics.channel_healthy.labels(name).set(line.healthy)
            if old.get(name) is not line:
                self.core.spawn(self._run_line(line), f"channel {name}")
        for name, line in old.items():
            if self.lines.get(name) is not line:
                line.wake.set()
        self.confirm_wake.set()  # what waits for a channel that is gone must go another way

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
        clock = self.core.clock
        while self._serves(line):
            line.wake.clear()
            try:
                due = await self._claim_all(line)
            except StoreUnavailable as error:
                log.error("store_unavailable", channel=line.name, error=str(error))
                await clock.sleep(BREATH)
                continue
            except Exception as error:  # the loop of a channel never ends, and one poisoned page stops no other
                log.error("claim_failed", channel=line.name, error=repr(error), exc_info=True)
                await clock.sleep(BREATH)
                await self._claim_one_by_one(line)
                continue
            rest = Instant(clock.now() + POLL)
            await clock.wait(line.wake, rest if due is None else min(due, rest))

    def _serves(self, line: Line) -> bool:
        return not self.stopping and self.lines.get(line.name) is line

    async def _claim_all(self, line: Line) -> Instant | None:
        """Claim while slots are free and pages are due; when the next one will be."""
        while line.free > 0 and self._serves(line):
            due = await self.core.store.next_due_page(line.name)
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
                line.busy += 1
                self._begin()
                self.core.spawn(self._call(line, call), f"call {call.attempt.id}")
        finally:
            self._end()

    async def _claim_one_by_one(self, line: Line) -> None:
        """As many as there are slots; the page that cannot be claimed is postponed, and the others go."""
        for _ in range(line.free):
            try:
                await self._claim_and_call(line, 1)
            except StoreUnavailable:
                return
            except Exception as error:  # noqa: BLE001  # postponed first, then seen
                await self._postpone_first(line)
                log.error("page_postponed", channel=line.name, error=repr(error))

    async def _postpone_first(self, line: Line) -> None:
        async def work(tx: Tx) -> None:
            now = self.core.clock.now()
            pages = await tx.due_pages(line.name, now, 1)
            held = await tx.pages([page.id for page in pages])
            tx.save_pages([replace(page, due_at=Instant(now + POSTPONED)) for page in held.values()
                           if page.status == "planned"])  # fmt: skip

        try:
            await self.core.store.write(work)
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

        calls, effects = await self.core.store.write(work)
        effects.apply(self.core)
        return calls

    # -------------------------------------------------------------------------------- the call

    async def _call(self, line: Line, call: Call) -> None:
        try:
            outcome = await self._send(line, call)
            await self._record(line, call, outcome)
        finally:
            line.busy -= 1
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
            looked = call.intent_at
            for _ in range(LOOKS):
                if self.core.clock.monotonic() - looked <= FRESH:
                    break
                # of the question: its answer may have waited with a stopped process
                looked = self.core.clock.monotonic()
                await self._look_again(call)
            self._refuse_stopped(call)
            if call.page.rank <= 1 and call.attempt.number == 1 and call.incident is not None:
                waited = (self.core.clock.now() - call.incident.created_at) / 1000
                self.core.metrics.ingest_to_first_attempt_seconds.observe(max(0.0, waited))

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
                incident = await self.core.store.incident(page.incident)
                refused = "the incident is gone" if incident is None else why_not(page, incident)
                if refused:
                    raise GateClosed(refused)

    async def message(self, line: Line, call: Call) -> Message:
        """What the channel carries. Whatever fails here falls back to the headline: the page goes out."""
        page, incident, settings = call.page, call.incident, self.core.settings
        now = self.core.clock.now()
        ack_url = self.core.links(incident, page.user, page.id) if incident is not None and page.user else ""
        text = body = page.text
        title, spoken = page.text.splitlines()[0] if page.text else "", page.text
        if call.bundled:
            ack_url = ""  # a link answers for one incident alone
            title = text = body = spoken = summary_text(call.bundled)
        elif page.kind == "page" and incident is not None:
            code = code_of(page.id) if settings.answers.get("sms") == "code" and line.kind.throttle == "sms" else ""
            title = headline(incident)
            text = short_text(incident, ack_url, code, interactive=line.kind.throttle == "sms")
            body, spoken = await self._body(line, incident, call.user, ack_url), spoken_text(incident)
        base = settings.server.public_url
        callbacks = f"{base}/v1/callbacks/twilio" if base else ""
        return Message(
            page=page.id,
            attempt=call.attempt.id,
            kind=page.kind,
            channel=line.name,
            to=call.attempt.address,
            user=page.user,
            name=call.user.name if call.user else "",
            urgency=incident.urgency if incident else "low",
            title=title,
            text=text,
            body=body,
            spoken=spoken,
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
        )

    async def _body(self, line: Line, incident: Incident, user: User | None, ack_url: str) -> str:
        """The longer text, for mail; read only where it is used."""
        if line.kind.address != "email":
            return headline(incident)
        try:
            alerts = await self.core.store.incident_alerts(incident.number, 10, None)
            zone = user.timezone if user else self.core.settings.defaults.timezone
            return long_text(incident, alerts, self.core.settings, zone, ack_url)
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
            states, effects = await self.core.store.write(lambda tx: self._keep_all(tx, group))
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
                return await self.core.store.write(work)
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
        log.info(
            "attempt", attempt=call.attempt.id, page=call.page.id, incident=call.page.incident, channel=line.name,
            user=call.page.user, outcome=state, because=getattr(one.outcome, "because", ""),
        )  # fmt: skip
        self._health(line, one.outcome)
        if not isinstance(one.outcome, Accepted):
            self.confirm_wake.set()
        if not one.done.done():
            one.done.set_result(None)

    def _health(self, line: Line, outcome: Outcome) -> None:
        match outcome:
            case Accepted():
                if line.succeeded():
                    self.selfcare.recovered(f"channel/{line.name}")
            case Failed(permanent=True, account=False) | Cancelled():
                return
            case Failed(because=because) | Unknown(because=because):
                if line.failed(because):
                    self.selfcare.alarm(f"channel/{line.name}", f"channel {line.name} is failing", because)
        self.core.metrics.channel_healthy.labels(line.name).set(line.healthy)

    def fallback_of(self, channel: str) -> str:
        """The channel to use while this one fails: the first healthy of its fallbacks."""
        names = self.core.settings.fallbacks.get(channel, ())
        healthy = [name for name in names if name in self.lines and self.lines[name].healthy]
        return (healthy or [name for name in names if name in self.lines] or [""])[0]

    # ------------------------------------------------------------------- unknown ones, and a crash

    async def run_confirmations(self) -> None:
        """Unknown attempts whose time to be confirmed is over get their one more attempt; forever."""
        clock = self.core.clock
        while True:
            self.confirm_wake.clear()
            try:
                if not self.core.store.exclusive:
                    await self.recover()
                await self.take_in_stranded()
                while (due := await self.core.store.next_confirmation()) is not None and due <= clock.now():
                    await self._confirm()
            except StoreUnavailable as error:
                log.error("store_unavailable", error=str(error))
                await clock.sleep(BREATH)
                continue
            except Exception as error:  # this loop never ends: it is the second chance of every page
                log.error("confirmations_failed", error=repr(error), exc_info=True)
                await clock.sleep(POLL)
                continue
            rest = Instant(clock.now() + 5 * POLL)
            await clock.wait(self.confirm_wake, rest if due is None else min(due, rest))

    async def _confirm(self) -> None:
        async def work(tx: Tx) -> Effects:
            record = Record(self, tx, None)
            for attempt in await tx.unconfirmed(self.core.clock.now(), 100):
                await record.unconfirmed(attempt)
            return await record.ledger.close()

        effects = await self.core.store.write(work)
        effects.apply(self.core)

    async def recover(self) -> int:
        """Open intents whose process lives no more are unknown; so are those of one that has stood still for long."""
        await self.core.store.hold(self.owner)

        async def work(tx: Tx) -> tuple[int, Effects]:
            record = Record(self, tx, None)
            before = self.core.clock.now() - DEAD_AFTER
            others = [one for one in await tx.open_attempts(None, 1000) if one.owner != self.owner]
            alive = await self.core.store.alive({one.owner for one in others}) if others else set()
            lost = [one for one in others if one.owner not in alive or one.started_at <= before]
            for attempt in lost:
                await record.lost(attempt)
            return len(lost), await record.ledger.close()

        count, effects = await self.core.store.write(work)
        effects.apply(self.core)
        return count

    async def take_in_stranded(self) -> int:
        """Pages planned for channels that are configured no more go another way, or their step is asked again."""

        async def work(tx: Tx) -> tuple[int, Effects]:
            claim = Claim(self, None, tx)
            gone = [name for name in await tx.planned_channels() if name not in self.lines]
            count = 0
            for name in gone:
                count += await claim.take_in(await tx.due_pages(name, FOREVER, STRANDED_AT_ONCE))
            return count, await claim.ledger.close()

        if not self.lines:
            return 0
        count, effects = await self.core.store.write(work)
        effects.apply(self.core)
        return count


def why_not(page: Page, incident: Incident) -> str:
    """Why this page of an incident must not go out now; "" when it may."""
    if page.rule == 0:
        return "" if incident.open else f"the incident is {incident.status}"
    if incident.status != "triggered":
        return f"the incident is {incident.status}"
    if incident.cycle != page.cycle:
        return "a new cycle has begun"
    return f"muted by {incident.muted_by}" if incident.muted_by else ""


def outcome_of(page: Page, attempt: Attempt) -> str:
    """An attempt as a line of the timeline: what became of it, for whom, and why."""
    outcome = f"{attempt.state} for {page.user or page.target}"
    return f"{outcome}: {attempt.because}" if attempt.because else outcome


def place(page: Page) -> tuple[int, bool, int]:
    """Where in its cycle a page stands; the catch-all comes last in its round."""
    return page.round, page.step == 0, page.step


class Claim:
    """One claiming transaction of one channel; without a line it only puts pages where they belong."""

    line: Line

    def __init__(self, pager: Pager, line: Line | None, tx: Tx) -> None:
        self.pager, self.tx = pager, tx
        self.core = pager.core
        self.now = self.core.clock.now()
        self.ledger = Ledger(self.core, tx, self.now)
        self.limits: tuple[Limit, ...] = ()
        if line is not None:
            self.line = line
            self.limits = throttle.limits_for(self.core.settings, line.name, line.kind.throttle)
        self.calls: list[Call] = []
        self.in_vain: list[Page] = []  # pages that find their person or contact gone

    async def run(self, at_most: int) -> list[Call]:
        """Claim what is due of `at_most` pages, as far as slots and limits allow."""
        limit = at_most if self.limits else min(at_most, self.line.free)
        pages = await self.tx.due_pages(self.line.name, self.now, limit)
        await self.ledger.load([page.incident for page in pages if page.incident is not None])
        if not self.core.store.exclusive:
            pages = await self._still_planned(pages)
        fit = await self._away_from_trouble([page for page in pages if self._fits(page)])
        if self.limits:
            await self._each_within_limits(fit)
        else:
            for page in fit[: self.line.free]:
                self._intent(page)
        for page in self.in_vain:
            await self._ask_again(page)
        return self.calls

    async def take_in(self, pages: list[Page]) -> int:
        """Pages of a channel that is no more: each is moved or ended as at a claim."""
        await self.ledger.load([page.incident for page in pages if page.incident is not None])
        if not self.core.store.exclusive:
            pages = await self._still_planned(pages)
        for page in pages:
            self._fits(page)
        vain, self.in_vain = self.in_vain, []
        for page in vain:
            await self._ask_again(page)
        return len(pages)

    async def _away_from_trouble(self, pages: list[Page]) -> list[Page]:
        """That this very channel fails is told over another one, to whoever has one; what stays is returned."""
        staying = []
        for page in pages:
            other = await self._other_contact(page) if self._tells_of_this_channel(page) else None
            if other is None:
                staying.append(page)
                continue
            contact, channel = other
            self.tx.save_pages([replace(page, contact=contact, channel=channel, updated_at=self.now)])
            self.ledger.effects.channels.add(channel)
        return staying

    def _tells_of_this_channel(self, page: Page) -> bool:
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        about = f"{OWN.name}/channel/{self.line.name}"
        return not self.line.healthy and incident is not None and incident.key == about and bool(page.user)

    async def _each_within_limits(self, pages: list[Page]) -> None:
        for user in dict.fromkeys(page.user or page.target for page in pages):
            mine = [page for page in pages if (page.user or page.target) == user]
            if len(self.calls) < self.line.free:
                await self._within_limits(user, mine)

    async def _still_planned(self, pages: list[Page]) -> list[Page]:
        """The same pages, locked, behind their incidents' locks; what another replica took meanwhile is left out."""
        held = await self.tx.pages([page.id for page in pages])
        return [held[page.id] for page in pages if page.id in held and held[page.id].status == "planned"]

    def _fits(self, page: Page) -> bool:
        """Whether the page may still go out as planned; else it is put where it belongs."""
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        if page.kind in ("page", "summary") and page.incident is not None:
            refused = "the incident is gone" if incident is None else why_not(page, incident)
            if refused:
                self._end(page, "cancelled", refused)
                return False
        return self._reachable(page, incident)

    def _reachable(self, page: Page, incident: Incident | None) -> bool:
        if not page.user:
            if page.channel in self.core.settings.channels:
                return True
            self._end(page, "cancelled", "the channel was removed from the configuration")
            self.in_vain.append(page)
            return False
        user = self.core.settings.users.get(page.user)
        contact = user.contacts.get(page.contact) if user is not None else None
        if contact is None:
            self._end(page, "cancelled", "the person or contact was removed from the configuration")
            self.in_vain.append(page)
            return False
        if contact.channel != page.channel and page.channel not in self.core.settings.fallbacks.get(
            contact.channel, ()
        ):
            self.tx.save_pages([replace(page, channel=contact.channel, updated_at=self.now)])
            self.ledger.effects.channels.add(contact.channel)
            return False
        if self.core.is_dead(contact):
            self._end(page, "failed", "the contact cannot be used")
            self.in_vain.append(page)
            return False
        return True

    async def _ask_again(self, page: Page) -> None:
        """Somebody who was to be paged cannot be: the step is asked again, now; what it planned for others stays."""
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        if incident is None or page.kind != "page" or page.rule == 0:
            return
        if incident.status != "triggered" or incident.due_kind not in ("step", "again") or incident.muted_by:
            return
        pages = await self.tx.pages_of(incident.number, page.cycle)
        self._bring_forward(page, pages)
        if any(one.kind == "page" and one.rule > 0 and place(one) > place(page) for one in pages):
            return  # the escalation has gone on since
        kind: DueKind = "step" if page.step else "again"
        self.ledger.put(
            replace(
                incident, round=page.round, step=page.step, due_kind=kind, due_at=self.now, planned_at=self.now,
                version=incident.version + 1,
            )
        )  # fmt: skip

    def _bring_forward(self, page: Page, pages: list[Page]) -> None:
        """Nobody waits for a contact that is passed over: the person's next planned page goes now."""
        later = [one for one in pages
                 if one.user == page.user and one.status == "planned" and one.kind == "page"
                 and one.contact != page.contact and one.due_at > self.now]  # fmt: skip
        for one in sorted(later, key=lambda one: one.due_at)[:1]:
            self.tx.save_pages([replace(one, due_at=self.now)])
            self.ledger.effects.channels.add(one.channel)

    def _end(self, page: Page, status: str, because: str) -> None:
        self.tx.save_pages([replace(page, status=status, updated_at=self.now)])  # type: ignore[arg-type]  # a PageStatus
        self.core.metrics.pages.labels(page.channel, status).inc()
        if page.incident is not None and (incident := self.ledger.get(page.incident)) is not None:
            self.ledger.note(
                incident, f"page_{status}", TOCSIN, "pager", because, page=page.id, user=page.user, contact=page.contact
            )

    # ------------------------------------------------------------------------------- throttle

    async def _within_limits(self, user: str, pages: list[Page]) -> None:
        """As many as there is room for go out one by one; more become one summary in the last slot."""
        sent = await self.tx.sent_since(
            pages[0].user, self.line.name, Instant(self.now - throttle.longest(self.limits))
        )
        waiting = list(pages)
        while waiting:
            page = waiting[0]
            found = throttle.room(sent, self.limits, self.now, urgent=self._urgent(page))
            if isinstance(found, throttle.Later):
                await self._wait(waiting, found, sent)
                return
            sent.append(self.now)
            together = [one for one in waiting if one.kind == "page"]
            last = isinstance(throttle.room(sent, self.limits, self.now, urgent=False), throttle.Later)
            if last and len(together) > 1 and page.kind == "page":
                self._bundle(together)
                waiting = [one for one in waiting if one.kind != "page"]
                continue
            self._intent(waiting.pop(0))

    def _urgent(self, page: Page) -> bool:
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        return incident is not None and incident.priority == "P1"

    async def _wait(self, pages: list[Page], later: throttle.Later, sent: list[Instant]) -> None:
        """No room: until the next slot, at most 60 s; then another channel, or one summary beyond the limit.

        What is not a page (it is over, a test) waits for its slot however long that takes.
        """
        later_ones = [page for page in pages if page.kind != "page"]
        pages = [page for page in pages if page.kind == "page"]
        self._postpone(later_ones, later.at, self.now)
        if not pages:
            return
        since = min(page.updated_at or self.now for page in pages)
        deadline = Instant(since + throttle.PATIENCE)
        if self.now < deadline:
            self._postpone(pages, Instant(min(later.at, deadline)), since)
            return
        pages += await self._put_off(pages)
        other = await self._other_contact(pages[0])
        overflow = throttle.overflow_at(sent, self.limits, self.now)
        if other is not None:
            name, channel = other
            moved = [replace(page, contact=name, channel=channel, due_at=self.now, updated_at=since) for page in pages]
            self.tx.save_pages(moved)
            self.ledger.effects.channels.add(channel)
        elif overflow <= self.now:
            self._bundle(pages)
        else:
            self._postpone(pages, Instant(min(later.at, overflow)), since)

    async def _put_off(self, pages: list[Page]) -> list[Page]:
        """What else waits for a slot of this person on this channel, and was put off to a later instant than these."""
        ids, user = {page.id for page in pages}, pages[0].user
        soon = await self.tx.due_pages(self.line.name, Instant(self.now + throttle.PATIENCE), 200)
        found = [
            one
            for one in soon
            if one.user == user and one.kind == "page" and one.updated_at is not None and one.id not in ids
        ]
        await self.ledger.load([one.incident for one in found if one.incident is not None])
        if not self.core.store.exclusive:
            found = await self._still_planned(found)
        return [one for one in found if self._fits(one)]

    def _postpone(self, pages: list[Page], at: Instant, since: Instant) -> None:
        self.tx.save_pages([replace(page, due_at=at, updated_at=page.updated_at or since) for page in pages])
        for page in pages:
            if page.updated_at is None:
                self.core.metrics.pages_throttled.labels(self.line.name).inc()
                incident = self.ledger.get(page.incident) if page.incident is not None else None
                if incident is not None:
                    self.ledger.note(
                        incident, "page_throttled", TOCSIN, "pager", "the person's limit on this channel is reached",
                        page=page.id, user=page.user, until=at,
                    )  # fmt: skip

    async def _other_contact(self, page: Page) -> tuple[str, str] | None:
        """(contact, channel) of the same person where there is room now."""
        settings = self.core.settings
        user = settings.users.get(page.user)
        if user is None:
            return None
        for contact in usable_contacts(user, settings, self.core.people()):
            line = self.pager.lines.get(contact.channel)
            if contact.channel == self.line.name or line is None or not line.healthy:
                continue
            limits = throttle.limits_for(settings, contact.channel, line.kind.throttle)
            since = Instant(self.now - throttle.longest(limits))
            sent = await self.tx.sent_since(page.user, contact.channel, since) if limits else []
            if isinstance(throttle.room(sent, limits, self.now, urgent=False), throttle.Now):
                return contact.name, contact.channel
        return None

    def _bundle(self, pages: list[Page]) -> None:
        """One message for all of them; each is marked as carried by it."""
        if len(pages) == 1:
            self._intent(pages[0])
            return
        incidents = [self.ledger.get(page.incident) for page in pages if page.incident is not None]
        named = tuple({one.number: one for one in incidents if one is not None}.values())
        lead, *others = pages
        self._intent(lead, named, tuple(others))
        summary = self.calls[-1].attempt
        for page in others:
            self.tx.save_pages([replace(page, status="bundled", tries=page.tries + 1, updated_at=self.now)])
            self.tx.add_attempts([replace(self._attempt(page, summary.address, state="bundled"), ref=summary.id)])
            self.core.metrics.pages.labels(page.channel, "bundled").inc()

    # --------------------------------------------------------------------------------- intent

    def _intent(self, page: Page, bundled: tuple[Incident, ...] = (), carried: tuple[Page, ...] = ()) -> None:
        settings = self.core.settings
        user = settings.users.get(page.user) if page.user else None
        address = user.contacts[page.contact].to if user is not None else self.line.config.to or ""
        attempt = self._attempt(page, address)
        calling = replace(page, status="calling", updated_at=self.now)
        self.tx.add_attempts([attempt])
        self.tx.save_pages([calling])
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        self.calls.append(Call(calling, attempt, incident, user, bundled, carried))

    def _attempt(self, page: Page, address: str, state: str = "open") -> Attempt:
        return Attempt(
            id=self.core.chance.token(),
            page=page.id,
            incident=page.incident,
            channel=self.line.name,
            address=address,
            number=page.tries + page.failures + 1,
            owner=self.pager.owner,
            started_at=self.now,
            state=state,  # type: ignore[arg-type]  # an AttemptState
            ended_at=None if state == "open" else self.now,
        )


class Record:
    """One transaction that keeps what became of attempts."""

    def __init__(self, pager: Pager, tx: Tx, line: Line | None) -> None:
        self.pager, self.tx, self.line = pager, tx, line
        self.core = pager.core
        self.now = self.core.clock.now()
        self.ledger = Ledger(self.core, tx, self.now)

    async def outcome(self, call: Call, outcome: Outcome) -> str:
        """Keep one call's outcome; the attempt's state afterwards."""
        carried = await self._lock_incidents(call.attempt, summary=bool(call.carried))
        attempt, page = await self._read(call.attempt.id, call.page.id)
        return await self.settle(attempt, page, outcome, carried)

    async def settle(self, attempt: Attempt | None, page: Page | None, outcome: Outcome, carried: list[Attempt]) -> str:
        """The same, for rows that are read and incidents that are locked already."""
        if attempt is None or page is None:
            return "gone"
        if attempt.state != "open":
            return self._late(attempt, page, outcome)
        attempt, page = self._ended(attempt, page, outcome)
        self.tx.save_attempts([attempt])
        await self._tell(page, attempt)
        if isinstance(outcome, Cancelled) and carried:
            self._plan_again(page)  # the answer may have been to another one of the summary's incidents
        else:
            await self._follow(page, attempt, outcome)
        await self._share(carried, outcome)
        return attempt.state

    def _late(self, attempt: Attempt, page: Page, outcome: Outcome) -> str:
        """Word of this attempt was here before its outcome: a callback, or another replica that gave it up for lost."""
        if not isinstance(outcome, Accepted):
            return attempt.state
        known = replace(attempt, ref=attempt.ref or clean(outcome.ref, 200))
        if attempt.state == "unknown":
            known = replace(known, state="accepted", confirm_by=None)
            self._no_second(page)
        if known != attempt:
            self.tx.save_attempts([known])
        return known.state

    def _no_second(self, page: Page) -> None:
        """What may have gone out did: a second attempt that was not begun is not needed."""
        if page.status in ("waiting", "planned"):
            self.tx.save_pages([replace(page, status="done", updated_at=self.now)])

    def _ended(self, attempt: Attempt, page: Page, outcome: Outcome) -> tuple[Attempt, Page]:
        ended = replace(attempt, ended_at=self.now)
        tried = replace(page, tries=page.tries + 1)
        match outcome:
            case Accepted(ref):
                return replace(ended, state="accepted", ref=clean(ref, 200)), tried
            case Failed(because, permanent):
                failed = replace(page, failures=page.failures + 1)
                return replace(ended, state="failed", because=clean(because, 500), permanent=permanent), failed
            case Unknown(because):
                return replace(ended, state="unknown", because=clean(because, 500)), tried
            case Cancelled(because):
                return replace(ended, state="cancelled", because=clean(because, 500)), page

    async def _follow(self, page: Page, attempt: Attempt, outcome: Outcome) -> None:
        line = self.line or self.pager.lines.get(page.channel)
        confirms = self._may_be_confirmed(page.channel)
        next_pages = await self._planned_elsewhere(page) if not isinstance(outcome, Accepted | Cancelled) else []
        found = retry.after(
            outcome, page, self.now,
            confirms=confirms, fallback=self.pager.fallback_of(page.channel), more_contacts=bool(next_pages),
        )  # fmt: skip
        if isinstance(outcome, Failed) and outcome.permanent and not outcome.account and page.user and line is not None:
            self._bury_contact(line, attempt, outcome)
        await self._do(page, attempt, found, next_pages)

    async def _share(self, carried: list[Attempt], outcome: Outcome, *, waited: bool = False) -> None:
        """What a summary carried shares its fate, each page for itself; while word of it may come they wait with it."""
        if not carried or isinstance(outcome, Accepted):
            return
        if isinstance(outcome, Unknown) and not waited and self._may_be_confirmed(carried[0].channel):
            return
        pages = await self.tx.pages([one.page for one in carried])
        for one in carried:
            page = pages.get(one.page)
            if page is not None and page.status == "bundled":
                ended, tried = self._ended(one, replace(page, tries=page.tries - 1), outcome)
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
        self.tx.save_pages([replace(page, status="planned", due_at=self.now, updated_at=self.now)])
        self.ledger.effects.channels.add(page.channel)

    def _may_be_confirmed(self, channel: str) -> bool:
        """Whether word may still come of an unknown attempt. After a crash this is asked before the lines are open."""
        settings = self.core.settings
        config = settings.channels.get(channel)
        kind = self.core.kinds.get(config.type) if config is not None else None
        return kind is not None and kind.confirms != "nothing" and bool(settings.server.public_url)

    async def _do(
        self, page: Page, attempt: Attempt, found: retry.Over | retry.Again | retry.Wait, next_pages: list[Page]
    ) -> None:
        match found:
            case retry.Wait(until):
                self.tx.save_pages([replace(page, status="waiting", updated_at=self.now)])
                self.tx.save_attempts([replace(attempt, confirm_by=until)])
            case retry.Again(at, _, channel, next_contact):
                again = replace(page, status="planned", due_at=at, channel=channel or page.channel)
                self.tx.save_pages([again])
                self.ledger.effects.channels.add(again.channel)
                self._hasten(next_pages if next_contact else [])
            case retry.Over(status, _, next_contact):
                self.tx.save_pages([replace(page, status=status, updated_at=self.now)])  # type: ignore[arg-type]  # a PageStatus
                self.core.metrics.pages.labels(page.channel, attempt.state).inc()
                self._hasten(next_pages if next_contact else [])
                if next_contact and not next_pages:
                    await self._escalate_early(page)

    async def _lock_incidents(self, attempt: Attempt, *, summary: bool = True) -> list[Attempt]:
        """Incidents are locked before their pages, by everybody: so that nobody waits in a circle.

        Returns the attempts of the pages that travel in the same message, if it is a summary.
        """
        carried = await self.tx.carried_by(attempt) if summary else []
        await self.ledger.load([one.incident for one in (attempt, *carried) if one.incident is not None])
        return carried

    async def _read(self, attempt: str, page: str) -> tuple[Attempt | None, Page | None]:
        found = await self.tx.attempt(attempt)
        return found, (await self.tx.pages([page])).get(page)

    async def _planned_elsewhere(self, page: Page) -> list[Page]:
        """The person's next planned page of this incident over another contact."""
        if page.kind != "page" or page.incident is None or not page.user:
            return []
        mine = [one for one in await self.tx.pages_of(page.incident, page.cycle)
                if one.user == page.user and one.status == "planned"
                and one.kind == "page" and one.contact != page.contact]  # fmt: skip
        return sorted(mine, key=lambda one: one.due_at)[:1]

    def _hasten(self, pages: list[Page]) -> None:
        for page in pages:
            if page.due_at > self.now:
                self.tx.save_pages([replace(page, due_at=self.now)])
            self.ledger.effects.channels.add(page.channel)

    async def _escalate_early(self, page: Page) -> None:
        """Nothing of this step can reach anybody any more: the next step runs now."""
        if page.kind != "page" or page.incident is None or page.rule == 0:
            return
        await self.ledger.load([page.incident])
        incident = self.ledger.get(page.incident)
        if incident is None or incident.status != "triggered" or incident.cycle != page.cycle or incident.muted_by:
            return
        if incident.due_at is None or incident.due_at <= self.now:
            return
        pages = [one for one in await self.tx.pages_of(page.incident, page.cycle)
                 if one.kind == "page" and one.rule > 0 and one.id != page.id]  # fmt: skip
        if any(place(one) > place(page) for one in pages):
            return  # the escalation has gone on since
        step = [one for one in pages if place(one) == place(page)]
        if any(one.status in ("planned", "calling", "waiting", "done", "bundled") for one in step):
            return
        around = incident.due_kind == "step" and incident.round != page.round
        if around and page.step and not any(one.round == page.round and one.status != "failed" for one in pages):
            self._page_catch_all(page, incident)
            return
        at = Instant(self.now + AROUND) if around or page.step == 0 else self.now
        if at >= incident.due_at:
            return
        after = replace(incident, due_at=at, planned_at=at, version=incident.version + 1)
        self.ledger.put(after)
        self.ledger.note(after, "escalated_early", TOCSIN, "pager", f"no page of step {page.step} got through")

    def _page_catch_all(self, page: Page, incident: Incident) -> None:
        """The last step failed like all before it in this round: the catch-all now, the next round in its time."""
        core, because = self.core, f"no page of round {page.round} got through"
        run = run_catch_all(incident, page.round, core.settings, core.people(), self.now, core.chance.token, because)
        self.ledger.keep(run)

    def _bury_contact(self, line: Line, attempt: Attempt, failed: Failed) -> None:
        """A number that cannot be reached this way: skipped from now on, shown, and alarmed on."""
        state = ContactState(line.config.type, attempt.address, False, failed.because, self.now)
        self.tx.save_contact_state(state)
        self.ledger.effects.contacts.append(state)

    async def _tell(self, page: Page, attempt: Attempt) -> None:
        if page.incident is None:
            return
        await self.ledger.load([page.incident])
        incident = self.ledger.get(page.incident)
        if incident is not None:
            self.ledger.note(
                incident, "attempt", TOCSIN, "pager", outcome_of(page, attempt), attempt.channel, page=page.id,
                attempt=attempt.id, user=page.user, contact=page.contact, outcome=attempt.state,
            )  # fmt: skip

    # ---------------------------------------------------------------- unconfirmed, lost, receipts

    async def unconfirmed(self, attempt: Attempt) -> None:
        """No word within the time: still unknown, so one more attempt or the end."""
        carried = await self._lock_incidents(attempt)
        page = (await self.tx.pages([attempt.page])).get(attempt.page)
        self.tx.save_attempts([replace(attempt, confirm_by=None)])
        if page is None or page.status != "waiting":
            return
        await self._still_unknown(page, attempt)
        await self._share(carried, Unknown(attempt.because), waited=True)

    async def _still_unknown(self, page: Page, attempt: Attempt) -> None:
        next_pages = await self._planned_elsewhere(page)
        found = retry.after_unknown(
            attempt.because, page, self.now, self.pager.fallback_of(page.channel), bool(next_pages)
        )
        await self._do(page, attempt, found, next_pages)

    async def lost(self, attempt: Attempt) -> None:
        """An intent whose process died: it may or may not have gone out."""
        carried = await self._lock_incidents(attempt)
        page = (await self.tx.pages([attempt.page])).get(attempt.page)
        if page is None:
            self.tx.save_attempts([replace(attempt, state="unknown", because="a crash", ended_at=self.now)])
            return
        outcome = Unknown("the process ended with the call under way")
        ended, tried = self._ended(attempt, page, outcome)
        self.tx.save_attempts([ended])
        await self._tell(tried, ended)
        await self._follow(tried, ended, outcome)
        await self._share(carried, outcome)

    async def receipt(self, known: Attempt, state: str, rank: int, error: str | None, dead: bool) -> bool:
        """A delivery state from the provider; False when it is old news. Never moves backwards."""
        carried = await self._lock_incidents(known)
        attempt, page = await self._read(known.id, known.page)
        if attempt is None or rank <= attempt.delivery_rank:
            return False
        heard = replace(attempt, delivery=state, delivery_rank=rank, confirm_by=None)
        if attempt.state in ("open", "unknown"):
            heard = replace(heard, state="accepted", ended_at=attempt.ended_at or self.now)
        self.tx.save_attempts([heard])
        if page is None:
            return True
        last = is_last(attempt, page)
        if attempt.state == "open":
            page = replace(page, tries=page.tries + 1)
        if last and page.status in ("waiting", "calling"):
            page = replace(page, status="done", updated_at=self.now)
            self.tx.save_pages([page])
        self._note_delivery(page, attempt, state, error)
        if state not in NOT_DELIVERED:
            self._no_second(page)
        elif last:
            await self._not_delivered(page, heard, state, error, dead)
            for one in (await self.tx.pages([other.page for other in carried])).values():
                await self._not_delivered(one, heard, state, error, dead=False)
        return True

    def _note_delivery(self, page: Page, attempt: Attempt, state: str, error: str | None) -> None:
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        if incident is not None:
            self.ledger.note(
                incident, "delivery", TOCSIN, "callback", error or "", attempt=attempt.id, state=state, user=page.user
            )

    async def _not_delivered(self, page: Page, attempt: Attempt, state: str, error: str | None, dead: bool) -> None:
        line = self.pager.lines.get(page.channel)
        if dead and line is not None:
            self._bury_contact(line, attempt, Failed(f"{state} ({error})", permanent=True))
        self.tx.save_pages([replace(page, status="failed", updated_at=self.now)])
        next_pages = await self._planned_elsewhere(page)
        self._hasten(next_pages)
        if not next_pages:
            await self._escalate_early(page)


def is_last(attempt: Attempt, page: Page) -> bool:
    """Whether the page's fate hangs on this attempt: no other one was begun or is planned after it."""
    if attempt.state == "open":
        return True
    return page.status in ("waiting", "done") and attempt.number == page.tries + page.failures


NOT_DELIVERED = frozenset({"undelivered", "failed", "busy", "no-answer", "canceled"})
