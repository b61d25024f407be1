"""`tocsin oncall` where there is no configuration: the daemon at TOCSIN_URL is asked."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from urllib.parse import quote

from tocsin.cli import shift_output
from tocsin.cli.client import Api, connect
from tocsin.cli.tables import print_json, print_table


def show(schedule: str | None, at: str | None, window: tuple[str | None, str | None], as_json: bool) -> None:
    """Print what the daemon answers in the same form as from a configuration; times without an offset are the
    schedule's.
    """
    api = connect()
    since, until = window
    if since is not None and until is not None:
        _shifts(api, schedule, since, until, as_json)
    else:
        _moment(api, schedule, at, as_json)


def _moment(api: Api, schedule: str | None, at: str | None, as_json: bool) -> None:
    found = [{"because": "", **one} for one in api.get("/v1/oncall", schedule=schedule, at=at)["schedules"]]
    if as_json:
        whole = [{name: one[name] for name in ("schedule", "at", "users")} for one in found]
        print_json(whole if schedule is None else whole[0])
        return
    rows = [(one["schedule"], shift_output.clock(one["at"]), ", ".join(one["users"]), one["because"]) for one in found]
    print_table(("schedule", "at", "on call", "because"), rows, empty="no schedules")


def _shifts(api: Api, schedule: str | None, since: str, until: str, as_json: bool) -> None:
    names = [schedule] if schedule else [one["schedule"] for one in api.get("/v1/oncall")["schedules"]]
    found = [api.get(f"/v1/schedules/{quote(name, safe='')}/shifts", **{"from": since, "to": until}) for name in names]
    if as_json:
        print_json(found if schedule is None else found[0])
        return
    rows = [
        _row(name, piece)
        for name, plan in zip(names, found, strict=True)
        for piece in sorted([*plan["shifts"], *plan["gaps"]], key=lambda piece: datetime.fromisoformat(piece["start"]))
    ]
    print_table(("schedule", "from", "to", "on call", "layer"), rows, empty="no schedules")


def _row(name: str, piece: dict[str, Any]) -> tuple[str, ...]:
    layer = piece.get("layer") or ("override" if piece.get("users") else "")
    return (
        name,
        shift_output.clock(piece["start"]),
        shift_output.clock(piece["end"]),
        ", ".join(piece.get("users", ())),
        layer,
    )
