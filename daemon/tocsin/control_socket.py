"""Control socket on the daemon's own machine: a Unix socket of mode 0600, one JSON line in, one JSON line out.

While the daemon runs it alone writes to its database; `tocsin token create` and `tocsin reload` ask it through here.
`{"do": "token.create", "name": "ci", "role": "viewer"}` is answered `{"ok": true, ...}` or
`{"ok": false, "because": "..."}`. Whoever may open the socket is trusted: root and the daemon's own user.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import stat
import struct
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any, Protocol, cast

from tocsin.contracts import Clock
from tocsin.errors import Refused, SettingsError, StoreBusy, TocsinError
from tocsin.model import Millis, Role, Token, rfc3339

SOCKET = "control.sock"
LONGEST_LINE = 64 * 1024
PATIENCE = Millis(10_000)
ROLES: tuple[Role, ...] = ("viewer", "responder", "admin")
_log = logging.getLogger("tocsin.control")

Request = Mapping[str, Any]
Action = Callable[[Request], Awaitable[Mapping[str, Any]]]


class Access(Protocol):
    async def create(self, name: str, role: Role, user: str | None) -> tuple[Token, str]: ...
    async def revoke(self, name: str) -> Token: ...
    async def all(self) -> list[Token]: ...
    async def rotate_keys(self) -> None: ...


class Daemon(Protocol):
    @property
    def access(self) -> Access: ...

    async def reload(self, yes: bool = False) -> str: ...

    def running(self) -> Mapping[str, Any]: ...

    async def end_quarantine(self) -> None: ...


# ------------------------------------------------------------------------------------- the actions


def actions_of(daemon: Daemon) -> dict[str, Action]:
    """The actions that can be asked of a running daemon, by name."""

    async def reload(request: Request) -> Mapping[str, Any]:
        return {"said": await daemon.reload(request.get("yes") is True)}

    async def confirm(request: Request) -> Mapping[str, Any]:
        await daemon.end_quarantine()
        return {}

    async def running(request: Request) -> Mapping[str, Any]:
        return {"configuration": daemon.running()}

    return {"reload": reload, "running": running, "db.confirm": confirm, **token_actions(daemon.access)}


def token_actions(access: Access) -> dict[str, Action]:
    """The actions on tokens alone, so that the command line can run them on a database that nobody serves."""

    async def create(request: Request) -> Mapping[str, Any]:
        name, role, user = _text(request, "name"), _role(request), _text_or_none(request, "user")
        token, bearer = await access.create(name, role, user)
        return {"token": bearer, "id": token.id, "name": token.name}

    async def revoke(request: Request) -> Mapping[str, Any]:
        return {"revoked": token_view(await access.revoke(_text(request, "name")))}

    async def show(request: Request) -> Mapping[str, Any]:
        return {"tokens": [token_view(token) for token in await access.all()]}

    async def rotate(request: Request) -> Mapping[str, Any]:
        await access.rotate_keys()
        return {}

    return {"token.create": create, "token.revoke": revoke, "token.list": show, "token.rotate-keys": rotate}


def token_view(token: Token) -> dict[str, Any]:
    """A token without its hash, as JSON."""
    return {
        "id": token.id,
        "name": token.name,
        "role": token.role,
        "user": token.user,
        "created_at": rfc3339(token.created_at),
        "revoked_at": rfc3339(token.revoked_at) if token.revoked_at is not None else None,
        "last_used_at": rfc3339(token.last_used_at) if token.last_used_at is not None else None,
    }


async def run(actions: Mapping[str, Action], request: Request) -> dict[str, Any]:
    """Answer a request. A refusal on purpose is an answer; anything else is a bug and raised."""
    action = actions.get(str(request.get("do")))
    if action is None:
        return {"ok": False, "because": f"this daemon does not know {request.get('do')!r}; is it of another version?"}
    try:
        return {"ok": True, **await action(request)}
    except SettingsError as wrong:
        return {"ok": False, "because": str(wrong), "problems": [str(problem) for problem in wrong.problems]}
    except TocsinError as refused:
        return {"ok": False, "because": str(refused)}


# -------------------------------------------------------------------------------------- the server


class Control:
    """Listens at `path` and runs one action per connection."""

    def __init__(self, path: Path, actions: Mapping[str, Action], clock: Clock) -> None:
        self._path = path
        self._actions = actions
        self._clock = clock
        self._server: asyncio.Server | None = None
        self._connections: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """Raises StoreBusy when another daemon answers at this path."""
        if await asyncio.to_thread(_answers, self._path):
            raise StoreBusy(f"another tocsin is running here: it answers at {self._path}")
        self._server = await asyncio.start_unix_server(self._serve, sock=_bind(self._path), limit=LONGEST_LINE)

    async def stop(self) -> None:
        if self._server is None:
            return
        self._server.close()
        self._server = None
        for connection in self._connections:
            connection.cancel()
        await asyncio.gather(*self._connections, return_exceptions=True)
        self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Serve a connection, in the task asyncio made for it. An error ends this connection only."""
        task = cast("asyncio.Task[None]", asyncio.current_task())
        self._connections.add(task)
        task.add_done_callback(self._connections.discard)
        try:
            if self._server is None or not _trusted(writer.get_extra_info("socket")):
                return  # stopping meanwhile, or a stranger
            async with self._clock.timeout(PATIENCE):
                line = await reader.readline()
            writer.write(json.dumps(await self._answer(line)).encode() + b"\n")
            await writer.drain()
        except (TimeoutError, ValueError, OSError) as broken:
            _log.warning("a control connection broke off: %s", broken or type(broken).__name__)
        except asyncio.CancelledError:
            if self._server is not None:
                raise
            # hung up by `stop`; Python 3.11 logs an error for a connection's task that ends cancelled
        except Exception:  # noqa: BLE001  # outermost loop of this connection: the daemon goes on
            _log.exception("a control request failed")
        finally:
            writer.close()

    async def _answer(self, line: bytes) -> dict[str, Any]:
        try:
            request = json.loads(line)
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return {"ok": False, "because": "one line of JSON is wanted: an object"}
        return await run(self._actions, request)


def _bind(path: Path) -> socket.socket:
    """A listening socket that nobody else may open, not even for the blink between bind and chmod."""
    path.unlink(missing_ok=True)
    door = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)
    try:
        _with_short_address(path, door.bind)
    except BaseException:
        door.close()
        raise
    finally:
        os.umask(before)
    return door


def _trusted(connection: Any) -> bool:
    """Whether the peer is root or ourselves (SO_PEERCRED, unix(7)): the mode may have been changed since."""
    raw = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    return struct.unpack("3i", raw)[1] in (0, os.geteuid())


# -------------------------------------------------------------------------------------- the client


def ask(path: Path, request: Request, *, seconds: float = 60.0) -> dict[str, Any] | None:
    """The running daemon's answer; None when no daemon listens at `path`. Blocking.

    Raises OSError when the socket is there but may not be opened, or the daemon stops answering.
    """
    if not _is_socket(path):
        return None
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(seconds)
        try:
            _with_short_address(path, door.connect)
        except (ConnectionRefusedError, FileNotFoundError):
            return None  # left behind by a daemon that was killed
        door.sendall(json.dumps(request).encode() + b"\n")
        return _read_answer(door)


def _read_answer(door: socket.socket) -> dict[str, Any]:
    received = bytearray()
    while not received.endswith(b"\n"):
        piece = door.recv(65_536)
        if not piece:
            raise ConnectionError("the daemon closed the connection without an answer")
        received += piece
    answer: dict[str, Any] = json.loads(received)
    return answer


def _answers(path: Path) -> bool:
    if not _is_socket(path):
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as door:
        door.settimeout(2.0)
        try:
            _with_short_address(path, door.connect)
        except (ConnectionRefusedError, FileNotFoundError):
            return False
    return True


def _is_socket(path: Path) -> bool:
    try:
        return stat.S_ISSOCK(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError):
        return False


def _with_short_address(path: Path, use: Callable[[str], None]) -> None:
    """An address has 107 bytes (unix(7)); a longer path goes through its folder's descriptor."""
    if len(os.fsencode(path)) <= 107:
        use(str(path))
        return
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        use(f"/proc/self/fd/{folder}/{path.name}")
    finally:
        os.close(folder)


# ------------------------------------------------------------------------------------------ fields


def _text(request: Request, name: str) -> str:
    value = request.get(name)
    if not isinstance(value, str) or not value.strip():
        raise Refused(f"{name} is needed", status=422)
    return value.strip()


def _text_or_none(request: Request, name: str) -> str | None:
    return None if request.get(name) is None else _text(request, name)


def _role(request: Request) -> Role:
    for role in ROLES:
        if request.get("role") == role:
            return role
    raise Refused(f"role must be one of {', '.join(ROLES)}", status=422)
