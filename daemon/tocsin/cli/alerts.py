"""`tocsin alerts export`: recorded alerts as JSON lines, to try other rules on, or to keep."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Annotated

import typer

from tocsin.cli.oncall import settings_without_secrets
from tocsin.cli.past import SINCE, since_when, write_lines, written_to
from tocsin.cli.tables import warn

app = typer.Typer(help="Recorded alerts: export.", no_args_is_help=True)


@app.callback()
def _alerts() -> None:
    """Recorded alerts."""


@app.command()
def export(
    since: Annotated[str, typer.Option(help=SINCE)] = "7d",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; without: stdout.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
) -> None:
    """Write every alert received since then as a line of JSON, as its source read it, and people's answers between.

    Reads the database beside a running daemon and changes nothing. `tocsin backtest --alerts FILE` takes the file.
    """
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
