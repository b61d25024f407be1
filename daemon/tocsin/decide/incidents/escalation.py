"""Escalation: who is paged now, over which contacts, and when the next step runs.

`run_step` is the one answer for the daemon, for `explain` and for tests: a frozen policy, the people
of the configuration in force and `now` go in; pages, timeline and the next due time come out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from tocsin.decide.oncall.reach import People, Reached, personal_rules, reach, usable_contacts
from tocsin.decide.oncall.resolver import in_hours
from tocsin.model import (
    HOUR,
    MINUTE,
    SECOND,
    TOCSIN,
    Contact,
    Entry,
    Incident,
    Instant,
    Millis,
    NotifyRule,
    Page,
    Policy,
    Priority,
    Settings,
    Step,
    Target,
    changed,
)

SOON = Millis(60 * SECOND)  # a step that runs this late still pages whom it was planned for
FLOOR = Millis(60 * SECOND)  # the least wait after a step that ran late
BETWEEN_ROUNDS = Millis(10 * SECOND)  # the least, whatever the last step's wait is
NOBODY_AGAIN = Millis(5 * MINUTE)  # a catch-all that reached nobody is asked again after this
CODE, TEST, UPDATE, NOTICE = 50, 60, 70, 90  # the ranks of what is no page: after every page


@dataclass(frozen=True, slots=True)
class StepRun:
    """A step that was run: the incident with its next due time, the pages, the story."""

    incident: Incident
    pages: tuple[Page, ...]
    entries: tuple[Entry, ...]
    nobody: int  # steps (and the catch-all) that found nobody


def run_step(
    incident: Incident,
    policy: Policy | None,
    settings: Settings,
    people: People,
    now: Instant,
    new_id: Callable[[], str],
) -> StepRun:
    """Run the step that is due, or the next one that reaches somebody.

    A step that does not apply is passed over. A step that finds nobody hands over to the next at once.
    When no further step of the round finds anybody, the catch-all is paged at once (step 0) and the
    escalation goes on with the next round. After the last round the catch-all is paged, and again every
    30 m (P1, P2) or 4 h.
    """
    work = _Run(incident, policy, settings, people, now, new_id)
    if incident.due_kind == "again" or policy is None or not policy.steps:
        return work.catch_all(because="the policy is exhausted" if policy and policy.steps else "there is no policy")
    return work.from_step(incident.step)


def run_catch_all(
    incident: Incident,
    round_: int,
    settings: Settings,
    people: People,
    now: Instant,
    new_id: Callable[[], str],
    because: str,
) -> StepRun:
    """Page the catch-all beside the policy: all that a round sent failed. What is due next stays due."""
    work = _Run(incident, None, settings, people, now, new_id)
    work.at = now
    work.page_catch_all(round_, because)
    return work.end()


class _Run:
    """A run of `run_step`: gathers pages and entries as it walks on."""

    def __init__(
        self,
        incident: Incident,
        policy: Policy | None,
        settings: Settings,
        people: People,
        now: Instant,
        new_id: Callable[[], str],
    ) -> None:
        self.incident, self.policy, self.settings = incident, policy, settings
        self.paged = incident.paged
        self.people, self.now, self.new_id = people, now, new_id
        self.planned = incident.planned_at if incident.planned_at is not None else now
        self.at = self.planned if now - self.planned <= SOON else now
        self.pages: list[Page] = []
        self.entries: list[Entry] = []
        self.nobody = 0

    def from_step(self, first: int) -> StepRun:
        assert self.policy is not None
        for number in range(first, len(self.policy.steps) + 1):
            step = self.policy.steps[number - 1]
            if not applies(step, self.incident, self.settings, self.at):
                continue
            if self.page_step(step, number):
                return self.after(step, number)
            self.nobody += 1
            because = f"step {number} reaches nobody: the next one runs at once"
            self.tell("nobody", because, step=number, round=self.incident.round)
        if not self.nobody and self.any_applies():
            return self.next_round()
        if first == 1:  # nobody of this round: whoever was paged in the one before did not answer
            self.paged = ""
        return self.nobody_in_round()

    def any_applies(self) -> bool:
        assert self.policy is not None
        return any(applies(step, self.incident, self.settings, self.at) for step in self.policy.steps)

    def next_round(self) -> StepRun:
        """Skip the rest of this round: its time has come and gone, the next round begins."""
        assert self.policy is not None
        more = self.policy.repeat is None or self.incident.round <= self.policy.repeat
        self.incident = changed(self.incident, round=self.incident.round + 1, step=1)
        return self.from_step(1) if more else self.catch_all("the policy is exhausted")

    def nobody_in_round(self) -> StepRun:
        """The rest of this round found nobody: the catch-all now, the next round after the last wait."""
        assert self.policy is not None
        last = len(self.policy.steps)
        self.page_catch_all(self.incident.round, "no step of this round reaches anybody")
        return self.after(self.policy.steps[-1], last)

    def catch_all(self, because: str) -> StepRun:
        reached = self.page_catch_all(self.incident.round, because)
        wait = _again_after(self.incident) if reached else NOBODY_AGAIN
        self.paged = ""
        due = Instant(self.now + wait)
        return self.end(round=self.incident.round + 1, step=0, due_kind="again", due_at=due, planned_at=due)

    def after(self, step: Step, number: int) -> StepRun:
        """The incident waits for what follows step `number`."""
        assert self.policy is not None
        due = Instant(max(self.planned + step.wait, self.now + min(step.wait, FLOOR)))
        if number < len(self.policy.steps):
            return self.end(step=number + 1, due_kind="step", due_at=due, planned_at=due)
        due = Instant(max(due, self.now + BETWEEN_ROUNDS))
        if self.policy.repeat is None or self.incident.round <= self.policy.repeat:
            return self.end(round=self.incident.round + 1, step=1, due_kind="step", due_at=due, planned_at=due)
        return self.end(round=self.incident.round + 1, step=0, due_kind="again", due_at=due, planned_at=due)

    def page_step(self, step: Step, number: int) -> bool:
        return self.page_targets(step.notify, self.incident.round, number, step.pick)

    def page_catch_all(self, round_: int, because: str) -> bool:
        self.tell("catch_all", because, step=0, round=round_)
        if self.page_targets(self.settings.catch_all, round_, 0, "all"):
            return True
        self.nobody += 1
        self.tell("nobody", "the catch-all reaches nobody", step=0, round=round_)
        return False

    def page_targets(self, targets: tuple[Target, ...], round_: int, number: int, pick: str) -> bool:
        reached = list(reach(targets, self.settings, self.people, self.at))
        reachable = [one for one in reached if self.contacts_of(one)]
        for one in reached:
            if one.user is not None and one not in reachable:
                because = f"{one.user.key} has no usable contact"
                self.tell("unreachable", because, step=number, round=round_, user=one.user.key)
        if pick == "one" and reachable:
            reachable = [reachable[self.incident.number % len(reachable)]]
        before = len(self.pages)
        for one in reachable:
            self.pages.extend(self.pages_for(one, round_, number))
        if number:
            self.paged = with_people(self.paged, reachable)
        if len(self.pages) > before:
            names = ", ".join(one.user.key if one.user else str(one.target) for one in reachable)
            self.tell("step", f"step {number}: {names}", step=number, round=round_, who=names)
        return len(self.pages) > before

    def contacts_of(self, one: Reached) -> list[Contact]:
        if one.user is None:
            return [Contact("", one.target.name, self.settings.channels[one.target.name].to or "")]
        return usable_contacts(one.user, self.settings, self.people, one.contact)

    def pages_for(self, one: Reached, round_: int, number: int) -> Iterator[Page]:
        """The pages of one person, by personal rule, and of a channel target, at once."""
        usable = {contact.name: contact for contact in self.contacts_of(one)}
        if one.user is None or one.contact:
            rules: tuple[NotifyRule, ...] = (NotifyRule(by=tuple(usable)),)
        else:
            rules = personal_rules(one.user, self.incident.urgency, self.settings)
            if not any(name in usable for rule in rules for name in rule.by):
                rules = (NotifyRule(by=(next(iter(usable)),)),)
        first = min(rule.after for rule in rules)
        first_usable = min(rule.after for rule in rules if any(name in usable for name in rule.by))
        for index, rule in enumerate(rules, start=1):
            after = (
                first if rule.after == first_usable else rule.after
            )  # nobody waits for a contact that is passed over
            for name in rule.by:
                if name in usable:
                    yield self.page(one, usable[name], round_, number, index, after)

    def page(self, one: Reached, contact: Contact, round_: int, number: int, rule: int, after: Millis) -> Page:
        target = f"user:{one.user.key}" if one.user else str(one.target)
        number_ = self.incident.number
        return Page(
            id=self.new_id(),
            key=f"{number_}/{self.incident.cycle}/{round_}/{number}/{target}/{rule}/{contact.name}",
            kind="page",
            incident=number_,
            cycle=self.incident.cycle,
            round=round_,
            step=number,
            rule=rule,
            target=target,
            user=one.user.key if one.user else "",
            contact=contact.name,
            channel=contact.channel,
            due_at=Instant(self.now + after),
            created_at=self.now,
            rank=rank(self.incident, round_, number, rule),
            because=one.because,
            config=self.settings.hash,
        )

    def tell(self, kind: str, because: str, **detail: object) -> None:
        self.entries.append(
            Entry(self.incident.number, self.now, kind, str(TOCSIN), "timer", because, detail=dict(detail))
        )

    def end(self, **following: Any) -> StepRun:
        """Result of a step; `following`: the fields of the incident that say what is due next."""
        version = self.incident.version + 1
        after = changed(
            self.incident, version=version, updated_at=self.now, held_until=None, paged=self.paged, **following
        )
        return StepRun(after, tuple(self.pages), tuple(self.entries), self.nobody)


def with_people(paged: str, reached: Sequence[Reached]) -> str:
    """`Incident.paged` with these people as well; a channel is nobody who could work on it."""
    return " ".join(dict.fromkeys([*paged.split(), *(one.user.key for one in reached if one.user is not None)]))


def policy_for(name: str | None, service: str, settings: Settings) -> Policy | None:
    """The policy asked for by `name`, else the service's, else the default; None: the catch-all is paged at once."""
    known = settings.services.get(service)
    for one in (name, known.policy if known else None, settings.defaults.policy):
        if one and (policy := settings.policies.get(one)) is not None:
            return policy
    return None


def applies(step: Step, incident: Incident, settings: Settings, at: Instant) -> bool:
    """Whether the step's `only` lets it run for this incident at `at`."""
    only = step.only
    if only.priority and incident.priority not in only.priority:
        return False
    if only.urgency and incident.urgency not in only.urgency:
        return False
    service = settings.services.get(incident.service)
    if not only.hours or service is None or service.support_hours is None:
        return True
    return in_hours(service.support_hours, at) == (only.hours == "support")


def rank(incident: Incident, round_: int, step: int, rule: int) -> int:
    """Order of claims: first pages before later ones, each by priority; of one priority steps before personal rules."""
    return rank_of(incident.priority, first=round_ == 1 and step in (0, 1) and rule == 1, rule=rule)


def rank_of(priority: Priority, *, first: bool, rule: int) -> int:
    number = int(priority[1:])  # P1 is 1
    return number if first else 8 + 2 * number + (rule > 1)


URGENT = (0, *(rank_of("P1", first=first, rule=rule) for first, rule in ((True, 1), (False, 1), (False, 2))))
"""The ranks of pages that a person asked for and of a P1's: they have a slot of their own."""


def _again_after(incident: Incident) -> Millis:
    return Millis(30 * MINUTE) if incident.priority in ("P1", "P2") else Millis(4 * HOUR)


def order_of_claims(page: Page) -> tuple[int, Instant, int, str]:
    """As the store hands out what is due (`due_pages`): by rank, then age; of one instant the older incident first."""
    return page.rank, page.due_at, page.incident or 0, page.id


def is_first(page: Page) -> bool:
    """Whether a page is a first one: the earliest word of an incident to a person."""
    return page.rank <= 5
