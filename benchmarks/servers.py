"""The processes that are measured, each in a folder and on a port of its own, and what /proc says about them."""

from __future__ import annotations

import asyncio
import shutil
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from tests.daemon import Daemon, free_port, until

PYTHON = sys.executable
ALERTMANAGER = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
TOKEN = "bench-token"  # of daemons on the loopback that live for seconds

CONFIGURATION = """
server: {listen: "127.0.0.1:{port}"}
database: {url: "{database}"}
catch_all: [channel:hook-all]
defaults: {policy: default}
integrations: {bench: {type: alertmanager, token: bench-token}}
channels:
  hook: {type: webhook, url: "http://127.0.0.1:{sink}/page", secret: bench-secret, allow_private: true}
  hook-all: {type: webhook, url: "http://127.0.0.1:{sink}/page", secret: bench-secret, allow_private: true, to: all}
users: {ana: {name: Ana Pires, timezone: UTC, contacts: {hook: ana}}}
policies: {default: {steps: [{notify: [user:ana], wait: 1d}], repeat: 0, ack_timeout: never}}
rules:
  - {name: ingest only, match: ['alertname="HighLatency"'], hold: 1d}
  - {name: in groups, match: ['alertname="Grouped"'], hold: 1d, group_by: [cluster]}
  - {name: due together, match: ['alertname="DueTogether"'], hold: {hold}}
storm: {new_incidents: 1000000, within: 1m}
"""


def tocsin(folder: Path, *, sink: int = 9, hold: str = "1d", database: str = "sqlite:tocsin.db") -> Daemon:
    """A daemon that holds alerts named HighLatency for a day, DueTogether for `hold`, and pages at once for others."""
    text = CONFIGURATION.replace("{sink}", str(sink)).replace("{hold}", hold)
    return Daemon(folder, text, database=database)


@asynccontextmanager
async def bare() -> AsyncIterator[tuple[int, int]]:
    """The body-reading handler; yields (port, pid)."""
    port = free_port()
    async with _child(PYTHON, "-m", "benchmarks.bare", str(port)) as pid:
        await until(lambda: _listens(port), within=15, what="the bare handler to listen")
        yield port, pid


@asynccontextmanager
async def alertmanager(folder: Path) -> AsyncIterator[tuple[int, int]]:
    """Debian's Alertmanager with a group for each alert and nobody to notify; yields (port, pid)."""
    assert ALERTMANAGER is not None
    _route_to_nobody(folder)
    port = free_port()
    words = (
        f"--config.file={folder}/am.yml",
        f"--storage.path={folder}/data",
        f"--web.listen-address=127.0.0.1:{port}",
        "--cluster.listen-address=",
        "--log.level=error",
    )
    async with _child(ALERTMANAGER, *words) as pid:
        await until(lambda: _listens(port), within=15, what="Alertmanager to listen")
        yield port, pid


def _route_to_nobody(folder: Path) -> None:
    folder.mkdir(parents=True)
    (folder / "am.yml").write_text(
        "route: {receiver: nobody, group_by: ['...'], group_wait: 1h, group_interval: 1h, repeat_interval: 24h}\n"
        "receivers: [{name: nobody}]\n"
    )


@asynccontextmanager
async def _child(*words: str) -> AsyncIterator[int]:
    null = asyncio.subprocess.DEVNULL
    process = await asyncio.create_subprocess_exec(*words, stdin=null, stdout=null, stderr=null)
    try:
        yield process.pid
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True


# ------------------------------------------------------------------------------------------ /proc


def cpu_seconds(pid: int) -> float:
    """CPU time of the process so far, all threads, to the microsecond (clock_getcpuclockid(3), as Linux encodes it)."""
    return time.clock_gettime(~pid << 3 | 2)


def resident_mib(pid: int) -> float:
    """Memory in core now, in MiB (VmRSS)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) / 1024
    raise AssertionError(f"no VmRSS of {pid}")
