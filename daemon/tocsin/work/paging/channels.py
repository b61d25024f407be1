"""The lines out: each configured channel opened, with its free slots and its health."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from tocsin.contracts import Channel, ChannelKind, Tools
from tocsin.decide.paging.throttle import PAGES
from tocsin.model import MINUTE, ChannelConfig, Instant, Millis, PageKind, Settings

SLOTS = 34
KEPT = 2  # of these, for a P1's first pages: a slow provider that is busy with lesser ones holds up none
QUIET_SLOTS = 8  # besides those, for what is no page: thousands of these at a slow provider hold up no page
SICK_AFTER = 3  # calls in a row without success
SAY_AGAIN = 100  # such calls after which the alarm is raised once more: another replica may have ended it
SAID_ONCE = Millis(10 * MINUTE)  # a provider that fails every other minute is one trouble, not one each time
NEVER = Instant(-1)


@dataclass(slots=True)
class Line:
    """One channel at work."""

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
        """Its slot is free again."""
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


def open_lines(
    settings: Settings, kinds: dict[str, ChannelKind], tools: Tools, old: dict[str, Line]
) -> dict[str, Line]:
    """A line for each configured channel; one whose configuration did not change is kept as it is."""
    lines = {}
    for name, config in settings.channels.items():
        kept = old.get(name)
        if kept is not None and kept.config == config:
            lines[name] = kept
            continue
        kind = kinds[config.type]
        lines[name] = Line(config, kind, kind.open(name, config.options, tools))
    return lines
