"""The Alertmanager API v2 for amtool, Karma and Grafana: silences, what fires, status; in its shapes and its errors.

Calls take API tokens, as a bearer or as the password of basic authentication, which is all that amtool has. A browser
adds such a password to a form of anybody's page: so what changes something must be JSON, which no form can send.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Literal

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tocsin import __version__
from tocsin.contracts import Clock, IncidentFilter, Stand
from tocsin.decide.muting.mutes import Mutes, stored_values
from tocsin.decide.routing.matchers import Matcher, Written, parse, written
from tocsin.errors import BadBody, Refused, StoreUnavailable
from tocsin.model import DAY, MINUTE, OPEN, Actor, Instant, Millis, Role, Silence, StoredAlert, Token, rfc3339
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import storable
from tocsin.web.api.guard import RANK, WITHOUT_USER
from tocsin.web.credentials import credential
from tocsin.web.daemon import Daemon
from tocsin.web.limits import MAX_ASKED, read_body, read_json
from tocsin.web.problem_json import BASE_HEADERS, JSON_HEADERS, Handler, HttpProblem, as_problem, log, log_refusal
from tocsin.web.request_turns import LOOP_TIME, TURNS, in_slices, stream

AT_ONCE = 500  # alerts or silences that are read at once
RETENTION = Millis(5 * DAY)  # of silences that have ended: Alertmanager's own default
INCIDENTS_AT_ONCE = 25
MOST_FILTERS = 32
RECEIVER = "tocsin"
ORIGINAL = "# served by tocsin\nroute:\n  receiver: tocsin\nreceivers:\n  - name: tocsin\n"
CallHandler = Callable[["AlertmanagerCall"], Awaitable[web.StreamResponse]]


class MatcherShape(BaseModel):
    model_config = ConfigDict(extra="ignore")

    name: str = Field(min_length=1, max_length=1000)
    value: str = Field(max_length=4000)
    isRegex: bool = False  # noqa: N815  # Alertmanager's name
    isEqual: bool = True  # noqa: N815


class PostedSilence(BaseModel):
    """A silence as Alertmanager's clients post it. `id`: the one to change."""

    model_config = ConfigDict(extra="ignore")

    id: str | None = None
    matchers: list[MatcherShape] = Field(min_length=1)
    startsAt: str  # noqa: N815  # Alertmanager's names
    endsAt: str  # noqa: N815
    createdBy: str = ""  # noqa: N815
    comment: str = ""


class AlertmanagerCall:
    """An authenticated request to Alertmanager's API."""

    def __init__(self, daemon: Daemon, request: web.Request, token: Token, since: Instant) -> None:
        self.daemon, self.request, self.token, self.since = daemon, request, token, since
        self.now = daemon.clock.now()

    def flag(self, name: str) -> bool:
        """A query parameter that is true unless it says false."""
        return self.request.query.get(name, "true") != "false"

    async def filters(self) -> tuple[Matcher, ...]:
        """The request's matchers. Compiling one may take milliseconds, so other requests get their turn in between."""
        texts = self.request.query.getall("filter", [])
        if len(texts) > MOST_FILTERS:
            raise HttpProblem(400, f"bad matcher format: {len(texts)} filters are too many, {MOST_FILTERS} at most")
        found = []
        for text in texts:
            found.append(self._parsed(text, "bad matcher format"))
            await self.daemon.clock.turn()
        return tuple(found)

    def receives(self) -> bool:
        """Whether the one receiver is asked for (`receiver` is a pattern)."""
        wanted = self.request.query.get("receiver", "")
        return not wanted or self._parsed(f"receiver=~{quoted(wanted)}", "bad receiver").accepts(RECEIVER)

    @staticmethod
    def _parsed(text: str, what: str) -> Matcher:
        try:
            return parse(text, small=True)
        except ValueError as wrong:
            raise HttpProblem(400, f"{what}: {wrong}") from None


def guarded_handler(daemon: Daemon, role: Role, act: CallHandler) -> Handler:
    """The call behind its guard; errors are JSON strings, as the vendor's."""
    since = daemon.clock.now()

    @wraps(act)
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            token = await signed_in(daemon, request, role)
            call = AlertmanagerCall(daemon, request, token, since)
            if role != "viewer":
                return await act(call)
            with request.app[TURNS].admit(token.id):
                return await act(call)
        except (HttpProblem, BadBody, Refused, StoreUnavailable) as error:
            problem = as_problem(error)
            log_refusal(request, problem)
            headers = {**JSON_HEADERS, **problem.headers}
            return web.Response(status=problem.status, body=orjson.dumps(said(problem)), headers=headers)

    return handler


def said(problem: HttpProblem) -> str:
    details = [f"{error.pointer}: {error.detail}" for error in problem.errors]
    return "; ".join(details or [problem.detail]).encode("utf-8", "replace").decode()


async def signed_in(daemon: Daemon, request: web.Request, role: Role) -> Token:
    given = credential(request, acts=request.method not in (hdrs.METH_GET, hdrs.METH_HEAD))
    token = await daemon.access.check(given) if given else None
    if token is None:
        raise HttpProblem(401, "send an API token, as a bearer or as the password of basic authentication",
                      headers={"WWW-Authenticate": 'Basic realm="tocsin"'})  # fmt: skip
    if RANK[token.role] < RANK[role]:
        raise HttpProblem(403, f"this token has the role {token.role}; this needs {role}")
    if request.method == hdrs.METH_POST and request.content_type != "application/json":
        raise HttpProblem(415, "send JSON: Content-Type: application/json")
    return token


def add_routes(add: Callable[[str, str, Handler], None], daemon: Daemon) -> None:
    """Add every path of Alertmanager's API, with and without a slash at its end."""
    routes: tuple[tuple[Literal["GET", "POST", "DELETE"], str, Role, CallHandler], ...] = (
        ("GET", "/silences", "viewer", list_silences),
        ("POST", "/silences", "responder", post_silence),
        ("GET", "/silence/{id}", "viewer", show_silence),
        ("DELETE", "/silence/{id}", "responder", expire_silence),
        ("GET", "/alerts", "viewer", list_alerts),
        ("GET", "/alerts/groups", "viewer", list_groups),
        ("GET", "/status", "viewer", show_status),
        ("GET", "/receivers", "viewer", list_receivers),
    )
    for method, path, role, act in routes:
        handler = guarded_handler(daemon, role, act)
        add(method, f"/api/v2{path}", handler)
        add(method, f"/api/v2{path}/", handler)
    for path in ("/-/healthy", "/-/ready"):
        add("GET", path, probe(daemon, path))


def probe(daemon: Daemon, path: str) -> Handler:
    async def probe(request: web.Request) -> web.StreamResponse:
        good = path == "/-/healthy" or (await daemon.health.ready())[0]
        return web.Response(status=200 if good else 503, text="OK" if good else "not ready", headers=BASE_HEADERS)

    return probe


# --------------------------------------------------------------------------------------- silences


async def list_silences(call: AlertmanagerCall) -> web.StreamResponse:
    filters = await call.filters()

    def view(silence: Silence) -> object:
        wanted = call.flag(state_of(silence, call.now)) and fits(silence, filters)
        return silence_view(silence, call.now) if wanted else None

    return await stream(call.request, in_slices(silences_since(call), view, call.daemon.clock))


async def silences_since(call: AlertmanagerCall) -> AsyncIterator[list[Silence]]:
    """Silences that have not ended, or did within RETENTION, in the order they end. Yields slices, each read when it is
    reached.
    """
    last = Stand(Instant(call.now - RETENTION), "")
    while found := list(await call.daemon.silences.ending(AT_ONCE, last)):
        yield found
        last = Stand(found[-1].ends_at, found[-1].id)


def fits(silence: Silence, filters: Sequence[Matcher]) -> bool:
    values = {matcher.name: matcher.value for matcher in map(written, silence.matchers)} if filters else {}
    return all(matcher.accepts(values.get(matcher.name, "")) for matcher in filters)


async def show_silence(call: AlertmanagerCall) -> web.StreamResponse:
    return answer(silence_view(await silence_of(call, call.request.match_info["id"]), call.now))


async def silence_of(call: AlertmanagerCall, wanted: str) -> Silence:
    for id in dict.fromkeys((wanted, wanted.replace("-", ""))) if storable(wanted) else ():
        found = await call.daemon.silences.find(id)
        if found is not None:
            return found
    raise HttpProblem(404, f"silence {wanted[:80]} not found")


async def post_silence(call: AlertmanagerCall) -> web.StreamResponse:
    """A new silence, or a change of the one whose id is given: under its id or a new one, as with Alertmanager."""
    body = await posted(call)
    actor = actor_of(call)
    starts, ends = instant(body.startsAt, "startsAt"), instant(body.endsAt, "endsAt")
    if ends <= call.now:
        raise HttpProblem(400, "invalid silence: end time can't be in the past")
    if ends <= starts:
        raise HttpProblem(400, "invalid silence: start time must be before end time")
    id = (await silence_of(call, body.id)).id if body.id else None
    starts = starts if id is not None else max(starts, call.now)
    made = await call.daemon.silences.add(
        tuple(text_of(matcher) for matcher in body.matchers),
        starts,
        ends,
        author(body.createdBy, actor),
        body.comment,
        id,
    )
    log.info("silenced", silence=made.id, by=str(actor), via="alertmanager api")
    return answer({"silenceID": made.id})


async def posted(call: AlertmanagerCall) -> PostedSilence:
    raw = await read_body(call.request, call.daemon.clock, MAX_ASKED)
    try:
        return PostedSilence.model_validate(read_json(raw))
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise HttpProblem(400, f"{where or 'body'}: {first['msg']}") from None


def instant(text: str, name: str) -> Instant:
    try:
        return bodies.moment(text)
    except ValueError:
        raise HttpProblem(400, f"{name}: {text[:40]!r} is not an RFC 3339 time with its offset") from None


def actor_of(call: AlertmanagerCall) -> Actor:
    user = call.token.user
    if user is None or user not in call.daemon.live.settings.users:
        raise HttpProblem(403, WITHOUT_USER)
    return Actor("user", user)


def author(named: str, actor: Actor) -> str:
    """The author a silence is kept under: whom the client names, and the token's owner where that is somebody else."""
    return named if not named or named == actor.name or named.endswith(f"({actor.name})") else f"{named} ({actor.name})"


async def expire_silence(call: AlertmanagerCall) -> web.StreamResponse:
    actor = actor_of(call)
    await call.daemon.silences.expire((await silence_of(call, call.request.match_info["id"])).id, actor)
    return web.Response(status=200, headers=BASE_HEADERS)


def silence_view(silence: Silence, now: Instant) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": state_of(silence, now)},
        "updatedAt": milliseconds(silence.created_at),
        "matchers": [matcher_view(written(text)) for text in silence.matchers],
        "startsAt": milliseconds(silence.starts_at),
        "endsAt": milliseconds(silence.ends_at),
        "createdBy": silence.author,
        "comment": silence.comment,
        "annotations": {},
    }


def state_of(silence: Silence, now: Instant) -> str:
    return "pending" if now < silence.starts_at else "active" if now < silence.ends_at else "expired"


def matcher_view(matcher: Written) -> dict[str, Any]:
    equal = matcher.op in ("=", "=~")
    return {"name": matcher.name, "value": matcher.value, "isRegex": matcher.is_pattern, "isEqual": equal}


def text_of(shape: MatcherShape) -> str:
    """A matcher as one writes it: what `parse` reads back."""
    op = ("=~" if shape.isEqual else "!~") if shape.isRegex else ("=" if shape.isEqual else "!=")
    return f"{quoted(shape.name, bare=True)}{op}{quoted(shape.value)}"


def quoted(text: str, *, bare: bool = False) -> str:
    if bare and text.replace("_", "a").replace(".", "a").isalnum():
        return text
    escaped = text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'


def milliseconds(at: Instant) -> str:
    """RFC 3339 with its milliseconds, always: strict clients want them."""
    text = rfc3339(at)
    return text if "." in text else text.replace("Z", ".000Z")


# ------------------------------------------------------------------------------------ what fires


async def list_alerts(call: AlertmanagerCall) -> web.StreamResponse:
    """List the firing alerts that the filters select, newest first."""
    view = await viewer(call)
    return await stream(call.request, in_slices(firing(call), view, call.daemon.clock))


async def list_groups(call: AlertmanagerCall) -> web.StreamResponse:
    """List the firing alerts that the filters select, grouped by their incident."""
    view = await viewer(call)
    return await stream(call.request, grouped(firing_by_incident(call), view, call.daemon.clock))


async def viewer(call: AlertmanagerCall) -> Callable[[StoredAlert], dict[str, Any] | None]:
    """A function that gives the JSON of an alert, or None for an alert this request did not ask for."""
    filters, receives = await call.filters(), call.receives()
    mutes = await call.daemon.silences.mutes()
    active, silenced, inhibited = call.flag("active"), call.flag("silenced"), call.flag("inhibited")

    def view(alert: StoredAlert) -> dict[str, Any] | None:
        labels = labels_of(alert)
        if not receives or not all(matcher.accepts(labels.get(matcher.name, "")) for matcher in filters):
            return None
        shown = alert_view(alert, labels, mutes, call.now)
        status = shown["status"]
        if not active and status["state"] == "active":
            return None
        if (not silenced and status["silencedBy"]) or (not inhibited and status["inhibitedBy"]):
            return None
        return shown

    return view


async def firing(call: AlertmanagerCall) -> AsyncIterator[list[StoredAlert]]:
    """Yield every alert that fires, newest first, slice by slice."""
    before: int | None = None
    while found := await call.daemon.store.alerts(integration=None, status="firing", limit=AT_ONCE, before=before):
        yield found
        before = found[-1].id


async def firing_by_incident(call: AlertmanagerCall) -> AsyncIterator[list[StoredAlert]]:
    """Yield every alert that fires, those of an incident behind each other; the newest incidents first."""
    store, below = call.daemon.store, None
    while incidents := await store.incidents(IncidentFilter(tuple(sorted(OPEN))), INCIDENTS_AT_ONCE, below):
        numbers, after = [incident.number for incident in incidents], (0, 0)
        while found := await store.firing_in(numbers, after, AT_ONCE):
            yield found
            if len(found) < AT_ONCE:
                break
            after = (found[-1].incident or 0, found[-1].id)
        below = numbers[-1]


async def grouped(
    values: AsyncIterator[list[StoredAlert]], view: Callable[[StoredAlert], object], clock: Clock
) -> AsyncIterator[bytes]:
    """The alerts as JSON, those of an incident inside one group."""
    current: int | None = None  # the incident whose group is open
    async for some in values:
        made = bytearray()
        began = clock.monotonic()
        for alert in some:
            shown = view(alert)
            if shown is not None:
                if alert.incident == current:
                    made += b","
                else:
                    made += (b"" if current is None else b"]},") + group_head(alert)
                    current = alert.incident
                made += orjson.dumps(shown)
            if clock.monotonic() - began > LOOP_TIME:
                yield bytes(made)
                await clock.turn()
                made, began = bytearray(), clock.monotonic()
        yield bytes(made)
    if current is not None:
        yield b"]}"


def group_head(alert: StoredAlert) -> bytes:
    head = orjson.dumps({"labels": {"incident": str(alert.incident)}, "receiver": {"name": RECEIVER}})
    return head[:-1] + b',"alerts":['


def labels_of(alert: StoredAlert) -> dict[str, str]:
    labels = {"alertname": alert.title, "severity": alert.severity, **dict(alert.labels)}
    if alert.service:
        labels.setdefault("service", alert.service)
    return labels


def alert_view(alert: StoredAlert, labels: Mapping[str, str], mutes: Mutes, now: Instant) -> dict[str, Any]:
    values = stored_values(alert)
    silences = [silence.id for silence in mutes.hitting(values, now)]
    window = mutes.windows.over(values, now)
    kind, _, by = (alert.muted_by or "").partition(":")
    inhibited = [by] if kind in ("inhibition", "parent") else []
    return {
        "labels": labels,
        "annotations": {"summary": alert.title, "description": alert.description},
        "startsAt": milliseconds(alert.started_at),
        "endsAt": milliseconds(alert.expires_at or Instant(now + 5 * MINUTE)),
        "updatedAt": milliseconds(alert.last_seen_at),
        "generatorURL": next((link.href for link in alert.links), ""),
        "fingerprint": fingerprint(labels),
        "receivers": [{"name": RECEIVER}],
        "status": {
            "state": "suppressed" if silences or inhibited or window else "active",
            "silencedBy": silences,
            "inhibitedBy": inhibited,
            "mutedBy": [window.name] if window else [],
        },
    }


def fingerprint(labels: Mapping[str, str]) -> str:
    """64-bit FNV-1a over the labels in order of name, each name and value ended by 0xFF; 16 hex digits."""
    digest = 0xCBF29CE484222325
    for part in (part for pair in sorted(labels.items()) for part in pair):
        for byte in part.encode("utf-8", "replace") + b"\xff":
            digest = (digest ^ byte) * 0x100000001B3 & 0xFFFFFFFFFFFFFFFF
    return f"{digest:016x}"


# ---------------------------------------------------------------------------------------- the rest


async def show_status(call: AlertmanagerCall) -> web.StreamResponse:
    return answer(
        {
            "cluster": {"status": "disabled", "peers": []},
            "config": {"original": ORIGINAL},
            "uptime": milliseconds(call.since),
            "versionInfo": {
                "version": "0.34.0", "revision": __version__, "branch": "tocsin", "buildUser": "tocsin",
                "buildDate": "", "goVersion": "",
            },
        }
    )  # fmt: skip


async def list_receivers(call: AlertmanagerCall) -> web.StreamResponse:
    return answer([{"name": RECEIVER}])


def answer(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), headers=JSON_HEADERS)
