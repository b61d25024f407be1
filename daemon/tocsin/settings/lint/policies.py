"""Findings on incidents that page nobody, and on steps of policies that are never reached."""

from __future__ import annotations

from collections.abc import Iterator

from tocsin.model import DAY, Only, Policy, Problem, Step
from tocsin.settings.document.scalars import spell
from tocsin.settings.lint.facts import LintFacts
from tocsin.settings.lint.policy_situations import DECIDED_BY, applies, ever, openings, spelled, sure_openings

LONGEST_WAIT = DAY


def findings(facts: LintFacts) -> Iterator[Problem]:
    for policy in facts.policies():
        yield from _silent(policy, facts)
        yield from _one_person(policy, facts)
        for place, step in enumerate(policy.steps):
            yield from _step(policy, place, step, facts)
    yield from _no_policy(facts)
    yield from _catch_all(facts)


def _silent(policy: Policy, facts: LintFacts) -> Iterator[Problem]:
    """Incidents for which no step applies reach the catch-all alone, if there is one."""
    all_ = sure_openings(policy.name, facts)
    silent = frozenset(one for one in all_ if not any(applies(step, one) for step in policy.steps))
    where = facts.at("policies", policy.name)
    if silent:
        then = "only the catch-all is paged" if facts.settings.catch_all else "nobody is paged at all"
        message = f"{policy.name}: no step applies to {spelled(silent, all_)}; {then}"
        yield facts.warn(where, "silent-policy", message, "add a step without `only`, or one for these")
    elif policy.repeat is not None and facts.no_catch_all:
        message = f"{policy.name}: ends in silence after its last round"
        yield facts.warn(where, "silent-end", message, "write catch_all: [user:…], or repeat: forever")


def _one_person(policy: Policy, facts: LintFacts) -> Iterator[Problem]:
    """Whoever does not hear the first step does not hear the others either."""
    targets = [target for step in policy.steps for target in step.notify]
    if len(policy.steps) < 2 or any(target.kind == "channel" or facts.is_fed(target) for target in targets):
        return
    people = {key for target in targets for key in facts.people_of(target)}
    others = [key for key in facts.settings.users if key not in people and facts.has_contact(key)]
    if len(people) == 1 and others and all(map(facts.known, targets)):
        (who,) = people
        message = f"{policy.name}: every step pages {who} and nobody else"
        fix = f"name somebody else in a later step, for example user:{others[0]}"
        yield facts.warn(facts.at("policies", policy.name), "one-person", message, fix)


def _step(policy: Policy, place: int, step: Step, facts: LintFacts) -> Iterator[Problem]:
    path = ("policies", policy.name, "steps", place)
    called = f"{policy.name}: step {place + 1}"
    if not any(map(facts.may_reach, step.notify)):
        fix = "give its people a contact, or name somebody who has one"
        yield facts.warn(facts.at(*path, "notify"), "empty-step", f"{called} can reach nobody", fix)
    situations = ever(openings(policy.name, facts)) if facts.whole(*DECIDED_BY) else frozenset()
    if step.only != Only() and situations and not any(applies(step, one) for one in situations):
        got = ", ".join(sorted({one.priority for one in situations}))
        message = f"{called} is never reached: no incident of this policy is like its `only` (they are {got})"
        fix = "change only, or the impact of the services that use the policy"
        yield facts.warn(facts.at(*path, "only"), "unreachable-step", message, fix)
    if step.wait > LONGEST_WAIT:
        message = f"{called} waits {spell(step.wait)}; until then nobody else is paged"
        yield facts.warn(facts.at(*path, "wait"), "long-wait", message, "write a wait of minutes, for example 10m")


def _no_policy(facts: LintFacts) -> Iterator[Problem]:
    settings = facts.settings
    if settings.integrations and settings.defaults.policy is None and facts.no_catch_all and facts.whole("defaults"):
        message = "defaults: there is neither defaults.policy nor catch_all, so an unknown service pages nobody"
        fix = "write defaults: {policy: …}, or catch_all: [user:…]"
        yield facts.warn(facts.at("defaults"), "no-policy", message, fix)


def _catch_all(facts: LintFacts) -> Iterator[Problem]:
    """Warn of a catch-all that leads to nobody. Where a person is named among others, the missing contact is told
    already.
    """
    targets = facts.settings.catch_all if facts.sound("catch_all") else ()
    nobody = not any(map(facts.may_reach, targets))
    for place, target in enumerate(targets):
        if not facts.may_reach(target) and (nobody or target.kind != "user"):
            message = f"catch_all: {target} leads to nobody who has a contact"
            fix = "name a person with a contact, or a channel with a fixed `to`"
            yield facts.warn(facts.at("catch_all", place), "dead-catch-all", message, fix)
