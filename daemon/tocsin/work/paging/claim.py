"""Claim due pages in one transaction: read what is due, ask the plan what becomes of it, do that.

The claim and the intent are one: the attempt's row is written before the first byte leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from tocsin.contracts import Tx
from tocsin.decide.incidents.escalation import URGENT
from tocsin.decide.oncall.reach import People
from tocsin.decide.paging import throttle
from tocsin.decide.paging.delivery_plan import (
    Alone,
    Alternatives,
    Answer,
    ChannelFacts,
    Copied,
    Ended,
    Hastened,
    Held,
    Moved,
    NoRoom,
    OtherWay,
    PersonFacts,
    Plan,
    Postponed,
    Rerouted,
    Slots,
    Together,
    groups,
    other_contacts,
    plan,
    why_not_as_planned,
)
from tocsin.decide.paging.other_channel import keys_over, may_keep
from tocsin.decide.paging.swap_notices import asks, overtaken
from tocsin.model import TOCSIN, Attempt, AttemptState, DueKind, Incident, Instant, Page, changed, rfc3339
from tocsin.work.incidents.self_alerts import OWN
from tocsin.work.ledger import Ledger
from tocsin.work.paging.channels import KEPT, Line, Lines
from tocsin.work.paging.delivery import Delivery, place_in_cycle
from tocsin.work.runtime import Runtime

MOST_TOGETHER = 200  # pages that go into a summary in the transaction that claims it
MOST_BEHIND = 500  # pages that join it in each one after that


def free_slots(line: Line) -> Slots:
    """The calls that may begin on this line now."""
    return Slots(line.free, line.quiet_free, KEPT)


class Claim:
    """A claiming transaction of one channel. `owner`: the process that makes the calls."""

    def __init__(self, runtime: Runtime, lines: Lines, line: Line, owner: str, tx: Tx) -> None:
        self.runtime, self.lines, self.line, self.owner, self.tx = runtime, lines, line, owner, tx
        self.now = runtime.clock.now()
        self.ledger = Ledger(runtime, tx, self.now)
        self.deliveries: list[Delivery] = []
        self._incidents: dict[int, Incident] = {}
        self._overtaken: dict[str, str] = {}
        self._facts = ChannelFacts(
            line.name,
            line.kind.throttle,
            throttle.limits_for(runtime.settings, line.name, line.kind.throttle),
            runtime.settings,
            People(unusable=runtime.is_dead),
            self._incidents,
            "" if line.healthy else f"{OWN.name}/channel/{line.name}",
            self._overtaken,
        )
        self._withdrawals = Withdrawals(runtime, tx, self.ledger, self.now)
        self._full = False  # more may be due than was read

    async def run(self, at_most: int) -> list[Delivery]:
        """Claim what is due of `at_most` pages, as far as slots and limits allow."""
        slots = free_slots(self.line)
        due = await self._due(at_most, slots)
        for pages in groups(due, self._facts):
            planned = await self._plan(pages, slots)
            slots = planned.slots
            for answer in planned.answers:
                await self._do(answer)
        await self._withdrawals.ask_again()
        return self.deliveries

    async def join(self, delivery: Delivery) -> int:
        """More pages join a summary that is on its way; how many there were. None does when it did not go out."""
        summary = await self.tx.attempt(delivery.attempt.id)
        if summary is None or summary.state not in ("open", "accepted"):
            return 0
        until = Instant(delivery.attempt.started_at + throttle.PATIENCE)
        late = await self.tx.late_pages(self.line.name, delivery.page.user, until, MOST_BEHIND)
        pages = await self._held(late)
        joining = []
        for page in pages:
            answer = why_not_as_planned(page, self._facts, self.now)
            if answer is not None:
                self._withdrawals.do(answer)
            elif page.id != delivery.page.id:
                joining.append(page)
        because = _one_message(len(delivery.bundled) + delivery.more, len(delivery.carried) + 1)
        self._carry(joining, delivery.attempt, because)
        return len(pages)

    # ------------------------------------------------------------------------------ the facts

    async def _due(self, at_most: int, slots: Slots) -> list[Page]:
        """Pages that are due and can leave at all, with their incidents locked."""
        limits = self._facts.limits
        limit = at_most if limits else min(at_most, self.line.free)
        pages = await self.tx.due_pages(self.line.name, self.now, limit)
        self._full = len(pages) == limit
        if limit < at_most and any(page.delayed for page in pages):  # these go together, so all of them
            pages = await self.tx.due_pages(self.line.name, self.now, at_most)
        if pages and pages[-1].rank >= slots.below:
            pages = [page for page in pages if page.rank < slots.below]
        return await self._held(pages)

    async def _held(self, pages: list[Page]) -> list[Page]:
        """The pages that are still planned, behind their incidents' locks, with all that decides about them."""
        exclusive = self.runtime.store.exclusive
        pages = await still_planned(pages, self.tx, self.ledger, self._incidents, exclusive=exclusive)
        for page in pages:
            if page.kind == "notice" and (swap := asks(page.key)):
                self._overtaken[page.key] = overtaken(await self.tx.swap(swap))
        return pages

    async def _plan(self, pages: Sequence[Page], slots: Slots) -> Plan:
        facts, now, sent = self._facts, self.now, PersonFacts()
        if facts.limits and any(slots.have_room(page) for page in pages):
            quiet = any(page.kind not in throttle.PAGES for page in pages)
            sent = PersonFacts(
                await self._sent(pages[0].user, throttle.PAGES), await self._sent(pages[0].user) if quiet else ()
            )
        planned = plan(pages, facts, sent, slots, now)
        if isinstance(planned, NoRoom):
            planned = plan(pages, facts, replace(sent, alternatives=await self._alternatives(planned)), slots, now)
        assert isinstance(planned, Plan)
        return planned

    async def _sent(self, user: str, kinds: Collection[str] = ()) -> list[Instant]:
        since = Instant(self.now - throttle.longest(self._facts.limits))
        return await self.tx.sent_since(user, self.line.name, since, kinds)

    async def _alternatives(self, no_room: NoRoom) -> Alternatives:
        """Read what else is known of a person whose pages find no room: other contacts up to the first with room, what
        they were told there, and where the pages are overdue what was put off behind them."""
        page = no_room.pages[0]
        put_off: list[Page] = []
        if no_room.overdue and page.user:
            until = Instant(self.now + throttle.PATIENCE)
            ids = {page.id for page in no_room.pages}
            late = await self.tx.late_pages(self.line.name, page.user, until, MOST_TOGETHER)
            put_off = await self._held([other for other in late if other.id not in ids])
        user = self.runtime.settings.users.get(page.user)
        keeping = [other for other in (*no_room.pages, *put_off) if may_keep(self._facts.priority_of(other))]
        if user is None or not keeping:
            return Alternatives(await self._ways(page), put_off=put_off)
        keys = {key for other in keeping for name in user.contacts for key in keys_over(other, name, user)}
        numbers = sorted({other.incident for other in keeping if other.incident is not None})
        later = [
            other for other in await self.tx.unsent_pages(numbers)
            if other.user == user.key and other.status == "planned" and other.due_at > self.now
        ]  # fmt: skip
        return Alternatives(await self._ways(page), await self.tx.page_keys(sorted(keys)), later, put_off)

    async def _ways(self, page: Page) -> list[OtherWay]:
        ways: list[OtherWay] = []
        for contact in other_contacts(page, self._facts):
            line = self.lines.get(contact.channel)
            if line is None or not line.healthy:
                continue
            limits = throttle.limits_for(self.runtime.settings, contact.channel, line.kind.throttle)
            since = Instant(self.now - throttle.longest(limits))
            sent = await self.tx.sent_since(page.user, contact.channel, since, throttle.PAGES) if limits else ()
            ways.append(OtherWay(contact.name, contact.channel, line.kind.throttle, limits, sent))
            if ways[-1].has_room(self.now):
                break
        return ways

    # ----------------------------------------------------------------------------- the deeds

    async def _do(self, answer: Answer) -> None:
        match answer:
            case Alone(page):
                self._intend(page)
            case Together(pages, and_rest=and_rest):
                await self._bundle(pages, and_rest=and_rest)
            case Postponed():
                await self._postpone(answer)
            case Moved(pages, _, channel, because=because):
                self._change(answer.after(), channel)
                for page in pages:
                    self._note(page, "page_moved", f"{because}: {channel} instead of {page.channel}", to=channel)
            case Copied(page, _, channel, because=because):
                self.tx.add_pages([answer.after(self.runtime.chance.token())])
                self.ledger.effects.channels.add(channel)
                self._note(page, "page_moved", f"{because}: {channel} now, and {page.channel} in its turn", to=channel)
            case Hastened(page):
                self._change([changed(page, due_at=self.now)], page.channel)
            case Rerouted() | Ended():
                self._withdrawals.do(answer)
            case Held():
                pass

    def _change(self, pages: list[Page], channel: str) -> None:
        self.tx.save_pages(pages)
        self.ledger.effects.channels.add(channel)

    async def _postpone(self, answer: Postponed) -> None:
        """Put off those pages; there may be thousands more, which are put off all at once so that nobody else waits
        behind them."""
        self.tx.save_pages(answer.after())
        throttled = self.runtime.metrics.pages_throttled.labels(self.line.name)
        told = f"{answer.because}: waits until {rfc3339(answer.until)} at the latest"
        for page in answer.pages:
            if page.updated_at is None:
                throttled.inc()
                self._note(page, "page_throttled", told, until=answer.until)
        user = answer.pages[0].user
        if answer.and_rest and self._full and user:
            delayed = throttle.delay(self.now, answer.because)
            throttled.inc(await self.tx.put_off(self.line.name, user, self.now, answer.until, told, delayed, URGENT))

    async def _bundle(self, pages: Sequence[Page], *, and_rest: bool) -> None:
        """Put these pages into one message, each marked as carried by the first; what has no room here joins it
        behind."""
        lead, *others = pages
        more, until = 0, Instant(self.now + throttle.PATIENCE)
        if and_rest and lead.user and (self._full or len(pages) >= MOST_TOGETHER):
            late = await self.tx.count_late_pages(self.line.name, lead.user, until)
            more = max(0, late - sum(bool(page.delayed) for page in pages))
        named = {incident.number: incident for page in pages if (incident := self._facts.incident_of(page)) is not None}
        bundled = tuple(named.values()) if len(named) + more > 1 else ()
        delivery = self._intend(lead, bundled, tuple(others), more)
        self._carry(others, delivery.attempt, _one_message(len(named) + more, len(pages)))
        if more:  # nobody claims them meanwhile
            because = "joins the summary that is on its way"
            delayed = throttle.delay(self.now, because)
            await self.tx.put_off(self.line.name, lead.user, self.now, until, because, delayed, URGENT)

    def _carry(self, others: Sequence[Page], summary: Attempt, because: str) -> None:
        for page in others:
            told = f"{page.delayed}; {because}" if page.delayed else throttle.delay(self.now, because)
            bundled = changed(page, status="bundled", tries=page.tries + 1, updated_at=self.now, delayed=told)
            self.tx.save_pages([bundled])
            self._note(page, "page_bundled", because, attempt=summary.id)
            carried = self._attempt(page, summary.address, state="bundled")
            self.tx.add_attempts([changed(carried, started_at=summary.started_at, ref=summary.id)])
            self.runtime.metrics.pages.labels(page.channel, "bundled").inc()

    def _intend(
        self, page: Page, bundled: tuple[Incident, ...] = (), carried: tuple[Page, ...] = (), more: int = 0
    ) -> Delivery:
        """Write the intent of a call, before any byte leaves."""
        user = self.runtime.settings.users.get(page.user) if page.user else None
        address = user.contacts[page.contact].to if user is not None else self.line.config.to or ""
        attempt = self._attempt(page, address)
        calling = changed(page, status="calling", updated_at=self.now)
        self.tx.add_attempts([attempt])
        self.tx.save_pages([calling])
        delivery = Delivery(self.line, calling, attempt, self._facts.incident_of(page), user, bundled, carried, more)
        self.deliveries.append(delivery)
        return delivery

    def _attempt(self, page: Page, address: str, state: AttemptState = "open") -> Attempt:
        return Attempt(
            id=self.runtime.chance.token(),
            page=page.id,
            incident=page.incident,
            channel=self.line.name,
            address=address,
            number=page.tries + page.failures + 1,
            owner=self.owner,
            started_at=self.now,
            state=state,
            ended_at=None if state == "open" else self.now,
        )

    def _note(self, page: Page, kind: str, because: str, **detail: object) -> None:
        incident = self._facts.incident_of(page)
        if incident is not None:
            self.ledger.note(
                incident, kind, TOCSIN, "pager", because, page.channel, page=page.id, user=page.user, **detail
            )


class Withdrawals:
    """Pages that do not go out as planned: they end, or move to the channel where they belong."""

    def __init__(self, runtime: Runtime, tx: Tx, ledger: Ledger, now: Instant) -> None:
        self.runtime, self.tx, self.ledger, self.now = runtime, tx, ledger, now
        self._in_vain: list[Page] = []  # pages that found their person or contact gone

    def do(self, answer: Ended | Rerouted) -> None:
        page = answer.page
        match answer:
            case Rerouted(_, contact, channel):
                self.tx.save_pages([changed(page, contact=contact, channel=channel, updated_at=self.now)])
                self.ledger.effects.channels.add(channel)
            case Ended():
                self._end(page, answer)
                if answer.in_vain:
                    self._in_vain.append(page)
                    self.ledger.untold(page)

    def _end(self, page: Page, answer: Ended) -> None:
        status, because = answer.status, answer.because
        told = page.because if page.incident is not None else because  # it has no timeline to tell it
        self.tx.save_pages([changed(page, status=status, updated_at=self.now, because=told)])
        self.runtime.metrics.pages.labels(page.channel, status).inc()
        self.ledger.lost(page)
        if page.incident is not None and (incident := self.ledger.get(page.incident)) is not None:
            self.ledger.note(
                incident, f"page_{status}", TOCSIN, "pager", because, page=page.id, user=page.user, contact=page.contact
            )

    async def ask_again(self) -> None:
        """Ask the steps of pages that found nobody again, now; what they planned for others
        stays."""
        for page in self._in_vain:
            await self._ask_again(page)
        self._in_vain.clear()

    async def _ask_again(self, page: Page) -> None:
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        if incident is None or page.kind != "page" or page.rule == 0:
            return
        if incident.status != "triggered" or incident.due_kind not in ("step", "again") or incident.muted_by:
            return
        pages = await self.tx.pages_of(incident.number, page.cycle)
        self._bring_forward(page, pages)
        planned = (other for other in pages if other.kind == "page" and other.rule > 0)
        if any(place_in_cycle(other) > place_in_cycle(page) for other in planned):
            return  # the escalation has gone on since
        kind: DueKind = "step" if page.step else "again"
        self.ledger.put(
            replace(
                incident, round=page.round, step=page.step, due_kind=kind, due_at=self.now, planned_at=self.now,
                version=incident.version + 1,
            )
        )  # fmt: skip

    def _bring_forward(self, page: Page, pages: list[Page]) -> None:
        """Send the person's next planned page now: nobody waits for a contact that is passed over."""
        later = [other for other in pages
                 if other.user == page.user and other.status == "planned" and other.kind == "page"
                 and other.contact != page.contact and other.due_at > self.now]  # fmt: skip
        for other in sorted(later, key=lambda other: other.due_at)[:1]:
            self.tx.save_pages([changed(other, due_at=self.now)])
            self.ledger.effects.channels.add(other.channel)


async def still_planned(
    pages: list[Page], tx: Tx, ledger: Ledger, incidents: dict[int, Incident], *, exclusive: bool
) -> list[Page]:
    """The pages behind their incidents' locks, but for what another replica took meanwhile; fills `incidents`."""
    numbers = [page.incident for page in pages if page.incident is not None]
    await ledger.load(numbers)
    incidents.update((number, incident) for number in numbers if (incident := ledger.get(number)) is not None)
    if exclusive:
        return pages
    held = await tx.pages([page.id for page in pages])
    return [held[page.id] for page in pages if page.id in held and held[page.id].status == "planned"]


def _one_message(incidents: int, pages: int) -> str:
    return f"one message for {incidents} incidents" if incidents > 1 else f"one message for {pages} pages"
