"""Notifications to systemd: ready, reloading, stopping, and the watchdog's sign of progress (sd_notify(3)).

Without NOTIFY_SOCKET every call is a no-op, so nobody needs to ask whether systemd is there.
"""

from __future__ import annotations

import socket
from collections.abc import Mapping

from tocsin.model import Millis


class Notify:
    """Datagrams to the service manager. Best effort: a failure to tell is never a failure to run."""

    def __init__(self, env: Mapping[str, str], pid: int) -> None:
        self._address = _address(env.get("NOTIFY_SOCKET", ""))
        self.watchdog_every: Millis | None = _watchdog(env, pid)

    def ready(self, status: str = "") -> None:
        self._tell("READY=1", _status(status))

    def reloading(self, monotonic: float) -> None:
        """`monotonic` seconds, as Type=notify-reload wants to know them."""
        self._tell("RELOADING=1", f"MONOTONIC_USEC={int(monotonic * 1_000_000)}")

    def stopping(self) -> None:
        self._tell("STOPPING=1")

    def status(self, text: str) -> None:
        self._tell(_status(text))

    def alive(self) -> None:
        """Feed the watchdog. Called by the engine's own progress, never by a timer beside it."""
        self._tell("WATCHDOG=1")

    def _tell(self, *lines: str) -> None:
        if self._address is None:
            return
        message = "\n".join(line for line in lines if line).encode()
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC | socket.SOCK_NONBLOCK) as door:
                door.sendto(message, self._address)
        except OSError:
            return


def _address(path: str) -> bytes | None:
    """The socket's address; "@" means the abstract namespace."""
    if path.startswith("@"):
        return b"\0" + path[1:].encode()
    return path.encode() if path.startswith("/") else None


def _watchdog(env: Mapping[str, str], pid: int) -> Millis | None:
    """Half of WatchdogSec, as sd_watchdog_enabled(3) advises; None: not wanted, or not from this process."""
    wanted = env.get("WATCHDOG_USEC", "")
    if not wanted.isdigit() or env.get("WATCHDOG_PID", str(pid)) != str(pid):
        return None
    return Millis(max(int(wanted) // 2_000, 1))


def _status(text: str) -> str:
    return "STATUS=" + " ".join(text.split()) if text else ""


def inherited_sockets(env: Mapping[str, str], pid: int) -> tuple[socket.socket, ...]:
    """The listening sockets that tocsin.socket holds for us (sd_listen_fds(3)); empty without one."""
    if env.get("LISTEN_PID") != str(pid) or not env.get("LISTEN_FDS", "").isdigit():
        return ()
    doors = tuple(socket.socket(fileno=number) for number in range(3, 3 + int(env["LISTEN_FDS"])))
    for door in doors:
        door.set_inheritable(False)
        door.setblocking(False)
    return doors
