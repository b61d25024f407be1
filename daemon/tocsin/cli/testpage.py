"""`tocsin test-page USER [--by sms]`: a marked test page, and what becomes of it."""

from __future__ import annotations

from typing import Annotated, Any
from urllib.parse import quote

import typer

from tocsin.cli.client import Api, connect
from tocsin.cli.tables import print_json, say
from tocsin.cli.times import length
from tocsin.cli.trouble import REFUSED, Trouble

LIMITED = "the person's limit on messages (throttle), or pages that go first, keep it waiting"
TURN = 10  # seconds that the daemon waits with one answer


def send_test_page(
    user: Annotated[str, typer.Argument(metavar="USER", help="The person, by key.")],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="CONTACT", help="Which contact, or `all`; without: what a page uses first."),
    ] = None,
    wait: Annotated[str, typer.Option(help="How long to wait for what becomes of it; 0s: not at all.")] = "30s",
    act_for: Annotated[str | None, typer.Option("--user", help="Act for this user (an admin's token only).")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for a script.")] = False,
) -> None:
    """Send a marked test page the way every page goes. Exit 0: it arrived, as far as is known; 1: it did not."""
    seconds = 0 if wait == "0s" else int(length(wait).total_seconds())
    api = connect()
    asked = {name: value for name, value in {"by": by, "user": act_for}.items() if value}
    pages = api.post(f"/v1/users/{quote(user, safe='')}/test-page", asked)["pages"]
    found = [_settled(api, page, seconds) for page in pages]
    if as_json:
        print_json({"pages": found})
    else:
        for one in found:
            say(_told(one))
    missing = sum(not one["arrived"] for one in found)
    if missing and seconds:
        raise Trouble(f"{missing} of {len(found)} test pages did not arrive, as far as is known", REFUSED)


def _settled(api: Api, page: dict[str, Any], seconds: int) -> dict[str, Any]:
    """The page once nothing more is to be heard of it, or the time is over."""
    path = f"/v1/users/{quote(page['user'], safe='')}/pages/{page['page']}"
    found: dict[str, Any] = api.get(path)
    while seconds > 0 and not found["settled"]:
        turn = min(TURN, seconds)
        found = api.get(path, wait=f"{turn}s")
        seconds -= turn
    return found


def _told(page: dict[str, Any]) -> str:
    """sms: accepted, delivered."""
    if page["outcome"] == "planned" and not page["because"]:
        return f"{page['contact']}: not sent yet: {LIMITED}"
    words = [page["outcome"], page["delivery"] or ("" if page["settled"] else "no word of its delivery yet")]
    because = f": {page['because']}" if page["because"] else ""
    return f"{page['contact']}: {', '.join(word for word in words if word)}{because}"
