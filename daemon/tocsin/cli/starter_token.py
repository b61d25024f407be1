"""Token for a fresh clone: serving the starter leaves an admin's token in ./.tocsin/token, so that `tocsin ack 1`
works.
"""

from __future__ import annotations

import os
from pathlib import Path

from tocsin.cli.configuration import address_of
from tocsin.cli.tables import say
from tocsin.settings.paths import is_starter
from tocsin.wiring import Daemon

LOOPBACK = frozenset({"127.0.0.1", "::1", "localhost"})
NAME = "this folder"


async def leave_token(daemon: Daemon) -> None:
    """Leave an admin's token for the starter on a loopback address only; every other configuration gets its tokens by
    hand.

    A token that is still good stays. The file has mode 0600.
    """
    current = daemon.live.settings
    if daemon.state is None or not is_starter(daemon.loaded.main) or current.server.host not in LOOPBACK:
        return
    admin = next((user.key for user in current.users.values() if user.role == "admin"), None)
    if admin is None:
        return
    place = daemon.state / "token"
    if await daemon.access.check(_read(place)) is None:
        _write(place, await _new_token(daemon, admin))
    say(f"Serving {address_of(current)}; in this folder `tocsin` acts as {admin}: tocsin incidents, tocsin ack 1")


async def _new_token(daemon: Daemon, user: str) -> str:
    if any(token.name == NAME and token.revoked_at is None for token in await daemon.access.all()):
        await daemon.access.revoke(NAME)
    _, bearer = await daemon.access.create(NAME, "admin", user)
    return bearer


def _read(place: Path) -> str:
    try:
        return place.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError):
        return ""


def _write(place: Path, bearer: str) -> None:
    place.unlink(missing_ok=True)
    with open(os.open(place, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w", encoding="utf-8") as file:
        file.write(bearer + "\n")
