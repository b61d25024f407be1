"""A claimed page on its way to a provider: what is carried, and whether it may still go."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from tocsin.decide.paging.shift_notices import out_of_time
from tocsin.decide.paging.verification import CODE_LIVES
from tocsin.model import (
    MINUTE,
    Attempt,
    Incident,
    Instant,
    Outcome,
    Page,
    PageKind,
    User,
)
from tocsin.work.paging.channels import Line


@dataclass(frozen=True, slots=True)
class Call:
    """One claimed page on its way to a provider."""

    page: Page
    attempt: Attempt
    incident: Incident | None
    user: User | None
    bundled: tuple[Incident, ...] = ()  # those a summary names
    carried: tuple[Page, ...] = ()  # the other pages that travel in it
    more: int = 0  # pages beyond these that join it behind
    intent_at: float = 0.0

    @property
    def kind(self) -> PageKind:
        """What kind of message it is: several pages in one are a summary."""
        return "summary" if self.bundled and self.page.kind == "page" else self.page.kind

    @property
    def incidents(self) -> tuple[int, ...]:
        """The numbers of the incidents it names."""
        named = self.bundled or ((self.incident,) if self.incident is not None else ())
        return tuple(one.number for one in named)


@dataclass(slots=True, eq=False)
class Ended:
    """A call that ended, on its way into the store."""

    line: Line
    call: Call
    outcome: Outcome
    done: asyncio.Future[None]


def why_not(page: Page, incident: Incident) -> str:
    """Why this page of an incident must not go out now; "" when it may."""
    if page.rule == 0:
        return "" if incident.open else f"the incident is {incident.status}"
    if incident.status != "triggered":
        return f"the incident is {incident.status}"
    if incident.cycle != page.cycle:
        return "a new cycle has begun"
    return f"muted by {incident.muted_by}" if incident.muted_by else ""


def why_untold(page: Page, incident: Incident) -> str:
    """Why nobody is to hear any more that this incident resolved; "" while it is so."""
    if incident.open or incident.cycle != page.cycle:
        return "it fired again meanwhile"
    return ""


def why_stale(page: Page, now: Instant) -> str:
    """Why a page of no incident is of no use any more; "" while it is."""
    match page.kind:
        case "notice":
            return out_of_time(page.key, page.created_at, now)
        case "code" | "test" if now - page.created_at >= CODE_LIVES:
            return f"it found no way out within {CODE_LIVES // MINUTE} minutes"
        case _:
            return ""


def place(page: Page) -> tuple[int, bool, int]:
    """Where in its cycle a page stands; the catch-all comes last in its round."""
    return page.round, page.step == 0, page.step
