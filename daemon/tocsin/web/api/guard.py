"""Guard of the API: the token and role of a request, its parameters and body, and the person it acts as."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from aiohttp import web
from pydantic import BaseModel, ValidationError

from tocsin.model import Actor, Rejected, Role, Settings, Token
from tocsin.settings.document.scalars import did_you_mean
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, bad_value
from tocsin.web.credentials import api_credential
from tocsin.web.daemon import Daemon
from tocsin.web.limits import MAX_ASKED, read_body, read_json
from tocsin.web.problem_json import Handler, HttpProblem, guarded
from tocsin.web.request_turns import TURNS

RANK: Mapping[Role, int] = {"viewer": 0, "responder": 1, "admin": 2}
WITHOUT_USER = "this token belongs to no user: create it with --user"


def handler_of(daemon: Daemon, endpoint: Endpoint) -> Handler:
    """The endpoint behind its guard: token, role, parameters, body, in this order."""
    known = tuple(param.name for param in endpoint.params)

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
    """Raise HttpProblem 400 for a query parameter that this path does not have: it would be ignored in silence."""
    for name in request.query:
        if name not in known and name != "token":
            takes = f"this takes {', '.join(known)}" if known else "this takes none"
            raise bad_value(name[:40], f"there is no such parameter{did_you_mean(name[:40], known)}; {takes}")


async def signed_in(daemon: Daemon, request: web.Request, role: Role) -> Token:
    """The token of the request. Raises HttpProblem: 401 no or a wrong one, 403 when its role is too small."""
    given = api_credential(request)
    token = await daemon.access.check(given) if given else None
    if token is None:
        raise HttpProblem(
            401,
            "send an API token: `Authorization: Bearer …`; `tocsin token create` makes one",
            headers={"WWW-Authenticate": 'Bearer realm="tocsin"'},
        )
    if RANK[token.role] < RANK[role]:
        raise HttpProblem(403, f"this token has the role {token.role}; this needs {role}")
    return token


async def read_as(daemon: Daemon, request: web.Request, token: Token, model: type[BaseModel]) -> BaseModel:
    """The JSON body as `model`. Raises HttpProblem 422 with a pointer to each mistake."""
    document = read_json(await read_body(request, daemon.clock, MAX_ASKED, f"token:{token.id}"))
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise HttpProblem(422, "the request body does not match the schema", errors=bodies.culprits(error)) from None


def actor_of(ask: Ask, named: str | None, pointer: str = "/user") -> Actor:
    """The person this request acts as: the token's user, or, for an admin's token, the one the body names."""
    token = ask.token
    if named is None or named == token.user:
        return Actor("user", own_user(ask))
    if token.role != "admin":
        raise HttpProblem(403, "only an admin's token may act in another person's name")
    if named not in ask.settings.users:
        raise unknown_user(ask.settings, named, pointer)
    return Actor("user", named)


def own_user(ask: Ask) -> str:
    user = ask.token.user
    if user is None:
        raise HttpProblem(403, WITHOUT_USER)
    if user not in ask.settings.users:
        raise HttpProblem(403, f"this token belongs to {user!r}, who is not in the configuration any more")
    return user


def unknown_user(settings: Settings, named: str, pointer: str) -> HttpProblem:
    detail = f"no such user {named!r}{did_you_mean(named, settings.users)}"
    return HttpProblem(422, detail, errors=(Rejected(pointer, detail),))


def sees_all(ask: Ask) -> bool:
    """Whether to show what a provider's callback is known by, and addresses: to nobody who may only look."""
    return ask.token.role != "viewer"
