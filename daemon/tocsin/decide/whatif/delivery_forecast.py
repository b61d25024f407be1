"""Delivery forecast: when planned pages leave, alone or in one summary, within a person's limits.

The pager's own answers (`decide/paging/delivery_plan.py`), run ahead of time. It supposes that every message goes
through and that nothing else pages these people meanwhile.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tocsin.decide.incidents.escalation import order_of_claims
from tocsin.decide.oncall.reach import People
from tocsin.decide.paging.delivery_plan import (
    UNBOUNDED,
    Alone,
    Alternatives,
    Answer,
    ChannelFacts,
    Copied,
    Ended,
    Hastened,
    Held,
    Moved,
    OtherWay,
    PersonFacts,
    Plan,
    Postponed,
    Rerouted,
    Together,
    other_contacts,
    person_of,
    plan,
)
from tocsin.decide.paging.throttle import PATIENCE
from tocsin.model import EMPTY, Incident, Instant, Limit, Page, Settings


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

SentLately = Mapping[tuple[str, str], Sequence[Instant]]
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
    """Pages that wait for their time, and what went out so far. `settings` and `people` say who has another contact."""

    settings: Settings
    people: People
    limits: Limits = NO_LIMITS
    sent: dict[tuple[str, str], list[Instant]] = field(default_factory=dict)
    waiting: list[Page] = field(default_factory=list)
    known: set[str] = field(default_factory=set)  # keys of pages, whatever became of them

    def until(self, end: Instant, now: Instant, incidents: Mapping[int, Incident]) -> list[Left]:
        """Messages that leave until `end`; what is overdue leaves at `now`. `incidents`: of the pages, by number."""
        left: list[Left] = []
        self.known.update(page.key for page in self.waiting)
        while self.waiting:
            at = max(now, min(page.due_at for page in self.waiting))
            if at > end:
                break
            left += self._due(at, incidents)
        return left

    def meets(self, page: Page, now: Instant) -> bool:
        """Whether an older page of the same person, within limits, has its time at this very instant too.

        Nobody can know whether the pager takes the older one before this one is decided, or both in one message.
        """
        if page.due_at > now or not self.limits.of(page.channel):
            return False
        whose = (page.channel, person_of(page))
        return any(
            one.created_at < now and one.due_at == now and (one.channel, person_of(one)) == whose
            for one in self.waiting
        )

    def _due(self, at: Instant, incidents: Mapping[int, Incident]) -> list[Left]:
        """Pages due then, by person and channel; a page that goes another way joins those it finds there."""
        groups: dict[tuple[str, str], list[Page]] = {}
        for page in sorted((page for page in self.waiting if page.due_at <= at), key=order_of_claims):
            groups.setdefault((page.channel, person_of(page)), []).append(page)
        self.waiting = [page for page in self.waiting if page.due_at > at]
        left: list[Left] = []
        while groups and not any(page.due_at <= at for page in self.waiting):
            left += self._claim(groups.pop(next(iter(groups))), at, incidents)
        self.waiting += itertools.chain.from_iterable(groups.values())
        return left

    def _claim(self, pages: Sequence[Page], now: Instant, incidents: Mapping[int, Incident]) -> list[Left]:
        """Due pages of one person and channel, as the pager would claim them."""
        channel, limits, sent = pages[0].channel, self.limits, self._sent_to(pages[0])
        facts = ChannelFacts(channel, limits.kind(channel), limits.of(channel), self.settings, self.people, incidents)
        planned = plan(pages, facts, PersonFacts(sent, sent), UNBOUNDED, now)
        if not isinstance(planned, Plan):
            alternatives = self._alternatives(pages[0], facts, now)
            planned = plan(pages, facts, PersonFacts(sent, sent, alternatives), UNBOUNDED, now)
        assert isinstance(planned, Plan)
        return [left for answer in planned.answers for left in self._do(answer, now, sent)]

    def _do(self, answer: Answer, now: Instant, sent: list[Instant]) -> list[Left]:
        """Apply the answers of the plan; return what leaves by them."""
        match answer:
            case Alone(page, because):
                sent.append(now)
                return [Left(now, page, because=because if page.delayed else "")]
            case Together(pages, because):
                sent.append(now)
                why = f"{because}: one message for {len(pages)} pages"
                self._drop(pages)
                return [Left(now, page, "bundled" if number else "summary", why) for number, page in enumerate(pages)]
            case Postponed() | Moved():
                self._drop(answer.pages)
                self.waiting += answer.after()
            case Copied():
                self._wait(answer.after(""))
            case Hastened(page):
                self._wait(replace(page, due_at=now))
            case Rerouted(page, contact, channel):
                self._wait(replace(page, contact=contact, channel=channel, updated_at=now))
            case Ended(page):
                self._drop([page])
            case Held(pages):
                raise AssertionError("calls are not counted ahead of time")
        return []

    def _wait(self, page: Page) -> None:
        """A page in the place of the one of its key, if any."""
        self._drop([page])
        self.waiting.append(page)
        self.known.add(page.key)

    def _drop(self, pages: Sequence[Page]) -> None:
        gone = {page.key for page in pages}
        self.waiting = [page for page in self.waiting if page.key not in gone]

    def _alternatives(self, page: Page, facts: ChannelFacts, now: Instant) -> Alternatives:
        """Facts about this person: other contacts, pages that are due later, what was put off for this channel."""
        ways = [
            OtherWay(
                contact.name, contact.channel, self.limits.kind(contact.channel), self.limits.of(contact.channel),
                self.sent.get((page.user, contact.channel), ()),
            )
            for contact in other_contacts(page, facts)
        ]  # fmt: skip
        mine = [one for one in self.waiting if one.user == page.user]
        put_off = [
            one for one in mine
            if one.channel == page.channel and one.updated_at is not None and one.due_at <= now + PATIENCE
        ]  # fmt: skip
        return Alternatives(ways, self.known, [one for one in mine if one.due_at > now], put_off)

    def _sent_to(self, page: Page) -> list[Instant]:
        return self.sent.setdefault((page.user, page.channel), [])


def of(settings: Settings, people: People, limits: Limits, sent: SentLately) -> Sending:
    """Ready to be used by one course."""
    return Sending(settings, people, limits, {key: list(times) for key, times in sent.items()})
