"""Commands that look back: how far, in which database, and its alerts as lines."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import IO

from tocsin.cli.oncall import moment_in
from tocsin.cli.tables import warn
from tocsin.cli.times import length
from tocsin.cli.trouble import UNREACHABLE, Trouble
from tocsin.clock import SystemClock
from tocsin.contracts import Source
from tocsin.decide.whatif.recordings import line_of
from tocsin.errors import StoreError
from tocsin.model import DAY, Instant, Settings
from tocsin.settings.plugins import BrokenKind, Kinds
from tocsin.store import Reader, open_reader
from tocsin.work.whatif.recordings import Recorded

SINCE = "How far back: 7d, 12h; or a time, 2026-01-05 09:00."


def since_when(text: str, timezone: str) -> Instant:
    """An instant from a length before now, or from a time. Raises Trouble that says what to write instead."""
    if ":" in text or re.match(r"\d{4}-", text):
        return _last(text, timezone)
    return Instant(SystemClock().now() - length(text) // timedelta(milliseconds=1))


def _last(text: str, timezone: str) -> Instant:
    """`Sunday 03:10` is the last one, where people look back."""
    now = Instant(SystemClock().now())
    found = [moment_in(text, timezone, Instant(now - ago)) for ago in (0, DAY, 7 * DAY)]
    return next((one for one in found if one <= now), found[0])


@asynccontextmanager
async def reading(settings: Settings) -> AsyncIterator[Reader]:
    """The database beside whoever writes it. Raises Trouble when there is none, or it does not answer."""
    try:
        reader = await open_reader(settings.database, SystemClock())
        try:
            yield reader
        finally:
            await reader.close()
    except StoreError as wrong:
        raise Trouble(str(wrong), UNREACHABLE) from None


async def write_lines(settings: Settings, since: Instant, to: IO[bytes], tell: Callable[[int], None]) -> int:
    """Write every record since then as a line; return how many there were."""
    count = 0
    async with reading(settings) as reader:
        recorded = Recorded(reader, settings, sources_of(settings))
        async for record in recorded.records(since):
            to.write(line_of(record))
            count += 1
            if count % 1_000 == 0:
                tell(count)
    for name, posts in recorded.unread.items():
        warn(f"{posts} posts of integration {name!r} cannot be read with this configuration; they are left out")
    return count


def sources_of(settings: Settings) -> dict[str, Source]:
    kinds = Kinds()
    found = {one.type: kinds.kind("sources", one.type) for one in settings.integrations.values()}
    return {
        type_: source for type_, source in found.items() if source is not None and not isinstance(source, BrokenKind)
    }


def written_to(path: Path) -> IO[bytes]:
    """A new file. Raises Trouble."""
    try:
        return path.open("wb")
    except OSError as wrong:
        raise Trouble(f"{path}: {wrong.strerror or wrong}") from None
