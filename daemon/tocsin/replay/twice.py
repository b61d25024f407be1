"""Replay of two configurations, before and after, over the same recorded alerts; over many, in two processes."""

from __future__ import annotations

import asyncio
import multiprocessing
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tocsin import logs
from tocsin.decide.whatif.outcomes import Played
from tocsin.decide.whatif.recordings import Record, record_of
from tocsin.model import FeedShift, Override, Settings
from tocsin.replay.engine import play
from tocsin.settings import Loaded, load_over

LOOK = 0.2  # seconds between two looks at how far they are
FEW = 3_000  # records: with fewer, the processes would take longer to start than to play
Side = int
_progress: Any = None  # of a worker: where it tells how far it is


@dataclass(frozen=True, slots=True)
class OnCallExtras:
    """Facts of a schedule that the files do not hold: the shifts of its feed, and the overrides made at run time."""

    feed: tuple[FeedShift, ...]
    overrides: tuple[Override, ...]


@dataclass(frozen=True, slots=True)
class Variant:
    """A configuration with some sections from other files instead."""

    main: Path
    others: tuple[Path, ...] = ()
    always: tuple[str, ...] = ()
    duty: Mapping[str, OnCallExtras] = field(default_factory=dict)  # by schedule

    def load(self, only: tuple[str, ...] = ()) -> Loaded:
        return load_over(self.main, self.others, always=self.always, only=only)


def play_twice(
    before: Variant, after: Variant, file: Path, count: int, tell: Callable[[int], None]
) -> tuple[Played, Played]:
    """Play the `count` records of a file under both variants and return both outcomes. `tell` hears how many records
    both have done together.

    Raises what a replay raises: StoreError, ValueError for a bad line or a configuration that changed meanwhile.
    """
    if count < FEW:
        return _play(0, before, file), _play(1, after, file)
    context = multiprocessing.get_context("spawn")
    counts = context.Array("q", 2)
    with ProcessPoolExecutor(2, mp_context=context, initializer=_begin, initargs=(counts,)) as pool:
        running = [pool.submit(_play, side, variant, file) for side, variant in enumerate((before, after))]
        waiting: set[Future[Played]] = set(running)
        while waiting:
            done, waiting = wait(waiting, timeout=LOOK, return_when=FIRST_COMPLETED)
            tell(sum(counts[:]))
            for side in done:
                side.result()
        return running[0].result(), running[1].result()


def _begin(counts: Any) -> None:
    """Set up a worker process: where it tells its progress."""
    global _progress
    _progress = counts


def _play(side: Side, variant: Variant, file: Path) -> Played:
    def tell(done: int) -> None:
        if _progress is not None:
            _progress[side] = done

    loaded = variant.load()
    if loaded.settings is None:
        raise ValueError("\n".join(map(str, loaded.problems)))
    with logs.quiet():
        known = replace(loaded, settings=with_duty(loaded.settings, variant.duty))
        return asyncio.run(play(known, read_records(file), tell=tell))


def with_duty(settings: Settings, duty: Mapping[str, OnCallExtras]) -> Settings:
    """Overrides made at run time go after the written ones, as they do when people are paged."""
    nothing = OnCallExtras((), ())
    schedules = {}
    for name, schedule in settings.schedules.items():
        known = duty.get(name, nothing)
        schedules[name] = replace(schedule, feed=known.feed, overrides=(*schedule.overrides, *known.overrides))
    return replace(settings, schedules=schedules)


def read_records(file: Path) -> Iterator[Record]:
    """Yield the records of a file. Raises ValueError that names file and line."""
    with file.open("rb") as opened:
        for number, line in enumerate(opened, 1):
            if line.strip():
                try:
                    yield record_of(line)
                except ValueError as wrong:
                    raise ValueError(f"{file}:{number}: {wrong}") from None
