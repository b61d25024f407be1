"""Credentials of a request: a bearer token, a password of basic authentication, or `?token=`."""

from __future__ import annotations

import base64
from urllib.parse import urlsplit

from aiohttp import hdrs, web


def credential(request: web.Request, *, acts: bool = False) -> str:
    """The bearer token, the password of basic authentication, or `?token=`; "" when there is none.

    `acts`: for what changes something; there a password counts for nothing where a page elsewhere has it sent.
    """
    scheme, _, given = request.headers.get("Authorization", "").partition(" ")
    match scheme.lower():
        case "bearer":
            return given.strip()
        case "basic":
            return "" if acts and from_elsewhere(request) else basic_password(given.strip())
    return request.query.get("token", "")


def api_credential(request: web.Request) -> str:
    """The API token of a request; as a password for reading only.

    A browser that once signed in to `/` adds the password to any request that anybody's page has it make:
    a form elsewhere could acknowledge in that person's name.
    """
    scheme, _, _ = request.headers.get("Authorization", "").partition(" ")
    if scheme.lower() == "basic" and request.method not in (hdrs.METH_GET, hdrs.METH_HEAD):
        return ""
    return credential(request)


def from_elsewhere(request: web.Request) -> bool:
    """Whether a browser says that another site's page made this request; what is no browser says nothing of it."""
    site = request.headers.get("Sec-Fetch-Site", "none")
    origin = request.headers.get("Origin")
    return site not in ("none", "same-origin") or (origin is not None and host_of(origin) != request.host.lower())


def host_of(origin: str) -> str:
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return ""


def basic_password(encoded: str) -> str:
    """The password of RFC 7617 credentials; "" when they are not readable."""
    try:
        plain = base64.b64decode(encoded, validate=True).decode()
    except ValueError:  # not base64, or not text
        return ""
    return plain.partition(":")[2]
