"""An endpoint of the API and the request its handler gets."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, ParamSpec, TypeVar, cast

from aiohttp import web
from pydantic import BaseModel

from tocsin.model import Instant, Rejected, Role, Settings, Token
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import HttpProblem
from tocsin.web.request_turns import TURNS

M = TypeVar("M", bound=BaseModel)
P = ParamSpec("P")
T = TypeVar("T")


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
        """A query parameter; None when absent or empty. Raises HttpProblem 400 for text no database takes."""
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


EndpointHandler = Callable[[Ask], Awaitable[web.StreamResponse]]
TEXT_VALUE: Mapping[str, Any] = {"type": "string", "pattern": "^[^\\u0000]*$"}


@dataclass(frozen=True, slots=True)
class Param:
    """A query parameter, as documented. `schema`: JSON Schema of its value; text where absent."""

    name: str
    help: str
    schema: Mapping[str, Any] = field(default_factory=lambda: TEXT_VALUE)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A path and method of the API: the role it needs, what it reads and what it answers."""

    method: Literal["GET", "POST", "DELETE"]
    path: str
    role: Role
    act: EndpointHandler
    summary: str
    tag: str
    answers: type[BaseModel]
    body: type[BaseModel] | None = None
    params: tuple[Param, ...] = ()
    status: int = 200


def bad_value(name: str, detail: str) -> HttpProblem:
    """400 for a query parameter; its pointer is the parameter's name."""
    return HttpProblem(400, f"{name}: {detail}", errors=(Rejected(f"/{name}", detail),))


def storable(text: str) -> bool:
    """Whether a database takes this text."""
    return "\x00" not in text and not any("\ud800" <= char <= "\udfff" for char in text)
