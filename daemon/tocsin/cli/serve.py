"""`tocsin serve`: run the daemon until it is told to stop; SIGHUP has it read its configuration again."""

from __future__ import annotations

import asyncio
import importlib
import importlib.util
import logging
import os
import resource
import signal
import socket
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import typer

from tocsin import logs, settings
from tocsin.cli.configuration import address_of, asked_for, errors_in, load, locate, print_problems, state_folder
from tocsin.cli.starter_token import leave_token
from tocsin.cli.tables import warn
from tocsin.cli.trouble import UNREACHABLE, WRONG, Trouble
from tocsin.clock import SystemClock
from tocsin.errors import StoreError, TocsinError, is_bug
from tocsin.model import Instant, Millis, Settings
from tocsin.systemd import Notify, inherited_sockets
from tocsin.wiring import Daemon

MOST_FILES = 65_536
STATUS_EVERY = Millis(60_000)
ON_LAST_GOOD = "RUNNING ON THE LAST GOOD CONFIGURATION."
_log = logging.getLogger("tocsin.serve")

Beside = Callable[[Daemon], Coroutine[Any, Any, None]]


def serve(
    config: Annotated[Path | None, typer.Option("--config", "-c", help="The configuration's main file.")] = None,
    log: Annotated[str, typer.Option(help="auto, json or plain.")] = "auto",
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "info",
    yes: Annotated[
        bool, typer.Option("--yes", help="Also with a configuration that has no users, catch-all or integrations left.")
    ] = False,
) -> None:
    """Run the daemon in the foreground. SIGTERM or Ctrl-C ends it, SIGHUP reloads the configuration."""
    run(asked_for(config), log=log, log_level=log_level, yes=yes)


def run(
    main: Path, *, beside: Beside | None = None, log: str = "auto", log_level: str = "info", yes: bool = False
) -> None:
    """Serve `main` until a signal; `beside` runs next to it. Raises Trouble when it cannot start.

    Where the daemon cannot start with a configuration that was read, it starts with the last good one.
    """
    logs.configure(level=log_level, style=log, monotonic=SystemClock().monotonic)
    allow_many_connections()
    loaded, because = usable(main, yes=yes)
    sockets = inherited_sockets(os.environ, os.getpid())
    try:
        _run(loaded, because, beside, sockets)
    except NotStarted as failed:
        trouble = _trouble(failed.cause, loaded)
        kept = None if because else last_good(main)
        if kept is None or not _may_help(failed.cause, loaded, kept):
            raise trouble from failed.cause
        warn(f"tocsin: {main}: {trouble}. {ON_LAST_GOOD}")
        try:
            _run(kept, f"with the one asked for: {trouble}", beside, sockets)
        except NotStarted as again:
            raise _trouble(again.cause, kept) from again.cause


class NotStarted(Exception):
    """The daemon could not start with this configuration; `cause` is why."""

    def __init__(self, cause: BaseException) -> None:
        super().__init__(str(cause))
        self.cause = cause


def _run(loaded: settings.Loaded, because: str, beside: Beside | None, sockets: Sequence[socket.socket]) -> None:
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(loaded, because, beside, [socket_.dup() for socket_ in sockets]))
    except StoreError as closed:
        raise Trouble(str(closed), UNREACHABLE) from None


def _may_help(cause: BaseException, loaded: settings.Loaded, kept: settings.Loaded) -> bool:
    """Whether another configuration may start where this one did not: not when the database, or an address that
    both listen on, cannot be had."""
    if isinstance(cause, StoreError):
        return False
    return not isinstance(cause, OSError) or _addresses(loaded) != _addresses(kept)


def _addresses(loaded: settings.Loaded) -> tuple[Any, ...]:
    assert loaded.settings is not None
    server = loaded.settings.server
    return server.host, server.port, server.admin_host, server.admin_port


def _trouble(cause: BaseException, loaded: settings.Loaded) -> Trouble:
    """The message and the exit code for an error that keeps the daemon from starting."""
    assert loaded.settings is not None
    match cause:
        case StoreError():
            return Trouble(str(cause), UNREACHABLE)
        case OSError():
            return Trouble(f"cannot listen on {address_of(loaded.settings)}: {cause.strerror or cause}", UNREACHABLE)
        case _:
            _log.error("the daemon cannot start: %r", cause, exc_info=cause)
            return Trouble(f"the daemon cannot start: {type(cause).__name__}: {cause}; report this as a bug", WRONG)


def allow_many_connections() -> None:
    """Allow the process as many open files as it may have: a shell's 1,024 idle senders would leave none to
    page with.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_FILES if hard == resource.RLIM_INFINITY else min(hard, MOST_FILES)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def usable(main: Path, *, yes: bool = False) -> tuple[settings.Loaded, str]:
    """The configuration to serve, and why it is not the one asked for ("" when it is).

    One that lost all its users, its catch-all or its integrations since the last good one is not served either, but
    with `yes`: nobody empties these on purpose, and a file that was cut off is valid too. Raises Trouble when it is bad
    and no last good one is kept.
    """
    loaded = load(main)
    if loaded.settings is None:
        print_problems(loaded.problems)
        return _instead(main, errors_in(loaded.problems))
    lost = () if yes else _lost(main, loaded.settings)
    if lost:
        said = f"it has nothing left of {', '.join(lost)}; if that is meant: tocsin reload --yes, or tocsin serve --yes"
        return _instead(main, said)
    return loaded, ""


def _instead(main: Path, because: str) -> tuple[settings.Loaded, str]:
    kept = last_good(main)
    if kept is None:
        locate(main)  # a file that is not there is told as such
        raise Trouble(f"{main}: {because}, and no last good one is kept", WRONG)
    warn(f"tocsin: {main}: {because}. {ON_LAST_GOOD}")
    return kept, because


def last_good(main: Path) -> settings.Loaded | None:
    """The last good configuration of this main file, where it can be used."""
    return settings.LastGood(state_folder(main), main).load()


def _lost(main: Path, current: Settings) -> tuple[str, ...]:
    if current.users and current.catch_all and current.integrations:
        return ()
    kept = last_good(main)
    return settings.emptied(kept.settings, current) if kept is not None and kept.settings is not None else ()


async def _serve(
    loaded: settings.Loaded, because: str, beside: Beside | None, sockets: Sequence[socket.socket]
) -> None:
    signals, notify = Signals(), Notify(os.environ, os.getpid())
    signals.listen(asyncio.get_running_loop())
    daemon = await _started(loaded, because, sockets)
    try:
        await leave_token(daemon)
        if beside is not None:
            daemon.tasks(_run_beside(beside(daemon), signals), "beside")
        notify.ready(_status(daemon))
        await _until_stopped(daemon, signals, notify)
    finally:
        notify.stopping()
        await daemon.stop()


async def _started(loaded: settings.Loaded, because: str, sockets: Sequence[socket.socket]) -> Daemon:
    try:
        daemon = Daemon(loaded, state=state_folder(loaded.main), on_last_good=because)
        await daemon.start(sockets=sockets)
    except BaseException as cause:  # whatever keeps it from starting; the last good configuration may not
        if not is_bug(cause):
            raise
        raise NotStarted(cause) from cause
    return daemon


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
    """Reload the configuration. Errors have been logged line by line; the configuration in force stays."""
    notify.reloading(daemon.clock.monotonic())
    try:
        await daemon.reload()
    except TocsinError as refused:
        _log.error("the configuration was not reloaded: %s", refused)
    except Exception:  # noqa: BLE001  # the configuration in force stays, and the process pages on
        _log.exception("the configuration was not reloaded")
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
    """Signals the process got (stop, reload), as an event the main task waits for."""

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
