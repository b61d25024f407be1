"""Proof of contacts: codes that show that an address is right, test pages that show that they arrive."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

import structlog

from tocsin.contracts import Tx
from tocsin.decide.incidents.escalation import CODE, TEST
from tocsin.decide.oncall.reach import personal_rules
from tocsin.decide.paging import verification
from tocsin.decide.text import without_addresses
from tocsin.decide.views import page_outcome
from tocsin.errors import Refused
from tocsin.model import (
    HOUR,
    Actor,
    Attempt,
    Contact,
    ContactState,
    Instant,
    Millis,
    Page,
    PageKind,
    User,
    Verification,
)
from tocsin.work.effects import Effects
from tocsin.work.paging.test_replies import ANSWERED
from tocsin.work.paging.verification_codes import VerificationCodes
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.contacts")

LOOK_AGAIN = Millis(200)
MOST_TESTS = 5  # over one contact within an hour
QUIET_KINDS: tuple[PageKind, ...] = ("test", "code", "notice")
END_OF_DELIVERY = frozenset({"delivered", "read", "completed", ANSWERED, "undelivered", "failed", "busy", "no-answer",
                             "canceled", "machine"})  # fmt: skip
NOT_DELIVERED = frozenset({"undelivered", "failed", "busy", "no-answer", "canceled"})


@dataclass(frozen=True, slots=True)
class ContactView:
    """State of one contact. `because`: why it cannot be used, without an address in it."""

    contact: Contact
    verified: bool
    verified_at: Instant | None
    usable: bool
    because: str
    code_expires_at: Instant | None  # a code is under way until then


@dataclass(frozen=True, slots=True)
class MessageStatus:
    """State of a test, code or notice. `settled`: nothing more is to be heard of it."""

    page: Page
    attempts: tuple[Attempt, ...]
    outcome: str
    delivery: str
    because: str
    answered: bool
    settled: bool

    @property
    def arrived(self) -> bool:
        """As far as is known: accepted, and nobody says it was not delivered."""
        return self.outcome == "accepted" and self.delivery not in NOT_DELIVERED


class Contacts:
    """Codes, tests and what is known of contacts. Every method is durable when it returns."""

    def __init__(self, runtime: Runtime, codes: VerificationCodes) -> None:
        self.runtime, self.codes = runtime, codes

    # ---------------------------------------------------------------------------- how it stands

    async def views(self, user: User) -> list[ContactView]:
        return (await self.all_views([user]))[user.key]

    async def all_views(self, users: list[User]) -> dict[str, list[ContactView]]:
        """By user; read from the database, so that a replica's neighbour is heard at once."""
        states = {(one.channel_kind, one.address): one for one in await self.runtime.store.contact_states()}
        proofs = {(one.user, one.channel_kind, one.address): one for one in await self.runtime.store.verifications()}
        return {user.key: [self._view(user, one, states, proofs) for one in user.contacts.values()] for user in users}

    def _view(
        self,
        user: User,
        contact: Contact,
        states: Mapping[tuple[str, str], ContactState],
        proofs: Mapping[tuple[str, str, str], Verification],
    ) -> ContactView:
        kind = self._kind(contact)
        state, proof = states.get((kind, contact.to)), proofs.get((user.key, kind, contact.to))
        at = proof.verified_at if proof is not None else None
        ends = proof.expires_at if proof is not None else None
        under_way = ends is not None and ends > self.runtime.clock.now()
        usable = state is None or state.usable
        because = without_addresses(state.because) if state is not None and not usable else ""
        return ContactView(contact, at is not None, at, usable, because, ends if under_way else None)

    def _kind(self, contact: Contact) -> str:
        channel = self.runtime.settings.channels.get(contact.channel)
        return channel.type if channel is not None else ""

    # ------------------------------------------------------------------------------- the code

    async def verify(self, user: str, contact: str, actor: Actor, *, admin: bool) -> tuple[Page, Instant]:
        """Send a code over the contact; its page and until when it holds. The code before is void from now on.

        Raises Refused: 404 nobody or no contact of that name, 409 it cannot be used (an admin may try), 429 too often.
        """
        person, found = self.find(user, contact)
        dead = self.runtime.why_dead(found)
        if dead and not admin:
            raise Refused(
                f"{contact} of {user} cannot be used: {without_addresses(dead)}; "
                "after STOP send START from that phone, or have an admin verify it"
            )
        page = self._page("code", person, found, f"asked for by {actor}", "a code", rank=CODE)
        now = self.runtime.clock.now()

        async def work(tx: Tx) -> verification.Send | verification.NotNow:
            known = await self._known(tx, person, found)
            answer = verification.ask(known, page.id, str(actor), now, readmits=bool(dead))
            if isinstance(answer, verification.Send):
                tx.add_pages([page])
                tx.save_verification(answer.known)
            return answer

        match await self.runtime.store.write(work):
            case verification.NotNow(because):
                raise Refused(f"{contact} of {user}: {because}", status=429)
            case verification.Send(known):
                self.runtime.signals.planned({page.channel}, None)
                log.info("code_sent", user=user, contact=contact, by=str(actor), page=page.id)
                return page, known.expires_at or now

    async def confirm(self, user: str, contact: str, code: str, actor: Actor) -> Verification:
        """The contact is proven from now on. Raises Refused: 404, 422 a wrong code, 409 or 429 no code that counts."""
        person, found = self.find(user, contact)
        given = re.sub(r"[\s-]", "", code)

        async def work(tx: Tx) -> tuple[verification.Proven | verification.NotProven, Effects]:
            known, now = await self._known(tx, person, found), self.runtime.clock.now()
            answer = verification.confirm(known, self.codes.fits(given, known.page), str(actor), now)
            tx.save_verification(answer.known)
            effects = Effects()
            if isinstance(answer, verification.Proven) and known.readmits:
                back = ContactState(known.channel_kind, known.address, True, f"verified again by {actor}", now)
                tx.save_contact_state(back)
                effects.contacts.append(back)
            return answer, effects

        answer, effects = await self.runtime.store.write(work)
        effects.apply(self.runtime)
        match answer:
            case verification.NotProven(_, because, late):
                log.warning("code_refused", user=user, contact=contact, by=str(actor), because=because)
                more = f"; send one with: tocsin contact verify {user} --by {contact}" if late else ""
                raise Refused(f"{contact} of {user}: {because}{more}", status=409 if late else 422)
            case verification.Proven(known):
                self.runtime.verified.add((known.user, known.channel_kind, known.address))
                log.info("contact_verified", user=user, contact=contact, by=str(actor))
                return known

    async def _known(self, tx: Tx, user: User, contact: Contact) -> Verification:
        kind = self._kind(contact)
        await tx.lock_keys([f"verify/{user.key}/{kind}/{contact.to}"])
        known = await tx.verification(user.key, kind, contact.to)
        return known if known is not None else Verification(user.key, kind, contact.to)

    # --------------------------------------------------------------------------------- a test

    async def test(self, user: str, by: str, actor: Actor) -> list[Page]:
        """Plan a marked test page over `by`: a contact's name, "all", or "" for what a page of high urgency uses first.

        Raises Refused: 404 nobody or no contact of that name, 409 it cannot be used, 429 too often.
        """
        person, chosen = self._chosen(user, by)
        pages = [self._test_page(person, contact, actor) for contact in chosen]
        since = Instant(self.runtime.clock.now() - HOUR)

        async def work(tx: Tx) -> str:
            for page in pages:
                sent = await tx.sent_since(page.user, page.channel, since, ("test",))
                if len(sent) >= MOST_TESTS:
                    return f"{page.contact} of {user} was tested {len(sent)} times within an hour; wait a while"
            tx.add_pages(pages)
            return ""

        too_often = await self.runtime.store.write(work)
        if too_often:
            raise Refused(too_often, status=429)
        self.runtime.signals.planned({page.channel for page in pages}, None)
        log.info("test_page", user=user, contacts=[page.contact for page in pages], by=str(actor))
        return pages

    def _chosen(self, user: str, by: str) -> tuple[User, list[Contact]]:
        if by and by != "all":
            person, contact = self.find(user, by)
            dead = self.runtime.why_dead(contact)
            if dead:
                raise Refused(f"{by} of {user} cannot be used: {without_addresses(dead)}")
            return person, [contact]
        person = self._user(user)
        usable = {one.name: one for one in person.contacts.values() if not self.runtime.is_dead(one)}
        if not usable:
            raise Refused(f"{user} has no contact that can be used")
        if by == "all":
            return person, list(usable.values())
        rules = personal_rules(person, "high", self.runtime.settings)
        first = next(([name for name in rule.by if name in usable] for rule in rules if set(rule.by) & set(usable)), [])
        return person, [usable[name] for name in first or list(usable)[:1]]

    def _test_page(self, user: User, contact: Contact, actor: Actor) -> Page:
        how = {"sms": " Reply OK to answer it.", "voice": " Press any key to answer it."}
        kind = self.runtime.kinds.get(self._kind(contact))
        answer = how.get(kind.throttle, "") if kind is not None and self.runtime.settings.server.public_url else ""
        text = f"TEST page of Tocsin for {user.name} over {contact.name}. Nothing is wrong.{answer}"
        return self._page("test", user, contact, f"asked for by {actor}", text, rank=TEST)

    # ----------------------------------------------------------------------------- what became of it

    async def sent(self, user: str, page: str) -> MessageStatus:
        """State of a test, code or notice to this person. Raises Refused 404 for any other page."""
        found = await self.runtime.store.page(page)
        if found is None or found.user != user or found.kind not in QUIET_KINDS:
            raise Refused(f"there is no test, code or notice {page[:40]!r} to {user}", status=404)
        attempts = await self.runtime.store.attempts_of(page)
        return self._sent(found, attempts)

    async def settled(self, user: str, page: str, until: Instant) -> MessageStatus:
        """State of such a message once nothing more is to be heard of it, at the latest at `until`."""
        clock = self.runtime.clock
        while not (found := await self.sent(user, page)).settled and clock.now() < until:
            await clock.sleep(LOOK_AGAIN)
        return found

    def _sent(self, page: Page, attempts: list[Attempt]) -> MessageStatus:
        last = max(attempts, key=lambda one: one.number, default=None)
        outcome, delivery = page_outcome(page, attempts), last.delivery if last is not None else ""
        over = outcome not in ("planned", "calling", "unknown") or (outcome == "unknown" and page.status == "done")
        waits = outcome == "accepted" and self._tells(page) and delivery not in END_OF_DELIVERY
        because = last.because if last is not None else page.because if outcome == "cancelled" else ""
        answered, settled = delivery == ANSWERED, over and not waits
        return MessageStatus(page, tuple(attempts), outcome, delivery, without_addresses(because), answered, settled)

    def _tells(self, page: Page) -> bool:
        """Whether its channel tells what became of a message."""
        channel = self.runtime.settings.channels.get(page.channel)
        kind = self.runtime.kinds.get(channel.type) if channel is not None else None
        return kind is not None and kind.confirms == "callback" and bool(self.runtime.settings.server.public_url)

    # ------------------------------------------------------------------------------------ whose

    def find(self, user: str, contact: str) -> tuple[User, Contact]:
        """Raises Refused 404 that names what there is."""
        person = self._user(user)
        found = person.contacts.get(contact)
        if found is None:
            known = f"; there are: {', '.join(person.contacts)}" if person.contacts else ""
            raise Refused(f"{user} has no contact {contact[:80]!r}{known}", status=404)
        return person, found

    def _user(self, key: str) -> User:
        users = self.runtime.settings.users
        if key not in users:
            raise Refused(f"no such user {key[:80]!r}", status=404)
        return users[key]

    def _page(self, kind: PageKind, user: User, contact: Contact, because: str, text: str, *, rank: int) -> Page:
        id_, now = self.runtime.chance.token(), self.runtime.clock.now()
        return Page(
            id=id_, key=f"{kind}/{user.key}/{contact.name}/{id_}", kind=kind, incident=None, cycle=0, round=0, step=0,
            rule=0, target=f"user:{user.key}", user=user.key, contact=contact.name, channel=contact.channel, due_at=now,
            created_at=now, rank=rank, because=because, config=self.runtime.settings.hash, text=text,
        )  # fmt: skip
