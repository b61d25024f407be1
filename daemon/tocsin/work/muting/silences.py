"""Mute what matches for a while: made, changed and expired by people; open incidents follow at once."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace

import structlog

from tocsin.contracts import IncidentFilter, Stand, Tx
from tocsin.decide.muting.mutes import Mutes
from tocsin.decide.muting.silence_changes import changed, ended
from tocsin.decide.routing.matchers import Matcher, parse, refuse_typographic
from tocsin.decide.text import clean
from tocsin.errors import Refused
from tocsin.model import DAY, Actor, Instant, Silence
from tocsin.work.effects import Effects
from tocsin.work.muting.mute_changes import follow, follow_all
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.silences")

MOST = 64  # matchers
MOST_TEXT = 16_384  # characters of them
MOST_SILENCES = 2_000  # that have not ended: each alert is compared with all of them
MOST_PATTERNS = 1_000  # in all of these
LONGEST = 366 * DAY
ALL = 10_000
AT_ONCE = 500  # open incidents that follow in one transaction


class Silences:
    """`add`, `expire`, `list`; each write also mutes or unmutes the open incidents it concerns."""

    def __init__(self, runtime: Runtime) -> None:
        self.runtime = runtime
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
        """A new silence, or a change of the one called `id`: in place where it may be
        (decide/muting/silence_changes.py), else that one ends and a new one is made. Raises Refused with what to write
        instead.
        """
        self.runtime.mutes.prepare(matchers, await self._check(matchers, starts_at, ends_at, id))
        now = self.runtime.clock.now()
        asked = Silence(
            self.runtime.chance.token(), tuple(matchers), starts_at, ends_at,
            clean(author, 200), clean(comment, 2000, lines=True), now,
        )  # fmt: skip
        new = replace(asked, starts_at=max(starts_at, now)) if id is not None else asked

        async def work(tx: Tx) -> Sequence[Silence]:
            if id is None:
                return [new]
            before = await tx.silence(id)
            if before is None:
                raise Refused(f"there is no silence '{id}'", status=404)
            same = changed(before, asked, now)
            if same is not None:
                return [same]
            return [ended(before, now), new] if before.ends_at > now else [new]

        return await self._keep(work)

    async def expire(self, id: str, actor: Actor) -> Silence:  # the name of the field
        """End it now; what it alone muted pages on at once."""

        async def work(tx: Tx) -> Sequence[Silence]:
            silence = await tx.silence(id)
            if silence is None:
                raise Refused(f"there is no silence '{id}'", status=404)
            return [ended(silence, self.runtime.clock.now())]

        return await self._keep(work)

    async def list(self, active: bool, limit: int = ALL, after: Stand | None = None) -> list[Silence]:
        """Newest first, behind the one given; only those that have not ended when `active`."""
        return await self.runtime.store.silences_made(self.runtime.clock.now() if active else None, limit, after)

    async def ending(self, limit: int, after: Stand | None = None) -> Sequence[Silence]:
        """In the order they end, behind the one given; from the first that has not ended where none is given."""
        return await self.runtime.store.silences_by_end(
            limit, after or Stand(Instant(self.runtime.clock.now() + 1), "")
        )

    async def ended(self, limit: int) -> Sequence[Silence]:
        """The silences that ended last."""
        return await self.runtime.store.silences_ended(self.runtime.clock.now(), limit)

    async def find(self, id: str) -> Silence | None:  # the name of the field
        """The silence of this id, ended or not."""
        return await self.runtime.store.silence(id)

    async def mutes(self) -> Mutes:
        """The mutes, with the silences of this instant; what is compiled already is used again."""
        active = await self.runtime.store.silences(active_at=self.runtime.clock.now(), limit=ALL)
        return self.runtime.mutes.among(active)

    async def refresh(self) -> None:
        """Read the silences that may still mute something; after a start, and where others write too."""
        now = self.runtime.clock.now()
        kept = await self.runtime.store.silences(active_at=None, limit=ALL)
        mutes, before = self.runtime.mutes, set(self.runtime.mutes.unreadable)
        self._changed.update(mutes.changed(kept, now))
        mutes.replace([silence for silence in kept if silence.ends_at > now])
        for id_, because in mutes.unreadable.items():
            if id_ not in before:
                log.error("silence_unreadable", silence=id_, because=because, advice="it mutes nothing")

    async def begin(self) -> None:
        """Silences with a later start take hold of what is open when they begin.

        After a change made beside others the incidents follow once more: who decided at that moment may not have
        known of it. After a start too: the process before this one may have been on the way through them.
        """
        changed, self._changed = self._changed, set()
        if self.runtime.mutes.starting(self.runtime.clock.now()) or changed or not self._begun:
            try:
                await follow_all(self.runtime)
                self._begun = True
            except Exception:
                self._changed |= changed
                self.runtime.mutes.look_again()
                raise

    async def _check(
        self, matchers: Sequence[str], starts_at: Instant, ends_at: Instant, id: str | None
    ) -> Sequence[Matcher]:
        """The matchers, compiled. Raises Refused."""
        if not 0 < len(matchers) <= MOST:
            raise Refused(f"a silence needs one to {MOST} matchers", status=422)
        if sum(map(len, matchers)) > MOST_TEXT:
            raise Refused(f"the matchers of a silence have at most {MOST_TEXT} characters together", status=422)
        now = self.runtime.clock.now()
        if ends_at <= starts_at:
            raise Refused("a silence must end after it starts", status=422)
        if ends_at <= now:
            raise Refused("a silence must end in the future", status=422)
        if ends_at - starts_at > LONGEST:
            raise Refused("a silence lasts at most a year", status=422)
        parsed = []
        for index, text in enumerate(matchers):
            parsed.append(self._parsed(text, index))
            await self.runtime.clock.turn()  # a pattern may take milliseconds
        if all(matcher.accepts("") for matcher in parsed):
            raise Refused("these matchers fit every alert; name at least one value", status=422)
        self._refuse_too_many(parsed, id)
        return parsed

    def _refuse_too_many(self, parsed: Sequence[Matcher], id: str | None) -> None:
        """Raises Refused where alerts would be compared with too much, not counting the one that is changed."""
        silences, patterns = self.runtime.mutes.load(self.runtime.clock.now(), but=id)
        if silences >= MOST_SILENCES:
            raise Refused(f"{silences} silences have not ended yet: expire some first", status=409)
        if patterns + sum(matcher.is_pattern for matcher in parsed) > MOST_PATTERNS:
            because = f"the silences that have not ended have {patterns} patterns already: expire some, or write ="
            raise Refused(because, status=409)

    @staticmethod
    def _parsed(text: str, index: int) -> Matcher:
        try:
            refuse_typographic(text)
            return parse(text, small=True)
        except ValueError as wrong:
            culprits = ((f"/matchers/{index}", str(wrong)),)
            raise Refused(f"matcher {text[:200]!r}: {wrong}", status=422, culprits=culprits) from None

    async def _keep(self, work: Callable[[Tx], Awaitable[Sequence[Silence]]]) -> Silence:
        """Commit new versions, and let the open incidents follow: the newest in the same transaction. The last one."""

        async def keep(tx: Tx) -> tuple[Sequence[Silence], Effects, int | None]:
            silences = await work(tx)
            for silence in silences:
                tx.add_silence(silence)
            return silences, *await self._follow_some(tx)

        silences, effects, rest = await self.runtime.store.write(keep)
        effects.silences.extend(silences)
        effects.apply(self.runtime)
        if not self.runtime.store.exclusive:
            self._changed.update(silence.id for silence in silences)
        if rest is not None:
            await follow_all(self.runtime, rest)
        return silences[-1]

    async def _follow_some(self, tx: Tx) -> tuple[Effects, int | None]:
        """The newest open incidents follow. With the number to go on below."""
        incidents = await self.runtime.store.incidents(IncidentFilter(status=("triggered",)), AT_ONCE, None)
        effects = await follow(self.runtime, tx, [incident.number for incident in incidents], anew=True)
        return effects, incidents[-1].number if len(incidents) == AT_ONCE else None
