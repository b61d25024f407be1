"""`tocsin override`: somebody else is on call for a while."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import Api, connect
from tocsin.cli.tables import print_json, print_table, say, warn
from tocsin.cli.times import clock, length
from tocsin.cli.trouble import WRONG, Trouble

app = typer.Typer(help="Somebody else is on call for a while: add, list, remove.", no_args_is_help=True)
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
Schedule = Annotated[str, typer.Argument(help="The schedule.")]
WHEN = "2026-12-24 09:00 or Tue 06:00 on the schedule's clock, or RFC 3339."


MODES = ("replace", "add", "remove")


@app.command()
def add(
    schedule: Schedule,
    user: Annotated[
        list[str] | None, typer.Option("--user", "-u", help="Who steps in; several are on call together.")
    ] = None,
    start: Annotated[str | None, typer.Option("--from", help=f"Now, when absent. {WHEN}")] = None,
    end: Annotated[str | None, typer.Option("--to", help=f"When it ends (not included). {WHEN}")] = None,
    how_long: Annotated[str | None, typer.Option("--for", help="Instead of --to: 30m, 4h, 2d …")] = None,
    replaces: Annotated[str | None, typer.Option(help="Only where this person is on call.")] = None,
    mode: Annotated[str, typer.Option(help="replace; add: as well; remove: not on call.")] = "replace",
    timezone: Annotated[str | None, typer.Option(help="The clock of --from and --to, if not the schedule's.")] = None,
    reason: Annotated[str, typer.Option("--reason", "-m", help="Why; shown in lists.")] = "",
    by: Annotated[str | None, typer.Option(help="In whose name; an admin's token only.")] = None,
    as_json: AsJson = False,
) -> None:
    """USER is on call in SCHEDULE for a while, instead of everybody or of one person. Prints the override's id;
    on stderr who is on call from when until when."""
    if (end is None) == (how_long is None):
        raise Trouble("say when it ends: --to '2026-12-25 09:00', or --for 4h", WRONG)
    if mode not in MODES:
        raise Trouble(f"--mode {mode!r} is none of {', '.join(MODES)}", WRONG)
    if not user and mode != "remove":
        raise Trouble("say who steps in: --user bo", WRONG)
    if how_long is not None:
        length(how_long)
    body = {
        "users": user, "from": start, "to": end, "for": how_long, "replaces": replaces, "mode": mode,
        "timezone": timezone, "reason": reason, "by": by,
    }  # fmt: skip
    made = connect().post(path(schedule), {name: value for name, value in body.items() if value})
    if as_json:
        print_json(made)
    else:
        say(made["id"])
        warn(f"{made['schedule']}: {who(made)}, from {clock(made['from'])} until {clock(made['to'])}")


@app.command("list")
def show_all(
    schedule: Annotated[str | None, typer.Argument(help="One schedule; without: all of them.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Those that are over or were taken back, too.")] = False,
    as_json: AsJson = False,
) -> None:
    """List the overrides made at run time that count now or will. Times are the schedule's."""
    api = connect()
    names = [schedule] if schedule is not None else schedules(api)
    wanted = "true" if everything else None
    found = [one for name in names for one in api.every(path(name), "overrides", all=wanted)]
    if as_json:
        print_json({"overrides": found})
        return
    print_table(
        ("id", "schedule", "from", "to", "who", "state", "made by", "reason"),
        [_row(one) for one in sorted(found, key=lambda one: (one["schedule"], one["from"]))],
        empty="no overrides",
    )


@app.command()
def remove(
    ids: Annotated[list[str], typer.Argument(help="Ids as `tocsin override list` shows them.")],
    as_json: AsJson = False,
) -> None:
    """Take overrides back: they count no longer. What they did so far stays as it was."""
    api = connect()
    where = {one["id"]: name for name in schedules(api) for one in api.every(path(name), "overrides", all="true")}
    missing = [id for id in ids if id not in where]
    if missing:
        raise Trouble(f"there is no override {missing[0]!r}; `tocsin override list` shows them")
    gone = [api.delete(f"{path(where[id])}/{quote(id, safe='')}") for id in ids]
    if as_json:
        print_json(gone if len(gone) > 1 else gone[0])
    else:
        say(f"removed {', '.join(ids)}")


def path(schedule: str) -> str:
    return f"/v1/schedules/{quote(schedule, safe='')}/overrides"


def schedules(api: Api) -> list[str]:
    return [one["schedule"] for one in api.get("/v1/oncall")["schedules"]]


def _row(made: dict[str, Any]) -> tuple[object, ...]:
    return (
        made["id"],
        made["schedule"],
        clock(made["from"]),
        clock(made["to"]),
        who(made),
        made["state"] + (f" by {made['removed_by']}" if made.get("removed_by") else ""),
        made["author"],
        made["reason"],
    )


def who(made: dict[str, Any]) -> str:
    """`bo for ana`, `bo`, `and bo`, `not bo`."""
    names = " + ".join(made["users"])
    if made["mode"] == "replace":
        return f"{names} for {made['replaces']}" if made["replaces"] else names
    if made["mode"] == "add":
        return f"and {names}"
    return f"not {names or made['replaces']}" if names or made["replaces"] else "nobody"
