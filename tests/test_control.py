"""The back door: who may use it, what it answers, and that a broken client breaks nothing."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import stat
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tocsin.clock import SystemClock, VirtualClock
from tocsin.control_socket import PATIENCE, Control, actions_of, ask, run
from tocsin.errors import Refused, SettingsError, StoreBusy
from tocsin.model import Instant, Role, Token

NOW = Instant(1_767_225_600_000)


class Access:
    def __init__(self) -> None:
        self.tokens: list[Token] = []

    async def create(self, name: str, role: Role, user: str | None) -> tuple[Token, str]:
        if user == "nobody":
            raise Refused("no such user 'nobody'", status=422)
        token = Token(id=f"id-{len(self.tokens)}", name=name, role=role, user=user, hash="h", created_at=NOW)
        self.tokens.append(token)
        return token, "toc_secret"

    async def revoke(self, name: str) -> Token:
        return next(token for token in self.tokens if name in (token.id, token.name))

    async def all(self) -> list[Token]:
        return self.tokens

    async def rotate_keys(self) -> None:
        return None


class Daemon:
    def __init__(self) -> None:
        self.access = Access()
        self.reloaded: list[bool] = []

    async def reload(self, yes: bool = False) -> str:
        self.reloaded.append(yes)
        if not yes:
            raise SettingsError(("config/tocsin.yaml:3:1: no such key",))
        return "users +1"

    def running(self) -> dict[str, Any]:
        return {"main": "/etc/tocsin/tocsin.yaml", "files": []}

    async def end_quarantine(self) -> None:
        raise AssertionError("nobody asked for it")


@pytest.fixture
async def door(tmp_path: Path) -> AsyncIterator[Path]:
    """A daemon's open back door; its path."""
    control = Control(tmp_path / "control.sock", actions_of(Daemon()), SystemClock())
    await control.start()
    yield tmp_path / "control.sock"
    await control.stop()


async def _ask(path: Path, **request: Any) -> Any:
    return await asyncio.to_thread(ask, path, request, seconds=20)


async def test_a_token_is_made_listed_and_revoked_through_the_socket(door: Path) -> None:
    made = await _ask(door, do="token.create", name="ci", role="responder", user="ana")
    listed = await _ask(door, do="token.list")
    revoked = await _ask(door, do="token.revoke", name="ci")

    assert made == {"ok": True, "token": "toc_secret", "id": "id-0", "name": "ci"}
    assert [token["name"] for token in listed["tokens"]] == ["ci"]
    assert "hash" not in listed["tokens"][0]
    assert revoked["revoked"]["id"] == "id-0"


@pytest.mark.parametrize(
    ("request_", "said"),
    [
        ({"do": "token.create", "name": "", "role": "viewer"}, "name is needed"),
        ({"do": "token.create", "name": "x", "role": "root"}, "role must be one of viewer, responder, admin"),
        ({"do": "token.create", "name": "x", "role": "viewer", "user": "nobody"}, "no such user 'nobody'"),
        ({"do": "token.create", "name": 7, "role": "viewer"}, "name is needed"),
        ({"do": "explode"}, "does not know 'explode'"),
        ({}, "does not know None"),
    ],
)
async def test_what_is_refused_says_why(request_: dict[str, Any], said: str) -> None:
    answer = await run(actions_of(Daemon()), request_)

    assert answer["ok"] is False
    assert said in answer["because"]


async def test_a_reload_that_finds_mistakes_lists_them(door: Path) -> None:
    answer = await _ask(door, do="reload")

    assert answer["ok"] is False
    assert answer["problems"] == ["config/tocsin.yaml:3:1: no such key"]


async def test_the_configuration_in_force_is_told(door: Path) -> None:
    answer = await _ask(door, do="running")
    assert answer["configuration"]["main"] == "/etc/tocsin/tocsin.yaml"


async def test_a_reload_tells_the_difference(door: Path) -> None:
    assert await _ask(door, do="reload", yes=True) == {"ok": True, "said": "users +1"}


async def test_only_the_owner_may_open_the_socket(door: Path) -> None:
    assert stat.S_IMODE(door.stat().st_mode) == 0o600


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can pretend to be somebody else")
async def test_another_user_gets_no_answer_even_through_an_open_door(door: Path) -> None:
    for folder in (door, *door.parents[:3]):
        folder.chmod(0o777)
    code = (
        "import os, socket, sys; os.setuid(65534); s = socket.socket(socket.AF_UNIX); s.connect(sys.argv[1])\n"
        's.sendall(b\'{"do": "token.list"}\\n\'); sys.stdout.write(repr(s.recv(100)))'
    )
    stranger = await asyncio.create_subprocess_exec("python3", "-c", code, str(door), stdout=asyncio.subprocess.PIPE)
    said, _ = await stranger.communicate()

    assert said in (b"b''", b"")


@pytest.mark.parametrize("line", [b"\n", b"nonsense\n", b"[1, 2]\n", b'"x"\n', b"\xff\xfe\n", b"{" * 5000 + b"\n"])
async def test_nonsense_is_answered_and_the_door_stays_open(door: Path, line: bytes) -> None:
    answer = await asyncio.to_thread(_send, door, line)

    assert json.loads(answer)["ok"] is False
    assert (await _ask(door, do="token.list"))["ok"] is True


async def test_a_line_without_end_is_cut_off_and_the_door_stays_open(
    door: Path, caplog: pytest.LogCaptureFixture
) -> None:
    assert await asyncio.to_thread(_send, door, b"x" * 200_000) == b""
    assert (await _ask(door, do="token.list"))["ok"] is True


async def test_a_silent_client_is_hung_up_on(tmp_path: Path) -> None:
    clock = VirtualClock(NOW)
    control = Control(tmp_path / "control.sock", actions_of(Daemon()), clock)
    await control.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")

    async with asyncio.timeout(20):
        hung_up = asyncio.ensure_future(reader.read())
        while not hung_up.done():
            clock.advance_to(Instant(clock.now() + PATIENCE))
            await asyncio.sleep(0)
    writer.close()
    await control.stop()

    assert await hung_up == b""


async def test_stopping_hangs_up_on_whoever_is_still_there(tmp_path: Path) -> None:
    control = Control(tmp_path / "control.sock", actions_of(Daemon()), SystemClock())
    await control.start()
    reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
    writer.write(b'{"do": "token.list"')
    for _ in range(20):  # turns of the loop, until the connection is accepted
        await asyncio.sleep(0)

    async with asyncio.timeout(20):
        await control.stop()

        assert await reader.read() == b""
    writer.close()


async def test_a_second_daemon_does_not_take_the_door_over(door: Path) -> None:
    second = Control(door, {}, SystemClock())

    with pytest.raises(StoreBusy, match="another tocsin is running here"):
        await second.start()

    assert (await _ask(door, do="token.list"))["ok"] is True


async def test_a_door_left_behind_by_a_killed_daemon_is_replaced(tmp_path: Path) -> None:
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(tmp_path / "control.sock"))
    left.close()
    assert await _ask(tmp_path / "control.sock", do="token.list") is None

    control = Control(tmp_path / "control.sock", actions_of(Daemon()), SystemClock())
    await control.start()

    assert (await _ask(tmp_path / "control.sock", do="token.list"))["ok"] is True
    await control.stop()
    assert not (tmp_path / "control.sock").exists()


async def test_a_path_longer_than_a_socket_address_works(tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 90) / ("e" * 90)
    deep.mkdir(parents=True)
    control = Control(deep / "control.sock", actions_of(Daemon()), SystemClock())
    await control.start()

    assert (await _ask(deep / "control.sock", do="token.list"))["ok"] is True
    await control.stop()


def test_where_no_daemon_ever_was_there_is_no_answer(tmp_path: Path) -> None:
    assert ask(tmp_path / "none" / "control.sock", {"do": "reload"}) is None


def _send(path: Path, raw: bytes) -> bytes:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(20)
        client.connect(str(path))
        try:
            client.sendall(raw)
            client.shutdown(socket.SHUT_WR)
            return client.makefile("rb").read()
        except (BrokenPipeError, ConnectionResetError):
            return b""
