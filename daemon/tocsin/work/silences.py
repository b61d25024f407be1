"""Mute what matches for a while: made, changed and expired by people; open incidents follow at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

from tocsin.contracts import IncidentFilter, Tx
from tocsin.decide.matchers import Matcher, parse
from tocsin.decide.text import clean
from tocsin.errors import Refused, StoreUnavailable
from tocsin.model import DAY, Actor, Instant, Silence
from tocsin.work.core import Core
from tocsin.work.following import follow, follow_all
from tocsin.work.ledger import Effects

MOST = 64  # matchers
LONGEST = 366 * DAY
AT_ONCE = 500  # open incidents that follow in one transaction


class Silences:
    """`add`, `expire`, `list`; each write also mutes or unmutes the open incidents it concerns."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._changed: set[str] = set()
        self._begun = False

    async def add(
        self,
        matchers: Sequence[str],
        starts_at: Instant,
        ends_at: Instant,
        author: str,
        comment: str,
        id: str | None = None,  # the name of the field
    ) -> Silence:
        """A new silence, or a new version of the one called `id`. Raises Refused with what to write instead."""
        self._check(matchers, starts_at, ends_at)
        silence = Silence(
            id or self.core.chance.token(), tuple(matchers), starts_at, ends_at,
            clean(author, 200), clean(comment, 2000, lines=True), self.core.clock.now(),
        )  # fmt: skip

        async def work(tx: Tx) -> Silence:
            if id is not None and await tx.silence(id) is None:
                raise Refused(f"there is no silence '{id}'", status=404)
            return silence

        return await self._keep(work)

    async def expire(self, id: str, actor: Actor) -> Silence:  # the name of the field
        """It ends now; what it alone muted pages on at once."""

        async def work(tx: Tx) -> Silence:
            found = await tx.silence(id)
            if found is None:
                raise Refused(f"there is no silence '{id}'", status=404)
            now = self.core.clock.now()
            return replace(found, ends_at=min(found.ends_at, now), starts_at=min(found.starts_at, now))

        return await self._keep(work)

    async def list(self, active: bool) -> list[Silence]:
        """Newest first; only those in force now when `active`."""
        return await self.core.store.silences(active_at=self.core.clock.now() if active else None, limit=1000)

    async def refresh(self) -> None:
        """Read the silences that may still mute something; after a start, and where others write too."""
        now = self.core.clock.now()
        kept = await self.core.store.silences(active_at=None, limit=10_000)
        self._changed.update(self.core.mutes.changed(kept, now))
        self.core.mutes.replace([one for one in kept if one.ends_at > now])

    async def begin(self) -> None:
        """Silences with a later start take hold of what is open when they begin.

        After a change made beside others the incidents follow once more: who decided at that moment may not have
        known of it. After a start too: the process before this one may have been on the way through them.
        """
        changed, self._changed = self._changed, set()
        if self.core.mutes.starting(self.core.clock.now()) or changed or not self._begun:
            try:
                await follow_all(self.core)
                self._begun = True
            except StoreUnavailable:
                self._changed |= changed
                self.core.mutes.look_again()
                raise

    def _check(self, matchers: Sequence[str], starts_at: Instant, ends_at: Instant) -> None:
        if not 0 < len(matchers) <= MOST:
            raise Refused(f"a silence needs one to {MOST} matchers", status=422)
        now = self.core.clock.now()
        if ends_at <= starts_at:
            raise Refused("a silence must end after it starts", status=422)
        if ends_at <= now:
            raise Refused("a silence must end in the future", status=422)
        if ends_at - starts_at > LONGEST:
            raise Refused("a silence lasts at most a year", status=422)
        parsed = [self._parsed(text) for text in matchers]
        if all(matcher.accepts("") for matcher in parsed):
            raise Refused("these matchers fit every alert; name at least one value", status=422)

    def _parsed(self, text: str) -> Matcher:
        try:
            return parse(text)
        except ValueError as wrong:
            raise Refused(f"matcher {text!r}: {wrong}", status=422) from None

    async def _keep(self, work: Callable[[Tx], Awaitable[Silence]]) -> Silence:
        """Commit a new version, and let the open incidents follow: the newest in the same transaction."""

        async def keep(tx: Tx) -> tuple[Silence, Effects, int | None]:
            silence = await work(tx)
            tx.add_silence(silence)
            return silence, *await self._follow_some(tx)

        silence, effects, rest = await self.core.store.write(keep)
        effects.silences.append(silence)
        effects.apply(self.core)
        if not self.core.store.exclusive:
            self._changed.add(silence.id)
        if rest is not None:
            await follow_all(self.core, rest)
        return silence

    async def _follow_some(self, tx: Tx) -> tuple[Effects, int | None]:
        """The newest open incidents follow. With the number to go on below."""
        found = await self.core.store.incidents(IncidentFilter(status=("triggered",)), AT_ONCE, None)
        effects = await follow(self.core, tx, [one.number for one in found], anew=True)
        return effects, found[-1].number if len(found) == AT_ONCE else None
