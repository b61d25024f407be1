"""Actions of people on incidents, whichever door they come through: one transaction each, durable on return."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace

from tocsin.contracts import Tx
from tocsin.decide.incidents import lifecycle
from tocsin.decide.incidents.escalation import policy_for
from tocsin.decide.incidents.lifecycle import Move, Stay
from tocsin.decide.incidents.opening import opened
from tocsin.decide.incidents.waiting_firings import ended_by_hand, without_wait
from tocsin.decide.oncall.reach import People, reach, usable_contacts
from tocsin.decide.routing.priority import by_service
from tocsin.decide.text import DESCRIPTION, TITLE, clean, clean_identity
from tocsin.decide.views import in_words
from tocsin.errors import NoSuchIncident, Refused
from tocsin.model import (
    EMPTY,
    Actor,
    Contact,
    Incident,
    Instant,
    Millis,
    Page,
    Policy,
    Severity,
    StoredAlert,
    Target,
)
from tocsin.work.effects import Effects
from tocsin.work.ingest.intake import Intake
from tocsin.work.ledger import Ledger
from tocsin.work.runtime import Runtime

SLICE = 200  # alerts that end with their incident before the event loop gets a turn


@dataclass(frozen=True, slots=True)
class Done:
    """The incident afterwards; whether anything changed; the sentence for the one who asked."""

    incident: Incident
    changed: bool
    said: str


class Actions:
    """Acknowledge, resolve, escalate ... Each returns after the commit.

    All raise NoSuchIncident, Refused (with the reason) and StoreUnavailable. An answer that comes too
    late changes nothing and says so: it is not an error.
    """

    def __init__(self, runtime: Runtime, intake: Intake) -> None:
        self.runtime, self.intake = runtime, intake

    async def acknowledge(self, number: int, actor: Actor, via: str, evidence: str = "") -> Done:
        """Paging stops: timers and unsent pages go in the same transaction."""

        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            timeout = await self.ack_timeout(incident)
            return lifecycle.acknowledge(incident, actor, via, ledger.now, timeout, evidence)

        return await self._act(number, via, move, self.said_acknowledged)

    async def unacknowledge(self, number: int, actor: Actor, via: str, evidence: str = "") -> Done:
        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            return lifecycle.unacknowledge(incident, actor, via, ledger.now)

        return await self._act(
            number, via, move, lambda incident: f"INC {incident.number} is triggered again. Paging starts anew."
        )

    async def resolve(self, number: int, actor: Actor, via: str, evidence: str = "") -> Done:
        """Resolved by hand: its alerts end with it, so that the next firing opens a new incident."""

        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            after = self.runtime.settings.defaults.close_after
            decided = lifecycle.resolve(incident, actor, via, ledger.now, after, evidence)
            return await self._ending_alerts(ledger, decided)

        return await self._act(number, via, move, lambda one: f"INC {one.number} resolved by you.")

    async def cancel(self, number: int, actor: Actor, via: str, evidence: str = "") -> Done:
        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            return await self._ending_alerts(ledger, lifecycle.cancel(incident, actor, via, ledger.now, evidence))

        return await self._act(
            number, via, move, lambda incident: f"INC {incident.number} canceled. Nobody is paged for it."
        )

    async def close(self, number: int, actor: Actor, via: str, evidence: str = "") -> Done:
        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            return lifecycle.close(incident, actor, via, ledger.now)

        return await self._act(number, via, move, lambda incident: f"INC {incident.number} closed.")

    async def escalate(self, number: int, actor: Actor, via: str, evidence: str = "") -> Done:
        """The next step runs in this very transaction."""

        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            decided = lifecycle.escalate(incident, actor, via, ledger.now, evidence)
            if isinstance(decided, Stay):
                return decided
            ledger.take(decided)
            after = ledger.get(decided.incident.number) or decided.incident
            await ledger.people()
            return Move(ledger.step(after, await self.runtime.policies.thaw(after.policy_hash)), ())

        return await self._act(
            number, via, move, lambda one: f"INC {one.number} escalated. The next step is paged now."
        )

    async def snooze(self, number: int, until: Instant, actor: Actor, via: str) -> Done:
        now = self.runtime.clock.now()
        if until <= now:
            raise Refused("a snooze must end in the future", status=422)

        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            return lifecycle.snooze(incident, until, actor, via, ledger.now)

        return await self._act(
            number,
            via,
            move,
            lambda incident: f"INC {incident.number} snoozed for {in_words(until - now)}. Then it pages again.",
        )

    async def note(self, number: int, text: str, actor: Actor, via: str) -> Done:
        said = clean(text, 4000, lines=True).strip()
        if not said:
            raise Refused("a note needs some text", status=422)

        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            ledger.note(incident, "note", actor, via, said)
            return Move(incident, ())

        return await self._act(number, via, move, lambda incident: f"Note added to INC {incident.number}.")

    async def page(self, number: int, target: str, actor: Actor, via: str) -> Done:
        """Page a further person or target now, beside the policy. An acknowledged incident takes it too."""
        asked = self.target(target)

        async def move(ledger: Ledger, incident: Incident) -> Move | Stay:
            if not incident.open:
                return Stay(f"INC {number} is {incident.status}: nobody is paged for it any more.")
            pages = self._pages_by_hand(incident, asked, actor, ledger.now, await ledger.people())
            if not pages:
                raise Refused(f"{target} has nobody who can be reached now", status=422)
            ledger.add_pages(pages)
            who = ", ".join(dict.fromkeys(page.user or page.target for page in pages))
            ledger.note(incident, "paged_by_hand", actor, via, f"asked for {asked}", who=who)
            return Move(replace(incident, version=incident.version + 1), ())

        return await self._act(number, via, move, lambda incident: f"{asked} is paged for INC {incident.number}.")

    async def trigger(
        self,
        title: str,
        actor: Actor,
        via: str,
        *,
        service: str = "",
        severity: Severity | None = None,
        description: str = "",
        policy: str | None = None,
    ) -> Done:
        """Open an incident by hand; its first step runs at once."""
        if policy is not None and policy not in self.runtime.settings.policies:
            raise Refused(f"there is no policy '{policy}'", status=422)
        text, service = clean(title, TITLE).strip(), clean_identity(service, 256)
        if not text:
            raise Refused("an incident needs a title", status=422)

        async def work(tx: Tx) -> tuple[Done, Effects]:
            ledger = Ledger(self.runtime, tx, self.runtime.clock.now())
            chosen = policy_for(policy, service, self.runtime.settings)
            incident = await self._by_hand(ledger, text, service, severity, chosen, actor)
            if description:
                ledger.note(incident, "note", actor, via, clean(description, DESCRIPTION, lines=True))
            await ledger.people()
            after = ledger.step(incident, chosen)
            return Done(after, True, f"INC {after.number} opened."), await ledger.close()

        done, effects = await self.runtime.store.write(work)
        effects.apply(self.runtime)
        return done

    # ---------------------------------------------------------------------------- how it is done

    async def _act(
        self,
        number: int,
        via: str,
        move: Callable[[Ledger, Incident], Awaitable[Move | Stay]],
        said: Callable[[Incident], str],
    ) -> Done:
        async def work(tx: Tx) -> tuple[Done, Effects]:
            ledger = Ledger(self.runtime, tx, self.runtime.clock.now())
            incident = await ledger.find(number)
            if incident is None:
                raise NoSuchIncident(number)
            decided = await move(ledger, incident)
            if isinstance(decided, Stay):
                return Done(incident, False, decided.because), Effects()
            if decided.incident is not ledger.get(incident.number) or decided.entries:
                ledger.take(decided, via)
            after = ledger.get(incident.number) or incident
            effects = await ledger.close()
            return Done(after, True, said(after)), effects

        done, effects = await self.runtime.store.write(work)
        effects.apply(self.runtime)
        self.intake.ended(effects.ended)
        return done

    async def _ending_alerts(self, ledger: Ledger, move: Move | Stay) -> Move | Stay:
        """The incident's alerts end with it; what a source goes on repeating waits, until it had time to notice."""
        if isinstance(move, Stay):
            return move
        number, ended = move.incident.number, 0
        while alerts := (await ledger.tx.oldest_firing([number], SLICE))[number]:
            self._end(ledger, alerts)
            ended += len(alerts)
            if len(alerts) < SLICE:
                break
            await self.runtime.clock.turn()
        counted = replace(move.incident, counts=EMPTY, firing=0, resolved=move.incident.resolved + ended)
        if not counted.grouped:
            ledger.tx.add_incident_keys([(counted.key, counted.number, ledger.now)])
        return replace(move, incident=counted)

    def _end(self, ledger: Ledger, alerts: Sequence[StoredAlert]) -> None:
        tombstones = [ended_by_hand(self.intake.up_to_date(alert), ledger.now) for alert in alerts]
        ledger.tx.add_tombstones(tombstones)
        self.intake.open_alerts.bury(tombstones, ledger.now)
        self.intake.forget(alerts)  # before the commit: the next post may be decided before we hear of it
        ledger.effects.ended += alerts
        ledger.tx.save_alerts([_ended(alert, ledger.now) for alert in alerts])

    async def ack_timeout(self, incident: Incident) -> Millis | None:
        policy = await self.runtime.policies.thaw(incident.policy_hash)
        return (policy or Policy("", ())).ack_timeout

    def said_acknowledged(self, incident: Incident) -> str:
        again = ""
        if incident.due_kind == "ack_timeout" and incident.due_at is not None:
            again = f" Re-page in {in_words(incident.due_at - self.runtime.clock.now())} unless resolved."
        return f"INC {incident.number} acknowledged by you. Paging stopped.{again}"

    def target(self, text: str) -> Target:
        """ "user:ana", "schedule:primary", "team:x", "channel:ops"; a bare name is a user. Raises Refused."""
        kind, _, name = text.rpartition(":")
        known = {
            "user": self.runtime.settings.users,
            "schedule": self.runtime.settings.schedules,
            "team": self.runtime.settings.teams,
            "channel": self.runtime.settings.channels,
        }
        plain, _, suffix = name.partition("/") if kind in ("", "user") else name.partition("@")
        if (kind or "user") not in known or plain not in known[kind or "user"]:
            raise Refused(f"there is no {kind or 'user'} '{plain}'", status=422)
        return Target(kind or "user", plain, suffix)  # type: ignore[arg-type]  # a kind of `known`

    def _pages_by_hand(
        self, incident: Incident, target: Target, actor: Actor, now: Instant, people: People
    ) -> list[Page]:
        settings, pages = self.runtime.settings, []
        for reached in reach((target,), settings, people, now):
            contacts = (
                usable_contacts(reached.user, settings, people, reached.contact)
                if reached.user is not None
                else [Contact("", target.name, settings.channels[target.name].to or "")]
            )
            pages += [self._page(incident, reached.user.key if reached.user else "", target, contact, actor, now)
                      for contact in contacts[:1]]  # fmt: skip
        return pages

    def _page(
        self, incident: Incident, user: str, target: Target, contact: Contact, actor: Actor, now: Instant
    ) -> Page:
        id_ = self.runtime.chance.token()
        name = f"user:{user}" if user else str(target)
        return Page(
            id=id_,
            key=f"{incident.number}/{incident.cycle}/hand/{id_}/{name}/{contact.name}",
            kind="page",
            incident=incident.number,
            cycle=incident.cycle,
            round=incident.round,
            step=incident.step,
            rule=0,
            target=name,
            user=user,
            contact=contact.name,
            channel=contact.channel,
            due_at=now,
            created_at=now,
            rank=0,
            because=f"asked for by {actor}",
            config=self.runtime.settings.hash,
        )

    async def _by_hand(
        self, ledger: Ledger, title: str, service: str, severity: Severity | None, policy: Policy | None, actor: Actor
    ) -> Incident:
        settings = self.runtime.settings
        number = (await ledger.tx.next_numbers(1))[0]
        level = severity or settings.defaults.severity
        assessed = by_service(service, level, settings, ledger.now)
        key = f"manual/{number}"
        name = policy.name if policy is not None else ""
        return ledger.open(opened(number, key, title, service, level, assessed, name, str(actor), ledger.now), policy)


def _ended(alert: StoredAlert, now: Instant) -> StoredAlert:
    """The alert as it is once its incident is over."""
    terms = without_wait(alert.terms)
    return replace(alert, status="resolved", ended_at=now, expires_at=None, waits_until=None, terms=terms)
