"""`tocsin alerts list|export`: alerts with what became of them; recorded ones as JSON lines, to try other rules on."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.client import connect
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.times import local

SINCE = "How far back: 7d, 12h; or a time, 2026-01-05 09:00."
app = typer.Typer(help="Alerts: list, export.", no_args_is_help=True)


@app.callback()
def _alerts() -> None:
    """Alerts."""


@app.command("list")
def list_alerts(
    status: Annotated[
        str | None, typer.Option(help="firing, waiting, resolved, dropped, suppressed or heartbeat.")
    ] = None,
    integration: Annotated[str | None, typer.Option("--integration", "-i", help="Only of this integration.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=200, help="At most so many.")] = 50,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """List alerts, newest first, and why each is where it is: what a rule dropped, what waits and until when."""
    found = connect().get("/v1/alerts", status=status, integration=integration, limit=limit)
    if as_json:
        print_json(found)
        return
    print_table(
        ("alert", "status", "severity", "title", "integration", "incident", "seen", "waits until", "because"),
        [_row(alert) for alert in found["alerts"]],
        empty="no alerts" if status is None else f"no {status} alerts",
    )
    if found.get("next"):
        say(f"… more: --limit up to 200, or older ones by the API (cursor {found['next']})")


def _row(alert: dict[str, Any]) -> tuple[object, ...]:
    return (
        alert["dedup_key"],
        alert["status"],
        alert["severity"],
        alert["title"],
        alert["integration"],
        alert["incident"],
        local(alert["last_seen_at"]),
        local(alert.get("waits_until")),
        alert["because"],
    )


@app.command()
def export(
    since: Annotated[str, typer.Option(help=SINCE)] = "7d",
    out: Annotated[Path | None, typer.Option("--out", "-o", help="The file to write; without: stdout.")] = None,
    config: Annotated[Path | None, typer.Option("-c", "--config", help="The main file.")] = None,
) -> None:
    """Write every alert received since then as a line of JSON, as its source read it, and people's answers between.

    Reads the database beside a running daemon and changes nothing. `tocsin backtest --alerts FILE` takes the file.
    """
    importlib.import_module("tocsin.cli.alerts_export").export(since, out, config)
