"""Way of a page that finds no room on its channel: over another contact, over both, or nowhere else.

A P1 or P2 that goes out over a quieter channel keeps its place for the next slot of its own: a mail alone
wakes nobody. Asked by the delivery plan (`decide/paging/delivery_plan.py`) alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from tocsin.decide.paging.throttle import PATIENCE, keeps_its_place
from tocsin.model import Instant, Page, Priority, User


@dataclass(frozen=True, slots=True)
class Move:
    """Over the other contact instead."""


@dataclass(frozen=True, slots=True)
class Both:
    """Over the other contact now, and over its own in its turn."""


@dataclass(frozen=True, slots=True)
class Sooner:
    """The person's `page`, planned for later over the other contact, goes now; this one waits for its turn."""

    page: Page


@dataclass(frozen=True, slots=True)
class Stay:
    """The person was told over the other contact already: it waits for its turn."""


Way = Move | Both | Sooner | Stay


@dataclass(frozen=True, slots=True)
class Elsewhere:
    """The person's other pages of the same incidents: keys of all, and those planned for later."""

    known: Collection[str]
    later: Sequence[Page]

    def told(self, page: Page, user: User) -> bool:
        """Whether this step was told to the person, or is on its way, over any other contact."""
        later = {one.key for one in self.later}
        keys = (key for name in user.contacts if name != page.contact for key in keys_over(page, name, user))
        return any(key in self.known and key != page.key and key not in later for key in keys)


def other_way(
    page: Page, user: User, contact: str, priority: Priority, kinds: tuple[str, str], elsewhere: Elsewhere
) -> Way:
    """The way of one page of `user` for which another `contact` has room.

    `kinds`: of the page's own channel and of the other one.
    """
    if not may_keep(priority):
        return Move()
    channel = user.contacts[contact].channel
    later = [one for one in elsewhere.later if _same(one, page) and one.channel == channel]
    if later:
        return Sooner(min(later, key=lambda one: one.due_at))
    if any(key in elsewhere.known for key in keys_over(page, contact, user) if key != page.key):
        return Stay()
    return Both() if keeps_its_place(priority, *kinds) else Move()


def may_keep(priority: Priority) -> bool:
    return priority in ("P1", "P2")


def has_waited(page: Page, now: Instant) -> bool:
    """Whether its minute is over."""
    return page.updated_at is not None and now >= page.updated_at + PATIENCE


def copied(page: Page, id_: str, contact: str, channel: str, now: Instant, since: Instant, delayed: str) -> Page:
    """A copy of the page over another contact, now."""
    return replace(
        page, id=id_, key=_key(page, page.rule, contact), contact=contact, channel=channel, due_at=now,
        updated_at=since, delayed=page.delayed or delayed, tries=0, failures=0,
    )  # fmt: skip


def keys_over(page: Page, contact: str, user: User) -> Iterator[str]:
    """The keys of this step's pages over that contact, whichever personal rule plans them."""
    if page.rule == 0:
        yield _key(page, 0, contact)
        return
    rules = max(len(user.contacts), *(len(rules) for rules in user.notify.values()), page.rule)
    yield from (_key(page, rule, contact) for rule in range(1, rules + 1))


def _key(page: Page, rule: int, contact: str) -> str:
    if rule == 0:  # asked for by a person, under a key of its own
        return f"{page.key.rpartition('/')[0]}/{contact}"
    return f"{page.incident}/{page.cycle}/{page.round}/{page.step}/{page.target}/{rule}/{contact}"


def _same(one: Page, page: Page) -> bool:
    return (one.incident, one.cycle, one.user) == (page.incident, page.cycle, page.user)
