"""Readers of the pages: on this very machine, signed in at the browser, or with an API token."""

from __future__ import annotations

import ipaddress
from urllib.parse import urlsplit

from aiohttp import web

from tocsin.model import Settings
from tocsin.web.credentials import credential
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import HttpProblem
from tocsin.web.sessions import session_of

FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")


async def may_look(daemon: Daemon, request: web.Request) -> None:
    """Let in a reader on this very machine, who is signed in, or who shows an API token as the password.

    On this machine: Tocsin listens on loopback, has no public address, the peer and the Host are loopback,
    and no proxy passed the request on. (A public address is a proxy's, which may keep silent about itself.
    Host: a stranger's page in the browser may resolve its own name to us.)
    """
    if is_local(daemon.live.settings, request) or await session_of(daemon, request) is not None:
        return
    given = credential(request)
    if not given or await daemon.access.check(given) is None:
        raise HttpProblem(
            401,
            "sign in with an API token as the password, under any name; `tocsin token create` makes one",
            headers={"WWW-Authenticate": 'Basic realm="Tocsin", charset="UTF-8"'},
        )


def is_local(settings: Settings, request: web.Request) -> bool:
    host = request.headers.get("Host", "")
    return (
        is_loopback(settings.server.host)
        and is_loopback(urlsplit(settings.server.public_url or "http://localhost").hostname or "")
        and is_loopback(request.remote or "")
        and is_loopback(host_name(host))
        and not any(name in request.headers for name in FORWARDED)
    )


def host_name(host: str) -> str:
    """The name in a Host header, without port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0]
    return host.partition(":")[0]


def is_loopback(address: str) -> bool:
    if address == "localhost":
        return True
    try:
        return ipaddress.ip_address(address).is_loopback
    except ValueError:
        return False


async def signed_in_as(daemon: Daemon, request: web.Request) -> str:
    """The user signed in at this browser; "" for nobody."""
    session = await session_of(daemon, request)
    return session.user if session is not None else ""
