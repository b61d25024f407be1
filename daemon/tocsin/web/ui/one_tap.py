"""Acknowledgement by one tap: the link of a page, with one button that acknowledges."""

from __future__ import annotations

from aiohttp import web

from tocsin.decide import views
from tocsin.errors import Refused, StoreUnavailable
from tocsin.web.daemon import Daemon
from tocsin.web.limits import MAX_FORM, read_body
from tocsin.web.problem_json import Handler, HttpProblem, as_problem, log
from tocsin.web.ui.html import html, name_of, zone_of
from tocsin.work.paging.replies import LinkView


def show_link(daemon: Daemon) -> Handler:
    """GET /a/{token}: the incident and one button. Looking acknowledges nothing (mail scanners look)."""

    async def show_link(request: web.Request) -> web.StreamResponse:
        try:
            view = await daemon.answers.link(request.match_info["token"])
        except StoreUnavailable as error:
            return trouble(error)
        return dead_link() if view is None else link_page(daemon, view)

    return show_link


def press_link(daemon: Daemon) -> Handler:
    """POST /a/{token}: the button was pressed."""

    async def press_link(request: web.Request) -> web.StreamResponse:
        try:
            await read_body(request, daemon.clock, MAX_FORM)
            view = await daemon.answers.press(request.match_info["token"], "acknowledge")
        except (StoreUnavailable, Refused, HttpProblem) as error:
            return trouble(error)
        return dead_link() if view is None else link_page(daemon, view)

    return press_link


def link_page(daemon: Daemon, view: LinkView) -> web.Response:
    settings = daemon.live.settings
    return html(
        "link.html",
        incident=views.incident_view(view.incident, settings),
        name=name_of(settings)(view.user),
        name_of=name_of(settings),
        zone=zone_of(settings, view.user),
        said=view.said,
        live=view.live,
    )


def dead_link() -> web.Response:
    """The page for a link that is not good, the same whatever the reason."""
    log.info("link refused")
    return html("dead_link.html", status=404)


def trouble(error: Exception) -> web.Response:
    problem = as_problem(error)
    return html("trouble.html", status=problem.status, detail=problem.detail)
