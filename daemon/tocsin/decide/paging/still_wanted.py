"""Check whether a page is still wanted: at its claim, and at the last check before the call."""

from __future__ import annotations

from tocsin.decide.paging.shift_notices import out_of_time
from tocsin.decide.paging.verification import CODE_LIVES
from tocsin.model import MINUTE, Incident, Instant, Page


def why_page_unwanted(page: Page, incident: Incident | None) -> str:
    """Reason why this page of an incident must not go out now; "" when it may. None: there is no such incident any
    more."""
    if incident is None:
        return "the incident is gone"
    if page.rule == 0:
        return "" if incident.open else f"the incident is {incident.status}"
    if incident.status != "triggered":
        return f"the incident is {incident.status}"
    if incident.cycle != page.cycle:
        return "a new cycle has begun"
    return f"muted by {incident.muted_by}" if incident.muted_by else ""


def why_update_unwanted(page: Page, incident: Incident) -> str:
    """Reason why nobody is to hear any more that this incident resolved; "" while there is none."""
    if incident.open or incident.cycle != page.cycle:
        return "it fired again meanwhile"
    return ""


def why_stale(page: Page, now: Instant) -> str:
    """Reason why a page of no incident is of no use any more; "" while it is of use."""
    match page.kind:
        case "notice":
            return out_of_time(page.key, page.created_at, now)
        case "code" | "test" if now - page.created_at >= CODE_LIVES:
            return f"it found no way out within {CODE_LIVES // MINUTE} minutes"
        case _:
            return ""
