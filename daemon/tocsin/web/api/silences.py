"""Endpoints for silences: list, show, add, end."""

from __future__ import annotations

from functools import partial
from typing import Any

from aiohttp import web

from tocsin.model import Instant, Silence, rfc3339
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, Param, bad_value, storable
from tocsin.web.api.guard import actor_of
from tocsin.web.api.parameters import FLAG, PAGED_MADE, end_of, part_of
from tocsin.web.problem_json import HttpProblem, json_answer


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
    return await ask.apart(
        lambda: json_answer({"silences": [silence_view(silence, now) for silence in some], "next": more})
    )


async def show_silence(ask: Ask) -> web.Response:
    return json_answer(silence_view(await silence_of(ask), ask.now))


async def silence_of(ask: Ask) -> Silence:
    wanted = ask.request.match_info["id"]
    found = await ask.daemon.silences.find(wanted) if storable(wanted) else None
    if found is None:
        raise HttpProblem(404, f"there is no silence {wanted[:80]!r}")
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


ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", "/v1/silences", "viewer", list_silences, "Silences", "silences", bodies.SilenceList,
        params=(Param("active", "`true`: only those that have not ended.", FLAG), *PAGED_MADE),
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
)  # fmt: skip
