"""Real daemon behind the doors: started on a configuration, without a socket of its own."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

from tocsin.clock import SystemChance, SystemClock
from tocsin.settings import load
from tocsin.transport import AioHttp, AioSmtp
from tocsin.wiring import Daemon, Ports


@asynccontextmanager
async def running(folder: Path, configuration: str, ports: Ports | None = None) -> AsyncIterator[Daemon]:
    """A daemon on this configuration in this folder, until the block ends."""
    main = folder / "tocsin.yaml"
    main.write_text(configuration)
    daemon = Daemon(load(main), ports=ports)
    await daemon.start(listen=False)
    try:
        yield daemon
    finally:
        await daemon.stop()


def system_ports(show: Callable[[str], None] = lambda text: None) -> Ports:
    """The machine's own clock and network; `show` takes what is printed on the terminal."""
    clock = SystemClock()
    return Ports(clock, SystemChance(), AioHttp(clock), AioSmtp(clock), show)
