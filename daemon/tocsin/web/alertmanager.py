"""The Alertmanager API v2 for amtool, Karma and Grafana: silences, what fires, status; in its shapes and its errors.

Calls take API tokens, as a bearer or as the password of basic authentication, which is all that amtool has. A browser
adds such a password to a form of anybody's page: so what changes something must be JSON, which no form can send.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import wraps
from typing import Any, Literal

import orjson
from aiohttp import hdrs, web
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from tocsin import __version__
from tocsin.decide.matchers import Matcher, parse
from tocsin.decide.muting import Mutes, stored_values
from tocsin.errors import BadBody, Refused, StoreUnavailable
from tocsin.model import MINUTE, Actor, Instant, Role, Silence, StoredAlert, Token, rfc3339
from tocsin.web import models
from tocsin.web.api import RANK, WITHOUT_USER
from tocsin.web.daemon import Daemon
from tocsin.web.limits import read_body
from tocsin.web.problems import BASE_HEADERS, JSON_HEADERS, Handler, Problem, as_problem, log, log_refusal
from tocsin.web.webhooks import credential

MOST_ALERTS = 10_000
RECEIVER = "tocsin"
ORIGINAL = "# served by tocsin\nroute:\n  receiver: tocsin\nreceivers:\n  - name: tocsin\n"
Facts = Callable[["Call"], Awaitable[web.StreamResponse]]


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


class Call:
    """One authenticated request."""

    def __init__(self, daemon: Daemon, request: web.Request, token: Token, since: Instant) -> None:
        self.daemon, self.request, self.token, self.since = daemon, request, token, since
        self.now = daemon.clock.now()

    def flag(self, name: str) -> bool:
        """A query parameter that is true unless it says false."""
        return self.request.query.get(name, "true") != "false"

    def filters(self) -> tuple[Matcher, ...]:
        try:
            return tuple(parse(text) for text in self.request.query.getall("filter", []))
        except ValueError as wrong:
            raise Problem(400, f"bad matcher format: {wrong}") from None


def door(daemon: Daemon, role: Role, act: Facts) -> Handler:
    """The call behind its guard; errors are JSON strings, as the vendor's."""
    since = daemon.clock.now()

    @wraps(act)
    async def handler(request: web.Request) -> web.StreamResponse:
        try:
            return await act(Call(daemon, request, await signed_in(daemon, request, role), since))
        except (Problem, BadBody, Refused, StoreUnavailable) as error:
            problem = as_problem(error)
            log_refusal(request, problem)
            headers = {**JSON_HEADERS, **problem.headers}
            return web.Response(status=problem.status, body=orjson.dumps(said(problem)), headers=headers)

    return handler


def said(problem: Problem) -> str:
    details = [f"{one.pointer}: {one.detail}" for one in problem.errors]
    return "; ".join(details or [problem.detail]).encode("utf-8", "replace").decode()


async def signed_in(daemon: Daemon, request: web.Request, role: Role) -> Token:
    given = credential(request)
    token = await daemon.access.check(given) if given else None
    if token is None:
        raise Problem(401, "send an API token, as a bearer or as the password of basic authentication",
                      headers={"WWW-Authenticate": 'Basic realm="tocsin"'})  # fmt: skip
    if RANK[token.role] < RANK[role]:
        raise Problem(403, f"this token has the role {token.role}; this needs {role}")
    if request.method == hdrs.METH_POST and request.content_type != "application/json":
        raise Problem(415, "send JSON: Content-Type: application/json")
    return token


def add_doors(add: Callable[[str, str, Handler], None], daemon: Daemon) -> None:
    """Each path with and without a slash at its end."""
    doors: tuple[tuple[Literal["GET", "POST", "DELETE"], str, Role, Facts], ...] = (
        ("GET", "/silences", "viewer", list_silences),
        ("POST", "/silences", "responder", post_silence),
        ("GET", "/silence/{id}", "viewer", show_silence),
        ("DELETE", "/silence/{id}", "responder", expire_silence),
        ("GET", "/alerts", "viewer", list_alerts),
        ("GET", "/alerts/groups", "viewer", list_groups),
        ("GET", "/status", "viewer", show_status),
        ("GET", "/receivers", "viewer", list_receivers),
    )
    for method, path, role, act in doors:
        handler = door(daemon, role, act)
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


async def list_silences(call: Call) -> web.StreamResponse:
    filters = call.filters()
    silences = call.daemon.silences
    found = {one.id: one for one in [*await silences.list(False), *await silences.list(True)]}
    shown = [one for one in found.values() if call.flag(state_of(one, call.now)) and fits(one, filters)]
    return answer([silence_view(one, call.now) for one in sorted(shown, key=lambda one: (one.ends_at, one.id))])


def fits(silence: Silence, filters: Sequence[Matcher]) -> bool:
    values = {matcher.name: matcher.value for matcher in map(parse, silence.matchers)}
    return all(matcher.accepts(values.get(matcher.name, "")) for matcher in filters)


async def show_silence(call: Call) -> web.StreamResponse:
    return answer(silence_view(await silence_of(call), call.now))


async def silence_of(call: Call) -> Silence:
    wanted = call.request.match_info["id"]
    silences = call.daemon.silences
    for one in [*await silences.list(True), *await silences.list(False)]:
        if one.id in (wanted, wanted.replace("-", "")):
            return one
    raise Problem(404, f"silence {wanted[:80]} not found")


async def post_silence(call: Call) -> web.StreamResponse:
    """A new silence, or another version of the one whose id is given."""
    body = await posted(call)
    actor = actor_of(call)
    starts, ends = max(instant(body.startsAt, "startsAt"), call.now), instant(body.endsAt, "endsAt")
    if ends <= call.now:
        raise Problem(400, "invalid silence: end time can't be in the past")
    if ends <= starts:
        raise Problem(400, "invalid silence: start time must be before end time")
    id = body.id or None
    made = await call.daemon.silences.add(
        tuple(text_of(one) for one in body.matchers), starts, ends, author(body.createdBy, actor), body.comment, id
    )
    log.info("silenced", silence=made.id, by=str(actor), via="alertmanager api")
    return answer({"silenceID": made.id})


async def posted(call: Call) -> PostedSilence:
    raw = await read_body(call.request, call.daemon.clock)
    try:
        return PostedSilence.model_validate_json(raw)
    except ValidationError as wrong:
        first = wrong.errors(include_url=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Problem(400, f"{where or 'body'}: {first['msg']}") from None


def instant(text: str, name: str) -> Instant:
    try:
        return models.moment(text)
    except ValueError:
        raise Problem(400, f"{name}: {text[:40]!r} is not an RFC 3339 time with its offset") from None


def actor_of(call: Call) -> Actor:
    user = call.token.user
    if user is None or user not in call.daemon.live.settings.users:
        raise Problem(403, WITHOUT_USER)
    return Actor("user", user)


def author(named: str, actor: Actor) -> str:
    """Who the client says made it, and whose token it was where that is somebody else."""
    return named if not named or named == actor.name or named.endswith(f"({actor.name})") else f"{named} ({actor.name})"


async def expire_silence(call: Call) -> web.StreamResponse:
    actor = actor_of(call)
    await call.daemon.silences.expire((await silence_of(call)).id, actor)
    return web.Response(status=200, headers=BASE_HEADERS)


def silence_view(silence: Silence, now: Instant) -> dict[str, Any]:
    return {
        "id": silence.id,
        "status": {"state": state_of(silence, now)},
        "updatedAt": milliseconds(silence.created_at),
        "matchers": [matcher_view(parse(text)) for text in silence.matchers],
        "startsAt": milliseconds(silence.starts_at),
        "endsAt": milliseconds(silence.ends_at),
        "createdBy": silence.author,
        "comment": silence.comment,
        "annotations": {},
    }


def state_of(silence: Silence, now: Instant) -> str:
    return "pending" if now < silence.starts_at else "active" if now < silence.ends_at else "expired"


def matcher_view(matcher: Matcher) -> dict[str, Any]:
    equal, pattern = matcher.op in ("=", "=~"), matcher.op in ("=~", "!~")
    return {"name": matcher.name, "value": matcher.value, "isRegex": pattern, "isEqual": equal}


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


async def list_alerts(call: Call) -> web.StreamResponse:
    return answer([view for view, _ in await firing(call)])


async def list_groups(call: Call) -> web.StreamResponse:
    """By the incident they are in."""
    groups: dict[Any, list[Mapping[str, Any]]] = {}
    for view, alert in await firing(call):
        groups.setdefault(alert.incident or f"{alert.id}", []).append(view)
    return answer(
        [{"labels": {"incident": str(key)}, "receiver": {"name": RECEIVER}, "alerts": views}
         for key, views in groups.items()]
    )  # fmt: skip


async def firing(call: Call) -> list[tuple[dict[str, Any], StoredAlert]]:
    filters = call.filters()
    mutes = Mutes(call.daemon.live.settings)
    mutes.replace(await call.daemon.silences.list(True))
    found = await call.daemon.store.alerts(integration=None, status="firing", limit=MOST_ALERTS, before=None)
    shown = []
    for alert in found:
        view = alert_view(alert, mutes, call.now)
        status, labels = view["status"], view["labels"]
        if (not call.flag("active") and status["state"] == "active") or (
            not call.flag("silenced") and status["silencedBy"]
        ):
            continue
        if not call.flag("inhibited") and status["inhibitedBy"]:
            continue
        if all(matcher.accepts(labels.get(matcher.name, "")) for matcher in filters):
            shown.append((view, alert))
    return shown


def alert_view(alert: StoredAlert, mutes: Mutes, now: Instant) -> dict[str, Any]:
    labels = {"alertname": alert.title, "severity": alert.severity, **dict(alert.labels)}
    if alert.service:
        labels.setdefault("service", alert.service)
    silences = [one.id for one in mutes.hitting(stored_values(alert), now)]
    window = mutes.windows.over(stored_values(alert), now)
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


async def show_status(call: Call) -> web.StreamResponse:
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


async def list_receivers(call: Call) -> web.StreamResponse:
    return answer([{"name": RECEIVER}])


def answer(document: object) -> web.Response:
    return web.Response(body=orjson.dumps(document), headers=JSON_HEADERS)
