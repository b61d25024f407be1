"""Fetch of a calendar feed: one conditional GET with few redirects, under one deadline; the answer or BadFeed.

The address may hold a secret (Google's "secret address", PagerDuty's token): no message says more than the host.
"""

from __future__ import annotations

from dataclasses import dataclass
from urllib.parse import urljoin, urlsplit

from tocsin.contracts import Clock, Http, Reply
from tocsin.errors import BadFeed, MaybeSent, NotSent
from tocsin.model import SECOND, Millis

LARGEST = 8 * 1024 * 1024  # a busy Google calendar of many years has some
TOTAL = Millis(10 * SECOND)  # for all redirects together; each connects within the port's 3 s
MOST_REDIRECTS = 3
REDIRECTS = (301, 302, 303, 307, 308)
ASKED = {"Accept": "text/calendar, text/plain;q=0.5, */*;q=0.1", "User-Agent": "Tocsin"}


@dataclass(frozen=True, slots=True)
class Fetched:
    """Body that the server has now, and the marks to ask again with."""

    body: bytes
    etag: str
    modified: str


async def fetch(
    http: Http, clock: Clock, url: str, *, etag: str = "", modified: str = "", allow_private: bool = False
) -> Fetched | None:
    """The feed; None when it has not changed since those marks. Raises BadFeed with the reason."""
    marks = {"If-None-Match": etag, "If-Modified-Since": modified}
    headers = {**ASKED, **{name: value for name, value in marks.items() if value}}
    try:
        async with clock.timeout(TOTAL):
            reply = await _followed(http, url, headers, allow_private)
    except TimeoutError:
        raise BadFeed("does not answer in time") from None
    except (NotSent, MaybeSent) as error:
        raise BadFeed(f"cannot be fetched: {error}") from None
    return _answer(reply, conditional=bool(etag or modified))


async def _followed(http: Http, url: str, headers: dict[str, str], allow_private: bool) -> Reply:
    for _ in range(MOST_REDIRECTS + 1):
        reply = await http.request("GET", url, headers=headers, allow_private=allow_private, largest=LARGEST + 1)
        if reply.status not in REDIRECTS:
            return reply
        url = _next(url, reply.headers.get("location", ""))
    raise BadFeed(f"redirects more than {MOST_REDIRECTS} times")


def _next(url: str, location: str) -> str:
    """Target of a redirect: http or https, and never from https to http, where the secret could be read."""
    try:
        target = urljoin(url, location)
        parts = urlsplit(target)
    except ValueError:
        raise BadFeed("redirects to something that is no address") from None
    if not location or parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadFeed("redirects to something that is no web address")
    if urlsplit(url).scheme == "https" and parts.scheme == "http":
        raise BadFeed(f"redirects from https to plain http ({parts.hostname})")
    return target


def _answer(reply: Reply, conditional: bool) -> Fetched | None:
    if reply.status == 304 and conditional:
        return None
    if reply.status != 200:
        raise BadFeed(f"is answered {reply.status}{_HINTS.get(reply.status, '')}")
    if len(reply.body) > LARGEST:
        raise BadFeed(f"has more than {LARGEST // 1024 // 1024} MiB")
    return Fetched(reply.body, _mark(reply, "etag"), _mark(reply, "last-modified"))


_HINTS = {
    401: ": the address needs its secret part, or was renewed",
    403: ": it may not be read; was the address renewed?",
    404: ": there is nothing at this address (any more)",
    410: ": there is nothing at this address any more",
}


def _mark(reply: Reply, name: str) -> str:
    """A header that may be sent back; one that is odd is not kept."""
    value = reply.headers.get(name, "")
    return value if len(value) <= 200 and value.isascii() and value.isprintable() else ""
