"""`tocsin serve`: run the daemon until it is told to stop; SIGHUP has it read its configuration again."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import os
import resource
import signal
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin import logs, settings
from tocsin.cli.configured import address_of, asked_for, errors_in, load, locate, print_problems, state_folder
from tocsin.cli.starter import leave_token
from tocsin.cli.tables import warn
from tocsin.cli.trouble import UNREACHABLE, WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.errors import StoreError, TocsinError
from tocsin.model import Instant, Millis
from tocsin.systemd import Notify, inherited_sockets
from tocsin.wiring import Daemon

MOST_FILES = 65_536
STATUS_EVERY = Millis(60_000)
_log = logging.getLogger("tocsin.serve")

Beside = Callable[[Daemon], Coroutine[Any, Any, None]]


def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The configuration's main file.")] = None,
    log: Annotated[str, typer.Option(help="auto, json or plain.")] = "auto",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
) -> None:
    """Run the daemon in the foreground. SIGTERM or Ctrl-C ends it, SIGHUP reloads the configuration."""
    run(asked_for(config), log=log, log_level=log_level)


def run(main: Path, *, beside: Beside | None = None, log: str = "auto", log_level: str = "info") -> None:
    """Serve `main` until a signal; `beside` runs next to it. Raises Trouble when it cannot start."""
    logs.configure(level=log_level, style=log, monotonic=SystemClock().monotonic)
    allow_many_connections()
    loaded, because = usable(main)
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(loaded, because, beside))
    except StoreError as closed:
        raise Trouble(str(closed), UNREACHABLE) from None
    except OSError as busy:
        raise Trouble(f"cannot listen on {address_of(loaded.settings)}: {busy.strerror or busy}", UNREACHABLE) from None


def allow_many_connections() -> None:
    """As many open files as we may have: a shell's 1,024 idle senders would leave none to page with."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def usable(main: Path) -> tuple[Any, str]:
    """The configuration to serve, and why it is not the one asked for ("" when it is).

    Raises Trouble when it is bad and no last good one is kept.
    """
    loaded = load(main)
    if loaded.settings is not None:
        return loaded, ""
    print_problems(loaded.problems)
    kept = settings.LastGood(state_folder(main), main).load()
    if kept is None or kept.settings is None:
        locate(main)  # a file that is not there is told as such
        raise Trouble(f"{main}: {errors_in(loaded.problems)}, and no last good one is kept", WRONG)
    warn(f"tocsin: {main}: {errors_in(loaded.problems)}. RUNNING ON THE LAST GOOD CONFIGURATION.")
    return kept, errors_in(loaded.problems)


async def _serve(loaded: settings.Loaded, because: str, beside: Beside | None) -> None:
    signals, notify = Signals(), Notify(os.environ, os.getpid())
    signals.listen(asyncio.get_running_loop())
    daemon = Daemon(loaded, state=state_folder(loaded.main), on_last_good=because)
    await daemon.start(sockets=inherited_sockets(os.environ, os.getpid()))
    try:
        await leave_token(daemon)
        if beside is not None:
            daemon.tasks(_run_beside(beside(daemon), signals), "beside")
        notify.ready(_status(daemon))
        await _until_stopped(daemon, signals, notify)
    finally:
        notify.stopping()
        await daemon.stop()


async def _until_stopped(daemon: Daemon, signals: Signals, notify: Notify) -> None:
    """Wait for signals; feed the watchdog with the progress that the timers made meanwhile."""
    every = notify.watchdog_every or STATUS_EVERY
    seen: Instant | None = None
    while not signals.stop:
        progressed = daemon.timers.duty.at if daemon.timers.duty is not None else None
        if progressed != seen or daemon.health.quarantined or not await daemon.health.store_answers():
            notify.alive()
        seen = progressed
        await daemon.clock.wait(signals.heard, Instant(daemon.clock.now() + every))
        signals.heard.clear()
        if signals.reload:
            signals.reload = False
            await _reload(daemon, notify)


async def _reload(daemon: Daemon, notify: Notify) -> None:
    """What went wrong has been logged line by line; the configuration in force stays."""
    notify.reloading(daemon.clock.monotonic())
    try:
        await daemon.reload()
    except TocsinError as refused:
        _log.error("the configuration was not reloaded: %s", refused)
    notify.ready(_status(daemon))


async def _run_beside(work: Coroutine[Any, Any, None], signals: Signals) -> None:
    try:
        await work
    except Trouble as trouble:
        warn(f"tocsin: {trouble}")
        signals.end()


# ---------------------------------------------------------------------------------------- signals


@dataclass(slots=True)
class Signals:
    """What the process was told, as events the main task waits for."""

    heard: asyncio.Event = field(default_factory=asyncio.Event)
    stop: bool = False
    reload: bool = False

    def listen(self, loop: asyncio.AbstractEventLoop) -> None:
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.end)
        loop.add_signal_handler(signal.SIGHUP, self._reload)

    def end(self) -> None:
        self.stop = True
        self.heard.set()

    def _reload(self) -> None:
        self.reload = True
        self.heard.set()


def _status(daemon: Daemon) -> str:
    current = daemon.live.settings
    said = f"{len(current.users)} users, {len(current.schedules)} schedules, {len(current.rules)} rules"
    return f"{said}; RUNNING ON THE LAST GOOD CONFIGURATION" if daemon.on_last_good else said


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed, else asyncio's own."""
    if importlib.util.find_spec("uvloop") is None or os.environ.get("TOCSIN_LOOP") == "asyncio":
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = importlib.import_module("uvloop").new_event_loop
    return factory
