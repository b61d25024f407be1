"""Endpoints for what a person does to an incident: open, acknowledge, resolve, escalate, snooze, note, page."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Literal

from aiohttp import web

from tocsin.decide import views
from tocsin.model import Actor, Rejected, Settings
from tocsin.settings.document.scalars import did_you_mean, target
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, EndpointHandler
from tocsin.web.api.guard import actor_of
from tocsin.web.api.incidents import INCIDENT
from tocsin.web.api.parameters import end_of
from tocsin.web.problem_json import HttpProblem, json_answer
from tocsin.work.incidents.actions import Actions, Done

Verb = Literal["acknowledge", "unacknowledge", "resolve", "escalate", "cancel", "close"]


def plain(verb: Verb) -> EndpointHandler:
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
    """Raise HttpProblem 422 unless `whom` names somebody or something of the configuration."""
    try:
        found = target(whom)
    except ValueError as error:
        raise HttpProblem(422, str(error), errors=(Rejected(pointer, str(error)),)) from None
    known: Mapping[str, Any] = {
        "user": settings.users,
        "schedule": settings.schedules,
        "team": settings.teams,
        "managers": settings.teams,
        "channel": settings.channels,
    }[found.kind]
    if found.name not in known:
        detail = f"no such {found.kind} {found.name!r}{did_you_mean(found.name, known)}"
        raise HttpProblem(422, detail, errors=(Rejected(pointer, detail),))


async def trigger(ask: Ask) -> web.Response:
    body = ask.read(bodies.Trigger)
    actor = actor_of(ask, body.user)
    if body.policy is not None and body.policy not in ask.settings.policies:
        detail = f"no such policy {body.policy!r}{did_you_mean(body.policy, ask.settings.policies)}"
        raise HttpProblem(422, detail, errors=(Rejected("/policy", detail),))
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


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "POST", "/v1/incidents", "responder", trigger, "Open an incident by hand", "incidents", bodies.Acted,
        bodies.Trigger, status=201,
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
)  # fmt: skip
