"""A real PostgreSQL for the tests: one server a session, a fresh database a test.

The server is Debian's, started on a free port of the loopback with its data in a temporary folder, and
ended by its process id. New databases are copies of a template, so each costs some milliseconds.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

START_SECONDS = 60.0
QUICK = {
    "fsync": "off",
    "synchronous_commit": "on",
    "full_page_writes": "off",
    "shared_buffers": "32MB",
    "max_connections": "100",
    "autovacuum": "off",
    "listen_addresses": "127.0.0.1",
    "deadlock_timeout": "200ms",
    "timezone": "UTC",
}


def programs() -> Path | None:
    """Where this machine's newest PostgreSQL keeps its programs."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: int(path.parts[-3]))
    if found:
        return found[-1].parent
    beside = shutil.which("initdb")
    return Path(beside).resolve().parent if beside else None


@dataclass
class Server:
    """A running server. Databases made by `database` are dropped with the folder when it ends."""

    folder: Path
    port: int
    process: subprocess.Popen[bytes]
    user: str = "tocsin"
    _names: Iterator[int] = field(default_factory=itertools.count)

    def url(self, database: str) -> str:
        return f"postgresql://{self.user}@127.0.0.1:{self.port}/{database}"

    def run(self, sql: str, database: str = "postgres") -> str:
        """One statement outside of the code under test."""
        bin_dir = programs()
        assert bin_dir is not None
        done = subprocess.run(
            [bin_dir / "psql", "-XAtq", "-v", "ON_ERROR_STOP=1", "-c", sql, self.url(database)],
            capture_output=True,
            text=True,
            timeout=30,
            check=False,
        )
        if done.returncode:
            raise AssertionError(f"{sql}: {done.stderr}")
        return done.stdout.strip()

    def database(self, template: str = "template0") -> str:
        """The URL of a new database."""
        name = f"test_{next(self._names)}"
        self.run(f"create database {name} template {template}")
        return self.url(name)

    def stop(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGQUIT)
            try:
                self.process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait(timeout=20)


@contextlib.contextmanager
def running_server() -> Iterator[Server]:
    """A server for as long as the block runs. Fails loudly where PostgreSQL is not installed."""
    bin_dir = programs()
    if bin_dir is None:
        raise AssertionError("PostgreSQL is not installed; on Debian: apt-get install postgresql")
    folder = Path(tempfile.mkdtemp(prefix="tocsin-pg-"))
    try:
        server = start(bin_dir, folder)
        try:
            yield server
        finally:
            server.stop()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(bin_dir: Path, folder: Path) -> Server:
    become = as_postgres(folder)
    data = folder / "data"
    subprocess.run(
        [bin_dir / "initdb", "-D", data, "-U", "tocsin", "-A", "trust", "-E", "UTF8", "--no-locale", "--no-sync"],
        check=True,
        stdout=subprocess.DEVNULL,
        preexec_fn=become,
        cwd=folder,
        timeout=START_SECONDS,
    )
    port = free_port()
    settings = [part for name, value in QUICK.items() for part in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen(
            [bin_dir / "postgres", "-D", data, "-p", str(port), "-k", str(folder), *settings],
            stdout=log,
            stderr=log,
            preexec_fn=become,
            cwd=folder,
        )
    server = Server(folder, port, process)
    wait_until_ready(server)
    return server


def as_postgres(folder: Path) -> Callable[[], None] | None:
    """PostgreSQL refuses to run as root; there it runs as Debian's user for it."""
    if os.getuid() != 0:
        return None
    user = pwd.getpwnam("postgres")
    os.chown(folder, user.pw_uid, user.pw_gid)

    def become() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)

    return become


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def wait_until_ready(server: Server) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        if server.process.poll() is not None:
            break
        with contextlib.suppress(AssertionError):
            server.run("select 1")
            return
        time.sleep(0.05)
    raise AssertionError(f"PostgreSQL did not start: {(server.folder / 'log').read_text()[-2000:]}")
