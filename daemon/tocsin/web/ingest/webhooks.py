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
from tocsin.web.ingest.integrations import InboundIntegration, InboundIntegrations, inbound_integrations
from tocsin.web.ingest.known_heads import KnownHeads
from tocsin.web.ingest.responses import Receipts
from tocsin.web.limits import read_body
from tocsin.web.problem_json import Handler, HttpProblem, as_problem, overloaded, refuse
from tocsin.work.ingest.posts import Taken, Waiter

log = structlog.stdlib.get_logger("tocsin.web")

GIVE_UP_ON_4XX = frozenset({"alertmanager", "alertmanager_api", "grafana"})
LARGE = 16 * 1024  # bytes of a body; of these one is read at a time, so that many at once do not hold the loop up
HUGE = 256 * 1024  # these are parsed in a thread, and decided one at a time for each sender
HUGE_AT_ONCE = 3  # of all senders
NOBODY = Secret(("compared with when there is no such integration",))
NO_HINT = "there is no such integration, or the token is not its own"


class Reception:
    """Reception of posts of alerts: authenticates, reads, parses, has them stored, answers."""

    def __init__(self, daemon: Daemon) -> None:
        self.daemon = daemon
        self._integrations = inbound_integrations(daemon.live.settings, daemon.live.sources)
        self._alarmed: dict[str, int] = {}
        self._told: dict[tuple[str, str], int] = {}  # parts that could not be computed, and the hour they were told of
        self._reading = asyncio.Lock()
        self._huge = asyncio.Semaphore(HUGE_AT_ONCE)
        self._huge_of: dict[str, asyncio.Lock] = {}
        self.heads = KnownHeads()
        self.opened: Callable[[web.Request, InboundIntegration], None] = lambda request, integration: None

    @property
    def integrations(self) -> InboundIntegrations:
        """The integrations of the configuration in force."""
        live = self.daemon.live
        if self._integrations.settings is not live.settings:
            self._integrations = inbound_integrations(live.settings, live.sources)
        return self._integrations

    def webhook(self) -> Handler:
        """The handler of POST /v1/webhooks/{integration}."""
        daemon = self.daemon
        clock, seconds, receipts = daemon.clock, daemon.metrics.ingest_seconds, Receipts(daemon.clock)

        async def webhook(request: web.Request) -> web.StreamResponse:
            started = clock.monotonic()
            try:
                own = self.by_own_token(request)
                integration = own or await self.admit(request)
                raw = await self.read(request, integration)
                taken = await self.take(integration, raw, request.headers)
            except (HttpProblem, BadBody, StoreUnavailable) as error:
                return refuse(request, as_problem(error))
            seconds.observe(clock.monotonic() - started)
            if own is not None:
                self.opened(request, own)
            return receipts.of(taken)

        return webhook

    def by_own_token(self, request: web.Request) -> InboundIntegration | None:
        """The integration this post names, where the post has that integration's own token."""
        integration = self.integrations.by_name.get(request.match_info["integration"])
        given = credential(request, acts=True)
        accepts = NOBODY if integration is None else integration.accepts
        return integration if given and secret_matches(given, accepts) else None

    async def admit(self, request: web.Request) -> InboundIntegration:
        """The integration that an API token may post for. Raises HttpProblem 401 or 404, alike but for the number."""
        integration = self.integrations.by_name.get(request.match_info["integration"])
        token = api_credential(request)
        if token and may_post(await self.daemon.access.check(token)):
            return known(integration, request.match_info["integration"])
        if integration is None:
            raise HttpProblem(404, NO_HINT)
        self.daemon.metrics.alerts_rejected.labels(integration.config.name, "token").inc()
        raise HttpProblem(401, NO_HINT, headers={"WWW-Authenticate": "Bearer"})

    async def read(self, request: web.Request, integration: InboundIntegration) -> bytes:
        """The body, where there is room for it; refused in the words its sender listens to where there is none."""
        try:
            return await read_body(request, self.daemon.clock, sender=f"integration:{integration.config.name}")
        except HttpProblem as problem:
            if problem.status in (429, 503):
                self.count_refusal(integration, "unavailable")
                problem.status = 503 if integration.config.type in GIVE_UP_ON_4XX else 429
            raise

    async def take(self, integration: InboundIntegration, raw: bytes, headers: Mapping[str, str]) -> Taken:
        """Parse and store; durable when it returns. Raises BadBody, HttpProblem, StoreUnavailable."""
        if len(raw) < LARGE:
            return await self._store(integration, raw, self.parse(integration, raw, headers))
        if len(raw) < HUGE:
            async with self._reading:
                parsed = self.parse(integration, raw, headers)
            return await self._store(integration, raw, parsed)
        own = self._huge_of.setdefault(integration.config.name, asyncio.Lock())
        async with own, self._huge:
            return await self._store(integration, raw, await self._parse_apart(integration, raw, headers))

    async def _store(self, integration: InboundIntegration, raw: bytes, parsed: Parsed) -> Taken:
        if parsed.rejected and not parsed.alerts:
            self.count_refusal(integration, "invalid", len(parsed.rejected))
            self.alarm(integration, f"{parsed.rejected[0].pointer}: {parsed.rejected[0].detail}")
            raise HttpProblem(400, "none of these alerts can be taken", errors=parsed.rejected)
        try:
            return await self.daemon.intake.take(integration.config, raw, parsed)
        except BadBody as error:
            self.count_refusal(integration, "body")
            self.alarm(integration, error.detail)
            raise
        except StoreUnavailable as error:
            self.count_refusal(integration, "unavailable")
            raise busy(integration.config.type, error) from error

    def take_at_once(
        self, integration: InboundIntegration, raw: bytes, headers: Mapping[str, str], waiter: Waiter
    ) -> bool:
        """Take a post without a task that waits: `waiter` is told the result. False, and nothing is done, where `take`
        has more to do than to store it: something to refuse, to explain, or to take turns for.
        """
        if len(raw) >= LARGE:
            return False
        try:
            parsed = self._read_by(integration, raw, headers)
            if parsed.left_out:
                self._tell_left_out(integration, parsed)
            return bool(parsed.alerts) and self.daemon.intake.take_at_once(integration.config, raw, parsed, waiter)
        except Exception:  # noqa: BLE001  # `take` meets it again, and says so
            return False

    def _read_by(self, integration: InboundIntegration, raw: bytes, headers: Mapping[str, str]) -> Parsed:
        """The post as its source reads it: in civil time, which senders' clocks show too; then put on the line."""
        now = self.daemon.clock.now()
        if not ahead():
            return integration.source.parse(raw, headers, integration.config, now)
        return on_the_line(integration.source.parse(raw, headers, integration.config, Instant(unix(now))))

    def parse(self, integration: InboundIntegration, raw: bytes, headers: Mapping[str, str]) -> Parsed:
        """The alerts of a body; `headers` look up names in any case."""
        try:
            parsed = self._read_by(integration, raw, headers)
        except BadBody as error:
            self._unreadable(integration, error)
            raise
        self._tell_left_out(integration, parsed)
        return parsed

    async def _parse_apart(self, integration: InboundIntegration, raw: bytes, headers: Mapping[str, str]) -> Parsed:
        """`parse` for a body that would hold the loop up."""
        try:
            parsed = await asyncio.to_thread(self._read_by, integration, raw, headers)
        except BadBody as error:
            self._unreadable(integration, error)
            raise
        self._tell_left_out(integration, parsed)
        return parsed

    def _tell_left_out(self, integration: InboundIntegration, parsed: Parsed) -> None:
        """Parts of a `map` that cannot be computed: their alerts page without them. A line once an hour and part."""
        hour = self.daemon.clock.now() // HOUR
        for part in parsed.left_out:
            if self._told.get((integration.config.name, part.pointer)) != hour:
                self._told[integration.config.name, part.pointer] = hour
                log.warning(
                    "part_left_out", integration=integration.config.name, part=part.pointer, because=part.detail[:500]
                )

    def _unreadable(self, integration: InboundIntegration, error: BadBody) -> None:
        self.count_refusal(integration, "body")
        self.alarm(integration, error.detail)

    def alarm(self, integration: InboundIntegration, detail: str) -> None:
        """Alerts are lost here, and the sender will not tell: once a day and integration it becomes an incident."""
        name, day = integration.config.name, unix(self.daemon.clock.now()) // DAY
        if self._alarmed.get(name) != day:
            self._alarmed[name] = day
            self.daemon.self_alerts.refused_post(name, detail[:500])

    def count_refusal(self, integration: InboundIntegration, reason: str, count: int = 1) -> None:
        self.daemon.metrics.alerts_rejected.labels(integration.config.name, reason).inc(count)


def busy(kind: str, error: StoreUnavailable) -> HttpProblem:
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


def known(integration: InboundIntegration | None, name: str) -> InboundIntegration:
    if integration is None:
        raise HttpProblem(404, f"no integration is named {name[:80]!r}; see `integrations:` in the configuration")
    return integration
