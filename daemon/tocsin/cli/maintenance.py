"""`tocsin maintenance`: the planned windows without pages, as the configuration has them."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from tocsin.cli.client import connect
from tocsin.cli.tables import print_json, print_table
from tocsin.cli.times import local

app = typer.Typer(
    help="Planned windows without pages. They stand in the configuration; one for now is a `tocsin silence add`.",
    no_args_is_help=True,
)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.callback()
def maintenance() -> None:
    """Planned windows without pages."""


@app.command("list")
def show_all(as_json: AsJson = False) -> None:
    """List the windows: what is in force now, and when each begins next."""
    found = connect().get("/v1/maintenance")
    if as_json:
        print_json(found)
        return
    print_table(
        ("name", "in force until", "next", "until", "timezone", "matchers"),
        [_row(window) for window in found["maintenance"]],
        empty="no maintenance windows",
    )


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    current, following = one["current"] or {}, one["next"] or {}
    return (
        one["name"],
        local(current.get("end")),
        local(following.get("start")),
        local(following.get("end")),
        one["timezone"],
        " ".join(one["matchers"]),
    )
