"""Refusals: problem+json (RFC 9457) with a pointer to each culprit, and one line in the log."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from functools import wraps
from http import HTTPStatus
from ipaddress import ip_address, ip_network

import orjson
import structlog
from aiohttp import web

from tocsin.errors import BadBody, Refused, SettingsError, StoreUnavailable
from tocsin.model import EMPTY, Rejected

log = structlog.stdlib.get_logger("tocsin.web")

TRUSTED: web.AppKey[Callable[[], tuple[str, ...]]] = web.AppKey("trusted")
"""The proxies trusted at the moment, of the application a request came to."""

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]

BASE_HEADERS: Mapping[str, str] = {
    "Server": "tocsin",
    "X-Content-Type-Options": "nosniff",
    "Cache-Control": "no-store",
}
JSON_HEADERS: Mapping[str, str] = {"Content-Type": "application/json", **BASE_HEADERS}
PROBLEM_HEADERS: Mapping[str, str] = {"Content-Type": "application/problem+json", **BASE_HEADERS}
MAX_ERRORS = 100
RETRY_AFTER = "5"  # seconds; long enough for a full queue to drain, short enough for a page


class HttpProblem(Exception):
    """The request cannot be served; `errors` point at each culprit (RFC 6901, "" = the whole body)."""

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: tuple[Rejected, ...] = (),
        headers: Mapping[str, str] = EMPTY,
        close: bool = False,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = headers
        self.close = close


def guarded(handler: Handler) -> Handler:
    """Turn what was refused on purpose into problem+json; anything else is a mistake of ours and stays loud."""

    @wraps(handler)
    async def guard(request: web.Request) -> web.StreamResponse:
        try:
            return await handler(request)
        except (HttpProblem, BadBody, Refused, SettingsError, StoreUnavailable) as error:
            return refuse(request, as_problem(error))

    return guard


def as_problem(error: Exception) -> HttpProblem:
    """The problem that an error of ours stands for."""
    match error:
        case HttpProblem():
            return error
        case BadBody():
            culprits = (Rejected(error.pointer, error.detail),) if error.pointer else ()
            return HttpProblem(error.status, error.detail, errors=culprits)
        case Refused():
            errors = tuple(Rejected(pointer, detail) for pointer, detail in error.culprits)
            return HttpProblem(error.status, error.because, errors=errors)
        case SettingsError():
            found = tuple(Rejected("", str(problem)) for problem in error.problems)
            return HttpProblem(422, "the configuration has mistakes; nothing was changed", errors=found)
        case StoreUnavailable():
            return overloaded("the database does not answer; try again in a moment", 503)
    raise error


def overloaded(detail: str, status: int) -> HttpProblem:
    return HttpProblem(status, detail, headers={"Retry-After": RETRY_AFTER})


def refuse(request: web.Request, problem: HttpProblem) -> web.Response:
    """Answer with the problem, and leave one line about it."""
    log_refusal(request, problem)
    return answer(problem)


def log_refusal(request: web.Request, problem: HttpProblem) -> None:
    """The one line about a refusal; logs.py counts what comes too often."""
    log.info(
        "refused",
        status=problem.status,
        method=request.method[:20],
        path=request.path[:200],
        because=problem.detail[:500],
        peer=peer_of(request),
        culprits=[f"{culprit.pointer}: {culprit.detail}"[:200] for culprit in problem.errors[:5]],
    )


def peer_of(request: web.Request) -> str:
    """The client's address, for the log: past the proxies that the configuration trusts, and no further."""
    peer = request.remote or ""
    trusted = request.app[TRUSTED]()
    hops = [hop.strip() for hop in request.headers.get("X-Forwarded-For", "").split(",") if hop.strip()]
    while hops and is_among(peer, trusted):
        peer = hops.pop()[:45]
    return peer


def is_among(address: str, networks: tuple[str, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in ip_network(network, strict=False) for network in networks)


def answer(problem: HttpProblem) -> web.Response:
    response = web.Response(
        status=problem.status, body=body_of(problem), headers={**PROBLEM_HEADERS, **problem.headers}
    )
    if problem.close:
        response.force_close()
    return response


def body_of(problem: HttpProblem) -> bytes:
    """The RFC 9457 document; `type` about:blank means that `title` is the status's own."""
    document: dict[str, object] = {
        "type": "about:blank",
        "title": HTTPStatus(problem.status).phrase,
        "status": problem.status,
        "detail": printable(problem.detail),
    }
    if problem.errors:
        document["errors"] = [shown(culprit) for culprit in problem.errors[:MAX_ERRORS]]
    return orjson.dumps(document)


def shown(culprit: Rejected) -> dict[str, str]:
    return {"pointer": printable(culprit.pointer), "detail": printable(culprit.detail)}


def printable(text: str) -> str:
    """`text` as something UTF-8 can carry: a lone surrogate of a hostile body becomes a question mark."""
    return text.encode("utf-8", "replace").decode("utf-8")


def json_answer(document: object, status: int = 200, headers: Mapping[str, str] = EMPTY) -> web.Response:
    """A JSON answer; texts come sanitised from the store."""
    return web.Response(status=status, body=orjson.dumps(document), headers={**JSON_HEADERS, **headers})
