"""Replay of recorded alerts in virtual time by the production engine.

The daemon is the one that serves, from `wiring`, on other ports: a clock that goes from one due instant to the next,
chance from a seed, a database in memory, and channels that accept every page and send none. People answer as they did:
at the recorded time, or, where their page goes out later here, as long after it as then.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, NoReturn, cast

from tocsin.clock import ReplayClock, SeededChance
from tocsin.contracts import Channel, ChannelKind, Gate, Tools
from tocsin.decide.oncall.fairness import NIGHT
from tocsin.decide.oncall.resolver import in_hours, windows
from tocsin.decide.whatif.outcomes import Fate, Played, Sent
from tocsin.decide.whatif.recordings import Answer, Record, Signal
from tocsin.errors import NoSuchIncident, NotSent, Refused
from tocsin.metrics import Metrics
from tocsin.model import (
    DAY,
    HOUR,
    MINUTE,
    SECOND,
    Accepted,
    Actor,
    Attempt,
    Instant,
    IntegrationConfig,
    Message,
    Millis,
    Option,
    Outcome,
    Parsed,
    Settings,
    Support,
)
from tocsin.settings import Loaded
from tocsin.store.history import History
from tocsin.wiring import Daemon, Ports
from tocsin.work.incidents.self_alerts import OWN
from tocsin.work.runtime import Runtime
from tocsin.work.upkeep.housekeeping import Chore, Housekeeping

STRIDE = MINUTE
TAIL = HOUR  # beyond the last record: what is held then is paged, and the escalation seen
NEVER = Millis(3650 * DAY)
SEED = 1
VIA = "replay"


async def play(
    loaded: Loaded,
    records: Iterable[Record],
    *,
    until: Instant | None = None,
    tell: Callable[[int], None] = lambda _count: None,
) -> Played:
    """Play `records` (in order of time) until `until` (an hour after the last one), and return everything that came of
    them.

    `tell` hears how many records are done, now and then. Raises SettingsError when there are no settings.
    """
    together = _together(records)
    first = next(together, None)
    if first is None:
        return Played()
    replay = await ReplayRun.begin(loaded, first[0].received_at)
    try:
        done = 0
        while first is not None:
            await replay.take(first)
            done += len(first)
            tell(done)
            first = next(together, None)
        await replay.pass_until(until if until is not None else Instant(replay.clock.now() + TAIL))
        return await replay.outcome()
    finally:
        await replay.end()


def _together(records: Iterable[Record]) -> Any:
    """Records of one instant, in order. One that stands late in the file counts as of the time it stands at."""
    group: list[Record] = []
    now = Instant(0)
    for record in records:
        at = max(now, record.received_at)
        if group and at != now:
            yield group
            group = []
        now = at
        group.append(record if record.received_at == at else replace(record, received_at=at))
    if group:
        yield group


# ------------------------------------------------------------------------------------- the ports


class Nowhere:
    """The HTTP and mail port: nothing leaves."""

    async def request(self, method: str, url: str, **_: Any) -> NoReturn:
        raise NotSent("a replay sends nothing")

    async def send(self, **_: Any) -> NoReturn:
        raise NotSent("a replay sends nothing")


class Uncounted:
    """The metrics of a replay: nobody reads them."""

    def __getattr__(self, name: str) -> Uncounted:
        return self

    def __call__(self, *_: object) -> Uncounted:
        return self


class Accepting:
    """A channel that takes every message at once, and tells who listens."""

    def __init__(self, heard: Callable[[Message], None]) -> None:
        self._heard = heard

    async def send(self, message: Message, gate: Gate) -> Outcome:
        await gate()
        self._heard(message)
        return Accepted("replay")

    async def lookup(self, attempt: Attempt) -> Outcome | None:
        return None


class AcceptingKind:
    """A kind of channel as it is, whose channels accept."""

    def __init__(self, kind: ChannelKind, heard: Callable[[Message], None]) -> None:
        self.type, self.title = kind.type, kind.title
        self.options: Mapping[str, Option] = kind.options
        self.address, self.throttle = kind.address, kind.throttle
        self.confirms, self.interactive = kind.confirms, kind.interactive
        self._heard = heard

    def open(self, name: str, options: Mapping[str, Any], tools: Tools) -> Channel:
        return Accepting(self._heard)


class Chores(Housekeeping):
    """Without what is of no account in a replay: gauges, signs of life, pruning, notices of shifts; and without
    overdue heartbeats, since nobody checks in here."""

    needed = frozenset({"repeats", "silences", "storms"})

    async def _every(self, name: str, length: Millis, chore: Chore) -> None:
        if name == "repeats":
            length = HOUR  # memory knows the counts; only a crash needs them written sooner
        if name in self.needed:
            await super()._every(name, length, chore)

    async def _lag(self) -> None:
        return None


class ReplayDaemon(Daemon):
    """The daemon on the ports of a replay."""

    runtime: Runtime

    async def _wire(self, settings: Settings) -> None:
        await super()._wire(settings)
        self.runtime.poll = DAY  # nobody else writes: what falls due wakes who waits for it
        self.housekeeping = Chores(self.runtime, self.intake, self.silences, self.overrides, self.access, self.health)


# -------------------------------------------------------------------------------------- the replay


@dataclass(slots=True)
class Awaited:
    """A person's answer that waits for its page: the incident it is about, and how long after the page it came."""

    answer: Answer
    after: Millis


@dataclass(slots=True)
class ReplayRun:
    """A configuration, a stretch of time, and what happens in it."""

    daemon: ReplayDaemon
    clock: ReplayClock
    edges: list[Instant]  # when support hours begin, the next one last
    stopped_at: Instant
    skipped: dict[str, int] = field(default_factory=dict)  # alerts of integrations that are not configured
    fates: list[tuple[Answer, int]] = field(default_factory=list)  # answers, and the incident each was about; 0: none
    awaited: dict[int, list[Awaited]] = field(default_factory=dict)  # by incident
    due: list[tuple[Instant, int, int, Answer]] = field(default_factory=list)  # answers with their time
    paged: dict[int, Instant] = field(default_factory=dict)
    bundled: bool = False  # a summary went out: whose first page it was must be asked
    _count: int = 0

    @classmethod
    async def begin(cls, loaded: Loaded, start: Instant) -> ReplayRun:
        clock = ReplayClock(start)
        settings = _for_replay(loaded)
        nowhere = Nowhere()
        ports = Ports(clock, SeededChance(SEED), nowhere, nowhere, lambda _text: None, runner="alone")
        daemon = ReplayDaemon(replace(loaded, settings=settings), ports=ports, env={})
        daemon.metrics = cast(Metrics, Uncounted())
        replay = cls(daemon, clock, _edges(settings, start), start)
        daemon.kinds = {name: AcceptingKind(kind, replay.hear) for name, kind in daemon.kinds.items()}
        await daemon.start(listen=False)
        await clock.rest()
        return replay

    async def end(self) -> None:
        await self.daemon.stop()

    async def take(self, records: list[Record]) -> None:
        """Records of one instant: posts go in together, answers after them."""
        await self.pass_until(records[0].received_at)
        posts: dict[tuple[str, int], list[Signal]] = {}
        for index, record in enumerate(records):
            if isinstance(record, Signal):
                posts.setdefault((record.integration, record.post or -index - 1), []).append(record)
        for (name, _), signals in posts.items():
            integration = self.daemon.live.settings.integrations.get(name)
            if integration is None:
                self.skipped[name] = self.skipped.get(name, 0) + len(signals)
            else:
                self.daemon.tasks(self._post(integration, signals), "post")
        await self.clock.rest()
        for record in records:
            if isinstance(record, Answer):
                await self._answer(record)

    async def _post(self, integration: IntegrationConfig, signals: list[Signal]) -> None:
        raw = next((signal.bytes.encode() for signal in signals if signal.bytes), b"{}")
        await self.daemon.intake.take(integration, raw, Parsed(tuple(signal.alert for signal in signals)))

    async def pass_until(self, at: Instant) -> None:
        """Pass time from one due instant to the next."""
        while (due := self._next_due()) < at:
            await self._stop_at(due)
        if at > self.stopped_at:
            await self._stop_at(at)

    def _next_due(self) -> Instant:
        due = self.clock.next_due()
        stops = [Instant(self.stopped_at + self._stride()), self.edges[-1]]
        if due is not None:
            stops.append(due)
        if self.due:
            stops.append(self.due[0][0])
        return min(stops)

    def _stride(self) -> Millis:
        """Chores look around at least so often; every second while there is a storm, whose end they tell."""
        storms = self.daemon.storms.states.values()
        return SECOND if any(storm.incident is not None for storm in storms) else STRIDE

    async def _stop_at(self, at: Instant) -> None:
        self.stopped_at = at
        if self.edges[-1] <= at:
            self.edges.pop()
            self.daemon.timers.wake.set()
        self.clock.advance_to(at)
        await self.clock.rest()
        if self.bundled:
            await self._ask_who_was_paged()
        while self.due and self.due[0][0] <= at:
            _, _, number, answer = heapq.heappop(self.due)
            await self._act(number, answer)

    # ------------------------------------------------------------------------------- who answers

    def hear(self, message: Message) -> None:
        """A message went out."""
        if message.kind != "page":
            return
        number = message.incident.get("number")
        if number is None or "incidents wait for you" in message.text:
            self.bundled = True
        if number is not None:
            self._first_page(int(number), self.clock.now())

    def _first_page(self, number: int, at: Instant) -> None:
        self.paged.setdefault(number, at)
        for awaited in self.awaited.pop(number, ()):
            self._plan(number, Instant(self.paged[number] + awaited.after), awaited.answer)

    async def _ask_who_was_paged(self) -> None:
        self.bundled = False
        for number in list(self.awaited):
            found = [
                attempt.started_at
                for page, attempts in await self.daemon.store.pages(number)
                if page.kind == "page"
                for attempt in attempts
                if attempt.state in ("accepted", "bundled")
            ]
            if found:
                self._first_page(number, min(found))

    def _plan(self, number: int, at: Instant, answer: Answer) -> None:
        self._count += 1
        heapq.heappush(self.due, (max(at, self.clock.now()), self._count, number, answer))

    async def _answer(self, answer: Answer) -> None:
        """Answer a page as it was recorded; where the page comes later here, as long after it as then."""
        number = await self._incident_of(answer)
        self.fates.append((answer, number))
        if not number:
            return
        after = Millis(max(0, answer.received_at - answer.paged_at)) if answer.paged_at is not None else Millis(0)
        if answer.paged_at is None or answer.kind in ("resolved", "canceled"):
            await self._act(number, answer)
        elif number in self.paged:
            self._plan(number, Instant(self.paged[number] + after), answer)
            await self.pass_until(self.clock.now())
            while self.due and self.due[0][0] <= self.clock.now():
                await self._act(*heapq.heappop(self.due)[2:])
        else:
            self.awaited.setdefault(number, []).append(Awaited(answer, after))

    async def _incident_of(self, answer: Answer) -> int:
        """The incident in which the alert is open now."""
        pair = (answer.integration, answer.source_key)
        found = await self._write(lambda tx: tx.open_alerts([pair]))
        alert = found.get(pair)
        return alert.incident or 0 if alert is not None else 0

    async def _write(self, work: Any) -> Any:
        """A transaction whose end is waited for in virtual time."""
        done = self.daemon.tasks(self.daemon.store.write(work), "replay")
        await self.clock.rest()
        return await done

    async def _act(self, number: int, answer: Answer) -> None:
        done = self.daemon.tasks(self._act_now(number, answer), "answer")
        await self.clock.rest()
        await done

    async def _act_now(self, number: int, answer: Answer) -> None:
        actions, actor, now = self.daemon.actions, Actor("user", answer.user), self.clock.now()
        try:
            match answer.kind:
                case "acknowledged":
                    await actions.acknowledge(number, actor, VIA)
                case "snoozed" if answer.until is not None and answer.until > now:
                    await actions.snooze(number, answer.until, actor, VIA)
                case "snoozed":
                    await actions.acknowledge(number, actor, VIA)
                case "resolved":
                    await actions.resolve(number, actor, VIA)
                case "canceled":
                    await actions.cancel(number, actor, VIA)
        except (NoSuchIncident, Refused):
            return

    # -------------------------------------------------------------------------------- the outcome

    async def outcome(self) -> Played:
        store, settings = self.daemon.store, self.daemon.live.settings
        assert isinstance(store, History)
        pages: dict[int, list[Sent]] = {}
        async for page in store.pages_sent():
            pages.setdefault(page.incident, []).append(_by_night(page, settings))
        cases = {}
        async for case in store.cases():
            if case.integration != OWN.name:
                mine = tuple(pages.get(case.number, ()))
                cases[case.number] = replace(case, pages=mine, healed=case.healed and not mine)
        whereabouts, counts = await self._whereabouts(store)
        fates = tuple(
            Fate(
                answer.received_at,
                answer.integration,
                answer.source_key,
                answer.user,
                answer.kind,
                number,
                number in pages,
            )
            for answer, number in self.fates
        )
        return Played(cases, whereabouts, counts, fates, dict(self.skipped))

    async def _whereabouts(self, store: History) -> tuple[dict[tuple[str, str, Instant], int], dict[str, int]]:
        """The number of the incident each alert went to (0: none), and how many alerts there were and how many were
        dropped.
        """
        found: dict[tuple[str, str, Instant], int] = {}
        counts = {"alerts": 0, "dropped": 0}
        async for name, key, at, number, status in store.alerts_in_short():
            if name == OWN.name:
                continue
            found[name, key, at] = number
            counts["alerts"] += 1
            counts["dropped"] += not number and status in ("dropped", "suppressed")
        return found, counts


def _by_night(page: Sent, settings: Settings) -> Sent:
    user = settings.users.get(page.user)
    if user is None:
        return page
    return replace(page, night=in_hours(Support(user.timezone, (NIGHT,)), page.at))


def _for_replay(loaded: Loaded) -> Settings:
    """The settings as configured, but in memory, without links, and without the closing of what is resolved: it pages
    nobody.
    """
    assert loaded.settings is not None
    server = replace(loaded.settings.server, public_url=None)
    defaults = replace(loaded.settings.defaults, close_after=NEVER)
    schedules = {
        name: replace(schedule, ical=None) for name, schedule in loaded.settings.schedules.items()
    }  # nothing is fetched
    return replace(
        loaded.settings,
        database="sqlite::memory:",
        defaults=defaults,
        server=server,
        schedules=schedules,
        heartbeat_out=None,
    )


def _edges(settings: Settings, start: Instant) -> list[Instant]:
    """The instants at which support hours begin, within a year; the next one last."""
    end = Instant(start + 366 * DAY)
    found = {
        window.start
        for service in settings.services.values()
        if service.support_hours is not None
        for hours in service.support_hours.hours
        for window in windows(hours, service.support_hours.timezone, start, end)
        if window.start > start
    }
    return [Instant(1 << 62), *sorted(found, reverse=True)]
