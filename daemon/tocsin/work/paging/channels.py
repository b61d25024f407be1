"""The lines out: each configured channel opened, with its free slots and its health."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import structlog

from tocsin.contracts import Channel, ChannelKind, Tools
from tocsin.decide.paging.throttle import PAGES
from tocsin.errors import StoreUnavailable
from tocsin.model import (
    MINUTE,
    Accepted,
    Cancelled,
    ChannelConfig,
    Failed,
    Instant,
    Millis,
    Outcome,
    PageKind,
    Settings,
    Unknown,
)
from tocsin.work.incidents.self_alerts import OWN, SelfAlerts
from tocsin.work.runtime import Runtime

log = structlog.stdlib.get_logger("tocsin.pager")

SLOTS = 34
KEPT = 2  # of these, for a P1's first pages: a slow provider that is busy with lesser ones holds up none
QUIET_SLOTS = 8  # besides those, for what is no page: thousands of these at a slow provider hold up no page
SICK_AFTER = 3  # calls in a row without success
SAY_AGAIN = 100  # such calls after which the alarm is raised once more: another replica may have ended it
SAID_ONCE = Millis(10 * MINUTE)  # a provider that fails every other minute is one trouble, not one each time
NEVER = Instant(-1)


@dataclass(slots=True)
class Line:
    """A channel at work: its slots, and its health as its calls show it."""

    config: ChannelConfig
    kind: ChannelKind
    channel: Channel
    slots: int = SLOTS
    busy: int = 0
    quiet: int = 0  # calls that are no page
    failed_in_a_row: int = 0
    good_at: Instant = NEVER  # when the newest call began that went through
    sick_at: Instant = NEVER  # when it was last known to fail
    said_at: Instant | None = None  # when that was told last
    untold: bool = False  # it fails, and that is not told yet since it was told a moment ago
    proven: bool = False  # something went through since it was opened
    because: str = ""
    shown: bool = True  # its health as the metric has it
    wake: asyncio.Event = field(default_factory=asyncio.Event)

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def free(self) -> int:
        return self.slots - self.busy

    @property
    def quiet_free(self) -> int:
        return QUIET_SLOTS - self.quiet

    @property
    def healthy(self) -> bool:
        return self.failed_in_a_row < SICK_AFTER

    def begin(self, kind: PageKind) -> None:
        """A call of this kind takes its slot."""
        if kind in PAGES:
            self.busy += 1
        else:
            self.quiet += 1

    def end(self, kind: PageKind) -> None:
        """Free the slot of a call of this kind."""
        if kind in PAGES:
            self.busy -= 1
        else:
            self.quiet -= 1

    def succeeded(self, begun_at: Instant) -> bool:
        """Note a call that went through; True when the line has recovered by it.

        One that began before the line was known to fail tells nothing of how it is since.
        """
        self.good_at = max(self.good_at, begun_at)
        if not self.healthy and begun_at < self.sick_at:
            return False
        recovered = not self.healthy
        self.failed_in_a_row, self.because, self.untold = 0, "", False
        return recovered

    def failed(self, because: str, begun_at: Instant, now: Instant) -> bool:
        """Note a call that did not; True when the line counts as failing from now on, and again while it goes on.

        One that began before another that went through is old news: time-outs come late, and would make of one
        outage many. Of a line that fails and recovers again and again it is told every ten minutes.
        """
        if begun_at < self.good_at:
            return False
        self.failed_in_a_row += 1
        self.because = because
        if self.failed_in_a_row == SICK_AFTER:
            self.sick_at, self.untold = now, True
        if self.untold and (self.said_at is None or now - self.said_at >= SAID_ONCE):
            self.said_at, self.untold = now, False
            return True
        return self.failed_in_a_row % SAY_AGAIN == 0


class Lines(Mapping[str, Line]):
    """The lines out by channel name, as the configuration in force has them."""

    def __init__(self, runtime: Runtime, tools: Tools, self_alerts: SelfAlerts) -> None:
        self.runtime, self.tools, self.self_alerts = runtime, tools, self_alerts
        self._lines: dict[str, Line] = {}

    def __getitem__(self, name: str) -> Line:
        return self._lines[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._lines)

    def __len__(self) -> int:
        return len(self._lines)

    def serves(self, line: Line) -> bool:
        """Whether no reload has put another line in the place of this one."""
        return self._lines.get(line.name) is line

    def configure(self) -> list[Line]:
        """Open the channels of the configuration in force; the new lines. One whose configuration did not change is
        kept as it is; whoever waits for one that is gone is woken."""
        old, self._lines = self._lines, _opened(self.runtime.settings, self.runtime.kinds, self.tools, self._lines)
        for name, line in self._lines.items():
            line.shown = line.healthy
            self.runtime.metrics.channel_healthy.labels(name).set(line.healthy)
        for line in old.values():
            if not self.serves(line):
                line.wake.set()
        return [line for name, line in self._lines.items() if old.get(name) is not line]

    def fallback_of(self, channel: str) -> str:
        """The channel to use while this one fails: the first healthy of its fallbacks."""
        names = [name for name in self.runtime.settings.fallbacks.get(channel, ()) if name in self._lines]
        healthy = [name for name in names if self._lines[name].healthy]
        return (healthy or names or [""])[0]

    def confirming(self, channel: str) -> bool:
        """Whether word may still come of an unknown attempt, by a callback or a look-up. After a crash this is asked
        before the lines are open."""
        settings = self.runtime.settings
        config = settings.channels.get(channel)
        kind = self.runtime.kinds.get(config.type) if config is not None else None
        if kind is None or kind.confirms == "nothing":
            return False
        return kind.confirms == "lookup" or bool(settings.server.public_url)

    def watch(self, line: Line, outcome: Outcome, begun_at: Instant) -> None:
        """Note how a call ended: a channel that begins to fail, or recovers, is told."""
        if not self.serves(line):  # of a channel that was configured anew the old one's calls tell nothing
            return
        match outcome:
            case Accepted():
                if line.succeeded(begun_at):
                    self.self_alerts.recovered(f"channel/{line.name}")
                elif line.healthy and not line.proven:
                    self.runtime.spawn(self._end_an_old_alarm(line.name), f"alarm of channel {line.name}")
                line.proven |= line.healthy
            case Failed(permanent=True, account=False) | Cancelled():
                return
            case Failed(because=because) | Unknown(because=because):
                if line.failed(because, begun_at, self.runtime.clock.now()):
                    self.self_alerts.alarm(f"channel/{line.name}", f"channel {line.name} is failing", because)
        if line.healthy is not line.shown:
            line.shown = line.healthy
            self.runtime.metrics.channel_healthy.labels(line.name).set(line.healthy)

    async def _end_an_old_alarm(self, channel: str) -> None:
        """End an alarm raised before a restart, or before the channel was configured anew: a first success proves it
        over."""
        try:
            if await self.runtime.store.open_alert(OWN.name, f"channel/{channel}") is not None:
                self.self_alerts.recovered(f"channel/{channel}")
        except StoreUnavailable as error:
            log.warning("old_alarm_not_ended", channel=channel, error=str(error))


def _opened(
    settings: Settings, kinds: Mapping[str, ChannelKind], tools: Tools, old: Mapping[str, Line]
) -> dict[str, Line]:
    lines = {}
    for name, config in settings.channels.items():
        kept = old.get(name)
        if kept is not None and kept.config == config:
            lines[name] = kept
            continue
        kind = kinds[config.type]
        lines[name] = Line(config, kind, kind.open(name, config.options, tools))
    return lines
