"""Things that must report: check-ins are kept, silence becomes an alert, and a check-in ends it.

The silence is kept before its alert, and the alert before its being told is: whatever a crash comes between is done
again, and the second time is a repeat.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

import structlog

from tocsin.contracts import Tx
from tocsin.decide.heartbeats import heartbeats as decide
from tocsin.model import EMPTY, Alert, Beat, Heartbeat, Instant, IntegrationConfig, Parsed
from tocsin.work.background_duties import each, in_turn
from tocsin.work.ingest.intake import Intake
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.heartbeats")

NAME = "heartbeat"
"""The integration of alerts about silence: an incident's key is `heartbeat/NAME`."""


class Heartbeats:
    """`check_in`, `hear`, `views`; `begin` at start, `look` every second."""

    def __init__(self, runtime: Runtime, intake: Intake) -> None:
        self.runtime, self.intake = runtime, intake
        self._one_at_a_time = asyncio.Lock()
        self._may_have_rows = True
        self._sources: dict[str, IntegrationConfig] = {}

    @property
    def configured(self) -> Mapping[str, Heartbeat]:
        return self.runtime.settings.heartbeats

    async def begin(self, *, was_down: bool) -> None:
        """At start: await what is configured; what was due while nobody was here is judged anew."""
        if not self.configured:
            return

        async def work(tx: Tx) -> None:
            self._await_all(tx, await tx.beats(), was_down=was_down)

        await self.runtime.store.write(work)

    def _await_all(self, tx: Tx, known: Mapping[str, Beat], *, was_down: bool) -> None:
        now = self.runtime.clock.now()
        for name, heartbeat in self.configured.items():
            before = known.get(name)
            if before is None:
                after = decide.awaited(heartbeat, now)
            else:
                after = decide.anew(before, heartbeat, now, was_down=was_down)
            if after != before:
                tx.save_beat(after)

    async def follow_step(self) -> None:
        """The clock was stepped: deadlines of crontabs that it jumped over are judged anew."""

        async def work(tx: Tx) -> None:
            now = self.runtime.clock.now()
            for name, beat in (await tx.beats()).items():
                heartbeat = self.configured.get(name)
                if heartbeat is not None and (after := decide.after_step(beat, heartbeat, now)) != beat:
                    tx.save_beat(after)

        if self.configured:
            await self.runtime.store.write(work)

    # ------------------------------------------------------------------------------- check-ins

    async def check_in(self, name: str, by: str) -> Beat:
        """Heard; durable when it returns, and what its silence opened is resolved. KeyError for an unknown name."""
        heartbeat = self.configured[name]

        async def work(tx: Tx) -> Beat:
            now = self.runtime.clock.now()
            before = (await tx.beats()).get(name) or decide.awaited(heartbeat, now)
            after = decide.checked_in(before, heartbeat, by, now)
            tx.save_beat(after)
            return after

        beat = await self.runtime.store.write(work, lane="ingest")  # pings are many, and no page waits for one
        if decide.is_unsettled(beat):
            await self._settle(name)
        return beat

    async def hear(self, names: Sequence[str], by: str) -> None:
        """Alerts came in that are check-ins of these."""
        for name in names:
            if name in self.configured:
                await self.check_in(name, by)

    async def views(self) -> list[dict[str, object]]:
        """State of each heartbeat, in the order of the configuration."""
        now, known = self.runtime.clock.now(), {beat.name: beat for beat in await self.runtime.store.beats()}
        return [
            decide.beat_view(known.get(name) or decide.awaited(one, now), one, now)
            for name, one in self.configured.items()
        ]

    def view(self, beat: Beat) -> dict[str, object]:
        return decide.beat_view(beat, self.configured[beat.name], self.runtime.clock.now())

    # -------------------------------------------------------------------------------- the look

    async def look(self) -> None:
        """Take up what fell due since the last look, what was configured meanwhile, and what a crash left half done."""
        await self.runtime.signals.attend()
        if not self.configured and not self._may_have_rows:
            return
        known = {beat.name: beat for beat in await self.runtime.store.beats()}
        self._may_have_rows = bool(known)
        now = self.runtime.clock.now()
        await in_turn(
            lambda: self._follow_configuration(known),
            lambda: each(known.values(), lambda beat: self._look_at(beat, now)),
        )
        silent = [beat for name, beat in known.items() if name in self.configured and _is_silent(beat, now)]
        self.runtime.metrics.heartbeats_overdue.set(len(silent))

    async def _look_at(self, beat: Beat, now: Instant) -> None:
        heartbeat = self.configured.get(beat.name)
        if heartbeat is None:
            await self._forget(beat)
        elif beat.due_at <= now and beat.expects == decide.expects(heartbeat):
            await self._miss(beat.name)
        elif decide.is_unsettled(beat):
            await self._settle(beat.name)

    async def _follow_configuration(self, known: Mapping[str, Beat]) -> None:
        """A reload brought new ones, or other times for known ones."""
        unlike = [name for name, one in self.configured.items()
                  if name not in known or known[name].expects != decide.expects(one)]  # fmt: skip
        if unlike:

            async def work(tx: Tx) -> None:
                self._await_all(tx, await tx.beats(), was_down=False)

            await self.runtime.store.write(work)
            self._may_have_rows = True

    async def _miss(self, name: str) -> None:
        """Keep that it is silent, unless it was heard meanwhile; then say so."""

        async def work(tx: Tx) -> Instant | None:
            now, beat, heartbeat = self.runtime.clock.now(), (await tx.beats()).get(name), self.configured.get(name)
            if beat is None or heartbeat is None or beat.due_at > now:
                return None
            tx.save_beat(decide.missed(beat, heartbeat, now))
            return beat.due_at

        missed_at = await self.runtime.store.write(work)
        if missed_at is not None:
            log.warning("heartbeat_silent", heartbeat=name)
            await self._settle(name, missed_at)

    async def _settle(self, name: str, missed_at: Instant | None = None) -> None:
        """Store the alert of its silence, or the end of it; then that this is done."""
        async with self._one_at_a_time:
            beat = next((one for one in await self.runtime.store.beats() if one.name == name), None)
            heartbeat = self.configured.get(name)
            if beat is None or heartbeat is None or not decide.is_unsettled(beat):
                return
            if decide.is_heard(beat):
                await self._post(heartbeat, decide.heard_alert(name))
                await self._mark(beat, over=True)
            else:
                since = missed_at or beat.silent_since
                assert since is not None
                await self._post(heartbeat, decide.silence_alert(beat, heartbeat, since))
                await self._mark(beat, over=False)

    async def _mark(self, seen: Beat, *, over: bool) -> None:
        """Unless another silence began since it was looked at."""

        async def work(tx: Tx) -> None:
            beat = (await tx.beats()).get(seen.name)
            if beat is not None and beat.silent_since == seen.silent_since:
                tx.save_beat(decide.settled(beat, over=over))

        await self.runtime.store.write(work)

    async def _post(self, heartbeat: Heartbeat, alert: Alert) -> None:
        """Through the door of every alert: rules, silences, policies and storms apply."""
        await self.intake.take(self._source(heartbeat), b"{}", Parsed((alert,)))

    def _source(self, heartbeat: Heartbeat) -> IntegrationConfig:
        """Integration of a heartbeat, the same one as long as its policy is: the rules remember their integrations."""
        known = self._sources.get(heartbeat.name)
        defaults = {"policy": heartbeat.policy} if heartbeat.policy else EMPTY
        if known is None or known.defaults != defaults:
            known = self._sources[heartbeat.name] = IntegrationConfig(NAME, NAME, defaults=defaults)
        return known

    async def _forget(self, beat: Beat) -> None:
        """Configured no more: nobody waits for it."""
        if beat.silent_since is not None:
            await self._post(Heartbeat(beat.name), decide.heard_alert(beat.name))

        async def work(tx: Tx) -> None:
            tx.forget_beat(beat.name)

        await self.runtime.store.write(work)


def _is_silent(beat: Beat, now: Instant) -> bool:
    return beat.due_at <= now or (beat.silent_since is not None and not decide.is_heard(beat))
