"""Browser sessions: a signed cookie that lives and dies with an API token; each form proves that it is ours.

A cookie is sent by the browser itself, whoever's page makes the request. So a form counts only when it comes from one
of our pages (Sec-Fetch-Site, Origin) and carries a token that only the page of this very session was given.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import web
from itsdangerous import BadData, URLSafeSerializer

from tocsin.model import HOUR, Instant, Millis, Role, Settings, Token
from tocsin.web.daemon import Daemon
from tocsin.web.limits import MAX_FORM, read_body
from tocsin.web.problem_json import HttpProblem

LIVES = Millis(12 * HOUR)
SALT, FORM_SALT = "tocsin.session.v1", "tocsin.form.v1"
COOKIE, SECURE_COOKIE = "tocsin_session", "__Host-tocsin_session"  # RFC 6265bis, 4.1.3: of this very host alone
FIELDS = 50
RANK: Mapping[Role, int] = {"viewer": 0, "responder": 1, "admin": 2}


@dataclass(frozen=True, slots=True)
class BrowserSession:
    """A person at a browser, by the token they signed in with. `form` goes into every form of their pages."""

    token: Token
    user: str
    mark: str  # random; tells this session from all others
    form: str

    def may(self, role: Role) -> bool:
        return RANK[self.token.role] >= RANK[role]


async def session_of(daemon: Daemon, request: web.Request) -> BrowserSession | None:
    """The session of this request; None when it has none, it has expired, or its token or user is gone."""
    facts = _unsigned(daemon, request.cookies.get(_name(daemon), ""), SALT)
    match facts:
        case [str(id), str(mark), int(expires)] if expires * 1000 > daemon.clock.now():
            token = await daemon.access.by_id(id)
        case _:
            return None
    if token is not None and await daemon.access.signed_out(mark):
        return None
    if token is None or token.user is None or token.user not in daemon.live.settings.users:
        return None
    return BrowserSession(token, token.user, mark, _signed(daemon, mark, FORM_SALT))


async def submitted(
    daemon: Daemon, request: web.Request, role: Role = "responder"
) -> tuple[BrowserSession, dict[str, str]]:
    """The session that sent this form, and the form's fields.

    Raises HttpProblem: not from our pages, not signed in, not allowed.
    """
    fields = await form_of(daemon, request)
    session = await session_of(daemon, request)
    if session is None:
        raise HttpProblem(401, "you are not signed in, or no longer: go to /login")
    if _unsigned(daemon, fields.pop("form", ""), FORM_SALT) != session.mark:
        raise HttpProblem(403, "this form is of an older session: open the page again")
    if not session.may(role):
        raise HttpProblem(403, f"your token has the role {session.token.role}; this needs {role}")
    return session, fields


async def form_of(daemon: Daemon, request: web.Request) -> dict[str, str]:
    """The fields of a form that one of our own pages sent. Raises HttpProblem 403 for any other page."""
    if not is_ours(daemon.live.settings, request):
        raise HttpProblem(403, "this form comes from another site")
    raw = await read_body(request, daemon.clock, MAX_FORM)
    try:
        return dict(parse_qsl(raw.decode(), keep_blank_values=True, max_num_fields=FIELDS, errors="strict"))
    except ValueError:
        raise HttpProblem(400, "this is no form that can be read") from None


def is_ours(settings: Settings, request: web.Request) -> bool:
    """Whether one of our pages made this request. What no browser sent has neither header, nor a cookie by itself."""
    site, origin = request.headers.get("Sec-Fetch-Site"), request.headers.get("Origin")
    if site is not None and site != "same-origin":
        return False
    if origin is None:
        return True
    ours = {request.headers.get("Host", "").lower(), _place(settings.server.public_url or "")}
    return _place(origin) in ours - {""}


def _place(url: str) -> str:
    """Host and port of an address; "" of what is none."""
    try:
        return urlsplit(url).netloc.lower()
    except ValueError:
        return ""


def begin(daemon: Daemon, token: Token, answer: web.Response) -> None:
    """The browser that gets this answer is signed in from now on."""
    expires = (daemon.clock.now() + LIVES) // 1000
    facts = [token.id, daemon.chance.token(), expires]
    answer.set_cookie(
        _name(daemon), _signed(daemon, facts, SALT), max_age=LIVES // 1000, path="/", httponly=True,
        secure=is_secure(daemon), samesite="Strict",
    )  # fmt: skip


async def end(daemon: Daemon, session: BrowserSession | None, answer: web.Response) -> None:
    """The browser forgets its session, and so do we: a copy of its cookie is good for nothing."""
    if session is not None:
        await daemon.access.sign_out(session.mark, Instant(daemon.clock.now() + LIVES))
    answer.del_cookie(_name(daemon), path="/", httponly=True, secure=is_secure(daemon), samesite="Strict")


def is_secure(daemon: Daemon) -> bool:
    return (daemon.live.settings.server.public_url or "").startswith("https:")


def _name(daemon: Daemon) -> str:
    return SECURE_COOKIE if is_secure(daemon) else COOKIE


def _signed(daemon: Daemon, facts: Any, salt: str) -> str:
    text = URLSafeSerializer(daemon.keys.newest, salt=salt).dumps(facts)
    return text if isinstance(text, str) else text.decode()


def _unsigned(daemon: Daemon, text: str, salt: str) -> Any:
    """The value that was signed; None when it was not signed, or with a key that is no longer valid."""
    for key in daemon.keys.valid if 0 < len(text) <= 512 else ():
        try:
            return URLSafeSerializer(key, salt=salt).loads(text)
        except (BadData, ValueError, TypeError):
            continue
    return None
