"""Situations a policy may get: the priority, urgency and hours of its incidents, as services, rules and the table
allow.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import product
from typing import NamedTuple

from tocsin.decide.routing.priority import LATER
from tocsin.model import PRIORITIES, URGENCY_OF, Impact, Service, Step
from tocsin.settings.lint.facts import LintFacts
from tocsin.settings.sections.shared import is_template

UNKNOWN = Service("")  # a name that is not configured: impact medium, no support hours
URGENCIES = tuple(dict.fromkeys(URGENCY_OF.values()))


DECIDED_BY = ("services", "rules", "priorities", "integrations", "defaults", "calendars")
"""Sections that have a say in it: with an error in one of them nothing is certain."""


class Situation(NamedTuple):
    """`hours`: "support" or "off"; "" where the service has no support hours, so that any `hours` applies."""

    priority: str
    urgency: str
    hours: str


def services_of(policy: str, facts: LintFacts) -> list[Service]:
    """The services whose incidents may go by this policy; UNKNOWN for those that are not configured."""
    settings = facts.settings
    if _is_given(policy, facts):
        return [*settings.services.values(), UNKNOWN]
    default = settings.defaults.policy == policy
    named = [one for one in settings.services.values() if one.policy == policy or (default and one.policy is None)]
    return [*named, UNKNOWN] if default else named


def _is_given(policy: str, facts: LintFacts) -> bool:
    """Whether a rule or an integration may give it to an incident of any service."""
    by_rule = {rule.set.policy for rule in facts.settings.rules if rule.set.policy}
    fills = [filled for each in facts.settings.integrations.values() for filled in (each.defaults, each.overrides)]
    by_integration = {filled.get("policy") for filled in fills}
    written = facts.written
    heartbeats = {written.text("heartbeats", name, "policy") for name in written.sections["heartbeats"].entries}
    return policy in by_rule | by_integration | heartbeats or any(is_template(text) for text in by_rule)


def openings(policy: str, facts: LintFacts) -> frozenset[Situation]:
    """The situations in which an incident of this policy may open, without a person's hand."""
    return frozenset(one for service in services_of(policy, facts) for one in _of_service(service, facts))


def sure_openings(policy: str, facts: LintFacts) -> frozenset[Situation]:
    """The subset of `openings` that no error elsewhere can put in doubt."""
    if facts.whole(*DECIDED_BY):
        return openings(policy, facts)
    if not facts.whole("priorities"):
        return frozenset()
    services = facts.settings.services
    named = [one for name, one in services.items() if one.policy == policy and facts.sound("services", name)]
    return frozenset(one for service in named for one in _by_table(service, {service.impact}, facts))


def _of_service(service: Service, facts: LintFacts) -> Iterator[Situation]:
    rules = facts.settings.rules
    yield from _by_table(service, {service.impact, *(rule.set.impact for rule in rules if rule.set.impact)}, facts)
    for priority in {rule.set.priority for rule in rules if rule.set.priority}:
        yield from (Situation(priority, urgency, hours) for urgency in URGENCIES for hours in _hours(service))


def _by_table(service: Service, impacts: Iterable[Impact], facts: LintFacts) -> Iterator[Situation]:
    table = facts.settings.priorities
    for impact, urgency, hours in product(impacts, URGENCIES, _hours(service)):
        priority = table[impact][urgency]
        if hours == "off" and priority in LATER:
            yield Situation(table[impact]["low"], "low", hours)
        else:
            yield Situation(priority, urgency, hours)


def _hours(service: Service) -> tuple[str, ...]:
    return ("support", "off") if service.support_hours is not None else ("",)


def applies(step: Step, situation: Situation) -> bool:
    """Whether a step applies, as `decide.incidents.escalation.applies` decides it."""
    only = step.only
    if only.priority and situation.priority not in only.priority:
        return False
    if only.urgency and situation.urgency not in only.urgency:
        return False
    return not only.hours or not situation.hours or only.hours == situation.hours


def ever(situations: frozenset[Situation]) -> frozenset[Situation]:
    """The situations with every hour each may live to see: support hours begin and end while an incident is open."""
    timed = [one for one in situations if one.hours]
    return situations | {one._replace(hours=hours) for one in timed for hours in ("support", "off")}


def spelled(silent: frozenset[Situation], all_: frozenset[Situation]) -> str:
    """ "P3, P4 outside support hours": the situations that are left out, as shortly as is exact."""
    said: list[str] = []
    for priority in PRIORITIES:
        mine = {one for one in silent if one.priority == priority}
        if mine and mine == {one for one in all_ if one.priority == priority}:
            said.append(priority)
        else:
            said += sorted({_spelled(one, silent, all_) for one in mine})
    return ", ".join(said)


def _spelled(one: Situation, silent: frozenset[Situation], all_: frozenset[Situation]) -> str:
    hours = {"support": " during support hours", "off": " outside support hours", "": ""}[one.hours]
    alike = {other for other in all_ if (other.priority, other.hours) == (one.priority, one.hours)}
    return f"{one.priority}{hours}" if alike <= silent else f"{one.priority} of {one.urgency} urgency{hours}"
