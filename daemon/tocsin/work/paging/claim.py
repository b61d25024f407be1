"""Which pages go out now, over which contact, alone or as one summary? One claiming transaction.

The claim and the intent are one: the attempt's row is written before the first byte leaves.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.contracts import EVERY_RANK, Tx
from tocsin.decide.incidents.escalation import CODE, URGENT, order_of_claims
from tocsin.decide.oncall.reach import usable_contacts
from tocsin.decide.paging import throttle
from tocsin.decide.paging.other_channel import (
    Both,
    Elsewhere,
    Move,
    Sooner,
    Stay,
    Way,
    copied,
    has_waited,
    keys_over,
    may_keep,
    other_way,
)
from tocsin.decide.paging.swap_notices import asks, overtaken
from tocsin.model import (
    TOCSIN,
    Attempt,
    DueKind,
    Incident,
    Instant,
    Limit,
    Page,
    Priority,
    User,
    rfc3339,
)
from tocsin.work.incidents.self_alerts import OWN
from tocsin.work.ledger import Ledger
from tocsin.work.paging.channels import KEPT, Line
from tocsin.work.paging.delivery import Call, place, why_not, why_stale, why_untold

if TYPE_CHECKING:
    from tocsin.work.paging.pager import Pager


MOST_TOGETHER = 200  # pages that go into a summary in the transaction that claims it
MOST_BEHIND = 500  # pages that join it in each one after that
BELOW_P1 = 2  # the rank behind those of a P1's first page, and of a page that a person asked for
MOST_AT_ONCE = 30  # P1 pages that look for another way in one transaction


def _together(pages: list[Page]) -> list[list[Page]]:
    """What goes in one message where there is no limit: what came here late from a channel that has one, by person."""
    groups: dict[str, list[Page]] = {}
    for page in pages:
        late = page.kind == "page" and page.delayed and page.user
        groups.setdefault(f"user:{page.user}" if late else page.id, []).append(page)
    return list(groups.values())


def _told_together(pages: list[Page]) -> list[Page]:
    """The first of what is no page, and what goes with it: what had to wait to tell that it is over is one message."""
    if pages[0].kind == "update" and pages[0].delayed:
        return [page for page in pages if page.kind == "update"]
    return pages[:1]


def _one_message(incidents: int, pages: int) -> str:
    return f"one message for {incidents} incidents" if incidents > 1 else f"one message for {pages} pages"


def due_below(line: Line) -> int:
    """The rank below which a line can send now: once the slots of what is no page are taken, pages alone; in its last
    slots those of a P1."""
    if line.free <= KEPT:
        return BELOW_P1
    return EVERY_RANK if line.quiet_free > 0 else CODE


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
        self.paged = 0  # calls that are pages; what is none has slots of its own
        self.full = False  # more may be due than was read
        self.in_vain: list[Page] = []  # pages that find their person or contact gone

    async def run(self, at_most: int) -> list[Call]:
        """Claim what is due of `at_most` pages, as far as slots and limits allow."""
        limit, below = at_most if self.limits else min(at_most, self.line.free), due_below(self.line)
        pages = await self.tx.due_pages(self.line.name, self.now, limit)
        self.full = len(pages) == limit
        if limit < at_most and any(page.delayed for page in pages):  # these go together, so all of them
            pages = await self.tx.due_pages(self.line.name, self.now, at_most)
        if pages and pages[-1].rank >= below:
            pages = [page for page in pages if page.rank < below]
        await self.ledger.load([page.incident for page in pages if page.incident is not None])
        if not self.core.store.exclusive:
            pages = await self._still_planned(pages)
        pages = await self._still_asked(pages)
        fit = await self._away_from_trouble([page for page in pages if self._fits(page)])
        if self.limits:
            await self._each_within_limits(fit)
        else:
            for pages in _together(fit):
                if self._has_slot(pages[0]):
                    self._bundle(pages)
        for page in self.in_vain:
            await self._ask_again(page)
        return self.calls

    async def take_in(self, pages: list[Page]) -> int:
        """Pages of a channel that is no more: each is moved or ended as at a claim."""
        await self.ledger.load([page.incident for page in pages if page.incident is not None])
        for page in await self._still_planned(pages):
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
            await self._within_limits(mine)

    def _has_slot(self, page: Page) -> bool:
        """Pages have the line's slots to themselves: what is none leaves by a few of its own, or waits for one."""
        if page.kind in throttle.PAGES:
            return self.paged < self.line.free - (KEPT if page.rank >= BELOW_P1 else 0)
        return len(self.calls) - self.paged < self.line.quiet_free

    async def _still_planned(self, pages: list[Page]) -> list[Page]:
        """The same pages, locked, behind their incidents' locks; what another replica took meanwhile is left out."""
        held = await self.tx.pages([page.id for page in pages])
        return [held[page.id] for page in pages if page.id in held and held[page.id].status == "planned"]

    async def _still_asked(self, pages: list[Page]) -> list[Page]:
        """All but those that ask somebody for a swap which was withdrawn or answered meanwhile."""
        staying = []
        for page in pages:
            swap = asks(page.key) if page.kind == "notice" else ""
            because = overtaken(await self.tx.swap(swap)) if swap else ""
            if because:
                self._end(page, "cancelled", because)
            else:
                staying.append(page)
        return staying

    def _fits(self, page: Page) -> bool:
        """Whether the page may still go out as planned; else it is put where it belongs."""
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        if page.kind in ("page", "summary") and page.incident is not None:
            refused = "the incident is gone" if incident is None else why_not(page, incident)
            if refused:
                self._end(page, "cancelled", refused)
                return False
        if page.kind == "update" and incident is not None and (untold := why_untold(page, incident)):
            self._end(page, "cancelled", untold)
            return False
        stale = why_stale(page, self.now)
        if stale:
            self._end(page, "cancelled", stale)
            return False
        return self._reachable(page, incident)

    def _reachable(self, page: Page, incident: Incident | None) -> bool:
        if not page.user:
            if page.channel in self.core.settings.channels:
                return True
            self._end(page, "cancelled", "the channel was removed from the configuration")
            self._in_vain(page)
            return False
        user = self.core.settings.users.get(page.user)
        contact = user.contacts.get(page.contact) if user is not None else None
        if contact is None:
            self._end(page, "cancelled", "the person or contact was removed from the configuration")
            self._in_vain(page)
            return False
        if contact.channel != page.channel and page.channel not in self.core.settings.fallbacks.get(
            contact.channel, ()
        ):
            self.tx.save_pages([replace(page, channel=contact.channel, updated_at=self.now)])
            self.ledger.effects.channels.add(contact.channel)
            return False
        if self.core.is_dead(contact) and page.kind != "code":  # a code is how it comes back to life
            self._end(page, "failed", "the contact cannot be used")
            self._in_vain(page)
            return False
        return True

    def _in_vain(self, page: Page) -> None:
        """It found its person or contact gone."""
        self.in_vain.append(page)
        self.ledger.untold(page)

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
        told = page.because if page.incident is not None else because  # it has no timeline to tell it
        self.tx.save_pages([replace(page, status=status, updated_at=self.now, because=told)])  # type: ignore[arg-type]  # a PageStatus
        self.core.metrics.pages.labels(page.channel, status).inc()
        self.ledger.lost(page)
        if page.incident is not None and (incident := self.ledger.get(page.incident)) is not None:
            self.ledger.note(
                incident, f"page_{status}", TOCSIN, "pager", because, page=page.id, user=page.user, contact=page.contact
            )

    # ------------------------------------------------------------------------------- throttle

    async def _within_limits(self, pages: list[Page]) -> None:
        """As many as there is room for go out one by one; more become one summary in the last slot."""
        user = pages[0].user
        others = [page for page in pages if page.kind not in throttle.PAGES]
        pages = [page for page in pages if page.kind in throttle.PAGES]
        if pages and self._has_slot(pages[0]):
            await self._pages_within_limits(pages, await self._sent(user, throttle.PAGES))
        if others and self._has_slot(others[0]):
            await self._others_within_limits(others, await self._sent(user))

    async def _sent(self, user: str, kinds: Collection[str] = ()) -> list[Instant]:
        since = Instant(self.now - throttle.longest(self.limits))
        return await self.tx.sent_since(user, self.line.name, since, kinds)

    async def _others_within_limits(self, pages: list[Page], sent: list[Instant]) -> None:
        """That it is over, notices, tests and codes take the room that is left, and wait for it however long that
        takes. They never take a page's: no page asks what of these went out."""
        sent += [self.now] * sum(call.page.user == pages[0].user for call in self.calls)
        while pages:
            found = throttle.room(sent, self.limits, self.now, urgent=False)
            if isinstance(found, throttle.Later):
                self._postpone(pages, found.at, self.now)
                return
            if not self._has_slot(pages[0]):
                return
            sent.append(self.now)
            together = _told_together(pages)
            self._bundle(together)
            gone = {one.id for one in together}
            pages = [one for one in pages if one.id not in gone]

    async def _pages_within_limits(self, pages: list[Page], sent: list[Instant]) -> None:
        waiting = list(pages)
        while waiting and self._has_slot(waiting[0]):
            page = waiting[0]
            found = throttle.room(sent, self.limits, self.now, urgent=self._urgent(page))
            if isinstance(found, throttle.Later):
                await self._wait(waiting, found, sent)
                return
            sent.append(self.now)
            late = [one for one in waiting if one.delayed]
            if page.delayed and len(late) > 1:  # what had to wait for this slot goes in one message
                await self._bundle_all(late)
                gone = {one.id for one in late}
                waiting = [one for one in waiting if one.id not in gone]
                continue
            last = isinstance(throttle.room(sent, self.limits, self.now, urgent=False), throttle.Later)
            if last and len(waiting) > 1:
                self._bundle(waiting)
                return
            self._intent(waiting.pop(0))

    def _priority(self, page: Page) -> Priority:
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        return incident.priority if incident is not None else "P5"

    def _urgent(self, page: Page) -> bool:
        return self._priority(page) == "P1"

    async def _wait(self, pages: list[Page], later: throttle.Later, sent: list[Instant]) -> None:
        """No room: until the next slot, at most 60 s; then another channel, or one summary beyond the limit."""
        pages = await self._other_way_for_p1(pages, later)
        pages = await self._without_those_told_elsewhere(pages, later)
        if not pages:
            return
        since = min(page.updated_at or self.now for page in pages)
        deadline = Instant(since + throttle.PATIENCE)
        if self.now < deadline:
            at = Instant(min(later.at, deadline))
            self._postpone(pages, at, since, later.because)
            await self._put_off_the_rest(pages[0].user, at, later.because)
            return
        pages += await self._put_off(pages)
        other = await self._other_contact(pages[0])
        overflow = throttle.overflow_at(sent, self.limits, self.now)
        if other is not None:
            await self._over(pages, other, since, later, later.because)
        elif overflow <= self.now:
            await self._bundle_all(pages)
        else:
            self._postpone(pages, Instant(min(later.at, overflow)), since, later.because)

    async def _other_way_for_p1(self, pages: list[Page], later: throttle.Later) -> list[Page]:
        """A P1 does not wait: it goes over another channel of theirs that has room. What waits is returned."""
        urgent = [page for page in pages if self._urgent(page) and not page.delayed][:MOST_AT_ONCE]
        other = await self._other_contact(urgent[0]) if urgent else None
        if other is None:
            return pages
        because = f"the limit of {self.line.name} is reached, and a P1 does not wait"
        await self._over(urgent, other, self.now, later, because)
        gone = {page.id for page in urgent}
        return [page for page in pages if page.id not in gone]

    async def _without_those_told_elsewhere(self, pages: list[Page], later: throttle.Later) -> list[Page]:
        """A page that went out another way and kept its place waits for that, however long it takes."""
        user = self.core.settings.users.get(pages[0].user) if pages else None
        kept = [page for page in pages if may_keep(self._priority(page)) and has_waited(page, self.now)]
        if user is None or not kept:
            return pages
        elsewhere = await self._elsewhere(kept, user)
        told = {page.id: page for page in kept if elsewhere.told(page, user)}
        self._postpone(list(told.values()), later.at, self.now, later.because)
        return [page for page in pages if page.id not in told]

    async def _elsewhere(self, pages: Sequence[Page], user: User) -> Elsewhere:
        """What the person has of these pages' incidents over other contacts."""
        keys = {key for page in pages for name in user.contacts for key in keys_over(page, name, user)}
        unsent = await self.tx.unsent_pages(sorted({page.incident for page in pages if page.incident is not None}))
        later = [one for one in unsent if one.user == user.key and one.status == "planned" and one.due_at > self.now]
        return Elsewhere(await self.tx.page_keys(sorted(keys)), later)

    async def _over(
        self, pages: list[Page], other: tuple[str, str], since: Instant, later: throttle.Later, because: str
    ) -> None:
        """Each page over that contact, over both, or in its turn: see `decide/paging/other_channel.py`."""
        contact, channel = other
        user, kinds = self.core.settings.users[pages[0].user], self._kinds(channel)
        keeping = [page for page in pages if may_keep(self._priority(page))]
        elsewhere = await self._elsewhere(keeping, user) if keeping else Elsewhere((), ())
        ways = [(page, other_way(page, user, contact, self._priority(page), kinds, elsewhere)) for page in pages]
        self._move([page for page, way in ways if isinstance(way, Move)], contact, channel, since, because)
        for page, way in ways:
            self._go_ahead(page, way, contact, channel, since, because)
        self._postpone([page for page, way in ways if not isinstance(way, Move)], later.at, since, because)

    def _kinds(self, channel: str) -> tuple[str, str]:
        other = self.pager.lines.get(channel)
        return self.line.kind.throttle, other.kind.throttle if other is not None else ""

    def _go_ahead(self, page: Page, way: Way, contact: str, channel: str, since: Instant, because: str) -> None:
        """What goes out over the other contact while the page itself waits for its slot."""
        match way:
            case Sooner(planned):
                self.tx.save_pages([replace(planned, due_at=self.now)])
                self.ledger.effects.channels.add(planned.channel)
            case Both():
                delayed = throttle.delay(since, because)
                self.tx.add_pages([copied(page, self.core.chance.token(), contact, channel, self.now, since, delayed)])
                self.ledger.effects.channels.add(channel)
                told = f"{because}: {channel} now, and {page.channel} in its turn"
                self._note(page, "page_moved", told, to=channel)
            case Move() | Stay():
                pass

    def _move(self, pages: list[Page], contact: str, channel: str, since: Instant, because: str) -> None:
        """Over another contact of the same person, now; there they are one message."""
        if not pages:
            return
        self.tx.save_pages(
            [
                replace(
                    page, contact=contact, channel=channel, due_at=self.now, updated_at=since,
                    delayed=page.delayed or throttle.delay(since, because),
                )
                for page in pages
            ]
        )  # fmt: skip
        self.ledger.effects.channels.add(channel)
        for page in pages:
            self._note(page, "page_moved", f"{because}: {channel} instead of {page.channel}", to=channel)

    async def _put_off_the_rest(self, user: str, at: Instant, because: str) -> None:
        """There may be thousands more of them: all at once, so that nobody else waits behind them."""
        if self.full and user:
            told = f"{because}: waits until {rfc3339(at)} at the latest"
            delayed = throttle.delay(self.now, because)
            count = await self.tx.put_off(self.line.name, user, self.now, at, told, delayed, URGENT)
            self.core.metrics.pages_throttled.labels(self.line.name).inc(count)

    async def _put_off(self, pages: list[Page]) -> list[Page]:
        """What else waits for a slot of this person on this channel, and was put off to a later instant than these."""
        ids, user = {page.id for page in pages}, pages[0].user
        until = Instant(self.now + throttle.PATIENCE)
        soon = await self.tx.late_pages(self.line.name, user, until, MOST_TOGETHER) if user else []
        found = [one for one in soon if one.id not in ids]
        await self.ledger.load([one.incident for one in found if one.incident is not None])
        if not self.core.store.exclusive:
            found = await self._still_planned(found)
        return [one for one in found if self._fits(one)]

    def _postpone(self, pages: list[Page], at: Instant, since: Instant, because: str = "the limit is reached") -> None:
        self.tx.save_pages(
            [
                replace(
                    page, due_at=at, updated_at=page.updated_at or since,
                    delayed=page.delayed or throttle.delay(since, because),
                )
                for page in pages
            ]
        )  # fmt: skip
        for page in pages:
            if page.updated_at is None:
                self.core.metrics.pages_throttled.labels(self.line.name).inc()
                self._note(page, "page_throttled", f"{because}: waits until {rfc3339(at)} at the latest", until=at)

    def _note(self, page: Page, kind: str, because: str, **detail: object) -> None:
        incident = self.ledger.get(page.incident) if page.incident is not None else None
        if incident is not None:
            self.ledger.note(
                incident, kind, TOCSIN, "pager", because, page.channel, page=page.id, user=page.user, **detail
            )

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
            sent = await self.tx.sent_since(page.user, contact.channel, since, throttle.PAGES) if limits else []
            if isinstance(throttle.room(sent, limits, self.now, urgent=False), throttle.Now):
                return contact.name, contact.channel
        return None

    async def _bundle_all(self, pages: list[Page]) -> None:
        """One message for all of them and for all that wait with them: what has no room here joins it behind."""
        more, user, until = 0, pages[0].user, Instant(self.now + throttle.PATIENCE)
        if user and (self.full or len(pages) >= MOST_TOGETHER):
            late = await self.tx.count_late_pages(self.line.name, user, until)
            more = max(0, late - sum(bool(page.delayed) for page in pages))
        self._bundle(pages, more)
        if more:  # nobody claims them meanwhile
            because = "joins the summary that is on its way"
            delayed = throttle.delay(self.now, because)
            await self.tx.put_off(self.line.name, user, self.now, until, because, delayed, URGENT)

    def _bundle(self, pages: list[Page], more: int = 0) -> None:
        """One message for all of them; each is marked as carried by it."""
        if len(pages) == 1:
            self._intent(pages[0])
            return
        incidents = [self.ledger.get(page.incident) for page in pages if page.incident is not None]
        named = tuple({one.number: one for one in incidents if one is not None}.values())
        lead, *others = sorted(pages, key=order_of_claims)
        self._intent(lead, named if len(named) + more > 1 else (), tuple(others))
        self.calls[-1] = replace(self.calls[-1], more=more)
        self._carry(others, self.calls[-1].attempt, _one_message(len(named) + more, len(pages)))

    async def join(self, call: Call) -> int:
        """More pages join a summary that is on its way; how many there were. None does when it did not go out."""
        summary = await self.tx.attempt(call.attempt.id)
        if summary is None or summary.state not in ("open", "accepted"):
            return 0
        until = Instant(call.attempt.started_at + throttle.PATIENCE)
        pages = await self.tx.late_pages(self.line.name, call.page.user, until, MOST_BEHIND)
        await self.ledger.load([page.incident for page in pages if page.incident is not None])
        if not self.core.store.exclusive:
            pages = await self._still_planned(pages)
        fit = [page for page in pages if page.id != call.page.id and self._fits(page)]
        self._carry(fit, call.attempt, _one_message(len(call.bundled) + call.more, len(call.carried) + 1))
        return len(pages)

    def _carry(self, others: Sequence[Page], summary: Attempt, because: str) -> None:
        for page in others:
            told = f"{page.delayed}; {because}" if page.delayed else throttle.delay(self.now, because)
            bundled = replace(page, status="bundled", tries=page.tries + 1, updated_at=self.now, delayed=told)
            self.tx.save_pages([bundled])
            self._note(page, "page_bundled", because, attempt=summary.id)
            carried = self._attempt(page, summary.address, state="bundled")
            self.tx.add_attempts([replace(carried, started_at=summary.started_at, ref=summary.id)])
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
        self.paged += page.kind in throttle.PAGES

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
