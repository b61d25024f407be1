"""Which pages go out now, over which contact, alone or as one summary? One claiming transaction.

The claim and the intent are one: the attempt's row is written before the first byte leaves.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import TYPE_CHECKING

from tocsin.contracts import Tx
from tocsin.decide import throttle
from tocsin.decide.escalation import order_of_claims, usable_contacts
from tocsin.model import (
    TOCSIN,
    Attempt,
    DueKind,
    Incident,
    Instant,
    Limit,
    Page,
)
from tocsin.work.calls import Call, place, why_not, why_stale
from tocsin.work.channels import Line
from tocsin.work.ledger import Ledger
from tocsin.work.selfcare import OWN

if TYPE_CHECKING:
    from tocsin.work.pager import Pager


ABOUT_INCIDENTS = ("page", "summary", "update")  # what takes a slot of these; the rest waits until there is room


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
                await self._within_limits(mine)

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
        if self.core.is_dead(contact) and page.kind != "code":  # a code is how it comes back to life
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
        told = page.because if page.incident is not None else because  # it has no timeline to tell it
        self.tx.save_pages([replace(page, status=status, updated_at=self.now, because=told)])  # type: ignore[arg-type]  # a PageStatus
        self.core.metrics.pages.labels(page.channel, status).inc()
        if page.incident is not None and (incident := self.ledger.get(page.incident)) is not None:
            self.ledger.note(
                incident, f"page_{status}", TOCSIN, "pager", because, page=page.id, user=page.user, contact=page.contact
            )

    # ------------------------------------------------------------------------------- throttle

    async def _within_limits(self, pages: list[Page]) -> None:
        """As many as there is room for go out one by one; more become one summary in the last slot."""
        paged = await self._sent(pages[0].user, ABOUT_INCIDENTS)
        others = [page for page in pages if page.kind not in ABOUT_INCIDENTS]
        await self._pages_within_limits([page for page in pages if page.kind in ABOUT_INCIDENTS], paged)
        if others:
            await self._others_within_limits(others, await self._sent(pages[0].user))

    async def _sent(self, user: str, kinds: Collection[str] = ()) -> list[Instant]:
        since = Instant(self.now - throttle.longest(self.limits))
        return await self.tx.sent_since(user, self.line.name, since, kinds)

    async def _others_within_limits(self, pages: list[Page], sent: list[Instant]) -> None:
        """Notices, tests and codes take the room that is left and wait for it; they never take a page's."""
        sent += [self.now] * sum(call.page.user == pages[0].user for call in self.calls)
        for page in pages:
            found = throttle.room(sent, self.limits, self.now, urgent=False)
            if isinstance(found, throttle.Later):
                self._postpone([page], found.at, self.now)
            else:
                sent.append(self.now)
                self._intent(page)

    async def _pages_within_limits(self, pages: list[Page], sent: list[Instant]) -> None:
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
            sent = await self.tx.sent_since(page.user, contact.channel, since, ABOUT_INCIDENTS) if limits else []
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
        lead, *others = sorted(pages, key=order_of_claims)
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
