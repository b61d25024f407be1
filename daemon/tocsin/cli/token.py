"""`tocsin token`: who may use the API. Works on the daemon's own machine, whether the daemon runs or not.

While it runs it alone writes to its database, so it is asked over its socket; else the database is opened here, under
its lock.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin.cli.configuration import control_socket, load_or_fail, locate
from tocsin.cli.tables import print_json, print_table, say
from tocsin.cli.times import local
from tocsin.cli.trouble import FORBIDDEN, REFUSED, UNREACHABLE, WRONG, Trouble
from tocsin.clock import SystemChance, SystemClock
from tocsin.control_socket import ROLES, ask, run, token_actions
from tocsin.errors import StoreError
from tocsin.model import Settings
from tocsin.store import open_store
from tocsin.work.signing_keys import Keys
from tocsin.work.upkeep.api_tokens import Access

app = typer.Typer(help="API tokens: who may read, answer, administer.", no_args_is_help=True)
Config = Annotated[Path | None, typer.Option("--config", "-c", help="The daemon's configuration.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON for a script.")]


@app.command()
def create(
    name: Annotated[str, typer.Option(help="What it is for; shown in lists.")],
    role: Annotated[str, typer.Option(help="viewer reads, responder answers, admin does everything.")],
    user: Annotated[str | None, typer.Option(help="Whose it is; without one it can read and post alerts only.")] = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a token and print it, alone, on stdout. It is shown this once; only its hash is kept."""
    if role not in ROLES:
        raise Trouble(f"--role {role!r}: write one of {', '.join(ROLES)}", WRONG)
    made = on_daemon_or_database(config, {"do": "token.create", "name": name, "role": role, "user": user})
    if as_json:
        print_json({"token": made["token"], "id": made["id"], "name": made["name"]})
    else:
        say(made["token"])


@app.command("list")
def show_all(config: Config = None, as_json: AsJson = False) -> None:
    """List the tokens, never their secrets."""
    tokens = on_daemon_or_database(config, {"do": "token.list"})["tokens"]
    if as_json:
        print_json({"tokens": tokens})
        return
    print_table(
        ("id", "name", "role", "user", "created", "last used", "revoked"),
        [
            (
                token["id"],
                token["name"],
                token["role"],
                token["user"] or "",
                local(token["created_at"]),
                local(token["last_used_at"]),
                local(token["revoked_at"]),
            )
            for token in tokens
        ],
        empty="no tokens; make one with: tocsin token create --name NAME --role responder --user USER",
    )


@app.command()
def revoke(
    name: Annotated[str, typer.Argument(help="Its id, or its name.")],
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Make a token useless from now on."""
    gone = on_daemon_or_database(config, {"do": "token.revoke", "name": name})["revoked"]
    if as_json:
        print_json(gone)
    else:
        say(f"revoked {gone['name']} ({gone['id']})")


@app.command("rotate-keys")
def rotate_keys(config: Config = None) -> None:
    """Make a new key for links and sessions; the one before stays valid until the next rotation."""
    on_daemon_or_database(config, {"do": "token.rotate-keys"})
    say("a new key signs links from now on; the one before is accepted until the next rotation")


def on_daemon_or_database(config: Path | None, request: Mapping[str, Any]) -> dict[str, Any]:
    """The answer of the running daemon, or of its database when none runs. Raises Trouble when refused."""
    answer = ask_daemon(locate(config), request)
    if answer is None:
        main, settings = load_or_fail(config)
        as_owner_of(control_socket(main).parent)
        answer = asyncio.run(_on_database(settings, request))
    return accepted(answer)


def ask_daemon(main: Path, request: Mapping[str, Any]) -> dict[str, Any] | None:
    """The running daemon's answer; None when there is none. Raises Trouble when it may not be asked."""
    path = control_socket(main)
    try:
        return ask(path, request)
    except PermissionError:
        raise Trouble(f"{path}: this socket is the daemon's own; run this as root or as its user", FORBIDDEN) from None
    except (OSError, ValueError) as broken:
        raise Trouble(f"{path}: the daemon does not answer: {broken}", UNREACHABLE) from None


def accepted(answer: dict[str, Any]) -> dict[str, Any]:
    if answer.get("ok") is True:
        return answer
    raise Trouble("\n".join([str(answer.get("because", "refused")), *answer.get("problems", ())]), REFUSED)


def as_owner_of(folder: Path) -> None:
    """Root becomes the owner of the daemon's state, so that no file there ends up as root's own."""
    if os.geteuid() != 0 or not folder.is_dir():
        return
    owner = folder.stat()
    if owner.st_uid != 0:
        os.setgroups([])
        os.setgid(owner.st_gid)
        os.setuid(owner.st_uid)


async def _on_database(settings: Settings, request: Mapping[str, Any]) -> dict[str, Any]:
    clock, chance = SystemClock(), SystemChance()
    try:
        store = await open_store(settings.database, clock=clock, chance=chance)
    except StoreError as closed:
        raise Trouble(str(closed), UNREACHABLE) from None
    try:
        keys = Keys(store, chance)
        await keys.load()
        access = Access(store, clock, chance, keys, lambda user: user in settings.users)
        return await run(token_actions(access), request)
    finally:
        await store.close()
