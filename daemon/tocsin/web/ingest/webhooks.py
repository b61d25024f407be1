"""POST /v1/webhooks/{integration}: find the integration, check its token, store the post before it is answered.

Nothing here runs for a request that is not needed for it: this is the path every alert takes.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import structlog
from aiohttp import web

from tocsin.decide.routing.sender_times import on_the_line
from tocsin.errors import BadBody, StoreUnavailable
from tocsin.model import DAY, HOUR, Instant, Parsed, Secret, Token, secret_matches
from tocsin.model.civil import ahead, unix
from tocsin.web.credentials import api_credential, credential
from tocsin.web.daemon import Daemon
from tocsin.web.ingest.integrations import Door, Doors, doors_of
from tocsin.web.ingest.known_heads import Heads
from tocsin.web.ingest.responses import Receipts
from tocsin.web.limits import read_body
from tocsin.web.problem_json import Handler, Problem, as_problem, overloaded, refuse
from tocsin.work.ingest.posts import Taken, Waiter

log = structlog.stdlib.get_logger("tocsin.web")

GIVE_UP_ON_4XX = frozenset({"alertmanager", "alertmanager_api", "grafana"})
LARGE = 16 * 1024  # bytes of a body; of these one is read at a time, so that many at once do not hold the loop up
HUGE = 256 * 1024  # these are parsed in a thread, and decided one at a time for each sender
HUGE_AT_ONCE = 3  # of all senders
NOBODY = Secret(("compared with when there is no such integration",))
NO_HINT = "there is no such integration, or the token is not its own"


class Reception:
    """Takes posts in for every door: authenticates, reads, parses, has them stored, answers."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._doors = doors_of(daemon.live.settings, daemon.live.sources)
        self._alarmed: dict[str, int] = {}
        self._told: dict[tuple[str, str], int] = {}  # parts that could not be computed, and the hour they were told of
        self._reading = asyncio.Lock()
        self._huge = asyncio.Semaphore(HUGE_AT_ONCE)
        self._huge_of: dict[str, asyncio.Lock] = {}
        self.heads = Heads()
        self.opened: Callable[[web.Request, Door], None] = lambda request, door: None

    @property
    def doors(self) -> Doors:
        """The integrations of the configuration in force."""
        live = self.daemon.live
        if self._doors.settings is not live.settings:
            self._doors = doors_of(live.settings, live.sources)
        return self._doors

    def webhook(self) -> Handler:
        """The handler of POST /v1/webhooks/{integration}."""
        daemon = self.daemon
        clock, seconds, receipts = daemon.clock, daemon.metrics.ingest_seconds, Receipts(daemon.clock)

        async def webhook(request: web.Request) -> web.StreamResponse:
            started = clock.monotonic()
            try:
                own = self.by_own_token(request)
                door = own or await self.admit(request)
                raw = await self.read(request, door)
                taken = await self.take(door, raw, request.headers)
            except (Problem, BadBody, StoreUnavailable) as error:
                return refuse(request, as_problem(error))
            seconds.observe(clock.monotonic() - started)
            if own is not None:
                self.opened(request, own)
            return receipts.of(taken)

        return webhook

    def by_own_token(self, request: web.Request) -> Door | None:
        """The door this post names, where it has that door's own token."""
        door = self.doors.by_name.get(request.match_info["integration"])
        given = credential(request, acts=True)
        accepts = NOBODY if door is None else door.accepts
        return door if given and secret_matches(given, accepts) else None

    async def admit(self, request: web.Request) -> Door:
        """The door this post may use, with no token of its own. Raises Problem 401 or 404, alike but for the number."""
        door = self.doors.by_name.get(request.match_info["integration"])
        token = api_credential(request)
        if token and may_post(await self.daemon.access.check(token)):
            return known(door, request.match_info["integration"])
        if door is None:
            raise Problem(404, NO_HINT)
        self.daemon.metrics.alerts_rejected.labels(door.config.name, "token").inc()
        raise Problem(401, NO_HINT, headers={"WWW-Authenticate": "Bearer"})

    async def read(self, request: web.Request, door: Door) -> bytes:
        """The body, where there is room for it; refused in the words its sender listens to where there is none."""
        try:
            return await read_body(request, self.daemon.clock, sender=f"integration:{door.config.name}")
        except Problem as problem:
            if problem.status in (429, 503):
                self.count_refusal(door, "unavailable")
                problem.status = 503 if door.config.type in GIVE_UP_ON_4XX else 429
            raise

    async def take(self, door: Door, raw: bytes, headers: Mapping[str, str]) -> Taken:
        """Parse and store; durable when it returns. Raises BadBody, Problem, StoreUnavailable."""
        if len(raw) < LARGE:
            return await self._store(door, raw, self.parse(door, raw, headers))
        if len(raw) < HUGE:
            async with self._reading:
                parsed = self.parse(door, raw, headers)
            return await self._store(door, raw, parsed)
        own = self._huge_of.setdefault(door.config.name, asyncio.Lock())
        async with own, self._huge:
            return await self._store(door, raw, await self._parse_apart(door, raw, headers))

    async def _store(self, door: Door, raw: bytes, parsed: Parsed) -> Taken:
        if parsed.rejected and not parsed.alerts:
            self.count_refusal(door, "invalid", len(parsed.rejected))
            self.alarm(door, f"{parsed.rejected[0].pointer}: {parsed.rejected[0].detail}")
            raise Problem(400, "none of these alerts can be taken", errors=parsed.rejected)
        try:
            return await self.daemon.intake.take(door.config, raw, parsed)
        except BadBody as error:
            self.count_refusal(door, "body")
            self.alarm(door, error.detail)
            raise
        except StoreUnavailable as error:
            self.count_refusal(door, "unavailable")
            raise busy(door.config.type, error) from error

    def take_at_once(self, door: Door, raw: bytes, headers: Mapping[str, str], waiter: Waiter) -> bool:
        """Take a post without a task that waits: `waiter` is told the result. False, and nothing is done, where `take`
        has more to do than to store it: something to refuse, to explain, or to take turns for.
        """
        if len(raw) >= LARGE:
            return False
        try:
            parsed = self._read_by(door, raw, headers)
            if parsed.left_out:
                self._tell_left_out(door, parsed)
            return bool(parsed.alerts) and self.daemon.intake.take_at_once(door.config, raw, parsed, waiter)
        except Exception:  # noqa: BLE001  # `take` meets it again, and says so
            return False

    def _read_by(self, door: Door, raw: bytes, headers: Mapping[str, str]) -> Parsed:
        """The post as its source reads it: in civil time, which senders' clocks show too; then put on the line."""
        now = self.daemon.clock.now()
        if not ahead():
            return door.source.parse(raw, headers, door.config, now)
        return on_the_line(door.source.parse(raw, headers, door.config, Instant(unix(now))))

    def parse(self, door: Door, raw: bytes, headers: Mapping[str, str]) -> Parsed:
        """The alerts of a body; `headers` look up names in any case."""
        try:
            parsed = self._read_by(door, raw, headers)
        except BadBody as error:
            self._unreadable(door, error)
            raise
        self._tell_left_out(door, parsed)
        return parsed

    async def _parse_apart(self, door: Door, raw: bytes, headers: Mapping[str, str]) -> Parsed:
        """`parse` for a body that would hold the loop up."""
        try:
            parsed = await asyncio.to_thread(self._read_by, door, raw, headers)
        except BadBody as error:
            self._unreadable(door, error)
            raise
        self._tell_left_out(door, parsed)
        return parsed

    def _tell_left_out(self, door: Door, parsed: Parsed) -> None:
        """Parts of a `map` that cannot be computed: their alerts page without them. A line once an hour and part."""
        hour = self.daemon.clock.now() // HOUR
        for one in parsed.left_out:
            if self._told.get((door.config.name, one.pointer)) != hour:
                self._told[door.config.name, one.pointer] = hour
                log.warning("part_left_out", integration=door.config.name, part=one.pointer, because=one.detail[:500])

    def _unreadable(self, door: Door, error: BadBody) -> None:
        self.count_refusal(door, "body")
        self.alarm(door, error.detail)

    def alarm(self, door: Door, detail: str) -> None:
        """Alerts are lost here, and the sender will not tell: once a day and integration it becomes an incident."""
        name, day = door.config.name, unix(self.daemon.clock.now()) // DAY
        if self._alarmed.get(name) != day:
            self._alarmed[name] = day
            self.daemon.self_alerts.refused_post(name, detail[:500])

    def count_refusal(self, door: Door, reason: str, count: int = 1) -> None:
        self.daemon.metrics.alerts_rejected.labels(door.config.name, reason).inc(count)


def busy(kind: str, error: StoreUnavailable) -> Problem:
    """Try again later, in the words this sender listens to.

    A full queue (a kind of StoreUnavailable) is 429 but to senders that drop a post on any 4xx
    (Alertmanager's and Grafana's webhooks retry 5xx only); a silent database is 503 to everybody.
    """
    full = type(error) is not StoreUnavailable
    if full and kind not in GIVE_UP_ON_4XX:
        return overloaded("too many alerts at once; send this one again in a moment", 429)
    return overloaded("nothing can be stored right now; send this again in a moment", 503)


def may_post(token: Token | None) -> bool:
    """An API token may post alerts for any integration, unless it only reads."""
    return token is not None and token.role != "viewer"


def known(door: Door | None, name: str) -> Door:
    if door is None:
        raise Problem(404, f"no integration is named {name[:80]!r}; see `integrations:` in the configuration")
    return door
