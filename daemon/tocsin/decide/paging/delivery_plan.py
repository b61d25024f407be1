"""Delivery plan: which planned pages leave now, alone or together, which later, another way, or not at all.

The one answer, `plan`. The pager executes it (`work/paging/claim.py`); what-if runs it ahead
(`decide/whatif/delivery_forecast.py`).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from tocsin.contracts import EVERY_RANK
from tocsin.decide.incidents.escalation import CODE, order_of_claims
from tocsin.decide.oncall.reach import People, usable_contacts
from tocsin.decide.paging import throttle
from tocsin.decide.paging.other_channel import (
    Both,
    Elsewhere,
    Move,
    Sooner,
    copied,
    has_waited,
    may_keep,
    other_way,
)
from tocsin.decide.paging.still_wanted import why_page_unwanted, why_stale, why_update_unwanted
from tocsin.model import EMPTY, Contact, Incident, Instant, Limit, Page, Priority, Settings

BELOW_P1 = 2  # the rank behind those of a P1's first page, and of a page that a person asked for
MOST_AT_ONCE = 30  # P1 pages that look for another way at once
WAITED = "the person's limit was reached: it waited"


# ---------------------------------------------------------------------------------- the answers


@dataclass(frozen=True, slots=True)
class Alone:
    """Leaves now, by itself."""

    page: Page
    because: str


@dataclass(frozen=True, slots=True)
class Together:
    """Leave now as one message, in which the first carries the others. `and_rest`: what else of this person waits for
    the channel joins it, however much that is."""

    pages: tuple[Page, ...]
    because: str
    and_rest: bool = False


@dataclass(frozen=True, slots=True)
class Postponed:
    """Wait for a slot of the limit until `until` at the latest. `and_rest`: so does what else of this person is due."""

    pages: tuple[Page, ...]
    until: Instant
    since: Instant
    because: str
    and_rest: bool = False

    def after(self) -> list[Page]:
        """The pages as they wait."""
        delayed = throttle.delay(self.since, self.because)
        return [
            replace(page, due_at=self.until, updated_at=page.updated_at or self.since, delayed=page.delayed or delayed)
            for page in self.pages
        ]


@dataclass(frozen=True, slots=True)
class Moved:
    """Go now over another contact of the same person, where they are one message; it has room."""

    pages: tuple[Page, ...]
    contact: str
    channel: str
    at: Instant
    since: Instant
    because: str

    def after(self) -> list[Page]:
        """The pages as they are due there."""
        delayed = throttle.delay(self.since, self.because)
        return [
            replace(
                page, contact=self.contact, channel=self.channel, due_at=self.at, updated_at=self.since,
                delayed=page.delayed or delayed,
            )
            for page in self.pages
        ]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Copied:
    """Goes now over another contact of the same person too; `page` itself is among those that wait."""

    page: Page
    contact: str
    channel: str
    at: Instant
    since: Instant
    because: str

    def after(self, id_: str) -> Page:
        """The page over the other contact."""
        delayed = throttle.delay(self.since, self.because)
        return copied(self.page, id_, self.contact, self.channel, self.at, self.since, delayed)


@dataclass(frozen=True, slots=True)
class Hastened:
    """The person's page that was planned for later over another contact: it goes now."""

    page: Page
    because: str


@dataclass(frozen=True, slots=True)
class Rerouted:
    """Belongs to another channel: its contact was configured anew, or the page tells that this very channel fails."""

    page: Page
    contact: str
    channel: str
    because: str


@dataclass(frozen=True, slots=True)
class Ended:
    """Does not leave at all. `in_vain`: it found its person or contact gone, so its step is asked again."""

    page: Page
    status: Literal["cancelled", "failed"]
    because: str
    in_vain: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """Stay due: no call may begin before another one ends."""

    pages: tuple[Page, ...]
    because: str = "as many calls as may be are under way"


Answer = Alone | Together | Postponed | Moved | Copied | Hastened | Rerouted | Ended | Held


@dataclass(frozen=True, slots=True)
class NoRoom:
    """The question for what else is known of this person, before their pages can be placed: see `Alternatives`.

    `overdue`: they waited for as long as pages may, so what was put off behind them is decided with them.
    """

    pages: tuple[Page, ...]
    overdue: bool


# ------------------------------------------------------------------------------------ the facts


@dataclass(frozen=True, slots=True)
class Slots:
    """Calls that may begin now. What is no page has slots of its own; `kept` of the others are for a P1's first pages
    and for what a person asked for."""

    pages: int
    quiet: int
    kept: int = 0

    @property
    def below(self) -> int:
        """The rank below which something can leave at all."""
        if self.pages <= self.kept:
            return BELOW_P1
        return EVERY_RANK if self.quiet > 0 else CODE

    def have_room(self, page: Page) -> bool:
        if page.kind in throttle.PAGES:
            return self.pages > (self.kept if page.rank >= BELOW_P1 else 0)
        return self.quiet > 0

    def without(self, page: Page) -> Slots:
        """The slots left when a call for this page begins."""
        if page.kind in throttle.PAGES:
            return Slots(self.pages - 1, self.quiet, self.kept)
        return Slots(self.pages, self.quiet - 1, self.kept)


UNBOUNDED = Slots(EVERY_RANK, EVERY_RANK)


@dataclass(frozen=True, slots=True)
class ChannelFacts:
    """Facts about a channel whose pages are decided: its limits, the configuration, the pages' incidents.

    `kind`: sms, voice, mail, chat: how loud it is. `own_trouble`: the key of the incident that tells that this channel
    fails; "" while it does not. `overtaken`: page key → why what it asks for needs no answer any more.
    """

    channel: str
    kind: str
    limits: Sequence[Limit]
    settings: Settings
    people: People
    incidents: Mapping[int, Incident]
    own_trouble: str = ""
    overtaken: Mapping[str, str] = EMPTY

    def incident_of(self, page: Page) -> Incident | None:
        return self.incidents.get(page.incident) if page.incident is not None else None

    def priority_of(self, page: Page) -> Priority:
        incident = self.incident_of(page)
        return incident.priority if incident is not None else "P5"


@dataclass(frozen=True, slots=True)
class OtherWay:
    """Another contact of the person: when pages went to them over its channel, within the limits' windows."""

    contact: str
    channel: str
    kind: str
    limits: Sequence[Limit] = ()
    sent: Sequence[Instant] = ()

    def has_room(self, now: Instant) -> bool:
        return isinstance(throttle.room(self.sent, self.limits, now, urgent=False), throttle.Now)


@dataclass(frozen=True, slots=True)
class Alternatives:
    """Further facts about a person whose pages find no room.

    `ways`: their other contacts that work, in written order. `known`: those of the keys asked for that a page has.
    `later`: their planned pages of the same incidents that are not due yet. `put_off`: what else waits for this
    channel, due within a minute.
    """

    ways: Sequence[OtherWay] = ()
    known: Collection[str] = ()
    later: Sequence[Page] = ()
    put_off: Sequence[Page] = ()


@dataclass(frozen=True, slots=True)
class PersonFacts:
    """Instants at which messages went to the person over the channel, within its limits' windows. `pages`: pages alone.

    `alternatives`: what `plan` asked for, if it did.
    """

    pages: Sequence[Instant] = ()
    all: Sequence[Instant] = ()
    alternatives: Alternatives | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """The answers, and the call slots that are left."""

    answers: tuple[Answer, ...]
    slots: Slots


# ----------------------------------------------------------------------------------- the answer


def groups(pages: Sequence[Page], facts: ChannelFacts) -> list[list[Page]]:
    """The due pages of a channel, as they are planned: by person where a limit counts, else all at once but for those
    which tell that the channel fails."""
    if not facts.limits and not facts.own_trouble:
        return [list(pages)] if pages else []
    found: dict[str, list[Page]] = {}
    for page in pages:
        alone = facts.limits or _tells_of_this_channel(page, facts)
        found.setdefault(person_of(page) if alone else "", []).append(page)
    return list(found.values())


def person_of(page: Page) -> str:
    """The person (or fixed target) towards whose limit a page counts."""
    return page.user or page.target


def plan(pages: Sequence[Page], facts: ChannelFacts, person: PersonFacts, slots: Slots, now: Instant) -> Plan | NoRoom:
    """The plan for these due pages, one of `groups`: an answer for each.

    NoRoom: ask again with its `alternatives`; it is not asked for a second time.
    """
    planning = _Planning(facts, person, slots, now)
    staying = planning.staying(pages)
    if isinstance(staying, NoRoom):
        return staying
    if not facts.limits:
        planning.without_limits(staying)
    elif (no_room := planning.within_limits(staying)) is not None:
        return no_room
    return Plan(tuple(planning.answers), planning.slots)


def why_not_as_planned(page: Page, facts: ChannelFacts, now: Instant) -> Ended | Rerouted | None:
    """Answer for a page that may not leave, for what became of its incident, the configuration or the person; None:
    it may."""
    incident = facts.incident_of(page)
    because = ""
    if page.kind in throttle.PAGES and page.incident is not None:
        because = why_page_unwanted(page, incident)
    elif page.kind == "update" and incident is not None:
        because = why_update_unwanted(page, incident)
    because = because or why_stale(page, now) or facts.overtaken.get(page.key, "")
    return Ended(page, "cancelled", because) if because else _why_unreachable(page, facts)


def other_contacts(page: Page, facts: ChannelFacts) -> list[Contact]:
    """The person's contacts over other channels that a page could use."""
    user = facts.settings.users.get(page.user)
    contacts = usable_contacts(user, facts.settings, facts.people) if user is not None else []
    return [contact for contact in contacts if contact.channel != facts.channel]


def _why_unreachable(page: Page, facts: ChannelFacts) -> Ended | Rerouted | None:
    settings = facts.settings
    if not page.user:
        if page.channel in settings.channels:
            return None
        return Ended(page, "cancelled", "the channel was removed from the configuration", in_vain=True)
    user = settings.users.get(page.user)
    contact = user.contacts.get(page.contact) if user is not None else None
    if contact is None:
        return Ended(page, "cancelled", "the person or contact was removed from the configuration", in_vain=True)
    if contact.channel != page.channel and page.channel not in settings.fallbacks.get(contact.channel, ()):
        return Rerouted(page, page.contact, contact.channel, f"the contact goes over {contact.channel} by now")
    if facts.people.unusable(contact) and page.kind != "code":  # a code is how it comes back to life
        return Ended(page, "failed", "the contact cannot be used", in_vain=True)
    return None


def _tells_of_this_channel(page: Page, facts: ChannelFacts) -> bool:
    incident = facts.incident_of(page)
    return bool(facts.own_trouble and page.user and incident is not None and incident.key == facts.own_trouble)


def _without(pages: Sequence[Page], gone: Iterable[Page]) -> list[Page]:
    keys = {page.key for page in gone}
    return [page for page in pages if page.key not in keys]


def _alone(page: Page) -> Alone:
    return Alone(page, WAITED if page.delayed else "it is due")


@dataclass(slots=True)
class _Planning:
    """State of a `plan` being made."""

    facts: ChannelFacts
    person: PersonFacts
    slots: Slots
    now: Instant
    answers: list[Answer] = field(default_factory=list)

    def staying(self, pages: Sequence[Page]) -> list[Page] | NoRoom:
        """The pages that may leave over this channel; the others are answered."""
        staying = []
        for page in pages:
            answer = why_not_as_planned(page, self.facts, self.now)
            if answer is None and _tells_of_this_channel(page, self.facts):
                if self.person.alternatives is None:
                    return NoRoom((page,), overdue=False)
                way = self.way_with_room()
                if way is not None:
                    answer = Rerouted(page, way.contact, way.channel, f"it tells that {self.facts.channel} fails")
            if answer is None:
                staying.append(page)
            else:
                self.answers.append(answer)
        return staying

    def way_with_room(self) -> OtherWay | None:
        ways = self.person.alternatives.ways if self.person.alternatives is not None else ()
        return next((way for way in ways if way.has_room(self.now)), None)

    # ------------------------------------------------------------------------- leaving

    def without_limits(self, pages: Sequence[Page]) -> None:
        """Let each page leave by itself; those that came here late from a channel with a limit leave as one message a
        person."""
        together: dict[str, list[Page]] = {}
        for page in pages:
            late = page.kind == "page" and page.delayed and page.user
            together.setdefault(f"user:{page.user}" if late else page.key, []).append(page)
        for some in together.values():
            if self.slots.have_room(some[0]):
                self._leave(some, "they waited for the limit of another channel")
            else:
                self.answers.append(Held(tuple(some)))

    def _leave(self, pages: Sequence[Page], because: str, *, and_rest: bool = False) -> None:
        self.slots = self.slots.without(pages[0])
        if len(pages) == 1:
            self.answers.append(_alone(pages[0]))
        else:
            self.answers.append(Together(tuple(sorted(pages, key=order_of_claims)), because, and_rest))

    def within_limits(self, pages: Sequence[Page]) -> NoRoom | None:
        """As many of one person's as there is room for go one by one; more become one message in the last slot."""
        paging = [page for page in pages if page.kind in throttle.PAGES]
        quiet = [page for page in pages if page.kind not in throttle.PAGES]
        before = self.slots.pages
        if paging and (no_room := self._pages(paging)) is not None:
            return no_room
        if quiet:
            self._what_is_no_page(quiet, before - self.slots.pages)
        return None

    def _pages(self, waiting: list[Page]) -> NoRoom | None:
        facts, now = self.facts, self.now
        sent, because = list(self.person.pages), f"the limit of {facts.channel} is reached"
        while waiting and self.slots.have_room(waiting[0]):
            page = waiting[0]
            room = throttle.room(sent, facts.limits, now, urgent=facts.priority_of(page) == "P1")
            if isinstance(room, throttle.Later):
                return self._without_room(waiting, room, sent)
            sent.append(now)
            late = [one for one in waiting if one.delayed]
            if page.delayed and len(late) > 1:  # what had to wait for this slot goes in one message
                self._leave(late, because, and_rest=True)
                waiting = _without(waiting, late)
                continue
            last = isinstance(throttle.room(sent, facts.limits, now, urgent=False), throttle.Later)
            if last and len(waiting) > 1:
                self._leave(waiting, because)
                return None
            self._leave([waiting.pop(0)], because)
        if waiting:
            self.answers.append(Held(tuple(waiting)))
        return None

    def _what_is_no_page(self, waiting: list[Page], called: int) -> None:
        """Let updates, notices, tests and codes take the room that is left, and wait for it however long that
        takes. They never take a page's: no page asks what of these went out."""
        sent = [*self.person.all, *[self.now] * called]
        while waiting and self.slots.have_room(waiting[0]):
            room = throttle.room(sent, self.facts.limits, self.now, urgent=False)
            if isinstance(room, throttle.Later):
                self.postpone(waiting, room.at, self.now, room.because)
                return
            sent.append(self.now)
            together = waiting[:1]
            if waiting[0].kind == "update" and waiting[0].delayed:
                together = [page for page in waiting if page.kind == "update"]
            self._leave(together, f"the limit of {self.facts.channel} is reached")
            waiting = _without(waiting, together)
        if waiting:
            self.answers.append(Held(tuple(waiting)))

    # ------------------------------------------------------------------------- no room

    def _without_room(self, pages: Sequence[Page], room: throttle.Later, sent: Sequence[Instant]) -> NoRoom | None:
        """Until the next slot, at most a minute; then another channel, or one message beyond the limit."""
        waiting = list(pages)
        overdue = self.now >= _since(waiting, self.now) + throttle.PATIENCE
        fresh = [page for page in waiting if not page.delayed and self.facts.priority_of(page) == "P1"][:MOST_AT_ONCE]
        alternatives = self.person.alternatives
        if alternatives is None and waiting[0].user and (overdue or fresh):
            return NoRoom(tuple(waiting), overdue)
        detour = _Detour(self, alternatives or Alternatives(), room)
        if fresh and detour.way is not None:  # a P1 does not wait
            because = f"the limit of {self.facts.channel} is reached, and a P1 does not wait"
            detour.take(fresh, self.now, because)
            waiting = _without(waiting, fresh)
        told = detour.told_elsewhere(waiting)
        if told:  # it keeps its place, however long that takes
            self.postpone(told, room.at, self.now, room.because)
            waiting = _without(waiting, told)
        if waiting:
            self._wait(waiting, detour, sent)
        return None

    def _wait(self, waiting: list[Page], detour: _Detour, sent: Sequence[Instant]) -> None:
        room, since = detour.room, _since(waiting, self.now)
        deadline = Instant(since + throttle.PATIENCE)
        if self.now < deadline:
            self.postpone(waiting, min(room.at, deadline), since, room.because, and_rest=True)
            return
        put_off = self.staying(_without(detour.alternatives.put_off, waiting))
        waiting = waiting + (put_off if isinstance(put_off, list) else [])
        overflow = throttle.overflow_at(sent, self.facts.limits, self.now)
        if detour.way is not None:
            detour.take(waiting, since, room.because)
        elif overflow <= self.now:
            self._leave(waiting, f"the limit of {self.facts.channel} is reached", and_rest=True)
        else:
            self.postpone(waiting, min(room.at, overflow), since, room.because)

    def postpone(
        self, pages: Sequence[Page], until: Instant, since: Instant, because: str, *, and_rest: bool = False
    ) -> None:
        self.answers.append(Postponed(tuple(pages), until, since, because, and_rest))


def _since(pages: Sequence[Page], now: Instant) -> Instant:
    return min(page.updated_at or now for page in pages)


class _Detour:
    """The way over a person's other contact, if one has room: `decide/paging/other_channel.py`, page by page."""

    def __init__(self, planning: _Planning, alternatives: Alternatives, room: throttle.Later) -> None:
        self.planning, self.alternatives, self.room = planning, alternatives, room
        self.way = planning.way_with_room()
        self._known, self._later = set(alternatives.known), list(alternatives.later)

    def told_elsewhere(self, pages: Sequence[Page]) -> list[Page]:
        """Pages that went out another way and kept their place."""
        planning = self.planning
        user = planning.facts.settings.users.get(pages[0].user) if pages else None
        if user is None:
            return []
        elsewhere, now = Elsewhere(self._known, self._later), planning.now
        return [
            page for page in pages
            if may_keep(planning.facts.priority_of(page)) and has_waited(page, now) and elsewhere.told(page, user)
        ]  # fmt: skip

    def take(self, pages: Sequence[Page], since: Instant, because: str) -> None:
        """Send each page over the other contact, over both, or let it wait for its turn."""
        planning, way = self.planning, self.way
        assert way is not None
        facts, moved, kept, hastened = planning.facts, list[Page](), list[Page](), list[Page]()
        user, kinds = facts.settings.users[pages[0].user], (facts.kind, way.kind)
        for page in pages:
            elsewhere = Elsewhere(self._known, self._later)
            match other_way(page, user, way.contact, facts.priority_of(page), kinds, elsewhere):
                case Move():
                    moved.append(page)
                    continue
                case Sooner(planned):  # the same one may do for several
                    hastened += [planned] if planned not in hastened else []
                case Both():
                    copy = Copied(page, way.contact, way.channel, planning.now, since, because)
                    self._known.add(copy.after("").key)
                    planning.answers.append(copy)
            kept.append(page)
        self._later = _without(self._later, hastened)
        planning.answers += [Hastened(page, because) for page in hastened]
        if moved:
            planning.answers.append(Moved(tuple(moved), way.contact, way.channel, planning.now, since, because))
        if kept:
            planning.postpone(kept, self.room.at, since, because)
