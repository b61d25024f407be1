"""Composition of the daemon: the one place that chooses store, clock and channels, and starts and stops its tasks."""

from __future__ import annotations

import asyncio
import gc
import os
import platform
import socket
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import entry_points
from pathlib import Path
from typing import Any, cast

import structlog
from aiohttp import web

from tocsin import __version__
from tocsin.clock import ReplayClock, SystemChance, SystemClock, Tasks
from tocsin.contracts import Chance, ChannelKind, Clock, Http, Mail, ReadFeed, Source, Store, Tools
from tocsin.control_socket import SOCKET, Control, actions_of
from tocsin.decide.oncall.turn_changes import in_words, turn_changes
from tocsin.decide.routing.rules import Rulebook
from tocsin.errors import Refused, SettingsError, StoreUnavailable, TocsinError, is_bug
from tocsin.feed_process import ReadApart
from tocsin.logs import tell_counted
from tocsin.metrics import Metrics
from tocsin.model import Instant, Millis, Problem, Settings, Where
from tocsin.model.civil import unix
from tocsin.settings import LastGood, Loaded, ReloadDifference, difference, load
from tocsin.settings.document.reading import stumbling
from tocsin.settings.last_good import packed
from tocsin.store import open_store
from tocsin.store.postgres import PostgresStore
from tocsin.transport import AioHttp, AioSmtp
from tocsin.web.app import RECEPTION, make_admin_app, make_app
from tocsin.web.connections import Connections
from tocsin.web.ingest.fast_connection import Front
from tocsin.web.limits import HEAD_TIME
from tocsin.work.heartbeats.heartbeats import Heartbeats
from tocsin.work.heartbeats.outbound import Outbound
from tocsin.work.incidents.actions import Actions
from tocsin.work.incidents.self_alerts import SelfAlerts
from tocsin.work.incidents.timers import Timers
from tocsin.work.incidents.waiting_firings import Overtaken
from tocsin.work.ingest.intake import Intake
from tocsin.work.ingest.repeat_recovery import recount
from tocsin.work.muting.mute_changes import MuteChanges
from tocsin.work.muting.silences import Silences
from tocsin.work.noise.storm_end import StormEnd
from tocsin.work.noise.storms import Storms
from tocsin.work.oncall.calendar_links import Subscriptions
from tocsin.work.oncall.feeds import Feeds
from tocsin.work.oncall.overrides import Overrides
from tocsin.work.oncall.swaps import Swaps
from tocsin.work.paging.ack_links import AckLinks
from tocsin.work.paging.contacts import Contacts
from tocsin.work.paging.last_resort import LastResort
from tocsin.work.paging.pager import Pager
from tocsin.work.paging.replies import Replies
from tocsin.work.paging.shift_notices import ShiftNotices
from tocsin.work.paging.verification_codes import VerificationCodes
from tocsin.work.runtime import InForce, Runtime
from tocsin.work.signing_keys import Keys
from tocsin.work.upkeep.api_tokens import Access
from tocsin.work.upkeep.clock_watch import Attendance, ClockWatch, Followers
from tocsin.work.upkeep.health import Health
from tocsin.work.upkeep.housekeeping import DOWN, Housekeeping
from tocsin.work.upkeep.late_duties import LateDuties
from tocsin.work.whatif.explain import Foresight

log = structlog.stdlib.get_logger("tocsin.wiring")

BACKLOG = 2048
SHUTDOWN = 5.0  # seconds that requests under way get at the end; twice, as aiohttp counts
SWITCH = 0.0005  # seconds; the database's thread asks for the interpreter after every statement


@dataclass(frozen=True, slots=True)
class Ports:
    """The ports the daemon stands on; tests and simulations bring their own."""

    clock: Clock
    chance: Chance
    http: Http
    mail: Mail
    show: Callable[[str], None]
    runner: str = "thread"
    read_feed: ReadFeed | None = None  # None: in a process of its own


def system_ports(show: Callable[[str], None] | None = None) -> Ports:
    clock = SystemClock()
    return Ports(clock, SystemChance(), AioHttp(clock), AioSmtp(clock), show or _print)


def _print(text: str) -> None:
    sys.stdout.write(text.rstrip("\n") + "\n")
    sys.stdout.flush()


class Switchboard:
    """The signals of `work/runtime.py`, each put through to the part of this daemon that it is for."""

    def __init__(self, daemon: Daemon) -> None:
        self._daemon = daemon

    def planned(self, channels: set[str], due: Instant | None) -> None:
        self._daemon.wake(channels, due)

    def mutes_changed(self) -> None:
        self._daemon.mute_changes.wake()

    async def heard(self, heartbeats: Sequence[str], by: str) -> None:
        await self._daemon.heartbeats.hear(heartbeats, by)

    def alarm(self, key: str, title: str, because: str) -> None:
        self._daemon.self_alerts.alarm(key, title, because)

    def recovered(self, key: str) -> None:
        self._daemon.self_alerts.recovered(key)

    async def attend(self) -> None:
        if self._daemon.attendance is not None:
            await self._daemon.attendance.attend()


class Daemon:
    """A running Tocsin. `start` returns when alerts can be taken; `stop` leaves nothing half done.

    `loaded` must hold settings. `state` is the folder for the last good configuration and the
    control socket (None: neither is used). `on_last_good`: why the configuration asked for is not used.
    """

    store: Store
    intake: Intake
    actions: Actions
    silences: Silences
    heartbeats: Heartbeats
    overrides: Overrides
    swaps: Swaps
    keys: Keys
    answers: Replies
    subscriptions: Subscriptions
    access: Access
    health: Health
    foresight: Foresight
    timers: Timers
    pager: Pager
    contacts: Contacts
    notices: ShiftNotices
    last_resort: LastResort
    watch: ClockWatch
    storms: Storms
    self_alerts: SelfAlerts
    mute_changes: MuteChanges

    def __init__(
        self,
        loaded: Loaded,
        *,
        state: Path | None = None,
        on_last_good: str = "",
        ports: Ports | None = None,
        env: Mapping[str, str] = os.environ,
    ) -> None:
        if loaded.settings is None:
            raise SettingsError(loaded.problems)
        self.loaded, self.state, self.on_last_good, self.env = loaded, state, on_last_good, env
        self.ports = ports or system_ports()
        self.clock, self.chance = self.ports.clock, self.ports.chance
        self.metrics = Metrics()
        self.tasks = Tasks(self._task_failed)
        self.sources: dict[str, Source] = _plugins("tocsin.sources")
        self.kinds: dict[str, ChannelKind] = _plugins("tocsin.channels")
        self._settings: Settings = loaded.settings
        self._started = loaded.settings  # its addresses and database hold until the end of the process
        self._runners: list[web.AppRunner] = []
        self._listeners: list[asyncio.Server] = []  # of the main address
        self._front: Front | None = None
        self._admin: asyncio.Server | None = None
        self._control: Control | None = None
        self._reloading = asyncio.Lock()
        self.paging = False
        self.attendance: Attendance | None = None  # only where the clock is the machine's

    # ----------------------------------------------------------------------------- start, stop

    async def start(self, *, listen: bool = True, sockets: Sequence[socket.socket] = ()) -> None:
        """Open the store, recover what a crash left, open the doors.

        Raises StoreError when the database cannot be used, OSError when the address is taken.
        """
        settings = self._settings
        tune_interpreter()
        if self.state is not None:
            _make_state_folder(self.state)
        self.store = await open_store(
            settings.database, clock=self.clock, chance=self.chance, runner=self.ports.runner,  # type: ignore[arg-type]  # a Runner
            watch=StoreWatch(self.metrics),  # its tasks are its own: `stop` ends ours first, and they still write
        )  # fmt: skip
        try:
            await self._wire(settings)
            await self._recover()
            if listen:
                await self._listen(sockets)
        except BaseException:
            await self.stop()
            raise
        self._tell_started()

    async def _wire(self, settings: Settings) -> None:
        await self._watch_clock()
        live = InForce(settings, Rulebook(settings), self.sources)
        self.runtime = runtime = Runtime(
            self.store, self.clock, self.chance, self.tasks, self.metrics, live, self.kinds, Switchboard(self)
        )
        self.storms = Storms(runtime)
        self.keys = keys = Keys(self.store, self.chance)
        await keys.load()
        self.intake = Intake(runtime, self.storms)
        self.self_alerts = SelfAlerts(runtime, self.intake)
        self.heartbeats = Heartbeats(runtime, self.intake)
        self.actions = Actions(runtime, self.intake)
        self.silences = Silences(runtime)
        self.overrides, self.swaps = Overrides(runtime), Swaps(runtime)
        self.mute_changes = MuteChanges(runtime)
        self.overtaken = Overtaken(runtime, self.intake)
        self.access = Access(
            self.store, self.clock, self.chance, keys, lambda user: user in self.runtime.settings.users
        )
        self.subscriptions = Subscriptions(self.store, self.chance)
        links, codes = AckLinks(runtime, keys), VerificationCodes(keys)
        self.timers = Timers(runtime, self.intake, self.storms)
        self.pager = Pager(runtime, self._tools(), self.self_alerts, links, codes)
        self.last_resort = LastResort(runtime, self.pager.lines)
        self.answers = Replies(runtime, self.actions, links, codes, self.pager.lines)
        self.health = Health(runtime, self.intake, self.pager.lines)
        self.outbound = Outbound(runtime, self.health, self.ports.http)
        self.feeds = Feeds(runtime, self.ports.http, self.ports.read_feed or ReadApart(self.clock))
        self.health.feeds = self.feeds.troubles
        self.foresight = Foresight(runtime, self.storms)
        self.housekeeping = Housekeeping(runtime, self.intake, self.silences, self.overrides, self.access, self.health)
        self.contacts = Contacts(runtime, codes)
        self.notices = ShiftNotices(runtime, self.pager.lines, self.self_alerts, lambda: self.health.quarantined)

    def _tools(self) -> Tools:
        ports = self.ports
        return Tools(ports.http, ports.mail, ports.clock, ports.chance, ports.show)

    async def _recover(self) -> None:
        """Learn what a crash left behind, then let work begin: answers first, then overdue steps."""
        keeping = self.housekeeping
        await self.feeds.load()
        await self.silences.refresh()
        await self.overrides.refresh()
        await keeping.learn_contacts()  # before: who cannot be reached keeps nothing quiet
        await self.mute_changes.learn()
        was_down = await keeping.judge_downtime()
        await recount(self.runtime, self.intake)
        await self.intake.open_alerts.load(self.store, self.clock.now())
        await self.storms.load()
        self.tasks(self.intake.run(), "intake")
        self.health.quarantined = bool(await self.store.meta("quarantine"))
        if self.health.quarantined:
            log.error("quarantined", advice="a restored copy pages nobody; confirm with: tocsin db restore --confirm")
            self.tasks(self._await_release(), "quarantine")
        else:
            await self._start_paging()
        await self.heartbeats.begin(was_down=was_down)
        await self._start_watching()
        await keeping.alive()  # judged: a crash right behind this start is no longer downtime
        every = Millis(1_000)
        keeping.start(
            ("shift notices", every, self.notices.look),
            ("heartbeats", every, self.heartbeats.look),
            ("storms", every, StormEnd(self.runtime, self.storms).look),
            ("refusals", every, tell_counted),
            ("last resort", every, self.last_resort.look),
            *([] if isinstance(self.clock, ReplayClock) else [("wall clock", every, self.watch.look)]),
            ("late duties", every, LateDuties(self.runtime, self.self_alerts).look),
        )
        self._tell_made_again()
        self.tasks(self.outbound.run(), "outbound heartbeat")
        self.tasks(self.feeds.run(), "feeds")

    def _tell_made_again(self) -> None:
        """A database that is gone at the start is made anew, since nobody could be paged without; but not silently."""
        path = getattr(self.store, "made_again", "")
        if path:
            because = f"{path} was gone at the start; a backup is brought back with `tocsin db restore FILE`"
            self.self_alerts.alarm("database", "Tocsin began with an empty database", because)

    async def _start_paging(self) -> None:
        prepare = getattr(self.ports.mail, "prepare", None)
        if prepare is not None and any(channel.type == "smtp" for channel in self._settings.channels.values()):
            prepare()
        await self.pager.takeover.recover()
        self.paging = True
        self.tasks(self.timers.run(), "timers")
        self.tasks(self.mute_changes.run(), "following")
        self.tasks(self.overtaken.run(), "overtaken")
        self.pager.configure()
        self.tasks(self.pager.unknown.run(), "confirmations")
        self.tasks(self.pager.stranded.run(), "stranded pages")
        self.tasks(self.pager.takeover.run(), "takeover")

    async def _await_release(self) -> None:
        duty = self.runtime.duties.add("end of quarantine", self._end_if_released, within=Millis(15_000))
        while not self.paging:
            await self.clock.sleep(Millis(1_000))
            await duty.run()
        self.runtime.duties.drop(duty)

    async def _end_if_released(self) -> None:
        self.health.quarantined = bool(await self.store.meta("quarantine"))
        if not self.health.quarantined:
            log.warning("quarantine_ended")
            await self._start_paging()

    async def end_quarantine(self) -> None:
        """The restored copy is the one to go on with: page again."""
        await self.store.set_meta("quarantine", "")

    async def stop(self) -> None:
        """Close the doors, let what is under way end, close the store last."""
        if self._control is not None:
            await self._control.stop()
        for listener in (*self._listeners, *([self._admin] if self._admin is not None else [])):
            listener.close()
        if self._front is not None:
            await self._front.close()
        for runner in self._runners:
            await runner.cleanup()
        if hasattr(self, "pager"):
            await self.pager.stop()
        if hasattr(self, "intake"):
            await self._last_words()
        await self.tasks.stop()
        for port in (self.ports.http, self.ports.mail):
            close = getattr(port, "close", None)
            if close is not None:
                await close()
        await self.store.close()

    async def _last_words(self) -> None:
        try:
            await self.intake.flush_repeats()
            await self.access.flush_uses()
            await self.housekeeping.alive()
        except Exception as error:  # noqa: BLE001  # stopping goes on whatever happens
            log.warning("not_flushed", error=repr(error))

    # --------------------------------------------------------------------------------- doors

    async def _listen(self, sockets: Sequence[socket.socket]) -> None:
        server, app = self._settings.server, make_app(self)
        runner = await self._set_up(app)
        assert runner.server is not None
        connections = Connections(lambda: self.live.settings.server.trusted_proxies)
        shared = (app[RECEPTION], self.clock, self.metrics, HEAD_TIME, connections)
        self._front = front = Front(runner.server, *shared)
        loop = asyncio.get_running_loop()
        if sockets:
            self._listeners = [await loop.create_server(front, sock=sock, backlog=BACKLOG) for sock in sockets]
        else:
            self._listeners = [
                await loop.create_server(front, server.host, server.port, backlog=BACKLOG, reuse_address=True)
            ]
        if server.admin_port is not None:
            admin = await self._set_up(make_admin_app(self))
            host = server.admin_host or "127.0.0.1"
            assert admin.server is not None
            watched = Front(admin.server, *shared, learns=False)
            self._admin = await loop.create_server(
                watched, host, server.admin_port, backlog=BACKLOG, reuse_address=True
            )
        if self.state is not None:
            self._control = Control(self.state / SOCKET, actions_of(self), self.clock)
            await self._control.start()

    async def _set_up(self, app: web.Application) -> web.AppRunner:
        runner = web.AppRunner(app, access_log=None, handle_signals=False, shutdown_timeout=SHUTDOWN)
        await runner.setup()
        self._runners.append(runner)
        return runner

    @property
    def port(self) -> int:
        """The port that is listened on: the system's choice where the configuration says 0."""
        return int(self._listeners[0].sockets[0].getsockname()[1])

    # -------------------------------------------------------------------------- configuration

    @property
    def live(self) -> InForce:
        return self.runtime.live

    async def reload(self, yes: bool = False) -> str:
        """Read the configuration again and put it in force, whole or not at all.

        Returns what changed, in counts. Raises SettingsError with every problem, Refused when most of
        something would go and `yes` was not said; then nothing has changed.
        """
        async with self._reloading:
            try:
                return await self._reload(yes)
            except BaseException as bug:  # what was in force stays, and the process pages on
                if isinstance(bug, TocsinError) or not is_bug(bug):
                    raise
                raise self._stumbled(bug) from bug

    async def _reload(self, yes: bool) -> str:
        loaded = await asyncio.to_thread(load, self.loaded.main, env=self.env)  # a large one takes its time
        if loaded.settings is None:
            self.metrics.config_last_reload_successful.set(0)
            for problem in loaded.problems:
                if problem.level == "error":
                    log.error("configuration", problem=str(problem))
            raise SettingsError(tuple(problem for problem in loaded.problems if problem.level == "error"))
        changed, rulebook = await asyncio.to_thread(_compared, self._settings, loaded.settings, self._started)
        if changed.objection and not yes:
            self.metrics.config_last_reload_successful.set(0)
            log.error("reload_refused", because=changed.objection)
            raise Refused(f"{changed.objection}; if it is meant: tocsin reload --yes")
        before = self.runtime.settings
        self._put_in_force(loaded, rulebook)
        log.info("reloaded", changed=str(changed))
        try:
            await asyncio.to_thread(self._write_last_good)
            await self.housekeeping.learn_contacts()
            await self.mute_changes.learn()
            said = await self._turns_changed(before)
        except Exception as bug:  # what was in force stays, and the process pages on
            if isinstance(bug, TocsinError):
                raise
            log.error("after_reload", error=repr(bug), exc_info=True)  # it is in force all the same
            said = []
        return "\n".join([str(changed), *said])

    async def _turns_changed(self, before: Settings) -> list[str]:
        """Log and return who came on call by the reload, and what would keep the present turn."""
        made = self.runtime.people().overrides
        changes = await asyncio.to_thread(turn_changes, before, self.runtime.settings, self.clock.now(), made, made)
        said = list(in_words(changes, done=True))
        for line in said:
            log.warning("turn_changed", said=line)
        return said

    def _stumbled(self, bug: BaseException) -> SettingsError:
        """An error of ours while reading or changing over: what was in force still is."""
        self.metrics.config_last_reload_successful.set(0)
        log.error("reload_failed", error=repr(bug), exc_info=bug)
        return SettingsError((Problem(Where(str(self.loaded.main), 1, 1), "error", "internal", stumbling(bug)),))

    def running(self) -> Mapping[str, Any]:
        """The files of the configuration in force, as they were read."""
        return packed(self.loaded)

    def _put_in_force(self, loaded: Loaded, rulebook: Rulebook) -> None:
        assert loaded.settings is not None
        live = InForce(self.feeds.over(loaded.settings), rulebook, self.sources)
        before = self.loaded, self.on_last_good, self._settings, self.runtime.live
        self.loaded, self.on_last_good, self._settings, self.runtime.live = loaded, "", loaded.settings, live
        try:
            if self.paging:
                self.pager.configure()
        except BaseException:  # what was in force stays, and the process pages on
            self.loaded, self.on_last_good, self._settings, self.runtime.live = before
            self.pager.configure()
            raise
        self._tell_in_force()

    def _keep_last_good(self) -> None:
        self._tell_in_force()
        self._write_last_good()

    def _tell_in_force(self) -> None:
        self.metrics.config_running_on_last_good.set(bool(self.on_last_good))
        self.health.on_last_good = self.on_last_good
        self.metrics.config_last_reload_successful.set(not self.on_last_good)
        if self.on_last_good:
            log.error("running_on_last_good_configuration", because=self.on_last_good)
            return
        self.metrics.config_last_reload_success_timestamp_seconds.set(unix(self.clock.now()) / 1000)

    def _write_last_good(self) -> None:
        """Kept for a start with a bad file; not being able to keep it is loud, not fatal."""
        if self.state is None or self.on_last_good:
            return
        try:
            LastGood(self.state, self.loaded.main).keep(self.loaded)
        except OSError as error:
            log.error("last_good_not_kept", error=str(error))

    # ---------------------------------------------------------------------------------- hints

    def wake(self, channels: set[str], due: Instant | None) -> None:
        """Pages or timers were committed: wake whoever waits for a later time."""
        if not self.paging:
            return
        if channels:
            self.pager.wake(list(channels))
        if due is not None:
            self.timers.due_at(due)

    def _task_failed(self, name: str, error: BaseException) -> None:
        log.error("task_failed", task=name, error=repr(error), exc_info=error)

    def _tell_started(self) -> None:
        kind = "postgresql" if isinstance(self.store, PostgresStore) else "sqlite"
        self.metrics.build_info.labels(__version__, platform.python_version(), kind).set(1)
        self._keep_last_good()
        log.info("started", version=__version__, database=kind, users=len(self._settings.users))

    # -------------------------------------------------------------------------------- the clocks

    async def _watch_clock(self) -> None:
        """Learn where the line of time goes on; before anything asks what time it is."""
        shared = self.store if not self.store.exclusive and isinstance(self.clock, SystemClock) else None
        self.watch = ClockWatch(self.store, self.clock, self.chance.token(), cast("PostgresStore | None", shared))
        if not isinstance(self.clock, ReplayClock):
            await self.watch.resume()

    async def _start_watching(self) -> None:
        watch = self.watch
        follow = (
            self._look_at_calendars, self.silences.refresh, self.overrides.refresh, self.feeds.load,
            self.heartbeats.follow_step, self.mute_changes.learn,
        )  # fmt: skip
        watch.followers = Followers(self.runtime, self.self_alerts.tell, follow)
        if watch.stepped:
            await self.heartbeats.follow_step()
            await watch.tell_step_over_start()
        if isinstance(self.clock, SystemClock):
            self.attendance = Attendance(self.clock, self._judge_standstill, DOWN)

    async def _look_at_calendars(self) -> None:
        self.runtime.mutes.windows.forget()

    async def _judge_standstill(self) -> None:
        if await self.housekeeping.judge_downtime():
            await self.heartbeats.begin(was_down=True)


def _compared(before: Settings, after: Settings, started: Settings) -> tuple[ReloadDifference, Rulebook]:
    """Compare two configurations and compile the new rules: for a thread, since two thousand rules take their time."""
    return difference(before, after, started), Rulebook(after)


def tune_interpreter() -> None:
    """Suit the interpreter to a process that makes many short-lived values and keeps few.

    The database's thread asks for the interpreter after every statement and must not wait long for it;
    what start-up made is never garbage, and what alerts leave behind is freed by reference counting.
    """
    sys.setswitchinterval(SWITCH)
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


def _make_state_folder(folder: Path) -> None:
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise StoreUnavailable(f"{folder}: cannot be the state folder: {error.strerror}") from None


class StoreWatch:
    """The store's figures as metrics."""

    def __init__(self, metrics: Metrics) -> None:
        self._metrics = metrics

    def commit_seconds(self, seconds: float) -> None:
        self._metrics.db_commit_seconds.observe(seconds)

    def batch_rows(self, rows: int) -> None:
        self._metrics.db_batch_rows.observe(rows)

    def error(self, kind: str) -> None:
        self._metrics.db_errors.labels(kind).inc()


def _plugins(group: str) -> dict[str, Any]:
    """The installed kinds of sources or channels; one that cannot be loaded is left out, loudly."""
    found = {}
    for point in entry_points(group=group):
        try:
            found[point.name] = point.load()
        except Exception as error:  # noqa: BLE001  # a broken third-party plug-in must not stop paging
            log.error("plugin_broken", group=group, name=point.name, error=repr(error))
    return found
