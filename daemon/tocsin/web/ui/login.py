"""Signing in to the pages: an API token once, a session from then on."""

from __future__ import annotations

from urllib.parse import urlsplit

from aiohttp import web

from tocsin.web import sessions
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import BASE_HEADERS, Handler, HttpProblem, guarded, log, peer_of
from tocsin.web.ui.html import form_page, in_words, name_of


def show_login(daemon: Daemon) -> Handler:
    """GET /login: one field; or who is signed in, and a button to end that."""

    @guarded
    async def show_login(request: web.Request) -> web.StreamResponse:
        return await login_page(daemon, request, after=request.query.get("next", ""))

    return show_login


def login(daemon: Daemon) -> Handler:
    """POST /login: a token of a person becomes a session."""

    @in_words(daemon)
    async def login(request: web.Request) -> web.StreamResponse:
        fields = await sessions.form_of(daemon, request)
        after, given = fields.get("next", ""), fields.get("token", "").strip()
        token = await daemon.access.check(given) if given else None
        if token is None:
            log.info("sign_in_refused", peer=peer_of(request))
            return await login_page(daemon, request, "This is no token of Tocsin's, or one that was revoked.", after)
        if token.user is None:
            return await login_page(daemon, request, "This token belongs to no user: create it with --user.", after)
        log.info("signed_in", user=token.user, token=token.name, peer=peer_of(request))
        answer = see_other(own_path(after))
        sessions.begin(daemon, token, answer)
        return answer

    return login


def logout(daemon: Daemon) -> Handler:
    """POST /logout: this browser is nobody again."""

    @in_words(daemon)
    async def logout(request: web.Request) -> web.StreamResponse:
        session = None
        try:
            session, _ = await sessions.submitted(daemon, request, "viewer")
        except HttpProblem as problem:
            if problem.status != 401:  # nobody was signed in: there is nothing to end
                raise
        answer = see_other("/")
        await sessions.end(daemon, session, answer)
        return answer

    return logout


async def login_page(daemon: Daemon, request: web.Request, wrong: str = "", after: str = "") -> web.Response:
    session = await sessions.session_of(daemon, request)
    name = name_of(daemon.live.settings)(session.user) if session is not None else ""
    return form_page(
        "login.html", session, 403 if wrong else 200, wrong=wrong, after=own_path(after), name=name, session=session
    )


def own_path(text: str) -> str:
    """The path to go to next: a path of ours, and nothing that a browser takes for another site."""
    try:
        parts = urlsplit(text)
    except ValueError:  # "//[" is no address
        return "/"
    bad = parts.scheme or parts.netloc or "\\" in text or text.startswith("//") or not text.isprintable()
    return text if text.startswith("/") and not bad else "/"


def see_other(path: str) -> web.Response:
    return web.Response(status=303, headers={**BASE_HEADERS, "Location": path})
