"""The API: every endpoint in one table, which routes it, guards it by role and documents it."""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Literal, ParamSpec, TypeVar, cast
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import BaseModel, ValidationError

from tocsin.contracts import IncidentFilter, Place, Stand
from tocsin.decide import views
from tocsin.decide.incidents import reasons
from tocsin.decide.oncall import resolver
from tocsin.decide.oncall.time_parsing import moment_of
from tocsin.model import (
    DAY,
    OPEN,
    Actor,
    Entry,
    Incident,
    Instant,
    MadeOverride,
    Millis,
    Override,
    Policy,
    Rejected,
    Role,
    Schedule,
    Service,
    Settings,
    Silence,
    Step,
    StoredAlert,
    Swap,
    Token,
    rfc3339,
)
from tocsin.settings.document.scalars import did_you_mean, duration, spell, target
from tocsin.web.api import bodies
from tocsin.web.daemon import Daemon
from tocsin.web.ingest.webhooks import api_credential
from tocsin.web.limits import MAX_ASKED, read_body, read_json
from tocsin.web.problem_json import Handler, Problem, guarded, json_answer
from tocsin.web.turns import TURNS
from tocsin.work.incidents.actions import Actions, Done

_PLACE = re.compile(r"(P[1-5])\.([01])\.([1-9][0-9]{0,17})", re.ASCII)  # of an incident in a list by urgency
_STAND = re.compile(r"([0-9]{1,18})\.([0-9A-Za-z_-]{1,64})", re.ASCII)  # of what was made, in a list of its kind
RANK: Mapping[Role, int] = {"viewer": 0, "responder": 1, "admin": 2}
SORTS = ("newest", "priority")
STATUSES = ("triggered", "acknowledged", "on_hold", "resolved", "closed", "canceled")
ALERT_STATUSES = ("firing", "resolved", "dropped", "suppressed", "heartbeat", "waiting")
LIMIT, MOST = 50, 200
TIMELINE_MOST = 1000
SHIFTS_AHEAD = Millis(30 * DAY)
SHIFTS_MOST = Millis(2 * 366 * DAY)
WITHOUT_USER = "this token belongs to no user: create it with --user"

M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
T = TypeVar("T")
L = TypeVar("L", Silence, MadeOverride, Swap)


@dataclass(frozen=True, slots=True)
class Ask:
    """An authenticated request to the API, its body read and checked."""

    daemon: Daemon
    request: web.Request
    token: Token
    body: BaseModel | None

    @property
    def settings(self) -> Settings:
        return self.daemon.live.settings

    @property
    def now(self) -> Instant:
        return self.daemon.clock.now()

    @property
    def number(self) -> int:
        return int(self.request.match_info["number"])

    def param(self, name: str) -> str | None:
        """A query parameter; None when absent or empty. Raises Problem 400 for text no database takes."""
        value = self.request.query.get(name)
        if value and not storable(value):
            raise bad_value(name, "holds characters that no text has")
        return value or None

    async def apart(self, work: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
        """Run `work` in a thread, in this asker's turn. It must touch nothing that changes."""
        return await self.request.app[TURNS].apart(work, *args, **kwargs)

    def read(self, model: type[M]) -> M:
        """The body, which was validated against this model before."""
        return cast(M, self.body)


Act = Callable[[Ask], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter, as documented. `schema`: JSON Schema of its value; text where absent."""

    name: str
    help: str
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT_VALUE)


TEXT_VALUE: Mapping[str, Any] = {"type": "string", "pattern": "^[^\\u0000]*$"}
FLAG: Mapping[str, Any] = {"type": "boolean"}
INSTANT: Mapping[str, Any] = {"type": "string", "format": "date-time"}
MOMENT: Mapping[str, Any] = {
    "type": "string", "maxLength": 40, "examples": ["2026-01-05T09:00:00Z", "2026-01-05 09:00"],
}  # fmt: skip
CURSOR: Mapping[str, Any] = {"type": "string", "pattern": "^[0-9]{1,18}$"}


def one_of(*words: str) -> Mapping[str, Any]:
    return {"type": "string", "enum": list(words)}


def whole_number(default: int, most: int) -> Mapping[str, Any]:
    return {"type": "integer", "minimum": 1, "maximum": most, "default": default}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path and method of the API: the role it needs, what it reads and what it answers."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    role: Role
    act: Act
    summary: str
    tag: str
    answers: type[BaseModel]
    body: type[BaseModel] | None = None
    params: tuple[Param, ...] = ()
    status: int = 200


def handler_of(daemon: Daemon, endpoint: Endpoint) -> Handler:
    """The endpoint behind its guard: token, role, parameters, body, in this order."""
    known = tuple(one.name for one in endpoint.params)

    @guarded
    async def handler(request: web.Request) -> web.StreamResponse:
        token = await signed_in(daemon, request, endpoint.role)
        refuse_unknown(request, known)
        if endpoint.method == "GET":
            with request.app[TURNS].admit(token.id):
                return await endpoint.act(Ask(daemon, request, token, None))
        body = None if endpoint.body is None else await read_as(daemon, request, token, endpoint.body)
        return await endpoint.act(Ask(daemon, request, token, body))

    return handler


def refuse_unknown(request: web.Request, known: Sequence[str]) -> None:
    """Raises Problem 400 for a query parameter that this path does not have: it would be left out without a word."""
    for name in request.query:
        if name not in known and name != "token":
            takes = f"this takes {', '.join(known)}" if known else "this takes none"
            raise bad_value(name[:40], f"there is no such parameter{did_you_mean(name[:40], known)}; {takes}")


async def signed_in(daemon: Daemon, request: web.Request, role: Role) -> Token:
    """The token of the request. Raises Problem: 401 no or a wrong one, 403 when its role is too small."""
    given = api_credential(request)
    token = await daemon.access.check(given) if given else None
    if token is None:
        raise Problem(
            401,
            "send an API token: `Authorization: Bearer …`; `tocsin token create` makes one",
            headers={"WWW-Authenticate": 'Bearer realm="tocsin"'},
        )
    if RANK[token.role] < RANK[role]:
        raise Problem(403, f"this token has the role {token.role}; this needs {role}")
    return token


async def read_as(daemon: Daemon, request: web.Request, token: Token, model: type[BaseModel]) -> BaseModel:
    """The JSON body as `model`. Raises Problem 422 with a pointer to each mistake."""
    document = read_json(await read_body(request, daemon.clock, MAX_ASKED, f"token:{token.id}"))
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise Problem(422, "the body is not what this expects", errors=bodies.culprits(error)) from None


def actor_of(ask: Ask, named: str | None, pointer: str = "/user") -> Actor:
    """The person this request acts as: the token's user, or, for an admin's token, the one the body names."""
    token = ask.token
    if named is None or named == token.user:
        return Actor("user", own_user(ask))
    if token.role != "admin":
        raise Problem(403, "only an admin's token may act in another person's name")
    if named not in ask.settings.users:
        raise unknown_user(ask.settings, named, pointer)
    return Actor("user", named)


def own_user(ask: Ask) -> str:
    user = ask.token.user
    if user is None:
        raise Problem(403, WITHOUT_USER)
    if user not in ask.settings.users:
        raise Problem(403, f"this token belongs to {user!r}, who is not in the configuration any more")
    return user


def unknown_user(settings: Settings, named: str, pointer: str) -> Problem:
    detail = f"no such user {named!r}{did_you_mean(named, settings.users)}"
    return Problem(422, detail, errors=(Rejected(pointer, detail),))


# -------------------------------------------------------------------------------------- incidents


async def list_incidents(ask: Ask) -> web.Response:
    where = IncidentFilter(statuses(ask), ask.param("service"), ask.param("q"))
    limit = whole(ask, "limit", LIMIT, MOST)
    if sorted_by(ask) == "priority":
        return await list_urgent(ask, where, limit)
    found = await ask.daemon.store.incidents(where, limit + 1, cursor(ask))
    return json_answer(
        {
            "incidents": [views.incident_view(incident, ask.settings) for incident in found[:limit]],
            "next": str(found[limit - 1].number) if len(found) > limit else None,
        }
    )


async def list_urgent(ask: Ask, where: IncidentFilter, limit: int) -> web.Response:
    """The most urgent first, so that an old P1 stands above any number of newer P4s."""
    if not OPEN.issuperset(where.status):
        raise bad_value("sort", "priority lists open incidents only; leave out the other statuses, or the sort")
    where = replace(where, status=where.status or tuple(sorted(OPEN)))
    found = await ask.daemon.store.urgent_incidents(where, limit + 1, place(ask))
    last = found[limit - 1] if len(found) > limit else None
    return json_answer(
        {
            "incidents": [views.incident_view(incident, ask.settings) for incident in found[:limit]],
            "next": None if last is None else f"{last.priority}.{int(last.status != 'triggered')}.{last.number}",
        }
    )


def sorted_by(ask: Ask) -> str:
    text = ask.param("sort") or SORTS[0]
    if text not in SORTS:
        raise bad_value("sort", f"{text[:40]!r} is none of {', '.join(SORTS)}")
    return text


def place(ask: Ask) -> Place | None:
    """The cursor of a list by urgency."""
    text = ask.param("cursor")
    if text is None:
        return None
    found = _PLACE.fullmatch(text)
    if found is None:
        raise bad_value("cursor", "is not one that an answer's `next` gave")
    return Place(found[1], found[2] == "1", int(found[3]))


def statuses(ask: Ask) -> tuple[str, ...]:
    """`status=open` or names separated by commas; () is every status."""
    wanted: list[str] = []
    for word in (ask.param("status") or "").split(","):
        match word.strip():
            case "":
                continue
            case "open":
                wanted += sorted(OPEN)
            case name if name in STATUSES:
                wanted.append(name)
            case name:
                known = ("open", *STATUSES)
                close = did_you_mean(name[:40], known)
                raise bad_value("status", f"no status {name[:40]!r}{close}; one of {', '.join(known)}")
    return tuple(dict.fromkeys(wanted))


async def show_timeline(ask: Ask) -> web.Response:
    incident = await ask.daemon.store.incident(ask.number)
    if incident is None:
        raise no_incident(ask.number)
    limit, after = whole(ask, "limit", TIMELINE_MOST, TIMELINE_MOST), cursor(ask)
    found = await ask.daemon.store.timeline(ask.number, limit + 1, after)
    whole_ = sees_all(ask)
    more = str(found[limit - 1].id) if len(found) > limit else None

    def made() -> web.Response:
        entries = [views.entry_view(entry, whole=whole_) for entry in told(incident, found[:limit], after)]
        return json_answer({"entries": entries, "next": more})

    return await ask.apart(made)


def told(incident: Incident, entries: list[Entry], after: int | None) -> list[Entry]:
    """The timeline from its start: an opening by an alert is kept in the incident, not as an entry, and is
    added here.
    """
    if after is not None or any(entry.kind == "opened" for entry in entries):
        return entries
    return [views.opening(incident), *entries]


async def show_pages(ask: Ask) -> web.Response:
    await must_exist(ask)
    limit, after = whole(ask, "limit", TIMELINE_MOST, TIMELINE_MOST), cursor(ask) or 0
    found = await ask.daemon.store.pages(ask.number, limit + 1, after)
    several = await ask.daemon.store.summaries(ask.number) if found else set()
    whole_ = sees_all(ask)
    more = str(after + limit) if len(found) > limit else None

    def made() -> web.Response:
        part = found[:limit]
        shown = [views.page_view(page, attempts, whole=whole_, several=several) for page, attempts in part]
        return json_answer({"pages": shown, "next": more})

    return await ask.apart(made)


async def part_of(ask: Ask, read: Callable[[int, Stand | None], Awaitable[list[L]]]) -> tuple[list[L], str | None]:
    """The part of a list that is asked for, and the cursor of the one behind it; one value is read beyond it."""
    limit = whole(ask, "limit", TIMELINE_MOST, TIMELINE_MOST)
    found = await read(limit + 1, stand(ask))
    last = found[limit - 1] if len(found) > limit else None
    return found[:limit], None if last is None else f"{last.created_at}.{last.id}"


def stand(ask: Ask) -> Stand | None:
    """The cursor of a list by when things were made."""
    text = ask.param("cursor")
    if text is None:
        return None
    found = _STAND.fullmatch(text)
    if found is None:
        raise bad_value("cursor", "is not one that an answer's `next` gave")
    return Stand(Instant(int(found[1])), found[2])


def sees_all(ask: Ask) -> bool:
    """Whether to show what a provider's callback is known by, and addresses: to nobody who may only look."""
    return ask.token.role != "viewer"


async def show_alerts(ask: Ask) -> web.Response:
    await must_exist(ask)
    limit = whole(ask, "limit", LIMIT, MOST)
    found = await ask.daemon.store.incident_alerts(ask.number, limit + 1, cursor(ask))
    return json_answer(
        {
            "alerts": [alert_json(ask, alert) for alert in found[:limit]],
            "next": str(found[limit - 1].id) if len(found) > limit else None,
        }
    )


def alert_json(ask: Ask, alert: StoredAlert) -> dict[str, Any]:
    """The alert with the repeats that are not written yet, and why it is where it is."""
    found = ask.daemon.intake.up_to_date(alert)
    return {**views.alert_view(found), "because": reasons.because(found, ask.settings.rules)}


async def list_alerts(ask: Ask) -> web.Response:
    status = ask.param("status")
    if status is not None and status not in ALERT_STATUSES:
        raise bad_value("status", f"no status {status[:40]!r}; one of {', '.join(ALERT_STATUSES)}")
    limit = whole(ask, "limit", LIMIT, MOST)
    found = await ask.daemon.store.alerts(
        integration=ask.param("integration"), status=status, limit=limit + 1, before=cursor(ask)
    )
    return json_answer(
        {
            "alerts": [alert_json(ask, alert) for alert in found[:limit]],
            "next": str(found[limit - 1].id) if len(found) > limit else None,
        }
    )


async def must_exist(ask: Ask) -> None:
    if await ask.daemon.store.incident(ask.number) is None:
        raise no_incident(ask.number)


def no_incident(number: int) -> Problem:
    return Problem(404, f"there is no incident {number}")


# ---------------------------------------------------------------------------------------- actions

Verb = Literal["acknowledge", "unacknowledge", "resolve", "escalate", "cancel", "close"]


def plain(verb: Verb) -> Act:
    """An action that needs nobody's word but the actor's."""

    async def act(ask: Ask) -> web.Response:
        actor = actor_of(ask, ask.read(bodies.Act).user)
        evidence = f"token {ask.token.name}"
        return acted(ask, await deed(ask.daemon.actions, verb)(ask.number, actor, "api", evidence))

    return act


def deed(actions: Actions, verb: Verb) -> Callable[[int, Actor, str, str], Awaitable[Done]]:
    match verb:
        case "acknowledge":
            return actions.acknowledge
        case "unacknowledge":
            return actions.unacknowledge
        case "resolve":
            return actions.resolve
        case "escalate":
            return actions.escalate
        case "cancel":
            return actions.cancel
        case "close":
            return actions.close


def acted(ask: Ask, done: Done, status: int = 200, besides: str = "") -> web.Response:
    view = views.incident_view(done.incident, ask.settings)
    return json_answer({**view, "changed": done.changed, "said": done.said + besides}, status)


async def snooze(ask: Ask) -> web.Response:
    body = ask.read(bodies.Snooze)
    until = end_of(ask, ask.now, body.until, body.for_, "/until")
    return acted(ask, await ask.daemon.actions.snooze(ask.number, until, actor_of(ask, body.user), "api"))


async def add_note(ask: Ask) -> web.Response:
    body = ask.read(bodies.Note)
    return acted(ask, await ask.daemon.actions.note(ask.number, body.text, actor_of(ask, body.user), "api"))


async def page_somebody(ask: Ask) -> web.Response:
    body = ask.read(bodies.PageSomebody)
    actor = actor_of(ask, body.by, "/by")
    whom = body.target if body.target is not None else f"user:{body.user}"
    must_be_target(ask.settings, whom, "/target" if body.target is not None else "/user")
    return acted(ask, await ask.daemon.actions.page(ask.number, whom, actor, "api"))


def must_be_target(settings: Settings, whom: str, pointer: str) -> None:
    """Raises Problem 422 unless `whom` names somebody or something of the configuration."""
    try:
        found = target(whom)
    except ValueError as error:
        raise Problem(422, str(error), errors=(Rejected(pointer, str(error)),)) from None
    known: Mapping[str, Any] = {
        "user": settings.users,
        "schedule": settings.schedules,
        "team": settings.teams,
        "managers": settings.teams,
        "channel": settings.channels,
    }[found.kind]
    if found.name not in known:
        detail = f"no such {found.kind} {found.name!r}{did_you_mean(found.name, known)}"
        raise Problem(422, detail, errors=(Rejected(pointer, detail),))


async def trigger(ask: Ask) -> web.Response:
    body = ask.read(bodies.Trigger)
    actor = actor_of(ask, body.user)
    if body.policy is not None and body.policy not in ask.settings.policies:
        detail = f"no such policy {body.policy!r}{did_you_mean(body.policy, ask.settings.policies)}"
        raise Problem(422, detail, errors=(Rejected("/policy", detail),))
    done = await ask.daemon.actions.trigger(
        body.title,
        actor,
        "api",
        service=body.service or "",
        severity=body.severity,
        description=body.description or "",
        policy=body.policy,
    )
    return acted(ask, done, 201, unknown_service(ask.settings, body.service))


def unknown_service(settings: Settings, named: str | None) -> str:
    """A hint where `named` is no service but nearly one (it pages, though perhaps the wrong people); "" otherwise."""
    near = "" if named is None or named in settings.services else did_you_mean(named[:80], settings.services)
    return near and f" No service {named!r} is configured{near}."


# ------------------------------------------------------------------------------------ who and when


async def who_is_on_call(ask: Ask) -> web.Response:
    wanted = ask.param("schedule")
    if wanted is not None:
        schedules = [schedule_named(ask.settings, wanted)]
    else:
        schedules = list(ask.settings.schedules.values())
    times = [(schedule, time_of(ask, "at", schedule)) for schedule in schedules]
    extra = await ask.daemon.overrides.in_force(min((at for _, at in times), default=ask.now))

    def answer() -> web.Response:
        return json_answer({"schedules": [on_call_view(one, at, extra.get(one.name, ())) for one, at in times]})

    return await ask.apart(answer)


def on_call_view(schedule: Schedule, at: Instant, extra: Sequence[Override]) -> dict[str, Any]:
    """The JSON of a schedule at `at`: who is on call, until when, and who follows; times in the schedule's zone."""
    zone = ZoneInfo(schedule.timezone)
    now = resolver.on_call(schedule, at, extra)
    turns = resolver.shifts(schedule, at, Instant(at + SHIFTS_AHEAD), extra).shifts
    current = next((turn for turn in turns if turn.start <= at < turn.end), None)
    last = current is None or current.end >= at + SHIFTS_AHEAD
    return {
        "schedule": schedule.name,
        "at": rfc3339(at, zone),
        "users": list(now.users),
        "layer": now.layer,
        "because": now.because,
        "until": None if current is None or last else rfc3339(current.end, zone),
        "next": list(resolver.next_on_call(schedule, at, extra).users),
    }


async def show_shifts(ask: Ask) -> web.Response:
    schedule = schedule_named(ask.settings, ask.request.match_info["name"])
    start = time_of(ask, "from", schedule)
    end = time_of(ask, "to", schedule, Instant(start + SHIFTS_AHEAD))
    if not start < end <= start + SHIFTS_MOST:
        raise bad_value("to", "must be after `from`, and at most two years later")
    extra = await ask.daemon.overrides.in_force(start)
    return await ask.apart(shifts_answer, schedule, start, end, extra.get(schedule.name, ()))


def shifts_answer(schedule: Schedule, start: Instant, end: Instant, extra: Sequence[Override]) -> web.Response:
    """Two years of hourly shifts are seventeen thousand: to be made apart from the loop."""
    zone = ZoneInfo(schedule.timezone)
    found = resolver.shifts(schedule, start, end, extra)
    return json_answer(
        {
            "schedule": schedule.name,
            "shifts": [
                {
                    "start": rfc3339(shift.start, zone),
                    "end": rfc3339(shift.end, zone),
                    "users": list(shift.users),
                    "layer": shift.layer,
                }
                for shift in found.shifts
            ],
            "gaps": [{"start": rfc3339(gap.start, zone), "end": rfc3339(gap.end, zone)} for gap in found.gaps],
        }
    )


def schedule_named(settings: Settings, name: str) -> Schedule:
    found = settings.schedules.get(name)
    if found is None:
        raise Problem(404, f"no such schedule {name[:80]!r}{did_you_mean(name[:80], settings.schedules)}")
    return found


def time_of(ask: Ask, name: str, schedule: Schedule, default: Instant | None = None) -> Instant:
    """A time parameter: RFC 3339, or by the schedule's clock as `moment_of` reads it; now or `default` if absent."""
    text = ask.param(name)
    if text is None:
        return ask.now if default is None else default
    try:
        plus = re.match(r"\d{4}-\d\d-\d\dT", text) is not None  # a bare + in a query arrives as a space
        return moment_of(text.replace(" ", "+", 1) if plus else text, schedule.timezone, ask.now)
    except (ValueError, OverflowError) as wrong:
        raise bad_value(name, str(wrong)) from None


# --------------------------------------------------------------------------------------- silences


async def list_silences(ask: Ask) -> web.Response:
    match ask.param("active"):
        case None | "false":
            active = False
        case "true":
            active = True
        case other:
            raise bad_value("active", f"{other[:40]!r} is neither true nor false")
    some, more = await part_of(ask, partial(ask.daemon.silences.list, active))
    now = ask.now
    return await ask.apart(lambda: json_answer({"silences": [silence_view(one, now) for one in some], "next": more}))


async def show_silence(ask: Ask) -> web.Response:
    return json_answer(silence_view(await silence_of(ask), ask.now))


async def silence_of(ask: Ask) -> Silence:
    wanted = ask.request.match_info["id"]
    found = await ask.daemon.silences.find(wanted) if storable(wanted) else None
    if found is None:
        raise Problem(404, f"there is no silence {wanted[:80]!r}")
    return found


async def add_silence(ask: Ask) -> web.Response:
    body = ask.read(bodies.NewSilence)
    actor = actor_of(ask, body.user)
    starts = ask.now if body.starts_at is None else bodies.moment(body.starts_at)
    ends = end_of(ask, starts, body.ends_at, body.for_, "/ends_at")
    silence = await ask.daemon.silences.add(tuple(body.matchers), starts, ends, actor.name, body.comment)
    return json_answer(silence_view(silence, ask.now), 201, {"Location": f"/v1/silences/{silence.id}"})


async def expire_silence(ask: Ask) -> web.Response:
    actor = actor_of(ask, None)
    silence = await silence_of(ask)
    return json_answer(silence_view(await ask.daemon.silences.expire(silence.id, actor), ask.now))


def silence_view(silence: Silence, now: Instant) -> dict[str, Any]:
    state = "pending" if now < silence.starts_at else "active" if now < silence.ends_at else "expired"
    return {
        "id": silence.id,
        "matchers": list(silence.matchers),
        "starts_at": rfc3339(silence.starts_at),
        "ends_at": rfc3339(silence.ends_at),
        "author": silence.author,
        "comment": silence.comment,
        "created_at": rfc3339(silence.created_at),
        "state": state,
    }


def end_of(ask: Ask, start: Instant, end: str | None, length: str | None, pointer: str) -> Instant:
    """The end a body names, as a time or as a length from `start`. Raises Problem 422 when it is past."""
    found = bodies.moment(end) if end is not None else Instant(start + duration(length or ""))
    if found <= max(start, ask.now):
        detail = f"{rfc3339(found)} is not in the future" if found <= ask.now else "it ends before it starts"
        where = pointer if end is not None else "/for"
        raise Problem(422, detail, errors=(Rejected(where, detail),))
    return found


# ---------------------------------------------------------------------------------- configuration


async def list_services(ask: Ask) -> web.Response:
    services = ask.settings.services.values()
    return await ask.apart(lambda: json_answer({"services": [service_view(service) for service in services]}))


def service_view(service: Service) -> dict[str, Any]:
    return {
        "name": service.name,
        "owner": service.owner,
        "policy": service.policy,
        "impact": service.impact,
        "depends_on": list(service.depends_on),
        "runbook": service.runbook,
    }


async def list_policies(ask: Ask) -> web.Response:
    policies = ask.settings.policies.values()
    return await ask.apart(lambda: json_answer({"policies": [policy_view(policy) for policy in policies]}))


def policy_view(policy: Policy) -> dict[str, Any]:
    return {
        "name": policy.name,
        "steps": [step_view(step) for step in policy.steps],
        "repeat": policy.repeat,
        "ack_timeout": None if policy.ack_timeout is None else spell(policy.ack_timeout),
    }


def step_view(step: Step) -> dict[str, Any]:
    only = {"priority": list(step.only.priority), "urgency": list(step.only.urgency), "hours": step.only.hours}
    return {
        "notify": [str(each) for each in step.notify],
        "wait": spell(step.wait),
        "only": {name: value for name, value in only.items() if value},
        "pick": step.pick,
    }


async def reload(ask: Ask) -> web.Response:
    return json_answer({"said": await ask.daemon.reload(ask.read(bodies.Reload).yes)})


# ------------------------------------------------------------------------------------- parameters


def whole(ask: Ask, name: str, default: int, most: int) -> int:
    """A count between 1 and `most`."""
    text = ask.param(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 10 and 1 <= int(text) <= most):
        raise bad_value(name, f"{text[:40]!r} is not a whole number from 1 to {most}")
    return int(text)


def cursor(ask: Ask) -> int | None:
    text = ask.param("cursor")
    if text is None:
        return None
    if not (text.isascii() and text.isdigit() and len(text) < 19):
        raise bad_value("cursor", "is not one that an answer's `next` gave")
    return int(text)


def bad_value(name: str, detail: str) -> Problem:
    """400 for a query parameter; its pointer is the parameter's name."""
    return Problem(400, f"{name}: {detail}", errors=(Rejected(f"/{name}", detail),))


def storable(text: str) -> bool:
    """Whether a database takes this text."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)


# ------------------------------------------------------------------------------------- the table

PAGED = (
    Param("limit", f"How many at most; {LIMIT} where absent, {MOST} at most.", whole_number(LIMIT, MOST)),
    Param("cursor", "`next` of the answer before.", CURSOR),
)
LINES = (
    Param("limit", f"How many at most; {TIMELINE_MOST} where absent.", whole_number(TIMELINE_MOST, TIMELINE_MOST)),
    PAGED[1],
)
MADE = (
    Param("limit", f"How many at most; {TIMELINE_MOST} where absent.", whole_number(TIMELINE_MOST, TIMELINE_MOST)),
    Param("cursor", "`next` of the answer before.", {"type": "string", "pattern": f"^{_STAND.pattern}$"}),
)
AT = "RFC 3339, or local to the schedule (`2026-01-05 09:00`)."
INCIDENT = "/v1/incidents/{number}"

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/incidents", "viewer", list_incidents, "Incidents, newest or most urgent first", "incidents",
        bodies.IncidentList,
        params=(
            Param("status", "`open`, or statuses separated by commas."),
            Param("sort", "`newest` (where absent), or `priority`: open ones, P1 first, unanswered before answered.",
                  one_of("newest", "priority")),
            Param("service", "Of this service only."),
            Param("q", "Text in title, key or number; one that takes longer than two seconds is refused (422)."),
            *PAGED,
        ),
    ),
    Endpoint(
        "POST", "/v1/incidents", "responder", trigger, "Open an incident by hand", "incidents", bodies.Acted,
        bodies.Trigger, status=201,
    ),
    Endpoint(
        "GET", INCIDENT + "/timeline", "viewer", show_timeline, "What happened, oldest first", "incidents",
        bodies.Timeline, params=LINES,
    ),
    Endpoint(
        "GET", INCIDENT + "/pages", "viewer", show_pages, "Whom it paged, and how that went", "incidents",
        bodies.PageList, params=LINES,
    ),
    Endpoint(
        "GET", INCIDENT + "/alerts", "viewer", show_alerts, "Its alerts", "incidents", bodies.AlertList, params=PAGED
    ),
    Endpoint(
        "POST", INCIDENT + "/acknowledge", "responder", plain("acknowledge"), "I have it: paging stops", "actions",
        bodies.Acted, bodies.Act,
    ),
    Endpoint(
        "POST", INCIDENT + "/unacknowledge", "responder", plain("unacknowledge"), "Give it back: paging starts again",
        "actions", bodies.Acted, bodies.Act,
    ),
    Endpoint(
        "POST", INCIDENT + "/resolve", "responder", plain("resolve"), "It is over", "actions", bodies.Acted,
        bodies.Act,
    ),
    Endpoint(
        "POST", INCIDENT + "/escalate", "responder", plain("escalate"), "Run the next step now", "actions",
        bodies.Acted, bodies.Act,
    ),
    Endpoint(
        "POST", INCIDENT + "/snooze", "responder", snooze, "Quiet until a time", "actions", bodies.Acted,
        bodies.Snooze,
    ),
    Endpoint(
        "POST", INCIDENT + "/cancel", "responder", plain("cancel"), "It was none", "actions", bodies.Acted, bodies.Act
    ),
    Endpoint(
        "POST", INCIDENT + "/close", "responder", plain("close"), "Close it for good", "actions", bodies.Acted,
        bodies.Act,
    ),
    Endpoint(
        "POST", INCIDENT + "/notes", "responder", add_note, "Write into the timeline", "actions", bodies.Acted,
        bodies.Note,
    ),
    Endpoint(
        "POST", INCIDENT + "/page", "responder", page_somebody, "Page a further person", "actions", bodies.Acted,
        bodies.PageSomebody,
    ),
    Endpoint(
        "GET", "/v1/alerts", "viewer", list_alerts, "Alerts, newest first", "incidents", bodies.AlertList,
        params=(
            Param("integration", "Of this integration only."),
            Param("status", "Of this status only.", one_of(*ALERT_STATUSES)),
            *PAGED,
        ),
    ),
    Endpoint(
        "GET", "/v1/oncall", "viewer", who_is_on_call, "Who is on call", "on call", bodies.OnCallList,
        params=(Param("schedule", "This schedule only."), Param("at", f"Now where absent. {AT}", MOMENT)),
    ),
    Endpoint(
        "GET", "/v1/schedules/{name}/shifts", "viewer", show_shifts, "Shifts and gaps of a schedule", "on call",
        bodies.ShiftList,
        params=(
            Param("from", f"Now where absent. {AT}", MOMENT), Param("to", f"30 days later where absent. {AT}", MOMENT),
        ),
    ),
    Endpoint(
        "GET", "/v1/silences", "viewer", list_silences, "Silences", "silences", bodies.SilenceList,
        params=(Param("active", "`true`: only those that have not ended.", FLAG), *MADE),
    ),
    Endpoint(
        "POST", "/v1/silences", "responder", add_silence, "Mute alerts by matchers", "silences", bodies.SilenceShape,
        bodies.NewSilence, status=201,
    ),
    Endpoint("GET", "/v1/silences/{id}", "viewer", show_silence, "One silence", "silences", bodies.SilenceShape),
    Endpoint(
        "DELETE", "/v1/silences/{id}", "responder", expire_silence, "End a silence now", "silences",
        bodies.SilenceShape,
    ),
    Endpoint("GET", "/v1/services", "viewer", list_services, "Services", "configuration", bodies.ServiceList),
    Endpoint("GET", "/v1/policies", "viewer", list_policies, "Escalation policies", "configuration", bodies.PolicyList),
    Endpoint(
        "POST", "/v1/reload", "admin", reload, "Read the configuration again", "configuration", bodies.Said,
        bodies.Reload,
    ),
)  # fmt: skip
