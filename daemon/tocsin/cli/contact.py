"""`tocsin contact list|verify|confirm`: whether a contact is the right one, proven by a code that comes over it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import Api, connect
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.times import local
from tocsin.cli.trouble import REFUSED, WRONG, Trouble

app = typer.Typer(no_args_is_help=True, rich_markup_mode=None)

User = Annotated[str, typer.Argument(metavar="USER", help="The person, by key.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]
By = Annotated[str | None, typer.Option("--by", metavar="CONTACT", help="Which contact; without: the one there is.")]
As = Annotated[str | None, typer.Option("--user", help="Act for this user (an admin's token only).")]


@app.command("list")
def list_contacts(
    user: Annotated[str | None, typer.Argument(metavar="USER", help="One person; without: everybody.")] = None,
    as_json: AsJson = False,
) -> None:
    """List contacts and how it stands with each: verified, usable, and why not. Addresses are not shown."""
    api = connect()
    users = [api.get(f"/v1/users/{quote(user, safe='')}")] if user else api.get("/v1/users")["users"]
    if as_json:
        print_json(users[0] if user else users)
        return
    rows = [
        (each["key"], one["name"], one["channel"], _verified(one), "yes" if one["usable"] else f"no: {one['because']}")
        for each in users
        for one in each["contacts"]
    ]
    print_table(("user", "contact", "channel", "verified", "usable"), rows, empty="no contacts")


@app.command()
def verify(user: User, by: By = None, act_for: As = None, as_json: AsJson = False) -> None:
    """Send a code over a contact. It holds ten minutes: tocsin contact confirm USER CODE."""
    api = connect()
    contact = by or _only(user, [one["name"] for one in _contacts(api, user)], "has")
    answer = api.post(f"{_path(user, contact)}/verify", _who(act_for))
    print_json(answer) if as_json else say(answer["said"])


@app.command()
def confirm(
    user: User,
    code: Annotated[str, typer.Argument(metavar="CODE", help="The code that came.")],
    by: By = None,
    act_for: As = None,
    as_json: AsJson = False,
) -> None:
    """The code that came over the contact: it is verified from now on, until its address changes."""
    api = connect()
    waiting = _waiting(_contacts(api, user)) if by is None else [by]
    answer = api.post(f"{_path(user, by or _only(user, waiting, 'waits for a code of'))}/confirm",
                      {"code": code, **_who(act_for)})  # fmt: skip
    print_json(answer) if as_json else say(answer["said"])


def _contacts(api: Api, user: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.get(f"/v1/users/{quote(user, safe='')}")["contacts"]
    return found


def _waiting(contacts: list[dict[str, Any]]) -> list[str]:
    """The contacts that wait for a code; of those that wait for the same one (it has one end), the first."""
    ends = {one["code_expires_at"]: one["name"] for one in reversed(contacts) if one["code_expires_at"]}
    return list(reversed(ends.values()))


def _only(user: str, names: list[str], verb: str) -> str:
    """The one contact that can be meant. Raises Trouble that says how to name it."""
    if len(names) == 1:
        return names[0]
    if names:
        raise Trouble(f"{user} {verb} several contacts; say which: --by {' or --by '.join(names)}", WRONG)
    if verb == "has":
        raise Trouble(f"{user} has no contact", REFUSED)
    raise Trouble(f"no code is under way for {user}; send one with: tocsin contact verify {user} --by CONTACT", REFUSED)


def _path(user: str, contact: str) -> str:
    return f"/v1/users/{quote(user, safe='')}/contacts/{quote(contact, safe='')}"


def _who(user: str | None) -> dict[str, Any]:
    return {"user": user} if user else {}


def _verified(contact: dict[str, Any]) -> str:
    if contact["verified_at"]:
        return str(local(contact["verified_at"]))
    return "code sent" if contact["code_expires_at"] else "no"
