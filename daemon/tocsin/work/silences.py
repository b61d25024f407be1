"""Mute what matches for a while: made, changed and expired by people; open incidents follow at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from typing import TypeVar

from tocsin.contracts import IncidentFilter, Tx
from tocsin.decide import lifecycle
from tocsin.decide.matchers import Matcher, hit_all, parse
from tocsin.decide.text import clean
from tocsin.errors import Refused
from tocsin.model import DAY, Actor, Incident, Instant, Silence, StoredAlert
from tocsin.work.core import Core
from tocsin.work.ledger import Effects, Ledger
from tocsin.work.muting import stored_values

S = TypeVar("S", Silence, Silence | None)
MOST = 64  # matchers
LONGEST = 366 * DAY
OPEN_AT_ONCE = 5_000  # open incidents looked at when a silence is made or expires


class Silences:
    """`add`, `expire`, `list`; each write also mutes or unmutes the open incidents it concerns."""

    def __init__(self, core: Core) -> None:
        self.core = core
        self._changed: set[str] = set()

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

        async def work(tx: Tx) -> tuple[Silence, Effects]:
            if id is not None and await tx.silence(id) is None:
                raise Refused(f"there is no silence '{id}'", status=404)
            return silence, await self._write(tx, silence)

        return await self._kept(work)

    async def expire(self, id: str, actor: Actor) -> Silence:  # the name of the field
        """It ends now; what it alone muted pages on at once."""

        async def work(tx: Tx) -> tuple[Silence, Effects]:
            found = await tx.silence(id)
            if found is None:
                raise Refused(f"there is no silence '{id}'", status=404)
            now = self.core.clock.now()
            ended = replace(found, ends_at=min(found.ends_at, now), starts_at=min(found.starts_at, now))
            return ended, await self._write(tx, ended)

        return await self._kept(work)

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

        Those that were changed are followed once more: what was decided beside the change may not have known of it.
        """
        for id_ in {one.id for one in self.core.mutes.starting(self.core.clock.now())} | self._changed:

            async def work(tx: Tx, id_: str = id_) -> tuple[Silence | None, Effects]:
                silence = await tx.silence(id_)  # as it is by now: another replica may have changed it
                return silence, await self._follow_all(tx, silence) if silence is not None else Effects()

            await self._commit(work)
            self._changed.discard(id_)

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

    async def _kept(self, work: Callable[[Tx], Awaitable[tuple[Silence, Effects]]]) -> Silence:
        silence = await self._commit(work)
        self._changed.add(silence.id)
        return silence

    async def _commit(self, work: Callable[[Tx], Awaitable[tuple[S, Effects]]]) -> S:
        silence, effects = await self.core.store.write(work)
        if silence is not None:
            effects.silences.append(silence)
        effects.apply(self.core)
        return silence

    async def _write(self, tx: Tx, silence: Silence) -> Effects:
        """Keep it, and let the open incidents follow."""
        tx.add_silence(silence)
        return await self._follow_all(tx, silence)

    async def _follow_all(self, tx: Tx, silence: Silence) -> Effects:
        ledger = Ledger(self.core, tx, self.core.clock.now())
        others = [one for one in await tx.silences(ledger.now) if one.id != silence.id]
        paging = IncidentFilter(status=("triggered",))
        for incident in await self.core.store.incidents(paging, OPEN_AT_ONCE, None):
            await ledger.load([incident.number])
            await self._follow(ledger, incident.number, [*others, silence])
        return await ledger.close()

    async def _follow(self, ledger: Ledger, number: int, silences: Sequence[Silence]) -> None:
        """Muted while all its firing alerts are; whoever it is silenced by."""
        incident = ledger.get(number)
        if incident is None or incident.status != "triggered":
            return
        mutes = [longest(alert, silences, ledger.now) for alert in await ledger.tx.firing_alerts(number)]
        if mutes and all(mutes):
            first = min((mute for mute in mutes if mute is not None), key=lambda one: one.ends_at)
            ledger.take(lifecycle.mute(incident, f"silence:{first.id}", first.ends_at, ledger.now))
        elif incident.muted_by is not None:
            await self._unmute(ledger, incident)

    async def _unmute(self, ledger: Ledger, incident: Incident) -> None:
        ledger.take(lifecycle.unmute(incident, ledger.now, "the silence ended"))


def longest(alert: StoredAlert, silences: Sequence[Silence], now: Instant) -> Silence | None:
    """The active silence that hits this alert and lasts longest."""
    values = stored_values(alert)
    hits = [
        one for one in silences
        if one.starts_at <= now < one.ends_at and hit_all(tuple(parse(text) for text in one.matchers), values)
    ]  # fmt: skip
    return max(hits, key=lambda one: one.ends_at, default=None)
