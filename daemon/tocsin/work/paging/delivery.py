"""A claimed page on its way to a provider, with all that travels in the same message."""

from __future__ import annotations

from dataclasses import dataclass

from tocsin.model import Attempt, Incident, Page, PageKind, User
from tocsin.work.paging.channels import Line


@dataclass(frozen=True, slots=True)
class Delivery:
    """A claimed page on its way over one channel."""

    line: Line
    page: Page
    attempt: Attempt
    incident: Incident | None
    user: User | None
    bundled: tuple[Incident, ...] = ()  # those a summary names
    carried: tuple[Page, ...] = ()  # the other pages that travel in it
    more: int = 0  # pages beyond these that join it behind
    intent_at: float = 0.0  # monotonic: when its claim was committed

    @property
    def kind(self) -> PageKind:
        """Kind of the message: several pages in one are a summary."""
        return "summary" if self.bundled and self.page.kind == "page" else self.page.kind

    @property
    def incidents(self) -> tuple[int, ...]:
        """The numbers of the incidents it names."""
        named = self.bundled or ((self.incident,) if self.incident is not None else ())
        return tuple(one.number for one in named)


def place_in_cycle(page: Page) -> tuple[int, bool, int]:
    """Place of a page in its cycle; the catch-all comes last in its round."""
    return page.round, page.step == 0, page.step
