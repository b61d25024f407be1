"""Page of one incident: its timeline, pages, related incidents and changes."""

from __future__ import annotations

from aiohttp import web

from tocsin.decide import views
from tocsin.web.api.changes import change_view, changes_beside
from tocsin.web.api.incidents import related_to, told
from tocsin.web.daemon import Daemon
from tocsin.web.problem_json import Handler, HttpProblem, guarded
from tocsin.web.request_turns import TURNS, in_turn
from tocsin.web.ui.html import html, name_of, zone_of
from tocsin.web.ui.readers import may_look, signed_in_as

ENTRIES = 500  # lines of one incident's timeline
PAGES = 200  # of one incident


def incident(daemon: Daemon) -> Handler:
    """GET /incidents/{number}: one incident with its timeline and pages."""

    @guarded
    async def incident(request: web.Request) -> web.StreamResponse:
        await may_look(daemon, request)
        settings, number = daemon.live.settings, int(request.match_info["number"])
        found = await daemon.store.incident(number)
        if found is None:
            raise HttpProblem(404, f"there is no incident {number}")
        entries = await daemon.store.timeline(number, ENTRIES + 1, None)
        pages = await daemon.store.pages(number, PAGES + 1)
        known_as, related = await signed_in_as(daemon, request), await related_to(daemon, found)
        changes = await changes_beside(daemon, found)

        def made() -> web.Response:
            return html(
                "incident.html",
                signed_in_as=known_as,
                incident=views.incident_view(found, settings),
                entries=[views.entry_view(entry, whole=False) for entry in told(found, entries[:ENTRIES], None)],
                more_entries=len(entries) > ENTRIES,
                pages=[views.page_view(page, attempts, whole=False) for page, attempts in pages[:PAGES]],
                more_pages=len(pages) > PAGES,
                related=related,
                changes=[change_view(change) for change in changes],
                name_of=name_of(settings),
                zone=zone_of(settings),
            )

        return await request.app[TURNS].apart(made)

    return in_turn(incident)
