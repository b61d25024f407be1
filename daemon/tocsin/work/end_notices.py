"""Tell those who were paged that it is over: once each, as they were paged, but never by a call.

Who is being called at the moment of the end hears of it when that call has ended; a message that does not get through
goes another way.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from tocsin.contracts import Tx
from tocsin.decide.incidents.escalation import UPDATE
from tocsin.decide.oncall.reach import usable_contacts
from tocsin.decide.page_texts import over_text
from tocsin.model import Contact, Incident, Instant, Page
from tocsin.work.runtime import Runtime

SPOKEN = frozenset({"twilio_voice"})


class EndNotices:
    """Messages about an end: `of` an incident, in the transaction that ends it or its call; `again` for what failed."""

    def __init__(self, runtime: Runtime, tx: Tx, now: Instant) -> None:
        self.runtime, self.tx, self.now = runtime, tx, now

    async def of(self, incident: Incident) -> list[Page]:
        """Plan an update for each person and channel target that a page may have reached and that was not told yet."""
        if not self.runtime.settings.defaults.notify_resolved:
            return []
        pages = await self.tx.pages_of(incident.number)
        told = {page.target for page in pages if page.kind == "update" and page.cycle == incident.cycle}
        called = await self._being_called(pages)
        heard = [page for page in pages if page.kind == "page" and (page.tries > 0 or page.status == "bundled")]
        targets = [target for target in dict.fromkeys(page.target for page in heard) if target not in told | called]
        return list(self._updates(incident, heard, targets))

    async def _being_called(self, pages: Sequence[Page]) -> set[str]:
        """Targets of calls that are under way, by themselves or within a summary."""
        called = {page.target for page in pages if page.kind == "page" and page.status == "calling"}
        for page in pages:
            if page.status == "bundled" and page.target not in called:
                attempts = await self.tx.attempts_of(page.id)
                summary = await self.tx.attempt(attempts[-1].ref) if attempts and attempts[-1].ref else None
                if summary is not None and summary.state == "open":
                    called.add(page.target)
        return called

    def _updates(self, incident: Incident, heard: Sequence[Page], targets: Sequence[str]) -> Iterator[Page]:
        for target in targets:
            mine = [page for page in heard if page.target == target]
            way = self._as_paged(mine)
            if way is not None and (not mine[0].user or mine[0].user != incident.resolved_by):
                yield self._update(incident, mine[0], *way, "was paged for it")

    def _as_paged(self, pages: Sequence[Page]) -> tuple[str, str] | None:
        """(contact, channel) to say it is over."""
        settings, user = self.runtime.settings, self.runtime.settings.users.get(pages[0].user)
        usable = self._written(pages[0].user)
        for page in pages:
            channel = settings.channels.get(page.channel)
            reaches = user is None or any(contact.name == page.contact for contact in usable)
            if channel is not None and channel.type not in SPOKEN and reaches:
                return page.contact, page.channel
        return (usable[0].name, usable[0].channel) if usable else None

    def _written(self, key: str) -> list[Contact]:
        """The contacts of a person that can be written to."""
        settings, user = self.runtime.settings, self.runtime.settings.users.get(key)
        usable = usable_contacts(user, settings, self.runtime.people()) if user is not None else []
        return [contact for contact in usable if settings.channels[contact.channel].type not in SPOKEN]

    async def again(self, incident: Incident, failed: Page) -> list[Page]:
        """Plan an update over a contact that was not tried yet; none where there is no other, or it fired again."""
        if incident.open or incident.cycle != failed.cycle:
            return []
        pages = await self.tx.pages_of(incident.number, failed.cycle)
        tried = {page.contact for page in pages if page.kind == "update" and page.target == failed.target}
        left = [contact for contact in self._written(failed.user) if contact.name not in tried]
        because = f"it did not get through by {failed.contact or failed.channel}"
        return [self._update(incident, failed, contact.name, contact.channel, because) for contact in left[:1]]

    def _update(self, incident: Incident, page: Page, contact: str, channel: str, because: str) -> Page:
        return Page(
            id=self.runtime.chance.token(),
            key=f"{incident.number}/{incident.cycle}/over/{page.target}/{contact}",
            kind="update",
            incident=incident.number,
            cycle=incident.cycle,
            round=0,
            step=0,
            rule=0,
            target=page.target,
            user=page.user,
            contact=contact,
            channel=channel,
            due_at=self.now,
            created_at=self.now,
            rank=UPDATE,
            because=because,
            config=self.runtime.settings.hash,
            text=over_text(incident),
        )
