"""`tocsin silence`: mute alerts for a while, by the same matchers as the rules."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import connect
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.times import length, local, moment, rfc3339
from tocsin.cli.trouble import WRONG, Trouble

app = typer.Typer(help="Mute alerts for a while: nobody is paged, everything is kept.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command()
def add(
    matchers: Annotated[list[str], typer.Argument(help="""'alertname="DiskFull"' 'env=~"stag.*"': all must match.""")],
    how_long: Annotated[str | None, typer.Option("--for", help="30m, 2h, 1d …")] = None,
    until: Annotated[str | None, typer.Option(help="An end instead of a length: 2026-01-05 09:00.")] = None,
    start: Annotated[str | None, typer.Option("--from", help="A later start: 2026-01-05 09:00.")] = None,
    comment: Annotated[str, typer.Option("--comment", "-m", help="Why.")] = "by tocsin silence add",
    as_json: AsJson = False,
) -> None:
    """Silence the alerts that all MATCHERS hit. Prints the silence's id."""
    body = {"matchers": matchers, "comment": comment, **_window(start, until, how_long)}
    silence = connect().post("/v1/silences", body)
    if as_json:
        print_json(silence)
    else:
        say(silence["id"])


@app.command("list")
def show_all(
    everything: Annotated[bool, typer.Option("--all", help="Ended ones too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the silences that are active or to come."""
    found = {"silences": connect().every("/v1/silences", "silences", active=None if everything else "true")}
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "from", "until", "author", "matchers", "comment"),
        [_row(silence) for silence in found["silences"]],
        empty="no silences",
    )


@app.command()
def expire(
    ids: Annotated[list[str], typer.Argument(help="Ids as `tocsin silence list` shows them.")],
    as_json: AsJson = False,
) -> None:
    """End silences now: what still fires pages at once."""
    api = connect()
    ended = [api.delete(f"/v1/silences/{quote(id, safe='')}") for id in ids]
    if as_json:
        print_json(ended if len(ended) > 1 else ended[0])
    else:
        say(f"expired {', '.join(ids)}")


def _window(start: str | None, until: str | None, how_long: str | None) -> dict[str, str]:
    """The window as the API takes it. A length counts from the daemon's clock, not from this machine's."""
    begins = moment(start) if start else None
    window = {"starts_at": rfc3339(begins)} if begins is not None else {}
    match (until, how_long):
        case (str(), None):
            return {**window, "ends_at": rfc3339(moment(until, begins))}
        case (None, str()):
            length(how_long)
            return {**window, "for": how_long}
        case _:
            raise Trouble("say how long: --for 2h, or --until '2026-01-05 09:00'", WRONG)


def _row(silence: dict[str, Any]) -> tuple[object, ...]:
    return (
        silence["id"],
        local(silence["starts_at"]),
        local(silence["ends_at"]),
        silence.get("author"),
        " ".join(silence["matchers"]),
        silence.get("comment"),
    )
