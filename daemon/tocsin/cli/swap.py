"""`tocsin swap`: two people change shifts; it counts once the other has accepted."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import connect
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.times import clock
from tocsin.cli.trouble import WRONG, Trouble

app = typer.Typer(help="Change shifts with a colleague: ask, accept, decline, withdraw, list.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Id = Annotated[str, typer.Argument(help="Its id, as `tocsin swap list` shows it.")]
InName = Annotated[str | None, typer.Option("--user", help="In whose name; an admin's token only.")]
WHEN = "2026-12-24 09:00 or Tue 06:00 on the schedule's clock, or RFC 3339."


@app.command()
def ask(
    schedule: Annotated[str, typer.Argument(help="The schedule.")],
    colleague: Annotated[str, typer.Option("--with", help="Who is asked to take it.")],
    start: Annotated[str, typer.Option("--from", help=f"Your shift that you give away. {WHEN}")],
    end: Annotated[str, typer.Option("--to", help="Its end (not included).")],
    back_start: Annotated[str | None, typer.Option("--back-from", help="Their shift that you take for it.")] = None,
    back_end: Annotated[str | None, typer.Option("--back-to", help="Its end. Without one: a favour.")] = None,
    timezone: Annotated[str | None, typer.Option(help="The clock of these times, if not the schedule's.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; shown to them.")] = "",
    by: Annotated[str | None, typer.Option(help="In whose name; an admin's token only.")] = None,
    as_json: AsJson = False,
) -> None:
    """Ask a colleague to take a shift of yours, for one of theirs or as a favour. Prints the swap's id."""
    if (back_start is None) != (back_end is None):
        raise Trouble("give both --back-from and --back-to, or none of them", WRONG)
    body = {
        "schedule": schedule, "with": colleague, "from": start, "to": end, "timezone": timezone, "reason": reason,
        "in_return": {"from": back_start, "to": back_end} if back_start else None, "by": by,
    }  # fmt: skip
    swap = connect().post("/v1/swaps", {name: value for name, value in body.items() if value})
    if as_json:
        print_json(swap)
    else:
        say(swap["id"])


@app.command()
def accept(id: Id, user: InName = None, as_json: AsJson = False) -> None:
    """Take the shift you are asked for: from now on both shifts are the other's."""
    _answer("accept", id, user, as_json)


@app.command()
def decline(id: Id, user: InName = None, as_json: AsJson = False) -> None:
    """Do not take it; everything stays as it is."""
    _answer("decline", id, user, as_json)


@app.command()
def withdraw(id: Id, user: InName = None, as_json: AsJson = False) -> None:
    """Take back what you asked for, while there is no answer."""
    _answer("withdraw", id, user, as_json)


@app.command("list")
def show_all(
    schedule: Annotated[str | None, typer.Option(help="Of this schedule only.")] = None,
    user: Annotated[str | None, typer.Option(help="That this person asked for, or is asked for.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over or came to nothing, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the swaps that wait for an answer, and those accepted whose shifts are to come."""
    wanted = "true" if everything else None
    found = {"swaps": connect().every("/v1/swaps", "swaps", schedule=schedule, user=user, all=wanted)}
    if as_json:
        print_json(found)
        return
    print_table(
        ("id", "schedule", "who", "gives", "to whom", "takes", "state", "reason"),
        [_row(swap) for swap in found["swaps"]],
        empty="no swaps",
    )


def _answer(verb: str, id: str, user: str | None, as_json: bool) -> None:
    swap = connect().post(f"/v1/swaps/{quote(id, safe='')}/{verb}", {"user": user} if user else {})
    if as_json:
        print_json(swap)
    else:
        say(f"{swap['state'].replace('_', ' ')}: {_in_words(swap)}")


def _in_words(swap: dict[str, Any]) -> str:
    back = swap["in_return"]
    for_it = f", {swap['user']} has {_span(back)}" if back else ""
    return f"{swap['with']} has {swap['schedule']} {_span(swap)}{for_it}" if swap["state"] == "accepted" else swap["id"]


def _span(span: dict[str, Any]) -> str:
    return f"{clock(span['from'])} to {clock(span['to'])}"


def _row(swap: dict[str, Any]) -> tuple[object, ...]:
    back = swap["in_return"]
    return (
        swap["id"],
        swap["schedule"],
        swap["user"],
        _span(swap),
        swap["with"],
        _span(back) if back else "nothing",
        swap["state"].replace("_", " "),
        swap["reason"],
    )
