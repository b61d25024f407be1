"""Two people change shifts: asked by one, accepted by the other, and only then in force."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from tocsin.contracts import Stand, Tx
from tocsin.decide.incidents.escalation import NOTICE
from tocsin.decide.oncall.overrides import (
    AskedSwap,
    Window,
    Wrong,
    checked_swap,
    halves,
    not_theirs,
    reason_of,
    swap_state,
)
from tocsin.decide.paging.swap_notices import answer_of, key_of, silent_contact, text_of
from tocsin.errors import Refused
from tocsin.model import Actor, Contact, Instant, MadeOverride, Page, Swap
from tocsin.work.active_overrides import BACK
from tocsin.work.oncall.overrides import new_id, refusal
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.swaps")

MOST = 200  # of one person that wait for an answer
LISTED = 1_000

Made = tuple[Swap, tuple[MadeOverride, ...]]


class Swaps:
    """`ask`, `accept`, `decline`, `withdraw`, `list`.

    An accepted swap is two overrides; one, where nothing is given back.
    """

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def ask(self, asked: AskedSwap, actor: Actor) -> Swap:
        """Raises Refused with every mistake at its place; nobody's shifts change yet."""

        async def work(tx: Tx) -> Swap:
            now = self.runtime.clock.now()
            made = await tx.overrides(Instant(now - BACK))
            found = checked_swap(actor.shown, asked, self.runtime.settings, now, made)
            if isinstance(found, Wrong):
                raise refusal(found)
            one, other = found
            swap = Swap(
                new_id(self.runtime), asked.schedule, actor.shown, asked.asked, one.start, one.end,
                other.start if other else None, other.end if other else None, reason_of(asked.reason), now,
            )  # fmt: skip
            tx.add_swap(swap)
            tx.add_pages([self._asking(swap)])
            return swap

        await self._room(actor)
        swap = await self.runtime.store.write(work)
        over = self._told_over(swap.asked)
        log.info("swap_asked", id=swap.id, schedule=swap.schedule, by=swap.asker, of=swap.asked, told_over=over)
        return swap

    def _told_over(self, user: str) -> str:
        """The contact over which a notice that was just committed goes out; "" for none."""
        contact = self._contact(user) if user in self.runtime.settings.users else None
        if contact is None:
            return ""
        self.runtime.signals.planned({contact.channel}, None)
        return contact.name

    def _contact(self, user: str) -> Contact | None:
        runtime = self.runtime
        return silent_contact(runtime.settings.users[user], runtime.settings, runtime.people(), self._calls)

    def _calls(self, contact: Contact) -> bool:
        channel = self.runtime.settings.channels.get(contact.channel)
        kind = self.runtime.kinds.get(channel.type) if channel is not None else None
        return kind is not None and kind.throttle == "voice"

    def _asking(self, swap: Swap) -> Page:
        """For the one who is asked."""
        settings = self.runtime.settings
        text = text_of(swap, settings.users[swap.asked], settings)
        return self._notice(swap, swap.asked, text, f"{swap.asker} asks for swap {swap.id}")

    def _answer(self, swap: Swap) -> Page | None:
        """For the one who asked; None where they left the configuration."""
        settings = self.runtime.settings
        if swap.asker not in settings.users:
            return None
        text = answer_of(swap, settings.users[swap.asker], settings)
        return self._notice(swap, swap.asker, text, f"{swap.asked} {swap.status} swap {swap.id}")

    def _notice(self, swap: Swap, user: str, text: str, because: str) -> Page:
        """Notice of the lowest rank. Failed from the start where nothing but a call reaches them: that they were not
        told stays known."""
        runtime, now, contact = self.runtime, self.runtime.clock.now(), self._contact(user)
        return Page(
            id=runtime.chance.token(), key=key_of(swap), kind="notice", incident=None, cycle=0, round=0, step=0, rule=0,
            target=f"user:{user}", user=user, contact=contact.name if contact else "",
            channel=contact.channel if contact else "", due_at=now, created_at=now,
            status="planned" if contact else "failed", rank=NOTICE, because=because,
            config=runtime.settings.hash, text=text,
        )  # fmt: skip

    async def accept(self, id: str, actor: Actor) -> Swap:
        """By the one who was asked: from the commit on both shifts are the other's."""

        async def work(tx: Tx) -> Made:
            swap = await self._open(tx, id, actor, "accept")
            self._still_theirs(swap, await tx.overrides(Instant(self.runtime.clock.now() - BACK)))
            ids = sorted((new_id(self.runtime), new_id(self.runtime)))  # made at one instant, they are listed by id
            overrides = halves(swap, ids, self.runtime.clock.now())
            for override in overrides:
                tx.add_override(override)
            return self._answered(tx, swap, "accepted", actor), overrides

        return await self._commit(work)

    async def decline(self, id: str, actor: Actor) -> Swap:
        """By the one who was asked: everything stays as it is."""

        async def work(tx: Tx) -> Made:
            return self._answered(tx, await self._open(tx, id, actor, "decline"), "declined", actor), ()

        return await self._commit(work)

    async def withdraw(self, id: str, actor: Actor) -> Swap:
        """By the one who asked, while there is no answer."""

        async def work(tx: Tx) -> Made:
            return self._answered(tx, await self._open(tx, id, actor, "withdraw"), "withdrawn", actor), ()

        return await self._commit(work)

    async def list(
        self,
        everything: bool = False,
        limit: int = LISTED,
        after: Stand | None = None,
        *,
        schedule: str | None = None,
        user: str | None = None,
    ) -> list[Swap]:
        """In the order they were asked for, behind the one given; without `everything` those that wait for an answer
        and those to come. Of this schedule only, and by or to this person, where given.
        """
        live_at = None if everything else self.runtime.clock.now()
        return await self.runtime.store.swaps_made(schedule, user, live_at, limit, after)

    async def _room(self, actor: Actor) -> None:
        now = self.runtime.clock.now()
        mine = [one for one in await self.runtime.store.swaps(now) if one.asker == actor.shown]
        if sum(swap_state(one, now) == "asked" for one in mine) >= MOST:
            raise Refused(f"{MOST} swaps of yours wait for an answer; withdraw some first")

    async def _open(self, tx: Tx, id: str, actor: Actor, verb: str) -> Swap:
        """The swap, locked. Raises Refused unless it waits for an answer and this is the person to give it."""
        swap = await tx.swap(id)
        if swap is None:
            raise Refused(f"there is no swap '{id[:80]}'", status=404)
        mine = swap.asker if verb == "withdraw" else swap.asked
        if actor.shown != mine:
            raise Refused(f"only {mine} may {verb} this swap", status=403)
        match swap_state(swap, self.runtime.clock.now()):
            case "asked":
                return swap
            case "past_due":
                raise Refused(f"swap {id} is past due: a shift of it has begun without an answer")
            case "accepted":
                raise Refused(f"swap {id} is accepted already; to undo it, take its overrides back")
            case state:
                raise Refused(f"swap {id} is {state}")

    def _still_theirs(self, swap: Swap, made: Sequence[MadeOverride]) -> None:
        """Schedules and overrides may have changed since it was asked. Raises Refused."""
        settings = self.runtime.settings
        gone = [user for user in (swap.asker, swap.asked) if user not in settings.users]
        if swap.schedule not in settings.schedules or gone:
            what = gone[0] if gone else f"schedule {swap.schedule}"
            raise Refused(f"{what} is not in the configuration any more; this swap can only be declined")
        one = Window(swap.starts_at, swap.ends_at)
        back = Window(swap.back_from, swap.back_to) if swap.back_from is not None and swap.back_to is not None else None
        wrong = not_theirs(swap.schedule, swap.asker, swap.asked, one, back, settings, made)
        if wrong:
            raise Refused(f"the shifts have changed since it was asked: {wrong[0].detail}")

    def _answered(self, tx: Tx, swap: Swap, status: str, actor: Actor) -> Swap:
        after = replace(swap, status=status, answered_at=self.runtime.clock.now(), answered_by=actor.shown)  # type: ignore[arg-type]  # one of Swap's
        tx.add_swap(after)
        page = self._answer(after) if status != "withdrawn" else None
        if page is not None:
            tx.add_pages([page])
        return after

    async def _commit(self, work: Callable[[Tx], Awaitable[Made]]) -> Swap:
        swap, overrides = await self.runtime.store.write(work)
        self.runtime.active_overrides.set(overrides, self.runtime.clock.now())
        if swap.status != "withdrawn":
            self._told_over(swap.asker)
        log.info(f"swap_{swap.status}", id=swap.id, schedule=swap.schedule, by=swap.answered_by)
        return swap
