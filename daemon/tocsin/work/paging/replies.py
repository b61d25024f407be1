"""Answers to pages: by SMS, by a key on the phone, by the one-tap link. And delivery receipts.

Closed by default: an answer acts only for an incident of which a page went to that very phone, attempt
or person. A second delivery of the same provider message changes nothing and says the same again.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace
from weakref import WeakValueDictionary

import structlog

from tocsin.contracts import Door, Tx
from tocsin.decide.oncall.overrides import extra_of
from tocsin.decide.oncall.resolver import on_call
from tocsin.decide.page_texts import headline, spoken_text
from tocsin.decide.paging.answered_page import SentPage, as_paged, codes_of, page_meant, proved_by_code
from tocsin.decide.paging.many_replies import choose, in_short, last_word, state_of, told_of_many
from tocsin.decide.paging.replies import (
    Carrier,
    Command,
    NotUnderstood,
    Verb,
    key_press,
    looks_like_code,
    parse,
)
from tocsin.decide.text import cut
from tocsin.errors import NoSuchIncident, Refused
from tocsin.model import DAY, HOUR, Actor, Attempt, ContactState, Incident, Instant, Page, User
from tocsin.work.effects import Effects
from tocsin.work.incidents.actions import Actions, Done
from tocsin.work.paging.ack_links import AckLink, AckLinks
from tocsin.work.paging.channels import Lines
from tocsin.work.paging.outcomes import OutcomeRecord
from tocsin.work.paging.test_replies import TestReplies, VoiceTurn
from tocsin.work.paging.verification_codes import VerificationCodes
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.answers")

AT_ONCE = 50  # incidents that one reply acts on at the same time
MOST_WRONG = 10  # wrong codes from a number within an hour, after which none counts: there are half a million to guess
MOST_SPOKEN = 6  # incidents that one call names
MENU_OF_SEVERAL = "Press 4 to acknowledge all of them, 5 to escalate all of them, 1 for details, star to repeat."
MENU = "Press 4 to acknowledge, 5 to escalate, 6 to resolve, 1 for details, star to repeat."
RANKS = {
    "accepted": 1, "scheduled": 1, "queued": 1, "initiated": 1, "sending": 2, "ringing": 2, "sent": 3,
    "in-progress": 3, "answered": 3, "delivered": 5, "read": 6, "completed": 5, "machine": 4,
    "undelivered": 5, "failed": 5, "busy": 5, "no-answer": 5, "canceled": 5,
}  # fmt: skip
# Twilio errors that say this address cannot be reached this way at all.
DEAD = frozenset("21610 21211 21614 21612 21408 21215 30004 30005 30006 32017".split())


@dataclass(frozen=True, slots=True)
class LinkView:
    """Content of the one-tap page; `live`: pressing would still do something."""

    incident: Incident
    user: str
    said: str
    live: bool


@dataclass(frozen=True, slots=True)
class Said:
    """Result of an action on one incident. `state`: how it stands with it, in a few words."""

    said: str
    changed: bool
    state: str


class Replies:
    """The doors of those who were paged."""

    def __init__(
        self, runtime: Runtime, actions: Actions, links: AckLinks, codes: VerificationCodes, lines: Lines
    ) -> None:
        self.runtime, self.actions, self.links, self.lines = runtime, actions, links, lines
        self.test_replies = TestReplies(runtime, codes)
        self._wrong: dict[str, list[Instant]] = {}  # when a number sent wrong codes
        self._heard: WeakValueDictionary[Door, asyncio.Lock] = WeakValueDictionary()

    # ------------------------------------------------------------------------------------- SMS

    async def sms(self, account: str, to: str, sender: str, body: str, message_id: str, opt_out: str) -> str | None:
        """The text to reply; None: an empty reply. The signature was checked by the door."""
        door = Door("twilio_sms", message_id)
        async with self._one_at_a_time(door):
            before = await self._answered(door)
            if before is not None:
                return before or None
            return await self._sms(door, account, sender, body, opt_out)

    async def _sms(self, door: Door, account: str, sender: str, body: str, opt_out: str) -> str | None:
        user = self._phone_of(sender)
        command = Carrier(opt_out.upper()) if opt_out else parse(body)
        if isinstance(command, Carrier):
            if user is not None and self._reaches(account, sender):
                await self._carrier(command, sender)
            return await self._keep(door, sender, None)
        if user is None:
            self._refused("sms", "stranger")
            log.warning("sms_from_stranger", account=account)
            return await self._keep(door, sender, None)
        talk = await self.test_replies.reply(user, await self._lately(sender, account), command, body)
        answer = talk or await self._obey_sms(user, account, sender, command, door.message_id)
        about_incidents = talk is None and isinstance(command, Command) and command.verb != "who"
        said = last_word(answer, await self._replies(sender), about_incidents=about_incidents)
        if said is None:
            log.warning("sms_replies_capped", user=user.key)
        return await self._keep(door, sender, said)

    async def _obey_sms(
        self, user: User, account: str, sender: str, command: Command | NotUnderstood, message_id: str
    ) -> str:
        if isinstance(command, NotUnderstood):
            self._refused("sms", "not_understood")
            return command.because
        if command.verb == "who" and self._reaches(account, sender):
            return await self._who(command.text)
        sent = await self._sent_to(sender, account)
        if command.of_many:
            return await self._obey_about_many(user, sender, sent, command, message_id)
        answered = page_meant(sent, command)
        if isinstance(answered, str):
            self._refused("sms", "no_incident")
            return answered
        if self.runtime.settings.answers.get("sms") == "code" and command.verb != "status":
            proved = proved_by_code(sent, answered.incident, command)
            if proved is None or self._guesses(sender):
                ask = f"INC {answered.incident.number}: add the four letters of the page to your answer."
                return self._no_proof(sender, command, ask)
            command = proved
        return await self._obey(user, answered.incident, command, "sms", f"SMS {message_id}")

    def _guesses(self, sender: str) -> bool:
        """Whether so many wrong codes came from this number that no code of it counts for now."""
        since = self.runtime.clock.now() - HOUR
        wrong = [at for at in self._wrong.pop(sender, ()) if at > since]
        if wrong:
            self._wrong[sender] = wrong
        return len(wrong) >= MOST_WRONG

    def _no_proof(self, sender: str, command: Command, ask: str) -> str:
        """Refuse an answer without the page's code; a wrong one is counted."""
        self._refused("sms", "code")
        if self._guesses(sender):
            log.warning("codes_guessed", user=getattr(self._phone_of(sender), "key", ""))
            return "Too many wrong codes from this number: for an hour answer by the link, by a call or in the web."
        if command.code or (command.verb == "note" and looks_like_code(command.text.partition(" ")[0])):
            self._wrong.setdefault(sender, []).append(self.runtime.clock.now())
        return ask

    async def _obey_about_many(
        self, user: User, sender: str, sent: list[SentPage], command: Command, message_id: str
    ) -> str:
        """Do what was asked to each incident that is meant, and say what was done and what was left."""
        chosen = choose(as_paged(sent), command, user.key, self.runtime.clock.now())
        if self.runtime.settings.answers.get("sms") == "code" and command.verb != "status":
            codes = codes_of(sent, {incident.number for incident in chosen.incidents})
            if command.code not in codes or self._guesses(sender):
                return self._no_proof(sender, command, "Add the four letters of one of these pages to your answer.")
        if command.verb == "status":
            return in_short(chosen.incidents)
        said = await self._do_all(user, chosen.incidents, command, f"SMS {message_id}")
        done = [(number, result.said) for number, result in said if result.changed]
        left = [(number, result.state) for number, result in said if not result.changed]
        if not done:
            self._refused("sms", "no_incident")
        return told_of_many(command, done, [*chosen.left, *left])

    async def _do_all(
        self, user: User, incidents: Sequence[Incident], command: Command, evidence: str
    ) -> list[tuple[int, Said]]:
        """Do what was asked to each incident; those that are done together share a commit."""
        results: list[tuple[int, Said]] = []
        for start in range(0, len(incidents), AT_ONCE):
            some = incidents[start : start + AT_ONCE]
            said = await asyncio.gather(*(self._do(user, incident, command, "sms", evidence) for incident in some))
            results += zip([incident.number for incident in some], said, strict=True)
        return results

    def _went_through(self, account: str, attempt: Attempt) -> bool:
        """Whether it went to that phone by this account: another one's word proves nothing of it, however signed.

        What went through a channel that is configured no more is the only account's, where there is but one.
        """
        channel = self.runtime.settings.channels.get(attempt.channel)
        if channel is not None:
            return channel.options.get("account_sid") == account
        accounts = {channel.options.get("account_sid") for channel in self.runtime.settings.channels.values()} - {None}
        return accounts == {account}

    def _reaches(self, account: str, address: str) -> bool:
        """Whether a contact of this address is reached by this account, or by it while its channel fails."""
        settings = self.runtime.settings
        ways = {
            name
            for user in settings.users.values() for contact in user.contacts.values() if contact.to == address
            for name in (contact.channel, *settings.fallbacks.get(contact.channel, ()))
        }  # fmt: skip
        channels = [settings.channels[name] for name in ways if name in settings.channels]
        return any(channel.options.get("account_sid") == account for channel in channels)

    def _kind(self, attempt: Attempt) -> str:
        """The kind of the channel it went over: sms, voice ...; "" where that is gone."""
        channel = self.runtime.settings.channels.get(attempt.channel)
        kind = self.runtime.kinds.get(channel.type) if channel is not None else None
        return kind.throttle if kind is not None else ""

    async def _lately(self, address: str, account: str) -> list[tuple[Page, Attempt]]:
        """Messages to that phone by this account within a day, newest first."""
        since = Instant(self.runtime.clock.now() - DAY)
        rows = await self.runtime.store.write(lambda tx: tx.pages_to(address, since))
        return [row for row in rows if self._went_through(account, row[1])]

    async def _sent_to(self, address: str, account: str) -> list[SentPage]:
        since = Instant(self.runtime.clock.now() - DAY)

        async def work(tx: Tx) -> list[SentPage]:
            rows = [(page, attempt) for page, attempt in await tx.pages_to(address, since)
                    if page.kind == "page" and self._went_through(account, attempt)]  # fmt: skip
            numbers = [page.incident for page, _ in rows if page.incident is not None]
            incidents = await tx.incidents(list(dict.fromkeys(numbers)))
            merged = [incident.merged_into for incident in incidents.values() if incident.merged_into is not None]
            targets = await tx.incidents(merged) if merged else {}
            sent = []
            for page, attempt in rows:
                incident = incidents.get(page.incident or 0)
                if incident is not None:
                    about = targets.get(incident.merged_into or 0, incident)
                    sent.append(SentPage(page, attempt, about, self._kind(attempt) == "voice"))
            return sent

        return await self.runtime.store.write(work)

    async def _obey(self, user: User, incident: Incident, command: Command, via: str, evidence: str) -> str:
        """Do what was asked, as this person, and say what happened and what is next."""
        if command.verb == "status":
            return self._status(incident)
        return (await self._do(user, incident, command, via, evidence)).said

    async def _do(self, user: User, incident: Incident, command: Command, via: str, evidence: str) -> Said:
        """Do what was asked to one incident, as this person."""
        actor, number = Actor("user", user.key), incident.number
        actions = self.actions
        try:
            match command.verb:
                case "acknowledge":
                    done = await actions.acknowledge(number, actor, via, evidence)
                case "resolve":
                    done = await actions.resolve(number, actor, via, evidence)
                case "escalate":
                    done = await actions.escalate(number, actor, via, evidence)
                case "snooze":
                    until = Instant(self.runtime.clock.now() + (command.length or 0))
                    done = await actions.snooze(number, until, actor, via)
                case _:
                    done = await actions.note(number, command.text, actor, via)
        except (Refused, NoSuchIncident) as refused:
            self._refused(via, "refused")
            return Said(str(refused), changed=False, state=state_of(incident))
        if not done.changed:
            self._refused(via, "too_late")
        return Said(done.said, done.changed, state_of(done.incident))

    def _status(self, incident: Incident) -> str:
        who = f" by {incident.acknowledged_by}" if incident.status == "acknowledged" else ""
        return cut(f"{headline(incident)}: {incident.status}{who}, {incident.firing} alerts firing.", 300)

    async def _who(self, service: str) -> str:
        """People on call, in all schedules or those behind a service's policy."""
        settings, now = self.runtime.settings, self.runtime.clock.now()
        extra = extra_of(await self.runtime.store.overrides(now), settings)
        known = next((other for other in settings.services.values() if other.name.upper() == service.upper()), None)
        policy = settings.policies.get((known.policy if known else None) or "") if service else None
        named = (
            {target.name for step in policy.steps for target in step.notify if target.kind == "schedule"}
            if policy
            else None
        )
        lines = []
        for schedule in settings.schedules.values():
            if named is None or schedule.name in named:
                users = ", ".join(on_call(schedule, now, extra.get(schedule.name, ())).users) or "nobody"
                lines.append(f"{schedule.name}: {users}")
        return cut("; ".join(lines) or "No schedule is configured.", 300)

    def _phone_of(self, address: str) -> User | None:
        """The one user whose phone this is (a phone of two users is refused by the configuration)."""
        for user in self.runtime.settings.users.values():
            if any(contact.to == address for contact in user.contacts.values()):
                return user
        return None

    async def _carrier(self, word: Carrier, sender: str) -> None:
        """STOP: the carrier blocks the number already; START lets messages through again."""
        if not (word.opts_out or word.opts_in):
            return
        because = f"answered {word.word}" if word.opts_out else f"answered {word.word}: messages pass again"
        state = ContactState("twilio_sms", sender, word.opts_in, because, self.runtime.clock.now())

        async def work(tx: Tx) -> Effects:
            tx.save_contact_state(state)
            return Effects(contacts=[state])

        effects = await self.runtime.store.write(work)
        effects.apply(self.runtime)

    async def _answered(self, door: Door) -> str | None:
        async def work(tx: Tx) -> str | None:
            return await tx.answers_to(door)

        return await self.runtime.store.write(work)

    async def _keep(self, door: Door, address: str, answer: str | None) -> str | None:
        async def work(tx: Tx) -> None:
            if await tx.answers_to(door) is None:  # else another replica heard it too
                tx.add_answer(door, address, answer or "", self.runtime.clock.now())

        await self.runtime.store.write(work)
        return answer

    def _one_at_a_time(self, door: Door) -> asyncio.Lock:
        """Held while a message is obeyed, so that its second delivery finds what was answered."""
        lock = self._heard.get(door)
        if lock is None:
            lock = self._heard[door] = asyncio.Lock()
        return lock

    async def _replies(self, address: str) -> int:
        """Number of automatic replies that went to a number within the hour."""
        since = Instant(self.runtime.clock.now() - HOUR)

        async def work(tx: Tx) -> int:
            return await tx.replies_since(address, since)

        return await self.runtime.store.write(work)

    # ----------------------------------------------------------------------------------- voice

    async def voice(self, account: str, attempt_id: str, call_id: str, digits: str | None) -> VoiceTurn | None:
        """The next words of a call; None: an attempt that is not known, or not this account's call of the last day.
        Without `digits` nothing acts. The signature was checked by the door."""
        attempt = await self.runtime.store.attempt(attempt_id)
        if attempt is None or self._kind(attempt) not in ("voice", ""):
            return None
        if not self._is_theirs(account, attempt, call_id, "voice"):
            return None
        called = await self._sent_as(attempt)
        if called is None:
            return await self._unpaged(attempt, digits)
        user = self.runtime.settings.users.get(called.page.user)
        if user is None or attempt.started_at <= self.runtime.clock.now() - DAY:
            return None
        about = await self._about(called)
        if not about:
            return VoiceTurn(f"{_too_late(called)} Goodbye.", menu=False)
        pressed = key_press(digits) if digits else None
        match pressed:
            case None | "repeat":
                return VoiceTurn(f"{await self._spoken(about)} {_menu(about)}", menu=True)
            case "details":
                return VoiceTurn(f"{await self._details(called.incident)} {_menu(about)}", menu=True)
            case "resolve" if len(about) > 1:
                return VoiceTurn(f"Several incidents are resolved one by one. {_menu(about)}", menu=True)
            case verb:
                said = await self._pressed(user, about, verb, digits or "", call_id)
                return VoiceTurn(f"{said} Goodbye.", menu=False)

    def _is_theirs(self, account: str, attempt: Attempt, sid: str, door: str) -> bool:
        """Whether a rightly signed callback speaks of this very attempt: its account made it, under this id."""
        theirs = self._went_through(account, attempt) and bool(sid) and attempt.ref in ("", sid)
        if not theirs:
            self._refused(door, "not_theirs")
            log.warning("callback_not_of_this_attempt", door=door, account=account, channel=attempt.channel)
        return theirs

    async def _unpaged(self, attempt: Attempt, digits: str | None) -> VoiceTurn | None:
        """A call that is about no incident."""
        page = await self.runtime.store.page(attempt.page)
        if page is None or page.incident is not None:
            return None
        return await self.test_replies.call(attempt, page, digits)

    async def _pressed(self, user: User, about: list[Incident], verb: Verb, digits: str, call_id: str) -> str:
        """Do what a key asks for, once in a call; a second delivery of the key is told the same."""
        door = Door("twilio_voice", f"{call_id} {digits}")
        async with self._one_at_a_time(door):
            before = await self._answered(door)
            if before is not None:
                return before
            evidence = f"key {digits} in call {call_id}"
            said = [await self._obey(user, incident, Command(verb), "voice", evidence) for incident in about]
            await self._keep(door, "", " ".join(said).replace("INC ", "Incident "))
            return " ".join(said).replace("INC ", "Incident ")

    async def _about(self, called: SentPage) -> list[Incident]:
        """Incidents that a call is about now: the open ones it was made for, a summary's all; none of another cycle."""

        async def work(tx: Tx) -> list[Incident]:
            pages = await tx.pages([attempt.page for attempt in await tx.carried_by(called.attempt)])
            incidents = await tx.incidents([page.incident for page in pages.values() if page.incident is not None])
            return [incidents[page.incident] for page in sorted(pages.values(), key=lambda page: page.incident or 0)
                    if page.incident in incidents and incidents[page.incident].cycle == page.cycle]  # fmt: skip

        same = called.incident.cycle == called.page.cycle or called.incident.number != called.page.incident
        named = ([called.incident] if same else []) + await self.runtime.store.write(work)
        return list({incident.number: incident for incident in named if incident.open}.values())

    async def _sent_as(self, attempt: Attempt) -> SentPage | None:
        page = await self.runtime.store.page(attempt.page)
        if page is None or page.incident is None:
            return None
        incident = await self.runtime.store.incident(page.incident)
        if incident is not None and incident.merged_into is not None:
            incident = await self.runtime.store.incident(incident.merged_into)
        return SentPage(page, attempt, incident) if incident is not None else None

    async def _details(self, incident: Incident) -> str:
        alerts = await self.runtime.store.incident_alerts(incident.number, 3, None)
        told = ". ".join(cut(alert.description or alert.title, 200) for alert in alerts)
        return f"{len(alerts)} alerts. Severity {incident.severity}. {told}."

    # -------------------------------------------------------------------------------- receipts

    async def receipt(self, account: str, attempt_id: str, sid: str, state: str, error: str | None) -> None:
        """A delivery state from the provider, by its id of the message or call: kept monotone; bad news send the next
        contact on its way. Another account's word of it is passed over."""
        rank = RANKS.get(state)
        attempt = await self.runtime.store.attempt(attempt_id) if rank is not None else None
        if rank is None or attempt is None or not self._is_theirs(account, attempt, sid, "status"):
            return

        async def work(tx: Tx) -> Effects:
            record = OutcomeRecord(self.runtime, self.lines, tx)
            await record.receipt(replace(attempt, ref=attempt.ref or cut(sid, 64)), state, rank, error, error in DEAD)
            return await record.ledger.close()

        effects = await self.runtime.store.write(work)
        effects.apply(self.runtime)

    # ------------------------------------------------------------------------------------ links

    async def link(self, token: str) -> LinkView | None:
        """Show what a link is about; never acts. None: wrong, expired, or of another time."""
        claim = self.links.read(token)
        incident = await self._linked(claim) if claim is not None else None
        if claim is None or incident is None:
            return None
        if incident.cycle != claim.cycle and incident.merged_into is None:
            return LinkView(incident, claim.user, "This link belongs to an earlier page.", live=False)
        live = incident.status == "triggered"
        said = (
            ""
            if live
            else f"INC {incident.number} is {incident.status}"
            + (f" by {incident.acknowledged_by}." if incident.status == "acknowledged" else ".")
        )
        return LinkView(incident, claim.user, said, live)

    async def press(self, token: str, action: str = "acknowledge") -> LinkView | None:
        """Act as the link's person. A second press is a polite no-op."""
        claim = self.links.read(token)
        view = await self.link(token)
        if claim is None or view is None:
            self._refused("link", "invalid")
            return None
        if not view.live or action not in ("acknowledge", "resolve", "escalate"):
            self._refused("link", "too_late")
            return view
        actor, number, evidence = Actor("user", claim.user), view.incident.number, f"link of page {claim.page}"
        done: Done
        match action:
            case "resolve":
                done = await self.actions.resolve(number, actor, "link", evidence)
            case "escalate":
                done = await self.actions.escalate(number, actor, "link", evidence)
            case _:
                done = await self.actions.acknowledge(number, actor, "link", evidence)
        return LinkView(done.incident, claim.user, done.said, live=False)

    async def _linked(self, link: AckLink) -> Incident | None:
        incident = await self.runtime.store.incident(link.incident)
        if incident is not None and incident.merged_into is not None:
            return await self.runtime.store.incident(incident.merged_into)
        return incident

    async def _spoken(self, about: list[Incident]) -> str:
        """Words of a call: the incident, or how many there are and the first of them."""
        if len(about) == 1:
            return spoken_text(about[0], await self.runtime.affected(about[0]))
        told = " ".join(spoken_text(incident).removeprefix("Tocsin. ") for incident in about[:MOST_SPOKEN])
        more = f" And {len(about) - MOST_SPOKEN} more." if len(about) > MOST_SPOKEN else ""
        return f"Tocsin. {len(about)} incidents wait for you. {told}{more}"

    def _refused(self, via: str, reason: str) -> None:
        self.runtime.metrics.acks_refused.labels(via, reason).inc()


def _menu(about: list[Incident]) -> str:
    return MENU if len(about) == 1 else MENU_OF_SEVERAL


def _too_late(called: SentPage) -> str:
    if called.incident.open:
        return f"This call belongs to an earlier page of incident {called.incident.number}."
    return f"Incident {called.incident.number} is {called.incident.status} already."
