"""Endpoints for overrides and swaps: make, list and take back who steps in for whom."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import partial
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from aiohttp import web
from pydantic import Field, StringConstraints, model_validator

from tocsin.decide.oncall.overrides import Asked, AskedSwap, state_of, swap_state
from tocsin.errors import Refused
from tocsin.model import Actor, Instant, MadeOverride, Settings, Swap, rfc3339
from tocsin.settings.document.scalars import duration
from tocsin.web.api import bodies
from tocsin.web.api.endpoint import Ask, Endpoint, EndpointHandler, Param, bad_value
from tocsin.web.api.guard import actor_of
from tocsin.web.api.oncall import schedule_named
from tocsin.web.api.parameters import FLAG, PAGED_MADE, part_of
from tocsin.web.problem_json import json_answer

Written = Annotated[
    str,
    StringConstraints(min_length=1, max_length=40),
    Field(examples=["2026-12-24 09:00", "Tue 06:00", "2026-12-24T08:00:00Z"]),
]
Reason = Annotated[str, StringConstraints(max_length=2000)]
Mode = Literal["replace", "add", "remove"]
ZONE = "Of times without an offset; the schedule's, where absent."

# ----------------------------------------------------------------------------------------- bodies


class NewOverride(bodies.Body):
    """Changes who is on call for a while, as an override of the configuration does."""

    user: bodies.Name | None = Field(
        None, description="Who steps in; with mode remove: who is not on call (absent: nobody is)."
    )
    users: list[bodies.Name] | None = Field(None, description="Several people together.", min_length=1, max_length=20)
    from_: Written | None = Field(None, alias="from", description="Now, where absent.")
    to: Written | None = Field(None, description="When it ends; not included.")
    for_: bodies.Length | None = Field(None, alias="for", description="Instead of `to`: this long.")
    replaces: bodies.Name | None = Field(None, description="Only where this person is on call.")
    mode: Mode = "replace"
    timezone: bodies.Name | None = Field(None, description=ZONE)
    reason: Reason = ""
    by: bodies.Name | None = Field(None, description="In whose name; an admin's token only.")

    @model_validator(mode="after")
    def one_of_each(self) -> NewOverride:
        named = (self.user is not None) + (self.users is not None)
        if named != 1 and not (named == 0 and self.mode == "remove"):
            raise ValueError('say who: {"user": "bo"} or {"users": ["bo", "chen"]}')
        if (self.to is None) == (self.for_ is None):
            raise ValueError('say when it ends: {"to": "2026-12-25 09:00"} or {"for": "4h"}')
        return self


class InReturn(bodies.Body):
    """The shift that the asker takes over."""

    from_: Written = Field(alias="from")
    to: Written


class NewSwap(bodies.Body):
    """Asks a colleague to take a shift of one's own, for one of theirs or as a favour."""

    schedule: bodies.Name
    with_: bodies.Name = Field(alias="with", description="Who is asked.")
    from_: Written = Field(alias="from", description="The shift that is given away.")
    to: Written
    in_return: InReturn | None = Field(None, description="The shift taken over for it; absent: a favour.")
    timezone: bodies.Name | None = Field(None, description=ZONE)
    reason: Reason = ""
    by: bodies.Name | None = Field(None, description="In whose name; an admin's token only.")


# ---------------------------------------------------------------------------------------- answers


class OverrideShape(bodies.Shape):
    id: str
    schedule: str
    users: list[str]
    from_: bodies.When = Field(alias="from")
    to: bodies.When
    replaces: str | None
    mode: Mode
    reason: str
    author: str
    created_at: bodies.When
    swap: str | None = Field(description="The swap it is half of.")
    removed_at: bodies.When | None
    removed_by: str | None
    state: str = Field(description="pending, active, ended or removed")


class OverrideList(bodies.Shape):
    overrides: list[OverrideShape]
    next: str | None


class SwapShape(bodies.Shape):
    id: str
    schedule: str
    user: str = Field(description="Who asked, and gives the shift away.")
    with_: str = Field(alias="with")
    from_: bodies.When = Field(alias="from")
    to: bodies.When
    in_return: dict[str, str] | None
    reason: str
    created_at: bodies.When
    answered_at: bodies.When | None
    answered_by: str | None
    state: str = Field(description="asked, accepted, declined, withdrawn or past_due")


class SwapList(bodies.Shape):
    swaps: list[SwapShape]
    next: str | None


# -------------------------------------------------------------------------------------- overrides


async def list_overrides(ask: Ask) -> web.Response:
    schedule = schedule_named(ask.settings, ask.request.match_info["name"])
    some, more = await part_of(ask, partial(ask.daemon.overrides.list, schedule.name, everything(ask)))
    settings, now = ask.settings, ask.now
    return await ask.apart(
        lambda: json_answer({"overrides": [override_view(override, settings, now) for override in some], "next": more})
    )


async def add_override(ask: Ask) -> web.Response:
    schedule, body = schedule_named(ask.settings, ask.request.match_info["name"]), ask.read(NewOverride)
    actor = actor_of(ask, body.by, "/by")
    users = tuple(body.users or ()) if body.user is None else (body.user,)
    asked = Asked(
        schedule.name, users, body.from_, body.to, None if body.for_ is None else duration(body.for_), body.replaces,
        body.mode, body.timezone, body.reason,
    )  # fmt: skip
    made = await pointing(ask.daemon.overrides.add(asked, actor), {"/users": "/user"} if body.users is None else {})
    where = f"/v1/schedules/{schedule.name}/overrides/{made.id}"
    return json_answer(override_view(made, ask.settings, ask.now), 201, {"Location": where})


async def remove_override(ask: Ask) -> web.Response:
    actor = actor_of(ask, None)
    schedule = schedule_named(ask.settings, ask.request.match_info["name"])
    removed = await ask.daemon.overrides.remove(ask.request.match_info["id"], actor, schedule.name)
    return json_answer(override_view(removed, ask.settings, ask.now))


async def pointing(made: Awaitable[MadeOverride], names: dict[str, str]) -> MadeOverride:
    """Await an override; a refusal points at the keys as the client wrote them (`names`: ours to the client's)."""
    try:
        return await made
    except Refused as refused:
        refused.culprits = tuple((names.get(pointer, pointer), said) for pointer, said in refused.culprits)
        raise


def override_view(made: MadeOverride, settings: Settings, now: Instant) -> dict[str, Any]:
    """Times in the schedule's zone."""
    zone = zone_of(settings, made.schedule)
    return {
        "id": made.id,
        "schedule": made.schedule,
        "users": list(made.users),
        "from": rfc3339(made.starts_at, zone),
        "to": rfc3339(made.ends_at, zone),
        "replaces": made.replaces,
        "mode": made.mode,
        "reason": made.reason,
        "author": made.author,
        "created_at": rfc3339(made.created_at),
        "swap": made.swap or None,
        "removed_at": None if made.removed_at is None else rfc3339(made.removed_at),
        "removed_by": made.removed_by,
        "state": state_of(made, now),
    }


def zone_of(settings: Settings, schedule: str) -> ZoneInfo:
    found = settings.schedules.get(schedule)
    return ZoneInfo(found.timezone if found is not None else "UTC")


# ------------------------------------------------------------------------------------------ swaps


async def list_swaps(ask: Ask) -> web.Response:
    schedule, user = ask.param("schedule"), ask.param("user")
    if schedule is not None:
        schedule_named(ask.settings, schedule)
    some, more = await part_of(ask, partial(ask.daemon.swaps.list, everything(ask), schedule=schedule, user=user))
    settings, now = ask.settings, ask.now
    return await ask.apart(
        lambda: json_answer({"swaps": [swap_view(swap, settings, now) for swap in some], "next": more})
    )


async def ask_swap(ask: Ask) -> web.Response:
    body = ask.read(NewSwap)
    back = body.in_return
    asked = AskedSwap(
        body.schedule, body.with_, body.from_, body.to, back.from_ if back else None, back.to if back else None,
        body.timezone, body.reason,
    )  # fmt: skip
    swap = await ask.daemon.swaps.ask(asked, actor_of(ask, body.by, "/by"))
    return json_answer(swap_view(swap, ask.settings, ask.now), 201)


def answer_swap(verb: Literal["accept", "decline", "withdraw"]) -> EndpointHandler:
    async def act(ask: Ask) -> web.Response:
        swaps = ask.daemon.swaps
        deeds: dict[str, Callable[[str, Actor], Awaitable[Swap]]] = {
            "accept": swaps.accept, "decline": swaps.decline, "withdraw": swaps.withdraw,
        }  # fmt: skip
        swap = await deeds[verb](ask.request.match_info["id"], actor_of(ask, ask.read(bodies.Act).user))
        return json_answer(swap_view(swap, ask.settings, ask.now))

    return act


def swap_view(swap: Swap, settings: Settings, now: Instant) -> dict[str, Any]:
    zone = zone_of(settings, swap.schedule)
    back = None
    if swap.back_from is not None and swap.back_to is not None:
        back = {"from": rfc3339(swap.back_from, zone), "to": rfc3339(swap.back_to, zone)}
    return {
        "id": swap.id,
        "schedule": swap.schedule,
        "user": swap.asker,
        "with": swap.asked,
        "from": rfc3339(swap.starts_at, zone),
        "to": rfc3339(swap.ends_at, zone),
        "in_return": back,
        "reason": swap.reason,
        "created_at": rfc3339(swap.created_at),
        "answered_at": None if swap.answered_at is None else rfc3339(swap.answered_at),
        "answered_by": swap.answered_by,
        "state": swap_state(swap, now),
    }


def everything(ask: Ask) -> bool:
    match ask.param("all"):
        case None | "false":
            return False
        case "true":
            return True
        case other:
            raise bad_value("all", f"{other[:40]!r} is neither true nor false")


# ------------------------------------------------------------------------------------- the table

OVERRIDES = "/v1/schedules/{name}/overrides"
SWAP = "/v1/swaps/{id}"

ENDPOINTS: tuple[Endpoint, ...] = (
    Endpoint(
        "GET", OVERRIDES, "viewer", list_overrides, "Overrides made at run time", "on call", OverrideList,
        params=(Param("all", "`true`: those that ended or were taken back, too.", FLAG), *PAGED_MADE),
    ),
    Endpoint(
        "POST", OVERRIDES, "responder", add_override, "Somebody else is on call for a while", "on call", OverrideShape,
        NewOverride, status=201,
    ),
    Endpoint(
        "DELETE", OVERRIDES + "/{id}", "responder", remove_override, "Take an override back", "on call", OverrideShape
    ),
    Endpoint(
        "GET", "/v1/swaps", "viewer", list_swaps, "Swaps of shifts", "on call", SwapList,
        params=(
            Param("schedule", "Of this schedule only."),
            Param("user", "That this person asked for, or is asked for."),
            Param("all", "`true`: those that are over or came to nothing, too.", FLAG),
            *PAGED_MADE,
        ),
    ),
    Endpoint(
        "POST", "/v1/swaps", "responder", ask_swap, "Ask a colleague to change shifts", "on call", SwapShape, NewSwap,
        status=201,
    ),
    Endpoint(
        "POST", SWAP + "/accept", "responder", answer_swap("accept"), "The one who was asked agrees", "on call",
        SwapShape, bodies.Act,
    ),
    Endpoint(
        "POST", SWAP + "/decline", "responder", answer_swap("decline"), "The one who was asked does not", "on call",
        SwapShape, bodies.Act,
    ),
    Endpoint(
        "POST", SWAP + "/withdraw", "responder", answer_swap("withdraw"), "The one who asked takes it back", "on call",
        SwapShape, bodies.Act,
    ),
)  # fmt: skip
