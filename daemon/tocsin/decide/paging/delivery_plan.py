"""When do planned pages leave, alone or in one summary, within a person's limits?

`work/paging/claim.py` does it; here it is run ahead. It supposes that every message goes through
and that nothing else pages these people meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tocsin.decide.incidents.escalation import People, order_of_claims, usable_contacts
from tocsin.decide.paging.other_channel import Both, Elsewhere, Move, Sooner, copied, has_waited, may_keep, other_way
from tocsin.decide.paging.throttle import PATIENCE, Later, Now, overflow_at, room
from tocsin.model import EMPTY, Instant, Limit, Page, Priority, Settings, User


@dataclass(frozen=True, slots=True)
class Limits:
    """The limits of each channel that has any; and the kind of each (sms, voice, mail, chat): how loud it is."""

    by_channel: Mapping[str, tuple[Limit, ...]] = EMPTY
    kinds: Mapping[str, str] = EMPTY

    def of(self, channel: str) -> tuple[Limit, ...]:
        return self.by_channel.get(channel, ())

    def kind(self, channel: str) -> str:
        return self.kinds.get(channel, "")


NO_LIMITS = Limits()

Sent = Mapping[tuple[str, str], Sequence[Instant]]
"""When messages went to a person ("" for channel targets) over a channel lately."""


@dataclass(frozen=True, slots=True)
class Left:
    """A page on its way: by itself, as the one message for several, or carried by such a one."""

    at: Instant
    page: Page
    how: Literal["page", "summary", "bundled"] = "page"
    because: str = ""


@dataclass(slots=True)
class Sending:
    """The pages of one incident that wait for their time. `settings` and `people` say who has another contact."""

    settings: Settings
    people: People
    limits: Limits = NO_LIMITS
    sent: dict[tuple[str, str], list[Instant]] = field(default_factory=dict)
    waiting: list[Page] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  # keys of pages, whatever became of them
    priority: Priority = "P5"

    def until(self, end: Instant, now: Instant, priority: Priority) -> list[Left]:
        """What leaves until `end`; what is overdue leaves at `now`. `priority`: the incident's."""
        left: list[Left] = []
        self.priority, urgent = priority, priority == "P1"
        self.known.update(page.key for page in self.waiting)
        while self.waiting:
            at = max(now, min(page.due_at for page in self.waiting))
            if at > end:
                break
            left += self._due(at, urgent)
        return left

    def _due(self, at: Instant, urgent: bool) -> list[Left]:
        """What is due then, by person and channel; a page that goes another way joins those it finds there."""
        groups: dict[tuple[str, str], list[Page]] = {}
        for page in sorted((page for page in self.waiting if page.due_at <= at), key=order_of_claims):
            groups.setdefault((page.channel, page.user or page.target), []).append(page)
        self.waiting = [page for page in self.waiting if page.due_at > at]
        left: list[Left] = []
        while groups and not any(page.due_at <= at for page in self.waiting):
            left += self._claim(groups.pop(next(iter(groups))), at, urgent)
        self.waiting += itertools.chain.from_iterable(groups.values())
        return left

    def _drop(self, pages: Sequence[Page]) -> None:
        gone = {id(page) for page in pages}
        self.waiting = [page for page in self.waiting if id(page) not in gone]

    def _claim(self, pages: list[Page], now: Instant, urgent: bool) -> list[Left]:
        """All due pages of one person and channel: as many as there is room for go; more go as one in the last slot."""
        limits = self.limits.of(pages[0].channel)
        if not limits:
            return self._without_limit(pages, now)
        left: list[Left] = []
        sent = self._sent(pages[0])
        while pages:
            found = room(sent, limits, now, urgent=urgent)
            if isinstance(found, Later):
                return left + self._wait(pages, found, limits, now, urgent)
            late = [page for page in pages if page.delayed]
            if pages[0].delayed and len(late) > 1:  # what had to wait for this slot goes in one message
                left += self._bundle(late, now)
                pages = [page for page in pages if not page.delayed]
                continue
            if len(pages) > 1 and isinstance(room([*sent, now], limits, now, urgent=False), Later):
                return left + self._bundle(pages, now)
            sent.append(now)
            page = pages.pop(0)
            left.append(Left(now, page, because=_late(page, now)))
        return left

    def _without_limit(self, pages: list[Page], now: Instant) -> list[Left]:
        """Each by itself; what came here late from a channel that has a limit is one message."""
        late = [page for page in pages if page.delayed and page.user]
        left = [Left(now, page, because=_late(page, now)) for page in pages if not (page.delayed and page.user)]
        return left + (self._bundle(late, now) if late else [])

    def _other_way_for_p1(self, pages: list[Page], later: Later, now: Instant) -> list[Page]:
        """A P1 does not wait: it goes over another contact that has room. What waits is returned."""
        fresh = [page for page in pages if not page.delayed]
        other = self._other(fresh[0], now) if fresh else None
        if other is None:
            return pages
        self._over(fresh, other, now, later, now)
        return [page for page in pages if page.delayed]

    def _without_those_told_elsewhere(self, pages: list[Page], later: Later, now: Instant) -> list[Page]:
        """A page that went out another way and kept its place waits for that, however long it takes."""
        user = self.settings.users.get(pages[0].user) if pages else None
        if user is None or not may_keep(self.priority):
            return pages
        elsewhere = self._elsewhere(user, now)
        told = [page for page in pages if has_waited(page, now) and elsewhere.told(page, user)]
        self._postpone(told, later.at, now)
        gone = {id(page) for page in told}
        return [page for page in pages if id(page) not in gone]

    def _elsewhere(self, user: User, now: Instant) -> Elsewhere:
        """What the person has over other contacts."""
        return Elsewhere(self.known, [one for one in self.waiting if one.user == user.key and one.due_at > now])

    def _over(
        self, pages: Sequence[Page], other: tuple[str, str], since: Instant, later: Later, now: Instant
    ) -> list[Left]:
        """Each page over that contact, over both, or in its turn."""
        contact, channel = other
        user = self.settings.users[pages[0].user]
        kinds = self.limits.kind(pages[0].channel), self.limits.kind(channel)
        elsewhere = self._elsewhere(user, now)
        ways = [(page, other_way(page, user, contact, self.priority, kinds, elsewhere)) for page in pages]
        for page, way in ways:
            match way:
                case Move():
                    moved = replace(page, contact=contact, channel=channel, due_at=now, updated_at=since)
                    self.waiting.append(replace(moved, delayed="a limit"))
                case Sooner(planned) if any(one is planned for one in self.waiting):
                    self._drop([planned])
                    self.waiting.append(replace(planned, due_at=now))
                case Both():
                    copy = copied(page, "", contact, channel, now, since, "a limit")
                    self.waiting.append(copy)
                    self.known.add(copy.key)
        return self._postpone([page for page, way in ways if not isinstance(way, Move)], later.at, since)

    def _wait(
        self, pages: list[Page], later: Later, limits: tuple[Limit, ...], now: Instant, urgent: bool
    ) -> list[Left]:
        """No room: until the next slot, at most a minute; then another contact, or one message beyond the limit."""
        pages = self._other_way_for_p1(pages, later, now) if urgent else pages
        pages = self._without_those_told_elsewhere(pages, later, now)
        if not pages:
            return []
        since = min(page.updated_at or now for page in pages)
        deadline = Instant(since + PATIENCE)
        if now < deadline:
            return self._postpone(pages, Instant(min(later.at, deadline)), since)
        pages = pages + self._put_off(pages[0], now)
        other = self._other(pages[0], now)
        overflow = overflow_at(self._sent(pages[0]), limits, now)
        if other is not None:
            return self._over(pages, other, since, later, now)
        if overflow <= now:
            return self._bundle(pages, now)
        return self._postpone(pages, Instant(min(later.at, overflow)), since)

    def _postpone(self, pages: list[Page], at: Instant, since: Instant) -> list[Left]:
        self.waiting += [
            replace(page, due_at=at, updated_at=page.updated_at or since, delayed=page.delayed or "a limit")
            for page in pages
        ]
        return []

    def _put_off(self, like: Page, now: Instant) -> list[Page]:
        """What else of this person and channel waits for a slot, put off to a later instant."""
        found = [
            page
            for page in self.waiting
            if (page.user, page.channel) == (like.user, like.channel)
            and page.updated_at is not None
            and page.due_at <= now + PATIENCE
        ]
        self._drop(found)
        return found

    def _bundle(self, pages: list[Page], now: Instant) -> list[Left]:
        pages = sorted(pages, key=order_of_claims)
        self._sent(pages[0]).append(now)
        if len(pages) == 1:
            return [Left(now, pages[0], because=_late(pages[0], now))]
        why = f"the limit of {pages[0].channel} is reached: one message for {len(pages)} pages"
        return [Left(now, page, "bundled" if number else "summary", why) for number, page in enumerate(pages)]

    def _other(self, page: Page, now: Instant) -> tuple[str, str] | None:
        """(contact, channel) of the same person where there is room now."""
        user = self.settings.users.get(page.user)
        if user is None:
            return None
        for contact in usable_contacts(user, self.settings, self.people):
            if contact.channel == page.channel:
                continue
            sent = self.sent.get((page.user, contact.channel), ())
            if isinstance(room(sent, self.limits.of(contact.channel), now, urgent=False), Now):
                return contact.name, contact.channel
        return None

    def _sent(self, page: Page) -> list[Instant]:
        return self.sent.setdefault((page.user, page.channel), [])


def of(settings: Settings, people: People, limits: Limits, sent: Sent) -> Sending:
    """Ready to be used by one course."""
    return Sending(settings, people, limits, {key: list(times) for key, times in sent.items()})


def _late(page: Page, now: Instant) -> str:
    return "the person's limit was reached: it waited" if page.updated_at is not None else ""
