"""Recorded alerts as JSON lines, read from the database beside a running daemon."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from tocsin.cli.oncall import settings_without_secrets
from tocsin.cli.recorded_alerts import since_when, write_lines, written_to
from tocsin.cli.tables import warn


def export(since: str, out: Path | None, config: Path | None) -> None:
    """Write every alert received since then, and people's answers between; to stdout where no file is given."""
    settings = settings_without_secrets(config)
    start = since_when(since, settings.defaults.timezone)
    to = sys.stdout.buffer if out is None else written_to(out)
    try:
        count = asyncio.run(write_lines(settings, start, to, lambda _count: None))
        to.flush()
    finally:
        if out is not None:
            to.close()
    if out is not None:
        warn(f"{out}: {count} lines")
