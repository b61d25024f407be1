"""Change who is on call for a while: made and taken back by people, in force with the commit."""

from __future__ import annotations

from dataclasses import replace

import structlog

from tocsin.contracts import Stand, Tx
from tocsin.decide.oncall.overrides import Asked, Extra, Wrong, checked, extra_of, reason_of
from tocsin.errors import Refused
from tocsin.model import Actor, Instant, MadeOverride
from tocsin.work.active_overrides import BACK
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.overrides")

MOST = 1000  # of one schedule that have not ended: each page walks past them


class Overrides:
    """`add`, `remove`, `list`; what was made stays readable as long as incidents do."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime

    async def add(self, asked: Asked, actor: Actor) -> MadeOverride:
        """Raises Refused with every mistake at its place; then nothing was changed."""

        async def work(tx: Tx) -> MadeOverride:
            now = self.runtime.clock.now()
            made = await tx.overrides(Instant(now - BACK))
            window = checked(asked, self.runtime.settings, now, made)
            if isinstance(window, Wrong):
                raise refusal(window)
            if sum(one.schedule == asked.schedule and one.removed_at is None for one in made) >= MOST:
                raise Refused(f"{asked.schedule} has {MOST} overrides; change the schedule itself", status=422)
            override = MadeOverride(
                new_id(self.runtime), asked.schedule, asked.users, window.start, window.end, asked.replaces, asked.mode,
                actor.shown, reason_of(asked.reason), now,
            )  # fmt: skip
            tx.add_override(override)
            return override

        override = await self.runtime.store.write(work)
        self.runtime.active_overrides.set([override], self.runtime.clock.now())
        log.info("override_made", id=override.id, schedule=override.schedule, users=override.users, by=override.author)
        return override

    async def remove(self, id: str, actor: Actor, schedule: str | None = None) -> MadeOverride:
        """End an override now; what it did so far stays as it was. Raises Refused where nothing can be taken back."""

        async def work(tx: Tx) -> MadeOverride:
            found, now = await tx.override(id), self.runtime.clock.now()
            if found is None or schedule not in (None, found.schedule):
                raise Refused(f"there is no override '{id[:80]}'", status=404)
            if found.removed_at is not None:
                raise Refused(f"override {id} was taken back already, by {found.removed_by}")
            if found.ends_at <= now:
                raise Refused(f"override {id} is over; what was is not rewritten")
            removed = replace(found, removed_at=now, removed_by=actor.shown)
            tx.add_override(removed)
            return removed

        removed = await self.runtime.store.write(work)
        self.runtime.active_overrides.set([removed], self.runtime.clock.now())
        log.info("override_removed", id=id, schedule=removed.schedule, by=removed.removed_by)
        return removed

    async def list(
        self, schedule: str | None, everything: bool = False, limit: int = MOST, after: Stand | None = None
    ) -> list[MadeOverride]:
        """In the order they were made, behind the one given; without `everything` only those that count, or will."""
        live_at = None if everything else self.runtime.clock.now()
        return await self.runtime.store.overrides_made(schedule, live_at, limit, after)

    async def in_force(self, since: Instant) -> Extra:
        """For the resolver, at any time from `since` on; as committed, whichever replica made them."""
        return extra_of(await self.runtime.store.overrides(since), self.runtime.settings)

    async def refresh(self) -> None:
        """Learn what was made before this process began, and, where others write too, by them."""
        self.runtime.active_overrides.replace(
            await self.runtime.store.overrides(Instant(self.runtime.clock.now() - BACK))
        )


def refusal(wrong: Wrong) -> Refused:
    """Every mistake, with the first as the sentence."""
    said = "; ".join(mistake.detail for mistake in wrong.mistakes)
    return Refused(said, status=422, culprits=tuple((one.pointer, one.detail) for one in wrong.mistakes))


def new_id(runtime: Runtime) -> str:
    """Short enough to be typed; 48 random bits."""
    return runtime.chance.token()[:12]
