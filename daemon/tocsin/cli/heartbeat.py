"""`tocsin heartbeat list|ping`: what must report regularly, whether it did, and a check-in from a script."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import connect
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.times import local

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command("list")
def list_heartbeats(as_json: AsJson = False) -> None:
    """List heartbeats and how it stands with each: state, last check-in, by when the next one is due (grace
    included).
    """
    found = connect().get("/v1/heartbeats")
    if as_json:
        print_json(found)
        return
    print_table(
        ("heartbeat", "state", "last check-in", "by", "next due", "silent since", "expected", "service"),
        [_row(one) for one in found["heartbeats"]],
        empty="no heartbeats are configured",
    )


@app.command()
def ping(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A name under `heartbeats:` of the configuration.")],
    as_json: AsJson = False,
) -> None:
    """Check in: as a job does when it is done. Needs a responder's token."""
    answer = connect().post(f"/v1/heartbeats/{quote(name, safe='')}", {})
    print_json(answer) if as_json else say(f"{answer['name']} is heard. Next due {local(answer['next_due'])}.")


def _row(one: dict[str, Any]) -> tuple[object, ...]:
    return (
        one["name"],
        one["state"],
        local(one["last_check_in"]),
        one["last_by"],
        local(one["next_due"]),
        local(one["silent_since"]),
        one["expects"],
        one["service"],
    )
